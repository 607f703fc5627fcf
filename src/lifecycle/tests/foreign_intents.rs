//! Intents that this process did not record.

use std::time::Duration;

use super::simulation::{HOLDER, Simulation, error, object, running};
use crate::{
    google::answer::ErrorKind,
    lifecycle::{Event, ForeignIntent, Others, WriteAnswer},
};

const OTHER: &str = "fedcba9876543210";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_intent_has_its_author() {
    let mut sim = Simulation::cancellable(s(10));
    sim.run();
    let author = sim.stored.status.cancel_attempted_by.as_deref();
    assert_eq!(
        (author, sim.stored.status.cancel_attempts),
        (Some(HOLDER), Some(1))
    );
    assert!(sim.foreign_intents.is_empty());
}

#[test]
fn an_intent_of_another_process_is_reported_and_brings_a_get_first() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.get_latency = s(5);
    sim.run_for(Duration::from_millis(100));
    sim.stored.status.cancel_attempts = Some(1);
    sim.stored.status.cancel_attempted_by = Some(OTHER.to_owned());
    sim.show();
    let foreign = ForeignIntent {
        attempt: 1,
        holder: OTHER.to_owned(),
    };
    assert_eq!(sim.foreign_intents, [foreign]);
    sim.run_for(s(4));
    assert_eq!(sim.posts.len(), 0, "the GET has not been answered yet");
}

/// The leader before this process recorded its last intent just before it stopped, and this process sees that late.
#[test]
fn the_last_intent_of_a_leader_that_has_stopped_delays_nothing() {
    for (others, foreign, posts) in [
        (Others::HaveStopped(Some(OTHER)), 0, 1),
        (Others::HaveStopped(None), 1, 0),
        (Others::MayWork, 1, 0),
    ] {
        let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
        sim.others = others;
        sim.get_latency = Duration::from_millis(50);
        sim.stored.status.cancel_attempts = Some(1);
        sim.stored.status.cancel_attempted_by = Some(OTHER.to_owned());
        sim.show();
        assert_eq!(sim.foreign_intents.len(), foreign, "{others:?}");
        // After a GET the next one goes out, unless the other process may be sending its own.
        sim.run_for(s(10));
        assert_eq!(sim.posts.len(), posts, "{others:?}");
    }
}

#[test]
fn an_edit_of_the_author_alone_changes_nothing() {
    for author in [Some(OTHER), Some("nobody"), Some(""), None] {
        let mut sim = Simulation::cancellable(s(100));
        sim.run_until_posted();
        sim.run_for(s(1));
        sim.stored.status.cancel_attempted_by = author.map(str::to_owned);
        sim.show();
        sim.run();
        assert_eq!(sim.posts.len(), 1);
        assert!(sim.foreign_intents.is_empty(), "{author:?}");
    }
}

#[test]
fn an_answer_with_another_author_does_not_count_as_the_intent() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    let mut other = object();
    other.status.cancel_attempts = Some(1);
    other.status.cancel_attempted_by = Some(OTHER.to_owned());
    other.resource_version = "2".to_owned();
    sim.stored = other;
    sim.write_faults = vec![(WriteAnswer::Written(Box::new(object())), false)];
    sim.run_for(Duration::from_millis(25));
    assert!(sim.write_faults.is_empty());
    assert_eq!(sim.posts.len(), 0);
    sim.run_for(s(1));
    assert_eq!(sim.foreign_intents.len(), 1);
}

#[test]
fn an_object_without_an_author_is_continued() {
    let mut sim = Simulation::cancellable(s(100));
    sim.run_until_posted();
    sim.stored.status.cancel_attempted_by = None;
    sim.restart();
    sim.run_for(s(5));
    assert_eq!(sim.posts.len(), 2);
    assert_eq!(
        sim.stored.status.cancel_attempted_by.as_deref(),
        Some(HOLDER)
    );
    sim.deliver(Event::Woken);
    assert!(sim.foreign_intents.is_empty());
}

#[test]
fn after_an_intent_of_another_process_a_get_must_say_running_first() {
    let mut sim = Simulation::new(|_, _| Err(error(ErrorKind::PermissionDenied)), |_| Ok(()));
    sim.get_latency = Duration::from_millis(100);
    sim.run_for(Duration::from_millis(50));
    let mut other = Simulation::cancellable(s(100));
    other.run_until_posted();
    sim.stored.status = other.stored.status.clone();
    sim.stored.status.cancel_attempted_by = Some(OTHER.to_owned());
    sim.show();
    sim.run_for(s(1000));
    assert_eq!(sim.posts.len(), 0);
}
