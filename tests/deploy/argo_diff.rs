//! Argo CD shows nothing as out of sync once it has synced what we ship: judged by its own engine (`tests/argo_diff/`).

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde::Deserialize;
use serde_json::{Value, json};
use xtask::control_plane::ControlPlane;

use crate::{
    applied::{empty_cluster, kubectl},
    rendered::{Rendered, name},
    support::cluster::root,
};

/// How Argo CD syncs: as `kubectl apply` does, which is its default, or with the options ServerSideApply and ServerSideDiff.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sync {
    ClientSide,
    ServerSide,
}

const SERVER_SIDE: [&str; 3] = [
    "--server-side",
    "--force-conflicts",
    "--field-manager=argocd-controller",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    out_of_sync: bool,
    change: String,
}

fn judge(pairs: &[Value]) -> Vec<Answer> {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        xtask::go_tool::of_folder(&root().join("tests/argo_diff")).expect("Argo CD's engine")
    });
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = pairs.iter().map(|pair| format!("{pair}\n")).collect();
    // Beside reading: neither pipe holds everything.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    writer.join().unwrap().unwrap();
    let answers = output.stdout.split(|byte| *byte == b'\n');
    let answers = answers.filter(|line| !line.is_empty());
    answers
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// The objects that kubectl printed, one or a list.
fn objects(text: &str) -> Vec<Value> {
    let printed: Value = serde_json::from_str(text).unwrap();
    match printed["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![printed],
    }
}

fn text_of(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

fn sync(control_plane: &ControlPlane, way: Sync, objects: &[Value]) {
    let options: &[&str] = if way == Sync::ServerSide {
        &SERVER_SIDE
    } else {
        &[]
    };
    kubectl(
        control_plane,
        &[&["apply"], options].concat(),
        &text_of(objects),
    )
    .unwrap();
}

/// What is out of sync: names, and the change that a sync would make.
fn out_of_sync(
    control_plane: &ControlPlane,
    way: Sync,
    desired: &[Value],
) -> Vec<(String, String)> {
    let text = text_of(desired);
    let get = ["get", "--output=json", "--show-managed-fields"];
    let live = objects(&kubectl(control_plane, &get, &text).unwrap());
    let dry_run = match way {
        Sync::ClientSide => vec![Value::Null; desired.len()],
        Sync::ServerSide => {
            let apply = [
                "apply",
                "--dry-run=server",
                "--output=json",
                "--show-managed-fields",
            ];
            objects(&kubectl(control_plane, &[&apply[..], &SERVER_SIDE].concat(), &text).unwrap())
        }
    };
    assert_eq!([live.len(), dry_run.len()], [desired.len(); 2]);
    let pairs: Vec<_> = desired
        .iter()
        .zip(live.iter().zip(&dry_run))
        .map(|(desired, (live, dry_run))| {
            assert_eq!(desired["metadata"]["name"], live["metadata"]["name"]);
            json!({"desired": desired, "live": live, "dryRun": dry_run})
        })
        .collect();
    let answers = judge(&pairs);
    assert_eq!(answers.len(), desired.len());
    desired
        .iter()
        .zip(answers)
        .filter(|(_, answer)| answer.out_of_sync || answer.change != "{}")
        .map(|(object, answer)| (name(object), answer.change))
        .collect()
}

/// What a change has of the spec; a dry run raises the generation too.
fn spec(change: &str) -> Value {
    let change: Value = serde_json::from_str(change).unwrap();
    change["spec"].clone()
}

/// Syncs these objects, waits until the cluster's own controllers have seen them, and wants nothing to be out of sync.
fn stays_in_sync(way: Sync, rendered: &Rendered) {
    let control_plane = empty_cluster();
    let (first, then): (Vec<_>, Vec<_>) = rendered.objects.iter().cloned().partition(|object| {
        ["CustomResourceDefinition", "Namespace"].contains(&object["kind"].as_str().unwrap())
    });
    sync(&control_plane, way, &first);
    control_plane.wait_for_crds().unwrap();
    // Helm, and Argo CD with CreateNamespace=true, make it.
    if rendered.of_kind("Namespace").is_empty() {
        let create = ["create", "namespace", "opcancel-system"];
        control_plane.run_kubectl(&create).unwrap();
    }
    sync(&control_plane, way, &then);
    for objects in [first, then] {
        assert_eq!(out_of_sync(&control_plane, way, &objects), []);
    }
}

#[test]
fn the_chart_is_in_sync_after_a_client_side_sync() {
    stays_in_sync(Sync::ClientSide, &Rendered::chart(&[]));
}

#[test]
fn the_chart_is_in_sync_after_a_server_side_sync() {
    stays_in_sync(Sync::ServerSide, &Rendered::chart(&[]));
}

#[test]
fn the_kustomization_is_in_sync_after_a_client_side_sync() {
    stays_in_sync(Sync::ClientSide, &Rendered::kustomization("overlays/gke"));
}

#[test]
fn the_kustomization_is_in_sync_after_a_server_side_sync() {
    stays_in_sync(Sync::ServerSide, &Rendered::kustomization("overlays/gke"));
}

/// What self-heal goes by: a field that only a person has set is no difference, one that Git states is.
#[test]
fn a_hand_set_suspend_is_out_of_sync_only_if_git_states_it() {
    let control_plane = empty_cluster();
    control_plane.apply_files(&[root().join("crds")]).unwrap();
    control_plane.wait_for_crds().unwrap();
    for way in [Sync::ClientSide, Sync::ServerSide] {
        for stated in [None, Some(false)] {
            let mut object = json!({
                "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
                "metadata": {"name": format!("op-{way:?}-{}", stated.is_some()).to_lowercase(), "namespace": "contact-center"},
                "spec": {"service": "dialogflow", "operationName": "projects/acme-prod/operations/op"},
            });
            if let Some(stated) = stated {
                object["spec"]["suspend"] = stated.into();
            }
            let desired = [object];
            sync(&control_plane, way, &desired);
            // The API server's defaults, and later the controller's status, are no difference.
            let status = json!({"status": {"outcome": "Cancelled"}}).to_string();
            let patch = |patch: &str, options: &[&str]| {
                let patch = ["patch", "--type=merge", "--patch", patch];
                kubectl(
                    &control_plane,
                    &[&patch, options].concat(),
                    &text_of(&desired),
                )
                .unwrap()
            };
            patch(&status, &["--subresource=status"]);
            assert_eq!(out_of_sync(&control_plane, way, &desired), [], "{way:?}");
            patch(r#"{"spec":{"suspend":true}}"#, &[]);
            let found = out_of_sync(&control_plane, way, &desired);
            let changes: Vec<_> = found.into_iter().map(|(_, change)| spec(&change)).collect();
            let expected = stated.map(|_| json!({"suspend": false}));
            assert_eq!(changes, Vec::from_iter(expected), "{way:?} {stated:?}");
        }
    }
}
