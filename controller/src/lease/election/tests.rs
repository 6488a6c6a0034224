//! What one process leaves in the Lease for the next.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use chrono::TimeDelta;
use kube::client::Body;
use sluice_core::Time;
use tower::{BoxError, service_fn};

use super::*;

fn candidate(name: &str) -> Candidate {
    let nobody = service_fn(|_: http::Request<Body>| async {
        Err::<http::Response<Body>, BoxError>("nobody is asked".into())
    });
    let (nomination, _fence) = Nomination::new();
    Candidate {
        api: Api::namespaced(Client::new(nobody, "default"), "default"),
        place: Place {
            namespace: "default".to_owned(),
            name: "sluice".to_owned(),
            pod: None,
        },
        me: Me {
            name: name.to_owned(),
            predecessor: None,
            renewed: None,
        },
        view: View::Unknown,
        gate: nomination.gate,
        absence: Absence::default(),
        metrics: Metrics::default(),
        complained: false,
    }
}

fn left(candidate: &Candidate) -> Option<i64> {
    let until: Option<Time> = candidate.absence.mesh_behind_until();
    until.map(|until| (until - Utc::now()).num_seconds())
}

/// The first finds the Lease of one who could not renew it for a while; the second comes after it.
#[tokio::test]
async fn what_one_knows_of_an_outage_the_next_knows_too() {
    let (mut first, mut second) = (candidate("a_1"), candidate("a_2"));
    let mut lease = candidate("a_0").ours(Step::Create);
    first.see(Some(lease.clone()));
    first.ours(Step::Take);
    assert_eq!(left(&first), None, "renewed just now");

    let minute_ago = Timestamp::now() - k8s_openapi::jiff::SignedDuration::from_secs(60);
    lease.spec.as_mut().unwrap().renew_time = Some(MicroTime(minute_ago));
    let mut first = candidate("a_1");
    first.see(Some(lease));
    assert_eq!(left(&first), None, "not taken yet");
    let taken = first.ours(Step::Take);
    assert!(left(&first) >= Some(88), "{:?}", left(&first));

    second.see(Some(taken));
    assert!(left(&second) >= Some(88), "{:?}", left(&second));
    // A renewal says it again, and not for longer.
    let renewed = second.ours(Step::Renew);
    let mut third = candidate("a_3");
    third.see(Some(renewed));
    let later = Utc::now() + TimeDelta::seconds(90);
    assert!(third.absence.mesh_behind_until() <= Some(later));
    assert!(left(&third) >= Some(87), "{:?}", left(&third));
}
