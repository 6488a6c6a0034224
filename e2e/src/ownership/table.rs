//! The table: whose field is whose. `docs/ownership.md` shows it, and every story is compared with it.

use super::owner::Owner::{
    self, ApiServer, Cilium, Controllers, Git, Istiod, Kubelet, Person, Sluice,
};
use super::whose::Whose::{self, Istiods, Kubernetes, Sluices, Yours};

/// Who owns some fields of some objects.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Whose the objects are, as a whole.
    pub whose: Whose,
    /// Their kinds.
    pub kinds: &'static [&'static str],
    /// The fields, as patterns ([`super::field::Pattern`]); of several rows the most exact one counts.
    pub fields: &'static [&'static str],
    /// The one owner.
    pub owner: Owner,
    /// Who else may own them beside the owner or in its place, and when.
    pub also: &'static [(Owner, &'static str)],
    /// What there is to know.
    pub note: &'static str,
}

const fn row(
    whose: Whose,
    kinds: &'static [&'static str],
    fields: &'static [&'static str],
    owner: Owner,
) -> Row {
    Row {
        whose,
        kinds,
        fields,
        owner,
        also: &[],
        note: "",
    }
}

impl Row {
    const fn also(self, also: &'static [(Owner, &'static str)]) -> Self {
        Self { also, ..self }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// Whether this owner may own the row's fields. A person may edit what Git owns: Argo CD or Flux puts it
    /// back, or nobody does.
    #[must_use]
    pub fn allows(&self, owner: Owner) -> bool {
        let owners = std::iter::once(self.owner).chain(self.also.iter().map(|(owner, _)| *owner));
        owners
            .flat_map(|allowed| [Some(allowed), (allowed == Git).then_some(Person)])
            .flatten()
            .any(|allowed| allowed == owner)
    }
}

