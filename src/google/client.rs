//! The two calls of `google.longrunning.Operations` that this program makes, over HTTP.
//!
//! Guarantees: one call is one request; redirects are not followed; answers are read up to a limit; every wait is bounded; the token that
//! was sent is removed from every text of an answer. Caveat: a call that is dropped may still have arrived.

mod exchange;
mod observation;
mod operation_answer;
pub mod request_reason;
mod request_url;

use futures::{StreamExt, stream::FuturesUnordered};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rustls::pki_types::CertificateDer;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep_until, timeout},
};

use self::request_reason::RequestReason;
pub use super::user_agent::USER_AGENT;
use super::{
    answers::{
        answer::{CallError, CancelAnswer, ErrorKind, GetAnswer},
        operation_json::{read_cancel_accepted, read_operation_in_pieces},
        proto_json::NotProtoJson,
        rpc_error::{self, ErrorResponse, read_error, unrecognised},
    },
    catalogue::{OperationForm, Target},
    connections::{
        CONNECTIONS, Connections, Need, connector::Connector, endpoint_pool::EndpointPool,
        network_error, proxy::HttpsProxy, tls::Trust,
    },
    identity::token::Token,
};

pub use exchange::Withdrawn;
use exchange::{ApiRequest, FullResponse, LONG_ANSWERS};
pub use observation::{CallOptions, Observation, Resource, UserProject};
#[cfg(test)]
pub(super) use operation_answer::MOST_LARGE;
use operation_answer::{Expected, OperationReader};
pub use operation_answer::{LARGE, MAX_OPERATION};
pub use request_url::{UnusableEndpoint, cancel_url, get_url};

/// Maximum size of an answer that is not an operation, in bytes.
pub const MAX_ANSWER: usize = 64 * 1024;

/// Longest interval between two checks of the connections.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// How calls are made.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Time limit of a call from its start to the last byte of the answer, or to the end of its head if the answer is an operation.
    /// Google's published configuration of Get and Cancel has 10 s.
    pub call_timeout: Duration,
    /// Longest wait for a further byte of an operation.
    pub idle_timeout: Duration,
    /// Longest time for reading an operation, without the wait before it.
    pub read_timeout: Duration,
    /// Time limit for opening a connection, within `call_timeout`.
    pub connect_timeout: Duration,
    /// While a request is in flight, a PING is sent on a connection that received nothing for this long.
    pub ping_after: Duration,
    /// [`OperationsClient::keep_warm`] replaces a connection that was idle for this long. Some NATs drop one after four minutes.
    pub idle_limit: Duration,
    /// `x-goog-user-project`: the project that pays for the calls and whose quota they use (`--quota-project`).
    pub quota_project: Option<String>,
    /// Certificate authorities of `--ca-file`. They are trusted in addition to the system's, and only for endpoint overrides: a private
    /// authority must not vouch for Google's own hosts.
    pub override_roots: Vec<CertificateDer<'static>>,
    /// The proxy for Google's own hosts (`--https-proxy`). Without it connections are direct, whatever the environment says.
    pub https_proxy: Option<HttpsProxy>,
    /// Whether TLS connections use only HTTP/1.1. Only there can one see how Google's front end treats a POST without a length.
    pub http1_only: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(5),
            ping_after: Duration::from_secs(10),
            idle_limit: Duration::from_secs(200),
            quota_project: None,
            override_roots: Vec::new(),
            https_proxy: None,
            http1_only: false,
        }
    }
}

/// `quota_project` cannot be sent in a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--quota-project: {0:?} is not a project id or number")]
pub struct InvalidQuotaProject(String);

/// The client. It holds the connections to every endpoint that was called; share it in an `Arc`.
#[derive(Debug)]
pub struct OperationsClient {
    endpoints: Mutex<EndpointPool>,
    connector: Arc<Connector>,
    call_timeout: Duration,
    idle_limit: Duration,
    operations: OperationReader,
    long_answers: Semaphore,
    quota_project: Option<HeaderValue>,
}

impl OperationsClient {
    /// Opens no connection yet. [`super::connections::tls::install_provider`] must have been called before the first call.
    ///
    /// # Errors
    /// If the quota project is invalid.
    pub fn new(config: ClientConfig) -> Result<Self, InvalidQuotaProject> {
        let quota_project = config.quota_project.map(|project| {
            let good = !project.is_empty() && project.bytes().all(|b| b.is_ascii_graphic());
            match HeaderValue::try_from(project.as_str()) {
                Ok(header) if good => Ok(header),
                _ => Err(InvalidQuotaProject(project)),
            }
        });
        Ok(Self {
            endpoints: Mutex::default(),
            connector: Arc::new(Connector::new(
                Trust::new(config.override_roots, config.http1_only),
                config.connect_timeout,
                config.ping_after,
                config.https_proxy,
            )),
            call_timeout: config.call_timeout,
            idle_limit: config.idle_limit,
            operations: OperationReader::new(config.idle_timeout, config.read_timeout),
            long_answers: Semaphore::new(LONG_ANSWERS),
            quota_project: quota_project.transpose()?,
        })
    }

