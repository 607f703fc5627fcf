//! What tests and demo do with a control plane through kubectl.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ControlPlane;
use super::kubeconfig::{self, Credential};

impl ControlPlane {
    /// The control plane's own kubectl, as the administrator.
    #[must_use]
    pub fn kubectl_command(&self) -> Command {
        command(self.kubectl(), &self.kubeconfig())
    }

    /// Runs kubectl as the administrator and returns its standard output.
    ///
    /// # Errors
    /// When it fails, with its arguments and its standard error.
    pub fn run_kubectl(&self, arguments: &[&str]) -> Result<String> {
        output(self.kubectl_command().args(arguments))
    }

    /// Applies manifests (YAML or JSON, several documents allowed) and returns what kubectl said.
    ///
    /// # Errors
    /// When kubectl or the API server refuses one of them.
    pub fn apply_text(&self, manifests: &str) -> Result<String> {
        let mut command = self.kubectl_command();
        fed(command.args(["apply", "--filename=-"]), manifests)
    }

    /// Applies files, and folders with all files below them, and returns what kubectl said.
    ///
    /// # Errors
    /// When kubectl or the API server refuses one of them.
    pub fn apply_files<P: AsRef<Path>>(&self, paths: &[P]) -> Result<String> {
        let mut command = self.kubectl_command();
        command.args(["apply", "--recursive"]);
        for path in paths {
            command.arg("--filename").arg(path.as_ref());
        }
        output(&mut command)
    }

    /// Waits until the API server serves the kinds of all CRDs.
    ///
    /// # Errors
    /// When it does not within half a minute.
    pub fn wait_for_crds(&self) -> Result<()> {
        self.run_kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ])
        .map(drop)
    }

    /// Creates a namespace that is this caller's alone and returns its name, `PREFIX-xxxxx`.
    ///
    /// # Errors
    /// When the API server refuses it: `prefix` must be a lower-case DNS label.
    pub fn namespace(&self, prefix: &str) -> Result<String> {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "generateName": format!("{prefix}-") },
        });
        let mut command = self.kubectl_command();
        command.args([
            "create",
            "--filename=-",
            "--output=jsonpath={.metadata.name}",
        ]);
        fed(&mut command, &namespace.to_string())
    }

    /// A token of this ServiceAccount for the API server, good for a day (TokenRequest).
    ///
    /// # Errors
    /// When the ServiceAccount does not exist.
    pub fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let namespace = format!("--namespace={namespace}");
        let token = self.run_kubectl(&["create", "token", name, &namespace, "--duration=24h"])?;
        Ok(token.trim().to_owned())
    }

    /// Writes a kubeconfig with a token of this ServiceAccount, good for a day, and returns its
    /// path. Its default namespace is the ServiceAccount's.
    ///
    /// # Errors
    /// When the ServiceAccount does not exist or the file cannot be written.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, name)?;
        let path = self.folder().join(format!("{namespace}.{name}.kubeconfig"));
        let credential = Credential::Token(&token);
        let ca_file = self.ca_file();
        kubeconfig::write(
            &path,
            self.server_url(),
            &ca_file,
            name,
            Some(namespace),
            &credential,
        )?;
        Ok(path)
    }
}

/// `kubectl` with this kubeconfig and none of the user's own settings.
pub(crate) fn command(kubectl: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(kubectl);
    command
        .env("KUBECONFIG", kubeconfig)
        // The user's aliases and defaults are not the tests'.
        .env("KUBECTL_KUBERC", "false")
        // Ports come back, and with them another server's discovery.
        .env("KUBECACHEDIR", kubeconfig.with_file_name("kubectl-cache"));
    command
}

/// A running watch of the API server; dropping it ends it.
#[derive(Debug)]
pub struct Watch(Child);

/// One change of one object.
#[derive(Clone, Debug, Deserialize)]
pub struct WatchEvent {
    /// `ADDED`, `MODIFIED` or `DELETED`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The object as it is now, or as it was last.
    pub object: Value,
}

impl ControlPlane {
    /// Watches the resource at `path`, such as `/api/v1/pods`, with the objects that are there first. `tell` hears each
    /// change, and `None` when the watch has ended; if it returns `false`, nothing more is passed.
    ///
    /// Asked for as it is, because `kubectl get --watch` looks for the resource first, and misses the first second.
    ///
    /// # Errors
    /// When kubectl cannot be run.
    pub fn watch(
        &self,
        path: &str,
        tell: impl FnMut(Option<WatchEvent>) -> bool + Send + 'static,
    ) -> Result<Watch> {
        watch(self.kubectl_command(), path, tell)
    }
}

/// As [`ControlPlane::watch`], with this kubectl.
pub(crate) fn watch(
    mut kubectl: Command,
    path: &str,
    mut tell: impl FnMut(Option<WatchEvent>) -> bool + Send + 'static,
) -> Result<Watch> {
    let mut kubectl = kubectl
        // The API server ends a watch without a limit after half an hour to an hour.
        .args([
            "get",
            "--raw",
            &format!("{path}?watch=true&timeoutSeconds=864000"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The end is reported; during a shutdown, kubectl's own messages are noise.
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run kubectl")?;
    let output = kubectl.stdout.take().context("kubectl has no output")?;
    std::thread::spawn(move || {
        let events = serde_json::Deserializer::from_reader(std::io::BufReader::new(output));
        // An unreadable event ends the watch, and the end is reported.
        let events = events.into_iter::<WatchEvent>().map_while(Result::ok);
        if events.map(Some).all(&mut tell) {
            tell(None);
        }
    });
    Ok(Watch(kubectl))
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// The command's standard output, or an error with its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    output_or_error(command, &output)
}

/// Gives the command `input` on standard input. Its standard output, or an error with its standard error.
pub fn fed(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    // kubectl reads all of it before it says much, so neither waits for the other. If it ends
    // before it has read all, what it says is the better message.
    if let Some(mut stdin) = child.stdin.take() {
        let _broken = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    output_or_error(command, &output)
}

fn output_or_error(command: &Command, output: &std::process::Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let arguments: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    bail!(
        "kubectl {} failed ({}): {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim(),
    )
}
