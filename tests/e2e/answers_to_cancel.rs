//! Every answer to cancel, through the real API server: what the status says meanwhile, what is sent again and when, and that
//! none of them ends anything.

use std::time::Duration;

use operations_emulator::{
    Answer,
    Call::{Cancel, Get},
    EndResult, Fault, FaultAnswer, FaultCall, RpcCode, Script,
};

use crate::{
    odd_answers::passing,
    support::{
        object::Object,
        world::{World, manifest, operation},
    },
};

#[test]
fn what_may_have_arrived_is_looked_at_and_announced_before_it_is_sent_again() {
    let rows = passing();
    let script = |answer: &FaultAnswer| {
        Script::default().with_fault(Fault::new(FaultCall::Cancel, answer.clone()).times(2))
    };
    let world = World::new(
        "again",
        rows.iter().map(|row| (row.name, script(&row.answer))),
    );
    world.cancel_all(rows.iter().map(|row| row.name));
    let objects = world.all_finished();
    let writes = world.status_writes_of(
        &rows
            .iter()
            .map(|row| row.name.to_owned())
            .collect::<Vec<_>>(),
    );
    for row in &rows {
        let name = row.name;
        // Three intents, that it failed, and the outcome.
        let attempts: Vec<_> = writes[name]
            .iter()
            .map(|write| write.body.as_ref().unwrap()["status"]["cancelAttempts"].as_i64())
            .collect();
        assert_eq!(attempts, [Some(1), None, Some(2), Some(3), None], "{name}");
        let under_way = Object(writes[name][1].answer.clone().unwrap());
        let last = ["call", "status", "httpStatus"]
            .map(|field| under_way.text(&format!("/status/lastError/{field}")));
        assert_eq!(
            last,
            ["Cancel", row.status, row.http],
            "{name}: {}",
            under_way.text("/status/lastError/message")
        );
        let [cancel, _, ready, reconciling, stalled] = under_way.conditions();
        let expected = [
            "Unknown/Sending".to_owned(),
            format!("Unknown/{}", row.reason),
            format!("True/{}", row.reason),
            "-".to_owned(),
        ];
        assert_eq!([cancel, ready, reconciling, stalled], expected, "{name}");
        assert_eq!(under_way.outcome(), "-", "{name}");

        let object = &objects[name];
        assert_eq!(object.outcome(), "Cancelled", "{name}");
        assert_eq!(
            object.condition("CancelRequested"),
            "True/Accepted",
            "{name}"
        );
        assert_eq!(object.text("/status/lastError"), "-", "{name}: cured");

        let requests = world.requests(name);
        let posts: Vec<_> = requests
            .iter()
            .enumerate()
            .filter(|(_, request)| request.call == Some(Cancel))
            .collect();
        assert_eq!(posts.len(), 3, "{name}");
        for pair in posts.windows(2) {
            let looked = requests[pair[0].0..pair[1].0]
                .iter()
                .any(|request| request.call == Some(Get) && request.answer == Answer::Status(200));
            assert!(looked, "{name}: no GET between two requests");
        }
        let intents = writes[name]
            .iter()
            .zip(attempts)
            .filter(|(_, attempts)| attempts.is_some());
        for ((intent, attempt), (_, post)) in intents.zip(posts) {
            assert!(
                intent.received < post.received,
                "{name}: request {attempt:?} came before its intent"
            );
        }
    }
}

#[test]
fn an_answer_that_was_lost_costs_no_second_request() {
    let lost =
        |answer| Script::default().with_fault(Fault::new(FaultCall::Cancel, answer).applied());
    let refused =
        |code| Script::default().with_fault(Fault::refuse(FaultCall::Cancel, code).applied());
    let world = World::new(
        "lost",
        [
            ("closed", lost(FaultAnswer::Close)),
            ("silent", lost(FaultAnswer::Hang(Duration::from_secs(30)))),
            ("unavailable", refused(RpcCode::Unavailable)),
            ("unimplemented", refused(RpcCode::Unimplemented)),
            ("not-found", refused(RpcCode::NotFound)),
        ],
    );
    let names = [
        "closed",
        "silent",
        "unavailable",
        "unimplemented",
        "not-found",
    ];
    world
        .apply(
            &names
                .iter()
                .map(|name| manifest(name, &[]))
                .collect::<String>(),
        )
        .unwrap();
    for (name, object) in &world.all_finished() {
        assert_eq!(
            (object.outcome().as_str(), world.posts(name)),
            ("Cancelled", 1),
            "{name}"
        );
        assert_eq!(object.text("/status/cancelAttempts"), "1", "{name}");
    }
}

