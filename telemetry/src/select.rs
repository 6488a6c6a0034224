//! Sets of series as selectors of `PromQL`: what the rules of a source take for good or bad, as a query.

use std::collections::BTreeMap;

use crate::registry::{Is, Outcome, Rule};

/// The series that fit all of these conditions.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Selector(Vec<Condition>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Condition {
    label: String,
    is: Is,
    /// Whether it must not be so.
    not: bool,
}

/// The series whose requests had one of these outcomes: those that fit one of the selectors.
pub(crate) fn with(outcomes: &[Outcome], rules: &[Rule]) -> Vec<Selector> {
    let mut set = Vec::new();
    if outcomes.contains(&Outcome::Good) {
        set.push(Selector::default());
    }
    // The first rule that fits decides, so it is applied last.
    for rule in rules.iter().rev() {
        let fits = Selector::of(&rule.when);
        if outcomes.contains(&rule.outcome) {
            set.push(fits);
        } else {
            set = set
                .iter()
                .flat_map(|selector| selector.without(&fits))
                .collect();
        }
    }
    reduced(set)
}

/// Without what is within another.
fn reduced(set: Vec<Selector>) -> Vec<Selector> {
    let mut kept: Vec<Selector> = Vec::new();
    for selector in set {
        if kept.iter().any(|wider| selector.is_within(wider)) {
            continue;
        }
        kept.retain(|narrower| !narrower.is_within(&selector));
        kept.push(selector);
    }
    kept
}

impl Selector {
    pub(crate) fn of(when: &BTreeMap<String, Is>) -> Self {
        let condition = |(label, is): (&String, &Is)| Condition {
            label: label.clone(),
            is: is.clone(),
            not: false,
        };
        Self(when.iter().map(condition).collect())
    }

    /// What fits this and not the other, in parts that have nothing in common.
    fn without(&self, other: &Self) -> Vec<Self> {
        let mut so_far = self.clone();
        let mut parts = Vec::new();
        for condition in &other.0 {
            let negated = Condition {
                not: !condition.not,
                ..condition.clone()
            };
            if !so_far.implies(condition) {
                parts.push(so_far.and(negated));
            }
            so_far = so_far.and(condition.clone());
        }
        parts
    }

    fn and(&self, condition: Condition) -> Self {
        let mut all = self.clone();
        if !all.implies(&condition) {
            all.0.push(condition);
        }
        all
    }

    fn implies(&self, condition: &Condition) -> bool {
        self.0.iter().any(|own| own.implies(condition))
    }

    fn is_within(&self, wider: &Self) -> bool {
        wider.0.iter().all(|condition| self.implies(condition))
    }

    /// The matchers, after these.
    pub(crate) fn matchers(&self, first: &[String]) -> String {
        let own = self.0.iter().map(Condition::matcher);
        let all: Vec<String> = first.iter().cloned().chain(own).collect();
        all.join(",")
    }
}

impl Condition {
    /// Whether what fits this always fits the other. A no may be wrong, a yes never.
    fn implies(&self, other: &Self) -> bool {
        if self.label != other.label {
            return false;
        }
        if self == other {
            return true;
        }
        match (&self.is, self.not, other.not) {
            // All values are known.
            (Is::OneOf(values), false, _) => values.iter().all(|value| other.fits(value)),
            // All values begin with this; what is forbidden does not.
            (Is::Prefix(prefix), false, true) => match &other.is {
                Is::OneOf(values) => !values.iter().any(|value| value.starts_with(prefix)),
                Is::Prefix(forbidden) => {
                    !forbidden.starts_with(prefix) && !prefix.starts_with(forbidden)
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn fits(&self, value: &str) -> bool {
        let is = match &self.is {
            Is::OneOf(values) => values.iter().any(|one| one == value),
            Is::NoneOf(values) => values.iter().all(|one| one != value),
            Is::Lists(values) => value
                .split(',')
                .any(|part| values.iter().any(|one| one == part)),
            Is::Prefix(prefix) => value.starts_with(prefix),
            Is::Set => !value.is_empty(),
        };
        is != self.not
    }

    fn matcher(&self) -> String {
        let label = spell(&self.label);
        let (equal, regex) = if self.not { ("!=", "!~") } else { ("=", "=~") };
        let (unequal, no_regex) = if self.not { ("=", "=~") } else { ("!=", "!~") };
        match &self.is {
            Is::OneOf(values) => match values.as_slice() {
                [one] => format!("{label}{equal}\"{one}\""),
                several => format!("{label}{regex}\"{}\"", several.join("|")),
            },
            Is::NoneOf(values) => match values.as_slice() {
                [one] => format!("{label}{unequal}\"{one}\""),
                several => format!("{label}{no_regex}\"{}\"", several.join("|")),
            },
            Is::Lists(values) => format!("{label}{regex}\"(.+,)?({})(,.+)?\"", values.join("|")),
            Is::Prefix(prefix) => format!("{label}{regex}\"{prefix}.*\""),
            Is::Set => format!("{label}{unequal}\"\""),
        }
    }
}

/// A name as Prometheus' OTLP receiver writes it.
pub(crate) fn spell(name: &str) -> String {
    name.replace('.', "_")
}
