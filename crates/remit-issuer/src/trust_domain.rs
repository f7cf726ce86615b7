//! The trust domain of an organization: its name, the keys that sign its SVIDs, and its bundle.
//!
//! A new key is published before it signs, because whoever checks SVIDs elsewhere looks at the bundle only now and then;
//! an old one stays published until what it signed has ended. Keys are replaced by themselves.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use remit_books::BooksError;
use remit_domain::key::{self, KeyUse};
use remit_domain::limits::X509_SVID_SECS;
use remit_domain::organization::WitSvids;
use remit_domain::{OrgId, Principal, Refusal, RefusalCode, Timestamp};
use remit_ports::store::StoreError;
use remit_token::x509_svid::Validity;
use remit_token::{Authority, PublicJwk, SigningKey, SpiffeBundle, SpiffeId};
use zeroize::Zeroizing;

use crate::Issuer;
use crate::keys::{IssuerKey, generated};
use crate::limits::{
    AUTHORITY_SECS, BUNDLE_REFRESH_SECS, KEYS_FRESH_SECS, ONCE_MARGIN_SECS, SVID_KEY_PREPARE_SECS,
    SVID_KEY_SECS,
};
use crate::refusal::{from_books, no};

/// The uses of the keys of every trust domain.
const USES: [KeyUse; 2] = [KeyUse::X509Svid, KeyUse::JwtSvid];

/// The keys of one trust domain, opened.
pub(crate) struct DomainKeys {
    /// Signs X.509-SVIDs.
    pub(crate) authority: Authority,
    /// Signs JWT-SVIDs.
    pub(crate) jwt: SigningKey,
    /// Signs WIT-SVIDs; none where they are off.
    pub(crate) wit: Option<SigningKey>,
    /// What checks them.
    pub(crate) bundle: SpiffeBundle,
    /// Whether WIT-SVIDs were on.
    setting: WitSvids,
    loaded: Duration,
}

fn unusable() -> Refusal {
    no(
        RefusalCode::CredentialUnavailable,
        "the keys of this trust domain cannot be used; see `remit doctor`",
    )
}

impl Issuer {
    /// The trust domain of an organization: `{organization}.{host}`, with the host of `public_url`.
    ///
    /// # Errors
    /// `not-found`; `invalid-request` when the host of `public_url` cannot be part of a trust domain.
    pub fn trust_domain(&self, org: &OrgId) -> Result<SpiffeId, Refusal> {
        self.issuer_url(org)?;
        let name = self.tenant(org)?.name();
        let url = url::Url::parse(&self.inner.public_url).ok();
        let host = url
            .as_ref()
            .and_then(url::Url::host_str)
            .unwrap_or_default();
        let host = host.trim_matches(['[', ']']).replace(':', "-");
        SpiffeId::from_segments(&format!("{name}.{host}"), std::iter::empty::<&str>()).map_err(
            |error| {
                let text = format!("`public_url` gives no trust domain: {error}");
                no(RefusalCode::InvalidRequest, text)
            },
        )
    }

    /// The bundle of an organization's trust domain, as published at `/spiffe/bundle`.
    ///
    /// # Errors
    /// `not-found`, `credential-unavailable`, `ledger-unavailable`.
    pub async fn bundle(&self, org: &OrgId) -> Result<SpiffeBundle, Refusal> {
        Ok(self.domain_keys(org).await?.bundle.clone())
    }

    /// The keys of a trust domain that are published, oldest first.
    ///
    /// # Errors
    /// `not-found`, `credential-unavailable`, `ledger-unavailable`.
    pub async fn svid_keys(&self, org: &OrgId) -> Result<Vec<IssuerKey>, Refusal> {
        self.domain_keys(org).await?;
        let now = self.books().now();
        let mut found = Vec::new();
        for usage in self.uses(org)? {
            for (key, secret) in self.stored(org, usage).await? {
                drop(secret);
                if is_published(&key, now) {
                    found.push(shown(&key)?);
                }
            }
        }
        Ok(found)
    }

