//! One grant, or the label that it selects by, is given, taken and given again for all objects of a namespace at once.

use std::time::Duration;

use operations_emulator::{Call::Cancel, Scenario, Script};
use serde_json::json;

use crate::{
    many_objects,
    support::world::{PROJECT, World, operation},
};

/// What the controller may have resident at most. The Deployment's limit is 256 MiB.
const MOST_RESIDENT: usize = 192 << 20;

/// How the namespace gets and loses its grant.
#[derive(Clone, Copy)]
enum By {
    Grant,
    Label,
}

impl By {
    fn give(self, world: &World) {
        match self {
            Self::Grant => world.grant(),
            Self::Label => world.label_namespace(&format!("{}=yes", Self::label(world))),
        }
    }

    fn take(self, world: &World) {
        match self {
            Self::Grant => world.revoke(&world.namespace.name),
            Self::Label => world.label_namespace(&format!("{}-", Self::label(world))),
        }
    }

    fn label(world: &World) -> String {
        format!("{}.example/granted", world.namespace.name)
    }
}

fn all_follow(by: By, objects: usize, seconds: u64) {
    let scenario =
        Scenario::default().with_operation(operation("many-*"), Script::ignores_cancel());
    // Polls of operations that never end would take most of the processor time.
    let mut world = World::stopped("grant-for-many", scenario, &["--max-poll=5m"], &[]);
    world.start();
    if matches!(by, By::Label) {
        let selector = json!({"matchLabels": {By::label(&world): "yes"}});
        let spec = json!({"namespaceSelector": selector, "projects": [PROJECT], "identities": ["Operator"]});
        world.grant_spec(&world.namespace.name, &spec);
    }
    many_objects::create_numbered(&world.namespace.name, "many", objects);
    let limit = Duration::from_secs(seconds);
    let namespace = world.namespace.name.clone();
    let wait_for_all =
        |condition, status| many_objects::wait_for_all(&namespace, condition, status, limit);
    wait_for_all("Authorized", "False");
    let requests = world.emulator.requests();
    assert!(requests.iter().all(|request| request.call.is_none()));
    by.give(&world);
    wait_for_all("CancelRequested", "True");
    by.take(&world);
    wait_for_all("Authorized", "False");
    by.give(&world);
    wait_for_all("Authorized", "True");
    let requests = world.emulator.requests();
    let posts = requests
        .iter()
        .filter(|request| request.call == Some(Cancel));
    assert_eq!(posts.count(), objects, "once each");
    let most = world.controller().most_resident();
    eprintln!("{objects} objects: at most {} MiB resident", most >> 20);
    assert!(most < MOST_RESIDENT, "{} MiB", most >> 20);
}

#[test]
fn fifty_objects_follow_it() {
    all_follow(By::Grant, 50, 60);
}

#[test]
#[ignore = "takes half an hour: cargo xtask test --long"]
fn twenty_thousand_objects_follow_it() {
    all_follow(By::Grant, 20_000, 3600);
}

#[test]
fn fifty_objects_follow_a_label() {
    all_follow(By::Label, 50, 60);
}

#[test]
#[ignore = "takes half an hour: cargo xtask test --long"]
fn twenty_thousand_objects_follow_a_label() {
    all_follow(By::Label, 20_000, 3600);
}
