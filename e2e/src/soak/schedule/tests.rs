//! A schedule is repeatable, meets everything, and asks for nothing that cannot be done.

use super::*;
use crate::soak::rules::GRACE_API;

fn drawn(minutes: u64, canaries: usize, seed: u64) -> Vec<Event> {
    draw(Setting {
        length: Duration::from_mins(minutes),
        canaries,
        seed,
    })
}

#[test]
fn a_seed_draws_one_schedule() {
    assert_eq!(drawn(5, 8, 3), drawn(5, 8, 3));
    assert_ne!(drawn(5, 8, 3), drawn(5, 8, 4));
}

#[test]
fn a_short_run_meets_every_outage() {
    for seed in 0..50 {
        let events = drawn(1, 4, seed);
        for (outage, ..) in OUTAGES {
            let met = |event: &&Event| matches!(event.what, What::Outage(o, _) if o == outage);
            assert_eq!(events.iter().filter(met).count(), 1, "{outage}");
        }
    }
}

/// Then a Sluice that starts has to know what the one before knew.
#[test]
fn sluice_is_also_killed_while_the_mesh_catches_up() {
    let within = |seed: u64| {
        let events = drawn(30, 2, seed);
        let outages = |wanted: Outage| {
            events.iter().filter_map(move |event| match event.what {
                What::Outage(outage, lasts) if outage == wanted => Some((event.at, lasts)),
                _ => None,
            })
        };
        let mut absences = outages(Outage::Api);
        absences.any(|(from, lasts)| {
            let mut kills = outages(Outage::Kill);
            kills.any(|(at, _)| at > from && at < from + lasts + GRACE_API)
        })
    };
    assert!((0..10).all(within));
}

#[test]
fn what_is_suspended_is_resumed_and_nothing_is_done_without_an_api_server() {
    for seed in 0..50 {
        let events = drawn(10, 20, seed);
        let silent = silences(&events);
        for canary in 0..20 {
            let deeds = events.iter().filter_map(|event| match event.what {
                What::Deed(of, deed) if of == canary => Some((event.at, deed)),
                _ => None,
            });
            let mut suspended = 0;
            let mut absent = 0;
            for (at, deed) in deeds {
                assert!(silent.iter().all(|(from, to)| !(*from..*to).contains(&at)));
                match deed {
                    Deed::Suspend => suspended += 1,
                    Deed::Resume => suspended -= 1,
                    Deed::DeleteCanary => absent += 1,
                    Deed::CreateCanary => absent -= 1,
                    Deed::Push(_) => assert_eq!(absent, 0, "seed {seed}, {canary}, {at:?}"),
                    _ => {}
                }
            }
            assert_eq!((suspended, absent), (0, 0), "seed {seed}");
        }
    }
}
