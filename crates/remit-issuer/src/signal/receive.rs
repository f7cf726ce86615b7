//! Hearing signals: a security event token is taken from the transmitter that proved itself, by its own keys, issuer and audience.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use remit_domain::signal::{AGE_SECS_MAX, SignalEvent, SignalTransmitter, Source};
use remit_domain::{OrgId, Refusal, RefusalCode, SignalTransmitterId};
use remit_ports::web::WebRequest;
use remit_token::security_event::{self, ExpectSet, SecurityEvent};
use remit_token::{ForeignAlgorithm, ForeignJwks, SubjectId, TokenError};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Issuer;
use crate::federation::TrustedIssuerReport;
use crate::federation::{KeysOf, MetadataKind};
use crate::limits::CLIENT_LEEWAY_SECS;
use crate::refusal::no;

/// Most signals that are asked for at once.
const AT_ONCE: usize = 50;
/// Most rounds of asking in one visit.
const ROUNDS: usize = 10;
/// What a transmitter that tells too much is told.
const SLOWER: &str = "tell the rest later";

/// A signal that holds: what has happened to whom, as the transmitter says.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What makes it one signal: SHA-256 (hex) over its `jti`.
    pub id: String,
    /// What has happened; none for what is not known here.
    pub event: Option<SignalEvent>,
    /// To whom.
    pub subject: SubjectId,
    /// What it says.
    pub claims: Value,
    /// Our issuer, whose subjects are ours.
    pub issuer: String,
}

/// Why a signal is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeardError {
    /// It is none that is believed here (RFC 8935 §2.4).
    Not {
        /// The code.
        err: &'static str,
        /// In words.
        description: String,
    },
    /// It cannot be looked at now; it has to be told again.
    Later(Refusal),
}

impl From<TokenError> for HeardError {
    fn from(error: TokenError) -> Self {
        let err = match error {
            TokenError::IssuerWrong => "invalid_issuer",
            TokenError::AudienceWrong => "invalid_audience",
            TokenError::KeyUnknown
            | TokenError::SignatureInvalid
            | TokenError::AlgorithmRefused { .. } => "invalid_key",
            _ => "invalid_request",
        };
        Self::Not {
            err,
            description: error.to_string(),
        }
    }
}

/// What a transmitter answers who is asked (RFC 8936 §2.3).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Polled {
    sets: BTreeMap<String, String>,
    #[serde(default)]
    more_available: bool,
}

/// What its answer was worth.
#[derive(Default)]
struct Worth {
    ack: Vec<String>,
    errs: BTreeMap<String, Value>,
}

impl Issuer {
    /// Verifies a signal of a transmitter. A refusal is recorded.
    ///
    /// # Errors
    /// [`HeardError`]; the signal counts for nothing then.
    pub async fn hear(
        &self,
        org: &OrgId,
        transmitter: &SignalTransmitter,
        token: &str,
    ) -> Result<Heard, HeardError> {
        let issuer = self.issuer_url(org).map_err(HeardError::Later)?;
        match self.verified_signal(org, transmitter, token).await {
            Ok(Ok(event)) => Ok(Heard {
                id: hash(&event.jti),
                event: SignalEvent::of_uri(&event.event),
                subject: event.subject,
                claims: event.claims,
                issuer,
            }),
            Ok(Err(error)) => {
                let about = Some(transmitter.id.as_str());
                self.record_refusal(org, "signals", error.code(), about, None, None)
                    .await;
                Err(error.into())
            }
            Err(refusal) => Err(HeardError::Later(refusal)),
        }
    }

    /// Counts a signal that was taken before: nothing followed from it.
    pub async fn note_repeated(&self, org: &OrgId, transmitter: &SignalTransmitter) {
        let about = Some(transmitter.id.as_str());
        self.record_refusal(org, "signals", "signal-repeated", about, None, None)
            .await;
    }

    async fn verified_signal(
        &self,
        org: &OrgId,
        transmitter: &SignalTransmitter,
        token: &str,
    ) -> Result<Result<SecurityEvent, TokenError>, Refusal> {
        let keys = self.signal_keys(org, transmitter, None).await?;
        let algorithms: Vec<ForeignAlgorithm> = transmitter
            .algorithms
            .iter()
            .filter_map(|a| ForeignAlgorithm::parse(a.as_str()))
            .collect();
        let expect = ExpectSet {
            issuer: &transmitter.issuer,
            audience: &transmitter.audience,
            algorithms: &algorithms,
            age_s_max: AGE_SECS_MAX,
            now: self.books().now().as_secs(),
            leeway_s: CLIENT_LEEWAY_SECS,
        };
        match security_event::verify(token, &keys, &expect) {
            Err(TokenError::KeyUnknown) => {
                let newer = self.signal_keys(org, transmitter, Some(&keys)).await?;
                Ok(security_event::verify(token, &newer, &expect))
            }
            other => Ok(other),
        }
    }

    async fn signal_keys(
        &self,
        org: &OrgId,
        transmitter: &SignalTransmitter,
        not: Option<&Arc<ForeignJwks>>,
    ) -> Result<Arc<ForeignJwks>, Refusal> {
        let called = called(transmitter);
        self.keys_of(org, &keys_of(transmitter, &called), not).await
    }

