//! What a source calls things. Adding a source is adding an entry here.
//!
//! Names and labels are written as the source writes them. OpenTelemetry's have dots, which a server may have
//! turned into underscores: see [`spell`].

mod bounds;
mod cilium;
mod connections;
mod istio;
mod otel;
#[cfg(test)]
mod registry;

use std::collections::BTreeMap;

use sluice_crds::{OtlpNames, Source};

pub use bounds::{NoBucket, buckets_ms, check_threshold};
pub use connections::counted_by;
pub(super) use connections::{Connections, Counted, WorkloadLabels};

/// The labels of one series.
pub(super) type Labels = BTreeMap<String, String>;

/// The names that one source uses.
#[derive(Debug)]
pub(super) struct Dialect {
    /// As users write it.
    pub(super) name: &'static str,
    /// What counts requests, the best first: of one process only the best that it has is counted.
    pub(super) families: &'static [Family],
    /// Only series with these labels count.
    pub(super) only: &'static [(&'static str, &'static str)],
    /// The label with the namespace of the revision's Service and Deployment.
    pub(super) namespace: &'static str,
    /// The label with the revision's name, which is that of its Service and of its Deployment.
    pub(super) service: &'static str,
    /// What that label named before there was a revision.
    pub(super) told_by: ToldBy,
    /// The labels that tell one process from another: the counters of a process restart together.
    pub(super) origin: &'static [&'static str],
    /// Whose process counts.
    pub(super) counted_by: CountedBy,
    /// Who connects to pods, where that can be told.
    pub(super) connections: Option<&'static Connections>,
    /// What became of a request: the first rule that fits; good if none does.
    rules: &'static [Rule],
    /// The bounds of the histogram's buckets that are whole milliseconds, rising.
    bounds_ms: &'static [u64],
}

/// Metrics that count the same requests.
#[derive(Debug)]
pub(super) struct Family {
    /// A counter of requests; without one, the count of the histogram.
    pub(super) requests: Option<&'static str>,
    /// A classic histogram of their durations, without `_bucket` and `_count`, under each name that it may have.
    pub(super) durations: &'static [&'static str],
    /// What it measures in.
    pub(super) unit: Unit,
}

impl Family {
    /// The histogram, under the best of its names.
    pub(super) fn histogram(&self) -> &'static str {
        self.durations.first().copied().unwrap_or_default()
    }

    /// What counts requests.
    pub(super) fn requests(&self) -> String {
        let alone = || format!("{}_count", self.histogram());
        self.requests.map_or_else(alone, str::to_owned)
    }
}

/// The unit of a histogram's bounds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
}

/// What a source knows requests by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ToldBy {
    /// The Service that they were sent to.
    Service,
    /// The Deployment of the pods that got them.
    Workload,
}

/// Whose process counts a revision's requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CountedBy {
    /// Proxies that count for many revisions, and outlive them.
    Proxies,
    /// The revision's own pods: with them their counters come and go. Resource attributes that are not on the
    /// series themselves are on their `target_info`, if this says so.
    Pods { target_info: bool },
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Answered, and not with a server error.
    Good,
    /// Answered with a server error.
    Bad,
    /// Answered with a server error by the proxy itself, which reached no pod.
    Unreached,
    /// Ended without an answer: the client may have gone. Neither good nor bad.
    Unanswered,
}

/// An outcome, and all that the labels must say for it.
#[derive(Debug)]
struct Rule {
    when: &'static [(&'static str, Is)],
    outcome: Outcome,
}

/// What a label's value must be.
#[derive(Debug)]
enum Is {
    OneOf(&'static [&'static str]),
    NoneOf(&'static [&'static str]),
    /// A list, separated by commas, with one of these in it.
    Lists(&'static [&'static str]),
    Prefixed(&'static str),
    /// Anything but empty.
    Set,
}

impl Is {
    /// Whether a label of these fits.
    fn of(&self, labels: &Labels, label: &str) -> bool {
        let value = labels.get(label).map_or("", String::as_str);
        match self {
            Self::OneOf(values) => values.contains(&value),
            Self::NoneOf(values) => !values.contains(&value),
            Self::Lists(values) => value.split(',').any(|one| values.contains(&one)),
            Self::Prefixed(prefix) => value.starts_with(prefix),
            Self::Set => !value.is_empty(),
        }
    }
}

impl Dialect {
    /// The names that this source uses.
    pub(super) fn of(source: Source) -> &'static Self {
        match source {
            Source::IstioWaypoint => &istio::WAYPOINT,
            Source::IstioSidecar => &istio::SIDECAR,
            Source::OtelHttp => &otel::HTTP,
            Source::OtelRpc => &otel::RPC,
            Source::CiliumHubble => &cilium::HUBBLE,
        }
    }

    /// What to look after when series are gone.
    pub(super) fn hint(&self) -> &'static str {
        match self.counted_by {
            CountedBy::Proxies => "is its proxy still scraped?",
            CountedBy::Pods { .. } => "do its pods still have them?",
        }
    }

    /// What became of the requests that a series counts.
    pub(super) fn outcome(&self, labels: &Labels) -> Outcome {
        let fits = |(label, is): &(&str, Is)| is.of(labels, label);
        let rule = self.rules.iter().find(|rule| rule.when.iter().all(fits));
        rule.map_or(Outcome::Good, |rule| rule.outcome)
    }

    /// The labels that [`Self::outcome`] looks at, each once.
    pub(super) fn outcome_labels(&self) -> Vec<&'static str> {
        let mut labels = Vec::new();
        for (label, _) in self.rules.iter().flat_map(|rule| rule.when) {
            if !labels.contains(label) {
                labels.push(*label);
            }
        }
        labels
    }

    /// Whether `target_info` tells whose pods count.
    pub(super) fn target_info(&self) -> bool {
        self.counted_by == CountedBy::Pods { target_info: true }
    }
}

/// A name as the server has it.
pub(super) fn spell(name: &str, names: OtlpNames) -> String {
    match names {
        OtlpNames::Dots => name.to_owned(),
        OtlpNames::Underscores => name.replace('.', "_"),
    }
}

#[cfg(test)]
fn labels<const N: usize>(labels: [(&str, &str); N]) -> Labels {
    labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}
