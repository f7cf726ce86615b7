//! Keys of trusted issuers: fetched once for everybody who waits, kept while they are fresh, used a while longer when the issuer
//! cannot be reached, and asked for anew, seldom, when a token names one that is not known.

use std::sync::Arc;
use std::time::Duration;

use remit_domain::trusted_issuer::{KeySource, SeenBundle, TrustedIssuer};
use remit_domain::{OrgId, Refusal, RefusalCode, TrustedIssuerId};
use remit_ports::web::{SpiffeServer, WebError, WebRequest};
use remit_token::client_certificate::CertificateError;
use remit_token::{ForeignBundle, ForeignJwks, OAuthErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::Issuer;
use crate::door::Denied;
use crate::limits::{
    FOREIGN_KEYRINGS_MAX, FOREIGN_KEYS_FRESH_SECS, FOREIGN_KEYS_RETRY_SECS, FOREIGN_KEYS_STALE_SECS,
};
use crate::refusal::no;

use super::endpoint;

/// What is known of the keys of one issuer. Whoever holds the lock asks for them; everybody else waits, and finds them.
type Keyring = Arc<tokio::sync::Mutex<Held>>;

pub(crate) type Keyrings = moka::sync::Cache<(OrgId, String), Keyring>;

pub(crate) fn keyrings() -> Keyrings {
    moka::sync::Cache::new(FOREIGN_KEYRINGS_MAX)
}

/// Whose keys are asked for.
#[derive(Clone, Copy)]
pub(crate) struct KeysOf<'a> {
    /// The id of the record that says so.
    pub(crate) id: &'a str,
    /// What people call it, such as "the trusted issuer `github`".
    pub(crate) called: &'a str,
    /// Its `iss`.
    pub(crate) issuer: &'a str,
    /// Where its keys come from.
    pub(crate) source: &'a KeySource,
    /// What metadata it has.
    pub(crate) metadata: MetadataKind,
    /// What its bundle endpoint is believed by, where it gave that itself.
    pub(crate) seen: Option<&'a SeenBundle>,
}

/// What metadata an issuer has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetadataKind {
    /// Of an OpenID provider: after its issuer (OpenID Connect Discovery 1.0 §4).
    OpenId,
    /// Of a transmitter of signals: between host and path of its issuer (SSF 1.0 §7.2).
    SharedSignals,
}

impl KeysOf<'_> {
    fn metadata_at(&self) -> Option<String> {
        let iss = self.issuer.trim_end_matches('/');
        match self.metadata {
            MetadataKind::OpenId => Some(format!("{iss}/.well-known/openid-configuration")),
            MetadataKind::SharedSignals => {
                let mut url = Url::parse(iss).ok()?;
                let path = url.path().trim_end_matches('/').to_owned();
                url.set_path(&format!("/.well-known/ssf-configuration{path}"));
                Some(url.to_string())
            }
        }
    }

    fn unhad(&self, code: &'static str, why: &dyn std::fmt::Display) -> Unhad {
        let text = format!("the keys of {} cannot be had: {why}", self.called);
        let refusal = match code {
            ADDRESS_REFUSED => RefusalCode::Forbidden,
            _ => RefusalCode::UpstreamUnreachable,
        };
        Unhad {
            code,
            refusal: no(refusal, text),
        }
    }

    pub(super) fn unreachable(&self, why: &dyn std::fmt::Display) -> Unhad {
        self.unhad("issuer-unreachable", why)
    }

    pub(super) fn bundle_refused(&self, why: &dyn std::fmt::Display) -> Unhad {
        self.unhad("issuer-bundle-refused", why)
    }
}

/// Somebody leads us to where nobody is to be led.
const ADDRESS_REFUSED: &str = "issuer-address-refused";

/// Why keys cannot be had: for records, and for people.
#[derive(Debug)]
pub(crate) struct Unhad {
    code: &'static str,
    refusal: Refusal,
}

impl From<Unhad> for Refusal {
    fn from(unhad: Unhad) -> Self {
        unhad.refusal
    }
}

/// The keys of an issuer, as they were given.
pub(crate) struct Fetched {
    pub(crate) keys: ForeignJwks,
    /// Where they were; none where they are in its document.
    pub(crate) at: Option<String>,
    /// How soon to look again, in seconds, where it says so.
    refresh_s: Option<u64>,
    /// What its bundle endpoint is believed by from now on.
    seen: Option<SeenBundle>,
}

