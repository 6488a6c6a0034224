//! The query for how many requests a second there were.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::evidence::query::{Asked, NAME, PROCESS, TARGET_INFO, literal, metrics, one_of, quoted};
use crate::evidence::source::{Dialect, spell};
use crate::render::name;

/// The label with what a Service is counted as: by its own name, or with all revisions of one target.
pub(super) const COUNTED_AS: &str = "sluice";

/// The query for how many requests a second these had, in a `window` before each look. `counted` are names of
/// their own and of targets, whose revisions are added up by the server: there may be many in a week.
pub(super) fn rates<'a>(
    dialect: &Dialect,
    asked: &Asked,
    namespaces: &BTreeSet<&str>,
    counted: impl Iterator<Item = &'a str>,
    window: TimeDelta,
) -> String {
    let (namespace, service) = (
        spell(dialect.namespace, asked.names),
        spell(dialect.service, asked.names),
    );
    let (namespace_label, service_label) = (quoted(&namespace), quoted(&service));
    let hash = name::hash_pattern();
    let counted = counted.map(literal).collect::<Vec<_>>().join("|");
    let whose = format!(
        "{}, {service_label}=~\"(?:{counted})(?:-{hash})?\"",
        one_of(&namespace_label, namespaces.iter().copied())
    );
    let by = format!("{namespace_label}, {service_label}");
    let window = window.num_milliseconds();
    let mut metrics: Vec<_> = metrics(dialect, asked)
        .into_iter()
        .filter(|(_, meaning)| meaning.requests)
        .collect();
    metrics.sort_by_key(|(_, meaning)| meaning.family);
    let rates = metrics.into_iter().flat_map(|(metric, _)| {
        let only = dialect.only.iter();
        let only = only.map(|(label, value)| format!("{label}=\"{value}\""));
        let matchers = [format!("{NAME}=\"{metric}\"")].into_iter().chain(only);
        let matchers = matchers.collect::<Vec<_>>().join(", ");
        let rate = |whose: &str| format!("rate({{{matchers}, {whose}}}[{window}ms])");
        let mut rates = vec![format!("sum by ({by}) ({})", rate(&whose))];
        if dialect.target_info() {
            let process = PROCESS.join(", ");
            rates.push(format!(
                "sum by ({by}) ({} * on ({process}) group_left ({by}) topk by ({process}) \
                 (1, max by ({process}, {by}) ({TARGET_INFO}{{{whose}}})))",
                rate(&format!("{service_label}=\"\"")),
            ));
        }
        rates
    });
    // Who counts the same requests twice does so by metrics of which the first is the best.
    let rates = rates.collect::<Vec<_>>().join(" or ");
    format!(
        "sum by ({namespace_label}, {COUNTED_AS}) (label_replace(label_replace({rates}, \
         \"{COUNTED_AS}\", \"$1\", \"{service}\", \"(.*)\"), \
         \"{COUNTED_AS}\", \"{}\", \"{service}\", \"(.+)-{hash}\"))",
        of_revisions("$1")
    )
}

/// What a name is counted as by itself.
pub(super) fn counted_as(own: &str) -> String {
    match own.rsplit_once('-') {
        Some((base, hash)) if !base.is_empty() && name::is_hash(hash) => of_revisions(base),
        _ => own.to_owned(),
    }
}

/// What revisions are counted as; nothing has a name like it.
pub(super) fn of_revisions(base: &str) -> String {
    format!("{base}-")
}

#[cfg(test)]
mod tests {
    use sluice_crds::{OtlpNames, Source};

    use super::*;

    #[test]
    fn the_past_of_all_revisions_is_added_up_by_the_server() {
        let dialect = Dialect::of(Source::IstioWaypoint);
        let namespaces = BTreeSet::from(["shop"]);
        let names = ["shop-web", "shop"].into_iter();
        let (asked, minute) = (Asked::default(), TimeDelta::minutes(1));
        assert_eq!(
            rates(dialect, &asked, &namespaces, names, minute),
            "sum by (destination_service_namespace, sluice) (label_replace(label_replace(\
             sum by (destination_service_namespace, destination_service_name) \
             (rate({__name__=\"istio_requests_total\", reporter=\"waypoint\", \
             destination_service_namespace=~\"shop\", \
             destination_service_name=~\"(?:shop-web|shop)(?:-[bcdfghjklmnpqrstvwxz2456789]{8})?\"}[60000ms])), \
             \"sluice\", \"$1\", \"destination_service_name\", \"(.*)\"), \
             \"sluice\", \"$1-\", \"destination_service_name\", \"(.+)-[bcdfghjklmnpqrstvwxz2456789]{8}\"))"
        );
        assert_eq!(counted_as("shop"), "shop");
        assert_eq!(counted_as("shop-bcdfghjk"), "shop-");
        assert_eq!(counted_as("shop-frontend"), "shop-frontend");
    }

    #[test]
    fn the_past_of_pushed_metrics_is_found_by_their_process_too() {
        let dialect = Dialect::of(Source::OtelHttp);
        let asked = Asked {
            names: OtlpNames::Dots,
            ..Asked::default()
        };
        let namespaces = BTreeSet::from(["shop"]);
        let query = rates(
            dialect,
            &asked,
            &namespaces,
            ["web"].into_iter(),
            TimeDelta::minutes(1),
        );
        for part in [
            "rate({__name__=\"http.server.request.duration_seconds_count\", \"k8s.namespace.name\"=~\"shop\", ",
            "\"k8s.deployment.name\"=\"\"}[60000ms]) * on (job, instance) group_left \
             (\"k8s.namespace.name\", \"k8s.deployment.name\") topk by (job, instance) (1, ",
            "\"sluice\", \"$1-\", \"k8s.deployment.name\", ",
        ] {
            assert!(query.contains(part), "{part} is not in {query}");
        }
    }
}
