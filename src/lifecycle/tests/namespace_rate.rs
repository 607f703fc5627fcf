//! The rate of a namespace is used up: what an object does and shows until its turn comes.

use std::time::Duration;

use super::simulation::{Simulation, done, error, running};
use crate::{
    api::Outcome,
    google::answer::ErrorKind,
    lifecycle::{
        CallPriority::{self, Cancel, Get, Poll},
        Event, MayCall,
        WriteKind::{Intent, Progress},
    },
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const NOTHING: MayCall = MayCall {
    cancel: false,
    get: false,
    poll: false,
};

/// Its turn comes for one call.
fn turn(sim: &mut Simulation, expected: CallPriority) {
    assert_eq!(sim.waits_for, Some(expected));
    sim.may_call = MayCall {
        cancel: expected >= Cancel,
        get: expected >= Get,
        poll: expected >= Poll,
    };
    sim.deliver(Event::Woken);
    sim.may_call = NOTHING;
}

#[test]
fn each_call_has_its_turn_and_the_get_comes_before_the_cancel_request() {
    let mut sim = Simulation::cancellable(s(0));
    sim.may_call = NOTHING;
    sim.run_for(s(1000));
    assert_eq!((sim.gets.len(), sim.posts.len()), (0, 0));
    assert_eq!(sim.condition("Ready"), "Unknown/NamespaceRateLimited");
    assert_eq!(sim.condition("Reconciling"), "True/NamespaceRateLimited");
    assert_eq!(sim.condition("Stalled"), "-");
    assert_eq!(sim.kinds(), [Progress], "one write says that it waits");

    turn(&mut sim, Get);
    sim.run_for(s(1000));
    assert_eq!((sim.gets.len(), sim.posts.len()), (1, 0));
    assert_eq!(sim.kinds(), [Progress]);
    turn(&mut sim, Cancel);
    sim.run_for(s(1000));
    assert_eq!((sim.gets.len(), sim.posts.len()), (1, 1));
    // The accepted request is shown, although no poll follows.
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
    assert_eq!(sim.condition("Ready"), "Unknown/Polling");
    turn(&mut sim, Poll);
    sim.run_for(s(1));
    assert_eq!(sim.outcome(), Some(Outcome::Cancelled));
    assert_eq!(sim.gets.len(), 2);
}

#[test]
fn a_recorded_intent_is_sent_in_any_case() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    // The intent is being written.
    sim.run_for(Duration::from_millis(22));
    sim.may_call = NOTHING;
    sim.run_for(s(10));
    assert_eq!(sim.posts.len(), 1);
}

#[test]
fn a_get_in_flight_that_is_not_answered_holds_the_cancel_request_back_no_longer_than_without_a_limit()
 {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.get_latency = s(5);
    sim.may_call = NOTHING;
    sim.run_for(s(1));
    turn(&mut sim, Get);
    sim.run_for(s(1));
    turn(&mut sim, Cancel);
    sim.run_for(s(1));
    assert_eq!((sim.gets.len(), sim.posts.len()), (1, 1));
}

#[test]
fn a_get_that_only_finds_out_whether_a_name_exists_by_now_is_a_poll() {
    let mut sim = Simulation::new(|_, _| Err(error(ErrorKind::NotFound)), |_| Ok(()));
    sim.run_for(s(1));
    sim.may_call = NOTHING;
    sim.run_for(s(100));
    assert_eq!(sim.waits_for, Some(Poll));
    assert_eq!(sim.condition("Ready"), "Unknown/OperationNotFound");
}

#[test]
fn a_get_that_decides_what_a_failed_request_means_is_no_poll() {
    let mut sim = Simulation::new(|_, _| running(), |_| Err(error(ErrorKind::Unavailable)));
    sim.run_for(Duration::from_millis(40));
    assert_eq!(sim.posts.len(), 1);
    sim.may_call = NOTHING;
    sim.run_for(s(100));
    assert_eq!(sim.waits_for, Some(Get));
    assert_eq!(sim.posts.len(), 1);
}

#[test]
fn a_suspended_object_shows_that_its_get_waits() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.may_call = NOTHING;
    sim.edit(|spec| spec.suspend = true);
    sim.run_for(s(100));
    assert_eq!(sim.condition("Ready"), "Unknown/NamespaceRateLimited");
    turn(&mut sim, Get);
    sim.run_for(s(10));
    assert_eq!(sim.condition("CancelRequested"), "False/Suspended");
    assert_eq!(sim.condition("Ready"), "-");
    sim.run_for(s(100));
    assert_eq!(sim.waits_for, Some(Poll));
    assert_eq!(sim.condition("Ready"), "-", "the next one is a poll");
}

#[test]
fn the_last_get_at_the_deadline_has_its_turn_too() {
    let mut sim = Simulation::new(|n, _| if n > 1 { done(0) } else { running() }, |_| Ok(()));
    sim.edit(|spec| spec.deadline = s(10));
    sim.run_for(Duration::from_millis(40));
    sim.may_call = NOTHING;
    sim.run_for(s(100));
    assert_eq!((sim.gets.len(), sim.outcome()), (1, None));
    turn(&mut sim, Get);
    sim.run_for(s(1));
    assert_eq!(sim.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_process_that_ends_does_not_write_that_nothing_is_limited_any_more() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.may_call = NOTHING;
    sim.run_for(s(10));
    let before = sim.kinds();
    sim.stopping = true;
    sim.deliver(Event::Woken);
    sim.run_for(s(10));
    assert_eq!(sim.kinds(), before);
    assert!(!before.contains(&Intent));
}
