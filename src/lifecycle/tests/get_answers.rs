//! What each answer to GET means: a row a test case (docs/life-of-a-cancellation.md#what-each-answer-means).

use std::time::Duration;

use super::simulation::{Simulation, done, error, object, running, with_deadline};
use crate::{
    api::{AcceptedOutcome, Outcome},
    google::answer::{ErrorKind, Operation},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Every answer but OK, and whether it holds the first cancel back.
const HOLDS_BACK: [(ErrorKind, bool); 20] = [
    (ErrorKind::NotFound, true),
    (ErrorKind::Unauthenticated, true),
    (ErrorKind::Token, true),
    (ErrorKind::Unimplemented, false),
    (ErrorKind::FailedPrecondition, false),
    (ErrorKind::InvalidArgument, false),
    (ErrorKind::PermissionDenied, false),
    (ErrorKind::ResourceExhausted, false),
    (ErrorKind::Unavailable, false),
    (ErrorKind::Internal, false),
    (ErrorKind::Unknown, false),
    (ErrorKind::Aborted, false),
    (ErrorKind::DeadlineExceeded, false),
    (ErrorKind::Cancelled, false),
    (ErrorKind::DataLoss, false),
    (ErrorKind::AlreadyExists, false),
    (ErrorKind::OutOfRange, false),
    (ErrorKind::Unrecognised, false),
    (ErrorKind::Network, false),
    (ErrorKind::Timeout, false),
];

#[test]
fn the_kill_waits_for_no_failed_read_but_these() {
    for (kind, holds) in HOLDS_BACK {
        let mut sim = Simulation::new(
            move |n, _| if n < 3 { Err(error(kind)) } else { running() },
            |_| Ok(()),
        );
        sim.run_for(Duration::from_millis(60));
        assert_eq!(sim.posts.is_empty(), holds, "{kind:?}");
        sim.run_for(s(400));
        assert_eq!(
            sim.posts.len(),
            1,
            "{kind:?}: sent once a GET answered something else"
        );
    }
}

#[test]
fn no_failed_get_says_how_it_ended_and_each_is_retried_to_the_end() {
    for (kind, _) in HOLDS_BACK {
        let mut sim = Simulation::new(
            move |n, _| if n < 4 { Err(error(kind)) } else { done(1) },
            |_| Ok(()),
        );
        sim.run_for(Duration::from_millis(60));
        let last_error = sim.stored.status.last_error.clone();
        assert_eq!(sim.run(), Some(Outcome::Cancelled), "{kind:?}");
        assert_eq!(sim.gets.len(), 4, "{kind:?}");
        if kind != ErrorKind::Unauthenticated
            && let Some(error) = last_error
        {
            assert_eq!(error.status, kind.name());
        }
        assert_eq!(sim.stored.status.last_error, None, "cured: {kind:?}");
    }
}

#[test]
fn done_is_read_as_documented() {
    let empty = Operation {
        done: true,
        ..Operation::default()
    };
    let mut sim = Simulation::new(move |_, _| Ok(empty.clone()), |_| Ok(()));
    assert_eq!(sim.run(), Some(Outcome::Completed));
    assert_eq!(sim.condition("Finished"), "True/NoResult");
}

#[test]
fn what_took_long_to_read_is_left_alone_in_proportion() {
    let took = s(4);
    let mut sim = Simulation::new(
        move |n, _| {
            running().map(|operation| Operation {
                reading_took: (n == 2).then_some(took),
                ..operation
            })
        },
        |_| Ok(()),
    );
    sim.run_for(s(600));
    let waited: Vec<Duration> = sim.gets.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waited[1] >= took * 30, "{waited:?}");
    assert!(
        waited[0] < s(60) && waited[2..].iter().all(|wait| *wait < s(70)),
        "{waited:?}"
    );
    assert_eq!(sim.posts.len(), 1, "it holds no cancel back");
}

