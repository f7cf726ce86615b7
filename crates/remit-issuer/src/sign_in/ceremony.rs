//! What a ceremony keeps between its two halves: sealed for one purpose in one organization, for five minutes, once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_domain::{OrgId, PersonId, Refusal, RefusalCode, SessionId, Timestamp};
use remit_ports::store::Once;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::Issuer;
use crate::limits::{CEREMONY_BYTES_MAX, CEREMONY_SECS, ONCE_MARGIN_SECS};
use crate::refusal::no;

/// What it is for. One never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "passkeys"),
    expect(dead_code, reason = "three of them are of passkeys")
)]
pub(crate) enum Purpose {
    /// Making a passkey.
    Enrol,
    /// Signing in with one.
    SignIn,
    /// Proving with one, for a digest.
    StepUp,
    /// A visit to the company's OpenID provider.
    Oidc,
    /// What an agent's client asks of a person.
    Authorize,
    /// The code that it gets for the person's yes.
    Code,
}

impl Purpose {
    fn context(self, org: &OrgId) -> String {
        let word = match self {
            Self::Enrol => "enrol",
            Self::SignIn => "sign-in",
            Self::StepUp => "step-up",
            Self::Oidc => "oidc",
            Self::Authorize => "authorize",
            Self::Code => "code",
        };
        format!("ceremony {word} of {org}")
    }
}

/// The state of a ceremony.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(
    not(feature = "passkeys"),
    expect(dead_code, reason = "some of it is for passkeys")
)]
pub(crate) struct State {
    id: String,
    expires: Timestamp,
    /// In whose session; none for signing in.
    pub(crate) session: Option<SessionId>,
    /// Whose; none for signing in.
    pub(crate) person: Option<PersonId>,
    /// What it is proved for.
    pub(crate) digest: Option<String>,
    /// What makes the challenge of a proof its own.
    pub(crate) nonce: Option<String>,
    /// What the ceremony itself needs.
    pub(crate) inner: Value,
}

impl State {
    /// The same with another life, in seconds.
    pub(crate) fn ending_in(mut self, now: Timestamp, secs: i64) -> Self {
        self.expires = now.plus_secs(secs);
        self
    }

    /// What makes it work once.
    pub(crate) fn once(&self) -> Once {
        Once {
            key: format!("ceremony:{}", self.id),
            until: self.expires.plus_secs(ONCE_MARGIN_SECS),
        }
    }
}

/// The same for everything that is wrong with the state.
pub(crate) fn stale() -> Refusal {
    no(
        RefusalCode::ProofInvalid,
        "this took longer than five minutes, was used already or was begun elsewhere; begin again",
    )
}

impl Issuer {
    /// A new state.
    pub(crate) fn new_ceremony(&self, inner: Value) -> State {
        State {
            id: hex::encode(self.books().random::<16>()),
            expires: self.books().now().plus_secs(CEREMONY_SECS),
            session: None,
            person: None,
            digest: None,
            nonce: None,
            inner,
        }
    }

    /// Seals a state for the browser.
    pub(crate) fn seal_ceremony(
        &self,
        org: &OrgId,
        purpose: Purpose,
        state: &State,
    ) -> Result<String, Refusal> {
        let unusable = |_| {
            no(
                RefusalCode::CredentialUnavailable,
                "the master key cannot be used; see `remit doctor`",
            )
        };
        let plain = serde_json::to_vec(state).map(Zeroizing::new);
        let plain = plain.map_err(|_| stale())?;
        let sealed = self
            .books()
            .vault()
            .seal(&plain, &purpose.context(org))
            .map_err(unusable)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a state that counts now.
    pub(crate) fn open_ceremony(
        &self,
        org: &OrgId,
        purpose: Purpose,
        sealed: &str,
    ) -> Result<State, Refusal> {
        if sealed.len() > CEREMONY_BYTES_MAX {
            return Err(stale());
        }
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| stale())?;
        let plain = self
            .books()
            .vault()
            .unseal(&sealed, &purpose.context(org))
            .map(Zeroizing::new)
            .map_err(|_| stale())?;
        let state: State = serde_json::from_slice(&plain).map_err(|_| stale())?;
        if self.books().now() < state.expires {
            Ok(state)
        } else {
            Err(stale())
        }
    }
}
