//! What each answer to cancel means: a row a test case (docs/life-of-a-cancellation.md#what-each-answer-means).

use std::time::Duration;

use super::simulation::{Simulation, done, error, object, running, seconds_between};
use crate::{
    api::Outcome,
    google::{
        answer::{CallError, ErrorKind},
        catalogue::read,
        endpoint::EndpointOverrides,
    },
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Running until `end`, then cancelled.
fn running_until(
    end: u64,
    cancel: impl FnMut(usize) -> Result<(), ErrorKind> + 'static,
) -> Simulation {
    let mut cancel = cancel;
    Simulation::new(
        move |_, now| if now >= s(end) { done(1) } else { running() },
        move |n| cancel(n).map_err(error),
    )
}

#[test]
fn no_answer_to_cancel_says_how_it_ended() {
    for &kind in ErrorKind::ALL {
        let mut sim = running_until(2, move |_| Err(kind));
        sim.run_for(Duration::from_millis(60));
        if kind != ErrorKind::Unimplemented {
            assert_eq!(sim.outcome(), None, "{kind:?}");
            assert_eq!(sim.run(), Some(Outcome::Cancelled), "{kind:?}");
        }
    }
}

#[test]
fn accepted_is_never_sent_again() {
    let mut sim = running_until(7200, |_| Ok(()));
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.posts.len(), 1);
}

#[test]
fn refused_is_tried_again_after_30_s_5_min_then_every_30_min() {
    for kind in [
        ErrorKind::FailedPrecondition,
        ErrorKind::InvalidArgument,
        ErrorKind::NotFound,
    ] {
        let mut sim = running_until(7000, move |_| Err(kind));
        sim.run_for(s(10));
        assert_eq!(
            sim.condition("CancelRequested"),
            "False/Refused",
            "{kind:?}"
        );
        assert_eq!(sim.condition("Ready"), "Unknown/Refused");
        assert_eq!(sim.run(), Some(Outcome::Cancelled));
        let waits = seconds_between(&sim.posts);
        assert_eq!(waits, [30, 300, 1800, 1800, 1800], "{kind:?}");
        assert_eq!(sim.condition("CancelRequested"), "False/Refused");
        assert_eq!(
            sim.stored.status.last_error.as_ref().unwrap().call,
            "Cancel"
        );
    }
}

/// A proxy that answers with a page of its own may be gone in a moment, or stay.
#[test]
fn what_nobody_can_read_is_temporary_four_times_and_then_a_refusal() {
    let mut sim = running_until(7000, |_| Err(ErrorKind::Unrecognised));
    sim.run_for(s(6900));
    let waits = seconds_between(&sim.posts);
    let (first, others) = waits.split_at(4);
    assert!(first.iter().all(|wait| *wait < 10), "{waits:?}");
    assert_eq!(others[..3], [30, 300, 1800], "{waits:?}");
}

#[test]
fn refused_then_accepted() {
    let mut sim = running_until(100, |n| {
        if n == 1 {
            Err(ErrorKind::FailedPrecondition)
        } else {
            Ok(())
        }
    });
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
    assert_eq!(
        (sim.posts.len(), sim.stored.status.cancel_attempts),
        (2, Some(2))
    );
    assert_eq!(sim.stored.status.last_error, None);
}

#[test]
fn perhaps_arrived_then_refused_stays_open_and_is_asked_again() {
    let mut sim = running_until(100, |n| {
        Err(if n == 1 {
            ErrorKind::Unavailable
        } else {
            ErrorKind::FailedPrecondition
        })
    });
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.condition("CancelRequested"), "Unknown/Sending");
    assert!(sim.posts.len() > 2);
}

/// Refused, then a temporary error, then refused: no request was accepted, and the status does not say that one was.
#[test]
fn a_refusal_never_becomes_an_acceptance() {
    for passing in [
        ErrorKind::Unavailable,
        ErrorKind::Network,
        ErrorKind::Timeout,
    ] {
        let mut sim = running_until(4000, move |n| {
            Err(if n == 2 {
                passing
            } else {
                ErrorKind::FailedPrecondition
            })
        });
        sim.run_for(s(3600));
        assert_eq!(
            sim.condition("CancelRequested"),
            "Unknown/Sending",
            "{passing:?}"
        );
        assert_eq!(sim.run(), Some(Outcome::Cancelled));
        assert_ne!(sim.condition("CancelRequested"), "True/Accepted");
    }
}

