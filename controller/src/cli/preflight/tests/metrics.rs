//! What is told of a server, by what it has.

use super::cases::{Case, check, error, ok, unknown, warning};
use super::*;

type Answer = Result<Seen, String>;
type Words = &'static [&'static str];

fn seen(change: fn(&mut Seen)) -> Seen {
    let mut seen = Seen {
        series: 40,
        told: 36,
        own: 12,
        interval: TimeDelta::try_seconds(15),
    };
    change(&mut seen);
    seen
}

fn told(case: &Case, seen: Answer, from_inside: bool) {
    let mut scene = Scene::healthy();
    let hint = format!("{seen:?}");
    scene.found.series = [("shop/podinfo".to_owned(), seen)].into();
    scene.found.from_inside = from_inside;
    check(case, &scene.report(), &hint);
}

#[test]
fn what_is_missing_is_told_with_where_to_get_it() {
    let nobody: Words = &[
        "no series {__name__=~\"istio_requests_total\", reporter=\"waypoint\"} of anybody",
        "docs/sources.md",
    ];
    told(&error("metrics", nobody, ""), Ok(Seen::default()), false);
    let unlabelled: Words = &["none with the label destination_service_name"];
    let seen_unlabelled = seen(|seen| (seen.told, seen.own) = (0, 0));
    told(
        &error("metrics", unlabelled, ""),
        Ok(seen_unlabelled),
        false,
    );
    let silent: Words = &["none of podinfo yet"];
    told(
        &warning("metrics", silent, ""),
        Ok(seen(|seen| seen.own = 0)),
        false,
    );
}

#[test]
fn the_interval_is_that_of_the_scrapes() {
    let every = |seconds| Ok(seen_every(Some(seconds)));
    let right: Words = &["12 series of podinfo by source istio-waypoint, every 15s"];
    told(&ok("metrics", right, ""), every(15), false);
    told(&ok("metrics", &["every 16s"], ""), every(16), false);
    let few: Words = &["too few samples to tell"];
    told(&ok("metrics", few, ""), Ok(seen_every(None)), false);
    let rarer: Words = &["metrics.interval is 15s, and a sample comes every 30s"];
    told(&warning("metrics", rarer, ""), every(30), false);
    let oftener: Words = &["metrics.interval is 15s, and a sample comes every 1s"];
    told(&warning("metrics", oftener, ""), every(1), false);
}

fn seen_every(seconds: Option<i64>) -> Seen {
    let mut seen = seen(|_| ());
    seen.interval = seconds.and_then(TimeDelta::try_seconds);
    seen
}

#[test]
fn a_server_that_is_away_is_a_fault_where_sluice_would_be() {
    let away =
        || Err("http://prometheus.monitoring:9090 cannot be reached: no such host".to_owned());
    let outside = &["cannot be reached: no such host", "--prometheus"];
    told(&unknown("metrics", outside, ""), away(), false);
    let inside = &["cannot be reached: no such host", "mend spec.metrics"];
    told(&error("metrics", inside, ""), away(), true);
}
