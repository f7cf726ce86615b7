//! Sealing an event: commitments into the leaf, content under a data key beside it.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_domain::OrgId;
use remit_domain::event::Event;
use remit_mcp::canonical::{EncodeError, jcs_value};
use serde::Deserialize;
use serde_json::Value;

use crate::leaf::LeafError;
use crate::{Leaf, NewEntry};

/// Largest sealed body, in bytes: one call's largest arguments and their facts.
pub const BODY_BYTES_MAX: usize = 4 * 1_048_576;

/// The key that seals the bodies of one shred scope; destroying it destroys their content.
pub struct DataKey(LessSafeKey);

impl DataKey {
    /// From 32 secret bytes.
    ///
    /// # Errors
    /// When the cipher cannot be set up.
    pub fn new(bytes: &[u8; 32]) -> Result<Self, SealError> {
        UnboundKey::new(&AES_256_GCM, bytes)
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| SealError::Cipher)
    }

    /// Seals content that is no entry's body: `nonce (12 bytes) | AES-256-GCM ciphertext | tag (16 bytes)`.
    ///
    /// - `context`: what it is sealed in and for; authenticated, not secret.
    /// - `nonce`: 12 random bytes, never used with this key before.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal(
        &self,
        plain: &[u8],
        context: &[u8],
        nonce: [u8; NONCE_LEN],
    ) -> Result<Vec<u8>, SealError> {
        let mut bytes = plain.to_vec();
        let used = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(used, Aad::from(context), &mut bytes)
            .map_err(|_| SealError::Cipher)?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut bytes);
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] made for the same context.
    ///
    /// # Errors
    /// `Cipher` for another key, another context or changed bytes.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, ciphertext) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or(SealError::Cipher)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Cipher)?;
        let mut bytes = ciphertext.to_vec();
        // Opened where it is, so that there is one copy of it.
        let plain = self
            .0
            .open_in_place(nonce, Aad::from(context), &mut bytes)
            .map_err(|_| SealError::Cipher)?
            .len();
        bytes.truncate(plain);
        Ok(bytes)
    }
}

/// What is sealed beside a leaf.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Body {
    /// Key of the commitments, base64url of 32 bytes.
    salt: String,
    /// What the leaf commits to.
    pub content: BTreeMap<String, Value>,
}

