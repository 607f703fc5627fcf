//! Bearer tokens: issued by the metadata server, or configured. Each issued one is unique, and known by an id that may
//! be shown; the token itself appears in no record and no log.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Serialize;

use crate::scenario::{AcceptedToken, Identity};

/// A token that the metadata server issued.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedToken {
    /// `token-1`, `token-2`, ...
    pub id: String,
    /// The service account that it speaks for.
    pub principal: String,
    /// The scopes that were asked for, or the account's own.
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

/// What an `Authorization` header is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// No header.
    Absent,
    /// Not a bearer token, or not one of ours.
    Unknown,
    /// Ours, but expired or revoked.
    Expired {
        /// The token's id.
        id: String,
    },
    /// Taken.
    Valid {
        /// The token's id.
        id: String,
        /// Whose it is.
        principal: String,
    },
}

/// All tokens.
#[derive(Debug, Default)]
pub struct Tokens {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    issued: Vec<IssuedToken>,
    known: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    id: String,
    principal: String,
    valid_until: Option<Instant>,
    revoked: bool,
}

impl Tokens {
    /// Knows the configured tokens; they never expire.
    pub fn new(configured: &[AcceptedToken]) -> Self {
        let known = configured.iter().enumerate().map(|(index, accepted)| {
            let (id, principal) = (
                format!("configured-{}", index + 1),
                accepted.principal.clone(),
            );
            (
                accepted.token.clone(),
                Known {
                    id,
                    principal,
                    valid_until: None,
                    revoked: false,
                },
            )
        });
        Self {
            inner: Mutex::new(Inner {
                issued: Vec::new(),
                known: known.collect(),
            }),
        }
    }

    /// Issues a token for the identity's service account.
    pub fn issue(&self, identity: &Identity, scopes: Vec<String>) -> IssuedToken {
        let mut inner = self.lock();
        let number = inner.issued.len() + 1;
        let (id, principal) = (format!("token-{number}"), identity.email.clone());
        // Unguessable enough that a token of another run is not taken by chance; nothing real hangs on it.
        let secret = format!(
            "ya29.emulated-{number}-{:016x}",
            RandomState::new().hash_one(number)
        );
        let lifetime = identity.accepted_for.unwrap_or(identity.expires_in);
        let known = Known {
            id: id.clone(),
            principal: principal.clone(),
            valid_until: Instant::now().checked_add(lifetime),
            revoked: false,
        };
        inner.known.insert(secret.clone(), known);
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

    /// Takes none of the tokens known so far any more; later ones are taken.
    pub fn revoke_all(&self) {
        self.lock()
            .known
            .values_mut()
            .for_each(|known| known.revoked = true);
    }

    /// What this `Authorization` header is worth now.
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
        match self.lock().known.get(token) {
            None => TokenCheck::Unknown,
            Some(known)
                if known.revoked
                    || known
                        .valid_until
                        .is_some_and(|until| Instant::now() >= until) =>
            {
                TokenCheck::Expired {
                    id: known.id.clone(),
                }
            }
            Some(known) => TokenCheck::Valid {
                id: known.id.clone(),
                principal: known.principal.clone(),
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