    /// GET of the operation. A date in `Retry-After` is counted from `now`. An answer above [`LARGE`] is read only
    /// when few others are.
    pub async fn get(
        &self,
        target: &Target,
        reason: &RequestReason,
        token: &Token,
        now: SystemTime,
    ) -> GetAnswer {
        self.get_and_notify(target, reason, token, now, &Notify::new())
            .await
    }

    /// The same. `large` is notified once if the answer is above [`LARGE`]: reading it takes long, so the caller should no longer count
    /// it as a call in flight.
    pub async fn get_and_notify(
        &self,
        target: &Target,
        reason: &RequestReason,
        token: &Token,
        now: SystemTime,
        large: &Notify,
    ) -> GetAnswer {
        let url = get_url(target, &target.name).map_err(unusable)?;
        let secrets = &[token.secret()];
        let headers = self.headers(&Method::GET, reason, Some(token))?;
        let request = ApiRequest::new(Method::GET, url, target, headers, secrets);
        let started = self.start(request, reason.tenant()).await?;
        let connections = started.connections.clone();
        let answer = if started.response.status() == StatusCode::OK {
            connections.note(&started.used, false);
            let expected = Expected {
                name: &target.name,
                form: target.operation_form(),
                host: host(&target.endpoint),
                secrets,
            };
            self.operations
                .read(started.response, expected, large)
                .await
        } else {
            let answer = self.finish(started, MAX_ANSWER, target, secrets).await?;
            read_get(&answer, target.operation_form(), now, secrets)
        };
        note_answer(&connections, answer.as_ref().err());
        answer
    }

    /// The cancel request. `Ok` means that the API accepted the request, not that anything ended. After
    /// any error except a refusal of Google's, the request may have arrived.
    pub async fn cancel(
        &self,
        target: &Target,
        reason: &RequestReason,
        token: &Token,
        now: SystemTime,
    ) -> CancelAnswer {
        let never = std::future::pending();
        let answer = self.cancel_unless(target, reason, token, now, never);
        answer
            .await
            .unwrap_or_else(|never: Withdrawn| Err(network(&never.to_string())))
    }

    /// The same, unless `withdrawn` ends before the request is sent. If it was sent, its answer is awaited.
    ///
    /// # Errors
    /// If it was withdrawn: certainly nothing was sent.
    pub async fn cancel_unless(
        &self,
        target: &Target,
        reason: &RequestReason,
        token: &Token,
        now: SystemTime,
        withdrawn: impl Future<Output = ()>,
    ) -> Result<CancelAnswer, Withdrawn> {
        let secrets = &[token.secret()];
        let request = cancel_url(target, &target.name)
            .map_err(unusable)
            .and_then(|url| {
                let headers = self.headers(&Method::POST, reason, Some(token))?;
                Ok(ApiRequest::new(Method::POST, url, target, headers, secrets))
            });
        let started = match request {
            Ok(request) => {
                self.start_unless(request, reason.tenant(), withdrawn)
                    .await?
            }
            Err(error) => Err(error),
        };
        let started = match started {
            Ok(started) => started,
            Err(error) => return Ok(Err(error)),
        };
        let connections = started.connections.clone();
        let answer = self.finish(started, MAX_ANSWER, target, secrets).await;
        let answer = answer.and_then(|answer| read_cancel(&answer, now, secrets));
        note_answer(&connections, answer.as_ref().err());
        Ok(answer)
    }

    /// Opens the connections to an endpoint, and sends a request without a token to its root. The answer does not matter.
    ///
    /// # Errors
    /// If there is no answer: the endpoint cannot be reached.
    pub async fn warm(&self, endpoint: &str, overridden: bool) -> Result<(), CallError> {
        let connections = self.connections(endpoint, overridden, None)?;
        match timeout(self.call_timeout, connections.warm()).await {
            Ok(warmed) => warmed,
            Err(_) => Err(self.timed_out(host(endpoint))),
        }
    }

    /// Ends what [`OperationsClient::warm`] began: the connections are kept only while the endpoint is called.
    pub fn stop_keeping_warm(&self, endpoint: &str, overridden: bool) {
        self.endpoints().stop_keeping_warm(endpoint, overridden);
    }

    /// Reopens connections that were closed or idle for a long time: those of the endpoints that were warmed up, and of the 16 others
    /// that were called last, within the last hour. It never ends.
    pub async fn keep_warm(&self) {
        let mut renewals = FuturesUnordered::new();
        loop {
            let now = Instant::now();
            let mut next = now + LONGEST_LOOK.min(self.idle_limit);
            let endpoints = self.endpoints().to_keep_warm(now, self.idle_limit);
            for connections in endpoints {
                for place in 0..CONNECTIONS {
                    match connections.need(place, now, self.idle_limit) {
                        Need::Nothing => {}
                        Need::LookAt(at) => next = next.min(at),
                        Need::Connection => {
                            renewals.push(connections.clone().renew(place, self.call_timeout));
                        }
                    }
                }
            }
            tokio::select! {
                () = self.connector.ended.notified() => {}
                () = sleep_until(next) => {}
                Some(()) = renewals.next(), if !renewals.is_empty() => {}
            }
        }
    }

