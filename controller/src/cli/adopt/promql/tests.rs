#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

const HASH: &str = "[bcdfghjklmnpqrstvwxz2456789]{8}";

fn names() -> Names {
    Names {
        namespace: "shop".to_owned(),
        deployment: "podinfo".to_owned(),
        service: "podinfo".to_owned(),
        canonical: false,
    }
}

fn told(query: &str) -> Vec<Change> {
    read(query, &names()).unwrap().changes
}

/// One matcher, and what is written instead.
fn one(matcher: &str) -> Option<(Effect, Option<String>)> {
    let found = told(&format!("sum(rate(m{{{matcher}}}[5m])) > 0"));
    assert!(found.len() < 2, "{found:?}");
    let found = found.into_iter().next();
    found.map(|change| (change.effect, change.to))
}

#[test]
fn a_matcher_that_would_mean_something_else_is_rewritten() {
    let any = format!("podinfo(-{HASH})?");
    let later = format!("podinfo-{HASH}");
    let cases = [
        (
            Effect::Misses,
            r#"deployment="podinfo""#,
            format!("deployment=~\"{any}\""),
        ),
        (
            Effect::Misses,
            r#"destination_workload=~"podinfo""#,
            format!("destination_workload=~\"podinfo|{later}\""),
        ),
        (
            Effect::Misses,
            r#"exported_deployment="podinfo""#,
            format!("exported_deployment=~\"{any}\""),
        ),
        (
            Effect::Misses,
            r#"destination_service_name="podinfo""#,
            format!("destination_service_name=~\"{any}\""),
        ),
        (
            Effect::Admits,
            r#"deployment!="podinfo""#,
            format!("deployment!~\"{any}\""),
        ),
        (
            Effect::Admits,
            r#"deployment!~"podinfo|cart""#,
            format!("deployment!~\"podinfo|cart|{later}\""),
        ),
        (
            Effect::Misses,
            r#"pod=~"podinfo-[a-z0-9]+-[a-z0-9]{5}|cart-.*""#,
            format!("pod=~\"podinfo-[a-z0-9]+-[a-z0-9]{{5}}|cart-.*|{later}-[a-z0-9]+-[a-z0-9]+\""),
        ),
        (
            Effect::Misses,
            r#"destination_service="podinfo.shop.svc.cluster.local""#,
            format!("destination_service=~\"{any}[.]shop[.]svc[.].+\""),
        ),
        (
            Effect::Misses,
            r#"owner_kind="Deployment", owner_name="podinfo""#,
            format!("owner_name=~\"{any}\""),
        ),
        (
            Effect::Takes,
            r#"deployment=~"podinfo-.+""#,
            format!("deployment=~\"podinfo-.+\", deployment!~\"{later}\""),
        ),
        (
            Effect::Misses,
            r#"namespace="shop", deployment="podinfo""#,
            format!("deployment=~\"{any}\""),
        ),
        (
            Effect::Misses,
            r#"namespace=~"$namespace", deployment="podinfo""#,
            format!("deployment=~\"{any}\""),
        ),
        (
            Effect::Misses,
            r#"source_workload_namespace="cart", destination_workload="podinfo""#,
            format!("destination_workload=~\"{any}\""),
        ),
    ];
    for (effect, matcher, to) in cases {
        assert_eq!(one(matcher), Some((effect, Some(to.clone()))), "{matcher}");
        // What is written is right for what is there now, for revisions, and for nobody else.
        let again = told(&format!("m{{{to}}}"));
        assert_eq!(again, [], "{to} is not right");
    }
    assert_eq!(
        one(r#"deployment!~"podinfo-.*""#),
        Some((Effect::Drops, None))
    );
}

#[test]
fn what_goes_on_matching_is_left_alone() {
    let cases = [
        (r#"deployment="cart""#, false),
        (r#"deployment=~"podinfo.*""#, true),
        (r#"pod=~"podinfo-.*""#, true),
        (r#"pod=~"podinfo-.+$""#, true),
        (r#"owner_name=~"podinfo-.+""#, true),
        (r#"app="podinfo""#, true),
        (r#"service="podinfo""#, true),
        (r#"job="podinfo""#, true),
        (r#"destination_canonical_service="podinfo""#, true),
        (r#"namespace="elsewhere", deployment="podinfo""#, false),
        (
            r#"destination_workload_namespace="elsewhere", destination_workload="podinfo""#,
            false,
        ),
        (r#"deployment=~"$deployment""#, false),
        (r#"deployment!="cart""#, false),
        (r#"deployment!~"podinfo.*""#, true),
        (r#"deployment=~".+""#, false),
        (r#"deployment=~"podinfo|cart", deployment!="podinfo""#, true),
        (r#"job="podinfo-api""#, false),
    ];
    for (matcher, about) in cases {
        let query = format!("sum(rate(m{{{matcher}}}[5m])) > 0");
        let reading = read(&query, &names()).unwrap();
        assert_eq!(
            (reading.changes, reading.about),
            (vec![], about),
            "{matcher}"
        );
    }
}

#[test]
fn without_a_label_that_names_it_istio_calls_the_app_like_the_deployment() {
    let names = Names {
        canonical: true,
        ..names()
    };
    let query = r#"m{destination_canonical_service="podinfo"}"#;
    assert_eq!(read(query, &names).unwrap().changes.len(), 1);
}

#[test]
fn every_part_of_a_query_is_read_and_texts_are_not() {
    let query = r#"
        topk(scalar(count(a{deployment="podinfo"})),
          sum by (pod) (rate(b{pod=~"podinfo-[0-9a-f]+-[a-z0-9]+"}[5m] offset 1h))
          / on (pod) group_left () max_over_time((c{deployment="podinfo"} > 1)[1h:1m])
        ) unless label_replace(d{x="deployment=\"podinfo\""}, "deployment", "podinfo", "", "")
        or {deployment="podinfo" or pod=~"podinfo-.*"}
    "#;
    let reading = read(query, &names()).unwrap();
    let metrics = reading.changes.iter();
    let metrics: Vec<_> = metrics.map(|one| one.metric.as_deref()).collect();
    assert_eq!(metrics, [Some("b"), Some("c"), Some("a"), None]);
    let first = reading.changes.first().unwrap();
    assert_eq!(first.from, r#"pod=~"podinfo-[0-9a-f]+-[a-z0-9]+""#);
    // Once more, it is as it should be.
    let whole = reading.whole.unwrap();
    assert_eq!(told(&whole), [], "{whole}");
}

#[test]
fn a_size_is_summed_where_that_leaves_the_meaning_alone() {
    let whole = |query: &str| read(query, &names()).unwrap().whole.unwrap();
    let size = r#"kube_deployment_status_replicas_available{deployment="podinfo"}"#;
    let revised =
        format!(r#"kube_deployment_status_replicas_available{{deployment=~"podinfo(-{HASH})?"}}"#);
    assert_eq!(
        whole(&format!("{size} < 1")),
        format!("sum by (namespace) ({revised}) < 1")
    );
    let both = whole(&format!(
        "({size} / kube_deployment_spec_replicas{{deployment=\"podinfo\"}}) < 0.5"
    ));
    assert_eq!(both.matches("sum by (namespace)").count(), 2, "{both}");
    for other in [
        format!("{size} and on (namespace) up"),
        format!("max({size})"),
        format!("{size} > kube_deployment_spec_replicas{{deployment=\"cart\"}}"),
        r#"kube_deployment_created{deployment="podinfo"}"#.to_owned(),
    ] {
        let whole = whole(&other);
        assert!(!whole.contains("sum by"), "{whole}");
    }
}

#[test]
fn a_dashboards_variables_are_no_obstacle() {
    for query in [
        r#"rate(m{deployment="podinfo", namespace="$namespace"}[$__rate_interval])"#,
        r#"rate(m{deployment="podinfo"}[${window:raw}])"#,
        r#"max_over_time(m{deployment="podinfo"}[$__range:$__interval])"#,
        r#"topk($top, m{deployment="podinfo"})"#,
        r#"sum by ($group) (m{deployment="podinfo"})"#,
        r#"$metric{deployment="podinfo"}"#,
        r#"rate(m{deployment="podinfo"}[[[interval]]])"#,
    ] {
        let reading = read(query, &names()).unwrap();
        assert_eq!((reading.changes.len(), reading.whole), (1, None), "{query}");
    }
    let anchored = read(r#"m{deployment="podinfo", path=~"/a$"}"#, &names()).unwrap();
    assert!(anchored.whole.is_some());
    assert!(read("sum by (", &names()).is_err());
}

#[test]
fn a_name_that_no_revision_can_have_is_told_beside_theirs() {
    let names = Names {
        deployment: "Pod.Info".to_owned(),
        ..names()
    };
    let found = read(r#"m{deployment="Pod.Info"}"#, &names).unwrap();
    let to = format!("deployment=~\"(Pod[.]Info|pod-info-{HASH})\"");
    assert_eq!(found.changes.first().unwrap().to.as_ref(), Some(&to));
    assert_eq!(read(&format!("m{{{to}}}"), &names).unwrap().changes, []);
}
