//! A waypoint: its objects, as Istio would make them, and an Envoy that istiod programs.
//!
//! Several live in the one network, each with its own address. What is real: Envoy, its
//! configuration, its certificates' checks. What stands in: the bootstrap (for Istio's agent), the
//! pod's status (for a kubelet's), and a stats access logger (for Istio's stats filter).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::apply::{apply, apply_as};
use super::envoy::{Admin, Shares};
use crate::build::Tools;
use crate::certs::TRUST_DOMAIN;
use crate::node;
use crate::process::{Launch, Process, until};

/// Port of HBONE: HTTP/2 `CONNECT` over mTLS.
pub const HBONE_PORT: u16 = 15008;
/// Port of `/stats/prometheus`, and of the rest of Envoy's admin pages.
pub(crate) const METRICS_PORT: u16 = 15020;
/// The node that waypoints' pods are bound to. No agent runs there.
pub(super) const NODE: &str = "waypoints";

/// Istio's field manager of what it makes of a Gateway (pilot/pkg/features, `ManagedGatewayController`).
const MAKER: &str = "istio.io/gateway-controller";
const GATEWAY: &str = include_str!("../../mesh/gateway.yaml");
const OBJECTS: &str = include_str!("../../mesh/waypoint.yaml");
const FILTERS: &str = include_str!("../../mesh/envoyfilters.yaml");
const BOOTSTRAP: &str = include_str!("../../mesh/bootstrap.yaml");
const START: Duration = Duration::from_mins(1);

/// A waypoint proxy that serves its namespace.
pub struct Waypoint {
    namespace: String,
    name: String,
    pod: String,
    ip: Ipv4Addr,
    client: Client,
    envoy: Process,
}