/// Objects of the API server, with what is compared at the end of every story.
pub const ROWS: &[Row] = &[
    row(Yours, &["Namespace"], &["metadata", "spec"], Git)
        .note("`istio.io/dataplane-mode`, `istio.io/use-waypoint`: Sluice reads them"),
    row(Yours, &["Namespace"], &["status"], Controllers),
    row(Yours, &["Service"], &["metadata", "spec"], Git)
        .note("what clients call: the route's parent, never written"),
    row(
        Yours,
        &["Service"],
        &["status.conditions[istio.io/*]"],
        Istiod,
    )
    .note("`istio.io/WaypointBound`"),
    row(
        Yours,
        &["Service"],
        &["status.conditions[gamma.cilium.io/*]"],
        Cilium,
    )
    .note("where it is the mesh (`mesh: gamma`)"),
    row(Yours, &["Deployment"], &["metadata", "spec"], Git)
        .note("the target's template becomes a revision; it is never written"),
    row(Yours, &["Deployment"], &["spec.replicas"], Sluice)
        .also(&[
            (Git, "until the manifest leaves it out"),
            (
                Controllers,
                "an autoscaler of the Deployment, before adoption",
            ),
        ])
        .note("the target's, from adoption on"),
    row(
        Yours,
        &["Deployment"],
        &["metadata.annotations[deployment.kubernetes.io/*]", "status"],
        Controllers,
    ),
    row(Yours, &["PodTemplate"], &["metadata", "template"], Git)
        .note("a target without pods of its own"),
    row(
        Yours,
        &["ConfigMap", "Secret"],
        &[
            "metadata",
            "data",
            "binaryData",
            "stringData",
            "immutable",
            "type",
        ],
        Git,
    )
    .note("ConfigMaps that a template refers to are copied; Secrets are not"),
    row(Yours, &["ServiceAccount"], &[""], Git),
    row(
        Yours,
        &[
            "HTTPRoute",
            "GRPCRoute",
            "VirtualService",
            "DestinationRule",
            "BackendTLSPolicy",
        ],
        &["metadata", "spec"],
        Git,
    )
    .note("routes stop adoption; policies are copied to revisions"),
    row(Yours, &["Gateway"], &["metadata", "spec"], Git).note("the waypoint's among them"),
    row(
        Yours,
        &["Gateway"],
        &["metadata.annotations[gateway.istio.io/*]"],
        Istiod,
    )
    .note("which istiod looks after it"),
    row(
        Yours,
        &[
            "HTTPRoute",
            "GRPCRoute",
            "VirtualService",
            "DestinationRule",
            "BackendTLSPolicy",
            "Gateway",
        ],
        &["status"],
        Istiod,
    )
    .also(&[(Cilium, "where it is the mesh, or a second one")]),
    row(
        Yours,
        &[
            "HorizontalPodAutoscaler",
            "PodDisruptionBudget",
            "ResourceQuota",
            "LimitRange",
        ],
        &["metadata", "spec"],
        Git,
    )
    .note("an autoscaler's target is the Canary; a budget selects the pods of all revisions"),
    row(
        Yours,
        &[
            "HorizontalPodAutoscaler",
            "PodDisruptionBudget",
            "ResourceQuota",
        ],
        &["status"],
        Controllers,
    ),
    row(Yours, &["Pod"], &["metadata", "spec"], Git).note("one that no controller made"),
    row(Yours, &["Pod"], &["status"], Kubelet),
    row(
        Yours,
        &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
        &[""],
        Git,
    )
    .note("Sluice's own rights, by the chart"),
    row(Yours, &["Canary"], &["metadata", "spec"], Git),
    row(Yours, &["Canary"], &["spec.replicas"], Git).also(&[
        (
            Controllers,
            "an autoscaler whose target is the Canary; leave it out of Git then",
        ),
        (
            Sluice,
            "once, where such an autoscaler would find no size and could not scale it",
        ),
    ]),
    row(
        Yours,
        &["Canary"],
        &["metadata.annotations[sluice.dev/*]"],
        Person,
    )
    .also(&[(Git, "orders can come from Git")])
    .note("orders; Sluice obeys them and takes none away"),
    row(
        Yours,
        &["Canary"],
        &["metadata.finalizers[sluice.dev/finalizer]", "status"],
        Sluice,
    ),
    row(
        Yours,
        &["CanaryPolicy", "ClusterCanaryPolicy", "MetricTemplate"],
        &["metadata", "spec"],
        Git,
    ),
    row(
        Yours,
        &["CustomResourceDefinition"],
        &["metadata", "spec"],
        Git,
    )
    .note("Sluice's kinds: Helm upgrades and keeps them"),
    row(Yours, &["CustomResourceDefinition"], &["status"], ApiServer),
    row(
        Sluices,
        &[
            "Deployment",
            "PodTemplate",
            "Service",
            "ConfigMap",
            "HTTPRoute",
            "DestinationRule",
            "BackendTLSPolicy",
        ],
        &[
            "metadata.labels[sluice.dev/*]",
            "metadata.labels[app.kubernetes.io/managed-by]",
            "metadata.annotations[sluice.dev/*]",
        ],
        Sluice,
    )
    .note("no other label: none of Argo CD's, Flux's or Helm's, so nothing prunes what serves"),
    row(Sluices, &["Deployment"], &["spec"], Sluice).note("a revision's pods and their number"),
    row(
        Sluices,
        &["Deployment"],
        &["metadata.annotations[deployment.kubernetes.io/*]", "status"],
        Controllers,
    ),
    row(Sluices, &["PodTemplate"], &["template"], Sluice)
        .note("a revision's snapshot, with its verdict as an annotation"),
    row(
        Sluices,
        &["Service"],
        &[
            "metadata.labels[istio.io/*]",
            "metadata.annotations[networking.istio.io/*]",
            "spec",
        ],
        Sluice,
    )
    .note("a revision's, with your Service's ports and its words to the mesh"),
    row(
        Sluices,
        &["Service"],
        &["status.conditions[istio.io/*]"],
        Istiod,
    ),
    row(
        Sluices,
        &["ConfigMap"],
        &["data", "binaryData", "immutable"],
        Sluice,
    )
    .note("a revision's copy of yours"),
    row(Sluices, &["HTTPRoute"], &["spec"], Sluice)
        .note("the weights; with stable, candidate and step as annotations"),
    row(
        Sluices,
        &["DestinationRule", "BackendTLSPolicy"],
        &["spec"],
        Sluice,
    )
    .note("a revision's copy of yours"),
    row(
        Sluices,
        &["HTTPRoute", "DestinationRule", "BackendTLSPolicy"],
        &["status"],
        Istiod,
    )
    .also(&[(Cilium, "where it is the mesh, or a second one")]),
    row(Sluices, &["Lease"], &[""], Sluice).note("`sluice`, by which one of several replicas acts"),
    row(Sluices, &["Event"], &[""], Sluice)
        .note("about a Canary, or a Deployment that lost its own"),
    row(Kubernetes, &["Event"], &[""], Controllers)
        .also(&[
            (Kubelet, "about its pods"),
            (ApiServer, "about itself"),
            (Git, "Flux and Argo CD about what they apply"),
        ])
        .note("about all else: whoever reports it"),
    row(
        Kubernetes,
        &["ReplicaSet", "EndpointSlice", "ServiceAccount", "ConfigMap"],
        &[""],
        Controllers,
    )
    .note("`default` and `kube-root-ca.crt` among them; EndpointSlices copy a Service's labels"),
    row(Kubernetes, &["Pod"], &["metadata", "spec"], Controllers),
    row(
        Kubernetes,
        &["Pod"],
        &["metadata.labels[sluice.dev/role]"],
        Sluice,
    )
    .also(&[(
        Controllers,
        "on pods of your Deployment, as its template has it",
    )])
    .note("in strict mode: which pods your Service selects"),
    row(Kubernetes, &["Pod"], &["status"], Kubelet)
        .also(&[(Controllers, "conditions such as `DisruptionTarget`")]),
    row(
        Istiods,
        &[
            "Deployment",
            "Service",
            "ServiceAccount",
            "ConfigMap",
            "Pod",
            "GatewayClass",
        ],
        &[""],
        Istiod,
    )
    .note("what it makes of the waypoint's Gateway; its CA's certificate; its classes"),
    row(Istiods, &["Deployment"], &["status"], Controllers),
    row(Istiods, &["Pod"], &["status"], Kubelet),
];

