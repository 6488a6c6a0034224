//! What is remembered from pass to pass, and who is told how the last one ended.

use crate::git::GitError;
use crate::outcome::Stance;
use crate::pass::{Kind, News};
use crate::tell::Told;

/// From how many failures in a row on people are told by Events, and not by the log alone.
const PERSISTENT: u32 = 3;

/// What is remembered from pass to pass.
#[derive(Debug, Default)]
pub struct Progress {
    told: Told,
    /// What the last pass that succeeded told; before it nothing is known.
    written: Option<Vec<Stance>>,
    /// In a row.
    failures: u32,
}

impl Progress {
    /// Whether a pass has succeeded.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.written.is_some()
    }

    /// Whether Git was told all of this.
    #[must_use]
    pub fn is_written(&self, stances: &[Stance]) -> bool {
        self.written.as_deref() == Some(stances)
    }

    /// How many passes in a row have failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes in how a pass over `stances` ended, and returns what nobody was told yet.
    pub fn ended(
        &mut self,
        stances: &[Stance],
        outcome: Result<Vec<News>, &GitError>,
    ) -> Vec<News> {
        let mut news = match outcome {
            Ok(news) => {
                self.failures = 0;
                self.written = Some(stances.to_vec());
                self.told.recovered();
                news
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.untold(stances, error)
            }
        };
        news.retain(|news| {
            let stance = stances.get(news.stance);
            stance.is_some_and(|stance| self.told.is_new(stance, news))
        });
        news
    }

    /// Who is to be told that Git does not take their outcome, once that lasts: those whose outcome it does not have.
    /// Which these are nobody knows before the branch was read, nor who has marks in it: then it is all.
    fn untold(&self, stances: &[Stance], error: &GitError) -> Vec<News> {
        if self.failures < PERSISTENT {
            return Vec::new();
        }
        let is_written = |stance| {
            let written = self.written.as_ref();
            written.is_some_and(|written| written.contains(stance))
        };
        let state = if self.has_begun() {
            "it is not in Git yet, and is tried again"
        } else {
            "the branch could not be read since git-sync started: if it is not in Git yet, it waits"
        };
        let stances = stances.iter().enumerate();
        let waiting = stances.filter(|(_, stance)| !is_written(stance));
        let news = |stance| News {
            stance,
            kind: Kind::Failing,
            text: format!("{state}: {error}"),
        };
        waiting.map(|(index, _)| news(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Key;

    fn stance(name: &str) -> Stance {
        Stance {
            canary: Key {
                namespace: "shop".to_owned(),
                name: name.to_owned(),
            },
            serving: None,
            rejected: None,
        }
    }

    fn error() -> GitError {
        GitError::Time {
            command: "push".to_owned(),
        }
    }

    /// Which of the stances are told of it at each of so many failures.
    fn failed(progress: &mut Progress, stances: &[Stance], times: u32) -> Vec<Vec<usize>> {
        let told = |_| {
            let news = progress.ended(stances, Err(&error()));
            assert!(news.iter().all(|news| news.kind == Kind::Failing));
            news.iter().map(|news| news.stance).collect()
        };
        (0..times).map(told).collect()
    }

    #[test]
    fn who_waits_is_told_from_the_third_failure_on() {
        let stances = [stance("old"), stance("new")];
        let mut progress = Progress::default();
        assert_eq!(progress.ended(&stances[..1], Ok(Vec::new())), []);
        let told = failed(&mut progress, &stances, 4);
        assert_eq!(told, [vec![], vec![], vec![1], vec![]], "once");
        let mut progress = Progress::default();
        assert_eq!(progress.ended(&stances, Ok(Vec::new())), []);
        let told = failed(&mut progress, &stances, 4);
        assert_eq!(told.concat(), [0; 0], "all of it is in Git");
    }

    /// As a pod that starts with a token that has expired.
    #[test]
    fn before_the_branch_was_read_all_are_told() {
        let stances = [stance("one"), stance("other")];
        let mut progress = Progress::default();
        let told = failed(&mut progress, &stances, 4);
        assert_eq!(told, [vec![], vec![], vec![0, 1], vec![]]);
        assert!(!progress.has_begun());
    }

    #[test]
    fn a_second_outage_is_told_as_well() {
        let stances = [stance("app")];
        let mut progress = Progress::default();
        assert_eq!(failed(&mut progress, &stances, 3).concat(), [0]);
        // Suspended for a while, and meanwhile Git can be reached.
        assert_eq!(progress.ended(&[], Ok(Vec::new())), []);
        let told = failed(&mut progress, &stances, 3);
        assert_eq!(told, [vec![], vec![], vec![0]]);
    }

    #[test]
    fn what_a_person_left_as_it_is_is_not_told_again_after_an_outage() {
        let stances = [stance("app")];
        let mut progress = Progress::default();
        let contested = || {
            Ok(vec![News {
                stance: 0,
                kind: Kind::Contested,
                text: "line 3".to_owned(),
            }])
        };
        assert_eq!(progress.ended(&stances, contested()).len(), 1);
        failed(&mut progress, &stances, 3);
        assert_eq!(progress.ended(&stances, contested()), []);
    }
}
