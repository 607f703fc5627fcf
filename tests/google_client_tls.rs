//! The Operations client over TLS and HTTP/2: trusted authorities, protocols, and recovery from a dead connection.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opcancel::google::{
    answer::ErrorKind,
    catalogue::{Target, read},
    client::{ClientConfig, OperationsClient},
    endpoint::EndpointOverrides,
    operation_name::OperationName,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
};

struct Server {
    address: SocketAddr,
    ca: Vec<u8>,
    seen: Arc<Mutex<Vec<String>>>,
    /// Bytes of bodies that were read by the connections.
    taken: watch::Receiver<usize>,
    /// Lets the waiting answers end.
    let_end: watch::Sender<bool>,
}

/// A body in frames of 16 KiB. It counts the bytes that the connection reads, and ends when the test allows it.
struct Counted {
    left: Bytes,
    may_end: BoxFuture<'static, ()>,
    taken: watch::Sender<usize>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return self.may_end.as_mut().poll(context).map(|()| None);
        }
        let size = self.left.len().min(16 * 1024);
        let frame = self.left.split_to(size);
        self.taken.send_modify(|taken| *taken += size);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

/// The answer to a GET of this path: a running operation, a large answer, or an answer that ends when the test allows it.
fn shown(path: &str) -> (String, bool) {
    let id = path.rsplit('/').next().unwrap();
    let response = |mebibytes: usize| {
        format!(
            r#"{{"name":"{id}","done":true,"response":{{"data":"{}"}}}}"#,
            "x".repeat(mebibytes << 20)
        )
    };
    match id {
        "large" => (response(3), true),
        "endless" => (response(2), false),
        _ => (format!(r#"{{"name":"{id}"}}"#), true),
    }
}

/// A server for `localhost` with its own certificate authority. It speaks only HTTP/2.
async fn start() -> Server {
    tls::install_provider();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let (count, taken) = watch::channel(0);
    let (let_end, end) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, kept) = (acceptor.clone(), kept.clone());
            let (count, end) = (count.clone(), end.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(move |request: Request<Incoming>| {
                    let length = request.headers().get("content-length").cloned();
                    kept.lock().unwrap().push(format!(
                        "{:?} {} {length:?}",
                        request.version(),
                        request.method()
                    ));
                    let (text, ends) = if request.method() == "POST" {
                        ("{}".to_owned(), true)
                    } else {
                        shown(request.uri().path())
                    };
                    let mut end = end.clone();
                    let body = Counted {
                        left: text.into(),
                        may_end: async move {
                            if !ends {
                                let _ = end.wait_for(|end| *end).await;
                            }
                        }
                        .boxed(),
                        taken: count.clone(),
                    };
                    async move { Ok::<_, Infallible>(Response::new(body)) }
                });
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Server {
        address,
        ca: made.cert.pem().into_bytes(),
        seen,
        taken,
        let_end,
    }
}

fn client(ca: Option<&[u8]>) -> OperationsClient {
    patient_client(ca, Duration::from_secs(1))
}

fn patient_client(ca: Option<&[u8]>, call_timeout: Duration) -> OperationsClient {
    OperationsClient::new(ClientConfig {
        call_timeout,
        idle_timeout: Duration::from_secs(60),
        override_roots: ca
            .map(|pem| tls::read_ca_file(pem).unwrap())
            .unwrap_or_default(),
        ..ClientConfig::default()
    })
    .unwrap()
}

fn target(host: &str, port: u16, overridden: bool) -> Target {
    let name = "projects/p/operations/o";
    let mut target = read("dialogflow", None, name, &EndpointOverrides::default()).unwrap();
    target.endpoint = format!("https://{host}:{port}");
    target.overridden = overridden;
    target
}

async fn get(client: &OperationsClient, target: &Target) -> Result<(), (ErrorKind, String)> {
    get_of(client, target, "o").await
}

async fn get_of(
    client: &OperationsClient,
    target: &Target,
    id: &str,
) -> Result<(), (ErrorKind, String)> {
    let mut target = target.clone();
    target.name = OperationName::parse(&format!("projects/p/operations/{id}")).unwrap();
    let reason = RequestReason::new("", "ns", "n", "u");
    let token = Token::new("a-token-of-the-test").unwrap();
    let got = client
        .get(&target, &reason, &token, SystemTime::now())
        .await;
    got.map(|_| ()).map_err(|e| (e.kind, e.message))
}

#[tokio::test]
async fn overrides_are_trusted_by_the_ca_file_and_spoken_to_in_http2() {
    let server = start().await;
    let client = client(Some(&server.ca));
    let target = target("localhost", server.address.port(), true);
    client.warm(&target.endpoint, true).await.unwrap();
    get(&client, &target).await.unwrap();
    let reason = RequestReason::new("", "ns", "n", "u");
    let token = Token::new("a-token-of-the-test").unwrap();
    let now = SystemTime::now();
    client.cancel(&target, &reason, &token, now).await.unwrap();
    let seen = server.seen.lock().unwrap().clone();
    assert!(
        seen.iter().all(|line| line.starts_with("HTTP/2.0")),
        "{seen:?}"
    );
    assert!(seen.contains(&"HTTP/2.0 GET None".to_owned()), "{seen:?}");
    assert!(
        seen.contains(&"HTTP/2.0 POST Some(\"0\")".to_owned()),
        "{seen:?}"
    );
}

#[tokio::test]
async fn the_ca_file_has_no_say_about_googles_hosts() {
    let server = start().await;
    let with_ca = client(Some(&server.ca));
    for (client, overridden, host, said) in [
        (&with_ca, false, "localhost", "unknown authority"),
        (&client(None), true, "localhost", "unknown authority"),
        (&with_ca, true, "127.0.0.1", "another host"),
    ] {
        let target = target(host, server.address.port(), overridden);
        let (kind, message) = get(client, &target).await.unwrap_err();
        assert_eq!(kind, ErrorKind::Network);
        assert!(message.contains(said), "{message}");
    }
    assert!(server.seen.lock().unwrap().is_empty());
}

/// Two endless answers use all permits, and 60 large ones wait. Small answers still pass on the same connections.
#[tokio::test]
async fn large_answers_that_wait_hold_up_no_cancel() {
    let mut server = start().await;
    let client = Arc::new(patient_client(Some(&server.ca), Duration::from_secs(20)));
    let target = target("localhost", server.address.port(), true);
    let mut large = tokio::task::JoinSet::new();
    for n in 0..62 {
        let (client, target) = (client.clone(), target.clone());
        large.spawn(async move {
            let id = if n < 2 { "endless" } else { "large" };
            get_of(&client, &target, id).await
        });
        if n == 1 {
            // They have their permits.
            let both = |taken: &usize| *taken > 4 << 20;
            server.taken.wait_for(both).await.unwrap();
        }
    }
    // Each large answer is read up to 1 MiB, then as far as its window allows: at least half of it.
    let all = |taken: &usize| *taken > (4 << 20) + 60 * (1100 << 10);
    let waiting = server.taken.wait_for(all);
    let reached = tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .is_ok();
    assert!(reached, "{} bytes taken", *server.taken.borrow());
    let reason = RequestReason::new("", "ns", "n", "u");
    let token = Token::new("a-token-of-the-test").unwrap();
    for _ in 0..4 {
        get(&client, &target).await.unwrap();
        let cancel = client.cancel(&target, &reason, &token, SystemTime::now());
        cancel.await.unwrap();
    }
    assert!(large.try_join_next().is_none(), "they still wait");
    server.let_end.send(true).unwrap();
    for read in large.join_all().await {
        read.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_was_swallowed_is_replaced() {
    let server = start().await;
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = relay.local_addr().unwrap().port();
    let (swallow, swallowed) = watch::channel(());
    let to = server.address;
    tokio::spawn(async move {
        while let Ok((mut near, _)) = relay.accept().await {
            let mut swallowed = swallowed.clone();
            swallowed.mark_unchanged();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    // From now on all traffic is dropped silently.
                    _ = swallowed.changed() => std::future::pending().await,
                }
            });
        }
    });
    let client = client(Some(&server.ca));
    let target = target("localhost", port, true);
    for _ in 0..4 {
        get(&client, &target).await.unwrap();
    }
    swallow.send(()).unwrap();
    let mut failures = 0;
    while let Err((kind, message)) = get(&client, &target).await {
        assert_eq!(kind, ErrorKind::Timeout, "{message}");
        failures += 1;
        assert!(failures <= 4, "two time-outs for each of two connections");
    }
    assert!(failures > 0, "nothing was swallowed");
    for _ in 0..4 {
        if let Err((kind, _)) = get(&client, &target).await {
            assert_eq!(kind, ErrorKind::Timeout);
            failures += 1;
        }
    }
    assert!(failures <= 4, "{failures}");
}
