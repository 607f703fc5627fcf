//! The operator's own identity on a metadata server with scripted faults.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/credential_files.rs"]
mod credential_files;
#[path = "support/raw_http.rs"]
mod raw_http;

use credential_files::{EMAIL, Observed};
use opcancel::google::{
    identity::{IdentityConfig, OperatorIdentity},
    tls,
    token::{FetchObserver, FetchResult, TokenSource},
};
use raw_http::{RawHttp, Reply, answer};
use std::time::Duration;

const UNIVERSE: &str = "GET /computeMetadata/v1/universe/universe-domain ";

fn token_json(token: &str, expires_in: u64) -> String {
    let body =
        format!(r#"{{"access_token":"{token}","expires_in":{expires_in},"token_type":"Bearer"}}"#);
    answer("200 OK\r\ncontent-type: application/json", &body)
}

/// A metadata server with this email address. `token` gives the answer to the n-th request for a token.
async fn metadata(email: &str, token: impl Fn(usize) -> Reply + Send + Sync + 'static) -> RawHttp {
    let email = email.to_owned();
    changing(move |_| email.clone(), token).await
}

/// The same. `email` gives the answer to the n-th request for the address.
async fn changing(
    email: impl Fn(usize) -> String + Send + Sync + 'static,
    token: impl Fn(usize) -> Reply + Send + Sync + 'static,
) -> RawHttp {
    let [named, asked] = [0, 0].map(std::sync::atomic::AtomicUsize::new);
    RawHttp::start(move |head, _| {
        assert!(head.contains("metadata-flavor: google\n"), "{head}");
        if head.starts_with("GET /computeMetadata/v1/instance/service-accounts/default/email ") {
            let before = named.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Reply::Close(answer("200 OK", &email(before)))
        } else if head.contains(UNIVERSE) {
            Reply::Close(answer("404 Not Found", ""))
        } else {
            assert!(
                head.starts_with(
                    "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes="
                ),
                "{head}"
            );
            token(asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
        }
    })
    .await
}

fn identity(server: &RawHttp, change: impl FnOnce(&mut IdentityConfig)) -> OperatorIdentity {
    tls::install_provider();
    let mut config = IdentityConfig::default();
    config.environment.metadata_host = Some(server.address.to_string());
    change(&mut config);
    OperatorIdentity::new(config, FetchObserver::default()).unwrap()
}

fn count(server: &RawHttp, what: &str) -> usize {
    server
        .requests()
        .iter()
        .filter(|head| head.contains(what))
        .count()
}

#[tokio::test]
async fn many_callers_share_one_fetch() {
    let server = metadata(EMAIL, |_| Reply::Close(token_json("token-1", 3600))).await;
    let identity = identity(&server, |_| ());
    assert_eq!(identity.principal(), None);
    let tokens = futures::future::join_all((0..50).map(|_| identity.token())).await;
    for token in tokens {
        assert_eq!(token.unwrap().secret(), "token-1");
    }
    assert_eq!(identity.principal().as_deref(), Some(EMAIL));
    let heads = server.requests();
    assert_eq!(heads.len(), 4);
    assert!(heads[0].contains("/email "), "who we are comes first");
    assert!(heads[1].contains(UNIVERSE), "{}", heads[1]);
    assert!(heads[2].contains("cloud-platform"), "{}", heads[2]);
    assert!(heads[3].contains("/email "), "and comes last");
}

#[tokio::test]
async fn an_unexpected_identity_gets_no_token() {
    let node = "123-compute@developer.gserviceaccount.com";
    for (email, expected, said) in [
        (node, None, "the node's own service account"),
        (
            EMAIL,
            Some("other@acme.iam.gserviceaccount.com"),
            "--expect-principal",
        ),
        ("not an address", None, "not an email address"),
        ("", None, "not an email address"),
    ] {
        let server = metadata(email, |_| Reply::Close(token_json("token-1", 3600))).await;
        let identity = identity(&server, |c| {
            c.expect_principal = expected.map(str::to_owned)
        });
        let error = identity.token().await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!(count(&server, "/token?"), 0);
        assert_eq!(identity.principal(), None);
    }
    let server = metadata(node, |_| Reply::Close(token_json("token-1", 3600))).await;
    let identity = identity(&server, |c| c.expect_principal = Some(node.to_owned()));
    assert_eq!(identity.token().await.unwrap().secret(), "token-1");
}

/// AIP-4120: an old server's 404 and an empty answer mean googleapis.com; any other failure means nothing.
#[tokio::test]
async fn a_server_of_another_universe_gives_no_token() {
    use FetchResult::{Failed, Fetched, RefusedIdentity};
    const OTHER: &str = "apis-tpczero.goog";
    for (status, body, flag, result, said) in [
        ("404 Not Found", "<html>", None, Fetched, ""),
        ("200 OK", "", None, Fetched, ""),
        ("200 OK", "googleapis.com\n", None, Fetched, ""),
        ("200 OK", OTHER, Some(OTHER), Fetched, ""),
        (
            "200 OK",
            OTHER,
            None,
            RefusedIdentity,
            "is apis-tpczero.goog, but --universe-domain is googleapis.com; use credentials of googleapis.com, or set \
             --universe-domain=apis-tpczero.goog; no call is made",
        ),
        (
            "404 Not Found",
            "",
            Some(OTHER),
            RefusedIdentity,
            "is googleapis.com, but --universe-domain is apis-tpczero.goog",
        ),
        (
            "200 OK",
            "<html>log in</html>",
            None,
            Failed,
            "did not return its universe: its answer is not a domain",
        ),
        (
            "500 Internal Server Error",
            "",
            None,
            Failed,
            "did not return its universe: ",
        ),
    ] {
        let server = RawHttp::start(move |head, _| {
            Reply::Close(if head.contains("/email ") {
                answer("200 OK", EMAIL)
            } else if head.contains(UNIVERSE) {
                answer(status, body)
            } else {
                token_json("token-1", 1)
            })
        })
        .await;
        let us = Observed::of_metadata_server(server.address, |config| {
            config.universe_domain = flag.unwrap_or("googleapis.com").parse().unwrap();
        })
        .unwrap();
        let token = us.token().await;
        assert_eq!(
            us.results(),
            [result],
            "{status} {body} {flag:?}: {token:?}"
        );
        if result == Fetched {
            assert_eq!(token.as_deref(), Ok("token-1"));
        } else {
            let error = token.unwrap_err();
            assert!(error.contains(said), "{error}");
            assert_eq!(count(&server, "/token?"), 0);
        }
    }
}

#[tokio::test]
async fn an_identity_that_changes_meanwhile_gets_no_token() {
    for (after, said, result) in [
        (
            "1-compute@developer.gserviceaccount.com",
            "the node's own service account",
            FetchResult::RefusedIdentity,
        ),
        (
            "other@acme.iam.gserviceaccount.com",
            "its identity changed from",
            FetchResult::Failed,
        ),
    ] {
        let email = move |before| if before == 0 { EMAIL } else { after }.to_owned();
        let server = changing(email, |_| Reply::Close(token_json("token-1", 3600))).await;
        let us = Observed::of_metadata_server(server.address, |_| ()).unwrap();
        let error = us.token().await.unwrap_err();
        assert!(error.contains(said), "{error}");
        assert_eq!(us.results(), [result]);
        assert_eq!(count(&server, "/token?"), 1);
        assert_eq!(us.identity.principal(), None);
    }
}

#[tokio::test]
async fn the_principal_is_that_of_the_last_token() {
    let email = |before| match before {
        0 | 1 => EMAIL.to_owned(),
        _ => "other@acme.iam.gserviceaccount.com".to_owned(),
    };
    let server = changing(email, |n| match n {
        0 => Reply::Close(token_json("token-1", 2)),
        _ => Reply::Close(answer("403 Forbidden", "no")),
    })
    .await;
    let us = Observed::of_metadata_server(server.address, |_| ()).unwrap();
    us.token().await.unwrap();
    // Two seconds later there is no token, because the new identity is not accepted.
    let ended = async {
        while us.token().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, ended).await.unwrap();
    assert!(count(&server, "/email ") > 2, "the other was named");
    assert_eq!(us.identity.principal().as_deref(), Some(EMAIL));
}

#[tokio::test]
async fn a_permanent_error_is_not_for_ever_and_not_hammered() {
    let server = metadata(EMAIL, |n| {
        if n == 0 {
            Reply::Close(answer(
                "403 Forbidden",
                "Permission 'iam.serviceAccounts.getAccessToken' denied",
            ))
        } else {
            Reply::Close(token_json("token-2", 3600))
        }
    })
    .await;
    let identity = identity(&server, |c| c.min_pause = Duration::from_secs(1));
    let error = identity.token().await.unwrap_err().to_string();
    assert!(error.contains("getAccessToken"), "{error}");
    assert!(error.contains("Workload Identity"), "{error}");
    for _ in 0..100 {
        assert_eq!(identity.token().await.unwrap_err().to_string(), error);
    }
    assert_eq!(count(&server, "/token?"), 1);
    let recovered = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Ok(token) = identity.token().await {
                return token;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(recovered.secret(), "token-2");
    assert_eq!(count(&server, "/token?"), 2);
}

/// Takes as long as the slow servers: 12 s.
#[tokio::test]
async fn a_slow_server_is_waited_for() {
    // Seconds for each request for the identity, and for the token.
    let cases = [(0, 12), (4, 4)].map(async |(email, token)| {
        let [email, token] = [email, token].map(Duration::from_secs);
        let server = RawHttp::start(move |head, _| match head.contains("/email ") {
            true => Reply::Late(email, answer("200 OK", EMAIL)),
            false if head.contains(UNIVERSE) => Reply::Close(answer("200 OK", "googleapis.com")),
            false => Reply::Late(token, token_json("token-1", 3600)),
        })
        .await;
        let identity = identity(&server, |_| ());
        let answered = identity.token().await;
        assert_eq!(answered.unwrap().secret(), "token-1", "{email:?} {token:?}");
        assert_eq!(server.requests().len(), 4, "asked once");
    });
    futures::future::join_all(cases).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_left() {
    let server = metadata(EMAIL, |_| Reply::Hang(String::new())).await;
    let identity = identity(&server, |c| c.request_timeout = Duration::from_millis(500));
    let error = identity.token().await.unwrap_err().to_string();
    assert!(error.contains("no answer within 500ms"), "{error}");
    // There are no fetches without callers.
    let mut abandoned = server.abandoned.clone();
    abandoned.wait_for(|left| *left == 1).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_fetch() {
    let server = metadata(EMAIL, |_| Reply::Close(token_json("token-1", 3600))).await;
    let identity = identity(&server, |_| ());
    drop(identity.token());
    assert_eq!(identity.token().await.unwrap().secret(), "token-1");
    assert_eq!(
        (count(&server, "/email "), count(&server, "/token?")),
        (2, 1)
    );
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let server = metadata(EMAIL, |n| {
        Reply::Close(token_json(&format!("token-{n}"), 3600))
    })
    .await;
    let identity = identity(&server, |_| ());
    let first = identity.token().await.unwrap();
    identity.refused(&first);
    let second = identity.token().await.unwrap();
    assert_eq!((first.secret(), second.secret()), ("token-0", "token-1"));
    // A late refusal of the first token, and an early one of the second: neither causes a fetch.
    identity.refused(&first);
    assert_eq!(identity.token().await.unwrap(), second);
    identity.refused(&second);
    assert_eq!(identity.token().await.unwrap(), second);
    assert_eq!(count(&server, "/token?"), 2);
}

#[tokio::test]
async fn odd_answers_are_errors_and_show_no_secret() {
    for reply in [
        token_json("token-1", 0),
        token_json("", 3600),
        token_json("ya29.two words", 3600),
        answer("200 OK", "\"ya29.a-secret\""),
        answer(
            "200 OK",
            "{\"access_token\":\"ya29.a-secret\",\"expires_in\":\"ya29.a-secret\"}",
        ),
        answer("200 OK", "<html>ya29.a-secret"),
        answer("500 Error", &format!("{}ya29.a-secret", "x".repeat(5000))),
        answer("403 Forbidden", "{\"token\":\"ya29.a-secret\"}\n\u{1b}[31m"),
        String::new(),
    ] {
        let shown = reply.clone();
        let server = metadata(EMAIL, move |_| Reply::Close(reply.clone())).await;
        let error = identity(&server, |_| ())
            .token()
            .await
            .unwrap_err()
            .to_string();
        assert!(!error.contains("ya29"), "{shown}: {error}");
        assert!(error.len() < 700, "{error}");
        assert!(!error.chars().any(char::is_control), "{error}");
    }
}
