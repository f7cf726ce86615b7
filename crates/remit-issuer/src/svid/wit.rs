//! WIT-SVIDs: bound to a key that the request proves, where the organization has turned them on.

use remit_books::BooksError;
use remit_domain::attestation::Evidence;
use remit_domain::credential::{Svid, SvidForm};
use remit_domain::limits::WIT_SVID_SECS;
use remit_domain::organization::WitSvids;
use remit_domain::{OrgId, Refusal, RefusalCode, Timestamp};
use remit_ports::store::StoreError;
use remit_token::SpiffeId;
use remit_token::wit_svid::{self, WitSvidClaims, WorkloadKey};

use super::{DOOR, Holder, ends};
use crate::dpop::{Wrong, replayed};
use crate::refusal::{from_books, no};
use crate::{Issuer, ProofShown, Verified};

/// A WIT-SVID. It is no secret: without its key it is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitSvid {
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// Why there is none.
enum Not {
    Refused(Refusal),
    Proof(Wrong),
}

impl From<Refusal> for Not {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Wrong> for Not {
    fn from(wrong: Wrong) -> Self {
        Self::Proof(wrong)
    }
}

impl Issuer {
    /// Issues a WIT-SVID for the workflow and run of an access token, bound to the key of a proof.
    ///
    /// - `token`: the access token itself, which the proof names (`ath`).
    /// - `shown`: a DPoP proof of this very request by the key that the SVID is to be bound to; on P-256.
    ///
    /// # Errors
    /// `wit-svid-off` where the organization has not turned them on; `proof-invalid`, recorded with what is wrong; else as
    /// [`Self::x509_svid`].
    pub async fn wit_svid(
        &self,
        verified: &Verified,
        token: &str,
        shown: &ProofShown<'_>,
        attested: Option<Evidence>,
    ) -> Result<WitSvid, Refusal> {
        let org = &verified.org;
        let holder = Holder::of(verified, attested);
        match self.issue_wit(org, &holder, token, shown).await {
            Ok(svid) => Ok(svid),
            Err(Not::Refused(refusal)) => self.told(org, &holder, Err(refusal)).await,
            Err(Not::Proof(wrong)) => {
                let (agent, run) = (Some(&holder.agent), holder.run.as_ref());
                self.record_refusal(org, DOOR, wrong.code, None, agent, run)
                    .await;
                Err(no(RefusalCode::ProofInvalid, wrong.text))
            }
        }
    }

    /// Whether an organization has WIT-SVIDs.
    pub(crate) fn wit_svids(&self, org: &OrgId) -> Result<WitSvids, Refusal> {
        let book = self.tenant(org)?;
        let setting = book.registry().organization.as_ref().map(|o| o.wit_svids);
        Ok(setting.unwrap_or_default())
    }

    async fn issue_wit(
        &self,
        org: &OrgId,
        holder: &Holder,
        token: &str,
        shown: &ProofShown<'_>,
    ) -> Result<WitSvid, Not> {
        self.wit_on(org)?;
        let (keys, spiffe_id) = self.ready(org, holder).await?;
        let signer = keys.wit.as_ref().ok_or_else(off)?;
        let proved = self.prove_other(token, shown)?;
        let now = self.books().now();
        let expires = ends(now.plus_secs(WIT_SVID_SECS), holder, now)?;
        let svid = Svid {
            key: Some(proved.jkt.to_string()),
            ..self.record(SvidForm::Wit, holder, &spiffe_id, expires)
        };
        self.wit_stands(org, &svid)?;
        let claims = WitSvidClaims {
            iss: self.trust_domain(org)?,
            sub: spiffe_id.clone(),
            cnf: WorkloadKey(proved.key),
            exp: expires.as_secs(),
            iat: now.as_secs(),
            jti: svid.id.to_string(),
        };
        let token = wit_svid::sign(&claims, signer)
            .map_err(|error| no(RefusalCode::InvalidRequest, error.to_string()))?;
        let change = self.svid_change(&svid).once(proved.once);
        match self.books().commit(org, change).await {
            Ok(_) => self.look_again(org, holder, &svid).await?,
            Err(BooksError::Store(StoreError::Replayed { .. })) => return Err(replayed().into()),
            Err(error) => return Err(from_books(error).into()),
        }
        Ok(WitSvid {
            spiffe_id,
            token,
            expires,
        })
    }

    fn wit_on(&self, org: &OrgId) -> Result<(), Refusal> {
        if self.wit_svids(org)?.on {
            return Ok(());
        }
        Err(off())
    }

    /// Whether an SVID of this form may be given out now: they are on, and nothing that it rests on is contained, such as the key that it is
    /// bound to.
    pub(super) fn wit_stands(&self, org: &OrgId, svid: &Svid) -> Result<(), Refusal> {
        if svid.form != SvidForm::Wit {
            return Ok(());
        }
        self.wit_on(org)?;
        let book = self.tenant(org)?;
        let registry = book.registry();
        registry.not_held(|| registry.lineage_of_svid(svid))
    }
}

fn off() -> Refusal {
    let text = "WIT-SVIDs are off in this organization; an administrator turns them on with `wit_svids: true` in its settings";
    no(RefusalCode::WitSvidOff, text)
}
