//! A TLS server whose connections can end or go silent. It speaks HTTP/2 or HTTP/1.1, as the client prefers.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
};
use tokio_util::sync::CancellationToken;

/// A body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One connection of a client.
#[derive(Default)]
pub struct Connection {
    cut: CancellationToken,
    is_silent: Arc<AtomicBool>,
}

impl Connection {
    /// Ends it at once, with everything on it.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Reads and writes nothing any more, and does not close it.
    pub fn go_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }
}

/// The certificate of all servers, which is its own authority.
struct Identity {
    authority: String,
    acceptor: TlsAcceptor,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        opcancel::google::tls::install_provider();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Identity {
            authority: made.cert.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    })
}

/// The certificate that clients have to trust, in PEM.
pub fn authority() -> &'static str {
    &identity().authority
}

/// Serves on a free port of 127.0.0.1 until the task is aborted.
pub async fn serve<H, F>(is_tls: bool, handle: H) -> (SocketAddr, tokio::task::JoinHandle<()>)
where
    H: Fn(Arc<Connection>, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let handle = handle.clone();
            connections.spawn(async move {
                let connection = Arc::<Connection>::default();
                let stream = Silenceable {
                    stream,
                    is_silent: connection.is_silent.clone(),
                };
                let cut = connection.cut.clone();
                tokio::select! {
                    () = serve_connection(is_tls, stream, connection, handle) => {}
                    () = cut.cancelled() => {}
                }
            });
        }
    });
    (address, task)
}

async fn serve_connection<H, F>(
    is_tls: bool,
    stream: Silenceable,
    connection: Arc<Connection>,
    handle: H,
) where
    H: Fn(Arc<Connection>, Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handle(connection.clone(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let http1 = hyper::server::conn::http1::Builder::new();
    if !is_tls {
        let _ = http1.serve_connection(TokioIo::new(stream), service).await;
        return;
    }
    let Ok(stream) = identity().acceptor.accept(stream).await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    } else {
        let _ = http1.serve_connection(TokioIo::new(stream), service).await;
    }
}

/// A TCP connection that can go silent.
struct Silenceable {
    stream: TcpStream,
    is_silent: Arc<AtomicBool>,
}

impl Silenceable {
    /// Nothing wakes a silent connection.
    fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::SeqCst)
    }
}

impl AsyncRead for Silenceable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_silent() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Silenceable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_silent() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_silent() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_silent() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
