//! Whether the caches have seen our own writes.
//!
//! A decision on a cache that lags behind our last write would ask for that write again. Each write
//! returns a resource version; the Canary is left alone until its caches are there. Resource versions
//! of one resource are ordered numbers (kubernetes.io, "Resource versions", since 1.35; true of every
//! server that stores in etcd).

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};

/// After so long a write counts as seen: somebody may have deleted the object at once.
const GIVE_UP: Duration = Duration::from_secs(5);

/// Identifies one object of ours.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Written {
    /// Kind, for example `HTTPRoute`.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What a write left behind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trace {
    /// The resource version that it made.
    Version(u64),
    /// Nothing: the object is not as it was at this version, which is all that the cache knew.
    Since(u64),
    /// The object with this UID is gone, or on its way.
    Gone(String),
}

/// The writes that a Canary's caches have not shown yet.
#[derive(Debug, Default)]
pub struct Expected(HashMap<Written, (Trace, Instant)>);

impl Expected {
    /// Notes a write.
    pub fn expect(&mut self, written: Written, trace: Trace) {
        self.0.insert(written, (trace, Instant::now()));
    }

    /// Forgets what `seen` says is seen; tells whether anything is left.
    pub fn pending(&mut self, seen: impl Fn(&Written, &Trace) -> bool) -> bool {
        self.0
            .retain(|written, (trace, at)| at.elapsed() < GIVE_UP && !seen(written, trace));
        !self.0.is_empty()
    }
}

/// Whether a cache shows what a write left behind.
pub fn seen<K>(store: &Store<K>, kind: K::DynamicType, written: &Written, trace: &Trace) -> bool
where
    K: Resource + Clone + 'static,
    K::DynamicType: Hash + Eq + Clone,
{
    let key = ObjectRef::new_with(&written.name, kind).within(&written.namespace);
    let cached = store.get(&key);
    let version = |object: &K| object.resource_version()?.parse::<u64>().ok();
    match trace {
        Trace::Version(written) => {
            cached.is_some_and(|object| version(&object).is_none_or(|cached| cached >= *written))
        }
        Trace::Since(old) => {
            cached.is_none_or(|object| version(&object).is_none_or(|cached| cached > *old))
        }
        Trace::Gone(uid) => cached.is_none_or(|object| {
            object.meta().deletion_timestamp.is_some() || object.uid().as_deref() != Some(uid)
        }),
    }
}
