//! Access tokens, and where they come from.

use futures::future::BoxFuture;
use http::HeaderValue;
use std::{fmt, sync::Arc};
use strum::{IntoStaticStr, VariantArray};

use crate::{
    api::{GROUP, Reason},
    google::answers::{
        answer::{CallError, ErrorKind},
        rpc_error,
    },
};

/// An access token. Neither `Debug` nor anything else but [`Token::secret`] and [`Token::authorization`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: Arc<str>,
    is_of_tenant: bool,
}

impl Token {
    /// Wraps a token from a server.
    ///
    /// # Errors
    /// If it is empty or cannot be sent in a header.
    pub fn new(secret: &str) -> Result<Self, TokenError> {
        let good = !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic());
        if good {
            Ok(Self {
                secret: Arc::from(secret),
                is_of_tenant: false,
            })
        } else {
            Err(TokenError::new(
                "the token server returned an access token that is empty or cannot be sent in a header",
            ))
        }
    }

    /// The same as a token of a tenant's identity: calls with it do not use the quota project of the operator's identity, for which the
    /// tenant has no permission.
    pub fn of_tenant(self) -> Self {
        Self {
            is_of_tenant: true,
            ..self
        }
    }

    /// Whether it is of a tenant's identity.
    pub const fn is_of_tenant(&self) -> bool {
        self.is_of_tenant
    }

    /// The token itself, only to find and remove it in texts from a server.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The `Authorization` header, marked as sensitive so that HTTP libraries do not log or index it.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.secret)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

/// There is no token. The message says what to do and contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TokenError {
    message: String,
    /// The step that failed, if it is one of a ServiceAccount's identity.
    step: Option<Reason>,
}

impl TokenError {
    /// With a message that was cleaned.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            step: None,
        }
    }

    /// The same about the step of a ServiceAccount's identity that failed.
    pub fn because(step: Reason, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            step: Some(step),
        }
    }

    /// The step of a ServiceAccount's identity that failed.
    pub const fn step(&self) -> Option<Reason> {
        self.step
    }
}

impl From<TokenError> for CallError {
    fn from(error: TokenError) -> Self {
        Self {
            reason: error.step.map(|step| step.name().to_owned()),
            domain: error.step.map(|_| GROUP.to_owned()),
            ..rpc_error::error(ErrorKind::Token, None, error.message)
        }
    }
}

/// How a fetch of a token ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum FetchResult {
    /// There is a token.
    Fetched,
    /// There is no token: no answer, a refusal, or a subject token that cannot be read.
    Failed,
    /// The token is not used because the identity is not the expected one (`--expect-principal`, a node's own).
    RefusedIdentity,
}

impl FetchResult {
    /// All results.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The label value in metrics.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Is called with the result of each fetch of a token. A token from the cache, and a call within the pause after a failure, are
/// not fetches. The default does nothing.
#[derive(Clone)]
pub struct FetchObserver(Arc<dyn Fn(FetchResult) + Send + Sync>);

impl FetchObserver {
    /// Calls this after each fetch; it must not block.
    pub fn new(observe: impl Fn(FetchResult) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    /// Reports the result of a fetch.
    pub fn notify(&self, result: FetchResult) {
        (self.0)(result);
    }
}

impl Default for FetchObserver {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for FetchObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FetchObserver")
    }
}

/// A source of access tokens for one identity.
pub trait TokenSource: Send + Sync {
    /// A token that is valid for at least the next call, from the cache if possible. Concurrent callers share one fetch. Every wait is
    /// bounded. It must be called within a tokio runtime.
    fn token(&self) -> BoxFuture<'_, Result<Token, TokenError>>;

    /// Reports that a server refused this token (UNAUTHENTICATED). The next [`TokenSource::token`] fetches a new one, unless the cache
    /// already has another token, or a refused token was replaced a moment ago. If there is no other token, the old one is used until
    /// it expires: the refusal of one endpoint must not stop the calls to all others.
    fn refused(&self, token: &Token);

    /// Google's name for the identity, if it is known: `NAME@PROJECT.iam.gserviceaccount.com`; for a federated identity without
    /// impersonation the pool, `principalSet://iam.googleapis.com/.../workloadIdentityPools/POOL/*`.
    fn principal(&self) -> Option<String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new("ya29.secret").unwrap();
        assert_eq!(format!("{token:?}"), "Token(not shown)");
        let header = token.authorization().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer ya29.secret");
        assert!(!format!("{header:?}").contains("ya29"));
    }

    #[test]
    fn what_no_header_can_hold_is_no_token() {
        for bad in ["", "a b", "a\n", "ä", "a\r\nX: y"] {
            let error = Token::new(bad).unwrap_err();
            assert_eq!(CallError::from(error).kind, ErrorKind::Token, "{bad:?}");
        }
    }
}