impl Fetched {
    fn new(keys: ForeignJwks, at: Option<String>) -> Self {
        Self {
            keys,
            at,
            refresh_s: None,
            seen: None,
        }
    }
}

#[derive(Default)]
pub(crate) struct Held {
    /// Of which `iss` and source they are: with another one, nothing is known.
    of: Option<(String, KeySource)>,
    keys: Option<Arc<ForeignJwks>>,
    fetched: Duration,
    /// How long they are fresh, in seconds.
    fresh: u64,
    tried: Option<Duration>,
}

impl Held {
    fn is_of(&self, whose: &KeysOf<'_>) -> bool {
        let of = self.of.as_ref();
        of.is_some_and(|(iss, source)| iss == whose.issuer && source == whose.source)
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
        let called = called(issuer);
        let whose = of(issuer, &called);
        self.keys_or(org, &whose, not).await.map_err(|unhad| {
            let text = "the assertion cannot be looked at now; try again";
            Denied::new(OAuthErrorCode::TemporarilyUnavailable, unhad.code, text)
        })
    }

    /// The keys of an issuer.
    ///
    /// - `not`: keys among which the one that is looked for is not; whoever has newer ones gives them.
    ///
    /// # Errors
    /// `upstream-unreachable` when there are none that may be used; `forbidden` where its address may not be asked.
    pub(crate) async fn keys_of(
        &self,
        org: &OrgId,
        whose: &KeysOf<'_>,
        not: Option<&Arc<ForeignJwks>>,
    ) -> Result<Arc<ForeignJwks>, Refusal> {
        Ok(self.keys_or(org, whose, not).await?)
    }

    async fn keys_or(
        &self,
        org: &OrgId,
        whose: &KeysOf<'_>,
        not: Option<&Arc<ForeignJwks>>,
    ) -> Result<Arc<ForeignJwks>, Unhad> {
        let ring = self
            .inner
            .foreign_keys
            .get_with((org.clone(), whose.id.to_owned()), Keyring::default);
        let mut held = ring.lock().await;
        if !held.is_of(whose) {
            *held = Held {
                of: Some((whose.issuer.to_owned(), whose.source.clone())),
                ..Held::default()
            };
        }
        let now = self.books().clock().monotonic();
        let known = held.within(now, held.fresh);
        if let Some(keys) = known.filter(|keys| not.is_none_or(|not| !Arc::ptr_eq(not, keys))) {
            return Ok(keys);
        }
        let mut why = None;
        if held.may_try(now) {
            held.tried = Some(now);
            match self.fetch_keys(org, whose).await {
                Ok(fetched) => {
                    let keys = Arc::new(fetched.keys);
                    held.keys = Some(Arc::clone(&keys));
                    held.fetched = now;
                    held.fresh = fresh(fetched.refresh_s);
                    if let Some(seen) = fetched.seen {
                        self.keep_seen(org, whose, seen).await;
                    }
                    return Ok(keys);
                }
                Err(unhad) => {
                    tracing::warn!(%org, issuer = whose.called, refusal = %unhad.refusal, "keys of an issuer cannot be had");
                    why = Some(unhad);
                }
            }
        }
        // What is not among old keys stays unknown; what is, is believed for a while.
        held.within(now, FOREIGN_KEYS_STALE_SECS)
            .ok_or_else(|| why.unwrap_or_else(|| whose.unreachable(&"its address gives none now")))
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
        let called = called(&issuer);
        let whose = of(&issuer, &called);
        let fetched = self.fetch_keys(org, &whose).await?;
        if fetched.keys.is_empty() {
            let why = "its bundle has no key for JWT-SVIDs that can be used here";
            return Err(whose.unreachable(&why).into());
        }
        Ok(TrustedIssuerReport {
            issuer: issuer.issuer.clone(),
            jwks_uri: fetched.at,
            keys: fetched.keys.len(),
        })
    }