    /// Makes a new authority and a new key for JWT-SVIDs, and for WIT-SVIDs where they are on. They are published at once and sign after
    /// [`SVID_KEY_PREPARE_SECS`]; those before them stay published until what they signed has ended.
    ///
    /// # Errors
    /// `not-found`, `conflict` when they are being rotated already, `credential-unavailable`, `ledger-unavailable`.
    pub async fn rotate_svid_keys(
        &self,
        org: &OrgId,
        by: &Principal,
    ) -> Result<Vec<IssuerKey>, Refusal> {
        self.domain_keys(org).await?;
        let mut made = Vec::new();
        for usage in self.uses(org)? {
            let key = self
                .make_svid_key(org, usage, by)
                .await
                .map_err(from_books)?;
            made.push(shown(&key)?);
        }
        self.inner
            .domain_keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(org);
        Ok(made)
    }

    fn uses(&self, org: &OrgId) -> Result<Vec<KeyUse>, Refusal> {
        let wit = self.wit_svids(org)?.on.then_some(KeyUse::WitSvid);
        Ok(USES.into_iter().chain(wit).collect())
    }

    /// The keys of a trust domain, read not long ago.
    pub(crate) async fn domain_keys(&self, org: &OrgId) -> Result<Arc<DomainKeys>, Refusal> {
        if let Some(keys) = self.cached_domain_keys(org) {
            return Ok(keys);
        }
        self.tenant(org)?;
        let _one_at_a_time = self.inner.loading_keys.lock().await;
        if let Some(keys) = self.cached_domain_keys(org) {
            return Ok(keys);
        }
        let keys = Arc::new(self.load_domain_keys(org).await?);
        self.inner
            .domain_keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(org.clone(), Arc::clone(&keys));
        Ok(keys)
    }

    fn cached_domain_keys(&self, org: &OrgId) -> Option<Arc<DomainKeys>> {
        let now = self.books().clock().monotonic();
        let age_max = Duration::from_secs(KEYS_FRESH_SECS);
        let keys = self
            .inner
            .domain_keys
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let setting = self.wit_svids(org).ok()?;
        keys.get(org)
            .filter(|keys| keys.setting == setting)
            .filter(|keys| now.saturating_sub(keys.loaded) <= age_max)
            .cloned()
    }

    async fn load_domain_keys(&self, org: &OrgId) -> Result<DomainKeys, Refusal> {
        let loaded = self.books().clock().monotonic();
        let now = self.books().now();
        let x509 = self.in_use(org, KeyUse::X509Svid).await?;
        let jwt = self.in_use(org, KeyUse::JwtSvid).await?;
        let setting = self.wit_svids(org)?;
        // Off, its keys are neither made nor published; they count, so that the sequence never falls.
        let wit = match setting.on {
            true => self.in_use(org, KeyUse::WitSvid).await?,
            false => self.stored(org, KeyUse::WitSvid).await?,
        };
        let authority = {
            let (key, secret) = signer(&x509, now).ok_or_else(unusable)?;
            Authority::open(&certificate(key)?, secret).map_err(|_| unusable())?
        };
        let opened = |keys: &Stored| {
            let (_, secret) = signer(keys, now).ok_or_else(unusable)?;
            SigningKey::from_pkcs8(secret).map_err(|_| unusable())
        };
        let switched = setting.switched;
        let sequence = changes(&x509, now) + changes(&jwt, now) + changes(&wit, now) + switched;
        let published = x509.iter().filter(|(key, _)| is_published(key, now));
        let x509_keys: Result<Vec<_>, Refusal> = published
            .map(|(key, secret)| {
                let public = SigningKey::from_pkcs8(secret)
                    .map_err(|_| unusable())?
                    .public();
                Ok((certificate(key)?, public))
            })
            .collect();
        Ok(DomainKeys {
            authority,
            jwt: opened(&jwt)?,
            wit: setting.on.then(|| opened(&wit)).transpose()?,
            bundle: SpiffeBundle {
                x509: x509_keys?,
                jwt: public(&jwt, now)?,
                wit: match setting.on {
                    true => public(&wit, now)?,
                    false => Vec::new(),
                },
                sequence,
                refresh_hint_s: BUNDLE_REFRESH_SECS,
            },
            setting,
            loaded,
        })
    }

    /// Every key of a use, with a new one made where the newest is missing or old.
    async fn in_use(&self, org: &OrgId, usage: KeyUse) -> Result<Stored, Refusal> {
        let keys = self.stored(org, usage).await?;
        let now = self.books().now();
        let young = |key: &key::SigningKey| now.secs_since(key.created) < SVID_KEY_SECS;
        if keys.last().is_some_and(|(key, _)| young(key)) {
            return Ok(keys);
        }
        match self.make_svid_key(org, usage, &Principal::Remit).await {
            // Another node made one meanwhile.
            Ok(_) | Err(BooksError::Store(StoreError::Conflict { .. })) => {}
            Err(error) => return Err(from_books(error)),
        }
        self.stored(org, usage).await
    }

