//! Every outcome: what the status says, how many calls were made, how many writes.

use std::time::Duration;

use operations_emulator::{
    Call::{self, Cancel, Get},
    EndResult, Fault, FaultCall, RpcCode, Script,
};

use crate::support::world::{World, manifest};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// An operation, and what has to be seen of its object.
struct Case {
    /// The object's name, and the operation's id.
    name: &'static str,
    script: Script,
    /// Fields of the spec beside the defaults.
    spec: &'static [&'static str],
    outcome: &'static str,
    conditions: Conditions,
    /// The first calls, exactly; more polls may follow.
    first_calls: &'static [Call],
    /// The number of status writes.
    writes: usize,
}

impl Case {
    fn posts(&self) -> usize {
        let calls = self.first_calls.iter();
        calls.filter(|call| **call == Cancel).count()
    }
}

/// The conditions at the end, as `status/reason`, or `-` without one.
struct Conditions {
    cancel_requested: &'static str,
    finished: &'static str,
    ready: &'static str,
    stalled: &'static str,
}

impl Conditions {
    /// As [`crate::support::object::Object::conditions`] has them. `Reconciling` never stays.
    fn listed(&self) -> [String; 5] {
        let reconciling = "-";
        [
            self.cancel_requested,
            self.finished,
            self.ready,
            reconciling,
            self.stalled,
        ]
        .map(str::to_owned)
    }
}

const ONCE: &[Call] = &[Get, Cancel, Get];

/// An outcome in `spec.acceptedOutcomes`.
const fn good(cancel_requested: &'static str, finished: &'static str) -> Conditions {
    Conditions {
        cancel_requested,
        finished,
        ready: "True/OutcomeAccepted",
        stalled: "-",
    }
}

/// An outcome that is not in `spec.acceptedOutcomes`.
const fn bad(cancel_requested: &'static str, finished: &'static str) -> Conditions {
    Conditions {
        cancel_requested,
        finished,
        ready: "False/OutcomeNotAccepted",
        stalled: "True/OutcomeNotAccepted",
    }
}

fn cases() -> Vec<Case> {
    let failed = || EndResult::failed(RpcCode::Internal, "the disk is full");
    let refuse_both =
        Script::default().with_fault(Fault::refuse(FaultCall::Any, RpcCode::InvalidArgument));
    vec![
        Case {
            name: "cancelled",
            script: Script::default(),
            spec: &[],
            outcome: "Cancelled",
            conditions: good("True/Accepted", "True/Cancelled"),
            first_calls: ONCE,
            writes: 2,
        },
        Case {
            name: "cancelled-later",
            script: Script::cancelled_after(ms(3000)),
            spec: &[],
            outcome: "Cancelled",
            conditions: good("True/Accepted", "True/Cancelled"),
            first_calls: ONCE,
            writes: 3,
        },
        Case {
            name: "completed",
            script: Script::cancel_ends_as(EndResult::completed(), ms(0)),
            spec: &[],
            outcome: "Completed",
            conditions: good("True/Accepted", "True/Completed"),
            first_calls: ONCE,
            writes: 2,
        },
        Case {
            name: "completed-later",
            script: Script::cancel_ends_as(EndResult::completed(), ms(2000)),
            spec: &[],
            outcome: "Completed",
            conditions: good("True/Accepted", "True/Completed"),
            first_calls: ONCE,
            writes: 3,
        },
        Case {
            name: "failed",
            script: Script::cancel_ends_as(failed(), ms(0)),
            spec: &[],
            outcome: "Failed",
            conditions: good("True/Accepted", "True/Failed"),
            first_calls: ONCE,
            writes: 2,
        },
        Case {
            name: "failed-later",
            script: Script::cancel_ends_as(failed(), ms(2000)),
            spec: &[],
            outcome: "Failed",
            conditions: good("True/Accepted", "True/Failed"),
            first_calls: ONCE,
            writes: 3,
        },
        Case {
            name: "no-result",
            script: Script::cancel_ends_as(EndResult::NoResult, ms(0)),
            spec: &[],
            outcome: "Completed",
            conditions: good("True/Accepted", "True/NoResult"),
            first_calls: ONCE,
            writes: 2,
        },
        Case {
            name: "empty-error",
            script: Script::cancel_ends_as(EndResult::EmptyError, ms(0)),
            spec: &[],
            outcome: "Completed",
            conditions: good("True/Accepted", "True/NoResult"),
            first_calls: ONCE,
            writes: 2,
        },
        Case {
            name: "was-completed",
            script: Script::already_done(EndResult::completed()),
            spec: &[],
            outcome: "Completed",
            conditions: good("False/AlreadyDone", "True/Completed"),
            first_calls: &[Get],
            writes: 1,
        },
        Case {
            name: "was-failed",
            script: Script::already_done(failed()),
            spec: &[],
            outcome: "Failed",
            conditions: good("False/AlreadyDone", "True/Failed"),
            first_calls: &[Get],
            writes: 1,
        },
        Case {
            name: "was-cancelled",
            script: Script::already_done(EndResult::CancelledElsewhere),
            spec: &[],
            outcome: "Cancelled",
            conditions: good("False/AlreadyDone", "True/Cancelled"),
            first_calls: &[Get],
            writes: 1,
        },
        Case {
            name: "was-no-result",
            script: Script::already_done(EndResult::NoResult),
            spec: &[],
            outcome: "Completed",
            conditions: good("False/AlreadyDone", "True/NoResult"),
            first_calls: &[Get],
            writes: 1,
        },
        Case {
            name: "missing",
            script: Script::missing(),
            spec: &[],
            outcome: "NotFound",
            conditions: bad("False/NotSent", "True/NotFound"),
            first_calls: &[Get, Get],
            writes: 2,
        },
        Case {
            name: "missing-is-good",
            script: Script::missing(),
            spec: &["acceptedOutcomes: [NotFound]"],
            outcome: "NotFound",
            conditions: good("False/NotSent", "True/NotFound"),
            first_calls: &[Get, Get],
            writes: 2,
        },
        Case {
            name: "vanished",
            script: Script::default().vanishes_after_cancel(ms(0)),
            spec: &[],
            outcome: "NotFound",
            conditions: bad("True/Accepted", "True/NotFound"),
            first_calls: ONCE,
            writes: 3,
        },
        Case {
            name: "unsupported",
            script: Script::cancel_unimplemented(),
            spec: &[],
            outcome: "Unsupported",
            conditions: bad("False/Unsupported", "True/Unsupported"),
            first_calls: ONCE,
            writes: 2,
        },
        Case {
            name: "rejected",
            script: refuse_both,
            spec: &[],
            outcome: "Rejected",
            conditions: bad("False/Refused", "True/Rejected"),
            first_calls: &[Get, Cancel],
            writes: 2,
        },
        Case {
            name: "never-ends",
            script: Script::ignores_cancel(),
            spec: &["deadlineSeconds: 10"],
            outcome: "Unknown",
            conditions: Conditions {
                stalled: "True/DeadlineExceeded",
                ..bad("True/Accepted", "True/Unknown")
            },
            first_calls: ONCE,
            writes: 3,
        },
        Case {
            name: "not-accepted",
            script: Script::default(),
            spec: &["acceptedOutcomes: [Completed]"],
            outcome: "Cancelled",
            conditions: bad("True/Accepted", "True/Cancelled"),
            first_calls: ONCE,
            writes: 2,
        },
    ]
}

