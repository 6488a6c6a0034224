//! What a Canary wants measured: its rollout, what drains, and its past.

use std::collections::BTreeSet;

use sluice_core::{RevisionName, State};
use sluice_crds::{PolicyKind, PolicySpec, Source, Waiver};

use crate::evidence::{Drains, Past, Server, Subscription, Workload, is_counted_by_route};
use crate::observe::Observed;
use crate::observe::observed::{Policy, parent_name};
use crate::parse::plan;
use crate::parse::template::{self, TemplateError, Variables};
use crate::render::mesh;

/// What to tell a person whose policy names no server.
pub const NO_ADDRESS: &str = "spec.metrics.address is set neither in the Canary nor in its policy";

/// The measurements that a gated rollout needs. Where they are read is as the policy says now: what is
/// judged is pinned with the rollout, a wrong address is not.
///
/// `judged` are the pinned sections, of whose SLOs the templates are read as they are now. `own` is the namespace that Sluice runs in.
#[must_use]
pub fn of(
    observed: &Observed,
    state: &State,
    sections: &PolicySpec,
    judged: &PolicySpec,
    own: &str,
) -> Option<Subscription> {
    let rollout = state.rollout.as_ref().filter(|rollout| rollout.gated)?;
    let metrics = sections.metrics.as_ref()?;
    let spec = &observed.canary.spec.policy;
    let secrets = secrets_of(&observed.policy, spec, &observed.namespace, own);
    let variables = variables(observed, state.stable.as_ref(), sections);
    let slos = judged.slos.iter().flatten();
    let queries = slos.filter_map(|slo| {
        let candidate = rollout.candidate.as_str();
        // What cannot be asked for is not counted: see unaskable.
        template::own(slo, &observed.templates, &variables, candidate).ok()?
    });
    let slos = judged.slos.iter().flatten();
    let layer4 = slos.filter_map(|slo| Some((slo.name.clone(), slo.connections.as_ref()?.source)));
    Some(Subscription {
        server: Server::new(metrics, secrets),
        names: metrics.otlp_names.unwrap_or_default(),
        interval: plan::interval(sections),
        source: source(sections),
        namespace: observed.namespace.clone(),
        stable: state.stable.clone(),
        candidate: rollout.candidate.clone(),
        slos: rollout.plan.slos.clone(),
        own: queries.collect(),
        layer4: layer4.collect(),
        waypoints: waypoints(observed),
    })
}

/// The revisions that drain, perhaps none; `None` where it cannot be told who asks them.
#[must_use]
pub fn drains(
    observed: &Observed,
    state: &State,
    sections: &PolicySpec,
    own: &str,
) -> Option<Drains> {
    let metrics = sections.metrics.as_ref()?;
    let source = source(sections);
    if !is_counted_by_route(source) {
        return None;
    }
    let spec = &observed.canary.spec.policy;
    let secrets = secrets_of(&observed.policy, spec, &observed.namespace, own);
    Some(Drains {
        server: Server::new(metrics, secrets),
        interval: plan::interval(sections),
        source,
        names: metrics.otlp_names.unwrap_or_default(),
        namespace: observed.namespace.clone(),
        revisions: state.left.keys().cloned().collect(),
    })
}

/// Whose past traffic the Canary wants to know: by it is told what the gates can do.
#[must_use]
pub fn past(observed: &Observed, sections: &PolicySpec, own: &str) -> Option<Past> {
    let metrics = sections.metrics.as_ref()?;
    let canary = &observed.canary;
    let secrets = secrets_of(
        &observed.policy,
        &canary.spec.policy,
        &observed.namespace,
        own,
    );
    Some(Past {
        server: Server::new(metrics, secrets),
        interval: plan::interval(sections),
        source: source(sections),
        names: metrics.otlp_names.unwrap_or_default(),
        namespace: observed.namespace.clone(),
        service: parent_name(canary).to_owned(),
        target: canary.spec.target_ref.name.clone(),
    })
}

/// Whose counters are read.
fn source(sections: &PolicySpec) -> Source {
    sections.source.unwrap_or(Source::IstioWaypoint)
}

/// The SLOs that cannot be asked for, and why.
pub fn unaskable<'a>(
    observed: &'a Observed,
    judged: &'a PolicySpec,
) -> impl Iterator<Item = (&'a str, TemplateError)> {
    let variables = variables(observed, None, judged);
    let slos = judged.slos.iter().flatten();
    slos.filter_map(move |slo| {
        // Which revisions there will be does not matter to what can be wrong.
        let found = template::own(slo, &observed.templates, &variables, "");
        Some((slo.name.as_str(), found.err()?))
    })
}

/// What the variables of a Canary's templates stand for.
#[must_use]
pub fn variables(
    observed: &Observed,
    stable: Option<&RevisionName>,
    sections: &PolicySpec,
) -> Variables {
    let canary = &observed.canary;
    template::variables(
        &observed.namespace,
        &observed.name,
        &canary.spec.target_ref.name,
        parent_name(canary),
        stable.map(RevisionName::as_str).unwrap_or_default(),
        plan::interval(sections),
    )
}

/// The namespace of the Secrets that credentials name: that of the object which does. A Canary must not reach with
/// its own address what an administrator wrote for all.
fn secrets_of<'a>(
    policy: &Policy,
    sections: &PolicySpec,
    namespace: &'a str,
    own: &'a str,
) -> &'a str {
    match policy {
        Policy::Found { reference, .. }
            if reference.kind == PolicyKind::ClusterCanaryPolicy && sections.metrics.is_none() =>
        {
            own
        }
        _ => namespace,
    }
}

/// Who may connect to pods; empty where that is nobody's concern, or not known.
fn waypoints(observed: &Observed) -> BTreeSet<Workload> {
    let waived = observed
        .canary
        .spec
        .waivers
        .contains(&Waiver::AroundWaypoint);
    let Some(parent) = observed.parent.as_deref().filter(|_| !waived) else {
        return BTreeSet::new();
    };
    let found = mesh::waypoints(
        parent,
        &observed.namespace,
        observed.namespace_labels.as_ref(),
    );
    found
        .into_iter()
        .map(|(namespace, name)| Workload { namespace, name })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_crds::{Metrics, PolicyRef};

    #[test]
    fn what_a_canary_addresses_is_asked_with_secrets_of_its_own_namespace() {
        let policy = |kind| Policy::Found {
            reference: PolicyRef {
                kind,
                name: "default".to_owned(),
            },
            spec: Box::default(),
            max_concurrent: None,
        };
        let metrics: Option<Metrics> =
            serde_json::from_value(serde_json::json!({"address": "http://elsewhere"})).ok();
        assert!(metrics.is_some());
        let (addressed, silent) = (
            PolicySpec {
                metrics,
                ..PolicySpec::default()
            },
            PolicySpec::default(),
        );
        let of =
            |policy: &Policy, spec| secrets_of(policy, spec, "shop", "sluice-system").to_owned();
        let cluster = policy(PolicyKind::ClusterCanaryPolicy);
        assert_eq!(of(&cluster, &silent), "sluice-system");
        assert_eq!(of(&cluster, &addressed), "shop");
        let namespaced = policy(PolicyKind::CanaryPolicy);
        assert_eq!(of(&namespaced, &silent), "shop");
        assert_eq!(of(&Policy::BuiltIn, &addressed), "shop");
    }
}
