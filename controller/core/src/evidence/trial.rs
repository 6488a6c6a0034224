//! The trial of one SLO: two gamblers, who must both win.
//!
//! A candidate is guilty if it misses the objective *and* is worse than the stable revision. So there are
//! two hypotheses of innocence, a gambler against each, and only when both have won is it a Fail: whichever
//! hypothesis holds, its gambler wins with a probability of α at most.
//!
//! **Within the objective.** In every scrape, given all earlier ones, the candidate's share of bad events
//! `X = b/n` is at most the share `m` that the objective allows, on average. The outcome is `X / m`. One
//! scrape in which half of the requests fail multiplies the wealth by up to 500 at 99.9 %. Requests of one
//! scrape may hang together in any way.
//!
//! **Like the stable revision.** In every scrape the route picks at random which requests go to the
//! candidate, and it makes no difference to them. The outcome is `X (N+1) / (B+1)`, with `B` of the stable
//! revision's `N` requests bad. Its average is at most 1, because for one request of the candidate, together
//! with the `N` of the stable revision, each of these `N+1` is equally likely to be the one that the route
//! picked: if `K > 0` of them are bad, it is bad with probability `K/(N+1)`, and `bad (N+1)/(B+1)` is
//! `bad (N+1)/K`, which makes 1; if `K = 0` it is 0. (A "soft-rank" e-value: Ramdas and Wang, "Hypothesis
//! testing with e-values", 2025; the same from a conformal test: Vovk, 2020.) Nothing is assumed of the
//! requests: in a global incident, a retry storm or a burst each of them may depend on every other. Where
//! no request of the scrape was bad at all, nothing was shown and the stake is returned: `1 + λ (x - 1)`
//! would be `1 - λ`, and with 1 in its place the average is `1 - λ P(K>0) + λ E[x] <= 1` still.
//!
//! Comparing scrape by scrape, not over the whole rollout, matters: the weight changes on the way. If an
//! incident falls into the last step, where the candidate has most of its requests, its total looks worse
//! than that of the stable revision without any difference between the two (Simpson's paradox).
//!
//! What is not covered: errors that hit the candidate alone without being its fault, more of them than the
//! objective allows on average, such as a broken node that happens to run its pods.

use serde::{Deserialize, Serialize};

use super::Tally;
use super::real::{count, ratio};
use super::wealth::Wealth;

/// Fewer bad events than this never fail a revision.
pub(super) const FEWEST_BAD: u64 = 3;
/// The stable revision takes part in the traffic if it gets this fraction of the candidate's events.
pub(super) const TAKES_PART: f64 = 0.05;
/// In telling that, an earlier scrape counts so much of the one after it: two scrapes after the candidate
/// got all traffic there is nothing to compare with.
pub(super) const FADES: f64 = 0.25;
/// The candidate is at a new stage if its share of the events is so many times that of the scrapes before...
const GROWN: f64 = 1.5;
/// ...and there are enough of them to tell.
const FEWEST_GROWN: f64 = 20.0;
/// No objective allows less: one bad event of a million would be infinitely strong evidence against 0.
const LEAST_ALLOWED: f64 = 1e-6;

/// What a candidate is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// The share of bad events that is forgiven, whatever the stable revision has.
    pub allowed: f64,
    /// Whether somebody stated it as an objective. Otherwise it is only a tolerance, and no candidate fails by
    /// it where there is nothing to compare with.
    pub stated: bool,
    /// The evidence that is proof: 1/α.
    pub proof: f64,
}

/// What the two gamblers have; each began with 1.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Against {
    /// The one who bets that the candidate misses its objective.
    pub objective: u64,
    /// The one who bets that it is worse than the stable revision.
    pub stable: u64,
}

impl Against {
    /// The evidence: what the poorer one has.
    #[must_use]
    pub fn evidence(self) -> u64 {
        self.objective.min(self.stable)
    }
}

/// The evidence against one candidate in one SLO.
#[derive(Clone, Debug)]
pub struct Trial {
    terms: Terms,
    objective: Wealth,
    comparison: Wealth,
    /// Events of the candidate and of the stable revision in the last few scrapes, or the requests that these carry.
    recent: (f64, f64),
    bad: u64,
    proven: bool,
}

impl Trial {
    /// A trial without evidence yet.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let allowed = terms.allowed.clamp(LEAST_ALLOWED, 1.0);
        Self {
            terms: Terms { allowed, ..terms },
            objective: Wealth::default(),
            comparison: Wealth::default(),
            recent: (0.0, 0.0),
            bad: 0,
            proven: false,
        }
    }

    /// The events of one more scrape. Which bets are made, and how high, depends on the numbers of requests
    /// alone: the route decides upon them, before anything turns out good or bad.
    pub fn scrape(&mut self, candidate: Tally, stable: Tally) {
        self.carried(candidate, stable, (candidate.total, stable.total));
    }

    /// The same of events that carry requests, such as connections. So many requests of each revision tell who
    /// takes part: a stable revision whose connections last has no new ones, and all that traffic still.
    pub fn carried(&mut self, candidate: Tally, stable: Tally, (own, others): (u64, u64)) {
        let (own, others) = (count(own), count(others));
        let (before, others_before) = self.recent;
        // own / (own + others) against before / (before + others_before).
        let grown = own * (before + others_before) > GROWN * before * (own + others);
        let new_stage = grown && own >= FEWEST_GROWN;
        self.recent = (own + before * FADES, others + others_before * FADES);
        let (n, others) = (count(candidate.total), count(stable.total));
        if candidate.total == 0 {
            return;
        }
        let share = ratio(candidate.bad().min(candidate.total), candidate.total);
        let expected = n * self.terms.allowed;
        let missed = share / self.terms.allowed;
        self.objective.bet(expected, new_stage, Some(missed));
        if self.recent.1 < self.recent.0 * TAKES_PART {
            if self.terms.stated {
                self.comparison.bet(expected, new_stage, Some(missed));
            }
        } else if stable.total > 0 {
            let like = (count(stable.bad()) + 1.0) / (others + 1.0);
            let shown = candidate.bad() > 0 || stable.bad() > 0;
            let expected = expected.max(n / (n + others));
            self.comparison
                .bet(expected, new_stage, shown.then_some(share / like));
        }
        self.bad = self.bad.saturating_add(candidate.bad());
        self.proven |= self.bad >= FEWEST_BAD && self.evidence() >= self.terms.proof;
    }

    /// The share of bad events that is forgiven.
    pub(super) fn allowed(&self) -> f64 {
        self.terms.allowed
    }

    /// The evidence now: what the poorer gambler has.
    #[must_use]
    pub fn evidence(&self) -> f64 {
        self.objective.total().min(self.comparison.total())
    }

    /// What each gambler has now, in whole numbers, rounded down: nobody needs more of it.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn against(&self) -> Against {
        Against {
            objective: self.objective.total() as u64,
            stable: self.comparison.total() as u64,
        }
    }

    /// Whether the evidence was proof after any scrape.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }
}

#[cfg(test)]
mod tests;
