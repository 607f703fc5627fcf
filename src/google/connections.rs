//! The connections to one endpoint, and the choice of one for the next request.

mod connection;
pub(super) mod connector;
pub(super) mod dialer;
pub(super) mod endpoint_pool;
mod hosts_without_address;
pub(super) mod network_error;
pub mod proxy;
mod renewal;
pub(super) mod resolver;
pub mod tls;

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use http::{Request, Response, header};
use hyper::body::Incoming;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

pub(super) use self::renewal::Need;
use self::renewal::Renewal;
use self::{
    connection::{Connection, Http1Pool},
    connector::{Connector, NoBody, Opened, Origin},
};
use crate::google::answers::{
    answer::{CallError, ErrorKind},
    rpc_error,
};

/// HTTP/2 connections to one endpoint. More than one, so that a limit on streams, a lost segment or a stuck connection does not stop
/// everything; few, because Google's front ends prefer few.
pub(in crate::google) const CONNECTIONS: usize = 2;

/// If a connection is silent for longer, a GET uses another one.
const GET_PATIENCE: Duration = Duration::from_secs(1);

/// The same for a cancel request: the GET that it waited for may be stuck there.
const CANCEL_PATIENCE: Duration = Duration::from_millis(100);

/// If one connection is stuck, another one is used only if it had an answer within this time: the same middlebox may have dropped both.
const HEARD_LATELY: Duration = Duration::from_secs(60);

/// A stuck connection is replaced only if it is older than this.
const REPLACED_AFTER: Duration = Duration::from_secs(10);

/// Maximum number of attempts for a request that was not sent because its connection closed.
const TRIES: usize = 3;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::google) enum RequestKind {
    /// A request that changes nothing.
    Get,
    /// A cancel request. It must not wait behind a stuck GET.
    Cancel,
}

/// All connections to one endpoint.
#[derive(Debug)]
pub(in crate::google) struct Connections {
    origin: Origin,
    connector: Arc<Connector>,
    slots: [Mutex<Slot>; CONNECTIONS],
    http1: Arc<Http1Pool>,
    speaks_http1: AtomicBool,
    next: AtomicUsize,
    answered_once: AtomicBool,
    warmed_up: AtomicBool,
    last_call: Mutex<Instant>,
}

/// A slot for one HTTP/2 connection.
#[derive(Debug, Default)]
struct Slot {
    open: Option<Arc<Connection>>,
    opening: Option<Opening>,
    renewal: Renewal,
}

/// `None`: the endpoint speaks HTTP/1.1.
type Opening = Shared<BoxFuture<'static, Result<Option<Arc<Connection>>, CallError>>>;

/// The connection that a request was sent on, and when.
#[derive(Clone, Debug, Default)]
pub(in crate::google) struct UsedConnection(Arc<Mutex<Option<SentOn>>>);

/// A connection, and when a request was sent on it.
type SentOn = (Arc<Connection>, Instant);

enum Ready {
    Http1(hyper::client::conn::http1::SendRequest<NoBody>),
    Http2(Arc<Connection>),
}

/// The connection for the next request.
enum Choice {
    /// An open one, and a free slot in which to open another one in the background.
    Open(Arc<Connection>, Option<usize>),
    /// One that must be opened first, in this slot.
    Place(usize),
}

impl Connections {
    /// Opens nothing yet.
    pub fn new(origin: Origin, connector: Arc<Connector>) -> Self {
        let is_plain = origin.uri.scheme() == Some(&http::uri::Scheme::HTTP);
        Self {
            origin,
            connector,
            slots: Default::default(),
            http1: Arc::default(),
            speaks_http1: AtomicBool::new(is_plain),
            next: AtomicUsize::new(0),
            answered_once: AtomicBool::new(false),
            warmed_up: AtomicBool::new(false),
            last_call: Mutex::new(Instant::now()),
        }
    }

