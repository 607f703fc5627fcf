//! The shell process that owns the daemons, so that they stop with this process, however it ends.
//!
//! A killed process runs no destructor, and asking the kernel to pass the signal on needs unsafe
//! code. But the kernel closes the pipes of a killed process: the supervisor reads such a pipe, and
//! at its end stops everything, in the right order.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The script that supervises; it is run from a file, so that `ps` shows its name and not its text.
const SCRIPT: &str = include_str!("supervisor.sh");

/// How many lines of a daemon's log an error quotes: a panic's first line too, above its stack.
const QUOTED_LINES: usize = 40;

/// What happens to the control plane's folder at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It is removed, since it was created for this control plane.
    Remove,
    /// It stays, for its logs.
    Keep,
}

/// The result of a wait for a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitOutcome {
    /// The daemon is ready.
    Ready,
    /// The daemon has ended.
    Ended,
    /// The daemon was not ready within this time.
    TimedOut(Duration),
}

/// A running supervisor; dropping it ends the daemons and waits until they are gone.
#[derive(Debug)]
pub(super) struct Supervisor {
    afterwards: Afterwards,
    child: Child,
    handle: SupervisorHandle,
}

/// Sends commands to a supervisor; clones send them to the same one.
#[derive(Clone, Debug)]
pub(crate) struct SupervisorHandle {
    folder: PathBuf,
    /// `None` after the command to stop everything.
    pipe: Arc<Mutex<Option<ChildStdin>>>,
}

impl SupervisorHandle {
    /// Starts `program` as the daemon `name`, its output in `NAME.log`.
    pub(crate) fn run(&self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        let mut line = format!("exec {}", quoted(&program.to_string_lossy()));
        for argument in arguments {
            line.push(' ');
            line.push_str(&quoted(argument));
        }
        line.push('\n');
        fs::write(self.folder.join(format!("{name}.run")), line)?;
        // The exit code of an earlier try must not count for this one.
        let _absent = fs::remove_file(self.folder.join(format!("{name}.exit")));
        self.send(name)
    }

    /// Asks the daemon `name` to end, and makes it end if it does not within 20 s; does not wait.
    pub(crate) fn end(&self, name: &str) -> Result<()> {
        self.send(&format!("-{name}"))
    }

    /// The exit code of the daemon `name` if it has ended, as text.
    pub(crate) fn exit_code(&self, name: &str) -> Option<String> {
        let code = fs::read_to_string(self.folder.join(format!("{name}.exit"))).ok()?;
        Some(code.trim().to_owned())
    }

    fn send(&self, line: &str) -> Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = pipe.as_mut().context("the control plane was stopped")?;
        writeln!(pipe, "{line}").context("the supervisor of the control plane is gone")
    }
}

impl Supervisor {
    /// Starts the supervisor of the daemons in `folder`; it runs no daemon yet.
    pub(super) fn start(folder: &Path, afterwards: Afterwards) -> Result<Self> {
        let log = File::create(folder.join("supervisor.log"))
            .with_context(|| format!("cannot write into {}", folder.display()))?;
        let script = folder.join("supervisor.sh");
        fs::write(&script, SCRIPT)?;
        let mut child = Command::new("sh")
            .arg(script)
            .arg(folder)
            .arg(match afterwards {
                Afterwards::Remove => "remove",
                Afterwards::Keep => "keep",
            })
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // In its own process group: Ctrl-C in the terminal ends this process, and then the supervisor
            // stops the daemons in order, instead of all of them ending at once.
            .process_group(0)
            .spawn()
            .context("cannot start `sh`, which supervises the control plane")?;
        let handle = SupervisorHandle {
            folder: folder.to_owned(),
            pipe: Arc::new(Mutex::new(child.stdin.take())),
        };
        Ok(Self {
            afterwards,
            child,
            handle,
        })
    }

    /// As [`SupervisorHandle::run`].
    pub(super) fn run(&self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        self.handle.run(name, program, arguments)
    }

    /// A handle that sends commands to it.
    pub(super) fn handle(&self) -> SupervisorHandle {
        self.handle.clone()
    }

    /// As [`SupervisorHandle::exit_code`].
    pub(super) fn exit_code(&self, name: &str) -> Option<String> {
        self.handle.exit_code(name)
    }

