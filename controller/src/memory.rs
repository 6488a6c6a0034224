//! What is remembered of each Canary between two reconciles.
//!
//! The Canary's status is read once, when a Canary is seen first; from then on memory leads, and the
//! status follows. So a status that somebody wipes is written again, and nothing else happens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use kube::runtime::reflector::ObjectRef;
use sluice_core::{Decision, Note, PastTraffic, Plan, State, Time};
use sluice_crds::{Canary, CanaryStatus, HistoryEntry, PolicyRef};

use crate::evidence::Known;
use crate::observe::caches::Caches;
use crate::observe::kinds;
use crate::observe::written::{Expected, Sight, Trace, Written, look};
use crate::parse::{self, Pinned};
use crate::record::foresight::Foresight;
use crate::record::status::{self, Due};
use crate::render::kind::Optional;

/// The longest pause between two tries of what the API server refused: it needs a person.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The same where the API server did not answer, or was not able to: a rollback may wait for its return.
const LONGEST_OUTAGE_RETRY: Duration = Duration::from_secs(5);

type Key = ObjectRef<Canary>;

/// Failures of one kind in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    refused: bool,
    count: u32,
}

/// What is remembered of all Canaries.
#[derive(Default)]
pub struct Memories {
    canaries: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Memory>>>>,
    failures: Mutex<HashMap<Key, Failures>>,
    rolling: Mutex<HashMap<Key, PolicyRef>>,
}

impl Memories {
    /// What is remembered of one Canary. Its lock is held for a whole reconcile.
    pub fn of(&self, key: &Key) -> Arc<tokio::sync::Mutex<Memory>> {
        Arc::clone(lock(&self.canaries).entry(key.clone()).or_default())
    }

    /// Forgets a Canary.
    pub fn forget(&self, key: &Key) {
        lock(&self.canaries).remove(key);
        lock(&self.failures).remove(key);
        lock(&self.rolling).remove(key);
    }

    /// Notes a failure; returns the pause before the next try. `refused`: the API server was asked and
    /// said no.
    pub fn failed(&self, key: &Key, refused: bool) -> Duration {
        let mut failures = lock(&self.failures);
        let known = failures.entry(key.clone()).or_default();
        // After its return an API server refuses everything for a moment, until it knows the rights.
        if known.refused != refused {
            *known = Failures { refused, count: 0 };
        }
        known.count = known.count.saturating_add(1);
        let pause = Duration::from_millis(100).saturating_mul(1 << known.count.min(10));
        pause.min(if refused {
            LONGEST_RETRY
        } else {
            LONGEST_OUTAGE_RETRY
        })
    }

    /// Forgets earlier failures.
    pub fn succeeded(&self, key: &Key) {
        lock(&self.failures).remove(key);
    }

    /// Takes a place among the rollouts of a policy; tells whether there was one.
    pub fn enter(&self, key: &Key, policy: &PolicyRef, limit: Option<u32>) -> bool {
        let mut rolling = lock(&self.rolling);
        let namespace = namespace_of(key, policy);
        let others = rolling.iter().filter(|(other, followed)| {
            *other != key && *followed == policy && namespace_of(other, followed) == namespace
        });
        let full = limit.is_some_and(|limit| others.count() >= limit as usize);
        if !full {
            rolling.insert(key.clone(), policy.clone());
        }
        !full
    }

    /// Keeps the place of a rollout that is under way, whatever the limit: it may have begun before
    /// this program did.
    pub fn hold(&self, key: &Key, policy: &PolicyRef) {
        lock(&self.rolling)
            .entry(key.clone())
            .or_insert_with(|| policy.clone());
    }

    /// Gives the place back.
    pub fn leave(&self, key: &Key) {
        lock(&self.rolling).remove(key);
    }
}

/// Policies of one name in two namespaces are two.
fn namespace_of<'a>(key: &'a Key, policy: &PolicyRef) -> Option<&'a String> {
    match policy.kind {
        sluice_crds::PolicyKind::CanaryPolicy => key.namespace.as_ref(),
        sluice_crds::PolicyKind::ClusterCanaryPolicy => None,
    }
}

