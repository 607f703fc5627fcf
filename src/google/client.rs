//! The two calls of `google.longrunning.Operations` that this program makes, over HTTP.
//!
//! Guarantees: one call is one request; redirects are not followed; nothing is read beyond a cap; every wait is bounded;
//! every text in an answer is cleaned of the token that was sent. Caveat: a dropped call may still have arrived.

mod observation;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use reqwest::{Certificate, Url};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    answer::{CallError, CancelAnswer, ErrorKind, GetAnswer},
    catalogue::Target,
    connection::{Connection, ConnectionConfig, Connections},
    known_endpoints::KnownEndpoints,
    network_error,
    operation_json::{read_operation, read_taken},
    operation_name::OperationName,
    proto_json::NotProtoJson,
    request_reason::RequestReason,
    request_url::{UnusableEndpoint, cancel_url, get_url},
    rpc_error::{self, FailedAnswer, read_error, unrecognised},
    token::Token,
};

pub use observation::{Asked, Asking, Observation, UserProject};

/// Most that is read of one answer, in bytes.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// The `User-Agent` of every call.
pub const USER_AGENT: &str = concat!("opcancel/", env!("CARGO_PKG_VERSION"));

/// How calls are made.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Limit for one call from its start to the last byte of the answer. Google's published configuration of Get and
    /// Cancel has 10 s.
    pub call_timeout: Duration,
    /// Limit for opening a connection, as a part of the above.
    pub connect_timeout: Duration,
    /// `x-goog-user-project`: the project that pays for the calls and whose quota they use (`--quota-project`).
    pub quota_project: Option<String>,
    /// Certificate authorities of `--ca-file`. They are trusted beside the system's, and only for endpoint overrides: a
    /// private authority has no say about Google's own hosts.
    pub override_roots: Vec<Certificate>,
    /// Whether `HTTPS_PROXY` and its kin are obeyed. Off unless asked for: a proxy sees who asks for what.
    pub proxy_from_environment: bool,
    /// Whether TLS connections, too, speak HTTP/1.1 alone: what Google's front end makes of a POST without a length can only
    /// be seen there.
    pub http1_only: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            quota_project: None,
            override_roots: Vec::new(),
            proxy_from_environment: false,
            http1_only: false,
        }
    }
}

/// `quota_project` cannot stand in a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--quota-project: {0:?} is not a project's id or number")]
pub struct InvalidQuotaProject(String);

/// Makes the calls. Cheap to share behind an `Arc`; holds the connections of every endpoint that was called.
#[derive(Debug)]
pub struct OperationsClient {
    endpoints: Mutex<KnownEndpoints>,
    config: ConnectionConfig,
    call_timeout: Duration,
    quota_project: Option<HeaderValue>,
}

/// The whole of an answer.
struct Answer {
    status: StatusCode,
    version: Version,
    content_type: Option<HeaderValue>,
    retry_after: Option<String>,
    body: Bytes,
}

impl OperationsClient {
    /// Opens no connection yet. [`super::tls::install_provider`] must have been called before the first call.
    ///
    /// # Errors
    /// If the quota project is no project.
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
            config: ConnectionConfig {
                connect_timeout: config.connect_timeout,
                user_agent: USER_AGENT,
                override_roots: config.override_roots,
                proxy_from_environment: config.proxy_from_environment,
                http1_only: config.http1_only,
            },
            call_timeout: config.call_timeout,
            quota_project: quota_project.transpose()?,
        })
    }

    /// `GET {endpoint}/{version}/{name}`. `now` is what a date in `Retry-After` is counted from.
    pub async fn get(
        &self,
        target: &Target,
        name: &OperationName,
        reason: &RequestReason,
        token: &Token,
        now: SystemTime,
    ) -> GetAnswer {
        let url = get_url(target, name).map_err(unusable)?;
        let answer = self.call(Method::GET, url, target, reason, token).await?;
        read_get(&answer, now, &[token.secret()])
    }

    /// `POST {endpoint}/{version}/{name}:cancel`. `Ok` says that the API took the request, not that anything ended. After
    /// any error but one that tells Google's own refusal the request may have arrived.
    pub async fn cancel(
        &self,
        target: &Target,
        name: &OperationName,
        reason: &RequestReason,
        token: &Token,
        now: SystemTime,
    ) -> CancelAnswer {
        let url = cancel_url(target, name).map_err(unusable)?;
        let answer = self.call(Method::POST, url, target, reason, token).await?;
        read_cancel(&answer, now, &[token.secret()])
    }

    /// Opens the connections to an endpoint by a request without a token to its root, whose answer does not matter.
    ///
    /// # Errors
    /// If no answer came: the endpoint cannot be reached as things are.
    pub async fn warm(&self, endpoint: &str, overridden: bool) -> Result<(), CallError> {
        let connections = self.connections(endpoint, overridden)?;
        let all = connections.all();
        let opened = all.iter().map(|connection| async {
            let request = connection.client.head(endpoint).send();
            match tokio::time::timeout(self.call_timeout, request).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(network_error::from_reqwest(error, host(endpoint), &[])),
                Err(_) => Err(self.timed_out(host(endpoint))),
            }
        });
        futures::future::try_join_all(opened).await.map(|_| ())
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        target: &Target,
        reason: &RequestReason,
        token: &Token,
    ) -> Result<Answer, CallError> {
        let headers = self.headers(&method, reason, Some(token))?;
        self.send(method, url, target, headers, &[token.secret()])
            .await
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        target: &Target,
        headers: HeaderMap,
        secrets: &[&str],
    ) -> Result<Answer, CallError> {
        let connections = self.connections(&target.endpoint, target.overridden)?;
        let connection = connections
            .pick()
            .ok_or_else(|| network("there is no connection"))?;
        let exchange = exchange(&connection, method, url, headers, &target.endpoint, secrets);
        let answer = match tokio::time::timeout(self.call_timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(self.timed_out(host(&target.endpoint))),
        };
        let timed_out = matches!(&answer, Err(error) if error.kind == ErrorKind::Timeout);
        connections.note(&connection, timed_out);
        answer
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
                    "the token is no header value".to_owned(),
                )
            })?;
            headers.insert(header::AUTHORIZATION, authorization);
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert("x-goog-request-reason", reason.header());
        if let Some(project) = &self.quota_project {
            headers.insert("x-goog-user-project", project.clone());
        }
        if method == Method::POST {
            // Without it Google's front end answers 411 and a page of HTML.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(headers)
    }

    fn connections(&self, endpoint: &str, overridden: bool) -> Result<Arc<Connections>, CallError> {
        let mut known = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .connections(endpoint, overridden, &self.config)
            .map_err(|error| network(&network_error::describe(error, &[])))
    }

    fn timed_out(&self, host: &str) -> CallError {
        let message = format!("no answer from {host} within {:?}", self.call_timeout);
        rpc_error::error(ErrorKind::Timeout, None, message)
    }
}

