//! Other processes under the supervisor of a control plane: they end before it does, even when
//! the process that started it is killed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::ControlPlane;
use super::supervisor::{Supervisor, SupervisorHandle};

impl ControlPlane {
    /// Starts `program` as `name`, with no environment but `variables`, in the control plane's
    /// folder, its output in [`Self::log_file`]. The last one that was started is the first to end.
    ///
    /// # Errors
    /// When another process runs the control plane. If the program cannot be run,
    /// [`Self::wait_for_process`] fails.
    pub fn run_process(
        &self,
        name: &str,
        program: &Path,
        arguments: &[String],
        variables: &[(&str, &OsStr)],
    ) -> Result<()> {
        let supervisor = self.supervisor()?;
        // The user's proxies, log levels and credentials must not decide what the program does.
        let mut words = vec!["-i".to_owned()];
        for (variable, value) in variables {
            words.push(format!("{variable}={}", value.to_string_lossy()));
        }
        words.push(program.to_string_lossy().into_owned());
        words.extend_from_slice(arguments);
        supervisor.run(name, Path::new("env"), &words)
    }

    /// Calls `ready` every 50 ms until it returns true.
    ///
    /// # Errors
    /// When the program `name` ends before, or `limit` passes; the message has the end of its log.
    pub fn wait_for_process(
        &self,
        name: &str,
        limit: Duration,
        ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let supervisor = self.supervisor()?;
        supervisor.require(name, supervisor.wait(name, limit, ready))
    }

    /// Fails, with the end of its log, if the program `name` has ended.
    ///
    /// # Errors
    /// When it has.
    pub fn check_process(&self, name: &str) -> Result<()> {
        self.supervisor()?.check(name)
    }

    /// The processor time that the running program `name` has used, all its threads together; also of `kube-apiserver` and
    /// `etcd`. In steps of 10 ms (proc(5)).
    ///
    /// # Errors
    /// When it does not run.
    pub fn processor_time(&self, name: &str) -> Result<Duration> {
        let used = || {
            let id = self.process_id(name).ok()?;
            let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The second field is the program's name in parentheses, with whatever stands in it.
            let (_, fields) = line.rsplit_once(')')?;
            let mut fields = fields.split_whitespace().skip(11);
            let mut ticks = || fields.next()?.parse::<u64>().ok();
            Some(Duration::from_millis((ticks()? + ticks()?) * 10))
        };
        used().with_context(|| format!("{name} does not run"))
    }

    /// The file with what the program `name` prints. It goes with the control plane's folder.
    #[must_use]
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.log"))
    }

    /// The last lines of what the program `name` printed, and the path of all of it: a copy that
    /// stays, if the control plane's folder does not.
    ///
    /// # Errors
    /// When another process runs the control plane.
    pub fn log_end(&self, name: &str) -> Result<String> {
        Ok(self.supervisor()?.log_end(name))
    }

    /// A handle that starts and ends processes, for another thread.
    ///
    /// # Errors
    /// When another process runs the control plane.
    pub(crate) fn supervisor_handle(&self) -> Result<SupervisorHandle> {
        Ok(self.supervisor()?.handle())
    }

    /// The id of the running program `name`, or of `kube-apiserver` or `etcd`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process_id(&self, name: &str) -> Result<u32> {
        let id = fs::read_to_string(self.folder().join(format!("{name}.pid")));
        let id = id.ok().and_then(|id| id.trim().parse().ok());
        id.with_context(|| format!("{name} does not run"))
    }

    /// Sends SIGKILL to the program `name`, or to `kube-apiserver` or `etcd`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.signal(name, "KILL")
    }

    /// Sends a signal, such as `STOP`, to the program `name`, or to `kube-apiserver` or `etcd`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, name: &str, signal: &str) -> Result<()> {
        let id = self.process_id(name)?.to_string();
        let option = format!("-{signal}");
        let sent = Command::new("kill").args([&option, &id]).status()?;
        if !sent.success() {
            bail!("{name} gets no {signal}");
        }
        Ok(())
    }

    /// The exit code of the program `name`, as text, if it has ended.
    #[must_use]
    pub fn exit_code(&self, name: &str) -> Option<String> {
        self.supervisor.as_ref()?.exit_code(name)
    }

    pub(super) fn supervisor(&self) -> Result<&Supervisor> {
        self.supervisor.as_ref().context(NOT_OURS)
    }
}

/// Why a process cannot run under a control plane that was only attached to.
const NOT_OURS: &str = "another process runs the control plane";
