//! Of several controllers one works. When it ends or is away, another one takes over, and no object is forgotten or cancelled twice
//! without need.

use std::time::Duration;

use operations_emulator::{Call::Cancel, EndResult, Latency, Script};

use crate::support::{
    controller_process::ControllerProcess,
    release::{LONG_LEASE, Release, SHORT_LEASE, leads, metrics, wait_to_lead},
    world::{World, operation, scenario, wait_for_call},
};

/// A world with these operations whose controllers do not run yet.
pub fn world(prefix: &str, operations: &[(&str, Script)]) -> World {
    let scenario = scenario(operations.iter().cloned());
    let world = World::stopped(prefix, scenario, &[], &[]);
    world.grant();
    world
}

/// The requests to Google and the writes that a process counts.
fn work_of(process: &ControllerProcess) -> f64 {
    let served = metrics(process);
    let families = [
        "opcancel_google_requests_total",
        "opcancel_status_writes_total",
    ];
    let series = families.iter().flat_map(|name| &served.0[*name].series);
    series.map(|(_, _, value)| value).sum()
}

#[test]
fn a_standby_is_ready_and_does_nothing() {
    let world = world("standby", &[("op", Script::default())]);
    let release = Release::new(world, LONG_LEASE);
    let leader = release.start_leader("pod-a");
    let standby = release.start_standby("pod-b", "pod-a");
    release.world.cancel("op", &[]);
    assert_eq!(release.world.finished("op").outcome(), "Cancelled");

    assert_eq!(
        (standby.admin("/readyz").0, standby.admin("/livez").0),
        (200, 200)
    );
    assert_eq!(work_of(&standby), 0.0);
    assert!(work_of(&leader) > 0.0);
    let (of_leader, of_standby) = (metrics(&leader), metrics(&standby));
    assert_eq!(of_leader.value("opcancel_leader"), 1.0);
    assert_eq!(of_standby.value("opcancel_leader"), 0.0);
    assert_eq!(
        of_standby.value("opcancel_token_fetches_total{result=\"fetched\"}"),
        1.0
    );
    for family in [
        "opcancel_pending",
        "opcancel_grants",
        "opcancel_oldest_pending_age_seconds",
    ] {
        assert!(of_leader.0.contains_key(family), "{family}");
        assert!(!of_standby.0.contains_key(family), "{family}");
    }
    let lease = release.lease();
    let expected = [("leaseDurationSeconds", 15), ("leaseTransitions", 0)];
    for (field, value) in expected {
        assert_eq!(lease[field], value, "{lease}");
    }
}

#[test]
fn sigterm_hands_over_and_nothing_is_forgotten() {
    let slow = Script {
        latency: Some(Latency {
            get: Duration::ZERO,
            cancel: Duration::from_secs(3),
        }),
        ..Script::default()
    };
    let world = world(
        "handover",
        &[
            ("polled", Script::ignores_cancel()),
            ("sending", slow),
            ("new", Script::default()),
        ],
    );
    let release = Release::new(world, LONG_LEASE);
    let world = &release.world;
    let mut leader = release.start_leader("pod-a");
    let standby = release.start_standby("pod-b", "pod-a");
    world.cancel("polled", &[]);
    world.wait(&["polled"], "condition=CancelRequested");
    world.cancel("sending", &[]);
    wait_for_call(&world.emulator, "sending", Cancel);

    leader.terminate();
    leader.wait_for_log(|log| log.contains("stopping"));
    world.cancel("new", &[]);
    wait_to_lead(&standby);
    assert!(leader.wait().success());
    assert!(leader.log().contains("released the Lease"));
    assert_eq!(release.holder(), "pod-b");
    assert_eq!(release.lease()["leaseTransitions"], 1);
    world
        .emulator
        .finish_operation(&operation("polled"), EndResult::completed())
        .unwrap();
    let objects = world.all_finished();
    for (name, outcome) in [
        ("polled", "Completed"),
        ("sending", "Cancelled"),
        ("new", "Cancelled"),
    ] {
        assert_eq!(objects[name].outcome(), outcome, "{name}");
    }
    assert_eq!((world.posts("polled"), world.posts("new")), (1, 1));
    assert!(world.posts("sending") <= 2);
    let foreign = metrics(&standby).value("opcancel_foreign_intents_total");
    assert_eq!(foreign, 0.0, "the process before was its leader");
}

#[test]
fn of_three_one_leads_at_a_time_until_the_last_one() {
    let release = Release::new(world("three", &[("op", Script::default())]), LONG_LEASE);
    let mut first = release.start_leader("pod-a");
    let mut others = ["pod-b", "pod-c"].map(|pod| release.start_standby(pod, "pod-a"));
    first.terminate();
    assert!(first.wait().success());
    release.wait_for_other_than("pod-a");
    let second = release.holder();
    let [b, c] = &mut others;
    let (leader, standby) = if second == "pod-b" { (b, c) } else { (c, b) };
    wait_to_lead(leader);
    standby.wait_for_log(|log| log.contains(&format!("leader=\"{second}_")));
    assert!(!leads(&standby.log()));
    leader.terminate();
    assert!(leader.wait().success());
    wait_to_lead(standby);
    release.world.cancel("op", &[]);
    assert_eq!(release.world.finished("op").outcome(), "Cancelled");
    assert_eq!(release.lease()["leaseTransitions"], 2);
}

#[test]
fn a_standby_that_ends_leaves_the_lease_alone() {
    let release = Release::new(world("standby-ends", &[]), LONG_LEASE);
    let _leader = release.start_leader("pod-a");
    let mut standby = release.start_standby("pod-b", "pod-a");
    standby.terminate();
    assert!(standby.wait().success());
    assert!(!standby.log().contains("released"));
    assert_eq!(release.holder(), "pod-a");
    assert_eq!(release.lease()["leaseTransitions"], 0);
}

#[test]
fn after_a_kill_the_other_one_leads_when_the_lease_has_expired() {
    let world = world("killed-leader", &[("op", Script::default())]);
    let release = Release::new(world, SHORT_LEASE);
    let mut leader = release.start_leader("pod-a");
    let standby = release.start_standby("pod-b", "pod-a");
    leader.kill();
    release.world.cancel("op", &[]);
    wait_to_lead(&standby);
    assert_eq!(release.world.finished("op").outcome(), "Cancelled");
    assert_eq!(release.world.posts("op"), 1);
    assert!(leads(&standby.log()));
}
