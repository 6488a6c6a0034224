//! All that is shown, at one moment.

use std::collections::BTreeMap;

use sluice_crds::{CanaryStatus, Phase};

use super::slo::Slo;
use crate::load::{Tally, Window};

/// What users see, what the route says, and what Sluice thinks, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// Requests of the last seconds.
    pub(super) recent: Window,
    /// Requests since the chapter began.
    pub(super) chapter: Tally,
    /// The stable revision first, then the candidate, then whatever still answers.
    pub(super) shares: Vec<Share>,
    /// What the candidate is judged by.
    pub(super) slos: Vec<Slo>,
    /// The Canary's status.
    pub(super) status: CanaryStatus,
}

/// One version's part of the requests.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// As answers name it: `v2`.
    pub(super) version: String,
    /// Its revision; none for the target's own pods.
    pub(super) revision: Option<String>,
    /// Percent, by the route.
    pub(super) wanted: Option<f64>,
    /// Percent, by the answers that clients got lately.
    pub(super) measured: Option<f64>,
}

impl Moment {
    /// The weight of a revision in the route, in percent.
    pub(super) fn weight(&self, revision: &str) -> Option<f64> {
        let mut shares = self.shares.iter();
        shares
            .find(|share| share.revision.as_deref() == Some(revision))?
            .wanted
    }

    /// The version of a revision.
    pub(super) fn version(&self, revision: Option<&str>) -> Option<&str> {
        let mut shares = self.shares.iter();
        let share =
            shares.find(|share| share.revision.is_some() && share.revision.as_deref() == revision);
        share.map(|share| share.version.as_str())
    }

    /// What the Ready condition says.
    pub(super) fn message(&self) -> &str {
        let mut conditions = self.status.conditions.iter();
        let ready = conditions.find(|condition| condition.type_ == "Ready");
        ready.map_or("", |ready| ready.message.as_str())
    }

    /// Phase and step: `Progressing 1/3`.
    pub(super) fn stage(&self) -> String {
        let phase = self.status.phase.map_or_else(
            || "Sluice has not seen it yet".to_owned(),
            |phase| format!("{phase:?}"),
        );
        match &self.status.progress {
            Some(progress) if self.status.rollout.is_some() => format!("{phase} {progress}"),
            _ => phase,
        }
    }

    /// Whether anything is under way.
    pub(super) fn is_moving(&self) -> bool {
        !matches!(self.status.phase, Some(Phase::Succeeded | Phase::Failed))
    }
}

/// Puts together what the route says and what clients measured. `versions` names the version of
/// each revision.
pub(super) fn shares(
    status: &CanaryStatus,
    weights: &BTreeMap<String, f64>,
    versions: &BTreeMap<String, String>,
    recent: &Window,
) -> Vec<Share> {
    let measured = |version: &str| recent.share(version).map(|share| share.share * 100.0);
    let candidate = status.rollout.as_ref().map(|rollout| &rollout.candidate);
    let named = [status.stable.as_ref(), candidate];
    let named = named.into_iter().flatten();
    let mut shares: Vec<Share> = Vec::new();
    for revision in named.chain(weights.keys()) {
        let Some(version) = versions.get(revision) else {
            continue;
        };
        if shares
            .iter()
            .any(|share| share.revision.as_ref() == Some(revision))
        {
            continue;
        }
        shares.push(Share {
            version: version.clone(),
            revision: Some(revision.clone()),
            wanted: Some(weights.get(revision).copied().unwrap_or_default()),
            measured: measured(version),
        });
    }
    for version in recent.versions.keys() {
        if shares.iter().any(|share| share.version == *version) {
            continue;
        }
        // It left the route, or there is none yet.
        let mut known = versions.iter();
        let known = known
            .find(|(_, known)| *known == version)
            .map(|(revision, _)| revision);
        shares.push(Share {
            version: version.clone(),
            revision: known.cloned(),
            wanted: known.map(|_| 0.0),
            measured: measured(version),
        });
    }
    shares
}
