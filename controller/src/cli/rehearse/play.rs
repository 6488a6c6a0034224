//! The controller around the decision, in virtual time.

use chrono::{DateTime, TimeDelta};
use sluice_core::evidence::{Timeline, traffic};
use sluice_core::{
    Approval, Consent, Evidence, Named, PastTraffic, Plan, RevisionName, Rollout, Sample, Stage,
    State, Time, decide,
};

use super::cluster::Cluster;
use super::scenario::{Scenario, Troubles};
use super::traffic::{Source, Traffic};
use crate::bundle::Look;
use crate::evidence::unread;
use crate::subscription::NO_ADDRESS;

/// Decisions in a row at one moment, each after all effects of the one before.
const ROUNDS: usize = 8;
/// How long after the middle step began an outage does.
const INTO_STEP: TimeDelta = TimeDelta::seconds(30);

/// What is played, whatever the scenario.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The stable revision and the candidate.
    pub(super) names: (RevisionName, RevisionName),
    pub(super) plan: Plan,
    /// Pods that serve all traffic.
    pub(super) size: u32,
    pub(super) suspended: bool,
    /// How often the metrics are read.
    pub(super) interval: TimeDelta,
    /// Whether anybody says where.
    pub(super) is_measured: bool,
    /// How often an SLO has an event, if not at each request.
    pub(super) windows: Vec<Option<TimeDelta>>,
    pub(super) ready_after: TimeDelta,
    pub(super) troubles: Troubles,
    /// Requests a second.
    pub(super) per_second: f64,
    pub(super) seed: u64,
    /// How long a person takes to approve.
    pub(super) approve_after: TimeDelta,
    /// When it is over at the latest.
    pub(super) limit: TimeDelta,
}

/// Midnight, so that the times that a Canary tells are those since the start.
fn start() -> Time {
    DateTime::from_timestamp(946_684_800, 0).unwrap_or_default()
}

/// Plays one scenario, and shows every decision.
pub(super) fn play(setting: &Setting, scenario: Scenario, mut see: impl FnMut(Look)) {
    let mut now = start();
    let (stable, candidate) = &setting.names;
    let mut state = Cluster::remembered(stable, setting.size, now);
    let mut cluster = Cluster::new((stable, candidate), setting.size, setting.ready_after, now);
    cluster.world.suspended = setting.suspended;
    cluster.world.traffic = Some(setting.past());
    let mut traffic = setting.traffic(scenario);
    let mut reader = Reader::new(setting);
    let mut outage = Outage::default();
    loop {
        let mut wake = None;
        let mut at_rest = false;
        for _ in 0..ROUNDS {
            if scenario == Scenario::Outage {
                outage.follow(&state, setting, now);
            }
            cluster.world.approved = setting.approved(&state, now);
            reader.follow(&state, now);
            reader.read(&traffic, outage.is_on(now), now);
            cluster.world.evidence = reader.evidence();
            let decision = decide(&setting.plan, &state, &cluster.world, now);
            see(Look {
                plan: setting.plan.clone(),
                state: state.clone(),
                world: cluster.world.clone(),
                now,
                decision: decision.clone(),
            });
            for effect in &decision.effects {
                cluster.apply(effect, now);
            }
            wake = decision.wake_at;
            let done = !decision.effects.is_empty() || state != decision.state;
            state = decision.state;
            at_rest = !done && state.rollout.is_none() && wake.is_none();
            if !done {
                break;
            }
        }
        let approval = setting.approves_at(&state).filter(|at| *at > now);
        let next = [
            wake,
            reader.next(),
            cluster.next_change(),
            outage.next(now),
            approval,
        ];
        let Some(next) = next.into_iter().flatten().min() else {
            return;
        };
        // What is asked for again and again without end is asked for once a second.
        let next = next.max(now + TimeDelta::seconds(1));
        if (at_rest && cluster.next_change().is_none()) || next - start() > setting.limit {
            return;
        }
        traffic.go_on(next - now, &cluster.in_force, candidate);
        now = next;
        cluster.happen(now);
    }
}

impl Setting {
    /// The last week, also of a Service that nobody calls now.
    fn past(&self) -> PastTraffic {
        PastTraffic::measured(self.per_second, traffic::LONGEST)
    }

    /// When a person approves what waits for it.
    fn approves_at(&self, state: &State) -> Option<Time> {
        match state.rollout.as_ref()?.consent? {
            Consent::Awaited { since } => Some(since + self.approve_after),
            Consent::Given { .. } => None,
        }
    }

