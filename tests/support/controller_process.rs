//! `opcancel-controller` as its own process, with its log at hand.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{served_metrics::Served, world::PATIENCE};

/// Variables that would lead the controller elsewhere than the test means.
const FOREIGN_VARIABLES: [&str; 13] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "KUBECONFIG",
    "RUST_LOG",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_CONFIG",
    "HOSTNAME",
];

/// A command that runs the controller, without anything from the test's own environment that would change its ways.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opcancel-controller"));
    FOREIGN_VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OPCANCEL_")) {
        command.env_remove(name);
    }
    // Most tests start one process. The others say so.
    command.env("OPCANCEL_LEADER_ELECT", "false");
    // No ~/.kube/config, and no credentials of the user's own.
    command.env("HOME", "/nonexistent");
    command
}

#[derive(Default)]
struct Log {
    /// The text, and whether it is whole: the process has closed both of its outputs.
    text: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, (String, bool)> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running controller; killed when dropped.
pub struct ControllerProcess {
    child: Child,
    log: Arc<Log>,
    readers: Vec<JoinHandle<()>>,
    admin_address: String,
}

impl ControllerProcess {
    /// Starts it and returns at once.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::<Log>::default();
        let open = Arc::new(AtomicUsize::new(2));
        // JSON comes on the one, text on the other.
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        let readers = outputs
            .map(|output| {
                let (shared, open) = (log.clone(), open.clone());
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(output);
                    let mut line = Vec::new();
                    while lines
                        .read_until(b'\n', &mut line)
                        .is_ok_and(|read| read > 0)
                    {
                        shared.lock().0.push_str(&String::from_utf8_lossy(&line));
                        shared.changed.notify_all();
                        line.clear();
                    }
                    if open.fetch_sub(1, Ordering::SeqCst) == 1 {
                        shared.lock().1 = true;
                        shared.changed.notify_all();
                    }
                })
            })
            .into();
        Self {
            child,
            log,
            readers,
            admin_address: String::new(),
        }
    }

    /// Waits until it says that it is ready.
    pub fn wait_until_ready(&mut self) {
        self.wait_until_serving();
        self.wait_for_log(|log| {
            log.lines().any(|line| {
                line.trim_end().ends_with("INFO ready") || line.contains("\"message\":\"ready\"")
            })
        });
    }

    /// Waits until its admin server listens, and learns where.
    pub fn wait_until_serving(&mut self) {
        let log = self.wait_for_log(|log| log.contains("serving /livez"));
        // In both forms of log: address=127.0.0.1:1234 and "address":"127.0.0.1:1234".
        let line = log
            .lines()
            .find(|line| line.contains("serving /livez"))
            .unwrap();
        let (_, rest) = line
            .split_once("127.0.0.1:")
            .unwrap_or_else(|| panic!("no address in {line}"));
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        self.admin_address = format!("127.0.0.1:{port}");
    }

    /// Waits until its log is as wanted, and returns it.
    pub fn wait_for_log(&self, wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        let mut text = self.log.lock();
        while !wanted(&text.0) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !text.1,
                "the log never says it (ended: {}):\n{}",
                text.1,
                text.0
            );
            text = self
                .log
                .changed
                .wait_timeout(text, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        text.0.clone()
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().0.clone()
    }

    /// Where its admin server listens.
    pub fn admin_address(&self) -> &str {
        &self.admin_address
    }

    /// Asks its admin server; returns HTTP status and body.
    pub fn admin(&self, path: &str) -> (u16, String) {
        self.admin_accepting(path, "*/*")
    }

    /// The same with an `Accept` header.
    pub fn admin_accepting(&self, path: &str, accept: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.admin_address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: controller\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn most_resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<usize>().unwrap() * 1024
    }

    /// Waits until its metrics are so.
    pub fn wait_for_metrics(&self, met: impl Fn(&Served) -> bool) {
        self.wait_for_metrics_within(PATIENCE, met);
    }

    /// The same for at most this long.
    pub fn wait_for_metrics_within(&self, limit: Duration, met: impl Fn(&Served) -> bool) {
        let begun = Instant::now();
        loop {
            let text = self.admin("/metrics").1;
            if met(&Served::read(&text)) {
                return;
            }
            assert!(begun.elapsed() < limit, "{text}");
            // Metrics announce nothing.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends the signal of this name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Sends SIGKILL and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    /// Waits until it has ended, at most half a minute.
    pub fn wait(&mut self) -> ExitStatus {
        {
            // Its outputs end with it.
            let until = Instant::now() + Duration::from_secs(30);
            let mut text = self.log.lock();
            while !text.1 {
                let left = until.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "it does not end:\n{}", text.0);
                text = self
                    .log
                    .changed
                    .wait_timeout(text, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for ControllerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!(
                "---- the end of the controller's log:\n{}",
                lines[lines.len().saturating_sub(60)..].join("\n")
            );
        }
    }
}
