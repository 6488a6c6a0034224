//! Queries of the user's own: a pair of counters, or a value with a range.
//!
//! They give sums, in which one pod's restart looks like any fall. So a fall is a new beginning from which is
//! counted on, and what happened meanwhile is lost; nothing is ever counted that may not have happened.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sluice_core::{Tally, Time};

use super::answer;
use super::problem::Problem;

/// The label by which the parts of an answer are told apart.
const PART: &str = "sluice";

/// What a rollout asks for one of its SLOs.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// Its name.
    pub slo: String,
    /// The name of the template, for a person.
    pub template: String,
    /// Of the candidate.
    pub candidate: Queries,
    /// Of the stable revision, if there is one.
    pub stable: Option<Queries>,
    /// Of a value.
    pub range: Option<Range>,
}

/// The queries about one revision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Queries {
    /// Two that only grow.
    Events {
        /// Counts the good ones, or the bad ones.
        part: String,
        /// Which.
        good: bool,
        /// Counts all.
        total: String,
    },
    /// One.
    Value(String),
}

/// Which values are good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// One counts in so much time.
    pub window: TimeDelta,
}

/// What was read of one SLO so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    candidate: Side,
    stable: Side,
    /// When the present window began.
    window: Option<Time>,
    /// Why the last reading counts for nothing.
    pub(super) gap: Option<String>,
}

/// What was read of one revision.
#[derive(Clone, Debug, Default)]
struct Side {
    tally: Tally,
    /// The last values: of the part, and of all.
    last: Option<(u64, u64)>,
    /// A reading had nothing of it yet: what comes then counts from 0.
    was_empty: bool,
}

/// The numbers of an answer, by the names of its parts.
pub(super) type Numbers = BTreeMap<String, f64>;

const SIDES: [&str; 2] = ["candidate", "stable"];

impl Own {
    /// One query for all of it: what is compared is read at the same instant. Each text ends with a line break,
    /// for it may end with a comment.
    #[must_use]
    pub fn promql(&self) -> String {
        let parts = self.parts().into_iter().map(|(name, query)| {
            format!("label_replace((\n{query}\n), \"{PART}\", \"{name}\", \"\", \"\")")
        });
        parts.collect::<Vec<_>>().join(" or ")
    }

    fn parts(&self) -> Vec<(String, &str)> {
        let sides = [Some(&self.candidate), self.stable.as_ref()];
        let sides = SIDES.into_iter().zip(sides);
        let parts = sides.filter_map(|(side, queries)| Some((side, queries?)));
        let parts = parts.flat_map(|(side, queries)| match queries {
            Queries::Events { part, good, total } => {
                let name = if *good { "good" } else { "bad" };
                vec![
                    (format!("{side} {name}"), part.as_str()),
                    (format!("{side} total"), total.as_str()),
                ]
            }
            Queries::Value(value) => vec![(format!("{side} value"), value.as_str())],
        });
        parts.collect()
    }
}

/// What an answer says. Of several series none is *the* number.
pub(super) fn numbers(status: u16, body: &[u8]) -> Result<Numbers, Problem> {
    let mut numbers = Numbers::new();
    for (mut labels, value) in answer::vector(status, body)? {
        let part = labels.remove(PART).unwrap_or_default();
        if numbers.contains_key(&part) {
            let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
            let one = labels.join(", ");
            return Err(Problem::Several { part, one });
        }
        let value = value.unwrap_or_else(|| "a native histogram".to_owned());
        let number = value.parse::<f64>().ok().filter(|n| n.is_finite());
        let Some(number) = number else {
            return Err(Problem::NoNumber { part, value });
        };
        numbers.insert(part, number);
    }
    Ok(numbers)
}

impl Account {
    /// Books one reading, or why there is none. Both revisions count, or neither: they are compared.
    pub(super) fn take(&mut self, own: &Own, read: Result<&Numbers, &Problem>, at: Time) {
        let booked = read.map_err(Problem::clone).and_then(|numbers| {
            let (mut candidate, mut stable) = (self.candidate.clone(), self.stable.clone());
            let due = match own.range {
                Some(range) => self.is_due(range, at),
                None => true,
            };
            let mut sides = vec![(SIDES[0], &own.candidate, &mut candidate)];
            sides.extend(own.stable.as_ref().map(|q| (SIDES[1], q, &mut stable)));
            for (name, queries, side) in sides {
                match (queries, own.range) {
                    (Queries::Events { good, .. }, _) => side.count(name, *good, numbers)?,
                    (Queries::Value(_), Some(range)) => side.look(name, range, due, numbers)?,
                    (Queries::Value(_), None) => {}
                }
            }
            (self.candidate, self.stable) = (candidate, stable);
            if due {
                self.window = Some(at);
            }
            Ok(())
        });
        let told = booked.err();
        self.gap = told.map(|problem| format!("MetricTemplate {}: {problem}", own.template));
    }

    /// Whether a window is over. The first begins with the first reading: what a query looks back upon before
    /// that was not of this rollout.
    fn is_due(&mut self, range: Range, at: Time) -> bool {
        let began = *self.window.get_or_insert(at);
        // A clock that was set back begins a window, too.
        at > began && at - began >= range.window || at < began
    }

    /// Of the stable revision, and of the candidate.
    pub(super) fn tallies(&self) -> (Tally, Tally) {
        (self.stable.tally, self.candidate.tally)
    }
}

impl Side {
    fn count(&mut self, name: &str, good: bool, numbers: &Numbers) -> Result<(), Problem> {
        let kind = if good { "good" } else { "bad" };
        let names = [format!("{name} {kind}"), format!("{name} total")];
        let [part, total] = names.each_ref().map(|name| {
            let number = numbers.get(name).copied();
            let events = number.map(|number| {
                answer::count_of(number).ok_or_else(|| Problem::NoNumber {
                    part: name.clone(),
                    value: number.to_string(),
                })
            });
            events.transpose()
        });
        let [part_name, total_name] = names;
        let (part, total) = match (part?, total?) {
            (Some(part), Some(total)) => (part, total),
            // No event yet.
            (None, None) if self.last.is_none() => {
                self.was_empty = true;
                return Ok(());
            }
            (Some(_) | None, None) => return Err(Problem::Empty { part: total_name }),
            (None, Some(_)) => return Err(Problem::Empty { part: part_name }),
        };
        if part > total {
            return Err(Problem::NoPart { part: part_name });
        }
        let base = self.last.or(self.was_empty.then_some((0, 0)));
        self.last = Some((part, total));
        let Some((part_before, total_before)) = base else {
            return Ok(());
        };
        let grown = part.checked_sub(part_before);
        if let (Some(part), Some(all)) = (grown, total.checked_sub(total_before)) {
            // A late scrape of one of the two: what is missing of all comes with the next.
            let part = part.min(all);
            let good = if good { part } else { all - part };
            self.tally.good = self.tally.good.saturating_add(good);
            self.tally.total = self.tally.total.saturating_add(all);
        }
        Ok(())
    }

    fn look(
        &mut self,
        name: &str,
        range: Range,
        due: bool,
        numbers: &Numbers,
    ) -> Result<(), Problem> {
        let part = format!("{name} value");
        let Some(number) = numbers.get(&part) else {
            return Err(Problem::Empty { part });
        };
        if due {
            let good = range.min.is_none_or(|min| *number >= min)
                && range.max.is_none_or(|max| *number <= max);
            self.tally.good = self.tally.good.saturating_add(good.into());
            self.tally.total = self.tally.total.saturating_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
