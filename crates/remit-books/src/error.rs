//! Why the books could not be read or written.

use remit_domain::registry::UnreadableRecord;
use remit_ledger::SealError;
use remit_policy::PolicyError;
use remit_ports::store::StoreError;
use remit_ports::vault::VaultError;
use remit_tlog::{CheckpointError, KeyError, TreeError};

/// Why the books could not be read or written. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// No such organization here.
    #[error("organization `{0}` is not here")]
    NoOrganization(String),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event does not fit an entry, or an entry does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The content was shredded: its key is gone.
    #[error("the content of this entry was shredded")]
    Shredded,
    /// What the content belongs to still goes on.
    #[error("`{0}` has not ended: its content bounds what it may do; end it first")]
    StillCounts(String),
    /// A key could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A record is not what its kind says.
    #[error(transparent)]
    Unreadable(#[from] UnreadableRecord),
    /// A record body could not be read.
    #[error("a stored record cannot be read")]
    Record(#[from] serde_json::Error),
    /// The policies do not compile with the tools as they are.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policies do not compile, so that nothing can be asked of them.
    #[error(
        "the policies of this organization do not compile with its tools, so nothing is permitted; an administrator has to mend them"
    )]
    NoPolicies,
    /// The derived tree could not be grown.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A checkpoint could not be signed or does not verify.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A ledger key is not one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A stored key is not of its form.
    #[error("signing key `{0}` cannot be used; restore it from a backup")]
    BadKey(String),
}
