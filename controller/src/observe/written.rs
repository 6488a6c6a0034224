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
/// The same where the cache still shows an older version: then its watch is broken, as for some seconds
/// after the API server's return. What is decided without our own verdict starts a rejected revision
/// anew; what is never decided leaves a bad one where it is.
const GIVE_UP_ON_WATCH: Duration = Duration::from_secs(30);

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

    /// Forgets what `look` says is seen, and what was waited for in vain; tells whether anything is left.
    pub fn pending(&mut self, look: impl Fn(&Written, &Trace) -> Sight) -> bool {
        self.0.retain(|written, (trace, at)| {
            let patience = match look(written, trace) {
                Sight::Seen => return false,
                Sight::Missing => GIVE_UP,
                Sight::Older => GIVE_UP_ON_WATCH,
            };
            at.elapsed() < patience
        });
        !self.0.is_empty()
    }
}

/// What a cache shows of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sight {
    /// What it left behind, or something newer.
    Seen,
    /// An older version of the object.
    Older,
    /// Not what it left behind, and it may never be.
    Missing,
}

/// What a cache shows of a write.
pub fn look<K>(store: &Store<K>, kind: K::DynamicType, written: &Written, trace: &Trace) -> Sight
where
    K: Resource + Clone + 'static,
    K::DynamicType: Hash + Eq + Clone,
{
    let key = ObjectRef::new_with(&written.name, kind).within(&written.namespace);
    let cached = store.get(&key);
    let version = |object: &K| object.resource_version()?.parse::<u64>().ok();
    match (trace, cached) {
        (Trace::Version(_), None) => Sight::Missing,
        (Trace::Version(written), Some(object)) => {
            if version(&object).is_none_or(|cached| cached >= *written) {
                Sight::Seen
            } else {
                Sight::Older
            }
        }
        (Trace::Since(_) | Trace::Gone(_), None) => Sight::Seen,
        (Trace::Since(old), Some(object)) => {
            if version(&object).is_none_or(|cached| cached > *old) {
                Sight::Seen
            } else {
                Sight::Missing
            }
        }
        (Trace::Gone(uid), Some(object)) => {
            let going = object.meta().deletion_timestamp.is_some();
            if going || object.uid().as_deref() != Some(uid) {
                Sight::Seen
            } else {
                Sight::Missing
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_watch_is_waited_for_longer_than_an_object_that_may_be_gone() {
        let long_ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        let pending = |seconds, sight| {
            let written = Written {
                kind: "PodTemplate",
                namespace: "shop".to_owned(),
                name: "podinfo-1".to_owned(),
            };
            let at = long_ago(seconds).unwrap_or_else(Instant::now);
            let mut expected = Expected([(written, (Trace::Version(7), at))].into());
            expected.pending(|_, _| sight)
        };
        assert!(!pending(0, Sight::Seen));
        assert!(pending(0, Sight::Missing) && !pending(6, Sight::Missing));
        assert!(pending(6, Sight::Older) && !pending(31, Sight::Older));
    }
}
