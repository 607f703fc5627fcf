//! The controller as a process that the proxy kills and starts again.

use std::{
    fs::{File, OpenOptions},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
};

use tokio::{
    process::{Child, Command},
    sync::Mutex,
};

use super::{record::Record, support::controller_process};

enum State {
    NotStarted,
    Running(Child),
    Stopped,
}

/// The controller of one case. Its processes end with this value.
pub struct Process {
    arguments: Vec<String>,
    metadata_address: String,
    log: PathBuf,
    child: Mutex<State>,
    record: Arc<Record>,
}

impl Process {
    /// Nothing runs yet.
    pub fn new(
        arguments: Vec<String>,
        metadata_address: String,
        log: PathBuf,
        record: Arc<Record>,
    ) -> Self {
        Self {
            arguments,
            metadata_address,
            log,
            child: Mutex::new(State::NotStarted),
            record,
        }
    }

    /// Starts it; returns at once.
    pub async fn start(&self) {
        *self.child.lock().await = State::Running(self.spawn());
    }

    /// Sends SIGKILL, waits for the end of the process, and starts the next one.
    pub async fn kill_and_restart(&self) {
        let mut state = self.child.lock().await;
        if let State::Running(child) = &mut *state {
            child.kill().await.unwrap();
            self.record.say("killed");
            *state = State::Running(self.spawn());
        }
    }

    /// Ends it for good. Returns how it ended before by itself, if it did.
    pub async fn stop(&self) -> Option<String> {
        let mut state = self.child.lock().await;
        let State::Running(child) = &mut *state else {
            return None;
        };
        let ended = child.try_wait().unwrap();
        child.kill().await.unwrap();
        *state = State::Stopped;
        ended.map(|status| status.to_string())
    }

    /// What all processes have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn spawn(&self) -> Child {
        self.record.process_starts();
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let mut command = Command::from(controller_process::command());
        command
            .args(&self.arguments)
            .env("GCE_METADATA_HOST", &self.metadata_address)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}
