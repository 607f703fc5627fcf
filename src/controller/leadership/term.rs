//! Until when this process may act as the leader.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures::{Future, future::poll_fn};
use tokio_util::sync::CancellationToken;

use super::lease_clock::LeaseClock;

/// Stands for a term without an end.
const UNLIMITED: u64 = u64::MAX;

/// The term of a leader. Before the first [`Term::extend`] it has not begun. Once it is over it stays over. Clones share it.
#[derive(Clone, Debug)]
pub struct Term {
    clock: LeaseClock,
    /// The end, in microseconds of the clock; 0 before the term begins.
    until: Arc<AtomicU64>,
    over: CancellationToken,
}

impl Term {
    /// A term that ends with the process.
    pub fn unlimited() -> Self {
        let term = Self::not_begun(LeaseClock::start());
        term.until.store(UNLIMITED, Ordering::Relaxed);
        term
    }

    /// A term that begins with the first [`Term::extend`].
    pub fn not_begun(clock: LeaseClock) -> Self {
        Self {
            clock,
            until: Arc::default(),
            over: CancellationToken::new(),
        }
    }

    /// Moves the end. Does nothing if the term is over.
    pub fn extend(&self, until: Duration) {
        if !self.is_over() {
            let micros = u64::try_from(until.as_micros()).unwrap_or(UNLIMITED - 1);
            self.until.store(micros, Ordering::Relaxed);
        }
    }

    /// Ends the term now.
    pub fn end(&self) {
        self.over.cancel();
    }

    /// Nothing begins any more, so the term needs no end: what began before may go on.
    pub fn release(&self) {
        if !self.is_over() {
            self.until.store(UNLIMITED, Ordering::Relaxed);
        }
    }

    /// Whether the term is over. Compares its end with the clock, so it is right even if this process was stopped until now.
    pub fn is_over(&self) -> bool {
        if !self.over.is_cancelled() {
            let until = self.until.load(Ordering::Relaxed);
            if until > 0 && until < UNLIMITED && Duration::from_micros(until) <= self.clock.now() {
                self.over.cancel();
            }
        }
        self.over.is_cancelled()
    }

    /// Waits until something has noticed that the term is over.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Runs a future while the term lasts: the clock is read each time before the future continues. Then the future is dropped, and
    /// the result never comes.
    pub async fn during<T>(self, future: impl Future<Output = T>) -> T {
        let answer = {
            let mut future = pin!(future);
            let mut over = pin!(self.over.cancelled());
            poll_fn(|context| {
                if self.is_over() || over.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                future.as_mut().poll(context).map(Some)
            })
            .await
        };
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_term_that_is_over_is_never_extended() {
        let term = Term::not_begun(LeaseClock::start());
        assert!(!term.is_over(), "it has not begun");
        let hour = Duration::from_secs(3600);
        term.extend(hour);
        assert!(!term.is_over());
        // The clock has passed it.
        term.extend(Duration::from_micros(1));
        while !term.is_over() {}
        term.extend(hour);
        assert!(term.is_over());
        assert!(term.over().now_or_never().is_some());
        assert!(!Term::unlimited().is_over());
    }

    #[test]
    fn what_runs_stops_before_its_next_step() {
        let (term, steps) = (Term::not_begun(LeaseClock::start()), Cell::new(0));
        term.extend(Duration::from_secs(3600));
        let endless = poll_fn(|_| {
            steps.set(steps.get() + 1);
            Poll::<()>::Pending
        });
        let mut running = pin!(term.clone().during(endless));
        assert!(running.as_mut().now_or_never().is_none());
        assert_eq!(steps.get(), 1);
        // The process was stopped until after the end: nobody has noticed yet.
        term.until.store(1, Ordering::Relaxed);
        while term.clock.now() < Duration::from_micros(2) {}
        assert!(running.as_mut().now_or_never().is_none());
        assert_eq!(steps.get(), 1);
        assert!(term.over.is_cancelled(), "now everything knows");
    }

    #[test]
    fn what_ends_in_time_has_its_result() {
        let term = Term::unlimited();
        assert_eq!(term.during(async { 7 }).now_or_never(), Some(7));
    }
}
