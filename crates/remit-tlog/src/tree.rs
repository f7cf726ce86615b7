//! A whole tree in memory: 64 bytes a leaf.

use crate::frontier::{Appended, Frontier};
use crate::source::within;
use crate::{Hash, HashSource, TreeError, proof};

/// An append-only tree with all its stored hashes, for logs of up to some millions of leaves. A
/// larger log keeps a [`Frontier`] and reads the stored hashes from its store.
///
/// Source: RFC 6962 §2.1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    frontier: Frontier,
    stored: Vec<Hash>,
}

impl Tree {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a tree of `size` leaves from its stored hashes, and recomputes every node on the way.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`]; [`TreeError::Missing`]; [`TreeError::Inconsistent`] if a stored node
    /// is not the hash of its children. A changed *leaf* with matching nodes shows only in the root:
    /// compare [`Tree::root`] with a signed checkpoint.
    pub fn resume<S: HashSource + ?Sized>(size: u64, stored: &S) -> Result<Self, TreeError> {
        within(size)?;
        let mut tree = Self::new();
        while tree.size() < size {
            let index = tree.stored.len() as u64;
            let leaf = stored.hash(index).ok_or(TreeError::Missing { index })?;
            let added = tree.append(leaf)?;
            for (index, node) in (index..).zip(added.hashes) {
                match stored.hash(index) {
                    Some(kept) if kept == node => {}
                    Some(_) => return Err(TreeError::Inconsistent { index }),
                    None => return Err(TreeError::Missing { index }),
                }
            }
        }
        Ok(tree)
    }

    /// Appends one leaf; see [`Frontier::append`].
    ///
    /// # Errors
    /// [`TreeError::TooLarge`] if the tree is full.
    pub fn append(&mut self, leaf: Hash) -> Result<Appended, TreeError> {
        let added = self.frontier.append(leaf)?;
        self.stored.extend_from_slice(&added.hashes);
        Ok(added)
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root hash of the tree as it is now.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Root hash of the tree as it was at `size` leaves.
    ///
    /// # Errors
    /// [`TreeError::NotEarlier`] if the tree never was that large.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeError> {
        self.reached(size)?;
        proof::root_at(self, size)
    }

    /// Proof that leaf `index` is in the tree as it was at `size` leaves.
    ///
    /// # Errors
    /// [`TreeError::NotEarlier`]; [`TreeError::NoSuchLeaf`].
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
        self.reached(size)?;
        proof::prove_inclusion(self, index, size)
    }

    /// Proof that the tree at `old` leaves is a beginning of the tree at `new` leaves.
    ///
    /// # Errors
    /// [`TreeError::NotEarlier`].
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, TreeError> {
        self.reached(new)?;
        proof::prove_consistency(self, old, new)
    }

    fn reached(&self, size: u64) -> Result<(), TreeError> {
        if size > self.size() {
            return Err(TreeError::NotEarlier {
                old: size,
                new: self.size(),
            });
        }
        Ok(())
    }
}

impl HashSource for Tree {
    fn hash(&self, index: u64) -> Option<Hash> {
        self.stored.hash(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{leaf_hash, stored_count};
    use proptest::prelude::*;

    fn tree_of(size: u64) -> Tree {
        let mut tree = Tree::new();
        for n in 0..size {
            tree.append(leaf_hash(&n.to_be_bytes())).unwrap();
        }
        tree
    }

    #[test]
    fn sizes_the_tree_never_had_are_refused() {
        let tree = tree_of(5);
        assert!(matches!(
            tree.root_at(6),
            Err(TreeError::NotEarlier { old: 6, new: 5 })
        ));
        assert!(matches!(
            tree.prove_inclusion(0, 6),
            Err(TreeError::NotEarlier { .. })
        ));
        assert!(matches!(
            tree.prove_inclusion(5, 5),
            Err(TreeError::NoSuchLeaf { .. })
        ));
        assert!(matches!(
            tree.prove_inclusion(0, 0),
            Err(TreeError::NoSuchLeaf { .. })
        ));
        assert!(matches!(
            tree.prove_consistency(5, 6),
            Err(TreeError::NotEarlier { .. })
        ));
        assert!(matches!(
            tree.prove_consistency(4, 3),
            Err(TreeError::NotEarlier { .. })
        ));
    }

    proptest! {
        #[test]
        fn resuming_equals_going_on(before in 0_u64..300, after in 0_u64..100) {
            let mut going_on = tree_of(before);
            let mut resumed = Tree::resume(before, &going_on).unwrap();
            prop_assert_eq!(&resumed, &going_on);
            for n in 0..after {
                let leaf = leaf_hash(&n.to_le_bytes());
                prop_assert_eq!(resumed.append(leaf).unwrap(), going_on.append(leaf).unwrap());
            }
            prop_assert_eq!(resumed.root(), going_on.root());
        }

        #[test]
        fn a_changed_or_lost_stored_hash_is_noticed(size in 1_u64..200, at: prop::sample::Index, bit in 0_usize..256) {
            let tree = tree_of(size);
            let count = usize::try_from(stored_count(size).unwrap()).unwrap();
            let at = at.index(count);

            let mut changed = tree.stored.clone();
            let mut bytes = *changed[at].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            changed[at] = Hash::new(bytes);
            match Tree::resume(size, &changed) {
                Ok(resumed) => prop_assert_ne!(resumed.root(), tree.root()),
                Err(error) => prop_assert!(matches!(error, TreeError::Inconsistent { .. }), "{}", error),
            }

            let shorter = tree.stored.get(..at).unwrap();
            let lost = Tree::resume(size, shorter);
            prop_assert!(matches!(lost, Err(TreeError::Missing { .. })), "{:?}", lost);
        }
    }
}
