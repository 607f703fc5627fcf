//! An emulator that behaves as the rows expect, and the probe before it.

use std::{
    path::Path,
    process::{Command, Output},
};

use operations_emulator::{Config, Emulator, EndResult, Scenario, Script};
use serde_json::Value;
use tempfile::TempDir;

pub const PROJECT: &str = "acme-prod";
pub const FORBIDDEN: &str = "acme-secret";
pub const LOCATION: &str = "europe-west1";
pub const FINISHED: &str = "projects/acme-prod/locations/europe-west1/operations/4d1b0a5e-finished";
pub const RUNNING: &str = "projects/acme-prod/locations/europe-west1/operations/7c93e2f1-running";

/// The rules that the rows expect, and these two operations.
pub fn scenario(finished: Script, running: Script) -> Scenario {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../emulator/scenarios/probe.yaml"
    );
    let rules = std::fs::read_to_string(file).unwrap();
    Scenario::parse(&rules)
        .unwrap()
        .with_operation(FINISHED, finished)
        .with_operation(RUNNING, running)
}

/// All as expected: one that is done, and one that is cancelled at once.
pub fn as_expected() -> Scenario {
    scenario(done(), Script::default())
}

pub fn done() -> Script {
    Script::already_done(EndResult::completed())
}

/// Every flag that adds rows.
pub fn everything() -> Vec<String> {
    vec![
        format!("--forbidden-project={FORBIDDEN}"),
        format!("--location={LOCATION}"),
        format!("--finished={FINISHED}"),
        "--cancel-finished".to_owned(),
        format!("--cancel={RUNNING}"),
        "--cancel-missing".to_owned(),
    ]
}

/// Where the probe is sent.
pub struct Harness {
    pub emulator: Emulator,
    folder: TempDir,
}

impl Harness {
    /// Over TLS, under an authority of its own.
    pub async fn over_tls(scenario: Scenario) -> Self {
        opcancel::google::tls::install_provider();
        Self::start(Config {
            tls: true,
            ..Config::from(scenario)
        })
        .await
    }

    /// Over plain HTTP.
    pub async fn plain(scenario: Scenario) -> Self {
        Self::start(Config::from(scenario)).await
    }

    async fn start(config: Config) -> Self {
        let emulator = Emulator::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        if let Some(pem) = emulator.authority_pem() {
            std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        }
        Self { emulator, folder }
    }

    /// Runs the probe against the emulator.
    pub async fn probe(&self, flags: &[String]) -> Probed {
        self.probe_at(self.emulator.url(), flags).await
    }

    /// Runs it against something in the emulator's place, with the emulator's tokens.
    pub async fn probe_at(&self, url: &str, flags: &[String]) -> Probed {
        run(self.command(url, flags)).await
    }

    /// The same, not started yet.
    pub fn command(&self, url: &str, flags: &[String]) -> Command {
        let port = url.rsplit_once(':').unwrap().1;
        let scheme = url.split_once(':').unwrap().0;
        let mut command = command();
        command
            .env("GCE_METADATA_HOST", self.emulator.metadata_address())
            .arg(format!("--project={PROJECT}"))
            .arg(format!(
                "--endpoint-override=dialogflow={scheme}://localhost:{port}"
            ))
            .arg(format!(
                "--endpoint-override=dialogflow/{LOCATION}={scheme}://127.0.0.1:{port}"
            ))
            .arg("--pace=0s")
            .args(flags);
        if !flags.iter().any(|flag| flag.starts_with("--wait")) {
            command.arg("--wait=2s");
        }
        let authority = self.folder.path().join("ca.pem");
        if authority.exists() {
            command.arg(format!("--ca-file={}", authority.display()));
        }
        command
    }

    /// The folder of this harness.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The program, with nothing of the test's own environment.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opcancel-probe"));
    command.env_clear();
    command
}

/// Runs a command without holding up the emulator.
pub async fn run(mut command: Command) -> Probed {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    Probed::new(&output.await.unwrap())
}

/// What came of a run.
#[derive(Debug)]
pub struct Probed {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Probed {
    pub fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The report of `--output=json`.
    pub fn rows(&self) -> Vec<Value> {
        let report: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        report["rows"].as_array().unwrap().clone()
    }

    /// The rows with this verdict.
    pub fn with(&self, verdict: &str) -> Vec<String> {
        let rows = self.rows();
        let with = rows.iter().filter(|row| row["verdict"] == verdict);
        with.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub fn flags(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
