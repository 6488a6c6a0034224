//! A history as text: a line for every event, and one whenever the Canary changes.

use std::fmt::Write;

use sluice_core::{Decision, Effect, Part, Record, Routing, Time};

use crate::cluster::{Cluster, start_of_time};

#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) text: String,
    last: String,
    effects: Vec<String>,
}

impl Journal {
    /// Something that somebody does.
    pub(crate) fn note(&mut self, what: &str, now: Time) {
        _ = writeln!(self.text, "{} > {what}", clock(now));
    }

    /// What was written since the last line.
    pub(crate) fn wrote(&mut self, effect: &Effect) {
        self.effects.push(brief(effect));
    }

    /// A decision after which nothing is left to do at its moment.
    pub(crate) fn decision(&mut self, decision: &Decision, cluster: &Cluster) {
        let route = cluster.world.route.as_ref();
        let weights = route.map(|route| {
            let weights = route.weights.iter();
            weights
                .map(|(name, weight)| format!("{name} {weight}"))
                .collect::<Vec<_>>()
        });
        let weights = weights.map_or("no route".to_owned(), |weights| weights.join(", "));
        let waiting = decision.waiting.as_ref().map(ToString::to_string);
        let line = format!(
            "{:<12} | {weights} | {}",
            decision.phase.to_string(),
            waiting.unwrap_or_default()
        );
        let effects = std::mem::take(&mut self.effects);
        if line == self.last && effects.is_empty() {
            return;
        }
        _ = writeln!(self.text, "{}   {}", clock(cluster.now), line.trim_end());
        for effect in effects {
            _ = writeln!(self.text, "            {effect}");
        }
        self.last = line;
    }
}

/// Minutes and seconds since the beginning.
fn clock(now: Time) -> String {
    let seconds = (now - start_of_time()).num_seconds();
    format!("{:3}:{:02}", seconds / 60, seconds % 60)
}

fn brief(effect: &Effect) -> String {
    match effect {
        Effect::Claim => "add the finalizer".to_owned(),
        Effect::Snapshot(name) => format!("store {name}"),
        Effect::Expose(name) => format!("create Service {name}"),
        Effect::Run { revision, replicas } => format!("run {replicas} pods of {revision}"),
        Effect::Route(routing) => format!("route {}", shares(routing)),
        Effect::Unroute => "delete the route".to_owned(),
        Effect::Remember { revision, record } => format!("{revision} is {}", verdict(record)),
        Effect::ScaleTarget(replicas) => format!("scale the target to {replicas}"),
        Effect::KeepTarget(replicas) => format!("keep the target at {replicas}"),
        Effect::LeaveTarget => "leave the target's size to others".to_owned(),
        Effect::SizeCanary(replicas) => format!("give the Canary its size: {replicas}"),
        Effect::Remove { revision, part } => match part {
            Part::Workload => format!("delete the pods of {revision}"),
            Part::Service => format!("delete Service {revision}"),
            Part::Snapshot => format!("forget {revision}"),
        },
        Effect::Admit(name) => format!("admit the pods of {name}"),
        Effect::Dismiss(name) => format!("dismiss the pods of {name}"),
        Effect::Release => "remove the finalizer".to_owned(),
    }
}

fn shares(routing: &Routing) -> String {
    let shares = routing.weights.iter();
    let shares: Vec<_> = shares
        .map(|(name, weight)| format!("{name} {weight}"))
        .collect();
    shares.join(", ")
}

fn verdict(record: &Record) -> String {
    let mut text = match record.outcome {
        Some(outcome) => format!("{outcome:?}: {}", record.reason),
        None => "to be tried again".to_owned(),
    };
    for order in &record.orders {
        _ = write!(text, "; {order} is done with");
    }
    text
}
