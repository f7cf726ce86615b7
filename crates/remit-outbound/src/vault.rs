//! Keys at rest, sealed under one master key.
//!
//! ```text
//! sealed = version (1 byte, 0x01) | nonce (12 bytes, random) | AES-256-GCM ciphertext | tag (16 bytes)
//! associated data = "remit/vault/1" | 0x00 | context
//! ```
//!
//! Nonces are random: with 2^32 seals under one key the chance of a repeat is 2^-32 (NIST SP 800-38D section 8.3);
//! Remit seals a few keys per organization.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use remit_ports::vault::VaultError;
use remit_ports::{Entropy, Vault};
use zeroize::Zeroizing;

use crate::SystemEntropy;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// 64 hexadecimal digits and a line end.
const FILE_BYTES: usize = KEY_BYTES * 2 + 1;

/// Why the master key cannot be used. Never carries the key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// There is none, and making one was not allowed.
    #[error(
        "master key file `{path}` does not exist, run `remit init` or restore it from your backup"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Others may read or change it, so it has to count as known to them.
    #[error(
        "master key file `{path}` has mode {mode:04o}, others can read it: run `chmod 600` on it if it was never exposed"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a regular file of 64 hexadecimal digits.
    #[error("master key file `{path}` must be a regular file of 64 hexadecimal digits")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("master key file `{path}` cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A [`Vault`] whose master key is a file that only this process's account can read.
#[derive(Debug)]
pub struct FileVault {
    key: RandomizedNonceKey,
}

impl FileVault {
    /// Opens the master key at `path`.
    ///
    /// - `create`: make the file (mode 0600, fresh entropy) when it does not exist. Only a first start may; a later
    ///   one without its key has to fail, since a fresh key opens nothing.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub fn open(path: &Path, create: bool) -> Result<Self, MasterKeyError> {
        let bytes = match read(path) {
            Err(MasterKeyError::Missing { .. }) if create => {
                make(path).map_err(|source| MasterKeyError::Io {
                    path: path.to_owned(),
                    source,
                })?;
                // Another process may have made it first; what is on disk counts.
                read(path)?
            }
            other => other?,
        };
        let form = || MasterKeyError::Form {
            path: path.to_owned(),
        };
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        let digits = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| form())?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| form())?;
        Ok(Self { key })
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
    let owned = || path.to_owned();
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MasterKeyError::Missing { path: owned() },
        _ => MasterKeyError::Io {
            path: owned(),
            source,
        },
    };
    // Checked before opening, since opening a pipe would wait; and again on what was opened, since it may have been
    // swapped.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(MasterKeyError::Form { path: owned() });
    }
    let file = File::open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?;
    if !found.is_file() {
        return Err(MasterKeyError::Form { path: owned() });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(MasterKeyError::Exposed {
            path: owned(),
            mode,
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES.saturating_add(1)));
    let limit = u64::try_from(FILE_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Makes the file whole or not at all: written beside, then linked into place, which fails when one is there.
fn make(path: &Path) -> io::Result<()> {
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    SystemEntropy.fill(key.as_mut_slice());
    let mut suffix = [0u8; 8];
    SystemEntropy.fill(&mut suffix);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let beside = folder.join(format!(".master-key-{}", hex::encode(suffix)));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        let digits = Zeroizing::new(hex::encode(key.as_slice()));
        file.write_all(digits.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        match fs::hard_link(&beside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    })();
    let removed = fs::remove_file(&beside);
    written?;
    removed?;
    File::open(folder)?.sync_all()
}

fn associated(context: &str) -> Aad<Vec<u8>> {
    let mut data = b"remit/vault/1\0".to_vec();
    data.extend_from_slice(context.as_bytes());
    Aad::from(data)
}

impl Vault for FileVault {
    fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, VaultError> {
        // Room for the tag, so that no copy of the plain text is left behind by growing.
        let mut body = Vec::with_capacity(plain.len().saturating_add(TAG_BYTES));
        body.extend_from_slice(plain);
        let nonce = self
            .key
            .seal_in_place_append_tag(associated(context), &mut body)
            .map_err(|_| VaultError::Sealed)?;
        let mut sealed = Vec::with_capacity(body.len().saturating_add(NONCE_BYTES + 1));
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    fn unseal(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, VaultError> {
        let body = sealed.strip_prefix(&[VERSION]).ok_or(VaultError::Sealed)?;
        let (nonce, body) = body
            .split_at_checked(NONCE_BYTES)
            .ok_or(VaultError::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Sealed)?;
        let mut body = body.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, associated(context), &mut body)
            .map_err(|_| VaultError::Sealed)?
            .len();
        body.truncate(plain);
        Ok(body)
    }
}

#[cfg(test)]
mod tests;
