//! The keys that sign tokens: one ES256 key for each organization, made when it is first needed.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use remit_domain::key::KeyUse;
use remit_domain::limits::ACCESS_TOKEN_SECS;
use remit_domain::{OrgId, Principal, Refusal, RefusalCode, Timestamp};
use remit_ports::signer::SignerError;
use remit_token::{Jwks, PublicJwk, SigningKey};
use zeroize::Zeroizing;

use crate::Issuer;
use crate::limits::{KEYS_FRESH_SECS, KEYS_RELOAD_SECS, ONCE_MARGIN_SECS};
use crate::refusal::{from_books, no};

/// The keys of one organization, opened.
pub(crate) struct OrgKeys {
    /// The one that signs; without it tokens are still checked.
    signing: Result<SigningKey, Refusal>,
    /// Those that verify: the one that signs, and retired ones until their last token has ended.
    pub(crate) jwks: Jwks,
    loaded: Duration,
}

impl OrgKeys {
    /// The key that signs.
    ///
    /// # Errors
    /// `credential-unavailable` when whoever holds it does not give it.
    pub(crate) fn signing(&self) -> Result<&SigningKey, Refusal> {
        self.signing.as_ref().map_err(Clone::clone)
    }
}

fn unusable() -> Refusal {
    no(
        RefusalCode::CredentialUnavailable,
        "the signing key of this organization cannot be used; see `remit doctor`",
    )
}

impl Issuer {
    /// The key set of an organization, as published at `/oauth2/jwks`.
    ///
    /// # Errors
    /// `not-found`, `credential-unavailable`, `ledger-unavailable`.
    pub async fn jwks(&self, org: &OrgId) -> Result<Jwks, Refusal> {
        Ok(self
            .keys_not_older(org, Duration::from_secs(KEYS_FRESH_SECS))
            .await?
            .jwks
            .clone())
    }

    /// The keys of an organization, read not long ago: another node may have replaced the one that signs, and what it
    /// replaced verifies nothing once its last token has ended.
    pub(crate) async fn org_keys(&self, org: &OrgId) -> Result<Arc<OrgKeys>, Refusal> {
        self.keys_not_older(org, Duration::from_secs(KEYS_FRESH_SECS))
            .await
    }

    /// The signing keys of an organization that are published, newest last.
    ///
    /// # Errors
    /// `not-found`, `credential-unavailable`, `ledger-unavailable`.
    pub async fn signing_keys(&self, org: &OrgId) -> Result<Vec<IssuerKey>, Refusal> {
        self.org_keys(org).await?;
        let now = self.books().now();
        let keys = self.books().signing_keys(org, KeyUse::Issuer).await;
        let mut found = Vec::new();
        for (key, secret) in keys.map_err(from_books)? {
            drop(Zeroizing::new(secret));
            if is_published(&key, now) {
                found.push(IssuerKey::of(&key)?);
            }
        }
        Ok(found)
    }

    /// Makes a new signing key. The one before it signs nothing any more on this node at once, on others within a minute, and
    /// stays published until its last token has ended.
    ///
    /// # Errors
    /// `not-found`, `conflict` when it is being rotated already, `credential-unavailable`, `ledger-unavailable`.
    pub async fn rotate_signing_key(
        &self,
        org: &OrgId,
        by: Principal,
    ) -> Result<IssuerKey, Refusal> {
        self.tenant(org)?;
        let (secret, _, public) = self.made()?;
        let usage = KeyUse::Issuer;
        let key = self
            .books()
            .replace_signing_key(org, usage, public, &secret, by)
            .await
            .map_err(from_books)?;
        self.inner
            .keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(org);
        IssuerKey::of(&key)
    }

    /// The keys once more, for a token whose key is not known: another node may have made it meanwhile. Reads the store at
    /// most once in a while, so that unknown keys cost nothing.
    pub(crate) async fn org_keys_again(&self, org: &OrgId) -> Result<Arc<OrgKeys>, Refusal> {
        self.keys_not_older(org, Duration::from_secs(KEYS_RELOAD_SECS))
            .await
    }

    async fn keys_not_older(
        &self,
        org: &OrgId,
        age_max: Duration,
    ) -> Result<Arc<OrgKeys>, Refusal> {
        if let Some(keys) = self.cached_keys(org, age_max) {
            return Ok(keys);
        }
        self.tenant(org)?;
        let _one_at_a_time = self.inner.loading_keys.lock().await;
        if let Some(keys) = self.cached_keys(org, age_max) {
            return Ok(keys);
        }
        let keys = Arc::new(self.load_keys(org).await?);
        self.inner
            .keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(org.clone(), Arc::clone(&keys));
        Ok(keys)
    }

