//! Lines become looks.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sluice_core::{Decision, Plan, Sample, State, World};

use super::Look;
use super::encode::object;
use super::line::{FORMAT, Header, Line};

/// A bundle that was read.
#[derive(Debug)]
pub struct Bundle {
    /// Whose it is.
    pub header: Header,
    /// Its decisions, each with the number of its line.
    pub looks: Vec<(usize, Look)>,
    /// Decisions that were made faster than they could be written.
    pub missed: u64,
    /// Whoever wrote it was stopped in mid-line.
    pub torn: bool,
}

/// Why a text is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It has no first line.
    #[error("there is nothing in it")]
    Empty,
    /// Its first line is something else.
    #[error("line 1 is no header of a bundle: {0}")]
    Header(serde_json::Error),
    /// It is of another version.
    #[error(
        "it is a bundle of format {0}, and this sluice reads format {FORMAT}: use the sluice that recorded it ({1})"
    )]
    Format(u32, String),
    /// A line of it means nothing.
    #[error("line {0}: {1}")]
    Line(usize, serde_json::Error),
}

/// Reads a bundle.
///
/// # Errors
/// Why it is none, with the line.
pub fn read(text: &str) -> Result<Bundle, Unreadable> {
    let mut lines = text.split_inclusive('\n').enumerate();
    let (_, first) = lines.next().ok_or(Unreadable::Empty)?;
    let version: Version = serde_json::from_str(first).map_err(Unreadable::Header)?;
    if version.bundle != FORMAT {
        return Err(Unreadable::Format(version.bundle, version.sluice));
    }
    let mut bundle = Bundle {
        header: serde_json::from_str(first).map_err(Unreadable::Header)?,
        looks: Vec::new(),
        missed: 0,
        torn: false,
    };
    let mut known = Known::default();
    for (index, text) in lines {
        if !text.ends_with('\n') {
            bundle.torn = true;
            break;
        }
        let number = index + 1;
        let line: Line =
            serde_json::from_str(text).map_err(|error| Unreadable::Line(number, error))?;
        bundle.missed = bundle.missed.saturating_add(line.missed);
        let look = known
            .look(line)
            .map_err(|error| Unreadable::Line(number, error))?;
        bundle.looks.push((number, look));
    }
    Ok(bundle)
}

/// What every format says in its first line.
#[derive(Deserialize)]
struct Version {
    bundle: u32,
    #[serde(default)]
    sluice: String,
}

/// What the lines so far said.
#[derive(Default)]
struct Known {
    plan: Option<Plan>,
    left: Option<State>,
    world: Map<String, Value>,
    samples: Vec<Sample>,
    decision: Map<String, Value>,
}

impl Known {
    fn look(&mut self, line: Line) -> Result<Look, serde_json::Error> {
        self.plan = line.plan.or(self.plan.take());
        self.world.extend(line.world);
        self.decision.extend(line.decision);
        line.samples.apply(&mut self.samples);
        let mut world: World = exactly(&self.world)?;
        world.evidence.samples.clone_from(&self.samples);
        let decision: Decision = exactly(&self.decision)?;
        let state = line.state.or(self.left.take());
        self.left = Some(decision.state.clone());
        Ok(Look {
            plan: self.plan.clone().ok_or_else(|| lacks("plan"))?,
            state: state.ok_or_else(|| lacks("state"))?,
            world,
            now: line.now,
            decision,
        })
    }
}

/// Reads fields, all of them: what a later version added to them may have been decided by.
fn exactly<T: DeserializeOwned + serde::Serialize>(
    fields: &Map<String, Value>,
) -> Result<T, serde_json::Error> {
    let read: T = serde_json::from_value(Value::Object(fields.clone()))?;
    let again = object(&read)?;
    match fields
        .iter()
        .find(|(name, value)| again.get(*name) != Some(value))
    {
        None => Ok(read),
        Some((name, _)) => Err(serde::de::Error::custom(format!(
            "{name} says something that this version of sluice does not know"
        ))),
    }
}

fn lacks(what: &str) -> serde_json::Error {
    serde::de::Error::custom(format!("the first decision has no {what}"))
}
