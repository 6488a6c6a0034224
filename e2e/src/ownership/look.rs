//! Reads from the API server what is compared with the table: metadata alone, of kinds that are named here.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::{Api, Client};

use super::judge::{Seen, violations};
use super::whose::Whose;

/// Violations that a message lists.
const TOLD: usize = 20;

/// Some objects of one kind.
#[derive(Clone, Copy, Debug)]
struct Listed {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    which: Which,
}

/// Which objects of a kind.
#[derive(Clone, Copy, Debug)]
enum Which {
    /// Those of a story's namespace.
    Own,
    /// The same, of a kind that a cluster may lack.
    Optional,
    /// Events of a story's namespace that these fields select, with whose they are.
    Selected(&'static str, Whose),
    /// Those that are in no namespace.
    Cluster,
    /// Those of these names that are in no namespace.
    Named(&'static [&'static str]),
    /// The story's namespace itself.
    Itself,
    /// Those of Sluice's own namespace.
    Installation,
}
use Which::{Cluster, Installation, Itself, Named, Optional, Own, Selected};

const fn listed(
    (group, version): (&'static str, &'static str),
    kind: &'static str,
    plural: &'static str,
    which: Which,
) -> Listed {
    Listed {
        group,
        version,
        kind,
        plural,
        which,
    }
}

const CORE: (&str, &str) = ("", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");
const GATEWAY: (&str, &str) = ("gateway.networking.k8s.io", "v1");
const ISTIO: (&str, &str) = ("networking.istio.io", "v1");
const SLUICE: (&str, &str) = ("sluice.dev", "v1alpha1");
const LEASES: (&str, &str) = ("coordination.k8s.io", "v1");

/// Sluice's kinds.
const DEFINITIONS: &[&str] = &[
    "canaries.sluice.dev",
    "canarypolicies.sluice.dev",
    "clustercanarypolicies.sluice.dev",
    "metrictemplates.sluice.dev",
];

/// All that is looked at.
const LISTED: &[Listed] = &[
    listed(CORE, "Namespace", "namespaces", Itself),
    listed(CORE, "Service", "services", Own),
    listed(CORE, "Pod", "pods", Own),
    listed(CORE, "PodTemplate", "podtemplates", Own),
    listed(CORE, "ConfigMap", "configmaps", Own),
    listed(CORE, "Secret", "secrets", Own),
    listed(CORE, "ServiceAccount", "serviceaccounts", Own),
    listed(CORE, "ResourceQuota", "resourcequotas", Own),
    listed(CORE, "LimitRange", "limitranges", Own),
    listed(
        CORE,
        "Event",
        "events",
        Selected("involvedObject.kind=Canary", Whose::Sluices),
    ),
    listed(
        CORE,
        "Event",
        "events",
        Selected(
            "involvedObject.kind!=Canary,reportingComponent=sluice",
            Whose::Sluices,
        ),
    ),
    listed(
        CORE,
        "Event",
        "events",
        Selected(
            "involvedObject.kind!=Canary,reportingComponent!=sluice",
            Whose::Kubernetes,
        ),
    ),
    listed(APPS, "Deployment", "deployments", Own),
    listed(APPS, "ReplicaSet", "replicasets", Own),
    listed(
        ("discovery.k8s.io", "v1"),
        "EndpointSlice",
        "endpointslices",
        Own,
    ),
    listed(
        ("autoscaling", "v2"),
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        Own,
    ),
    listed(
        ("policy", "v1"),
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        Own,
    ),
    listed(LEASES, "Lease", "leases", Own),
    listed(LEASES, "Lease", "leases", Installation),
    listed(RBAC, "Role", "roles", Own),
    listed(RBAC, "RoleBinding", "rolebindings", Own),
    listed(RBAC, "ClusterRole", "clusterroles", Named(&["sluice"])),
    listed(
        RBAC,
        "ClusterRoleBinding",
        "clusterrolebindings",
        Named(&["sluice"]),
    ),
    listed(GATEWAY, "HTTPRoute", "httproutes", Own),
    listed(GATEWAY, "GRPCRoute", "grpcroutes", Optional),
    listed(GATEWAY, "BackendTLSPolicy", "backendtlspolicies", Optional),
    listed(GATEWAY, "Gateway", "gateways", Own),
    listed(GATEWAY, "GatewayClass", "gatewayclasses", Cluster),
    listed(ISTIO, "DestinationRule", "destinationrules", Optional),
    listed(ISTIO, "VirtualService", "virtualservices", Optional),
    listed(SLUICE, "Canary", "canaries", Own),
    listed(SLUICE, "CanaryPolicy", "canarypolicies", Own),
    listed(SLUICE, "MetricTemplate", "metrictemplates", Own),
    listed(
        SLUICE,
        "ClusterCanaryPolicy",
        "clustercanarypolicies",
        Cluster,
    ),
    listed(
        ("apiextensions.k8s.io", "v1"),
        "CustomResourceDefinition",
        "customresourcedefinitions",
        Named(DEFINITIONS),
    ),
];

impl Listed {
    async fn read(
        &self,
        client: &Client,
        (namespace, installation): (&str, &str),
    ) -> Result<Vec<Seen>> {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.kind);
        let kind = ApiResource::from_gvk_with_plural(&gvk, self.plural);
        let api = |namespace: Option<&str>| -> Api<DynamicObject> {
            match namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
                None => Api::all_with(client.clone(), &kind),
            }
        };
        let any = ListParams::default();
        let read = match self.which {
            Own | Optional => list(&api(Some(namespace)), &any).await,
            Selected(fields, _) => list(&api(Some(namespace)), &any.fields(fields)).await,
            Cluster => list(&api(None), &any).await,
            Installation => list(&api(Some(installation)), &any).await,
            Named(names) => {
                let api = &api(None);
                let each = names
                    .iter()
                    .map(async |name| api.get_metadata_opt(name).await);
                let found = try_join_all(each).await;
                found.map(|found| found.into_iter().flatten().collect())
            }
            Itself => {
                let found = api(None).get_metadata_opt(namespace).await;
                found.map(|found| found.into_iter().collect())
            }
        };
        let objects = match (read, self.which) {
            (Err(kube::Error::Api(status)), Optional) if status.code == 404 => Vec::new(),
            (read, _) => read.with_context(|| format!("reading the {}", self.plural))?,
        };
        let seen = |object: PartialObjectMeta<DynamicObject>| Seen {
            kind: self.kind,
            whose: match self.which {
                Selected(_, whose) => whose,
                _ => Whose::is(self.kind, &object.metadata),
            },
            metadata: object.metadata,
        };
        Ok(objects.into_iter().map(seen).collect())
    }
}

