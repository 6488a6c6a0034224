//! Decisions as a person reads them: a line whenever something changed, and what the SLOs said.

use std::fmt::Write as _;
use std::mem::{Discriminant, discriminant};

use chrono::SubsecRound as _;
use sluice_core::evidence::Why;
use sluice_core::{
    Decision, Finding, Note, Phase, RevisionName, Stage, Time, Verdict, Waiting, Weight,
};

use crate::record::event;

/// Where what a Canary waits for begins in a line, and with it all that is beneath it.
const INDENT: usize = 38;

/// What was decided over time.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) moments: Vec<Moment>,
    candidate: Option<RevisionName>,
}

/// What was decided in one second.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) at: Time,
    phase: Phase,
    /// Counted from 1, and of how many; 0 before the first.
    step: Option<(usize, usize)>,
    /// The one that is wanted.
    pub(super) weight: Weight,
    waiting: Option<Waiting>,
    pub(super) findings: Vec<Finding>,
    notes: Vec<Note>,
}

/// What is waited for, why evidence says nothing, and whether for too long.
type Kind = (Discriminant<Waiting>, Option<(Discriminant<Why>, bool)>);

/// What a new line is worth: numbers alone are not.
struct Gist {
    phase: Phase,
    step: Option<(usize, usize)>,
    weight: Weight,
    waiting: Option<Kind>,
    /// Where an SLO passes or fails.
    decided: Vec<Option<Discriminant<Verdict>>>,
}

impl Timeline {
    /// Adds a decision.
    pub(super) fn push(&mut self, now: Time, decision: &Decision) {
        let rollout = decision.state.rollout.as_ref();
        if let Some(rollout) = rollout {
            self.candidate = Some(rollout.candidate.clone());
        }
        let serves = self.candidate.is_some() && decision.state.stable == self.candidate;
        let rest = if serves { Weight::WHOLE } else { Weight::ZERO };
        let moment = Moment {
            at: now.trunc_subsecs(0),
            phase: decision.phase,
            step: rollout.filter(|rollout| rollout.gated).map(|rollout| {
                let steps = rollout.plan.steps.len();
                let step = match rollout.stage {
                    Stage::Prepare => 0,
                    Stage::Step(step) => step + 1,
                    Stage::Promote => steps,
                };
                (step, steps)
            }),
            weight: rollout.map_or(rest, |rollout| rollout.weight),
            waiting: decision.waiting.clone(),
            findings: decision.findings.clone(),
            notes: decision.notes.clone(),
        };
        match self.moments.last_mut() {
            Some(last) if last.at == moment.at => last.and(moment),
            _ => self.moments.push(moment),
        }
    }

    /// The whole, a line for each change.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("TIME      PHASE         STEP  WEIGHT  WAITS FOR\n");
        let mut last: Option<Gist> = None;
        let names = self.moments.iter().flat_map(|moment| &moment.findings);
        let width = names.map(|finding| finding.slo.len()).max();
        for moment in &self.moments {
            let gist = moment.gist();
            let before = last.as_ref();
            let decided = before.is_some_and(|before| gist.decides_more_than(before));
            let same = before.is_some_and(|before| gist.says_as(before));
            if same && !decided && moment.notes.is_empty() {
                continue;
            }
            moment.line(&mut text);
            let grown = before.is_some_and(|before| before.weight != gist.weight);
            let waits = matches!(moment.waiting, Some(Waiting::Evidence { .. }));
            let counted = moment.findings.iter();
            let counted = counted.map(|finding| finding.candidate.total + finding.stable.total);
            if (decided || grown || waits) && counted.sum::<u64>() > 0 {
                moment.numbers(&mut text, width.unwrap_or_default());
            }
            last = Some(gist);
        }
        text
    }

    /// What came out, and how long it took.
    pub(super) fn outcome(&self) -> String {
        let (Some(first), Some(last)) = (self.moments.first(), self.moments.last()) else {
            return "Nothing was decided.".to_owned();
        };
        let notes = || {
            let moments = self.moments.iter();
            moments.flat_map(|moment| moment.notes.iter().map(|note| (moment.at, note)))
        };
        let started = notes().find(|(_, note)| matches!(note, Note::Started { .. }));
        let started = started.map_or(first.at, |(at, _)| at);
        let mut ended = notes().filter_map(|(at, note)| {
            let what = match note {
                Note::Adopted(revision) => format!("{revision} was adopted"),
                Note::Promoted(revision) => format!("{revision} was promoted"),
                Note::Rejected { revision, .. } => format!("{revision} was rejected"),
                Note::Superseded(revision) => {
                    format!("a newer template came while {revision} was judged")
                }
                _ => return None,
            };
            Some((at, what))
        });
        if let Some((at, what)) = ended.next_back() {
            return format!("{what} after {}.", length(at - started));
        }
        let waiting = last.waiting.as_ref().map(ToString::to_string);
        let waiting = waiting.unwrap_or_else(|| "nothing".to_owned());
        format!(
            "No end after {}, at {}: {waiting}.",
            length(last.at - started),
            last.weight
        )
    }
}

