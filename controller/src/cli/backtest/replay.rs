//! Rollouts over the past.

use chrono::TimeDelta;
use sluice_core::simulate::{End, Random, Rollout};
use sluice_core::{Counts, Indicator, PastTraffic, Plan, Tally, Time};

use crate::evidence::{Reading, covered, unread};
use crate::record::conditions;

/// In what a candidate is worse than what served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Worse {
    /// In nothing.
    Not,
    /// This share of its good requests fails.
    Errors(f64),
    /// This share of its fast requests is slow.
    Slow(f64),
}

impl Worse {
    /// The same in another size.
    pub(super) fn of(self, size: f64) -> Self {
        match self {
            Self::Not => Self::Not,
            Self::Errors(_) => Self::Errors(size),
            Self::Slow(_) => Self::Slow(size),
        }
    }

    /// Whether a plan has an SLO that should notice.
    pub(super) fn concerns(self, plan: &Plan) -> bool {
        plan.slos.iter().any(|slo| self.is_of(slo.indicator))
    }

    fn is_of(self, indicator: Indicator) -> bool {
        match self {
            Self::Not => false,
            Self::Errors(_) => indicator == Indicator::Availability,
            Self::Slow(_) => matches!(indicator, Indicator::Latency { .. }),
        }
    }

    /// The share of good events of an SLO that turn bad.
    fn hits(self, indicator: Indicator) -> f64 {
        match self {
            Self::Errors(share) | Self::Slow(share) if self.is_of(indicator) => share,
            _ => 0.0,
        }
    }
}

/// One pretended rollout.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) started: Time,
    /// When it ended, or was given up watching.
    pub(super) ended: Time,
    /// When the candidate first got requests.
    pub(super) exposed: Option<Time>,
    pub(super) end: Option<End>,
    /// What it waited for then, as a condition's reason.
    pub(super) waiting: Option<String>,
    /// Whether a person was called.
    pub(super) called: bool,
}

/// The past, and how rollouts would have gone.
pub(super) struct Replay<'a> {
    plan: &'a Plan,
    readings: &'a [Reading],
    interval: TimeDelta,
    /// What the error budget is for: the requests of all of it.
    traffic: Option<PastTraffic>,
    /// In readings.
    longest: usize,
    seed: u64,
}

/// How many requests there were, where there is data.
fn traffic(readings: &[Reading], interval: TimeDelta) -> Option<PastTraffic> {
    let growths = readings
        .iter()
        .filter_map(|reading| reading.growth.as_ref());
    let number = i32::try_from(growths.clone().count()).ok()?;
    let over = interval
        .checked_mul(number)
        .filter(|over| !over.is_zero())?;
    let requests = growths.fold(0_u64, |sum, growth| sum.saturating_add(growth.requests));
    #[allow(clippy::cast_precision_loss, reason = "two digits are kept")]
    let per_second = requests as f64 / over.as_seconds_f64();
    Some(PastTraffic::measured(per_second, over))
}

impl<'a> Replay<'a> {
    /// Of rollouts that last `longest` at most, and half of the history.
    pub(super) fn new(
        plan: &'a Plan,
        readings: &'a [Reading],
        interval: TimeDelta,
        longest: TimeDelta,
        seed: u64,
    ) -> Self {
        let wanted = longest.num_milliseconds() / interval.num_milliseconds().max(1);
        let wanted = usize::try_from(wanted).unwrap_or_default().max(1);
        Self {
            plan,
            readings,
            interval,
            traffic: traffic(readings, interval),
            longest: wanted.min(readings.len() / 2),
            seed,
        }
    }

    /// How long a rollout is followed.
    pub(super) fn longest(&self) -> TimeDelta {
        self.interval * i32::try_from(self.longest).unwrap_or(i32::MAX)
    }

    /// So many starts, evenly spread with some chance in it; and how many of them were left out, having no data
    /// to begin with.
    pub(super) fn starts(&self, count: usize) -> (Vec<usize>, usize) {
        let places = self.readings.len().saturating_sub(self.longest);
        let mut random = Random::new(self.seed);
        let all = (0..count).map(|index| place(index, count, places, random.uniform()));
        let has_data = |start: &usize| {
            let two = self.readings.get(*start..start.saturating_add(2));
            two.is_some_and(|two| two.iter().all(|reading| reading.growth.is_some()))
        };
        let kept: Vec<_> = all.filter(has_data).collect();
        let left_out = count - kept.len();
        (kept, left_out)
    }

