//! What happens when: drawn from a seed before anything happens, so that a run can be repeated.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use super::dice::Dice;
use super::version::{Fault, Version};

/// What a schedule is drawn from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) length: Duration,
    pub(super) canaries: usize,
    pub(super) seed: u64,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// From the beginning of the chaos.
    pub(super) at: Duration,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// To the whole cluster, for so long.
    Outage(Outage, Duration),
    /// To one app, counted from 0.
    Deed(usize, Deed),
}

/// What fails for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Outage {
    /// The controller is killed, and started again afterwards.
    Kill,
    /// The controller is stopped by SIGSTOP, and goes on afterwards as if no time had passed.
    Freeze,
    /// Prometheus is killed, and started again afterwards.
    Metrics,
    /// The API server is killed, and started again afterwards.
    Api,
}

/// What is done to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Git has another version.
    Push(Version),
    /// Somebody gives the first backend of the route this percentage.
    EditWeights(u32),
    DeleteRoute,
    /// Somebody removes all labels of a revision's Service.
    StripService,
    WipeStatus,
    /// Somebody scales the Deployment in Git's hands.
    ScaleTarget(u32),
    /// Somebody, or an autoscaler, scales the Canary.
    Scale(u32),
    DeleteCanary,
    CreateCanary,
    Suspend,
    Resume,
    Promote,
    Abort,
    Retry,
}

/// How often each outage comes, and from how long to how long it lasts, in seconds.
const OUTAGES: [(Outage, u64, u64, u64); 4] = [
    (Outage::Kill, 60, 0, 8),
    (Outage::Freeze, 150, 3, 25),
    (Outage::Metrics, 180, 5, 40),
    (Outage::Api, 300, 5, 60),
];
/// The fleet meets a deed so often on average, but no app more often than [`CLOSEST`].
const DEED_EVERY: Duration = Duration::from_millis(1800);
const CLOSEST: Duration = Duration::from_secs(12);
/// After its Canary was made anew an app is left alone until it is adopted.
const ADOPTION: Duration = Duration::from_secs(50);
/// A crashing version ends by its deadline alone: not so late that the end of the soak waits for it.
const LAST_CRASH: Duration = Duration::from_secs(30);
/// What an API server needs to answer again after it was started.
const API_START: Duration = Duration::from_secs(10);

/// Draws what happens, in the order of time.
pub(super) fn draw(setting: Setting) -> Vec<Event> {
    let dice = Dice::new(setting.seed);
    let mut events = outages(&mut dice.fork(0), setting.length);
    let silent = silences(&events);
    for canary in 0..setting.canaries {
        let mut dice = dice.fork(canary as u64 + 1);
        let mut drawn = Draw::new(canary, setting);
        drawn.run(&mut dice);
        drawn.events.sort_by_key(|event| event.at);
        let mut earliest = Duration::ZERO;
        for mut event in drawn.events {
            // Without an API server nobody can do anything; then they do it all the sooner.
            if let Some((_, end)) = silent
                .iter()
                .find(|(from, to)| (*from..*to).contains(&event.at))
            {
                event.at = *end + dice.time(Duration::ZERO, Duration::from_secs(3));
            }
            // What happens to one app stays in its order.
            event.at = event.at.max(earliest);
            earliest = event.at;
            events.push(event);
        }
    }
    // Stable, for the same reason.
    events.sort_by_key(|event| event.at);
    events
}

/// Each outage once in every part of the run of its length: a short run meets all of them too.
fn outages(dice: &mut Dice, length: Duration) -> Vec<Event> {
    let mut events = Vec::new();
    for (outage, every, shortest, longest) in OUTAGES {
        let parts = (length.as_secs() / every).max(1);
        let part = length / u32::try_from(parts).unwrap_or(u32::MAX);
        let shortest = Duration::from_secs(shortest).max(Duration::from_millis(200));
        for index in 0..u32::try_from(parts).unwrap_or(u32::MAX) {
            let lasts = dice.time(shortest, Duration::from_secs(longest).min(part / 5));
            let at = part * index + dice.time(part / 10, part * 7 / 10);
            events.push(Event {
                at,
                what: What::Outage(outage, lasts),
            });
        }
    }
    events
}

/// When the API server does not answer.
fn silences(events: &[Event]) -> Vec<(Duration, Duration)> {
    let silence = |event: &Event| match event.what {
        What::Outage(Outage::Api, lasts) => Some((
            event.at.saturating_sub(Duration::from_secs(1)),
            event.at + lasts + API_START,
        )),
        _ => None,
    };
    events.iter().filter_map(silence).collect()
}

/// The draw for one app.
struct Draw {
    canary: usize,
    setting: Setting,
    at: Duration,
    /// Every version that Git had, the newest last.
    versions: Vec<Version>,
    newest: u32,
    /// Until then the Canary is suspended: deleting it would wait for its resumption.
    suspended: Duration,
    events: Vec<Event>,
}

impl Draw {
    fn new(canary: usize, setting: Setting) -> Self {
        Self {
            canary,
            setting,
            at: Duration::ZERO,
            versions: vec![first(canary)],
            newest: 1,
            suspended: Duration::ZERO,
            events: Vec::new(),
        }
    }

    fn run(&mut self, dice: &mut Dice) {
        let mean = CLOSEST.max(DEED_EVERY * u32::try_from(self.setting.canaries).unwrap_or(1));
        self.at = dice.time(Duration::from_secs(1), mean);
        while self.at < self.setting.length {
            let rest = self.act(dice);
            self.at += rest + dice.time(mean / 2, mean * 3 / 2);
        }
    }

