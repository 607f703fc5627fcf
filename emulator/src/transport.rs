//! HTTP/1.1 on a listener: reads whole requests, lets a handler decide, carries out the reply. The only place that
//! knows of connections.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::{
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::reply::Reply;

/// Longest body of a request that is read; cancels are empty.
const BODY_LIMIT: usize = 64 * 1024;

/// How long answers under way may take once the emulator is told to stop.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// What answers requests, whatever carried them.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Decides what a request gets.
    fn handle(&self, request: Request<Bytes>) -> impl Future<Output = Reply> + Send;
}

/// Serves connections until `stop`; returns when all of them are closed.
pub async fn serve<H: Handler>(listener: TcpListener, handler: H, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, handler.clone(), stop.clone()));
            }
            // Out of file descriptors, or a connection that was gone at once: the listener itself lives on.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection<H: Handler>(stream: TcpStream, handler: H, stop: CancellationToken) {
    // Answers are small; without this they wait for the peer's delayed ACK.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let service = service_fn(move |request| respond(handler.clone(), request));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(STOP_GRACE, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        // Closing without an answer and truncated bodies end here too: they are what the scenario asked for.
        tracing::debug!(%error, "connection ended");
    }
}

/// Carried to hyper to make it close the connection.
#[derive(Debug, thiserror::Error)]
#[error("closed as the scenario says")]
struct Closed;

type Sent = Either<Full<Bytes>, Truncated>;

async fn respond<H: Handler>(
    handler: H,
    request: Request<Incoming>,
) -> Result<Response<Sent>, Closed> {
    let (parts, body) = request.into_parts();
    let reply = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => {
            handler
                .handle(Request::from_parts(parts, body.to_bytes()))
                .await
        }
        Err(error) if error.is::<LengthLimitError>() => {
            Reply::html(413, "The request is too large.")
        }
        Err(_) => return Err(Closed),
    };
    match reply {
        Reply::Answer(response) => Ok(response.map(|body| Either::Left(Full::new(body)))),
        Reply::Truncated(response, claimed) => {
            let mut response = response.map(|body| {
                Either::Right(Truncated {
                    body: Some(body),
                    yielded: false,
                })
            });
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(claimed));
            Ok(response)
        }
        Reply::Close => Err(Closed),
    }
}

/// A body that breaks off: its bytes, then an error, on which hyper closes the connection.
struct Truncated {
    body: Option<Bytes>,
    yielded: bool,
}

impl Body for Truncated {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if let Some(body) = self.body.take() {
            return Poll::Ready(Some(Ok(Frame::data(body))));
        }
        if !self.yielded {
            // hyper writes out what it has before it asks again; an error at once would swallow it.
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Closed)))
    }
}
