//! What waiting tools see at every instant: kstatus, computed as its library does it (docs/life-of-a-cancellation.md#what-waiting-tools-see).

use std::time::Duration;

use super::simulation::{Simulation, done, error, object, running};
use crate::{
    api::{CancellationStatus, Outcome, Reason},
    google::answer::ErrorKind,
    lifecycle::{Grant, ObjectView, UnknownTarget},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The order of sigs.k8s.io/cli-utils pkg/kstatus/status/status.go.
fn kstatus(object: &ObjectView) -> &'static str {
    let status = &object.status;
    if status
        .observed_generation
        .is_some_and(|observed| observed != object.generation)
    {
        return "InProgress";
    }
    let is = |type_: &str| {
        status
            .conditions
            .iter()
            .find(|c| c.type_ == type_)
            .map(|c| c.status.as_str())
    };
    match (is("Reconciling"), is("Stalled"), is("Ready")) {
        (Some("True"), _, _) => "InProgress",
        (_, Some("True"), _) => "Failed",
        (_, _, Some("False" | "Unknown")) => "InProgress",
        _ => "Current",
    }
}

/// Ready, Reconciling, Stalled, kstatus.
fn seen(sim: &Simulation) -> [String; 4] {
    [
        sim.condition("Ready"),
        sim.condition("Reconciling"),
        sim.condition("Stalled"),
        kstatus(&sim.stored).into(),
    ]
}

#[test]
fn created_and_not_yet_seen_is_in_progress() {
    assert_eq!(kstatus(&object()), "InProgress");
}

#[test]
fn under_way_is_in_progress_and_a_good_end_is_current() {
    let mut sim = Simulation::new(
        |_, now| if now >= s(60) { done(1) } else { running() },
        |_| Ok(()),
    );
    sim.run_for(s(10));
    assert_eq!(
        seen(&sim),
        ["Unknown/Polling", "True/Polling", "-", "InProgress"]
    );
    sim.run();
    assert_eq!(seen(&sim), ["True/OutcomeAccepted", "-", "-", "Current"]);
    // After a later edit tools do not wait again.
    sim.stored.generation += 1;
    assert_eq!(kstatus(&sim.stored), "Current");
}

#[test]
fn retrying_and_refused_are_in_progress() {
    for (kind, reason) in [
        (ErrorKind::Unavailable, "Unavailable"),
        (ErrorKind::FailedPrecondition, "Refused"),
        (ErrorKind::ResourceExhausted, "Throttled"),
    ] {
        let mut sim = Simulation::new(|_, _| running(), move |_| Err(error(kind)));
        sim.run_for(s(600));
        assert_eq!(
            seen(&sim),
            [
                format!("Unknown/{reason}"),
                format!("True/{reason}"),
                "-".into(),
                "InProgress".into()
            ]
        );
    }
}

#[test]
fn no_grant_stalls_after_a_minute() {
    let mut sim = Simulation::cancellable(s(1));
    sim.grant = Grant::NotGranted;
    sim.run_for(s(59));
    assert_eq!(
        seen(&sim),
        ["Unknown/NoGrant", "True/NoGrant", "-", "InProgress"]
    );
    let message = &sim
        .stored
        .status
        .conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .unwrap()
        .message;
    assert!(message.contains("CancellationGrant"), "{message}");
    sim.run_for(s(2));
    assert_eq!(seen(&sim), ["False/NoGrant", "-", "True/NoGrant", "Failed"]);
    sim.set_grant(Grant::Granted);
    sim.run();
    assert_eq!(seen(&sim)[3], "Current");
}

#[test]
fn no_permission_stalls_after_four_minutes_and_only_a_success_ends_it() {
    let mut sim = Simulation::new(
        |_, _| running(),
        |n| {
            if n > 8 {
                Ok(())
            } else {
                Err(error(ErrorKind::PermissionDenied))
            }
        },
    );
    sim.run_for(s(239));
    assert_eq!(
        seen(&sim),
        [
            "Unknown/PermissionDenied",
            "True/PermissionDenied",
            "-",
            "InProgress"
        ]
    );
    sim.run_for(s(3));
    assert_eq!(
        seen(&sim),
        [
            "False/PermissionDenied",
            "-",
            "True/PermissionDenied",
            "Failed"
        ]
    );
    let stalled_at = sim.writes.len();
    sim.run_for(s(1200));
    assert!(sim.posts.len() > 5 && sim.posts.len() <= 8);
    for (_, write) in &sim.writes[stalled_at..] {
        assert!(
            write.status.conditions.iter().any(|c| c.type_ == "Stalled"),
            "a new intent does not end Stalled"
        );
    }
    sim.restart();
    assert_eq!(seen(&sim)[3], "Failed", "nor does a new process");
    sim.run_for(s(1200));
    assert_eq!(
        seen(&sim),
        ["Unknown/Polling", "True/Polling", "-", "InProgress"]
    );
}

