//! The Operations client over TLS and HTTP/2: whom it trusts, what it speaks, and how it gets over a dead connection.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opcancel::google::{
    answer::ErrorKind,
    catalogue::Target,
    client::{ClientConfig, OperationsClient},
    operation_name::OperationName,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
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
}

/// A server for `localhost` with a certificate of its own making, that speaks HTTP/2 and nothing else.
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
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, kept) = (acceptor.clone(), kept.clone());
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
                    let body = if request.method() == "POST" {
                        "{}"
                    } else {
                        r#"{"name":"o"}"#
                    };
                    async move { Ok::<_, Infallible>(Response::new(body.to_owned())) }
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
    }
}

fn client(ca: Option<&[u8]>) -> OperationsClient {
    OperationsClient::new(ClientConfig {
        call_timeout: Duration::from_secs(1),
        override_roots: ca
            .map(|pem| tls::read_ca_file(pem).unwrap())
            .unwrap_or_default(),
        ..ClientConfig::default()
    })
    .unwrap()
}

fn target(host: &str, port: u16, overridden: bool) -> Target {
    Target {
        service: "dialogflow",
        version: "v2",
        endpoint: format!("https://{host}:{port}"),
        overridden,
    }
}

async fn get(client: &OperationsClient, target: &Target) -> Result<(), (ErrorKind, String)> {
    let name = OperationName::parse("projects/p/operations/o").unwrap();
    let reason = RequestReason::new("", "ns", "n", "u");
    let token = Token::new("a-token-of-the-test").unwrap();
    let got = client
        .get(target, &name, &reason, &token, SystemTime::now())
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
    let name = OperationName::parse("projects/p/operations/o").unwrap();
    let reason = RequestReason::new("", "ns", "n", "u");
    let token = Token::new("a-token-of-the-test").unwrap();
    let now = SystemTime::now();
    client
        .cancel(&target, &name, &reason, &token, now)
        .await
        .unwrap();
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
                    // From now on nothing passes, and nobody says so.
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
