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

/// A fate and what must come of it.
struct Row {
    name: &'static str,
    script: Script,
    spec: &'static [&'static str],
    outcome: &'static str,
    /// CancelRequested, Finished, Ready, Reconciling, Stalled.
    conditions: [&'static str; 5],
    /// The first calls, exactly; more polls may follow.
    calls: &'static [Call],
    posts: usize,
    writes: usize,
}

const ONCE: &[Call] = &[Get, Cancel, Get];

const fn accepted(finished: &'static str) -> [&'static str; 5] {
    ["True/Accepted", finished, "True/OutcomeAccepted", "-", "-"]
}

const fn done_before(finished: &'static str) -> [&'static str; 5] {
    [
        "False/AlreadyDone",
        finished,
        "True/OutcomeAccepted",
        "-",
        "-",
    ]
}

fn rows() -> Vec<Row> {
    let failed = || EndResult::failed(RpcCode::Internal, "the disk is full");
    let row = |name, script, outcome, conditions, calls, writes| Row {
        name,
        script,
        spec: &[],
        outcome,
        conditions,
        calls,
        posts: calls.iter().filter(|call| **call == Cancel).count(),
        writes,
    };
    let bad = |cancel, finished| {
        [
            cancel,
            finished,
            "False/OutcomeNotAccepted",
            "-",
            "True/OutcomeNotAccepted",
        ]
    };
    let refuse_both =
        Script::default().with_fault(Fault::refuse(FaultCall::Any, RpcCode::InvalidArgument));
    vec![
        row(
            "cancelled",
            Script::default(),
            "Cancelled",
            accepted("True/Cancelled"),
            ONCE,
            2,
        ),
        row(
            "cancelled-later",
            Script::cancelled_after(ms(3000)),
            "Cancelled",
            accepted("True/Cancelled"),
            ONCE,
            3,
        ),
        row(
            "completed",
            Script::cancel_ends_as(EndResult::completed(), ms(0)),
            "Completed",
            accepted("True/Completed"),
            ONCE,
            2,
        ),
        row(
            "completed-later",
            Script::cancel_ends_as(EndResult::completed(), ms(2000)),
            "Completed",
            accepted("True/Completed"),
            ONCE,
            3,
        ),
        row(
            "failed",
            Script::cancel_ends_as(failed(), ms(0)),
            "Failed",
            accepted("True/Failed"),
            ONCE,
            2,
        ),
        row(
            "failed-later",
            Script::cancel_ends_as(failed(), ms(2000)),
            "Failed",
            accepted("True/Failed"),
            ONCE,
            3,
        ),
        row(
            "no-result",
            Script::cancel_ends_as(EndResult::NoResult, ms(0)),
            "Completed",
            accepted("True/NoResult"),
            ONCE,
            2,
        ),
        row(
            "empty-error",
            Script::cancel_ends_as(EndResult::EmptyError, ms(0)),
            "Completed",
            accepted("True/NoResult"),
            ONCE,
            2,
        ),
        row(
            "was-completed",
            Script::already_done(EndResult::completed()),
            "Completed",
            done_before("True/Completed"),
            &[Get],
            1,
        ),
        row(
            "was-failed",
            Script::already_done(failed()),
            "Failed",
            done_before("True/Failed"),
            &[Get],
            1,
        ),
        row(
            "was-cancelled",
            Script::already_done(EndResult::CancelledElsewhere),
            "Cancelled",
            done_before("True/Cancelled"),
            &[Get],
            1,
        ),
        row(
            "was-no-result",
            Script::already_done(EndResult::NoResult),
            "Completed",
            done_before("True/NoResult"),
            &[Get],
            1,
        ),
        row(
            "missing",
            Script::missing(),
            "NotFound",
            bad("False/NotSent", "True/NotFound"),
            &[Get, Get],
            2,
        ),
        Row {
            spec: &["acceptedOutcomes: [NotFound]"],
            conditions: [
                "False/NotSent",
                "True/NotFound",
                "True/OutcomeAccepted",
                "-",
                "-",
            ],
            ..row(
                "missing-is-good",
                Script::missing(),
                "NotFound",
                accepted(""),
                &[Get, Get],
                2,
            )
        },
        row(
            "vanished",
            Script::default().vanishes_after_cancel(ms(0)),
            "NotFound",
            bad("True/Accepted", "True/NotFound"),
            ONCE,
            3,
        ),
        row(
            "unsupported",
            Script::cancel_unimplemented(),
            "Unsupported",
            bad("False/Unsupported", "True/Unsupported"),
            ONCE,
            2,
        ),
        row(
            "rejected",
            refuse_both,
            "Rejected",
            bad("False/Refused", "True/Rejected"),
            &[Get, Cancel],
            2,
        ),
        Row {
            spec: &["deadlineSeconds: 10"],
            conditions: [
                "True/Accepted",
                "True/Unknown",
                "False/OutcomeNotAccepted",
                "-",
                "True/DeadlineExceeded",
            ],
            ..row(
                "never-ends",
                Script::ignores_cancel(),
                "Unknown",
                accepted(""),
                ONCE,
                3,
            )
        },
        Row {
            spec: &["acceptedOutcomes: [Completed]"],
            conditions: bad("True/Accepted", "True/Cancelled"),
            ..row(
                "not-accepted",
                Script::default(),
                "Cancelled",
                accepted(""),
                ONCE,
                2,
            )
        },
    ]
}