    /// Sends a request, and waits until its answer begins. `used` holds the connection that it was sent on.
    ///
    /// # Errors
    /// If there is no connection, or if it breaks.
    pub async fn send(
        self: &Arc<Self>,
        mut request: Request<NoBody>,
        kind: RequestKind,
        used: &UsedConnection,
        secrets: &[&str],
    ) -> Result<Response<Incoming>, CallError> {
        let broke = |error: &hyper::Error| network_error::broke(error, &self.origin.host, secrets);
        let uri = request.uri().clone();
        for _ in 0..TRIES {
            match self.ready(kind).await? {
                Ready::Http2(connection) => {
                    *request.uri_mut() = uri.clone();
                    request.headers_mut().remove(header::HOST);
                    let now = Instant::now();
                    used.set(Some((connection.clone(), now)));
                    let under_way = connection.begin(now);
                    match connection.sender().try_send_request(request).await {
                        Ok(response) => {
                            under_way.answered(Instant::now());
                            return Ok(response);
                        }
                        Err(mut error) => match error.take_message() {
                            Some(unsent) => request = unsent,
                            None => return Err(broke(error.error())),
                        },
                    }
                    self.forget(&connection);
                }
                Ready::Http1(mut sender) => {
                    used.set(None);
                    match sender.try_send_request(self.for_http1(request)).await {
                        Ok(response) => {
                            self.http1.keep(sender);
                            return Ok(response);
                        }
                        Err(mut error) => match error.take_message() {
                            Some(unsent) => request = unsent,
                            None => return Err(broke(error.error())),
                        },
                    }
                }
            }
        }
        Err(CallError {
            not_sent: true,
            ..rpc_error::error(
                ErrorKind::Network,
                None,
                format!(
                    "{}: the server closes each connection at once",
                    self.origin.host
                ),
            )
        })
    }

    /// Records the end of a call. After two time-outs in a row, its connection is replaced. If a call times out and its connection
    /// answered no other call meanwhile, all connections are replaced that were silent since the call began: the same middlebox may
    /// have dropped them. Calls on the old connections continue.
    pub fn note(&self, used: &UsedConnection, timed_out: bool) {
        let Some((connection, began)) = used.get() else {
            return;
        };
        let is_dead = connection.is_dead_after(timed_out);
        if timed_out && !connection.has_answered_since(began) {
            self.forget_silent_since(began);
        } else if is_dead {
            self.forget(&connection);
        } else {
            return;
        }
        self.connector.ended.notify_one();
    }

    /// Records that the endpoint answered like an API.
    pub fn mark_answered(&self) {
        self.answered_once.store(true, Ordering::Relaxed);
    }

    /// Whether the endpoint ever answered like an API.
    pub fn has_answered(&self) -> bool {
        self.answered_once.load(Ordering::Relaxed)
    }

