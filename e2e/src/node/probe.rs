//! Readiness probes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use hyper::Method;
use k8s_openapi::{
    api::core::v1::{Container, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::{
    net::TcpStream,
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};

use super::env::ports;
use crate::app::call::call;

/// Stories wait for readiness, so no probe is slower than this.
const SLOWEST: Duration = Duration::from_millis(250);
/// The app needs a moment to listen; the first probe of a kubelet fails too.
const FIRST: Duration = Duration::from_millis(50);
const DEFAULT_PATH: &str = "/readyz";
const DEFAULT_PORT: u16 = 8080;

/// A running probe of one container. A container starts unready.
#[derive(Debug)]
pub(super) struct Prober {
    check: Check,
    limit: Duration,
    ticks: Interval,
    /// Results in a row that change readiness: to ready, to unready.
    thresholds: (u32, u32),
    ready: bool,
    /// Results in a row that contradict `ready`.
    contrary: u32,
}

#[derive(Debug, PartialEq)]
enum Check {
    Http(SocketAddr, String),
    Tcp(SocketAddr),
}

impl Prober {
    /// Begins to probe `container` at the pod's `address`.
    pub(super) fn start(container: &Container, address: Ipv4Addr) -> Self {
        let probe = container.readiness_probe.clone().unwrap_or_default();
        let seconds = |value: Option<i32>, default| {
            Duration::from_secs(value.and_then(|s| u64::try_from(s).ok()).unwrap_or(default))
        };
        let times = |value: Option<i32>, default| {
            value.and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
        };
        let first = Instant::now() + FIRST.max(seconds(probe.initial_delay_seconds, 0));
        let mut ticks = interval_at(first, SLOWEST.min(seconds(probe.period_seconds, 10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            check: Check::of(&probe, container, address),
            limit: seconds(probe.timeout_seconds, 1),
            ticks,
            thresholds: (
                times(probe.success_threshold, 1),
                times(probe.failure_threshold, 3),
            ),
            ready: false,
            contrary: 0,
        }
    }

    /// Waits until readiness changes, and returns it. Dropping the future loses at most one probe.
    pub(super) async fn changed(&mut self) -> bool {
        loop {
            self.ticks.tick().await;
            let passed = self.check.passes(self.limit).await;
            self.contrary = if passed == self.ready {
                0
            } else {
                self.contrary + 1
            };
            let (to_ready, to_unready) = self.thresholds;
            if self.contrary >= if passed { to_ready } else { to_unready } && passed != self.ready {
                self.ready = passed;
                self.contrary = 0;
                return passed;
            }
        }
    }
}

impl Check {
    fn of(probe: &Probe, container: &Container, address: Ipv4Addr) -> Self {
        let at = |port: u16| SocketAddr::from((address, port));
        if let Some(http) = &probe.http_get {
            let path = http.path.clone().unwrap_or_else(|| "/".to_owned());
            Self::Http(at(port(&http.port, container)), path)
        } else if let Some(tcp) = &probe.tcp_socket {
            Self::Tcp(at(port(&tcp.port, container)))
        } else {
            let first = ports(container).first().copied();
            Self::Http(at(first.unwrap_or(DEFAULT_PORT)), DEFAULT_PATH.to_owned())
        }
    }

    async fn passes(&self, limit: Duration) -> bool {
        match self {
            Self::Http(address, path) => call(*address, Method::GET, path, "", limit)
                .await
                .is_ok_and(|(status, _)| (200..400).contains(&status.as_u16())),
            Self::Tcp(address) => timeout(limit, TcpStream::connect(address))
                .await
                .is_ok_and(|stream| stream.is_ok()),
        }
    }
}

/// A port by number or by name. 0, at which nothing listens, if there is none such.
fn port(wanted: &IntOrString, container: &Container) -> u16 {
    let number = match wanted {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn check(container: serde_json::Value) -> Check {
        let container: Container = serde_json::from_value(container).unwrap();
        let probe = container.readiness_probe.clone().unwrap_or_default();
        Check::of(&probe, &container, Ipv4Addr::LOCALHOST)
    }

    #[test]
    fn a_probe_goes_where_the_pod_says() {
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ports = serde_json::json!([
            {"name": "http", "containerPort": 9898}, {"name": "grpc", "containerPort": 9999}
        ]);
        let with = |probe: serde_json::Value| {
            check(serde_json::json!({"name": "app", "ports": ports, "readinessProbe": probe}))
        };
        assert_eq!(
            with(serde_json::json!({"httpGet": {"path": "/ok", "port": "grpc"}})),
            Check::Http(at(9999), "/ok".to_owned())
        );
        assert_eq!(
            with(serde_json::json!({"tcpSocket": {"port": 9898}})),
            Check::Tcp(at(9898))
        );
        assert_eq!(
            with(serde_json::json!({})),
            Check::Http(at(9898), "/readyz".to_owned())
        );
    }
}
