//! What the tests of opcancel rely on: TLS, RBAC, ServiceAccount tokens, namespaces that go
//! away, roles that aggregate, and an audit log that tells every request.

// clippy.toml lets tests do these; their own functions are not #[test] but belong to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::Command;

use support::eventually;
use xtask::control_plane::{ControlPlane, audit};

fn shared() -> &'static ControlPlane {
    ControlPlane::shared().unwrap()
}

/// Runs kubectl with another kubeconfig and returns whether it succeeded, and all it said.
fn kubectl_as(kubeconfig: &std::path::Path, arguments: &[&str]) -> (bool, String) {
    let mut command = shared().kubectl_command();
    let output = command
        .env("KUBECONFIG", kubeconfig)
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn the_administrator_is_one_by_rbac() {
    let said = shared().run_kubectl(&["auth", "whoami"]).unwrap();
    assert!(said.contains("opcancel:admins"), "{said}");
    assert!(!said.contains("system:masters"), "{said}");
}

#[test]
fn another_ca_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("ca.crt"), other.cert.pem()).unwrap();
    let config = fs::read_to_string(shared().kubeconfig()).unwrap();
    let ours = shared().ca_file().display().to_string();
    let theirs = folder.path().join("ca.crt").display().to_string();
    assert!(config.contains(&ours));
    let path = folder.path().join("kubeconfig");
    fs::write(&path, config.replace(&ours, &theirs)).unwrap();
    let (success, said) = kubectl_as(&path, &["get", "namespaces"]);
    assert!(!success && said.contains("certificate"), "{said}");
}

#[test]
fn a_service_account_has_a_token_and_only_its_own_rights() {
    let namespace = shared().namespace("rights").unwrap();
    let inside = format!("--namespace={namespace}");
    shared()
        .run_kubectl(&["create", "serviceaccount", "tenant", &inside])
        .unwrap();
    let kubeconfig = shared()
        .service_account_kubeconfig(&namespace, "tenant")
        .unwrap();
    let (_, said) = kubectl_as(&kubeconfig, &["auth", "whoami"]);
    assert!(
        said.contains(&format!("system:serviceaccount:{namespace}:tenant")),
        "{said}"
    );

    let (success, said) = kubectl_as(&kubeconfig, &["get", "configmaps"]);
    assert!(!success && said.contains("Forbidden"), "{said}");
    shared()
        .apply_text(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\n\
             kind: RoleBinding\n\
             metadata: {{name: viewer, namespace: {namespace}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}\n\
             subjects: [{{kind: ServiceAccount, name: tenant, namespace: {namespace}}}]\n"
        ))
        .unwrap();
    eventually("the binding counts", || {
        kubectl_as(&kubeconfig, &["get", "configmaps"]).0
    });
}

#[test]
fn a_deleted_namespace_goes_away() {
    let namespace = shared().namespace("gone").unwrap();
    let inside = format!("--namespace={namespace}");
    shared()
        .run_kubectl(&["create", "configmap", "c", &inside])
        .unwrap();
    // kubectl waits until it is gone.
    shared()
        .run_kubectl(&["delete", "namespace", &namespace, "--timeout=60s"])
        .unwrap();
    assert!(
        shared()
            .run_kubectl(&["get", "namespace", &namespace])
            .is_err()
    );
}

#[test]
fn a_role_is_aggregated_into_view() {
    shared()
        .apply_text(
            "apiVersion: rbac.authorization.k8s.io/v1\n\
             kind: ClusterRole\n\
             metadata: {name: aggregated, labels: {rbac.authorization.k8s.io/aggregate-to-view: 'true'}}\n\
             rules: [{apiGroups: [test.example], resources: [aggregated], verbs: [get]}]\n",
        )
        .unwrap();
    eventually("view has the rule", || {
        shared()
            .run_kubectl(&["get", "clusterrole", "view", "--output=json"])
            .unwrap()
            .contains("test.example")
    });
}

#[test]
fn files_and_folders_are_applied() {
    let namespace = shared().namespace("files").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("below")).unwrap();
    for (file, name) in [("one.yaml", "one"), ("below/two.yaml", "two")] {
        let manifest = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        );
        fs::write(folder.path().join(file), manifest).unwrap();
    }
    let said = shared().apply_files(&[folder.path()]).unwrap();
    assert!(
        said.contains("configmap/one created") && said.contains("configmap/two created"),
        "{said}"
    );
    let error = shared()
        .apply_text("apiVersion: v1\nkind: Nonsense\nmetadata: {name: x}\n")
        .unwrap_err();
    assert!(error.to_string().contains("Nonsense"), "{error}");
}

