//! Stopping on SIGTERM and SIGINT.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal: 128 and the number of SIGINT.
const SECOND_SIGNAL: i32 = 130;

/// Returns a token that is cancelled at the first SIGTERM or SIGINT. A second signal ends the process at once.
///
/// # Errors
/// If no signal handler can be installed.
pub fn stop_on_signals() -> Result<CancellationToken, String> {
    let listen =
        |kind: SignalKind| signal(kind).map_err(|error| format!("cannot handle signals: {error}"));
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        cancelled.cancel();
        next(&mut terminate, &mut interrupt).await;
        std::process::exit(SECOND_SIGNAL);
    });
    Ok(stop)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
