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
    let (_, mut shown) = send(&setup, "GET", "/admin/operations", "").await;
    let asked = shown["operations"][1]["lastAsked"].take();
    assert!(
        asked.as_str().is_some_and(|time| time.ends_with('Z')),
        "{asked}"
    );
    assert_eq!(
        shown["operations"][1],
        json!({"name": other, "description": "d", "phase": "running", "state": "RUNNING", "gets": 1, "cancels": 0,
               "cancelAccepted": false, "result": null, "endedAt": null, "lastAsked": null})
    );
    let before = jiff::Timestamp::now();
    let finish = json!({"name": other, "result": {"failed": {"code": "ABORTED"}}}).to_string();
    assert_eq!(
        send(&setup, "POST", "/admin/operations/finish", &finish)
            .await
            .0,
        200
    );
    assert_eq!(setup.get_name(other).await.1["error"]["code"], 10);
    let (_, shown) = send(&setup, "GET", "/admin/operations", "").await;
    let ended: jiff::Timestamp = shown["operations"][1]["endedAt"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        before <= ended && ended <= jiff::Timestamp::now(),
        "{ended}"
    );
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

#[tokio::test]
async fn what_vanishes_is_not_found_even_if_a_template_knows_it() {
    let setup = start(Script::default()).await;
    let body = json!({"name": "projects/t/operations/*"}).to_string();
    send(&setup, "PUT", "/admin/operations", &body).await;
    let name = "projects/t/operations/a";
    assert_eq!(setup.get_name(name).await.0, 200);
    let vanish = json!({"name": name}).to_string();
    let ask = async || send(&setup, "POST", "/admin/operations/vanish", &vanish).await;
    assert_eq!(ask().await.0, 200);
    assert_eq!(setup.get_name(name).await.0, 404);
    let (status, answer) = ask().await;
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("absent already"));
    let nothing = json!({"name": "projects/t/operations/b"}).to_string();
    let (status, _) = send(&setup, "POST", "/admin/operations/vanish", &nothing).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn permissions_consumers_federated_tokens_and_latency_change_while_it_runs() {
    let setup = start(Script::default()).await;
    let put = async |path: &str, body: &str| send(&setup, "PUT", path, body).await.0;
    let reason = async || setup.get().await.1["error"]["details"][0]["reason"].clone();
    assert_eq!(put("/admin/permissions", "[]").await, 200);
    assert_eq!(reason().await, "IAM_PERMISSION_DENIED");
    let reader = r#"[{"principal": "*", "calls": ["get"], "under": "projects/p"}]"#;
    assert_eq!(put("/admin/permissions", reader).await, 200);
    assert_eq!((setup.get().await.0, setup.cancel().await.0), (200, 403));
    assert_eq!(put("/admin/permissions", "null").await, 200);
    assert_eq!(setup.cancel().await.0, 200);

    assert_eq!(
        put("/admin/consumers", "emulated-project: {enabled: false}").await,
        200
    );
    assert_eq!(reason().await, "SERVICE_DISABLED");
    let scarce = r#"{"emulated-project": {"perMinute": {"list": 0, "get": 0}}}"#;
    assert_eq!(put("/admin/consumers", scarce).await, 200);
    assert_eq!(setup.get().await.0, 429);
    assert_eq!(put("/admin/consumers", "{}").await, 200);
    assert_eq!(setup.get().await.0, 200);

    assert_eq!(put("/admin/federated-tokens", "refused").await, 200);
    assert_eq!(put("/admin/federated-tokens", "taken").await, 200);
    let before = std::time::Instant::now();
    assert_eq!(put("/admin/latency", "get: 300ms").await, 200);
    assert_eq!(setup.get().await.0, 200);
    assert!(before.elapsed() >= std::time::Duration::from_millis(300));
    assert_eq!(put("/admin/latency", "0").await, 200);
}

#[tokio::test]
async fn a_wrong_rule_changes_nothing_and_is_named() {
    let setup = start(Script::default()).await;
    for (path, body, wanted) in [
        ("permissions", "[{principal: a, calls: [delete]}]", "delete"),
        (
            "permissions",
            "[{principal: a, calls: []}]",
            "permissions[0].calls",
        ),
        (
            "permissions",
            "[{principal: a, calls: [get], under: acme}]",
            "projects/P",
        ),
        ("permissions", "[{principal: a, call: [get]}]", "call"),
        ("consumers", "{a/b: {}}", "invalid project ID"),
        ("consumers", "{p: {number: x1}}", "digits"),
        ("consumers", "{p: {perMinute: {get: many}}}", "many"),
        ("federated-tokens", "maybe", "refused"),
        ("latency", "5", "200ms"),
        ("latency", "{list: 1s}", "list"),
    ] {
        let (status, answer) = send(&setup, "PUT", &format!("/admin/{path}"), body).await;
        let error = answer["error"].as_str().unwrap();
        assert_eq!(status, 400, "{path} {body}");
        assert!(
            error.contains(wanted) && !error.contains("scenario"),
            "{path} {body}: {error}"
        );
    }
    assert_eq!(setup.get().await.0, 200);
}