#[test]
fn the_audit_log_tells_each_write_once_the_answer_is_there() {
    let namespace = shared().namespace("audit").unwrap();
    let inside = format!("--namespace={namespace}");
    for number in 0..5 {
        let name = format!("c{number}");
        shared()
            .run_kubectl(&["create", "configmap", &name, &inside])
            .unwrap();
        let requests = audit::requests(&shared().audit_log()).unwrap();
        let creates: Vec<_> = requests
            .iter()
            .filter(|request| request.resource == "configmaps" && request.namespace == namespace)
            .filter(|request| request.is_write() && request.user == "admin" && request.code == 201)
            .collect();
        assert_eq!(creates.len(), number + 1);
        assert!(
            creates
                .iter()
                .all(|create| create.completed >= create.received)
        );
        assert!(
            creates.iter().all(|create| create.body.is_none()),
            "bodies of others stay out"
        );
    }
    shared()
        .run_kubectl(&["create", "token", "default", &inside])
        .unwrap();
    let requests = audit::requests(&shared().audit_log()).unwrap();
    let tokens: Vec<_> = requests
        .iter()
        .filter(|request| request.is_about("serviceaccounts", &namespace, "default"))
        .filter(|request| request.subresource == "token")
        .collect();
    assert_eq!(tokens.len(), 1);
    assert!(
        tokens[0].answer.is_none(),
        "a token must not stand in a log"
    );
}

#[test]
fn the_audit_log_has_what_was_written_to_our_own_resources() {
    let namespace = shared().namespace("bodies").unwrap();
    shared()
        .apply_text(
            "apiVersion: apiextensions.k8s.io/v1\n\
             kind: CustomResourceDefinition\n\
             metadata: {name: audits.opcancel.github.io}\n\
             spec:\n  \
               group: opcancel.github.io\n  \
               scope: Namespaced\n  \
               names: {plural: audits, singular: audit, kind: Audit}\n  \
               versions:\n  \
               - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n",
        )
        .unwrap();
    let wait = [
        "wait",
        "--for=condition=Established",
        "crd/audits.opcancel.github.io",
    ];
    shared().run_kubectl(&wait).unwrap();
    let object = format!(
        "apiVersion: opcancel.github.io/v1\nkind: Audit\nmetadata: {{name: a, namespace: {namespace}}}\nwords: kept\n"
    );
    shared().apply_text(&object).unwrap();
    let requests = audit::requests(&shared().audit_log()).unwrap();
    let writes: Vec<_> = requests
        .iter()
        .filter(|request| request.is_about("audits", &namespace, "a") && request.is_write())
        .collect();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].body.as_ref().unwrap()["words"], "kept");
    assert_eq!(writes[0].answer.as_ref().unwrap()["metadata"]["name"], "a");
}

#[test]
fn the_version_is_stamped() {
    let said = shared().run_kubectl(&["version", "--output=json"]).unwrap();
    let versions: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(versions["serverVersion"]["major"], "1");
    let version = Command::new(shared().kubectl())
        .args(["version", "--client"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains("Client Version: v1."));
}

#[test]
fn every_version_that_was_stored_is_known() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    shared().apply_files(&[root.join("crds")]).unwrap();
    shared().wait_for_crds().unwrap();
    let namespace = shared().namespace("history").unwrap();
    let history = shared().history("opcancel.github.io").unwrap();
    let object = format!(
        "{{apiVersion: opcancel.github.io/v1alpha1, kind: OperationCancellation, metadata: {{name: a, namespace: {namespace}}}, \
         spec: {{service: dialogflow, operationName: projects/p/operations/o}}}}"
    );
    let inside = format!("--namespace={namespace}");
    let suspend = [
        "patch",
        "opcancel",
        "a",
        &inside,
        "--type=merge",
        "--patch={\"spec\":{\"suspend\":true}}",
    ];
    // Twice: what was read is not read again.
    for _ in 0..2 {
        shared().apply_text(&object).unwrap();
        shared().run_kubectl(&suspend).unwrap();
        shared()
            .run_kubectl(&["delete", "opcancel", "a", &inside])
            .unwrap();
        let mut changes = history.read(shared()).unwrap();
        let key = format!("/registry/opcancel.github.io/operationcancellations/{namespace}/a");
        changes.retain(|change| change.key == key);
        let suspended =
            |index: usize| changes[index].object.as_ref().unwrap()["spec"]["suspend"] == true;
        assert_eq!(changes.len(), 3, "{changes:?}");
        assert!(!suspended(0) && suspended(1));
        assert_eq!(changes[2].object, None);
        assert!(changes[0].revision < changes[1].revision);
    }
}
