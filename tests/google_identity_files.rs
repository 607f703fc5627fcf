//! The other kinds of credential files against the emulator, and the errors of the program about wrong ones at its start.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/credential_files.rs"]
mod credential_files;
#[path = "support/raw_http.rs"]
mod raw_http;
#[path = "support/signing_key.rs"]
mod signing_key;

use credential_files::*;
use opcancel::google::token::TokenSource;
use operations_emulator::{
    Authorization, Credentials, Emulator, Scenario,
    credentials::{MayImpersonate, ServiceAccountKeys, User},
};
use raw_http::{RawHttp, Reply, answer};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Output},
};

const PERSON: &str = "somebody@acme.example";
const REFRESH_TOKEN: &str = "1//0a-refresh-token-that-nobody-may-see";
const KEYED: &str = "keyed@acme.iam.gserviceaccount.com";

async fn emulator() -> Emulator {
    let credentials = Credentials {
        users: vec![User {
            refresh_token: REFRESH_TOKEN.to_owned(),
            principal: PERSON.to_owned(),
        }],
        service_accounts: vec![ServiceAccountKeys {
            email: KEYED.to_owned(),
            jwks: signing_key::jwks(),
        }],
        impersonation: [PERSON, KEYED]
            .map(|principal| MayImpersonate {
                principal: principal.to_owned(),
                service_account: EMAIL.to_owned(),
            })
            .to_vec(),
        ..Credentials::default()
    };
    let scenario = Scenario {
        credentials,
        ..Scenario::default()
    };
    Emulator::start(scenario).await.unwrap()
}

fn user(emulator: &Emulator) -> Value {
    json!({
        "type": "authorized_user", "client_id": "an-id", "client_secret": "GOCSPX-a-client-secret",
        "refresh_token": REFRESH_TOKEN, "token_uri": format!("{}/token", emulator.credentials_url()),
    })
}

fn key(emulator: &Emulator) -> Value {
    json!({
        "type": "service_account", "client_email": KEYED, "private_key": signing_key::PEM,
        "private_key_id": "throwaway", "token_uri": format!("{}/token", emulator.credentials_url()),
    })
}

