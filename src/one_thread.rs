//! The runtime of a program that decides everything on one thread.

use std::{future::Future, io};

/// Runs it to its end on this thread. Files and names of hosts are read by threads of their own, and the end waits for none of
/// them: a name server that does not answer would keep the process for half a minute.
///
/// # Errors
/// If the runtime cannot be made.
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
    fn the_end_waits_for_no_thread_that_reads_names() {
        let (answer, waits) = mpsc::channel::<()>();
        let begun = run(async {
            let (begin, begun) = tokio::sync::oneshot::channel();
            tokio::task::spawn_blocking(move || {
                let _ = begin.send(());
                // Without an end, as far as the process knows.
                let _ = waits.recv();
            });
            begun.await
        });
        assert!(begun.is_ok_and(|begun| begun.is_ok()));
        // The thread still waits: whoever waited for it would wait for this.
        assert!(answer.send(()).is_ok());
    }
}
