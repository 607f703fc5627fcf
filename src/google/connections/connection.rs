//! An HTTP/2 connection with its health, and the pool of idle HTTP/1.1 connections.

use hyper::client::conn::{http1, http2};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

use super::connector::NoBody;

/// Timeouts in a row after which a connection is closed (docs/life-of-a-cancellation.md#connections).
const RETIRE_AFTER: u32 = 2;

/// An HTTP/1.1 connection that waited longer is not used: the server may just be closing it.
const HTTP1_IDLE: Duration = Duration::from_secs(90);

/// HTTP/1.1 connections to one endpoint that are kept for the next requests.
const HTTP1_KEPT: usize = 256;

/// An HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http2::SendRequest<NoBody>,
    opened: Instant,
    timeouts: AtomicU32,
    traffic: Mutex<Traffic>,
}

/// The traffic on a connection.
#[derive(Debug)]
struct Traffic {
    /// Requests whose answer has not begun.
    unanswered: usize,
    /// Since when a request is unanswered and nothing was received.
    silent_since: Option<Instant>,
    /// When the last answer began; before the first answer, when the connection was opened.
    heard: Instant,
    /// When the last request began or was answered.
    used: Instant,
}

/// A request on a connection, until its answer begins or the caller gives up.
#[derive(Debug)]
pub(super) struct InFlight<'a>(&'a Connection);

impl Connection {
    /// A connection that was just opened.
    pub fn new(sender: http2::SendRequest<NoBody>, now: Instant) -> Self {
        Self {
            sender,
            opened: now,
            timeouts: AtomicU32::new(0),
            traffic: Mutex::new(Traffic {
                unanswered: 0,
                silent_since: None,
                heard: now,
                used: now,
            }),
        }
    }

    /// The sender for a request.
    pub fn sender(&self) -> http2::SendRequest<NoBody> {
        self.sender.clone()
    }

    /// Whether it accepts no more requests.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// A request begins.
    pub fn begin(&self, now: Instant) -> InFlight<'_> {
        let mut traffic = self.traffic();
        traffic.unanswered += 1;
        traffic.silent_since.get_or_insert(now);
        traffic.used = now;
        InFlight(self)
    }

    /// How long requests have been waiting without any answer on this connection.
    pub fn silence(&self, now: Instant) -> Duration {
        let since = self.traffic().silent_since;
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The time since the last answer began.
    pub fn since_last_answer(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.traffic().heard)
    }

    /// Whether an answer began after that time, or the connection was opened after it.
    pub fn has_answered_since(&self, then: Instant) -> bool {
        self.traffic().heard > then
    }

    /// When it was last used; `None` if a request is in flight.
    pub fn idle_since(&self) -> Option<Instant> {
        let traffic = self.traffic();
        (traffic.unanswered == 0).then_some(traffic.used)
    }

    /// When it was opened.
    pub const fn opened(&self) -> Instant {
        self.opened
    }

    /// Records the end of a call. True after two time-outs in a row: a middlebox may have dropped the connection.
    pub fn is_dead_after(&self, timed_out: bool) -> bool {
        if !timed_out {
            self.timeouts.store(0, Ordering::Relaxed);
            return false;
        }
        self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= RETIRE_AFTER
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight<'_> {
    /// Its answer begins.
    pub fn answered(self, now: Instant) {
        let mut traffic = self.0.traffic();
        traffic.heard = now;
        traffic.used = now;
        traffic.silent_since = traffic.silent_since.map(|_| now);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut traffic = self.0.traffic();
        traffic.unanswered = traffic.unanswered.saturating_sub(1);
        if traffic.unanswered == 0 {
            traffic.silent_since = None;
        }
    }
}

/// The HTTP/1.1 connections to one endpoint that wait for a request.
#[derive(Debug, Default)]
pub(super) struct Http1Pool(Mutex<VecDeque<(Instant, http1::SendRequest<NoBody>)>>);

impl Http1Pool {
    /// The one that was used last, of those that can still be used.
    pub fn take(&self) -> Option<http1::SendRequest<NoBody>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((since, sender)) = idle.pop_back() {
            if since.elapsed() < HTTP1_IDLE && sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps one once its answer has been read.
    pub fn keep(self: &Arc<Self>, mut sender: http1::SendRequest<NoBody>) {
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            if sender.ready().await.is_err() {
                return;
            }
            if let Some(pool) = pool.upgrade() {
                let mut idle = pool.0.lock().unwrap_or_else(PoisonError::into_inner);
                let is_old = |(since, _): &mut (Instant, _)| since.elapsed() >= HTTP1_IDLE;
                while idle.len() >= HTTP1_KEPT || idle.front_mut().is_some_and(is_old) {
                    idle.pop_front();
                }
                idle.push_back((Instant::now(), sender));
            }
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    /// A connection whose other end never answers.
    pub async fn unanswered() -> (Connection, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let made = http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await;
        let (sender, connection) = made.unwrap();
        tokio::spawn(connection);
        (Connection::new(sender, Instant::now()), far)
    }

    #[tokio::test]
    async fn two_timeouts_in_a_row_make_it_dead() {
        let (connection, _far) = unanswered().await;
        for (timed_out, is_dead) in [(true, false), (false, false), (true, false), (true, true)] {
            assert_eq!(connection.is_dead_after(timed_out), is_dead);
        }
    }

    #[tokio::test]
    async fn it_is_silent_while_nothing_comes_that_is_waited_for() {
        let (connection, _far) = unanswered().await;
        let at = |seconds| connection.opened() + Duration::from_secs(seconds);
        let silence = |seconds| connection.silence(at(seconds)).as_secs();
        assert_eq!(connection.idle_since(), Some(at(0)));
        assert_eq!(silence(1), 0);
        let first = connection.begin(at(1));
        let second = connection.begin(at(2));
        assert_eq!(silence(3), 2);
        assert_eq!(connection.idle_since(), None);
        second.answered(at(3));
        assert_eq!((silence(3), silence(4)), (0, 1));
        drop(first);
        assert_eq!(silence(5), 0);
        assert_eq!(connection.idle_since(), Some(at(3)));
        assert_eq!(connection.since_last_answer(at(5)).as_secs(), 2);
    }
}