    /// What a person has approved: the candidate, at its present weight.
    fn approved(&self, state: &State, now: Time) -> Vec<Approval> {
        let Some(rollout) = &state.rollout else {
            return Vec::new();
        };
        let given = matches!(rollout.consent, Some(Consent::Given { .. }));
        let due = self.approves_at(state).is_some_and(|at| at <= now);
        let approval = (given || due).then(|| Approval {
            named: Named::Revision(rollout.candidate.clone()),
            at: Some(rollout.weight),
        });
        approval.into_iter().collect()
    }

    fn traffic(&self, scenario: Scenario) -> Traffic {
        let sources = self.plan.slos.iter().enumerate().map(|(index, slo)| {
            let (others, candidate) = scenario.shares(slo, &self.troubles);
            Source {
                window: self.windows.get(index).copied().flatten(),
                candidate,
                others,
            }
        });
        let per_second = match scenario {
            Scenario::NoTraffic => 0.0,
            _ => self.per_second,
        };
        Traffic::new(self.seed, per_second, sources.collect())
    }
}

/// Reads the metrics of the rollout under way, as the controller does.
struct Reader {
    interval: TimeDelta,
    is_measured: bool,
    rollout: Option<Reading>,
}

struct Reading {
    stable: Option<RevisionName>,
    candidate: RevisionName,
    timeline: Timeline,
    problem: Option<String>,
    next: Time,
}

impl Reader {
    fn new(setting: &Setting) -> Self {
        Self {
            interval: setting.interval.max(TimeDelta::seconds(1)),
            is_measured: setting.is_measured,
            rollout: None,
        }
    }

    fn follow(&mut self, state: &State, now: Time) {
        let gated = state.rollout.as_ref().filter(|rollout| rollout.gated);
        let Some(rollout) = gated.filter(|_| self.is_measured) else {
            self.rollout = None;
            return;
        };
        let same = |reading: &Reading| {
            reading.candidate == rollout.candidate && reading.stable == state.stable
        };
        if !self.rollout.as_ref().is_some_and(same) {
            self.rollout = Some(Reading {
                stable: state.stable.clone(),
                candidate: rollout.candidate.clone(),
                timeline: Timeline::default(),
                problem: None,
                next: now,
            });
        }
    }

    fn read(&mut self, traffic: &Traffic, away: bool, now: Time) {
        let Some(reading) = self.rollout.as_mut().filter(|reading| reading.next <= now) else {
            return;
        };
        reading.next = now + self.interval;
        if away {
            reading.problem = Some("the server does not answer".to_owned());
            return;
        }
        reading.problem = None;
        reading.timeline.push(Sample {
            // The last scrape may be as old as that.
            at: now - self.interval,
            stable: traffic.counts(reading.stable.as_ref()),
            candidate: traffic.counts(Some(&reading.candidate)),
        });
    }

    fn next(&self) -> Option<Time> {
        self.rollout.as_ref().map(|reading| reading.next)
    }

    fn evidence(&self) -> Evidence {
        let problem = (!self.is_measured).then(|| NO_ADDRESS.to_owned());
        let Some(reading) = &self.rollout else {
            return Evidence {
                problem,
                ..Evidence::default()
            };
        };
        Evidence {
            candidate: Some(reading.candidate.clone()),
            samples: reading.timeline.samples().to_vec(),
            problem: reading.problem.clone(),
            ..unread(self.interval)
        }
    }
}

/// When Prometheus is away.
#[derive(Default)]
struct Outage {
    from_until: Option<(Time, Time)>,
}

impl Outage {
    /// It comes once, in the middle step.
    fn follow(&mut self, state: &State, setting: &Setting, now: Time) {
        let middle = setting.plan.steps.len() / 2;
        let is_there = |rollout: &Rollout| rollout.stage == Stage::Step(middle);
        if state.rollout.as_ref().is_some_and(is_there) && self.from_until.is_none() {
            let from = now + INTO_STEP;
            self.from_until = Some((from, from + setting.troubles.outage));
        }
    }

    fn is_on(&self, now: Time) -> bool {
        self.from_until
            .is_some_and(|(from, until)| (from..until).contains(&now))
    }

    fn next(&self, now: Time) -> Option<Time> {
        let (from, until) = self.from_until?;
        [from, until].into_iter().find(|at| *at > now)
    }
}
