//! Proof files: everything that shows offline that one entry is in a log.

use base64::prelude::{BASE64_STANDARD, Engine};
use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError, verify_note};
use crate::limits::{
    NOTE_BYTES_MAX, PROOF_EXTRA_BYTES_MAX, PROOF_FILE_BYTES_MAX, PROOF_HASHES_MAX,
};
use crate::note::VerifierKey;
use crate::proof::{ProofError, verify_inclusion};
use crate::{Hash, leaf_hash};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// An entry's index, its inclusion proof and the signed checkpoint that the proof leads to.
///
/// ```text
/// c2sp.org/tlog-proof@v1
/// extra <base64, the line is left out if there is none>
/// index 73894
/// <base64 hash, one a line, from the leaf's neighbour up>
///
/// <signed checkpoint, as it was published>
/// ```
///
/// Source: c2sp.org/tlog-proof@v1. File extension `.tlog-proof`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    index: u64,
    hashes: Vec<Hash>,
    checkpoint_note: String,
    extra: Vec<u8>,
}

/// Why a proof file proves nothing.
#[derive(Debug, Error)]
pub enum TlogProofError {
    /// A part is over its limit.
    #[error("a proof has at most {max} {unit} of {part}, got {got}")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// What is counted.
        unit: &'static str,
        /// The limit.
        max: usize,
        /// What was given.
        got: usize,
    },
    /// The text does not have the form of a proof.
    #[error("the proof is malformed at {line}: expected {expected}")]
    Malformed {
        /// Where it went wrong, in words.
        line: &'static str,
        /// What should stand there.
        expected: &'static str,
    },
    /// The checkpoint cannot be believed.
    #[error("the proof's checkpoint was refused")]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not in the checkpoint's tree.
    #[error("the entry is not proved to be in the log")]
    Inclusion(#[from] ProofError),
}

impl TlogProof {
    /// Puts a proof together; nothing is verified yet.
    ///
    /// - `hashes`: 0..=63, from [`prove_inclusion`](crate::prove_inclusion).
    /// - `checkpoint_note`: as [`sign_checkpoint`](crate::sign_checkpoint) made it, at most 64 KiB.
    /// - `extra`: at most 64 KiB, empty for none; nothing authenticates it.
    ///
    /// # Errors
    /// [`TlogProofError::TooLarge`].
    pub fn new(
        index: u64,
        hashes: Vec<Hash>,
        checkpoint_note: String,
        extra: Vec<u8>,
    ) -> Result<Self, TlogProofError> {
        at_most("path", "hashes", PROOF_HASHES_MAX, hashes.len())?;
        at_most("checkpoint", "bytes", NOTE_BYTES_MAX, checkpoint_note.len())?;
        at_most("extra data", "bytes", PROOF_EXTRA_BYTES_MAX, extra.len())?;
        Ok(Self {
            index,
            hashes,
            checkpoint_note,
            extra,
        })
    }

    /// Writes the proof file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if !self.extra.is_empty() {
            text.push_str(&format!("extra {}\n", BASE64_STANDARD.encode(&self.extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            text.push_str(&hash.to_base64());
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint_note);
        text
    }

    /// Reads a proof file; nothing is verified yet.
    ///
    /// # Errors
    /// [`TlogProofError::TooLarge`]; [`TlogProofError::Malformed`], also for a text that
    /// [`TlogProof::encode`] would write otherwise.
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        at_most("file", "bytes", PROOF_FILE_BYTES_MAX, text.len())?;
        let (head, note) = text
            .split_once("\n\n")
            .ok_or_else(|| malformed("its end", "a blank line and a signed checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed("line 1", "`c2sp.org/tlog-proof@v1`"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(encoded) => {
                lines.next();
                parse_extra(encoded)?
            }
            None => Vec::new(),
        };
        let index = lines.next().and_then(parse_index);
        let index = index.ok_or_else(|| malformed("the index line", "`index` and a number"))?;
        let mut hashes = Vec::new();
        for line in lines {
            at_most("path", "hashes", PROOF_HASHES_MAX, hashes.len() + 1)?;
            let hash = Hash::from_base64(line);
            hashes.push(hash.map_err(|_| malformed("a path line", "the base64 of a hash"))?);
        }
        Self::new(index, hashes, note.to_owned(), extra)
    }

    /// Verifies that the log of `key` holds `entry` at this proof's index.
    ///
    /// - `entry`: the bytes that were appended, before hashing.
    /// - returns: the checkpoint that was signed, to be compared with one kept elsewhere.
    ///
    /// # Errors
    /// [`TlogProofError::Checkpoint`]; [`TlogProofError::Inclusion`]; both mean "not proved".
    pub fn verify(&self, entry: &[u8], key: &VerifierKey) -> Result<Checkpoint, TlogProofError> {
        let head = verify_note(&self.checkpoint_note, key)?;
        verify_inclusion(
            leaf_hash(entry),
            self.index,
            head.size(),
            &self.hashes,
            head.root(),
        )?;
        Ok(head)
    }

    /// Index of the entry, 0-based.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The inclusion proof, from the leaf's neighbour up.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The signed checkpoint, not yet verified.
    #[must_use]
    pub fn checkpoint_note(&self) -> &str {
        &self.checkpoint_note
    }

    /// Extra data; nothing authenticates it.
    #[must_use]
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }
}

fn at_most(
    part: &'static str,
    unit: &'static str,
    max: usize,
    got: usize,
) -> Result<(), TlogProofError> {
    if got > max {
        return Err(TlogProofError::TooLarge {
            part,
            unit,
            max,
            got,
        });
    }
    Ok(())
}

fn malformed(line: &'static str, expected: &'static str) -> TlogProofError {
    TlogProofError::Malformed { line, expected }
}

fn parse_extra(encoded: &str) -> Result<Vec<u8>, TlogProofError> {
    let extra = BASE64_STANDARD.decode(encoded).ok();
    extra
        .filter(|extra| !extra.is_empty())
        .ok_or_else(|| malformed("the extra line", "`extra` and the base64 of some data"))
}

fn parse_index(line: &str) -> Option<u64> {
    let digits = line.strip_prefix("index ")?;
    let index: u64 = digits.parse().ok()?;
    // No leading zero, no sign.
    (index.to_string() == digits).then_some(index)
}

#[cfg(test)]
mod tests;