#[test]
fn not_found_for_long_enough_is_not_found() {
    let mut sim = Simulation::new(|_, _| Err(error(ErrorKind::NotFound)), |_| Ok(()));
    assert_eq!(sim.run(), Some(Outcome::NotFound));
    assert_eq!(sim.now.as_secs(), 300);
    assert_eq!(sim.posts.len(), 0);
    assert_eq!(sim.condition("CancelRequested"), "False/NotSent");
    assert_eq!(sim.condition("Ready"), "False/OutcomeNotAccepted");
}

#[test]
fn any_other_answer_starts_the_count_of_not_found_anew() {
    let mut sim = Simulation::new(
        |_, now| {
            if (290..292).contains(&now.as_secs()) {
                Err(error(ErrorKind::Unavailable))
            } else {
                Err(error(ErrorKind::NotFound))
            }
        },
        |_| Ok(()),
    );
    sim.settings.max_poll = s(1);
    sim.run_for(s(320));
    assert_eq!(sim.outcome(), None);
}

#[test]
fn an_operation_that_was_seen_and_vanished_is_not_found_after_a_fifth() {
    let mut sim = Simulation::new(
        |n, _| {
            if n < 3 {
                running()
            } else {
                Err(error(ErrorKind::NotFound))
            }
        },
        |_| Ok(()),
    );
    assert_eq!(sim.run(), Some(Outcome::NotFound));
    assert!(sim.now < s(63), "{:?}", sim.now);
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
}

/// The stored status says that a GET showed it: the process that saw it may be gone.
#[test]
fn the_next_process_knows_that_an_operation_was_seen() {
    let mut sim = Simulation::new(
        |_, now| {
            if now < s(20) {
                running()
            } else {
                Err(error(ErrorKind::NotFound))
            }
        },
        |_| Err(error(ErrorKind::FailedPrecondition)),
    );
    sim.run_for(s(20));
    let seen = sim.stored.status.operation.as_ref().unwrap();
    assert_eq!(seen.metadata_state.as_deref(), Some("RUNNING"));
    sim.restart();
    assert_eq!(sim.run(), Some(Outcome::NotFound));
    assert!(sim.now < s(90), "{:?}", sim.now);
}

#[test]
fn not_found_may_be_accepted() {
    let mut object = object();
    object
        .spec
        .as_mut()
        .unwrap()
        .accepted_outcomes
        .insert(AcceptedOutcome::NotFound);
    let mut sim = Simulation::of(object, |_, _| Err(error(ErrorKind::NotFound)), |_| Ok(()));
    sim.run();
    assert_eq!(sim.condition("Ready"), "True/OutcomeAccepted");
}

#[test]
fn no_permission_is_asked_again_between_half_a_minute_and_five_whatever_the_pace() {
    let mut sim = Simulation::new(
        |n, _| {
            if n == 1 {
                running()
            } else {
                Err(error(ErrorKind::PermissionDenied))
            }
        },
        |_| Ok(()),
    );
    sim.settings.max_poll = s(1);
    sim.run_for(s(3600));
    let waits: Vec<u64> = sim.gets[1..]
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect();
    assert_eq!(waits[..4], [30, 60, 120, 240]);
    assert!(
        waits[4..].iter().all(|wait| (270..=300).contains(wait)),
        "{waits:?}"
    );
}

#[test]
fn an_unwanted_token_is_dropped_and_tried_once_more_at_once() {
    let mut sim = Simulation::new(
        |n, _| {
            if n == 1 {
                Err(error(ErrorKind::Unauthenticated))
            } else {
                running()
            }
        },
        |_| Ok(()),
    );
    sim.run_for(s(2));
    assert_eq!(sim.dropped_tokens, 1);
    assert_eq!(sim.posts.len(), 1);
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");

    let mut sim = Simulation::new(|_, _| Err(error(ErrorKind::Unauthenticated)), |_| Ok(()));
    sim.run_for(s(3600));
    assert!(sim.gets[1] < s(1));
    assert!(sim.gets[2] >= s(30), "then paced as no permission");
    assert_eq!(sim.posts.len(), 0);
    assert_eq!(sim.condition("Ready"), "False/Unauthenticated");
}

