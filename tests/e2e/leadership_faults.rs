//! A leader that stands still, that the API server does not reach, or whose Lease an administrator changes: it stops, and another one
//! goes on from what is stored.

use std::fs;

use operations_emulator::{Call::Cancel, EndResult, Script};
use serde_json::json;

use crate::{
    leadership::world,
    support::{
        cluster::{cluster, runtime},
        controller_process::ControllerProcess,
        object::Object,
        relay::Relay,
        release::{LONG_LEASE, Release, SHORT_LEASE, leads, metrics, wait_to_lead},
        world::{operation, wait_for_call},
    },
};

/// Waits until a process that led ends because it no longer does, and returns its log.
fn ends_without_the_lease(process: &mut ControllerProcess) -> String {
    let status = process.wait();
    let log = process.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("this process is no longer the leader"),
        "{log}"
    );
    log
}

const OPERATIONS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn version(object: &Object) -> String {
    object.text("/metadata/resourceVersion")
}

#[test]
fn a_leader_that_stood_still_for_longer_than_its_lease_does_nothing_more() {
    let operations = OPERATIONS.map(|id| (id, Script::ignores_cancel()));
    let release = Release::new(world("stopped", &operations), SHORT_LEASE);
    let world = &release.world;
    let mut first = release.start_leader("pod-a");
    let second = release.start_standby("pod-b", "pod-a");
    // It is in the middle of its work, somewhere between an intent and the answer to a cancel request.
    world.cancel_all(OPERATIONS);
    wait_for_call(&world.emulator, "a", Cancel);
    first.signal("STOP");
    wait_to_lead(&second);
    world.wait(&["--all"], "condition=CancelRequested");
    for id in OPERATIONS {
        let end = EndResult::completed();
        world
            .emulator
            .finish_operation(&operation(id), end)
            .unwrap();
    }
    let before = world.all_finished();

    first.signal("CONT");
    let log = ends_without_the_lease(&mut first);
    assert!(log.contains("could not renew the Lease"), "{log}");
    let after = world.objects();
    for id in OPERATIONS {
        assert_eq!(version(&after[id]), version(&before[id]), "{id}");
        assert_eq!(after[id].outcome(), "Completed", "{id}");
        assert!(world.posts(id) <= 2, "{id}: {}", world.posts(id));
        let attempts = after[id].text("/status/cancelAttempts").parse().unwrap();
        assert!(world.posts(id) <= attempts, "{id}");
    }
    assert_eq!(release.holder(), "pod-b");
    let foreign = metrics(&second).value("opcancel_foreign_intents_total");
    assert_eq!(foreign, 0.0);
}

#[test]
fn a_leader_that_cannot_reach_the_api_server_stops_and_another_one_leads() {
    let operations = OPERATIONS.map(|id| (id, Script::default()));
    let mut release = Release::new(world("cut-off", &operations), SHORT_LEASE);
    let relay = runtime().block_on(Relay::start());
    let server = cluster().control_plane.server_url();
    relay.lead_to(server);
    let kubeconfig = fs::read_to_string(&cluster().controller_kubeconfig).unwrap();
    assert!(kubeconfig.contains(server), "{kubeconfig}");
    let through_relay = format!("https://127.0.0.1:{}", relay.port());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    fs::write(&path, kubeconfig.replace(server, &through_relay)).unwrap();

    release.world.use_kubeconfig(&path);
    let mut first = release.start_leader("pod-a");
    let directly = &cluster().controller_kubeconfig;
    release.world.use_kubeconfig(directly);
    let second = release.start_standby("pod-b", "pod-a");
    let world = &release.world;
    world.cancel("a", &[]);
    assert_eq!(world.finished("a").outcome(), "Cancelled");
    relay.silence_new_connections(true);
    relay.silence_open_connections();
    world.cancel_all(OPERATIONS.into_iter().skip(1));
    wait_to_lead(&second);
    let log = ends_without_the_lease(&mut first);
    assert!(log.contains("could not renew the Lease"), "{log}");
    assert!(log.contains("no answer in time"), "{log}");
    for (id, object) in world.all_finished() {
        assert_eq!(object.outcome(), "Cancelled", "{id}");
        assert_eq!(world.posts(&id), 1, "{id}");
    }
}

