//! Token servers with faults: redirects, floods, silence, absurd lifetimes; and a misleading environment.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/credential_files.rs"]
mod credential_files;
#[path = "support/raw_http.rs"]
mod raw_http;

use credential_files::*;
use opcancel::google::token::{FetchResult, TokenSource};
use raw_http::{RawHttp, Reply, answer};
use std::time::Duration;

const SUBJECT: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzIn0.a-subject-token";

fn token_json(expires_in: &str) -> String {
    let body = format!(
        r#"{{"access_token":"sts-token","expires_in":{expires_in},"token_type":"Bearer"}}"#
    );
    answer("200 OK", &body)
}

fn files() -> Files {
    let files = Files::new();
    files.write_subject_token(SUBJECT);
    files
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_subject_token_not_posted_again() {
    let elsewhere = RawHttp::start(|_, _| Reply::Close(token_json("3600"))).await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let redirect = format!(
            "HTTP/1.1 {status}\r\nlocation: {}/v1/token\r\ncontent-length: 0\r\n\r\n",
            elsewhere.url()
        );
        let sts = RawHttp::start(move |_, _| Reply::Close(redirect.clone())).await;
        let files = files();
        let file = external_account(&sts.url(), &files.subject_token());
        let us =
            Observed::of_file(&files, &file, |c| c.min_pause = Duration::from_secs(60)).unwrap();
        let error = us.token().await.unwrap_err();
        assert!(error.contains("redirects are not followed"), "{error}");
        assert_eq!(sts.requests().len(), 1);
        assert!(
            sts.requests()[0].contains("subject_token=eyJ"),
            "it was a real exchange"
        );
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_success_that_was_not_expected_is_not_quoted() {
    let body = r#"{"access_token":"opaque-secret-1234567890","expires_in":3600}"#;
    let server = RawHttp::start(|_, _| Reply::Close(answer("201 Created", body))).await;
    let files = files();
    let mut file = external_account(&server.url(), &files.subject_token());
    for place in ["token exchange", "subject token server"] {
        let us = Observed::of_file(&files, &file, |_| ()).unwrap();
        let error = us.token().await.unwrap_err();
        assert!(
            error.contains(place) && error.ends_with("HTTP 201"),
            "{error}"
        );
        file["credential_source"] = serde_json::json!({"url": format!("{}/subject", server.url())});
    }
}

#[tokio::test]
async fn neither_the_metadata_server_nor_iam_may_redirect() {
    let elsewhere = RawHttp::start(|_, _| Reply::Close(token_json("3600"))).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/x\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url()
    );
    let server = RawHttp::start(
        move |request, _| match request.starts_with("POST /v1/token ") {
            true => Reply::Close(token_json("3600")),
            false => Reply::Close(redirect.clone()),
        },
    )
    .await;
    let files = files();
    let file = impersonating(&server.url(), &files.subject_token());
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    assert!(
        error.contains(EMAIL) && error.contains("redirects are not followed"),
        "{error}"
    );
    let metadata = Observed::of_metadata_server(server.address, |_| ()).unwrap();
    let error = metadata.token().await.unwrap_err();
    assert!(error.contains("redirects are not followed"), "{error}");
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_giant_answer_is_left_unread() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"access_token\":\"";
    let server = RawHttp::start(|_, _| Reply::Flood(head.to_owned())).await;
    let files = files();
    let file = external_account(&server.url(), &files.subject_token());
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    assert!(error.contains("more than 65536 bytes"), "{error}");
    let metadata = Observed::of_metadata_server(server.address, |_| ()).unwrap();
    let error = metadata.token().await.unwrap_err();
    assert!(error.contains("more than 65536 bytes"), "{error}");
}

#[tokio::test]
async fn a_giant_subject_token_is_not_sent() {
    let server = RawHttp::start(|_, _| Reply::Close(token_json("3600"))).await;
    let files = files();
    files.write_subject_token(&"x".repeat(64 * 1024 + 1));
    let file = external_account(&server.url(), &files.subject_token());
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    assert!(error.contains("longer than 65536 bytes"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_hangs_in_mid_answer_is_left() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{";
    let server = RawHttp::start(|_, _| Reply::Hang(head.to_owned())).await;
    let files = files();
    let file = external_account(&server.url(), &files.subject_token());
    let us = Observed::of_file(&files, &file, |c| {
        c.request_timeout = Duration::from_secs(1)
    })
    .unwrap();
    let error = us.token().await.unwrap_err();
    assert!(error.contains("no answer within 1s"), "{error}");
    let mut abandoned = server.abandoned.clone();
    abandoned.wait_for(|left| *left == 1).await.unwrap();
    assert_eq!(us.results(), [FetchResult::Failed]);
}

#[tokio::test]
async fn the_server_that_is_silent_is_named() {
    let server = RawHttp::start(|request, _| match request.starts_with("POST /v1/token ") {
        true => Reply::Close(token_json("3600")),
        false => Reply::Hang(String::new()),
    })
    .await;
    let files = files();
    let file = impersonating(&server.url(), &files.subject_token());
    let us = Observed::of_file(&files, &file, |c| {
        c.request_timeout = Duration::from_secs(1)
    })
    .unwrap();
    let error = us.token().await.unwrap_err();
    assert!(
        error.contains(&format!("impersonating {EMAIL}")) && error.contains("no answer within 1s"),
        "{error}"
    );
}

#[tokio::test]
async fn an_echoed_subject_token_is_not_shown_in_any_spelling() {
    let saml = "PHNhbWxwOlJlc3BvbnNl+IHhtbG5z/OnNhbWxwPSJ1cm46/b2FzaXM6+bmFtZXM=";
    for spelling in [
        saml.to_owned(),
        saml.replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D"),
        saml.replace('+', "%2b")
            .replace('/', "%2f")
            .replace('=', "%3d"),
    ] {
        let reply = answer(
            "400 Bad Request",
            &format!("bad subject_token={spelling}&scope=x"),
        );
        let server = RawHttp::start(move |_, _| Reply::Close(reply.clone())).await;
        let files = files();
        files.write_subject_token(saml);
        let mut file = external_account(&server.url(), &files.subject_token());
        file["subject_token_type"] = serde_json::json!("urn:ietf:params:oauth:token-type:saml2");
        let us = Observed::of_file(&files, &file, |_| ()).unwrap();
        let error = us.token().await.unwrap_err();
        assert!(
            error.ends_with("HTTP 400: bad subject_token=[token removed]&scope=x"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_echoed_authorization_of_a_client_is_not_shown() {
    // The base64 of "an-id:a-client-secret".
    let reply = answer(
        "401 Unauthorized",
        "bad Basic YW4taWQ6YS1jbGllbnQtc2VjcmV0.",
    );
    let server = RawHttp::start(move |_, _| Reply::Close(reply.clone())).await;
    let files = files();
    let mut file = external_account(&server.url(), &files.subject_token());
    file["client_id"] = serde_json::json!("an-id");
    file["client_secret"] = serde_json::json!("a-client-secret");
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    assert!(
        // The server stores heads in lower case.
        server.requests()[0].contains("basic yw4tawq6ys1jbgllbnqtc2vjcmv0"),
        "it was sent"
    );
    assert!(
        error.ends_with("HTTP 401: bad Basic [token removed]"),
        "{error}"
    );
}

#[tokio::test]
async fn an_absurd_life_neither_panics_nor_makes_a_token_immortal() {
    for life in [
        "18446744073709551615",
        "1e308",
        "-1",
        "99999999999999999999999",
    ] {
        let reply = token_json(life);
        let server = RawHttp::start(move |_, _| Reply::Close(reply.clone())).await;
        let files = files();
        let file = external_account(&server.url(), &files.subject_token());
        let us = Observed::of_file(&files, &file, |_| ()).unwrap();
        let first = us.token().await;
        // A whole number counts up to 12 hours (token_cache has the tests); anything else is not a lifetime.
        assert_eq!(
            first.is_ok(),
            life.bytes().all(|b| b.is_ascii_digit()),
            "{life}: {first:?}"
        );
        if let Ok(token) = &first {
            assert_eq!(us.token().await.as_ref(), Ok(token));
            let token = us.identity.token().await.unwrap();
            us.identity.refused(&token);
            us.token().await.unwrap();
            assert_eq!(server.requests().len(), 2, "a refused token is replaced");
        }
    }
}

/// The variables of a running process cannot be changed safely, so the test runs itself again with other ones.
#[tokio::test]
async fn proxies_of_the_environment_are_ignored() {
    const MARK: &str = "OPCANCEL_TEST_PROXIED";
    if std::env::var_os(MARK).is_none() {
        let proxy = RawHttp::start(|_, _| Reply::Close(token_json("3600"))).await;
        let mut again = tokio::process::Command::new(std::env::current_exe().unwrap());
        again
            .args(["--exact", "proxies_of_the_environment_are_ignored"])
            .env(MARK, "1");
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ] {
            again.env(name, proxy.url());
        }
        again.env_remove("NO_PROXY").env_remove("no_proxy");
        let output = again.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        assert!(proxy.requests().is_empty(), "{:?}", proxy.requests());
        return;
    }
    let server = RawHttp::start(|request, _| match request.contains("/email ") {
        true => Reply::Close(answer("200 OK", EMAIL)),
        false if request.contains("/universe-domain ") => {
            Reply::Close(answer("200 OK", "googleapis.com"))
        }
        false => Reply::Close(token_json("3600")),
    })
    .await;
    let files = files();
    let file = external_account(&server.url(), &files.subject_token());
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    us.token().await.unwrap();
    let metadata = Observed::of_metadata_server(server.address, |_| ()).unwrap();
    metadata.token().await.unwrap();
    // The same over TLS: the proxy would have recorded a request.
    let over_tls = external_account(
        &server.url().replace("http:", "https:"),
        &files.subject_token(),
    );
    let us = Observed::of_file(&files, &over_tls, |c| {
        c.request_timeout = Duration::from_millis(250);
    })
    .unwrap();
    us.token().await.unwrap_err();
    assert_eq!(
        server.requests().len(),
        5,
        "two over HTTP, the two questions who we are, and the one about the universe"
    );
}

#[tokio::test]
async fn an_unexpected_identity_is_reported_to_the_observer() {
    let server = RawHttp::start(|_, _| {
        Reply::Close(answer("200 OK", "1-compute@developer.gserviceaccount.com"))
    })
    .await;
    let us = Observed::of_metadata_server(server.address, |config| {
        config.min_pause = Duration::from_secs(60);
        config.max_pause = Duration::from_secs(60);
    })
    .unwrap();
    for _ in 0..20 {
        us.token().await.unwrap_err();
    }
    assert_eq!(
        us.results(),
        [FetchResult::RefusedIdentity],
        "a pause is no fetch"
    );
}
