//! What is refused before an operation is looked at: permissions, consumer projects, hosts, locations, federated tokens.
#![allow(clippy::unwrap_used)]

mod support;

use operations_emulator::Scenario;
use serde_json::{Value, json};
use support::{Setup, rpc_status, start_scenario};

const PLAIN: &str = "projects/p/operations/o";
const EU: &str = "projects/p/locations/eu/operations/o";

async fn start(rules: &str) -> Setup {
    let scenario = format!(
        r#"
identity: {{email: own@p.iam.gserviceaccount.com, projectId: p, projectNumber: "77"}}
tokens:
  - {{token: viewer, principal: viewer@example.com}}
  - {{token: federated, principal: "principal://iam.googleapis.com/x/subject/s"}}
operations: {{{PLAIN}: {{cancel: {{effect: ignored}}}}, {EU}: {{}}}}
{rules}
"#
    );
    start_scenario(Scenario::parse(&scenario).unwrap()).await
}

async fn ask(
    setup: &Setup,
    token: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, Value) {
    let url = format!("{}/v2/{path}", setup.emulator.url());
    let mut request = setup
        .client
        .request(method.parse().unwrap(), url)
        .bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.header("content-length", "0").send().await.unwrap();
    support::json(answer).await
}

#[tokio::test]
async fn permissions_are_by_principal_and_call_and_come_before_404() {
    let setup = start(
        "permissions: [{principal: viewer@example.com, calls: [get, list], under: projects/p}]",
    )
    .await;
    let cancel = format!("{PLAIN}:cancel");
    for (token, method, path, expected) in [
        ("viewer", "GET", PLAIN, 200),
        ("viewer", "GET", "projects/p/operations", 200),
        ("viewer", "GET", "projects/p/operations/none", 404),
        ("viewer", "GET", "projects/q/operations/none", 403),
        ("viewer", "POST", cancel.as_str(), 403),
        (setup.token.as_str(), "GET", PLAIN, 403),
        (
            setup.token.as_str(),
            "GET",
            "projects/p/operations/none",
            403,
        ),
    ] {
        let (status, json) = ask(&setup, token, method, path, &[]).await;
        assert_eq!(status, expected, "{method} {path}: {json}");
    }
    let (_, json) = ask(&setup, "viewer", "POST", &cancel, &[]).await;
    assert_eq!(rpc_status(&json), "PERMISSION_DENIED");
    let info = &json["error"]["details"][0];
    assert_eq!(info["reason"], "IAM_PERMISSION_DENIED");
    assert_eq!(
        info["metadata"]["permission"],
        "dialogflow.operations.cancel"
    );
    assert!(
        !setup
            .emulator
            .operations()
            .iter()
            .any(|shown| shown.cancel_accepted)
    );
}

#[tokio::test]
async fn a_consumer_project_must_have_the_api_enabled_and_let_itself_be_named() {
    let setup = start(
        r#"
consumers:
  p: {number: "77", users: [own@p.iam.gserviceaccount.com]}
  asleep: {number: "88", enabled: false, principals: [viewer@example.com]}
"#,
    )
    .await;
    let own = setup.token.clone();
    let reason = |json: &Value| json["error"]["details"][0]["reason"].clone();
    assert_eq!(ask(&setup, &own, "GET", PLAIN, &[]).await.0, 200);
    let (status, json) = ask(&setup, "viewer", "GET", PLAIN, &[]).await;
    assert_eq!((status, reason(&json)), (403, json!("SERVICE_DISABLED")));
    assert_eq!(
        json["error"]["details"][0]["metadata"]["consumer"],
        "projects/88"
    );
    for named in ["p", "77", "nobody-s"] {
        let (status, json) = ask(
            &setup,
            "viewer",
            "GET",
            PLAIN,
            &[("x-goog-user-project", named)],
        )
        .await;
        assert_eq!(
            (status, reason(&json)),
            (403, json!("USER_PROJECT_DENIED")),
            "{named}"
        );
    }
    let (status, json) = ask(
        &setup,
        &own,
        "GET",
        PLAIN,
        &[("x-goog-user-project", "asleep")],
    )
    .await;
    assert_eq!((status, reason(&json)), (403, json!("SERVICE_DISABLED")));
    // No project of its own, and none named.
    assert_eq!(ask(&setup, "federated", "GET", PLAIN, &[]).await.0, 200);
}