/// A request that failed before a connection stood did not arrive: what is refused afterwards is refused.
#[test]
fn what_never_left_is_not_perhaps_arrived() {
    let mut sim = Simulation::new(
        |_, now| if now >= s(7000) { done(1) } else { running() },
        |n| {
            Err(if n == 1 {
                CallError {
                    not_sent: true,
                    ..error(ErrorKind::Network)
                }
            } else {
                error(ErrorKind::FailedPrecondition)
            })
        },
    );
    sim.run_for(s(20));
    assert_eq!(sim.posts.len(), 2);
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
    sim.run_for(s(400));
    assert_eq!(sim.posts.len(), 4, "asked again");
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
}

/// No request was sent, so none was refused.
#[test]
fn what_never_left_is_not_called_refused_at_the_end() {
    for (answered_before, condition) in [(false, "False/AlreadyDone"), (true, "False/Refused")] {
        let mut sim = Simulation::new(
            |_, now| if now >= s(600) { done(0) } else { running() },
            move |n| {
                Err(if n == 1 && answered_before {
                    error(ErrorKind::PermissionDenied)
                } else {
                    CallError {
                        not_sent: true,
                        ..error(ErrorKind::Network)
                    }
                })
            },
        );
        assert_eq!(sim.run(), Some(Outcome::Completed));
        assert!(sim.posts.len() > 1);
        assert_eq!(sim.condition("CancelRequested"), condition);
    }
}

#[test]
fn a_method_that_is_not_found_twice_is_unsupported() {
    let mut sim = running_until(7000, |_| Err(ErrorKind::MethodNotFound));
    assert_eq!(sim.run(), Some(Outcome::Unsupported));
    assert_eq!(sim.posts.len(), 2);
    let apart = sim.posts[1] - sim.posts[0];
    assert!(apart >= s(10) && apart < s(12), "{apart:?}");
    let mut sim = running_until(60, |n| {
        if n == 1 {
            Err(ErrorKind::MethodNotFound)
        } else {
            Ok(())
        }
    });
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
}

#[test]
fn a_cancel_that_is_not_served_six_times_is_unsupported() {
    let mut sim = running_until(7000, |_| Err(ErrorKind::NotServed));
    sim.run_for(s(239));
    assert_eq!(sim.condition("Ready"), "Unknown/NotServed");
    sim.run_for(s(5));
    assert_eq!(sim.condition("Stalled"), "True/NotServed");
    assert_eq!(sim.run(), Some(Outcome::Unsupported));
    let at: Vec<u64> = sim.posts.iter().map(|at| at.as_secs()).collect();
    assert_eq!(at.len(), 6, "{at:?}");
    assert!((600..660).contains(&(at[5] - at[0])), "{at:?}");
    assert!(sim.writes.len() <= 16, "{}", sim.writes.len());
}

/// A login page, or a proxy's refusal: at most as often as what is refused.
#[test]
fn unreadable_answers_do_not_cause_requests_all_day() {
    let mut sim = Simulation::new(|_, _| running(), |_| Err(error(ErrorKind::Unrecognised)));
    sim.run_for(s(239));
    assert_eq!(sim.condition("Ready"), "Unknown/Unrecognised");
    sim.run_for(s(400));
    assert_eq!(sim.condition("Stalled"), "True/Unrecognised");
    assert_eq!(sim.run(), Some(Outcome::Unknown));
    assert!(sim.posts.len() < 60, "{}", sim.posts.len());
    assert!(sim.writes.len() < 130, "{}", sim.writes.len());
}

#[test]
fn retry_after_counts_for_passing_errors_for_at_most_five_minutes() {
    for (asked, waits) in [(77, 77), (100_000, 300)] {
        let mut sim = Simulation::new(
            |_, _| running(),
            move |n| {
                if n > 1 {
                    return Ok(());
                }
                Err(CallError {
                    retry_after: Some(s(asked)),
                    ..error(ErrorKind::Unavailable)
                })
            },
        );
        sim.run_for(s(700));
        let apart = (sim.posts[1] - sim.posts[0]).as_secs();
        assert!((waits..waits + 90).contains(&apart), "{asked}: {apart}");
    }
}