#[test]
fn what_this_controller_does_not_know_stalls_at_once_and_is_never_rejected() {
    for reason in [
        Reason::UnknownService,
        Reason::UnknownVersion,
        Reason::UnknownName,
    ] {
        let mut object = object();
        object.spec.as_mut().unwrap().target = Err(UnknownTarget {
            reason,
            message: "known: v2".into(),
        });
        let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
        sim.run();
        assert_eq!(
            seen(&sim)[2..],
            [format!("True/{}", reason.name()), "Failed".into()]
        );
        assert_eq!((sim.outcome(), sim.gets.len()), (None, 0));
    }
}

#[test]
fn suspended_is_current_once_observed_and_continues_afterwards() {
    let mut object = object();
    object.spec.as_mut().unwrap().suspend = true;
    let mut sim = Simulation::of(
        object,
        |_, now| if now >= s(700) { done(1) } else { running() },
        |_| Ok(()),
    );
    sim.run_for(s(600));
    assert_eq!(seen(&sim), ["-", "-", "-", "Current"]);
    assert_eq!(sim.condition("CancelRequested"), "False/Suspended");
    assert_eq!(
        (sim.gets.len(), sim.posts.len(), sim.writes.len()),
        (10, 0, 1),
        "once a minute, one write"
    );
    assert_eq!(sim.stored.status.start_time, None);
    sim.edit(|spec| spec.deadline = s(99));
    sim.run_for(s(1));
    assert_eq!(sim.gets.len(), 11, "once a generation");
    sim.edit(|spec| spec.suspend = false);
    sim.run_for(s(1));
    assert_eq!(sim.posts.len(), 1);
    assert_eq!(seen(&sim)[3], "InProgress");
    assert!(sim.stored.status.start_time.is_some());
    sim.edit(|spec| spec.suspend = true);
    assert_eq!(
        sim.run(),
        Some(Outcome::Cancelled),
        "once an intent stands, suspend changes nothing"
    );
}

#[test]
fn suspended_and_not_answered_is_in_progress() {
    let mut object = object();
    object.spec.as_mut().unwrap().suspend = true;
    let mut sim = Simulation::of(
        object,
        |_, _| Err(error(ErrorKind::Unavailable)),
        |_| Ok(()),
    );
    sim.run_for(s(5));
    assert_eq!(
        seen(&sim),
        ["Unknown/Unavailable", "True/Unavailable", "-", "InProgress"]
    );
}

#[test]
fn suspended_and_done_ends() {
    let mut object = object();
    object.spec.as_mut().unwrap().suspend = true;
    let mut sim = Simulation::of(
        object,
        |n, _| if n > 2 { done(0) } else { running() },
        |_| Ok(()),
    );
    assert_eq!(sim.run(), Some(Outcome::Completed));
    assert_eq!(
        (sim.posts.len(), sim.stored.status.start_time.clone()),
        (0, None)
    );
    assert_eq!(sim.condition("CancelRequested"), "False/AlreadyDone");
}

#[test]
fn a_bad_end_is_failed_and_stays_so_after_an_edit() {
    let mut object = object();
    object.spec.as_mut().unwrap().accepted_outcomes.clear();
    let mut sim = Simulation::of(object, |_, _| done(1), |_| Ok(()));
    sim.run();
    assert_eq!(
        seen(&sim),
        [
            "False/OutcomeNotAccepted",
            "-",
            "True/OutcomeNotAccepted",
            "Failed"
        ]
    );
    sim.stored.generation += 1;
    assert_eq!(kstatus(&sim.stored), "Failed");
}

#[test]
fn a_malformed_spec_is_rejected_with_neither_grant_nor_target() {
    let mut object = object();
    object.spec = Err(crate::lifecycle::MalformedSpec {
        message: "spec.suspend: expected true or false".into(),
    });
    let mut sim = Simulation::of(object, |_, _| running(), |_| Ok(()));
    sim.grant = Grant::NotGranted;
    assert_eq!(sim.run(), Some(Outcome::Rejected));
    assert_eq!((sim.gets.len(), sim.writes.len()), (0, 1));
    assert_eq!(
        (
            sim.condition("Authorized"),
            sim.stored.status.target.clone()
        ),
        ("-".into(), None)
    );
}

#[test]
fn what_a_newer_release_wrote_stays() {
    let mut object = object();
    let theirs = r#"{"type":"Novel","status":"True","reason":"Why","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}"#;
    object.status = CancellationStatus {
        conditions: vec![serde_json::from_str(theirs).unwrap()],
        ..object.status
    };
    let mut sim = Simulation::of(object, |_, _| done(1), |_| Ok(()));
    sim.run();
    assert_eq!(sim.condition("Novel"), "True/Why");
}
