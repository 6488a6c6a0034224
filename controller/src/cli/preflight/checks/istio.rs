//! Istio's control plane, as far as it shows.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::{cilium, number};
use crate::cli::preflight::found::{Found, condition, gateway_class, list_of, text};
use crate::cli::preflight::item::{Findings, Item};
use crate::cli::preflight::meshes;
use crate::observe::kinds;
use crate::observe::others::WAYPOINT_CLASS;

/// Ambient mode is stable from here on: <https://istio.io/latest/news/releases/1.24.x/announcing-1.24/>.
const OLDEST: (u32, u32) = (1, 24);
/// What istiod must be told; it is `false` unless Istio is installed with the profile ambient.
const AMBIENT: &str = "PILOT_ENABLE_AMBIENT";
/// What nobody may have turned off: `true` unless somebody says otherwise.
const NEEDED: [(&str, &str); 3] = [
    ("PILOT_ENABLE_GATEWAY_API", "no HTTPRoute is read"),
    (
        "PILOT_ENABLE_GATEWAY_API_STATUS",
        "no route's status is written, and no weight is ever proven",
    ),
    (
        "ENABLE_INGRESS_WAYPOINT_ROUTING",
        "ingress goes past waypoints, whatever a Service's label says",
    ),
];

/// Where nothing needs ambient mode. An istiod that is there for other things may still take routes.
fn unneeded(all: &[&DynamicObject]) -> Vec<Item> {
    let mut findings = Findings::new("istiod");
    for one in all {
        if setting(one, NEEDED[0].0) != Some("false") {
            findings.warning(format!(
                "istiod {}/{} takes every route on a Service as well: where another mesh is to split the requests, \
                 set {}=false",
                one.namespace().unwrap_or_default(),
                one.name_any(),
                NEEDED[0].0
            ));
        }
    }
    findings.or_ok(no_istio)
}

/// Whether istiod is there, new enough, and told to do what is needed.
pub(super) fn istiod(found: &Found) -> Vec<Item> {
    let mut findings = Findings::new("istiod");
    let kind = kinds::deployment();
    let is_istiod =
        |one: &&DynamicObject| one.labels().get("app").is_some_and(|app| app == "istiod");
    let all: Vec<_> = found.all(&kind).filter(is_istiod).collect();
    if is_absent(found) && meshes::no_ambient(found) {
        return unneeded(&all);
    }
    let mut good = Vec::new();
    for one in &all {
        let place = format!(
            "istiod {}/{}",
            one.namespace().unwrap_or_default(),
            one.name_any()
        );
        let version = version(one);
        let too_old = version
            .as_deref()
            .and_then(number)
            .filter(|number| *number < OLDEST);
        if let Some((major, minor)) = too_old {
            findings.error(format!(
                "{place} is Istio {major}.{minor}, where ambient mode is not stable: update to {}.{} or later",
                OLDEST.0, OLDEST.1
            ));
        }
        if one
            .data
            .pointer("/status/readyReplicas")
            .and_then(Value::as_u64)
            .unwrap_or(0)
            == 0
        {
            findings.error(format!(
                "{place} has no ready pod: no weight comes into force; see kubectl -n {} describe pod -l app=istiod",
                one.namespace().unwrap_or_default()
            ));
        }
        if setting(one, AMBIENT) != Some("true") {
            findings.error(format!(
                "{place} runs without {AMBIENT}=true, so there are no waypoints: install Istio with the profile ambient"
            ));
        }
        for (name, then) in NEEDED {
            if setting(one, name) == Some("false") {
                findings.error(format!(
                    "{place} has {name}=false: {then}; take that out of its environment"
                ));
            }
        }
        let version = version.unwrap_or_else(|| "of unknown version".to_owned());
        good.push(format!("{place} {version}, ambient"));
    }
    if all.is_empty() {
        // Whether somebody else is istiod shows at the class alone.
        let unread = found.unread(&kind);
        let unread = unread.or_else(|| found.unread(&gateway_class()));
        match (unread, accepted(found)) {
            (Some(why), _) => findings.unknown([why]),
            (None, true) => findings.unknown([
                "no Deployment here has the label app=istiod, yet somebody accepted the GatewayClass: \
                 its version and settings do not show",
            ]),
            (None, false) if ciliums_alone(found) => return findings.or_ok(no_istio),
            (None, false) => findings.error(
                "there is no istiod: no Deployment has the label app=istiod; install Istio with the profile ambient",
            ),
        }
    }
    findings.or_ok(|| good.join("; "))
}

