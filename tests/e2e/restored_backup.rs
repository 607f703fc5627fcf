//! Velero, and others that restore objects and then their statuses (docs/operations.md#backup-and-restore).

use operations_emulator::{
    Call::{Cancel, Get},
    Script,
};
use serde_json::{Value, json};

use crate::support::{
    cluster::{json_of, kubectl_as_admin},
    object::Object,
    world::{World, operation},
};

/// What Velero sends: the object without what the server sets, and with its marks.
fn without_status(saved: &Object) -> Value {
    let mut object = saved.0.clone();
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
    ] {
        metadata.remove(field);
    }
    let mark = json!({"velero.io/restore-name": "yesterday"});
    metadata.insert("labels".into(), mark);
    object
}

fn create(world: &World, saved: &Object) -> Value {
    let arguments = ["create", "--filename=-", "--output=json"];
    let created = world
        .namespace
        .kubectl(&arguments, &without_status(saved).to_string());
    json_of(&created.unwrap())
}

/// PUTs the saved status on the version that the create returned, as Velero does.
fn put_status(saved: &Object, mut created: Value) -> Result<String, String> {
    created["status"] = saved.0["status"].clone();
    let arguments = ["replace", "--subresource=status", "--filename=-"];
    kubectl_as_admin(&arguments, &created.to_string())
}

/// A world with one cancellation that has ended and one under way, both saved and deleted; the operations stay as they are.
fn after_a_loss(prefix: &str) -> (World, [Object; 2]) {
    let world = World::new(
        prefix,
        [
            ("ended", Script::default()),
            ("under-way", Script::ignores_cancel()),
        ],
    );
    world.cancel_all(["ended", "under-way"]);
    world.finished("ended");
    world.wait(&["under-way"], "condition=CancelRequested");
    let saved = ["ended", "under-way"].map(|name| world.object(name));
    let delete = ["delete", "opcancel", "ended", "under-way"];
    world.namespace.kubectl(&delete, "").unwrap();
    (world, saved)
}

#[test]
fn with_the_controller_stopped_the_saved_statuses_come_back_and_nothing_is_cancelled_again() {
    let (mut world, saved) = after_a_loss("restored");
    world.controller.take();
    let calls_of_ended = world.calls("ended").len();
    let gets = world.emulator.count(&operation("under-way"), Get);
    for object in &saved {
        let created = create(&world, object);
        put_status(object, created).unwrap();
    }
    world.start();
    // The one under way is polled on; the one that has ended is not even asked about.
    world.wait_for_calls("under-way", Get, gets + 2);
    assert_eq!(world.calls("ended").len(), calls_of_ended);
    assert_eq!(world.object("ended").0["status"], saved[0].0["status"]);
    assert_eq!(world.posts("under-way"), 1, "the saved intent is known");
    let under_way = world.object("under-way");
    assert_eq!(under_way.condition("CancelRequested"), "True/Accepted");
    // A start before the creation is not believed, and the creation is new: the deadline counts anew.
    assert!(
        under_way.text("/status/startTime") >= under_way.text("/metadata/creationTimestamp"),
        "{}",
        under_way.0
    );
}

/// Why the page says to stop it: the objects are new to a running controller, and its first write refuses Velero's.
#[test]
fn a_running_controller_acts_before_the_saved_status_is_back() {
    let (world, saved) = after_a_loss("restored-under-a-controller");
    let created = saved.each_ref().map(|object| create(&world, object));
    world.finished("ended");
    world.wait_for_calls("under-way", Cancel, 2);
    world.wait(&["under-way"], "condition=CancelRequested");
    for (object, created) in saved.iter().zip(created) {
        let why = put_status(object, created).unwrap_err();
        assert!(why.contains("the object has been modified"), "{why}");
    }
    let ended = world.object("ended");
    assert_eq!(ended.condition("CancelRequested"), "False/AlreadyDone");
    assert_eq!(
        world.posts("ended"),
        1,
        "what has ended is not cancelled again"
    );
}

/// Velero's resource modifiers can set a field of what is restored: for a restore that does not bring statuses back.
#[test]
fn restored_suspended_nothing_is_cancelled_whatever_runs() {
    let (world, saved) = after_a_loss("restored-suspended");
    for object in &saved {
        let mut object = Object(object.0.clone());
        object.0["spec"]["suspend"] = true.into();
        create(&world, &object);
    }
    let suspended =
        "jsonpath={.status.conditions[?(@.type==\"CancelRequested\")].reason}=Suspended";
    world.wait(&["under-way"], suspended);
    assert_eq!(world.finished("ended").outcome(), "Cancelled");
    assert_eq!(["ended", "under-way"].map(|name| world.posts(name)), [1, 1]);
}
