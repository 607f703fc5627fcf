//! What the controller says when it cannot start, or not yet; and its admin server.

use std::{path::Path, process::Command};

use operations_emulator::{Emulator, Scenario, Script};
use serde_json::{Value, json};
use xtask::control_plane::{ControlPlane, Options};

use crate::support::{
    cluster::{cluster, rights, root, runtime},
    controller_process::{self, ControllerProcess},
    object::Object,
    world::{World, operation},
};

/// What no message may have: the insides of the program.
pub fn shows_no_internals(text: &str) {
    for internal in [
        "panicked",
        "RUST_BACKTRACE",
        "stack backtrace",
        "src/",
        ".rs:",
        "Os {",
        "Err(",
        "Some(",
        "hyper_util::",
        "kube::",
    ] {
        assert!(!text.contains(internal), "{internal:?} in: {text}");
    }
}

#[test]
fn the_admin_server_tells_life_readiness_and_metrics() {
    let mut world = World::new("admin", [("op", Script::default())]);
    world.cancel("op", &[]);
    world.finished("op");
    let controller = world.controller();
    assert_eq!(controller.admin("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(controller.admin("/readyz"), (200, "ok\n".to_owned()));
    let (status, metrics) = controller.admin("/metrics");
    assert!(status == 200 && metrics.contains("# TYPE"), "{metrics}");
    assert!(
        metrics
            .lines()
            .any(|line| line.contains("outcome=\"Cancelled\"") && line.ends_with(" 1")),
        "{metrics}"
    );
    assert_eq!(controller.admin("/secrets").0, 404);
}

#[test]
fn without_a_connection_it_is_not_ready_and_says_which() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let world = World::stopped("no-connection", Scenario::default(), &[], &[]);
    let mut command = world.controller_command();
    command.arg(format!(
        "--endpoint-override=dialogflow/europe-west9=http://{closed}"
    ));
    let mut controller = ControllerProcess::spawn(command);
    controller.wait_until_serving();
    let log = controller.wait_for_log(|log| log.contains("not ready: connections"));
    shows_no_internals(&log);
    let (status, why) = controller.admin("/readyz");
    assert!(
        status == 503 && why.contains("connections: ") && why.contains(&closed.to_string()),
        "{status} {why}"
    );
}

/// A private cluster that reaches one regional endpoint, and no global host.
#[test]
fn a_regional_endpoint_override_alone_makes_it_ready() {
    // No host of Google's can show a certificate of this authority, whatever network the test has.
    let other_authority = tempfile::NamedTempFile::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["nowhere.example".to_owned()]).unwrap();
    std::fs::write(other_authority.path(), made.cert.pem()).unwrap();
    let scenario = Scenario::default().with_operation(operation("op"), Script::default());
    let mut world = World::stopped("regional", scenario, &[], &[]);
    world.grant();
    let mut command = controller_process::command();
    command
        .arg("--kubeconfig")
        .arg(&cluster().controller_kubeconfig)
        .args([
            "--watch-namespace",
            &world.namespace.name,
            "--admin-address=127.0.0.1:0",
        ])
        .arg(format!(
            "--endpoint-override=dialogflow/europe-west1={}",
            world.emulator.url()
        ))
        .env("SSL_CERT_FILE", other_authority.path())
        .env("GCE_METADATA_HOST", world.emulator.metadata_address());
    let mut controller = ControllerProcess::spawn(command);
    controller.wait_until_ready();
    assert_eq!(controller.admin("/readyz"), (200, "ok\n".to_owned()));
    let log = controller.wait_for_log(|log| {
        log.contains("no connection to the host of a service that a grant names")
    });
    assert!(log.contains("https://dialogflow.googleapis.com"), "{log}");
    world.controller = Some(controller);
    world.cancel("op", &[]);
    assert_eq!(world.finished("op").outcome(), "Cancelled");
}

