//! What happens when things happen at awkward moments. Each test is a fault that was there once.

use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::simulation::{START, Simulation, done, error, object, running, spec, with_deadline};
use crate::{
    api::{Outcome, Reason},
    google::answer::ErrorKind,
    lifecycle::{Event, Grant, MalformedSpec, UnknownTarget, WriteAnswer, WriteKind},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_suspended_object_whose_get_is_held_by_a_quota_waits() {
    let mut object = object();
    object.spec.as_mut().unwrap().suspend = true;
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.gets_held_until = Some(s(100));
    sim.run_for(s(200));
    assert!(sim.gets[0] >= s(100), "{:?}", sim.gets);
    assert_eq!(sim.condition("CancelRequested"), "False/Suspended");
    assert!(!sim.gets.is_empty());
}

#[test]
fn every_intent_says_that_the_request_is_being_sent() {
    let mut sim = Simulation::new(
        |_, now| if now >= s(500) { done(1) } else { running() },
        |n| match n {
            1 => Err(error(ErrorKind::FailedPrecondition)),
            2 => Err(error(ErrorKind::PermissionDenied)),
            _ => Ok(()),
        },
    );
    sim.run();
    let intents: Vec<_> = sim
        .writes
        .iter()
        .filter(|(_, write)| write.kind == WriteKind::Intent)
        .map(|(_, write)| {
            let conditions = &write.status.conditions;
            let condition = conditions.iter().find(|c| c.type_ == "CancelRequested");
            condition
                .map(|c| format!("{}/{}", c.status, c.reason))
                .unwrap()
        })
        .collect();
    assert_eq!(intents, ["Unknown/Sending"; 3]);
}

#[test]
fn after_a_crash_behind_a_second_intent_a_get_must_say_running_first() {
    let mut sim = Simulation::new(
        |_, now| {
            if now > s(20) {
                Err(error(ErrorKind::Unavailable))
            } else {
                running()
            }
        },
        |_| Err(error(ErrorKind::FailedPrecondition)),
    );
    sim.run_for(s(29));
    assert_eq!(sim.posts.len(), 1);
    while sim.posts.len() < 2 {
        assert!(sim.next(s(60)));
    }
    sim.restart();
    sim.run_for(s(3600));
    assert_eq!(sim.posts.len(), 2, "no GET has said that it still runs");
}

#[test]
fn an_accepted_request_is_recorded_although_the_next_get_is_far_away() {
    for kind in [ErrorKind::PermissionDenied, ErrorKind::ResourceExhausted] {
        let mut sim = Simulation::new(move |_, _| Err(error(kind)), |_| Ok(()));
        sim.run_for(s(1));
        assert_eq!(
            sim.condition("CancelRequested"),
            "True/Accepted",
            "{kind:?}"
        );
        sim.restart();
        sim.run_for(s(3600));
        assert_eq!(sim.posts.len(), 1);
    }
}

#[test]
fn a_service_account_past_its_deadline_ends_without_a_call() {
    let mut object = object();
    object.spec.as_mut().unwrap().service_account_name = Some("team".into());
    object.status.start_time = Some(Time(object.created));
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    assert_eq!(sim.gets.len(), 0);
}

#[test]
fn a_service_account_that_is_supported_has_its_last_get() {
    let mut object = object();
    object.spec.as_mut().unwrap().service_account_name = Some("team".into());
    object.status.start_time = Some(Time(object.created));
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.settings.service_accounts = true;
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    let last = *sim.gets.last().unwrap();
    assert!(last >= s(86_000), "{last:?}: the one after the deadline");
}

#[test]
fn an_unknown_target_past_its_deadline_waits_in_peace() {
    let mut object = object();
    object.status.start_time = Some(Time(object.created));
    object.spec.as_mut().unwrap().target = Err(UnknownTarget {
        reason: Reason::UnknownVersion,
        message: "known: v2".into(),
    });
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    assert_eq!(sim.run(), None);
    assert_eq!(sim.writes.len(), 1);
}

#[test]
fn polls_go_on_while_an_intent_backs_off_from_conflicts() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    let conflict = (WriteAnswer::Conflict(Box::new(object())), false);
    sim.write_faults = vec![conflict; 12];
    sim.run_for(s(120));
    assert_eq!(sim.posts.len(), 1);
    assert!(sim.gets.len() > 3);
}

