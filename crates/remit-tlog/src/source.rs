//! Where stored hashes are read from.
//!
//! A log keeps the hash of every leaf and every complete subtree in one dense sequence, in the order
//! in which appending completes them: leaf 0, leaf 1, node (0,1), leaf 2, leaf 3, node (2,3), node
//! (0..4), leaf 4 and so on. A hash in it never changes, so a proof for any past size can be read
//! from it for ever.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use thiserror::Error;
use tlog_tiles::HashReader;

use crate::Hash;
use crate::limits::TREE_SIZE_MAX;

/// Read access to the stored hashes of one log.
///
/// A store that cannot answer at once (a database) first asks which indexes a read will need
/// ([`inclusion_reads`](crate::inclusion_reads) and its neighbours), fetches them, and passes a map.
pub trait HashSource {
    /// The stored hash at `index` (0-based, see [`stored_index`]), or `None` if it is not kept.
    fn hash(&self, index: u64) -> Option<Hash>;
}

impl HashSource for [Hash] {
    fn hash(&self, index: u64) -> Option<Hash> {
        self.get(usize::try_from(index).ok()?).copied()
    }
}

impl HashSource for Vec<Hash> {
    fn hash(&self, index: u64) -> Option<Hash> {
        self.as_slice().hash(index)
    }
}

impl HashSource for BTreeMap<u64, Hash> {
    fn hash(&self, index: u64) -> Option<Hash> {
        self.get(&index).copied()
    }
}

impl<S: HashSource + ?Sized> HashSource for &S {
    fn hash(&self, index: u64) -> Option<Hash> {
        (**self).hash(index)
    }
}

/// Why a tree could not be grown or read.
#[derive(Debug, Error)]
pub enum TreeError {
    /// The size is above [`TREE_SIZE_MAX`].
    #[error("a tree holds at most {TREE_SIZE_MAX} leaves, asked for {size}")]
    TooLarge {
        /// Size asked for, in leaves.
        size: u64,
    },
    /// The leaf is not in the tree asked about.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NoSuchLeaf {
        /// Leaf asked for, 0-based.
        index: u64,
        /// Size of the tree asked about, in leaves.
        size: u64,
    },
    /// The earlier tree is larger than the later one.
    #[error("a tree of {old} leaves is not a beginning of a tree of {new} leaves")]
    NotEarlier {
        /// Size of the earlier tree, in leaves.
        old: u64,
        /// Size of the later tree, in leaves.
        new: u64,
    },
    /// The source does not keep a hash that the answer needs.
    #[error("stored hash {index} is missing, the log's stored hashes are incomplete")]
    Missing {
        /// Position in stored order.
        index: u64,
    },
    /// A stored node is not the hash of its children.
    #[error(
        "stored hash {index} does not follow from the leaves below it, the log's stored hashes were changed"
    )]
    Inconsistent {
        /// Position in stored order.
        index: u64,
    },
    /// The tree arithmetic refused for another reason.
    #[error("the tree could not be read")]
    Tlog(#[source] tlog_tiles::Error),
}

/// Position in stored order of node `n` at `level`; level 0 are the leaves.
///
/// - `level`, `n`: a node of a tree of at most [`TREE_SIZE_MAX`] leaves.
/// - returns: the index to give to [`HashSource::hash`], or `None` if there is no such node.
#[must_use]
pub fn stored_index(level: u8, n: u64) -> Option<u64> {
    let beyond = n
        .checked_add(1)?
        .checked_mul(1_u64.checked_shl(level.into())?)?;
    (beyond <= TREE_SIZE_MAX).then(|| tlog_tiles::stored_hash_index(level, n))
}

/// Number of stored hashes of a tree of `size` leaves, a little under twice `size`.
///
/// # Errors
/// [`TreeError::TooLarge`].
pub fn stored_count(size: u64) -> Result<u64, TreeError> {
    within(size)?;
    Ok(tlog_tiles::stored_hash_count(size))
}

/// Refuses a size that the tree arithmetic is not defined for.
pub(crate) fn within(size: u64) -> Result<(), TreeError> {
    if size > TREE_SIZE_MAX {
        return Err(TreeError::TooLarge { size });
    }
    Ok(())
}

/// Runs `read` of `tlog_tiles` over `source`, and names the hash that was missing, if one was.
pub(crate) fn read<S, T>(
    source: &S,
    read: impl FnOnce(&Reader<'_, S>) -> Result<T, tlog_tiles::Error>,
) -> Result<T, TreeError>
where
    S: HashSource + ?Sized,
{
    let reader = Reader {
        source,
        missing: Cell::new(None),
    };
    read(&reader).map_err(|error| match reader.missing.get() {
        Some(index) => TreeError::Missing { index },
        None => TreeError::Tlog(error),
    })
}

/// Runs `read` dry and returns the stored indexes that it asks for, ascending.
pub(crate) fn rehearse<T>(
    read: impl FnOnce(&Recorder) -> Result<T, tlog_tiles::Error>,
) -> Result<Vec<u64>, TreeError> {
    let recorder = Recorder(RefCell::default());
    read(&recorder).map_err(TreeError::Tlog)?;
    let mut indexes = recorder.0.into_inner();
    indexes.sort_unstable();
    Ok(indexes)
}

pub(crate) struct Reader<'a, S: ?Sized> {
    source: &'a S,
    missing: Cell<Option<u64>>,
}

impl<S: HashSource + ?Sized> HashReader for Reader<'_, S> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let mut hashes = Vec::with_capacity(indexes.len());
        for &index in indexes {
            let Some(hash) = self.source.hash(index) else {
                self.missing.set(Some(index));
                return Err(tlog_tiles::Error::IndexesNotInTree);
            };
            hashes.push(hash.into());
        }
        Ok(hashes)
    }
}

pub(crate) struct Recorder(RefCell<Vec<u64>>);

impl HashReader for Recorder {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        self.0.borrow_mut().extend_from_slice(indexes);
        Ok(vec![tlog_tiles::Hash::default(); indexes.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_order_is_the_order_of_completion() {
        let order = [
            (0, 0),
            (0, 1),
            (1, 0),
            (0, 2),
            (0, 3),
            (1, 1),
            (2, 0),
            (0, 4),
        ];
        for (index, (level, n)) in order.into_iter().enumerate() {
            assert_eq!(stored_index(level, n), Some(index as u64));
        }
        assert_eq!(stored_count(0).unwrap(), 0);
        assert_eq!(stored_count(5).unwrap(), 8);
    }

    #[test]
    fn sizes_and_nodes_beyond_the_bound_are_refused() {
        assert!(stored_count(TREE_SIZE_MAX).is_ok());
        assert!(matches!(
            stored_count(TREE_SIZE_MAX + 1),
            Err(TreeError::TooLarge { .. })
        ));
        for (level, n) in [
            (0, u64::MAX),
            (0, TREE_SIZE_MAX),
            (64, 0),
            (255, 0),
            (63, 7),
            (56, 0),
        ] {
            assert_eq!(stored_index(level, n), None, "{level} {n}");
        }
        assert!(stored_index(0, TREE_SIZE_MAX - 1).is_some());
    }
}
