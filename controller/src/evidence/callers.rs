//! Who connects to a candidate's pods, and who of them goes around the waypoint.
//!
//! Only who has a name in the mesh is told: what has none is a node or a client outside the cluster, and
//! nobody could be asked to mend it. Scrapes are no clients: what shares a namespace with the metrics
//! server scrapes.

use super::Subscription;

/// What Istio writes where it knows nothing.
const UNKNOWN: &str = "unknown";

/// A workload of the cluster.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name: of its Deployment, most often.
    pub name: String,
}

/// Who connects, as the source's labels say.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Caller {
    pub(super) workload: Workload,
    /// Its SPIFFE identity, if the connection had one.
    pub(super) principal: String,
}

impl Caller {
    /// Whether it reaches the candidate of a rollout around the waypoint.
    pub(super) fn is_around(&self, subscription: &Subscription) -> bool {
        let mut waypoints = subscription.waypoints.iter();
        (is_known(&self.workload.name) || is_known(&self.principal))
            && !waypoints.any(|waypoint| self.is(waypoint))
            && !self.scrapes(subscription)
    }

    /// A waypoint's Deployment and service account are named as its Gateway, unless the Gateway says
    /// otherwise of one of them.
    fn is(&self, waypoint: &Workload) -> bool {
        let Workload { namespace, name } = waypoint;
        self.workload == *waypoint
            || self
                .principal
                .ends_with(&format!("/ns/{namespace}/sa/{name}"))
    }

    fn scrapes(&self, subscription: &Subscription) -> bool {
        let server = server(&subscription.server.address);
        server.is_some_and(|server| {
            let beside = self.workload.namespace == server.namespace;
            let own = server.namespace == subscription.namespace;
            beside && (!own || self.workload.name == server.name)
        })
    }
}

/// For a person.
impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Workload { namespace, name } = &self.workload;
        if is_known(name) {
            write!(f, "workload {namespace}/{name}")
        } else {
            f.write_str(&self.principal)
        }
    }
}

fn is_known(name: &str) -> bool {
    !name.is_empty() && name != UNKNOWN
}

/// The Service of a URL such as `http://prometheus.monitoring:9090`.
fn server(address: &str) -> Option<Workload> {
    let (_, rest) = address.split_once("://")?;
    let host = rest.split(['/', ':', '?']).next()?;
    let mut labels = host.split('.');
    let (name, namespace) = (labels.next()?.to_owned(), labels.next()?.to_owned());
    Some(Workload { namespace, name })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chrono::TimeDelta;
    use sluice_crds::{OtlpNames, Source};

    use super::*;
    use crate::evidence::Server;

    fn workload(namespace: &str, name: &str) -> Workload {
        Workload {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn around(address: &str, namespace: &str, name: &str, principal: &str) -> bool {
        let subscription = Subscription {
            server: Server::at(address),
            interval: TimeDelta::seconds(15),
            source: Source::IstioWaypoint,
            names: OtlpNames::Underscores,
            namespace: "shop".to_owned(),
            stable: None,
            candidate: "web-b".into(),
            slos: vec![],
            own: vec![],
            layer4: BTreeMap::new(),
            waypoints: BTreeSet::from([workload("mesh", "waypoint")]),
        };
        let caller = Caller {
            workload: workload(namespace, name),
            principal: principal.to_owned(),
        };
        caller.is_around(&subscription)
    }

    const SERVER: &str = "http://prometheus.monitoring.svc:9090/prometheus";

    #[test]
    fn a_workload_that_is_not_the_waypoint_goes_around_it() {
        let batch = "spiffe://cluster.local/ns/shop/sa/batch";
        let waypoint = "spiffe://cluster.local/ns/mesh/sa/waypoint";
        assert!(around(SERVER, "shop", "batch", batch));
        assert!(around(SERVER, "shop", "batch", UNKNOWN), "outside the mesh");
        assert!(around(
            SERVER,
            "shop",
            "waypoint",
            "spiffe://x/ns/shop/sa/waypoint"
        ));
        assert!(
            around(SERVER, UNKNOWN, UNKNOWN, batch),
            "in another cluster"
        );
        assert!(!around(SERVER, "mesh", "waypoint", UNKNOWN));
        assert!(!around(SERVER, "mesh", "other-name", waypoint));
        assert!(!around(SERVER, UNKNOWN, UNKNOWN, UNKNOWN), "a node");
        assert!(!around(SERVER, "", "", ""));
    }

    #[test]
    fn scrapes_are_no_clients() {
        assert!(!around(SERVER, "monitoring", "prometheus-server", UNKNOWN));
        let beside = "http://prometheus.shop:9090";
        assert!(!around(beside, "shop", "prometheus", UNKNOWN));
        assert!(
            around(beside, "shop", "batch", UNKNOWN),
            "in the same namespace"
        );
        assert!(around("http://127.0.0.1:9090", "shop", "batch", UNKNOWN));
        assert!(around("http://prometheus", "shop", "batch", UNKNOWN));
    }
}
