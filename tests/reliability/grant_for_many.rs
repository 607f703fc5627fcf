//! One grant is given, taken and given again for all objects of a namespace at once.

use std::time::Duration;

use operations_emulator::{Call::Cancel, Scenario, Script};

use crate::{
    many_objects,
    support::world::{World, operation},
};

/// What the controller may have resident at most. The Deployment's limit is 256 MiB.
const MOST_RESIDENT: usize = 192 << 20;

fn all_follow(objects: usize, seconds: u64) {
    let scenario =
        Scenario::default().with_operation(operation("many-*"), Script::ignores_cancel());
    let mut world = World::stopped("grant-for-many", scenario, &["--max-poll=10s"], &[]);
    world.start();
    many_objects::create_numbered(&world.namespace.name, "many", objects);
    let limit = Duration::from_secs(seconds);
    let wait_for_all = |world: &World, condition| world.wait_within(limit, &["--all"], condition);
    wait_for_all(&world, "condition=Authorized=False");
    let requests = world.emulator.requests();
    assert!(requests.iter().all(|request| request.call.is_none()));
    world.grant();
    wait_for_all(&world, "condition=CancelRequested");
    world.revoke(&world.namespace.name);
    wait_for_all(&world, "condition=Authorized=False");
    world.grant();
    wait_for_all(&world, "condition=Authorized");
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
    all_follow(50, 60);
}

#[test]
#[ignore = "takes an hour: cargo xtask test --long"]
fn twenty_thousand_objects_follow_it() {
    all_follow(20_000, 3600);
}
