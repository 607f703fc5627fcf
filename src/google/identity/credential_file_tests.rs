use super::*;
use crate::google::universe_domain::UniverseDomain;
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = include_str!("../../../tests/support/throwaway_rsa_key.pem");
const EMAIL: &str = "opcancel@acme.iam.gserviceaccount.com";
const SECRET: &str = "1//a-secret-that-nobody-may-see";

fn external() -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/clusters/providers/one",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": "/var/run/secrets/opcancel/google/token"},
    })
}

fn user() -> Value {
    json!({"type": "authorized_user", "client_id": "id", "client_secret": SECRET, "refresh_token": SECRET})
}

fn key() -> Value {
    json!({"type": "service_account", "client_email": EMAIL, "private_key": KEY, "private_key_id": "k1"})
}

fn impersonated() -> Value {
    json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": impersonation_url(),
        "delegates": ["a@acme.iam.gserviceaccount.com", "projects/-/serviceAccounts/b@acme.iam.gserviceaccount.com"],
        "source_credentials": user(),
    })
}

fn impersonation_url() -> String {
    format!(
        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"
    )
}

/// The same with other fields; null takes one away. A path has dots.
fn with(mut file: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        let mut at = &mut file;
        for part in path.split('.') {
            at = &mut at[part];
        }
        *at = value.clone();
    }
    file
}

fn loaded(text: &str) -> Result<Loaded, String> {
    crate::google::connections::tls::install_provider();
    let scopes = ["https://www.googleapis.com/auth/cloud-platform".to_owned()];
    let request = TokenRequest {
        scopes: &scopes,
        limit: Duration::from_secs(1),
        proxy: None,
        universe: &UniverseDomain::default(),
    };
    load("/etc/google.json", text, request).map_err(|error| error.to_string())
}

#[test]
fn every_kind_says_who_it_is_as_far_as_it_can() {
    let pool = "principalSet://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/clusters/*";
    for (file, principal) in [
        (external(), Some(pool)),
        (
            with(
                external(),
                &[(
                    "service_account_impersonation_url",
                    json!(impersonation_url()),
                )],
            ),
            Some(EMAIL),
        ),
        (user(), None),
        (key(), Some(EMAIL)),
        (impersonated(), Some(EMAIL)),
        (
            with(impersonated(), &[("source_credentials", external())]),
            Some(EMAIL),
        ),
        (
            with(impersonated(), &[("source_credentials", key())]),
            Some(EMAIL),
        ),
    ] {
        let loaded = loaded(&file.to_string()).unwrap();
        assert_eq!(loaded.credential.principal().as_deref(), principal);
        assert_eq!(loaded.quota_project, None);
        let kind = file["type"].as_str().unwrap();
        assert_eq!(
            loaded.credential.source(),
            format!("the {kind} file /etc/google.json")
        );
        let shown = format!("{loaded:?}");
        assert!(!shown.contains(SECRET) && !shown.contains("MII"), "{shown}");
    }
}

/// As [`loaded`], in this universe.
fn loaded_in(universe: &str, file: &Value) -> Result<Loaded, String> {
    let request = TokenRequest {
        scopes: &["https://www.googleapis.com/auth/cloud-platform".to_owned()],
        limit: Duration::from_secs(1),
        proxy: None,
        universe: &universe.parse().unwrap(),
    };
    load("/etc/google.json", &file.to_string(), request).map_err(|error| error.to_string())
}

