//! Secrets for people: personal tokens, enrolment links, the first administrator's token.
//!
//! ```text
//! rmt_pat_ + base64url( 32 secret bytes + first 4 bytes of SHA-256( "rmt_pat_" + secret bytes ) )
//! 8 characters + 48 characters; as a pattern: rmt_(pat|enr|adm|ses|scm|sig)_[A-Za-z0-9_-]{48}
//! ```
//!
//! The prefix lets scanners find a leaked one, the check digits let them be sure without asking us, and both let us
//! refuse a typing error without a look-up. Only a digest is ever stored. The secret has 256 random bits, so a plain
//! hash is as good as a slow one.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;
/// 36 bytes are 48 characters with nothing left over.
const BODY_CHARACTERS: usize = 48;
/// What all kinds start with.
const FAMILY: &str = "rmt_";

/// What a secret is for. One kind never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// A person's API token.
    PersonalToken,
    /// The code in a single-use enrolment link.
    Enrolment,
    /// The first administrator's token.
    AdminBootstrap,
    /// A person's session with a browser.
    Session,
    /// The token of a client of the SCIM interface.
    Scim,
    /// The token of somebody who hears or tells signals.
    Signal,
}

impl SecretKind {
    const ALL: [Self; 6] = [
        Self::PersonalToken,
        Self::Enrolment,
        Self::AdminBootstrap,
        Self::Session,
        Self::Scim,
        Self::Signal,
    ];

    /// The prefix on the wire, 8 characters.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::PersonalToken => "rmt_pat_",
            Self::Enrolment => "rmt_enr_",
            Self::AdminBootstrap => "rmt_adm_",
            Self::Session => "rmt_ses_",
            Self::Scim => "rmt_scm_",
            Self::Signal => "rmt_sig_",
        }
    }
}

/// Why a secret was refused. Never says what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpaqueSecretError {
    /// No known prefix, or the wrong length or characters.
    #[error("not a Remit token; it starts with `rmt_` and was shown once when it was made")]
    Malformed,
    /// The check digits do not fit: cut off or mistyped.
    #[error("the token is incomplete or mistyped; copy it again")]
    Checksum,
    /// A secret of another kind.
    #[error("this is another kind of token; a `{expected}…` is needed")]
    WrongKind {
        /// The prefix of the kind that is needed.
        expected: &'static str,
    },
}

/// A secret of 32 random bytes and its kind. Wiped when dropped, never printed.
pub struct OpaqueSecret {
    kind: SecretKind,
    bytes: Zeroizing<[u8; SECRET_BYTES]>,
}

impl OpaqueSecret {
    /// Makes a secret of `bytes`, which must come from a cryptographic source.
    #[must_use]
    pub fn new(kind: SecretKind, bytes: [u8; SECRET_BYTES]) -> Self {
        Self {
            kind,
            bytes: Zeroizing::new(bytes),
        }
    }

    /// Reads the wire form, of any kind.
    ///
    /// # Errors
    /// `Malformed`, `Checksum`.
    pub fn parse(text: &str) -> Result<Self, OpaqueSecretError> {
        let malformed = OpaqueSecretError::Malformed;
        let (kind, body) = SecretKind::ALL
            .into_iter()
            .find_map(|kind| text.strip_prefix(kind.prefix()).map(|body| (kind, body)))
            .ok_or(malformed)?;
        if body.len() != BODY_CHARACTERS {
            return Err(malformed);
        }
        let decoded = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| malformed)?);
        let (secret, check) = decoded.split_at_checked(SECRET_BYTES).ok_or(malformed)?;
        let bytes = Zeroizing::new(<[u8; SECRET_BYTES]>::try_from(secret).map_err(|_| malformed)?);
        let secret = Self { kind, bytes };
        if secret.check().ct_eq(check).into() {
            Ok(secret)
        } else {
            Err(OpaqueSecretError::Checksum)
        }
    }

    /// Reads the wire form of one kind.
    ///
    /// # Errors
    /// `Malformed`, `Checksum`, `WrongKind`.
    pub fn parse_kind(text: &str, kind: SecretKind) -> Result<Self, OpaqueSecretError> {
        let secret = Self::parse(text)?;
        if secret.kind == kind {
            Ok(secret)
        } else {
            Err(OpaqueSecretError::WrongKind {
                expected: kind.prefix(),
            })
        }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> SecretKind {
        self.kind
    }

    /// The wire form, to be shown once.
    #[must_use]
    pub fn format(&self) -> Zeroizing<String> {
        let body = Zeroizing::new([self.bytes.as_slice(), &self.check()].concat());
        let body = Zeroizing::new(URL_SAFE_NO_PAD.encode(body.as_slice()));
        Zeroizing::new(format!("{}{}", self.kind.prefix(), body.as_str()))
    }

    /// What is stored and looked up: SHA-256 over prefix and secret bytes.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        // Its own domain, so that the check digits are no part of the stored value.
        SecretDigest(self.hash(b"remit-secret-digest:"))
    }

    fn check(&self) -> [u8; CHECK_BYTES] {
        let [a, b, c, d, ..] = self.hash(b"");
        [a, b, c, d]
    }

    fn hash(&self, domain: &[u8]) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(domain);
        context.update(self.kind.prefix().as_bytes());
        context.update(self.bytes.as_slice());
        let mut out = [0; 32];
        // SHA-256 has 32 bytes.
        out.copy_from_slice(context.finish().as_ref());
        out
    }
}

