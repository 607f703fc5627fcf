//! The admin API does for other processes what the library does in-process.
#![allow(clippy::unwrap_used)]

mod support;

use operations_emulator::Script;
use reqwest::Response;
use serde_json::{Value, json};
use support::{NAME, Setup, json, rpc_status, start};

async fn send(setup: &Setup, method: &str, path: &str, body: &str) -> (u16, Value) {
    json(try_send(setup, method, path, body).await).await
}

async fn try_send(setup: &Setup, method: &str, path: &str, body: &str) -> Response {
    let url = format!("{}{path}", setup.emulator.admin_url());
    setup
        .client
        .request(method.parse().unwrap(), url)
        .body(body.to_owned())
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn sets_shows_finishes_and_removes_operations() {
    let setup = start(Script::default()).await;
    let other = "projects/p/operations/other";
    let body = json!({"name": other, "script": {"description": "d", "metadata": {}, "cancel": {"after": "1h"}}});
    assert_eq!(
        send(&setup, "PUT", "/admin/operations", &body.to_string())
            .await
            .0,
        200
    );
    assert_eq!(
        setup.get_name(other).await.1["metadata"]["state"],
        "RUNNING"
    );
    let (_, shown) = send(&setup, "GET", "/admin/operations", "").await;
    assert_eq!(
        shown["operations"][1],
        json!({"name": other, "description": "d", "phase": "running", "state": "RUNNING", "gets": 1, "cancels": 0,
               "cancelAccepted": false})
    );
    let finish = json!({"name": other, "result": {"failed": {"code": "ABORTED"}}}).to_string();
    assert_eq!(
        send(&setup, "POST", "/admin/operations/finish", &finish)
            .await
            .0,
        200
    );
    assert_eq!(setup.get_name(other).await.1["error"]["code"], 10);
    assert_eq!(
        send(&setup, "POST", "/admin/operations/finish", &finish)
            .await
            .0,
        409
    );
    let path = format!("/admin/operations?name={other}");
    assert_eq!(send(&setup, "DELETE", &path, "").await.0, 200);
    assert_eq!(setup.get_name(other).await.0, 404);
    assert_eq!(send(&setup, "DELETE", &path, "").await.0, 404);
}

#[tokio::test]
async fn a_wrong_change_names_what_is_wrong() {
    let setup = start(Script::default()).await;
    for (body, wanted) in [
        (
            json!({"name": "projects/p/operations", "script": {}}),
            "projects/P/operations/O",
        ),
        (json!({"name": NAME, "script": {"endz": {}}}), "endz"),
        (
            json!({"name": NAME, "script": {"appearsAfter": "soon"}}),
            "200ms",
        ),
    ] {
        let (status, answer) = send(&setup, "PUT", "/admin/operations", &body.to_string()).await;
        assert_eq!(status, 400);
        assert!(
            answer["error"].as_str().unwrap().contains(wanted),
            "{answer}"
        );
    }
    assert_eq!(setup.get().await.0, 200, "the operation is as it was");
}

#[tokio::test]
async fn shows_requests_and_waits_for_them() {
    let setup = start(Script::default()).await;
    setup.get().await;
    let (_, first) = send(&setup, "GET", "/admin/requests", "").await;
    assert_eq!(
        first["requests"][0]["authorization"],
        json!({"token": "token-1"})
    );
    assert_eq!(first["requests"][0]["answer"], json!({"status": 200}));
    let path = format!(
        "/admin/requests?operation={NAME}&since={}&wait=20s",
        first["next"]
    );
    let ((_, second), _) = tokio::join!(send(&setup, "GET", &path, ""), setup.cancel());
    assert_eq!(second["requests"].as_array().unwrap().len(), 1);
    assert_eq!(second["requests"][0]["call"], "cancel");
    let (_, metadata) = send(&setup, "GET", "/admin/requests?surface=metadata", "").await;
    assert_eq!(
        metadata["requests"][0]["path"],
        "/computeMetadata/v1/instance/service-accounts/default/token"
    );
    assert_eq!(
        try_send(&setup, "GET", "/admin/requests?sinze=1", "")
            .await
            .status(),
        400
    );
    send(&setup, "DELETE", "/admin/requests", "").await;
    assert_eq!(
        send(&setup, "GET", "/admin/requests", "").await.1["requests"],
        json!([])
    );
}

#[tokio::test]
async fn sets_faults_and_revokes_tokens() {
    let setup = start(Script::default()).await;
    let faults = "[{times: 1, answer: {refuse: {code: INTERNAL}}}]";
    assert_eq!(send(&setup, "PUT", "/admin/faults", faults).await.0, 200);
    assert_eq!(rpc_status(&setup.get().await.1), "INTERNAL");
    assert_eq!(setup.get().await.0, 200);
    assert_eq!(
        send(
            &setup,
            "PUT",
            "/admin/faults",
            "[{times: 0, answer: close}]"
        )
        .await
        .0,
        400
    );
    let (_, tokens) = send(&setup, "GET", "/admin/tokens", "").await;
    assert_eq!(tokens["tokens"][0]["id"], "token-1");
    assert!(!tokens.to_string().contains(&setup.token));
    send(&setup, "POST", "/admin/tokens/revoke", "").await;
    assert_eq!(setup.get().await.0, 401);
}

#[tokio::test]
async fn says_that_it_is_alive() {
    let setup = start(Script::default()).await;
    let answer = try_send(&setup, "GET", "/healthz", "").await;
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.text().await.unwrap().as_str()
        ),
        (200, "ok\n")
    );
}