/// Whether the class of waypoints is there, and accepted.
pub(super) fn waypoint_class(found: &Found) -> Vec<Item> {
    let mut findings = Findings::new("waypoint-class");
    let kind = gateway_class();
    let class = found.one(&kind, None, WAYPOINT_CLASS);
    if is_unneeded(found) {
        return findings.or_ok(no_istio);
    }
    match class.map(|class| condition(class, "Accepted")) {
        Some(Some((true, _))) => {}
        Some(Some((false, said))) => findings.error(format!(
            "GatewayClass {WAYPOINT_CLASS} is not accepted ({said}): see the log of istiod"
        )),
        Some(None) => findings.error(format!(
            "nobody accepted GatewayClass {WAYPOINT_CLASS}: see that istiod runs, with {AMBIENT}=true"
        )),
        None if found.unread(&kind).is_some() => findings.unknown(found.unread(&kind)),
        None => findings.error(format!(
            "there is no GatewayClass {WAYPOINT_CLASS}, which istiod makes itself: see that it runs, with {AMBIENT}=true"
        )),
    }
    findings.or_ok(|| {
        let by = class.and_then(|class| text(&class.data, "/spec/controllerName"));
        format!(
            "GatewayClass {WAYPOINT_CLASS} is accepted by {}",
            by.unwrap_or("its controller")
        )
    })
}

/// Whether Cilium alone takes routes on Services: it programs Gateway API, and nobody made the class of waypoints.
pub(super) fn ciliums_alone(found: &Found) -> bool {
    is_absent(found) && cilium::programs_routes(found)
}

/// Whether there is no ambient mode, and nobody asks for it: another takes the routes.
pub(super) fn is_unneeded(found: &Found) -> bool {
    ciliums_alone(found) || is_absent(found) && meshes::no_ambient(found)
}

/// Whether there is no ambient mode: whoever has it makes the class of waypoints.
pub(super) fn is_absent(found: &Found) -> bool {
    let kind = gateway_class();
    found.unread(&kind).is_none() && found.one(&kind, None, WAYPOINT_CLASS).is_none()
}

fn no_istio() -> String {
    "none, and none is needed for Canaries that say mesh: gamma".to_owned()
}

fn accepted(found: &Found) -> bool {
    let class = found.one(&gateway_class(), None, WAYPOINT_CLASS);
    let accepted = class.and_then(|class| condition(class, "Accepted"));
    accepted.is_some_and(|(accepted, _)| accepted)
}

/// As the chart labels it, else the tag of its image.
fn version(istiod: &DynamicObject) -> Option<String> {
    let label = istiod.labels().get("app.kubernetes.io/version").cloned();
    let tag = || {
        let image = text(&istiod.data, "/spec/template/spec/containers/0/image")?;
        let image = image.split('@').next()?;
        let (_, tag) = image.rsplit('/').next()?.split_once(':')?;
        Some(tag.to_owned())
    };
    label.or_else(tag)
}

/// What its environment says.
fn setting<'a>(istiod: &'a DynamicObject, name: &str) -> Option<&'a str> {
    let containers = list_of(&istiod.data, "/spec/template/spec/containers").iter();
    let mut env = containers.flat_map(|container| list_of(container, "/env"));
    let found = env.find(|one| text(one, "/name") == Some(name))?;
    text(found, "/value")
}
