//! What one holder of the Lease tells the next about the API server: until when the mesh may be behind it.
//!
//! It is said in two ways, and neither costs a write. An annotation goes with renewals that are due anyway.
//! And a Lease that was held and not renewed tells of a time in which nobody could write, or nobody was there
//! to see whether one could.

use chrono::{DateTime, SecondsFormat, TimeDelta};
use k8s_openapi::api::coordination::v1::Lease;
use sluice_core::Time;
use sluice_crds::annotations::MESH_BEHIND_UNTIL;

use super::evaluate::holder;

/// A Lease without renewal for so long is no usual takeover, which comes [`super::DURATION`] after the last
/// renewal was seen. Then the API server is taken to have been away, though its only holder may have been: the
/// price is a rollout that waits for a minute and a half. The times are of two clocks; if they differ by more
/// than the five seconds that are left here, every takeover has this price.
const UNATTENDED: TimeDelta = TimeDelta::seconds(20);

/// Until when the mesh may be behind, as the last holder said.
pub(super) fn told(lease: &Lease) -> Option<Time> {
    let text = lease
        .metadata
        .annotations
        .as_ref()?
        .get(MESH_BEHIND_UNTIL)?;
    let until = DateTime::parse_from_rfc3339(text).ok()?;
    Some(until.to_utc())
}

/// Says it to the next holder, as long as it matters.
pub(super) fn tell(lease: &mut Lease, until: Option<Time>, now: Time) {
    let annotations = lease.metadata.annotations.get_or_insert_default();
    match until.filter(|until| *until > now) {
        Some(until) => {
            let text = until.to_rfc3339_opts(SecondsFormat::Millis, true);
            annotations.insert(MESH_BEHIND_UNTIL.to_owned(), text);
        }
        None => drop(annotations.remove(MESH_BEHIND_UNTIL)),
    }
}

/// Since when nobody renewed a Lease that is about to be taken over; `None` if it was released, or if that is
/// not long ago.
pub(super) fn unattended_since(lease: &Lease, now: Time) -> Option<Time> {
    holder(lease)?;
    let renewed = lease.spec.as_ref()?.renew_time.as_ref()?;
    let renewed = Time::from_timestamp_micros(renewed.0.as_microsecond())?;
    (now - renewed > UNATTENDED).then_some(renewed)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_timestamp(1_700_000_000 + seconds, 0).unwrap_or_default()
    }

    fn lease(holder: Option<&str>) -> Lease {
        let renewed = Timestamp::from_second(at(0).timestamp()).unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: holder.map(ToOwned::to_owned),
            renew_time: Some(MicroTime(renewed)),
            ..LeaseSpec::default()
        };
        Lease {
            spec: Some(spec),
            ..Lease::default()
        }
    }

    #[test]
    fn a_lease_that_nobody_could_renew_tells_of_an_outage() {
        let held = lease(Some("a_1"));
        assert_eq!(unattended_since(&held, at(16)), None, "a usual takeover");
        assert_eq!(unattended_since(&held, at(21)), Some(at(0)));
        assert_eq!(unattended_since(&lease(None), at(600)), None, "released");
        assert_eq!(unattended_since(&lease(Some("")), at(600)), None);
        assert_eq!(unattended_since(&Lease::default(), at(600)), None);
    }

    #[test]
    fn what_is_told_is_read_until_it_is_over() {
        let mut lease = lease(Some("a_1"));
        assert_eq!(told(&lease), None);
        tell(&mut lease, Some(at(90)), at(10));
        assert_eq!(told(&lease), Some(at(90)));
        tell(&mut lease, Some(at(90)), at(90));
        assert_eq!(told(&lease), None);
        tell(&mut lease, Some(at(90)), at(10));
        tell(&mut lease, None, at(20));
        assert_eq!(told(&lease), None);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let mut lease = Lease::default();
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert(MESH_BEHIND_UNTIL.to_owned(), "soon".to_owned());
        assert_eq!(told(&lease), None);
    }
}
