//! Keys and forged tokens for the tests of this crate.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

use crate::keys::SigningKey;

pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn pkcs8() -> Vec<u8> {
    let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
    EcdsaKeyPair::generate_pkcs8(alg, &SystemRandom::new())
        .unwrap()
        .as_ref()
        .to_vec()
}

pub(crate) fn pkcs8_pem() -> String {
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(pkcs8())
    )
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_pkcs8(&pkcs8()).unwrap()
}

/// The signing input of a token with any header and any claims.
pub(crate) fn unsigned(header: &str, claims: &str) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    )
}

/// A token with any header and claims text, whose signature by `key` is good.
pub(crate) fn forge_text(header: &str, claims: &str, key: &SigningKey) -> String {
    let message = unsigned(header, claims);
    format!("{message}.{}", key.sign(message.as_bytes()).unwrap())
}

pub(crate) fn forge(header: &Value, claims: &Value, key: &SigningKey) -> String {
    forge_text(&header.to_string(), &claims.to_string(), key)
}

/// A token MACed with `secret` under HS256.
pub(crate) fn forge_hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = unsigned(&header.to_string(), &claims.to_string());
    let key = EncodingKey::from_secret(secret);
    let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{mac}")
}

/// Header and claims of `token`, unverified.
pub(crate) fn parts(token: &str) -> (Value, Value) {
    let mut parts = token
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

/// `base` with `changes` laid over it; a null removes the member.
pub(crate) fn with(base: &Value, changes: Value) -> Value {
    let mut out = base.clone();
    let Value::Object(changes) = changes else {
        panic!("changes are an object")
    };
    for (name, value) in changes {
        if value.is_null() {
            out.as_object_mut().unwrap().remove(&name);
        } else {
            out[name] = value;
        }
    }
    out
}
