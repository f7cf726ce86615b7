//! Why a commit that spends single-use proofs failed, in the words of whoever brought them.

use remit_books::BooksError;
use remit_domain::Kind;
use remit_ports::store::StoreError;
use remit_token::OAuthErrorCode;

use crate::door::Denied;
use crate::dpop::spent_proof;
use crate::federation::{self, FEDERATED};

/// Start of the keys that starts of implicit runs use up.
pub(crate) const START: &str = "implicit-run:";
/// The code was used before.
pub(crate) const CODE_REPLAYED: &str = "code-replayed";
/// Another node has started the run.
pub(crate) const STARTED_ELSEWHERE: &str = "run-started-elsewhere";
/// Another node has started a run below the same one.
pub(crate) const PLACE_LOST: &str = "place-lost";

/// Why a commit that spends single-use proofs failed.
pub(crate) fn spent(error: BooksError) -> Denied {
    match &error {
        BooksError::Store(StoreError::Replayed { key }) if key.starts_with("assertion:") => {
            Denied::client("assertion-replayed")
        }
        BooksError::Store(StoreError::Replayed { key }) if key.starts_with(START) => Denied::new(
            OAuthErrorCode::TemporarilyUnavailable,
            STARTED_ELSEWHERE,
            "another node is starting this run; ask again",
        ),
        BooksError::Store(StoreError::Conflict {
            kind: Kind::Run, ..
        }) => Denied::new(
            OAuthErrorCode::TemporarilyUnavailable,
            PLACE_LOST,
            "other runs are starting below this one; ask again",
        ),
        BooksError::Store(StoreError::Replayed { key }) if key.starts_with(FEDERATED) => {
            federation::replayed()
        }
        BooksError::Store(StoreError::Replayed { key }) => {
            if key.starts_with("ceremony:") {
                let text =
                    "the code was used already, so what it gave has ended; ask the person again";
                return Denied::new(OAuthErrorCode::InvalidGrant, CODE_REPLAYED, text);
            }
            if let Some(denied) = spent_proof(key) {
                return denied;
            }
            let text = "the subject token was used already; it is good for one use";
            Denied::new(OAuthErrorCode::InvalidGrant, "subject-replayed", text)
        }
        _ => error.into(),
    }
}
