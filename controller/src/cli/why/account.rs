//! What stored objects say of a Canary, put together.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::Serialize;
use sluice_core::evidence::{Exhibit, Grounds};
use sluice_core::{Action, Indicator, Outcome, Plan, Time};
use sluice_crds::{Canary, CanaryStatus, MetricTemplateSpec, Phase, PolicySpec, Rollout, Source};

use crate::evidence;
use crate::observe::observed::parent_name;
use crate::parse::{plan, template};
use crate::record;
use crate::render::snapshot::read_snapshot;

/// The most verdicts that are told; older ones stay with their snapshots.
const MOST_DECISIONS: usize = 5;

/// The objects.
pub(super) struct Stored {
    pub(super) canary: Canary,
    /// The `PodTemplates` of its revisions.
    pub(super) snapshots: Vec<DynamicObject>,
    /// By name.
    pub(super) templates: BTreeMap<String, MetricTemplateSpec>,
}

/// What is known of a Canary.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    pub(super) namespace: String,
    pub(super) name: String,
    /// When it was read.
    pub(super) at: Time,
    pub(super) phase: Option<Phase>,
    /// Of the condition Ready.
    pub(super) reason: Option<String>,
    /// What it waits for, in the controller's words.
    pub(super) message: Option<String>,
    pub(super) suspended: bool,
    pub(super) stable: Option<String>,
    pub(super) rollout: Option<UnderWay>,
    /// Verdicts, newest first.
    pub(super) decisions: Vec<Decided>,
    /// What a person may order now.
    pub(super) orders: Vec<Order>,
}

/// A rollout.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnderWay {
    pub(super) candidate: String,
    pub(super) gated: bool,
    pub(super) started_at: Time,
    /// From 1.
    pub(super) step: Option<u32>,
    pub(super) steps: Option<u32>,
    pub(super) weight: Option<String>,
    /// Since when that weight is proven to be in force.
    pub(super) proven_since: Option<Time>,
    /// Since when evidence is waited for.
    pub(super) waiting_since: Option<Time>,
    /// Since when an approval is waited for.
    pub(super) approval_awaited_since: Option<Time>,
    /// When that has been for too long, and what happens then.
    pub(super) limit: Option<Limit>,
    /// When the evidence was read.
    pub(super) evidence_at: Option<Time>,
    pub(super) evidence: Vec<Exhibit>,
    pub(super) queries: Vec<Query>,
}

/// When waiting ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limit {
    pub(super) at: Time,
    pub(super) then: Action,
}

/// Where SLOs are read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    pub(super) slos: Vec<String>,
    /// The source, or the `MetricTemplate`.
    pub(super) from: String,
    pub(super) promql: Option<String>,
    /// Why it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// A verdict.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Decided {
    pub(super) revision: String,
    pub(super) outcome: Outcome,
    pub(super) at: Option<Time>,
    pub(super) reason: String,
    /// By a person.
    pub(super) ordered: bool,
    pub(super) grounds: Option<Grounds>,
}

/// Something that a person may order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    pub(super) effect: String,
    pub(super) command: String,
}

impl Account {
    /// Puts it together.
    pub(super) fn of(stored: &Stored, now: Time) -> Self {
        let canary = &stored.canary;
        let namespace = canary.namespace().unwrap_or_default();
        let status = canary.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().find(|one| one.type_ == "Ready");
        let decisions = decisions(&stored.snapshots);
        Self {
            at: now,
            phase: status.phase,
            reason: ready.map(|ready| ready.reason.clone()),
            message: ready.map(|ready| ready.message.clone()),
            suspended: canary.spec.suspend,
            stable: status.stable.clone(),
            rollout: status
                .rollout
                .as_ref()
                .map(|rollout| under_way(stored, &status, rollout, &namespace)),
            orders: orders(&namespace, &canary.name_any(), &status, &decisions),
            decisions,
            name: canary.name_any(),
            namespace,
        }
    }
}

/// Whether the plan in force has queries of the user's own.
pub(super) fn has_own_queries(canary: &Canary) -> bool {
    let plan = canary
        .status
        .as_ref()
        .and_then(|status| status.plan.as_ref());
    let mut slos = plan
        .and_then(|plan| plan.slos.as_ref())
        .into_iter()
        .flatten();
    slos.any(|slo| slo.events.is_some() || slo.value.is_some())
}

fn under_way(
    stored: &Stored,
    status: &CanaryStatus,
    rollout: &Rollout,
    namespace: &str,
) -> UnderWay {
    let plan = status.plan.as_ref().and_then(|plan| plan::parse(plan).ok());
    let objective = |slo: &str| {
        let mut slos = plan.iter().flat_map(|plan| &plan.slos);
        slos.find(|known| known.name == slo)?.objective_ppm
    };
    let evidence = rollout.evidence.iter();
    let evidence = evidence.map(|one| record::evidence::read(one, objective(&one.slo)));
    let limit = rollout.inconclusive_since.zip(plan.as_ref());
    let limit = limit.map(|(since, plan)| Limit {
        at: since + plan.inconclusive_after,
        then: plan.inconclusive_action,
    });
    let queries = plan.as_ref().zip(status.plan.as_ref());
    let queries = queries
        .filter(|_| rollout.gated)
        .map(|(plan, sections)| queries_of(stored, status, rollout, namespace, plan, sections));
    UnderWay {
        candidate: rollout.candidate.clone(),
        gated: rollout.gated,
        started_at: rollout.started_at,
        step: status.step,
        steps: status.steps,
        weight: status.weight.as_ref().map(|w| w.as_str().to_owned()),
        proven_since: rollout.step_since,
        waiting_since: rollout.inconclusive_since,
        approval_awaited_since: rollout.approval_awaited_since,
        limit,
        evidence_at: rollout.evidence_at,
        evidence: evidence.collect(),
        queries: queries.unwrap_or_default(),
    }
}