impl fmt::Debug for OpaqueSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpaqueSecret")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The stored digest of a secret. Compared in constant time.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// A digest from the store.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretDigest {}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// Whether `text` looks like one of ours, valid or not.
#[must_use]
pub fn has_prefix(text: &str) -> bool {
    text.starts_with(FAMILY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(kind: SecretKind) -> OpaqueSecret {
        OpaqueSecret::new(kind, [7; 32])
    }

    #[test]
    fn the_form_is_what_scanners_look_for() {
        for kind in SecretKind::ALL {
            let text = secret(kind).format();
            assert_eq!(text.len(), 56);
            let body = text.strip_prefix(kind.prefix()).unwrap();
            assert!(
                body.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            );
            assert!(has_prefix(&text));
        }
        // Made with Python: base64url(b + sha256(b"rmt_pat_" + b)[:4]) where b is 32 times 7.
        let expected = "rmt_pat_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc53rX1";
        let text = secret(SecretKind::PersonalToken).format();
        assert_eq!(text.as_str(), expected);
    }

    #[test]
    fn one_kind_does_not_pass_for_another() {
        let text = secret(SecretKind::Enrolment).format();
        let error = OpaqueSecret::parse_kind(&text, SecretKind::PersonalToken).unwrap_err();
        assert_eq!(
            error,
            OpaqueSecretError::WrongKind {
                expected: "rmt_pat_"
            }
        );
        let renamed = text.replace("rmt_enr_", "rmt_pat_");
        assert_eq!(
            OpaqueSecret::parse(&renamed).unwrap_err(),
            OpaqueSecretError::Checksum
        );
        let digests = SecretKind::ALL.map(|kind| secret(kind).digest());
        assert!(digests[0] != digests[1] && digests[1] != digests[2]);
    }

    #[test]
    fn what_is_shown_or_stored_is_not_the_secret() {
        let secret = secret(SecretKind::PersonalToken);
        let text = secret.format();
        assert_eq!(
            format!("{secret:?}"),
            "OpaqueSecret { kind: PersonalToken, .. }"
        );
        assert_eq!(format!("{:?}", secret.digest()), "SecretDigest(..)");
        let check = URL_SAFE_NO_PAD.decode(&text[8..]).unwrap().split_off(32);
        assert!(
            !secret
                .digest()
                .as_bytes()
                .windows(4)
                .any(|window| window == check)
        );
    }

    #[test]
    fn other_text_is_refused() {
        let good = secret(SecretKind::PersonalToken).format();
        let body = good.strip_prefix("rmt_pat_").unwrap();
        for bad in [
            String::new(),
            "rmt_".into(),
            "rmt_pat_".into(),
            body.into(),
            format!("rmt_xyz_{body}"),
            format!("RMT_PAT_{body}"),
            format!("{}=", good.as_str()),
            format!(" {}", good.as_str()),
            good[..55].into(),
        ] {
            assert_eq!(
                OpaqueSecret::parse(&bad).unwrap_err(),
                OpaqueSecretError::Malformed,
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in any::<[u8; 32]>()) {
            let secret = OpaqueSecret::new(SecretKind::PersonalToken, bytes);
            let again = OpaqueSecret::parse_kind(&secret.format(), SecretKind::PersonalToken).unwrap();
            prop_assert_eq!(again.digest(), secret.digest());
            prop_assert_eq!(again.format(), secret.format());
        }

        #[test]
        fn a_changed_character_is_noticed(bytes in any::<[u8; 32]>(), at in 8usize..56, to in "[A-Za-z0-9_-]") {
            let good = OpaqueSecret::new(SecretKind::PersonalToken, bytes).format();
            let mut bad = good.as_str().to_owned();
            bad.replace_range(at..=at, &to);
            prop_assume!(bad != *good);
            prop_assert!(OpaqueSecret::parse(&bad).is_err());
        }
    }
}
