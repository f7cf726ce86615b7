//! Signed notes: a text, a blank line, and lines of Ed25519 signatures.
//!
//! The rule: a note's text leaves this module only after a signature by the expected key was
//! verified.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine};
use signed_note::{
    Note, Signature, StandardVerifier, VerificationError, Verifier, Verifiers, is_key_name_valid,
    key_id,
};
use thiserror::Error;

use crate::limits::{NAME_BYTES_MAX, NOTE_BYTES_MAX, VERIFIER_KEY_BYTES_MAX};

/// Signature type byte of a plain Ed25519 note signature (c2sp.org/signed-note, signature types).
const ED25519: u8 = 0x01;

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The name cannot stand in a signature line.
    #[error(
        "key name `{name}` cannot be used: it needs 1 to {NAME_BYTES_MAX} bytes without space, plus sign or control character"
    )]
    Name {
        /// The refused name, cut to the limit.
        name: String,
    },
    /// The text is not a verifier key.
    #[error(
        "verifier key cannot be read: expected `name+8 hexadecimal digits+base64` of an Ed25519 key whose digits match it"
    )]
    Verifier(#[source] Option<signed_note::VerifierError>),
    /// The seed makes no key.
    #[error("the seed was refused as an Ed25519 key")]
    Seed,
}

/// Why a note cannot be signed or believed.
#[derive(Debug, Error)]
pub enum NoteError {
    /// The note is over the limit.
    #[error("a note has at most {NOTE_BYTES_MAX} bytes, got {bytes}")]
    TooLarge {
        /// Size of the refused note.
        bytes: usize,
    },
    /// The text does not have the form of a note.
    #[error(
        "the note is malformed: expected text ending in a newline, a blank line, then signature lines"
    )]
    Malformed(#[source] Option<signed_note::NoteError>),
    /// No signature names the expected key.
    #[error("the note is not signed by `{key}`")]
    Unsigned {
        /// The expected verifier key.
        key: String,
    },
    /// A signature names the expected key and is not by it.
    #[error("the signature by `{key}` does not match the note's text, it was changed or forged")]
    BadSignature {
        /// The expected verifier key.
        key: String,
    },
}

/// The public key of a log, with the name under which it signs.
///
/// Written and read as `name+keyid+base64`, the form that other C2SP tools take.
#[derive(Clone)]
pub struct VerifierKey {
    public_key: [u8; 32],
    verifier: StandardVerifier,
}

impl VerifierKey {
    /// Names an Ed25519 public key.
    ///
    /// - `name`: 1..=255 bytes, no Unicode space, plus sign or control character; for a log, its origin.
    /// - `public_key`: as in RFC 8032 §5.1.5.
    ///
    /// # Errors
    /// [`KeyError::Name`]; [`KeyError::Verifier`] if the bytes are no point of the curve.
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let verifier = StandardVerifier::new(&vkey(name, public_key))
            .map_err(|error| KeyError::Verifier(Some(error)))?;
        Ok(Self {
            public_key: *public_key,
            verifier,
        })
    }

    /// Name of the key; for a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// The 32-bit key id that signature lines carry. It identifies, it does not authenticate.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.verifier.key_id()
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Verifier(None);
        if text.len() > VERIFIER_KEY_BYTES_MAX {
            return Err(malformed());
        }
        StandardVerifier::new(text).map_err(|error| KeyError::Verifier(Some(error)))?;
        // Base64 may hold plus signs itself: only the first two of the text divide it.
        let mut parts = text.splitn(3, '+');
        let (name, _, encoded) = (parts.next(), parts.next(), parts.next());
        let key = encoded.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        let public_key = key.as_deref().and_then(|key| key.strip_prefix(&[ED25519]));
        let public_key: &[u8; 32] = public_key
            .and_then(|key| key.try_into().ok())
            .ok_or_else(malformed)?;
        Self::new(name.ok_or_else(malformed)?, public_key)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&vkey(self.name(), &self.public_key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.public_key == other.public_key
    }
}

