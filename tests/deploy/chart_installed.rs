//! Helm itself on a real API server: install, upgrade, roll back, uninstall.

use std::path::Path;

use serde_json::{Value, json};
use xtask::control_plane::ControlPlane;

use crate::{
    applied::{empty_cluster, kubectl},
    rendered::helm,
    support::cluster::root,
};

const CRD: &str = "operationcancellations.opcancel.github.io";
const LAST_ERROR: &str =
    "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/lastError";
const SYSTEM: &str = "--namespace=opcancel-system";
const IMAGE: &str = "--set=image.repository=registry.example.com/opcancel-controller";

/// Runs Helm on this cluster.
fn helm_on(control_plane: &ControlPlane, arguments: &[&str]) -> Result<String, String> {
    let kubeconfig = format!("--kubeconfig={}", control_plane.kubeconfig().display());
    helm(&[arguments, &[SYSTEM, &kubeconfig]].concat())
}

/// The chart with a CRD that lacks a field, as an older release's.
fn older_chart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("deploy/chart"), folder.path());
    let path = folder.path().join("crds/operationcancellations.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut crd: Value = serde_saphyr::from_str(&text).unwrap();
    let (parent, field) = LAST_ERROR.rsplit_once('/').unwrap();
    let fields = crd.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    assert!(fields.remove(field).is_some());
    std::fs::write(&path, crd.to_string()).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn get(control_plane: &ControlPlane, arguments: &[&str]) -> Value {
    let text = control_plane.run_kubectl(&[&["get", "--output=json"], arguments].concat());
    serde_json::from_str(&text.unwrap()).unwrap()
}

#[test]
fn a_rollback_and_an_uninstallation_leave_the_crds_and_their_objects_alone() {
    let control_plane = empty_cluster();
    let older = older_chart();
    let chart = older.path().display().to_string();
    let install = ["install", "opcancel", &chart, "--create-namespace", IMAGE];
    let gke = "--set=gke.serviceAccount=opcancel@acme-prod.iam.gserviceaccount.com";
    let notes = helm_on(&control_plane, &[&install[..], &[gke]].concat()).unwrap();
    for said in [
        "kind: CancellationGrant",
        "kubectl label namespace opcancel-system pod-security.kubernetes.io/enforce=restricted",
        "logs deployment/opcancel-controller --all-pods",
        "get lease opcancel-controller",
    ] {
        assert!(notes.contains(said), "{said:?} is not in:\n{notes}");
    }
    assert!(!notes.contains("No Google identity was chosen"), "{notes}");
    let system = ["deployment", "opcancel-controller", SYSTEM];
    let generation = get(&control_plane, &system)["metadata"]["generation"].clone();
    let example = root().join("examples/cancelled-at-once.yaml");
    control_plane.apply_files(&[example]).unwrap();

    assert!(
        get(&control_plane, &["crd", CRD])
            .pointer(LAST_ERROR)
            .is_none()
    );
    control_plane
        .run_kubectl(&[
            "label",
            "namespace",
            "opcancel-system",
            "pod-security.kubernetes.io/enforce=restricted",
        ])
        .unwrap();
    let folder = root().join("deploy/chart/crds").display().to_string();
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--filename",
        &folder,
    ];
    control_plane.run_kubectl(&apply).unwrap();
    let upgrade = ["upgrade", "opcancel", "deploy/chart", IMAGE];
    let notes = helm_on(
        &control_plane,
        &[&upgrade[..], &["--set=clusterName=blue"]].concat(),
    )
    .unwrap();
    assert!(notes.contains("No Google identity was chosen"), "{notes}");
    assert!(!notes.contains("label namespace"), "{notes}");
    let upgraded = get(&control_plane, &system)["metadata"]["generation"].clone();
    assert_ne!(upgraded, generation);

    helm_on(&control_plane, &["rollback", "opcancel", "1"]).unwrap();
    let rolled_back = get(&control_plane, &system)["metadata"]["generation"].clone();
    assert_ne!(rolled_back, upgraded);
    let crd = get(&control_plane, &["crd", CRD]);
    assert!(crd.pointer(LAST_ERROR).is_some(), "the newer CRD stays");

    helm_on(&control_plane, &["uninstall", "opcancel"]).unwrap();
    let left = get(&control_plane, &["deployments", SYSTEM]);
    assert_eq!(left["items"], json!([]));
    let objects = get(&control_plane, &["opcancel", "--namespace=contact-center"]);
    assert_eq!(
        objects["items"].as_array().map(Vec::len),
        Some(1),
        "the CRDs stay, and with them every object"
    );
    let again = ["install", "opcancel", "deploy/chart", IMAGE];
    helm_on(&control_plane, &again).unwrap();
}