#[test]
fn a_request_that_may_have_arrived_is_followed_by_a_get_before_the_next() {
    for kind in [
        ErrorKind::Unavailable,
        ErrorKind::Internal,
        ErrorKind::Unknown,
        ErrorKind::Aborted,
        ErrorKind::DeadlineExceeded,
        ErrorKind::Cancelled,
        ErrorKind::DataLoss,
        ErrorKind::AlreadyExists,
        ErrorKind::OutOfRange,
        ErrorKind::Unrecognised,
        ErrorKind::Network,
        ErrorKind::Timeout,
    ] {
        let mut sim = running_until(600, move |n| if n <= 3 { Err(kind) } else { Ok(()) });
        assert_eq!(sim.run(), Some(Outcome::Cancelled), "{kind:?}");
        assert_eq!(sim.posts.len(), 4, "{kind:?}");
        for pair in sim.posts.windows(2) {
            let observed = sim.gets.iter().any(|get| pair[0] < *get && *get < pair[1]);
            assert!(observed, "{kind:?}: a GET between {pair:?}");
        }
        // The answer was lost and the operation is cancelled: no second request.
        let mut sim = Simulation::new(
            move |n, _| if n > 1 { done(1) } else { running() },
            move |_| Err(error(kind)),
        );
        assert_eq!(sim.run(), Some(Outcome::Cancelled));
        assert_eq!(sim.posts.len(), 1, "{kind:?}");
        assert_eq!(sim.condition("CancelRequested"), "Unknown/Sending");
    }
}

#[test]
fn unimplemented_is_unsupported_once_a_get_after_it_says_running() {
    let mut sim = running_until(9999, |_| Err(ErrorKind::Unimplemented));
    assert_eq!(sim.run(), Some(Outcome::Unsupported));
    assert_eq!(
        (sim.gets.len(), sim.posts.len(), sim.writes.len()),
        (2, 1, 2)
    );
    assert_eq!(sim.condition("CancelRequested"), "False/Unsupported");
    assert_eq!(sim.condition("Stalled"), "True/OutcomeNotAccepted");
}

/// Spanner answers it to a cancel of a restore that has begun.
#[test]
fn unimplemented_that_may_pass_is_a_refusal() {
    let answers = |end: u64| {
        let mut object = object();
        let spec = object.spec.as_mut().unwrap();
        let name = "projects/p/instances/i/databases/d/operations/_auto_op_1";
        spec.target = read("spanner", None, name, &EndpointOverrides::default())
            .map_err(|error| panic!("{error}"));
        Simulation::of(
            object,
            move |_, now| if now >= s(end) { done(0) } else { running() },
            |n| match n {
                1 => Err(error(ErrorKind::Unimplemented)),
                _ => Ok(()),
            },
        )
    };
    let mut sim = answers(20);
    sim.run_for(s(10));
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
    assert_eq!(sim.condition("Ready"), "Unknown/Refused");
    assert_eq!(sim.run(), Some(Outcome::Completed));
    assert_eq!(sim.posts.len(), 1);
    let mut sim = answers(60);
    sim.run_for(s(40));
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
    assert_eq!(sim.posts.len(), 2, "asked again after 30 s");
    assert_eq!(sim.run(), Some(Outcome::Completed));
}

#[test]
fn unimplemented_but_done_ends_as_it_ended() {
    let mut sim = Simulation::new(
        |n, _| if n == 2 { done(0) } else { running() },
        |_| Err(error(ErrorKind::Unimplemented)),
    );
    assert_eq!(sim.run(), Some(Outcome::Completed));
    assert_eq!(sim.condition("CancelRequested"), "False/Unsupported");
}

#[test]
fn unimplemented_is_asked_about_until_a_get_is_answered() {
    let mut sim = Simulation::new(
        |n, _| {
            if (2..6).contains(&n) {
                Err(error(ErrorKind::Unavailable))
            } else {
                running()
            }
        },
        |_| Err(error(ErrorKind::Unimplemented)),
    );
    assert_eq!(sim.run(), Some(Outcome::Unsupported));
    assert_eq!((sim.gets.len(), sim.posts.len()), (6, 1));
    let mut sim = Simulation::new(
        |_, _| Err(error(ErrorKind::Unimplemented)),
        |_| Err(error(ErrorKind::Unimplemented)),
    );
    assert_eq!(sim.run(), Some(Outcome::Unsupported), "both unimplemented");
}

