//! Ctrl-C, SIGTERM and SIGHUP as a question that a task asks, so that it can tidy up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// Whether the user has had enough.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    seen: Arc<AtomicBool>,
}

impl Interrupt {
    /// Watches from now on, until the process ends. A second signal ends it at once.
    pub(crate) fn watch() -> Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (mut interrupt, mut terminate, mut hang_up) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt()).context("cannot watch SIGINT")?,
                signal(SignalKind::terminate()).context("cannot watch SIGTERM")?,
                signal(SignalKind::hangup()).context("cannot watch SIGHUP")?,
            )
        };
        let came = Arc::clone(&seen);
        std::thread::spawn(move || {
            runtime.block_on(async move {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hang_up.recv() => {}
                    }
                    if came.swap(true, Ordering::Relaxed) {
                        // Whatever runs for us ends when we are gone.
                        std::process::exit(130);
                    }
                }
            });
        });
        Ok(Self { seen })
    }

    /// Whether a signal came.
    pub(crate) fn came(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// Fails if a signal came.
    pub(crate) fn check(&self) -> Result<()> {
        if self.came() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// The result of a step; a failure is reported only if the signal did not cause it.
    pub(crate) fn or<T>(&self, result: Result<T>) -> Result<T> {
        self.check()?;
        result
    }
}
