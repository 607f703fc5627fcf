//! A ServiceAccount as far as an identity depends on it: its uid and its annotation.

use http::{Request, header::ACCEPT};
use kube::Client;

use super::token_request::path;
use crate::{
    api::Reason,
    controller::api_server::{api_answer, kube_error},
    google::{
        identity::{ACCOUNT_ANNOTATION, GoogleAccount},
        proto_json::{NotProtoJson, Object},
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

/// The metadata as it is read.
struct Metadata {
    uid: String,
    name: String,
    namespace: String,
    annotation: Option<String>,
    is_being_deleted: bool,
}

impl Metadata {
    fn read(body: &[u8]) -> Result<Self, NotProtoJson> {
        let metadata = Object::from_body(body)?.object("metadata")?;
        let metadata = metadata.ok_or_else(|| NotProtoJson::new("it has no metadata"))?;
        let text = |key: &str| Ok(metadata.string(key)?.unwrap_or_default());
        let annotations = metadata.object("annotations")?;
        let annotation = annotations.map(|annotations| annotations.string(ACCOUNT_ANNOTATION));
        Ok(Self {
            uid: text("uid")?,
            name: text("name")?,
            namespace: text("namespace")?,
            annotation: annotation.transpose()?.flatten(),
            is_being_deleted: metadata.raw("deletionTimestamp").is_some(),
        })
    }
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

/// Reads the answer about a ServiceAccount.
///
/// # Errors
/// If it is another object, is being deleted, or has an invalid annotation.
pub fn parse(namespace: &str, name: &str, body: &[u8]) -> Result<Account, TokenError> {
    let metadata = Metadata::read(body).map_err(|_| {
        not_ready(
            namespace,
            name,
            "the API server's answer is not a ServiceAccount",
        )
    })?;
    if metadata.namespace != namespace || metadata.name != name || metadata.uid.is_empty() {
        let why = "the API server returned another object";
        return Err(not_ready(namespace, name, why));
    }
    if metadata.is_being_deleted {
        return Err(not_ready(namespace, name, "it is being deleted"));
    }
    let google_account = metadata
        .annotation
        .map(|email| GoogleAccount::new(&email))
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
    fn a_list_or_a_second_annotation_is_not_a_service_account() {
        let metadata = r#"{"namespace":"team","name":"deployer","uid":"u"}"#;
        let twice = r#"{"metadata":{"namespace":"team","name":"deployer","uid":"u","annotations":{"iam.gke.io/gcp-service-account":"a@b.example","iam.gke.io/gcp-service-account":"c@d.example"}}}"#;
        for answer in [format!("[{metadata}]"), twice.to_owned()] {
            let error = parse("team", "deployer", answer.as_bytes()).unwrap_err();
            assert!(
                error.to_string().contains("not a ServiceAccount"),
                "{error}"
            );
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
            (with("uid", json!(null)), "another object"),
            (with("uid", json!(1)), "not a ServiceAccount"),
            (json!(["u", "deployer", "team"]), "not a ServiceAccount"),
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
