//! Why the store could not.

use remit_domain::Kind;

/// Why the store could not do what was asked. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The record moved on since it was read, or is there already.
    #[error("{} `{key}` has changed meanwhile; read it again and repeat", kind.as_str())]
    Conflict {
        /// Kind of record.
        kind: Kind,
        /// Its key.
        key: String,
    },
    /// The name belongs to another record, perhaps a retired one.
    #[error("the {} name `{name}` is taken; names are never reused", kind.as_str())]
    NameTaken {
        /// Kind of record.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// The containment epoch is another one than what was decided at.
    #[error("the containment epoch is {0} now; decide again")]
    EpochMoved(u64),
    /// A single-use key was used.
    #[error("`{key}` was used already; it is good for one use")]
    Replayed {
        /// Which key.
        key: String,
    },
    /// The database cannot be reached or cannot make the change durable (disk full, connection lost).
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored breaks an invariant.
    #[error("the store is inconsistent: {table} `{key}`: {why}")]
    Inconsistent {
        /// Table.
        table: &'static str,
        /// Row.
        key: String,
        /// What is wrong.
        why: String,
    },
}
