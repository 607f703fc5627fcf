//! Each broken guarantee is found, and a life without one is not blamed.

use serde_json::{Value, json};

use super::*;

const KEY: &str = "/registry/opcancel.github.io/operationcancellations/n/a";

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
}

/// A stored version; `status` is the object's, which has a generation unless it has an outcome.
fn version(revision: u64, status: &Value) -> Version {
    let mut status = status.clone();
    if let Some(fields) = status.as_object_mut()
        && !fields.contains_key("outcome")
    {
        fields.entry("observedGeneration").or_insert(json!(1));
    }
    let object = json!({
        "metadata": {"uid": "u", "namespace": "n", "name": "a"},
        "spec": {"operationName": "o", "deadlineSeconds": 10},
        "status": &status,
    });
    Version::read(revision, &object).unwrap()
}

/// The controller's write that stored a version: received at this time, and answered a moment later.
fn write(revision: u64, millis: i64) -> Request {
    Request {
        verb: "patch".into(),
        user: "system:serviceaccount:opcancel-system:opcancel-controller".into(),
        user_agent: String::new(),
        group: "opcancel.github.io".into(),
        resource: "operationcancellations".into(),
        subresource: "status".into(),
        namespace: "n".into(),
        name: "a".into(),
        uri: String::new(),
        code: 200,
        received: at(millis),
        completed: at(millis + 4),
        body: None,
        answer: Some(json!({"metadata": {"resourceVersion": revision.to_string()}})),
    }
}

fn call(sequence: u64, method: Method, millis: i64, answer: Answer) -> Call {
    Call {
        sequence,
        uid: "u".into(),
        operation: "o".into(),
        method,
        received: at(millis),
        answer,
    }
}

fn truth(phase: &str, result: Option<&str>, ended: i64) -> Truth {
    Truth {
        name: "o".into(),
        phase: phase.into(),
        result: result.map(str::to_owned),
        ended_at: Some(at(ended)),
    }
}

const OK: Answer = Answer::Status(200);

/// A checker that knows the object with this status.
fn checker(status: &Value) -> Checker {
    let mut checker = Checker::new(SignedDuration::from_secs(3));
    checker.stored(KEY, version(1, &json!({"observedGeneration": -1})));
    if !status.is_null() {
        checker.stored(KEY, version(2, status));
    }
    checker
}

fn found(checker: &Checker) -> Vec<&'static str> {
    let violations = checker.violations().iter();
    violations.map(|violation| violation.invariant).collect()
}

/// A life as it should be: first GET, intent, cancel request, poll, outcome.
fn sound_life() -> Checker {
    let mut checker = checker(&Value::Null);
    checker.call(call(1, Method::Get, 10, OK));
    checker.call(call(2, Method::Cancel, 30, OK));
    checker.request(&write(2, 20));
    checker.stored(
        KEY,
        version(2, &json!({"cancelAttempts": 1, "observedGeneration": 1})),
    );
    checker.compare();
    checker.call(call(3, Method::Get, 50, OK));
    checker.request(&write(3, 60));
    let ended = json!({"cancelAttempts": 1, "outcome": "Cancelled"});
    checker.stored(KEY, version(3, &ended));
    checker.compare();
    checker
}

fn judge(checker: &mut Checker, truths: &[Truth], now: Timestamp) {
    let unjudged = checker.take_unjudged();
    checker.judge(unjudged, truths, now);
}

#[test]
fn a_sound_life_breaks_nothing() {
    let mut checker = sound_life();
    judge(
        &mut checker,
        &[truth("cancelled", Some("CANCELLED"), 40)],
        at(100),
    );
    checker.deleted(KEY);
    assert_eq!(checker.forget_deleted(), ["o"]);
    assert!(checker.forget_deleted().is_empty());
    assert_eq!(found(&checker), [""; 0]);
    let counts = checker.counts();
    assert_eq!(
        (counts.gets, counts.posts, counts.posts_after_intent),
        (2, 1, 1)
    );
    assert_eq!(
        (counts.objects, counts.versions, counts.outcomes),
        (1, 3, 1)
    );
}

