//! Whose mesh splits the requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose mesh splits the requests. Without it: istio-ambient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Mesh {
    /// A waypoint of Istio ambient. No weight counts before the Service says that one serves it: Istio accepts a
    /// route that nobody enforces, too.
    #[default]
    IstioAmbient,
    /// Cilium, or another mesh that takes an `HTTPRoute` on a Service (GAMMA). A weight counts once the mesh has
    /// accepted the route, Cilium once it says that the route is programmed, and Istio, if it is the only one that
    /// accepts, once a waypoint serves the Service.
    Gamma,
}
