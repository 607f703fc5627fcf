//! A controller one version ahead or behind: what this one makes of a newer release's CRD, status and outcomes. `tests/older_release.rs`
//! runs a real older one, and `tests/e2e/startup.rs` has the older CRD, with which this one does not start.

use operations_emulator::{Call, EndResult, Scenario, Script};
use serde_json::{Value, json};

use crate::{
    api_proxy::ApiProxy,
    support::{
        cluster::{cluster, kubectl_as_admin, root},
        own_cluster::OwnCluster,
        world::{World, operation},
    },
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

/// The arguments of kubectl that merge a patch into a status.
fn patch_status<'a>(name: &'a str, patch: &'a str) -> [&'a str; 7] {
    [
        "patch",
        "opcancel",
        name,
        "--subresource=status",
        "--type=merge",
        "--patch",
        patch,
    ]
}

#[test]
fn what_a_newer_release_wrote_stays_and_nothing_is_repeated() {
    let mut cluster = OwnCluster::without_controller([
        ("asked", Script::ignores_cancel()),
        ("new", Script::default()),
        ("ended", Script::ignores_cancel()),
        ("later", Script::default()),
    ]);
    cluster.control_plane.apply_text(&newer_crd()).unwrap();
    for name in ["asked", "new", "ended"] {
        cluster.cancel(name);
    }
    let patch = |name, status: &Value| {
        let patch = json!({ "status": status }).to_string();
        let patched = cluster
            .control_plane
            .run_kubectl(&patch_status(name, &patch));
        patched.unwrap();
    };
    let time = "2026-01-02T03:04:05Z";
    let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": time});
    let news = json!({
        "novelty": "kept", "nested": {"depth": 3},
        "target": {"novelty": "kept"},
        "conditions": [condition("Novel", "True", "Newer"), condition("CancelRequested", "True", "AcceptedAndNoted")],
    });
    let mut asked = news.clone();
    asked["cancelAttempts"] = 1.into();
    patch("asked", &asked);
    let mut new = news.clone();
    new["conditions"] = json!([condition("Novel", "True", "Newer")]);
    patch("new", &new);
    // An outcome that this release does not know.
    let mut ended = news;
    ended["outcome"] = "Superseded".into();
    ended["completionTime"] = time.into();
    patch("ended", &ended);
    let before = cluster.object("ended");

    cluster.start_controller();
    assert_eq!(cluster.outcome("new"), "Cancelled");
    cluster.wait_for_call("asked", Call::Get);
    cluster
        .emulator
        .finish_operation(&operation("asked"), EndResult::CancelledElsewhere)
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
    // A change of it does not reach the controller, or nothing follows.
    let label = ["label", "opcancel", "ended", "team=other"];
    cluster.control_plane.run_kubectl(&label).unwrap();
    cluster.cancel("later");
    assert_eq!(cluster.outcome("later"), "Cancelled");
    let posts = ["asked", "new", "ended"].map(|name| cluster.posts(name));
    assert_eq!(posts, [0, 1, 0]);
    assert_eq!(cluster.emulator.requests_for(&operation("ended")).len(), 0);
    cluster.stop();
}

/// A controller that runs while another one, of a newer release, records an outcome.
#[test]
fn an_unknown_outcome_that_another_one_records_ends_the_work() {
    let scenario = Scenario::default().with_operation(operation("op"), Script::ignores_cancel());
    let mut world = World::stopped("unknown-outcome", scenario, &[], &[]);
    world.grant();
    let proxy = ApiProxy::of_world(&mut world, &cluster().controller_kubeconfig);
    world.start();
    world.cancel("op", &[]);
    world.wait(&["op"], "condition=CancelRequested");
    let outcome = json!({"outcome": "Superseded", "completionTime": "2026-01-02T03:04:05Z"});
    let patch = json!({ "status": outcome }).to_string();
    let arguments = patch_status("op", &patch);
    let namespace = ["--namespace", &world.namespace.name];
    kubectl_as_admin(&[&arguments[..], &namespace].concat(), "").unwrap();
    world
        .controller()
        .wait_for_metrics(|metrics| metrics.sum("opcancel_pending", &[]) == 0.0);
    let status = world.object("op").0["status"].clone();
    let calls = world.calls("op").len();
    // The list after a lost connection has no finished objects.
    proxy.reset_watches();
    world.controller().wait_for_metrics(|metrics| {
        let lists = [("resource", "operationcancellations")];
        metrics.sum("opcancel_watch_restarts_total", &lists) > 0.0
    });
    assert_eq!(world.object("op").0["status"], status);
    assert_eq!(world.calls("op").len(), calls);
}