/// What is remembered of one Canary.
#[derive(Default)]
pub struct Memory {
    /// What the last decision wanted remembered.
    pub state: State,
    /// The policy of the last rollout.
    pub pinned: Option<Pinned>,
    /// Writes that the caches have not shown yet.
    pub expected: Arc<Mutex<Expected>>,
    /// Words that are held back.
    pub words: Words,
    /// What happened and is not told yet.
    pub news: News,
    /// The requests that the Service had in the past, as they are told.
    pub traffic: Option<PastTraffic>,
    /// What follows from them for the gates.
    pub foresight: Foresight,
    /// Why the API server did not take what was to be written last.
    pub refused: Option<String>,
    /// The UID of the Canary that all of this is about.
    recalled: Option<String>,
    plan: Option<Plan>,
}

impl Memory {
    /// Takes over what the status remembers, once. A namesake that was made at once after a Canary was
    /// deleted remembers nothing of it.
    pub fn recall(&mut self, uid: Option<&str>, status: &CanaryStatus, now: Time) {
        let uid = uid.unwrap_or_default();
        if self.recalled.as_deref() != Some(uid) {
            *self = Self {
                expected: Arc::clone(&self.expected),
                recalled: Some(uid.to_owned()),
                ..Self::default()
            };
            self.state = parse::state::read(status, now);
            self.pinned = Pinned::read(status);
            self.traffic = parse::state::read_traffic(status);
        }
    }

    /// Takes over what the source says of the past, unless it says about the same. What was known once is not
    /// forgotten because nobody answers.
    pub fn learn(&mut self, known: &Known) {
        if let Known::Traffic(newer) = known {
            let told = self.traffic.map(|told| told.followed_by(*newer));
            self.traffic = told.or(Some(*newer));
        }
    }

    /// Remembers a decision whose effects are all done.
    pub fn adopt(&mut self, decision: &Decision, pinned: Option<Pinned>, plan: Plan, now: Time) {
        self.state = decision.state.clone();
        self.news.add(&decision.notes, now);
        self.pinned = pinned;
        self.plan = Some(plan);
    }

    /// The last plan that was valid, if one ever was.
    #[must_use]
    pub fn last_plan(&self) -> Option<Plan> {
        let pinned = || parse::plan::parse(&self.pinned.as_ref()?.sections).ok();
        self.plan.clone().or_else(pinned)
    }

    /// Whether the caches have yet to show one of our writes.
    #[must_use]
    pub fn is_behind(&self, caches: &Caches) -> bool {
        lock(&self.expected).pending(|written, trace| sight(caches, written, trace))
    }
}

fn sight(caches: &Caches, written: &Written, trace: &Trace) -> Sight {
    match written.kind {
        "Canary" => look(&caches.canaries, (), written, trace),
        "Deployment" => look(&caches.deployments, kinds::deployment(), written, trace),
        "PodTemplate" => look(&caches.pod_templates, kinds::pod_template(), written, trace),
        "HTTPRoute" => look(&caches.routes, kinds::http_route(), written, trace),
        "Service" => look(&caches.services, (), written, trace),
        // Only pods that were seen are written to: one that is not there has gone since.
        "Pod" => match look(&caches.pods, (), written, trace) {
            Sight::Missing => Sight::Seen,
            sight => sight,
        },
        kind => match Optional::ALL.into_iter().find(|known| known.kind() == kind) {
            Some(optional) => {
                let store = caches.neighbours.store(optional);
                let look = |store| look(store, optional.resource(), written, trace);
                store.map_or(Sight::Seen, look)
            }
            // Copies of configuration: nothing is decided by them.
            None => Sight::Seen,
        },
    }
}

/// What happened and is not told yet. A write that fails must not lose it. Neither does a crash: as long
/// as the status knows of the rollout, its end is told anew.
#[derive(Debug, Default)]
pub struct News {
    /// To be published as Events.
    pub events: Vec<Note>,
    /// To be added to the status's history, oldest first.
    pub ended: Vec<HistoryEntry>,
}

impl News {
    /// As much as is kept: an API server that takes no Events at all must not fill the memory.
    const MOST: usize = 50;

