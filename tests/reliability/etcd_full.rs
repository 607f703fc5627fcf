//! etcd has no room left (its NOSPACE alarm): it answers reads and refuses every write.

use operations_emulator::{EndResult, Script};
use serde_json::json;
use xtask::control_plane::ControlPlane;

use crate::support::{own_cluster::OwnCluster, world::operation};

/// Raises the alarm as etcd does when its database has reached `--quota-backend-bytes`, or clears it as an administrator does.
fn alarm(control_plane: &ControlPlane, action: &str) {
    let alarm = json!({"action": action, "memberID": "0", "alarm": "NOSPACE"});
    control_plane
        .ask_etcd("/v3/maintenance/alarm", &alarm)
        .unwrap();
}

#[test]
fn nothing_is_sent_without_a_stored_intent_and_all_ends_when_there_is_room() {
    let mut cluster = OwnCluster::start([
        ("polled", Script::ignores_cancel()),
        ("unseen", Script::missing()),
    ]);
    for name in ["polled", "unseen"] {
        cluster.cancel(name);
    }
    cluster.wait(&["polled"], "CancelRequested");
    cluster.wait(&["unseen"], "Reconciling");
    alarm(&cluster.control_plane, "ACTIVATE");
    let refused = cluster
        .control_plane
        .run_kubectl(&["create", "namespace", "refused"]);
    let refused = format!("{:#}", refused.unwrap_err());
    assert!(refused.contains("database space exceeded"), "{refused}");

    // The one ends, and the other can be cancelled now.
    cluster
        .emulator
        .finish_operation(&operation("polled"), EndResult::completed())
        .unwrap();
    cluster
        .emulator
        .set_operation(&operation("unseen"), Script::default())
        .unwrap();
    cluster
        .controller()
        .wait_for_log(|log| log.contains("database space exceeded"));
    cluster.controller().wait_for_metrics(|metrics| {
        metrics.has_failed_writes("intent") && metrics.has_failed_writes("outcome")
    });
    assert_eq!(cluster.posts("unseen"), 0, "its intent is not stored");
    assert_eq!(cluster.controller().admin("/livez").0, 200);

    alarm(&cluster.control_plane, "DEACTIVATE");
    assert_eq!(cluster.outcome("polled"), "Completed");
    assert_eq!(cluster.outcome("unseen"), "Cancelled");
    assert_eq!((cluster.posts("polled"), cluster.posts("unseen")), (1, 1));
    cluster.stop();
}
