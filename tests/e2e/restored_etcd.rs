//! An administrator restores etcd from an older snapshot while the controller runs.

use std::time::Duration;

use operations_emulator::{EndResult, Script};

use crate::support::{own_cluster::OwnCluster, world::operation};

/// Before, an object of which a newer version was known was stuck until the next start of the controller, and one that had
/// ended was never observed again.
#[test]
fn objects_go_on_from_what_is_stored_then() {
    let mut cluster = OwnCluster::start([
        ("unasked", Script::missing()),
        ("ended", Script::ignores_cancel()),
        ("changed", Script::ignores_cancel()),
        ("later", Script::ignores_cancel()),
    ]);
    for name in ["ended", "changed"] {
        cluster.cancel(name);
        cluster.wait(&[name], "CancelRequested");
    }
    // Not asked to be cancelled before the backup is made: it is not there yet.
    cluster.cancel("unasked");
    cluster.wait(&["unasked"], "Reconciling");
    cluster.control_plane.back_up().unwrap();

    // What happens from here on is forgotten.
    let finish = |cluster: &OwnCluster, name| {
        let ended = cluster
            .emulator
            .finish_operation(&operation(name), EndResult::completed());
        ended.unwrap();
    };
    finish(&cluster, "ended");
    cluster.wait(&["ended"], "Finished");
    let label = ["label", "opcancel", "changed", "team=other"];
    cluster.control_plane.run_kubectl(&label).unwrap();
    cluster.cancel("later");
    cluster.wait(&["later"], "CancelRequested");
    let script = Script::cancelled_after(Duration::ZERO);
    cluster
        .emulator
        .set_operation(&operation("unasked"), script)
        .unwrap();
    cluster.wait(&["unasked"], "Finished");
    let names = ["ended", "changed", "unasked"];
    let posts = |cluster: &OwnCluster| names.map(|name| cluster.posts(name));
    assert_eq!(posts(&cluster), [1, 1, 1]);
    cluster.control_plane.restore().unwrap();

    cluster
        .controller()
        .wait_for_log(|log| log.contains("its data was rolled back"));
    for name in ["ended", "unasked"] {
        cluster.wait(&[name], "Finished");
    }
    finish(&cluster, "changed");
    cluster.wait(&["changed"], "Finished");
    // What is finished, and what is asked already, is not asked again.
    assert_eq!(posts(&cluster), [1, 1, 1]);
    cluster.stop();
}
