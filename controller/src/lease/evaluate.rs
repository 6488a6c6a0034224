//! What to do about the Lease: a function of what was seen of it, and when.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use super::{DURATION, RENEW_EVERY, WRITE_FOR};

/// What was seen of the Lease, by one's own clock.
#[derive(Clone, Debug)]
pub enum View {
    /// Nobody has looked yet.
    Unknown,
    /// There is none, and there was none when it was first looked for.
    Never,
    /// It was deleted, which says nothing about its holder.
    Gone {
        /// When that was seen.
        since: Instant,
    },
    /// It is there.
    There {
        /// As it was seen last.
        lease: Box<Lease>,
        /// When it was first seen like this.
        since: Instant,
    },
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Me {
    /// What the Lease calls this process; no other process is called so.
    pub name: String,
    /// Whoever held the Lease when this process began, if that was an earlier process of the same pod:
    /// it is dead.
    pub predecessor: Option<String>,
    /// Just before the last successful renewal was sent; `None` while another leads, or nobody.
    pub renewed: Option<Instant>,
}

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing before then, unless the Lease changes.
    Wait(Instant),
    /// Create the Lease, held by us.
    Create,
    /// Make it ours, if it is still as seen.
    Take,
    /// Renew it, if it is still as seen.
    Renew,
    /// It is ours no more.
    StepDown,
}

/// What to do about the Lease.
#[must_use]
pub fn evaluate(view: &View, me: &Me, now: Instant) -> Step {
    match me.renewed {
        Some(renewed) => lead(view, me, renewed, now),
        None => follow(view, me, now),
    }
}

fn lead(view: &View, me: &Me, renewed: Instant, now: Instant) -> Step {
    if now >= renewed + WRITE_FOR {
        return Step::StepDown;
    }
    match view {
        View::There { lease, .. } if holder(lease) != Some(&me.name) => Step::StepDown,
        // Until it is there again, another could create it.
        View::Gone { .. } | View::Never => Step::Create,
        View::There { .. } | View::Unknown if now < renewed + RENEW_EVERY => {
            Step::Wait(renewed + RENEW_EVERY)
        }
        View::There { .. } | View::Unknown => Step::Renew,
    }
}

fn follow(view: &View, me: &Me, now: Instant) -> Step {
    let after = |end: Instant, step: Step| if now >= end { step } else { Step::Wait(end) };
    match view {
        View::Unknown => Step::Wait(now + DURATION),
        View::Never => Step::Create,
        View::Gone { since } => after(*since + DURATION, Step::Create),
        View::There { lease, since } => match holder(lease) {
            None => Step::Take,
            Some(holder) if *holder == me.name => Step::Take,
            Some(holder) if me.predecessor.as_ref() == Some(holder) => Step::Take,
            Some(_) => after(*since + duration(lease), Step::Take),
        },
    }
}

/// Who holds it, if anybody.
pub(super) fn holder(lease: &Lease) -> Option<&String> {
    let holder = lease.spec.as_ref()?.holder_identity.as_ref();
    holder.filter(|holder| !holder.is_empty())
}

