//! What the controller says of itself, for Prometheus.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sluice_core::{Decision, Finding, Tally};

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// Something was written.
    Written,
    /// Nothing was to be written.
    Idle,
    /// The caches had not seen our last write yet.
    Behind,
    /// Somebody else had written what was to be written.
    Outrun,
    /// A write failed.
    Failed,
    /// The API server had asked for silence.
    Silent,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabels {
    outcome: Outcome,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WriteLabels {
    kind: String,
    ok: String,
}

/// Names one Canary.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CanaryLabels {
    namespace: String,
    canary: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PhaseLabels {
    namespace: String,
    canary: String,
    phase: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SloLabels {
    namespace: String,
    canary: String,
    slo: String,
    revision: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BudgetLabels {
    namespace: String,
    canary: String,
    slo: String,
}

impl SloLabels {
    fn budget(&self) -> BudgetLabels {
        BudgetLabels {
            namespace: self.namespace.clone(),
            canary: self.canary.clone(),
            slo: self.slo.clone(),
        }
    }
}

/// The metric families. Cloning is cheap.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<OutcomeLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    leader: Gauge<i64, AtomicI64>,
    weight: Family<CanaryLabels, Gauge<f64, AtomicU64>>,
    phase: Family<PhaseLabels, Gauge<i64, AtomicI64>>,
    good: Family<SloLabels, Gauge<i64, AtomicI64>>,
    total: Family<SloLabels, Gauge<i64, AtomicI64>>,
    spent: Family<BudgetLabels, Gauge<f64, AtomicU64>>,
    /// The SLOs of each Canary: a family cannot tell what it holds.
    shown: Arc<Mutex<HashMap<CanaryLabels, HashSet<SloLabels>>>>,
    /// The phase of each Canary, likewise.
    phases: Arc<Mutex<HashMap<CanaryLabels, PhaseLabels>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sluice");
        let (reconciles, writes) = (Family::default(), Family::default());
        let leader = Gauge::default();
        let (weight, good, total) = (Family::default(), Family::default(), Family::default());
        registry.register(
            "reconciles",
            "Reconciles by how they ended",
            Family::clone(&reconciles),
        );
        registry.register("writes", "Writes to the API server", Family::clone(&writes));
        registry.register(
            "leader",
            "1 while this process holds the lease, and acts",
            Gauge::clone(&leader),
        );
        registry.register(
            "canary_weight_ratio",
            "Share of the requests that the candidate is to get",
            Family::clone(&weight),
        );
        let phase = Family::default();
        registry.register(
            "canary_phase",
            "1 for the phase that a Canary is in",
            Family::clone(&phase),
        );
        registry.register(
            "slo_good_events",
            "Good events of a rollout, since the candidate first got traffic",
            Family::clone(&good),
        );
        registry.register(
            "slo_events",
            "All events of a rollout, since the candidate first got traffic",
            Family::clone(&total),
        );
        let spent = Family::default();
        registry.register(
            "slo_error_budget_spent_ratio",
            "Share of the error budget that a release has spent, where the policy limits it",
            Family::clone(&spent),
        );
        Self {
            registry: Arc::new(registry),
            reconciles,
            writes,
            leader,
            weight,
            phase,
            good,
            total,
            spent,
            shown: Arc::default(),
            phases: Arc::default(),
        }
    }
}

impl Metrics {
    /// Counts a reconcile.
    pub fn reconciled(&self, outcome: Outcome) {
        self.reconciles
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// Counts a write.
    pub fn written(&self, kind: &str, ok: bool) {
        let labels = WriteLabels {
            kind: kind.to_owned(),
            ok: ok.to_string(),
        };
        self.writes.get_or_create(&labels).inc();
    }

    /// Shows whether this process holds the lease.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// Forgets all Canaries: another process shows them now.
    pub fn clear(&self) {
        self.shown.lock().clear();
        self.phases.lock().clear();
        self.weight.clear();
        self.phase.clear();
        self.good.clear();
        self.total.clear();
        self.spent.clear();
    }

    /// Shows what was decided for a Canary.
    pub fn decided(&self, namespace: &str, canary: &str, decision: &Decision) {
        let rollout = decision.state.rollout.as_ref();
        let labels = CanaryLabels {
            namespace: namespace.to_owned(),
            canary: canary.to_owned(),
        };
        let weight = rollout.map_or(0.0, |rollout| rollout.weight.fraction());
        self.weight.get_or_create(&labels).set(weight);
        self.is_in(labels, &decision.phase.to_string());
        for finding in &decision.findings {
            self.found(namespace, canary, finding);
        }
    }

    /// Forgets a Canary that is gone.
    pub fn forget(&self, namespace: &str, canary: &str) {
        let labels = CanaryLabels {
            namespace: namespace.to_owned(),
            canary: canary.to_owned(),
        };
        self.weight.remove(&labels);
        if let Some(phase) = self.phases.lock().remove(&labels) {
            self.phase.remove(&phase);
        }
        for labels in self.shown.lock().remove(&labels).unwrap_or_default() {
            self.good.remove(&labels);
            self.total.remove(&labels);
            self.spent.remove(&labels.budget());
        }
    }

    /// The families as text.
    ///
    /// # Errors
    /// Never in practice: writing to a `String` does not fail.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    /// Shows a phase in place of the one before.
    fn is_in(&self, canary: CanaryLabels, phase: &str) {
        let labels = PhaseLabels {
            namespace: canary.namespace.clone(),
            canary: canary.canary.clone(),
            phase: phase.to_owned(),
        };
        self.phase.get_or_create(&labels).set(1);
        let before = self.phases.lock().insert(canary, labels.clone());
        if let Some(before) = before.filter(|before| *before != labels) {
            self.phase.remove(&before);
        }
    }

    fn found(&self, namespace: &str, canary: &str, finding: &Finding) {
        let count = |events: u64| i64::try_from(events).unwrap_or(i64::MAX);
        let show = |revision: &str, tally: Tally| {
            let labels = SloLabels {
                namespace: namespace.to_owned(),
                canary: canary.to_owned(),
                slo: finding.slo.clone(),
                revision: revision.to_owned(),
            };
            self.good.get_or_create(&labels).set(count(tally.good));
            self.total.get_or_create(&labels).set(count(tally.total));
            let canary = CanaryLabels {
                namespace: namespace.to_owned(),
                canary: canary.to_owned(),
            };
            self.shown.lock().entry(canary).or_default().insert(labels);
        };
        show("stable", finding.stable);
        show("candidate", finding.candidate);
        if let Some(spending) = finding.spending {
            let labels = BudgetLabels {
                namespace: namespace.to_owned(),
                canary: canary.to_owned(),
                slo: finding.slo.clone(),
            };
            self.spent.get_or_create(&labels).set(spending.ratio());
        }
    }
}
