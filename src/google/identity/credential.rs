//! The trait of all kinds of credentials.

use futures::future::BoxFuture;
use std::fmt;

use super::token_answer::FetchedToken;

/// Why there is no token. The texts contain no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FetchFailed {
    /// The identity is not the expected one. A whole sentence.
    WrongIdentity(String),
    /// Anything else; [`Credential::explain`] makes a sentence of it.
    Failed(String),
}

impl From<String> for FetchFailed {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// A way to get a token. It caches nothing; see [`super::token_cache`].
pub(super) trait Credential: fmt::Debug + Send + Sync {
    /// Fetches a token. Each request in it has a time limit of its own.
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>>;

    /// Google's name for the identity, if it is known yet.
    fn principal(&self) -> Option<String>;

    /// Where tokens come from, for logs: a kind of file and its path, or the metadata server.
    fn source(&self) -> String;

    /// Whether tokens have the requested scopes. Tokens of a person have the scopes that the person granted.
    fn takes_scopes(&self) -> bool {
        true
    }

    /// The error for people: the source of the token, the reason, and what to check.
    fn explain(&self, why: &str) -> String {
        format!("cannot get a token from {}: {why}", self.source())
    }
}