    /// Asks a transmitter for its keys now, beside what is remembered.
    ///
    /// # Errors
    /// `not-found` when there is none of that id; `upstream-unreachable` with what is wrong.
    pub async fn test_transmitter(
        &self,
        org: &OrgId,
        id: &SignalTransmitterId,
    ) -> Result<TrustedIssuerReport, Refusal> {
        let found = {
            let book = self.tenant(org)?;
            book.registry().signal_transmitters.get(id).cloned()
        };
        let found =
            found.ok_or_else(|| no(RefusalCode::NotFound, "no such transmitter is here"))?;
        let called = called(&found);
        let fetched = self.fetch_keys(org, &keys_of(&found, &called)).await?;
        Ok(TrustedIssuerReport {
            issuer: found.issuer.clone(),
            jwks_uri: fetched.at,
            keys: fetched.keys.len(),
        })
    }

    /// The transmitters of an organization that are asked.
    #[must_use]
    pub fn asked_transmitters(&self, org: &OrgId) -> Vec<Arc<SignalTransmitter>> {
        let Some(book) = self.books().org(org) else {
            return Vec::new();
        };
        let registry = book.registry();
        let all = registry.signal_transmitters.values();
        let asked = all.filter(|t| t.revoked.is_none() && t.source != (Source::Push {}));
        asked.cloned().collect()
    }

    /// Asks a transmitter what it has to tell, and hands each signal that holds to `take`, which says whether it was taken. What was
    /// is acknowledged, what does not hold is refused, and what could not be taken now is asked for again the next time.
    ///
    /// # Errors
    /// `upstream-unreachable` when it does not answer as it should; `credential-unavailable` without its token; `limited`.
    pub async fn ask_transmitter<F>(
        &self,
        org: &OrgId,
        transmitter: &SignalTransmitter,
        take: impl Fn(Heard) -> F + Send + Sync,
    ) -> Result<(), Refusal>
    where
        F: Future<Output = bool> + Send,
    {
        let mut worth = Worth::default();
        for _ in 0..ROUNDS {
            let body = json!({
                "maxEvents": AT_ONCE, "returnImmediately": true, "ack": worth.ack, "setErrs": worth.errs,
            });
            let polled = self.poll_once(org, transmitter, &body).await?;
            let more = polled.more_available;
            worth = Worth::default();
            for (jti, token) in polled.sets.into_iter().take(AT_ONCE) {
                self.within_rate_or(transmitter.id.as_str(), SLOWER)?;
                match self.hear(org, transmitter, &token).await {
                    Ok(heard) => {
                        if take(heard).await {
                            worth.ack.push(jti);
                        }
                    }
                    Err(HeardError::Later(_)) => {}
                    Err(HeardError::Not { err, description }) => {
                        let said = json!({ "err": err, "description": description });
                        worth.errs.insert(jti, said);
                    }
                }
            }
            let nothing = worth.ack.is_empty() && worth.errs.is_empty();
            if nothing && !more {
                return Ok(());
            }
            if nothing {
                let text = "what it tells cannot be looked at now";
                return Err(no(RefusalCode::UpstreamUnreachable, text));
            }
        }
        Ok(())
    }

    async fn poll_once(
        &self,
        org: &OrgId,
        transmitter: &SignalTransmitter,
        body: &Value,
    ) -> Result<Polled, Refusal> {
        let Source::Poll { endpoint, secret } = &transmitter.source else {
            return Err(super::not_good());
        };
        let outside = self.outside()?;
        let missing = |text: String| no(RefusalCode::CredentialUnavailable, text);
        let name = self.organization_name(org)?;
        let secret = outside.secrets.read(&name, secret).await;
        let secret = secret.map_err(|e| missing(e.to_string()))?;
        let bearer = format!("Bearer {}", secret.expose_secret());
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = WebRequest {
            method: "POST".to_owned(),
            url: endpoint.clone(),
            headers: vec![
                header("content-type", "application/json"),
                header("accept", "application/json"),
                header("authorization", &bearer),
            ],
            body: body.to_string().into_bytes(),
        };
        let unreachable = |text: String| no(RefusalCode::UpstreamUnreachable, text);
        let answer = outside.web.request(org, request).await;
        let answer = answer.map_err(|e| unreachable(e.to_string()))?;
        if answer.status != 200 {
            return Err(unreachable(format!("it answered {}", answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| unreachable("its answer is none of RFC 8936".to_owned()))
    }
}

fn called(transmitter: &SignalTransmitter) -> String {
    format!("the transmitter `{}`", transmitter.name)
}

fn keys_of<'a>(transmitter: &'a SignalTransmitter, called: &'a str) -> KeysOf<'a> {
    KeysOf {
        id: transmitter.id.as_str(),
        called,
        issuer: &transmitter.issuer,
        source: &transmitter.keys,
        metadata: MetadataKind::SharedSignals,
        seen: None,
    }
}

fn hash(jti: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, jti.as_bytes()))
}
