//! The signals by which a program of ours is asked to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of a program that was told to stop a second time.
const AT_ONCE: i32 = 130;

/// Cancelled at the first SIGTERM or SIGINT; a second one ends the process at once.
///
/// # Errors
/// If signals cannot be watched.
pub fn stop_on_signals() -> Result<CancellationToken, String> {
    let listen = |kind: SignalKind| {
        signal(kind).map_err(|error| format!("signals cannot be watched: {error}"))
    };
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
        std::process::exit(AT_ONCE);
    });
    Ok(stop)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
