//! The controller ends at any moment, and the next one goes on from what is stored.

use std::time::{Duration, Instant};

use operations_emulator::{
    Answer,
    Call::{Cancel, Get},
    EndResult, Latency, Scenario, Script,
};

use crate::support::world::{World, operation, wait_for_call};

#[test]
fn killed_while_polling_the_next_one_polls_on_and_sends_nothing_again() {
    let mut world = World::new(
        "killed",
        [("op", Script::cancelled_after(Duration::from_secs(4)))],
    );
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=CancelRequested");
    world.controller().kill();
    let before = world.object("op");
    world.start();
    let object = world.finished("op");
    assert_eq!(
        (object.outcome().as_str(), world.posts("op")),
        ("Cancelled", 1)
    );
    for field in ["startTime", "cancelRequestTime", "cancelAttempts"] {
        let pointer = format!("/status/{field}");
        assert_eq!(object.text(&pointer), before.text(&pointer), "{field}");
    }
    assert_eq!(
        world.status_writes("op").len(),
        3,
        "a new process writes nothing because it is new"
    );
}

#[test]
fn killed_with_a_request_on_its_way_the_next_one_looks_first() {
    let latency = Some(Latency {
        get: Duration::ZERO,
        cancel: Duration::from_secs(2),
    });
    let slow = Script {
        latency,
        ..Script::default()
    };
    let mut world = World::new("killed-sending", [("op", slow)]);
    world.cancel("op", &[]);
    wait_for_call(&world.emulator, "op", Cancel);
    world.controller().kill();
    let object = world.object("op");
    assert_eq!(
        (
            object.condition("CancelRequested").as_str(),
            object.text("/status/cancelAttempts").as_str()
        ),
        ("Unknown/Sending", "1")
    );
    world.start();
    let object = world.finished("op");
    assert_eq!(object.outcome(), "Cancelled");
    let calls = world.calls("op");
    assert_eq!(calls[..3], [Get, Cancel, Get], "{calls:?}");
    let attempts: usize = object.text("/status/cancelAttempts").parse().unwrap();
    assert!(world.posts("op") <= attempts && attempts <= 2);
}

#[test]
fn what_ended_while_nobody_ran_is_found_out() {
    let mut world = World::new(
        "away",
        [
            ("polled", Script::ignores_cancel()),
            ("new", Script::default()),
        ],
    );
    world.cancel("polled", &[]);
    world.wait(&["polled"], "condition=CancelRequested");
    world.controller().kill();
    world
        .emulator
        .finish_operation(&operation("polled"), EndResult::completed())
        .unwrap();
    world.cancel("new", &[]);
    world.start();
    let objects = world.all_finished();
    assert_eq!(
        (objects["polled"].outcome(), objects["new"].outcome()),
        ("Completed".into(), "Cancelled".into())
    );
    assert_eq!((world.posts("polled"), world.posts("new")), (1, 1));
}

#[test]
fn a_finished_object_is_left_alone_by_the_next_process() {
    let mut world = World::new("finished", [("op", Script::default())]);
    world.cancel("op", &[]);
    let before = world.finished("op");
    world.controller().kill();
    world.start();
    world.let_time_pass(Duration::from_millis(1000));
    assert_eq!(
        world.object("op").text("/metadata/resourceVersion"),
        before.text("/metadata/resourceVersion")
    );
    assert_eq!(world.calls("op").len(), 3);
}

#[test]
fn sigterm_lets_a_request_finish_and_its_answer_is_not_lost() {
    let mut slow = Script::cancelled_after(Duration::from_secs(3));
    slow.latency = Some(Latency {
        get: Duration::ZERO,
        cancel: Duration::from_millis(1500),
    });
    let idle = Script::default();
    let scenario = Scenario::default()
        .with_operation(operation("op"), slow)
        .with_operation(operation("later"), idle);
    let mut world = World::stopped("sigterm", scenario, &[], &[]);
    world.grant();
    world.start();
    world.cancel("op", &[]);
    wait_for_call(&world.emulator, "op", Cancel);
    world.controller().terminate();
    world.cancel("later", &[]);
    let status = world.controller().wait();
    assert!(status.success(), "{status}");
    assert!(world.calls("later").is_empty(), "nothing new was begun");
    let post = world
        .requests("op")
        .into_iter()
        .find(|request| request.call == Some(Cancel))
        .unwrap();
    assert_eq!(post.answer, Answer::Status(200), "it was not cut off");
    let object = world.object("op");
    assert_eq!(
        object.condition("CancelRequested"),
        "True/Accepted",
        "the answer is stored"
    );

    world.start();
    let objects = world.all_finished();
    assert_eq!(
        (objects["op"].outcome(), objects["later"].outcome()),
        ("Cancelled".into(), "Cancelled".into())
    );
    assert_eq!((world.posts("op"), world.posts("later")), (1, 1));
}

#[test]
fn sigterm_ends_an_idle_controller_at_once() {
    let mut world = World::new("idle", [("op", Script::ignores_cancel())]);
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=CancelRequested");
    let begun = Instant::now();
    world.controller().terminate();
    assert!(world.controller().wait().success());
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(world.object("op").outcome(), "-");
}
