//! What can go wrong before a decision. Deciding itself cannot fail: it denies.

/// Facts that have no canonical form, so that no decision on them could be replayed.
#[derive(Debug, thiserror::Error)]
#[error("these facts have no canonical form: {source}")]
pub struct FactsError {
    #[from]
    source: serde_json::Error,
}