#[test]
fn quotas_slow_gets_only_and_the_server_says_how_long() {
    let mut sim = Simulation::new(
        |n, _| {
            if n > 2 {
                return running();
            }
            let mut error = error(ErrorKind::ResourceExhausted);
            error.retry_after = (n == 2).then_some(s(77));
            Err(error)
        },
        |_| Ok(()),
    );
    sim.run_for(s(200));
    assert_eq!(sim.posts.len(), 1);
    // The simulation starts 13 seconds past a full minute plus 20: 40 s to the next, and half of 10 s of jitter.
    assert_eq!(
        sim.gets[1].as_secs(),
        60 - (super::simulation::START.rem_euclid(60) as u64) + 5
    );
    assert_eq!((sim.gets[2] - sim.gets[1]).as_secs(), 77);
}

#[test]
fn a_get_held_back_by_a_quota_does_not_hold_the_post_back() {
    let mut sim = Simulation::new(|_, _| running(), |_| Ok(()));
    sim.gets_held_until = Some(s(30));
    sim.run_for(Duration::from_millis(20));
    assert_eq!(sim.posts.len(), 1);
}

#[test]
fn get_unimplemented_is_cancelled_anyway_and_ends_unknown_at_the_deadline() {
    let object = with_deadline(s(100));
    let mut sim = Simulation::of(
        object,
        |_, _| Err(error(ErrorKind::Unimplemented)),
        |_| Ok(()),
    );
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    assert_eq!(sim.posts.len(), 1);
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
}

#[test]
fn invalid_to_both_is_rejected() {
    let mut sim = Simulation::new(
        |_, _| Err(error(ErrorKind::InvalidArgument)),
        |_| Err(error(ErrorKind::InvalidArgument)),
    );
    assert_eq!(sim.run(), Some(Outcome::Rejected));
    assert_eq!((sim.gets.len(), sim.posts.len()), (1, 1));
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
}

#[test]
fn the_deadline_brings_a_last_get_three_times_at_most() {
    for (answer, tries) in [
        (None, 1),
        (Some(ErrorKind::Unavailable), 3),
        (Some(ErrorKind::NotFound), 1),
    ] {
        let object = with_deadline(s(100));
        let mut sim = Simulation::of(
            object,
            move |_, now| match answer {
                Some(kind) if now >= s(100) => Err(error(kind)),
                _ => running(),
            },
            |_| Ok(()),
        );
        assert_eq!(sim.run(), Some(Outcome::Unknown));
        assert_eq!(
            sim.gets.iter().filter(|at| **at >= s(100)).count(),
            tries,
            "{answer:?}"
        );
        assert_eq!(sim.condition("Stalled"), "True/DeadlineExceeded");
    }
}

#[test]
fn the_end_seen_by_the_last_get_counts() {
    let object = with_deadline(s(100));
    let mut sim = Simulation::of(
        object,
        |_, now| if now >= s(100) { done(1) } else { running() },
        |_| Ok(()),
    );
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
}

/// Whatever two answers follow each other for ever, as from two servers behind one address, GET is not made at full speed.
#[test]
fn no_two_answers_in_turn_are_asked_for_at_full_speed() {
    let kinds = [
        ErrorKind::NotServed,
        ErrorKind::MethodNotFound,
        ErrorKind::Unauthenticated,
        ErrorKind::PermissionDenied,
        ErrorKind::Unavailable,
        ErrorKind::Token,
    ];
    for one in kinds {
        for other in kinds {
            let turn = move |n: usize| error(if n.is_multiple_of(2) { one } else { other });
            let mut sim = Simulation::new(move |n, _| Err(turn(n)), move |n| Err(turn(n)));
            sim.run_for(Duration::from_secs(3600));
            let calls = (sim.posts.len(), sim.gets.len());
            assert!(
                calls.0 < 200 && calls.1 < 300,
                "{one:?}, {other:?}: {calls:?}"
            );
        }
    }
}
