//! The endpoint of half of the objects accepts connections and never answers. `cargo xtask bench dead-endpoint` has the times.

use std::time::Duration;

use operations_emulator::{Call::Cancel, Scenario, Script};

use crate::{
    many_objects,
    support::{
        cluster::{cluster, runtime},
        relay::Relay,
        world::{World, operation},
    },
};

/// What the controller may have resident at most. The Deployment's limit is 256 MiB.
const MOST_RESIDENT: usize = 128 << 20;

/// The name of the operation `id` at the dead endpoint.
fn dead(id: &str) -> String {
    format!("projects/acme-prod/locations/us-central1/operations/{id}")
}

fn the_other_half_ends(half: usize, seconds: u64) {
    let relay = runtime().block_on(Relay::start());
    let endpoint = format!(
        "--endpoint-override=dialogflow/us-central1=http://127.0.0.1:{}",
        relay.port()
    );
    let scenario = Scenario::default()
        .with_operation(operation("live-*"), Script::default())
        .with_operation(dead("dead-*"), Script::default());
    let mut world = World::stopped("dead-endpoint", scenario, &[&endpoint], &[]);
    relay.lead_to(world.emulator.url());
    world.grant();
    world.start();
    relay.silence_open_connections();
    relay.silence_new_connections(true);
    let each = (0..half).flat_map(|n| {
        let (one, other) = (format!("dead-{n}"), format!("live-{n}"));
        let operations = (dead(&one), operation(&other));
        [(one, operations.0), (other, operations.1)]
    });
    let admin = cluster().control_plane.kubeconfig();
    many_objects::create(&admin, &world.namespace.name, each);
    let limit = Duration::from_secs(seconds);
    let ended = |world: &mut World, outcomes: usize| {
        world
            .controller()
            .wait_for_metrics_within(limit, |metrics| {
                metrics.sum("opcancel_cancellations_total", &[]) >= outcomes as f64
            });
    };
    ended(&mut world, half);
    let most = world.controller().most_resident();
    eprintln!(
        "{} objects, half of them dead: at most {} MiB resident",
        2 * half,
        most >> 20
    );
    assert!(most < MOST_RESIDENT, "{} MiB", most >> 20);
    let requests = world.emulator.requests();
    let posts = requests.iter().filter(|of| of.call == Some(Cancel));
    assert_eq!(posts.count(), half);

    relay.silence_new_connections(false);
    ended(&mut world, 2 * half);
    let outcomes = world.objects();
    assert!(
        outcomes
            .values()
            .all(|object| object.outcome() == "Cancelled")
    );
}

#[test]
fn the_other_hundred_end_and_the_dead_ones_when_it_answers() {
    the_other_half_ends(100, 180);
}

#[test]
#[ignore = "takes ten minutes: cargo xtask test --long"]
fn of_twenty_thousand_the_other_half_end_and_the_dead_ones_when_it_answers() {
    the_other_half_ends(10_000, 1800);
}
