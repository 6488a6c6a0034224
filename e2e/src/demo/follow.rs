//! Follows one commit to its end, and says what happens.

use std::time::Duration;

use anyhow::{Result, bail};
use console::style;
use tokio::time::{Instant, sleep, timeout_at};

use super::chapter::{self, Act, Chapter, End};
use super::moment::Moment;
use super::screen::Screen;
use super::watch::Watch;
use super::{pods, text};
use crate::stage::{Scene, describe};

/// How long a commit may take to its end; a good version takes about 25 s.
const LIMIT: Duration = Duration::from_secs(100);
/// How long what left the route may keep its pods.
const REST: Duration = Duration::from_secs(40);
/// What a person gets to see that it is over.
const PAUSE: Duration = Duration::from_secs(2);

/// What is followed.
pub(super) struct Subject<'a> {
    pub(super) act: Act,
    pub(super) version: &'a str,
    pub(super) revision: String,
    /// When it was committed, on the load's clock.
    pub(super) pushed: Duration,
}

/// Follows a commit until its revision serves or is rejected, and says each weight that it gets.
pub(super) async fn follow(
    subject: Subject<'_>,
    scene: &Scene<'_>,
    watch: &Watch<'_>,
    screen: &Screen,
) -> Result<Chapter> {
    let mut chapter = Chapter {
        act: subject.act,
        version: subject.version.to_owned(),
        revision: subject.revision,
        pushed: subject.pushed,
        ended: subject.pushed,
        end: End::Late,
        reason: String::new(),
        steps: Vec::new(),
        judged: Vec::new(),
        went_back: false,
    };
    let deadline = Instant::now() + LIMIT;
    let mut moments = watch.moments();
    let mut weight = 0.0;
    loop {
        let moment = moments.borrow_and_update().clone();
        let now = moment.weight(&chapter.revision).unwrap_or_default();
        if now > weight && moment.status.rollout.is_some() {
            weight = now;
            grown(&mut chapter, now, screen);
            if now < 100.0 {
                let ready = pods::ready(scene, &chapter.revision).await?;
                chapter.judged.extend(ready);
                chapter.judged.sort_unstable();
                chapter.judged.dedup();
            }
        }
        chapter.ended = watch.load().now();
        if let Some(end) = chapter::end(&chapter.revision, &moment.status) {
            chapter.end = end;
            chapter.reason = reason(&chapter.revision, &moment);
            break;
        }
        if timeout_at(deadline, moments.changed()).await.is_err() {
            chapter.reason = format!("not within {LIMIT:?}: {}", describe(&moment.status));
            break;
        }
    }
    let begins = format!("GoingBack: {} ", chapter.revision);
    let events = scene.events(super::manifests::NAME).await?;
    chapter.went_back = events.iter().any(|event| event.starts_with(&begins));
    told(&chapter, &watch.moments().borrow(), screen);
    Ok(chapter)
}

/// Waits until nothing is under way, and a moment more.
pub(super) async fn rest(watch: &Watch<'_>) -> Result<()> {
    let deadline = Instant::now() + REST;
    let mut moments = watch.moments();
    let at_rest = moments.wait_for(|moment| !moment.is_moving());
    if timeout_at(deadline, at_rest).await.is_err() {
        let moment = watch.moments().borrow().clone();
        bail!("not at rest within {REST:?}: {}", describe(&moment.status));
    }
    sleep(PAUSE).await;
    Ok(())
}

fn grown(chapter: &mut Chapter, weight: f64, screen: &Screen) {
    let version = &chapter.version;
    if weight < 100.0 {
        chapter.steps.push(weight);
        screen.say(
            "sluice",
            &format!("{version} gets {} of the requests", text::percent(weight)),
        );
    } else {
        screen.say("sluice", &format!("{version} gets all requests"));
    }
}

/// The reason of the last rollout, if it was this revision's.
fn reason(revision: &str, moment: &Moment) -> String {
    let last = moment.status.history.first();
    let last = last.filter(|entry| entry.revision == revision);
    last.map(|entry| entry.reason.clone()).unwrap_or_default()
}

fn told(chapter: &Chapter, moment: &Moment, screen: &Screen) {
    let version = &chapter.version;
    let end = match (chapter.end, chapter.act) {
        (End::Serves, Act::RevertBad) => {
            return screen.say(
                "sluice",
                &format!("{version} serves already: nothing to do"),
            );
        }
        (End::Serves, Act::Adoption) => style("taken over").green(),
        (End::Serves, Act::RevertGood) => style("back").green(),
        (End::Serves, Act::Good | Act::Bad) => style("promoted").green(),
        (End::RolledBack, _) => style("rolled back").red(),
        (End::Late, _) => style("at no end").red(),
    };
    let line = format!(
        "{version} {end} after {}: {}, {} failed",
        text::seconds(chapter.took()),
        text::plural(moment.chapter.requests, "request"),
        text::count(moment.chapter.failed)
    );
    screen.say("sluice", &line);
    if chapter.end != End::Serves {
        screen.more(&chapter.reason);
    }
}
