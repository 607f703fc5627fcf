//! Errors of the Kubernetes client in words for people.

use kube::Error;

use crate::google::clean::{clean, cut};

/// The longest text, in bytes.
const LONGEST: usize = 400;

/// If the CRD lacks a field, the API server first repeats the whole object and then says this.
const UNKNOWN_FIELD: &str = "strict decoding error:";

/// What to do about a missing right.
pub const ROLES: &str = "apply the roles in deploy/ (see deploy/README.md)";

/// The command that applies this release's CRDs; the same for every way of installing (docs/upgrade.md).
pub const APPLY_CRDS: &str =
    "kubectl apply --server-side --force-conflicts --field-manager=opcancel-crds -f crds/";

/// The HTTP status of the answer; `None` without an answer.
pub fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// The token with which an expired list can continue.
pub fn continue_token(error: &Error) -> Option<String> {
    match error {
        Error::Api(status) => {
            let metadata = status.metadata.as_ref();
            metadata
                .and_then(|metadata| metadata.continue_.clone())
                .filter(|token| !token.is_empty())
        }
        _ => None,
    }
}

/// Whether the API server reports that this object does not exist. Other 404s say nothing about the object: they may come from a
/// proxy, or from one of several API servers that does not serve the CRD yet.
pub fn is_gone(error: &Error, name: &str) -> bool {
    match error {
        Error::Api(status) => {
            let details = status.details.as_ref();
            status.reason == "NotFound" && details.is_some_and(|details| details.name == name)
        }
        _ => false,
    }
}

/// One line: the message of the API server, or the innermost cause if there was no answer.
pub fn describe(error: &Error) -> String {
    let text = match error {
        Error::Api(status) => {
            let message = status.message.trim();
            let message = if message.is_empty() {
                status.reason.as_str()
            } else {
                message
            };
            match message
                .rfind(UNKNOWN_FIELD)
                .and_then(|at| message.get(at..))
            {
                Some(unknown) => format!(
                    "HTTP {}: {unknown}: the CRDs are older than this controller: {APPLY_CRDS}",
                    status.code
                ),
                None if status.code == 403 => {
                    // After what is forbidden comes the whole chain of roles that the API server checked.
                    let message = message.split(": rbac:").next().unwrap_or(message);
                    format!("HTTP 403: {message}; {ROLES}")
                }
                None if (300..400).contains(&status.code) => {
                    format!("HTTP {}: redirects are not followed", status.code)
                }
                None => format!("HTTP {}: {message}", status.code),
            }
        }
        other => {
            let mut innermost: &dyn std::error::Error = other;
            while let Some(cause) = innermost.source() {
                innermost = cause;
            }
            innermost.to_string()
        }
    };
    cut(&clean(&text, &[]), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_not_found_of_this_object_says_that_it_is_gone() {
        let answer = |text: &str| Error::Api(serde_json::from_str(text).unwrap());
        let ours = r#"{"code":404,"reason":"NotFound","details":{"name":"stop","kind":"operationcancellations"}}"#;
        assert!(is_gone(&answer(ours), "stop"));
        assert!(!is_gone(&answer(ours), "other"));
        for other in [
            r#"{"code":404,"reason":"NotFound","message":"the server could not find the requested resource"}"#,
            r#"{"code":404,"message":"404 page not found"}"#,
            r#"{"code":403,"reason":"Forbidden","details":{"name":"stop"}}"#,
        ] {
            assert!(!is_gone(&answer(other), "stop"), "{other}");
        }
    }
    use kube::core::Status;

    fn refused(message: &str) -> Error {
        Error::Api(Box::new(Status::failure(message, "Invalid").with_code(422)))
    }

    #[test]
    fn an_outdated_crd_is_named_with_the_way_out() {
        let message = format!(
            "\"\" is invalid: patch: {}: strict decoding error: unknown field \"status.newer\"",
            "x".repeat(5000)
        );
        let described = describe(&refused(&message));
        assert_eq!(
            described,
            "HTTP 422: strict decoding error: unknown field \"status.newer\": the CRDs are older than this controller: kubectl apply --server-side --force-conflicts --field-manager=opcancel-crds -f crds/"
        );
    }

    #[test]
    fn what_is_forbidden_is_shown_without_the_roles() {
        let error = Status::failure(
            "x is forbidden: User \"u\" cannot patch: rbac: a b c",
            "Forbidden",
        )
        .with_code(403);
        let described = describe(&Error::Api(Box::new(error)));
        assert_eq!(
            described,
            "HTTP 403: x is forbidden: User \"u\" cannot patch; apply the roles in deploy/ (see deploy/README.md)"
        );
    }

    #[test]
    fn a_redirect_is_said_not_to_be_followed() {
        let redirect = Status::failure("Temporary Redirect", "").with_code(307);
        let described = describe(&Error::Api(Box::new(redirect)));
        assert_eq!(described, "HTTP 307: redirects are not followed");
    }

    #[test]
    fn long_answers_are_cut_and_empty_ones_have_their_reason() {
        assert!(describe(&refused(&"x".repeat(5000))).len() <= LONGEST);
        assert_eq!(describe(&refused(" ")), "HTTP 422: Invalid");
        assert_eq!(code(&refused("")), Some(422));
    }
}