#[test]
fn a_file_of_another_universe_is_refused() {
    const OTHER: &str = "apis-tpczero.goog";
    crate::google::connections::tls::install_provider();
    for file in [external(), user(), key()] {
        let of_other = with(file.clone(), &[("universe_domain", json!(OTHER))]);
        let of_google = with(
            file.clone(),
            &[("universe_domain", json!("googleapis.com"))],
        );
        for (universe, file, good) in [
            ("googleapis.com", &file, true),
            ("googleapis.com", &of_google, true),
            ("googleapis.com", &of_other, false),
            (OTHER, &of_other, true),
            (OTHER, &of_google, false),
            (OTHER, &file, false),
        ] {
            let loaded = loaded_in(universe, file);
            assert_eq!(loaded.is_ok(), good, "{universe} {file}: {loaded:?}");
            if let Err(error) = loaded {
                assert!(error.contains("\"universe_domain\" is "), "{error}");
                assert!(
                    error.contains(&format!("--universe-domain is {universe}")),
                    "{error}"
                );
            }
        }
        // An impersonated account is in its source's universe, as Google's client libraries have it.
        let impersonated = with(impersonated(), &[("source_credentials", of_other)]);
        assert!(loaded_in(OTHER, &impersonated).is_ok());
        let error = loaded_in("googleapis.com", &impersonated).unwrap_err();
        assert!(
            error.contains("\"source_credentials.universe_domain\" is"),
            "{error}"
        );
    }
}

/// In another universe there is no OAuth server: the key signs the token itself, without any request.
#[tokio::test]
async fn the_key_of_another_universe_signs_its_own_token() {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    crate::google::connections::tls::install_provider();
    let file = with(
        key(),
        &[
            ("universe_domain", json!("apis-tpczero.goog")),
            // No server listens there.
            ("token_uri", json!("http://127.0.0.1:1/token")),
        ],
    );
    let loaded = loaded_in("apis-tpczero.goog", &file).unwrap();
    let fetched = loaded.credential.fetch().await.unwrap();
    assert_eq!(fetched.life, Duration::from_secs(3590));
    let payload = fetched.token.secret().split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], EMAIL);
    assert_eq!(claims["sub"], EMAIL);
    assert_eq!(
        claims["scope"],
        "https://www.googleapis.com/auth/cloud-platform"
    );
    assert_eq!(claims.get("aud"), None);
}

#[test]
fn the_quota_project_is_read_from_any_kind() {
    for file in [external(), user(), key(), impersonated()] {
        let file = with(file, &[("quota_project_id", json!("billing-prod"))]);
        let loaded = loaded(&file.to_string()).unwrap();
        assert_eq!(loaded.quota_project.as_deref(), Some("billing-prod"));
    }
}