#[test]
fn without_a_token_it_works_but_is_not_ready_and_says_why() {
    let mut scenario = Scenario::default();
    scenario.identity.email = "123456789012-compute@developer.gserviceaccount.com".to_owned();
    let mut world = World::stopped("node-identity", scenario, &[], &[]);
    world.grant();
    let mut controller = ControllerProcess::spawn(world.controller_command());
    controller.wait_until_serving();
    let log = controller.wait_for_log(|log| log.contains("node's own service account"));
    shows_no_internals(&log);
    let (status, why) = controller.admin("/readyz");
    assert!(
        status == 503 && why.contains("token: ") && why.contains("Workload Identity"),
        "{status} {why}"
    );
    assert_eq!(controller.admin("/livez").0, 200);
    world.controller = Some(controller);
    world.cancel("op", &[]);
    world.wait(&["op"], "jsonpath={.status.lastError.call}=Token");
    let object = world.object("op");
    assert_eq!(object.condition("Ready"), "Unknown/Unauthenticated");
    assert!(
        object
            .text("/status/lastError/message")
            .contains("node's own service account")
    );
    assert!(
        world.calls("op").is_empty(),
        "no request is made with a wrong identity"
    );
}

/// A metadata server may not answer in a pod's first seconds.
#[test]
fn grants_that_are_read_before_the_first_token_do_not_hold_up_the_readiness() {
    let mut scenario = Scenario::default();
    scenario.identity.not_ready.requests = 2;
    let mut world = World::stopped("late-token", scenario, &[], &[]);
    world.grant();
    let mut controller = ControllerProcess::spawn(world.controller_command());
    controller.wait_for_log(|log| log.contains("not ready: token: "));
    controller.wait_until_ready();
    world.controller = Some(controller);
}

#[test]
fn a_missing_permission_is_named_with_what_to_apply() {
    let mut world = World::stopped("no-rights", Scenario::default(), &[], &[]);
    let kubeconfig = cluster()
        .control_plane
        .service_account_kubeconfig(&world.namespace.name, "tenant")
        .unwrap();
    let mut command = controller_process::command();
    command
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .args([
            "--watch-namespace",
            &world.namespace.name,
            "--admin-address=127.0.0.1:0",
        ])
        .arg(format!(
            "--endpoint-override=dialogflow={}",
            world.emulator.url()
        ))
        .env("GCE_METADATA_HOST", world.emulator.metadata_address());
    let mut controller = ControllerProcess::spawn(command);
    controller.wait_until_serving();
    let log = controller.wait_for_log(|log| log.contains("may not"));
    assert!(log.contains("deploy/README.md"), "{log}");
    assert!(
        log.contains("cancellationgrants") || log.contains("operationcancellations/status"),
        "{log}"
    );
    shows_no_internals(&log);
    let (status, why) = controller.admin("/readyz");
    assert!(status == 503 && why.contains("deploy/README.md"), "{why}");
    controller.terminate();
    assert!(
        controller.wait().success(),
        "it can be stopped while it waits"
    );
    world.controller = Some(controller);
}

#[test]
fn an_api_server_that_cannot_be_reached_is_waited_for_with_a_message() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unused = format!("https://{}", free.local_addr().unwrap());
    drop(free);
    let ours = std::fs::read_to_string(&cluster().controller_kubeconfig).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(
        &kubeconfig,
        ours.replace(cluster().control_plane.server_url(), &unused),
    )
    .unwrap();
    let mut command = controller_process::command();
    command
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .arg("--admin-address=127.0.0.1:0")
        .env("GCE_METADATA_HOST", "127.0.0.1:9");
    let mut controller = ControllerProcess::spawn(command);
    controller.wait_until_serving();
    let log = controller.wait_for_log(|log| log.contains("the API server cannot be reached"));
    shows_no_internals(&log);
    assert_eq!(controller.admin("/readyz").0, 503);
    controller.terminate();
    assert!(controller.wait().success());
}

fn crd(change: impl Fn(&mut Value)) -> String {
    let text = std::fs::read_to_string(root().join("crds/operationcancellations.yaml")).unwrap();
    let mut crd: Value = serde_saphyr::from_str(&text).unwrap();
    change(
        crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
            .unwrap(),
    );
    crd.to_string()
}