    pub(crate) async fn fetch_keys(
        &self,
        org: &OrgId,
        whose: &KeysOf<'_>,
    ) -> Result<Fetched, Unhad> {
        let unusable = |why: &dyn std::fmt::Display| whose.unreachable(why);
        let (text, at) = match whose.source {
            KeySource::Jwks(set) => (set.to_string(), None),
            KeySource::JwksUri(uri) => {
                (self.fetch(org, whose, uri, None).await?, Some(uri.clone()))
            }
            KeySource::SpiffeBundle(uri) => {
                let text = self.fetch(org, whose, uri, None).await?;
                let keys = ForeignJwks::from_spiffe_bundle(&text).map_err(|e| unusable(&e))?;
                return bundle(whose, &text, keys, uri);
            }
            KeySource::HttpsSpiffe(there) => {
                let server = endpoint::server(whose, there)?;
                let text = self.fetch(org, whose, &there.url, Some(server)).await?;
                // Also one without a key for JWT-SVIDs says what its endpoint is believed by.
                let seen = endpoint::seen(whose, there, &text)?;
                let keys = ForeignJwks::from_spiffe_bundle(&text).unwrap_or_default();
                return bundle(whose, &text, keys, &there.url).map(|b| Fetched { seen, ..b });
            }
            KeySource::Discovery {} => {
                let at = whose.metadata_at();
                let at = at.ok_or_else(|| unusable(&"its issuer is no address"))?;
                let text = self.fetch(org, whose, &at, None).await?;
                let found: Metadata = serde_json::from_str(&text)
                    .map_err(|_| unusable(&"its metadata cannot be read"))?;
                // OpenID Connect Discovery 1.0 §4.3: another one is not who was asked.
                if found.issuer != whose.issuer {
                    return Err(unusable(&"its metadata names another issuer"));
                }
                let keys = self.fetch(org, whose, &found.jwks_uri, None).await?;
                (keys, Some(found.jwks_uri))
            }
        };
        let keys = ForeignJwks::from_json(&text).map_err(|error| unusable(&error))?;
        Ok(Fetched::new(keys, at))
    }

    /// - `server`: who has to answer, where it proves itself with an SVID.
    async fn fetch(
        &self,
        org: &OrgId,
        whose: &KeysOf<'_>,
        url: &str,
        server: Option<SpiffeServer>,
    ) -> Result<String, Unhad> {
        let unusable = |why: &dyn std::fmt::Display| whose.unreachable(why);
        let outside = self.inner.sign_in.outside.get();
        let outside = outside.ok_or_else(|| unusable(&"this process has no way outside"))?;
        let request = WebRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: vec![("accept".to_owned(), "application/json".to_owned())],
            body: Vec::new(),
        };
        let answer = match server {
            None => outside.web.request(org, request).await,
            Some(server) => outside.web.request_spiffe(org, request, server).await,
        };
        let answer = answer.map_err(|error| {
            let code = match &error {
                WebError::Refused(_) | WebError::Redirect => ADDRESS_REFUSED,
                WebError::Untrusted(CertificateError::Expired) => "issuer-endpoint-expired",
                WebError::Untrusted(CertificateError::NameOther) => "issuer-endpoint-other",
                WebError::Untrusted(_) => "issuer-endpoint-untrusted",
                _ => "issuer-unreachable",
            };
            whose.unhad(code, &error)
        })?;
        if answer.status != 200 {
            return Err(unusable(&format!("it answers with HTTP {}", answer.status)));
        }
        String::from_utf8(answer.body).map_err(|_| unusable(&"its answer is not UTF-8"))
    }
}

/// A bundle, with its keys for JWT-SVIDs.
fn bundle(whose: &KeysOf<'_>, text: &str, keys: ForeignJwks, at: &str) -> Result<Fetched, Unhad> {
    let read = ForeignBundle::from_json(text).map_err(|error| whose.bundle_refused(&error))?;
    Ok(Fetched {
        refresh_s: read.refresh_hint_s,
        ..Fetched::new(keys, Some(at.to_owned()))
    })
}

/// How long keys are fresh: as their bundle asks for, within what is done for every issuer.
fn fresh(asked: Option<u64>) -> u64 {
    let asked = asked.unwrap_or(FOREIGN_KEYS_FRESH_SECS);
    asked.clamp(FOREIGN_KEYS_RETRY_SECS, FOREIGN_KEYS_FRESH_SECS)
}

pub(super) fn called(issuer: &TrustedIssuer) -> String {
    format!("the trusted issuer `{}`", issuer.name)
}

pub(super) fn of<'a>(issuer: &'a TrustedIssuer, called: &'a str) -> KeysOf<'a> {
    KeysOf {
        id: issuer.id.as_str(),
        called,
        issuer: &issuer.issuer,
        source: &issuer.keys,
        metadata: MetadataKind::OpenId,
        seen: issuer.seen.as_ref(),
    }
}
