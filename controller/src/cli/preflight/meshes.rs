//! Whose mesh is asked for, by all that was read.

use sluice_crds::Mesh;

use super::found::Found;
use crate::observe::Caches;
use crate::observe::observed::Policy;
use crate::parse::mesh::said_of;

/// Whether nothing that was read needs Istio's ambient mode: each Canary says `mesh: gamma`, itself or by its policy; as
/// long as there is none, the policies do.
pub(super) fn no_ambient(found: &Found) -> bool {
    let caches = Caches::holding(&found.objects.all);
    let canaries = caches.canaries.state();
    let mut of_canaries = canaries
        .iter()
        .map(|canary| said_of(canary, &Policy::of(&caches, canary)))
        .peekable();
    let is_gamma = |mesh| mesh == Mesh::Gamma;
    if of_canaries.peek().is_some() {
        return of_canaries.all(is_gamma);
    }
    let own = caches.policies.state();
    let cluster = caches.cluster_policies.state();
    let own = own.iter().filter_map(|policy| policy.spec.policy.mesh);
    let cluster = cluster.iter().filter_map(|policy| policy.spec.policy.mesh);
    let mut all = own.chain(cluster).peekable();
    all.peek().is_some() && all.all(is_gamma)
}
