//! Everything that runs while the demo does: the control plane, the emulator in Google's place, and
//! the controller, each a process of its own. Whatever ends the demo ends all of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use xtask::control_plane::{ControlPlane, Options};
use xtask::loopback_http;

use crate::tasks::cargo::{self, Programs};
use crate::tasks::interrupt::Interrupt;

/// The controller's name, of its program and of its ServiceAccount.
pub(super) const CONTROLLER: &str = "opcancel-controller";
/// The emulator's name.
pub(super) const EMULATOR: &str = "operations-emulator";
/// The controller's namespace, as in deploy/base.
const NAMESPACE: &str = "opcancel-system";

/// How long one of the two may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Real operations may be invisible for minutes; here nobody wants to wait so long.
const NOT_FOUND_AFTER: &str = "10s";
/// Whom the scenario's metadata server speaks for.
const PRINCIPAL: &str = "opcancel@acme-prod.iam.gserviceaccount.com";

/// What runs; dropping it ends it.
pub(super) struct Stage {
    pub(super) control_plane: ControlPlane,
    emulator: Addresses,
    /// The controller's /livez, /readyz and /metrics.
    pub(super) admin: SocketAddr,
}

/// Where the emulator listens, as it says itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addresses {
    url: String,
    metadata_address: String,
    admin_url: String,
}

impl Stage {
    /// Builds, starts and prepares all of it, and says how long each step takes.
    pub(super) fn set(latency: &str, interrupt: &Interrupt) -> Result<Self> {
        let programs = step("opcancel-controller and operations-emulator built", || {
            interrupt.or(Programs::build())
        })?;
        let control_plane = step(
            "etcd, kube-apiserver, kube-controller-manager ready",
            || interrupt.or(ControlPlane::start(Options::default())),
        )?;
        step("deploy/install.yaml applied", || {
            interrupt.or(prepare(&control_plane))
        })?;
        let emulator = step("operations-emulator ready, in Google's place", || {
            let started = start_emulator(&control_plane, &programs, latency);
            interrupt.or(started)
        })?;
        let admin = step(
            "opcancel-controller ready, with its ServiceAccount's rights",
            || {
                let started = start_controller(&control_plane, &programs, &emulator);
                interrupt.or(started)
            },
        )?;
        Ok(Self {
            control_plane,
            emulator,
            admin,
        })
    }

    /// Fails, with the end of its log, if anything has ended.
    pub(super) fn check(&self) -> Result<()> {
        self.control_plane.check()?;
        self.control_plane.check_beside(EMULATOR)?;
        self.control_plane.check_beside(CONTROLLER)
    }

    /// The emulator's admin API.
    pub(super) fn emulator_admin(&self) -> &str {
        &self.emulator.admin_url
    }

    /// How often Google was called for each operation, by the emulator's record: `3 GET, 1 POST`.
    pub(super) fn calls(&self) -> Result<BTreeMap<String, String>> {
        let address = address(&self.emulator.admin_url)?;
        let record: Record = serde_json::from_str(&loopback_http::get(address, "/admin/requests")?)
            .context("the emulator's record")?;
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
        let told = |(gets, posts)| format!("{gets} GET, {posts} POST");
        Ok(counts
            .into_iter()
            .map(|(operation, count)| (operation, told(count)))
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

/// Applies what an administrator would: CRDs, namespace, ServiceAccount, rights, and a Deployment, whose work is done here by a
/// process.
fn prepare(control_plane: &ControlPlane) -> Result<()> {
    let install = cargo::root().join("deploy/install.yaml");
    control_plane.run_kubectl(&[
        "apply",
        "--server-side",
        "--validate=strict",
        "--filename",
        &install.display().to_string(),
    ])?;
    let mut wait = vec!["wait", "--for=condition=Established", "--timeout=30s"];
    let names = ["operationcancellations", "cancellationgrants"]
        .map(|crd| format!("customresourcedefinition/{crd}.opcancel.github.io"));
    wait.extend(names.iter().map(String::as_str));
    control_plane.run_kubectl(&wait)?;
    Ok(())
}

fn start_emulator(
    control_plane: &ControlPlane,
    programs: &Programs,
    latency: &str,
) -> Result<Addresses> {
    let scenario = cargo::root().join("examples/emulator/scenario.yaml");
    let announced = control_plane.folder().join("emulator-addresses.json");
    let arguments = [
        format!("--scenario={}", scenario.display()),
        format!("--addresses-file={}", announced.display()),
        format!("--latency={latency}"),
    ];
    control_plane.run_beside(EMULATOR, programs.path(EMULATOR)?, &arguments, &[])?;
    control_plane.wait_beside(EMULATOR, READY_LIMIT, || announced.exists())?;
    Ok(serde_json::from_str(&fs::read_to_string(&announced)?)?)
}

/// Starts the controller and waits for /readyz; returns the address of its admin server.
fn start_controller(
    control_plane: &ControlPlane,
    programs: &Programs,
    emulator: &Addresses,
) -> Result<SocketAddr> {
    let kubeconfig = control_plane.service_account_kubeconfig(NAMESPACE, CONTROLLER)?;
    let admin = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let arguments = [
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--endpoint-override=dialogflow={}", emulator.url),
        format!("--expect-principal={PRINCIPAL}"),
        format!("--not-found-after={NOT_FOUND_AFTER}"),
        "--cluster-name=demo".to_owned(),
        format!("--admin-address={admin}"),
    ];
    // As on GKE, the token comes from the metadata server.
    let metadata = [("GCE_METADATA_HOST", OsStr::new(&emulator.metadata_address))];
    control_plane.run_beside(
        CONTROLLER,
        programs.path(CONTROLLER)?,
        &arguments,
        &metadata,
    )?;
    control_plane.wait_beside(CONTROLLER, READY_LIMIT, || {
        loopback_http::get(admin, "/readyz").is_ok()
    })?;
    Ok(admin)
}

/// The address in `http://127.0.0.1:PORT`.
fn address(url: &str) -> Result<SocketAddr> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    address
        .parse()
        .with_context(|| format!("not an address: {url}"))
}
