//! The clock of the controller's node is an hour ahead, or an hour behind. Stored times are the API server's.

use jiff::Timestamp;
use operations_emulator::{Scenario, Script};

use crate::{
    preload,
    support::world::{World, manifest, operation},
};

#[test]
fn an_hour_ahead_or_behind_changes_no_stored_time_and_no_deadline() {
    let cases = ["3600", "-3600"].map(|offset| {
        let scenario = Scenario::default()
            .with_operation(operation("cancelled"), Script::default())
            .with_operation(operation("never"), Script::ignores_cancel());
        let library = preload::library().display().to_string();
        let variables = [
            ("LD_PRELOAD", library.as_str()),
            ("TEST_CLOCK_OFFSET", offset),
        ];
        let mut world = World::stopped("node-clock", scenario, &[], &variables);
        world.grant();
        world.start();
        let ahead: i64 = offset.parse().unwrap();
        assert_eq!(log_is_ahead(&mut world), ahead);
        let deadline = manifest("never", &["deadlineSeconds: 10"]);
        world
            .apply(&(manifest("cancelled", &[]) + &deadline))
            .unwrap();
        (offset, world)
    });
    for (offset, world) in cases {
        let objects = world.all_finished();
        for (name, outcome) in [("cancelled", "Cancelled"), ("never", "Unknown")] {
            let object = &objects[name];
            assert_eq!(object.outcome(), outcome, "{offset} s: {name}");
            let time = |pointer| -> Timestamp { object.text(pointer).parse().unwrap() };
            let [created, started, asked, completed] = [
                "/metadata/creationTimestamp",
                "/status/startTime",
                "/status/cancelRequestTime",
                "/status/completionTime",
            ]
            .map(time);
            assert!(
                created <= started && started <= asked && asked <= completed,
                "{offset} s: {name}: {}",
                object.0
            );
            let lived = completed.as_second() - created.as_second();
            let least = if name == "never" { 9 } else { 0 };
            assert!((least..600).contains(&lived), "{offset} s: {name}: {lived}");
            assert_eq!(world.posts(name), 1, "{offset} s: {name}");
        }
    }
}

/// By how many hours the node's clock, which the log shows, is ahead; in seconds.
fn log_is_ahead(world: &mut World) -> i64 {
    let log = world.controller().log();
    let logged: Timestamp = log.split(' ').next().unwrap().parse().unwrap();
    let ahead = logged.as_second() - Timestamp::now().as_second();
    let hours = (ahead as f64 / 3600.0).round();
    hours as i64 * 3600
}
