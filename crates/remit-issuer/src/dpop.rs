//! Proofs of possession (RFC 9449): at the token endpoint they bind the token to a key, at a resource they show that key.
//!
//! A proof counts once, on whichever node: its id is used up in the store. It has to answer with a nonce of ours, so that none
//! can be made beforehand. The nonce is its own end, sealed under the master key that all nodes of an instance share: any node
//! can read what another gave out, and none has to remember it.

use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_books::{BooksError, Change};
use remit_domain::{OrgId, Refusal, RefusalCode, Timestamp};
use remit_ports::store::{Once, StoreError};
use remit_token::dpop::{ExpectProof, Proof, ProofError, verify};
use remit_token::limits::PROOF_AGE_S_MAX;
use remit_token::{BearerError, KeyAlgorithm, OAuthErrorCode, PublicJwk, Thumbprint};

use crate::client::Client;
use crate::door::Denied;
use crate::limits::{
    CLIENT_LEEWAY_SECS, NONCE_CHARS_MAX, NONCE_FRESH_SECS, NONCE_SECS, ONCE_MARGIN_SECS,
};
use crate::refusal::{from_books, no};
use crate::{Issuer, Verified};

/// What a nonce is sealed for.
const NONCE: &str = "dpop-nonce";
/// Start of the keys that proofs use up.
const PROOF: &str = "dpop:";

/// The proof of a request to a resource, as it came.
#[derive(Debug, Clone, Copy)]
pub struct ProofShown<'a> {
    /// The one `DPoP` header; none when there is none, or several.
    pub proof: Option<&'a str>,
    /// The request's method, in capitals.
    pub method: &'a str,
    /// The request's address below `public_url`, path only.
    pub path: &'a str,
}

/// Why a proof, or the lack of one, is refused.
#[derive(Debug, Clone)]
pub struct ProofRefused {
    /// What the caller hears.
    pub refusal: Refusal,
    /// The error of the challenge (RFC 9449 §7.1).
    pub error: BearerError,
}

/// A key that was proved at the token endpoint, and the use of its proof.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) jkt: Thumbprint,
    pub(crate) once: Once,
}

/// A key that is proved for something to be bound to it, and the use of its proof.
pub(crate) struct Proved {
    pub(crate) key: PublicJwk,
    pub(crate) jkt: Thumbprint,
    pub(crate) once: Once,
}

/// A reason, before it is known which endpoint says it.
pub(crate) struct Wrong {
    pub(crate) code: &'static str,
    error: BearerError,
    pub(crate) text: String,
}

const INVALID_PROOF: BearerError = BearerError::InvalidDpopProof;
const USE_NONCE: BearerError = BearerError::UseDpopNonce;
const INVALID_TOKEN: BearerError = BearerError::InvalidToken;

/// A first request has no nonce yet: that is how it gets one, and nothing to record.
pub(crate) const NONCE_MISSING: &str = "dpop-nonce-missing";

fn wrong(code: &'static str, error: BearerError, text: impl Into<String>) -> Wrong {
    Wrong {
        code,
        error,
        text: text.into(),
    }
}

fn missing() -> Wrong {
    let text = "the token is bound to a key; send one `DPoP` header with a proof by that key, and the token as `DPoP`";
    wrong("dpop-proof-missing", INVALID_PROOF, text)
}

impl From<ProofError> for Wrong {
    fn from(error: ProofError) -> Self {
        wrong(error.code(), INVALID_PROOF, error.to_string())
    }
}

impl From<Wrong> for Denied {
    fn from(wrong: Wrong) -> Self {
        let error = if wrong.error == USE_NONCE {
            OAuthErrorCode::UseDpopNonce
        } else {
            OAuthErrorCode::InvalidDpopProof
        };
        Self::new(error, wrong.code, wrong.text)
    }
}

impl Issuer {
    /// The nonce that the next proof is to answer with: the same for a minute on one node, accepted on every node for five.
    ///
    /// # Errors
    /// `credential-unavailable` when the master key cannot be used.
    pub fn dpop_nonce(&self) -> Result<String, Refusal> {
        let now = self.books().clock().monotonic();
        let mut held = self
            .inner
            .nonce
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fresh = Duration::from_secs(NONCE_FRESH_SECS);
        if let Some((nonce, made)) = held.as_ref()
            && now.saturating_sub(*made) < fresh
        {
            return Ok(nonce.clone());
        }
        let ends = self.books().now().plus_secs(NONCE_SECS).as_secs();
        let sealed = self.books().vault().seal(&ends.to_be_bytes(), NONCE);
        let sealed = sealed.map_err(|_| {
            let text = "the master key cannot be used; see `remit doctor`";
            no(RefusalCode::CredentialUnavailable, text)
        })?;
        let nonce = URL_SAFE_NO_PAD.encode(sealed);
        *held = Some((nonce.clone(), now));
        Ok(nonce)
    }