#[test]
fn a_refusal_after_an_answer_was_lost_leaves_it_open() {
    let script = Script::ignores_cancel()
        .with_fault(Fault::refuse(FaultCall::Cancel, RpcCode::Unavailable).times(1))
        .with_fault(Fault::refuse(
            FaultCall::Cancel,
            RpcCode::FailedPrecondition,
        ));
    let world = World::new("open", [("op", script)]);
    world.cancel("op", &[]);
    world.wait(
        &["op"],
        "jsonpath={.status.lastError.status}=FAILED_PRECONDITION",
    );
    let object = world.object("op");
    assert_eq!(
        (
            object.condition("CancelRequested").as_str(),
            world.posts("op")
        ),
        ("Unknown/Sending", 2)
    );
    world
        .emulator
        .finish_operation(&operation("op"), EndResult::CancelledElsewhere)
        .unwrap();
    assert_eq!(
        (world.finished("op").outcome().as_str(), world.posts("op")),
        ("Cancelled", 2)
    );
}

#[test]
fn refusals_and_denials_are_polled_on() {
    let rows = [
        (
            "failed-precondition",
            RpcCode::FailedPrecondition,
            "FAILED_PRECONDITION",
            "False/Refused",
            "Refused",
            1,
        ),
        (
            "not-found",
            RpcCode::NotFound,
            "NOT_FOUND",
            "False/Refused",
            "Refused",
            1,
        ),
        (
            "invalid-argument",
            RpcCode::InvalidArgument,
            "INVALID_ARGUMENT",
            "False/Refused",
            "Refused",
            1,
        ),
        (
            "permission-denied",
            RpcCode::PermissionDenied,
            "PERMISSION_DENIED",
            "Unknown/Sending",
            "PermissionDenied",
            1,
        ),
        (
            "unauthenticated",
            RpcCode::Unauthenticated,
            "UNAUTHENTICATED",
            "Unknown/Sending",
            "Unauthenticated",
            2,
        ),
    ];
    let world = World::new(
        "refused",
        rows.map(|row| {
            (
                row.0,
                Script::default().with_fault(Fault::refuse(FaultCall::Cancel, row.1)),
            )
        }),
    );
    world
        .apply(&rows.map(|row| manifest(row.0, &[])).concat())
        .unwrap();
    world.wait(&["--all"], "jsonpath={.status.lastError.call}=Cancel");
    for row in rows {
        world.wait_for_calls(row.0, Cancel, row.5);
        world.wait_for_calls(row.0, Get, 3);
        world.wait(
            &[row.0],
            &format!(
                "jsonpath={{.status.conditions[?(@.type==\"Ready\")].reason}}={}",
                row.4
            ),
        );
    }
    let objects = world.objects();
    for (name, _, status, cancel, reason, posts) in rows {
        let object = &objects[name];
        assert_eq!(object.text("/status/lastError/status"), status);
        assert_eq!(object.condition("CancelRequested"), cancel, "{name}");
        assert_eq!(
            object.conditions()[2..],
            [
                format!("Unknown/{reason}"),
                format!("True/{reason}"),
                "-".to_owned()
            ],
            "{name}"
        );
        assert_eq!(
            (world.posts(name), object.text("/status/cancelAttempts")),
            (posts, posts.to_string()),
            "{name}"
        );
        world
            .emulator
            .finish_operation(&operation(name), EndResult::completed())
            .unwrap();
    }
    let first_tokens: Vec<_> = world
        .requests("unauthenticated")
        .into_iter()
        .filter(|r| r.call == Some(Cancel))
        .map(|r| r.authorization)
        .collect();
    assert_ne!(
        first_tokens[0], first_tokens[1],
        "the token that was refused is not used again"
    );
    let objects = world.all_finished();
    for (name, _, status, _, _, posts) in rows {
        let object = &objects[name];
        assert_eq!(
            (object.outcome().as_str(), world.posts(name)),
            ("Completed", posts),
            "{name}"
        );
        assert_eq!(
            object.condition("CancelRequested"),
            "False/Refused",
            "{name}"
        );
        assert_eq!(
            object.text("/status/lastError/status"),
            status,
            "{name}: cancel never succeeded"
        );
    }
}

#[test]
fn unimplemented_is_asked_about_until_a_get_is_answered() {
    let unimplemented = || Fault::refuse(FaultCall::Cancel, RpcCode::Unimplemented);
    let world = World::new(
        "unimplemented",
        [
            (
                "running",
                Script::default().with_fault(unimplemented()).with_fault(
                    Fault::refuse(FaultCall::Get, RpcCode::Unavailable)
                        .from(2)
                        .times(2),
                ),
            ),
            (
                "both",
                Script::default().with_fault(Fault::refuse(FaultCall::Any, RpcCode::Unimplemented)),
            ),
            (
                "invalid-for-get-only",
                Script::default()
                    .with_fault(Fault::refuse(FaultCall::Get, RpcCode::InvalidArgument).times(1)),
            ),
        ],
    );
    world
        .apply(
            &["running", "both", "invalid-for-get-only"]
                .map(|name| manifest(name, &[]))
                .concat(),
        )
        .unwrap();
    let objects = world.all_finished();
    assert_eq!(objects["running"].outcome(), "Unsupported");
    assert_eq!(world.calls("running"), [Get, Cancel, Get, Get, Get]);
    assert_eq!(
        (objects["both"].outcome().as_str(), world.calls("both")),
        ("Unsupported", vec![Get, Cancel, Get])
    );
    assert_eq!(objects["invalid-for-get-only"].outcome(), "Cancelled");
}
