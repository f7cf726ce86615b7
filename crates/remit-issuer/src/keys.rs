//! The keys that sign tokens: one ES256 key for each organization, made when it is first needed.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use remit_domain::key::KeyUse;
use remit_domain::limits::ACCESS_TOKEN_SECS;
use remit_domain::{OrgId, Refusal, RefusalCode};
use remit_token::{Jwks, PublicJwk, SigningKey};
use zeroize::Zeroizing;

use crate::Issuer;
use crate::limits::{KEYS_FRESH_SECS, KEYS_RELOAD_SECS, ONCE_MARGIN_SECS};
use crate::refusal::{from_books, no};

/// The keys of one organization, opened.
pub(crate) struct OrgKeys {
    /// The one that signs.
    pub(crate) signing: SigningKey,
    /// Those that verify: the one that signs, and retired ones until their last token has ended.
    pub(crate) jwks: Jwks,
    loaded: Duration,
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

    /// The keys of an organization, as last read.
    pub(crate) async fn org_keys(&self, org: &OrgId) -> Result<Arc<OrgKeys>, Refusal> {
        self.keys_not_older(org, Duration::MAX).await
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
            if key
                .retired
                .is_some_and(|at| now > at.plus_secs(ACCESS_TOKEN_SECS + ONCE_MARGIN_SECS))
            {
                continue;
            }
            public.push(PublicJwk::from_json(&key.public).map_err(|_| unusable())?);
            if key.retired.is_none() {
                signing = Some(SigningKey::from_pkcs8(&secret).map_err(|_| unusable())?);
            }
        }
        let signing = match signing {
            Some(key) => key,
            None => self.make_key(org).await?,
        };
        public.push(signing.public());
        Ok(OrgKeys {
            jwks: Jwks::new(public).map_err(|_| unusable())?,
            signing,
            loaded,
        })
    }

    async fn make_key(&self, org: &OrgId) -> Result<SigningKey, Refusal> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| unusable())?;
        let secret = Zeroizing::new(made.as_ref().to_vec());
        let key = SigningKey::from_pkcs8(&secret).map_err(|_| unusable())?;
        let public = serde_json::to_string(&key.public()).map_err(|_| unusable())?;
        self.books()
            .add_signing_key(org, KeyUse::Issuer, public, &secret, None)
            .await
            .map_err(from_books)?;
        Ok(key)
    }
}
