//! A tenant's ServiceAccount: its annotation becomes a part of a path, and the API server's answer about it decides on an identity.

use opcancel::{
    controller::account,
    google::identity::{ACCOUNT_ANNOTATION, GoogleAccount},
};
use serde_json::{Value, json};

/// Checks any text as the annotation, and any bytes as the answer.
pub fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check_annotation(text);
    }
    check_answer(data);
}

fn check_annotation(text: &str) {
    let answer = json!({"metadata": {
        "namespace": "team", "name": "deployer", "uid": "u", "annotations": {ACCOUNT_ANNOTATION: text},
    }});
    let read = account::parse("team", "deployer", answer.to_string().as_bytes());
    let account = GoogleAccount::new(text);
    assert_eq!(read.is_ok(), account.is_ok(), "{text:?}");
    let account = match account {
        Ok(account) => account,
        Err(error) => return assert!(error.to_string().len() < 300, "{error}"),
    };
    assert_eq!(account.email(), text);
    assert_eq!(read.unwrap().google_account, Some(account.clone()));
    check_path(text, &account.token_path());
}

/// The annotation is one segment of the path, for every parser.
fn check_path(email: &str, path: &str) {
    let expected = format!("/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
    assert_eq!(path, expected);
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@' | b'+');
    assert!(email.bytes().all(good), "{email}");
    let uri: http::Uri = format!("https://iamcredentials.googleapis.com{path}")
        .parse()
        .unwrap();
    assert_eq!(uri.path_and_query().unwrap().as_str(), path);
    assert_eq!(uri.host(), Some("iamcredentials.googleapis.com"));
}

/// What is accepted is this ServiceAccount, with the annotation that another parser reads.
fn check_answer(data: &[u8]) {
    let account = match account::parse("team", "deployer", data) {
        Ok(account) => account,
        Err(error) => return assert!(error.to_string().len() < 400, "{error}"),
    };
    let value: Value = serde_json::from_slice(data).unwrap();
    let metadata = &value["metadata"];
    assert_eq!(metadata["namespace"], "team");
    assert_eq!(metadata["name"], "deployer");
    assert_eq!(metadata["uid"], account.uid.as_str());
    assert!(!account.uid.is_empty());
    assert!(metadata["deletionTimestamp"].is_null());
    let annotation = metadata["annotations"][ACCOUNT_ANNOTATION].as_str();
    let account = account.google_account.as_ref();
    assert_eq!(account.map(GoogleAccount::email), annotation);
}
