//! An order as a patch of the Canary, or why there is nothing to order.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use serde_json::{Value, json};
use sluice_core::Record;
use sluice_crds::{Approved, Canary, CanaryStatus, Rollout, annotations, labels};

/// The most entries that `spec.approved` takes.
const MOST_APPROVED: usize = 16;

/// What is ordered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Verb {
    Promote,
    Abort,
    Retry,
    Approve,
    Suspend,
    Resume,
}

/// What an order is made from.
pub(super) struct Stored<'a> {
    pub(super) canary: &'a Canary,
    /// What is remembered of each revision.
    pub(super) records: &'a BTreeMap<String, Record>,
}

/// One write.
#[derive(Debug)]
pub(super) struct Write {
    /// A JSON merge patch of the Canary as it was looked at.
    pub(super) patch: Value,
    /// What it does, in a sentence or two.
    pub(super) does: String,
    /// How it is undone.
    undo: String,
    /// What Git may say of the same.
    git: String,
}

/// Why nothing is to be written.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(String);

impl Write {
    /// All of it for a person, once it is done.
    pub(super) fn text(&self) -> String {
        let Self {
            does, undo, git, ..
        } = self;
        format!("{does}\nTo undo it: {undo}\n{git}\n")
    }
}

/// What is to be written; `revision` is the one that a person means.
pub(super) fn plan(
    verb: Verb,
    stored: &Stored<'_>,
    revision: Option<&str>,
) -> Result<Write, Refusal> {
    let about = About::of(stored);
    if !matches!(verb, Verb::Suspend | Verb::Resume)
        && stored.canary.metadata.deletion_timestamp.is_some()
    {
        return refuse(format!("{about} is being deleted"));
    }
    let mut write = match verb {
        Verb::Promote => about.promote(revision),
        Verb::Abort => about.abort(revision),
        Verb::Retry => about.retry(revision),
        Verb::Approve => about.approve(revision),
        Verb::Suspend => about.suspend(),
        Verb::Resume => about.resume(),
    }?;
    let waits = stored.canary.spec.suspend && verb != Verb::Resume;
    if waits {
        write.does = format!(
            "{}
spec.suspend is true: that comes once it is not: sluice resume {about}",
            write.does
        );
    }
    // Whoever writes it in between makes this one void.
    if let Some(version) = stored.canary.resource_version()
        && let Some(patch) = write.patch.as_object_mut()
        && let Some(metadata) = patch.entry("metadata").or_insert(json!({})).as_object_mut()
    {
        metadata.insert("resourceVersion".to_owned(), version.into());
    }
    Ok(write)
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(why.into()))
}

/// The Canary, as far as orders go.
struct About<'a> {
    stored: &'a Stored<'a>,
    status: CanaryStatus,
    namespace: String,
    name: String,
}

impl std::fmt::Display for About<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl<'a> About<'a> {
    fn of(stored: &'a Stored<'a>) -> Self {
        let canary = stored.canary;
        Self {
            stored,
            status: canary.status.clone().unwrap_or_default(),
            namespace: canary.namespace().unwrap_or_default(),
            name: canary.name_any(),
        }
    }

    fn promote(&self, revision: Option<&str>) -> Result<Write, Refusal> {
        let rollout = self.rollout(revision)?;
        let candidate = &rollout.candidate;
        if rollout.promoting || !rollout.gated {
            return refuse(format!(
                "{candidate} takes all requests already, as soon as its pods are ready: no gate applies to it"
            ));
        }
        let value = self.order("promote", annotations::PROMOTE, candidate)?;
        Ok(Write {
            patch: annotated(annotations::PROMOTE, &value),
            does: format!(
                "{candidate} of {self} takes all requests as soon as its pods are ready: what is left of steps, \
                 gates and approvals is skipped; it has {} now",
                self.weight()
            ),
            undo: format!(
                "sluice abort {self}, until it has all of them; after that change the template in Git back: {} \
                 needs no gates then",
                self.stable()
            ),
            git: git_of_order(annotations::PROMOTE),
        })
    }

    fn abort(&self, revision: Option<&str>) -> Result<Write, Refusal> {
        let rollout = self.rollout(revision)?;
        let candidate = &rollout.candidate;
        if self.status.stable.is_none() {
            return refuse(format!(
                "{candidate} is the first revision: nothing else would serve"
            ));
        }
        let value = self.order("abort", annotations::ABORT, candidate)?;
        Ok(Write {
            patch: annotated(annotations::ABORT, &value),
            does: format!(
                "{candidate} of {self} loses its {} of the requests to {} at once, and is rejected",
                self.weight(),
                self.stable()
            ),
            undo: format!("sluice retry {self}, by which it is judged again, from the first step"),
            git: git_of_order(annotations::ABORT),
        })
    }

    fn retry(&self, revision: Option<&str>) -> Result<Write, Refusal> {
        if let Some(rollout) = &self.status.rollout {
            return refuse(format!(
                "a rollout of {} is under way: there is nothing to try again",
                rollout.candidate
            ));
        }
        let rejected = |name: &str| self.record(name).is_some_and(Record::is_rejected);
        let wanted = self
            .status
            .candidate
            .as_deref()
            .filter(|name| rejected(name));
        let revision = match (revision, wanted) {
            (None, Some(wanted)) => wanted,
            (Some(revision), Some(wanted)) if revision == wanted => revision,
            (Some(revision), _) if rejected(revision) => {
                return refuse(format!(
                    "{revision} was rejected, but it is not what Git asks for now: push its template again"
                ));
            }
            (Some(revision), _) => return refuse(format!("{revision} was not rejected")),
            (None, None) => {
                return refuse(format!(
                    "what Git asks for was not rejected: {} serves all requests",
                    self.stable()
                ));
            }
        };
        let value = self.order("retry", annotations::RETRY, revision)?;
        Ok(Write {
            patch: annotated(annotations::RETRY, &value),
            does: format!("{revision} of {self} is judged again, from the first step"),
            undo: format!("sluice abort {self}"),
            git: git_of_order(annotations::RETRY),
        })
    }

