//! The namespace has made its calls for now.

use operations_emulator::Script;

use super::{Instants, Meaning::Working, SUSPEND};
use crate::support::world::{World, scenario};

pub(super) fn rate_limited(instants: &mut Instants) {
    let names: Vec<_> = (0..8).map(|n| format!("limited-{n}")).collect();
    let operations = names
        .iter()
        .map(|name| (name.as_str(), Script::ignores_cancel()));
    // The fifth call is the last one for twelve seconds.
    let limit = "--namespace-calls-per-minute=5";
    let mut world = World::stopped("instants-limited", scenario(operations), &[limit], &[]);
    world.grant();
    world.start();
    world.cancel_all(names.iter().map(String::as_str));
    world.wait(
        &["limited-7"],
        "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=NamespaceRateLimited",
    );
    instants.add(
        "no calls left for the namespace",
        world.object("limited-7"),
        "NamespaceRateLimited",
        Working,
        SUSPEND,
    );
}
