//! Who counts: what a source says in its annotations.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Who counts, what, and what of it is bad.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As users write it.
    pub source: String,
    /// Who emits the series, and where.
    pub owner: String,
    /// What must be so for the series to exist.
    pub exists: String,
    /// The metrics that are made of it.
    pub indicators: Vec<String>,
    /// Labels that stand for no attribute of the conventions that the registry depends on.
    #[serde(default)]
    pub other_labels: Vec<String>,
    /// What it counts on layer 7.
    pub requests: Option<Requests>,
    /// What it counts on layer 4.
    pub connections: Option<Connections>,
}

/// How a source counts requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// Whose process counts: `proxies` or `pods`.
    pub counted_by: String,
    /// Whether `target_info` may hold the labels.
    #[serde(default)]
    pub target_info: bool,
    /// Only series with these labels count.
    #[serde(default)]
    pub only: BTreeMap<String, String>,
    /// The label with the revision's namespace.
    pub namespace: String,
    /// The label with the revision's name.
    pub revision: String,
    /// The labels that tell one process from another.
    pub origin: Vec<String>,
    /// The source that says who connects past the waypoint.
    pub callers: Option<String>,
    /// What counts, the best first: of one process only the best that it has is counted.
    pub families: Vec<Family>,
    /// What became of a request: the first rule that fits; good if none does.
    pub rules: Vec<Rule>,
    /// The bounds of the histogram's buckets, in milliseconds.
    pub bounds_ms: Vec<u64>,
}

/// Metrics that count the same requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// A counter of requests; without one, the count of the histogram.
    pub requests: Option<String>,
    /// A classic histogram, under each name that it may have.
    pub durations: Vec<String>,
    /// `ms` or `s`.
    pub unit: String,
}

/// An outcome, and all that the labels must say for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What became of the request.
    pub outcome: Outcome,
    /// For a person.
    pub brief: String,
    /// What each label's value must be.
    pub when: BTreeMap<String, Is>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered, and not with a server error.
    Good,
    /// Answered with a server error.
    Bad,
    /// Answered with a server error by the proxy itself, which reached no pod.
    Unreached,
    /// Ended without an answer. Neither good nor bad.
    Unanswered,
}

/// What a label's value must be.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    /// One of these; an absent label is the empty one.
    OneOf(Vec<String>),
    /// None of these.
    NoneOf(Vec<String>),
    /// A list, separated by commas, with one of these in it.
    Lists(Vec<String>),
    /// This, and anything behind it.
    Prefix(String),
    /// Anything but empty.
    Set,
}

/// How a source counts connections or flows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// What one of them is called, in the plural.
    pub unit: String,
    /// What is counted how; the first that fits.
    pub counts: Vec<Count>,
    /// What policies denied, for people: of what is bad, or beside it.
    #[serde(default)]
    pub denials: Vec<Denial>,
    /// Only series with these labels are read.
    pub only: BTreeMap<String, Vec<String>>,
    /// The labels that tell one process from another.
    pub origin: Vec<String>,
    /// The labels that name the revision, for each part that it can have in a connection.
    pub parts: Vec<WorkloadLabels>,
    /// The labels that name who connects.
    pub from: Option<PeerLabels>,
}

/// A counter, and what its series mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// The counter.
    pub series: String,
    /// What each label's value must be.
    #[serde(default)]
    pub when: BTreeMap<String, Is>,
    /// What it counts.
    pub counted: Counted,
    /// For a person.
    pub brief: String,
}

/// What a counter of connections counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// All of them, before it is known what becomes of them.
    Begun,
    /// Good ones.
    Good,
    /// Bad ones.
    Bad,
}

/// A counter of what policies denied.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// The counter.
    pub series: String,
    /// What each label's value must be.
    pub when: BTreeMap<String, Is>,
    /// For a person.
    pub brief: String,
}

/// The labels that name a workload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadLabels {
    /// The label with its namespace.
    pub namespace: String,
    /// The label with its name.
    pub name: String,
}

/// The labels that name who connects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerLabels {
    /// The label with the namespace of its workload.
    pub namespace: String,
    /// The label with the name of its workload.
    pub name: String,
    /// The label with its identity.
    pub principal: String,
}