    fn approve(&self, revision: Option<&str>) -> Result<Write, Refusal> {
        let rollout = self.rollout(revision)?;
        let candidate = &rollout.candidate;
        let at = self.status.weight.clone();
        let Some(at) = at.filter(|_| rollout.approval_awaited_since.is_some()) else {
            return refuse(format!(
                "{candidate} waits for no approval now: sluice why {self} tells what it waits for"
            ));
        };
        let entry = Approved {
            image: None,
            revision: Some(candidate.clone()),
            at: Some(at.clone()),
        };
        let mut approved = self.stored.canary.spec.approved.clone();
        if approved.contains(&entry) {
            return refuse(format!(
                "spec.approved has {candidate} at {at} already, and the controller has not acted on it yet"
            ));
        }
        if approved.len() >= MOST_APPROVED {
            return refuse(format!(
                "spec.approved has {MOST_APPROVED} entries, and no room for another: take old ones away in Git"
            ));
        }
        approved.push(entry);
        Ok(Write {
            patch: json!({"spec": {"approved": approved}}),
            does: format!("{candidate} of {self} may go on from {at}, as long as its gates pass"),
            undo: format!("sluice abort {self}, by which it loses its requests and is rejected"),
            git: self.git_of_spec("approved"),
        })
    }

    fn suspend(&self) -> Result<Write, Refusal> {
        if self.stored.canary.spec.suspend {
            return refuse(format!("{self} is suspended already"));
        }
        let rollout = self.status.rollout.as_ref();
        let stays = rollout.map_or_else(String::new, |rollout| {
            format!(
                ": {} keeps its {} of the requests, and nothing rolls it back",
                rollout.candidate,
                self.weight()
            )
        });
        Ok(Write {
            patch: json!({"spec": {"suspend": true}}),
            does: format!("Nothing of {self} is written any more{stays}"),
            undo: format!("sluice resume {self}"),
            git: self.git_of_spec("suspend"),
        })
    }

    fn resume(&self) -> Result<Write, Refusal> {
        if !self.stored.canary.spec.suspend {
            return refuse(format!("{self} is not suspended"));
        }
        Ok(Write {
            patch: json!({"spec": {"suspend": null}}),
            does: format!("{self} goes on: what was changed by hand is put back"),
            undo: format!("sluice suspend {self}"),
            git: self.git_of_spec("suspend"),
        })
    }

    /// The rollout under way, if it is that of the revision that is meant.
    fn rollout(&self, revision: Option<&str>) -> Result<&Rollout, Refusal> {
        let Some(rollout) = &self.status.rollout else {
            let rejected = self.status.candidate.as_ref();
            let rejected = rejected.map_or_else(String::new, |name| {
                format!("; {name} was rejected: sluice retry {self} tries it again")
            });
            return refuse(format!(
                "no rollout of {self} is under way: {} serves all requests{rejected}",
                self.stable()
            ));
        };
        match revision.filter(|revision| *revision != rollout.candidate) {
            Some(other) => refuse(format!(
                "{other} is not the candidate: {} is",
                rollout.candidate
            )),
            None => Ok(rollout),
        }
    }

    /// The value of an order that was not carried out yet: an old one counts for nothing.
    fn order(&self, verb: &str, annotation: &str, revision: &str) -> Result<String, Refusal> {
        let fresh = Record::default();
        let record = self.record(revision).unwrap_or(&fresh);
        let value = record.next_order(verb, revision);
        if self.stored.canary.annotations().get(annotation) == Some(&value) {
            return refuse(format!(
                "the annotation {annotation}: {value} orders that already, and the controller has not acted on \
                 it yet: sluice why {self}"
            ));
        }
        Ok(value)
    }

    fn record(&self, revision: &str) -> Option<&Record> {
        self.stored.records.get(revision)
    }

    fn weight(&self) -> String {
        let weight = self.status.weight.as_ref();
        weight.map_or_else(|| "0%".to_owned(), ToString::to_string)
    }

    fn stable(&self) -> &str {
        self.status.stable.as_deref().unwrap_or("nothing of ours")
    }

    /// What becomes of a field of the spec that Git may hold.
    fn git_of_spec(&self, field: &str) -> String {
        let path = ["f:spec".to_owned(), format!("f:{field}")];
        let entries = self.stored.canary.managed_fields().iter();
        let owners = entries.filter_map(|entry| {
            let mut fields = &entry.fields_v1.as_ref()?.0;
            for part in &path {
                fields = fields.get(part)?;
            }
            entry.manager.as_deref()
        });
        let others: Vec<_> = owners
            .filter(|manager| *manager != labels::CLI_MANAGER)
            .collect();
        if others.is_empty() {
            format!(
                "Git wins: it says nothing of spec.{field} now; where it does, that holds from its next sync"
            )
        } else {
            format!(
                "Git wins: {} holds spec.{field}, and puts it back at its next sync; write it there as well",
                others.join(", ")
            )
        }
    }
}

fn annotated(annotation: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {annotation: value}}})
}

fn git_of_order(annotation: &str) -> String {
    format!(
        "Git wins: where it holds the annotation {annotation}, that comes back at its next sync; an order that was \
         carried out stays so"
    )
}

#[cfg(test)]
mod tests;