impl Waypoint {
    /// Makes the objects and starts Envoy; returns when its listeners are in force. `istiod` is on loopback.
    pub(super) async fn launch(
        client: Client,
        tools: &Tools,
        run: &Path,
        (namespace, name): (&str, &str),
        ip: Ipv4Addr,
        istiod: SocketAddr,
    ) -> Result<Self> {
        let istiod_port = istiod.port().to_string();
        let pod = format!("{name}-0");
        let fill = |template: &str| {
            [
                ("NAMESPACE", namespace),
                ("NAME", name),
                ("POD", &pod),
                ("NODE", NODE),
                ("ISTIOD_PORT", &istiod_port),
            ]
            .iter()
            .fold(
                template.replace("${IP}", &ip.to_string()),
                |text, (key, value)| text.replace(&format!("${{{key}}}"), value),
            )
        };
        // The filters first: Envoy refuses its first configuration without them.
        apply(&client, &fill(FILTERS)).await?;
        apply(&client, &fill(GATEWAY)).await?;
        apply_as(&client, MAKER, &fill(OBJECTS)).await?;
        let bootstrap = run.join(format!("waypoint-{namespace}-{name}.yaml"));
        fs::write(&bootstrap, fill(BOOTSTRAP)).context("writing Envoy's bootstrap")?;
        let envoy = Launch::new(&format!("waypoint-{namespace}-{name}"), &tools.envoy, run)
            .arg("--config-path")
            .arg(bootstrap)
            // As Istio's agent starts it. With Envoy's own gradual drain of 600 s, old connections
            // would keep old weights for minutes.
            .args([
                "--drain-time-s",
                "45",
                "--drain-strategy",
                "immediate",
                "--concurrency",
                "1",
            ])
            .args(["--disable-hot-restart", "--log-level", "warning"])
            .start()?;
        let waypoint = Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            pod,
            ip,
            client,
            envoy,
        };
        waypoint.set_ready(true).await?;
        waypoint.listening().await?;
        Ok(waypoint)
    }

    /// Where clients connect to it by HBONE.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.ip, HBONE_PORT))
    }

    /// Name of its pod.
    #[must_use]
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Envoy's metrics, as text.
    ///
    /// # Errors
    /// If Envoy does not answer.
    pub async fn stats(&self) -> Result<String> {
        self.admin().text("/stats/prometheus?usedonly").await
    }

    /// What Envoy itself does with a Service's port now: for each rule in order, the share of each
    /// backend Service, in percent. A backend with weight 0 is absent. It lags the route's status.
    ///
    /// # Errors
    /// If Envoy does not answer.
    pub async fn route_shares(&self, service: &str, port: u16) -> Result<Vec<Shares>> {
        let host = format!("{service}.{}.svc.{TRUST_DOMAIN}", self.namespace);
        self.admin().shares(&host, port).await
    }

    /// How Envoy itself calls the pods of a Service's port now: its cluster, as in a configuration dump;
    /// `None` when it has none.
    ///
    /// # Errors
    /// If Envoy does not answer.
    pub async fn cluster(&self, service: &str, port: u16) -> Result<Option<Value>> {
        let host = format!("{service}.{}.svc.{TRUST_DOMAIN}", self.namespace);
        self.admin().cluster(&host, port).await
    }

    /// Waits until istiod says that this waypoint serves a Service: condition
    /// `istio.io/WaypointBound`.
    ///
    /// # Errors
    /// If it does not say so in time.
    pub async fn bound(&self, service: &str, within: Duration) -> Result<()> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        until(
            &format!("Service {service} bound to its waypoint"),
            within,
            async || {
                let status = services.get(service).await?.status.unwrap_or_default();
                let conditions = status.conditions.unwrap_or_default();
                let condition = conditions
                    .iter()
                    .find(|condition| condition.type_ == "istio.io/WaypointBound")
                    .context("no condition istio.io/WaypointBound")?;
                ensure!(
                    condition.status == "True",
                    "{}: {}",
                    condition.reason,
                    condition.message
                );
                Ok(())
            },
        )
        .await
    }

    /// Kills Envoy and marks its pod not ready.
    ///
    /// # Errors
    /// If the system or the API server refuses.
    pub async fn kill(&self) -> Result<()> {
        self.envoy.kill().await?;
        self.set_ready(false).await
    }

    /// Starts Envoy again and waits for its listeners.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(&self) -> Result<()> {
        self.envoy.restart().await?;
        self.set_ready(true).await?;
        self.listening().await
    }

    fn admin(&self) -> Admin {
        Admin {
            address: SocketAddr::from((self.ip, METRICS_PORT)),
        }
    }

    /// The listeners load only when istiod and the SDS server have answered.
    async fn listening(&self) -> Result<()> {
        self.envoy
            .ready(START, async || {
                let listeners = self.admin().listeners().await?;
                for needed in ["connect_terminate", "main_internal"] {
                    ensure!(
                        listeners.iter().any(|name| name == needed),
                        "waypoint {}: listener {needed} is missing, there are {listeners:?}",
                        self.name,
                    );
                }
                Ok(())
            })
            .await
    }

    async fn set_ready(&self, ready: bool) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let status = pod_status(self.ip, ready);
        let status = Patch::Merge(&status);
        let params = as_a_kubelet();
        let written = pods.patch_status(&self.pod, &params, &status);
        match written.await {
            // It went with its namespace.
            Err(kube::Error::Api(answer)) if answer.code == 404 && !ready => return Ok(()),
            written => written.context("writing the waypoint pod's status")?,
        };
        Ok(())
    }
}

/// A Pod behind which the harness itself stands: it has an address, and runs nothing.
pub(super) async fn client_pod(
    client: &Client,
    namespace: &str,
    name: &str,
    ip: Ipv4Addr,
) -> Result<()> {
    let pod = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "nodeName": NODE,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "client", "image": "client"}],
        },
    }))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let made = pods.create(&PostParams::default(), &pod).await;
    made.with_context(|| format!("the Pod of client {name}"))?;
    let status = pod_status(ip, true);
    pods.patch_status(name, &as_a_kubelet(), &Patch::Merge(&status))
        .await
        .with_context(|| format!("the status of client {name}"))?;
    Ok(())
}

fn as_a_kubelet() -> PatchParams {
    PatchParams {
        field_manager: Some(node::MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn pod_status(ip: Ipv4Addr, ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    let condition = |kind: &str| json!({"type": kind, "status": status});
    json!({"status": {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "conditions": [condition("Ready"), condition("ContainersReady")],
        "containerStatuses": [{
            "name": "istio-proxy",
            "image": "envoy",
            "imageID": "",
            "ready": ready,
            "restartCount": 0,
        }],
    }})
}
