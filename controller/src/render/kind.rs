//! Kinds that a cluster may lack, because a mesh or a newer Gateway API is not installed.

use kube::api::{ApiResource, GroupVersionKind};

/// A kind that a cluster may lack.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Optional {
    /// Gateway API `GRPCRoute`: others on the same Service, and ingress.
    GrpcRoute,
    /// Gateway API `Gateway`: tells ingress from waypoints.
    Gateway,
    /// Istio's `VirtualService`: others on the same Service, and ingress.
    VirtualService,
    /// Istio's `DestinationRule`: how a Service is called; copied to revisions.
    DestinationRule,
    /// Gateway API `BackendTLSPolicy`: likewise.
    BackendTlsPolicy,
}

impl Optional {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::GrpcRoute,
        Self::Gateway,
        Self::VirtualService,
        Self::DestinationRule,
        Self::BackendTlsPolicy,
    ];

    /// The kind as the API has it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::GrpcRoute => "GRPCRoute",
            Self::Gateway => "Gateway",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
            Self::BackendTlsPolicy => "BackendTLSPolicy",
        }
    }

    /// Where the API has it.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        const GATEWAY: &str = "gateway.networking.k8s.io";
        const ISTIO: &str = "networking.istio.io";
        let (group, plural) = match self {
            Self::GrpcRoute => (GATEWAY, "grpcroutes"),
            Self::Gateway => (GATEWAY, "gateways"),
            Self::VirtualService => (ISTIO, "virtualservices"),
            Self::DestinationRule => (ISTIO, "destinationrules"),
            Self::BackendTlsPolicy => (GATEWAY, "backendtlspolicies"),
        };
        let gvk = GroupVersionKind::gvk(group, "v1", self.kind());
        ApiResource::from_gvk_with_plural(&gvk, plural)
    }
}
