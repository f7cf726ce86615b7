//! Keys of trusted issuers: fetched once for everybody who waits, kept while they are fresh, used a while longer when the issuer
//! cannot be reached, and asked for anew, seldom, when a token names one that is not known.

use std::sync::Arc;
use std::time::Duration;

use remit_domain::trusted_issuer::{KeySource, TrustedIssuer};
use remit_domain::{OrgId, Refusal, RefusalCode, TrustedIssuerId};
use remit_ports::web::{WebError, WebRequest};
use remit_token::{ForeignJwks, OAuthErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unreachable;
use crate::Issuer;
use crate::door::Denied;
use crate::limits::{
    FOREIGN_KEYRINGS_MAX, FOREIGN_KEYS_FRESH_SECS, FOREIGN_KEYS_RETRY_SECS, FOREIGN_KEYS_STALE_SECS,
};
use crate::refusal::no;

/// What is known of the keys of one issuer. Whoever holds the lock asks for them; everybody else waits, and finds them.
type Keyring = Arc<tokio::sync::Mutex<Held>>;

pub(crate) type Keyrings = moka::sync::Cache<(OrgId, TrustedIssuerId), Keyring>;

pub(crate) fn keyrings() -> Keyrings {
    moka::sync::Cache::new(FOREIGN_KEYRINGS_MAX)
}

#[derive(Default)]
pub(crate) struct Held {
    /// Of which `iss` and source they are: with another one, nothing is known.
    of: Option<(String, KeySource)>,
    keys: Option<Arc<ForeignJwks>>,
    fetched: Duration,
    tried: Option<Duration>,
}

impl Held {
    fn is_of(&self, issuer: &TrustedIssuer) -> bool {
        let of = self.of.as_ref();
        of.is_some_and(|(iss, source)| *iss == issuer.issuer && *source == issuer.keys)
    }

    /// The keys, when they were fetched not longer ago than that.
    fn within(&self, now: Duration, secs: u64) -> Option<Arc<ForeignJwks>> {
        let young = now.saturating_sub(self.fetched) < Duration::from_secs(secs);
        self.keys.as_ref().filter(|_| young).map(Arc::clone)
    }

    fn may_try(&self, now: Duration) -> bool {
        let pause = Duration::from_secs(FOREIGN_KEYS_RETRY_SECS);
        self.tried
            .is_none_or(|tried| now.saturating_sub(tried) >= pause)
    }
}

/// What was found at a trusted issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TrustedIssuerReport {
    /// Its `iss`.
    pub issuer: String,
    /// Where its keys are; none where they are in its document.
    pub jwks_uri: Option<String>,
    /// How many keys of it can be used.
    pub keys: usize,
}

/// The part of an issuer's metadata that counts (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// The keys of a trusted issuer.
    ///
    /// - `not`: keys among which the one that is looked for is not; whoever has newer ones gives them.
    pub(crate) async fn foreign_keys(
        &self,
        org: &OrgId,
        issuer: &TrustedIssuer,
        not: Option<&Arc<ForeignJwks>>,
    ) -> Result<Arc<ForeignJwks>, Denied> {
        let ring = self
            .inner
            .foreign_keys
            .get_with((org.clone(), issuer.id.clone()), Keyring::default);
        let mut held = ring.lock().await;
        if !held.is_of(issuer) {
            *held = Held {
                of: Some((issuer.issuer.clone(), issuer.keys.clone())),
                ..Held::default()
            };
        }
        let now = self.books().clock().monotonic();
        let known = held.within(now, FOREIGN_KEYS_FRESH_SECS);
        if let Some(keys) = known.filter(|keys| not.is_none_or(|not| !Arc::ptr_eq(not, keys))) {
            return Ok(keys);
        }
        if held.may_try(now) {
            held.tried = Some(now);
            match self.fetch_keys(org, issuer).await {
                Ok((keys, _)) => {
                    let keys = Arc::new(keys);
                    held.keys = Some(Arc::clone(&keys));
                    held.fetched = now;
                    return Ok(keys);
                }
                Err(refusal) => {
                    tracing::warn!(%org, issuer = %issuer.name, %refusal, "keys of a trusted issuer cannot be had");
                }
            }
        }
        // What is not among old keys stays unknown; what is, is believed for a while.
        held.within(now, FOREIGN_KEYS_STALE_SECS).ok_or_else(|| {
            let text = "the assertion cannot be looked at now; try again";
            Denied::new(
                OAuthErrorCode::TemporarilyUnavailable,
                "issuer-unreachable",
                text,
            )
        })
    }

    /// Asks a trusted issuer for its keys now, beside what is remembered.
    ///
    /// # Errors
    /// `not-found` when there is none of that id; `upstream-unreachable` with what is wrong.
    pub async fn test_trusted_issuer(
        &self,
        org: &OrgId,
        id: &TrustedIssuerId,
    ) -> Result<TrustedIssuerReport, Refusal> {
        let issuer = {
            let book = self.tenant(org)?;
            book.registry().trusted_issuers.get(id).cloned()
        };
        let issuer =
            issuer.ok_or_else(|| no(RefusalCode::NotFound, "no such trusted issuer is here"))?;
        let (keys, jwks_uri) = self.fetch_keys(org, &issuer).await?;
        Ok(TrustedIssuerReport {
            issuer: issuer.issuer.clone(),
            jwks_uri,
            keys: keys.len(),
        })
    }

    async fn fetch_keys(
        &self,
        org: &OrgId,
        issuer: &TrustedIssuer,
    ) -> Result<(ForeignJwks, Option<String>), Refusal> {
        let unusable = |why: &dyn std::fmt::Display| unreachable(issuer, &why.to_string());
        let (text, at) = match &issuer.keys {
            KeySource::Jwks(set) => (set.to_string(), None),
            KeySource::JwksUri(uri) => (self.fetch(org, issuer, uri).await?, Some(uri.clone())),
            KeySource::Discovery {} => {
                let iss = issuer.issuer.trim_end_matches('/');
                let at = format!("{iss}/.well-known/openid-configuration");
                let text = self.fetch(org, issuer, &at).await?;
                let found: Metadata = serde_json::from_str(&text)
                    .map_err(|_| unusable(&"its metadata cannot be read"))?;
                // OpenID Connect Discovery 1.0 §4.3: another one is not who was asked.
                if found.issuer != issuer.issuer {
                    return Err(unusable(&"its metadata names another issuer"));
                }
                let keys = self.fetch(org, issuer, &found.jwks_uri).await?;
                (keys, Some(found.jwks_uri))
            }
        };
        let keys = ForeignJwks::from_json(&text).map_err(|error| unusable(&error))?;
        Ok((keys, at))
    }

    async fn fetch(
        &self,
        org: &OrgId,
        issuer: &TrustedIssuer,
        url: &str,
    ) -> Result<String, Refusal> {
        let unusable = |why: &str| unreachable(issuer, why);
        let outside = self.inner.sign_in.outside.get();
        let outside = outside.ok_or_else(|| unusable("this process has no way outside"))?;
        let request = WebRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: vec![("accept".to_owned(), "application/json".to_owned())],
            body: Vec::new(),
        };
        let answer = outside.web.request(org, request).await;
        let answer = answer.map_err(|error: WebError| unusable(&error.to_string()))?;
        if answer.status != 200 {
            return Err(unusable(&format!("it answers with HTTP {}", answer.status)));
        }
        String::from_utf8(answer.body).map_err(|_| unusable("its answer is not UTF-8"))
    }
}
