//! The private key that signs, here or elsewhere: ES256 only.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroize;

use super::{KeyError, PublicJwk, Thumbprint};
use crate::limits::PEM_BYTES_MAX;

/// Signs a message with ECDSA on P-256 and SHA-256: the 64 bytes of R and S (RFC 7518 §3.4); none where it cannot be done.
pub type Es256Sign = dyn Fn(&[u8]) -> Option<[u8; 64]> + Send + Sync;

/// Where a key is.
enum Held {
    /// Here. Wiped on drop by the library.
    Here(EncodingKey),
    /// Where only its signatures come from.
    Elsewhere(Box<Es256Sign>),
}

/// A P-256 private key. It cannot be printed, copied or serialised, and is wiped when dropped.
pub struct SigningKey {
    held: Held,
    public: PublicJwk,
    kid: Thumbprint,
}

impl SigningKey {
    /// Reads an unencrypted PKCS#8 key in DER; checks that its parts belong together.
    ///
    /// # Errors
    /// `PrivateKeyUnreadable` for anything but a P-256 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map_err(|_| KeyError::PrivateKeyUnreadable)?;
        let public = PublicJwk::from_p256_point(pair.public_key().as_ref())?;
        Ok(Self {
            held: Held::Here(EncodingKey::from_ec_der(der)),
            kid: public.thumbprint(),
            public,
        })
    }

    /// A key that is held elsewhere, in a hardware module for instance.
    ///
    /// - `point`: its public half, uncompressed (SEC 1 §2.3.3): 65 bytes.
    /// - `sign`: asks whoever holds it. It may wait; it is called once for each token.
    ///
    /// # Errors
    /// `Unsupported`, `Malformed` for what is no point of P-256.
    pub fn elsewhere(point: &[u8], sign: Box<Es256Sign>) -> Result<Self, KeyError> {
        let public = PublicJwk::from_p256_point(point)?;
        Ok(Self {
            held: Held::Elsewhere(sign),
            kid: public.thumbprint(),
            public,
        })
    }

    /// The signature of a message, base64url.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<String> {
        match &self.held {
            Held::Here(key) => jsonwebtoken::crypto::sign(message, key, Algorithm::ES256).ok(),
            Held::Elsewhere(sign) => sign(message).map(|made| URL_SAFE_NO_PAD.encode(made)),
        }
    }

    /// Reads the first PEM block `PRIVATE KEY` (PKCS#8).
    ///
    /// # Errors
    /// `TooLarge`, `PrivateKeyUnreadable`.
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, KeyError> {
        if text.len() > PEM_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        let mut der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| KeyError::PrivateKeyUnreadable)?;
        let key = Self::from_pkcs8(der.secret_pkcs8_der());
        der.zeroize();
        key
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicJwk {
        self.public
    }

    /// The name of the key: the thumbprint of its public half.
    #[must_use]
    pub fn kid(&self) -> &Thumbprint {
        &self.kid
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
