//! Durations in words.

use std::fmt;

use chrono::TimeDelta;

/// How long something takes, in the two largest units; `None` for longer than anybody waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Takes(pub Option<TimeDelta>);

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(takes) = self.0 else {
            return write!(f, "longer than anybody waits");
        };
        let units = [
            (takes.num_days(), "d"),
            (takes.num_hours() % 24, "h"),
            (takes.num_minutes() % 60, "min"),
            (takes.num_seconds() % 60, "s"),
        ];
        let largest = units.iter().position(|(number, _)| *number > 0);
        let shown = units.get(largest.unwrap_or(3)..).unwrap_or_default();
        let shown: Vec<String> = shown
            .iter()
            .take(2)
            .enumerate()
            .filter(|(index, (number, _))| *index == 0 || *number > 0)
            .map(|(_, (number, unit))| format!("{number} {unit}"))
            .collect();
        write!(f, "{}", shown.join(" "))
    }
}
