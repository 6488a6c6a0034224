//! What is adopted, the Service that clients call, and what a person wrote about it.

use sluice_crds::PolicyKind;

use crate::cli::preflight::found::{Found, service as services};
use crate::cli::preflight::item::{Findings, Item};
use crate::cli::preflight::subject::Subject;
use crate::observe::kinds;
use crate::observe::observed::Policy;
use crate::parse::{blockers, plan};

/// Where sections may come from that a Canary does not have itself.
pub(super) const POLICIES: [&str; 2] = ["canarypolicies", "clustercanarypolicies"];

/// Why kinds of ours could not be read.
pub(super) fn unread_of_ours<'a>(
    found: &'a Found,
    plurals: &[&str],
) -> impl Iterator<Item = &'a str> {
    let names = plurals
        .iter()
        .map(|plural| format!("{plural}.{}", sluice_crds::GROUP));
    let unread = names.filter_map(|name| found.objects.unread.get(&name));
    unread.map(String::as_str).collect::<Vec<_>>().into_iter()
}

/// Whether there is a template.
pub(super) fn target(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("target");
    let (observed, target) = (&subject.observed, subject.target());
    if observed.target.is_none() {
        match found.unread(&kinds::deployment()) {
            Some(why) => findings.unknown([why]),
            None => findings.error(format!(
                "there is no {target} in {}: create it, or name another in spec.targetRef",
                observed.namespace
            )),
        }
    }
    findings.unknown(unread_of_ours(found, &["canaries"]));
    findings.or_ok(|| {
        let by = if subject.exists {
            "of its Canary"
        } else {
            "which no Canary names yet"
        };
        format!("{target}, {by}")
    })
}

/// Whether its requests can be split.
pub(super) fn service(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("service");
    match (
        blockers::in_service(&subject.observed),
        found.unread(&services()),
    ) {
        (Some(_), Some(why)) => findings.unknown([why]),
        (Some(blocked), None) => findings.error(blocked.message),
        (None, _) => {}
    }
    findings.or_ok(|| format!("all requests to {} can be split", subject.service_name()))
}

/// Whether the Canary and its policy can be followed.
pub(super) fn policy(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("policy");
    let (observed, sections) = (&subject.observed, &subject.sections);
    let parsed = plan::parse(sections);
    let checked = parsed.as_ref().map(|_| ());
    if let Some(blocked) = blockers::in_spec(observed, sections, checked) {
        findings.error(blocked.message);
    }
    findings.unknown(unread_of_ours(found, &POLICIES));
    findings.or_ok(|| match &observed.policy {
        Policy::Found { reference, .. } => {
            let kind = match reference.kind {
                PolicyKind::CanaryPolicy => "CanaryPolicy",
                PolicyKind::ClusterCanaryPolicy => "ClusterCanaryPolicy",
            };
            format!("{kind} {}", reference.name)
        }
        Policy::BuiltIn | Policy::Missing(_) => "the built-in values".to_owned(),
    })
}
