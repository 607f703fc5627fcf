//! A controller of the soak: its process, which is ended and started again, and the network around it.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;
use xtask::control_plane::ControlPlane;
use xtask::loopback_http;

use crate::tasks::stand_ins;
use crate::tasks::tcp_proxy::Proxy;

/// How long a process may take to start, and to be ready.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often the supervisor's files are read, which announce nothing.
const FILES_EVERY: Duration = Duration::from_millis(10);

/// How long a process may take to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Where the controller reaches the rest of the world, past the proxies.
#[derive(Clone)]
pub(super) struct Targets {
    pub(super) api_server: SocketAddr,
    pub(super) google: SocketAddr,
    pub(super) tokens: SocketAddr,
    /// The certificate of the emulator's authority.
    pub(super) google_authority: PathBuf,
    /// A kubeconfig that leads to the API server itself.
    pub(super) kubeconfig: PathBuf,
}

/// See the module.
pub(super) struct Controller {
    /// The proxy to the API server.
    pub(super) api: Proxy,
    /// The proxy to Google.
    pub(super) google: Proxy,
    /// The proxy to the metadata server.
    pub(super) tokens: Proxy,
    number: usize,
    program: PathBuf,
    arguments: Vec<String>,
    control_plane: Arc<ControlPlane>,
    /// How often the process was started. Locked by what ends or starts it.
    started: Mutex<u32>,
}

impl Controller {
    /// With its proxies; its process does not run yet.
    pub(super) async fn new(
        number: usize,
        control_plane: Arc<ControlPlane>,
        program: PathBuf,
        targets: &Targets,
        settings: &[String],
    ) -> Result<Self> {
        let api = Proxy::start(targets.api_server).await?;
        let google = Proxy::start(targets.google).await?;
        let tokens = Proxy::start(targets.tokens).await?;
        let direct = fs::read_to_string(&targets.kubeconfig)?;
        let through_proxy =
            direct.replace(&targets.api_server.to_string(), &api.address.to_string());
        if through_proxy == direct {
            bail!(
                "{} has no {}",
                targets.kubeconfig.display(),
                targets.api_server
            );
        }
        let kubeconfig = control_plane
            .folder()
            .join(format!("controller-{number}.kubeconfig"));
        fs::write(&kubeconfig, through_proxy)?;
        let mut arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--endpoint-override=dialogflow=https://{}", google.address),
            format!("--ca-file={}", targets.google_authority.display()),
            "--admin-address=127.0.0.1:0".to_owned(),
            "--log-format=json".to_owned(),
            "--log-level=debug".to_owned(),
        ];
        arguments.extend_from_slice(settings);
        Ok(Self {
            api,
            google,
            tokens,
            number,
            program,
            arguments,
            control_plane,
            started: Mutex::new(0),
        })
    }

    /// Keeps others from ending or starting the process.
    pub(super) async fn lock(&self) -> MutexGuard<'_, u32> {
        self.started.lock().await
    }

    /// The same, unless it is being ended or started now.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, u32>> {
        self.started.try_lock().ok()
    }

    /// The name of the process that runs.
    pub(super) fn name(&self, started: u32) -> String {
        format!("controller-{}-{started}", self.number)
    }

    /// Starts a process, under a name of its own: the logs of all of them stay. When it returns, the process gets signals.
    pub(super) async fn start(&self, started: &mut u32) -> Result<()> {
        *started += 1;
        let tokens = self.tokens.address.to_string();
        let variables = [
            ("GCE_METADATA_HOST", OsStr::new(&tokens)),
            ("HOME", OsStr::new("/nonexistent")),
        ];
        let name = self.name(*started);
        self.control_plane
            .run_process(&name, &self.program, &self.arguments, &variables)?;
        let until = Instant::now() + START_LIMIT;
        while self.control_plane.process_id(&name).is_err() && self.exit_code(*started).is_none() {
            if Instant::now() > until {
                bail!("{name} does not start");
            }
            sleep(FILES_EVERY).await;
        }
        Ok(())
    }

    /// Waits until the process has said that it is ready.
    pub(super) async fn wait_until_ready(&self, started: u32) -> Result<()> {
        let name = self.name(started);
        let control_plane = Arc::clone(&self.control_plane);
        let log = control_plane.log_file(&name);
        tokio::task::spawn_blocking(move || {
            control_plane.wait_for_process(&name, START_LIMIT, || {
                fs::read_to_string(&log).is_ok_and(|log| log.contains("\"message\":\"ready\""))
            })
        })
        .await?
    }

    /// Sends a signal, such as `TERM`, unless the process has ended: a leader that cannot renew its Lease ends by itself.
    pub(super) fn signal(&self, started: u32, signal: &str) -> Result<()> {
        let sent = self.control_plane.signal(&self.name(started), signal);
        if sent.is_err() && self.exit_code(started).is_some() {
            return Ok(());
        }
        sent
    }

    /// Whether the log says that the process ended because it lost the Lease.
    pub(super) fn has_lost_its_lease(&self, started: u32) -> Result<bool> {
        let log = fs::read_to_string(self.control_plane.log_file(&self.name(started)))?;
        Ok(log.contains("this process is no longer the leader"))
    }

    /// The exit code, if the process has ended.
    pub(super) fn exit_code(&self, started: u32) -> Option<String> {
        self.control_plane.exit_code(&self.name(started))
    }

    /// Waits until the process has ended, and returns its exit code.
    pub(super) async fn wait_until_ended(&self, started: u32) -> Result<String> {
        let until = Instant::now() + END_LIMIT;
        loop {
            if let Some(code) = self.exit_code(started) {
                return Ok(code);
            }
            if Instant::now() > until {
                bail!("{} does not end", self.name(started));
            }
            sleep(FILES_EVERY).await;
        }
    }

    /// The end of the log.
    pub(super) fn log_end(&self, started: u32) -> String {
        let log = self.control_plane.log_end(&self.name(started));
        log.unwrap_or_else(|error| error.to_string())
    }

    /// What the process uses now; nothing if it is about to start or to end.
    pub(super) fn usage(&self, started: u32) -> Option<Usage> {
        let name = self.name(started);
        let admin = stand_ins::admin_of(&self.control_plane, &name)?;
        let metrics = loopback_http::get(admin, "/metrics").ok()?;
        let value = |metric: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(metric));
            line?.trim().parse::<f64>().ok()
        };
        let id = self.control_plane.process_id(&name).ok()?;
        let threads = fs::read_dir(format!("/proc/{id}/task")).ok()?;
        Some(Usage {
            process: started,
            leads: value("opcancel_leader ")? > 0.0,
            resident: value("process_resident_memory_bytes ")? / 1_048_576.0,
            descriptors: value("process_open_fds ")?,
            threads: threads.count() as f64,
            tasks: value("opcancel_tasks ")?,
            objects: value("opcancel_objects ")?,
        })
    }
}

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usage {
    /// The number of the process among those of this controller.
    pub(super) process: u32,
    pub(super) leads: bool,
    /// Resident memory in MiB.
    pub(super) resident: f64,
    /// Open file descriptors.
    pub(super) descriptors: f64,
    pub(super) threads: f64,
    /// Tasks of the runtime.
    pub(super) tasks: f64,
    /// Objects in memory.
    pub(super) objects: f64,
}
