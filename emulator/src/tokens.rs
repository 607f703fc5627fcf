//! Bearer tokens, issued by the metadata server or the token services, or configured. Each has an ID, which may be shown; the token
//! itself appears in no record and no log.

pub(crate) mod iam_credentials;
pub(crate) mod metadata_server;
pub(crate) mod oauth;
mod oauth_error;
mod routes;
pub(crate) mod self_signed;
pub(crate) mod services;
pub(crate) mod sts;

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    record::Authorization,
    scenario::{AcceptedToken, Identity},
};

/// A token that the emulator has issued.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedToken {
    /// `token-1`, `token-2`, ...
    pub id: String,
    /// Its principal.
    pub principal: String,
    /// The requested scopes, or those of the account.
    pub scopes: Vec<String>,
    #[serde(skip)]
    secret: String,
}

impl IssuedToken {
    /// The token itself, so that a test can prove that it appears nowhere.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("id", &self.id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// The result of the check of an `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// No header.
    Absent,
    /// Not a bearer token, or an unknown one.
    Unknown,
    /// A known token that has expired or was revoked.
    Expired {
        /// The token's id.
        id: String,
    },
    /// Accepted.
    Valid {
        /// The token's id.
        id: String,
        /// Its principal.
        principal: String,
        /// Its scopes. A configured token has none and may be used for everything.
        scopes: Vec<String>,
    },
}

impl TokenCheck {
    /// The authorization as records have it.
    pub fn authorization(&self) -> Authorization {
        match self {
            Self::Absent => Authorization::Absent,
            Self::Unknown => Authorization::Unknown,
            Self::Expired { id } | Self::Valid { id, .. } => Authorization::Token(id.clone()),
        }
    }
}

/// All tokens.
#[derive(Debug, Default)]
pub struct Tokens {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    issued: Vec<IssuedToken>,
    entries: HashMap<String, TokenEntry>,
}

#[derive(Debug)]
struct TokenEntry {
    id: String,
    principal: String,
    scopes: Vec<String>,
    valid_until: Option<Instant>,
    revoked: bool,
}

impl Tokens {
    /// Starts with the configured tokens, which never expire.
    pub fn new(configured: &[AcceptedToken]) -> Self {
        let entries = configured.iter().enumerate().map(|(index, accepted)| {
            let (id, principal) = (
                format!("configured-{}", index + 1),
                accepted.principal.clone(),
            );
            (
                accepted.token.clone(),
                TokenEntry {
                    id,
                    principal,
                    scopes: Vec::new(),
                    valid_until: None,
                    revoked: false,
                },
            )
        });
        Self {
            inner: Mutex::new(Inner {
                issued: Vec::new(),
                entries: entries.collect(),
            }),
        }
    }

    /// Issues a token for the identity's service account.
    pub fn issue(&self, identity: &Identity, scopes: Vec<String>) -> IssuedToken {
        let accepted_for = identity.accepted_for.unwrap_or(identity.expires_in);
        self.issue_to(&identity.email, scopes, accepted_for)
    }

    /// Issues a token for any principal. It is accepted for `accepted_for`.
    pub fn issue_to(
        &self,
        principal: &str,
        scopes: Vec<String>,
        accepted_for: Duration,
    ) -> IssuedToken {
        let mut inner = self.lock();
        let number = inner.issued.len() + 1;
        let (id, principal) = (format!("token-{number}"), principal.to_owned());
        // Random enough that a token of another run is not accepted by chance. It protects nothing real.
        let secret = format!(
            "ya29.emulated-{number}-{:016x}",
            RandomState::new().hash_one(number)
        );
        let entry = TokenEntry {
            id: id.clone(),
            principal: principal.clone(),
            scopes: scopes.clone(),
            valid_until: Instant::now().checked_add(accepted_for),
            revoked: false,
        };
        inner.entries.insert(secret.clone(), entry);
        let issued = IssuedToken {
            id,
            principal,
            scopes,
            secret,
        };
        inner.issued.push(issued.clone());
        issued
    }

    /// All tokens issued so far, in order.
    pub fn issued(&self) -> Vec<IssuedToken> {
        self.lock().issued.clone()
    }

    /// Revokes all tokens known so far; later ones are accepted.
    pub fn revoke_all(&self) {
        self.lock()
            .entries
            .values_mut()
            .for_each(|entry| entry.revoked = true);
    }

    /// Checks an `Authorization` header.
    pub fn check(&self, authorization: Option<&[u8]>) -> TokenCheck {
        let Some(header) = authorization else {
            return TokenCheck::Absent;
        };
        let bearer = std::str::from_utf8(header)
            .ok()
            .and_then(|text| text.split_once(' '));
        let Some((scheme, token)) = bearer else {
            return TokenCheck::Unknown;
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return TokenCheck::Unknown;
        }
        match self.lock().entries.get(token) {
            None => TokenCheck::Unknown,
            Some(entry)
                if entry.revoked
                    || entry
                        .valid_until
                        .is_some_and(|until| Instant::now() >= until) =>
            {
                TokenCheck::Expired {
                    id: entry.id.clone(),
                }
            }
            Some(entry) => TokenCheck::Valid {
                id: entry.id.clone(),
                principal: entry.principal.clone(),
                scopes: entry.scopes.clone(),
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
