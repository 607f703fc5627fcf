//! What each kind of error means, as the answer to GET and to cancel: the table of docs/life-of-a-cancellation.md#what-each-answer-means. A kind
//! without a row fails.

use std::time::Duration;

use super::simulation::{Simulation, error, running};
use crate::{api::Outcome, google::answer::ErrorKind};

/// What is to be seen of an object for which the call has failed in the same way for an hour.
#[derive(Debug, PartialEq)]
struct Expected {
    /// Cancel requests in that hour.
    posts: std::ops::RangeInclusive<usize>,
    /// GETs in that hour, at most.
    most_gets: usize,
    /// `Ready`, as status and reason.
    ready: &'static str,
    /// `CancelRequested`, as status and reason.
    cancel_requested: &'static str,
    outcome: Option<Outcome>,
}

const fn row(
    posts: std::ops::RangeInclusive<usize>,
    most_gets: usize,
    ready: &'static str,
    cancel_requested: &'static str,
) -> Expected {
    Expected {
        posts,
        most_gets,
        ready,
        cancel_requested,
        outcome: None,
    }
}

const fn ended(
    posts: std::ops::RangeInclusive<usize>,
    most_gets: usize,
    cancel_requested: &'static str,
    outcome: Outcome,
) -> Expected {
    Expected {
        posts,
        most_gets,
        ready: "False/OutcomeNotAccepted",
        cancel_requested,
        outcome: Some(outcome),
    }
}

/// GET always fails so; the API accepts the cancel.
fn to_get(kind: ErrorKind) -> Expected {
    use ErrorKind as K;
    match kind {
        K::NotFound => ended(0..=0, 25, "False/NotSent", Outcome::NotFound),
        K::NotServed | K::MethodNotFound => row(0..=0, 20, "False/NotServed", "Unknown/NotServed"),
        K::Unauthenticated | K::Token => row(
            0..=0,
            200,
            "False/Unauthenticated",
            "Unknown/Unauthenticated",
        ),
        K::PermissionDenied => row(1..=1, 20, "False/PermissionDenied", "True/Accepted"),
        K::ResourceExhausted => row(1..=1, 80, "Unknown/Throttled", "True/Accepted"),
        K::Unrecognised => row(1..=1, 150, "False/Unrecognised", "True/Accepted"),
        K::InvalidArgument
        | K::FailedPrecondition
        | K::OutOfRange
        | K::AlreadyExists
        | K::Cancelled
        | K::Unknown
        | K::DeadlineExceeded
        | K::Aborted
        | K::Internal
        | K::Unavailable
        | K::DataLoss
        | K::Network
        | K::Timeout => row(1..=1, 150, "Unknown/Unavailable", "True/Accepted"),
        K::Unimplemented => row(1..=1, 90, "Unknown/Unavailable", "True/Accepted"),
    }
}

/// Cancel always fails so; GET says running.
fn to_cancel(kind: ErrorKind) -> Expected {
    use ErrorKind as K;
    match kind {
        K::Unimplemented => ended(1..=1, 5, "False/Unsupported", Outcome::Unsupported),
        K::MethodNotFound => ended(2..=2, 20, "False/Unsupported", Outcome::Unsupported),
        K::NotServed => ended(6..=6, 60, "False/Unsupported", Outcome::Unsupported),
        K::NotFound | K::InvalidArgument | K::FailedPrecondition => {
            row(4..=4, 90, "Unknown/Refused", "False/Refused")
        }
        K::PermissionDenied => row(10..=20, 90, "False/PermissionDenied", "Unknown/Sending"),
        K::Unauthenticated => row(10..=20, 90, "False/Unauthenticated", "Unknown/Sending"),
        K::Token => row(60..=200, 90, "False/Unauthenticated", "Unknown/Sending"),
        K::ResourceExhausted => row(40..=61, 90, "Unknown/Throttled", "Unknown/Sending"),
        K::Unrecognised => row(6..=8, 90, "False/Unrecognised", "Unknown/Sending"),
        K::OutOfRange
        | K::AlreadyExists
        | K::Cancelled
        | K::Unknown
        | K::DeadlineExceeded
        | K::Aborted
        | K::Internal
        | K::Unavailable
        | K::DataLoss
        | K::Network
        | K::Timeout => row(30..=150, 200, "Unknown/Unavailable", "Unknown/Sending"),
    }
}

fn check(sim: &mut Simulation, expected: &Expected, what: &str) {
    sim.run_for(Duration::from_secs(3600));
    let (posts, gets) = (sim.posts.len(), sim.gets.len());
    assert!(expected.posts.contains(&posts), "{what}: {posts} POSTs");
    assert!(gets <= expected.most_gets, "{what}: {gets} GETs");
    let found = (
        sim.condition("Ready"),
        sim.condition("CancelRequested"),
        sim.outcome(),
    );
    let wanted = (
        expected.ready.to_owned(),
        expected.cancel_requested.to_owned(),
        expected.outcome,
    );
    assert_eq!(found, wanted, "{what}");
    let stalled = sim.condition("Stalled") != "-";
    assert_eq!(stalled, expected.ready.starts_with("False"), "{what}");
}

#[test]
fn every_answer_to_get() {
    for &kind in ErrorKind::ALL {
        let mut sim = Simulation::new(move |_, _| Err(error(kind)), |_| Ok(()));
        check(&mut sim, &to_get(kind), &format!("{kind:?} to GET"));
    }
}

#[test]
fn every_answer_to_cancel() {
    for &kind in ErrorKind::ALL {
        let mut sim = Simulation::new(|_, _| running(), move |_| Err(error(kind)));
        check(&mut sim, &to_cancel(kind), &format!("{kind:?} to cancel"));
    }
}

/// A location that does not exist, such as eu-west-1: both calls fail, nothing is sent, and the message says what to check.
#[test]
fn a_place_that_is_not_served_is_named() {
    let mut sim = Simulation::new(
        |_, _| Err(error(ErrorKind::NotServed)),
        |_| Err(error(ErrorKind::NotServed)),
    );
    sim.run_for(Duration::from_secs(300));
    let message = sim.message("Stalled");
    for part in [
        "europe-west1",
        "v2",
        "https://europe-west1-dialogflow.googleapis.com",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(sim.posts.len(), 0);
}
