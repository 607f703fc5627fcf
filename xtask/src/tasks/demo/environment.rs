//! Everything that the demo runs: the control plane, the emulator instead of Google, and the
//! controller's Deployment on a stand-in for a node. All of it stops with the demo.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Deserialize;
use xtask::control_plane::{ControlPlane, Options};
use xtask::loopback_http;
use xtask::node::Node;

use crate::tasks::cargo::{self, Programs};
use crate::tasks::interrupt::Interrupt;
use crate::tasks::stand_ins::{self, EMULATOR, Emulator};

/// The overlay that is installed: the one for GKE. Its expected principal is the account of the
/// scenario's metadata server.
const OVERLAY: &str = "deploy/overlays/gke";
/// The options of kubectl that name the controller.
const NAMESPACE: &str = "--namespace=opcancel-system";
const DEPLOYMENT: &str = "deployment/opcancel-controller";
/// The Lease of its Pods.
const LEASE: &str = "lease/opcancel-controller";

/// The running processes; dropping the value stops them.
pub(super) struct Environment {
    node: Node,
    pub(super) control_plane: ControlPlane,
    emulator: Emulator,
    /// The leader's /livez, /readyz and /metrics.
    pub(super) admin: SocketAddr,
}

impl Environment {
    /// Builds, starts and prepares everything, and prints how long each step takes.
    pub(super) fn start(latency: &str, interrupt: &Interrupt) -> Result<Self> {
        let programs = step("opcancel-controller and operations-emulator built", || {
            interrupt.or(Programs::build())
        })?;
        let control_plane = step(
            "etcd, kube-apiserver, kube-controller-manager ready",
            || interrupt.or(ControlPlane::start(Options::default())),
        )?;
        let emulator = step("operations-emulator ready, instead of Google", || {
            interrupt.or(Emulator::start(&control_plane, &programs, latency))
        })?;
        let node = stand_ins::start_node(&control_plane, &programs, &emulator)?;
        step(&format!("kubectl apply --server-side -k {OVERLAY}"), || {
            let folder = cargo::root().join(OVERLAY);
            interrupt.or(control_plane.run_kubectl(&[
                "apply",
                "--server-side",
                "-k",
                &folder.to_string_lossy(),
            ]))
        })?;
        let admin = step("opcancel-controller rolled out", || {
            interrupt.or(roll_out(&control_plane, &node))
        })?;
        Ok(Self {
            node,
            control_plane,
            emulator,
            admin,
        })
    }

    /// Stops everything.
    pub(super) fn stop(self) -> Result<()> {
        drop(self.node);
        self.control_plane.stop()
    }

    /// Fails, with the end of its log, if a process has ended.
    pub(super) fn check(&self) -> Result<()> {
        self.control_plane.check()?;
        self.control_plane.check_process(EMULATOR)?;
        self.node.check()
    }

    /// The end of the controller's log.
    pub(super) fn controller_log(&self) -> Result<String> {
        self.control_plane
            .run_kubectl(&["logs", DEPLOYMENT, NAMESPACE, "--all-pods", "--tail=12"])
    }

    /// The emulator's admin API.
    pub(super) fn emulator_admin(&self) -> &str {
        &self.emulator.admin_url
    }

    /// The number of requests for each operation, from the emulator's record: `3 GET, 1 POST`.
    pub(super) fn calls(&self) -> Result<BTreeMap<String, String>> {
        let asked = loopback_http::get(self.emulator.admin()?, "/admin/requests")?;
        let record: Record = serde_json::from_str(&asked).context("the emulator's record")?;
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for request in record.requests {
            let Some(operation) = request.operation else {
                continue;
            };
            let (gets, posts) = counts.entry(operation).or_default();
            *(if request.method == "POST" {
                posts
            } else {
                gets
            }) += 1;
        }
        let text = |(gets, posts)| format!("{gets} GET, {posts} POST");
        Ok(counts
            .into_iter()
            .map(|(operation, count)| (operation, text(count)))
            .collect())
    }
}

/// The requests to the emulator.
#[derive(Deserialize)]
struct Record {
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    operation: Option<String>,
}

/// Runs a step and prints how long it took.
fn step<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = run()?;
    println!("{:>6.1} s  {what}", start.elapsed().as_secs_f64());
    Ok(result)
}

/// Waits until the controller is ready; returns the address of the leader's admin server.
fn roll_out(control_plane: &ControlPlane, node: &Node) -> Result<SocketAddr> {
    let rolled_out =
        control_plane.run_kubectl(&["rollout", "status", DEPLOYMENT, NAMESPACE, "--timeout=30s"]);
    // The end of its log says more.
    node.check()?;
    rolled_out?;
    leader(control_plane)
}

/// The address of the leader's admin server.
fn leader(control_plane: &ControlPlane) -> Result<SocketAddr> {
    let holder = "jsonpath={.spec.holderIdentity}";
    for wanted in ["create", holder] {
        let wanted = format!("--for={wanted}");
        control_plane.run_kubectl(&["wait", LEASE, NAMESPACE, &wanted, "--timeout=30s"])?;
    }
    let output = format!("--output={holder}");
    let holder = control_plane.run_kubectl(&["get", LEASE, NAMESPACE, &output])?;
    let (pod, _) = holder
        .split_once('_')
        .context("the holder of the Lease is not a Pod")?;
    let ip = "--output=jsonpath={.status.podIP}";
    let ip = control_plane.run_kubectl(&["get", "pod", pod, NAMESPACE, ip])?;
    Ok(SocketAddr::new(
        ip.trim().parse().context("the Pod's address")?,
        8080,
    ))
}