    /// Draws a deed; returns how long the app is left alone on top of the usual.
    fn act(&mut self, dice: &mut Dice) -> Duration {
        let left = self.setting.length.saturating_sub(self.at);
        let second = Duration::from_secs(1);
        let pick = dice.pick(&[
            (44, Pick::Push),
            (10, Pick::One(Deed::EditWeights(0))),
            (6, Pick::One(Deed::DeleteRoute)),
            (5, Pick::One(Deed::StripService)),
            (6, Pick::One(Deed::WipeStatus)),
            (5, Pick::One(Deed::ScaleTarget(0))),
            (7, Pick::One(Deed::Scale(0))),
            (5, Pick::Recreate),
            (5, Pick::Suspend),
            (3, Pick::One(Deed::Promote)),
            (2, Pick::One(Deed::Abort)),
            (2, Pick::One(Deed::Retry)),
        ]);
        match pick {
            Some(Pick::Recreate) if self.at > self.suspended => {
                let gap = dice.time(2 * second, 15 * second);
                self.happens(self.at, Deed::DeleteCanary);
                self.happens(self.at + gap, Deed::CreateCanary);
                return gap + ADOPTION;
            }
            Some(Pick::Suspend) if self.at > self.suspended => {
                let gap = dice.time(3 * second, 20 * second).min(left);
                self.happens(self.at, Deed::Suspend);
                self.happens(self.at + gap, Deed::Resume);
                self.suspended = self.at + gap;
            }
            Some(Pick::One(deed)) => {
                let deed = match deed {
                    Deed::EditWeights(_) => Deed::EditWeights(number(dice.between(10, 90))),
                    Deed::ScaleTarget(_) => Deed::ScaleTarget(number(dice.between(1, 3))),
                    Deed::Scale(_) => Deed::Scale(number(dice.between(1, 3))),
                    other => other,
                };
                self.happens(self.at, deed);
            }
            _ => {
                let version = self.version(dice, left);
                self.versions.push(version);
                self.happens(self.at, Deed::Push(version));
            }
        }
        Duration::ZERO
    }

    /// The next version in Git.
    fn version(&mut self, dice: &mut Dice, left: Duration) -> Version {
        let now = self.versions.last().copied().unwrap_or(first(self.canary));
        let before = self.versions.iter().rev().find(|version| **version != now);
        let fails = u8::try_from(dice.between(30, 60)).unwrap_or(30);
        let crash = if left > LAST_CRASH { 8 } else { 0 };
        let kinds = [
            (40, Next::New(None)),
            (20, Next::New(Some(Fault::Fails(fails)))),
            (12, Next::New(Some(Fault::Slow))),
            (crash, Next::New(Some(Fault::Crashes))),
            (if now.greeting.is_some() { 20 } else { 0 }, Next::Text),
            (12, Next::Back),
        ];
        let fault = match dice.pick(&kinds) {
            Some(Next::Back) if before.is_some() => return before.copied().unwrap_or(now),
            Some(Next::Text) => {
                let greeting = now.greeting.map(|_| self.newest + 1);
                self.newest += 1;
                return Version { greeting, ..now };
            }
            Some(Next::New(fault)) => fault,
            _ => None,
        };
        self.newest += 1;
        Version {
            number: self.newest,
            fault,
            ..now
        }
    }

    fn happens(&mut self, at: Duration, deed: Deed) {
        let what = What::Deed(self.canary, deed);
        self.events.push(Event { at, what });
    }
}

/// The version that an app begins with: every other one has configuration.
pub(super) fn first(canary: usize) -> Version {
    Version::first(canary.is_multiple_of(2))
}

#[derive(Clone, Copy)]
enum Pick {
    Push,
    One(Deed),
    Recreate,
    Suspend,
}

#[derive(Clone, Copy)]
enum Next {
    New(Option<Fault>),
    /// Another text in the configuration, the same image.
    Text,
    /// What Git had before, as by `git revert`.
    Back,
}

fn number(drawn: u64) -> u32 {
    u32::try_from(drawn).unwrap_or(1)
}

/// The name of an app, which its Canary has too.
pub(super) fn name(canary: usize) -> String {
    format!("app-{:02}", canary + 1)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.at.as_millis() / 100;
        write!(
            f,
            "{:>3}:{:02}.{}  ",
            tenths / 600,
            tenths / 10 % 60,
            tenths % 10
        )?;
        match &self.what {
            What::Outage(outage, lasts) => write!(f, "{outage} for {:.1} s", lasts.as_secs_f64()),
            What::Deed(canary, deed) => write!(f, "{}: {deed}", name(*canary)),
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "controller killed",
            Self::Freeze => "controller frozen",
            Self::Metrics => "Prometheus down",
            Self::Api => "API server down",
        })
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push(version) => write!(f, "push {version}"),
            Self::EditWeights(share) => write!(
                f,
                "edit the route: {share} % to its first backend, a header if it has one"
            ),
            Self::DeleteRoute => f.write_str("delete the route"),
            Self::StripService => f.write_str("remove the labels of a revision's Service"),
            Self::WipeStatus => f.write_str("wipe the status"),
            Self::ScaleTarget(pods) => write!(f, "scale the Deployment to {pods}"),
            Self::Scale(pods) => write!(f, "scale the Canary to {pods}"),
            Self::DeleteCanary => f.write_str("delete the Canary"),
            Self::CreateCanary => f.write_str("create the Canary again"),
            Self::Suspend => f.write_str("suspend"),
            Self::Resume => f.write_str("resume"),
            Self::Promote => f.write_str("order: promote"),
            Self::Abort => f.write_str("order: abort"),
            Self::Retry => f.write_str("order: retry"),
        }
    }
}
