//! The processes of a soak: the control plane, the emulator instead of Google, and the controllers behind their proxies.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xtask::control_plane::{ControlPlane, Options};

use super::NOT_FOUND_AFTER;
use super::controller::{Controller, Targets};
use super::plan::Plan;
use super::tenant::{NAMESPACES, Tenant, grant};
use crate::tasks::cargo::Programs;
use crate::tasks::interrupt::Interrupt;
use crate::tasks::stand_ins::{self, CONTROLLER, EMULATOR, Emulator};

/// How many controllers run.
pub(super) const CONTROLLERS: usize = 2;

/// How long each of the emulator's answers takes, unless a fault says otherwise.
pub(super) const LATENCY: &str = "10ms";

/// Who the administrator and the tenants are.
const LOAD: &str = "soak";

/// See the module. Dropping it ends them; the folder with the logs stays.
pub(super) struct Environment {
    pub(super) control_plane: Arc<ControlPlane>,
    pub(super) emulator: Emulator,
    pub(super) controllers: Vec<Arc<Controller>>,
    pub(super) tenant: Tenant,
}

impl Environment {
    /// Starts all of it, with its files in an empty folder.
    pub(super) async fn start(
        programs: &Programs,
        folder: PathBuf,
        plan: &Plan,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let options = Options {
            data_dir: Some(folder),
        };
        let control_plane = Arc::new(interrupt.or(ControlPlane::start(options))?);
        prepare(&control_plane)?;
        let emulator = start_emulator(&control_plane, programs)?;
        let kubeconfig = control_plane.service_account_kubeconfig("opcancel-system", CONTROLLER)?;
        let targets = Targets {
            api_server: address(control_plane.server_url())?,
            google: address(&emulator.url)?,
            tokens: emulator.metadata_address.parse()?,
            google_authority: authority(&control_plane),
            kubeconfig,
        };
        let (lease, renewal) = if plan.is_short() {
            ("4s", "3s")
        } else {
            ("10s", "8s")
        };
        let settings = [
            "--max-poll=1s".to_owned(),
            format!("--not-found-after={NOT_FOUND_AFTER:#}"),
            "--leader-elect-namespace=opcancel-system".to_owned(),
            "--leader-elect-retry-period=500ms".to_owned(),
            // Shorter than the defaults, so that a leader that is killed or cut off costs less of the soak.
            format!("--leader-elect-lease-duration={lease}"),
            format!("--leader-elect-renew-deadline={renewal}"),
        ];
        let mut controllers = Vec::new();
        for number in 0..CONTROLLERS {
            let program = programs.path(CONTROLLER)?.to_owned();
            let plane = Arc::clone(&control_plane);
            let controller = Controller::new(number, plane, program, &targets, &settings).await?;
            let mut started = controller.lock().await;
            controller.start(&mut started).await?;
            controller.wait_until_ready(*started).await?;
            drop(started);
            controllers.push(Arc::new(controller));
        }
        let tenant = Tenant::new(
            control_plane.server_url(),
            &fs::read(control_plane.ca_file())?,
            &control_plane.service_account_token(NAMESPACES[0], LOAD)?,
            &emulator.admin_url,
        )?;
        Ok(Self {
            control_plane,
            emulator,
            controllers,
            tenant,
        })
    }

    /// Ends all of it.
    pub(super) fn stop(self) -> Result<()> {
        let Self {
            control_plane,
            controllers,
            ..
        } = self;
        drop(controllers);
        // Tasks that still have it end it when they end.
        Arc::into_inner(control_plane).map_or(Ok(()), ControlPlane::stop)
    }
}

fn authority(control_plane: &ControlPlane) -> PathBuf {
    control_plane.folder().join("emulator-authority.pem")
}

fn start_emulator(control_plane: &ControlPlane, programs: &Programs) -> Result<Emulator> {
    let scenario = control_plane.folder().join("soak-scenario.json");
    // The record is read several times a second.
    let content = json!({"latency": LATENCY, "recordLimit": 50_000});
    fs::write(&scenario, content.to_string())?;
    let flags = [
        "--tls".to_owned(),
        format!("--ca-file={}", authority(control_plane).display()),
    ];
    let quiet = [("RUST_LOG", OsStr::new("warn"))];
    Emulator::start_with(control_plane, programs, &scenario, &flags, &quiet)
        .with_context(|| format!("{EMULATOR} does not start"))
}

/// The address in a URL without a path.
fn address(url: &str) -> Result<SocketAddr> {
    let address = url.strip_prefix("https://").unwrap_or(url);
    address
        .parse()
        .with_context(|| format!("not an address: {url}"))
}

/// The CRDs, the controller's rights, the load's, and the grants.
fn prepare(control_plane: &ControlPlane) -> Result<()> {
    stand_ins::apply_rights(control_plane)?;
    let rbac = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": LOAD},
        "rules": [{
            "apiGroups": ["opcancel.github.io"], "verbs": ["create", "patch", "delete"],
            "resources": ["operationcancellations", "cancellationgrants"],
        }],
    });
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": LOAD},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": LOAD},
        "subjects": [{"kind": "ServiceAccount", "name": LOAD, "namespace": NAMESPACES[0]}],
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": LOAD, "namespace": NAMESPACES[0]},
    });
    let namespaces = NAMESPACES
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let mut items: Vec<Value> = namespaces.into();
    items.extend([account, role, binding]);
    items.extend(NAMESPACES.map(grant));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    control_plane.apply_text(&list.to_string())?;
    Ok(())
}