    /// Whether a proof answers with a nonce that some node of ours gave out not long ago.
    fn answers(&self, proof: &Proof) -> Result<(), Wrong> {
        let Some(nonce) = proof.nonce.as_deref() else {
            let text = "the DPoP proof needs the nonce of the `DPoP-Nonce` header; send the request again with it";
            return Err(wrong(NONCE_MISSING, USE_NONCE, text));
        };
        let not_ours = || {
            let text = "the DPoP proof's nonce was not given out here; use that of the newest `DPoP-Nonce` header";
            wrong("dpop-nonce-other", USE_NONCE, text)
        };
        if nonce.len() > NONCE_CHARS_MAX {
            return Err(not_ours());
        }
        let sealed = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| not_ours())?;
        let plain = self.books().vault().unseal(&sealed, NONCE);
        let plain = plain.map_err(|_| not_ours())?;
        let ends = <[u8; 8]>::try_from(plain.as_slice()).map_err(|_| not_ours())?;
        if self.books().now() < Timestamp::from_secs(i64::from_be_bytes(ends)) {
            return Ok(());
        }
        let text = "the DPoP proof's nonce is too old; use that of the `DPoP-Nonce` header";
        Err(wrong("dpop-nonce-stale", USE_NONCE, text))
    }

    /// A proof whose signature, address, time and nonce hold, and the use of it that is still to be recorded.
    fn read_proof(&self, text: &str, expect: &ExpectProof<'_>) -> Result<Bound, Wrong> {
        let proof = verify(text, expect)?;
        self.answers(&proof)?;
        Ok(Bound {
            once: use_of(&proof),
            jkt: proof.jkt,
        })
    }

    /// The key that a request proves for something to be bound to it. It needs no nonce: the proof names the access token of the
    /// request (`ath`), so none can be made before that was issued.
    pub(crate) fn prove_other(&self, token: &str, shown: &ProofShown<'_>) -> Result<Proved, Wrong> {
        let text = "there is no proof; sign one with the key that is to be bound";
        let proof = shown
            .proof
            .ok_or_else(|| wrong("dpop-proof-missing", INVALID_PROOF, text))?;
        let url = format!("{}{}", self.inner.public_url, shown.path);
        let expect = ExpectProof {
            method: shown.method,
            url: &url,
            access_token: Some(token),
            now: self.books().now().as_secs(),
            leeway_s: CLIENT_LEEWAY_SECS,
        };
        let proof = verify(proof, &expect)?;
        if proof.key.algorithm() != KeyAlgorithm::Es256 {
            let text = "the key is not on P-256, which this needs";
            return Err(wrong("dpop-key-unsupported", INVALID_PROOF, text));
        }
        Ok(Proved {
            once: use_of(&proof),
            key: proof.key,
            jkt: proof.jkt,
        })
    }

    /// The key that a request to an endpoint of the authorization server proves.
    ///
    /// - `url`: its address, such as [`Self::token_endpoint`].
    pub(crate) fn bound(&self, url: &str, proof: Option<&str>) -> Result<Option<Bound>, Denied> {
        let Some(proof) = proof else { return Ok(None) };
        let expect = ExpectProof {
            method: "POST",
            url,
            access_token: None,
            now: self.books().now().as_secs(),
            leeway_s: CLIENT_LEEWAY_SECS,
        };
        Ok(Some(self.read_proof(proof, &expect)?))
    }

    /// Checks what a request to a resource shows of the key that its token is bound to, and uses the proof up. A refusal is
    /// recorded.
    ///
    /// - `door`: where it is used, as a word of ours.
    /// - returns: the thumbprint of the proved key, to be given to [`Self::verify_access`] for every use within this request;
    ///   none for a token that is not good anyway, which that says with its own reason.
    ///
    /// # Errors
    /// [`ProofRefused`].
    pub async fn prove_key(
        &self,
        org: &OrgId,
        door: &'static str,
        token: &str,
        shown: &ProofShown<'_>,
    ) -> Result<Option<String>, ProofRefused> {
        // Of a token whose run has ended too: who brings one without its key is not the agent that it names.
        let verified = match self.inspect(org, token).await {
            Ok(verified) => verified,
            Err(refused) => match refused.verified {
                Some(verified) => verified,
                None => return Ok(None),
            },
        };
        let wrong = match self.prove(&verified, token, shown) {
            Ok(bound) => {
                let jkt = bound.jkt.to_string();
                let change = Change::new().once(bound.once);
                match self.books().commit(org, change).await {
                    Ok(_) => return Ok(Some(jkt)),
                    Err(BooksError::Store(StoreError::Replayed { .. })) => replayed(),
                    Err(error) => {
                        return Err(ProofRefused {
                            refusal: from_books(error),
                            error: INVALID_PROOF,
                        });
                    }
                }
            }
            Err(wrong) => wrong,
        };
        if wrong.code != NONCE_MISSING {
            let (agent, run) = (Some(&verified.agent), Some(&verified.run));
            self.record_refusal(org, door, wrong.code, None, agent, run)
                .await;
        }
        Err(ProofRefused {
            refusal: no(RefusalCode::ProofInvalid, wrong.text),
            error: wrong.error,
        })
    }

    fn prove(
        &self,
        verified: &Verified,
        token: &str,
        shown: &ProofShown<'_>,
    ) -> Result<Bound, Wrong> {
        let cnf = verified.claims.cnf.as_ref();
        let Some(jkt) = cnf.and_then(|cnf| cnf.jkt.as_ref()) else {
            let text = "the token is bound to no key; send it as `Bearer`, or get a bound one with a DPoP proof";
            return Err(wrong("dpop-token-unbound", INVALID_TOKEN, text));
        };
        let proof = shown.proof.ok_or_else(missing)?;
        let url = format!("{}{}", self.inner.public_url, shown.path);
        let expect = ExpectProof {
            method: shown.method,
            url: &url,
            access_token: Some(token),
            now: self.books().now().as_secs(),
            leeway_s: CLIENT_LEEWAY_SECS,
        };
        let bound = self.read_proof(proof, &expect)?;
        if bound.jkt == *jkt {
            Ok(bound)
        } else {
            let text = "the DPoP proof was made with another key than the token is bound to";
            Err(wrong("dpop-key-other", INVALID_TOKEN, text))
        }
    }
}