/// Where the SLOs of a rollout are read: those of requests by one query, the others by one each.
fn queries_of(
    stored: &Stored,
    status: &CanaryStatus,
    rollout: &Rollout,
    namespace: &str,
    plan: &Plan,
    sections: &PolicySpec,
) -> Vec<Query> {
    let source = sections.source.unwrap_or(Source::IstioWaypoint);
    let metrics = sections.metrics.as_ref();
    let names = metrics.and_then(|metrics| metrics.otlp_names);
    let stable = status.stable.as_deref();
    let revisions: Vec<_> = stable
        .into_iter()
        .chain([rollout.candidate.as_str()])
        .collect();
    let of_source = |indicator| {
        matches!(
            indicator,
            Indicator::Availability | Indicator::Latency { .. }
        )
    };
    let counted = plan.slos.iter().filter(|slo| of_source(slo.indicator));
    let counted: Vec<_> = counted.map(|slo| slo.name.clone()).collect();
    let text = evidence::query(
        source,
        names.unwrap_or_default(),
        namespace,
        &revisions,
        &plan.slos,
    );
    let first = Query {
        slos: counted,
        from: evidence::name(source).to_owned(),
        promql: Some(text),
        problem: None,
    };
    let variables = template::variables(
        namespace,
        &stored.canary.name_any(),
        &stored.canary.spec.target_ref.name,
        parent_name(&stored.canary),
        stable.unwrap_or_default(),
        plan::interval(sections),
    );
    let own = sections.slos.iter().flatten().filter_map(|slo| {
        let read = template::own(slo, &stored.templates, &variables, &rollout.candidate);
        let events = slo.events.as_ref().map(|events| &events.template);
        let name = events.or(slo.value.as_ref().map(|value| &value.template))?;
        let (promql, problem) = match read {
            Ok(own) => (Some(own?.promql()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Some(Query {
            slos: vec![slo.name.clone()],
            from: format!("MetricTemplate {name}"),
            promql,
            problem,
        })
    });
    let below = sections.slos.iter().flatten().filter_map(|slo| {
        let source = slo.connections.as_ref()?.source;
        let (from, text) = evidence::connections_query(source, namespace, &revisions);
        Some(Query {
            slos: vec![slo.name.clone()],
            from: from.to_owned(),
            promql: Some(text),
            problem: None,
        })
    });
    [first].into_iter().chain(below).chain(own).collect()
}

/// The verdicts on the snapshots, newest first.
fn decisions(snapshots: &[DynamicObject]) -> Vec<Decided> {
    let read = snapshots.iter().filter_map(read_snapshot);
    let mut decided: Vec<_> = read
        .filter_map(|snapshot| {
            let record = snapshot.record;
            Some(Decided {
                revision: snapshot.revision.to_string(),
                outcome: record.outcome?,
                at: record.at,
                reason: record.reason,
                ordered: record.ordered,
                grounds: record.grounds,
            })
        })
        .collect();
    decided.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.revision.cmp(&b.revision)));
    decided.truncate(MOST_DECISIONS);
    decided
}

/// As commands, and not as annotations: a revision may have obeyed such a text before, and they find one that it
/// has not.
fn orders(namespace: &str, name: &str, status: &CanaryStatus, decisions: &[Decided]) -> Vec<Order> {
    let order = |effect: String, verb: &str, revision: &str| Order {
        effect,
        command: format!("sluice {verb} {namespace}/{name} --revision {revision}"),
    };
    if let Some(rollout) = &status.rollout {
        let candidate = &rollout.candidate;
        let awaited = rollout.approval_awaited_since;
        let approve = awaited.map(|_| {
            order(
                format!("approve that {candidate} goes on; what Git can write the message says"),
                "approve",
                candidate,
            )
        });
        let orders = [
            order(
                format!("promote {candidate} now, whatever the gates say"),
                "promote",
                candidate,
            ),
            order(
                format!("take its requests away and reject {candidate}"),
                "abort",
                candidate,
            ),
        ];
        return approve.into_iter().chain(orders).collect();
    }
    let rejected = |revision: &&String| {
        let of_it = |one: &Decided| one.revision == **revision && one.outcome == Outcome::Rejected;
        decisions.iter().any(of_it)
    };
    let candidate = status.candidate.as_ref().filter(rejected);
    let retry = candidate.map(|revision| order(format!("try {revision} again"), "retry", revision));
    retry.into_iter().collect()
}
