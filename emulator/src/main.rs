//! `operations-emulator`: arguments, logs, signals; everything else is the library's.

use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use operations_emulator::{
    Addresses, Config, Emulator, Latency, Scenario, duration_text, scenario_schema,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tracing_subscriber::EnvFilter;

/// An emulator of google.longrunning.Operations (Dialogflow v2, v2beta1, v3, v3beta1), of GKE's metadata server and of
/// Google's token services.
///
/// When it is ready it prints one JSON line with its addresses: url, metadataAddress (for GCE_METADATA_HOST), credentialsUrl (for
/// credential files), adminUrl. Open adminUrl in a browser to see the operations live and to end them. Log lines, one for each
/// request, go to standard error (RUST_LOG=warn silences them).
///
/// Try it: operations-emulator --listen 127.0.0.1:8080 --scenario emulator/scenarios/examples.yaml
#[derive(Debug, Parser)]
#[command(name = "operations-emulator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the Operations API listens: what a client has in place of https://dialogflow.googleapis.com; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where GKE's metadata server listens: GCE_METADATA_HOST of Google's libraries
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    metadata_listen: SocketAddr,
    /// Where STS, IAM Credentials and the OAuth server listen
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    credentials_listen: SocketAddr,
    /// Where the admin API and the web page listen: open it in a browser
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    admin_listen: SocketAddr,
    /// The scenario, YAML or JSON; without one there are no operations until the admin API sets some
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Time that every answer of the Operations API takes; goes before the scenario's own
    #[arg(long, value_name = "DURATION", value_parser = duration_text::parse)]
    latency: Option<Duration>,
    /// Form of the log lines on standard error
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Writes the addresses to this file too (replaced in one step, so that a reader never sees half of it)
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,
    /// Speaks TLS, with HTTP/2 and HTTP/1.1, under an authority of its own (the metadata server and the admin API stay plain)
    #[arg(long)]
    tls: bool,
    /// Writes the authority's certificate to this file, PEM, before the addresses are told
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
    /// A further host that the certificate is for, besides localhost, loopback and *.googleapis.com; may be repeated
    #[arg(long = "tls-host", value_name = "HOST", requires = "tls")]
    tls_hosts: Vec<String>,
    /// Allows addresses that other machines reach; the admin API has no authentication
    #[arg(long)]
    allow_non_loopback: bool,
    /// A name under which the admin API and the web page are asked, such as that of a Service; localhost and addresses need none. May be repeated
    #[arg(long = "admin-host", value_name = "NAME")]
    admin_hosts: Vec<String>,
    /// Stops when standard input ends, as it does when the process at its other end dies
    #[arg(long)]
    exit_with_parent: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the JSON schema of scenario files, for editors and checks, and ends
    Schema,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Schema) = arguments.command {
        return match print_schema() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("operations-emulator: the schema cannot be printed: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    match arguments.log_format {
        LogFormat::Text => logs.with_ansi(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("operations-emulator: {message}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: Arguments) -> Result<(), String> {
    // First, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| format!("cannot watch SIGTERM: {error}"))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|error| format!("cannot watch SIGINT: {error}"))?;
    let parent_gone = watch_parent(arguments.exit_with_parent);

    let mut scenario = arguments
        .scenario
        .as_deref()
        .map(read_scenario)
        .transpose()?
        .unwrap_or_default();
    if let Some(latency) = arguments.latency {
        scenario.latency = Latency::both(latency);
    }
    let config = Config {
        scenario,
        listen: arguments.listen,
        metadata_listen: arguments.metadata_listen,
        credentials_listen: arguments.credentials_listen,
        admin_listen: arguments.admin_listen,
        tls: arguments.tls,
        tls_hosts: arguments.tls_hosts,
        allow_non_loopback: arguments.allow_non_loopback,
        admin_hosts: arguments.admin_hosts,
    };
    let emulator = Emulator::start(config)
        .await
        .map_err(|error| format!("{error}{}", hint(&error, "--allow-non-loopback")))?;
    if let (Some(path), Some(pem)) = (&arguments.ca_file, emulator.authority_pem()) {
        replace(path, pem).map_err(|error| format!("--ca-file {}: {error}", path.display()))?;
    }
    announce(emulator.addresses(), arguments.addresses_file.as_deref())?;

    let why = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = parent_gone => "end of standard input",
    };
    tracing::info!(why, "stopping");
    emulator.shutdown().await;
    Ok(())
}

fn print_schema() -> std::io::Result<()> {
    let schema = serde_json::to_string_pretty(&scenario_schema())?;
    writeln!(std::io::stdout().lock(), "{schema}")
}

fn hint(error: &operations_emulator::StartError, flag: &str) -> String {
    match error {
        operations_emulator::StartError::NotLoopback { .. } => format!(" with {flag}"),
        _ => String::new(),
    }
}

fn read_scenario(path: &Path) -> Result<Scenario, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Scenario::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Prints the addresses as one line, and writes them to the file.
fn announce(addresses: &Addresses, file: Option<&Path>) -> Result<(), String> {
    let mut line = serde_json::to_string(addresses).map_err(|error| error.to_string())?;
    line.push('\n');
    if let Some(path) = file {
        replace(path, &line)
            .map_err(|error| format!("--addresses-file {}: {error}", path.display()))?;
    }
    let mut out = std::io::stdout().lock();
    // A parent that reads the file only may have closed our standard output.
    if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "the addresses could not be printed");
    }
    Ok(())
}

/// Writes a file in one step, so that a reader never sees half of it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, text)?;
    fs::rename(&partial, path)
}

/// Ends when standard input does; never, unless asked to watch.
async fn watch_parent(watch: bool) {
    let (gone, seen) = oneshot::channel::<()>();
    if watch {
        // A thread of its own: a blocking read inside the runtime would keep the runtime from ending.
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while matches!(std::io::stdin().read(&mut buffer), Ok(read) if read > 0) {}
            drop(gone);
        });
        // The sender says nothing; that it is dropped is the news.
        let _ = seen.await;
    } else {
        std::future::pending::<()>().await;
    }
}
