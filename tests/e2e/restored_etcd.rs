//! An administrator restores etcd from an older snapshot while the controller runs.

use operations_emulator::{Emulator, EndResult, Scenario, Script};
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
    let scenario = names.iter().fold(Scenario::default(), |scenario, name| {
        scenario.with_operation(operation(name), Script::ignores_cancel())
    });
    let emulator = runtime().block_on(Emulator::start(scenario)).unwrap();
    let mut command = controller_process::command();
    command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--admin-address=127.0.0.1:0", "--max-poll=2s"])
        .arg(format!("--endpoint-override=dialogflow={}", emulator.url()))
        .env("GCE_METADATA_HOST", emulator.metadata_address());
    let mut controller = ControllerProcess::spawn(command);
    controller.wait_until_ready();
    for name in ["ended", "changed"] {
        control_plane.apply_text(&manifest(name, &[])).unwrap();
        wait(&control_plane, name, "CancelRequested");
    }
    control_plane.back_up().unwrap();

    // What happens from here on is forgotten.
    let finish = |name| emulator.finish_operation(&operation(name), EndResult::completed());
    finish("ended").unwrap();
    wait(&control_plane, "ended", "Finished");
    let label = ["label", "opcancel", "changed", "team=other"];
    control_plane.run_kubectl(&label).unwrap();
    control_plane.apply_text(&manifest("later", &[])).unwrap();
    wait(&control_plane, "later", "CancelRequested");
    control_plane.restore().unwrap();

    controller.wait_for_log(|log| log.contains("its data was rolled back"));
    wait(&control_plane, "ended", "Finished");
    finish("changed").unwrap();
    wait(&control_plane, "changed", "Finished");
    drop(controller);
    control_plane.stop().unwrap();
}
