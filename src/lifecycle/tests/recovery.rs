//! How it goes on after faults, other writers and second thoughts. Each test is a fault that was there once.

use std::time::Duration;

use super::simulation::{Simulation, done, error, object, running, seconds_between, with_deadline};
use crate::{
    api::{CancellationStatus, Outcome},
    google::answer::ErrorKind,
    lifecycle::{Event, Grant, Notice, ObjectView, WriteAnswer},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn writes_that_end_in_doubt_again_and_again_are_paced() {
    let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
    sim.write_faults = vec![(WriteAnswer::Unconfirmed, false); 20];
    sim.run_for(s(5));
    assert!(
        sim.write_faults.len() > 10,
        "{} left",
        sim.write_faults.len()
    );
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
}

#[test]
fn people_hear_of_an_outcome_whose_write_was_not_answered() {
    for carried_out in [true, false] {
        let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
        sim.write_faults = vec![(WriteAnswer::Unconfirmed, carried_out)];
        assert_eq!(sim.run(), Some(Outcome::Cancelled));
        assert_eq!(sim.notices.len(), 1, "carried out: {carried_out}");
    }
}

#[test]
fn people_hear_of_an_outcome_also_if_the_object_leaves_the_watch_before_it_was_read_again() {
    let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
    sim.write_faults = vec![(WriteAnswer::Unconfirmed, true)];
    // The GET takes 20 ms, the write 5, reading it again 5 more.
    sim.run_for(Duration::from_millis(27));
    assert_eq!((sim.writes.len(), sim.notices.len()), (1, 0));
    sim.deliver(Event::Gone);
    assert!(sim.forgotten);
    assert_eq!(sim.notices.len(), 1);
}

#[test]
fn people_hear_once_that_it_stalled_whatever_becomes_of_the_writes() {
    for carried_out in [true, false] {
        let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
        sim.set_grant(Grant::NotGranted);
        sim.run_for(s(50));
        sim.write_faults = vec![(WriteAnswer::Unconfirmed, carried_out)];
        sim.run_for(s(3600));
        let stalled = sim
            .notices
            .iter()
            .filter(|notice| matches!(notice, Notice::Stalled { .. }));
        assert_eq!(stalled.count(), 1, "carried out: {carried_out}");
    }
}

#[test]
fn a_grant_that_comes_back_brings_a_get_before_the_next_request() {
    for kind in [ErrorKind::FailedPrecondition, ErrorKind::PermissionDenied] {
        let mut sim = Simulation::new(
            |_, now| if now >= s(1000) { done(0) } else { running() },
            move |_| Err(error(kind)),
        );
        sim.run_for(s(5));
        sim.set_grant(Grant::NotGranted);
        sim.run_for(s(3600));
        sim.set_grant(Grant::Granted);
        assert_eq!(sim.run(), Some(Outcome::Completed));
        assert_eq!(sim.posts.len(), 1, "{kind:?}");
    }
}

#[test]
fn a_deadline_that_is_moved_while_unknown_is_being_written_counts() {
    let object = with_deadline(s(100));
    let mut sim = Simulation::of(
        object,
        |_, now| if now >= s(500) { done(1) } else { running() },
        |_| Ok(()),
    );
    sim.run_for(s(99));
    // The edit is stored, but the watch is slower than the write.
    sim.stored.spec.as_mut().unwrap().deadline = s(86_400);
    sim.stored.generation += 1;
    sim.touch();
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
}

#[test]
fn a_passing_failure_after_one_denial_does_not_stall() {
    let mut sim = Simulation::new(
        |n, _| match n {
            1 => Err(error(ErrorKind::PermissionDenied)),
            _ => Err(error(ErrorKind::Unavailable)),
        },
        |_| Ok(()),
    );
    sim.run_for(s(1000));
    assert_eq!(sim.condition("Reconciling"), "True/Unavailable");
    assert!(sim.notices.is_empty());
}

#[test]
fn refused_tokens_are_replaced_at_once_only_the_first_time() {
    let mut sim = Simulation::new(|_, _| Err(error(ErrorKind::Unauthenticated)), |_| Ok(()));
    sim.run_for(s(300));
    let waits = seconds_between(&sim.gets);
    assert_eq!(waits, [0, 30, 60, 120]);

    let mut sim = Simulation::new(|_, _| running(), |_| Err(error(ErrorKind::Unauthenticated)));
    sim.run_for(s(300));
    let waits = seconds_between(&sim.posts);
    assert_eq!(waits, [0, 30, 60, 120]);
}

#[test]
fn what_ends_without_a_grant_says_so() {
    let object = with_deadline(s(100));
    // A process that starts after the deadline.
    let mut sim = Simulation::of(object.clone(), |_, _| running(), |_| Ok(()));
    sim.run_for(s(50));
    sim.grant = Grant::NotGranted;
    sim.now = s(5000);
    sim.restart();
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    assert_eq!(sim.condition("Authorized"), "False/NoGrant");
    // Revoked during the final GET.
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.run_for(s(90));
    sim.get_latency = s(5);
    while sim.gets.last().is_none_or(|last| *last < s(100)) {
        assert!(sim.next(s(200)));
    }
    sim.set_grant(Grant::NotGranted);
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    assert_eq!(sim.condition("Authorized"), "False/NoGrant");
}

#[test]
fn a_refusal_is_a_refusal_although_another_writer_wrote_our_status() {
    let mut sim = Simulation::new(
        |_, _| running(),
        |_| Err(error(ErrorKind::FailedPrecondition)),
    );
    sim.cancel_latency = s(5);
    sim.run_until_posted();
    sim.stored.status.conditions.clear();
    sim.show();
    sim.run_for(s(20));
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
}

#[test]
fn a_denied_get_that_everything_waits_for_is_shown_and_stalls() {
    let mut sim = Simulation::new(
        |n, _| match n {
            1 => running(),
            _ => Err(error(ErrorKind::PermissionDenied)),
        },
        |_| Err(error(ErrorKind::Unavailable)),
    );
    sim.run_for(s(600));
    assert_eq!(sim.posts.len(), 1);
    assert_eq!(sim.condition("Stalled"), "True/PermissionDenied");
}

#[test]
fn a_request_that_was_not_accepted_is_never_called_not_sent() {
    let mut sim = Simulation::new(
        |n, _| match n {
            1 => running(),
            _ => Err(error(ErrorKind::NotFound)),
        },
        |_| Err(error(ErrorKind::NotFound)),
    );
    assert_eq!(sim.run(), Some(Outcome::NotFound));
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
}

#[test]
fn a_get_older_than_another_controllers_intent_does_not_count() {
    let mut sim = Simulation::new(
        |n, _| match n {
            1 => running(),
            _ => Err(error(ErrorKind::Unavailable)),
        },
        |_| Ok(()),
    );
    sim.get_latency = Duration::from_millis(200);
    sim.run_for(Duration::from_millis(100));
    sim.stored.status = CancellationStatus {
        cancel_attempts: Some(1),
        ..sim.stored.status.clone()
    };
    sim.show();
    sim.run_for(s(600));
    assert_eq!(sim.posts.len(), 0);
}

/// The API server refuses intents for long; meanwhile the operation ends. No request is sent to it.
#[test]
fn an_operation_that_ends_while_intents_fail_gets_no_request() {
    for fault in [
        WriteAnswer::Failed,
        WriteAnswer::Unconfirmed,
        WriteAnswer::Busy,
    ] {
        let mut sim = Simulation::new(
            |_, now| if now >= s(600) { done(0) } else { running() },
            |_| Ok(()),
        );
        sim.write_faults = vec![(fault, false); 300];
        assert_eq!(sim.run(), Some(Outcome::Completed));
        assert_eq!(sim.posts.len(), 0);
    }
}

/// The intent waits for its turn for long, because the API server is away; meanwhile the operation ends.
#[test]
fn an_operation_that_ends_while_its_intent_waits_gets_no_request() {
    let mut sim = Simulation::new(
        |_, now| if now >= s(600) { done(0) } else { running() },
        |_| Ok(()),
    );
    sim.turns_take = Some(s(1000));
    assert_eq!(sim.run(), Some(Outcome::Completed));
    assert_eq!((sim.gets.len(), sim.posts.len()), (2, 0));
}

/// A queue that is always long does not cause GETs for ever.
#[test]
fn an_intent_that_waits_long_gets_one_more_get_and_is_then_sent() {
    let mut sim = Simulation::cancellable(s(1));
    sim.turns_take = Some(s(1000));
    sim.run_for(s(2500));
    let before = sim.gets.iter().filter(|at| **at < sim.posts[0]);
    assert_eq!((before.count(), sim.posts.len()), (2, 1));
}

/// An intent that was lost once is no excuse later, when its number was announced again and the request was sent.
#[test]
fn a_request_after_a_lost_intent_may_have_arrived() {
    let mut sim = Simulation::new(
        |_, _| running(),
        |n| match n {
            1 => Ok(()),
            _ => Err(error(ErrorKind::FailedPrecondition)),
        },
    );
    sim.write_faults = vec![(WriteAnswer::Unconfirmed, false)];
    sim.run_for(s(10));
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
    sim.stored.status.conditions.clear();
    sim.show();
    sim.run_for(s(20));
    assert_eq!(sim.posts.len(), 2);
    assert_eq!(sim.condition("CancelRequested"), "Unknown/Sending");
}

/// The deadline counts from the start that this process knows, even if the status is erased.
#[test]
fn an_erased_status_does_not_move_the_deadline() {
    let object = with_deadline(s(3600));
    let unwanted = || Err(error(ErrorKind::Unauthenticated));
    let mut sim = Simulation::of(object, move |_, _| unwanted(), |_| Ok(()));
    sim.run_for(s(3000));
    assert!(sim.stored.status.start_time.is_some());
    sim.stored.status = CancellationStatus {
        observed_generation: Some(-1),
        ..CancellationStatus::default()
    };
    sim.show();
    sim.run_for(s(700));
    assert_eq!(sim.outcome(), Some(Outcome::Unknown));
}

/// What the API server stores goes back by so many versions, to how it was when `stored` was kept.
fn restore(sim: &mut Simulation, stored: ObjectView) {
    let now: u64 = sim.stored.resource_version.parse().unwrap();
    let then: u64 = stored.resource_version.parse().unwrap();
    assert!(then < now, "{then} {now}");
    sim.stored = stored;
    sim.went_back = true;
}

/// Before, an older version was ignored even from a live read: no write ever succeeded again.
#[test]
fn what_is_stored_may_go_back_and_the_object_still_ends() {
    for by_list in [false, true] {
        let mut sim = Simulation::new(
            |_, now| if now >= s(1000) { done(1) } else { running() },
            |_| Ok(()),
        );
        let new = object();
        sim.run_for(s(60));
        assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
        restore(&mut sim, new);
        if by_list {
            let stored = Box::new(sim.stored.clone());
            sim.deliver(Event::RolledBack(stored));
        }
        assert_eq!(sim.run(), Some(Outcome::Cancelled), "by a list: {by_list}");
        // Each request has a number of its own, whatever is stored.
        let attempts = sim.stored.status.cancel_attempts;
        assert_eq!(
            (sim.posts.len(), attempts),
            if by_list { (2, Some(2)) } else { (1, None) }
        );
    }
}

/// Whether an answer that is older than what is known counts: not if the watch showed something since it was asked for.
#[test]
fn a_live_read_counts_unless_the_watch_has_shown_more_since() {
    for seen_since in [false, true] {
        let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
        sim.run_until_posted();
        sim.run_for(s(5));
        sim.write_faults = vec![(WriteAnswer::Unconfirmed, false)];
        sim.state.write.must_reread = true;
        sim.deliver(Event::Woken);
        let before = Box::new(sim.stored.clone());
        if seen_since {
            sim.show();
        } else {
            sim.state.object.resource_version = "999".into();
        }
        sim.deliver(Event::Reread(Some(before.clone())));
        let known = sim.state.object().resource_version.clone();
        assert_eq!(known == before.resource_version, !seen_since);
    }
}

#[test]
fn a_new_process_keeps_the_pace_of_failing_requests() {
    for (kind, most) in [
        (ErrorKind::Unavailable, 40),
        (ErrorKind::FailedPrecondition, 1),
        (ErrorKind::PermissionDenied, 6),
        (ErrorKind::ResourceExhausted, 40),
        (ErrorKind::Unrecognised, 2),
    ] {
        let mut sim = Simulation::new(|_, _| running(), move |_| Err(error(kind)));
        sim.run_for(s(3600));
        for _ in 0..5 {
            let before = sim.posts.len();
            sim.restart();
            sim.run_for(s(1200));
            let posts = sim.posts.len() - before;
            assert!(posts <= most + 1, "{kind:?}: {posts}");
        }
    }
}

/// Before, all of them were polled in the first moment of a process.
#[test]
fn after_a_start_the_first_polls_are_spread_over_the_delay_between_two() {
    let first_polls = |refuses: bool| {
        let first_poll = |n: u32| {
            let mut sim = Simulation::new(
                |_, _| running(),
                move |_| match refuses {
                    true => Err(error(ErrorKind::FailedPrecondition)),
                    false => Ok(()),
                },
            );
            sim.run_for(s(20));
            // No process runs meanwhile.
            sim.now = s(1000);
            sim.jitter = f64::from(n) / 60.0;
            let (began, before) = (sim.now, sim.gets.len());
            sim.restart();
            sim.run_for(s(61));
            sim.gets[before] - began
        };
        (0..60).map(first_poll).collect::<Vec<_>>()
    };
    // After the first refusal the next request comes after 30 s, and a GET well before.
    for (refuses, spread, most) in [(false, 60, 2), (true, 15, 5)] {
        let polls = first_polls(refuses);
        assert!(polls.iter().all(|at| at.as_secs() < spread), "{polls:?}");
        for second in 0..spread {
            let within = polls.iter().filter(|at| at.as_secs() == second);
            assert!(within.count() <= most, "second {second}: {polls:?}");
        }
    }
}

/// What decides on a cancel request does not wait for the polls of others.
#[test]
fn after_a_start_a_request_that_may_have_been_sent_gets_a_get_at_once() {
    let mut sim = Simulation::cancellable(s(1));
    sim.run_until_posted();
    let (began, before) = (sim.now, sim.gets.len());
    sim.restart();
    sim.run_for(s(1));
    assert_eq!(sim.gets[before], began);
}

/// Before, calls went on with grants that may have been revoked.
#[test]
fn while_the_grants_are_not_known_nothing_is_called_and_nothing_ends() {
    let mut sim = Simulation::new(
        |_, now| if now >= s(500) { done(1) } else { running() },
        |_| Ok(()),
    );
    sim.edit(|spec| spec.deadline = s(1000));
    sim.run_for(s(400));
    let (gets, posts) = (sim.gets.len(), sim.posts.len());
    sim.set_grant(Grant::Unknown);
    sim.run_for(s(10_000));
    assert_eq!((sim.gets.len(), sim.posts.len()), (gets, posts));
    assert_eq!(sim.outcome(), None, "its deadline passed");
    for (type_, has) in [
        ("Authorized", "Unknown/GrantsNotRead"),
        ("CancelRequested", "True/Accepted"),
        ("Ready", "Unknown/GrantsNotRead"),
        ("Reconciling", "True/GrantsNotRead"),
        ("Stalled", "-"),
    ] {
        assert_eq!(sim.condition(type_), has, "{type_}");
    }
    assert!(sim.message("Ready").contains("no call is made"));
    // Its final GET comes then.
    sim.set_grant(Grant::Granted);
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
}

/// An object without a grant has none then either, and its status says why that is not known.
#[test]
fn unknown_grants_replace_no_grant() {
    let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
    sim.set_grant(Grant::NotGranted);
    sim.run_for(s(100));
    sim.set_grant(Grant::Unknown);
    sim.run_for(s(100));
    assert_eq!(sim.condition("Authorized"), "Unknown/GrantsNotRead");
    assert_eq!(sim.condition("Stalled"), "-");
    sim.set_grant(Grant::NotGranted);
    sim.run_for(s(1));
    assert_eq!(
        sim.condition("Stalled"),
        "True/NoGrant",
        "it was not granted all the time"
    );
}

/// Before, what could not be written during an outage came up to 66 s after its end.
#[test]
fn after_an_outage_of_any_length_writes_come_within_seconds() {
    for fault in [WriteAnswer::Busy, WriteAnswer::Unconfirmed] {
        let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
        sim.write_faults = vec![(fault.clone(), false); 1000];
        sim.run_for(s(3600));
        let tried = 1000 - sim.write_faults.len();
        assert!(
            (600..850).contains(&tried),
            "{tried} tries in an hour: {fault:?}"
        );
        sim.write_faults.clear();
        sim.run_for(s(6));
        assert_eq!(sim.outcome(), Some(Outcome::Cancelled), "{fault:?}");
    }
}

#[test]
fn a_live_read_that_fails_for_long_comes_within_seconds_too() {
    let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
    sim.write_faults = vec![(WriteAnswer::Unconfirmed, false)];
    sim.run_for(Duration::from_millis(26));
    for _ in 0..100 {
        sim.deliver(Event::RereadFailed);
        let (wake, now) = (sim.wake.unwrap(), sim.now);
        assert!(
            wake - now <= Duration::from_millis(5500),
            "{:?}",
            wake - now
        );
    }
    sim.run_for(s(12));
    assert_eq!(sim.outcome(), Some(Outcome::Cancelled));
}

/// Whether a cancel request may be sent, or an outcome was stored, is not known until then.
#[test]
fn a_write_whose_answer_was_lost_is_read_back_at_once() {
    let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
    sim.write_faults = vec![(WriteAnswer::Unconfirmed, true)];
    // The GET takes 20 ms, the write 5, reading it again 5 more.
    sim.run_for(Duration::from_millis(31));
    assert_eq!(sim.notices.len(), 1);
}

#[test]
fn a_live_read_that_is_refused_is_repeated_ever_more_rarely() {
    let mut sim = Simulation::new(|_, _| done(1), |_| Ok(()));
    sim.write_faults = vec![(WriteAnswer::Unconfirmed, false)];
    sim.run_for(Duration::from_millis(26));
    let mut refused = || {
        sim.deliver(Event::Reread(None));
        (sim.wake.unwrap() - sim.now).as_millis()
    };
    assert_eq!([(); 4].map(|()| refused()), [200, 400, 800, 1600]);
    sim.run_for(s(12));
    assert_eq!(sim.outcome(), Some(Outcome::Cancelled));
}

/// The answer to the write shows what is stored, and is newer than the list.
#[test]
fn a_list_that_went_back_does_not_count_while_a_write_is_in_flight() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.run_for(Duration::from_millis(22));
    assert_eq!(sim.writes.len(), 1, "the intent is being written");
    let mut listed = object();
    listed.resource_version = "0".into();
    sim.deliver(Event::RolledBack(Box::new(listed)));
    assert_eq!(sim.state.object().resource_version, "1");
    sim.run_for(s(5));
    assert_eq!(sim.posts.len(), 1);
}

/// It was deleted, and another one has its name.
#[test]
fn neither_a_list_nor_a_live_read_turns_it_into_another_object() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.run_for(s(5));
    let mut other = object();
    other.uid = "uid-2".into();
    other.resource_version = "999".into();
    let other = Box::new(other);
    sim.deliver(Event::RolledBack(other.clone()));
    assert_eq!(sim.state.object().uid, "uid-1");
    sim.state.write.must_reread = true;
    sim.deliver(Event::Woken);
    sim.deliver(Event::Reread(Some(other)));
    assert_eq!(sim.state.object().uid, "uid-1");
}

/// Only another writer of the status makes this process wait before it writes.
#[test]
fn a_change_of_labels_delays_no_status_write() {
    let mut sim = Simulation::new(
        |_, now| match now >= s(100) {
            true => Err(error(ErrorKind::Unavailable)),
            false => running(),
        },
        |_| Ok(()),
    );
    sim.settings.max_poll = s(1);
    sim.run_for(s(99));
    sim.show();
    sim.run_for(s(4));
    assert_eq!(sim.condition("Ready"), "Unknown/Unavailable");
}
