//! What all kinds of credentials have in common.

use futures::future::BoxFuture;
use std::fmt;

use super::token_answer::FetchedToken;

/// Why there is no token. The texts are clean and hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FetchFailed {
    /// The identity that tokens would be for is not one that was meant; a whole sentence.
    WrongIdentity(String),
    /// Anything else; [`Credential::explain`] makes a sentence of it.
    Failed(String),
}

impl From<String> for FetchFailed {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// One way to get a token. Keeps nothing: see [`super::token_cache`].
pub(super) trait Credential: fmt::Debug + Send + Sync {
    /// Fetches a token. Each request in it has a time limit of its own.
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>>;

    /// Google's name for the identity, as far as it is known by now.
    fn principal(&self) -> Option<String>;

    /// Where tokens come from, for logs: a kind of file and its path, or the metadata server.
    fn source(&self) -> String;

    /// Whether tokens have the scopes that were asked for; a person's have those that the person granted.
    fn takes_scopes(&self) -> bool {
        true
    }

    /// The sentence for people: whom it asked, what went wrong, what to look at.
    fn explain(&self, why: &str) -> String {
        format!("cannot get a token from {}: {why}", self.source())
    }
}