#[test]
fn a_get_that_began_before_the_answer_does_not_count() {
    let mut sim = running_until(9999, |_| Err(ErrorKind::Unimplemented));
    sim.get_latency = s(1);
    assert_eq!(sim.run(), Some(Outcome::Unsupported));
    assert_eq!(sim.gets.len(), 2);
}

#[test]
fn no_permission_is_tried_again_between_half_a_minute_and_five_and_polling_goes_on() {
    let mut sim = running_until(3600, |_| Err(ErrorKind::PermissionDenied));
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    let waits = seconds_between(&sim.posts);
    assert_eq!(waits[..4], [30, 60, 120, 240]);
    assert!(
        waits[4..].iter().all(|wait| (270..=300).contains(wait)),
        "{waits:?}"
    );
    assert!(sim.gets.len() > 60);
    assert_eq!(
        sim.stored.status.cancel_attempts,
        Some(sim.posts.len() as i64)
    );
}

#[test]
fn a_refused_token_is_dropped_and_a_new_intent_follows_at_once() {
    let mut sim = running_until(60, |n| {
        if n == 1 {
            Err(ErrorKind::Unauthenticated)
        } else {
            Ok(())
        }
    });
    sim.run_for(s(1));
    assert_eq!(
        (
            sim.posts.len(),
            sim.dropped_tokens,
            sim.stored.status.cancel_attempts
        ),
        (2, 1, Some(2))
    );
    let mut sim = running_until(60, |_| Err(ErrorKind::Unauthenticated));
    sim.run_for(s(29));
    assert_eq!(sim.posts.len(), 2);
    assert_eq!(sim.condition("Ready"), "Unknown/Unauthenticated");
}

#[test]
fn a_used_up_quota_holds_posts_back_as_long_as_the_server_says() {
    let mut sim = Simulation::new(
        |_, now| if now >= s(400) { done(1) } else { running() },
        |n| {
            if n > 1 {
                return Ok(());
            }
            let mut error = error(ErrorKind::ResourceExhausted);
            error.retry_after = Some(s(90));
            Err(error)
        },
    );
    sim.run_for(s(5));
    assert_eq!(sim.condition("Ready"), "Unknown/Throttled");
    sim.run();
    assert_eq!((sim.posts[1] - sim.posts[0]).as_secs(), 90);
    assert!(
        sim.gets.iter().filter(|at| **at < s(90)).count() > 5,
        "polling goes on"
    );
}

/// Each try is announced by a write, so a server that says "at once" for ever costs the API server more than Google.
#[test]
fn a_quota_that_asks_for_no_wait_is_not_tried_every_second() {
    let exhausted = || CallError {
        retry_after: Some(Duration::ZERO),
        ..error(ErrorKind::ResourceExhausted)
    };
    let mut sim = Simulation::new(
        move |n, _| if n == 1 { running() } else { Err(exhausted()) },
        move |_| Err(exhausted()),
    );
    sim.run_for(s(3600));
    assert!(
        sim.posts.len() < 200,
        "{} POSTs in an hour",
        sim.posts.len()
    );
    assert!(sim.gets.len() < 200, "{} GETs in an hour", sim.gets.len());
}

#[test]
fn the_failure_of_cancel_wins_over_that_of_get() {
    let mut sim = Simulation::new(
        |n, _| {
            if n > 1 {
                Err(error(ErrorKind::Unavailable))
            } else {
                running()
            }
        },
        |_| Err(error(ErrorKind::PermissionDenied)),
    );
    sim.run_for(s(20));
    let last = sim.stored.status.last_error.as_ref().unwrap();
    assert_eq!(
        (last.call.as_str(), last.status.as_str()),
        ("Cancel", "PERMISSION_DENIED")
    );
}

#[test]
fn a_get_that_had_a_token_ends_the_lack_of_one() {
    let mut sim = Simulation::new(
        |n, _| match n {
            1 => Err(error(ErrorKind::Unavailable)),
            _ => done(1),
        },
        |_| Err(error(ErrorKind::Token)),
    );
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.posts.len(), 1);
    assert_eq!(sim.condition("CancelRequested"), "False/AlreadyDone");
    assert_eq!(sim.stored.status.last_error, None);
}
