//! Written scenarios, and what the Canary does in them.
//!
//! `tests/scenarios/*.txt` say what happens, one event a line; the snapshot beside each says what the
//! Canary made of it. Templates 0 to 3 are good, 4 answers three of ten requests with an error, 5 never
//! gets ready, 6 answers half with an error, and 7 six in a thousand. There are 100 requests a second and 4 pods; the steps are 5 %, 25 % and 50 %, each with a
//! bake of 30 s. `holdback 1% 5m` adds a holdback to them, `approvals at 25%` an approval.

use std::fmt::Write;
use std::path::Path;

use insta::{Settings, assert_snapshot};
use sluice_core::{Action, ErrorBudget, Part, Scaled, decide};

use crate::cluster::Pods;
use crate::controller::{Fault, Outage};
use crate::event::{Event, Verb, Whom};
use crate::history::{Approvals, History, Holdback, Setting};
use crate::journal::Journal;
use crate::others::{Edit, Notes};

#[test]
fn scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let files = folder.read_dir().unwrap().map(|file| file.unwrap().path());
    let mut texts: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .collect();
    texts.sort();
    assert!(!texts.is_empty(), "no scenarios in {}", folder.display());
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for path in texts {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let journal = play(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        settings.bind(|| assert_snapshot!(name, journal));
    }
}

