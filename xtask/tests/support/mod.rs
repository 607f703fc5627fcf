//! What the tests of the control plane share: the binary under test, and watching processes go.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// `cargo xtask`.
pub fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A `cargo xtask control-plane` that is ready.
pub struct Running {
    pub process: Child,
    /// Held, or the process could not print any more.
    stdout: BufReader<ChildStdout>,
    pub folder: PathBuf,
    /// The parent of `folder`, and of what the process leaves behind.
    temporary: TempDir,
}

impl Running {
    pub fn start() -> Self {
        Self::start_with(xtask(&["control-plane"]))
    }

    pub fn start_with(mut command: Command) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        command
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut running = Self {
            process,
            stdout,
            folder: PathBuf::new(),
            temporary,
        };
        loop {
            let mut line = String::new();
            let read = running.stdout.read_line(&mut line).unwrap();
            assert_ne!(
                read,
                0,
                "it ended before it was ready: {}",
                running.wait().1
            );
            if let Some(path) = line.strip_prefix("logs, audit log and keys: ") {
                running.folder = PathBuf::from(path.trim());
            }
            if line.contains("Ctrl-C") {
                return running;
            }
        }
    }
}

impl Running {
    /// Waits until it ends and returns whether it succeeded, and what it said on stderr.
    pub fn wait(&mut self) -> (bool, String) {
        let mut said = String::new();
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (self.process.wait().unwrap().success(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _waited = self.process.wait();
        eventually("the folder is removed", || !self.folder.exists());
    }
}

/// The process ids of the daemons of the control plane in `folder`, all of them alive.
pub fn daemons(folder: &Path) -> Vec<u32> {
    ["etcd", "kube-apiserver", "kube-controller-manager"]
        .map(|name| {
            let text = fs::read_to_string(folder.join(format!("{name}.pid"))).unwrap();
            let id = text.trim().parse().unwrap();
            assert!(is_alive(id), "{name} does not run");
            id
        })
        .to_vec()
}

/// Whether a process of this id exists.
pub fn is_alive(id: u32) -> bool {
    signal(id, "0")
}

/// Sends a signal, by the name that `kill` knows it by; false if there is no such process.
pub fn signal(id: u32, name: &str) -> bool {
    let script = format!("kill -{name} {id} 2>/dev/null");
    Command::new("sh")
        .args(["-c", &script])
        .status()
        .unwrap()
        .success()
}

/// Waits for what no event announces; fails after a minute.
pub fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "not within a minute: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes an executable shell script.
pub fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