impl Gist {
    /// Whether all but the verdicts is as before.
    fn says_as(&self, before: &Self) -> bool {
        let all = |gist: &Self| (gist.phase, gist.step, gist.weight, gist.waiting);
        all(self) == all(before)
    }

    /// Whether an SLO passes or fails that did not before.
    fn decides_more_than(&self, before: &Self) -> bool {
        let mut slos = self.decided.iter().enumerate();
        slos.any(|(index, now)| {
            let then = before.decided.get(index).copied().flatten();
            now.is_some() && *now != then
        })
    }
}

impl Moment {
    /// What was decided in the same second, later. The verdicts are those that led to it.
    fn and(&mut self, later: Self) {
        if !later.findings.is_empty() && self.findings.is_empty() {
            self.findings = later.findings;
        }
        self.notes.extend(later.notes);
        (self.phase, self.step, self.weight) = (later.phase, later.step, later.weight);
        self.waiting = later.waiting;
    }

    fn gist(&self) -> Gist {
        let decided = self.findings.iter().map(|finding| {
            let open = matches!(finding.verdict, Verdict::Inconclusive(_));
            (!open).then(|| discriminant(&finding.verdict))
        });
        Gist {
            phase: self.phase,
            step: self.step,
            weight: self.weight,
            waiting: self.waiting.as_ref().map(|waiting| {
                let why = match waiting {
                    Waiting::Evidence { why, overdue, .. } => Some((discriminant(why), *overdue)),
                    _ => None,
                };
                (discriminant(waiting), why)
            }),
            decided: decided.collect(),
        }
    }

    fn line(&self, text: &mut String) {
        let step = self.step.map(|(step, steps)| format!("{step}/{steps}"));
        let waiting = self.waiting.as_ref().map(ToString::to_string);
        let line = format!(
            "{}  {:<12}  {:<4}  {:<6}  {}",
            self.at.format("%H:%M:%S"),
            self.phase.to_string(),
            step.unwrap_or_default(),
            self.weight.to_string(),
            waiting.unwrap_or_default()
        );
        text.push_str(line.trim_end());
        text.push('\n');
        for note in &self.notes {
            let (reason, said) = event::words(note);
            _ = writeln!(text, "{:INDENT$}{reason}: {said}", "");
        }
    }

    fn numbers(&self, text: &mut String, width: usize) {
        for finding in &self.findings {
            _ = writeln!(
                text,
                "{:INDENT$}{:width$}  {}",
                "",
                finding.slo,
                numbers(finding)
            );
        }
    }
}

/// An SLO's verdict and what it is made of.
fn numbers(finding: &Finding) -> String {
    let verdict = match &finding.verdict {
        Verdict::Pass => "Pass",
        Verdict::Fail(_) => "Fail",
        Verdict::Inconclusive(_) => "Inconclusive",
    };
    let (candidate, stable) = (finding.candidate, finding.stable);
    let spent = finding.spending.map_or_else(String::new, |spending| {
        format!("; error budget spent: {spending}")
    });
    format!(
        "{verdict}: {} of {} bad, stable {} of {}; evidence {} of {}{spent}",
        candidate.bad(),
        candidate.total,
        stable.bad(),
        stable.total,
        finding.against.evidence(),
        finding.proof,
    )
}

/// A length of time in the way that policies say it.
pub(super) fn length(time: chrono::TimeDelta) -> String {
    let millis = time.num_seconds().saturating_mul(1000);
    let millis = u32::try_from(millis).unwrap_or(u32::MAX);
    sluice_crds::Duration::from_millis(millis).to_string()
}
