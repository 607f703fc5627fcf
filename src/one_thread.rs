//! A runtime with one thread.

use std::{future::Future, io};

/// Runs a future to its end on this thread. Blocking threads (files, DNS) are not awaited at the end: a name server that does not
/// answer would keep the process alive for half a minute.
///
/// # Errors
/// If the runtime cannot be built.
pub fn run<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_end_does_not_wait_for_blocking_threads() {
        let (answer, waits) = mpsc::channel::<()>();
        let begun = run(async {
            let (begin, begun) = tokio::sync::oneshot::channel();
            tokio::task::spawn_blocking(move || {
                let _ = begin.send(());
                // Blocks until the test ends.
                let _ = waits.recv();
            });
            begun.await
        });
        assert!(begun.is_ok_and(|begun| begun.is_ok()));
        // The thread is still blocked: run() did not wait for it.
        assert!(answer.send(()).is_ok());
    }
}
