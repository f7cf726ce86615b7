//! Attestation: the registry says what may run a workflow, an attester what it saw, and it is decided here whether they agree.
//!
//! An attester is believed because an administrator registered its key as one. What anybody else says of itself counts for
//! nothing.

use remit_domain::attestation::{Attestation, Evidence};
use remit_domain::finding::FindingKind;
use remit_domain::{OrgId, Refusal, RefusalCode, Registry, Workflow};

use crate::refusal::no;
use crate::svid::Holder;
use crate::{Issuer, Verified};

fn required(text: &str) -> Refusal {
    no(RefusalCode::AttestationRequired, text)
}

fn undeclared() -> Refusal {
    required(
        "the workflow does not declare what may run it; an administrator adds `attestation` to it",
    )
}

/// Whether a holder is what its workflow declares.
pub(crate) fn judge(
    registry: &Registry,
    workflow: &Workflow,
    holder: &Holder,
) -> Result<(), Refusal> {
    let (registered, seen) = match (&workflow.attestation, &holder.attested) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(undeclared()),
        (Some(_), None) => {
            return Err(required(
                "the workflow declares what may run it, so its SVIDs come from an attester: `remit workload-api` beside the workload",
            ));
        }
        (Some(registered), Some(seen)) => (registered, seen),
    };
    by_attester(registry, holder)?;
    if !seen.is_sound() {
        let text = "`attested`: a digest has 64 lower-case hex digits, and paths have their limit";
        return Err(no(RefusalCode::InvalidRequest, text));
    }
    match registered.mismatch(seen) {
        None => Ok(()),
        Some(wrong) => {
            let text = format!("{}; the workflow declares what may run it", wrong.as_str());
            Err(no(RefusalCode::AttestationMismatch, text))
        }
    }
}

/// Whether the key that asks is an attester's.
fn by_attester(registry: &Registry, holder: &Holder) -> Result<(), Refusal> {
    let thumbprint = holder.thumbprint.as_ref();
    let key = thumbprint.and_then(|thumbprint| registry.keys.get(thumbprint));
    if key.is_some_and(|key| key.attests) {
        return Ok(());
    }
    Err(required(
        "the key that asks is no attester's; an administrator registers one with `remit agent key add --attests`",
    ))
}

impl Issuer {
    /// What may run the workflow of an access token, for the attester that asks with it.
    ///
    /// # Errors
    /// `attestation-required` where the workflow declares nothing or the key is no attester's; whatever the run's standing refuses with.
    pub async fn attestation(&self, verified: &Verified) -> Result<Attestation, Refusal> {
        let holder = Holder::of(verified, None);
        let found = self.registered(&verified.org, &holder).await;
        self.told(&verified.org, &holder, found).await
    }

    async fn registered(&self, org: &OrgId, holder: &Holder) -> Result<Attestation, Refusal> {
        let workflow = self.holder_stands(org, holder).await?;
        let book = self.tenant(org)?;
        by_attester(&book.registry(), holder)?;
        workflow.attestation.clone().ok_or_else(undeclared)
    }

    /// Whether a process may have what the workflow of an access token gives, without issuing anything.
    ///
    /// # Errors
    /// As [`Self::x509_svid`].
    pub async fn attest(&self, verified: &Verified, seen: Evidence) -> Result<(), Refusal> {
        let holder = Holder::of(verified, Some(seen));
        let judged = self.svid_holder(&verified.org, &holder).await;
        self.told(&verified.org, &holder, judged).await.map(drop)
    }

    /// A process that is not what was registered is a finding, as long as that is not told too often.
    pub(crate) async fn note_mismatch(&self, org: &OrgId, holder: &Holder, refusal: &Refusal) {
        let (RefusalCode::AttestationMismatch, Some(seen)) = (refusal.code, &holder.attested)
        else {
            return;
        };
        let rate = format!("attest:{}", holder.agent);
        if self.within_rate(&rate).is_err() {
            return;
        }
        let text = format!(
            "a process that is not the registered workload asked for its identity: {} (user {}, `{}`, sha256 {}, control group `{}`)",
            refusal.text,
            seen.uid,
            seen.binary.escape_debug(),
            seen.sha256,
            seen.cgroup.escape_debug(),
        );
        let kind = FindingKind::AttestationMismatch;
        let opened = match self
            .finding(org, kind, holder.workflow.as_str(), text)
            .await
        {
            Ok(change) => self.books().commit(org, change).await.map(drop),
            Err(error) => return tracing::error!(%org, %error, "findings could not be read"),
        };
        if let Err(error) = opened {
            // The refusal is recorded in any case; another one at the same moment has counted it.
            tracing::warn!(%org, workflow = %holder.workflow, %error, "a finding could not be opened");
        }
    }
}
