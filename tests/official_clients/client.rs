//! The clients: how each is installed and run, and what came of it.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio, sync::OnceLock, time::Duration};

use operations_emulator::{Config, Emulator, RequestRecord, Scenario};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, runtime::Runtime};
use xtask::official_clients;

use crate::{cases::cases, tunnel::Tunnel};

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(300);

/// One of Google's official clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// The crates google-cloud-dialogflow-v2 and google-cloud-dialogflow-cx-v3.
    Rust,
    /// PyPI's google-cloud-dialogflow, over REST.
    Python,
    /// PyPI's google-api-python-client.
    Discovery,
    /// npm's google-auth-library.
    Node,
}

/// What a client was answered, and what the emulator saw of it.
#[derive(Debug)]
pub struct Run {
    /// The client's own account of each case, by its id.
    pub answers: BTreeMap<String, Value>,
    /// The requests to the Operations API.
    pub requests: Vec<RequestRecord>,
    /// The requests to the metadata server.
    pub metadata: Vec<RequestRecord>,
    /// The requests to the token services.
    pub credentials: Vec<RequestRecord>,
    /// Hosts that it asked for besides.
    pub strangers: Vec<String>,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Python, Self::Discovery, Self::Node];

    /// As the document calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Discovery => "discovery",
            Self::Node => "Node",
        }
    }

    /// A version besides v2 that it has.
    pub fn other_version(self) -> &'static str {
        match self {
            Self::Rust | Self::Discovery => "v3",
            Self::Python => "v2beta1",
            Self::Node => "v3beta1",
        }
    }

    /// What it was answered in the scenario; asked once.
    pub fn run(self) -> &'static Run {
        static RUNS: [OnceLock<Run>; 4] = [const { OnceLock::new() }; 4];
        RUNS[self as usize].get_or_init(|| {
            let runtime = Runtime::new().unwrap();
            let scenario = Scenario::parse(include_str!("scenario.yaml")).unwrap();
            let input = serde_json::to_value(cases(self.other_version())).unwrap();
            runtime
                .block_on(Google::start(scenario))
                .ask(&runtime, self.command(), &input)
        })
    }

    /// How it is run; installs it first, once for this user.
    pub fn command(self) -> Command {
        match self {
            Self::Rust => {
                let program =
                    official_clients::rust(&folder("rust")).expect("Google's Rust clients");
                Command::new(program)
            }
            Self::Python => python("dialogflow_client.py"),
            Self::Discovery => python("discovery_client.py"),
            Self::Node => {
                let place =
                    official_clients::node(&folder("node")).expect("Google's library for Node");
                let mut node = Command::new("node");
                node.arg(place.join("judge.mjs"));
                node
            }
        }
    }
}

/// A program of the folder `python`.
pub fn python(program: &str) -> Command {
    let folder = folder("python");
    let python = official_clients::python(&folder).expect("Google's clients for Python");
    let mut command = Command::new(python);
    // No byte code beside the sources.
    command.arg("-B").arg(folder.join(program));
    command
}

/// A folder beside this file.
pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/official_clients")
        .join(name)
}

/// The emulator in Google's place: under the names of its hosts, with a metadata server.
pub struct Google {
    /// The emulator itself.
    pub emulator: Emulator,
    tunnel: Tunnel,
    files: tempfile::TempDir,
}

impl Google {
    /// Starts it with this scenario.
    pub async fn start(scenario: Scenario) -> Self {
        let dialogflow = [
            "dialogflow.googleapis.com",
            "europe-west1-dialogflow.googleapis.com",
        ];
        Self::with_hosts(scenario, dialogflow).await
    }

    /// The same for other hosts of the Operations API.
    pub async fn with_hosts(
        scenario: Scenario,
        hosts: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let config = Config {
            tls: true,
            ..Config::from(scenario)
        };
        let emulator = Emulator::start(config).await.unwrap();
        let address = |url: &str| url.trim_start_matches("https://").parse().unwrap();
        let operations = address(emulator.url());
        let tokens = address(emulator.credentials_url());
        let of_tokens = [
            "sts.googleapis.com",
            "iamcredentials.googleapis.com",
            "oauth2.googleapis.com",
        ];
        let hosts = hosts.into_iter().map(|host| (host, operations));
        let hosts = hosts.chain(of_tokens.map(|host| (host, tokens)));
        let hosts = hosts.map(|(host, to)| (host.to_owned(), to)).collect();
        let tunnel = Tunnel::start(hosts).await;
        let files = tempfile::tempdir().unwrap();
        std::fs::write(
            files.path().join("ca.pem"),
            emulator.authority_pem().unwrap(),
        )
        .unwrap();
        Self {
            emulator,
            tunnel,
            files,
        }
    }

    /// Sets the environment of a program to the way here and what is set already, and nothing else.
    pub fn lead<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let own = command.as_std().get_envs();
        let own: Vec<_> = own
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command.env_clear().envs(own);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        // A person's own credentials are below it.
        command.env("HOME", self.files.path());
        // Each library has a name of its own for the authorities that it trusts.
        for name in [
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "HTTPLIB2_CA_CERTS",
            "NODE_EXTRA_CA_CERTS",
        ] {
            command.env(name, self.files.path().join("ca.pem"));
        }
        // GCE_METADATA_IP: google-auth asks there first whether there is a metadata server at all.
        for name in ["GCE_METADATA_HOST", "GCE_METADATA_IP"] {
            command.env(name, self.emulator.metadata_address());
        }
        for name in ["HTTPS_PROXY", "https_proxy"] {
            command.env(name, self.tunnel.url());
        }
        for name in ["NO_PROXY", "no_proxy"] {
            command.env(name, "127.0.0.1");
        }
        command
    }

    /// A file for the program that asks.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a program with this on its standard input; it says a line for each thing that was asked.
    pub fn ask(&self, runtime: &Runtime, command: Command, input: &Value) -> Run {
        let (said, mut run) = self.run(runtime, command, input);
        let lines = said.lines().map(|line| serde_json::from_str(line).unwrap());
        let answers = lines.map(|line: Value| (line["id"].as_str().unwrap().to_owned(), line));
        run.answers = answers.collect();
        run
    }

    /// Runs a program, and returns what it said and what was seen of it.
    pub fn run(&self, runtime: &Runtime, mut command: Command, input: &Value) -> (String, Run) {
        self.lead(&mut command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = runtime.block_on(async {
            let mut child = command
                .kill_on_drop(true)
                .spawn()
                .expect("the client can be run");
            let mut stdin = child.stdin.take().unwrap();
            // It need not read it.
            let _ = stdin.write_all(input.to_string().as_bytes()).await;
            drop(stdin);
            let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
            output.expect("the client ends in time").unwrap()
        });
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command:?} gave up after\n{said}");
        let run = Run {
            answers: BTreeMap::new(),
            requests: self.emulator.requests(),
            metadata: self.emulator.metadata_requests(),
            credentials: self.emulator.credentials_requests(),
            strangers: self.tunnel.strangers(),
        };
        (said, run)
    }
}
