//! One request and its answer, with a limit on every wait.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use reqwest::{Body, Response, Url};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{OperationsClient, USER_AGENT, host, network, operation_answer::too_long};
use crate::google::{
    answers::answer::{CallError, ErrorKind},
    catalogue::Target,
    connections::{Connections, RequestKind, UsedConnection, connector::NoBody, network_error},
};

/// An answer above this size, in bytes, needs one of the [`LONG_ANSWERS`] permits. Google's errors are shorter.
const SHORT_ANSWER: usize = 4096;

/// Maximum number of longer answers in memory. Further ones wait, within the time limits of their calls.
pub(super) const LONG_ANSWERS: usize = 32;

/// A request.
pub(super) struct ApiRequest<'a> {
    method: Method,
    url: Url,
    target: &'a Target,
    headers: HeaderMap,
    secrets: &'a [&'a str],
}

impl<'a> ApiRequest<'a> {
    pub const fn new(
        method: Method,
        url: Url,
        target: &'a Target,
        headers: HeaderMap,
        secrets: &'a [&'a str],
    ) -> Self {
        Self {
            method,
            url,
            target,
            headers,
            secrets,
        }
    }
}

/// A call whose answer has started.
pub(super) struct StartedCall {
    pub response: Response,
    pub connections: Arc<Connections>,
    pub used: UsedConnection,
    /// When the call must end.
    deadline: Instant,
}

/// A whole answer.
pub(super) struct FullResponse {
    pub status: StatusCode,
    pub version: Version,
    pub content_type: Option<HeaderValue>,
    pub retry_after: Option<String>,
    pub body: Bytes,
}

/// The request was withdrawn before it was sent: it is certain that it did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request was withdrawn before it was sent")]
pub struct Withdrawn;

impl OperationsClient {
    /// Sends a request and waits until its answer begins.
    pub(super) async fn start(
        &self,
        request: ApiRequest<'_>,
        tenant: &str,
    ) -> Result<StartedCall, CallError> {
        self.send(request, tenant, Arc::default()).await
    }

    /// The same, unless it is withdrawn before it is sent: while it waits for a connection, or on one.
    pub(super) async fn start_unless(
        &self,
        request: ApiRequest<'_>,
        tenant: &str,
        withdrawn: impl Future<Output = ()>,
    ) -> Result<Result<StartedCall, CallError>, Withdrawn> {
        let left = Arc::new(AtomicBool::new(false));
        let withdrawn = async {
            withdrawn.await;
            if left.load(Ordering::SeqCst) {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            () = withdrawn => Err(Withdrawn),
            started = self.send(request, tenant, left.clone()) => Ok(started),
        }
    }

    async fn send(
        &self,
        request: ApiRequest<'_>,
        tenant: &str,
        left: Arc<AtomicBool>,
    ) -> Result<StartedCall, CallError> {
        let ApiRequest {
            method,
            url,
            target,
            headers,
            secrets,
        } = request;
        let host = host(&target.endpoint);
        let connections = self.connections(&target.endpoint, target.overridden, Some(tenant))?;
        let now = Instant::now();
        connections.note_call(now);
        let deadline = now + self.call_timeout;
        let kind = if method == Method::GET {
            RequestKind::Get
        } else {
            RequestKind::Cancel
        };
        let used = UsedConnection::default();
        let request = http_request(&method, &url, headers, left.clone())?;
        let sent = connections.send(request, kind, &used, secrets);
        match timeout_at(deadline, sent).await {
            Ok(Ok(response)) => Ok(StartedCall {
                response: response.map(Body::wrap).into(),
                connections,
                used,
                deadline,
            }),
            Ok(Err(error)) => {
                connections.note(&used, error.kind == ErrorKind::Timeout);
                Err(error)
            }
            Err(_) => {
                connections.note(&used, true);
                Err(CallError {
                    not_sent: !left.load(Ordering::SeqCst),
                    ..self.timed_out(host)
                })
            }
        }
    }

    /// Reads a whole answer of at most `most` bytes.
    pub(super) async fn finish(
        &self,
        started: StartedCall,
        most: usize,
        target: &Target,
        secrets: &[&str],
    ) -> Result<FullResponse, CallError> {
        let host = host(&target.endpoint);
        let whole = read_whole(started.response, most, &self.long_answers, host, secrets);
        let answer = match timeout_at(started.deadline, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(self.timed_out(host)),
        };
        let timed_out = matches!(&answer, Err(error) if error.kind == ErrorKind::Timeout);
        started.connections.note(&started.used, timed_out);
        answer
    }
}

fn http_request(
    method: &Method,
    url: &Url,
    headers: HeaderMap,
    left: Arc<AtomicBool>,
) -> Result<Request<NoBody>, CallError> {
    let mut request = Request::new(NoBody::new(left));
    *request.method_mut() = method.clone();
    *request.uri_mut() = url
        .as_str()
        .parse()
        .map_err(|_| network("the URL cannot be sent"))?;
    *request.headers_mut() = headers;
    let agent = HeaderValue::from_static(USER_AGENT);
    request.headers_mut().insert(header::USER_AGENT, agent);
    Ok(request)
}

async fn read_whole(
    mut response: Response,
    most: usize,
    long_answers: &Semaphore,
    host: &str,
    secrets: &[&str],
) -> Result<FullResponse, CallError> {
    let failed = |error| network_error::from_reqwest(error, host, secrets);
    let (status, version) = (response.status(), response.version());
    let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut body = BytesMut::new();
    let mut place = None;
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > most {
            return Err(too_long(status.as_u16(), most));
        }
        if place.is_none() && body.len() + chunk.len() > SHORT_ANSWER {
            // The semaphore is never closed.
            place = long_answers.acquire().await.ok();
        }
        body.extend_from_slice(&chunk);
    }
    Ok(FullResponse {
        status,
        version,
        content_type,
        retry_after,
        body: body.freeze(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use hyper::body::{Body as HttpBody, Frame};
    use std::{
        collections::VecDeque,
        convert::Infallible,
        pin::{Pin, pin},
        task::{Context, Poll},
    };

    /// A body in pieces that may never end.
    struct Pieces {
        left: VecDeque<Bytes>,
        ends: bool,
    }

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.left.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    async fn read(size: usize, ends: bool, places: &Semaphore) -> usize {
        let piece = Bytes::from_static(&[b'x'; 1024]);
        let left = std::iter::repeat_n(piece, size / 1024).collect();
        let response = http::Response::new(Body::wrap(Pieces { left, ends })).into();
        let answer = read_whole(response, 64 * 1024, places, "h", &[]).await;
        answer.unwrap().body.len()
    }

    #[tokio::test]
    async fn few_long_answers_are_kept_at_a_time() {
        let places = Semaphore::new(2);
        let (mut first, mut second) = (
            Box::pin(read(8192, false, &places)),
            Box::pin(read(8192, false, &places)),
        );
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        assert_eq!(places.available_permits(), 0);
        let mut third = pin!(read(8192, true, &places));
        assert!(poll!(&mut third).is_pending(), "it waits for a place");
        assert_eq!(read(SHORT_ANSWER, true, &places).await, SHORT_ANSWER);
        drop(first);
        assert_eq!(third.await, 8192);
        drop(second);
        assert_eq!(places.available_permits(), 2);
    }
}