    fn cached_keys(&self, org: &OrgId, age_max: Duration) -> Option<Arc<OrgKeys>> {
        let now = self.books().clock().monotonic();
        let keys = self
            .inner
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        keys.get(org)
            .filter(|keys| now.saturating_sub(keys.loaded) <= age_max)
            .cloned()
    }

    async fn load_keys(&self, org: &OrgId) -> Result<OrgKeys, Refusal> {
        let loaded = self.books().clock().monotonic();
        let now = self.books().now();
        let mut signing = None;
        let mut public = Vec::new();
        for (key, secret) in self
            .books()
            .signing_keys(org, KeyUse::Issuer)
            .await
            .map_err(from_books)?
        {
            let secret = Zeroizing::new(secret);
            if !is_published(&key, now) {
                continue;
            }
            public.push(PublicJwk::from_json(&key.public).map_err(|_| unusable())?);
            if key.retired.is_none() {
                signing = Some(self.inner.signer.open(&secret).map_err(unsigned));
            }
        }
        let signing = match signing {
            Some(key) => key,
            None => {
                let key = self.make_key(org).await?;
                public.push(key.public());
                Ok(key)
            }
        };
        Ok(OrgKeys {
            jwks: Jwks::new(public).map_err(|_| unusable())?,
            signing,
            loaded,
        })
    }

    async fn make_key(&self, org: &OrgId) -> Result<SigningKey, Refusal> {
        let (secret, key, public) = self.made()?;
        self.books()
            .add_signing_key(org, KeyUse::Issuer, public, &secret, None)
            .await
            .map_err(from_books)?;
        Ok(key)
    }

    /// A new key of the signer: its handle, itself, and its public half as a JWK.
    fn made(&self) -> Result<(Zeroizing<Vec<u8>>, SigningKey, String), Refusal> {
        let handle = self.inner.signer.make().map_err(unsigned)?;
        let key = self.inner.signer.open(&handle).map_err(unsigned)?;
        let public = serde_json::to_string(&key.public()).map_err(|_| unusable())?;
        Ok((handle, key, public))
    }
}

/// A signer that does not sign: what went wrong is for the operator.
fn unsigned(error: SignerError) -> Refusal {
    tracing::error!(%error, "the signer of tokens");
    unusable()
}

/// A new key: its secret half (PKCS #8), and the public one as a JWK.
pub(crate) fn generated() -> Result<(Zeroizing<Vec<u8>>, String), Refusal> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| unusable())?;
    let secret = Zeroizing::new(made.as_ref().to_vec());
    let key = SigningKey::from_pkcs8(&secret).map_err(|_| unusable())?;
    let public = serde_json::to_string(&key.public()).map_err(|_| unusable())?;
    Ok((secret, public))
}

/// When a key is published no more, where it signs no more: its last token, signed by a node that had not heard of its
/// retirement, has ended by then.
fn published_until(key: &remit_domain::key::SigningKey) -> Option<Timestamp> {
    let overlap =
        ACCESS_TOKEN_SECS + i64::try_from(KEYS_FRESH_SECS).unwrap_or(0) + ONCE_MARGIN_SECS;
    key.retired.map(|at| at.plus_secs(overlap))
}

fn is_published(key: &remit_domain::key::SigningKey, now: Timestamp) -> bool {
    published_until(key).is_none_or(|until| now <= until)
}

/// A signing key of an organization: its public half, and how old it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerKey {
    /// What it signs.
    pub usage: KeyUse,
    /// Its key id: RFC 7638 thumbprint, as tokens name it; of an authority, SHA-256 of its certificate in base64url.
    pub kid: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it stopped signing.
    pub retired: Option<Timestamp>,
    /// When it is published no more.
    pub published_until: Option<Timestamp>,
}

impl IssuerKey {
    fn of(key: &remit_domain::key::SigningKey) -> Result<Self, Refusal> {
        let public = PublicJwk::from_json(&key.public).map_err(|_| unusable())?;
        Ok(Self {
            usage: key.usage,
            kid: public.thumbprint().to_string(),
            created: key.created,
            retired: key.retired,
            published_until: published_until(key),
        })
    }
}