/// Why an event cannot be sealed, or a body not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It does not fit a leaf.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// It does not fit a body.
    #[error("the content has {0} bytes; at most 4 MiB are permitted")]
    TooLarge(usize),
    /// The cipher failed: wrong key, or changed bytes.
    #[error("the sealed body does not open: another key, or changed bytes")]
    Cipher,
    /// The opened body is not what the leaf commits to.
    #[error("the sealed content `{0}` is not what the leaf commits to")]
    Commitment(String),
    /// The content is not JSON.
    #[error("the sealed content cannot be read")]
    Json(#[from] serde_json::Error),
    /// The content has no canonical form.
    #[error("the content cannot be written")]
    Canonical(#[from] EncodeError),
}

/// Turns an event into an entry.
///
/// - `key`: data key of the event's shred scope.
/// - `salt`: 32 random bytes, never used for another entry.
/// - `nonce`: 12 random bytes, never used with `key` before (a random nonce is good for 2^32 entries a key).
///
/// # Errors
/// When facts do not fit a leaf or content not a body.
pub fn seal(
    org: &OrgId,
    event: &Event,
    key: &DataKey,
    salt: [u8; 32],
    nonce: [u8; NONCE_LEN],
) -> Result<NewEntry, SealError> {
    let mac = hmac::Key::new(hmac::HMAC_SHA256, &salt);
    let mut commit = BTreeMap::new();
    // Each member is written once, for its commitment and for the body.
    let mut members = Vec::with_capacity(event.content.len());
    for (name, value) in &event.content {
        let text = jcs_value(value)?;
        let tag = commitment(&mac, name, &text)?;
        commit.insert(name.clone(), URL_SAFE_NO_PAD.encode(tag));
        members.push((name.as_str(), text));
    }
    let leaf = Leaf {
        v: 1,
        org: org.clone(),
        kind: event.kind,
        at: event.at,
        actor: event.actor.clone(),
        subject: event.subject.clone(),
        agent: event.agent.clone(),
        run: event.run.clone(),
        decision: event.decision.clone(),
        facts: event.facts.clone(),
        commit,
    };
    let leaf = leaf.encode()?;
    let sealed = if event.content.is_empty() {
        Vec::new()
    } else {
        seal_body(&members, &leaf, key, salt, nonce)?
    };
    Ok(NewEntry {
        kind: event.kind,
        at: event.at,
        agent: event.agent.clone(),
        run: event.run.clone(),
        decision: event.decision.clone(),
        leaf,
        sealed,
    })
}

fn seal_body(
    members: &[(&str, String)],
    leaf: &[u8],
    key: &DataKey,
    salt: [u8; 32],
    nonce: [u8; NONCE_LEN],
) -> Result<Vec<u8>, SealError> {
    let mut bytes = body_bytes(members, salt)?;
    if bytes.len() > BODY_BYTES_MAX {
        return Err(SealError::TooLarge(bytes.len()));
    }
    let aad = Aad::from(digest::digest(&digest::SHA256, leaf));
    let used = Nonce::assume_unique_for_key(nonce);
    key.0
        .seal_in_place_append_tag(used, aad, &mut bytes)
        .map_err(|_| SealError::Cipher)?;
    let mut sealed = nonce.to_vec();
    sealed.append(&mut bytes);
    Ok(sealed)
}

/// A [`Body`] as JSON, of members that are JSON already.
fn body_bytes(members: &[(&str, String)], salt: [u8; 32]) -> Result<Vec<u8>, SealError> {
    let size: usize = members.iter().map(|(n, text)| n.len() + text.len()).sum();
    let mut bytes = Vec::with_capacity(size + 16 * members.len() + 96);
    bytes.extend_from_slice(b"{\"content\":{");
    for (n, (name, text)) in members.iter().enumerate() {
        if n > 0 {
            bytes.push(b',');
        }
        serde_json::to_writer(&mut bytes, name)?;
        bytes.push(b':');
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(b"},\"salt\":\"");
    bytes.extend_from_slice(URL_SAFE_NO_PAD.encode(salt).as_bytes());
    bytes.extend_from_slice(b"\"}");
    Ok(bytes)
}

/// Opens the body sealed beside `leaf` and holds it against the leaf's commitments.
///
/// # Errors
/// `Cipher` for another key or changed bytes, `Commitment` when the content is not what the leaf commits to.
pub fn open(leaf: &[u8], sealed: &[u8], key: &DataKey) -> Result<Body, SealError> {
    let (nonce, ciphertext) = sealed
        .split_at_checked(NONCE_LEN)
        .ok_or(SealError::Cipher)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Cipher)?;
    let aad = Aad::from(digest::digest(&digest::SHA256, leaf));
    let mut bytes = ciphertext.to_vec();
    let plain = key
        .0
        .open_in_place(nonce, aad, &mut bytes)
        .map_err(|_| SealError::Cipher)?;
    let body: Body = serde_json::from_slice(plain)?;
    let leaf = Leaf::parse(leaf)?;
    let salt = URL_SAFE_NO_PAD
        .decode(&body.salt)
        .map_err(|_| SealError::Cipher)?;
    let mac = hmac::Key::new(hmac::HMAC_SHA256, &salt);
    if leaf.commit.len() != body.content.len() {
        return Err(SealError::Commitment("number of members".to_owned()));
    }
    for (name, value) in &body.content {
        let wrong = || SealError::Commitment(name.clone());
        let stated = leaf.commit.get(name).ok_or_else(wrong)?;
        let stated = URL_SAFE_NO_PAD.decode(stated).map_err(|_| wrong())?;
        constant_time::verify_slices_are_equal(
            &stated,
            &commitment(&mac, name, &jcs_value(value)?)?,
        )
        .map_err(|_| wrong())?;
    }
    Ok(body)
}

/// - `text`: the member's RFC 8785 text.
fn commitment(mac: &hmac::Key, name: &str, text: &str) -> Result<[u8; 32], SealError> {
    let mut context = hmac::Context::with_key(mac);
    context.update(name.as_bytes());
    context.update(&[0]);
    context.update(text.as_bytes());
    let tag = context.sign();
    tag.as_ref().try_into().map_err(|_| SealError::Cipher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use remit_domain::event::EventKind;
    use remit_domain::{Principal, Timestamp};

    fn org() -> OrgId {
        "org_00000000000000000000000000".parse().unwrap()
    }

    fn event(text: &str) -> Event {
        Event::new(
            EventKind::CallDecided,
            Timestamp::from_secs(1),
            Principal::Remit,
        )
        .fact("effect", "read")
        .content("args", serde_json::json!({ "q": text }))
    }

    fn key(byte: u8) -> DataKey {
        DataKey::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_leaf_holds_no_content_in_clear() {
        let entry = seal(
            &org(),
            &event("maria@acme.example"),
            &key(1),
            [2; 32],
            [3; 12],
        )
        .unwrap();
        assert!(!String::from_utf8_lossy(&entry.leaf).contains("maria"));
        assert!(!String::from_utf8_lossy(&entry.sealed).contains("maria"));
        assert_eq!(
            open(&entry.leaf, &entry.sealed, &key(1)).unwrap().content["args"]["q"],
            "maria@acme.example"
        );
    }

    #[test]
    fn another_key_or_another_leaf_does_not_open_it() {
        let a = seal(&org(), &event("a"), &key(1), [2; 32], [3; 12]).unwrap();
        let b = seal(&org(), &event("b"), &key(1), [4; 32], [5; 12]).unwrap();
        assert!(matches!(
            open(&a.leaf, &a.sealed, &key(9)),
            Err(SealError::Cipher)
        ));
        assert!(matches!(
            open(&b.leaf, &a.sealed, &key(1)),
            Err(SealError::Cipher)
        ));
    }

    #[test]
    fn facts_that_do_not_fit_a_leaf_are_refused() {
        let large = event("x").fact("too_much", "x".repeat(5_000));
        assert!(matches!(
            seal(&org(), &large, &key(1), [0; 32], [0; 12]),
            Err(SealError::Leaf(LeafError::TooLarge(_)))
        ));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_never_opens(at in 0usize..200, bit in 0u8..8) {
            let entry = seal(&org(), &event("some content"), &key(1), [2; 32], [3; 12]).unwrap();
            let mut sealed = entry.sealed.clone();
            let at = at % sealed.len();
            sealed[at] ^= 1 << bit;
            prop_assert!(open(&entry.leaf, &sealed, &key(1)).is_err());
        }
    }
}
