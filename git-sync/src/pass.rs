//! One pass: what the cluster says is compared with the branch, and what differs is committed and pushed.
//!
//! Everything is worked out from the branch's present head, each time anew. A crash between any two commands leaves
//! nothing but objects that nobody refers to; and what was pushed is found in the branch, and not written again.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use crate::edit;
use crate::git::GitError;
use crate::mark::{self, Marked};
use crate::message;
use crate::outcome::{Ended, Stance};
use crate::repository::{Commit, File, Files, Repository};
use crate::wanted::{Digests, End, wanted};

/// How often a push that others outran is tried in one pass.
const ATTEMPTS: u32 = 20;
/// The first pause between two; each is longer than the last.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a push may fail with nobody else having pushed: then it is not a race, but a refusal.
const REFUSALS: u32 = 5;

/// What becomes of a rejection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum OnRejection {
    /// The revert is pushed as a branch of its own, for a person to merge.
    Branch,
    /// The revert is committed on the branch.
    Commit,
    /// Nothing: Git keeps what was rejected.
    Nothing,
}

/// Something that a person may want to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct News {
    /// Which of the stances it is about.
    pub stance: usize,
    /// In one word.
    pub kind: Kind,
    /// In words.
    pub text: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// What was promoted is in Git.
    Recorded,
    /// What was rejected is taken back in Git.
    Reverted,
    /// A branch that would do so is there.
    Proposed,
    /// Somebody else undid it.
    Contested,
    /// Something is wrong that a person must mend.
    Problem,
    /// The repository cannot be reached, or takes nothing, for a while now.
    Failing,
}

/// What is to be written about one end of a Canary.
struct Want<'a> {
    stance: &'a Stance,
    end: End,
    ended: &'a Ended,
    files: Files,
    values: Vec<String>,
    places: Vec<(String, Marked)>,
}

/// A revert that a person is to merge.
struct Proposal {
    /// Named after Canary and revision.
    branch: String,
    files: Files,
    message: String,
    /// Under what it is noted that the branch was made: whoever deletes it has decided.
    note: String,
}

impl From<&Want<'_>> for Proposal {
    fn from(want: &Want<'_>) -> Self {
        let at = want.ended.decided_at().replace(':', "-");
        let name = format!("{}/{}", want.stance.canary, want.ended.revision);
        Self {
            branch: format!("sluice/{name}"),
            files: want.files.clone(),
            message: want.message(),
            note: format!("proposed/{name}/{at}"),
        }
    }
}

/// Tells Git what the cluster says. `digests` says by what digests a Canary's serving pods run.
///
/// # Errors
/// When the repository cannot be read or written; the next pass does the same again.
pub async fn pass(
    repository: &Repository,
    on_rejection: OnRejection,
    stances: &[Stance],
    digests: impl AsyncFn(&Stance) -> Digests,
) -> Result<Vec<News>, GitError> {
    let mut known: BTreeMap<usize, Digests> = BTreeMap::new();
    let (mut refused, mut last_head) = (0, String::new());
    for attempt in 0..ATTEMPTS {
        let head = repository.fetch().await?;
        let mut files = repository.marked(&head).await?;
        let (mut news, mut proposals) = (Vec::new(), Vec::new());
        let mut tip = head.clone();
        for (index, stance) in stances.iter().enumerate() {
            for end in [End::Promoted, End::Rejected] {
                if end == End::Rejected && on_rejection == OnRejection::Nothing {
                    continue;
                }
                let mut said = known.get(&index).cloned();
                let mut want = want(stance, end, &files, said.as_ref());
                if said.is_none() && end == End::Promoted && matches!(want, Ok(Some(_))) {
                    said = Some(digests(stance).await);
                    want = self::want(stance, end, &files, said.as_ref());
                    known.extend(said.map(|said| (index, said)));
                }
                let tell = |kind, text| News {
                    stance: index,
                    kind,
                    text,
                };
                let want = match want {
                    Ok(None) => continue,
                    Ok(Some(want)) => want,
                    Err(problem) => {
                        news.push(tell(Kind::Problem, problem));
                        continue;
                    }
                };
                if end == End::Rejected && on_rejection == OnRejection::Branch {
                    proposals.push((index, Proposal::from(&want)));
                    continue;
                }
                if let Some(contest) = contest(repository, &tip, &want).await? {
                    news.push(tell(Kind::Contested, contest));
                    continue;
                }
                tip = repository
                    .commit(&tip, &want.files, &want.message())
                    .await?;
                let kind = if end == End::Promoted {
                    Kind::Recorded
                } else {
                    Kind::Reverted
                };
                let values = want.values.join(", ");
                news.push(tell(
                    kind,
                    format!("commit {tip} on {} sets {values}", repository.branch),
                ));
                let changed = want.files;
                files.extend(changed);
            }
        }
        if tip != head
            && let Err(error) = repository.push(&tip, &repository.branch).await
        {
            refused = if head == last_head { refused + 1 } else { 0 };
            if refused >= REFUSALS || attempt + 1 == ATTEMPTS {
                return Err(error);
            }
            last_head = head;
            tracing::info!(%error, attempt, "the push was not taken: edited anew on the present head");
            tokio::time::sleep(pause(attempt)).await;
            continue;
        }
        for (index, proposal) in proposals {
            let proposed = propose(repository, &head, &proposal).await?;
            news.extend(proposed.map(|text| News {
                stance: index,
                kind: Kind::Proposed,
                text,
            }));
        }
        return Ok(news);
    }
    Ok(Vec::new())
}

