//! The invariants that need no second controller, over random sequences of answers, edits, faults and restarts. The simulation
//! itself checks I1, I2, I3, I4 and I8 at every step.

use std::time::Duration;

use proptest::prelude::*;

use super::simulation::{Simulation, done, error, object, running};
use crate::{
    google::answer::{CancelAnswer, ErrorKind, GetAnswer},
    lifecycle::{Grant, WriteAnswer},
};

#[derive(Clone, Debug)]
enum Deed {
    Wait(u64),
    Suspend(bool),
    Deadline(u64),
    Revoke,
    LoseGrants,
    Grant,
    Touch,
    Restart,
    WallJumps(i64),
    FailWrite(u8, bool),
    SlowGets(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0u64..200_000).prop_map(Deed::Wait),
        1 => any::<bool>().prop_map(Deed::Suspend),
        1 => (10u64..3000).prop_map(Deed::Deadline),
        1 => Just(Deed::Revoke),
        1 => Just(Deed::LoseGrants),
        2 => Just(Deed::Grant),
        1 => Just(Deed::Touch),
        1 => Just(Deed::Restart),
        1 => (-4000i64..4000).prop_map(Deed::WallJumps),
        1 => (-400_000i64..400_000).prop_map(Deed::WallJumps),
        2 => (0u8..5, any::<bool>()).prop_map(|(fault, carried_out)| Deed::FailWrite(fault, carried_out)),
        1 => (1u64..9000).prop_map(Deed::SlowGets),
    ]
}

fn kind() -> impl Strategy<Value = ErrorKind> {
    prop::sample::select(ErrorKind::ALL.to_vec())
}

fn get_answer() -> impl Strategy<Value = GetAnswer> {
    prop_oneof![
        5 => Just(running()),
        1 => prop::sample::select(vec![0, 1, 2, 13]).prop_map(done),
        3 => kind().prop_map(|kind| Err(error(kind))),
    ]
}

fn cancel_answer() -> impl Strategy<Value = CancelAnswer> {
    prop_oneof![2 => Just(Ok(())), 3 => kind().prop_map(|kind| Err(error(kind)))]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold_and_it_ends(
        gets in prop::collection::vec(get_answer(), 1..40),
        cancels in prop::collection::vec(cancel_answer(), 1..12),
        deeds in prop::collection::vec(deed(), 0..20),
        jitter in 0.0f64..1.0,
        turns_take in prop::option::of(0u64..9000),
    ) {
        let last_get = gets.last().cloned().unwrap_or_else(running);
        let mut sim = Simulation::of(
            object(),
            move |n, _| gets.get(n - 1).cloned().unwrap_or_else(|| last_get.clone()),
            move |n| cancels[(n - 1) % cancels.len()].clone(),
        );
        sim.jitter = jitter;
        sim.turns_take = turns_take.map(Duration::from_millis);
        // The golden ratio's multiples spread evenly.
        sim.jitter_step = 0.618_033_988_75;
        for deed in deeds {
            carry_out(&mut sim, deed);
        }
        // Faults stop; what stays granted and unsuspended ends by its deadline, and then all is quiet (I9).
        sim.write_faults.clear();
        if !sim.forgotten {
            sim.set_grant(Grant::Granted);
            sim.edit(|spec| spec.suspend = false);
        }
        sim.run_for(Duration::from_secs(3 * 86_400));
        prop_assert!(sim.outcome().is_some(), "{:#?}", sim.stored.status);
        prop_assert!(sim.forgotten);
        prop_assert!(sim.rested > 0);
        prop_assert!(sim.posts.len() as i64 <= sim.stored.status.cancel_attempts.unwrap_or(0));
    }

    /// I10: what was not allowed before the start does not count, and the start never moves once an intent stands.
    #[test]
    fn the_start_does_not_move(wait in 0u64..100_000, revoked in 0u64..100_000, restarts in 0usize..3) {
        let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
        sim.grant = Grant::NotGranted;
        sim.run_for(Duration::from_secs(wait));
        prop_assert_eq!(&sim.stored.status.start_time, &None);
        sim.set_grant(Grant::Granted);
        sim.run_for(Duration::from_secs(2));
        let start = sim.stored.status.start_time.clone().expect("started");
        prop_assert!(start.0.as_second() >= super::simulation::START + wait as i64);
        sim.set_grant(Grant::NotGranted);
        sim.run_for(Duration::from_secs(revoked));
        for _ in 0..restarts {
            if !sim.forgotten {
                sim.restart();
            }
        }
        sim.run_for(Duration::from_secs(2 * 86_400));
        prop_assert_eq!(sim.outcome(), Some(crate::api::Outcome::Unknown));
        prop_assert_eq!(sim.stored.status.start_time.clone(), Some(start.clone()));
        let end = sim.stored.status.completion_time.clone().expect("ended").0;
        prop_assert!(end.as_second() - start.0.as_second() >= 86_400);
        prop_assert!(end.as_second() - start.0.as_second() <= 86_400 + 65);
    }
}

