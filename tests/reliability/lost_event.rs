//! An event of the watch never arrives, and nothing says so. A full list finds the object.

use std::time::Duration;

use operations_emulator::{Scenario, Script};

use crate::{
    api_proxy::ApiProxy,
    support::{
        cluster::cluster,
        world::{World, operation},
    },
};

/// Longer than the pause between two full lists: ten minutes, plus or minus a tenth.
const LONGER_THAN_A_LIST_AWAY: Duration = Duration::from_secs(700);

/// A world whose controller has missed the creation of `lost`, and has seen that of `seen`.
fn after_a_lost_event(prefix: &str) -> (World, ApiProxy) {
    let scenario = Scenario::default()
        .with_operation(operation("lost"), Script::default())
        .with_operation(operation("seen"), Script::default());
    let mut world = World::stopped(prefix, scenario, &[], &[]);
    world.grant();
    let proxy = ApiProxy::of_world(&mut world, &cluster().controller_kubeconfig);
    world.start();
    proxy.drop_events_with("\"name\":\"lost\"");
    world.cancel("lost", &[]);
    proxy.wait_for_dropped();
    // A later event: the watch will not go back to the lost one.
    world.cancel("seen", &[]);
    assert_eq!(world.finished("seen").outcome(), "Cancelled");
    assert_eq!(world.calls("lost"), []);
    (world, proxy)
}

#[test]
fn after_a_broken_watch_a_list_finds_the_object() {
    let (world, proxy) = after_a_lost_event("lost-event");
    proxy.reset_watches();
    assert_eq!(world.finished("lost").outcome(), "Cancelled");
    assert_eq!((world.posts("lost"), world.posts("seen")), (1, 1));
}

#[test]
#[ignore = "takes ten minutes: cargo xtask test --long"]
fn with_nothing_broken_the_list_of_every_ten_minutes_finds_it() {
    let (world, _proxy) = after_a_lost_event("lost-event-long");
    world.wait_within(LONGER_THAN_A_LIST_AWAY, &["lost"], "condition=Finished");
    assert_eq!((world.posts("lost"), world.posts("seen")), (1, 1));
}