#[test]
fn every_outcome_with_its_conditions_calls_and_writes() {
    let cases = cases();
    let world = World::new(
        "outcomes",
        cases.iter().map(|case| (case.name, case.script.clone())),
    );
    world
        .apply(
            &cases
                .iter()
                .map(|case| manifest(case.name, case.spec))
                .collect::<String>(),
        )
        .unwrap();
    let objects = world.all_finished();
    let writes = world.status_writes_of(
        &cases
            .iter()
            .map(|case| case.name.to_owned())
            .collect::<Vec<_>>(),
    );
    let mut wrong = Vec::new();
    for case in &cases {
        let object = &objects[case.name];
        let calls = world.calls(case.name);
        let seen = (
            object.outcome(),
            object.conditions(),
            &calls[..case.first_calls.len().min(calls.len())],
        );
        let expected = (
            case.outcome.to_owned(),
            case.conditions.listed(),
            case.first_calls,
        );
        if seen != expected {
            wrong.push(format!("{}: {seen:?}, expected {expected:?}", case.name));
        }
        let counted = (world.posts(case.name), writes[case.name].len());
        if counted != (case.posts(), case.writes) {
            let bodies: Vec<_> = writes[case.name]
                .iter()
                .map(|write| format!("{} {:?}", write.code, write.body))
                .collect();
            wrong.push(format!(
                "{}: posts and writes {counted:?}, expected {:?}: {bodies:#?}",
                case.name,
                (case.posts(), case.writes)
            ));
        }
        // What every end has in common.
        assert_eq!(
            object.condition("Authorized"),
            "True/Granted",
            "{}",
            case.name
        );
        assert!(
            !object.0.to_string().contains("observedGeneration"),
            "{}: an outcome belongs to no generation",
            case.name
        );
        assert!(
            object.text("/status/completionTime").ends_with('Z')
                && object.text("/status/startTime").ends_with('Z')
        );
        assert_eq!(
            object.text("/status/cancelAttempts"),
            if case.posts() == 0 { "-" } else { "1" },
            "{}",
            case.name
        );
        assert_eq!(
            object.text("/status/cancelRequestTime") == "-",
            case.posts() == 0,
            "{}",
            case.name
        );
        if case.first_calls.len() < 3 && case.outcome != "NotFound" {
            assert_eq!(calls, case.first_calls, "{}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let failed = &objects["failed"];
    assert_eq!(failed.text("/status/operation/error/code"), "13");
    assert_eq!(failed.text("/status/operation/error/status"), "INTERNAL");
    assert!(
        failed.message("Ready").contains("the disk is full"),
        "{}",
        failed.message("Ready")
    );
    let target = |field: &str| failed.text(&format!("/status/target/{field}"));
    assert_eq!(
        [
            "project",
            "location",
            "operation",
            "service",
            "version",
            "endpoint"
        ]
        .map(target),
        [
            "acme-prod",
            "europe-west1",
            "failed",
            "dialogflow",
            "v2",
            world.emulator.url()
        ]
    );
    assert_eq!(failed.text("/status/identity/kind"), "Operator");
    assert_eq!(
        failed.text("/status/identity/principal"),
        "opcancel@emulated-project.iam.gserviceaccount.com"
    );
}