/// Once found by the property above: the time counts from the start, and not from when the start was stored.
#[test]
fn the_deadline_counts_from_the_start_although_its_first_write_fails() {
    let mut sim = Simulation::of(object(), |_, _| running(), |_| Ok(()));
    sim.jitter = 0.0;
    sim.jitter_step = 0.618_033_988_75;
    for deed in [
        Deed::WallJumps(8),
        Deed::FailWrite(0, false),
        Deed::Wait(7_683_000),
        Deed::WallJumps(-8),
    ] {
        carry_out(&mut sim, deed);
    }
    sim.run_for(Duration::from_secs(3 * 86_400));
    assert_eq!(sim.outcome(), Some(crate::api::Outcome::Unknown));
}

/// Once found by the property above: the deadline was moved while its outcome waited to be stored, and whether a grant allows the
/// object was not known then.
#[test]
fn a_deadline_that_is_moved_while_the_grants_are_not_known_counts() {
    let mut sim = Simulation::of(object(), |_, _| running(), |_| Ok(()));
    sim.turns_take = Some(Duration::from_secs(5));
    sim.run_for(Duration::from_secs(43));
    for deed in [
        Deed::Deadline(10),
        Deed::Wait(1060),
        Deed::LoseGrants,
        Deed::Deadline(1509),
        Deed::Wait(8952),
    ] {
        carry_out(&mut sim, deed);
    }
    assert_eq!(sim.outcome(), None);
    sim.set_grant(Grant::Granted);
    sim.run_for(Duration::from_secs(86_400));
    assert_eq!(sim.outcome(), Some(crate::api::Outcome::Unknown));
}

/// A step of the wall clock, by days and in both directions, ends nothing and stretches nothing.
#[test]
fn a_wall_clock_that_steps_moves_no_deadline() {
    for hours in [-300, -25, -1, 1, 25, 300] {
        let mut sim = Simulation::of(object(), |_, _| running(), |_| Ok(()));
        sim.run_for(Duration::from_secs(60));
        carry_out(&mut sim, Deed::WallJumps(hours * 3600));
        sim.run_for(Duration::from_secs(86_400 - 60 - 5));
        assert_eq!(sim.outcome(), None, "{hours} hours");
        sim.run_for(Duration::from_secs(30));
        assert_eq!(
            sim.outcome(),
            Some(crate::api::Outcome::Unknown),
            "{hours} hours"
        );
    }
}

fn carry_out(sim: &mut Simulation, deed: Deed) {
    if sim.forgotten {
        return;
    }
    match deed {
        Deed::Wait(ms) => sim.run_for(Duration::from_millis(ms)),
        Deed::Suspend(suspend) => sim.edit(|spec| spec.suspend = suspend),
        Deed::Deadline(seconds) => sim.edit(|spec| spec.deadline = Duration::from_secs(seconds)),
        Deed::Revoke => sim.set_grant(Grant::NotGranted),
        Deed::Grant => sim.set_grant(Grant::Granted),
        Deed::LoseGrants => sim.set_grant(Grant::Unknown),
        Deed::Touch => sim.touch(),
        Deed::Restart => sim.restart(),
        Deed::WallJumps(seconds) => {
            sim.wall_offset += jiff::SignedDuration::from_secs(seconds);
        }
        Deed::FailWrite(fault, carried_out) => {
            let stored = Box::new(sim.stored.clone());
            sim.write_faults.push(match fault {
                0 => (WriteAnswer::Conflict(stored), false),
                1 => (WriteAnswer::Unconfirmed, carried_out),
                2 => (WriteAnswer::Failed, false),
                3 => (WriteAnswer::Busy, carried_out),
                _ => (WriteAnswer::Written(stored), false),
            });
        }
        Deed::SlowGets(ms) => sim.get_latency = Duration::from_millis(ms),
    }
}