/// `Recreate` must have no settings for a rolling update, and only one of two strategies can be sent.
#[test]
fn leader_election_can_be_switched_off_and_on_by_an_upgrade() {
    let control_plane = empty_cluster();
    let install = [
        "install",
        "opcancel",
        "deploy/chart",
        "--create-namespace",
        IMAGE,
    ];
    helm_on(&control_plane, &install).unwrap();
    let upgrade = ["upgrade", "opcancel", "deploy/chart", IMAGE];
    let alone = ["--set=leaderElection.enabled=false,replicas=1"];
    helm_on(&control_plane, &[&upgrade[..], &alone].concat()).unwrap();
    let strategy = || {
        let deployment = get(&control_plane, &["deployment/opcancel-controller", SYSTEM]);
        let budgets = get(&control_plane, &["poddisruptionbudgets", SYSTEM]);
        let spec = &deployment["spec"];
        let strategy = spec["strategy"]["type"].as_str().unwrap().to_owned();
        (
            strategy,
            spec["replicas"].as_u64().unwrap(),
            budgets["items"].as_array().unwrap().len(),
        )
    };
    assert_eq!(strategy(), ("Recreate".to_owned(), 1, 0));
    helm_on(&control_plane, &upgrade).unwrap();
    assert_eq!(strategy(), ("RollingUpdate".to_owned(), 2, 1));
}

/// Who applies the CRDs otherwise, with kubectl or from Git, goes on doing so.
#[test]
fn crds_that_kubectl_applied_stay_as_they_are() {
    let control_plane = empty_cluster();
    control_plane.apply_files(&[root().join("crds")]).unwrap();
    let before = get(&control_plane, &["crd", CRD]);
    let install = [
        "install",
        "opcancel",
        "deploy/chart",
        "--create-namespace",
        IMAGE,
    ];
    helm_on(&control_plane, &install).unwrap();
    helm_on(&control_plane, &["uninstall", "opcancel"]).unwrap();
    let after = get(&control_plane, &["crd", CRD]);
    assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"]);
    assert!(before["spec"] == after["spec"]);
    assert!(after.pointer("/metadata/labels").is_none());
}

/// docs/gitops.md#two-syncs-in-this-order: a grant is of a kind that the operator brings.
#[test]
fn a_grant_in_the_operators_own_release_is_not_taken_by_an_upgrade() {
    let control_plane = empty_cluster();
    let parent = tempfile::tempdir().unwrap();
    let chart = parent.path().display().to_string();
    let subchart = parent.path().join("charts/opcancel");
    let templates = parent.path().join("templates");
    std::fs::create_dir_all(&templates).unwrap();
    let about = "apiVersion: v2\nname: platform\nversion: 1.0.0\n";
    std::fs::write(parent.path().join("Chart.yaml"), about).unwrap();
    helm_on(
        &control_plane,
        &["install", "platform", &chart, "--create-namespace"],
    )
    .unwrap();
    copy(&root().join("deploy/chart"), &subchart);
    let grant = std::fs::read_to_string(root().join("examples/01-grant.yaml")).unwrap();
    std::fs::write(templates.join("grant.yaml"), &grant).unwrap();
    let image = format!("--set=opcancel.{}", IMAGE.trim_start_matches("--set="));
    let why = helm_on(&control_plane, &["upgrade", "platform", &chart, &image]).unwrap_err();
    assert!(
        why.contains("no matches for kind \"CancellationGrant\""),
        "{why}"
    );

    // With kubectl the first run misses the grant, and the second one has it.
    let mut all = grant;
    for file in ["cancellationgrants", "operationcancellations"] {
        all += "\n---\n";
        all += &std::fs::read_to_string(root().join(format!("crds/{file}.yaml"))).unwrap();
    }
    let apply = ["apply", "--server-side"];
    let why = kubectl(&control_plane, &apply, &all).unwrap_err();
    assert!(
        why.contains("no matches for kind \"CancellationGrant\""),
        "{why}"
    );
    control_plane.wait_for_crds().unwrap();
    kubectl(&control_plane, &apply, &all).unwrap();
}

#[test]
fn a_first_installation_brings_the_crds_of_a_subchart_before_a_grant_beside_it() {
    let control_plane = empty_cluster();
    let parent = tempfile::tempdir().unwrap();
    let chart = parent.path().display().to_string();
    let templates = parent.path().join("templates");
    std::fs::create_dir_all(&templates).unwrap();
    let about = "apiVersion: v2\nname: platform\nversion: 1.0.0\n";
    std::fs::write(parent.path().join("Chart.yaml"), about).unwrap();
    copy(
        &root().join("deploy/chart"),
        &parent.path().join("charts/opcancel"),
    );
    std::fs::copy(
        root().join("examples/01-grant.yaml"),
        templates.join("grant.yaml"),
    )
    .unwrap();
    let image = format!("--set=opcancel.{}", IMAGE.trim_start_matches("--set="));
    helm_on(
        &control_plane,
        &["install", "platform", &chart, "--create-namespace", &image],
    )
    .unwrap();
    get(&control_plane, &["cancellationgrant", "contact-center"]);
    helm_on(&control_plane, &["uninstall", "platform"]).unwrap();
    let left = get(&control_plane, &["cancellationgrants"]);
    assert_eq!(left["items"], json!([]), "the grant goes with the release");
}