/// What takes part and is compared with nothing.
#[derive(Clone, Copy, Debug)]
pub struct Beyond {
    /// What it is.
    pub object: &'static str,
    /// Which part of it.
    pub fields: &'static str,
    /// The one owner; `None` where there is no such object.
    pub owner: Option<Owner>,
    /// What there is to know.
    pub note: &'static str,
    /// Why nothing is compared.
    pub why: &'static str,
}

const fn beyond(object: &'static str, fields: &'static str, owner: Option<Owner>) -> Beyond {
    Beyond {
        object,
        fields,
        owner,
        note: "",
        why: "",
    }
}

impl Beyond {
    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    const fn why(self, why: &'static str) -> Self {
        Self { why, ..self }
    }
}

/// What takes part and is compared with nothing: other settings, and what the stories' cluster has not.
pub const BEYOND: &[Beyond] = &[
    beyond("autoscaler or disruption budget of a revision", "", None)
        .note("Sluice makes none; one with its labels would fail a story")
        .why("nobody's"),
    beyond("Deployment of the waypoint", "all of it", Some(Istiod))
        .note("its size too: by an autoscaler of yours that targets it")
        .why("the stories have a Pod in its place, written as by istiod"),
    beyond(
        "Deployment, NetworkPolicy, Service, alerts of the chart",
        "all of them",
        Some(Git),
    )
    .note("Sluice's own installation")
    .why("its story uninstalls it"),
    beyond(
        "manifest in Git",
        "`spec.promoted` of the Canary, the image",
        Some(Git),
    )
    .note("[write-back](git-sync.md) commits to Git, and writes nothing to the cluster")
    .why("a file"),
    beyond(
        "Cilium's Helm values",
        "`cni.exclusive`, `socketLB.hostNamespaceOnly`, `hubble`",
        Some(Git),
    )
    .note("[preflight](preflight.md) reads what becomes of them")
    .why("no Cilium in the stories"),
    beyond(
        "CiliumEndpoint, CiliumIdentity",
        "all of them",
        Some(Cilium),
    )
    .note("made of pods' labels, so a revision has an identity of its own")
    .why("no Cilium in the stories"),
    beyond(
        "CiliumNetworkPolicy, NetworkPolicy, AuthorizationPolicy",
        "all of them",
        Some(Git),
    )
    .note("they select by the labels of your template, which revisions' pods keep")
    .why("Sluice writes none of them"),
    beyond(
        "istiod's Helm values, MeshConfig, Telemetry",
        "all of them",
        Some(Git),
    )
    .why("Sluice writes none of it"),
    beyond(
        "scrape configuration, ServiceMonitor, PodMonitor, collector",
        "all of them",
        Some(Git),
    )
    .note("Sluice asks Prometheus for what comes of it")
    .why("files, and kinds that the stories have not"),
    beyond(
        "Application, Kustomization, HelmRelease, GitRepository",
        "`spec`",
        Some(Git),
    )
    .note("their status is Argo CD's or Flux's own")
    .why("Sluice neither reads nor writes them"),
];
