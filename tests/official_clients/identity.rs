//! The ways to a token, each gone by google-auth and by others: the metadata server, a projected token exchanged by STS with
//! and without impersonation, keys. Signatures are verified; the cluster's own keys are in `tests/e2e/federation.rs`.

#[path = "../support/credential_files.rs"]
pub mod credential_files;
#[path = "../support/signing_key.rs"]
pub mod signing_key;

use credential_files::{CLOUD_PLATFORM, EMAIL, Files, IAM, Observed, PROVIDER};
use operations_emulator::{
    Authorization, Credentials, Emulator, FederatedTokens, RequestRecord, Scenario, Script,
    credentials::{MayImpersonate, Provider, ServiceAccountKeys, User},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    cases::cases,
    client::{Client, Google, Run, python},
};

const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters/subject/system:serviceaccount:ns:ours";
const KEYED: &str = "keyed@acme-prod.iam.gserviceaccount.com";
const PERSON: &str = "somebody@acme.example";
const METADATA: &str = "opcancel@emulated-project.iam.gserviceaccount.com";
const STOPPED: &str = "projects/acme-prod/operations/stopped";

fn scenario() -> Scenario {
    let may = |principal: &str| MayImpersonate {
        principal: principal.to_owned(),
        service_account: EMAIL.to_owned(),
    };
    let credentials = Credentials {
        providers: vec![Provider {
            audience: PROVIDER.to_owned(),
            issuer: ISSUER.to_owned(),
            allowed_audiences: Vec::new(),
            jwks: Some(signing_key::jwks()),
        }],
        impersonation: vec![may(SUBJECT), may(PERSON)],
        users: vec![User {
            refresh_token: "1//refresh".to_owned(),
            principal: PERSON.to_owned(),
        }],
        service_accounts: vec![ServiceAccountKeys {
            email: KEYED.to_owned(),
            jwks: signing_key::jwks(),
        }],
        ..Credentials::default()
    };
    let scenario = Scenario {
        credentials,
        ..Scenario::default()
    };
    scenario.with_operation(STOPPED, Script::default())
}

/// A cluster's token of this ServiceAccount of the namespace `ns`.
fn subject_token(account: &str) -> String {
    signing_key::jwt(&json!({
        "iss": ISSUER, "aud": [format!("https:{PROVIDER}")], "sub": format!("system:serviceaccount:ns:{account}"),
    }))
}

/// An `external_account` file with Google's own URLs.
fn external_account(google: &Google, account: &str, impersonated: Option<&str>) -> Value {
    let token = google.file(&format!("token-{account}"), &subject_token(account));
    let mut file = credential_files::external_account("https://sts.googleapis.com", &token);
    if let Some(email) = impersonated {
        file["service_account_impersonation_url"] = json!(format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
        ));
    }
    file
}

fn key_file() -> Value {
    json!({
        "type": "service_account", "project_id": "acme-prod", "client_email": KEYED, "client_id": "1",
        "private_key": signing_key::PEM, "private_key_id": "throwaway", "token_uri": "https://oauth2.googleapis.com/token",
    })
}

/// Runs google-auth with these files; no file is the metadata server.
fn google_auth(google: &Google, runtime: &Runtime, files: &[(&str, Option<Value>)]) -> Run {
    let url = format!("https://dialogflow.googleapis.com/v2/{STOPPED}");
    let asked: Vec<_> = files
        .iter()
        .map(|(id, file)| {
            let path = file
                .as_ref()
                .map(|file| google.file(&format!("{id}.json"), &file.to_string()));
            json!({"id": id, "file": path, "url": url})
        })
        .collect();
    google.ask(runtime, python("identity.py"), &json!(asked))
}

/// The files that lead to a token.
fn good_files(google: &Google) -> [(&'static str, Option<Value>); 5] {
    let user = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": "1//refresh",
    });
    let impersonation = format!(
        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"
    );
    let of_a_user = json!({
        "type": "impersonated_service_account", "source_credentials": user, "delegates": [],
        "service_account_impersonation_url": impersonation,
    });
    [
        ("metadata", None),
        (
            "impersonated",
            Some(external_account(google, "ours", Some(EMAIL))),
        ),
        ("direct", Some(external_account(google, "ours", None))),
        ("key", Some(key_file())),
        ("of a user", Some(of_a_user)),
    ]
}

/// What google-auth sends to the token services to act as a service account.
pub fn theirs_impersonated() -> Vec<RequestRecord> {
    let runtime = Runtime::new().unwrap();
    let google = runtime.block_on(Google::start(scenario()));
    let [_, impersonated, ..] = good_files(&google);
    google_auth(&google, &runtime, &[impersonated]).credentials
}

