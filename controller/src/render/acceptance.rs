//! Whether the mesh took our routes.

use std::collections::BTreeSet;

use kube::api::DynamicObject;
use serde_json::Value;

/// What the mesh says of the routes of one Canary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acceptance {
    /// Every parent of every route is accepted, with all backends found, in the present generation.
    pub ok: bool,
    /// What is wrong, verbatim; `None` also while nothing was said yet.
    pub problem: Option<String>,
}

/// Reads the status of the live routes.
///
/// Two controllers on one parent are a problem, unless `others_waived`: each would program the Service
/// in its own way. Acceptance is necessary and not sufficient: Istio accepts routes that no waypoint
/// serves, too (see [`bound`]).
///
/// [`bound`]: super::mesh::bound
#[must_use]
pub fn acceptance(live: &[&DynamicObject], others_waived: bool) -> Acceptance {
    let mut ok = !live.is_empty();
    let mut problem = None;
    for route in live {
        for parent in list(&route.data, "/spec/parentRefs") {
            match parent_state(route, parent, others_waived) {
                State::Accepted => {}
                State::Unknown => ok = false,
                State::Problem(text) => {
                    ok = false;
                    problem.get_or_insert(text);
                }
            }
        }
    }
    Acceptance { ok, problem }
}

enum State {
    Accepted,
    Unknown,
    Problem(String),
}

fn parent_state(route: &DynamicObject, parent: &Value, others_waived: bool) -> State {
    let namespace = route.metadata.namespace.as_deref().unwrap_or_default();
    let same = |status: &&Value| {
        status
            .get("parentRef")
            .is_some_and(|other| identity(other, namespace) == identity(parent, namespace))
    };
    let said: Vec<&Value> = list(&route.data, "/status/parents")
        .iter()
        .filter(same)
        .collect();
    let controllers: BTreeSet<&str> = said
        .iter()
        .filter_map(|status| controller(status))
        .collect();
    if controllers.len() > 1 && !others_waived {
        let name = route.metadata.name.as_deref().unwrap_or_default();
        return State::Problem(two_are_one_too_many(name, &controllers));
    }
    let mut state = State::Unknown;
    for status in said {
        match controller_state(status, route.metadata.generation) {
            State::Accepted => return State::Accepted,
            State::Unknown => {}
            problem @ State::Problem(_) => state = problem,
        }
    }
    state
}

/// The controllers that program a route, if there is more than one.
#[must_use]
pub fn two_controllers(route: &DynamicObject) -> Option<BTreeSet<&str>> {
    let said = list(&route.data, "/status/parents");
    let controllers: BTreeSet<&str> = said.iter().filter_map(controller).collect();
    (controllers.len() > 1).then_some(controllers)
}

/// The controllers that accepted a route, in whatever generation: whose mesh it is does not change with our writes.
pub fn accepted_by(route: &DynamicObject) -> impl Iterator<Item = &str> {
    let said = list(&route.data, "/status/parents").iter();
    let accepted = |status: &&Value| {
        let mut conditions = list(status, "/conditions").iter();
        conditions.any(|one| text(one, "type") == "Accepted" && text(one, "status") == "True")
    };
    said.filter(accepted).filter_map(controller)
}

/// Says so to a person.
#[must_use]
pub fn two_are_one_too_many(route: &str, controllers: &BTreeSet<&str>) -> String {
    let controllers: Vec<&str> = controllers.iter().copied().collect();
    format!(
        "HTTPRoute {route} is programmed by {}: each routes the Service in its own way, so turn one of \
         them off for Services and remove its entry from the route's status",
        controllers.join(" and ")
    )
}

fn controller(status: &Value) -> Option<&str> {
    status.get("controllerName")?.as_str()
}

/// What one controller says about one parent. A word about an older generation is no word.
fn controller_state(status: &Value, generation: Option<i64>) -> State {
    let mut unknown = false;
    for kind in ["Accepted", "ResolvedRefs"] {
        let current = list(status, "/conditions").iter().find(|condition| {
            condition.get("type").and_then(Value::as_str) == Some(kind)
                && condition.get("observedGeneration").and_then(Value::as_i64) == generation
        });
        match current {
            None => unknown = true,
            Some(condition) if text(condition, "status") == "True" => {}
            Some(condition) => {
                let (reason, message) = (text(condition, "reason"), text(condition, "message"));
                return State::Problem(format!("{reason}: {message}"));
            }
        }
    }
    if unknown {
        State::Unknown
    } else {
        State::Accepted
    }
}

