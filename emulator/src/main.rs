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

/// Emulates google.longrunning.Operations at the paths of all Google services, GKE's metadata server and Google's token services.
///
/// When it is ready, it prints its addresses as one line of JSON: url, metadataAddress (for GCE_METADATA_HOST), credentialsUrl
/// (for credential files) and adminUrl. Open adminUrl in a browser to watch the operations and to end them. It logs each
/// request to standard error (RUST_LOG=warn turns that off).
///
/// Example: operations-emulator --listen 127.0.0.1:8080 --scenario emulator/scenarios/examples.yaml
#[derive(Debug, Parser)]
#[command(name = "operations-emulator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Address of the Operations API, which clients call instead of https://dialogflow.googleapis.com; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Address of GKE's metadata server, for GCE_METADATA_HOST
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    metadata_listen: SocketAddr,
    /// Address of STS, IAM Credentials and the OAuth server
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    credentials_listen: SocketAddr,
    /// Address of the admin API and the web page
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    admin_listen: SocketAddr,
    /// Scenario file, YAML or JSON; without one, there are no operations until the admin API creates some
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Delay of every answer of the Operations API; overrides the scenario's
    #[arg(long, value_name = "DURATION", value_parser = duration_text::parse)]
    latency: Option<Duration>,
    /// Format of the log lines on standard error
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Also write the addresses to this file, in one step
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,
    /// Serve TLS, with HTTP/2 and HTTP/1.1, with a certificate authority of its own; the metadata server and the admin API stay
    /// plain
    #[arg(long)]
    tls: bool,
    /// Write the certificate of the authority (PEM) to this file before the addresses are printed
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
    /// Another host name for the certificate, besides localhost, loopback addresses and *.googleapis.com; may be repeated
    #[arg(long = "tls-host", value_name = "HOST", requires = "tls")]
    tls_hosts: Vec<String>,
    /// Allow addresses that other machines can reach; the admin API has no authentication
    #[arg(long)]
    allow_non_loopback: bool,
    /// Another host name of the admin API and the web page, such as that of a Service; localhost and addresses need none. May be
    /// repeated
    #[arg(long = "admin-host", value_name = "NAME")]
    admin_hosts: Vec<String>,
    /// Stop when standard input ends, which it does when the parent process ends
    #[arg(long)]
    exit_with_parent: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the JSON schema of scenario files, for editors and checks
    Schema,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Schema) = arguments.command {
        return match print_schema() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("operations-emulator: cannot print the schema: {error}");
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
    // Before anything else, so that a signal during the start is not lost.
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
    // A parent that reads only the file may have closed standard output.
    if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "cannot print the addresses");
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

/// Returns when standard input ends; without `watch`, never.
async fn watch_parent(watch: bool) {
    let (gone, is_gone) = oneshot::channel::<()>();
    if watch {
        // In a separate thread: a blocking read inside the runtime would prevent the runtime from ending.
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while matches!(std::io::stdin().read(&mut buffer), Ok(read) if read > 0) {}
            drop(gone);
        });
        // Nothing is sent: dropping the sender is the signal.
        let _ = is_gone.await;
    } else {
        std::future::pending::<()>().await;
    }
}
