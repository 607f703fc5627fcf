//! HTTP/1.1 and, over TLS, HTTP/2 on a listener: reads whole requests, passes them to a handler, and executes its reply. Only
//! this module and its parts ([`tls`], `connection`, `body`) handle connections.

pub(crate) mod content;
pub(crate) mod reply;
pub(crate) mod tls;

mod body;
mod connection;

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderValue, Request, Response, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulConnection},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    body::ResponseBody,
    connection::{Command, CommandSlot, Connection, Stream},
    tls::Tls,
};
use crate::{
    scenario::connection_fault::{Certificate, ConnectionAnswer, ConnectionFaults},
    transport::reply::{Abort, Reply},
};

/// Longest body of a request, in bytes; cancels are empty.
const BODY_LIMIT: usize = 64 * 1024;

/// How long pending answers may take after the emulator begins to stop.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Answers requests, independent of the transport.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers a request, and records both. If the transport itself refuses a request, `refused` is the refusal and the body
    /// is empty; the handler then only records it.
    fn handle(
        &self,
        request: Request<Bytes>,
        refused: Option<Reply>,
    ) -> impl Future<Output = Reply> + Send;
}

/// TLS and faults of the connections of a listener.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// Certificates; without any, connections are plain.
    pub tls: Option<Arc<Tls>>,
    /// Faults of some connections.
    pub faults: Arc<ConnectionFaults>,
}

/// Serves connections until `stop`; returns when all of them are closed.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    connections: Connections,
    handler: H,
    stop: CancellationToken,
) {
    let until = stop.clone();
    accept(listener, until, |stream| {
        // In the order of arrival, so that faults are counted correctly.
        let fault = connections.faults.next();
        let tls = connections.tls.clone();
        serve_connection(stream, tls, fault, handler.clone(), stop.clone())
    })
    .await;
}

/// Serves each connection in its own task until `stop`; returns when all of them are closed.
pub(crate) async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    stop: CancellationToken,
    serve: impl Fn(TcpStream) -> F,
) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small; without this option they wait for the peer's delayed ACK.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                tasks.spawn(serve(stream));
            }
            // No file descriptors left, or the peer has already closed the connection; the listener still works.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Serves a connection until its end or `stop`, after which pending answers have [`STOP_GRACE`]; `None` if that was not enough.
pub(crate) async fn until_stopped<C: GracefulConnection>(
    connection: C,
    stop: CancellationToken,
) -> Option<C::Output> {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(STOP_GRACE, connection).await.ok()
        }
    }
}

async fn serve_connection<H: Handler>(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    fault: Option<ConnectionAnswer>,
    handler: H,
    stop: CancellationToken,
) {
    if let Some(answer) = fault {
        tracing::info!(?answer, "a fault of the scenario applies to a connection");
    }
    let certificate = match fault {
        None => Certificate::default(),
        Some(ConnectionAnswer::Certificate(shown)) => shown,
        Some(ConnectionAnswer::Reset) => {
            connection::reset_when_dropped(&stream);
            return;
        }
        // Accepted by the system, then ignored: there is not even a handshake.
        Some(ConnectionAnswer::BlackHole) => return stop.cancelled().await,
    };
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(tls) => {
            let handshake = TlsAcceptor::from(tls.config(certificate)).accept(stream);
            let shaken = tokio::select! {
                () = stop.cancelled() => return,
                shaken = handshake => shaken,
            };
            match shaken {
                Ok(stream) => Stream::Tls(Box::new(stream)),
                Err(error) => {
                    tracing::info!(%error, ?certificate, "TLS handshake failed");
                    return;
                }
            }
        }
    };
    serve_stream(stream, handler, stop).await;
}

async fn serve_stream<H: Handler>(stream: Stream, handler: H, stop: CancellationToken) {
    let server = auto::Builder::new(TokioExecutor::new());
    let mut server = if stream.agreed_on_http2() {
        server.http2_only()
    } else {
        server.http1_only()
    };
    server.http1().header_read_timeout(None);
    let commands = Arc::new(CommandSlot::default());
    let connection = Connection::new(stream, Arc::clone(&commands));
    let service =
        service_fn(move |request| respond(handler.clone(), Arc::clone(&commands), request));
    let served = server.serve_connection(TokioIo::new(connection), service);
    if let Some(Err(error)) = until_stopped(served, stop).await {
        // This includes connections that the scenario closes without an answer or in the middle of a body.
        tracing::debug!(%error, "connection ended");
    }
}

/// The error that makes hyper close the connection or reset the stream.
#[derive(Debug, thiserror::Error)]
#[error("closed by the scenario")]
struct Closed;

type Failure = Box<dyn Error + Send + Sync>;

async fn respond<H: Handler>(
    handler: H,
    commands: Arc<CommandSlot>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Failure> {
    let (parts, body) = request.into_parts();
    let version = parts.version;
    let (body, refused) = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => (body.to_bytes(), None),
        Err(error) if error.is::<LengthLimitError>() => {
            let refused = Reply::html(413, "The request is too large.");
            (Bytes::new(), Some(refused))
        }
        Err(_) => return Err(Closed.into()),
    };
    let request = Request::from_parts(parts, body);
    let reply = handler.handle(request, refused).await;
    match reply {
        Reply::Answer(response) => {
            let claimed = response.body().claimed_length();
            let mut response = response.map(ResponseBody::new);
            if response.body().is_truncated() {
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, HeaderValue::from(claimed));
            }
            Ok(response)
        }
        Reply::Abort(abort) => Err(aborted(abort, version, &commands).await),
    }
}

/// Executes an abort, except for the error that is returned for hyper.
async fn aborted(abort: Abort, version: Version, commands: &CommandSlot) -> Failure {
    match abort {
        Abort::RefuseStream if version == Version::HTTP_2 => {
            return h2::Error::from(Reason::REFUSED_STREAM).into();
        }
        Abort::GoAway { code, unprocessed } if version == Version::HTTP_2 => {
            commands.send(Command::go_away(code, unprocessed));
        }
        Abort::Reset => commands.send(Command::Reset),
        Abort::BlackHole => {
            commands.send(Command::BlackHole);
            // The connection stays open until the client or the emulator closes it.
            std::future::pending::<()>().await;
        }
        Abort::Close | Abort::RefuseStream | Abort::GoAway { .. } => {}
    }
    Closed.into()
}
