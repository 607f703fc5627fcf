//! JSON web tokens as identity providers sign them (RFC 7515, 7517, 7519), with RS256 or ES256, which Google's STS accepts.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Public keys as an issuer publishes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeySet {
    /// The keys.
    pub keys: Vec<Key>,
}

/// One public key; its fields depend on `kty`. Unknown fields are ignored, as the RFC requires.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Key {
    /// `RSA` or `EC`.
    pub kty: String,
    /// The key's id.
    pub kid: Option<String>,
    /// Modulus of an RSA key, base64url.
    pub n: Option<String>,
    /// Exponent of an RSA key, base64url.
    pub e: Option<String>,
    /// First coordinate of a P-256 key, base64url.
    pub x: Option<String>,
    /// Second coordinate of a P-256 key, base64url.
    pub y: Option<String>,
}

/// A parsed token. Nothing in it is verified yet.
#[derive(Debug)]
pub struct JsonWebToken<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    header: Value,
    claims: Value,
}

impl<'a> JsonWebToken<'a> {
    /// Parses a token.
    ///
    /// # Errors
    /// If the text is not a JSON web token.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let wrong = "The token is not a JSON web token.";
        let (signed, signature) = text.rsplit_once('.').ok_or(wrong)?;
        let (header, claims) = signed.split_once('.').ok_or(wrong)?;
        let json = |part: &str| -> Option<Value> {
            let value: Value = serde_json::from_slice(&decoded(part)?).ok()?;
            value.is_object().then_some(value)
        };
        Ok(Self {
            signed,
            signature: decoded(signature).ok_or(wrong)?,
            header: json(header).ok_or(wrong)?,
            claims: json(claims).ok_or(wrong)?,
        })
    }

    /// A claim that is a string.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// Whether one of the audiences is acceptable.
    pub fn is_for(&self, acceptable: impl Fn(&str) -> bool) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(audience)) => acceptable(audience),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(acceptable),
            _ => false,
        }
    }

    /// Checks that the token is valid now, by its `iat`, `nbf` and `exp`.
    ///
    /// # Errors
    /// A message in the style of Google's.
    pub fn check_times(&self, now: Timestamp) -> Result<(), &'static str> {
        let second = |name: &str| self.claims.get(name).and_then(Value::as_i64);
        let (Some(issued), Some(ends)) = (second("iat"), second("exp")) else {
            return Err("The token must have the claims iat and exp.");
        };
        if ends <= now.as_second() {
            return Err("The token has expired.");
        }
        if issued > now.as_second() + 60
            || second("nbf").is_some_and(|from| from > now.as_second() + 60)
        {
            return Err("The token is not good yet.");
        }
        Ok(())
    }

    /// Checks that one of the keys signed it.
    ///
    /// # Errors
    /// A message in the style of Google's.
    pub fn check_signature(&self, keys: &KeySet) -> Result<(), &'static str> {
        let text = |name: &str| self.header.get(name).and_then(Value::as_str);
        let (algorithm, id) = (text("alg").unwrap_or_default(), text("kid"));
        let named = |key: &&Key| id.is_none() || key.kid.as_deref() == id;
        let mut candidates = keys.keys.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err("The token was signed by a key that its issuer does not have.");
        }
        if candidates.any(|key| key.verifies(algorithm, self.signed.as_bytes(), &self.signature)) {
            Ok(())
        } else {
            Err("The token's signature is wrong.")
        }
    }
}

impl Key {
    fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let part = |text: &Option<String>| text.as_deref().and_then(decoded).unwrap_or_default();
        match (algorithm, self.kty.as_str()) {
            ("RS256", "RSA") => {
                let (n, e) = (part(&self.n), part(&self.e));
                RsaPublicKeyComponents { n, e }
                    .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                    .is_ok()
            }
            ("ES256", "EC") => {
                // 4 says that both coordinates follow (SEC 1, section 2.3.3).
                let point = [vec![4], part(&self.x), part(&self.y)].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }
            _ => false,
        }
    }
}

fn decoded(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}
