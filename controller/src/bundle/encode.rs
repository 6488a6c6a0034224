//! Looks become lines.

use serde::Serialize;
use serde_json::{Map, Value};
use sluice_core::{Decision, Plan, Sample};

use super::Look;
use super::line::{Line, Samples};

/// Writes each look as what is new since the one before.
#[derive(Debug, Default)]
pub struct Encoder {
    last: Option<Last>,
    missed: u64,
}

/// What the reader of the lines so far knows.
#[derive(Debug)]
struct Last {
    plan: Plan,
    world: Map<String, Value>,
    samples: Vec<Sample>,
    decision: Decision,
    fields: Map<String, Value>,
}

impl Encoder {
    /// The line of a look, with its end; `None` for one that saw the same as the one before and decided the same,
    /// which is nothing.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn line(&mut self, mut look: Look) -> Result<Option<String>, serde_json::Error> {
        let samples = std::mem::take(&mut look.world.evidence.samples);
        let (world, fields) = (object(&look.world)?, object(&look.decision)?);
        let (line, last) = match self.last.take() {
            None => {
                let line = Line {
                    now: look.now,
                    missed: self.missed,
                    plan: Some(look.plan.clone()),
                    state: Some(look.state),
                    world: world.clone(),
                    samples: Samples::between(&[], &samples),
                    decision: fields.clone(),
                };
                (Some(line), None)
            }
            Some(last) => {
                let line = Line {
                    now: look.now,
                    missed: self.missed,
                    plan: (last.plan != look.plan).then(|| look.plan.clone()),
                    state: (last.decision.state != look.state).then_some(look.state),
                    world: news(&last.world, &world),
                    samples: Samples::between(&last.samples, &samples),
                    decision: news(&last.fields, &fields),
                };
                let said = !line.is_idle() || !look.decision.effects.is_empty();
                (said.then_some(line), Some(last))
            }
        };
        let Some(line) = line else {
            self.last = last;
            return Ok(None);
        };
        self.missed = 0;
        self.last = Some(Last {
            plan: look.plan,
            world,
            samples,
            decision: look.decision,
            fields,
        });
        Ok(Some(serde_json::to_string(&line)? + "\n"))
    }

    /// Notes that looks were lost; the next line says so.
    pub fn missed(&mut self, looks: u64) {
        self.missed = self.missed.saturating_add(looks);
    }
}

impl Line {
    /// Whether it says nothing but the time.
    fn is_idle(&self) -> bool {
        self.plan.is_none()
            && self.state.is_none()
            && self.world.is_empty()
            && self.samples.gone.is_empty()
            && self.samples.new.is_empty()
            && self.decision.is_empty()
    }
}

/// A struct as its fields.
pub(super) fn object(value: &impl Serialize) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::to_value(value)? {
        Value::Object(fields) => Ok(fields),
        other => Ok(Map::from_iter([(String::new(), other)])),
    }
}

/// The fields that are not as before. No field of a struct ever goes.
fn news(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let fields = after.iter();
    let new = fields.filter(|(name, value)| before.get(*name) != Some(value));
    new.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
