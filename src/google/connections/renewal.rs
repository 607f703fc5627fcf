//! Connections that were closed or idle for a long time are reopened in the background, so that the next cancel request finds them open.
//!
//! An idle connection sends no PINGs, because Google's front ends may close a connection that does. A middlebox may drop it silently
//! (some NATs after four minutes), so it is replaced before that.

use http::{HeaderValue, Method, Request, header};
use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};

use super::{
    CONNECTIONS, Connection, Connections, NoBody, Opened, RequestKind, UsedConnection,
    network_error,
};
use crate::{
    backoff::doubling,
    google::{answers::answer::CallError, user_agent::USER_AGENT},
};

/// How long after the last call the connections of an endpoint are reopened.
const KEEP_FOR: Duration = Duration::from_secs(3600);

/// A connection that was closed sooner than this counts as a failure.
const SHORT_LIFE: Duration = Duration::from_secs(60);

/// After each further failure twice as long is waited.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The state of a slot's renewal.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// A connection was open here before, so reopening makes sense.
    was_open: bool,
    under_way: bool,
    failures: u32,
    not_before: Option<Instant>,
}

/// What a slot needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing for now.
    Nothing,
    /// Another check at this time.
    LookAt(Instant),
    /// A new connection.
    Connection,
}

impl Renewal {
    /// A connection was opened.
    pub(super) const fn opened(&mut self) {
        self.was_open = true;
    }

    fn due(&mut self, now: Instant) -> Need {
        match self.not_before {
            Some(at) if at > now => Need::LookAt(at),
            _ => {
                self.under_way = true;
                Need::Connection
            }
        }
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + doubling(FIRST_PAUSE, LONGEST_PAUSE, self.failures));
    }
}

impl Connections {
    /// Opens a connection in each place and sends a request without a token on it, whose answer does not matter. From then on
    /// they are kept warm, whether they are called or not.
    ///
    /// # Errors
    /// If no answer came.
    pub async fn warm(self: &Arc<Self>) -> Result<(), CallError> {
        self.warmed_up.store(true, Ordering::Relaxed);
        if !self.speaks_http1.load(Ordering::Relaxed) {
            let openings = (0..CONNECTIONS)
                .filter(|place| {
                    self.slot(*place)
                        .is_some_and(|slot| slot.usable().is_none())
                })
                .filter_map(|place| self.open(place));
            futures::future::try_join_all(openings).await?;
        }
        let requests = (0..CONNECTIONS).map(|_| async {
            let used = UsedConnection::default();
            self.send(self.greeting(), RequestKind::Get, &used, &[])
                .await
        });
        futures::future::try_join_all(requests).await.map(drop)
    }

    /// A call is made.
    pub fn note_call(&self, now: Instant) {
        *self
            .last_call
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Whether connections should be reopened: the endpoint is warmed up or was called recently.
    pub fn should_stay_open(&self, now: Instant) -> bool {
        let last_call = *self
            .last_call
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.warmed_up.load(Ordering::Relaxed)
            || now.saturating_duration_since(last_call) < KEEP_FOR
    }

    /// Ends that: from now on they are kept as those of any other endpoint.
    pub fn stop_keeping_warm(&self) {
        self.warmed_up.store(false, Ordering::Relaxed);
    }

    /// Whether it is warmed up.
    pub fn is_warmed_up(&self) -> bool {
        self.warmed_up.load(Ordering::Relaxed)
    }

    /// What a slot needs if a connection may be idle for `idle_limit`. On [`Need::Connection`] the caller must call
    /// [`Connections::renew`].
    pub fn need(&self, place: usize, now: Instant, idle_limit: Duration) -> Need {
        let Some(mut slot) = self.slot(place) else {
            return Need::Nothing;
        };
        if slot.opening.is_some() || slot.renewal.under_way {
            return Need::Nothing;
        }
        if let Some(open) = slot.usable() {
            let since = open.idle_since();
            let at = since.unwrap_or(now) + idle_limit;
            return if since.is_some() && at <= now {
                slot.renewal.due(now)
            } else {
                Need::LookAt(at)
            };
        }
        if let Some(ended) = slot.open.take() {
            if now.saturating_duration_since(ended.opened()) < SHORT_LIFE {
                slot.renewal.failed(now);
            } else {
                slot.renewal = Renewal::default();
                slot.renewal.opened();
            }
        }
        if slot.renewal.was_open {
            slot.renewal.due(now)
        } else {
            Need::Nothing
        }
    }

    /// Closes connections that were idle for `idle_limit`.
    pub fn close_idle(&self, now: Instant, idle_limit: Duration) {
        for place in 0..CONNECTIONS {
            if let Some(mut slot) = self.slot(place) {
                let is_over = |connection: &mut Arc<Connection>| {
                    let since = connection.idle_since();
                    since.is_some_and(|since| since + idle_limit <= now)
                };
                slot.open.take_if(is_over);
                if slot.open.is_none() {
                    slot.renewal = Renewal::default();
                }
            }
        }
    }

    /// Reopens the connection of a slot. Until it is open, the old one is used if there is one.
    pub async fn renew(self: Arc<Self>, place: usize, limit: Duration) {
        let old = self.slot(place).and_then(|slot| slot.usable());
        let new = match timeout(limit, self.greeted(place, old.is_some())).await {
            Ok(new) => new,
            Err(_) => Err(network_error::no_connection_in_time(&self.origin.host)),
        };
        let now = Instant::now();
        let Some(mut slot) = self.slot(place) else {
            return;
        };
        slot.renewal.under_way = false;
        match new {
            // HTTP/1.1 connections are opened as they are needed.
            Ok(None) => slot.renewal = Renewal::default(),
            Ok(Some(new)) => {
                let is_as_it_was = match (&slot.open, &old) {
                    (Some(current), Some(old)) => Arc::ptr_eq(current, old),
                    _ => slot.usable().is_none(),
                };
                if is_as_it_was {
                    slot.open = Some(new);
                }
            }
            Err(error) => {
                slot.renewal.failed(now);
                drop(slot);
                tracing::debug!("a connection is not warm: {}", error.message);
            }
        }
    }

    /// Opens a connection and waits for a first answer on it. If the slot is empty, calls may use the connection before that.
    async fn greeted(
        self: &Arc<Self>,
        place: usize,
        has_old: bool,
    ) -> Result<Option<Arc<Connection>>, CallError> {
        let new = if has_old {
            match self.connector.open(&self.origin).await? {
                Opened::Http2(sender) => Some(Arc::new(Connection::new(sender, Instant::now()))),
                Opened::Http1(_) => None,
            }
        } else {
            match self.open(place) {
                Some(opening) => opening.await?,
                None => None,
            }
        };
        let Some(new) = new else {
            return Ok(None);
        };
        let under_way = new.begin(Instant::now());
        let answer = new.sender().send_request(self.greeting()).await;
        match answer {
            Ok(_) => under_way.answered(Instant::now()),
            Err(error) => return Err(network_error::broke(&error, &self.origin.host, &[])),
        }
        Ok(Some(new))
    }

    /// A HEAD request without a token.
    fn greeting(&self) -> Request<NoBody> {
        let mut request = Request::new(NoBody::new(Arc::new(AtomicBool::new(false))));
        *request.method_mut() = Method::HEAD;
        *request.uri_mut() = self.origin.uri.clone();
        let agent = HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
        request
    }
}
