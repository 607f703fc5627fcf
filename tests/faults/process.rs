//! The controller as processes that the proxies kill and start again.

use std::{
    fs::OpenOptions,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    process::{Child, Command},
    sync::Mutex,
};

use super::{record::Record, support::controller_process};

/// How one of the processes is started.
pub struct Launch {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The metadata server's address, for `GCE_METADATA_HOST`.
    pub metadata_address: String,
}

/// The processes of one case. They end with this value. The first one works. When it is killed, the second one takes over. If there is
/// no second one, the first one starts again.
pub struct Processes {
    launches: Vec<Launch>,
    log: PathBuf,
    children: Mutex<Children>,
    active: AtomicUsize,
    record: Arc<Record>,
}

struct Children {
    running: Vec<Option<Child>>,
    is_stopped: bool,
}

impl Processes {
    /// Nothing runs yet.
    pub fn new(launches: Vec<Launch>, log: PathBuf, record: Arc<Record>) -> Self {
        let running = launches.iter().map(|_| None).collect();
        Self {
            launches,
            log,
            children: Mutex::new(Children {
                running,
                is_stopped: false,
            }),
            active: AtomicUsize::new(0),
            record,
        }
    }

    /// The index of the process that is to work.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::SeqCst)
    }

    /// Starts a process, unless it runs; returns at once.
    pub async fn start(&self, index: usize) {
        self.start_in(&mut *self.children.lock().await, index);
    }

    /// Sends SIGKILL to the process that works, and waits for its end. The next one works then, and starts if it does not run.
    pub async fn kill(&self) {
        let mut children = self.children.lock().await;
        let killed = self.active();
        if let Some(mut child) = children.running[killed].take() {
            child.kill().await.unwrap();
        }
        let next = (killed + 1).min(self.launches.len() - 1);
        self.active.store(next, Ordering::SeqCst);
        self.record
            .say(&format!("process {killed} is killed, {next} works"));
        self.start_in(&mut children, next);
    }

    /// Ends them for good. Returns how one ended before by itself, if one did.
    pub async fn stop(&self) -> Option<String> {
        let mut children = self.children.lock().await;
        children.is_stopped = true;
        let mut ended = None;
        for child in children.running.iter_mut().flatten() {
            ended = ended.or(child.try_wait().unwrap());
            child.kill().await.unwrap();
        }
        ended.map(|status| status.to_string())
    }

    /// What all processes have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn start_in(&self, children: &mut Children, index: usize) {
        if children.is_stopped || children.running[index].is_some() {
            return;
        }
        self.record.process_starts(index);
        let mut log = OpenOptions::new();
        let log = log.create(true).append(true).open(&self.log).unwrap();
        let launch = &self.launches[index];
        let mut command = Command::from(controller_process::command());
        let child = command
            .args(&launch.arguments)
            .env("GCE_METADATA_HOST", &launch.metadata_address)
            .env("HOSTNAME", format!("process-{index}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        children.running[index] = Some(child.unwrap());
    }
}
