//! A ServiceAccount's token from the API server (TokenRequest, KEP-1205).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{Request, header::CONTENT_TYPE};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    api::Reason,
    controller::api_server::{api_answer, kube_error},
    google::{
        identity::Secret,
        proto_json::{NotProtoJson, Object},
        token::TokenError,
    },
};

/// Lifetime of the token, in seconds: the shortest that the API server issues. It is exchanged at once.
const SECONDS: u64 = 600;

/// The largest answer that is read, in bytes.
const MOST: usize = 64 * 1024;

/// The path of a ServiceAccount at the API server. Both names were accepted by the API server as names of objects.
pub fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
}

/// Requests a token for this audience. The token must be of the ServiceAccount with this uid: another one of the same name may have
/// been created meanwhile (kubernetes/kubernetes#132802).
///
/// # Errors
/// If the API server refuses it, or returns a token of another ServiceAccount.
pub async fn token(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
    audience: &str,
) -> Result<Secret, TokenError> {
    let failed = |why: &str| {
        TokenError::because(
            Reason::TokenRequestFailed,
            format!("the API server issues no token of ServiceAccount {namespace}/{name}: {why}"),
        )
    };
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {"namespace": namespace, "name": name, "uid": uid},
        "spec": {"audiences": [audience], "expirationSeconds": SECONDS},
    });
    let request = Request::post(format!("{}/token", path(namespace, name)))
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(|error| failed(&error.to_string()))?;
    let answer = api_answer::body(client, request, MOST).await;
    let answer = answer.map_err(|refused| match kube_error::code(&refused.error) {
        Some(403) => failed("the controller may not create it; an administrator has to allow that (deploy/overlays/service-accounts)"),
        _ => failed(&kube_error::describe(&refused.error)),
    })?;
    // The error of the parser could quote the token.
    let token = read(&answer).map_err(|_| failed("the answer is not a TokenRequest"))?;
    if uid_of(&token).as_deref() != Some(uid) {
        return Err(failed(
            "the ServiceAccount was replaced meanwhile; the controller tries again",
        ));
    }
    Ok(Secret::new(token))
}

/// `status.token` of a TokenRequest.
fn read(body: &[u8]) -> Result<String, NotProtoJson> {
    let status = Object::from_body(body)?.object("status")?;
    let token = status.map(|status| status.string("token")).transpose()?;
    token
        .flatten()
        .ok_or_else(|| NotProtoJson::new("it has no token"))
}

/// The uid of the ServiceAccount in the claims of a token.
fn uid_of(token: &str) -> Option<String> {
    let claims = token.split('.').nth(1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let uid = claims.pointer("/kubernetes.io/serviceaccount/uid")?;
    uid.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_in_the_status_of_an_object() {
        assert_eq!(read(br#"{"status":{"token":"t"}}"#).as_deref(), Ok("t"));
        for bad in [
            r#"[["t"]]"#,
            r#"{"status":["t"]}"#,
            r#"{"status":{"token":"t","token":"u"}}"#,
            r#"{"status":{"token":1}}"#,
            r#"{"status":{}}"#,
            r#"{"token":"t"}"#,
            "",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_uid_is_in_the_claims() {
        let token = |claims: &str| format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let good = r#"{"kubernetes.io":{"serviceaccount":{"name":"deployer","uid":"u"}}}"#;
        assert_eq!(uid_of(&token(good)).as_deref(), Some("u"));
        for bad in [
            token("{}"),
            token("[]"),
            token(r#"{"kubernetes.io":{"serviceaccount":{"uid":1}}}"#),
            "e30".to_owned(),
            "e30.???.c2ln".to_owned(),
            String::new(),
        ] {
            assert_eq!(uid_of(&bad), None, "{bad}");
        }
    }
}
