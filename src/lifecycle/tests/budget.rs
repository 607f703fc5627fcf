//! What one object may cost: calls, writes, events (docs/life-of-a-cancellation.md#what-an-object-costs).

use std::time::Duration;

use super::simulation::{Simulation, done, error, object, running};
use crate::{
    api::{Outcome, Reason},
    google::{
        answer::{CallError, ErrorKind},
        token::TokenError,
    },
    lifecycle::{
        Grant, Notice, WriteAnswer,
        WriteKind::{Intent, Outcome as End, Progress},
    },
};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn ended_by_the_first_poll_costs_two_writes() {
    let mut sim = Simulation::cancellable(Duration::ZERO);
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.kinds(), [Intent, End]);
    assert_eq!(
        (sim.gets.len(), sim.posts.len(), sim.notices.len()),
        (2, 1, 1)
    );
    assert_eq!(sim.condition("CancelRequested"), "True/Accepted");
    assert_eq!(sim.condition("Ready"), "True/OutcomeAccepted");
}

#[test]
fn ended_later_costs_three_writes_however_long_it_takes() {
    for seconds in [1, 30, 3600] {
        let mut sim = Simulation::cancellable(Duration::from_secs(seconds));
        assert_eq!(sim.run(), Some(Outcome::Cancelled));
        assert_eq!(sim.kinds(), [Intent, Progress, End], "{seconds} s");
        assert_eq!(sim.posts.len(), 1);
        let seen_after = sim.now.as_secs_f64();
        assert!(
            seen_after <= 1.4 * seconds as f64 + 2.0 || seen_after <= seconds as f64 + 67.0,
            "{seen_after}"
        );
    }
}

#[test]
fn already_done_costs_one_get_and_one_write() {
    for (answer, outcome) in [
        (0, Outcome::Completed),
        (1, Outcome::Cancelled),
        (13, Outcome::Failed),
    ] {
        let mut sim = Simulation::new(move |_, _| done(answer), |_| Ok(()));
        assert_eq!(sim.run(), Some(outcome));
        assert_eq!(sim.kinds(), [End]);
        assert_eq!((sim.gets.len(), sim.posts.len()), (1, 0));
        assert_eq!(sim.condition("CancelRequested"), "False/AlreadyDone");
    }
}

#[test]
fn not_granted_costs_no_call() {
    let mut sim = Simulation::cancellable(Duration::ZERO);
    sim.grant = Grant::NotGranted;
    sim.run_for(Duration::from_secs(86_400));
    assert_eq!((sim.gets.len(), sim.posts.len()), (0, 0));
    assert_eq!(sim.kinds(), [Progress, Progress], "waiting, then stalled");
    assert_eq!(sim.condition("Authorized"), "False/NoGrant");
    assert_eq!(sim.stored.status.start_time, None);
    assert!(matches!(
        sim.notices[..],
        [Notice::Stalled {
            reason: "NoGrant",
            ..
        }]
    ));
    sim.set_grant(Grant::Granted);
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.notices.len(), 2);
}

#[test]
fn a_service_account_makes_no_call_and_stalls_at_once() {
    let mut object = object();
    object.spec.as_mut().unwrap().service_account_name = Some("team".into());
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.run();
    assert_eq!(
        (sim.gets.len(), sim.posts.len(), sim.outcome()),
        (0, 0, None)
    );
    assert_eq!(sim.condition("Stalled"), "True/IdentityNotSupported");
    let identity = sim.stored.status.identity.as_ref().unwrap();
    assert_eq!(
        (identity.kind.as_str(), identity.principal.as_deref()),
        ("ServiceAccount", None)
    );
}

#[test]
fn a_service_account_is_as_good_as_the_operator_if_it_is_supported() {
    let mut object = object();
    object.spec.as_mut().unwrap().service_account_name = Some("team".into());
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.settings.service_accounts = true;
    sim.run_for(MS(1000));
    assert_eq!(sim.posts.len(), 1);
    let identity = sim.stored.status.identity.as_ref().unwrap();
    assert_eq!(
        (identity.kind.as_str(), identity.name.as_deref()),
        ("ServiceAccount", Some("team"))
    );
}