#[test]
fn what_can_never_work_is_told_with_file_and_field_and_without_contents() {
    let null = Value::Null;
    let aws = json!({"environment_id": "aws1", "url": "http://169.254.169.254/"});
    let mut cases = vec![];
    let mut case = |file: Value, changes: &[(&str, Value)], said: &'static str| {
        cases.push((with(file, changes).to_string(), said));
    };
    case(external(), &[("type", null.clone())], "\"type\" is missing");
    case(
        external(),
        &[("type", json!(SECRET))],
        "\"type\" must be external_account, impersonated",
    );
    case(
        external(),
        &[("type", json!("gdch_service_account"))],
        "\"type\" must be external_account",
    );
    case(
        external(),
        &[("type", json!(7))],
        "\"type\" must be a string",
    );
    case(
        external(),
        &[("universe_domain", json!("example.com"))],
        "\"universe_domain\" is example.com, but --universe-domain is googleapis.com",
    );
    case(
        external(),
        &[("quota_project_id", json!("a b"))],
        "\"quota_project_id\" must be",
    );
    case(
        external(),
        &[("audience", null.clone())],
        "\"audience\" is missing",
    );
    case(
        external(),
        &[("audience", json!(format!("https:{SECRET}")))],
        "\"audience\" must be //iam",
    );
    case(
        external(),
        &[("subject_token_type", null.clone())],
        "\"subject_token_type\" is missing",
    );
    case(
        external(),
        &[("subject_token_type", json!(SECRET))],
        "\"subject_token_type\" must be one of",
    );
    case(
        external(),
        &[("token_url", null.clone())],
        "\"token_url\" is missing",
    );
    case(
        external(),
        &[("token_url", json!("http://sts.googleapis.com/v1/token"))],
        "\"token_url\" must be an https",
    );
    case(
        external(),
        &[("token_url", json!("https://u:secret-that@x/"))],
        "\"token_url\" must be an https",
    );
    case(
        external(),
        &[("workforce_pool_user_project", json!("p"))],
        "only for workforce pools",
    );
    case(
        external(),
        &[("client_id", json!("id"))],
        "\"client_secret\" is missing",
    );
    case(
        external(),
        &[("credential_source", null.clone())],
        "\"credential_source\" is missing",
    );
    case(
        external(),
        &[("credential_source", json!(SECRET))],
        "\"credential_source\" must be an object",
    );
    case(
        external(),
        &[("credential_source", json!({}))],
        "\"credential_source.file\" is missing",
    );
    case(
        external(),
        &[(
            "credential_source",
            json!({"executable": {"command": SECRET}}),
        )],
        "\"credential_source.executable\" is not supported",
    );
    case(
        external(),
        &[("credential_source", aws)],
        "\"credential_source.environment_id\" is not supported",
    );
    case(
        external(),
        &[("credential_source", json!({"certificate": {}}))],
        "\"credential_source.certificate\" is not supported",
    );
    case(
        external(),
        &[("credential_source.url", json!("https://x/"))],
        "\"credential_source.url\" must not be set together with file",
    );
    case(
        external(),
        &[("credential_source", json!({"url": "http://example.com"}))],
        "\"credential_source.url\" must be an https",
    );
    case(
        external(),
        &[(
            "credential_source",
            json!({"url": "https://x", "headers": {"a b": "c"}}),
        )],
        "\"credential_source.headers\" has a name",
    );
    case(
        external(),
        &[("credential_source.format", json!({"type": "xml"}))],
        "\"credential_source.format.type\" must be text or json",
    );
    case(
        external(),
        &[("credential_source.format", json!({"type": "json"}))],
        "\"credential_source.format.subject_token_field_name\" is missing",
    );
    case(
        external(),
        &[("service_account_impersonation_url", json!("https://x/y"))],
        "\"service_account_impersonation_url\" must be https://iamcredentials",
    );
    case(
        external(),
        &[
            (
                "service_account_impersonation_url",
                json!(impersonation_url()),
            ),
            (
                "service_account_impersonation",
                json!({"token_lifetime_seconds": 599}),
            ),
        ],
        "\"service_account_impersonation.token_lifetime_seconds\" must be from 600",
    );
    case(
        user(),
        &[("client_id", null.clone())],
        "\"client_id\" is missing",
    );
    case(
        user(),
        &[("client_secret", null.clone())],
        "\"client_secret\" is missing",
    );
    case(
        user(),
        &[("refresh_token", json!(""))],
        "\"refresh_token\" is missing",
    );
    case(
        user(),
        &[("token_uri", json!("http://x"))],
        "\"token_uri\" must be an https",
    );
    case(
        key(),
        &[("client_email", json!("a/b"))],
        "\"client_email\" must be",
    );
    case(
        key(),
        &[("private_key", null.clone())],
        "\"private_key\" is missing",
    );
    case(
        key(),
        &[("private_key", json!(SECRET))],
        "\"private_key\" must be an RSA key",
    );
    case(
        key(),
        &[("private_key", json!(KEY.replace("MII", "MIX")))],
        "\"private_key\" must be an RSA key",
    );
    case(
        impersonated(),
        &[("source_credentials", null.clone())],
        "\"source_credentials\" is missing",
    );
    case(
        impersonated(),
        &[("source_credentials", impersonated())],
        "\"source_credentials.type\" must not be impersonated",
    );
    case(
        impersonated(),
        &[("source_credentials.refresh_token", null)],
        "\"source_credentials.refresh_token\" is missing",
    );
    case(
        impersonated(),
        &[("delegates", json!("x"))],
        "\"delegates\" must be a list",
    );
    case(
        impersonated(),
        &[("delegates", json!(["a/b/c"]))],
        "\"delegates\" must contain",
    );
    for (text, said) in [
        (SECRET, "not a JSON object"),
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        (r#"{"type":"a","type":"b"}"#, "comes twice"),
    ] {
        cases.push((text.to_owned(), said));
    }
    for (text, said) in cases {
        let error = loaded(&text).unwrap_err();
        assert!(
            error.contains(said) && error.contains("/etc/google.json"),
            "{said}: {error}"
        );
        assert!(
            !error.contains("secret-that") && !error.contains("MII"),
            "{error}"
        );
    }
}
