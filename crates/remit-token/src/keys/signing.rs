//! The private key that signs: ES256 only.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jsonwebtoken::EncodingKey;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroize;

use super::{KeyError, PublicJwk, Thumbprint};
use crate::limits::PEM_BYTES_MAX;

/// A P-256 private key. It cannot be printed, copied or serialised, and is wiped when dropped.
pub struct SigningKey {
    // Wiped on drop by the library.
    key: EncodingKey,
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
            key: EncodingKey::from_ec_der(der),
            kid: public.thumbprint(),
            public,
        })
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

    pub(crate) fn encoding_key(&self) -> &EncodingKey {
        &self.key
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