#[test]
fn an_administrator_can_delete_the_lease_and_its_holder_creates_it_again() {
    let release = Release::new(world("deleted-lease", &[]), LONG_LEASE);
    let first = release.start_leader("pod-a");
    let second = release.start_standby("pod-b", "pod-a");
    release.delete_lease();
    release.wait_for_lease_of("pod-a");
    // Half an edit: the others would take the Lease after a second.
    release.edit_lease(&json!({"leaseDurationSeconds": 1}));
    release.wait_for_lease(".spec.leaseDurationSeconds", "15");
    release.edit_lease(&json!({"leaseTransitions": 7, "acquireTime": null, "renewTime": null}));
    release.wait_for_lease(".spec.leaseTransitions", "0");
    assert_eq!(release.holder(), "pod-a");
    assert!(!leads(&second.log()));
    drop(first);
}

#[test]
fn an_administrator_can_take_the_lease_away() {
    let release = Release::new(
        world("taken-lease", &[("op", Script::default())]),
        SHORT_LEASE,
    );
    let mut first = release.start_leader("pod-a");
    let mut second = release.start_standby("pod-b", "pod-a");
    release.edit_lease(&json!({"holderIdentity": ""}));
    wait_to_lead(&second);
    let log = ends_without_the_lease(&mut first);
    // The log says which came first: the edit, or the second process.
    assert!(log.contains("removed it from the Lease") || log.contains("pod-b_"));

    // A holder that never renews, with times that no clock has reached.
    release.edit_lease(&json!({
        "holderIdentity": "somebody", "leaseDurationSeconds": 3,
        "renewTime": "9999-12-31T23:59:59.000000Z", "acquireTime": "0001-01-01T00:00:00.000000Z",
    }));
    let log = ends_without_the_lease(&mut second);
    assert!(log.contains("somebody holds the Lease"), "{log}");
    let third = release.start("pod-c");
    third.wait_for_log(|log| log.contains("leader=\"somebody\""));
    wait_to_lead(&third);
    release.world.cancel("op", &[]);
    assert_eq!(release.world.finished("op").outcome(), "Cancelled");
}

#[test]
fn two_controllers_without_election_send_at_most_one_request_more() {
    let operations = OPERATIONS.map(|id| (id, Script::default()));
    let world = world("by-mistake", &operations);
    let start = || {
        let mut process = ControllerProcess::spawn(world.controller_command());
        process.wait_until_ready();
        process
    };
    let processes = [start(), start()];
    world.cancel_all(OPERATIONS);
    for (id, object) in world.all_finished() {
        assert_eq!(object.outcome(), "Cancelled", "{id}");
        assert!(world.posts(&id) <= 2, "{id}");
        // One process alone makes three.
        let writes = world.status_writes(&id).len();
        assert!(writes <= 6, "{id}: {writes}");
    }
    drop(processes);
}

#[test]
fn two_releases_for_different_namespaces_do_not_know_of_each_other() {
    let releases = ["team-a", "team-b"].map(|team| {
        let operations = [("op", Script::default())];
        Release::new(world(team, &operations), LONG_LEASE)
    });
    let leaders = releases
        .each_ref()
        .map(|release| release.start_leader("pod-a"));
    for Release { world, .. } in &releases {
        world.cancel("op", &[]);
    }
    for release in &releases {
        assert_eq!(release.world.finished("op").outcome(), "Cancelled");
        assert_eq!(release.world.posts("op"), 1);
        assert_eq!(release.holder(), "pod-a");
    }
    drop(leaders);
}

#[test]
fn without_the_rights_for_the_lease_a_process_says_what_is_missing() {
    let world = world("no-lease-rights", &[]);
    let mut command = world.controller_command();
    let namespace = &world.namespace.name;
    command
        .arg("--leader-elect=true")
        .arg(format!("--leader-elect-namespace={namespace}"));
    let mut process = ControllerProcess::spawn(command);
    process.wait_until_serving();
    let said = format!(
        "the controller may not create leases (coordination.k8s.io) in namespace {namespace}: apply the roles"
    );
    process.wait_for_log(|log| log.contains(&said) && log.contains("--leader-elect=false"));
    let (status, missing) = process.admin("/readyz");
    assert_eq!(status, 503);
    assert!(missing.contains(&said), "{missing}");
}
