//! STS, IAM Credentials and the OAuth server: what they take, what they refuse, and that their tokens are good for calls.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod support;

use jiff::Timestamp;
use operations_emulator::{
    Authorization, Credentials, Scenario, Script,
    credentials::{MayImpersonate, Provider, User},
};
use serde_json::{Value, json};
use support::{NAME, Setup, json as status_and_json, rpc_status, start_scenario};

const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/one";
const EMAIL: &str = "a@p.iam.gserviceaccount.com";

/// A token of the subject `s` that nobody signed. An hour is left of it.
fn unsigned(claims: &Value) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
    let now = Timestamp::now().as_second();
    let mut all = json!({"sub": "s", "iat": now, "exp": now + 3600});
    let fields = all.as_object_mut().expect("an object");
    fields.extend(claims.as_object().expect("an object").clone());
    let [header, claims] =
        [json!({"alg": "RS256"}), all].map(|part| BASE64.encode(part.to_string()));
    format!("{header}.{claims}.AAAA")
}

async fn post_form(setup: &Setup, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let mut url = reqwest::Url::parse("http://form").expect("a URL");
    url.query_pairs_mut().extend_pairs(form);
    let request = setup
        .client
        .post(format!("{}{path}", setup.emulator.credentials_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(url.query().unwrap_or_default().to_owned());
    status_and_json(request.send().await.expect("an answer")).await
}

/// An exchange as it should be, with these fields instead.
async fn exchange(setup: &Setup, changes: &[(&str, &str)]) -> (u16, Value) {
    let subject_token = unsigned(&json!({}));
    let mut form = vec![
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", &subject_token),
        ("audience", AUDIENCE),
        ("scope", "https://www.googleapis.com/auth/cloud-platform"),
    ];
    form.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    form.extend(changes);
    post_form(setup, "/v1/token", &form).await
}

async fn generate(setup: &Setup, bearer: &str, body: &Value) -> (u16, Value) {
    let url = format!(
        "{}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken",
        setup.emulator.credentials_url()
    );
    let request = setup.client.post(url).bearer_auth(bearer).json(body);
    status_and_json(request.send().await.expect("an answer")).await
}

fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_exchanged_token_is_good_for_calls_and_for_impersonation() {
    let scenario = Scenario::default().with_operation(NAME, Script::default());
    let mut setup = start_scenario(scenario).await;
    let (status, token) = exchange(&setup, &[]).await;
    assert_eq!(
        (status, &token["expires_in"]),
        (200, &json!(3599)),
        "{token}"
    );
    let own = text(&token, "access_token").to_owned();
    let (status, generated) = generate(
        &setup,
        &own,
        &json!({"scope": ["https://a"], "lifetime": "600s"}),
    )
    .await;
    assert_eq!(status, 200, "{generated}");
    let end: Timestamp = text(&generated, "expireTime").parse().expect("a time");
    let left = end.duration_since(Timestamp::now()).as_secs();
    assert!((500..=600).contains(&left), "{left}");
    let generated = text(&generated, "accessToken").to_owned();
    for bearer in [own, generated] {
        setup.token = bearer;
        assert_eq!(setup.get().await.0, 200);
    }
    let issued = setup.emulator.tokens_issued();
    let principals: Vec<_> = issued
        .iter()
        .map(|token| token.principal.as_str())
        .collect();
    assert_eq!(
        principals[1..],
        [
            "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/subject/s",
            EMAIL
        ]
    );
    let record = setup.emulator.credentials_requests();
    assert_eq!(record[0].authorization, Authorization::Absent);
    assert_eq!(
        record[1].authorization,
        Authorization::Token("token-2".into())
    );
    let shown = serde_json::to_string(&record).expect("JSON");
    assert!(!shown.contains("eyJ") && !shown.contains("ya29"), "{shown}");
}

#[tokio::test]
async fn sts_refuses_what_google_refuses() {
    let provider = Provider {
        audience: AUDIENCE.into(),
        issuer: "https://issuer".into(),
        allowed_audiences: vec!["mine".into()],
        jwks: None,
    };
    let mut scenario = Scenario::default();
    scenario.credentials.providers.push(provider);
    let setup = start_scenario(scenario).await;
    let token = |claims: Value| {
        let mut all = json!({"iss": "https://issuer", "aud": "mine"});
        let fields = all.as_object_mut().expect("an object");
        fields.extend(claims.as_object().expect("an object").clone());
        unsigned(&all)
    };
    let good = token(json!({}));
    assert_eq!(exchange(&setup, &[("subject_token", &good)]).await.0, 200);
    for (field, value, error) in [
        ("grant_type", "other", "unsupported_grant_type"),
        ("requested_token_type", "other", "invalid_request"),
        ("subject_token_type", "other", "invalid_request"),
        ("scope", "", "invalid_scope"),
        ("audience", "//iam.googleapis.com/other", "invalid_target"),
        ("subject_token", "x", "invalid_grant"),
        (
            "subject_token",
            &token(json!({"iss": "other"})),
            "invalid_grant",
        ),
        (
            "subject_token",
            &token(json!({"aud": ["other"]})),
            "invalid_grant",
        ),
        ("subject_token", &token(json!({"exp": 1})), "invalid_grant"),
        (
            "subject_token",
            &token(json!({"iat": 32503680000i64})),
            "invalid_grant",
        ),
        ("subject_token", &token(json!({"sub": 1})), "invalid_grant"),
    ] {
        let changes = [("subject_token", good.as_str()), (field, value)];
        let changes = &changes[usize::from(field == "subject_token")..];
        let (status, answer) = exchange(&setup, changes).await;
        assert_eq!(
            (status, text(&answer, "error")),
            (400, error),
            "{field}: {answer}"
        );
    }
    let issued = setup.emulator.tokens_issued().len();
    assert_eq!(issued, 2, "the metadata server's and the good one");
}

#[tokio::test]
async fn only_who_may_impersonates() {
    let mut scenario = Scenario::default();
    scenario.credentials.impersonation.push(MayImpersonate {
        principal: scenario.identity.email.clone(),
        service_account: EMAIL.into(),
    });
    let setup = start_scenario(scenario).await;
    let scope = json!({"scope": ["https://a"]});
    let (_, other) = exchange(&setup, &[]).await;
    let (status, answer) = generate(&setup, text(&other, "access_token"), &scope).await;
    assert_eq!((status, rpc_status(&answer)), (403, "PERMISSION_DENIED"));
    let (_, narrow) = exchange(&setup, &[("scope", "https://a")]).await;
    let (_, answer) = generate(&setup, text(&narrow, "access_token"), &scope).await;
    assert_eq!(
        answer["error"]["details"][0]["reason"],
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    );
    assert_eq!(generate(&setup, "nobody", &scope).await.0, 401);
    let own = setup.token.clone();
    assert_eq!(generate(&setup, &own, &scope).await.0, 200);
    // As google-auth for Python writes it.
    let null = json!({"scope": ["https://a"], "delegates": null, "lifetime": "3600s"});
    assert_eq!(generate(&setup, &own, &null).await.0, 200);
    for bad in [
        json!({}),
        json!({"scope": ["https://a"], "lifetime": "43201s"}),
        json!({"scope": ["https://a"], "lifetime": "1h"}),
        json!({"scope": ["https://a"], "delegates": ["x"]}),
        json!({"scope": ["https://a"], "unknown": 1}),
    ] {
        assert_eq!(generate(&setup, &own, &bad).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn the_oauth_server_knows_its_users() {
    let credentials = Credentials {
        users: vec![User {
            refresh_token: "1//known".into(),
            principal: "u@example".into(),
        }],
        ..Credentials::default()
    };
    let setup = start_scenario(Scenario {
        credentials,
        ..Scenario::default()
    })
    .await;
    let form = |token: &'static str| {
        [
            ("grant_type", "refresh_token"),
            ("client_id", "i"),
            ("client_secret", "s"),
            ("refresh_token", token),
        ]
    };
    assert_eq!(post_form(&setup, "/token", &form("1//known")).await.0, 200);
    let (status, answer) = post_form(&setup, "/token", &form("1//other")).await;
    assert_eq!((status, text(&answer, "error")), (400, "invalid_grant"));
    let (_, answer) = post_form(&setup, "/token", &[("grant_type", "password")]).await;
    assert_eq!(text(&answer, "error"), "unsupported_grant_type");
    assert_eq!(setup.emulator.tokens_issued()[1].principal, "u@example");
}

#[tokio::test]
async fn nobody_is_bound_to_a_location() {
    let setup = start_scenario(Scenario::default()).await;
    let ask = async |path: &str, token: &str| {
        let url = format!("{}/v1/{path}", setup.emulator.credentials_url());
        let answer = setup.client.get(url).bearer_auth(token).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    for name in [
        &format!("projects/-/serviceAccounts/{EMAIL}"),
        "projects/1/locations/global/workloadIdentityPools/pool",
        "locations/global/workforcePools/pool",
    ] {
        let path = format!("{name}/allowedLocations");
        let (status, body) = ask(&path, &setup.token).await;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((status, body), (200, json!({"encodedLocations": "0x0"})));
        assert_eq!(ask(&path, "unknown").await.0, 401);
        let deeper = format!("{name}/x/allowedLocations");
        assert_eq!(ask(&deeper, &setup.token).await.0, 404);
    }
}