    fn add(&mut self, notes: &[Note], now: Time) {
        self.events.extend_from_slice(notes);
        self.ended
            .extend(notes.iter().filter_map(|note| status::history(note, now)));
        let surplus = self.events.len().saturating_sub(Self::MOST);
        self.events.drain(..surplus);
        let surplus = self.ended.len().saturating_sub(CanaryStatus::MAX_HISTORY);
        self.ended.drain(..surplus);
    }
}

/// Words of the status that are held back, since when.
#[derive(Debug, Default)]
pub struct Words {
    since: Option<Time>,
}

impl Words {
    /// How long the status may still be held back; `None` when there is nothing to write.
    pub fn wait(&mut self, due: Due, now: Time) -> Option<TimeDelta> {
        match due {
            Due::Never => {
                self.since = None;
                None
            }
            Due::Now => Some(TimeDelta::zero()),
            Due::Within(patience) => {
                let since = *self.since.get_or_insert(now);
                Some((since + patience - now).max(TimeDelta::zero()))
            }
        }
    }

    /// The status was written.
    pub fn written(&mut self) {
        self.since = None;
    }
}

/// Locks even if a task panicked while it held the lock: every value here is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use sluice_crds::PolicyKind;

    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        ObjectRef::new(name).within(namespace)
    }

    fn policy(kind: PolicyKind) -> PolicyRef {
        PolicyRef {
            kind,
            name: "default".to_owned(),
        }
    }

    #[test]
    fn no_more_rollouts_at_once_than_the_policy_allows() {
        let memories = Memories::default();
        let policy = policy(PolicyKind::ClusterCanaryPolicy);
        assert!(memories.enter(&key("a", "one"), &policy, Some(1)));
        assert!(
            memories.enter(&key("a", "one"), &policy, Some(1)),
            "it has its place"
        );
        assert!(!memories.enter(&key("b", "two"), &policy, Some(1)));
        memories.leave(&key("a", "one"));
        assert!(memories.enter(&key("b", "two"), &policy, Some(1)));
    }

    #[test]
    fn a_rollout_from_before_a_restart_has_its_place() {
        let memories = Memories::default();
        let policy = policy(PolicyKind::ClusterCanaryPolicy);
        memories.hold(&key("a", "one"), &policy);
        assert!(!memories.enter(&key("b", "two"), &policy, Some(1)));
        memories.leave(&key("a", "one"));
        assert!(memories.enter(&key("b", "two"), &policy, Some(1)));
    }

    #[test]
    fn policies_of_one_name_in_two_namespaces_are_two() {
        let memories = Memories::default();
        let policy = policy(PolicyKind::CanaryPolicy);
        assert!(memories.enter(&key("a", "one"), &policy, Some(1)));
        assert!(memories.enter(&key("b", "two"), &policy, Some(1)));
    }

    #[test]
    fn tries_get_rarer_up_to_a_limit() {
        let memories = Memories::default();
        for (refused, longest) in [(true, LONGEST_RETRY), (false, LONGEST_OUTAGE_RETRY)] {
            let fail = || memories.failed(&key("a", "one"), refused);
            let pauses: Vec<_> = (0..12).map(|_| fail()).collect();
            assert!(
                pauses.is_sorted() && pauses.first() < pauses.last(),
                "{pauses:?}"
            );
            assert_eq!(pauses.last(), Some(&longest));
            memories.succeeded(&key("a", "one"));
            assert_eq!(pauses.first(), Some(&fail()));
            memories.succeeded(&key("a", "one"));
        }
    }

    #[test]
    fn words_are_held_back_until_their_patience_ends() {
        let at = |second| Time::from_timestamp(second, 0).unwrap_or_default();
        let patience = Due::Within(TimeDelta::seconds(3));
        let mut words = Words::default();
        assert_eq!(words.wait(patience, at(0)), Some(TimeDelta::seconds(3)));
        assert_eq!(words.wait(patience, at(2)), Some(TimeDelta::seconds(1)));
        assert_eq!(
            words.wait(Due::Now, at(2)),
            Some(TimeDelta::zero()),
            "news do not wait"
        );
        assert_eq!(words.wait(patience, at(9)), Some(TimeDelta::zero()));
        words.written();
        assert_eq!(words.wait(Due::Never, at(9)), None);
    }
}
