//! What is written, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use sluice_core::{Outcome, Time};

use super::*;

/// A Canary of which these parts of spec, status and annotations are known.
fn canary(spec: &Value, status: &Value, annotations: &Value) -> Canary {
    let mut whole = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Canary",
        "metadata": {
            "name": "web", "namespace": "shop", "resourceVersion": "42", "annotations": annotations,
            "managedFields": [
                {"manager": "argocd-controller", "operation": "Apply",
                 "fieldsV1": {"f:spec": {"f:targetRef": {}, "f:suspend": {}}}},
            ],
        },
        "spec": {"targetRef": {"kind": "Deployment", "name": "web"}},
        "status": status,
    });
    let known = whole["spec"].as_object_mut().unwrap();
    known.extend(spec.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

/// A rollout of `web-new` beside `web-old`, with more of its own.
fn rolling(more: &Value) -> Value {
    let mut rollout = json!({
        "candidate": "web-new", "gated": true,
        "startedAt": "2023-11-14T22:13:20.000000Z", "progressedAt": "2023-11-14T22:13:20.000000Z",
    });
    let known = rollout.as_object_mut().unwrap();
    known.extend(more.as_object().unwrap().clone());
    json!({
        "phase": "Progressing", "stable": "web-old", "candidate": "web-new", "weight": "10%",
        "rollout": rollout,
    })
}

fn at_rest() -> Value {
    json!({"phase": "Succeeded", "stable": "web-old"})
}

fn failed() -> Value {
    json!({"phase": "Failed", "stable": "web-old", "candidate": "web-bad"})
}

fn records() -> BTreeMap<String, Record> {
    let at = Time::from_timestamp(1_700_000_000, 0).unwrap();
    let rejected = |orders: &[&str]| {
        let record = Record::default().ended(Outcome::Rejected, at, "bad");
        orders
            .iter()
            .fold(record, |record, order| record.obeyed(order))
    };
    BTreeMap::from([
        ("web-old".to_owned(), Record::default()),
        (
            "web-new".to_owned(),
            Record::default().obeyed("abort:web-new"),
        ),
        ("web-bad".to_owned(), rejected(&["retry:web-bad"])),
        ("web-worse".to_owned(), rejected(&[])),
    ])
}

fn planned(verb: Verb, canary: &Canary, revision: Option<&str>) -> Result<Write, Refusal> {
    let stored = Stored {
        canary,
        records: &records(),
    };
    plan(verb, &stored, revision)
}

fn patch(verb: Verb, canary: &Canary) -> Value {
    planned(verb, canary, None).unwrap().patch
}

fn refusal(verb: Verb, canary: &Canary, revision: Option<&str>) -> String {
    planned(verb, canary, revision).unwrap_err().to_string()
}

#[test]
fn an_order_names_the_candidate_and_what_was_looked_at() {
    let canary = canary(&json!({}), &rolling(&json!({})), &json!({}));
    let write = |name: &str, value: &str| json!({"metadata": {"annotations": {name: value}, "resourceVersion": "42"}});
    let promote = patch(Verb::Promote, &canary);
    assert_eq!(promote, write("sluice.dev/promote", "web-new"));
    // The first one was carried out in an earlier rollout of it.
    let abort = patch(Verb::Abort, &canary);
    assert_eq!(abort, write("sluice.dev/abort", "web-new#2"));
    let text = planned(Verb::Abort, &canary, Some("web-new"))
        .unwrap()
        .text();
    let told = [
        "web-new of shop/web loses its 10% of the requests to web-old at once",
        "To undo it: sluice retry shop/web",
        "Git wins: ",
    ];
    for part in told {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_is_rejected_is_tried_again() {
    let canary = canary(&json!({}), &failed(), &json!({}));
    let written = patch(Verb::Retry, &canary);
    let value = &written["metadata"]["annotations"]["sluice.dev/retry"];
    assert_eq!(value, "web-bad#2");
    let other = refusal(Verb::Retry, &canary, Some("web-worse"));
    assert!(other.contains("it is not what Git asks for now"), "{other}");
    let good = refusal(Verb::Retry, &canary, Some("web-old"));
    assert_eq!(good, "web-old was not rejected");
}

#[test]
fn an_approval_is_added_to_the_others() {
    let others = json!({"approved": [{"image": "shop:1"}]});
    let awaited = rolling(&json!({"approvalAwaitedSince": "2023-11-14T22:13:20.000000Z"}));
    let waits = canary(&others, &awaited, &json!({}));
    let entry = json!({"revision": "web-new", "at": "10%"});
    let written = patch(Verb::Approve, &waits);
    assert_eq!(
        written["spec"]["approved"],
        json!([{"image": "shop:1"}, entry])
    );
    let given = canary(&json!({"approved": [entry]}), &awaited, &json!({}));
    let given = refusal(Verb::Approve, &given, None);
    assert!(
        given.starts_with("spec.approved has web-new at 10% already"),
        "{given}"
    );
    let full = vec![json!({"image": "shop:1"}); MOST_APPROVED];
    let full = canary(&json!({"approved": full}), &awaited, &json!({}));
    assert!(refusal(Verb::Approve, &full, None).contains("no room for another"));
    let bakes = canary(&json!({}), &rolling(&json!({})), &json!({}));
    let bakes = refusal(Verb::Approve, &bakes, None);
    assert!(
        bakes.starts_with("web-new waits for no approval now"),
        "{bakes}"
    );
}

#[test]
fn suspension_tells_who_writes_it_as_well() {
    let runs = canary(&json!({}), &rolling(&json!({})), &json!({}));
    let write = planned(Verb::Suspend, &runs, None).unwrap();
    assert_eq!(write.patch["spec"], json!({"suspend": true}));
    let text = write.text();
    assert!(
        text.contains("argocd-controller holds spec.suspend"),
        "{text}"
    );
    assert!(text.contains("web-new keeps its 10%"), "{text}");
    assert_eq!(
        refusal(Verb::Resume, &runs, None),
        "shop/web is not suspended"
    );
    let stops = canary(&json!({"suspend": true}), &rolling(&json!({})), &json!({}));
    assert_eq!(
        refusal(Verb::Suspend, &stops, None),
        "shop/web is suspended already"
    );
    let resumed = patch(Verb::Resume, &stops);
    assert_eq!(resumed["spec"], json!({"suspend": null}));
    let promoted = planned(Verb::Promote, &stops, None).unwrap();
    assert!(
        promoted
            .does
            .contains("that comes once it is not: sluice resume shop/web")
    );
}

#[test]
fn where_there_is_nothing_to_order_it_says_why() {
    let rest = canary(&json!({}), &at_rest(), &json!({}));
    for verb in [Verb::Promote, Verb::Abort, Verb::Approve] {
        let said = refusal(verb, &rest, None);
        let told = "no rollout of shop/web is under way: web-old serves all requests";
        assert_eq!(said, told, "{verb:?}");
    }
    let retry = refusal(Verb::Retry, &rest, None);
    assert!(
        retry.starts_with("what Git asks for was not rejected"),
        "{retry}"
    );
    let gone = canary(&json!({}), &failed(), &json!({}));
    let gone = refusal(Verb::Abort, &gone, None);
    assert!(
        gone.ends_with("web-bad was rejected: sluice retry shop/web tries it again"),
        "{gone}"
    );

    let runs = canary(&json!({}), &rolling(&json!({})), &json!({}));
    let other = refusal(Verb::Promote, &runs, Some("web-old"));
    assert_eq!(other, "web-old is not the candidate: web-new is");
    let retry = refusal(Verb::Retry, &runs, None);
    assert!(
        retry.starts_with("a rollout of web-new is under way"),
        "{retry}"
    );
    let promoting = rolling(&json!({"promoting": true}));
    let promoting = canary(&json!({}), &promoting, &json!({}));
    assert!(refusal(Verb::Promote, &promoting, None).contains("takes all requests already"));
    let annotations = json!({"sluice.dev/promote": "web-new"});
    let twice = canary(&json!({}), &rolling(&json!({})), &annotations);
    assert!(refusal(Verb::Promote, &twice, None).contains("orders that already"));
    let mut first = rolling(&json!({"gated": false}));
    first.as_object_mut().unwrap().remove("stable");
    let first = canary(&json!({}), &first, &json!({}));
    assert!(refusal(Verb::Abort, &first, None).contains("nothing else would serve"));

    let mut going = canary(&json!({}), &rolling(&json!({})), &json!({}));
    let at = serde_json::from_value(json!("2023-11-14T22:13:20Z")).unwrap();
    going.metadata.deletion_timestamp = Some(at);
    assert_eq!(
        refusal(Verb::Promote, &going, None),
        "shop/web is being deleted"
    );
}
