//! A middlebox forgets the connection of a watch: it stays open, and no byte comes any more.

use std::time::Duration;

use operations_emulator::{Scenario, Script};

use crate::{
    api_proxy::ApiProxy,
    support::{
        cluster::cluster,
        world::{World, operation},
    },
};

/// The API server ends a watch after a minute; five seconds later a silent one counts as dead. Then a pause of at most a second.
const REPLACED_WITHIN: Duration = Duration::from_secs(75);

#[test]
#[ignore = "takes more than a minute: cargo xtask test --long"]
fn it_is_replaced_and_misses_nothing() {
    let scenario = Scenario::default().with_operation(operation("op"), Script::default());
    let mut world = World::stopped("stalled", scenario, &[], &[]);
    world.grant();
    let proxy = ApiProxy::of_world(&mut world, &cluster().controller_kubeconfig);
    world.start();
    // That of cancellations and that of grants.
    proxy.wait_for_watches(2, REPLACED_WITHIN);
    let begun = proxy.watches();
    proxy.stall_watches();
    world.cancel("op", &[]);
    proxy.wait_for_watches(begun + 2, REPLACED_WITHIN);
    assert_eq!(world.finished("op").outcome(), "Cancelled");
    assert_eq!(world.posts("op"), 1);
}