fn command_for(control_plane: &ControlPlane, kubeconfig: &Path, emulator: &Emulator) -> Command {
    assert!(!control_plane.server_url().is_empty());
    let mut command = controller_process::command();
    command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--admin-address=127.0.0.1:0")
        .arg(format!("--endpoint-override=dialogflow={}", emulator.url()))
        .env("GCE_METADATA_HOST", emulator.metadata_address());
    command
}

/// A cluster of its own, because CRDs belong to the whole cluster.
#[test]
fn missing_and_outdated_crds_are_told_and_waited_for_and_an_older_object_waits() {
    let control_plane = ControlPlane::start(Options::default()).unwrap();
    control_plane.apply_files(&rights()).unwrap();
    let kubeconfig = control_plane
        .service_account_kubeconfig("opcancel-system", "opcancel-controller")
        .unwrap();
    let emulator = runtime()
        .block_on(Emulator::start(Scenario::default()))
        .unwrap();
    let mut controller =
        ControllerProcess::spawn(command_for(&control_plane, &kubeconfig, &emulator));
    controller.wait_until_serving();
    let log = controller.wait_for_log(|log| log.contains("the CRDs are missing"));
    let (_, command) = log
        .split_once("the CRDs are missing: kubectl ")
        .unwrap_or_else(|| panic!("{log}"));
    let command: Vec<_> = command.split_whitespace().take(6).collect();

    // An older CRD: without status.lastError, and with no grammar for names.
    let older = crd(|schema| {
        schema
            .pointer_mut("/properties/status/properties")
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove("lastError")
            .unwrap();
        let name = schema
            .pointer_mut("/properties/spec/properties/operationName")
            .unwrap()
            .as_object_mut()
            .unwrap();
        name.remove("x-kubernetes-validations").unwrap();
    });
    control_plane.apply_text(&older).unwrap();
    let grants = root().join("crds/cancellationgrants.yaml");
    control_plane
        .run_kubectl(&[
            "apply",
            "--server-side",
            "--filename",
            &grants.display().to_string(),
        ])
        .unwrap();
    let log = controller.wait_for_log(|log| log.contains("is older than this controller"));
    assert!(
        log.contains("status.lastError") && log.contains(&format!("kubectl {}", command.join(" "))),
        "{log}"
    );
    let (status, why) = controller.admin("/readyz");
    assert!(
        status == 503 && why.contains("status.lastError"),
        "{status} {why}"
    );
    shows_no_internals(&controller.log());
    let object = json!({
        "apiVersion": "opcancel.github.io/v1alpha1", "kind": "OperationCancellation",
        "metadata": {"name": "older", "namespace": "default"}, "spec": {"service": "dialogflow", "operationName": "projects/p/operations/..%2f"},
    });
    control_plane.apply_text(&object.to_string()).unwrap();

    // What it said to do is what helps.
    let output = control_plane
        .kubectl_command()
        .current_dir(root())
        .args(&command)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "kubectl {command:?}: {said}");
    controller.wait_until_ready();
    control_plane
        .run_kubectl(&[
            "wait",
            "opcancel",
            "older",
            "--namespace=default",
            "--for=condition=Stalled",
            "--timeout=30s",
        ])
        .unwrap();
    let read = control_plane
        .run_kubectl(&[
            "get",
            "opcancel",
            "older",
            "--namespace=default",
            "--output=json",
        ])
        .unwrap();
    let object = Object(serde_json::from_str(&read).unwrap());
    // A newer release may be able to read it: it is never judged.
    assert_eq!(object.outcome(), "-");
    assert_eq!(
        (
            object.condition("Stalled").as_str(),
            object.condition("Authorized").as_str(),
            object.text("/status/target").as_str()
        ),
        ("True/UnknownName", "Unknown/UnknownName", "-")
    );
    assert!(
        object
            .message("Stalled")
            .contains("unknown form of operation name"),
        "{}",
        object.message("Stalled")
    );
    assert_eq!(
        emulator
            .requests()
            .iter()
            .filter(|request| request.call.is_some())
            .count(),
        0
    );
    drop(controller);
    control_plane.stop().unwrap();
}