    async fn stored(&self, org: &OrgId, usage: KeyUse) -> Result<Stored, Refusal> {
        let keys = self.books().signing_keys(org, usage).await;
        let keys = keys.map_err(from_books)?.into_iter();
        Ok(keys
            .map(|(key, secret)| (key, Zeroizing::new(secret)))
            .collect())
    }

    async fn make_svid_key(
        &self,
        org: &OrgId,
        usage: KeyUse,
        by: &Principal,
    ) -> Result<key::SigningKey, BooksError> {
        let bad = || BooksError::BadKey(usage.as_str().to_owned());
        let (secret, jwk) = generated().map_err(|_| bad())?;
        let public = if usage == KeyUse::X509Svid {
            let now = self.books().now();
            let validity = Validity {
                serial: self.books().random(),
                not_before: now.plus_secs(-ONCE_MARGIN_SECS).as_secs(),
                not_after: now.plus_secs(AUTHORITY_SECS).as_secs(),
            };
            let domain = self.trust_domain(org).map_err(|_| bad())?;
            let made = Authority::certificate(&domain, &secret, &validity);
            STANDARD.encode(made.map_err(|_| bad())?)
        } else {
            jwk
        };
        self.books()
            .replace_signing_key(org, usage, public, &secret, by.clone())
            .await
    }
}

/// Keys with their secret halves, oldest first.
type Stored = Vec<(key::SigningKey, Zeroizing<Vec<u8>>)>;

/// What is published of keys for tokens.
fn public(keys: &Stored, now: Timestamp) -> Result<Vec<PublicJwk>, Refusal> {
    let published = keys.iter().filter(|(key, _)| is_published(key, now));
    published
        .map(|(key, _)| PublicJwk::from_json(&key.public).map_err(|_| unusable()))
        .collect()
}

fn certificate(key: &key::SigningKey) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(&key.public).map_err(|_| unusable())
}

/// The key that signs: the newest that has been published for a while, and the oldest where none has.
fn signer(keys: &Stored, now: Timestamp) -> Option<(&key::SigningKey, &[u8])> {
    let good = || keys.iter().filter(|(key, _)| is_published(key, now));
    let prepared = |key: &key::SigningKey| key.created.plus_secs(SVID_KEY_PREPARE_SECS) <= now;
    let found = good().rfind(|(key, _)| prepared(key));
    let (key, secret) = found.or_else(|| good().next())?;
    Some((key, secret.as_slice()))
}

/// When a key is published no more: what it signed until its follower took over, on a node that heard of that late, has ended
/// by then. An authority's own end may come first.
fn published_until(key: &key::SigningKey) -> Option<Timestamp> {
    let overlap = SVID_KEY_PREPARE_SECS
        + X509_SVID_SECS
        + i64::try_from(KEYS_FRESH_SECS).unwrap_or(0)
        + ONCE_MARGIN_SECS;
    let retired = key.retired.map(|at| at.plus_secs(overlap));
    let ends = (key.usage == KeyUse::X509Svid)
        .then(|| key.created.plus_secs(AUTHORITY_SECS - X509_SVID_SECS));
    match (retired, ends) {
        (Some(retired), Some(ends)) => Some(retired.min(ends)),
        (one, other) => one.or(other),
    }
}

fn is_published(key: &key::SigningKey, now: Timestamp) -> bool {
    published_until(key).is_none_or(|until| now <= until)
}

/// How often what is published of these keys has changed.
fn changes(keys: &Stored, now: Timestamp) -> u64 {
    let gone = keys
        .iter()
        .filter(|(key, _)| !is_published(key, now))
        .count();
    u64::try_from(keys.len().saturating_add(gone)).unwrap_or(u64::MAX)
}

fn shown(key: &key::SigningKey) -> Result<IssuerKey, Refusal> {
    let kid = if key.usage == KeyUse::X509Svid {
        remit_token::x509_svid::thumbprint(&certificate(key)?)
    } else {
        let public = PublicJwk::from_json(&key.public).map_err(|_| unusable())?;
        public.thumbprint().to_string()
    };
    Ok(IssuerKey {
        usage: key.usage,
        kid,
        created: key.created,
        retired: key.retired,
        published_until: published_until(key),
    })
}