/// What the controller sends.
pub fn ours_impersonated() -> Vec<RequestRecord> {
    Runtime::new().unwrap().block_on(async {
        let emulator = Emulator::start(scenario()).await.unwrap();
        let files = Files::new();
        files.write_subject_token(&subject_token("ours"));
        let file =
            credential_files::impersonating(emulator.credentials_url(), &files.subject_token());
        let us = Observed::of_file(&files, &file, |_| ()).unwrap();
        us.token().await.unwrap();
        emulator.credentials_requests()
    })
}

#[test]
fn google_auth_gets_a_token_on_each_way() {
    let runtime = Runtime::new().unwrap();
    let google = runtime.block_on(Google::start(scenario()));
    let run = google_auth(&google, &runtime, &good_files(&google));
    for (id, email) in [
        ("metadata", Some(METADATA)),
        ("impersonated", Some(EMAIL)),
        ("direct", None),
        ("key", Some(KEYED)),
        ("of a user", Some(EMAIL)),
    ] {
        let found = &run.answers[id]["value"];
        let expected = json!({"email": email, "valid": true, "status": 200, "name": STOPPED});
        for (field, expected) in expected.as_object().unwrap() {
            assert_eq!(
                &found[field], expected,
                "{id}: {field}, {}",
                run.answers[id]
            );
        }
    }
    let issued = google.emulator.tokens_issued();
    let issued: Vec<_> = issued
        .iter()
        .map(|token| (token.principal.as_str(), token.scopes.join(" ")))
        .collect();
    let full = || CLOUD_PLATFORM.to_owned();
    assert_eq!(
        issued,
        [
            (METADATA, full()),
            // It may do no more than to impersonate.
            (SUBJECT, IAM.to_owned()),
            (EMAIL, full()),
            (SUBJECT, full()),
            (KEYED, full()),
            (PERSON, String::new()),
            (EMAIL, full()),
        ]
    );
    assert_eq!(
        run.strangers,
        Vec::<String>::new(),
        "hosts besides Google's"
    );
}

#[test]
fn google_auth_says_what_google_says_of_a_refused_proof() {
    let runtime = Runtime::new().unwrap();
    let google = runtime.block_on(Google::start(scenario()));
    let forged = external_account(&google, "forged", None);
    let (signed, other) = (subject_token("ours"), subject_token("forged"));
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    google.file(
        "token-forged",
        &signed.replace(&signature(&signed), &signature(&other)),
    );
    let files = [
        ("forged", Some(forged)),
        (
            "not allowed",
            Some(external_account(&google, "ours", Some(KEYED))),
        ),
    ];
    let run = google_auth(&google, &runtime, &files);
    for (id, class, text) in [
        ("forged", "OAuthError", "invalid_grant"),
        (
            "not allowed",
            "RefreshError",
            "iam.serviceAccounts.getAccessToken",
        ),
    ] {
        let error = &run.answers[id]["error"];
        assert_eq!(error["class"], class, "{}", run.answers[id]);
        assert!(error["text"].as_str().unwrap().contains(text), "{error}");
    }
}

#[test]
fn a_federated_token_that_the_api_does_not_take_is_a_401() {
    let runtime = Runtime::new().unwrap();
    let scenario = Scenario {
        federated_tokens: FederatedTokens::Refused,
        ..scenario()
    };
    let google = runtime.block_on(Google::start(scenario));
    let [_, impersonated, direct, _, _] = good_files(&google);
    let run = google_auth(&google, &runtime, &[impersonated, direct]);
    assert_eq!(run.answers["impersonated"]["value"]["status"], 200);
    assert_eq!(run.answers["direct"]["value"]["status"], 401);
}

#[test]
fn every_client_finds_its_way_with_a_credential_file() {
    let runtime = Runtime::new().unwrap();
    let google = runtime.block_on(Google::start(scenario()));
    let [_, impersonated, _, key, _] = good_files(&google);
    // Google's clients for one API sign a token themselves if they have a key, and ask no token service.
    for ((id, file), signing) in [
        (impersonated, [].as_slice()),
        (key, &[Client::Rust, Client::Python]),
    ] {
        let path = google.file(&format!("{id}.json"), &file.unwrap().to_string());
        for client in Client::ALL {
            let before = google.emulator.requests().len();
            let mut command = client.command();
            google
                .lead(&mut command)
                .env("GOOGLE_APPLICATION_CREDENTIALS", &path)
                // Without it google-auth asks a further API for the project's id, for it knows only the number.
                .env("GOOGLE_CLOUD_PROJECT", "acme-prod");
            let case = &cases(client.other_version())[..1];
            let run = google.ask(&runtime, command, &json!(case));
            let answer = &run.answers["running"];
            assert_eq!(answer["value"]["name"], STOPPED, "{client:?}: {answer}");
            let used = Authorization::Token("self-signed".to_owned());
            let itself = run.requests[before..]
                .iter()
                .all(|request| request.authorization == used);
            assert_eq!(itself, signing.contains(&client), "{client:?} with {id}");
        }
    }
    assert!(google.emulator.metadata_requests().is_empty());
}
