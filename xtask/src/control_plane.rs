//! A real Kubernetes control plane on loopback, for the tests and the demo: etcd,
//! kube-apiserver, kube-controller-manager, and kubectl to talk to them.
//!
//! ```no_run
//! let control_plane = xtask::control_plane::ControlPlane::shared()?;
//! let namespace = control_plane.namespace("budget")?;
//! control_plane.run_kubectl(&["get", "serviceaccounts", "--namespace", &namespace])?;
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! Calls block; each takes at most as long as kubectl does, but the first start may build the
//! programs (see [`Binaries`]). Nothing is left running when the process ends, however it ends.

pub mod audit;
mod binaries;
pub(crate) mod certificates;
pub(crate) mod client;
mod daemons;
mod etcd;
pub(crate) mod go_build;
pub mod history;
pub(crate) mod kubeconfig;
mod processes;
mod start;
mod supervisor;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use binaries::{ASSETS_VARIABLE, Binaries};
pub use client::{Watch, WatchEvent, fed};
use daemons::{API_SERVER, CONTROLLER_MANAGER, ETCD};
use supervisor::Supervisor;
pub(crate) use supervisor::SupervisorHandle;

/// The environment variable with the folder of a running control plane that
/// [`ControlPlane::shared`] uses instead of starting one, so that test binaries can share it.
pub const SHARED_VARIABLE: &str = "OPCANCEL_CONTROL_PLANE";

/// The group of the administrator in [`ControlPlane::kubeconfig`]. It is bound to `cluster-admin`
/// by RBAC, unlike `system:masters`, which also escapes API Priority and Fairness.
pub const ADMIN_GROUP: &str = "opcancel:admins";

/// What a control plane is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where keys, logs and data go: an empty or absent folder, which stays afterwards. Without
    /// it they go to a temporary folder, which is removed.
    pub data_dir: Option<PathBuf>,
}

/// How a daemon is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With SIGTERM: it may finish what it does.
    Term,
    /// With SIGKILL.
    Kill,
}

/// A running control plane. Dropping it stops it: controller manager, API server, etcd.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    facts: Facts,
    /// `None` if another process runs it.
    supervisor: Option<Supervisor>,
}

/// The file in a control plane's folder with its [`Facts`]; written when it is ready.
const FACTS: &str = "control-plane.json";

/// What another process must know to use a running control plane.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Facts {
    server_url: String,
    kubectl: PathBuf,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready, about 3 s.
    ///
    /// # Errors
    /// When the programs cannot be had ([`Binaries::get`]), or one of them does not start: the
    /// message has the end of its log. Nothing is left running then.
    pub fn start(options: Options) -> Result<Self> {
        start::start(options)
    }

    /// The control plane of this process: the one that [`SHARED_VARIABLE`] names, else one that
    /// the first caller starts and that ends with the process. Give each test a [`Self::namespace`].
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::attach`]; every later caller gets the same message.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let running = std::env::var_os(SHARED_VARIABLE).filter(|folder| !folder.is_empty());
            let control_plane = match running {
                Some(folder) => Self::attach(Path::new(&folder)),
                None => Self::start(Options::default()),
            };
            control_plane.map_err(|error| format!("{error:#}"))
        });
        shared.as_ref().map_err(|message| anyhow!("{message}"))
    }

    /// Uses a control plane that another process runs, by its folder ([`Self::folder`]).
    ///
    /// # Errors
    /// When there is no control plane, or it does not answer.
    pub fn attach(folder: &Path) -> Result<Self> {
        let path = folder.join(FACTS);
        let read = || -> Result<Facts> { Ok(serde_json::from_str(&fs::read_to_string(&path)?)?) };
        let facts = read().with_context(|| {
            format!(
                "no control plane runs in {} ({SHARED_VARIABLE})",
                folder.display()
            )
        })?;
        let control_plane = Self {
            folder: folder.to_owned(),
            facts,
            supervisor: None,
        };
        control_plane
            .run_kubectl(&["get", "--raw", "/readyz"])
            .with_context(|| format!("the control plane in {} is gone", folder.display()))?;
        Ok(control_plane)
    }

    /// The folder with its keys, logs and kubeconfigs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The administrator's kubeconfig, of a user in [`ADMIN_GROUP`].
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The API server's URL, `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn server_url(&self) -> &str {
        &self.facts.server_url
    }

    /// The PEM file with the CA that signed the API server's certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The API server's audit log, for [`audit::requests`].
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join(daemons::AUDIT_LOG)
    }

    /// The kubectl of the control plane's own release.
    #[must_use]
    pub fn kubectl(&self) -> &Path {
        &self.facts.kubectl
    }

    /// Fails, with the end of its log, if one of the daemons has ended by itself.
    ///
    /// # Errors
    /// When one has. A control plane that another process runs is never checked.
    pub fn check(&self) -> Result<()> {
        let Some(supervisor) = &self.supervisor else {
            return Ok(());
        };
        [ETCD, API_SERVER, CONTROLLER_MANAGER]
            .into_iter()
            .try_for_each(|name| supervisor.check(name))
    }

    /// Keeps a copy of all that is stored, for [`Self::restore`]. API server and etcd are away for some seconds.
    ///
    /// # Errors
    /// When another process runs it, or one of them does not come back.
    pub fn back_up(&self) -> Result<()> {
        start::with_storage(self.supervisor()?, self, |data, copy| {
            if copy.exists() {
                fs::remove_dir_all(copy)?;
            }
            start::copy_folder(data, copy)
        })
    }

    /// Puts back what was stored at the last [`Self::back_up`], resource versions too, as an administrator restores etcd.
    ///
    /// # Errors
    /// As [`Self::back_up`], and when there was none.
    pub fn restore(&self) -> Result<()> {
        start::with_storage(self.supervisor()?, self, |data, copy| {
            fs::remove_dir_all(data)?;
            start::copy_folder(copy, data)
        })
    }

    /// Ends the API server alone, with SIGTERM or SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When another process runs it, or it does not end.
    pub fn stop_api_server(&self, how: End) -> Result<()> {
        start::stop_daemon(self.supervisor()?, self, API_SERVER, how)
    }

    /// Starts an API server that [`Self::stop_api_server`] ended, at the same address, and waits until it is ready.
    ///
    /// # Errors
    /// When another process runs it, or it does not become ready.
    pub fn start_api_server(&self) -> Result<()> {
        start::restart_api_server(self.supervisor()?, self)
    }

    /// Sends a request to etcd's JSON API, such as `/v3/kv/compaction`, and returns the answer.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub fn ask_etcd(&self, path: &str, body: &Value) -> Result<Value> {
        etcd::ask(&self.folder, path, body)
    }

    /// Stops it and waits until all of it is gone; one that another process runs is left alone.
    ///
    /// # Errors
    /// When the supervisor cannot be waited for.
    pub fn stop(mut self) -> Result<()> {
        self.supervisor.as_mut().map_or(Ok(()), Supervisor::stop)
    }
}
