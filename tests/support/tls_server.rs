//! A server for `localhost` with a certificate of its own making, that speaks HTTP/2 over TLS, or HTTP/1.1, and does exactly
//! what a test says: when a connection is accepted, what the answer to a request is and when it comes, and when a connection
//! gets GOAWAY. It reports what it saw.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};

/// What the server saw, in its order. Connections are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A connection of TCP.
    Connected(usize),
    /// A request on a connection: its method and the last segment of its path.
    Request(usize, String, String),
    /// A PING that is no answer.
    Ping(usize),
    /// The client closed a connection, with or without GOAWAY.
    Ended(usize),
}

/// Says when a connection is let in: when what it gives ends.
pub type LetIn = dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync;

/// Says what a request gets: the connection, the method and the last segment of the path.
pub type Answer = dyn Fn(usize, &str, &str) -> BoxFuture<'static, String> + Send + Sync;

/// What a test decides.
pub struct Rules {
    /// When a connection is let in.
    pub let_in: Box<LetIn>,
    /// What a request gets.
    pub answer: Box<Answer>,
    /// Whether it speaks HTTP/1.1 instead.
    pub http1: bool,
}

impl Default for Rules {
    /// Accepts every connection, and answers with an empty JSON object.
    fn default() -> Self {
        Self {
            let_in: Box::new(|_| async {}.boxed()),
            answer: Box::new(|_, _, _| async { "{}".to_owned() }.boxed()),
            http1: false,
        }
    }
}

/// See the module. It ends with this value.
pub struct TlsServer {
    pub address: SocketAddr,
    /// Its certificate, which is its own authority, in PEM.
    pub ca: String,
    seen: watch::Sender<Vec<Seen>>,
    /// Connections up to this number get GOAWAY.
    gone: watch::Sender<usize>,
    task: JoinHandle<()>,
}

impl TlsServer {
    /// Starts it.
    pub async fn start(rules: Rules) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut server = Self::start_with(rules, made.cert.der().clone(), key).await;
        server.ca = made.cert.pem();
        server
    }

    /// Starts it with this certificate, and nothing in `ca`.
    pub async fn start_with(
        rules: Rules,
        certificate: CertificateDer<'static>,
        key: PrivatePkcs8KeyDer<'static>,
    ) -> Self {
        opcancel::google::tls::install_provider();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        let protocol: &[u8] = if rules.http1 { b"http/1.1" } else { b"h2" };
        config.alpn_protocols = vec![protocol.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, gone) = (watch::Sender::new(Vec::new()), watch::Sender::new(0));
        let (log, going, rules) = (seen.clone(), gone.clone(), Arc::new(rules));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                number += 1;
                note(&log, Seen::Connected(number));
                let (acceptor, rules) = (acceptor.clone(), rules.clone());
                let (log, going) = (log.clone(), going.subscribe());
                connections.spawn(async move {
                    (rules.let_in)(number).await;
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(number, stream, &rules, log.clone(), going).await;
                    }
                    note(&log, Seen::Ended(number));
                });
            }
        });
        Self {
            address,
            ca: String::new(),
            seen,
            gone,
            task,
        }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// What it saw until now.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// How many of them fit.
    pub fn count(&self, fits: impl Fn(&Seen) -> bool) -> usize {
        self.seen.borrow().iter().filter(|seen| fits(seen)).count()
    }

    /// The requests with this method, by their connections.
    pub fn requests(&self, method: &str) -> Vec<usize> {
        let seen = self.seen();
        let requests = seen.iter().filter_map(|seen| match seen {
            Seen::Request(connection, of, _) if of == method => Some(*connection),
            _ => None,
        });
        requests.collect()
    }

    /// Waits until so many of what it saw fit.
    pub async fn wait_for(&self, count: usize, fits: impl Fn(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        let met = seen.wait_for(|seen| seen.iter().filter(|seen| fits(seen)).count() >= count);
        let limit = std::time::Duration::from_secs(60);
        let met = tokio::time::timeout(limit, met).await.is_ok();
        assert!(met, "{:?}", self.seen());
    }

    /// Tells the connections up to this number to go away (GOAWAY); what is under way on them ends first.
    pub fn send_away(&self, up_to: usize) {
        self.gone.send_replace(up_to);
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether it is a request with this method.
pub fn is_request(seen: &Seen, method: &str) -> bool {
    matches!(seen, Seen::Request(_, of, _) if of == method)
}

fn note(log: &watch::Sender<Vec<Seen>>, seen: Seen) {
    log.send_modify(|all| all.push(seen));
}

async fn serve(
    number: usize,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    rules: &Arc<Rules>,
    log: watch::Sender<Vec<Seen>>,
    mut going: watch::Receiver<usize>,
) {
    let (rules, requests) = (rules.clone(), log.clone());
    let is_http1 = rules.http1;
    let service = service_fn(move |request: Request<Incoming>| {
        let method = request.method().to_string();
        let last = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let answer = (rules.answer)(number, &method, &last);
        note(&requests, Seen::Request(number, method, last));
        async move { Ok::<_, Infallible>(Response::new(Text(answer.await.into()))) }
    });
    if is_http1 {
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
        return;
    }
    let watched = Watched {
        stream,
        ping: Box::new(move || note(&log, Seen::Ping(number))),
        buffer: Vec::new(),
        preface_left: PREFACE,
    };
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(watched), service);
    tokio::pin!(connection);
    let goaway = going.wait_for(|up_to| number <= *up_to);
    tokio::pin!(goaway);
    tokio::select! {
        _ = &mut connection => return,
        goaway = &mut goaway => drop(goaway),
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

struct Text(Bytes);

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let text = std::mem::take(&mut self.0);
        Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text))))
    }
}

/// What HTTP/2 begins with, before its frames.
const PREFACE: usize = 24;

/// A stream in which PING frames are looked for.
struct Watched<S> {
    stream: S,
    ping: Box<dyn Fn() + Send>,
    buffer: Vec<u8>,
    preface_left: usize,
}

impl<S> Watched<S> {
    fn look(&mut self, bytes: &[u8]) {
        let skipped = self.preface_left.min(bytes.len());
        self.preface_left -= skipped;
        self.buffer.extend_from_slice(&bytes[skipped..]);
        while let [a, b, c, kind, flags, ..] = self.buffer[..] {
            let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
            if self.buffer.len() < end {
                break;
            }
            if kind == 6 && flags & 1 == 0 {
                (self.ping)();
            }
            self.buffer.drain(..end);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            let bytes = buffer.filled()[before..].to_vec();
            self.look(&bytes);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
