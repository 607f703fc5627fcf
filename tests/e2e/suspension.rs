//! `suspend`: look, but do not cancel.

use std::time::Duration;

use operations_emulator::{
    Call::{Cancel, Get},
    EndResult, Script,
};
use serde_json::json;

use crate::support::world::{World, manifest, operation};

#[test]
fn a_suspended_object_only_looks_and_goes_on_when_resumed() {
    let world = World::new(
        "suspended",
        [
            ("op", Script::default()),
            ("done", Script::already_done(EndResult::completed())),
        ],
    );
    world
        .apply(&format!(
            "{}{}",
            manifest("op", &["suspend: true"]),
            manifest("done", &["suspend: true"])
        ))
        .unwrap();
    world.wait(
        &["op"],
        "jsonpath={.status.conditions[?(@.type==\"CancelRequested\")].reason}=Suspended",
    );
    world.let_time_pass(Duration::from_millis(1500));
    let object = world.object("op");
    assert_eq!(
        object.conditions(),
        ["False/Suspended", "False/Suspended", "-", "-", "-"]
    );
    assert_eq!(
        (object.kstatus(), object.text("/status/startTime").as_str()),
        ("Current", "-")
    );
    assert!(
        object
            .message("CancelRequested")
            .contains("would be cancelled"),
        "{}",
        object.message("CancelRequested")
    );
    assert_eq!(
        (world.calls("op"), world.status_writes("op").len()),
        (vec![Get], 1)
    );

    // What is done ends, suspended or not, and never started.
    let done = world.finished("done");
    assert_eq!(
        (done.outcome().as_str(), world.calls("done")),
        ("Completed", vec![Get])
    );
    assert_eq!(
        (
            done.condition("CancelRequested").as_str(),
            done.text("/status/startTime").as_str()
        ),
        ("False/AlreadyDone", "-")
    );

    world
        .patch("op", &json!({"spec": {"suspend": false}}))
        .unwrap();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.calls("op")),
        ("Cancelled", vec![Get, Get, Cancel, Get])
    );
    assert_ne!(object.text("/status/startTime"), "-");
}

#[test]
fn an_operation_that_ends_while_suspended_is_seen_at_the_next_edit() {
    let world = World::new("ends-suspended", [("op", Script::default())]);
    world.cancel("op", &["suspend: true"]);
    world.wait(
        &["op"],
        "jsonpath={.status.conditions[?(@.type==\"CancelRequested\")].reason}=Suspended",
    );
    world
        .emulator
        .finish_operation(&operation("op"), EndResult::NoResult)
        .unwrap();
    world
        .patch("op", &json!({"spec": {"deadlineSeconds": 99}}))
        .unwrap();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.posts("op")),
        ("Completed", 0)
    );
}

#[test]
fn once_an_intent_stands_suspending_changes_nothing() {
    let world = World::new(
        "too-late",
        [("op", Script::cancelled_after(Duration::from_secs(3)))],
    );
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=CancelRequested");
    world
        .patch("op", &json!({"spec": {"suspend": true}}))
        .unwrap();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.posts("op")),
        ("Cancelled", 1)
    );
    assert_eq!(object.condition("CancelRequested"), "True/Accepted");
}