    /// Fails, with the end of its log, if the daemon `name` has ended.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        match self.exit_code(name) {
            Some(code) => bail!("{name} ended with exit code {code}\n{}", self.log_end(name)),
            None => Ok(()),
        }
    }

    /// Calls `ready` every 50 ms until it returns true, the daemon ends, or `limit` passes.
    pub(super) fn wait(
        &self,
        name: &str,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> WaitOutcome {
        let start = Instant::now();
        loop {
            if self.exit_code(name).is_some() {
                return WaitOutcome::Ended;
            }
            if ready() {
                return WaitOutcome::Ready;
            }
            if start.elapsed() > limit {
                return WaitOutcome::TimedOut(limit);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Fails, with the end of its log, if the daemon did not become ready.
    pub(super) fn require(&self, name: &str, waited: WaitOutcome) -> Result<()> {
        match waited {
            WaitOutcome::Ready => Ok(()),
            WaitOutcome::Ended => self.check(name),
            WaitOutcome::TimedOut(limit) => {
                bail!(
                    "{name} was not ready after {} s\n{}",
                    limit.as_secs(),
                    self.log_end(name)
                )
            }
        }
    }

    /// What the daemon has logged since it was started last.
    pub(super) fn log(&self, name: &str) -> String {
        let log = fs::read(self.handle.folder.join(format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The last lines of the daemon's log, and where all of it is.
    pub(super) fn log_end(&self, name: &str) -> String {
        let path = self.handle.folder.join(format!("{name}.log"));
        let log = self.log(name);
        let lines: Vec<&str> = log.lines().collect();
        let skipped = lines.len().saturating_sub(QUOTED_LINES);
        let mut text = String::from("the last lines of its log:\n");
        for line in lines.iter().skip(skipped) {
            text.push_str("  | ");
            text.extend(line.chars().take(400));
            text.push('\n');
        }
        let kept = match self.afterwards {
            Afterwards::Keep => path,
            // The folder is about to be removed; the log must stay readable.
            Afterwards::Remove => keep_copy(name, &log).unwrap_or(path),
        };
        text.push_str(&format!("all of it: {}", kept.display()));
        text
    }

    /// Ends the daemons and waits until they, and the folder if it was temporary, are gone.
    pub(super) fn stop(&mut self) -> Result<()> {
        let pipe = self.handle.pipe.lock();
        let pipe = pipe.unwrap_or_else(PoisonError::into_inner).take();
        // Closing the pipe is the command to stop.
        if pipe.map(drop).is_some() {
            self.child
                .wait()
                .context("cannot wait for the control plane's supervisor")?;
        }
        Ok(())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Even if the wait fails, the supervisor has the command to stop.
        let _gone = self.stop();
    }
}

/// Copies a log to a permanent file; `None` if that fails.
fn keep_copy(name: &str, log: &str) -> Option<PathBuf> {
    let prefix = format!("opcancel-{name}-");
    let mut file = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".log")
        .tempfile()
        .ok()?;
    file.write_all(log.as_bytes()).ok()?;
    file.keep().ok().map(|(_, path)| path)
}

/// `text` as one word for a POSIX shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_reaches_the_daemon_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let odd = "it's $HOME; \"two\"  `words` \\ *";
        let mut supervisor = Supervisor::start(folder.path(), Afterwards::Keep).unwrap();
        supervisor
            .run("echo", Path::new("/bin/echo"), &[odd.to_owned()])
            .unwrap();
        supervisor.stop().unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("echo.log"))
                .unwrap()
                .trim_end(),
            odd
        );
    }

    #[test]
    fn a_daemon_that_dies_is_reported_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::start(folder.path(), Afterwards::Keep).unwrap();
        let arguments = ["-c".to_owned(), "echo no such flag >&2; exit 3".to_owned()];
        supervisor
            .run("etcd", Path::new("/bin/sh"), &arguments)
            .unwrap();
        let waited = supervisor.wait("etcd", Duration::from_secs(10), || false);
        let error = supervisor.require("etcd", waited).unwrap_err().to_string();
        assert!(error.contains("exit code 3"), "{error}");
        assert!(error.contains("no such flag"), "{error}");
    }

    #[test]
    fn one_daemon_is_ended_and_the_others_run_on() {
        let folder = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::start(folder.path(), Afterwards::Keep).unwrap();
        let arguments = [
            "-c".to_owned(),
            "trap 'exit 7' TERM; echo up; read x < fifo".to_owned(),
        ];
        Command::new("mkfifo")
            .arg(folder.path().join("fifo"))
            .status()
            .unwrap();
        for name in ["one", "two"] {
            supervisor
                .run(name, Path::new("/bin/bash"), &arguments)
                .unwrap();
            let up = || supervisor.log(name).contains("up");
            assert_eq!(
                supervisor.wait(name, Duration::from_secs(10), up),
                WaitOutcome::Ready
            );
        }
        supervisor.handle().end("one").unwrap();
        let waited = supervisor.wait("one", Duration::from_secs(10), || false);
        assert_eq!(waited, WaitOutcome::Ended);
        assert_eq!(supervisor.exit_code("two"), None);
    }

    #[test]
    fn the_folder_goes_when_it_was_made_for_this() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("control plane");
        fs::create_dir(&inner).unwrap();
        let supervisor = Supervisor::start(&inner, Afterwards::Remove).unwrap();
        drop(supervisor);
        assert!(!inner.exists());
    }
}
