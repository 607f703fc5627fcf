//! OAuth's errors, which STS uses too.

use serde_json::json;

use crate::transport::reply::Reply;

/// OAuth's error answer (RFC 6749, section 5.2).
pub(crate) fn oauth_error(code: &str, description: &str) -> Reply {
    Reply::json(
        400,
        &json!({"error": code, "error_description": description}),
    )
}
