//! Everything that runs while the demo does: the control plane, the emulator in Google's place, and
//! the controller's Deployment on a stand-in for a node. Whatever ends the demo ends all of them.

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

/// What is installed: the overlay that people on GKE begin with. The scenario's metadata server
/// speaks for the account that it expects.
const OVERLAY: &str = "deploy/overlays/gke";
/// The options of kubectl that name the controller.
const NAMESPACE: &str = "--namespace=opcancel-system";
const DEPLOYMENT: &str = "deployment/opcancel-controller";

/// What runs; dropping it ends it.
pub(super) struct Environment {
    node: Node,
    pub(super) control_plane: ControlPlane,
    emulator: Emulator,
    /// The controller's /livez, /readyz and /metrics.
    pub(super) admin: SocketAddr,
}

impl Environment {
    /// Builds, starts and prepares all of it, and says how long each step takes.
    pub(super) fn start(latency: &str, interrupt: &Interrupt) -> Result<Self> {
        let programs = step("opcancel-controller and operations-emulator built", || {
            interrupt.or(Programs::build())
        })?;
        let control_plane = step(
            "etcd, kube-apiserver, kube-controller-manager ready",
            || interrupt.or(ControlPlane::start(Options::default())),
        )?;
        let emulator = step("operations-emulator ready, in Google's place", || {
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

    /// Ends all of it.
    pub(super) fn stop(self) -> Result<()> {
        drop(self.node);
        self.control_plane.stop()
    }

    /// Fails, with the end of its log, if anything has ended.
    pub(super) fn check(&self) -> Result<()> {
        self.control_plane.check()?;
        self.control_plane.check_beside(EMULATOR)?;
        self.node.check()
    }

    /// What the controller has logged.
    pub(super) fn controller_log(&self) -> Result<String> {
        self.control_plane
            .run_kubectl(&["logs", DEPLOYMENT, NAMESPACE, "--tail=12"])
    }

    /// The emulator's admin API.
    pub(super) fn emulator_admin(&self) -> &str {
        &self.emulator.admin_url
    }

    /// How often Google was called for each operation, by the emulator's record: `3 GET, 1 POST`.
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

/// The requests that the emulator has got.
#[derive(Deserialize)]
struct Record {
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    operation: Option<String>,
}

/// Does something and says how long it took.
fn step<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = run()?;
    println!("{:>6.1} s  {what}", start.elapsed().as_secs_f64());
    Ok(result)
}

/// Waits until the controller is ready; returns the address of its admin server.
fn roll_out(control_plane: &ControlPlane, node: &Node) -> Result<SocketAddr> {
    let rolled_out =
        control_plane.run_kubectl(&["rollout", "status", DEPLOYMENT, NAMESPACE, "--timeout=30s"]);
    // Its own last words say more.
    node.check()?;
    rolled_out?;
    let ip = "--output=jsonpath={.items[0].status.podIP}";
    let ip = control_plane.run_kubectl(&["get", "pods", NAMESPACE, ip])?;
    Ok(SocketAddr::new(
        ip.trim().parse().context("the Pod's address")?,
        8080,
    ))
}
