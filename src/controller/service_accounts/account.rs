//! A ServiceAccount as far as an identity depends on it: its uid and its annotation.

use std::collections::BTreeMap;

use http::{Request, header::ACCEPT};
use kube::Client;
use serde::Deserialize;

use super::token_request::path;
use crate::{
    api::Reason,
    controller::api_server::{api_answer, kube_error},
    google::{
        identity::{ACCOUNT_ANNOTATION, GoogleAccount},
        token::TokenError,
    },
};

/// The largest answer that is read, in bytes. Annotations may have 256 KiB, but those of a ServiceAccount have a few hundred bytes.
const MOST: usize = 256 * 1024;

/// Only the metadata.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// What of a ServiceAccount decides on its identity. If it is equal, so is the identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// `metadata.uid`
    pub uid: String,
    /// The Google service account of its annotation.
    pub google_account: Option<GoogleAccount>,
}

#[derive(Deserialize)]
struct Partial {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    uid: String,
    name: String,
    namespace: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

/// Reads a ServiceAccount from the API server.
///
/// # Errors
/// If it does not exist, cannot be read, or has an invalid annotation.
pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Account, TokenError> {
    let request = Request::get(path(namespace, name))
        .header(ACCEPT, METADATA)
        .body(Vec::new())
        .map_err(|error| not_ready(namespace, name, &error.to_string()))?;
    let body = api_answer::body(client, request, MOST).await;
    let body = body.map_err(|refused| {
        let why = match kube_error::code(&refused.error) {
            Some(404) if kube_error::is_gone(&refused.error, name) => {
                "it does not exist; create it".to_owned()
            }
            Some(403) => "the controller may not read it; an administrator has to allow that (deploy/overlays/service-accounts)".to_owned(),
            _ => kube_error::describe(&refused.error),
        };
        not_ready(namespace, name, &why)
    })?;
    parse(namespace, name, &body)
}

fn parse(namespace: &str, name: &str, body: &[u8]) -> Result<Account, TokenError> {
    let partial: Partial = serde_json::from_slice(body).map_err(|_| {
        not_ready(
            namespace,
            name,
            "the API server's answer is not a ServiceAccount",
        )
    })?;
    let metadata = partial.metadata;
    if metadata.namespace != namespace || metadata.name != name || metadata.uid.is_empty() {
        let why = "the API server returned another object";
        return Err(not_ready(namespace, name, why));
    }
    if metadata.deletion_timestamp.is_some() {
        return Err(not_ready(namespace, name, "it is being deleted"));
    }
    let annotation = metadata.annotations.unwrap_or_default();
    let google_account = annotation
        .get(ACCOUNT_ANNOTATION)
        .map(|email| GoogleAccount::new(email))
        .transpose()
        .map_err(|error| not_ready(namespace, name, &error.to_string()))?;
    Ok(Account {
        uid: metadata.uid,
        google_account,
    })
}

fn not_ready(namespace: &str, name: &str, why: &str) -> TokenError {
    TokenError::because(
        Reason::ServiceAccountNotReady,
        format!("ServiceAccount {namespace}/{name} cannot be used: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(metadata: &Value) -> Result<Account, String> {
        let body = json!({"kind": "PartialObjectMetadata", "metadata": metadata}).to_string();
        parse("team", "deployer", body.as_bytes()).map_err(|error| error.to_string())
    }

    proptest::proptest! {
        /// Any bytes, and any change of a good answer: an error, or a ServiceAccount of this name with a uid.
        #[test]
        fn any_answer_is_read_or_refused(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
            at in 0..200usize,
        ) {
            let good = json!({"metadata": {"namespace": "team", "name": "deployer", "uid": "u",
                "annotations": {ACCOUNT_ANNOTATION: "a@b.example"}}});
            let mut changed = good.to_string().into_bytes();
            let end = changed.len();
            changed.splice(at.min(end)..(at + 3).min(end), bytes.clone());
            for answer in [&bytes, &changed] {
                if let Ok(account) = parse("team", "deployer", answer) {
                    proptest::prop_assert!(!account.uid.is_empty());
                }
            }
        }
    }

    #[test]
    fn uid_and_annotation_are_read_and_nothing_else_is_accepted() {
        let plain =
            json!({"namespace": "team", "name": "deployer", "uid": "u", "annotations": {"a": "b"}});
        let account = read(&plain).unwrap();
        assert_eq!((account.uid.as_str(), account.google_account), ("u", None));
        let with = |field: &str, value: Value| {
            let mut metadata = plain.clone();
            metadata[field] = value;
            metadata
        };
        let email = "deployer@acme-prod.iam.gserviceaccount.com";
        let annotated = read(&with("annotations", json!({ACCOUNT_ANNOTATION: email}))).unwrap();
        assert_eq!(annotated.google_account.unwrap().email(), email);
        for (metadata, why) in [
            // An empty annotation is not an absent one.
            (
                with("annotations", json!({ACCOUNT_ANNOTATION: ""})),
                "annotation",
            ),
            (
                with("annotations", json!({ACCOUNT_ANNOTATION: 1})),
                "not a ServiceAccount",
            ),
            (with("name", json!("other")), "another object"),
            (with("namespace", json!("other")), "another object"),
            (with("uid", json!("")), "another object"),
            (with("uid", json!(null)), "not a ServiceAccount"),
            (
                with("deletionTimestamp", json!("2026-01-02T03:04:05Z")),
                "being deleted",
            ),
            (json!(null), "not a ServiceAccount"),
        ] {
            let error = read(&metadata).unwrap_err();
            assert!(
                error.contains(why) && error.contains("team/deployer"),
                "{error}"
            );
        }
    }
}
