//! Who owns fields, and by which names the API server knows them.

/// An owner of fields.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Owner {
    /// What Git holds, brought by Argo CD, Flux or Helm.
    Git,
    /// Sluice.
    Sluice,
    /// istiod.
    Istiod,
    /// Cilium's agents and operator.
    Cilium,
    /// kube-controller-manager.
    Controllers,
    /// kube-apiserver itself.
    ApiServer,
    /// kubelets.
    Kubelet,
    /// A person.
    Person,
}

impl Owner {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Git,
        Self::Sluice,
        Self::Istiod,
        Self::Cilium,
        Self::Controllers,
        Self::ApiServer,
        Self::Kubelet,
        Self::Person,
    ];

    /// As people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Git => "Git",
            Self::Sluice => "Sluice",
            Self::Istiod => "istiod",
            Self::Cilium => "Cilium",
            Self::Controllers => "kube-controller-manager",
            Self::ApiServer => "kube-apiserver",
            Self::Kubelet => "kubelet",
            Self::Person => "a person",
        }
    }

    /// Its field managers, each with whose it is. A `*` at the end stands for anything.
    #[must_use]
    pub const fn managers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Git => &[
                ("argocd-controller", "Argo CD"),
                ("kustomize-controller", "Flux"),
                ("helm-controller", "Flux, of HelmReleases"),
                ("source-controller", "Flux, in Events alone"),
                ("helm", "Helm"),
                ("Helm", "Helm, of its releases"),
                ("e2e", "the stories, in Git's place"),
                ("git", "one story, for what it must not apply as `e2e`"),
            ],
            Self::Sluice => &[
                (sluice_crds::labels::MANAGER, "the controller"),
                ("sluice-git-sync", "write-back, which writes Events alone"),
            ],
            Self::Istiod => &[
                ("pilot-discovery", "status of routes and Gateways"),
                ("istio-ambient-service", "conditions of Services"),
                ("istio.io/gateway-controller", "what it makes of a Gateway"),
            ],
            Self::Cilium => &[("cilium*", "agents and operator")],
            Self::Controllers => &[("kube-controller-manager", "all of its controllers")],
            Self::ApiServer => &[("kube-apiserver", "status of kinds")],
            Self::Kubelet => &[
                ("kubelet", "status of Pods"),
                ("node-agent", "the stories' node, in a kubelet's place"),
            ],
            Self::Person => &[
                ("kubectl*", "by hand"),
                (
                    sluice_crds::labels::CLI_MANAGER,
                    "`sluice promote` and the like",
                ),
                ("fighter", "a program of one story that edits on its own"),
            ],
        }
    }

    /// Whose field manager that is; `None` if nobody of the table is called so.
    #[must_use]
    pub fn of(manager: &str) -> Option<Self> {
        let is = |(name, _): &(&str, &str)| match name.strip_suffix('*') {
            Some(prefix) => manager.starts_with(prefix),
            None => manager == *name,
        };
        Self::ALL
            .into_iter()
            .find(|owner| owner.managers().iter().any(is))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_manager_has_one_owner_at_most() {
        assert_eq!(Owner::of("sluice"), Some(Owner::Sluice));
        assert_eq!(Owner::of("sluice-cli"), Some(Owner::Person));
        assert_eq!(Owner::of("kubectl-edit"), Some(Owner::Person));
        assert_eq!(
            Owner::of("kube-controller-manager"),
            Some(Owner::Controllers)
        );
        // What the API server calls a client that says nothing of itself.
        assert_eq!(Owner::of("unknown"), None);
        assert_eq!(Owner::of("sluice2"), None);
        for owner in Owner::ALL {
            for (manager, _) in owner.managers() {
                assert_eq!(Owner::of(manager), Some(owner), "{manager}");
            }
        }
    }
}
