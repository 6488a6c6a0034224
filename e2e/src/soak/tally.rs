//! The numbers of a run.

use std::time::Duration;

use sluice_crds::Outcome;

use super::journal::undisturbed;
use super::judge::{Case, PutBack, Users, Violation, put_backs};
use super::rules::{GRACE, PUT_BACK};
use super::schedule::{Deed, Outage, name};
use super::version::is_bad;

/// What happened, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) elapsed: Duration,
    pub(super) users: Users,
    /// Requests that the machine was too slow to send.
    pub(super) unsent: u64,
    pub(super) promoted: usize,
    pub(super) rejected: usize,
    pub(super) superseded: usize,
    pub(super) aborted: usize,
    pub(super) kills: usize,
    pub(super) freezes: usize,
    pub(super) metrics_outages: usize,
    pub(super) api_outages: usize,
    pub(super) pushes: usize,
    /// Edits by hand: weights, deleted routes, labels, statuses, replicas.
    pub(super) edits: usize,
    pub(super) orders: usize,
    pub(super) recreated: usize,
    pub(super) suspended: usize,
    pub(super) scaled: usize,
    pub(super) skipped: usize,
    /// The longest that a route stood as somebody had left it, while nothing kept Sluice from mending it.
    pub(super) worst_put_back: Duration,
    put_back_violations: Vec<Violation>,
    rejections: Vec<Violation>,
}

impl Tally {
    pub(super) fn of(case: &Case<'_>, canaries: usize, unsent: u64, now: Duration) -> Self {
        let mut tally = Self {
            elapsed: now,
            unsent,
            skipped: case.written.skipped.len(),
            kills: case.written.count(Outage::Kill),
            freezes: case.written.count(Outage::Freeze),
            metrics_outages: case.written.count(Outage::Metrics),
            api_outages: case.written.count(Outage::Api),
            ..Self::default()
        };
        for done in &case.written.deeds {
            *tally.deed(done.deed) += 1;
        }
        for canary in 0..canaries {
            tally.users.add(case, canary);
            tally.endings(case, canary);
            for put_back in put_backs(case.seen, case.written, canary) {
                tally.put_back(case, put_back, now);
            }
        }
        tally
    }

    /// What users and people must not see, beside what is judged of each app.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let (slow, wrong) = (&self.put_back_violations, &self.rejections);
        slow.iter().chain(wrong).cloned().collect()
    }

    pub(super) fn rollouts(&self) -> usize {
        self.promoted + self.rejected + self.superseded + self.aborted
    }

    fn deed(&mut self, deed: Deed) -> &mut usize {
        match deed {
            Deed::Push(_) => &mut self.pushes,
            Deed::EditWeights(_)
            | Deed::DeleteRoute
            | Deed::StripService
            | Deed::WipeStatus
            | Deed::ScaleTarget(_) => &mut self.edits,
            Deed::Scale(_) => &mut self.scaled,
            Deed::CreateCanary | Deed::DeleteCanary => &mut self.recreated,
            Deed::Suspend | Deed::Resume => &mut self.suspended,
            Deed::Promote | Deed::Abort | Deed::Retry => &mut self.orders,
        }
    }

    /// Good versions are rejected by nobody but a person.
    fn endings(&mut self, case: &Case<'_>, canary: usize) {
        let who = name(canary);
        for entry in case.seen.history.get(&who).into_iter().flatten() {
            match entry.outcome {
                Outcome::Promoted => self.promoted += 1,
                Outcome::Superseded => self.superseded += 1,
                Outcome::Aborted => self.aborted += 1,
                Outcome::RolledBack => self.rejected += 1,
            }
            let tag = case.seen.tags.get(&entry.revision);
            let good = tag.is_some_and(|tag| !is_bad(tag));
            if entry.outcome == Outcome::RolledBack && good {
                let what = format!(
                    "{} is good and was rejected: {}",
                    entry.revision, entry.reason
                );
                let who = who.clone();
                self.rejections.push(Violation {
                    at: Duration::ZERO,
                    who,
                    what,
                });
            }
        }
    }

    fn put_back(&mut self, case: &Case<'_>, put_back: PutBack, now: Duration) {
        let PutBack { canary, from, to } = put_back;
        let mut disturbed = case.written.outages(GRACE);
        disturbed.extend(case.written.suspensions(canary, GRACE));
        let free = undisturbed(from, to.unwrap_or(now), &disturbed);
        self.worst_put_back = self.worst_put_back.max(free);
        if free > PUT_BACK {
            self.put_back_violations.push(Violation {
                at: from,
                who: name(canary),
                what: format!("a route edited by hand was put back after {free:.1?}"),
            });
        }
    }
}
