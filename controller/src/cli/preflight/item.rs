//! What is told: one line for each thing that was looked at.

use serde::Serialize;

use super::Asked;
use super::checks;
use super::found::Found;
use super::subject::Subject;

/// How it stands with something.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Nobody knows: it could not be read, or is not there to be read.
    CannotTell,
    /// Sluice works, and a person should know.
    Warning,
    /// Sluice cannot work, or must not.
    Error,
}

impl Level {
    /// For a person.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::CannotTell => "cannot tell",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One line.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    /// The name of what was looked at: it does not change with the answer.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What there is; and the fix, if there is something to mend.
    pub(super) message: String,
}

/// What was found about one thing, before it is told.
pub(super) struct Findings {
    check: &'static str,
    items: Vec<Item>,
}

impl Findings {
    pub(super) fn new(check: &'static str) -> Self {
        Self {
            check,
            items: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, level: Level, message: impl Into<String>) {
        let item = Item {
            check: self.check,
            level,
            message: message.into(),
        };
        // Two ways may lead to one finding.
        if !self.items.contains(&item) {
            self.items.push(item);
        }
    }

    pub(super) fn error(&mut self, message: impl Into<String>) {
        self.add(Level::Error, message);
    }

    pub(super) fn warning(&mut self, message: impl Into<String>) {
        self.add(Level::Warning, message);
    }

    /// What could not be read, if anything.
    pub(super) fn unknown<'a>(&mut self, why: impl IntoIterator<Item = &'a str>) {
        for why in why {
            self.add(Level::CannotTell, why);
        }
    }

    /// The lines: `good` if nothing else was found.
    pub(super) fn or_ok(mut self, good: impl FnOnce() -> String) -> Vec<Item> {
        if self.items.is_empty() {
            let good = good();
            self.add(Level::Ok, good);
        }
        self.items
    }
}

/// Everything about one thing that will be adopted, or about the cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Section {
    /// As `shop/podinfo`; `None` for the cluster.
    pub(super) about: Option<String>,
    pub(super) items: Vec<Item>,
}

/// Everything.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) sections: Vec<Section>,
}

impl Report {
    /// Looks at everything.
    pub(super) fn of(found: &Found, subjects: &[Subject], asked: &Asked) -> Self {
        let cluster = Section {
            about: None,
            items: checks::of_cluster(found),
        };
        let about = subjects.iter().map(|subject| Section {
            about: Some(subject.to_string()),
            items: checks::of(found, subject),
        });
        let mut sections: Vec<_> = [cluster].into_iter().chain(about).collect();
        if let (Some(namespace), true) = (&asked.namespace, subjects.is_empty()) {
            let message =
                "no Canary here, and no Deployment with a Service of its name: nothing to look at";
            sections.push(Section {
                about: Some(namespace.clone()),
                items: vec![Item {
                    check: "target",
                    level: Level::Warning,
                    message: message.to_owned(),
                }],
            });
        }
        Self { sections }
    }

    /// How many there are of a level.
    pub(super) fn count(&self, level: Level) -> usize {
        let items = self.sections.iter().flat_map(|section| &section.items);
        items.filter(|item| item.level == level).count()
    }
}
