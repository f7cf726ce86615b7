//! Transparency-log formats: Merkle tree, proofs, signed notes, checkpoints, tiles.
//!
//! Bytes in, values out, and back. This crate knows no noun of Remit's: an entry is bytes, a log is
//! an origin line. It does no IO, reads no clock and draws no randomness; stored hashes come through
//! [`HashSource`] and key seeds as arguments.
//!
//! Hashing, proofs and tile arithmetic are done by `tlog_tiles`, note syntax and verification by
//! `signed_note`, signing by `aws-lc-rs`. Here are the bounds around them, the types that make a wrong
//! value hard to build, and what they lack: a tree that remembers its right edge, entry bundles and
//! proof files.
//!
//! Specifications: RFC 6962 §2.1, c2sp.org/signed-note, c2sp.org/tlog-checkpoint@v1.0.0,
//! c2sp.org/tlog-tiles, c2sp.org/tlog-proof@v1.
//!
//! Where to start: [`Frontier`] or [`Tree`] to grow a log, [`sign_checkpoint`] to vouch for it,
//! [`TlogProof`] to prove one entry to somebody offline.
//!
//! ```
//! use remit_tlog::{Checkpoint, SigningKey, TlogProof, Tree, leaf_hash, sign_checkpoint};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut tree = Tree::new();
//! for entry in ["first", "second", "third"] {
//!     tree.append(leaf_hash(entry.as_bytes()))?;
//! }
//! let key = SigningKey::from_seed(&[7; 32], "log.example/acme")?;
//! let checkpoint = Checkpoint::new("log.example/acme", tree.size(), tree.root())?;
//! let note = sign_checkpoint(&key, &checkpoint)?;
//!
//! let proof = TlogProof::new(1, tree.prove_inclusion(1, tree.size())?, note, Vec::new())?;
//! let seen = TlogProof::parse(&proof.encode())?.verify(b"second", key.verifier())?;
//! assert_eq!(seen, checkpoint);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod bundle;
mod checkpoint;
mod frontier;
mod hash;
pub mod limits;
mod note;
mod proof;
mod source;
mod tile;
mod tlog_proof;
mod tree;

pub use bundle::{BundleError, encode_bundle, parse_bundle};
pub use checkpoint::{Checkpoint, CheckpointError, sign_checkpoint, verify_note};
pub use frontier::{Appended, Frontier};
pub use hash::{EMPTY_ROOT, Hash, HashError, leaf_hash, node_hash};
pub use note::{KeyError, NoteError, SigningKey, VerifierKey, open_note, sign_note};
pub use proof::{
    ProofError, consistency_reads, inclusion_reads, prove_consistency, prove_inclusion, root_at,
    root_reads, verify_consistency, verify_inclusion,
};
pub use source::{HashSource, TreeError, stored_count, stored_index};
pub use tile::{Tile, TileError, tile_path};
pub use tlog_proof::{TlogProof, TlogProofError};
pub use tree::Tree;