#[test]
fn a_cancel_request_before_the_answer_to_its_intent_breaks_i1() {
    let mut checker = checker(&Value::Null);
    checker.call(call(1, Method::Cancel, 22, OK));
    checker.stored(KEY, version(2, &json!({"cancelAttempts": 1})));
    // The audit log is late.
    checker.compare();
    assert_eq!(found(&checker), [""; 0]);
    checker.request(&write(2, 20));
    checker.compare();
    assert_eq!(found(&checker), ["I1"]);
    checker.compare();
    assert_eq!(found(&checker).len(), 1, "once");
}

#[test]
fn more_cancel_requests_than_intents_break_i2() {
    let mut checker = checker(&json!({"cancelAttempts": 1}));
    checker.call(call(1, Method::Cancel, 30, OK));
    checker.compare();
    assert_eq!(found(&checker), [""; 0]);
    checker.call(call(2, Method::Cancel, 40, OK));
    checker.compare();
    assert_eq!(found(&checker), ["I2"]);
    let shown = checker.violations()[0].to_string();
    assert!(
        shown.contains("cancelAttempts 1") && shown.contains("request 2"),
        "{shown}"
    );
}

#[test]
fn a_change_after_the_outcome_breaks_i3() {
    for status in [
        json!({"outcome": "Completed"}),
        json!({"outcome": "Cancelled", "lastError": {}}),
        json!({}),
    ] {
        let mut checker = checker(&json!({"outcome": "Cancelled"}));
        checker.stored(KEY, version(3, &status));
        assert_eq!(found(&checker), ["I3"], "{status}");
    }
    let mut checker = checker(&json!({"outcome": "Cancelled"}));
    checker.stored(KEY, version(3, &json!({"outcome": "Cancelled"})));
    assert_eq!(found(&checker), [""; 0], "an edit of the spec");
}

#[test]
fn an_outcome_that_is_not_the_operations_breaks_i4() {
    for (outcome, phase, result, ended) in [
        ("Cancelled", "running", None, 40),
        ("Cancelled", "ended", Some("completed: T"), 40),
        ("Completed", "cancelled", None, 40),
        ("Completed", "ended", Some("ABORTED: no"), 40),
        ("Failed", "ended", Some("completed: T"), 40),
        ("Cancelled", "cancelled", None, 70),
        ("NotFound", "absent", None, 40),
        ("Unknown", "running", None, 40),
        ("Unsupported", "running", None, 40),
        ("Rejected", "running", None, 40),
        ("Ended", "ended", Some("completed: T"), 40),
    ] {
        let mut checker = checker(&Value::Null);
        checker.call(call(1, Method::Get, 50, OK));
        checker.request(&write(2, 60));
        checker.stored(KEY, version(2, &json!({"outcome": outcome})));
        checker.compare();
        judge(&mut checker, &[truth(phase, result, ended)], at(100));
        assert_eq!(found(&checker), ["I4"], "{outcome} {phase} {result:?}");
    }
}

/// Before, an outcome that etcd had stored after the calls were read broke I4.
#[test]
fn an_outcome_is_compared_with_calls_that_are_read_after_it() {
    let mut checker = checker(&Value::Null);
    let truths = [truth("cancelled", None, 40)];
    let unjudged = checker.take_unjudged();
    checker.stored(KEY, version(2, &json!({"outcome": "Cancelled"})));
    checker.judge(unjudged, &truths, at(100));
    assert_eq!(found(&checker), [""; 0]);

    let unjudged = checker.take_unjudged();
    checker.call(call(1, Method::Get, 50, OK));
    checker.compare();
    checker.judge(unjudged, &truths, at(100));
    assert_eq!(found(&checker), [""; 0]);
    assert!(checker.take_unjudged().is_empty());
}

#[test]
fn an_outcome_without_an_answered_get_breaks_i4() {
    let mut checker = checker(&json!({"outcome": "Cancelled"}));
    checker.call(call(1, Method::Cancel, 50, OK));
    judge(&mut checker, &[truth("cancelled", None, 40)], at(100));
    assert_eq!(found(&checker), ["I4"]);
}

