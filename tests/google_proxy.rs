//! The proxy of `--https-proxy`, played by a server of the test's own: what passes through it, and each way in which it can fail.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "a test may panic, and uses a part of what the tests share"
)]

#[path = "support/credential_files.rs"]
mod credential_files;
#[path = "support/raw_http.rs"]
mod raw_http;
#[path = "support/tls_server.rs"]
mod tls_server;
#[path = "official_clients/tunnel.rs"]
mod tunnel;

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use opcancel::google::{
    answer::{CallError, ErrorKind, Operation},
    catalogue::{Target, read},
    client::{ClientConfig, OperationsClient},
    endpoint::EndpointOverrides,
    proxy::{HttpsProxy, ProxyUrl},
    request_reason::RequestReason,
    tls,
    token::Token,
};
use raw_http::{RawHttp, Reply};
use tls_server::{Rules, Seen, TlsServer};
use tunnel::Tunnel;

use credential_files::{Files, Observed, external_account};

const NAME: &str = "projects/p/operations/o";
const LIMIT: Duration = Duration::from_millis(500);

/// DNS may be slow to say that there is no such host.
const DNS_LIMIT: Duration = Duration::from_secs(8);

fn proxy(url: &str) -> HttpsProxy {
    HttpsProxy::new(&ProxyUrl::from(url)).unwrap()
}

fn client(proxy: HttpsProxy) -> OperationsClient {
    client_within(LIMIT, proxy)
}

fn client_within(connect_timeout: Duration, proxy: HttpsProxy) -> OperationsClient {
    tls::install_provider();
    OperationsClient::new(ClientConfig {
        https_proxy: Some(proxy),
        connect_timeout,
        ..ClientConfig::default()
    })
    .unwrap()
}

/// Google's own endpoint of an operation.
fn target() -> Target {
    read("dialogflow", None, NAME, &EndpointOverrides::default()).unwrap()
}

fn at(endpoint: &str, overridden: bool) -> Target {
    let mut target = target();
    target.endpoint = endpoint.to_owned();
    target.overridden = overridden;
    target
}

async fn get(client: &OperationsClient, target: &Target) -> Result<Operation, CallError> {
    let reason = RequestReason::new("", "ns", "n", "u");
    let token = Token::new("a-token-of-the-test").unwrap();
    let get = client.get(target, &reason, &token, SystemTime::now());
    get.await
}

const TO: &str = "dialogflow.googleapis.com:443";

/// What a proxy answers to CONNECT, and what is said of it.
fn answers() -> Vec<(Reply, ErrorKind, String)> {
    let close = |answer: &str| Reply::Close(answer.to_owned());
    let hang = |answer: &str| Reply::Hang(answer.to_owned());
    let refused = |status: &str, said: &str| {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        (
            Reply::Close(answer),
            ErrorKind::Network,
            format!("{said} (HTTP {})", &status[..3]),
        )
    };
    let network = |reply, said: &str| (reply, ErrorKind::Network, said.to_owned());
    let late = |reply, said: &str| (reply, ErrorKind::Timeout, said.to_owned());
    vec![
        refused(
            "407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"",
            "requires a user and a password: use --https-proxy-credentials-file",
        ),
        refused(
            "407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM",
            "offers no Basic authentication, the only kind supported",
        ),
        refused(
            "403 Forbidden",
            &format!("does not allow connections to {TO}"),
        ),
        refused("502 Bad Gateway", &format!("cannot connect to {TO}")),
        refused("503 Unavailable", &format!("cannot connect to {TO}")),
        refused("504 Timeout", &format!("cannot connect to {TO}")),
        refused("500 Internal", &format!("cannot connect to {TO}")),
        refused("501 Unknown", &format!("opened no tunnel to {TO}")),
        refused(
            "401 Unauthorized",
            "requires a user and a password: use --https-proxy-credentials-file",
        ),
        refused(
            "302 Found\r\nlocation: https://login.example",
            &format!("opened no tunnel to {TO}"),
        ),
        network(
            close("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n"),
            "does not allow",
        ),
        network(close(""), "closed the connection without opening a tunnel"),
        network(
            close("HTTP/1.1 200 OK\r\n"),
            "closed the connection without opening a tunnel",
        ),
        network(
            hang("SSH-2.0-OpenSSH_9.9\r\n"),
            "sent an answer that is not HTTP",
        ),
        network(
            hang("HTTP/1.1 all right\r\n\r\n"),
            "sent an answer that is not HTTP",
        ),
        network(
            Reply::Flood("HTTP/1.1 200 OK\r\nx: ".to_owned()),
            "sent an answer of more than 16384 bytes",
        ),
        network(
            hang("HTTP/1.1 200 OK\r\n\r\n220 mail.example\r\n"),
            "sent data before the tunnel was used",
        ),
        network(
            close("HTTP/1.1 200 OK\r\n\r\n"),
            "opened a tunnel, but there is no connection: ",
        ),
        late(hang(""), "did not answer within 500ms"),
        late(
            Reply::Drip("HTTP/1.1 200 OK\r\nx: ".to_owned()),
            "did not answer within 500ms",
        ),
        // Some proxies end lines so.
        late(
            hang("HTTP/1.0 200 Connection established\n\n"),
            "opened the tunnel, but TLS with the server took too long",
        ),
    ]
}

