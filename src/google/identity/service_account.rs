//! `service_account` files: a service account's private key. The key signs an assertion, which the OAuth server takes in
//! exchange for a token (RFC 7523, AIP-4112).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    credential::{Credential, FetchFailed},
    credential_fields::{Fields, TokenRequest},
    guarded_http::GuardedHttp,
    principal_name::is_account,
    token_answer::{FetchedToken, read_oauth},
};
use crate::google::identity::token::{Token, TokenError};

/// Google's OAuth server, for files that name none.
pub(super) const OAUTH_SERVER: &str = "https://oauth2.googleapis.com/token";

/// How long an assertion is good, in seconds; an hour is the most.
const ASSERTION_LIFE: u64 = 3600;

/// An assertion begins so many seconds ago, for servers whose clocks are behind ours.
const CLOCK_SKEW: u64 = 10;

/// A service account's key.
pub(super) struct ServiceAccount {
    file: String,
    email: String,
    key: RsaKeyPair,
    key_id: Option<String>,
    server: GuardedHttp,
    scope: String,
    /// The OAuth server is only in the default universe. In another one the assertion itself is the token (AIP-4111), as in Google's
    /// client libraries.
    is_self_signed: bool,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

impl ServiceAccount {
    /// Reads the fields of the file.
    ///
    /// # Errors
    /// If it can never work.
    pub fn new(fields: &Fields<'_>, request: TokenRequest<'_>) -> Result<Self, TokenError> {
        let email = fields.required("client_email")?;
        if !is_account(&email) {
            return Err(fields.wrong("client_email", "must be an email address"));
        }
        let pem = fields.secret("private_key")?;
        let key = rsa_key(pem.text()).ok_or_else(|| {
            fields.wrong(
                "private_key",
                "must be an RSA key of at least 2048 bits in PEM, starting with -----BEGIN PRIVATE KEY-----",
            )
        })?;
        Ok(Self {
            file: fields.file().to_owned(),
            email,
            key,
            key_id: fields.optional("private_key_id")?,
            server: fields.token_server("token_uri", Some(OAUTH_SERVER), request)?,
            scope: request.scopes.join(" "),
            is_self_signed: !request.universe.is_default(),
        })
    }

    async fn grant(&self) -> Result<FetchedToken, String> {
        let assertion = self.assertion(SystemTime::now())?;
        if self.is_self_signed {
            let token = Token::new(&assertion).map_err(|error| error.to_string())?;
            let life = Duration::from_secs(ASSERTION_LIFE.saturating_sub(CLOCK_SKEW));
            return Ok(FetchedToken { token, life });
        }
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", &assertion),
        ];
        let named = |why: String| format!("key grant at {}: {why}", self.server.host());
        let answer = self.server.post_form(&form, None).await.map_err(named)?;
        read_oauth(&answer, &[&assertion]).map_err(named)
    }

    /// What the key says to the OAuth server: who we are and what we want.
    fn assertion(&self, now: SystemTime) -> Result<String, String> {
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_err(|_| "this machine's clock is before 1970")?
            .as_secs()
            .saturating_sub(CLOCK_SKEW);
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let (Some(id), Some(fields)) = (&self.key_id, header.as_object_mut()) {
            fields.insert("kid".to_owned(), json!(id));
        }
        // A token names the account that it is of; a grant names the server that it is for.
        let (name, value) = if self.is_self_signed {
            ("sub", self.email.as_str())
        } else {
            ("aud", self.server.url())
        };
        let claims = json!({
            "iss": self.email,
            "scope": self.scope,
            name: value,
            "iat": now,
            "exp": now.saturating_add(ASSERTION_LIFE),
        });
        let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .map_err(|_| "the key cannot sign")?;
        Ok(format!(
            "{message}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(signature)
        ))
    }
}

impl Credential for ServiceAccount {
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>> {
        Box::pin(async { Ok(self.grant().await?) })
    }

    fn principal(&self) -> Option<String> {
        Some(self.email.clone())
    }

    fn source(&self) -> String {
        format!("the service_account file {}", self.file)
    }
}

fn rsa_key(pem: &str) -> Option<RsaKeyPair> {
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()? {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
        _ => None,
    }
}
