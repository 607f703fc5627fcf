//! Stand-ins: the emulator instead of Google, a node that runs the controller's Deployment
//! unchanged, with that emulator, and what a controller needs that runs as a process.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use xtask::control_plane::ControlPlane;
use xtask::node::{self, Node};

use super::cargo::{self, Programs};

/// The controller's name: of its program, its image, its Deployment and its ServiceAccount.
pub(super) const CONTROLLER: &str = "opcancel-controller";
/// The emulator's name.
pub(super) const EMULATOR: &str = "operations-emulator";

/// The services of `examples/`. The emulator replaces their endpoints.
pub(super) const SERVICES: [&str; 7] = [
    "aiplatform",
    "container",
    "dataproc",
    "dialogflow",
    "file",
    "spanner",
    "sqladmin",
];

/// How long the emulator may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// The part of a controller's log that has the address of its admin server, in bytes.
const BEGINNING: u64 = 64 * 1024;

/// A running emulator.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Emulator {
    /// The base URL of the Operations API.
    pub(super) url: String,
    /// Host and port of the metadata server.
    pub(super) metadata_address: String,
    /// The base URL of its admin API.
    pub(super) admin_url: String,
}

impl Emulator {
    /// Starts it beside the control plane, with the operations of `examples/`; each of its answers takes `latency`.
    pub(super) fn start(
        control_plane: &ControlPlane,
        programs: &Programs,
        latency: &str,
    ) -> Result<Self> {
        let scenario = cargo::root().join("examples/emulator/scenario.yaml");
        let latency = format!("--latency={latency}");
        Self::start_with(control_plane, programs, &scenario, &[latency], &[])
    }

    /// Starts it beside the control plane with any scenario, and more flags and variables.
    pub(super) fn start_with(
        control_plane: &ControlPlane,
        programs: &Programs,
        scenario: &Path,
        more: &[String],
        variables: &[(&str, &OsStr)],
    ) -> Result<Self> {
        let announced = control_plane.folder().join("emulator-addresses.json");
        let mut arguments = vec![
            format!("--scenario={}", scenario.display()),
            format!("--addresses-file={}", announced.display()),
        ];
        arguments.extend_from_slice(more);
        control_plane.run_process(EMULATOR, programs.path(EMULATOR)?, &arguments, variables)?;
        control_plane.wait_for_process(EMULATOR, READY_LIMIT, || announced.exists())?;
        Ok(serde_json::from_str(&fs::read_to_string(&announced)?)?)
    }

    /// The address of its admin API.
    pub(super) fn admin(&self) -> Result<SocketAddr> {
        let address = self
            .admin_url
            .strip_prefix("http://")
            .unwrap_or(&self.admin_url);
        address
            .parse()
            .with_context(|| format!("not an address: {}", self.admin_url))
    }
}

/// Applies what a controller needs that runs as a process: the CRDs, and its ServiceAccount with the rights of `deploy/`.
pub(super) fn apply_rights(control_plane: &ControlPlane) -> Result<()> {
    let files = [
        "crds",
        "deploy/base/namespace.yaml",
        "deploy/base/service-account.yaml",
        "deploy/base/controller-role.yaml",
        "deploy/base/leader-election-role.yaml",
    ];
    control_plane.apply_files(&files.map(|file| cargo::root().join(file)))?;
    control_plane.wait_for_crds()
}

/// The address of the admin server of the controller that runs as this process, if its log has it already.
pub(super) fn admin_of(control_plane: &ControlPlane, process: &str) -> Option<SocketAddr> {
    let mut log = String::new();
    let file = File::open(control_plane.log_file(process)).ok()?;
    // One of the first lines has it.
    file.take(BEGINNING).read_to_string(&mut log).ok()?;
    let line = log.lines().find(|line| line.contains("serving /livez"))?;
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
}

/// Starts a node that runs the controller behind the emulator.
pub(super) fn start_node(
    control_plane: &ControlPlane,
    programs: &Programs,
    emulator: &Emulator,
) -> Result<Node> {
    let overrides = SERVICES.map(|service| format!("{service}={}", emulator.url));
    let variables = [
        ("OPCANCEL_ENDPOINT_OVERRIDE", overrides.join(",")),
        // As on GKE, the token comes from the metadata server.
        ("GCE_METADATA_HOST", emulator.metadata_address.clone()),
        // Real operations may be invisible for minutes; this would take too long here.
        ("OPCANCEL_NOT_FOUND_AFTER", "10s".to_owned()),
        ("OPCANCEL_CLUSTER_NAME", "stand-in".to_owned()),
    ];
    let options = node::Options {
        images: BTreeMap::from([(CONTROLLER.to_owned(), programs.path(CONTROLLER)?.to_owned())]),
        variables: variables
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
    };
    Node::start(control_plane, options)
}
