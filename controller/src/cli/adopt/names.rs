//! What is called how, before an adoption and after: revisions, their Services and their pods.

use sluice_core::RevisionName;

use crate::render::name::{base, hash_pattern, revision_name};

/// Two hashes that revisions could have.
const HASHES: [&str; 2] = ["bcdfghjk", "24567892"];
/// As a Deployment names its `ReplicaSet`, and that its pod.
const REPLICA_SET: &str = "6d5c7b8f9d";
const POD: &str = "x2x4q";

/// What a label's value may name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Named {
    /// The Deployment.
    Workload,
    /// Its `ReplicaSet`s.
    ReplicaSet,
    /// Its pods.
    Pod,
    /// The Service that clients call, which a waypoint counts by the backend that it chose.
    Service,
    /// The same, with namespace and domain.
    Host,
}

/// The names of one Deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) namespace: String,
    pub(super) deployment: String,
    pub(super) service: String,
    /// Whether Istio calls the pods' application like the Deployment, since no label of theirs says another name.
    pub(super) canonical: bool,
}

impl Names {
    /// What a label of Prometheus may name, the likeliest first: labels of kube-state-metrics, cAdvisor, Istio, Hubble
    /// and OpenTelemetry, also where a scrape's own label has its name. Those of the scrape (`job`, `service`) and of
    /// the app go on as they are.
    pub(super) fn by(&self, label: &str) -> &'static [Named] {
        match label.strip_prefix("exported_").unwrap_or(label) {
            "deployment"
            | "workload"
            | "destination_workload"
            | "source_workload"
            | "k8s_deployment_name"
            | "k8s.deployment.name" => &[Named::Workload],
            "destination_canonical_service" | "source_canonical_service" if self.canonical => {
                &[Named::Workload]
            }
            "replicaset" | "created_by_name" | "k8s_replicaset_name" | "k8s.replicaset.name" => {
                &[Named::ReplicaSet]
            }
            // Of a pod, and of a ReplicaSet.
            "owner_name" => &[Named::ReplicaSet, Named::Workload],
            "pod"
            | "pod_name"
            | "kubernetes_pod_name"
            | "k8s_pod_name"
            | "k8s.pod.name"
            | "destination_pod"
            | "source_pod" => &[Named::Pod],
            "destination_service_name" => &[Named::Service],
            "destination_service" => &[Named::Host],
            _ => &[],
        }
    }

    /// What such a label says now.
    pub(super) fn before(&self, named: Named) -> String {
        self.of(named, &self.deployment, &self.service)
    }

    /// What it will say, of any revision.
    pub(super) fn after(&self, named: Named) -> [String; 2] {
        HASHES.map(|hash| {
            let name = String::from(revision_name(&self.deployment, hash));
            self.of(named, &name, &name)
        })
    }

    /// One that there could be.
    pub(super) fn any_revision(&self) -> RevisionName {
        let [hash, _] = HASHES;
        revision_name(&self.deployment, hash)
    }

    fn of(&self, named: Named, workload: &str, service: &str) -> String {
        match named {
            Named::Workload => workload.to_owned(),
            Named::ReplicaSet => format!("{workload}-{REPLICA_SET}"),
            Named::Pod => format!("{workload}-{REPLICA_SET}-{POD}"),
            Named::Service => service.to_owned(),
            Named::Host => format!("{service}.{}.svc.cluster.local", self.namespace),
        }
    }

    /// What it will say of every revision, as a regular expression.
    pub(super) fn later(&self, named: Named) -> String {
        self.ending(named, &self.revisions())
    }

    /// The same, and what it says now: right before the adoption and after.
    pub(super) fn always(&self, named: Named) -> String {
        let own = match named {
            Named::Workload | Named::ReplicaSet | Named::Pod => &self.deployment,
            Named::Service | Named::Host => &self.service,
        };
        let name = if *own == base(&self.deployment) {
            format!("{own}(-{})?", hash_pattern())
        } else {
            // Names have no characters of regular expressions but dots.
            format!("({}|{})", own.replace('.', "[.]"), self.revisions())
        };
        self.ending(named, &name)
    }

    fn ending(&self, named: Named, name: &str) -> String {
        match named {
            Named::Workload | Named::Service => name.to_owned(),
            Named::ReplicaSet => format!("{name}-[a-z0-9]+"),
            Named::Pod => format!("{name}-[a-z0-9]+-[a-z0-9]+"),
            Named::Host => format!("{name}[.]{}[.]svc[.].+", self.namespace),
        }
    }

    /// The names of all revisions, and of their Services, as a regular expression.
    pub(super) fn revisions(&self) -> String {
        format!("{}-{}", base(&self.deployment), hash_pattern())
    }
}