    /// The rollout of this number, from this reading on. Whatever the candidate is like, the dice are the same.
    pub(super) fn run(&self, start: usize, number: usize, worse: Worse) -> Run {
        let mut dice = Random::new(
            self.seed
                .wrapping_mul(1_000_003)
                .wrapping_add(number as u64),
        );
        let end = start.saturating_add(self.longest).saturating_add(1);
        let readings = self.readings.get(start..end.min(self.readings.len()));
        let mut readings = readings.unwrap_or_default().iter();
        let first = readings
            .next()
            .map(|reading| reading.at)
            .unwrap_or_default();
        let mut rollout = Rollout::start(self.plan, unread(self.interval), self.traffic, first);
        // From here on is counted.
        rollout.read(covered(first, self.interval), &self.none(), &self.none());
        let mut ended = first;
        for reading in readings {
            rollout.pass(reading.at);
            if rollout.end().is_none() {
                match &reading.growth {
                    Some(growth) => {
                        let share = rollout.share();
                        let (stable, candidate) = self.split(growth, share, worse, &mut dice);
                        let covered = covered(reading.at, self.interval);
                        rollout.read(covered, &stable, &candidate);
                    }
                    None => rollout.read_nothing("the history has no data"),
                }
            }
            ended = reading.at;
            if rollout.end().is_some() {
                break;
            }
        }
        Run {
            started: first,
            ended,
            exposed: rollout.first_weight_at(),
            end: rollout.end().cloned(),
            waiting: rollout.waiting().map(conditions::reason),
            called: rollout.called(),
        }
    }

    fn none(&self) -> Counts {
        Counts {
            slos: vec![Tally::default(); self.plan.slos.len()],
            ..Counts::default()
        }
    }

    /// What the stable revision and the candidate would have had, if the route had picked each request for the
    /// candidate with this probability. The SLOs are split each for itself, but for availability, which is the
    /// same in all.
    fn split(&self, all: &Counts, share: f64, worse: Worse, dice: &mut Random) -> (Counts, Counts) {
        let answered = all.requests.saturating_sub(all.unanswered);
        let availability = self.index_of_availability().map(|index| all.slo(index));
        let availability = availability.unwrap_or(Tally {
            good: answered,
            total: answered,
        });
        let picked = pick(availability, share, dice);
        let unanswered = dice.binomial(all.unanswered, share);
        let tallies: Vec<_> = self
            .plan
            .slos
            .iter()
            .enumerate()
            .map(|(index, slo)| {
                let picked = match slo.indicator {
                    Indicator::Availability => picked,
                    _ => pick(all.slo(index), share, dice),
                };
                let turned = dice.binomial(picked.good, worse.hits(slo.indicator));
                let good = picked.good - turned;
                (picked, Tally { good, ..picked })
            })
            .collect();
        let candidate = Counts {
            requests: picked.total.saturating_add(unanswered),
            unanswered,
            slos: tallies.iter().map(|(_, worse)| *worse).collect(),
        };
        let before = Counts {
            slos: tallies.iter().map(|(picked, _)| *picked).collect(),
            ..candidate.clone()
        };
        (all.since(&before), candidate)
    }

    fn index_of_availability(&self) -> Option<usize> {
        let mut slos = self.plan.slos.iter();
        slos.position(|slo| slo.indicator == Indicator::Availability)
    }
}

/// The place of a start among so many.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a list"
)]
fn place(index: usize, count: usize, places: usize, chance: f64) -> usize {
    let part = (index as f64 + chance) / count as f64;
    ((part * places as f64) as usize).min(places.saturating_sub(1))
}

/// Each event with this probability.
fn pick(all: Tally, share: f64, dice: &mut Random) -> Tally {
    let good = dice.binomial(all.good.min(all.total), share);
    let bad = dice.binomial(all.bad(), share);
    Tally {
        good,
        total: good + bad,
    }
}
