//! The API server is away for longer than a Lease lasts. Reports of other operators tell of restarts and of minutes without a leader
//! after such an outage (NVIDIA/gpu-operator#2767, VictoriaMetrics/operator#165, Mellanox/network-operator#3256).

use operations_emulator::{Emulator, Scenario, Script};
use xtask::control_plane::{ControlPlane, End, Options};

use crate::support::{
    cluster::{rights, root, runtime},
    controller_process::{self, ControllerProcess},
    release::{LEASE, SHORT_LEASE, lease_role, wait_to_lead},
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

const NAMESPACE: &str = "opcancel-system";

#[test]
fn the_leader_stops_and_the_standby_leads_when_the_api_server_is_back() {
    let control_plane = ControlPlane::start(Options::default()).unwrap();
    control_plane.apply_files(&[root().join("crds")]).unwrap();
    control_plane.wait_for_crds().unwrap();
    control_plane.apply_files(&rights()).unwrap();
    let role = lease_role(NAMESPACE).to_string();
    for text in [GRANT, &role] {
        control_plane.apply_text(text).unwrap();
    }
    let kubeconfig = control_plane
        .service_account_kubeconfig(NAMESPACE, "opcancel-controller")
        .unwrap();
    let scenario = ["before", "after"]
        .iter()
        .fold(Scenario::default(), |scenario, name| {
            scenario.with_operation(operation(name), Script::default())
        });
    let emulator = runtime().block_on(Emulator::start(scenario)).unwrap();
    let start = |pod: &str| {
        let mut command = controller_process::command();
        command
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(["--admin-address=127.0.0.1:0", "--leader-elect=true"])
            .arg(format!("--leader-elect-namespace={NAMESPACE}"))
            .arg(format!("--leader-elect-lease-name={LEASE}"))
            .args(SHORT_LEASE)
            .arg(format!("--endpoint-override=dialogflow={}", emulator.url()))
            .env("GCE_METADATA_HOST", emulator.metadata_address())
            .env("HOSTNAME", pod);
        let mut process = ControllerProcess::spawn(command);
        process.wait_until_ready();
        process
    };
    let cancel = |name: &str| {
        control_plane.apply_text(&manifest(name, &[])).unwrap();
        let wait = [
            "wait",
            "opcancel",
            name,
            "--for=condition=Finished",
            "--timeout=60s",
        ];
        control_plane.run_kubectl(&wait).unwrap();
    };
    let mut leader = start("pod-a");
    wait_to_lead(&leader);
    let standby = start("pod-b");
    standby.wait_for_log(|log| log.contains("another process is the leader"));
    cancel("before");

    control_plane.stop_api_server(End::Kill).unwrap();
    assert_eq!(leader.wait().code(), Some(1));
    let said = "this process is no longer the leader: it could not renew the Lease";
    assert!(leader.log().contains(said), "{}", leader.log());
    // Its next process waits for the API server, so the outage causes one restart.
    let mut restarted = ControllerProcess::spawn({
        let mut command = controller_process::command();
        command.arg("--kubeconfig").arg(&kubeconfig).args([
            "--admin-address=127.0.0.1:0",
            "--leader-elect=true",
            "--leader-elect-namespace=opcancel-system",
        ]);
        command
    });
    restarted.wait_until_serving();
    restarted.wait_for_log(|log| log.contains("the API server cannot be reached"));
    assert_eq!(
        (restarted.admin("/readyz").0, restarted.admin("/livez").0),
        (503, 200)
    );

    control_plane.start_api_server().unwrap();
    wait_to_lead(&standby);
    cancel("after");
    assert_eq!(
        emulator.count(&operation("after"), operations_emulator::Call::Cancel),
        1
    );
    drop((standby, restarted));
    control_plane.stop().unwrap();
}