#[test]
fn every_outcome_with_its_conditions_calls_and_writes() {
    let rows = rows();
    let world = World::new(
        "outcomes",
        rows.iter().map(|row| (row.name, row.script.clone())),
    );
    world
        .apply(
            &rows
                .iter()
                .map(|row| manifest(row.name, row.spec))
                .collect::<String>(),
        )
        .unwrap();
    let objects = world.all_finished();
    let writes = world.status_writes_of(
        &rows
            .iter()
            .map(|row| row.name.to_owned())
            .collect::<Vec<_>>(),
    );
    let mut wrong = Vec::new();
    for row in &rows {
        let object = &objects[row.name];
        let calls = world.calls(row.name);
        let seen = (
            object.outcome(),
            object.conditions(),
            &calls[..row.calls.len().min(calls.len())],
        );
        let expected = (
            row.outcome.to_owned(),
            row.conditions.map(str::to_owned),
            row.calls,
        );
        if seen != expected {
            wrong.push(format!("{}: {seen:?}, expected {expected:?}", row.name));
        }
        let counted = (world.posts(row.name), writes[row.name].len());
        if counted != (row.posts, row.writes) {
            let bodies: Vec<_> = writes[row.name]
                .iter()
                .map(|write| format!("{} {:?}", write.code, write.body))
                .collect();
            wrong.push(format!(
                "{}: posts and writes {counted:?}, expected {:?}: {bodies:#?}",
                row.name,
                (row.posts, row.writes)
            ));
        }
        // What every end has in common.
        assert_eq!(
            object.condition("Authorized"),
            "True/Granted",
            "{}",
            row.name
        );
        assert!(
            !object.0.to_string().contains("observedGeneration"),
            "{}: an outcome belongs to no generation",
            row.name
        );
        assert!(
            object.text("/status/completionTime").ends_with('Z')
                && object.text("/status/startTime").ends_with('Z')
        );
        assert_eq!(
            object.text("/status/cancelAttempts"),
            if row.posts == 0 { "-" } else { "1" },
            "{}",
            row.name
        );
        assert_eq!(
            object.text("/status/cancelRequestTime") == "-",
            row.posts == 0,
            "{}",
            row.name
        );
        if row.calls.len() < 3 && row.outcome != "NotFound" {
            assert_eq!(calls, row.calls, "{}", row.name);
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
