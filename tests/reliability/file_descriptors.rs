//! The process has no free file descriptor for a while: it cannot open any connection, nor accept one.

use std::process::Command;

use operations_emulator::{Scenario, Script};

use crate::{
    api_proxy::ApiProxy,
    support::{
        cluster::{cluster, runtime},
        relay::Relay,
        world::{World, of_operation, operation},
    },
};

/// An operation at an endpoint that nothing is connected to.
const ELSEWHERE: &str = "projects/acme-prod/locations/us-central1/operations/elsewhere";

/// Sets the soft limit of file descriptors of a running process.
fn limit(process: u32, descriptors: u64) {
    let set = Command::new("prlimit")
        .arg(format!("--pid={process}"))
        .arg(format!("--nofile={descriptors}:"))
        .status();
    assert!(set.unwrap().success());
}

#[test]
fn it_lives_says_so_and_goes_on_when_there_are_some() {
    let relay = runtime().block_on(Relay::start());
    let endpoint = format!(
        "--endpoint-override=dialogflow/us-central1=http://127.0.0.1:{}",
        relay.port()
    );
    let scenario = Scenario::default()
        .with_operation(operation("op"), Script::default())
        .with_operation(ELSEWHERE, Script::default());
    let mut world = World::stopped("descriptors", scenario, &[&endpoint], &[]);
    relay.lead_to(world.emulator.url());
    world.grant();
    let proxy = ApiProxy::of_world(&mut world, &cluster().controller_kubeconfig);
    world.start();
    world.cancel("op", &[]);
    assert_eq!(world.finished("op").outcome(), "Cancelled");

    // The one that was opened at the start.
    relay.close_open_connections();
    let process = world.controller().id();
    limit(process, 0);
    world
        .apply(&of_operation("elsewhere", ELSEWHERE, &[]))
        .unwrap();
    proxy.reset_watches();
    world
        .controller()
        .wait_for_log(|log| log.contains("Too many open files"));
    assert_eq!(world.emulator.requests_for(ELSEWHERE).len(), 0);
    limit(process, 1024);
    world.wait(&["elsewhere"], "condition=Finished");
    assert_eq!(world.object("elsewhere").outcome(), "Cancelled");
    for page in ["/livez", "/readyz"] {
        assert_eq!(world.controller().admin(page).0, 200, "{page}");
    }
}