/// How long it must be unchanged before another takes it. Its holder may be a newer program that takes
/// more time than we would; less than ours is never right.
fn duration(lease: &Lease) -> Duration {
    let stated = lease.spec.as_ref().and_then(|s| s.lease_duration_seconds);
    let stated = stated.and_then(|seconds| u64::try_from(seconds).ok());
    stated.map_or(DURATION, |seconds| {
        Duration::from_secs(seconds).max(DURATION)
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(holder: Option<&str>, seconds: Option<i32>) -> Lease {
        let spec = LeaseSpec {
            holder_identity: holder.map(ToOwned::to_owned),
            lease_duration_seconds: seconds,
            ..LeaseSpec::default()
        };
        Lease {
            spec: Some(spec),
            ..Lease::default()
        }
    }

    fn there(holder: Option<&str>, since: Instant) -> View {
        View::There {
            lease: Box::new(lease(holder, Some(15))),
            since,
        }
    }

    fn me(renewed: Option<Instant>) -> Me {
        Me {
            name: "a_1".to_owned(),
            predecessor: Some("a_0".to_owned()),
            renewed,
        }
    }

    #[test]
    fn another_holder_is_left_alone_until_the_lease_did_not_change_for_so_long() {
        let start = Instant::now();
        let view = there(Some("b_1"), start);
        let at = |passed| evaluate(&view, &me(None), start + passed);
        assert_eq!(at(Duration::ZERO), Step::Wait(start + DURATION));
        assert_eq!(
            at(DURATION.saturating_sub(SECOND)),
            Step::Wait(start + DURATION)
        );
        assert_eq!(at(DURATION), Step::Take);
    }

    #[test]
    fn a_holder_that_asks_for_more_time_gets_it_and_never_less_than_ours() {
        let start = Instant::now();
        for (stated, then) in [(Some(40), 40), (Some(1), 15), (Some(-1), 15), (None, 15)] {
            let view = View::There {
                lease: Box::new(lease(Some("b_1"), stated)),
                since: start,
            };
            let end = start + Duration::from_secs(then);
            assert_eq!(evaluate(&view, &me(None), start), Step::Wait(end));
            assert_eq!(evaluate(&view, &me(None), end), Step::Take);
        }
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let now = Instant::now();
        assert_eq!(evaluate(&there(None, now), &me(None), now), Step::Take);
        assert_eq!(evaluate(&there(Some(""), now), &me(None), now), Step::Take);
    }

    #[test]
    fn a_restarted_container_goes_on_and_another_process_of_its_name_does_not() {
        let now = Instant::now();
        let of = |holder| evaluate(&there(Some(holder), now), &me(None), now);
        assert_eq!(of("a_0"), Step::Take, "the process before this one");
        assert_eq!(of("a_1"), Step::Take, "nobody else had it meanwhile");
        assert_eq!(of("a_2"), Step::Wait(now + DURATION), "a process beside us");
    }

    #[test]
    fn the_first_ever_creates_it_and_a_deleted_one_counts_as_held() {
        let now = Instant::now();
        assert_eq!(evaluate(&View::Never, &me(None), now), Step::Create);
        let gone = View::Gone { since: now };
        let end = now + DURATION;
        assert_eq!(evaluate(&gone, &me(None), now), Step::Wait(end));
        assert_eq!(evaluate(&gone, &me(None), end), Step::Create);
        assert_eq!(evaluate(&gone, &me(Some(now)), now), Step::Create);
    }

    #[test]
    fn nothing_is_done_before_the_first_look() {
        let now = Instant::now();
        let step = evaluate(&View::Unknown, &me(None), now);
        assert_eq!(step, Step::Wait(now + DURATION));
    }

    #[test]
    fn the_holder_renews_and_stops_in_time() {
        let sent = Instant::now();
        let view = there(Some("a_1"), sent);
        let at = |passed| evaluate(&view, &me(Some(sent)), sent + passed);
        assert_eq!(at(SECOND), Step::Wait(sent + RENEW_EVERY));
        assert_eq!(at(RENEW_EVERY), Step::Renew);
        assert_eq!(at(WRITE_FOR.saturating_sub(SECOND)), Step::Renew);
        assert_eq!(at(WRITE_FOR), Step::StepDown);
        assert_eq!(at(2 * DURATION), Step::StepDown);
    }

    #[test]
    fn the_holder_stops_when_the_lease_names_another_or_nobody() {
        let now = Instant::now();
        for holder in [Some("b_1"), Some("a_0"), None] {
            let step = evaluate(&there(holder, now), &me(Some(now)), now);
            assert_eq!(step, Step::StepDown, "{holder:?}");
        }
    }

    /// Whatever the delays, whoever takes over does so after the holder stopped.
    #[test]
    fn the_holder_stops_before_another_may_start() {
        let sent = Instant::now();
        for delay in (0..4_000).step_by(250).map(Duration::from_millis) {
            // It was sent, then stored, then seen by the other.
            let view = there(Some("b_1"), sent + delay);
            let taken = (0..40_000).step_by(50).map(Duration::from_millis);
            let mut taken = taken.filter(|t| evaluate(&view, &me(None), sent + *t) == Step::Take);
            let first = taken.next().unwrap_or_default();
            assert!(first >= WRITE_FOR + Duration::from_secs(5), "{first:?}");
        }
    }
}