#[test]
fn an_intent_held_by_a_quota_is_tried_again_although_the_first_get_hangs() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.get_latency = s(9);
    sim.run_for(Duration::from_millis(249));
    let written = |sim: &Simulation| sim.writes.len();
    sim.now = Duration::from_millis(250);
    sim.cancels_held_until = Some(s(2));
    sim.deliver(Event::Woken);
    assert_eq!(written(&sim), 0);
    sim.run_for(s(4));
    assert_eq!(sim.posts.len(), 1, "not when the GET is answered");
}

#[test]
fn a_rule_that_no_longer_holds_ends_nothing() {
    let mut malformed = object();
    malformed.spec = Err(MalformedSpec {
        message: "spec.operationName: too old".into(),
    });
    let mut sim = Simulation::of(malformed, |_, _| done(1), |_| Ok(()));
    // A user corrects the spec while Rejected is being written.
    sim.stored.spec = Ok(spec());
    sim.stored.generation = 2;
    sim.touch();
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
}

#[test]
fn a_refusal_that_no_get_can_explain_is_tried_again() {
    for (get, cancel) in [
        (ErrorKind::PermissionDenied, ErrorKind::InvalidArgument),
        (ErrorKind::PermissionDenied, ErrorKind::NotFound),
        (ErrorKind::InvalidArgument, ErrorKind::NotFound),
    ] {
        let mut sim = Simulation::new(
            move |_, _| Err(error(get)),
            move |n| if n < 3 { Err(error(cancel)) } else { Ok(()) },
        );
        sim.run_for(s(1000));
        assert_eq!(sim.posts.len(), 3, "{get:?} {cancel:?}");
        assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
    }
}

#[test]
fn another_failure_in_between_does_not_end_stalled() {
    let mut sim = Simulation::new(
        |_, now| match now.as_secs() {
            0..500 => Err(error(ErrorKind::PermissionDenied)),
            500..700 => Err(error(ErrorKind::Unavailable)),
            700..900 => Err(error(ErrorKind::Unauthenticated)),
            _ => running(),
        },
        |_| Ok(()),
    );
    sim.run_for(s(400));
    assert_eq!(sim.condition("Stalled"), "True/PermissionDenied");
    sim.run_for(s(450));
    assert!(
        sim.condition("Stalled").starts_with("True/"),
        "{}",
        sim.condition("Stalled")
    );
    sim.restart();
    sim.run_for(s(10));
    assert!(sim.condition("Stalled").starts_with("True/"));
    sim.run_for(s(600));
    assert_eq!(sim.condition("Stalled"), "-");
    assert_eq!(sim.notices.len(), 1, "told once");
}

#[test]
fn a_wall_clock_that_is_set_back_polls_no_faster_and_stretches_no_deadline() {
    let object = with_deadline(s(3000));
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.run_for(s(1000));
    let before = sim.gets.len();
    sim.wall_offset = SignedDuration::from_secs(-900);
    sim.run_for(s(600));
    assert!(sim.gets.len() - before < 15, "{}", sim.gets.len() - before);
    sim.wall_offset = SignedDuration::ZERO;
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    let end = sim
        .stored
        .status
        .completion_time
        .as_ref()
        .unwrap()
        .0
        .as_second();
    assert!((START + 3000..START + 3010).contains(&end));
}

#[test]
fn an_unconfirmed_intent_without_a_request_does_not_count_as_sent() {
    let mut sim = Simulation::new(
        |_, now| if now >= s(20) { done(1) } else { running() },
        |_| Err(error(ErrorKind::FailedPrecondition)),
    );
    sim.write_faults = vec![(WriteAnswer::Unconfirmed, true)];
    sim.run_for(s(10));
    assert_eq!(sim.posts.len(), 1);
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
}

