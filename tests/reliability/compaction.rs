//! etcd drops old versions while the controller needs them: for a watch that continues, and for a list in progress. The API
//! server answers 410 then.

use operations_emulator::Script;
use serde_json::json;
use xtask::control_plane::End;

use crate::{
    api_proxy::ApiProxy,
    many_objects,
    support::{
        own_cluster::OwnCluster,
        world::{manifest, operation},
    },
};

/// More than a page of a list has.
const OBJECTS: usize = 130;

/// Drops all versions but the newest, and what the API server's own cache still has of them.
fn compact(cluster: &OwnCluster) {
    let range = json!({"key": "AA==", "limit": 1});
    let newest = cluster.control_plane.ask_etcd("/v3/kv/range", &range);
    let newest = newest.unwrap()["header"]["revision"].clone();
    let compaction = json!({"revision": newest, "physical": true});
    cluster
        .control_plane
        .ask_etcd("/v3/kv/compaction", &compaction)
        .unwrap();
    cluster.control_plane.stop_api_server(End::Kill).unwrap();
    cluster.control_plane.start_api_server().unwrap();
}

fn through_proxy(cluster: &mut OwnCluster) -> ApiProxy {
    let proxy = ApiProxy::start(&cluster.control_plane);
    cluster.kubeconfig = proxy.kubeconfig(&cluster.kubeconfig, &cluster.control_plane);
    proxy
}

#[test]
fn a_list_and_then_a_watch_that_need_dropped_versions_go_on() {
    let mut cluster = OwnCluster::without_controller([
        ("listed", Script::default()),
        ("polled", Script::ignores_cancel()),
        ("deleted", Script::ignores_cancel()),
        ("meanwhile", Script::default()),
    ]);
    let proxy = through_proxy(&mut cluster);
    // Waits for a grant that never comes: the list has two pages.
    let other = |n| {
        let operation = format!("projects/other/operations/{n}");
        (format!("ungranted-{n}"), operation)
    };
    let admin = cluster.control_plane.kubeconfig();
    many_objects::create(&admin, "default", (0..OBJECTS).map(other));
    // The last one in the order of a list.
    let name = ("zz-listed".to_owned(), operation("listed"));
    many_objects::create(&admin, "default", [name]);

    proxy.hold("continue=");
    cluster.spawn_controller();
    proxy.wait_for_held();
    compact(&cluster);
    proxy.release();
    proxy.wait_for_code(410);
    assert_eq!(cluster.outcome("zz-listed"), "Cancelled");
    assert_eq!(cluster.posts("listed"), 1);

    for name in ["polled", "deleted"] {
        cluster.cancel(name);
    }
    cluster.wait(&["polled", "deleted"], "CancelRequested");
    cluster.controller().signal("STOP");
    let delete = ["delete", "opcancel", "deleted"];
    cluster.control_plane.run_kubectl(&delete).unwrap();
    cluster
        .control_plane
        .apply_text(&manifest("meanwhile", &[]))
        .unwrap();
    compact(&cluster);
    cluster.controller().signal("CONT");
    assert_eq!(cluster.outcome("meanwhile"), "Cancelled");
    cluster.controller().wait_for_metrics(|metrics| {
        metrics.sum("opcancel_pending", &[("state", "Polling")]) == 1.0
    });
    cluster.stop();
}
