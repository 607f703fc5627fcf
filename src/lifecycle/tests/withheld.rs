//! Calls that are not made, because a grant or a quota forbids them when their turn comes.

use std::time::Duration;

use super::simulation::{Simulation, done, error, running, with_deadline};
use crate::{api::Outcome, google::answer::ErrorKind};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// When the next GET is to be made and is not.
fn withhold_next_get(sim: &mut Simulation) -> Duration {
    sim.withheld_gets = 1;
    while sim.withheld_gets > 0 {
        assert!(sim.next(sim.now + s(100)));
    }
    sim.now
}

#[test]
fn a_poll_that_was_not_made_is_tried_again_after_a_second() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.run_for(s(10));
    let (withheld, before) = (withhold_next_get(&mut sim), sim.gets.len());
    sim.run_for(s(2));
    assert_eq!(sim.gets[before], withheld + sim.get_latency + s(1));
}

#[test]
fn a_poll_that_a_quota_forbids_waits_for_the_quota() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.run_for(s(10));
    let (withheld, before) = (withhold_next_get(&mut sim), sim.gets.len());
    sim.gets_held_until = Some(withheld + s(30));
    sim.run_for(s(60));
    let waited = sim.gets[before] - withheld;
    assert!((s(30)..=s(40)).contains(&waited), "{waited:?}");
}

#[test]
fn a_last_get_that_was_not_made_is_no_try() {
    let object = with_deadline(s(100));
    let mut sim = Simulation::of(
        object,
        |_, now| if now >= s(100) { done(1) } else { running() },
        |_| Ok(()),
    );
    sim.run_for(s(99));
    let before = sim.gets.len();
    sim.withheld_gets = 5;
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    // One second, and the time until the controller finds out.
    let pause = s(1) + sim.get_latency;
    let gets: Vec<_> = sim.gets[before..].iter().map(Duration::as_millis).collect();
    assert_eq!(gets, [(s(100) + pause * 5).as_millis()]);
}

#[test]
fn a_request_that_was_not_sent_gets_a_get_and_a_new_intent() {
    let mut sim = Simulation::new(
        |_, now| if now >= s(20) { done(1) } else { running() },
        |_| Err(error(ErrorKind::FailedPrecondition)),
    );
    sim.withheld_posts = 1;
    sim.run_until_posted();
    assert_eq!(sim.stored.status.cancel_attempts, Some(2));
    assert_eq!(sim.gets.len(), 2, "before each request");
    sim.run_for(s(5));
    assert!(!sim.unrecorded);
    // The request that was not sent cannot have arrived.
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.posts.len(), 1);
}

/// Such a request leaves nothing to store. The next process sends it.
#[test]
fn an_ending_process_does_not_wait_for_a_request_that_was_not_sent() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.withheld_posts = 1;
    while sim.withheld_posts > 0 {
        assert!(sim.next(s(1)));
    }
    sim.stopping = true;
    sim.run_for(s(10));
    assert!(!sim.unrecorded);
    assert_eq!(sim.posts.len(), 0);
    sim.stopping = false;
    sim.restart();
    sim.run_for(s(10));
    assert_eq!(sim.posts.len(), 1);
}