#[tokio::test]
async fn quota_is_by_consumer_method_and_minute() {
    let setup = start(
        r#"
consumers:
  p: {number: "77", perMinute: {cancel: 0, get: 100000}, retryInfo: 30s}
  q: {perMinute: {list: 0}}
"#,
    )
    .await;
    let own = setup.token.clone();
    assert_eq!(ask(&setup, &own, "GET", PLAIN, &[]).await.0, 200);
    let (status, json) = ask(&setup, &own, "POST", &format!("{PLAIN}:cancel"), &[]).await;
    assert_eq!((status, rpc_status(&json)), (429, "RESOURCE_EXHAUSTED"));
    let details = &json["error"]["details"];
    assert_eq!(details[0]["reason"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(details[0]["metadata"]["consumer"], "projects/77");
    assert_eq!(details[1]["retryDelay"], "30s");
    let q = [("x-goog-user-project", "q")];
    let (status, json) = ask(&setup, &own, "GET", "projects/p/operations", &q).await;
    assert_eq!(
        (status, &json["error"]["details"][1]),
        (429, &Value::Null),
        "no RetryInfo"
    );
    assert_eq!(ask(&setup, &own, "GET", PLAIN, &q).await.0, 200);
}

#[tokio::test]
async fn a_host_names_the_right_one_for_another_location() {
    let setup = start(
        r#"
endpoints:
  - {host: dialogflow.googleapis.com, locations: [global]}
  - {host: eu-dialogflow.googleapis.com, locations: [eu]}
"#,
    )
    .await;
    let token = setup.token.clone();
    let (global, eu) = ("dialogflow.googleapis.com", "eu-dialogflow.googleapis.com");
    for (host, path, expected) in [
        (global, PLAIN, None),
        (eu, EU, None),
        (global, EU, Some(eu)),
        (eu, PLAIN, Some(global)),
        (eu, "projects/p/operations", Some(global)),
        (global, "projects/p/locations/eu/operations/none", Some(eu)),
    ] {
        let (status, json) = ask(&setup, &token, "GET", path, &[("host", host)]).await;
        let Some(right) = expected else {
            assert_eq!(status, 200, "{host} {path}");
            continue;
        };
        assert_eq!(
            (status, rpc_status(&json)),
            (400, "INVALID_ARGUMENT"),
            "{host} {path}"
        );
        let message = json["error"]["message"].as_str().unwrap();
        assert!(
            message.ends_with(&format!(
                "find the correct endpoint for the location: {right}."
            )),
            "{message}"
        );
    }
    assert_eq!(
        ask(&setup, &token, "GET", EU, &[]).await.0,
        200,
        "an address of its own serves all"
    );
}

#[tokio::test]
async fn another_location_is_not_found_or_invalid() {
    let us = "projects/p/locations/us/operations/o";
    let setup = start("").await;
    assert_eq!(setup.get_name(us).await.0, 404);
    let setup = start("wrongLocation: invalidArgument").await;
    let (status, json) = setup.get_name(us).await;
    assert_eq!((status, rpc_status(&json)), (400, "INVALID_ARGUMENT"));
    assert_eq!(
        setup
            .get_name("projects/p/locations/us/operations/none")
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn projects_go_by_their_number_if_asked() {
    let setup = start("projectNames: number").await;
    for name in [PLAIN, "projects/77/operations/o"] {
        assert_eq!(
            setup.get_name(name).await.1["name"],
            "projects/77/operations/o"
        );
    }
    let (_, json) = setup.get_name("projects/77/operations").await;
    assert_eq!(json["operations"][0]["name"], "projects/77/operations/o");
    assert_eq!(start("").await.get_name(PLAIN).await.1["name"], PLAIN);
}

#[tokio::test]
async fn federated_tokens_can_be_refused() {
    assert_eq!(
        ask(&start("").await, "federated", "GET", PLAIN, &[])
            .await
            .0,
        200
    );
    let setup = start("federatedTokens: refused").await;
    let (status, json) = ask(&setup, "federated", "GET", PLAIN, &[]).await;
    assert_eq!((status, rpc_status(&json)), (401, "UNAUTHENTICATED"));
    assert_eq!(ask(&setup, "viewer", "GET", PLAIN, &[]).await.0, 200);
}

#[tokio::test]
async fn some_operations_are_not_cancellable() {
    let setup = start("").await;
    let script = serde_json::from_value(json!({"cancel": {"effect": "notCancellable"}})).unwrap();
    setup.emulator.set_operation(PLAIN, script).unwrap();
    for _ in 0..2 {
        let (status, json) = ask(
            &setup,
            &setup.token,
            "POST",
            &format!("{PLAIN}:cancel"),
            &[],
        )
        .await;
        assert_eq!((status, rpc_status(&json)), (400, "FAILED_PRECONDITION"));
        assert_eq!(
            json["error"]["message"],
            "The operation is not cancellable."
        );
    }
    assert_eq!(setup.get_name(PLAIN).await.1, json!({"name": PLAIN}));
}
