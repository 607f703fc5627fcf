//! The API server ends, by SIGTERM and by SIGKILL, and comes back.

use std::time::Duration;

use operations_emulator::{Call::Cancel, EndResult, Latency, Script};
use xtask::control_plane::End;

use crate::support::{own_cluster::OwnCluster, world::operation};

/// A cancel request that is answered after three seconds.
fn slow() -> Script {
    Script {
        latency: Some(Latency {
            get: Duration::ZERO,
            cancel: Duration::from_secs(3),
        }),
        ..Script::default()
    }
}

#[test]
fn what_was_under_way_ends_after_it_and_nothing_is_sent_twice() {
    let ends = [
        (End::Term, ["polled-1", "sending-1", "new-1"]),
        (End::Kill, ["polled-2", "sending-2", "new-2"]),
    ];
    let scripts = [Script::ignores_cancel(), slow(), Script::default()];
    let operations = ends.iter().flat_map(|(_, names)| {
        let scripts = scripts.clone();
        names.iter().copied().zip(scripts)
    });
    let mut cluster = OwnCluster::start(operations);
    for (how, [polled, sending, new]) in ends {
        cluster.cancel(polled);
        cluster.wait(&[polled], "CancelRequested");
        cluster.cancel(sending);
        cluster.wait_for_call(sending, Cancel);
        cluster.control_plane.stop_api_server(how).unwrap();
        // What Google says meanwhile cannot be stored yet.
        let result = EndResult::completed();
        cluster
            .emulator
            .finish_operation(&operation(polled), result)
            .unwrap();
        cluster.control_plane.start_api_server().unwrap();
        let outcomes = [polled, sending].map(|name| cluster.outcome(name));
        assert_eq!(outcomes, ["Completed", "Cancelled"], "{how:?}");
        cluster.cancel(new);
        assert_eq!(cluster.outcome(new), "Cancelled", "{how:?}");
        for name in [polled, sending, new] {
            assert_eq!(cluster.posts(name), 1, "{name}");
            let attempts = cluster.object(name).text("/status/cancelAttempts");
            assert_eq!(attempts, "1", "{name}");
        }
    }
    assert_eq!(cluster.controller().admin("/livez").0, 200);
    assert_eq!(cluster.controller().admin("/readyz").0, 200);
    cluster.stop();
}
