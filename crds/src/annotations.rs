//! Annotations: a person's orders on a Canary, and what Sluice records on the objects it makes.
//!
//! The value of an order says which revision it is about, so that an order left behind never hits a later
//! one: by its name, or by an image that it has and the one that serves has not (`ghcr.io/shop/web:v2`, or
//! `image=web` where there is neither `/`, `:` nor `@` in it), which Git knows beforehand. With `#2` behind it
//! the same order is given a second time.

/// Order on a Canary: skip the remaining steps and their gates, and promote this candidate.
pub const PROMOTE: &str = "sluice.dev/promote";

/// Order on a Canary: take all weight from this candidate and reject it.
pub const ABORT: &str = "sluice.dev/abort";

/// Order on a Canary: forget that this revision was rejected and judge it again.
pub const RETRY: &str = "sluice.dev/retry";

/// On the `PodTemplate` of a revision: how it was judged, as JSON. Survives a lost status.
pub const VERDICT: &str = "sluice.dev/verdict";

/// On the `PodTemplate` of a revision: JSON object of `ConfigMap` name to content hash.
pub const CONFIG: &str = "sluice.dev/config";

/// On the `HTTPRoute`: the revision that serves.
pub const STABLE: &str = "sluice.dev/stable";

/// On the `HTTPRoute`: the revision being judged; absent when there is none.
pub const CANDIDATE: &str = "sluice.dev/candidate";

/// On the `HTTPRoute`: when its weights were decided, as RFC 3339 with microseconds.
pub const DECIDED_AT: &str = "sluice.dev/decided-at";

/// On the `HTTPRoute`: the step, from 1, whose weight the route carries; absent between rollouts.
pub const STEP: &str = "sluice.dev/step";

/// On a revision's copy of a `DestinationRule` or `BackendTLSPolicy`: hash of what was copied.
pub const COPIED: &str = "sluice.dev/copied";

/// On Sluice's Lease, after the API server was away: until when the mesh may not have caught up with it, as
/// RFC 3339.
pub const MESH_BEHIND_UNTIL: &str = "sluice.dev/mesh-behind-until";
