//! `external_account` files against the emulator's STS and IAM Credentials.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/credential_files.rs"]
mod credential_files;
#[path = "support/raw_http.rs"]
mod raw_http;
#[path = "support/signing_key.rs"]
mod signing_key;

use credential_files::*;
use opcancel::google::token::{FetchResult, TokenSource};
use operations_emulator::{
    Authorization, Credentials, Emulator, Scenario,
    credentials::{MayImpersonate, Provider},
};
use raw_http::{RawHttp, Reply, answer};
use serde_json::json;

const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters/subject/system:serviceaccount:opcancel-system:opcancel-controller";

/// An emulator that trusts our key, and lets our subject impersonate [`EMAIL`].
async fn emulator() -> Emulator {
    let credentials = Credentials {
        providers: vec![Provider {
            audience: PROVIDER.to_owned(),
            issuer: ISSUER.to_owned(),
            allowed_audiences: Vec::new(),
            jwks: Some(signing_key::jwks()),
        }],
        impersonation: vec![MayImpersonate {
            principal: SUBJECT.to_owned(),
            service_account: EMAIL.to_owned(),
        }],
        ..Credentials::default()
    };
    let scenario = Scenario {
        credentials,
        ..Scenario::default()
    };
    Emulator::start(scenario).await.unwrap()
}

fn subject_token(account: &str) -> String {
    signing_key::jwt(&json!({
        "iss": ISSUER, "aud": [format!("https:{PROVIDER}")],
        "sub": format!("system:serviceaccount:opcancel-system:{account}"),
    }))
}

fn paths(emulator: &Emulator) -> Vec<String> {
    let requests = emulator.credentials_requests();
    requests
        .iter()
        .map(|request| request.path.clone())
        .collect()
}

#[tokio::test]
async fn a_subject_token_becomes_a_token_of_the_pool() {
    let (emulator, files) = (emulator().await, Files::new());
    files.write_subject_token(&subject_token("opcancel-controller"));
    let mut file = external_account(emulator.credentials_url(), &files.subject_token());
    file["quota_project_id"] = json!("billing-prod");
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    assert_eq!(us.identity.quota_project(), Some("billing-prod"));
    assert_eq!(us.identity.principal().as_deref(), Some(POOL));
    let token = us.token().await.unwrap();
    let issued = emulator.tokens_issued();
    assert_eq!((issued.len(), issued[0].secret()), (1, token.as_str()));
    assert_eq!(issued[0].principal, SUBJECT);
    assert_eq!(issued[0].scopes, [CLOUD_PLATFORM]);
    assert_eq!(us.token().await.unwrap(), token, "from memory");
    assert_eq!(us.results(), [FetchResult::Fetched]);
    let requests = emulator.credentials_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].authorization, Authorization::Absent);
    assert_eq!(requests[0].user_project, None, "STS is not charged");
    assert!(emulator.metadata_requests().is_empty());
}

#[tokio::test]
async fn with_impersonation_the_token_is_the_service_accounts() {
    let (emulator, files) = (emulator().await, Files::new());
    files.write_subject_token(&subject_token("opcancel-controller"));
    let mut file = impersonating(emulator.credentials_url(), &files.subject_token());
    file["service_account_impersonation"] = json!({"token_lifetime_seconds": 600});
    file["quota_project_id"] = json!("billing-prod");
    let us = Observed::of_file(&files, &file, |config| {
        config.expect_principal = Some(EMAIL.to_owned());
        config.scopes = vec!["https://www.googleapis.com/auth/dialogflow".to_owned()];
    })
    .unwrap();
    assert_eq!(us.identity.principal().as_deref(), Some(EMAIL));
    let token = us.token().await.unwrap();
    let issued = emulator.tokens_issued();
    assert_eq!((issued.len(), issued[1].secret()), (2, token.as_str()));
    assert_eq!(
        (issued[0].principal.as_str(), &issued[0].scopes[..]),
        (SUBJECT, &[IAM.to_owned()][..])
    );
    assert_eq!(issued[1].principal, EMAIL);
    assert_eq!(
        issued[1].scopes,
        ["https://www.googleapis.com/auth/dialogflow"]
    );
    let requests = emulator.credentials_requests();
    assert_eq!(
        requests[1].authorization,
        Authorization::Token("token-1".to_owned())
    );
    assert!(
        requests
            .iter()
            .all(|request| request.user_project.is_none())
    );
}

