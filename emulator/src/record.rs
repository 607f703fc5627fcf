//! The record of all requests in the order of their arrival, with their contents and answers. Tokens are recorded by their ID
//! only.

mod authorization;
mod pending;
mod redaction;
pub(crate) mod timed_out;

pub use authorization::Authorization;
pub use pending::Pending;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use self::redaction::RedactedHeaders;
use crate::protocol::call::{self, Call, Route};

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// Its number since the start, from 0, over all surfaces.
    pub sequence: u64,
    /// The server that got the request.
    pub surface: Surface,
    /// Time of arrival, by the wall clock.
    pub received: Timestamp,
    /// Time of arrival since the emulator's start, by the monotonic clock.
    #[serde(serialize_with = "crate::duration_text::serialize")]
    pub since_start: Duration,
    /// The HTTP method.
    pub method: String,
    /// The path of the request line, without the query.
    pub path: String,
    /// The query, without secrets.
    pub query: Option<String>,
    /// `HTTP/1.1` or `HTTP/2.0`
    pub http_version: String,
    /// The requested host: `:authority` of HTTP/2, `Host` of HTTP/1.1.
    pub host: Option<String>,
    /// All headers, without secrets; `authorization` has the token's ID instead of the token.
    pub headers: RedactedHeaders,
    /// The body, without secrets, if it is a form or a JSON object; otherwise its length.
    pub body: Option<String>,
    /// The API version in the path, if it is a call of the Operations API.
    pub version: Option<String>,
    /// The operation's name, if it is a call of the Operations API.
    pub operation: Option<String>,
    /// The parent, if it is a list.
    pub parent: Option<String>,
    /// The call, if it is one of the Operations API.
    pub call: Option<Call>,
    /// Its authorization.
    pub authorization: Authorization,
    /// `User-Agent`
    pub user_agent: Option<String>,
    /// `X-Goog-Request-Reason`
    pub request_reason: Option<String>,
    /// `x-goog-user-project`
    pub user_project: Option<String>,
    /// `Content-Length`
    pub content_length: Option<String>,
    /// Its answer.
    pub answer: Answer,
}

/// The servers of an emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Surface {
    /// The Operations API.
    Operations,
    /// The metadata server.
    Metadata,
    /// STS, IAM Credentials and the OAuth server.
    Credentials,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// None yet.
    Pending,
    /// This HTTP status.
    Status(u16),
    /// The connection was closed without an answer.
    Closed,
    /// The client disconnected before the answer, or the emulator stopped.
    Abandoned,
}

/// The clock and counter that the records of all surfaces share, so that their entries have one order.
#[derive(Debug)]
pub struct Timeline {
    started: Instant,
    next: AtomicU64,
}

impl Timeline {
    /// A timeline that starts now.
    pub fn start() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            next: AtomicU64::new(0),
        })
    }

    /// The number that the next request gets.
    pub fn next_sequence(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }
}

/// The record of all requests to one surface.
#[derive(Debug)]
pub struct Record {
    surface: Surface,
    timeline: Arc<Timeline>,
    limit: usize,
    requests: Mutex<VecDeque<RequestRecord>>,
    changed: watch::Sender<()>,
}

impl Record {
    /// An empty record that keeps this many requests.
    pub fn new(surface: Surface, timeline: Arc<Timeline>, limit: usize) -> Self {
        Self {
            surface,
            timeline,
            limit: limit.max(1),
            requests: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Adds a request that has just arrived. The returned value notes its answer.
    pub fn arrived(
        &self,
        request: &Request<Bytes>,
        route: Option<&Route>,
        authorization: Authorization,
    ) -> Pending<'_> {
        let text = |name: &str| header_text(request.headers(), name);
        let named = |list: bool| {
            let route = route.filter(|route| (route.call == Call::List) == list)?;
            Some(route.operation.clone())
        };
        let mut record = RequestRecord {
            sequence: 0,
            surface: self.surface,
            received: Timestamp::now(),
            since_start: self.timeline.started.elapsed(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(redaction::pairs),
            http_version: format!("{:?}", request.version()),
            host: call::host(request).map(str::to_owned),
            headers: RedactedHeaders::of(request.headers(), &authorization),
            body: redaction::body(request),
            version: route.map(|route| route.version.clone()),
            operation: named(false),
            parent: named(true),
            call: route.map(|route| route.call),
            authorization,
            user_agent: text(header::USER_AGENT.as_str()),
            request_reason: text("x-goog-request-reason"),
            user_project: text("x-goog-user-project"),
            content_length: text(header::CONTENT_LENGTH.as_str()),
            answer: Answer::Pending,
        };
        let mut requests = self.lock();
        // Taken under the lock, so that the numbers in one record increase.
        record.sequence = self.timeline.next.fetch_add(1, Ordering::SeqCst);
        let pending = Pending::new(self, &record);
        requests.push_back(record);
        if requests.len() > self.limit {
            requests.pop_front();
        }
        drop(requests);
        self.changed.send_replace(());
        pending
    }

    /// Notes the answer to a request; no effect if the record has dropped it.
    fn answered(&self, sequence: u64, answer: Answer) {
        let mut requests = self.lock();
        let found = requests.binary_search_by_key(&sequence, |request| request.sequence);
        if let Some(request) = found.ok().and_then(|index| requests.get_mut(index)) {
            request.answer = answer;
        }
        drop(requests);
        self.changed.send_replace(());
    }

    /// Calls `read` with all requests that are kept, oldest first.
    pub fn with<R>(&self, read: impl FnOnce(&[RequestRecord]) -> R) -> R {
        read(self.lock().make_contiguous())
    }

    /// Deletes all requests; their numbers are not reused.
    pub fn clear(&self) {
        self.lock().clear();
        self.changed.send_replace(());
    }

    /// Signals each arrival and each answer.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until `met` returns true for the requests. It is called now and after every change.
    pub async fn wait_until(&self, mut met: impl FnMut(&[RequestRecord]) -> bool) {
        let mut changes = self.changed.subscribe();
        while !self.with(&mut met) {
            // The sender lives in self, so this cannot fail while we wait.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<RequestRecord>> {
        // A panic in a test's predicate must not break the other tests: the list itself is never half written.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
