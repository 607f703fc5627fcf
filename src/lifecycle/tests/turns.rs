//! Writes that wait for their turn at the API server: what is written is decided when it comes.

use std::time::Duration;

use super::simulation::{Simulation, done, error, running, with_deadline};
use crate::{
    api::Outcome,
    google::answer::ErrorKind,
    lifecycle::{
        Grant,
        WriteKind::{Intent, Outcome as End, Progress},
    },
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_end_that_is_seen_while_the_intent_waits_costs_no_request() {
    // The GET is still in flight when the observe budget is over.
    let mut sim = Simulation::new(|_, _| done(0), |_| Ok(()));
    sim.get_latency = s(1);
    sim.turns_take = Some(s(5));
    assert_eq!(sim.run(), Some(Outcome::Completed));
    assert_eq!(
        (sim.kinds().as_slice(), sim.posts.len()),
        ([End].as_slice(), 0)
    );
}

#[test]
fn a_life_is_the_same_only_later() {
    let mut sim = Simulation::cancellable(s(30));
    sim.turns_take = Some(s(2));
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.kinds(), [Intent, Progress, End]);
    assert_eq!(sim.posts.len(), 1);
}

#[test]
fn a_revoked_or_suspended_object_records_no_intent_in_its_turn() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.turns_take = Some(s(5));
    sim.run_for(s(1));
    sim.set_grant(Grant::NotGranted);
    sim.run_for(s(100));
    assert_eq!((sim.kinds().contains(&Intent), sim.posts.len()), (false, 0));
    assert_eq!(sim.condition("Authorized"), "False/NoGrant");

    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.turns_take = Some(s(5));
    sim.run_for(s(1));
    sim.edit(|spec| spec.suspend = true);
    sim.run_for(s(100));
    assert_eq!((sim.kinds().contains(&Intent), sim.posts.len()), (false, 0));
    assert_eq!(sim.condition("CancelRequested"), "False/Suspended");
}

#[test]
fn a_failure_that_passes_before_its_turn_is_not_written() {
    let mut sim = Simulation::new(
        |n, _| match n {
            1 => Err(error(ErrorKind::NotFound)),
            _ => running(),
        },
        |_| Ok(()),
    );
    sim.get_latency = Duration::from_millis(100);
    sim.turns_take = Some(s(5));
    sim.run_for(s(20));
    // The first turn was asked for by the failure; by then nothing is known of it, or only what holds the cancel back.
    assert_eq!(sim.posts.len(), 1);
    assert!(sim.stored.status.last_error.is_none());
}

/// A process that ends begins nothing, but stores what only it knows.
#[test]
fn an_ending_process_stores_the_answer_to_its_cancel_and_sends_no_other() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.run_until_posted();
    assert!(sim.unrecorded);
    let gets = sim.gets.len();
    sim.stopping = true;
    sim.run_for(s(15));
    assert!(!sim.unrecorded);
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
    assert_eq!((sim.posts.len(), sim.gets.len()), (1, gets));
    sim.stopping = false;
    sim.restart();
    sim.run_for(s(60));
    assert_eq!(sim.posts.len(), 1);
}

#[test]
fn an_end_that_was_seen_is_stored_although_the_api_server_refuses_it_at_first() {
    let mut sim = Simulation::new(|_, _| done(0), |_| Ok(()));
    sim.write_faults = vec![(crate::lifecycle::WriteAnswer::Failed, false); 5];
    sim.run_for(Duration::from_millis(30));
    sim.stopping = true;
    assert!(sim.unrecorded);
    sim.run_for(s(15));
    assert_eq!(sim.outcome(), Some(Outcome::Completed));
    assert!(!sim.unrecorded);
}

#[test]
fn an_ending_process_records_no_intent() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.stopping = true;
    sim.run_for(s(100));
    assert_eq!((sim.writes.len(), sim.posts.len()), (0, 0));
    assert!(!sim.unrecorded);
}

/// A request that fails as the one before leaves nothing to store: the process does not wait for a write that never comes.
#[test]
fn an_ending_process_does_not_wait_for_what_is_stored_already() {
    let mut sim = Simulation::new(
        |_, _| running(),
        |_| Err(error(ErrorKind::PermissionDenied)),
    );
    while sim.posts.len() < 4 {
        assert!(sim.next(s(3600)));
    }
    sim.stopping = true;
    sim.run_for(s(15));
    assert_eq!(sim.posts.len(), 4);
    assert!(!sim.unrecorded);
    assert_eq!(sim.condition("Ready"), "Unknown/PermissionDenied");
}

#[test]
fn an_ending_process_stores_an_answer_that_comes_after_the_deadline() {
    let object = with_deadline(s(5));
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.cancel_latency = s(8);
    sim.run_until_posted();
    sim.stopping = true;
    sim.run_for(s(15));
    assert!(!sim.unrecorded);
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
    sim.stopping = false;
    sim.restart();
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
}