async fn list(
    api: &Api<DynamicObject>,
    params: &ListParams,
) -> Result<Vec<PartialObjectMeta<DynamicObject>>, kube::Error> {
    Ok(api.list_metadata(params).await?.items)
}

/// Fails if anything in a story's namespace, or of what Sluice has to do with outside, is owned by somebody
/// else than the table says; `installation` is the namespace of Sluice itself.
///
/// # Errors
/// With the objects, fields and managers, and the owners that the table has for them.
pub async fn compare(client: &Client, namespace: &str, installation: &str) -> Result<()> {
    let begun = Instant::now();
    let places = (namespace, installation);
    let each = LISTED.iter().map(|listed| listed.read(client, places));
    let seen: Vec<Seen> = try_join_all(each).await?.into_iter().flatten().collect();
    ensure!(
        seen.iter()
            .any(|seen| seen.metadata.managed_fields.is_some()),
        "nothing in {namespace} says who manages it"
    );
    let found: Vec<_> = seen.iter().flat_map(violations).collect();
    println!(
        "{namespace}: the owners of {} objects looked at in {:.2} s",
        seen.len(),
        begun.elapsed().as_secs_f64()
    );
    let mut lines: Vec<_> = found.iter().take(TOLD).map(ToString::to_string).collect();
    if found.len() > TOLD {
        lines.push(format!("and {} more", found.len() - TOLD));
    }
    ensure!(
        found.is_empty(),
        "fields that others own than docs/ownership.md says:\n  {}",
        lines.join("\n  ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::table::ROWS;
    use super::*;

    /// A kind of the table that is not read is compared with nothing, and one that is read and not in the table
    /// could not be there at all.
    #[test]
    fn the_kinds_of_the_table_are_those_that_are_read() {
        let table: BTreeSet<_> = ROWS.iter().flat_map(|row| row.kinds).copied().collect();
        let read: BTreeSet<_> = LISTED.iter().map(|listed| listed.kind).collect();
        assert_eq!(table, read);
    }
}
