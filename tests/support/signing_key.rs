//! A key that signs what identity providers and service accounts sign. It opens nothing: it was made for these tests alone.
#![allow(dead_code, clippy::unwrap_used)]

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use operations_emulator::json_web_token::{Key, KeySet};
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The private key, as credential files hold it.
pub const PEM: &str = include_str!("throwaway_rsa_key.pem");

fn key() -> RsaKeyPair {
    let der = PrivatePkcs8KeyDer::from_pem_slice(PEM.as_bytes()).unwrap();
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap()
}

/// The public half, as issuers publish it.
pub fn jwks() -> KeySet {
    let public: PublicKeyComponents<Vec<u8>> = key().public_key().into();
    let key = Key {
        kty: "RSA".to_owned(),
        kid: Some("throwaway".to_owned()),
        n: Some(BASE64_URL_SAFE_NO_PAD.encode(public.n)),
        e: Some(BASE64_URL_SAFE_NO_PAD.encode(public.e)),
        ..Key::default()
    };
    KeySet { keys: vec![key] }
}

/// A token that is good for ten minutes, with these claims besides.
pub fn jwt(claims: &Value) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut all = json!({"iat": now, "exp": now + 600});
    let fields = all.as_object_mut().unwrap();
    fields.extend(claims.as_object().unwrap().clone());
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "throwaway"});
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(&header), part(&all));
    let key = key();
    let mut signature = vec![0; key.public().modulus_len()];
    let random = SystemRandom::new();
    key.sign(
        &RSA_PKCS1_SHA256,
        &random,
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
