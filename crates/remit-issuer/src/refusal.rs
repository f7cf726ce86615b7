//! From what went wrong to a refusal, and from a refusal to an OAuth error: one table each.

use remit_books::BooksError;
use remit_domain::{Refusal, RefusalCode};
use remit_ports::store::StoreError;
use remit_token::{OAuthError, OAuthErrorCode};

/// A refusal, in fewer words.
pub(crate) fn no(code: RefusalCode, text: impl Into<String>) -> Refusal {
    Refusal::new(code, text)
}

/// The refusal that follows when the books could not be read or written: nothing has changed, so the answer is no.
pub(crate) fn from_books(error: BooksError) -> Refusal {
    match error {
        BooksError::NoOrganization(_) => no(RefusalCode::NotFound, "no such organization is here"),
        error @ BooksError::NoPolicies => no(RefusalCode::Denied, error.to_string()),
        BooksError::Store(StoreError::EpochMoved(_)) => crate::hop::early(),
        BooksError::Store(StoreError::Conflict { .. }) => no(
            RefusalCode::Conflict,
            "it has changed meanwhile; read it again and repeat",
        ),
        BooksError::Store(taken @ StoreError::NameTaken { .. }) => {
            no(RefusalCode::Conflict, taken.to_string())
        }
        BooksError::Store(StoreError::Replayed { .. }) => no(
            RefusalCode::Unauthenticated,
            "it was used already; it is good for one use",
        ),
        other => {
            tracing::error!(error = %other, "the books could not be read or written");
            no(
                RefusalCode::LedgerUnavailable,
                "the change could not be recorded, so nothing was done; try again",
            )
        }
    }
}

/// The OAuth error of a refusal; its description begins with the refusal's own code.
///
/// Source: RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 8707 §2.
#[must_use]
pub fn oauth_error(refusal: &Refusal) -> OAuthError {
    use OAuthErrorCode as O;
    use RefusalCode as R;
    let code = match refusal.code {
        R::Unauthenticated | R::ProofInvalid => O::InvalidClient,
        R::AgentNotActive
        | R::NoAccountablePerson
        | R::AttestationRequired
        | R::AttestationMismatch
        | R::WitSvidOff
        | R::Contained
        | R::Forbidden
        | R::Denied => O::UnauthorizedClient,
        R::WorkflowUnknown | R::RunUnknown | R::RunEnded | R::Wider => O::InvalidScope,
        R::ChainBroken | R::ChainTooDeep | R::DelegationLoop | R::Conflict => O::InvalidGrant,
        R::NotFound => O::InvalidTarget,
        R::LedgerUnavailable
        | R::SnapshotStale
        | R::Limited
        | R::LimitExceeded
        | R::CredentialUnavailable
        | R::Timeout => O::TemporarilyUnavailable,
        _ => O::InvalidRequest,
    };
    OAuthError::new(code, refusal.to_string())
}