#[tokio::test]
async fn a_users_refresh_token_becomes_a_token_of_the_user() {
    let (emulator, files) = (emulator().await, Files::new());
    let us = Observed::of_file(&files, &user(&emulator), |_| ()).unwrap();
    let token = us.token().await.unwrap();
    let issued = emulator.tokens_issued();
    assert_eq!(
        (issued[0].secret(), issued[0].principal.as_str()),
        (token.as_str(), PERSON)
    );
    assert!(
        issued[0].scopes.is_empty(),
        "none is asked for: all that were granted are meant"
    );
    assert_eq!(
        us.identity.principal(),
        None,
        "the file does not say whose it is"
    );

    let mut other = user(&emulator);
    other["refresh_token"] = json!("1//0another-token");
    let us = Observed::of_file(&files, &other, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    assert!(
        error.contains("invalid_grant") && error.contains("authorized_user file"),
        "{error}"
    );
    assert!(
        !error.contains("1//0") && !error.contains("GOCSPX"),
        "{error}"
    );

    let expecting = Observed::of_file(&files, &user(&emulator), |c| {
        c.expect_principal = Some(PERSON.to_owned())
    });
    let error = expecting.err().unwrap().to_string();
    assert!(error.contains("does not name its identity"), "{error}");
}

#[tokio::test]
async fn a_refresh_token_is_not_shown_however_the_server_spells_it() {
    for echo in [
        r#"{"message":"bad 1\/\/0a-refresh-token-that-nobody-may-see"}"#,
        r#"{"message":"bad \u0031//0a-refresh\u002dtoken-that-nobody\u002dmay-see"}"#,
        "bad refresh_token=1%2f%2f0a-refresh-token-that-nobody-may-see&scope=x",
        "bad client_secret=GOCSPX-a-client-secret-of-another",
    ] {
        let server = RawHttp::start(|_, _| Reply::Close(answer("400 Bad Request", echo))).await;
        let files = Files::new();
        let file = json!({
            "type": "authorized_user", "client_id": "an-id", "client_secret": "GOCSPX-a-client-secret",
            "refresh_token": REFRESH_TOKEN, "token_uri": format!("{}/token", server.url()),
        });
        let us = Observed::of_file(&files, &file, |_| ()).unwrap();
        let error = us.token().await.unwrap_err();
        assert!(error.contains("HTTP 400"), "{error}");
        for piece in ["0a-refresh", "nobody", "may-see", "client-sec"] {
            assert!(!error.contains(piece), "{error}");
        }
    }
}

#[tokio::test]
async fn a_key_signs_an_assertion_that_becomes_a_token() {
    let (emulator, files) = (emulator().await, Files::new());
    let us = Observed::of_file(&files, &key(&emulator), |c| {
        c.expect_principal = Some(KEYED.to_owned())
    })
    .unwrap();
    assert_eq!(us.identity.principal().as_deref(), Some(KEYED));
    let token = us.token().await.unwrap();
    let issued = emulator.tokens_issued();
    assert_eq!(
        (issued[0].secret(), issued[0].principal.as_str()),
        (token.as_str(), KEYED)
    );
    assert_eq!(issued[0].scopes, [CLOUD_PLATFORM]);

    let mut other = key(&emulator);
    other["private_key_id"] = json!("revoked");
    let us = Observed::of_file(&files, &other, |_| ()).unwrap();
    let error = us.token().await.unwrap_err();
    assert!(
        error.contains("a key that its issuer does not have"),
        "{error}"
    );
}

#[tokio::test]
async fn a_byte_order_mark_changes_nothing() {
    let (emulator, files) = (emulator().await, Files::new());
    files.write_credentials(&key(&emulator));
    let text = std::fs::read_to_string(files.credentials()).unwrap();
    std::fs::write(files.credentials(), format!("\u{feff}{text}")).unwrap();
    let us = Observed::of_written_file(&files).unwrap();
    us.token().await.unwrap();
    assert_eq!(us.identity.principal().as_deref(), Some(KEYED));
}

#[tokio::test]
async fn a_user_or_a_key_may_stand_for_a_service_account() {
    let (emulator, files) = (emulator().await, Files::new());
    for (source, principal, scopes) in [
        (user(&emulator), PERSON, [].as_slice()),
        (key(&emulator), KEYED, [IAM].as_slice()),
    ] {
        let before = emulator.tokens_issued().len();
        let file = json!({
            "type": "impersonated_service_account", "source_credentials": source, "delegates": [],
            "service_account_impersonation_url": impersonation_url(emulator.credentials_url()),
        });
        let us = Observed::of_file(&files, &file, |c| {
            c.expect_principal = Some(EMAIL.to_owned())
        })
        .unwrap();
        let token = us.token().await.unwrap();
        let issued = &emulator.tokens_issued()[before..];
        assert_eq!(
            (issued[0].principal.as_str(), issued[0].scopes.len()),
            (principal, scopes.len())
        );
        assert!(issued[0].scopes.iter().eq(scopes));
        assert_eq!(
            (issued[1].principal.as_str(), issued[1].secret()),
            (EMAIL, token.as_str())
        );
        let last = emulator.credentials_requests().pop().unwrap();
        assert_eq!(
            last.authorization,
            Authorization::Token(issued[0].id.clone())
        );
    }
}

/// Runs the program without an API server. It must end before it needs one.
fn start(credentials: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_opcancel-controller"))
        .args([
            "--admin-address=off",
            "--kubeconfig=/nonexistent/kubeconfig",
        ])
        .args(more)
        .env_clear()
        .env("GOOGLE_APPLICATION_CREDENTIALS", credentials)
        .output()
        .unwrap()
}

#[test]
fn the_program_ends_at_once_with_what_can_never_work() {
    let files = Files::new();
    let absent = files.credentials();
    let mut said = vec![(start(&absent, &[]), "cannot be read: No such file")];
    for (contents, why) in [
        (
            "{\"type\":\"gdch_service_account\",\"private_key\":\"hidden\"}",
            "field \"type\" must be external_account",
        ),
        (
            "{\"type\":\"external_account\"}",
            "field \"audience\" is missing",
        ),
        ("hidden", "is not a JSON object"),
    ] {
        std::fs::write(&absent, contents).unwrap();
        said.push((start(&absent, &[]), why));
    }
    let token = files.subject_token();
    // A file as Windows PowerShell writes it.
    let utf16: Vec<u8> = "\u{feff}{\"type\":\"service_account\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(&absent, utf16).unwrap();
    said.push((start(&absent, &[]), "it is in UTF-16"));
    files.write_credentials(&impersonating("https://sts.example", &token));
    said.push((
        start(
            &absent,
            &["--expect-principal=other@acme.iam.gserviceaccount.com"],
        ),
        "--expect-principal",
    ));
    for (output, why) in said {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains(why) && text.contains("credentials.json"),
            "{why}: {text}"
        );
        assert!(
            !text.contains("hidden") && text.trim().lines().count() == 1,
            "{text}"
        );
    }
    // With a good file it goes on until it needs the API server.
    let good = start(&absent, &[]);
    let text = String::from_utf8_lossy(&good.stderr);
    assert!(text.contains("kubeconfig"), "{text}");
}
