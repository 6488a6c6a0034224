//! News become log lines, and Events on the Canary; each once.

use std::collections::BTreeMap;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};
use sluice_crds::Canary;

use crate::mark::Key;
use crate::outcome::Stance;
use crate::pass::{Kind, News};

/// The longest note that the API takes, in bytes.
const LONGEST: usize = 1024;

/// What was told of each Canary since something happened to it.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<Key, Since>);

/// What was told since these ends.
#[derive(Debug, Default)]
struct Since {
    ends: Vec<String>,
    said: Vec<(Kind, String)>,
}

impl Told {
    /// Whether something is new. What was said of an earlier end of the Canary is forgotten.
    pub fn is_new(&mut self, stance: &Stance, news: &News) -> bool {
        let Since { ends, said } = self.0.entry(stance.canary.clone()).or_default();
        let ended = [&stance.serving, &stance.rejected].into_iter().flatten();
        let present: Vec<_> = ended
            .map(|ended| format!("{} {}", ended.revision, ended.decided_at()))
            .collect();
        if *ends != present {
            *ends = present;
            said.clear();
        }
        // Hashes and lines differ each time that a branch moves on; what is wrong is the same.
        let what = match news.kind {
            Kind::Contested | Kind::Failing => String::new(),
            _ => news.text.clone(),
        };
        let known = (news.kind, what);
        let new = !said.contains(&known);
        if new {
            said.push(known);
        }
        new
    }

    /// Git could be reached again: should that end, it is told anew.
    pub fn recovered(&mut self) {
        for since in self.0.values_mut() {
            since.said.retain(|(kind, _)| *kind != Kind::Failing);
        }
    }
}

/// Logs news, and puts them on the Canary. An Event that is not taken is only logged.
pub async fn tell(client: &Client, canary: Option<&Canary>, stance: &Stance, news: &News) {
    let (type_, reason) = match news.kind {
        Kind::Recorded => (EventType::Normal, "PromotionRecorded"),
        Kind::Reverted => (EventType::Normal, "RevertCommitted"),
        Kind::Proposed => (EventType::Normal, "RevertProposed"),
        Kind::Contested => (EventType::Warning, "WriteBackContested"),
        Kind::Problem | Kind::Failing => (EventType::Warning, "WriteBackFailed"),
    };
    match type_ {
        EventType::Normal => tracing::info!(canary = %stance.canary, reason, "{}", news.text),
        EventType::Warning => tracing::warn!(canary = %stance.canary, reason, "{}", news.text),
    }
    let Some(canary) = canary else {
        return;
    };
    let mut note = news.text.clone();
    while note.len() > LONGEST {
        note.pop();
    }
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "WriteBack".to_owned(),
        secondary: None,
    };
    // A recorder that lasts would count a second promotion as a repetition of the first, and keep that one's note.
    let reporter = Reporter {
        controller: "sluice-git-sync".to_owned(),
        instance: None,
    };
    let recorder = Recorder::new(client.clone(), reporter);
    if let Err(error) = recorder.publish(&event, &canary.object_ref(&())).await {
        tracing::warn!(%error, reason, "an Event was not taken");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Ended;

    fn stance(revision: &str) -> Stance {
        Stance {
            canary: Key {
                namespace: "shop".to_owned(),
                name: "app".to_owned(),
            },
            serving: Some(Ended {
                revision: revision.to_owned(),
                record: sluice_core::Record::default(),
                images: BTreeMap::new(),
                containers: Vec::new(),
            }),
            rejected: None,
        }
    }

    #[test]
    fn what_is_wrong_is_told_once_until_something_happens() {
        let mut told = Told::default();
        let news = |text: &str| News {
            stance: 0,
            kind: Kind::Contested,
            text: text.to_owned(),
        };
        assert!(told.is_new(&stance("app-1"), &news("line 3")));
        assert!(!told.is_new(&stance("app-1"), &news("line 4")));
        assert!(told.is_new(&stance("app-2"), &news("line 3")));
        let problem = News {
            kind: Kind::Problem,
            ..news("line 3")
        };
        assert!(told.is_new(&stance("app-2"), &problem));
        assert!(!told.is_new(&stance("app-2"), &problem));
    }
}
