//! Who makes and holds the keys that sign tokens: Remit itself, or something that never lets a key out.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use remit_token::SigningKey;
use zeroize::Zeroizing;

/// A key that cannot be made or used. Never carries anything of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Whoever holds the keys cannot be asked.
    #[error("the signer does not answer: {0}")]
    Unavailable(String),
    /// The handle names no key of this signer.
    #[error("the signer has no such key; start with the signer that made it")]
    Unknown,
}

/// Makes and holds keys for ES256.
///
/// Contract: `open(make()?)` gives a key that signs, the same one each time; two keys that were made differ; what was never made
/// is `Unknown`. A handle is kept sealed, so it may be the key itself; it is at most 4 KiB.
pub trait Signer: Send + Sync + 'static {
    /// Makes a key and gives its handle.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`].
    fn make(&self) -> Result<Zeroizing<Vec<u8>>, SignerError>;

    /// The key of a handle.
    ///
    /// # Errors
    /// [`SignerError`].
    fn open(&self, handle: &[u8]) -> Result<SigningKey, SignerError>;
}

/// Keys in this process: the handle is the key (PKCS #8).
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Signer for InProcess {
    fn make(&self) -> Result<Zeroizing<Vec<u8>>, SignerError> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_| SignerError::Unavailable("no key could be made".to_owned()))?;
        Ok(Zeroizing::new(made.as_ref().to_vec()))
    }

    fn open(&self, handle: &[u8]) -> Result<SigningKey, SignerError> {
        SigningKey::from_pkcs8(handle).map_err(|_| SignerError::Unknown)
    }
}