/// Each step of a ServiceAccount's identity that fails has a reason of its own, nothing is sent, and the first success heals it.
#[test]
fn a_failed_step_of_the_identity_is_the_reason() {
    for step in [
        Reason::ServiceAccountNotReady,
        Reason::TokenRequestFailed,
        Reason::TokenExchangeFailed,
        Reason::ImpersonationFailed,
    ] {
        let mut object = object();
        object.spec.as_mut().unwrap().service_account_name = Some("team".into());
        let failing = move |_, at: Duration| match at < MS(300_000) {
            true => Err(CallError::from(TokenError::because(step, "why"))),
            false => running(),
        };
        let mut sim = Simulation::of(object, failing, |_| Ok(()));
        sim.settings.service_accounts = true;
        sim.run_for(MS(100_000));
        assert_eq!(sim.condition("Ready"), format!("Unknown/{}", step.name()));
        let error = sim.stored.status.last_error.as_ref().unwrap();
        assert_eq!(
            (error.call.as_str(), error.reason.as_deref()),
            ("Token", Some(step.name()))
        );
        assert_eq!(error.domain.as_deref(), Some("opcancel.github.io"));
        sim.restart();
        sim.run_for(MS(150_000));
        assert_eq!(sim.condition("Stalled"), format!("True/{}", step.name()));
        assert_eq!(sim.posts.len(), 0);
        sim.run_for(MS(200_000));
        assert_eq!(sim.posts.len(), 1, "{}", step.name());
        assert_eq!(sim.condition("Stalled"), "-");
    }
}

#[test]
fn the_first_post_leaves_after_the_budget_without_an_answer() {
    let mut sim = Simulation::cancellable(Duration::ZERO);
    sim.get_latency = MS(9000);
    sim.run_for(MS(1000));
    assert_eq!(sim.posts, [MS(255)], "250 ms, and the intent's 5");
    assert_eq!(sim.gets.len(), 1);
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.posts.len(), 1);
}

#[test]
fn done_seen_while_the_intent_is_written_sends_nothing() {
    let mut sim = Simulation::new(|_, _| done(0), |_| Ok(()));
    sim.get_latency = MS(252);
    assert_eq!(sim.run(), Some(Outcome::Completed));
    assert_eq!((sim.kinds(), sim.posts.len()), (vec![Intent, End], 0));
    assert_eq!(sim.condition("CancelRequested"), "False/AlreadyDone");
}

#[test]
fn a_change_of_labels_costs_no_other_call() {
    let mut sim = Simulation::cancellable(Duration::ZERO);
    sim.write_faults = vec![(WriteAnswer::Conflict(Box::new(object())), false); 3];
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!((sim.gets.len(), sim.posts.len()), (2, 1));
}

#[test]
fn an_intent_that_was_lost_is_read_back_and_no_post_leaves_before_a_get_says_running() {
    for carried_out in [true, false] {
        let mut sim = Simulation::cancellable(Duration::ZERO);
        sim.write_faults = vec![(WriteAnswer::Unconfirmed, carried_out)];
        assert_eq!(sim.run(), Some(Outcome::Cancelled));
        assert_eq!(sim.posts.len(), 1, "carried out: {carried_out}");
        assert_eq!(
            sim.stored.status.cancel_attempts,
            Some(if carried_out { 2 } else { 1 })
        );
    }
}

#[test]
fn a_write_that_changed_nothing_does_not_count() {
    let mut sim = Simulation::cancellable(Duration::ZERO);
    // The API server answers 200 with the object as it was.
    sim.write_faults = vec![(WriteAnswer::Written(Box::new(object())), false)];
    sim.run_for(MS(26));
    assert_eq!(sim.posts.len(), 0);
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(
        (sim.posts.len(), sim.stored.status.cancel_attempts),
        (1, Some(1))
    );
}

#[test]
fn polling_writes_only_when_what_fails_changes() {
    let mut sim = Simulation::new(
        |n, _| match n {
            5..=9 => Err(error(ErrorKind::Unavailable)),
            10..=12 => Err(error(ErrorKind::ResourceExhausted)),
            30 => done(1),
            _ => running(),
        },
        |_| Ok(()),
    );
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    // Intent, accepted, unavailable, throttled, well again, outcome.
    assert_eq!(
        sim.kinds(),
        [Intent, Progress, Progress, Progress, Progress, End]
    );
    assert_eq!((sim.gets.len(), sim.posts.len()), (30, 1));
}

#[test]
fn a_finished_object_is_left_alone_for_ever() {
    let mut sim = Simulation::cancellable(Duration::ZERO);
    sim.run();
    let (gets, writes) = (sim.gets.len(), sim.writes.len());
    sim.forgotten = false;
    sim.restart();
    assert!(sim.forgotten);
    assert_eq!((sim.gets.len(), sim.writes.len()), (gets, writes));
}

#[test]
fn a_writer_that_changes_the_status_back_is_answered_ever_more_slowly() {
    let mut sim = Simulation::cancellable(Duration::from_secs(600));
    sim.meddler = Some(|status| {
        status
            .conditions
            .retain(|condition| condition.type_ != "Finished")
    });
    sim.run_for(Duration::from_secs(60));
    assert!(
        (5..30).contains(&sim.writes.len()),
        "{} writes in a minute",
        sim.writes.len()
    );
    assert_eq!(sim.run(), Some(Outcome::Cancelled));
    assert_eq!(sim.posts.len(), 1);
}