#[tokio::test]
async fn whatever_the_proxy_answers_the_error_says_that_it_was_the_proxy() {
    for (reply, kind, said) in answers() {
        let reply = std::sync::Mutex::new(Some(reply));
        let server = RawHttp::start(move |_, _| {
            let first = reply.lock().unwrap().take();
            first.unwrap_or(Reply::Close(String::new()))
        })
        .await;
        let error = get(&client(proxy(&server.url())), &target())
            .await
            .unwrap_err();
        let whole = format!(
            "dialogflow.googleapis.com: the proxy {} {said}",
            server.address
        );
        assert!(
            error.message.starts_with(&whole),
            "{} is not {whole}",
            error.message
        );
        assert_eq!(error.kind, kind, "{said}");
        assert!(error.not_sent, "{said}");
        let request = &server.requests()[0];
        assert!(
            request.starts_with(&format!(
                "CONNECT {TO} HTTP/1.1\nhost: {TO}\nuser-agent: opcancel/"
            )),
            "{request}"
        );
        assert!(!request.contains("proxy-authorization"), "{request}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = closed.local_addr().unwrap().to_string();
    drop(closed);
    for (address, wrong) in [
        (refusing.as_str(), "connection refused"),
        ("proxy.invalid:3128", "host name not found (DNS)"),
    ] {
        let client = client_within(DNS_LIMIT, proxy(&format!("http://{address}")));
        // Also the second time: the host of the operation has not lost its address.
        for _ in 0..2 {
            let error = get(&client, &target()).await.unwrap_err();
            assert_eq!(
                error.message,
                format!(
                    "dialogflow.googleapis.com: the proxy {address} cannot be reached: {wrong}"
                )
            );
            assert!(error.not_sent && error.kind == ErrorKind::Network);
        }
    }
}

#[tokio::test]
async fn overrides_and_loopback_hosts_are_reached_directly() {
    let server = RawHttp::start(|_, _| Reply::Close(String::new())).await;
    let client = client_within(DNS_LIMIT, proxy(&server.url()));
    for (target, said) in [
        (
            at("https://override.invalid", true),
            "override.invalid: host name not found (DNS)",
        ),
        (
            at("https://localhost:1", false),
            "localhost:1: connection refused",
        ),
        (
            at("http://127.0.0.1:1", true),
            "127.0.0.1:1: connection refused",
        ),
    ] {
        let error = get(&client, &target).await.unwrap_err();
        assert_eq!(error.message, said);
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_credentials_are_read_for_each_connection() {
    let server = RawHttp::start(|_, _| {
        Reply::Close("HTTP/1.1 407 x\r\nproxy-authenticate: basic\r\n\r\n".to_owned())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let with_file = |text: &str| {
        std::fs::write(&file, text).unwrap();
        proxy(&server.url()).with_credentials_file(file.clone())
    };
    for bad in ["", "user", ":password", "user:pass\u{7}word", "a:b\nc:d"] {
        let error = with_file(bad).unwrap_err().to_string();
        assert!(
            error.ends_with("it must be one line, USER:PASSWORD"),
            "{error}"
        );
    }
    let first = with_file("user:first:with a colon\r\n").unwrap();
    assert!(!format!("{first:?}").contains("user"));
    let client = client(first);
    let said = async || get(&client, &target()).await.unwrap_err().message;
    let refused = "refused the user and password of --https-proxy-credentials-file (HTTP 407)";
    assert!(said().await.ends_with(refused));
    std::fs::write(&file, "\u{feff}user:second").unwrap();
    assert!(said().await.ends_with(refused));
    std::fs::remove_file(&file).unwrap();
    let missing = said().await;
    assert!(
        missing.contains(&format!(
            "the proxy {} --https-proxy-credentials-file {}: ",
            server.address,
            file.display()
        )),
        "{missing}"
    );
    let sent = server.requests();
    let sent: Vec<_> = sent
        .iter()
        .filter_map(|request| {
            let (_, rest) = request.split_once("proxy-authorization: basic ")?;
            rest.lines().next()
        })
        .collect();
    // In lower case, as the server keeps them.
    assert_eq!(
        sent,
        ["dxnlcjpmaxjzddp3axroigegy29sb24=", "dxnlcjpzzwnvbmq="]
    );
}

#[test]
fn what_is_no_proxy_is_refused_and_never_shown() {
    for good in [
        "http://proxy.example:3128",
        "http://proxy.example:80/",
        "https://proxy.example:443",
        "http://10.1.2.3:8080",
        "http://[fd00::1]:3128",
        "HTTP://Proxy_1.example:3128",
    ] {
        HttpsProxy::new(&ProxyUrl::from(good)).unwrap();
    }
    for bad in [
        "",
        "secret",
        "secret:3128",
        "http://secret",
        "http://secret:0",
        "http://secret:99999",
        "http://secret:3128/path",
        "http://secret:3128/?q",
        "http://secret:3128/#f",
        "socks5://secret:1080",
        "http://:3128",
        "http://user:secret@proxy:3128",
        "http://secret@proxy:3128",
        "http://secret%40x:3128",
        "http://secret name:3128",
    ] {
        let url = ProxyUrl::from(bad);
        let error = HttpsProxy::new(&url).unwrap_err().to_string();
        assert!(
            error.starts_with("--https-proxy: ") && !error.contains("secret"),
            "{bad}: {error}"
        );
        assert_eq!(format!("{url:?}"), "ProxyUrl(not shown)");
    }
}

#[tokio::test]
async fn an_ipv6_literal_is_a_proxy_too() {
    let server = RawHttp::start_on("[::1]:0", |_, _| {
        Reply::Close("HTTP/1.1 403 x\r\n\r\n".to_owned())
    })
    .await;
    let error = get(&client(proxy(&server.url())), &target()).await;
    let said = error.unwrap_err().message;
    let port = server.address.port();
    assert!(
        said.contains(&format!("the proxy [::1]:{port} does not allow")),
        "{said}"
    );
}

#[tokio::test]
async fn token_servers_are_behind_the_proxy_and_the_subject_token_is_not() {
    let server = RawHttp::start(|_, _| Reply::Close("HTTP/1.1 403 x\r\n\r\n".to_owned())).await;
    let files = Files::new();
    files.write_subject_token("a-subject-token");
    let mut file = external_account("https://sts.googleapis.com", &files.subject_token());
    let said = async |file: serde_json::Value| {
        let us = Observed::of_file(&files, &file, |config| {
            config.https_proxy = Some(proxy(&server.url()));
        });
        us.unwrap().token().await.unwrap_err()
    };
    assert!(
        said(file.clone()).await.ends_with(&format!(
            "token exchange at sts.googleapis.com: the proxy {} does not allow connections to sts.googleapis.com:443 (HTTP 403)",
            server.address
        )),
    );
    assert_eq!(server.requests().len(), 1);
    file["credential_source"] = serde_json::json!({"url": "https://subject.invalid/token"});
    let direct = said(file).await;
    assert!(direct.contains("host name not found (DNS)"), "{direct}");
    assert_eq!(server.requests().len(), 1);
}

/// Which authorities are trusted is read from the environment: the test runs itself again with other ones.
#[tokio::test]
async fn connections_through_the_proxy_are_shared_and_renewed() {
    const FOLDER: &str = "OPCANCEL_TEST_FOLDER";
    let Some(folder) = std::env::var_os(FOLDER) else {
        let folder = tempfile::tempdir().unwrap();
        let made =
            rcgen::generate_simple_self_signed(["dialogflow.googleapis.com".to_owned()]).unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        std::fs::write(
            folder.path().join("key.der"),
            made.signing_key.serialize_der(),
        )
        .unwrap();
        let mut again = tokio::process::Command::new(std::env::current_exe().unwrap());
        again
            .args([
                "--exact",
                "connections_through_the_proxy_are_shared_and_renewed",
            ])
            .env(FOLDER, folder.path())
            .env("SSL_CERT_FILE", ca);
        let output = again.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    };
    let read = |name: &str| std::fs::read(Path::new(&folder).join(name)).unwrap();
    let certificate = tls::read_ca_file(&read("ca.pem")).unwrap().remove(0);
    let server = TlsServer::start_with(
        Rules {
            answer: Box::new(|_, _, _| {
                Box::pin(async { r#"{"name":"projects/p/operations/o"}"#.to_owned() })
            }),
            ..Rules::default()
        },
        certificate,
        read("key.der").into(),
    )
    .await;
    let host = "dialogflow.googleapis.com".to_owned();
    let tunnel = Tunnel::start([(host, server.address)].into()).await;
    let client = client(proxy(&tunnel.url()));
    client.warm(&target().endpoint, false).await.unwrap();
    for _ in 0..8 {
        get(&client, &target()).await.unwrap();
    }
    let connected = |seen: &Seen| matches!(seen, Seen::Connected(_));
    let opened = server.count(connected);
    assert!(opened <= 2, "{:?}", server.seen());
    // GOAWAY: what comes next leaves on new connections, through the proxy again.
    server.send_away(opened);
    server
        .wait_for(opened, |seen| matches!(seen, Seen::Ended(_)))
        .await;
    for _ in 0..4 {
        get(&client, &target()).await.unwrap();
    }
    let again = server.count(connected);
    assert!((opened + 1..=opened + 2).contains(&again), "{again}");
    assert!(tunnel.strangers().is_empty());
}
