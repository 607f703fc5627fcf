//! The connections of the Operations client: the choice for a request, withdrawn requests, and when connections are opened.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/raw_http.rs"]
mod raw_http;
#[path = "support/tls_server.rs"]
mod tls_server;

use futures::FutureExt;
use opcancel::google::{
    answer::{CallError, CancelAnswer, Operation},
    catalogue::{Target, read},
    client::{ClientConfig, OperationsClient, Withdrawn},
    endpoint::EndpointOverrides,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use raw_http::{RawHttp, Reply, answer};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tls_server::{Rules, Seen, TlsServer, is_request};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const NAME: &str = "projects/p/operations/o";

struct Caller {
    client: Arc<OperationsClient>,
    target: Target,
}

impl Caller {
    fn of(server: &TlsServer, config: ClientConfig) -> Self {
        let config = ClientConfig {
            override_roots: tls::read_ca_file(server.ca.as_bytes()).unwrap(),
            ..config
        };
        Self::at(&server.url(), config)
    }

    fn at(url: &str, config: ClientConfig) -> Self {
        tls::install_provider();
        let mut target = read("dialogflow", None, NAME, &EndpointOverrides::default()).unwrap();
        target.endpoint = url.to_owned();
        target.overridden = true;
        Self {
            client: Arc::new(OperationsClient::new(config).unwrap()),
            target,
        }
    }

    async fn get(&self) -> Result<Operation, CallError> {
        let (reason, token) = asking();
        let now = SystemTime::now();
        let get = self.client.get(&self.target, &reason, &token, now);
        get.await
    }

    async fn cancel_unless(&self, withdrawn: CancellationToken) -> Result<CancelAnswer, Withdrawn> {
        let (reason, token) = asking();
        let now = SystemTime::now();
        let withdrawn = withdrawn.cancelled();
        self.client
            .cancel_unless(&self.target, &reason, &token, now, withdrawn)
            .await
    }
}

fn asking() -> (RequestReason, Token) {
    (
        RequestReason::new("", "ns", "n", "u"),
        Token::new("a-token-of-the-test").unwrap(),
    )
}

/// The answer to a GET or a cancel request.
fn usual(method: &str) -> String {
    let running = r#"{"name":"projects/p/operations/o"}"#;
    if method == "GET" { running } else { "{}" }.to_owned()
}

/// Waits for a watched value to become true.
async fn is_true(mut value: watch::Receiver<bool>) {
    let _ = value.wait_for(|value| *value).await;
}

#[tokio::test]
async fn a_cancel_that_waits_for_a_connection_can_be_taken_back() {
    let (let_in, open) = watch::channel(false);
    let server = TlsServer::start(Rules {
        let_in: Box::new(move |_| is_true(open.clone()).boxed()),
        answer: Box::new(|_, method, _| futures::future::ready(usual(method)).boxed()),
        ..Rules::default()
    })
    .await;
    let caller = Arc::new(Caller::of(&server, ClientConfig::default()));
    let withdrawn = CancellationToken::new();
    let cancel = tokio::spawn({
        let (caller, withdrawn) = (caller.clone(), withdrawn.clone());
        async move { caller.cancel_unless(withdrawn).await }
    });
    server.wait_for(1, |seen| *seen == Seen::Connected(1)).await;
    withdrawn.cancel();
    assert_eq!(cancel.await.unwrap(), Err(Withdrawn));
    let_in.send(true).unwrap();
    // The connection that it waited for is open now, so the request would have been sent by now.
    while !server.requests("GET").contains(&1) {
        caller.get().await.unwrap();
    }
    assert_eq!(server.requests("POST"), [0; 0]);
}

#[tokio::test]
async fn one_that_is_taken_back_before_it_begins_opens_nothing() {
    let server = TlsServer::start(Rules::default()).await;
    let caller = Caller::of(&server, ClientConfig::default());
    let withdrawn = CancellationToken::new();
    withdrawn.cancel();
    assert_eq!(caller.cancel_unless(withdrawn).await, Err(Withdrawn));
    assert_eq!(server.seen(), []);
}

/// Once it was sent, its answer counts, over HTTP/2 and HTTP/1.1.
#[tokio::test]
async fn a_cancel_that_left_is_waited_for() {
    let (answering, may_answer) = watch::channel(false);
    let server = TlsServer::start(Rules {
        answer: Box::new(move |_, method, _| {
            let (text, may_answer) = (usual(method), may_answer.clone());
            async move {
                is_true(may_answer).await;
                text
            }
            .boxed()
        }),
        ..Rules::default()
    })
    .await;
    let caller = Caller::of(&server, ClientConfig::default());
    let withdrawn = CancellationToken::new();
    let cancel = caller.cancel_unless(withdrawn.clone());
    let arrived = async {
        server.wait_for(1, |seen| is_request(seen, "POST")).await;
        withdrawn.cancel();
        // The client sees that first.
        tokio::task::yield_now().await;
        answering.send(true).unwrap();
    };
    assert_eq!(futures::future::join(cancel, arrived).await.0, Ok(Ok(())));

    let withdrawn = CancellationToken::new();
    let given = withdrawn.clone();
    let plain = RawHttp::start(move |_, _| {
        given.cancel();
        Reply::Late(Duration::from_millis(50), answer("200 OK", "{}"))
    })
    .await;
    let caller = Caller::at(&plain.url(), ClientConfig::default());
    assert_eq!(caller.cancel_unless(withdrawn).await, Ok(Ok(())));
    assert_eq!(plain.requests().len(), 1);
}

/// A server that answers a GET when the test allows it.
async fn holding(may_answer: watch::Receiver<bool>) -> TlsServer {
    TlsServer::start(Rules {
        answer: Box::new(move |_, method, _| {
            let text = usual(method);
            let held = (method == "GET").then(|| is_true(may_answer.clone()));
            async move {
                if let Some(held) = held {
                    held.await;
                }
                text
            }
            .boxed()
        }),
        ..Rules::default()
    })
    .await
}

/// Google's front ends may close an idle connection that sends PINGs.
#[tokio::test]
async fn a_connection_is_asked_only_while_something_is_waited_for() {
    let (answering, may_answer) = watch::channel(true);
    let server = holding(may_answer).await;
    let config = ClientConfig {
        ping_after: Duration::from_millis(20),
        ..ClientConfig::default()
    };
    let idle = Caller::of(&server, config.clone());
    idle.get().await.unwrap();
    answering.send_replace(false);
    let waiting = Caller::of(&server, config);
    let held = waiting.get();
    let asked = |connection| move |seen: &Seen| *seen == Seen::Ping(connection);
    let looked = async {
        server.wait_for(1, asked(2)).await;
        let before = (server.count(asked(1)), server.count(asked(2)));
        server.wait_for(before.1 + 20, asked(2)).await;
        // One PING may have been in flight.
        let more = server.count(asked(1)) - before.0;
        assert!(more <= 1, "the idle one was asked {more} times");
        answering.send_replace(true);
    };
    futures::future::join(held, looked).await.0.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_closed_is_reopened() {
    let server = TlsServer::start(Rules::default()).await;
    let caller = Caller::of(&server, ClientConfig::default());
    caller.client.warm(&server.url(), true).await.unwrap();
    assert_eq!(connections(&server), 2);
    let client = caller.client.clone();
    let keeping = tokio::spawn(async move { client.keep_warm().await });
    server.send_away(2);
    // A request without a token on each of two new connections, and no calls.
    let greeted = |seen: &Seen| matches!(seen, Seen::Request(n, of, _) if *n > 2 && of == "HEAD");
    server.wait_for(2, greeted).await;
    keeping.abort();
    assert_eq!(connections(&server), 4);
    let cancel = caller.cancel_unless(CancellationToken::new());
    assert_eq!(cancel.await, Ok(Ok(())));
    assert_eq!(connections(&server), 4, "the cancel found one");
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_replaced() {
    let server = TlsServer::start(Rules::default()).await;
    let config = ClientConfig {
        idle_limit: Duration::from_millis(50),
        ..ClientConfig::default()
    };
    let caller = Caller::of(&server, config);
    caller.client.warm(&server.url(), true).await.unwrap();
    let client = caller.client.clone();
    let keeping = tokio::spawn(async move { client.keep_warm().await });
    // The new connections are open before the old ones are closed.
    server
        .wait_for(2, |seen| matches!(seen, Seen::Ended(1 | 2)))
        .await;
    keeping.abort();
    let seen = server.seen();
    let place = |of: &Seen| seen.iter().position(|seen| seen == of).unwrap();
    let greeted = |connection| Seen::Request(connection, "HEAD".to_owned(), String::new());
    let first_end = place(&Seen::Ended(1)).min(place(&Seen::Ended(2)));
    assert!(place(&greeted(3)) < first_end, "{seen:?}");
}

fn connections(server: &TlsServer) -> usize {
    server.count(|seen| matches!(seen, Seen::Connected(_)))
}

/// The cancel request waits for a GET without an answer. What blocks the GET must not block the cancel request.
#[tokio::test]
async fn a_cancel_leaves_on_another_connection_than_the_get_that_is_stuck() {
    let (_answering, may_answer) = watch::channel(false);
    for warmed in [true, false] {
        let server = holding(may_answer.clone()).await;
        let caller = Arc::new(Caller::of(&server, ClientConfig::default()));
        if warmed {
            caller.client.warm(&server.url(), true).await.unwrap();
        }
        for _ in 0..4 {
            let stuck = tokio::spawn({
                let caller = caller.clone();
                async move { caller.get().await }
            });
            let before = server.requests("GET").len();
            server
                .wait_for(before + 1, |seen| is_request(seen, "GET"))
                .await;
            // A cancel request waits this long for the answer: the observe budget.
            tokio::time::sleep(Duration::from_millis(250)).await;
            let cancel = caller.cancel_unless(CancellationToken::new());
            assert_eq!(cancel.await, Ok(Ok(())));
            let (get, post) = (server.requests("GET"), server.requests("POST"));
            assert_ne!(get.last(), post.last(), "{:?}", server.seen());
            stuck.abort();
            let _ = stuck.await;
        }
    }
}

/// Some endpoint overrides do not speak HTTP/2. Each connection has one request at a time, and a stuck GET blocks nothing.
#[tokio::test]
async fn http1_connections_are_used_again_and_never_shared() {
    let (answering, may_answer) = watch::channel(true);
    let server = TlsServer::start(Rules {
        answer: Box::new(move |_, method, _| {
            let text = usual(method);
            let held = (method == "GET").then(|| is_true(may_answer.clone()));
            async move {
                if let Some(held) = held {
                    held.await;
                }
                text
            }
            .boxed()
        }),
        http1: true,
        ..Rules::default()
    })
    .await;
    let caller = Arc::new(Caller::of(&server, ClientConfig::default()));
    caller.client.warm(&server.url(), true).await.unwrap();
    for _ in 0..10 {
        caller.get().await.unwrap();
    }
    let opened = connections(&server);
    assert!(opened <= 3, "{opened} connections");
    answering.send_replace(false);
    let stuck = tokio::spawn({
        let caller = caller.clone();
        async move { caller.get().await }
    });
    server.wait_for(11, |seen| is_request(seen, "GET")).await;
    let cancel = caller.cancel_unless(CancellationToken::new());
    assert_eq!(cancel.await, Ok(Ok(())));
    assert_ne!(
        server.requests("GET").last(),
        server.requests("POST").last()
    );
    answering.send_replace(true);
    stuck.await.unwrap().unwrap();
}

/// Google's front ends close each connection after a while, and let the requests in flight end.
#[tokio::test]
async fn no_call_fails_because_connections_go_away() {
    let server = TlsServer::start(Rules {
        answer: Box::new(|_, method, _| futures::future::ready(usual(method)).boxed()),
        ..Rules::default()
    })
    .await;
    let caller = Arc::new(Caller::of(&server, ClientConfig::default()));
    let client = caller.client.clone();
    let keeping = tokio::spawn(async move { client.keep_warm().await });
    for round in 0..20 {
        let calls = (0..20).map(|n| {
            let caller = caller.clone();
            tokio::spawn(async move {
                if n % 2 == 0 {
                    caller.get().await.map(drop)
                } else {
                    caller
                        .cancel_unless(CancellationToken::new())
                        .await
                        .unwrap()
                }
            })
        });
        let calls: Vec<_> = calls.collect();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        server.send_away(connections(&server));
        for call in calls {
            assert_eq!(call.await.unwrap(), Ok(()), "round {round}");
        }
    }
    keeping.abort();
    assert!(connections(&server) > 10, "{:?}", server.seen());
    // Each request was sent once.
    assert_eq!(server.requests("POST").len(), 200);
}
