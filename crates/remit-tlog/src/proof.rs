//! Merkle proofs: made from stored hashes, checked against a root.

use thiserror::Error;

use crate::limits::{PROOF_HASHES_MAX, TREE_SIZE_MAX};
use crate::source::{self, within};
use crate::{EMPTY_ROOT, Hash, HashSource, TreeError};

/// Root hash of the tree of `size` leaves.
///
/// Source: RFC 6962 §2.1.
///
/// # Errors
/// [`TreeError::TooLarge`]; [`TreeError::Missing`].
pub fn root_at<S: HashSource + ?Sized>(stored: &S, size: u64) -> Result<Hash, TreeError> {
    within(size)?;
    source::read(stored, |reader| tlog_tiles::tree_hash(size, reader)).map(Hash::from)
}

/// Stored indexes that [`root_at`] and [`Frontier::resume`](crate::Frontier::resume) read, ascending.
///
/// # Errors
/// [`TreeError::TooLarge`].
pub fn root_reads(size: u64) -> Result<Vec<u64>, TreeError> {
    within(size)?;
    source::rehearse(|recorder| tlog_tiles::tree_hash(size, recorder))
}

/// Proof that leaf `index` is in the tree of `size` leaves.
///
/// Source: RFC 6962 §2.1.1.
///
/// - returns: at most 56 hashes, from the leaf's neighbour up to the root's child.
///
/// # Errors
/// [`TreeError::TooLarge`]; [`TreeError::NoSuchLeaf`]; [`TreeError::Missing`].
pub fn prove_inclusion<S: HashSource + ?Sized>(
    stored: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, TreeError> {
    leaf_within(index, size)?;
    source::read(stored, |reader| {
        tlog_tiles::prove_record(size, index, reader)
    })
    .map(ours)
}

/// Stored indexes that [`prove_inclusion`] reads, ascending.
///
/// # Errors
/// [`TreeError::TooLarge`]; [`TreeError::NoSuchLeaf`].
pub fn inclusion_reads(index: u64, size: u64) -> Result<Vec<u64>, TreeError> {
    leaf_within(index, size)?;
    source::rehearse(|recorder| tlog_tiles::prove_record(size, index, recorder))
}

/// Proof that the tree of `old` leaves is a beginning of the tree of `new` leaves. Of the tree
/// without leaves there is nothing to prove: the proof is empty (c2sp.org/tlog-witness).
///
/// Source: RFC 6962 §2.1.2.
///
/// # Errors
/// [`TreeError::TooLarge`]; [`TreeError::NotEarlier`]; [`TreeError::Missing`].
pub fn prove_consistency<S: HashSource + ?Sized>(
    stored: &S,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, TreeError> {
    earlier(old, new)?;
    if old == 0 {
        return Ok(Vec::new());
    }
    source::read(stored, |reader| tlog_tiles::prove_tree(new, old, reader)).map(ours)
}

/// Stored indexes that [`prove_consistency`] reads, ascending.
///
/// # Errors
/// [`TreeError::TooLarge`]; [`TreeError::NotEarlier`].
pub fn consistency_reads(old: u64, new: u64) -> Result<Vec<u64>, TreeError> {
    earlier(old, new)?;
    if old == 0 {
        return Ok(Vec::new());
    }
    source::rehearse(|recorder| tlog_tiles::prove_tree(new, old, recorder))
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The proof is longer than any tree needs.
    #[error("a proof has at most {PROOF_HASHES_MAX} hashes, got {count}")]
    TooLong {
        /// Hashes in the proof.
        count: usize,
    },
    /// The sizes or the index can belong to no proof.
    #[error(
        "no proof can exist for these numbers: need index < size and old <= new, and sizes up to {TREE_SIZE_MAX}"
    )]
    Range,
    /// The hashes do not lead to the root.
    #[error(
        "the proof does not lead to the root: the entry, the proof or the root was changed, or they belong to different trees"
    )]
    Mismatch,
}

/// Checks that the leaf with hash `leaf` is at `index` in the tree of `size` leaves with `root`.
///
/// Source: RFC 6962 §2.1.1.
///
/// # Errors
/// Any [`ProofError`]; every one of them means "not proved".
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: Hash,
) -> Result<(), ProofError> {
    let proof = checkable(proof)?;
    leaf_within(index, size).map_err(|_| ProofError::Range)?;
    tlog_tiles::check_record(&proof, size, root.into(), index, leaf.into())
        .map_err(|_| ProofError::Mismatch)
}

/// Checks that the tree of `old` leaves with `old_root` is a beginning of the tree of `new` leaves
/// with `new_root`.
///
/// Source: RFC 6962 §2.1.2.
///
/// # Errors
/// Any [`ProofError`]; every one of them means "not proved".
pub fn verify_consistency(
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let proof = checkable(proof)?;
    earlier(old, new).map_err(|_| ProofError::Range)?;
    if old == 0 {
        // Every tree begins with the empty one, but both ends must be what they say they are.
        let plausible =
            proof.is_empty() && old_root == EMPTY_ROOT && (new > 0 || new_root == EMPTY_ROOT);
        return plausible.then_some(()).ok_or(ProofError::Mismatch);
    }
    tlog_tiles::check_tree(&proof, new, new_root.into(), old, old_root.into())
        .map_err(|_| ProofError::Mismatch)
}

fn leaf_within(index: u64, size: u64) -> Result<(), TreeError> {
    within(size)?;
    if index >= size {
        return Err(TreeError::NoSuchLeaf { index, size });
    }
    Ok(())
}

fn earlier(old: u64, new: u64) -> Result<(), TreeError> {
    within(new)?;
    if old > new {
        return Err(TreeError::NotEarlier { old, new });
    }
    Ok(())
}

fn checkable(proof: &[Hash]) -> Result<Vec<tlog_tiles::Hash>, ProofError> {
    if proof.len() > PROOF_HASHES_MAX {
        return Err(ProofError::TooLong { count: proof.len() });
    }
    Ok(proof.iter().copied().map(Into::into).collect())
}

fn ours(hashes: Vec<tlog_tiles::Hash>) -> Vec<Hash> {
    hashes.into_iter().map(Hash::from).collect()
}

#[cfg(test)]
mod tests;
