//! Checkpoints: the signed statement "log O has N entries and this root".

use thiserror::Error;

use crate::Hash;
use crate::limits::{NAME_BYTES_MAX, NOTE_BYTES_MAX, TREE_SIZE_MAX};
use crate::note::{NoteError, SigningKey, VerifierKey, open_note, sign_note};

/// A tree head: which log, how many leaves, which root.
///
/// ```text
/// log.example/acme
/// 20852163
/// CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
/// ```
///
/// Source: c2sp.org/tlog-checkpoint@v1.0.0. Extension lines of foreign checkpoints are kept, never made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extension: String,
}

/// Why a text is not a checkpoint that we believe.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The text does not have the form of a checkpoint.
    #[error(
        "the checkpoint is malformed: expected an origin of up to {NAME_BYTES_MAX} bytes, a size up to {TREE_SIZE_MAX} and a base64 root, one a line"
    )]
    Malformed,
    /// The note around it cannot be believed.
    #[error("the checkpoint's note was refused")]
    Note(#[from] NoteError),
    /// The key speaks for another log.
    #[error(
        "the checkpoint is of log `{origin}`, but key `{key}` speaks only for the log of its own name"
    )]
    OtherLog {
        /// Origin of the checkpoint.
        origin: String,
        /// Name of the key.
        key: String,
    },
}

impl Checkpoint {
    /// States the head of a tree.
    ///
    /// - `origin`: the log's unique name, 1..=255 bytes, one line without control characters; to be
    ///   signed it must also be a key name, as a URL without its scheme is.
    /// - `size`: leaves, at most [`TREE_SIZE_MAX`].
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        Self::checked(origin, size, root, "")
    }

    /// Reads the text of a checkpoint, without its signatures.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        if text.len() > NOTE_BYTES_MAX {
            return Err(CheckpointError::Malformed);
        }
        let read = tlog_tiles::Checkpoint::from_bytes(text.as_bytes())
            .map_err(|_| CheckpointError::Malformed)?;
        let root = (*read.hash()).into();
        let ours = Self::checked(read.origin(), read.size(), root, read.extension())?;
        // One checkpoint, one text: what is compared is what was signed.
        if ours.encode() != text {
            return Err(CheckpointError::Malformed);
        }
        Ok(ours)
    }

    fn checked(
        origin: &str,
        size: u64,
        root: Hash,
        extension: &str,
    ) -> Result<Self, CheckpointError> {
        let origin_fits = (1..=NAME_BYTES_MAX).contains(&origin.len());
        if !origin_fits || origin.chars().any(char::is_control) || size > TREE_SIZE_MAX {
            return Err(CheckpointError::Malformed);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extension: extension.to_owned(),
        })
    }

    /// Writes the text that is signed.
    #[must_use]
    pub fn encode(&self) -> String {
        let (origin, size, extension) = (&self.origin, self.size, &self.extension);
        format!("{origin}\n{size}\n{}\n{extension}", self.root.to_base64())
    }

    /// Unique name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root hash of the tree of that size.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Extension lines, each ending in a newline; empty for our own logs.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.extension
    }
}

/// Signs a checkpoint and returns the note to publish. The caller must never sign two heads of one
/// log of which neither is a beginning of the other.
///
/// A key signs only for the log whose origin is its name, so that one log's head cannot be shown as
/// another's. One seed may serve several logs under several names.
///
/// Source: c2sp.org/tlog-checkpoint@v1.0.0, c2sp.org/signed-note.
///
/// # Errors
/// [`CheckpointError::OtherLog`]; [`CheckpointError::Note`].
pub fn sign_checkpoint(
    key: &SigningKey,
    checkpoint: &Checkpoint,
) -> Result<String, CheckpointError> {
    same_log(checkpoint, key.verifier())?;
    Ok(sign_note(key, &checkpoint.encode())?)
}

/// Verifies the note of a checkpoint and returns what it states.
///
/// - `key`: the log's key, obtained beforehand; its name is the origin that is expected.
///
/// # Errors
/// Any [`CheckpointError`]; every one of them means "not believed".
pub fn verify_note(note: &str, key: &VerifierKey) -> Result<Checkpoint, CheckpointError> {
    let checkpoint = Checkpoint::parse(&open_note(note, key)?)?;
    same_log(&checkpoint, key)?;
    Ok(checkpoint)
}

fn same_log(checkpoint: &Checkpoint, key: &VerifierKey) -> Result<(), CheckpointError> {
    if checkpoint.origin != key.name() {
        return Err(CheckpointError::OtherLog {
            origin: checkpoint.origin.clone(),
            key: key.name().to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
