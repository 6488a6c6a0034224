//! Cilium beneath Istio: <https://istio.io/latest/docs/ambient/install/platform-prerequisites/#cilium>.

use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;

use super::{few, istio};
use crate::cli::preflight::found::{
    Found, cilium_cluster_policy, cilium_policy, config_map, gateway_class, list_of,
    network_policy, text,
};
use crate::cli::preflight::item::{Findings, Item};
use crate::cli::preflight::subject::Subject;

/// From where a kubelet's probes come to pods of the mesh.
const PROBES_FROM: &str = "169.254.7.127/32";
const DOCS: &str = "https://istio.io/latest/docs/ambient/install/platform-prerequisites/#cilium";

/// Cilium's configuration, where it is installed.
fn config(found: &Found) -> Option<&DynamicObject> {
    found.one(&config_map(), Some("kube-system"), "cilium-config")
}

/// A value of it.
pub(super) fn value<'a>(found: &'a Found, key: &str) -> Option<&'a str> {
    config(found)?
        .data
        .get("data")?
        .get(key)
        .and_then(Value::as_str)
}

/// Whether it takes routes.
pub(super) fn programs_routes(found: &Found) -> bool {
    value(found, "enable-gateway-api") == Some("true")
}

/// What Cilium must not do to the mesh.
pub(super) fn settings(found: &Found) -> Vec<Item> {
    let mut findings = Findings::new("cilium");
    let is = |key: &str, wanted: &str| value(found, key) == Some(wanted);
    let alone = istio::is_unneeded(found);
    let classes = found.unread(&gateway_class());
    let maybe = classes.filter(|_| programs_routes(found));
    let mut wrong = |message: &str| match maybe {
        Some(why) => findings.unknown([unless_mesh(why, message).as_str()]),
        None => findings.error(message),
    };
    if config(found).is_some() && !alone {
        if !is("cni-exclusive", "false") {
            wrong(
                "cilium-config has no cni-exclusive: \"false\", so Cilium removes Istio's CNI plugin: \
                 set cni.exclusive=false in its Helm values",
            );
        }
        let replaces_proxy = ["true", "strict", "partial"]
            .iter()
            .any(|value| is("kube-proxy-replacement", value));
        if replaces_proxy && !is("bpf-lb-sock-hostns-only", "true") {
            wrong(
                "cilium-config has no bpf-lb-sock-hostns-only: \"true\", so requests of pods never reach ztunnel \
                 with a Service's address: set socketLB.hostNamespaceOnly=true in its Helm values",
            );
        }
        if is("enable-bpf-masquerade", "true") {
            wrong(
                "cilium-config has enable-bpf-masquerade: \"true\", so probes of pods in the mesh fail: \
                 set bpf.masquerade=false in its Helm values",
            );
        }
    }
    findings.unknown(found.unread(&config_map()));
    findings.or_ok(|| match config(found) {
        Some(_) if alone && programs_routes(found) => "Cilium is the mesh".to_owned(),
        Some(_) if alone => "Istio is not the mesh that it would hinder".to_owned(),
        Some(_) => "Cilium leaves the mesh alone".to_owned(),
        None => "there is no ConfigMap kube-system/cilium-config, so no Cilium".to_owned(),
    })
}

/// What is wrong beneath Istio's mesh, where nobody can see whose it is.
fn unless_mesh(why: &str, message: &str) -> String {
    format!("whether Cilium is the mesh: {why}; beneath Istio's, {message}")
}

/// Whether policies that deny all else let the probes of the pods through.
pub(super) fn probes(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("health-probes");
    if subject.is_gamma() && istio::is_absent(found) {
        return findings.or_ok(|| format!("none comes from {PROBES_FROM}, as in ambient mode"));
    }
    let kinds = [network_policy(), cilium_policy(), cilium_cluster_policy()];
    if config(found).is_none() {
        findings.unknown(found.unread(&config_map()));
        return findings.or_ok(|| "no Cilium, whose policies would drop them".to_owned());
    }
    let labels = subject.observed.template();
    let labels = labels.and_then(|template| template.pointer("/metadata/labels"));
    let selecting = kinds.iter().flat_map(|kind| {
        let all = found.all(kind);
        let all = all.filter(|one| denies_ingress(kind, one) && selects(kind, one, labels));
        all.map(|one| format!("{} {}", kind.kind, one.name_any()))
    });
    let selecting: Vec<_> = selecting.collect();
    let always = value(found, "enable-policy") == Some("always");
    let let_through = kinds.iter().any(|kind| {
        let mut all = found.all(kind);
        all.any(|one| lets_probes_in(one) && selects(kind, one, labels))
    });
    let unread: Vec<_> = kinds.iter().filter_map(|kind| found.unread(kind)).collect();
    if (always || !selecting.is_empty()) && !let_through && unread.is_empty() {
        let why = if selecting.is_empty() {
            "enable-policy: always".to_owned()
        } else {
            few(selecting)
        };
        let message = format!(
            "{why} denies the pods' probes, which come from {PROBES_FROM} in the mesh: allow that by a \
             CiliumClusterwideNetworkPolicy, {DOCS}"
        );
        match found
            .unread(&gateway_class())
            .filter(|_| subject.is_gamma())
        {
            Some(why) => findings.unknown([unless_mesh(why, &message).as_str()]),
            None => findings.error(message),
        }
    }
    if !let_through {
        // What was not read may deny as well as allow.
        findings.unknown(unread);
    }
    findings.or_ok(|| {
        if let_through {
            format!("a policy lets them in from {PROBES_FROM}")
        } else {
            "no policy selects the pods".to_owned()
        }
    })
}

/// Whether what it does not allow is denied. An object of Cilium's may say that it only allows.
fn denies_ingress(kind: &ApiResource, policy: &DynamicObject) -> bool {
    if *kind == network_policy() {
        let types = list_of(&policy.data, "/spec/policyTypes");
        return types.is_empty() || types.iter().any(|one| one == "Ingress");
    }
    let default = policy.data.pointer("/spec/enableDefaultDeny/ingress");
    policy.data.pointer("/spec/ingress").is_some() && default != Some(&Value::Bool(false))
}

fn lets_probes_in(policy: &DynamicObject) -> bool {
    let ingress = list_of(&policy.data, "/spec/ingress").iter();
    let native = ingress.clone().flat_map(|rule| list_of(rule, "/from"));
    let native = native.filter_map(|from| text(from, "/ipBlock/cidr"));
    let ciliums = ingress.flat_map(|rule| {
        let plain = list_of(rule, "/fromCIDR").iter().filter_map(Value::as_str);
        let sets = list_of(rule, "/fromCIDRSet").iter();
        plain.chain(sets.filter_map(|set| text(set, "/cidr")))
    });
    native.chain(ciliums).any(|cidr| cidr == PROBES_FROM)
}

/// Whether a policy is about pods with these labels. Expressions are taken to match: it is asked who may deny.
fn selects(kind: &ApiResource, policy: &DynamicObject, labels: Option<&Value>) -> bool {
    let path = if *kind == network_policy() {
        "/spec/podSelector/matchLabels"
    } else {
        "/spec/endpointSelector/matchLabels"
    };
    let wanted = policy.data.pointer(path).and_then(Value::as_object);
    wanted.into_iter().flatten().all(|(name, value)| {
        // Cilium writes where a label is from.
        let name = name.rsplit(':').next().unwrap_or(name);
        let own = labels.and_then(|labels| labels.get(name));
        name.starts_with("io.kubernetes.pod.namespace") || own == Some(value)
    })
}
