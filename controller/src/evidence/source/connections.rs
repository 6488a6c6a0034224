//! Who counts connections and flows, on layer 4. Adding such a source is adding an entry.

use sluice_core::Indicator;
use sluice_crds::ConnectionSource;

use super::{Is, Labels, cilium, istio};

/// What an SLO is about that names this source.
#[must_use]
pub fn counted_by(source: ConnectionSource) -> Indicator {
    Connections::of(source).indicator
}

/// How a source counts connections of pods, or flows.
#[derive(Debug)]
pub(in crate::evidence) struct Connections {
    /// As users write it.
    pub(in crate::evidence) name: &'static str,
    /// What an event of it is.
    pub(in crate::evidence) indicator: Indicator,
    /// What its counters count: of the rules that fit the first.
    pub(in crate::evidence) rules: &'static [Count],
    /// Only series with these labels count, by the values that each may have.
    pub(in crate::evidence) only: &'static [(&'static str, &'static [&'static str])],
    /// The labels that tell one process from another.
    pub(in crate::evidence) origin: &'static [&'static str],
    /// The labels that tell whose pods, in each part that these can have.
    pub(in crate::evidence) parts: &'static [WorkloadLabels],
    /// The labels that tell who connects to them, where they do.
    pub(in crate::evidence) from: Option<&'static PeerLabels>,
    /// What to look after when its series are gone.
    pub(in crate::evidence) hint: &'static str,
}

/// What the series of a counter count.
#[derive(Debug)]
pub(in crate::evidence) struct Count {
    /// The counter.
    pub(in crate::evidence) metric: &'static str,
    /// All that the labels must say.
    pub(super) when: &'static [(&'static str, Is)],
    /// What they count then.
    pub(in crate::evidence) counted: Counted,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::evidence) enum Counted {
    /// Everything that began, whatever becomes of it.
    Begun,
    /// What went well.
    Good,
    /// What did not.
    Bad,
}

/// Two labels that name a workload. That of a revision is its Deployment.
#[derive(Debug)]
pub(in crate::evidence) struct WorkloadLabels {
    /// The one with its namespace.
    pub(in crate::evidence) namespace: &'static str,
    /// The one with its name.
    pub(in crate::evidence) name: &'static str,
}

/// The labels that name who connects.
#[derive(Debug)]
pub(in crate::evidence) struct PeerLabels {
    /// Its workload.
    pub(in crate::evidence) workload: WorkloadLabels,
    /// Its identity in the mesh.
    pub(in crate::evidence) principal: &'static str,
}

impl Count {
    pub(super) const fn new(
        metric: &'static str,
        when: &'static [(&'static str, Is)],
        counted: Counted,
    ) -> Self {
        Self {
            metric,
            when,
            counted,
        }
    }
}

impl Connections {
    /// The entry of a source.
    pub(in crate::evidence) fn of(source: ConnectionSource) -> &'static Self {
        match source {
            ConnectionSource::Ztunnel => &istio::ZTUNNEL,
            ConnectionSource::CiliumDrops => &cilium::DROPS,
        }
    }

    /// What a series counts, if it is of concern.
    pub(in crate::evidence) fn counted(&self, metric: &str, labels: &Labels) -> Option<Counted> {
        let mut rules = self.rules.iter().filter(|rule| rule.metric == metric);
        let rule = rules.find(|rule| rule.when.iter().all(|(label, is)| is.of(labels, label)))?;
        Some(rule.counted)
    }

    /// The labels that [`Self::counted`] looks at, each once.
    pub(in crate::evidence) fn counted_labels(&self) -> Vec<&'static str> {
        let mut labels = Vec::new();
        for (label, _) in self.rules.iter().flat_map(|rule| rule.when) {
            if !labels.contains(label) {
                labels.push(*label);
            }
        }
        labels
    }
}
