//! An administrator restores etcd from an older snapshot while the controller runs.

use std::time::Duration;

use operations_emulator::{Call::Cancel, Emulator, EndResult, Scenario, Script};
use xtask::control_plane::{ControlPlane, Options};

use crate::support::{
    cluster::{rights, root, runtime},
    controller_process::{self, ControllerProcess},
    world::{manifest, operation},
};

const GRANT: &str = "apiVersion: opcancel.github.io/v1alpha1
kind: CancellationGrant
metadata:
  name: team
spec:
  namespaces: [default]
  projects: [acme-prod]
  services: [dialogflow]
  identities: [Operator]
";

fn wait(control_plane: &ControlPlane, name: &str, condition: &str) {
    let condition = format!("--for=condition={condition}");
    let wait = ["wait", "opcancel", name, &condition, "--timeout=90s"];
    control_plane.run_kubectl(&wait).unwrap();
}

/// Before, an object of which a newer version was known was stuck until the next start of the controller, and one that had
/// ended was never observed again.
#[test]
fn objects_go_on_from_what_is_stored_then() {
    let control_plane = ControlPlane::start(Options::default()).unwrap();
    let crds = [root().join("crds")];
    control_plane.apply_files(&crds).unwrap();
    control_plane.wait_for_crds().unwrap();
    control_plane.apply_files(&rights()).unwrap();
    control_plane.apply_text(GRANT).unwrap();
    let kubeconfig = control_plane
        .service_account_kubeconfig("opcancel-system", "opcancel-controller")
        .unwrap();
    let names = ["ended", "changed", "later"];
    let unasked = Scenario::default().with_operation(operation("unasked"), Script::missing());
    let scenario = names.iter().fold(unasked, |scenario, name| {
        scenario.with_operation(operation(name), Script::ignores_cancel())
    });
    let emulator = runtime().block_on(Emulator::start(scenario)).unwrap();
    let mut command = controller_process::command();
    command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args([
            "--admin-address=127.0.0.1:0",
            "--max-poll=2s",
            "--observe-budget=5s",
        ])
        .arg(format!("--endpoint-override=dialogflow={}", emulator.url()))
        .env("GCE_METADATA_HOST", emulator.metadata_address());
    let mut controller = ControllerProcess::spawn(command);
    controller.wait_until_ready();
    for name in ["ended", "changed"] {
        control_plane.apply_text(&manifest(name, &[])).unwrap();
        wait(&control_plane, name, "CancelRequested");
    }
    // Not asked to be cancelled before the backup is made: it is not there yet.
    control_plane.apply_text(&manifest("unasked", &[])).unwrap();
    wait(&control_plane, "unasked", "Reconciling");
    control_plane.back_up().unwrap();

    // What happens from here on is forgotten.
    let finish = |name| emulator.finish_operation(&operation(name), EndResult::completed());
    finish("ended").unwrap();
    wait(&control_plane, "ended", "Finished");
    let label = ["label", "opcancel", "changed", "team=other"];
    control_plane.run_kubectl(&label).unwrap();
    control_plane.apply_text(&manifest("later", &[])).unwrap();
    wait(&control_plane, "later", "CancelRequested");
    let script = Script::cancelled_after(Duration::ZERO);
    emulator
        .set_operation(&operation("unasked"), script)
        .unwrap();
    wait(&control_plane, "unasked", "Finished");
    let posts = |name| emulator.count(&operation(name), Cancel);
    assert_eq!(["ended", "changed", "unasked"].map(posts), [1, 1, 1]);
    control_plane.restore().unwrap();

    controller.wait_for_log(|log| log.contains("its data was rolled back"));
    for name in ["ended", "unasked"] {
        wait(&control_plane, name, "Finished");
    }
    finish("changed").unwrap();
    wait(&control_plane, "changed", "Finished");
    // What is finished, and what is asked already, is not asked again.
    assert_eq!(["ended", "changed", "unasked"].map(posts), [1, 1, 1]);
    drop(controller);
    control_plane.stop().unwrap();
}