/// The use of a proof: it is remembered until the proof is too old anyway.
fn use_of(proof: &Proof) -> Once {
    let until = Timestamp::from_secs(proof.iat)
        .plus_secs(PROOF_AGE_S_MAX.saturating_add(i64::from(CLIENT_LEEWAY_SECS)));
    Once {
        key: format!("{PROOF}{}:{}", proof.jkt, proof.jti),
        until: until.plus_secs(ONCE_MARGIN_SECS),
    }
}

pub(crate) fn replayed() -> Wrong {
    let text = "the DPoP proof was used already; make one for each request";
    wrong("dpop-replayed", INVALID_PROOF, text)
}

/// The denial of a proof that was used already at the token endpoint, where that is what a commit failed of.
pub(crate) fn spent_proof(key: &str) -> Option<Denied> {
    key.starts_with(PROOF).then(|| replayed().into())
}

/// Whether a client that brings a bound access token holds its key: one that was stolen is worth nothing here either.
pub(crate) fn holds(verified: &Verified, client: &Client) -> Result<(), Denied> {
    let cnf = verified.claims.cnf.as_ref();
    if let Some(certificate) = cnf.and_then(|cnf| cnf.x5t_s256.as_ref())
        && client.certificate.as_ref().map(|shown| &shown.thumbprint) != Some(certificate)
    {
        let text = "the subject token is bound to a certificate that this connection does not show";
        return Err(Denied::new(
            OAuthErrorCode::InvalidGrant,
            "certificate-other",
            text,
        ));
    }
    match (cnf.and_then(|cnf| cnf.jkt.as_ref()), &client.bound) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(missing().into()),
        (Some(jkt), Some(bound)) if *jkt == bound.jkt => Ok(()),
        (Some(_), Some(_)) => {
            let text =
                "the subject token is bound to another key than the DPoP proof was made with";
            Err(wrong("dpop-key-other", INVALID_PROOF, text).into())
        }
    }
}

/// The key that a request is bound to which proves one and names one (RFC 9449 §10.1): the same, or none.
pub(crate) fn same_key(
    named: Option<Thumbprint>,
    proved: Option<&Bound>,
) -> Result<Option<Thumbprint>, Denied> {
    match (named, proved) {
        (Some(named), Some(proved)) if named != proved.jkt => {
            let text = "'dpop_jkt' names another key than the DPoP proof was made with";
            Err(wrong("dpop-key-other", INVALID_PROOF, text).into())
        }
        (named, proved) => Ok(named.or_else(|| proved.map(|bound| bound.jkt.clone()))),
    }
}

/// A client asked for a token that is bound to nothing, where the organization gives out none.
pub(crate) fn unbound() -> Denied {
    let text = "this organization gives out tokens that are bound: send a DPoP proof to the token endpoint, or show a certificate when you connect";
    wrong("token-unbound", INVALID_PROOF, text).into()
}

/// What a workflow demands that only gives out bound tokens.
pub(crate) fn demanded() -> Denied {
    let text =
        "tokens of this workflow are bound to a key; send a DPoP proof to the token endpoint";
    wrong("dpop-proof-missing", INVALID_PROOF, text).into()
}
