//! Self-signed tokens of service accounts, which Google's APIs accept like access tokens (AIP-4111). Google's client libraries
//! create them from a key file without any request.

use http::HeaderValue;
use jiff::Timestamp;

use crate::{
    protocol::json_web_token::JsonWebToken, scenario::credentials::ServiceAccountKeys,
    tokens::TokenCheck,
};

/// The required audience: the only service here.
const SERVICE: &str = "https://dialogflow.googleapis.com/";

/// Scopes that such a token may have instead of an audience.
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/dialogflow",
];

/// The ID of such a token in records.
const ID: &str = "self-signed";

/// Checks such a token; `None` if it is not one.
pub(crate) fn check(
    accounts: &[ServiceAccountKeys],
    authorization: Option<&HeaderValue>,
    now: Timestamp,
) -> Option<TokenCheck> {
    let (_, text) = authorization?.to_str().ok()?.split_once(' ')?;
    let token = JsonWebToken::parse(text).ok()?;
    let email = token.claim("iss")?;
    let account = accounts.iter().find(|account| account.email == email)?;
    token.check_signature(&account.jwks).ok()?;
    // It must have one of the two.
    let scopes = token.claim("scope").unwrap_or_default();
    let scopes: Vec<_> = scopes.split_whitespace().map(str::to_owned).collect();
    let meant = match scopes.is_empty() {
        true => token.is_for(|audience| audience == SERVICE),
        false => scopes.iter().any(|scope| SCOPES.contains(&scope.as_str())),
    };
    if !meant || token.claim("sub") != Some(email) {
        return None;
    }
    Some(match token.check_times(now) {
        Ok(()) => TokenCheck::Valid {
            id: ID.to_owned(),
            principal: email.to_owned(),
            scopes,
        },
        Err(_) => TokenCheck::Expired { id: ID.to_owned() },
    })
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::json_web_token::{Key, KeySet};

    const EMAIL: &str = "keyed@p.iam.gserviceaccount.com";

    fn signed(key: &EcdsaKeyPair, claims: &Value) -> HeaderValue {
        let part = |json: &Value| BASE64.encode(json.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "ES256"})), part(claims));
        let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        let token = format!("Bearer {message}.{}", BASE64.encode(signature));
        token.parse().unwrap()
    }

    fn key() -> EcdsaKeyPair {
        let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap()
    }

    #[test]
    fn is_taken_if_the_key_is_the_account_s_and_the_token_is_for_the_service() {
        let (own, stranger) = (key(), key());
        let point = own.public_key().as_ref();
        let public = Key {
            kty: "EC".into(),
            x: Some(BASE64.encode(&point[1..33])),
            y: Some(BASE64.encode(&point[33..])),
            ..Key::default()
        };
        let accounts = [ServiceAccountKeys {
            email: EMAIL.into(),
            jwks: KeySet { keys: vec![public] },
        }];
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let check = |key: &EcdsaKeyPair, changes: Value| {
            let mut claims = json!({
                "iss": EMAIL, "sub": EMAIL, "aud": SERVICE,
                "iat": now.as_second(), "exp": now.as_second() + 3600,
            });
            let fields = changes.as_object().unwrap().clone();
            claims.as_object_mut().unwrap().extend(fields);
            super::check(&accounts, Some(&signed(key, &claims)), now)
        };
        for good in [
            json!({}),
            json!({"aud": null, "scope": "a https://www.googleapis.com/auth/dialogflow"}),
        ] {
            let Some(TokenCheck::Valid { principal, .. }) = check(&own, good.clone()) else {
                panic!("{good}")
            };
            assert_eq!(principal, EMAIL);
        }
        let expired = check(&own, json!({"exp": now.as_second()}));
        assert_eq!(expired, Some(TokenCheck::Expired { id: ID.into() }));
        for wrong in [
            json!({"aud": "https://speech.googleapis.com/"}),
            json!({"scope": "https://www.googleapis.com/auth/devstorage.read_only"}),
            json!({"sub": "other"}),
            json!({"iss": "other"}),
        ] {
            assert_eq!(check(&own, wrong.clone()), None, "{wrong}");
        }
        assert_eq!(check(&stranger, json!({})), None);
        assert_eq!(super::check(&accounts, None, now), None);
    }
}
