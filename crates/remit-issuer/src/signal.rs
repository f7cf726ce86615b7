//! Signals, both ways (OpenID Shared Signals Framework 1.0): others hear what happened here, and tell what happened there.
//!
//! | to | go to |
//! | --- | --- |
//! | see what becomes of an entry of the ledger | [`map`] |
//! | see what a receiver may set | [`stream`] |
//! | see of whom a stream does not tell | [`subjects`] |
//! | see how signals go out | [`outbox`], [`push`], [`poll`] |
//! | see how signals come in | [`receive`] |

mod map;
mod outbox;
mod poll;
mod push;
mod receive;
mod stream;
mod subjects;

pub use poll::{PollRequest, PollResponse, SetError};
pub use receive::{Heard, HeardError};
pub use stream::{
    DeliveryAsked, DeliveryShown, StatusAsked, StatusShown, StreamAsked, StreamShown,
    TransmitterMetadata, VerificationAsked,
};
pub use subjects::SubjectAsked;

use std::sync::Arc;

use remit_domain::signal::{SignalReceiver, SignalTransmitter};
use remit_domain::{OrgId, Refusal, RefusalCode};
use remit_token::{OpaqueSecret, SecretKind};

use crate::Issuer;
use crate::refusal::no;

/// Delivery by push (RFC 8935).
pub const PUSH: &str = "urn:ietf:rfc:8935";
/// Delivery by poll (RFC 8936).
pub const POLL: &str = "urn:ietf:rfc:8936";

fn not_good() -> Refusal {
    let text =
        "the token is not known here, or has expired or been ended; make one with `remit signal`";
    no(RefusalCode::Unauthenticated, text)
}

impl Issuer {
    /// Checks the token of a receiver of signals (`rmt_sig_…`). A refusal is recorded.
    ///
    /// # Errors
    /// `unauthenticated`; `not-found` for an organization that is not here; `limited`; `snapshot-stale`.
    pub async fn authenticate_receiver(
        &self,
        org: &OrgId,
        token: Option<&str>,
    ) -> Result<Arc<SignalReceiver>, Refusal> {
        let found = self.signal_digest(org, token).and_then(|digest| {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let now = self.books().now();
            let mut all = registry.signal_receivers.values();
            let found = all.find(|r| r.accepts(&digest, now)).cloned();
            found.ok_or_else(not_good)
        });
        let found = self.recorded(org, found).await?;
        self.within_rate_or(found.id.as_str(), "wait a moment between them")?;
        self.books().note_use(org, found.id.as_str());
        Ok(found)
    }

    /// Checks the token of a transmitter that sends signals here (`rmt_sig_…`). A refusal is recorded.
    ///
    /// # Errors
    /// As [`Self::authenticate_receiver`].
    pub async fn authenticate_transmitter(
        &self,
        org: &OrgId,
        token: Option<&str>,
    ) -> Result<Arc<SignalTransmitter>, Refusal> {
        let found = self.signal_digest(org, token).and_then(|digest| {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let now = self.books().now();
            let mut all = registry.signal_transmitters.values();
            let found = all.find(|t| t.accepts(&digest, now)).cloned();
            found.ok_or_else(not_good)
        });
        let found = self.recorded(org, found).await?;
        self.within_rate_or(found.id.as_str(), "tell the rest later")?;
        self.books().note_use(org, found.id.as_str());
        Ok(found)
    }

    async fn recorded<T>(&self, org: &OrgId, found: Result<T, Refusal>) -> Result<T, Refusal> {
        match found {
            Err(refusal) if refusal.code == RefusalCode::Unauthenticated => {
                Err(self.refuse(org, "signals", None, None, refusal).await)
            }
            other => other,
        }
    }

    fn signal_digest(&self, org: &OrgId, token: Option<&str>) -> Result<String, Refusal> {
        self.tenant(org)?;
        if !self.books().store().is_fresh() {
            let text = "changes of other nodes do not arrive; nobody is let in until they do";
            return Err(no(RefusalCode::SnapshotStale, text));
        }
        let token = token.ok_or_else(|| {
            let text = "send `Authorization: Bearer` with the token that was made for you";
            no(RefusalCode::Unauthenticated, text)
        })?;
        let secret = OpaqueSecret::parse_kind(token, SecretKind::Signal)
            .map_err(|error| no(RefusalCode::Unauthenticated, error.to_string()))?;
        // What is compared is a digest of 256 random bits: how long that takes says nothing of them.
        Ok(hex::encode(secret.digest().as_bytes()))
    }
}
