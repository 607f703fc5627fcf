//! Log lines: text on standard error, as programs tell people; JSON on standard output.
//!
//! What a container writes to standard error is an ERROR for Cloud Logging (the agent of GKE takes the stream for the severity
//! of what names none), and other systems keep the streams apart too: lines for machines stand where machines look.

use clap::ValueEnum;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt::{format::JsonFields, writer::BoxMakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::json_line::JsonLine;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people, on standard error.
    Text,
    /// One JSON object a line, on standard output.
    Json,
}

/// The libraries' own warnings show their internals; what matters of them this program says in its own words.
const DEFAULT_FILTER: &str = "warn,opcancel=info,opcancel_controller=info,kube_client=off";

/// Starts logging. `filter` is what `--log-level` says, `RUST_LOG` goes before it: a level such as `debug` for this
/// program, or directives as tracing-subscriber reads them.
///
/// # Errors
/// If the filter cannot be read, or something else logs already.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let (name, directives) = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => ("RUST_LOG", directives),
        _ => ("--log-level", filter.to_owned()),
    };
    let directives = match directives.parse::<Level>() {
        Ok(level) => DEFAULT_FILTER.replace("=info", &format!("={level}")),
        Err(_) => directives,
    };
    let filter = EnvFilter::builder()
        .parse(&directives)
        .map_err(|error| format!("{name}: {directives:?} is no log filter ({error}); expected a level such as info or debug"))?;
    // With a hint of its own, so that the other's is not lost: what is below it costs nothing then.
    let filter = filter.and(filter_fn(harmless).with_max_level_hint(LevelFilter::TRACE));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(match format {
            LogFormat::Text => BoxMakeWriter::new(std::io::stderr),
            LogFormat::Json => BoxMakeWriter::new(std::io::stdout),
        })
        .with_ansi(false);
    let layer = match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(|error| format!("logs cannot be started: {error}"))
}

/// Below INFO, libraries may log headers and bodies, and with them tokens: no filter makes those visible.
fn harmless(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("opcancel") || *metadata.level() <= Level::INFO
}
