//! A client that picks the endpoints of a Service itself, past the waypoint: as a sidecar does, or an
//! ingress that is not told to use the waypoint.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;

use super::Scene;
use super::recording::{Recording, Seen};
use crate::load::{Load, Spec, Target};

/// The label that names the Service of a slice.
const SERVICE: &str = "kubernetes.io/service-name";

/// The client, at work.
pub struct Direct {
    /// Its requests.
    pub load: Load,
    sights: Recording<Sight>,
}

/// The pods that were endpoints at one moment, by name.
pub type Sight = BTreeSet<String>;

impl Direct {
    /// What the Service's endpoints were, an entry for each change.
    #[must_use]
    pub fn sights(&self) -> Vec<Seen<Sight>> {
        self.sights.all()
    }

    /// What they are.
    #[must_use]
    pub fn sight(&self) -> Sight {
        self.sights()
            .pop()
            .map(|seen| seen.what)
            .unwrap_or_default()
    }
}

impl Scene<'_> {
    /// A workload `name` that sends `rate` requests per second to the endpoints of a Service's first port,
    /// which it follows by their slices.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn direct(&self, name: &str, service: &str, rate: f64) -> Result<Direct> {
        let from = self.stage.cluster.client_pod(&self.namespace, name).await?;
        let (tell, of) = watch::channel(Vec::new());
        let mut slices: BTreeMap<String, Vec<(String, SocketAddr)>> = BTreeMap::new();
        let mut complete = false;
        let mut last = None;
        let see = move |change: Event<EndpointSlice>| {
            match change {
                Event::Init => {}
                Event::InitDone => complete = true,
                Event::Apply(slice) | Event::InitApply(slice) => {
                    slices.insert(slice.name_any(), endpoints(&slice));
                }
                Event::Delete(slice) => drop(slices.remove(&slice.name_any())),
            }
            let now = || slices.values().flatten();
            let sight: Sight = now().map(|(pod, _)| pod.clone()).collect();
            if !complete || last.as_ref() == Some(&sight) {
                return None;
            }
            tell.send_replace(now().map(|(_, address)| *address).collect());
            last = Some(sight.clone());
            Some(sight)
        };
        let config = watcher::Config::default().labels(&format!("{SERVICE}={service}"));
        let sights = Recording::of(self.api::<EndpointSlice>(), config, see).await?;
        let host = format!("{service}.{}", self.namespace);
        let load = Load::start(Spec {
            connections: 6,
            ..Spec::new(Target::Endpoints { from, of }, host, rate)
        })?;
        Ok(Direct { load, sights })
    }

    /// How many endpoints of a Service are ready, by its slices.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn ready_endpoints(&self, service: &str) -> Result<usize> {
        let of_it = ListParams::default().labels(&format!("{SERVICE}={service}"));
        let slices = self.api::<EndpointSlice>().list(&of_it).await?;
        Ok(slices.iter().map(|slice| endpoints(slice).len()).sum())
    }
}

/// The ready endpoints of a slice, with the pods behind them.
fn endpoints(slice: &EndpointSlice) -> Vec<(String, SocketAddr)> {
    let mut ports = slice.ports.iter().flatten();
    let port = ports.find_map(|port| u16::try_from(port.port?).ok());
    let endpoints = slice.endpoints.iter().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_some_and(|c| c.ready == Some(true))
    });
    let address = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| {
        let pod = endpoint.target_ref.as_ref()?.name.clone()?;
        let ip: IpAddr = endpoint.addresses.first()?.parse().ok()?;
        Some((pod, SocketAddr::new(ip, port?)))
    };
    endpoints.filter_map(address).collect()
}
