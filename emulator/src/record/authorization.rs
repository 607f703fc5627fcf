//! The authorization of a request, without the secret.

use serde::Serialize;

/// The authorization of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Authorization {
    /// No `Authorization` header.
    Absent,
    /// Not a bearer token, or one that was neither issued here nor configured.
    Unknown,
    /// A known token, by its ID. It may have expired; the answer shows whether it was accepted.
    Token(String),
}
