//! What the admin address refuses it refuses in the form of whoever asks: `{"error": ...}` below `/admin/`, a page elsewhere.
#![allow(clippy::unwrap_used)]

mod support;

use operations_emulator::Script;
use reqwest::Response;
use serde_json::Value;
use support::{Setup, start};

/// A little more than the admin address reads, so that it has read nearly all of it when it answers.
const TOO_LARGE: usize = 8 * 1024 * 1024 + 100;

async fn send(setup: &Setup, method: &str, path: &str, body: Vec<u8>) -> Response {
    let url = format!("{}{path}", setup.emulator.admin_url());
    let request = setup.client.request(method.parse().unwrap(), url);
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn every_refusal_below_admin_is_json_with_the_reason() {
    let setup = start(Script::default()).await;
    let not_utf8 = b"{name: \"\xff\"}".to_vec();
    for (method, path, body, status, wanted) in [
        ("GET", "/admin/requests?wait=zz", vec![], 400, "\"zz\""),
        ("GET", "/admin/requests?bogus=1", vec![], 400, "bogus"),
        ("GET", "/admin/requests?since=-1", vec![], 400, "since"),
        ("DELETE", "/admin/operations", vec![], 400, "name"),
        (
            "PUT",
            "/admin/operations",
            vec![b' '; TOO_LARGE],
            413,
            "8 MiB",
        ),
        ("PUT", "/admin/operations", not_utf8, 400, "UTF-8"),
        ("GET", "/admin/nothing", vec![], 404, "/admin/nothing"),
        ("PATCH", "/admin/faults", vec![], 405, "PATCH"),
    ] {
        let answer = send(&setup, method, path, body).await;
        let found = answer.status().as_u16();
        let kind = answer.headers().get("content-type").cloned();
        assert_eq!(
            kind.unwrap_or_else(|| panic!("{method} {path}")),
            "application/json",
            "{method} {path}"
        );
        let json: Value = answer.json().await.unwrap();
        let error = json["error"].as_str().unwrap_or_default();
        assert_eq!(found, status, "{method} {path}: {error}");
        assert!(error.contains(wanted), "{method} {path}: {error}");
    }
    let large = format!(
        r#"{{"name": "projects/p/operations/large", "script": {{"description": "{}"}}}}"#,
        "x".repeat(4 * 1024 * 1024)
    );
    let answer = send(&setup, "PUT", "/admin/operations", large.into_bytes()).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn every_refusal_elsewhere_is_a_page_that_keeps_to_itself() {
    let setup = start(Script::default()).await;
    for (method, path, body, status) in [
        ("GET", "/?page=abc", vec![], 400),
        ("GET", "/live?order=x", vec![], 400),
        ("GET", "/nothing", vec![], 404),
        ("POST", "/change", vec![b' '; TOO_LARGE], 413),
        ("PUT", "/", vec![], 405),
    ] {
        let answer = send(&setup, method, path, body).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let policy = answer.headers().get("content-security-policy").cloned();
        let policy = policy.unwrap_or_else(|| panic!("{method} {path}"));
        assert!(
            policy.to_str().unwrap().contains("default-src 'none'"),
            "{method} {path}"
        );
        let page = answer.text().await.unwrap();
        assert!(page.contains("<h1>Request refused</h1>"), "{page}");
    }
}
