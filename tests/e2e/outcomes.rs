//! Every outcome: what the status says, how many calls were made, how many writes.

use std::time::Duration;

use operations_emulator::{
    Call::{self, Cancel, Get},
    EndResult, Fault, FaultCall, RpcCode, Scenario, Script,
};

use crate::support::world::{World, manifest, operation};

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
            bad("False/NotSent", "True/Rejected"),
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

    columns(&world);
    every_call_says_who_asks(&world);
}

fn columns(world: &World) {
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let table = world
        .namespace
        .kubectl(&["get", "opcancel", "cancelled", "not-accepted"], "")
        .unwrap();
    let lines: Vec<_> = table.lines().map(words).collect();
    assert_eq!(lines[0], ["NAME", "OPERATION", "OUTCOME", "READY", "AGE"]);
    assert_eq!(
        lines[1][..4],
        ["cancelled", "cancelled", "Cancelled", "True"]
    );
    assert_eq!(
        lines[2][..4],
        ["not-accepted", "not-accepted", "Cancelled", "False"]
    );
    let wide = world
        .namespace
        .kubectl(&["get", "opcancel", "not-accepted", "--output=wide"], "")
        .unwrap();
    let lines: Vec<_> = wide.lines().map(words).collect();
    assert_eq!(
        lines[0],
        [
            "NAME",
            "OPERATION",
            "OUTCOME",
            "READY",
            "AGE",
            "PROJECT",
            "REASON",
            "MESSAGE"
        ]
    );
    assert_eq!(
        lines[1][5..],
        [
            "acme-prod",
            "OutcomeNotAccepted",
            "The",
            "operation",
            "ended",
            "cancelled:",
            "The",
            "operation",
            "was",
            "cancelled."
        ]
    );

    let selected = |selector: &str| {
        let names = [
            "get",
            "opcancel",
            "--output=name",
            "--field-selector",
            selector,
        ];
        words(&world.namespace.kubectl(&names, "").unwrap())
            .iter()
            .map(|name| name.rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(selected("status.outcome=Unknown"), ["never-ends"]);
    assert_eq!(selected("status.outcome="), [""; 0]);
    assert_eq!(
        selected(&format!("spec.operationName={}", operation("missing"))),
        ["missing"]
    );
}

fn every_call_says_who_asks(world: &World) {
    let uid = world.object("cancelled").text("/metadata/uid");
    for request in world.requests("cancelled") {
        let agent = request.user_agent.unwrap_or_default();
        assert!(agent.starts_with("opcancel/"), "{agent}");
        let reason = request.request_reason.unwrap_or_default();
        assert_eq!(
            reason,
            format!("opcancel - {}/cancelled {uid}", world.namespace.name)
        );
        assert!(
            request
                .path
                .starts_with("/v2/projects/acme-prod/locations/europe-west1/operations/cancelled")
        );
        if request.call == Some(Cancel) {
            assert_eq!(request.content_length.as_deref(), Some("0"));
        }
    }
}

#[test]
fn the_intent_is_stored_before_the_request_leaves_and_counts_it() {
    let world = World::new("intent", [("op", Script::default())]);
    world.cancel("op", &[]);
    world.finished("op");
    let writes = world.status_writes("op");
    let body = writes[0].body.as_ref().unwrap();
    assert_eq!(body["status"]["cancelAttempts"], 1, "{body}");
    assert!(
        body["metadata"]["uid"].is_string() && body["metadata"]["resourceVersion"].is_string(),
        "{body}"
    );
    assert!(
        writes[0].uri.contains("fieldValidation=Strict"),
        "{}",
        writes[0].uri
    );
    let post = world
        .requests("op")
        .into_iter()
        .find(|request| request.call == Some(Cancel))
        .unwrap();
    assert!(writes[0].received < post.received && post.received < writes[1].received);
}

#[test]
fn not_granted_asks_for_no_token_and_makes_no_call_until_the_grant_is_there() {
    let world = World::without_grant("ungranted", [("op", Script::default())]);
    let tokens = world.emulator.metadata_requests().len();
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=Authorized=False");
    world.let_time_pass(ms(1500));
    let object = world.object("op");
    assert_eq!(object.condition("Authorized"), "False/NoGrant");
    assert_eq!(
        object.conditions(),
        [
            "Unknown/NoGrant",
            "False/NoGrant",
            "Unknown/NoGrant",
            "True/NoGrant",
            "-"
        ]
    );
    assert_eq!(object.text("/status/startTime"), "-");
    assert_eq!(
        (
            world.calls("op").len(),
            world.emulator.metadata_requests().len()
        ),
        (0, tokens)
    );
    assert_eq!(world.status_writes("op").len(), 1);

    // The message holds the grant, ready to be applied.
    let message = object.message("Ready");
    let (_, manifest) = message
        .split_once("can apply: ")
        .unwrap_or_else(|| panic!("{message}"));
    crate::support::cluster::kubectl_as_admin(&["apply", "--filename=-"], manifest).unwrap();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.posts("op")),
        ("Cancelled", 1)
    );
    assert_eq!(object.condition("Authorized"), "True/Granted");
    assert_eq!(world.status_writes("op").len(), 3);
}

