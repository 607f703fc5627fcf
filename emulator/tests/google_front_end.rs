//! What Google's front end answers before any operation is looked at: HTML pages, missing tokens, bad bodies.

mod support;

use operations_emulator::{Authorization, Identity, Scenario, Script};
use serde_json::json;
use std::time::Duration;
use support::{NAME, json, raw, rpc_status, start, start_scenario};

#[tokio::test]
async fn an_unknown_path_is_an_html_404() {
    let setup = start(Script::default()).await;
    for path in [
        "/",
        "/v9/projects/p/operations/o",
        "/v2/projects/p/agents",
        "/v2/projects/p/operations/o:wait",
        "/admin/requests",
    ] {
        let answer = setup
            .client
            .get(format!("{}{path}", setup.emulator.url()))
            .bearer_auth(&setup.token)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        assert!(
            answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_post_without_a_length_is_an_html_411() {
    let setup = start(Script::default()).await;
    let head = format!(
        "POST /v2/{NAME}:cancel HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n",
        setup.token
    );
    let refused = raw(setup.emulator.url(), &format!("{head}\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 411 "), "{refused}");
    assert!(refused.contains("text/html"), "{refused}");
    assert_eq!(
        setup.get().await.1,
        json!({"name": NAME}),
        "it had no effect"
    );
    let taken = raw(
        setup.emulator.url(),
        &format!("{head}content-length: 0\r\n\r\n"),
    )
    .await;
    assert!(taken.starts_with("HTTP/1.1 200 "), "{taken}");
    assert_eq!(setup.get().await.1["done"], true);
}

#[tokio::test]
async fn only_known_tokens_are_taken() {
    let setup = start(Script::default()).await;
    let url = format!("{}/v2/{NAME}", setup.emulator.url());
    let absent = json(setup.client.get(&url).send().await.unwrap()).await;
    let unknown = json(
        setup
            .client
            .get(&url)
            .bearer_auth("other")
            .send()
            .await
            .unwrap(),
    )
    .await;
    let basic = json(
        setup
            .client
            .get(&url)
            .basic_auth("a", Some("b"))
            .send()
            .await
            .unwrap(),
    )
    .await;
    for ((status, json), reason) in [
        (absent, "CREDENTIALS_MISSING"),
        (unknown, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        (basic, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ] {
        assert_eq!((status, rpc_status(&json)), (401, "UNAUTHENTICATED"));
        assert_eq!(json["error"]["details"][0]["reason"], reason);
    }
    assert_eq!(setup.get().await.0, 200);
    let shown: Vec<_> = setup
        .emulator
        .requests()
        .into_iter()
        .map(|request| request.authorization)
        .collect();
    let token = Authorization::Token("token-1".into());
    assert_eq!(
        shown,
        [
            Authorization::Absent,
            Authorization::Unknown,
            Authorization::Unknown,
            token
        ]
    );
}

#[tokio::test]
async fn revoked_and_expired_tokens_are_refused_and_new_ones_taken() {
    let mut setup = start(Script::default()).await;
    setup.emulator.revoke_tokens();
    let (status, json) = setup.get().await;
    assert_eq!(
        (status, &json["error"]["details"][0]["reason"]),
        (401, &json!("ACCESS_TOKEN_EXPIRED"))
    );
    setup.token = support::fetch_token(&setup.client, &setup.emulator).await;
    assert_eq!(setup.get().await.0, 200);

    let identity = Identity {
        accepted_for: Some(Duration::ZERO),
        ..Identity::default()
    };
    let expired = start_scenario(Scenario {
        identity,
        ..Scenario::default()
    })
    .await;
    assert_eq!(expired.get().await.0, 401);
}

#[tokio::test]
async fn configured_tokens_are_taken_and_refused_by_principal() {
    let scenario = Scenario::parse(&format!(
        r#"
tokens: [{{token: secret-a, principal: a@example.com}}, {{token: secret-b, principal: b@example.com}}]
operations:
  {NAME}:
    faults: [{{principal: b@example.com, answer: {{refuse: {{code: PERMISSION_DENIED}}}}}}]
"#
    ))
    .unwrap();
    let mut setup = start_scenario(scenario).await;
    for (token, expected) in [("secret-a", 200), ("secret-b", 403)] {
        setup.token = token.into();
        assert_eq!(setup.get().await.0, expected);
    }
    let records = format!("{:?}", setup.emulator.requests());
    assert!(!records.contains("secret-"), "{records}");
}

#[tokio::test]
async fn a_body_must_be_an_empty_request() {
    let setup = start(Script::ignores_cancel()).await;
    for (body, expected) in [
        ("", 200),
        ("{}", 200),
        ("{\"x\": 1}", 400),
        ("[]", 400),
        ("{", 400),
    ] {
        let url = format!("{}/v2/{NAME}:cancel", setup.emulator.url());
        let answer = setup
            .client
            .post(url)
            .bearer_auth(&setup.token)
            .header("content-length", body.len())
            .body(body);
        let (status, json) = json(answer.send().await.unwrap()).await;
        assert_eq!(status, expected, "{body}");
        assert_eq!(
            rpc_status(&json),
            if expected == 400 {
                "INVALID_ARGUMENT"
            } else {
                ""
            }
        );
    }
}