impl Eq for VerifierKey {}

impl Verifiers for VerifierKey {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        if name == self.name() && id == self.id() {
            return Ok(&self.verifier);
        }
        Err(VerificationError::UnknownKey {
            name: name.to_owned(),
            id,
        })
    }
}

/// The private key of a log. It cannot be copied, shown or serialised.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl SigningKey {
    /// Makes the key of a log from its secret.
    ///
    /// - `seed`: 32 bytes of entropy (RFC 8032 §5.1.5); the caller keeps and wipes them.
    /// - `name`: as for [`VerifierKey::new`].
    ///
    /// # Errors
    /// [`KeyError::Name`]; [`KeyError::Seed`].
    pub fn from_seed(seed: &[u8; 32], name: &str) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Seed)?;
        let public_key = pair.public_key().as_ref();
        let public_key: &[u8; 32] = public_key.try_into().map_err(|_| KeyError::Seed)?;
        let verifier = VerifierKey::new(name, public_key)?;
        Ok(Self { pair, verifier })
    }

    /// The public half, to be given away.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

/// Signs `text` and returns the note.
///
/// Source: c2sp.org/signed-note.
///
/// - `text`: ends in a newline, holds no other control character.
///
/// # Errors
/// [`NoteError::TooLarge`]; [`NoteError::Malformed`] if `text` cannot be the text of a note.
pub fn sign_note(key: &SigningKey, text: &str) -> Result<String, NoteError> {
    let malformed = |error| NoteError::Malformed(Some(error));
    let signature = key.pair.sign(text.as_bytes()).as_ref().to_vec();
    let (name, id) = (key.verifier.name().to_owned(), key.verifier.id());
    let signature = Signature::new(name, id, signature).map_err(malformed)?;
    let note = Note::new(text.as_bytes(), &[signature]).map_err(malformed)?;
    let note = String::from_utf8(note.to_bytes()).map_err(|_| NoteError::Malformed(None))?;
    fits(&note)?;
    Ok(note)
}

/// Returns the text of a note that `key` signed. Signatures by other keys are ignored; one that
/// claims to be by `key` and is not spoils the note.
///
/// Source: c2sp.org/signed-note.
///
/// # Errors
/// [`NoteError::TooLarge`]; [`NoteError::Malformed`]; [`NoteError::Unsigned`];
/// [`NoteError::BadSignature`].
pub fn open_note(note: &str, key: &VerifierKey) -> Result<String, NoteError> {
    use signed_note::NoteError as Refused;

    fits(note)?;
    let malformed = |error| NoteError::Malformed(Some(error));
    let note = Note::from_bytes(note.as_bytes()).map_err(malformed)?;
    note.verify(key).map_err(|error| match error {
        Refused::UnverifiedNote => NoteError::Unsigned {
            key: key.to_string(),
        },
        Refused::InvalidSignature { .. } => NoteError::BadSignature {
            key: key.to_string(),
        },
        other => NoteError::Malformed(Some(other)),
    })?;
    String::from_utf8(note.text().to_vec()).map_err(|_| NoteError::Malformed(None))
}

fn fits(note: &str) -> Result<(), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLarge { bytes: note.len() });
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), KeyError> {
    // A control character would make every note of this key unreadable.
    let fine = is_key_name_valid(name) && !name.chars().any(char::is_control);
    if fine && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let name = name.chars().take(NAME_BYTES_MAX).collect();
    Err(KeyError::Name { name })
}

fn vkey(name: &str, public_key: &[u8; 32]) -> String {
    let typed = [&[ED25519], public_key.as_slice()].concat();
    let id = key_id(name, &typed);
    format!("{name}+{id:08x}+{}", BASE64_STANDARD.encode(typed))
}

#[cfg(test)]
mod tests;
