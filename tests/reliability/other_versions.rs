//! A controller one version ahead or behind: what this one makes of a newer release's CRD, status and outcomes. `tests/older_release.rs`
//! runs a real older one, and `tests/e2e/startup.rs` has the older CRD, with which this one does not start.

use operations_emulator::{Call, Script};
use serde_json::{Value, json};

use crate::{
    own_cluster::OwnCluster,
    support::{cluster::root, world::operation},
};

/// The CRD with what a newer release may add: fields of the status, and a field of its conditions.
fn newer_crd() -> String {
    let text = std::fs::read_to_string(root().join("crds/operationcancellations.yaml")).unwrap();
    let mut crd: Value = serde_saphyr::from_str(&text).unwrap();
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    let fields = crd.pointer_mut(status).unwrap().as_object_mut().unwrap();
    fields.insert("novelty".into(), json!({"type": "string"}));
    let nested = json!({"type": "object", "properties": {"depth": {"type": "integer"}}});
    fields.insert("nested".into(), nested);
    for field in ["operation", "target", "lastError"] {
        let inner = fields[field]["properties"].as_object_mut().unwrap();
        inner.insert("novelty".into(), json!({"type": "string"}));
    }
    crd.to_string()
}

fn patch_status(cluster: &OwnCluster, name: &str, status: &Value) {
    let patch = json!({"status": status}).to_string();
    let arguments = [
        "patch",
        "opcancel",
        name,
        "--subresource=status",
        "--type=merge",
        "--patch",
        &patch,
    ];
    cluster.control_plane.run_kubectl(&arguments).unwrap();
}

#[test]
fn what_a_newer_release_wrote_stays_and_nothing_is_repeated() {
    let mut cluster = OwnCluster::without_controller([
        ("asked", Script::ignores_cancel()),
        ("new", Script::default()),
        ("ended", Script::ignores_cancel()),
    ]);
    cluster.control_plane.apply_text(&newer_crd()).unwrap();
    for name in ["asked", "new", "ended"] {
        cluster.cancel(name);
    }
    let time = "2026-01-02T03:04:05Z";
    let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": time});
    let news = json!({
        "novelty": "kept", "nested": {"depth": 3},
        "target": {"novelty": "kept"},
        "conditions": [condition("Novel", "True", "Newer"), condition("CancelRequested", "True", "AcceptedAndNoted")],
    });
    let mut asked = news.clone();
    asked["cancelAttempts"] = 1.into();
    patch_status(&cluster, "asked", &asked);
    let mut new = news.clone();
    new["conditions"] = json!([condition("Novel", "True", "Newer")]);
    patch_status(&cluster, "new", &new);
    // An outcome that this release does not know.
    let mut ended = news;
    ended["outcome"] = "Superseded".into();
    ended["completionTime"] = time.into();
    patch_status(&cluster, "ended", &ended);
    let before = cluster.object("ended");

    cluster.start_controller();
    assert_eq!(cluster.outcome("new"), "Cancelled");
    cluster.wait_for_call("asked", Call::Get);
    cluster
        .emulator
        .finish_operation(
            &operation("asked"),
            operations_emulator::EndResult::CancelledElsewhere,
        )
        .unwrap();
    assert_eq!(cluster.outcome("asked"), "Cancelled");
    for name in ["asked", "new"] {
        let object = cluster.object(name);
        assert_eq!(object.text("/status/novelty"), "kept", "{name}");
        assert_eq!(object.text("/status/nested/depth"), "3", "{name}");
        assert_eq!(object.text("/status/target/novelty"), "kept", "{name}");
        assert_eq!(object.condition("Novel"), "True/Newer", "{name}");
        assert_eq!(object.message("Novel"), "m", "{name}");
    }
    assert_eq!(cluster.object("ended").0, before.0, "it is final");
    // A label changes it, and the watch that selects unfinished objects does not even see that.
    let label = ["label", "opcancel", "ended", "team=other"];
    cluster.control_plane.run_kubectl(&label).unwrap();
    cluster.cancel("new");
    let posts = ["asked", "new", "ended"].map(|name| cluster.posts(name));
    assert_eq!(posts, [0, 1, 0]);
    assert_eq!(cluster.emulator.requests_for(&operation("ended")).len(), 0);
    cluster.stop();
}

/// A controller that runs while another one, of a newer release, records an outcome.
#[test]
fn an_unknown_outcome_that_another_one_records_ends_the_work() {
    let mut cluster = OwnCluster::start([("op", Script::ignores_cancel())]);
    cluster.cancel("op");
    cluster.wait(&["op"], "CancelRequested");
    let outcome = json!({"outcome": "Superseded", "completionTime": "2026-01-02T03:04:05Z"});
    patch_status(&cluster, "op", &outcome);
    cluster
        .controller()
        .wait_for_metrics(|metrics| metrics.sum("opcancel_pending", &[]) == 0.0);
    let status = cluster.object("op").0["status"].clone();
    let calls = cluster.emulator.requests_for(&operation("op")).len();
    cluster
        .control_plane
        .stop_api_server(xtask::control_plane::End::Term)
        .unwrap();
    cluster.control_plane.start_api_server().unwrap();
    // The list after a lost connection has no finished objects.
    cluster.controller().wait_for_metrics(|metrics| {
        metrics.sum(
            "opcancel_watch_restarts_total",
            &[("resource", "operationcancellations")],
        ) > 0.0
    });
    assert_eq!(cluster.object("op").0["status"], status);
    assert_eq!(cluster.emulator.requests_for(&operation("op")).len(), calls);
    cluster.stop();
}
