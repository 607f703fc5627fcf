//! The CRDs are deleted, with all objects, and come back, while the controller runs.

use operations_emulator::Script;

use crate::support::{
    cluster::root,
    own_cluster::{GRANT, OwnCluster},
};

const CRDS: [&str; 2] = [
    "operationcancellations.opcancel.github.io",
    "cancellationgrants.opcancel.github.io",
];

#[test]
fn objects_of_the_new_crds_are_handled() {
    let mut cluster = OwnCluster::start([
        ("polled", Script::ignores_cancel()),
        ("later", Script::default()),
    ]);
    cluster.cancel("polled");
    cluster.wait(&["polled"], "CancelRequested");
    let delete = [&["delete", "crd", "--timeout=60s"][..], &CRDS].concat();
    cluster.control_plane.run_kubectl(&delete).unwrap();
    cluster
        .controller()
        .wait_for_log(|log| log.contains("the CRDs are missing"));
    cluster
        .control_plane
        .apply_files(&[root().join("crds")])
        .unwrap();
    cluster.control_plane.wait_for_crds().unwrap();

    // Nothing is granted any more.
    cluster.cancel("later");
    cluster.wait(&["later"], "Authorized=False");
    assert_eq!(cluster.posts("later"), 0);
    cluster.control_plane.apply_text(GRANT).unwrap();
    assert_eq!(cluster.outcome("later"), "Cancelled");
    // Of the same name, but another object.
    cluster.cancel("polled");
    cluster.wait(&["polled"], "CancelRequested");
    assert_eq!((cluster.posts("later"), cluster.posts("polled")), (1, 2));
    assert_eq!(cluster.controller().admin("/readyz").0, 200);
    cluster.stop();
}