#[test]
fn every_version_and_form_of_name_is_addressed_as_it_says() {
    let forms = [
        (
            "default",
            "projects/acme-prod/operations/default",
            "",
            "/v2/",
        ),
        (
            "v2beta1",
            "projects/acme-prod/locations/global/operations/v2beta1",
            "version: v2beta1",
            "/v2beta1/",
        ),
        (
            "v3",
            "projects/acme-prod/locations/us-central1/operations/v3",
            "version: v3",
            "/v3/",
        ),
        (
            "v3beta1",
            "projects/acme-prod/operations/v3beta1",
            "version: v3beta1",
            "/v3beta1/",
        ),
        (
            "number",
            "projects/123456789012/operations/O.p_e~r-1",
            "",
            "/v2/",
        ),
        (
            "domain",
            "projects/example.com:acme/operations/o",
            "",
            "/v2/",
        ),
    ];
    let scenario = forms.iter().fold(Scenario::default(), |scenario, form| {
        scenario.with_operation(form.1, Script::default())
    });
    let mut world = World::stopped(
        "forms",
        scenario,
        &["--quota-project=billing-prod", "--cluster-name=blue"],
        &[],
    );
    let projects = ["acme-prod", "123456789012", "example.com:acme"];
    world.grant_spec(
        &world.namespace.name,
        &serde_json::json!({"projects": projects, "identities": ["Operator"]}),
    );
    world.start();
    world
        .apply(
            &forms
                .iter()
                .map(|(name, operation, spec, _)| {
                    crate::support::world::of_operation(
                        name,
                        operation,
                        if spec.is_empty() {
                            &[]
                        } else {
                            std::slice::from_ref(spec)
                        },
                    )
                })
                .collect::<String>(),
        )
        .unwrap();
    let objects = world.all_finished();
    for (name, operation, _, version) in forms {
        assert_eq!(objects[name].outcome(), "Cancelled", "{name}");
        for request in world.emulator.requests_for(operation) {
            let path = format!("{version}{}", operation.replace(':', "%3A"));
            assert!(
                request.path == path || request.path == format!("{path}:cancel"),
                "{}",
                request.path
            );
            assert_eq!(request.user_project.as_deref(), Some("billing-prod"));
            assert!(
                request
                    .request_reason
                    .unwrap()
                    .starts_with("opcancel blue ")
            );
        }
    }
}

#[test]
fn two_objects_for_one_operation_are_independent() {
    let world = World::new("two", [("op", Script::cancelled_after(ms(1000)))]);
    let of = |name| crate::support::world::of_operation(name, &operation("op"), &[]);
    world.apply(&format!("{}{}", of("one"), of("two"))).unwrap();
    let objects = world.all_finished();
    assert_eq!(
        (objects["one"].outcome(), objects["two"].outcome()),
        ("Cancelled".into(), "Cancelled".into())
    );
    assert_eq!(world.posts("op"), 2);
}

#[test]
fn the_events_tell_the_end_once() {
    let world = World::new(
        "events",
        [
            ("good", Script::default()),
            ("bad", Script::cancel_unimplemented()),
        ],
    );
    world
        .apply(&format!(
            "{}{}",
            manifest("good", &[]),
            manifest("bad", &[])
        ))
        .unwrap();
    world.all_finished();
    let admin = crate::support::cluster::kubectl_as_admin;
    let namespace = format!("--namespace={}", world.namespace.name);
    for (name, type_, reason) in [
        ("good", "Normal", "Cancelled"),
        ("bad", "Warning", "Unsupported"),
    ] {
        let selector = format!("--field-selector=reason={reason}");
        let jsonpath = format!("--for=jsonpath={{.type}}={type_}");
        admin(
            &[
                "wait",
                "events",
                "--all",
                &namespace,
                &selector,
                &jsonpath,
                "--timeout=20s",
            ],
            "",
        )
        .or_else(|_| {
            admin(
                &[
                    "wait",
                    "events",
                    &namespace,
                    &selector,
                    &jsonpath,
                    "--timeout=20s",
                ],
                "",
            )
        })
        .unwrap();
        let events = crate::support::cluster::json_of(
            &admin(
                &["get", "events", &namespace, &selector, "--output=json"],
                "",
            )
            .unwrap(),
        );
        assert_eq!(events["items"].as_array().unwrap().len(), 1);
        assert_eq!(events["items"][0]["involvedObject"]["name"], name);
    }
}