/// One request and the whole of its answer.
async fn exchange(
    connection: &Connection,
    method: Method,
    url: Url,
    headers: HeaderMap,
    endpoint: &str,
    secrets: &[&str],
) -> Result<Answer, CallError> {
    let failed =
        |error: reqwest::Error| network_error::from_reqwest(error, host(endpoint), secrets);
    let request = connection.client.request(method, url).headers(headers);
    let mut response = request.send().await.map_err(failed)?;
    let (status, version) = (response.status(), response.version());
    let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            let message = format!(
                "HTTP {} with an answer of more than {MAX_ANSWER} bytes",
                status.as_u16()
            );
            return Err(rpc_error::error(
                ErrorKind::Unrecognised,
                Some(status.as_u16()),
                message,
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        version,
        content_type,
        retry_after,
        body: body.freeze(),
    })
}

fn read_get(answer: &Answer, now: SystemTime, secrets: &[&str]) -> GetAnswer {
    if answer.status.is_success() && answer.status != StatusCode::OK {
        // A part of an operation (206), or something else that is none.
        let wrong = NotProtoJson::new("only 200 shows an operation");
        return Err(broken(answer, &wrong, secrets));
    }
    ok_body(answer, now, secrets)
        .and_then(|body| read_operation(body, secrets).map_err(|e| broken(answer, &e, secrets)))
}

fn read_cancel(answer: &Answer, now: SystemTime, secrets: &[&str]) -> CancelAnswer {
    ok_body(answer, now, secrets)
        .and_then(|body| read_taken(body).map_err(|e| broken(answer, &e, secrets)))
}

/// The body of a success, which is any 2xx; anything else is an error.
fn ok_body<'a>(
    answer: &'a Answer,
    now: SystemTime,
    secrets: &[&str],
) -> Result<&'a [u8], CallError> {
    let status = answer.status;
    if status.is_success() {
        return Ok(&answer.body);
    }
    if status.is_client_error() || status.is_server_error() {
        let failed = FailedAnswer {
            http_status: status.as_u16(),
            retry_after: answer.retry_after.as_deref(),
            body: &answer.body,
        };
        return Err(read_error(failed, now, secrets));
    }
    let wrong = if status.is_redirection() {
        "redirects are not followed"
    } else {
        "only 2xx is a success"
    };
    Err(broken(answer, &NotProtoJson::new(wrong), secrets))
}

fn broken(answer: &Answer, wrong: &NotProtoJson, secrets: &[&str]) -> CallError {
    unrecognised(Some(answer.status.as_u16()), &answer.body, wrong, secrets)
}

fn unusable(error: UnusableEndpoint) -> CallError {
    network(&error.to_string())
}

/// There was nothing to send the request on.
fn network(message: &str) -> CallError {
    CallError {
        not_sent: true,
        ..rpc_error::error(ErrorKind::Network, None, message.to_owned())
    }
}

/// The endpoint as messages name it.
fn host(endpoint: &str) -> &str {
    endpoint
        .split_once("://")
        .map_or(endpoint, |(_, host)| host)
}
