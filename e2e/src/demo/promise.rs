//! What the demo promises, and whether it held.

use std::time::Duration;

use anyhow::{Result, bail};
use console::style;

use super::chapter::{Act, Chapter, End};
use super::screen::Screen;
use super::story::Tale;
use super::text;

/// A promise, and what was seen.
struct Promise {
    text: &'static str,
    holds: bool,
    seen: Vec<String>,
}

/// Puts every promise, and fails if one did not hold.
pub(super) fn check(tale: &Tale, screen: &Screen) -> Result<()> {
    screen.put("");
    let promises = [
        taken_over(tale),
        promoted(tale),
        same_pods(tale),
        rolled_back(tale),
        went_back(tale),
    ];
    for promise in &promises {
        let mark = if promise.holds {
            style("✓").green()
        } else {
            style("✗").red().bold()
        };
        screen.put(&format!(" {mark} {}", promise.text));
        for seen in &promise.seen {
            for line in text::wrap(seen, 74) {
                screen.put(&format!("   {}", style(line).dim()));
            }
        }
    }
    screen.put("");
    let broken: Vec<_> = promises
        .iter()
        .filter(|promise| !promise.holds)
        .map(|promise| promise.text)
        .collect();
    if !broken.is_empty() {
        bail!("this did not hold: {}", broken.join("; "));
    }
    Ok(())
}

fn taken_over(tale: &Tale) -> Promise {
    let text = "Sluice took the running app over without a failed request";
    let Some(chapter) = find(tale, Act::Adoption) else {
        return missing(text);
    };
    let failed = failed(tale, chapter);
    Promise {
        text,
        holds: chapter.went_well() && failed == 0,
        seen: problem(chapter, failed),
    }
}

fn promoted(tale: &Tale) -> Promise {
    let text = "v2 was promoted without a failed request";
    let Some(chapter) = find(tale, Act::Good) else {
        return missing(text);
    };
    let failed = failed(tale, chapter);
    let steps: Vec<_> = chapter
        .steps
        .iter()
        .map(|step| text::percent(*step))
        .collect();
    let mut seen = vec![format!(
        "{} after the commit, by way of {}",
        text::seconds(chapter.took()),
        steps.join(", ")
    )];
    seen.extend(problem(chapter, failed));
    Promise {
        text,
        holds: chapter.went_well() && failed == 0 && !steps.is_empty(),
        seen,
    }
}

fn same_pods(tale: &Tale) -> Promise {
    let text = "the pods that were judged are the pods that serve: same UIDs, no restart";
    let Some(pods) = &tale.pods else {
        return missing(text);
    };
    let seen = format!(
        "judged: {}, serving in the end: {}, replaced: {}, restarted: {}",
        pods.judged, pods.serving, pods.lost, pods.restarts
    );
    Promise {
        text,
        holds: pods.holds(),
        seen: vec![seen],
    }
}

fn rolled_back(tale: &Tale) -> Promise {
    let text = "v3 was rolled back";
    let Some(chapter) = find(tale, Act::Bad) else {
        return missing(text);
    };
    let until = end_of(tale, chapter);
    let mut seen = vec![chapter.reason.clone()];
    seen.push(format!(
        "{} from the commit to the verdict",
        text::seconds(chapter.took())
    ));
    let whole = tale.report.window(chapter.pushed, until);
    let met = whole
        .versions
        .get(&chapter.version)
        .copied()
        .unwrap_or_default();
    if met.failed > 0 {
        let first = first_bad(tale, chapter, until);
        let last = last_answer(tale, chapter, until);
        seen.push(format!(
            "{} from its first bad answer to its last answer: it gave {}, {} of them bad",
            text::seconds(last.saturating_sub(first)),
            text::plural(met.requests, "answer"),
            text::count(met.failed),
        ));
    }
    let others = whole.all.failed.saturating_sub(met.failed);
    if others > 0 {
        seen.push(format!(
            "{} failed that v3 did not answer",
            text::plural(others, "request")
        ));
    }
    Promise {
        text,
        holds: chapter.went_well(),
        seen,
    }
}

fn went_back(tale: &Tale) -> Promise {
    let text = "git revert brought v1 back, without a gate or a failed request";
    let Some(chapter) = find(tale, Act::RevertGood) else {
        return missing(text);
    };
    let failed = failed(tale, chapter);
    let mut seen = Vec::new();
    let mut holds = chapter.went_well() && failed == 0;
    if !chapter.went_back || !chapter.steps.is_empty() {
        holds = false;
        seen.push(format!("it was judged again, at {:?} %", chapter.steps));
    }
    if chapter.end == End::Serves {
        let until = end_of(tale, chapter);
        let left = bisect(chapter.pushed, until, |time| {
            !tale.report.window(time, until).versions.contains_key("v2")
        });
        seen.push(format!(
            "all users had v1 {} after the commit",
            text::seconds(left.saturating_sub(chapter.pushed))
        ));
    }
    seen.extend(problem(chapter, failed));
    Promise { text, holds, seen }
}

fn missing(text: &'static str) -> Promise {
    Promise {
        text,
        holds: false,
        seen: vec!["the story did not come so far".to_owned()],
    }
}

fn problem(chapter: &Chapter, failed: u64) -> Vec<String> {
    let mut problems = Vec::new();
    if failed > 0 {
        problems.push(format!("{} failed", text::plural(failed, "request")));
    }
    if chapter.end != End::Serves {
        problems.push(chapter.reason.clone());
    }
    problems
}

fn find(tale: &Tale, act: Act) -> Option<&Chapter> {
    tale.chapters.iter().find(|chapter| chapter.act == act)
}

/// When the next chapter began: every request belongs to one.
fn end_of(tale: &Tale, chapter: &Chapter) -> Duration {
    let mut later = tale.chapters.iter().map(|next| next.pushed);
    later
        .find(|pushed| *pushed > chapter.pushed)
        .unwrap_or(tale.report.elapsed)
}

fn failed(tale: &Tale, chapter: &Chapter) -> u64 {
    tale.report
        .window(chapter.pushed, end_of(tale, chapter))
        .all
        .failed
}

/// When the first request was sent that the chapter's version failed.
fn first_bad(tale: &Tale, chapter: &Chapter, until: Duration) -> Duration {
    bisect(chapter.pushed, until, |time| {
        let seen = tale.report.window(chapter.pushed, time);
        seen.versions
            .get(&chapter.version)
            .is_some_and(|tally| tally.failed > 0)
    })
}

/// When the last request was sent that the chapter's version answered.
fn last_answer(tale: &Tale, chapter: &Chapter, until: Duration) -> Duration {
    bisect(chapter.pushed, until, |time| {
        !tale
            .report
            .window(time, until)
            .versions
            .contains_key(&chapter.version)
    })
}

/// The first time, to a millisecond, at which something holds that holds for ever after.
fn bisect(from: Duration, to: Duration, holds: impl Fn(Duration) -> bool) -> Duration {
    let (mut before, mut after) = (from, to);
    while after.saturating_sub(before) > Duration::from_millis(1) {
        let middle = before + after.saturating_sub(before) / 2;
        if holds(middle) {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_change_is_found() {
        let change = Duration::from_millis(1234);
        let found = bisect(Duration::ZERO, Duration::from_mins(1), |time| {
            time >= change
        });
        assert!(
            found >= change && found.saturating_sub(change) <= Duration::from_millis(1),
            "{found:?}"
        );
    }
}
