//! Log lines: text on standard error, JSON on standard output.
//!
//! Cloud Logging treats what a container writes to standard error as ERROR: GKE's agent derives the severity from the stream if a
//! line names none. So lines for machines go to standard output.

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
    /// Lines for people on standard error.
    Text,
    /// One JSON object per line on standard output.
    Json,
}

/// Libraries log only warnings. kube_client logs nothing: its warnings show internals, and this program reports what matters.
const DEFAULT_FILTER: &str = "warn,opcancel=info,opcancel_controller=info,kube_client=off";

/// Starts logging. `filter` is the value of `--log-level`; `RUST_LOG` takes precedence. Either is a level for this program, such as
/// `debug`, or directives of tracing-subscriber.
///
/// # Errors
/// If the filter is invalid, or logging was started before.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let (name, directives) = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => ("RUST_LOG", directives),
        _ => ("--log-level", filter.to_owned()),
    };
    let directives = match directives.parse::<Level>() {
        Ok(level) => DEFAULT_FILTER.replace("=info", &format!("={level}")),
        Err(_) => directives,
    };
    let filter = EnvFilter::builder().parse(&directives).map_err(|error| {
        format!(
            "{name}: invalid log filter {directives:?} ({error}); use for example info or debug"
        )
    })?;
    // The level hint keeps the other filter's hint, so that lines below that level cost nothing.
    let filter = filter.and(filter_fn(is_safe).with_max_level_hint(LevelFilter::TRACE));
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
        .map_err(|error| format!("cannot start logging: {error}"))
}

/// Below INFO, libraries may log headers and bodies with tokens in them. No filter can make those lines visible.
fn is_safe(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("opcancel") || *metadata.level() <= Level::INFO
}
