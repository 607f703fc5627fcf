//! Statuses that a user edited, or that an older release wrote.

use std::time::Duration;

use operations_emulator::{
    Call::{Cancel, Get},
    Scenario, Script,
};
use serde_json::{Value, json};

use crate::support::{
    cluster::kubectl_as_admin,
    world::{World, operation},
};

fn patch_status(world: &World, name: &str, status: &Value) {
    let patch = json!({"status": status}).to_string();
    let namespace = &world.namespace.name;
    kubectl_as_admin(
        &[
            "patch",
            "opcancel",
            name,
            "--namespace",
            namespace,
            "--subresource=status",
            "--type=merge",
            "--patch",
            &patch,
        ],
        "",
    )
    .unwrap();
}

#[test]
fn a_status_of_an_older_shape_is_gone_on_from() {
    let names = [
        "bare",
        "intended",
        "taken",
        "odd-times",
        "unknown-call",
        "foreign-condition",
    ];
    let scenario = names.iter().fold(Scenario::default(), |scenario, id| {
        scenario.with_operation(operation(id), Script::default())
    });
    let mut world = World::stopped("older", scenario, &[], &[]);
    world.grant();
    names.iter().for_each(|name| world.cancel(name, &[]));
    let time = "2026-01-02T03:04:05Z";
    let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": time});
    // Without observedGeneration, conditions and all else; `phase` is of no known release and is pruned.
    patch_status(
        &world,
        "bare",
        &json!({"observedGeneration": null, "phase": "Working"}),
    );
    patch_status(
        &world,
        "intended",
        &json!({"cancelAttempts": 1, "conditions": []}),
    );
    patch_status(
        &world,
        "taken",
        &json!({"cancelAttempts": 1, "conditions": [condition("CancelRequested", "True", "Accepted")]}),
    );
    patch_status(
        &world,
        "odd-times",
        &json!({"startTime": "1999-01-01T00:00:00Z", "cancelRequestTime": "2999-01-01T00:00:00Z"}),
    );
    patch_status(
        &world,
        "unknown-call",
        &json!({"lastError": {"call": "Teleport", "status": "NOVEL", "message": "m"}}),
    );
    patch_status(
        &world,
        "foreign-condition",
        &json!({"conditions": [condition("Novel", "True", "Why")]}),
    );
    // It was taken, so it ends without another request.
    world
        .emulator
        .set_operation(
            &operation("taken"),
            Script::default().ends(
                Duration::ZERO,
                operations_emulator::EndResult::CancelledElsewhere,
            ),
        )
        .unwrap();
    world.start();
    let objects = world.all_finished();
    for name in names {
        assert_eq!(objects[name].outcome(), "Cancelled", "{name}");
        assert_eq!(objects[name].kstatus(), "Current", "{name}");
    }
    assert_eq!(world.calls("bare"), [Get, Cancel, Get]);
    assert_eq!(
        (
            world.calls("intended"),
            objects["intended"].text("/status/cancelAttempts")
        ),
        (vec![Get, Cancel, Get], "2".to_owned())
    );
    assert_eq!(
        (
            world.posts("taken"),
            objects["taken"].condition("CancelRequested").as_str()
        ),
        (0, "True/Accepted")
    );
    assert!(objects["odd-times"].text("/status/startTime").as_str() > time);
    assert!(
        objects["odd-times"]
            .text("/status/cancelRequestTime")
            .starts_with("20")
    );
    assert!(
        !objects["odd-times"]
            .text("/status/cancelRequestTime")
            .starts_with("2999")
    );
    assert_eq!(objects["unknown-call"].text("/status/lastError"), "-");
    assert_eq!(
        objects["foreign-condition"].condition("Novel"),
        "True/Why",
        "what a newer release wrote stays"
    );
}

#[test]
fn a_status_edited_while_under_way_changes_no_fate() {
    // They end only when all edits are made.
    let later = Script::ignores_cancel;
    let world = World::new(
        "edited",
        [
            ("labels", later()),
            ("wiped", later()),
            ("raised", later()),
            ("times", later()),
        ],
    );
    let names = ["labels", "wiped", "raised", "times"];
    names.iter().for_each(|name| world.cancel(name, &[]));
    world.wait(&["--all"], "condition=CancelRequested");
    world
        .namespace
        .kubectl(&["label", "opcancel", "labels", "team=blue"], "")
        .unwrap();
    patch_status(
        &world,
        "wiped",
        &json!({"conditions": null, "lastError": null, "target": null, "identity": null, "observedGeneration": null}),
    );
    patch_status(&world, "raised", &json!({"cancelAttempts": 7}));
    patch_status(
        &world,
        "times",
        &json!({"startTime": null, "cancelRequestTime": null}),
    );
    for name in names {
        world
            .emulator
            .finish_operation(
                &operation(name),
                operations_emulator::EndResult::CancelledElsewhere,
            )
            .unwrap();
    }
    let objects = world.all_finished();
    for name in names {
        let object = &objects[name];
        assert_eq!(object.outcome(), "Cancelled", "{name}");
        assert_eq!(object.kstatus(), "Current", "{name}");
        assert_eq!(object.text("/status/target/operation"), name, "{name}");
        let attempts: usize = object.text("/status/cancelAttempts").parse().unwrap();
        assert!(
            world.posts(name) <= attempts,
            "{name}: {} of {attempts}",
            world.posts(name)
        );
        for pair in world.calls(name).windows(2) {
            assert_ne!(
                pair,
                [Cancel, Cancel],
                "{name}: a GET says that it runs before it is asked again"
            );
        }
    }
    assert_eq!((world.posts("labels"), world.posts("times")), (1, 1));
}
