//! What Git holds.

use crate::stage::App;

/// Where the app lives.
pub(super) const NAMESPACE: &str = "shop";
/// The name of its Deployment, its Service and its Canary: those of `examples/minimal`.
pub(super) const NAME: &str = "podinfo";
/// The Service's port.
pub(super) const PORT: u16 = 8080;

/// The very file that users copy.
const CANARY: &str = include_str!("../../../examples/minimal/canary.yaml");
const POLICY: &str = include_str!("policy.yaml");

/// A file of the repository.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) content: String,
    /// How it is shown: whole, with a word on where it comes from, or only its image.
    pub(super) origin: Option<&'static str>,
}

/// Deployment and Service, with an image of that tag.
pub(super) fn app(tag: &str) -> File {
    File {
        path: "shop/app.yaml",
        content: App::new(NAME, tag).yaml(NAMESPACE),
        origin: None,
    }
}

/// The Canary.
pub(super) fn canary() -> File {
    File {
        path: "shop/canary.yaml",
        content: CANARY.to_owned(),
        origin: Some("examples/minimal/canary.yaml as it is"),
    }
}

/// The policy of the cluster, for a Prometheus at `address`.
pub(super) fn policy(address: &str) -> File {
    File {
        // Applied before what lies in shop/: paths are in order.
        path: "cluster/policy.yaml",
        content: POLICY.replace("${PROMETHEUS}", address),
        origin: Some("as in examples/minimal, with seconds in place of minutes"),
    }
}
