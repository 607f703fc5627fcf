//! Every answer to GET, through the real API server: what the status says meanwhile, and that none but `done` ends anything.

use std::time::Duration;

use crate::{
    odd_answers::{Row, passing, raw},
    support::{
        object::Object,
        world::{World, manifest, operation},
    },
};
use operations_emulator::{
    Call::{Cancel, Get},
    Fault, FaultAnswer, FaultCall, Latency, Refusal, RpcCode, Scenario, Script,
};

#[test]
fn no_failed_get_holds_the_cancel_back_or_ends_anything() {
    let mut rows = passing();
    let refuse = |name, code, status, http| Row {
        name,
        answer: FaultAnswer::Refuse(Refusal::new(code)),
        status,
        http,
        reason: "Unavailable",
    };
    rows.push(refuse(
        "failed-precondition",
        RpcCode::FailedPrecondition,
        "FAILED_PRECONDITION",
        "400",
    ));
    rows.push(refuse(
        "unimplemented",
        RpcCode::Unimplemented,
        "UNIMPLEMENTED",
        "501",
    ));
    rows.push(refuse(
        "invalid-argument",
        RpcCode::InvalidArgument,
        "INVALID_ARGUMENT",
        "400",
    ));
    let odd = |name, body: &str| Row {
        name,
        answer: raw(200, body),
        status: "UNRECOGNISED",
        http: "200",
        reason: "Unrecognised",
    };
    rows.push(odd(
        "done-is-a-string",
        r#"{"name": "n", "done": "true", "response": {}}"#,
    ));
    rows.push(odd("html-200", "<html>captive portal</html>"));
    rows.push(odd("empty-200", ""));
    rows.push(odd(
        "duplicate-done",
        r#"{"done": false, "done": true, "response": {}}"#,
    ));

    let script = |row: &Row| {
        Script::default().with_fault(Fault::new(FaultCall::Get, row.answer.clone()).times(3))
    };
    let world = World::new("get", rows.iter().map(|row| (row.name, script(row))));
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
        assert_eq!(
            writes[name].len(),
            3,
            "{name}: the intent, that it was taken, the outcome; none while the same fails"
        );
        let under_way = Object(writes[name][1].answer.clone().unwrap());
        let last = ["call", "status", "httpStatus"]
            .map(|field| under_way.text(&format!("/status/lastError/{field}")));
        assert_eq!(
            last,
            ["Get", row.status, row.http],
            "{name}: {}",
            under_way.text("/status/lastError/message")
        );
        let (ready, working) = (
            format!("Unknown/{}", row.reason),
            format!("True/{}", row.reason),
        );
        assert_eq!(
            under_way.conditions()[2..],
            [ready, working, "-".to_owned()],
            "{name}"
        );
        assert_eq!(
            under_way.condition("CancelRequested"),
            "True/Accepted",
            "{name}"
        );
        assert_eq!(under_way.outcome(), "-", "{name}");

        let object = &objects[name];
        assert_eq!(object.outcome(), "Cancelled", "{name}");
        assert_eq!(object.text("/status/lastError"), "-", "{name}: cured");
        assert_eq!(object.text("/status/cancelAttempts"), "1", "{name}");
        assert_eq!(
            world.calls(name),
            [Get, Cancel, Get, Get, Get],
            "{name}: the kill does not wait for a read"
        );
    }
}

#[test]
fn not_found_and_unauthenticated_hold_the_cancel_back_until_a_get_says_otherwise() {
    let once = |code| Script::default().with_fault(Fault::refuse(FaultCall::Get, code).times(1));
    let world = World::new(
        "held-back",
        [
            ("not-found-once", once(RpcCode::NotFound)),
            ("token-refused-once", once(RpcCode::Unauthenticated)),
            (
                "appears",
                Script::default().appears_after(Duration::from_millis(1500)),
            ),
            ("not-found", Script::missing()),
            (
                "other-then-not-found",
                Script::missing()
                    .with_fault(Fault::refuse(FaultCall::Get, RpcCode::Unavailable).times(1)),
            ),
        ],
    );
    for name in [
        "not-found-once",
        "token-refused-once",
        "appears",
        "not-found",
    ] {
        world.cancel(name, &[]);
    }
    world.wait(
        &["not-found"],
        "jsonpath={.status.lastError.status}=NOT_FOUND",
    );
    let object = world.object("not-found");
    assert_eq!(
        object.conditions()[..4],
        [
            "Unknown/OperationNotFound",
            "False/OperationNotFound",
            "Unknown/OperationNotFound",
            "True/OperationNotFound"
        ]
    );
    world.cancel("other-then-not-found", &[]);

    let objects = world.all_finished();
    assert_eq!(world.calls("not-found-once"), [Get, Get, Cancel, Get]);
    assert_eq!(world.calls("token-refused-once"), [Get, Get, Cancel, Get]);
    for name in ["not-found-once", "token-refused-once"] {
        assert_eq!(objects[name].outcome(), "Cancelled");
        assert_eq!(objects[name].text("/status/lastError"), "-");
    }
    let tokens: Vec<_> = world
        .requests("token-refused-once")
        .into_iter()
        .map(|request| request.authorization)
        .collect();
    assert_ne!(
        tokens[0], tokens[1],
        "the token that was refused is not used again"
    );
    assert_eq!(
        (
            objects["not-found"].outcome().as_str(),
            world.posts("not-found")
        ),
        ("NotFound", 0)
    );
    assert_eq!(
        (
            objects["appears"].outcome().as_str(),
            world.posts("appears")
        ),
        ("Cancelled", 1)
    );
    // A GET that fails otherwise does not hold it back, and the NOT_FOUND to cancel decides nothing.
    assert_eq!(world.posts("other-then-not-found"), 1);
    assert_eq!(objects["other-then-not-found"].outcome(), "NotFound");
}

#[test]
fn the_cancel_waits_no_longer_than_its_budget_for_a_slow_or_silent_get() {
    let silent = Fault::new(FaultCall::Get, FaultAnswer::Hang(Duration::from_secs(30))).times(1);
    let latency = Some(Latency {
        get: Duration::from_secs(6),
        cancel: Duration::ZERO,
    });
    let slow = Script {
        latency,
        ..Script::default()
    };
    let scenario = Scenario::default()
        .with_operation(operation("silent"), Script::default().with_fault(silent))
        .with_operation(operation("slow"), slow);
    let mut world = World::stopped("slow", scenario, &["--observe-budget=2s"], &[]);
    world.grant();
    world.start();
    world
        .apply(&format!(
            "{}{}",
            manifest("silent", &[]),
            manifest("slow", &[])
        ))
        .unwrap();
    for (name, object) in &world.all_finished() {
        assert_eq!(
            (object.outcome().as_str(), world.posts(name)),
            ("Cancelled", 1),
            "{name}"
        );
        let requests = world.requests(name);
        assert_eq!(
            (requests[0].call, requests[1].call),
            (Some(Get), Some(Cancel)),
            "{name}"
        );
        let waited = requests[1].since_start - requests[0].since_start;
        assert!(
            (Duration::from_millis(1000)..Duration::from_millis(5000)).contains(&waited),
            "{name}: {waited:?}"
        );
    }
}