#[test]
fn not_found_needs_an_unbroken_row() {
    let end = |answers: &[(i64, u16)]| {
        let mut checker = checker(&Value::Null);
        for (sequence, (millis, status)) in (1..).zip(answers) {
            checker.call(call(
                sequence,
                Method::Get,
                *millis,
                Answer::Status(*status),
            ));
        }
        checker.request(&write(2, 4000));
        checker.stored(KEY, version(2, &json!({"outcome": "NotFound"})));
        checker.compare();
        judge(&mut checker, &[], at(5000));
        found(&checker)
    };
    assert_eq!(end(&[(900, 404), (3900, 404)]), [""; 0]);
    assert_eq!(end(&[(1100, 404), (3900, 404)]), ["I4"], "too short");
    assert_eq!(
        end(&[(100, 404), (2000, 200), (3900, 404)]),
        ["I4"],
        "broken"
    );
    assert_eq!(
        end(&[(100, 200), (3300, 404), (3950, 404)]),
        [""; 0],
        "it was seen before"
    );
    assert_eq!(end(&[(100, 503), (3900, 503)]), ["I4"], "another error");
}

#[test]
fn unknown_needs_the_deadline() {
    for (completion, expected) in [
        ("2026-01-01T00:00:10Z", &[][..]),
        ("2026-01-01T00:00:05Z", &["I4"]),
    ] {
        let mut checker = checker(&json!({
            "outcome": "Unknown", "startTime": "2026-01-01T00:00:00Z", "completionTime": completion,
        }));
        judge(&mut checker, &[truth("running", None, 0)], at(100));
        assert_eq!(found(&checker), expected, "{completion}");
    }
}

#[test]
fn what_belongs_to_another_object_breaks_i5() {
    let mut checker = checker(&Value::Null);
    checker.call(Call {
        operation: "other".into(),
        ..call(1, Method::Get, 10, OK)
    });
    checker.compare();
    checker.call(Call {
        uid: "nobody".into(),
        ..call(2, Method::Get, 10, OK)
    });
    checker.compare();
    // Created again, with the status of the one before.
    checker.deleted(KEY);
    let mut again = version(3, &json!({"outcome": "Cancelled"}));
    again.uid = "v".into();
    checker.stored(KEY, again);
    let mut moved = version(4, &json!({"observedGeneration": -1}));
    moved.operation = "other".into();
    checker.stored(KEY, moved);
    assert_eq!(found(&checker), ["I5", "I5", "I5", "I5"]);
}

#[test]
fn numbers_that_go_back_break_i8() {
    for (before, after) in [
        (json!({"cancelAttempts": 1}), json!({})),
        (json!({}), json!({"cancelAttempts": 2})),
        (
            json!({"observedGeneration": 3}),
            json!({"observedGeneration": 2}),
        ),
    ] {
        let mut checker = checker(&before);
        checker.stored(KEY, version(3, &after));
        assert_eq!(found(&checker), ["I8"], "{before} {after}");
    }
}

#[test]
fn what_does_not_finish_or_rest_breaks_i9() {
    let mut checker = checker(&json!({"cancelAttempts": 1}));
    checker.not_finished();
    checker.not_quiet(vec!["a request".to_owned()]);
    assert_eq!(found(&checker), ["I9", "I9"]);
    let mut finished = sound_life();
    finished.not_finished();
    assert_eq!(found(&finished), [""; 0]);
}

#[test]
fn a_start_that_moves_breaks_i10() {
    let start = |time: &str| json!({"cancelAttempts": 1, "startTime": time});
    let mut checker = checker(&start("2026-01-01T00:00:00Z"));
    checker.stored(KEY, version(3, &start("2026-01-01T00:00:01Z")));
    checker.stored(KEY, version(4, &json!({"cancelAttempts": 1})));
    assert_eq!(found(&checker), ["I10", "I10"]);
}

#[test]
fn finalizers_and_deletes_break_i13() {
    let mut checker = checker(&Value::Null);
    let mut held = version(2, &json!({}));
    held.has_finalizers = true;
    checker.stored(KEY, held);
    checker.request(&Request {
        verb: "delete".into(),
        ..write(3, 10)
    });
    assert_eq!(found(&checker), ["I13", "I13"]);
}

#[test]
fn an_answer_that_comes_later_counts() {
    let mut checker = checker(&Value::Null);
    checker.call(call(7, Method::Get, 50, Answer::Pending));
    assert_eq!(checker.first_unanswered(), Some(7));
    checker.compare();
    checker.call(call(7, Method::Get, 50, OK));
    assert_eq!(checker.first_unanswered(), None);
    checker.request(&write(2, 60));
    checker.stored(KEY, version(2, &json!({"outcome": "Cancelled"})));
    checker.compare();
    judge(&mut checker, &[truth("cancelled", None, 40)], at(100));
    assert_eq!(found(&checker), [""; 0]);
    assert_eq!(checker.counts().gets, 1);
}