/// What is to be written about one end; `None` where Git says so already.
fn want<'a>(
    stance: &'a Stance,
    end: End,
    files: &Files,
    digests: Option<&Digests>,
) -> Result<Option<Want<'a>>, String> {
    let ended = match end {
        End::Promoted => stance.serving.as_ref(),
        End::Rejected => stance.rejected.as_ref(),
    };
    let Some(ended) = ended else {
        return Ok(None);
    };
    let none = Digests::new();
    let mut wanted_files = Files::new();
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for (path, file) in files {
        let (marks, bad) = mark::marks(&file.text);
        if let Some(bad) = bad
            .iter()
            .find(|bad| bad.canary.as_ref() == Some(&stance.canary))
        {
            return Err(format!("{path}: {bad}"));
        }
        let mut changes = Vec::new();
        for marked in &marks {
            let value = wanted(
                stance,
                end,
                &marked.mark,
                &marked.value,
                digests.unwrap_or(&none),
            );
            let value =
                value.map_err(|problem| format!("{path}: line {}: {problem}", marked.line))?;
            changes.extend(value.map(|value| (marked, value)));
        }
        if changes.is_empty() {
            continue;
        }
        let edits: Vec<_> = changes
            .iter()
            .map(|(marked, value)| (*marked, value.as_str()))
            .collect();
        let text = edit::edit(&file.text, &edits).map_err(|error| format!("{path}: {error}"))?;
        let mode = file.mode.clone();
        wanted_files.insert(path.clone(), File { mode, text });
        for (marked, value) in changes {
            if !values.contains(&value) {
                values.push(value);
            }
            places.push((path.clone(), marked.clone()));
        }
    }
    Ok((!places.is_empty()).then_some(Want {
        stance,
        end,
        ended,
        files: wanted_files,
        values,
        places,
    }))
}

impl Want<'_> {
    fn message(&self) -> String {
        message::message(self.stance, self.end, self.ended, &self.values)
    }

    /// Whether a commit told this very end.
    fn is_told_by(&self, commit: &Commit) -> bool {
        let trailers = message::trailers(self.stance, self.end, self.ended);
        trailers
            .iter()
            .all(|(name, value)| commit.trailers.contains(&format!("{name}: {value}")))
    }
}

/// Who undid what we wrote of this very end: then it is left to them until another one is to be told.
async fn contest(
    repository: &Repository,
    head: &str,
    want: &Want<'_>,
) -> Result<Option<String>, GitError> {
    for (path, marked) in &want.places {
        let ours = repository.ours(head, &want.stance.canary, path).await?;
        let Some(ours) = ours.into_iter().find(|commit| want.is_told_by(commit)) else {
            continue;
        };
        let Some(text) = repository.text(&ours.hash, path).await? else {
            continue;
        };
        // A mark that was added since then was never written.
        let (then, _) = mark::marks(&text);
        let none = Digests::new();
        let is_right = |old: &Marked| {
            matches!(
                wanted(want.stance, want.end, &old.mark, &old.value, &none),
                Ok(None)
            )
        };
        let right = then
            .iter()
            .find(|old| old.mark == marked.mark && is_right(old));
        let Some(right) = right else {
            continue;
        };
        let theirs = repository
            .since(&ours.hash, head, path)
            .await?
            .into_iter()
            .next();
        let theirs = theirs.map_or_else(
            || "history that was rewritten".to_owned(),
            |theirs| format!("commit {} of {}", theirs.hash, theirs.author),
        );
        return Ok(Some(format!(
            "{path}, line {}: commit {} of ours set {}, and {theirs} set {} again. It is left so until another \
             revision is promoted or rejected. If a tool keeps writing this line, let one of the two write it",
            marked.line, ours.hash, right.value, marked.value
        )));
    }
    Ok(None)
}

/// Makes the branch of a revert, once. Returns what to tell, if it is news.
async fn propose(
    repository: &Repository,
    head: &str,
    proposal: &Proposal,
) -> Result<Option<String>, GitError> {
    let Proposal { branch, note, .. } = proposal;
    if repository.is_noted(note).await? {
        return Ok(None);
    }
    if repository.has_branch(branch).await? {
        repository.note(note, head).await?;
        return Ok(None);
    }
    let commit = repository
        .commit(head, &proposal.files, &proposal.message)
        .await?;
    if let Err(error) = repository.push(&commit, branch).await {
        // Another process may have been faster, or this one before it lost the answer.
        if !repository.has_branch(branch).await? {
            return Err(error);
        }
    }
    repository.note(note, &commit).await?;
    Ok(Some(format!(
        "branch {branch} takes back what was rejected, commit {commit}"
    )))
}

/// Longer each time, and never the same for two who push at once.
fn pause(attempt: u32) -> Duration {
    let longest = PAUSE
        .saturating_mul(1 << attempt.min(10))
        .min(LONGEST_PAUSE);
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    let part = u32::try_from(random % 1000).unwrap_or_default();
    longest / 2 + longest.saturating_mul(part) / 2000
}
