//! The right edge of a growing tree: all that appending and the root need.

use tlog_tiles::HashReader;

use crate::limits::TREE_SIZE_MAX;
use crate::source::{self, within};
use crate::{EMPTY_ROOT, Hash, HashSource, TreeError, node_hash};

/// An append-only tree that remembers only its complete subtrees, at most one for each bit of its
/// size: under 2 KiB for any log. The stored hashes live with the caller.
///
/// Appending is O(1) on average and reads nothing. Source: RFC 6962 §2.1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, the largest (leftmost) first.
    peaks: Vec<Hash>,
}

/// What one append added to a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Index of the new leaf, 0-based.
    pub index: u64,
    /// Position in stored order of the first of `hashes`.
    pub first_stored: u64,
    /// New stored hashes, to be kept at `first_stored` and on: the leaf, then each node it completed.
    pub hashes: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a tree of `size` leaves from its stored hashes, with at most 56 reads.
    ///
    /// The hashes are believed; compare [`Frontier::root`] with the newest signed checkpoint before
    /// signing another.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`]; [`TreeError::Missing`].
    pub fn resume<S: HashSource + ?Sized>(size: u64, stored: &S) -> Result<Self, TreeError> {
        within(size)?;
        let indexes = tlog_tiles::sub_tree_index(0, size, Vec::new());
        let peaks = source::read(stored, |reader| reader.read_hashes(&indexes))?;
        Ok(Self {
            size,
            peaks: peaks.into_iter().map(Hash::from).collect(),
        })
    }

    /// Appends one leaf.
    ///
    /// - `leaf`: from [`leaf_hash`](crate::leaf_hash).
    /// - returns: the stored hashes to persist; one to 57, just under two on average.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`] if the tree is full.
    pub fn append(&mut self, leaf: Hash) -> Result<Appended, TreeError> {
        if self.size >= TREE_SIZE_MAX {
            return Err(TreeError::TooLarge {
                size: TREE_SIZE_MAX + 1,
            });
        }
        let index = self.size;
        let hashes =
            tlog_tiles::stored_hashes_for_record_hash(index, leaf.into(), &LastPeaks(&self.peaks))
                .map_err(TreeError::Tlog)?;
        let hashes: Vec<Hash> = hashes.into_iter().map(Hash::from).collect();

        // Each hash after the leaf joined the smallest subtree into a larger one.
        let joined = hashes.len().saturating_sub(1);
        self.peaks.truncate(self.peaks.len().saturating_sub(joined));
        self.peaks.extend(hashes.last());
        self.size = index + 1;
        Ok(Appended {
            index,
            first_stored: tlog_tiles::stored_hash_index(0, index),
            hashes,
        })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root hash of the tree as it is now (RFC 6962 §2.1, MTH).
    #[must_use]
    pub fn root(&self) -> Hash {
        let smallest_first = self.peaks.iter().rev().copied();
        smallest_first
            .reduce(|right, left| node_hash(left, right))
            .unwrap_or(EMPTY_ROOT)
    }
}

/// Answers the reads of an append, which are always for the last peaks, left to right.
struct LastPeaks<'a>(&'a [Hash]);

impl HashReader for LastPeaks<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let from = self.0.len().checked_sub(indexes.len());
        let last = from.and_then(|from| self.0.get(from..));
        let last = last.ok_or(tlog_tiles::Error::BadMath)?;
        Ok(last.iter().copied().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{leaf_hash, root_at};
    use proptest::prelude::*;

    #[test]
    fn appends_tell_where_their_hashes_go() {
        let mut frontier = Frontier::new();
        let mut stored: Vec<Hash> = Vec::new();
        for n in 0..1000_u64 {
            let added = frontier.append(leaf_hash(&n.to_be_bytes())).unwrap();
            assert_eq!(added.index, n);
            assert_eq!(added.first_stored, stored.len() as u64);
            stored.extend(added.hashes);
            assert_eq!(frontier.root(), root_at(&stored, n + 1).unwrap());
        }
        assert_eq!(stored.len() as u64, crate::stored_count(1000).unwrap());
    }

    #[test]
    fn a_full_tree_takes_no_more() {
        let mut full = Frontier {
            size: TREE_SIZE_MAX,
            peaks: vec![EMPTY_ROOT; 56],
        };
        let before = full.clone();
        assert!(matches!(
            full.append(EMPTY_ROOT),
            Err(TreeError::TooLarge { .. })
        ));
        assert_eq!(full, before);
        // One before the bound still works, and completes no subtree.
        let mut nearly = Frontier {
            size: TREE_SIZE_MAX - 1,
            peaks: vec![EMPTY_ROOT; 55],
        };
        assert_eq!(nearly.append(EMPTY_ROOT).unwrap().hashes.len(), 1);
    }

    #[test]
    fn resuming_without_the_hashes_is_refused() {
        let none: Vec<Hash> = Vec::new();
        assert_eq!(Frontier::resume(0, &none).unwrap().root(), EMPTY_ROOT);
        let error = Frontier::resume(6, &none).unwrap_err();
        assert!(matches!(error, TreeError::Missing { index: 6 }), "{error}");
    }

    proptest! {
        #[test]
        fn resuming_equals_going_on(before in 0_u64..600, after in 0_u64..600) {
            let mut going_on = Frontier::new();
            let mut stored = Vec::new();
            for n in 0..before {
                stored.extend(going_on.append(leaf_hash(&n.to_be_bytes())).unwrap().hashes);
            }
            let mut resumed = Frontier::resume(before, &stored).unwrap();
            prop_assert_eq!(&resumed, &going_on);
            for n in 0..after {
                let leaf = leaf_hash(&n.to_le_bytes());
                prop_assert_eq!(resumed.append(leaf).unwrap(), going_on.append(leaf).unwrap());
            }
            prop_assert_eq!(resumed.root(), going_on.root());
        }
    }
}
