//! A controller of all namespaces grants by label: labels that come and go, namespaces that do, and a restart.

use operations_emulator::{Call::Cancel, Script};
use serde_json::json;

use crate::support::{
    own_cluster::OwnCluster,
    world::{of_operation, operation},
};

/// Grants [`operation`]s to the namespaces with the label `environment=preview`.
fn grant() -> String {
    json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "CancellationGrant",
        "metadata": {"name": "previews"},
        "spec": {
            "namespaceSelector": {"matchLabels": {"environment": "preview"}},
            "projects": ["acme-prod"], "services": ["dialogflow"], "identities": ["Operator"],
        },
    })
    .to_string()
}

fn namespace(name: &str, environment: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"environment": environment}}})
        .to_string()
}

/// Declares a cancellation in a namespace, of the operation of the same name.
fn cancel(cluster: &OwnCluster, namespace: &str, name: &str) {
    let manifest = of_operation(name, &operation(name), &[]);
    let manifest = manifest.replace(
        "metadata:\n",
        &format!("metadata:\n  namespace: {namespace}\n"),
    );
    cluster.control_plane.apply_text(&manifest).unwrap();
}

fn wait(cluster: &OwnCluster, namespace: &str, name: &str, condition: &str) {
    let (within, condition) = (
        format!("--namespace={namespace}"),
        format!("--for=condition={condition}"),
    );
    let arguments = [
        "wait",
        "opcancel",
        name,
        &within,
        &condition,
        "--timeout=90s",
    ];
    cluster.control_plane.run_kubectl(&arguments).unwrap();
}

fn label(cluster: &OwnCluster, namespace: &str, label: &str) {
    let arguments = ["label", "--overwrite", "namespace", namespace, label];
    cluster.control_plane.run_kubectl(&arguments).unwrap();
}

#[test]
fn a_label_grants_in_all_namespaces_also_in_new_ones_and_after_a_restart() {
    let mut cluster = OwnCluster::start([
        ("old", Script::default()),
        ("new", Script::default()),
        ("other", Script::default()),
        ("moved", Script::default()),
        ("again", Script::default()),
    ]);
    let apply = |cluster: &OwnCluster, text: String| {
        cluster.control_plane.apply_text(&text).unwrap();
    };
    apply(&cluster, namespace("preview-1", "preview"));
    apply(&cluster, namespace("production", "production"));
    cancel(&cluster, "preview-1", "old");
    cancel(&cluster, "production", "other");
    wait(&cluster, "preview-1", "old", "Authorized=False");
    wait(&cluster, "production", "other", "Authorized=False");

    // The first grant with a selector: the labels are read now.
    apply(&cluster, grant());
    wait(&cluster, "preview-1", "old", "Finished");
    // A namespace that is created later, at once with its object.
    apply(&cluster, namespace("preview-2", "preview"));
    cancel(&cluster, "preview-2", "new");
    wait(&cluster, "preview-2", "new", "Finished");

    // The label goes, and the next object of the namespace is not granted. A label given while no controller runs counts as well.
    label(&cluster, "preview-1", "environment-");
    cancel(&cluster, "preview-1", "moved");
    wait(&cluster, "preview-1", "moved", "Authorized=False");
    let posts = |cluster: &OwnCluster, name: &str| cluster.emulator.count(&operation(name), Cancel);
    assert_eq!(posts(&cluster, "moved"), 0);
    cluster.stop_controller();
    label(&cluster, "preview-1", "environment=preview");
    label(&cluster, "preview-2", "environment=production");
    cancel(&cluster, "preview-2", "again");
    cluster.start_controller();
    wait(&cluster, "preview-1", "moved", "Finished");
    wait(&cluster, "preview-2", "again", "Authorized=False");
    for (name, expected) in [
        ("old", 1),
        ("new", 1),
        ("moved", 1),
        ("other", 0),
        ("again", 0),
    ] {
        assert_eq!(posts(&cluster, name), expected, "{name}");
    }
}
