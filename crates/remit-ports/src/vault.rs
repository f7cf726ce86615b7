//! Keeping keys at rest, and reading secrets that live elsewhere.

use async_trait::async_trait;
use remit_domain::name::Name;
use remit_domain::upstream::SecretRef;
use secrecy::SecretString;

/// A secret or key that cannot be had. Never carries the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The reference points to nothing readable.
    #[error("secret {reference} cannot be read: {why}")]
    Unreadable {
        /// Which reference.
        reference: String,
        /// Why, without its content.
        why: String,
    },
    /// The sealed bytes were not sealed here, or were changed.
    #[error(
        "sealed key does not open with this master key; start with the master key it was sealed with"
    )]
    Sealed,
}

/// Seals keys under the instance's master key.
///
/// Contract: authenticated encryption; `unseal(seal(x, c), c) == x`; other bytes or another context fail.
pub trait Vault: Send + Sync + 'static {
    /// Seals `plain` for `context` (what the key is for; authenticated, not secret).
    ///
    /// # Errors
    /// [`VaultError::Sealed`] when the master key cannot be used.
    fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, VaultError>;

    /// Opens what `seal` made for the same context.
    ///
    /// # Errors
    /// [`VaultError::Sealed`] when bytes or context are not those that were sealed.
    fn unseal(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, VaultError>;
}

/// Reads secrets by reference, each time anew, so that a rotated file counts at once.
///
/// Contract: every secret belongs to at most one organization, by its place alone (invariant 10). A reference to any other is
/// refused by both methods, alike whether anything is there.
#[async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// Whether the organization of that name may name `reference`. It need not be there yet.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when its place is not the organization's own.
    fn may_name(&self, org: &Name, reference: &SecretRef) -> Result<(), VaultError>;

    /// The secret behind `reference`, trimmed of trailing line ends, at most 64 KiB.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when it is not the organization's own, missing, empty or too large.
    async fn read(&self, org: &Name, reference: &SecretRef) -> Result<SecretString, VaultError>;
}