#[test]
fn another_writer_of_our_status_while_a_request_is_in_flight_causes_no_second_one() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.cancel_latency = s(5);
    sim.run_until_posted();
    sim.stored.status.conditions.clear();
    sim.show();
    sim.run_for(s(60));
    assert_eq!(sim.posts.len(), 1);
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
}

#[test]
fn the_outcome_after_a_request_that_was_not_accepted_says_so() {
    for kind in [
        ErrorKind::PermissionDenied,
        ErrorKind::FailedPrecondition,
        ErrorKind::Unimplemented,
    ] {
        let mut sim = Simulation::new(
            |n, now| {
                if n == 1 || (now < s(10) && n < 2) {
                    running()
                } else {
                    done(0)
                }
            },
            move |_| Err(error(kind)),
        );
        assert_eq!(sim.run(), Some(Outcome::Completed));
        assert_ne!(
            sim.condition("CancelRequested"),
            "False/AlreadyDone",
            "{kind:?}"
        );
        let ready = sim
            .stored
            .status
            .conditions
            .iter()
            .find(|c| c.type_ == "Ready")
            .unwrap();
        assert!(
            ready.message.contains("had not accepted"),
            "{}",
            ready.message
        );
    }
}

#[test]
fn one_stray_invalid_argument_ends_nothing_that_was_seen_running() {
    let mut sim = Simulation::new(
        |n, now| match n {
            4 => Err(error(ErrorKind::InvalidArgument)),
            _ if now >= s(100) => done(1),
            _ => running(),
        },
        |n| {
            if n == 1 {
                Err(error(ErrorKind::InvalidArgument))
            } else {
                Ok(())
            }
        },
    );
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
}

#[test]
fn the_first_refused_token_is_replaced_at_once_even_after_a_denial() {
    let mut sim = Simulation::new(
        |n, _| match n {
            1 => Err(error(ErrorKind::PermissionDenied)),
            2 => Err(error(ErrorKind::Unauthenticated)),
            _ => running(),
        },
        |_| Ok(()),
    );
    sim.run_for(s(40));
    assert!(sim.gets.len() > 2);
    assert!(sim.gets[2] - sim.gets[1] < s(1));
}

#[test]
fn suspended_clears_the_start_also_without_a_grant_or_past_the_deadline() {
    let mut object = object();
    object.spec.as_mut().unwrap().suspend = true;
    object.spec.as_mut().unwrap().deadline = s(10);
    object.created -= SignedDuration::from_hours(1);
    object.status.start_time = Some(Time(object.created));
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.grant = Grant::NotGranted;
    sim.run_for(s(300));
    assert_eq!(
        (sim.outcome(), sim.stored.status.start_time.clone()),
        (None, None)
    );
    sim.set_grant(Grant::Granted);
    sim.run_for(s(300));
    assert_eq!(sim.condition("CancelRequested"), "False/Suspended");
}

#[test]
fn a_second_time_without_a_grant_is_counted_from_its_own_start() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.get_latency = s(8);
    sim.settings.observe_budget = s(8);
    sim.grant = Grant::NotGranted;
    sim.run_for(s(600));
    assert_eq!(sim.condition("Stalled"), "True/NoGrant");
    sim.set_grant(Grant::Granted);
    sim.run_for(s(1));
    sim.set_grant(Grant::NotGranted);
    sim.run_for(s(1));
    assert_eq!(sim.condition("Stalled"), "-", "not for a minute yet");
}

#[test]
fn a_get_that_began_before_the_deadline_is_not_the_last_one() {
    let object = with_deadline(s(100));
    let mut sim = Simulation::of(
        object,
        |_, now| if now >= s(106) { done(1) } else { running() },
        |_| Ok(()),
    );
    sim.get_latency = s(3);
    sim.settings.max_poll = s(1);
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    let last = sim.gets.last().unwrap();
    assert!(*last >= s(100), "{last:?}");
}