/// Plays a scenario; the invariants hold in it like everywhere.
fn play(text: &str) -> Result<String, String> {
    let setting = Setting {
        replicas: Some(4),
        inconclusive: Action::Hold,
        holdback: text.lines().find_map(holdback),
        approvals: text.lines().find_map(approvals).unwrap_or_default(),
    };
    let mut history = History::new(setting, decide, None);
    history.audit.journal = Some(Journal::default());
    for line in text.lines() {
        if let Some(journal) = &mut history.audit.journal {
            if line.starts_with('#') {
                _ = writeln!(journal.text, "{line}");
                continue;
            }
            if holdback(line).is_some() || approvals(line).is_some() {
                continue;
            }
            if !line.starts_with("wait") && line != "adopted" {
                journal.note(line, history.cluster.now);
            }
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        step(&mut history, &words).ok_or(format!("no such event: {line}"))??;
    }
    let journal = history.audit.journal.unwrap_or_default();
    Ok(journal.text)
}

/// The approvals of `approvals before` or `approvals before and at 25%`.
fn approvals(line: &str) -> Option<Approvals> {
    match line.strip_prefix("approvals ")? {
        "before" => Some(Approvals(&[0])),
        "at 25%" => Some(Approvals(&[25])),
        "at 5% and 50%" => Some(Approvals(&[5, 50])),
        _ => None,
    }
}

/// The holdback of `holdback 1% 5m`.
fn holdback(line: &str) -> Option<Holdback> {
    let (percent, minutes) = line.strip_prefix("holdback ")?.split_once("% ")?;
    Some(Holdback {
        percent: percent.parse().ok()?,
        seconds: minutes.strip_suffix('m')?.parse::<u16>().ok()? * 60,
    })
}

/// `None` for words that mean nothing.
fn step(history: &mut History, words: &[&str]) -> Option<Result<(), String>> {
    let event = match words {
        ["wait", time] => {
            let (number, unit) = time.split_at(time.len() - 1);
            let seconds = number.parse::<u16>().ok()? * if unit == "m" { 60 } else { 1 };
            return Some(wait(history, seconds));
        }
        // The first two minutes, which are the same everywhere.
        ["adopted"] => {
            let journal = history.audit.journal.take();
            let waited = wait(history, 120);
            history.audit.journal = journal;
            return Some(waited);
        }
        ["budget", percent, days, past] => {
            history.limit(budget(percent, days)?, past.parse().ok()?);
            Event::CatchUp
        }
        ["break", template] => {
            let template = template.strip_prefix('v')?.parse().ok()?;
            history.cluster.surroundings.broken = Some(template);
            Event::CatchUp
        }
        ["edit-route", revision] => Event::EditRoute(Edit::Whole(index_of(history, revision)?)),
        ["kill", revision] => Event::KillPods(index_of(history, revision)?),
        ["unbind", revision] => Event::Unbind(index_of(history, revision)?),
        // Nobody runs the controller for so many minutes.
        ["away", minutes] => {
            let minutes = chrono::TimeDelta::minutes(minutes.parse().ok()?);
            history.cluster.advance(minutes);
            Event::Crash
        }
        ["pods", "stuck"] => Event::Pods(Pods::Stuck),
        ["pods", "quick"] => Event::Pods(Pods::Quick),
        ["edit-notes", "future"] => Event::EditNotes(Notes::Future),
        ["edit-notes", "step"] => Event::EditNotes(Notes::Step),
        ["edit-notes", "gone"] => Event::EditNotes(Notes::Gone),
        ["edit-notes", "past"] => Event::EditNotes(Notes::Past),
        ["force"] => Event::Force,
        ["create"] => Event::Create,
        ["kill-behind-writes"] => Event::KillBehindWrites(true),
        ["land"] => Event::Land,
        ["parent", state] => Event::Parent(*state == "on"),
        ["delete-part", revision, part] => {
            let part = match *part {
                "deployment" => Part::Workload,
                "service" => Part::Service,
                _ => Part::Snapshot,
            };
            Event::DeletePart(index_of(history, revision)?, part)
        }
        ["arm", fault, writes] => {
            let fault = match *fault {
                "refuse" => Fault::Refuse,
                "lost" => Fault::Lost,
                _ => Fault::Late,
            };
            Event::Arm(fault, writes.parse().ok()?)
        }
        ["outdate"] => Event::Outdate(None),
        ["edit-rules"] => Event::EditRoute(Edit::Rules),
        ["replicas", number] => Event::Scale(number.parse().ok()?),
        ["api", "down"] => Event::Api(Outage::Down),
        ["api", "up"] => Event::Api(Outage::None),
        ["order" | "order-by-image" | "approve", ..] => ordered(history, words)?,
        ["metrics", state] => Event::Metrics(*state == "on"),
        ["proxies", state] => Event::Proxies(*state == "on"),
        ["waypoint", state] => Event::Waypoint(*state == "on"),
        ["block", state] => Event::Block(*state == "on"),
        ["incident", state] => Event::Incident(*state == "on"),
        ["traffic", state] => Event::Traffic(*state == "on"),
        ["strict", state] => Event::Strict(*state == "on"),
        ["around", state] => Event::Around(*state == "on"),
        ["ingress", state] => Event::Ingress(*state == "on"),
        ["waive-around", state] => Event::Waive(*state == "on"),
        ["suspend", state] => Event::Suspend(*state == "on"),
        ["mesh-behind", seconds] => Event::Behind(seconds.parse().ok()?),
        ["lose-status"] => Event::LoseStatus,
        ["scale-target", replicas] => Event::ScaleTarget(replicas.parse().ok()?),
        ["git-keeps", replicas] => Event::KeepReplicas(replicas.parse().ok()?),
        ["scale-target-beside-git", replicas] => Event::ScaleBeside(replicas.parse().ok()?),
        ["drop-replicas"] => Event::DropReplicas { dry_first: false },
        ["drop-replicas-dry-first"] => Event::DropReplicas { dry_first: true },
        ["autoscale", "target"] => Event::Autoscale(Some(Scaled::Target)),
        ["autoscale", "canary"] => Event::Autoscale(Some(Scaled::Canary)),
        ["delete"] => Event::Delete,
        ["delete-target"] => Event::DeleteTarget,
        ["delete-route"] => Event::DeleteRoute,
        _ => git(history, words)?,
    };
    let result = history.happen(event);
    Some(result.map_err(|breach| breach.to_string()))
}

/// What Git says of the target and the Canary.
fn git(history: &mut History, words: &[&str]) -> Option<Event> {
    Some(match words {
        ["push", version] => {
            let version = version.strip_prefix('v')?;
            let (template, config) = version.split_once('.').unwrap_or((version, "0"));
            history
                .cluster
                .push(template.parse().ok()?, config.parse().ok()?);
            Event::CatchUp
        }
        // What Git says was promoted last.
        ["promoted", version] => Event::Promoted(Some(version.strip_prefix('v')?.parse().ok()?)),
        ["unpromoted"] => Event::Promoted(None),
        // Git has no pods for the target.
        ["target", "none"] => {
            if let Some(target) = &mut history.cluster.world.target {
                (target.replicas, target.ready, target.settled) = (0, 0, true);
            }
            Event::CatchUp
        }
        ["no-size"] => {
            history.cluster.world.replicas = None;
            Event::CatchUp
        }
        ["size", replicas] => {
            history.cluster.world.replicas = Some(replicas.parse().ok()?);
            Event::CatchUp
        }
        _ => return None,
    })
}

/// What a person orders or approves.
fn ordered(history: &History, words: &[&str]) -> Option<Event> {
    let number = if *words.first()? == "order-by-image" {
        3
    } else {
        0
    };
    Some(match words {
        ["approve", whom, at @ ..] => {
            let at = at.first().and_then(|at| at.strip_suffix('%')?.parse().ok());
            let whom = match *whom {
                "nobody" => Whom::Nobody,
                "image" => Whom::Image,
                "shared-image" => Whom::Shared,
                "wanted" => Whom::Wanted,
                other => Whom::Other(index_of(history, other)?),
            };
            Event::Approve(whom, at)
        }
        [_, "promote"] => Event::Order(Verb::Promote, number),
        [_, "abort"] => Event::Order(Verb::Abort, number),
        [_, "retry"] => Event::Order(Verb::Retry, number),
        _ => return None,
    })
}

/// The share that a release may spend, and the days of the budget.
fn budget(percent: &str, days: &str) -> Option<ErrorBudget> {
    let percent: u32 = percent.strip_suffix('%')?.parse().ok()?;
    Some(ErrorBudget {
        period: chrono::TimeDelta::days(days.strip_suffix('d')?.parse().ok()?),
        per_release_ppm: percent * 10_000,
    })
}

/// Where a revision is among all.
fn index_of(history: &History, revision: &str) -> Option<u8> {
    let mut names = history.cluster.world.revisions.keys();
    let index = names.position(|name| name.as_str() == revision)?;
    u8::try_from(index).ok()
}

/// Looked at every 5 s, as by scrapes.
fn wait(history: &mut History, seconds: u16) -> Result<(), String> {
    let part = seconds.clamp(1, 5);
    let mut waits = (0..seconds / part).map(|_| history.happen(Event::Wait(part)));
    let waited = waits.try_for_each(|waited| waited);
    waited.map_err(|breach| breach.to_string())
}
