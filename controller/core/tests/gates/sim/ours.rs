//! A rollout judged by Sluice: the default steps and minRequests, an objective of 99.9 %.

use chrono::{DateTime, TimeDelta};
use sluice_core::evidence::trial::{Terms, Trial};
use sluice_core::evidence::{Since, Timeline, judge};
use sluice_core::{Action, Counts, Evidence, Indicator, Plan, Sample, Slo, Tally, Time, Verdict};

use super::traffic::{BASELINE, SCRAPE, Scene, Traffic};
use super::{End, STEP_SECONDS, STEPS};

/// A rollout that has not ended by then is held: somebody will have looked.
const LONGEST: f64 = 7_200.0;
const MIN_REQUESTS: u64 = 200;
/// One SLO and the answers, a false alarm in a hundred rollouts.
const PROOF: f64 = 200.0;
/// With so much evidence nothing passes.
const DOUBTFUL: f64 = 3.0;

pub(crate) struct Rollout {
    plan: Plan,
    timeline: Timeline,
    trial: Trial,
    weight_at: Time,
}

pub(crate) fn run(scene: Scene, seed: u64) -> End {
    let mut traffic = Traffic::new(scene, seed);
    let mut rollout = Rollout::new();
    let (mut now, mut step_at, mut step) = (0.0, 0.0, 0);
    while now < LONGEST {
        let (from, to) = (
            now,
            if now == 0.0 {
                traffic.first
            } else {
                now + SCRAPE
            },
        );
        now = to;
        let Some(weight) = STEPS.get(step) else {
            return End::Promoted(from);
        };
        let (candidate, stable) = traffic.scrape(now, to - from, *weight);
        rollout.scrape(now, candidate, stable);
        if rollout.trial.is_proven() {
            return End::Failed(now);
        }
        if now - step_at >= STEP_SECONDS && rollout.passes() {
            step += 1;
            step_at = now;
            rollout.weight_at = at(now);
        }
    }
    End::Held
}

fn at(seconds: f64) -> Time {
    let micros = (seconds * 1e6).round();
    #[allow(clippy::cast_possible_truncation)]
    DateTime::from_timestamp_micros(micros as i64).unwrap()
}

impl Rollout {
    pub(crate) fn new() -> Self {
        let slo = Slo {
            name: "availability".to_owned(),
            objective_ppm: Some(999_000),
            indicator: Indicator::Availability,
        };
        let mut timeline = Timeline::default();
        timeline.push(sample(0.0, Tally::default(), Tally::default()));
        Self {
            plan: Plan {
                entry: Vec::new(),
                slos: vec![slo],
                steps: Vec::new(),
                min_requests: MIN_REQUESTS,
                inconclusive_after: TimeDelta::minutes(10),
                inconclusive_action: Action::Hold,
                progress_deadline: TimeDelta::hours(1),
                rollback_window: 3,
                drain_delay: TimeDelta::minutes(1),
                settle: TimeDelta::seconds(2),
                error_budget: None,
            },
            timeline,
            trial: trial(),
            weight_at: at(0.0),
        }
    }

    pub(crate) fn scrape(&mut self, now: f64, candidate: Tally, stable: Tally) {
        self.trial.scrape(candidate, stable);
        let last = self.timeline.samples().last().unwrap();
        let next = sample(
            now,
            sum(last.candidate.slo(0), candidate),
            sum(last.stable.slo(0), stable),
        );
        if self.timeline.push(next) {
            self.weigh_again();
        }
    }

    /// From then on the evidence is what the samples that are left say.
    fn weigh_again(&mut self) {
        self.trial = trial();
        for pair in self.timeline.samples().windows(2) {
            let (candidate, stable) = (
                pair[1].candidate.since(&pair[0].candidate),
                pair[1].stable.since(&pair[0].stable),
            );
            self.trial.scrape(candidate.slo(0), stable.slo(0));
        }
    }

    fn passes(&self) -> bool {
        let last = self.timeline.samples().last().unwrap();
        // The first two save nearly all of the work: `judge` says the same.
        last.candidate.requests >= MIN_REQUESTS
            && self.trial.evidence() < DOUBTFUL
            && self.verdict().0 == Verdict::Pass
    }

    /// What the controller would find, and whether the shortcut of this simulation finds the same.
    pub(crate) fn verdict(&self) -> (Verdict, bool) {
        let since = Since {
            first_weight: at(0.0),
            proven: Some(self.weight_at),
            passed: false,
        };
        let samples = self.timeline.samples().to_vec();
        let now = samples.last().unwrap().at;
        let evidence = Evidence {
            samples,
            stale_after: TimeDelta::seconds(60),
            ..Evidence::default()
        };
        let findings = judge(&self.plan, &evidence, since, None, now);
        let finding = findings.into_iter().next().unwrap();
        let fails = matches!(finding.verdict, Verdict::Fail(_));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let agrees = fails == self.trial.is_proven()
            && finding.against.evidence() == self.trial.evidence() as u64
            && finding.proof == PROOF as u64;
        (finding.verdict, agrees)
    }
}

pub(crate) fn trial() -> Trial {
    Trial::new(Terms {
        allowed: BASELINE,
        stated: true,
        proof: PROOF,
    })
}

fn sum(one: Tally, other: Tally) -> Tally {
    Tally {
        good: one.good + other.good,
        total: one.total + other.total,
    }
}

fn sample(now: f64, candidate: Tally, stable: Tally) -> Sample {
    let counts = |tally: Tally| Counts {
        requests: tally.total,
        unanswered: 0,
        slos: vec![tally],
    };
    Sample {
        at: at(now),
        stable: counts(stable),
        candidate: counts(candidate),
    }
}
