//! A control plane that one test has for itself, with the CRDs, the controller's rights, a grant, an emulator and a controller.
//! Objects are in the namespace `default`.

use std::{path::PathBuf, process::Command};

use operations_emulator::{Call, Emulator, Script};
use xtask::control_plane::{ControlPlane, Options};

use super::{
    cluster::{rights, root, runtime},
    controller_process::{self, ControllerProcess},
    object::Object,
    world::{manifest, operation, scenario, wait_for_call},
};

/// Grants the namespace `default` the project of [`operation`].
pub const GRANT: &str = "apiVersion: opcancel.github.io/v1alpha1
kind: CancellationGrant
metadata:
  name: team
spec:
  namespaces: [default]
  projects: [acme-prod]
  services: [dialogflow]
  identities: [Operator]
";

/// See the module.
pub struct OwnCluster {
    /// Stands in for Google.
    pub emulator: Emulator,
    /// The controller, unless it does not run.
    controller: Option<ControllerProcess>,
    /// The kubeconfig of the controller's ServiceAccount.
    pub kubeconfig: PathBuf,
    /// The last one to be dropped.
    pub control_plane: ControlPlane,
}

impl OwnCluster {
    /// Starts all but the controller. The operations by their ids ([`operation`]).
    pub fn without_controller(
        operations: impl IntoIterator<Item = (&'static str, Script)>,
    ) -> Self {
        let control_plane = ControlPlane::start(Options::default()).unwrap();
        control_plane.apply_files(&[root().join("crds")]).unwrap();
        control_plane.wait_for_crds().unwrap();
        control_plane.apply_files(&rights()).unwrap();
        control_plane.apply_text(GRANT).unwrap();
        let kubeconfig = control_plane
            .service_account_kubeconfig("opcancel-system", "opcancel-controller")
            .unwrap();
        let scenario = scenario(operations);
        let emulator = runtime().block_on(Emulator::start(scenario)).unwrap();
        Self {
            emulator,
            controller: None,
            kubeconfig,
            control_plane,
        }
    }

    /// Starts all.
    pub fn start(operations: impl IntoIterator<Item = (&'static str, Script)>) -> Self {
        let mut cluster = Self::without_controller(operations);
        cluster.start_controller();
        cluster
    }

    /// Starts the controller and waits until it is ready.
    pub fn start_controller(&mut self) {
        let mut controller = ControllerProcess::spawn(self.controller_command());
        controller.wait_until_ready();
        self.controller = Some(controller);
    }

    /// Starts the controller and returns as soon as it has a log.
    pub fn spawn_controller(&mut self) {
        let mut controller = ControllerProcess::spawn(self.controller_command());
        controller.wait_until_serving();
        self.controller = Some(controller);
    }

    /// The command that runs the controller.
    pub fn controller_command(&self) -> Command {
        let mut command = controller_process::command();
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args([
                "--admin-address=127.0.0.1:0",
                "--max-poll=1s",
                "--observe-budget=5s",
                "--namespace-calls-per-minute=off",
            ])
            .arg(format!(
                "--endpoint-override=dialogflow={}",
                self.emulator.url()
            ))
            .env("GCE_METADATA_HOST", self.emulator.metadata_address());
        command
    }

    /// Ends the controller, which releases its Lease.
    pub fn stop_controller(&mut self) {
        if let Some(mut controller) = self.controller.take() {
            controller.terminate();
            assert!(controller.wait().success());
        }
    }

    /// The running controller.
    pub fn controller(&mut self) -> &mut ControllerProcess {
        self.controller.as_mut().unwrap()
    }

    /// Creates the cancellation of [`operation`]`(name)`.
    pub fn cancel(&self, name: &str) {
        self.control_plane.apply_text(&manifest(name, &[])).unwrap();
    }

    /// Waits until objects have this condition.
    pub fn wait(&self, names: &[&str], condition: &str) {
        let condition = format!("--for=condition={condition}");
        let wait = ["wait", "opcancel", &condition, "--timeout=90s"];
        let waited = self.control_plane.run_kubectl(&[&wait, names].concat());
        waited.unwrap_or_else(|why| {
            let seen = ["get", "opcancel", "--output=yaml"];
            let seen = self.control_plane.run_kubectl(&seen).unwrap_or_default();
            panic!("{why:#}\n{seen}")
        });
    }

    /// An object.
    pub fn object(&self, name: &str) -> Object {
        let get = ["get", "opcancel", name, "--output=json"];
        let text = self.control_plane.run_kubectl(&get).unwrap();
        Object(serde_json::from_str(&text).unwrap())
    }

    /// Waits until an object has its outcome, and returns the outcome.
    pub fn outcome(&self, name: &str) -> String {
        self.wait(&[name], "Finished");
        self.object(name).outcome()
    }

    /// How many cancel requests arrived for [`operation`]`(name)`.
    pub fn posts(&self, name: &str) -> usize {
        self.emulator.count(&operation(name), Call::Cancel)
    }

    /// Waits until a call about [`operation`]`(name)` has arrived, whether it was answered or not.
    pub fn wait_for_call(&self, name: &str, call: Call) {
        wait_for_call(&self.emulator, name, call);
    }

    /// Ends all of it.
    pub fn stop(self) {
        let Self {
            controller,
            control_plane,
            ..
        } = self;
        drop(controller);
        control_plane.stop().unwrap();
    }
}
