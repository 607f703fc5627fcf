//! What a request had for authorization, without the secret.

use serde::Serialize;

/// What a request had for authorization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Authorization {
    /// No `Authorization` header.
    Absent,
    /// Not a bearer token, or one that was neither issued here nor configured.
    Unknown,
    /// A known token, by its id; whether it was still taken, the answer tells.
    Token(String),
}
