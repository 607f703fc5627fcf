//! Objects are deleted at any moment, and another of the same name is another object.

use std::time::Duration;

use operations_emulator::{
    Call::{Cancel, Get},
    EndResult, Script,
};

use crate::support::{
    cluster::{json_of, kubectl_as_admin},
    world::{World, operation},
};

#[test]
fn after_a_deletion_nothing_more_is_asked() {
    let world = World::new(
        "deleted",
        [
            ("polling", Script::ignores_cancel()),
            ("held", Script::missing()),
        ],
    );
    world.cancel("polling", &[]);
    world.cancel("held", &[]);
    world.wait(&["polling"], "condition=CancelRequested");
    world.wait(&["held"], "jsonpath={.status.lastError.status}=NOT_FOUND");
    let deleted = world
        .namespace
        .kubectl(
            &["delete", "opcancel", "polling", "held", "--timeout=5s"],
            "",
        )
        .unwrap();
    assert!(
        deleted.contains("polling"),
        "no finalizer holds it: {deleted}"
    );
    // A poll may be on its way.
    world.let_time_pass(Duration::from_millis(1000));
    let before = (world.calls("polling").len(), world.calls("held").len());
    world.let_time_pass(Duration::from_millis(2500));
    assert_eq!(
        (world.calls("polling").len(), world.calls("held").len()),
        before
    );
    assert_eq!((world.posts("polling"), world.posts("held")), (1, 0));
}

#[test]
fn deleted_before_the_grant_nothing_is_ever_asked() {
    let world = World::without_grant("deleted-early", [("op", Script::default())]);
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=Authorized=False");
    world
        .namespace
        .kubectl(&["delete", "opcancel", "op"], "")
        .unwrap();
    world.grant();
    world.let_time_pass(Duration::from_millis(1000));
    assert!(world.calls("op").is_empty());
}

#[test]
fn another_object_of_the_same_name_begins_anew() {
    let world = World::new("recreated", [("op", Script::ignores_cancel())]);
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=CancelRequested");
    let first = world.object("op").text("/metadata/uid");
    let manifest = crate::support::world::manifest("op", &[]);
    world
        .namespace
        .kubectl(&["replace", "--force", "--filename=-"], &manifest)
        .unwrap();
    world.wait(&["op"], "condition=CancelRequested");
    let object = world.object("op");
    let second = object.text("/metadata/uid");
    assert_ne!(first, second);
    assert_eq!(object.text("/status/cancelAttempts"), "1");
    let of = |uid: &str| -> Vec<_> {
        let requests = world.requests("op").into_iter();
        requests
            .filter(|request| request.request_reason.as_ref().unwrap().ends_with(uid))
            .filter_map(|request| request.call)
            .collect()
    };
    assert!(
        of(&first).starts_with(&[Get, Cancel]) && of(&second).starts_with(&[Get, Cancel]),
        "each has its own calls"
    );
    world
        .emulator
        .finish_operation(&operation("op"), EndResult::completed())
        .unwrap();
    assert_eq!(world.finished("op").outcome(), "Completed");
    assert_eq!(
        (
            world.posts("op"),
            of(&first).iter().filter(|call| **call == Cancel).count()
        ),
        (2, 1)
    );
}

#[test]
fn an_object_that_a_foreign_finalizer_holds_is_left_alone() {
    let world = World::without_grant("held-back", [("op", Script::default())]);
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=Authorized=False");
    world
        .patch(
            "op",
            &serde_json::json!({"metadata": {"finalizers": ["example.com/hold"]}}),
        )
        .unwrap();
    world
        .namespace
        .kubectl(&["delete", "opcancel", "op", "--wait=false"], "")
        .unwrap();
    world.grant();
    world.let_time_pass(Duration::from_millis(1000));
    assert!(world.calls("op").is_empty());
    world
        .patch("op", &serde_json::json!({"metadata": {"finalizers": null}}))
        .unwrap();
}

#[test]
fn a_namespace_with_unfinished_objects_goes_away() {
    let world = World::new("namespace", [("op", Script::ignores_cancel())]);
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=CancelRequested");
    kubectl_as_admin(
        &[
            "delete",
            "namespace",
            &world.namespace.name,
            "--timeout=40s",
        ],
        "",
    )
    .unwrap();
    let left = json_of(
        &kubectl_as_admin(
            &[
                "get",
                "opcancel",
                "--namespace",
                &world.namespace.name,
                "--output=json",
            ],
            "",
        )
        .unwrap(),
    );
    assert_eq!(left["items"].as_array().unwrap().len(), 0);
}
