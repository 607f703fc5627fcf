//! The API server is away for longer than a Lease lasts. Reports of other operators tell of restarts and of minutes without a leader
//! after such an outage (NVIDIA/gpu-operator#2767, VictoriaMetrics/operator#165, Mellanox/network-operator#3256).

use operations_emulator::Script;
use xtask::control_plane::End;

use crate::support::{
    controller_process::ControllerProcess,
    own_cluster::OwnCluster,
    release::{LEASE, SHORT_LEASE, lease_role, wait_to_lead},
};

const NAMESPACE: &str = "opcancel-system";

#[test]
fn the_leader_stops_and_the_standby_leads_when_the_api_server_is_back() {
    let cluster = OwnCluster::without_controller([
        ("before", Script::default()),
        ("after", Script::default()),
    ]);
    let role = lease_role(NAMESPACE).to_string();
    cluster.control_plane.apply_text(&role).unwrap();
    let command = || {
        let mut command = cluster.controller_command();
        command
            .arg("--leader-elect=true")
            .arg(format!("--leader-elect-namespace={NAMESPACE}"))
            .arg(format!("--leader-elect-lease-name={LEASE}"));
        command
    };
    let start = |pod: &str| {
        let mut command = command();
        command.args(SHORT_LEASE).env("HOSTNAME", pod);
        let mut process = ControllerProcess::spawn(command);
        process.wait_until_ready();
        process
    };
    let mut leader = start("pod-a");
    wait_to_lead(&leader);
    let standby = start("pod-b");
    standby.wait_for_log(|log| log.contains("another process is the leader"));
    cluster.cancel("before");
    cluster.wait(&["before"], "Finished");

    cluster.control_plane.stop_api_server(End::Kill).unwrap();
    assert_eq!(leader.wait().code(), Some(1));
    let said = "this process is no longer the leader: it could not renew the Lease";
    assert!(leader.log().contains(said), "{}", leader.log());
    // Its next process waits for the API server, so the outage causes one restart.
    let mut restarted = ControllerProcess::spawn(command());
    restarted.wait_until_serving();
    restarted.wait_for_log(|log| log.contains("the API server cannot be reached"));
    assert_eq!(
        (restarted.admin("/readyz").0, restarted.admin("/livez").0),
        (503, 200)
    );

    cluster.control_plane.start_api_server().unwrap();
    wait_to_lead(&standby);
    cluster.cancel("after");
    cluster.wait(&["after"], "Finished");
    assert_eq!(cluster.posts("after"), 1);
    drop((standby, restarted));
    cluster.stop();
}