    fn endpoints(&self) -> MutexGuard<'_, EndpointPool> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn headers(
        &self,
        method: &Method,
        reason: &RequestReason,
        token: Option<&Token>,
    ) -> Result<HeaderMap, CallError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let authorization = token.authorization().ok_or_else(|| {
                rpc_error::error(
                    ErrorKind::Token,
                    None,
                    "the token cannot be sent in a header".to_owned(),
                )
            })?;
            headers.insert(header::AUTHORIZATION, authorization);
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert("x-goog-request-reason", reason.header());
        if let Some(project) = &self.quota_project
            && !token.is_some_and(Token::is_of_tenant)
        {
            headers.insert("x-goog-user-project", project.clone());
        }
        if method == Method::POST {
            // Without it Google's front end answers 411 and a page of HTML.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(headers)
    }

    fn connections(
        &self,
        endpoint: &str,
        overridden: bool,
        tenant: Option<&str>,
    ) -> Result<Arc<Connections>, CallError> {
        let host = host(endpoint);
        let mut endpoints = self.endpoints();
        if self.connector.lacks_address(host) && !endpoints.has_answered(endpoint, overridden) {
            return Err(network(&format!("{host}: {}", network_error::NO_ADDRESS)));
        }
        endpoints
            .connections(endpoint, overridden, tenant, &self.connector)
            .map_err(|_| network("the endpoint is not a URL"))
    }

    fn timed_out(&self, host: &str) -> CallError {
        let message = format!("no answer from {host} within {:?}", self.call_timeout);
        rpc_error::error(ErrorKind::Timeout, None, message)
    }
}

/// Records that the endpoint answered like an API, if the answer shows that.
fn note_answer(connections: &Connections, error: Option<&CallError>) {
    let says_nothing = [
        ErrorKind::Unrecognised,
        ErrorKind::NotServed,
        ErrorKind::Network,
        ErrorKind::Timeout,
    ];
    if error.is_none_or(|error| !says_nothing.contains(&error.kind)) {
        connections.mark_answered();
    }
}

/// The result of a whole answer to a GET. It does not compare the operation's name.
fn read_get(
    response: &FullResponse,
    form: OperationForm,
    now: SystemTime,
    secrets: &[&str],
) -> GetAnswer {
    if response.status.is_success() && response.status != StatusCode::OK {
        // A part of an operation (206), or something else.
        let wrong = NotProtoJson::new("only 200 shows an operation");
        return Err(broken(response, &wrong, secrets));
    }
    ok_body(response, now, secrets).and_then(|body| {
        let operation = read_operation_in_pieces([body], form, None, secrets);
        operation.map_err(|e| broken(response, &e, secrets))
    })
}

fn read_cancel(response: &FullResponse, now: SystemTime, secrets: &[&str]) -> CancelAnswer {
    ok_body(response, now, secrets)
        .and_then(|body| read_cancel_accepted(body).map_err(|e| broken(response, &e, secrets)))
}

/// The body of a 2xx answer; any other status is an error.
fn ok_body<'a>(
    response: &'a FullResponse,
    now: SystemTime,
    secrets: &[&str],
) -> Result<&'a [u8], CallError> {
    let status = response.status;
    if status.is_success() {
        return Ok(&response.body);
    }
    if status.is_client_error() || status.is_server_error() {
        let failed = ErrorResponse {
            http_status: status.as_u16(),
            retry_after: response.retry_after.as_deref(),
            body: &response.body,
        };
        return Err(read_error(failed, now, secrets));
    }
    let wrong = if status.is_redirection() {
        "redirects are not followed"
    } else {
        "only 2xx is a success"
    };
    Err(broken(response, &NotProtoJson::new(wrong), secrets))
}

fn broken(response: &FullResponse, wrong: &NotProtoJson, secrets: &[&str]) -> CallError {
    unrecognised(
        Some(response.status.as_u16()),
        &response.body,
        wrong,
        secrets,
    )
}

fn unusable(error: UnusableEndpoint) -> CallError {
    network(&error.to_string())
}

/// An error before the request was sent.
fn network(message: &str) -> CallError {
    CallError {
        not_sent: true,
        ..rpc_error::error(ErrorKind::Network, None, message.to_owned())
    }
}

/// The endpoint's name in messages.
fn host(endpoint: &str) -> &str {
    endpoint
        .split_once("://")
        .map_or(endpoint, |(_, host)| host)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
