//! The clock of the leader's node is an hour ahead, and that of the standby's an hour behind; and the other way round.

use operations_emulator::{Scenario, Script};

use crate::{
    preload,
    support::{
        controller_process::ControllerProcess,
        release::{Release, SHORT_LEASE, leads, wait_to_lead},
        world::{World, operation},
    },
};

#[test]
fn the_leaders_and_the_standbys_clocks_may_differ_by_two_hours() {
    let library = preload::library();
    for [leader, standby] in [["3600", "-3600"], ["-3600", "3600"]] {
        let scenario = Scenario::default()
            .with_operation(operation("first"), Script::default())
            .with_operation(operation("second"), Script::default());
        let world = World::stopped("leader-clocks", scenario, &[], &[]);
        world.grant();
        let release = Release::new(world, SHORT_LEASE);
        let start = |pod: &str, offset: &str| {
            let mut command = release.command(pod);
            command
                .env("LD_PRELOAD", library)
                .env("TEST_CLOCK_OFFSET", offset);
            let mut process = ControllerProcess::spawn(command);
            process.wait_until_ready();
            process
        };
        let mut first = start("pod-a", leader);
        wait_to_lead(&first);
        let second = start("pod-b", standby);
        second.wait_for_log(|log| log.contains("leader=\"pod-a_"));
        release.world.cancel("first", &[]);
        assert_eq!(release.world.finished("first").outcome(), "Cancelled");
        // Longer than the Lease lasts without a renewal.
        release.wait_for_renewals(12);
        assert!(!leads(&second.log()), "{leader} {standby}");
        assert_eq!(release.holder(), "pod-a");

        first.kill();
        wait_to_lead(&second);
        release.world.cancel("second", &[]);
        assert_eq!(release.world.finished("second").outcome(), "Cancelled");
        for name in ["first", "second"] {
            assert_eq!(release.world.posts(name), 1, "{leader} {standby} {name}");
        }
    }
}
