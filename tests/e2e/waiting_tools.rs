//! What tools that wait make of the real objects, at each instant (docs/life-of-a-cancellation.md#what-waiting-tools-see), and the recipes for kubectl.

use std::time::Duration;

use operations_emulator::{EndResult, Fault, FaultCall, RpcCode, Script};
use serde_json::json;

use crate::support::{
    cluster::Namespace,
    object::Object,
    world::{World, manifest, operation},
};

/// Ready, Reconciling, Stalled, and what kstatus calls it.
fn seen(object: &Object) -> [String; 4] {
    let [_, _, ready, reconciling, stalled] = object.conditions();
    [ready, reconciling, stalled, object.kstatus().to_owned()]
}

#[test]
fn each_instant_reads_as_designed() {
    let refuse = |code| Script::default().with_fault(Fault::refuse(FaultCall::Cancel, code));
    let world = World::new(
        "kstatus",
        [
            ("polling", Script::ignores_cancel()),
            ("retrying", refuse(RpcCode::Unavailable)),
            ("refused", refuse(RpcCode::FailedPrecondition)),
            ("denied", refuse(RpcCode::PermissionDenied)),
            ("suspended", Script::default()),
            ("good", Script::default()),
            ("bad", Script::cancel_unimplemented()),
        ],
    );
    world
        .apply(
            &["polling", "retrying", "refused", "denied", "good", "bad"]
                .map(|name| manifest(name, &[]))
                .concat(),
        )
        .unwrap();
    world
        .apply(&manifest("suspended", &["suspend: true"]))
        .unwrap();
    world
        .apply(&crate::support::world::of_operation(
            "ungranted",
            "projects/other-prod/operations/o",
            &[],
        ))
        .unwrap();
    world.wait(&["polling"], "condition=CancelRequested");
    world.wait(
        &["retrying", "refused", "denied"],
        "jsonpath={.status.lastError.call}=Cancel",
    );
    world.wait(
        &["refused"],
        "jsonpath={.status.conditions[?(@.type==\"CancelRequested\")].reason}=Refused",
    );
    world.wait(
        &["suspended"],
        "jsonpath={.status.conditions[?(@.type==\"CancelRequested\")].reason}=Suspended",
    );
    world.wait(&["ungranted"], "condition=Authorized=False");
    world.wait(&["good", "bad"], "condition=Finished");
    let objects = world.objects();
    let working = |reason: &str| {
        [
            format!("Unknown/{reason}"),
            format!("True/{reason}"),
            "-".into(),
            "InProgress".into(),
        ]
    };
    for (name, expected) in [
        ("polling", working("Polling")),
        ("retrying", working("Unavailable")),
        ("refused", working("Refused")),
        ("denied", working("PermissionDenied")),
        ("ungranted", working("NoGrant")),
        ("suspended", ["-", "-", "-", "Current"].map(str::to_owned)),
        (
            "good",
            ["True/OutcomeAccepted", "-", "-", "Current"].map(str::to_owned),
        ),
        (
            "bad",
            [
                "False/OutcomeNotAccepted",
                "-",
                "True/OutcomeNotAccepted",
                "Failed",
            ]
            .map(str::to_owned),
        ),
    ] {
        let object = &objects[name];
        assert_eq!(seen(object), expected, "{name}");
        let finished = object.outcome() != "-";
        let generation = object.text("/metadata/generation");
        assert_eq!(
            object.text("/status/observedGeneration"),
            if finished {
                "-".to_owned()
            } else {
                generation.clone()
            },
            "{name}"
        );
        for condition in object.0["status"]["conditions"].as_array().unwrap() {
            let expected = if finished {
                None
            } else {
                Some(json!(generation.parse::<i64>().unwrap()))
            };
            assert_eq!(
                condition.get("observedGeneration").cloned(),
                expected,
                "{name}: every condition has the same"
            );
            assert!(
                condition["message"].as_str().unwrap().len() <= 256,
                "{name}"
            );
        }
        // Helm and kstatus print the message of these, never that of Ready.
        if object.kstatus() != "Current" {
            let printed = [object.message("Stalled"), object.message("Reconciling")].concat();
            assert_eq!(printed, object.message("Ready"), "{name}");
        }
    }

    // After an edit of a finished object tools do not wait again.
    for name in ["good", "bad"] {
        let before = objects[name].kstatus();
        world
            .patch(
                name,
                &json!({"spec": {"suspend": true, "deadlineSeconds": 99}}),
            )
            .unwrap();
        let object = world.object(name);
        assert_ne!(
            object.text("/metadata/generation"),
            objects[name].text("/metadata/generation")
        );
        assert_eq!(object.kstatus(), before, "{name}");
    }
    // An unfinished one is visited for its new generation.
    world
        .patch("polling", &json!({"spec": {"deadlineSeconds": 999}}))
        .unwrap();
    world.wait(&["polling"], "jsonpath={.status.observedGeneration}=2");
    assert_eq!(world.object("polling").kstatus(), "InProgress");
    world
        .emulator
        .finish_operation(&operation("polling"), EndResult::CancelledElsewhere)
        .unwrap();
    assert_eq!(
        seen(&world.finished("polling")),
        ["True/OutcomeAccepted", "-", "-", "Current"]
    );
}

#[test]
fn a_new_object_is_in_progress_although_nobody_looked_at_it() {
    let namespace = Namespace::new("new");
    namespace
        .kubectl(&["apply", "--filename=-"], &manifest("op", &[]))
        .unwrap();
    let read = namespace
        .kubectl(&["get", "opcancel", "op", "--output=json"], "")
        .unwrap();
    assert_eq!(
        Object(crate::support::cluster::json_of(&read)).kstatus(),
        "InProgress"
    );
}

#[test]
fn kubectl_wait_returns_at_the_end_and_can_tell_a_bad_one() {
    let world = World::new(
        "recipes",
        [
            ("good", Script::cancelled_after(Duration::from_secs(1))),
            ("bad", Script::cancel_unimplemented()),
        ],
    );
    world.cancel("good", &[]);
    world.cancel("bad", &[]);
    let wait = |name: &str, for_: &str, timeout: &str| {
        world.namespace.kubectl(
            &[
                "wait",
                "opcancel",
                name,
                "--for",
                for_,
                "--timeout",
                timeout,
            ],
            "",
        )
    };
    for name in ["good", "bad"] {
        wait(name, "condition=Finished", "30s").unwrap();
    }
    // Once finished, the verdict is there at once: no waiting for what never comes.
    wait("good", "condition=Ready", "1s").unwrap();
    assert!(wait("bad", "condition=Ready", "1s").is_err());
    wait("bad", "condition=Ready=False", "1s").unwrap();
    wait("good", "jsonpath={.status.outcome}", "1s").unwrap();
    wait("good", "jsonpath={.status.outcome}=Cancelled", "1s").unwrap();
    wait("bad", "jsonpath={.status.outcome}=Unsupported", "1s").unwrap();
}