/// What tells one parent of a route from another, defaults filled in.
fn identity<'a>(
    parent: &'a Value,
    namespace: &'a str,
) -> (&'a str, &'a str, &'a str, &'a str, Option<i64>, &'a str) {
    let or = |field, default| parent.get(field).and_then(Value::as_str).unwrap_or(default);
    (
        or("group", "gateway.networking.k8s.io"),
        or("kind", "Gateway"),
        or("namespace", namespace),
        or("name", ""),
        parent.get("port").and_then(Value::as_i64),
        or("sectionName", ""),
    )
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;

    const ISTIO: &str = "istio.io/gateway-controller";

    fn condition(kind: &str, status: &str, generation: i64) -> Value {
        json!({"type": kind, "status": status, "observedGeneration": generation,
               "reason": "Because", "message": format!("{kind} is {status}")})
    }

    fn said(controller: &str, port: i32, conditions: &[Value]) -> Value {
        json!({
            "controllerName": controller,
            "parentRef": {"group": "", "kind": "Service", "name": "podinfo", "namespace": "shop", "port": port},
            "conditions": conditions,
        })
    }

    fn good(controller: &str, port: i32, generation: i64) -> Value {
        let conditions =
            ["Accepted", "ResolvedRefs"].map(|kind| condition(kind, "True", generation));
        said(controller, port, &conditions)
    }

    fn route(port: i32, said: &[Value]) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": format!("sluice-podinfo-{port}"), "namespace": "shop", "generation": 3},
            "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "podinfo", "port": port}]},
            "status": {"parents": said},
        }))
        .unwrap()
    }

    fn read(said: &[Value]) -> Acceptance {
        acceptance(&[&route(80, said)], false)
    }

    fn waiting() -> Acceptance {
        Acceptance {
            ok: false,
            problem: None,
        }
    }

    #[test]
    fn accepted_is_both_conditions_in_this_generation() {
        assert!(read(&[good(ISTIO, 80, 3)]).ok);
        assert_eq!(read(&[]), waiting());
        assert_eq!(read(&[good(ISTIO, 80, 2)]), waiting());
        assert_eq!(
            read(&[said(ISTIO, 80, &[condition("Accepted", "True", 3)])]),
            waiting()
        );
        assert_eq!(read(&[good(ISTIO, 81, 3)]), waiting(), "another port");
        assert_eq!(acceptance(&[], false), waiting());
    }

    #[test]
    fn a_problem_is_told_verbatim_unless_it_is_old() {
        let with = |generation| {
            let refs = condition("ResolvedRefs", "False", generation);
            read(&[said(ISTIO, 80, &[condition("Accepted", "True", 3), refs])])
        };
        assert_eq!(
            with(3).problem.as_deref(),
            Some("Because: ResolvedRefs is False")
        );
        assert_eq!(with(2), waiting());
    }

    #[test]
    fn every_port_must_be_accepted() {
        let (first, second) = (
            route(80, &[good(ISTIO, 80, 3)]),
            route(81, &[good(ISTIO, 81, 3)]),
        );
        assert!(acceptance(&[&first, &second], false).ok);
        let pending = route(81, &[]);
        assert_eq!(acceptance(&[&first, &pending], false), waiting());
    }

    #[test]
    fn a_second_controller_is_a_problem_by_name_unless_waived() {
        let both = [
            good(ISTIO, 80, 3),
            good("io.cilium/gateway-controller", 80, 2),
        ];
        let Acceptance { ok, problem } = read(&both);
        let problem = problem.unwrap();
        assert!(
            !ok && problem.contains("io.cilium/gateway-controller and istio.io/"),
            "{problem}"
        );
        assert!(acceptance(&[&route(80, &both)], true).ok);
    }
}
