//! This build has no passkeys: everything that takes one is refused, and says so.

use remit_domain::passkey::{Passkey, StepUpProof};
use remit_domain::{OrgId, Refusal, RefusalCode};
use serde_json::Value;

use super::Ceremony;
use crate::refusal::no;
use crate::{Issuer, NewSession, PersonSession};

fn none() -> Refusal {
    no(
        RefusalCode::InvalidRequest,
        "this build of Remit has no passkeys (feature `passkeys`)",
    )
}

#[expect(
    missing_docs,
    reason = "the same functions as with passkeys, each refused"
)]
impl Issuer {
    #[must_use]
    pub fn has_passkeys(&self) -> bool {
        false
    }

    pub async fn begin_passkey(&self, _: &OrgId, _: &PersonSession) -> Result<Ceremony, Refusal> {
        Err(none())
    }

    pub async fn finish_passkey(
        &self,
        _: &OrgId,
        _: &PersonSession,
        _: &str,
        _: Value,
        _: &str,
    ) -> Result<Passkey, Refusal> {
        Err(none())
    }

    pub fn begin_passkey_sign_in(&self, _: &OrgId) -> Result<Ceremony, Refusal> {
        Err(none())
    }

    pub async fn sign_in_with_passkey(
        &self,
        _: &OrgId,
        _: &str,
        _: Value,
        _: &str,
    ) -> Result<NewSession, Refusal> {
        Err(none())
    }

    pub async fn step_up_begin(
        &self,
        _: &OrgId,
        _: &PersonSession,
        _: &str,
    ) -> Result<Ceremony, Refusal> {
        Err(none())
    }

    pub async fn step_up_finish(
        &self,
        _: &OrgId,
        _: &PersonSession,
        _: &str,
        _: &str,
        _: Value,
    ) -> Result<StepUpProof, Refusal> {
        Err(none())
    }
}