    fn slot(&self, place: usize) -> Option<MutexGuard<'_, Slot>> {
        let slot = self.slots.get(place)?;
        Some(slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn ready(self: &Arc<Self>, kind: RequestKind) -> Result<Ready, CallError> {
        if !self.speaks_http1.load(Ordering::Relaxed) {
            match self.choose(kind, Instant::now()) {
                Choice::Open(connection, beside) => {
                    if let Some(place) = beside {
                        drop(self.open(place));
                    }
                    return Ok(Ready::Http2(connection));
                }
                Choice::Place(place) => {
                    if let Some(opening) = self.open(place)
                        && let Some(connection) = opening.await?
                    {
                        return Ok(Ready::Http2(connection));
                    }
                }
            }
        }
        if let Some(sender) = self.http1.take() {
            return Ok(Ready::Http1(sender));
        }
        Ok(match self.connector.open(&self.origin).await? {
            Opened::Http1(sender) => Ready::Http1(sender),
            Opened::Http2(sender) => {
                // It did not before.
                self.speaks_http1.store(false, Ordering::Relaxed);
                Ready::Http2(Arc::new(Connection::new(sender, Instant::now())))
            }
        })
    }

    fn choose(&self, kind: RequestKind, now: Instant) -> Choice {
        let patience = match kind {
            RequestKind::Get => GET_PATIENCE,
            RequestKind::Cancel => CANCEL_PATIENCE,
        };
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let places = (0..CONNECTIONS).map(|n| (first.wrapping_add(n)) % CONNECTIONS);
        let mut open = Vec::with_capacity(CONNECTIONS);
        let mut free = None;
        for place in places {
            match self.slot(place).and_then(|slot| slot.usable()) {
                Some(connection) => {
                    let silence = connection.silence(now);
                    open.push((place, connection, silence));
                }
                None => free = free.or(Some(place)),
            }
        }
        let one_is_stuck = open.iter().any(|(_, _, silence)| *silence >= patience);
        let best = open
            .iter()
            .filter(|(_, connection, silence)| {
                *silence < patience
                    && (!one_is_stuck || connection.since_last_answer(now) < HEARD_LATELY)
            })
            .min_by_key(|(_, _, silence)| match kind {
                // In turn.
                RequestKind::Get => Duration::ZERO,
                RequestKind::Cancel => *silence,
            });
        match (best, free) {
            // An endpoint that never answered may be made up: no second connection.
            (Some((_, connection, _)), free) => {
                Choice::Open(connection.clone(), free.filter(|_| self.has_answered()))
            }
            (None, Some(place)) => Choice::Place(place),
            (None, None) => self.replace(&open, now),
        }
    }

    /// All connections are stuck: replaces an idle one, else the oldest one, unless it was just opened.
    fn replace(&self, open: &[(usize, Arc<Connection>, Duration)], now: Instant) -> Choice {
        let oldest = open
            .iter()
            .min_by_key(|(_, connection, silence)| (!silence.is_zero(), connection.opened()));
        let least_silent = open.iter().min_by_key(|(_, _, silence)| *silence);
        match (oldest, least_silent) {
            (Some((place, connection, _)), _)
                if now.saturating_duration_since(connection.opened()) >= REPLACED_AFTER =>
            {
                self.forget(connection);
                Choice::Place(*place)
            }
            (_, Some((_, connection, _))) => Choice::Open(connection.clone(), None),
            _ => Choice::Place(0),
        }
    }

    /// Opens the connection of a slot. Concurrent callers wait for the same one. It is opened even if all callers give up.
    fn open(self: &Arc<Self>, place: usize) -> Option<Opening> {
        let mut slot = self.slot(place)?;
        // An opening that has ended and is still here has panicked.
        let opening = slot.opening.as_ref();
        if let Some(opening) = opening.filter(|opening| opening.peek().is_none()) {
            return Some(opening.clone());
        }
        let connections = self.clone();
        let task = tokio::spawn(async move {
            let opened = connections.connector.open(&connections.origin).await;
            connections.opened(place, opened)
        });
        let opening = async move {
            task.await.unwrap_or_else(|_| {
                let died = "the task that opens a connection died".to_owned();
                Err(rpc_error::error(ErrorKind::Network, None, died))
            })
        };
        let opening = opening.boxed().shared();
        slot.opening = Some(opening.clone());
        Some(opening)
    }

    fn opened(
        &self,
        place: usize,
        opened: Result<Opened, CallError>,
    ) -> Result<Option<Arc<Connection>>, CallError> {
        let result = match opened {
            Ok(Opened::Http2(sender)) => {
                Ok(Some(Arc::new(Connection::new(sender, Instant::now()))))
            }
            Ok(Opened::Http1(sender)) => {
                self.speaks_http1.store(true, Ordering::Relaxed);
                self.http1.keep(sender);
                Ok(None)
            }
            Err(error) => Err(error),
        };
        if let Some(mut slot) = self.slot(place) {
            slot.opening = None;
            if let Ok(Some(connection)) = &result {
                slot.open = Some(connection.clone());
                slot.renewal.opened();
            }
        }
        result
    }

    fn forget(&self, connection: &Arc<Connection>) {
        for place in 0..CONNECTIONS {
            if let Some(mut slot) = self.slot(place) {
                slot.open
                    .take_if(|current| Arc::ptr_eq(current, connection));
            }
        }
    }

    fn forget_silent_since(&self, then: Instant) {
        for place in 0..CONNECTIONS {
            if let Some(mut slot) = self.slot(place) {
                slot.open
                    .take_if(|current| !current.has_answered_since(then));
            }
        }
    }

    /// HTTP/1.1 names the host in a header and only the path in its first line.
    fn for_http1(&self, mut request: Request<NoBody>) -> Request<NoBody> {
        let authority = self.origin.uri.authority();
        if let Some(host) = authority.and_then(|host| host.as_str().parse().ok()) {
            request.headers_mut().insert(header::HOST, host);
        }
        if let Some(path) = request.uri().path_and_query() {
            *request.uri_mut() = path.clone().into();
        }
        request
    }
}

impl Slot {
    fn usable(&self) -> Option<Arc<Connection>> {
        self.open
            .clone()
            .filter(|connection| !connection.is_closed())
    }
}

impl UsedConnection {
    fn set(&self, connection: Option<SentOn>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    fn get(&self) -> Option<SentOn> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