#[tokio::test]
async fn the_subject_token_is_read_at_each_fetch() {
    let (emulator, files) = (emulator().await, Files::new());
    let file = impersonating(emulator.credentials_url(), &files.subject_token());
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    let path = files.subject_token().display().to_string();
    assert!(
        error.contains(&path) && error.contains("cannot be read"),
        "{error}"
    );
    assert!(
        paths(&emulator).is_empty(),
        "there is no request without it"
    );

    files.write_subject_token(&subject_token("somebody-else"));
    let refused = async {
        loop {
            let error = us.token().await.unwrap_err();
            if !error.contains("cannot be read") {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    let error = refused.await;
    assert!(
        error.contains("PERMISSION_DENIED") && error.contains("getAccessToken"),
        "{error}"
    );
    assert!(error.contains(EMAIL), "{error}");

    // A permanent error of Google's can still pass: a person grants the right, or mounts the right token.
    files.write_subject_token(&subject_token("opcancel-controller"));
    let token = us.recovered().await;
    assert_eq!(emulator.tokens_issued().last().unwrap().secret(), token);
    let results = us.results();
    assert_eq!(results.last(), Some(&FetchResult::Fetched));
    assert!(
        results[..results.len() - 1]
            .iter()
            .all(|result| *result == FetchResult::Failed)
    );
}

#[tokio::test]
async fn what_sts_refuses_is_told_in_its_words_without_the_token() {
    let (emulator, files) = (emulator().await, Files::new());
    let subject = json!({"iss": ISSUER, "aud": PROVIDER, "sub": "s"});
    let good = signing_key::jwt(&subject);
    let with = |key: &str, value: serde_json::Value| {
        let mut claims = subject.clone();
        claims[key] = value;
        signing_key::jwt(&claims)
    };
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    for (token, said) in [
        (format!("{unsigned}.AAAA"), "signature is wrong"),
        (with("iss", json!("https://other.example")), "issuer"),
        (with("aud", json!("other")), "audience"),
        (with("exp", json!(1)), "expired"),
        ("not-a-token".to_owned(), "not a JSON web token"),
    ] {
        files.write_subject_token(&token);
        let file = external_account(emulator.credentials_url(), &files.subject_token());
        let us = Observed::of_file(&files, &file, |_| ()).unwrap();
        let error = us.token().await.unwrap_err();
        assert!(
            error.contains("invalid_grant") && error.contains(said),
            "{said}: {error}"
        );
        assert!(!error.contains("eyJ") && !error.contains(&token), "{error}");
    }
    let mut file = external_account(emulator.credentials_url(), &files.subject_token());
    file["audience"] = json!(PROVIDER.replace("one", "two"));
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    assert!(error.contains("invalid_target"), "{error}");
    assert!(emulator.tokens_issued().is_empty());
}

#[tokio::test]
async fn a_subject_token_may_come_from_a_url_and_in_json() {
    let (emulator, files) = (emulator().await, Files::new());
    let subject = subject_token("opcancel-controller");
    let body = json!({"access_token": subject}).to_string();
    let issuer = RawHttp::start(move |request, before| {
        assert!(
            request.starts_with("GET /token?resource=x HTTP/1.1\n"),
            "{request}"
        );
        assert!(request.contains("\nmetadata: true\n"), "{request}");
        Reply::Close(match before {
            0 => answer("403 Forbidden", "not yet eyJtoken"),
            _ => answer("200 OK", &body),
        })
    })
    .await;
    let mut file = external_account(emulator.credentials_url(), &files.subject_token());
    file["credential_source"] = json!({
        "url": format!("{}/token?resource=x", issuer.url()), "headers": {"Metadata": "True"},
        "format": {"type": "json", "subject_token_field_name": "access_token"},
    });
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    assert!(
        error.contains("HTTP 403: not yet [token removed]"),
        "{error}"
    );
    us.recovered().await;
    assert_eq!(emulator.tokens_issued()[0].principal, SUBJECT);
}

#[tokio::test]
async fn a_fleets_audience_is_exchanged_too() {
    let (emulator, files) = (
        Emulator::start(Scenario::default()).await.unwrap(),
        Files::new(),
    );
    files.write_subject_token(&subject_token("opcancel-controller"));
    let mut file = external_account(emulator.credentials_url(), &files.subject_token());
    file["audience"] = json!(
        "identitynamespace:acme.svc.id.goog:https://gkehub.googleapis.com/projects/acme/locations/global/memberships/on-premises"
    );
    let us = Observed::of_file(&files, &file, |_| ()).unwrap();
    assert_eq!(us.identity.principal().as_deref(), Some("acme.svc.id.goog"));
    us.token().await.unwrap();
    let principal = &emulator.tokens_issued()[0].principal;
    assert!(principal.ends_with("/workloadIdentityPools/acme.svc.id.goog/subject/ns/opcancel-system/sa/opcancel-controller"), "{principal}");
}

#[tokio::test]
async fn only_the_expected_identity_is_taken() {
    let files = Files::new();
    let token = files.subject_token();
    for (file, expected, said) in [
        (
            impersonating("https://sts.example", &token),
            "other@acme.iam.gserviceaccount.com",
            "is expected (--expect-principal)",
        ),
        (
            external_account("https://sts.example", &token),
            EMAIL,
            "add the field service_account_impersonation_url",
        ),
        (
            external_account("https://sts.example", &token),
            "",
            "is expected",
        ),
    ] {
        let made = Observed::of_file(&files, &file, |c| {
            c.expect_principal = Some(expected.to_owned())
        });
        let error = made.err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
    let pool = external_account("https://sts.example", &token);
    assert!(
        Observed::of_file(&files, &pool, |c| c.expect_principal =
            Some(POOL.to_owned()))
        .is_ok()
    );
}
