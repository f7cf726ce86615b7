//! Secrets by reference, read anew each time, only from where the operator allows.
//!
//! A reference is written by an administrator of an organization, but what it names belongs to the server's machine:
//! without a boundary a reference to the master key, or to any other file of the server, would send it to an upstream
//! of the writer's choice. So files count only below the operator's folders, and variables only with a fixed prefix.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use remit_domain::upstream::SecretRef;
use remit_ports::Secrets;
use remit_ports::vault::VaultError;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::limits::SECRET_BYTES_MAX;

/// Start of the names of variables that hold secrets.
pub const ENV_PREFIX: &str = "REMIT_SECRET_";

/// Secrets in files and in variables of this process.
#[derive(Debug, Clone, Default)]
pub struct SystemSecrets {
    folders: Vec<PathBuf>,
}

impl SystemSecrets {
    /// Secrets in files below `folders` (absolute; symbolic links are followed before the check) and in variables
    /// that start with [`ENV_PREFIX`]. Without folders, no file is read.
    #[must_use]
    pub fn within(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }
}

#[async_trait]
impl Secrets for SystemSecrets {
    async fn read(&self, reference: &SecretRef) -> Result<SecretString, VaultError> {
        let (name, content) = match reference {
            SecretRef::File(path) => {
                let name = format!("file `{}`", path.display());
                let (path, folders) = (path.clone(), self.folders.clone());
                // A secret may lie on a slow or remote file system.
                let read = tokio::task::spawn_blocking(move || read_file(&path, &folders));
                (
                    name,
                    read.await
                        .unwrap_or_else(|_| Err("reading it failed".to_owned())),
                )
            }
            SecretRef::Env(variable) => (
                format!("variable `{}`", variable.escape_debug()),
                read_variable(variable),
            ),
        };
        let trimmed = content.and_then(|content| match content.trim_end_matches(['\r', '\n']) {
            "" => Err("it is empty".to_owned()),
            trimmed => Ok(SecretString::from(trimmed)),
        });
        trimmed.map_err(|why| VaultError::Unreadable {
            reference: name,
            why,
        })
    }
}

fn read_file(path: &Path, folders: &[PathBuf]) -> Result<Zeroizing<String>, String> {
    if !path.is_absolute() {
        return Err("its path is not absolute".to_owned());
    }
    let real = fs::canonicalize(path).map_err(|error| error.kind().to_string())?;
    let inside =
        |folder: &PathBuf| fs::canonicalize(folder).is_ok_and(|folder| real.starts_with(folder));
    if !folders.iter().any(inside) {
        return Err("it is not below a folder that the operator allows for secrets".to_owned());
    }
    if !fs::metadata(&real).is_ok_and(|found| found.is_file()) {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(&real).map_err(|error| error.kind().to_string())?;
    let found = file.metadata().map_err(|error| error.kind().to_string())?;
    if !found.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if found.mode() & 0o004 != 0 {
        tracing::warn!(path = %real.display(), "secret file can be read by everyone on this machine, run `chmod o-r` on it");
    }
    let limit = u64::try_from(SECRET_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| error.kind().to_string())?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(format!("it is larger than {SECRET_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the implementation of the secrets port, and only names with its prefix are read"
)]
fn read_variable(name: &str) -> Result<Zeroizing<String>, String> {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if !name.starts_with(ENV_PREFIX) || name.len() > 128 || !name.bytes().all(plain) {
        return Err(format!(
            "only variables named {ENV_PREFIX}… of A-Z, 0-9 and _ are read"
        ));
    }
    let value = std::env::var(name)
        .map(Zeroizing::new)
        .map_err(|_| "it is not set".to_owned())?;
    if value.len() > SECRET_BYTES_MAX {
        return Err(format!("it is larger than {SECRET_BYTES_MAX} bytes"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use secrecy::ExposeSecret as _;

    use super::*;

    async fn read(secrets: &SystemSecrets, path: &Path) -> Result<String, VaultError> {
        let secret = secrets.read(&SecretRef::File(path.to_owned())).await?;
        Ok(secret.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_rotated_file_counts_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secrets = SystemSecrets::within(vec![folder.path().to_owned()]);
        fs::write(&path, "one\r\n\n").unwrap();
        assert_eq!(read(&secrets, &path).await.unwrap(), "one");
        fs::write(&path, " two ").unwrap();
        assert_eq!(read(&secrets, &path).await.unwrap(), " two ");
    }

    #[tokio::test]
    async fn files_elsewhere_are_refused_even_through_links() {
        let (allowed, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let outside = other.path().join("master.key");
        fs::write(&outside, "master").unwrap();
        let link = allowed.path().join("link");
        symlink(&outside, &link).unwrap();
        let secrets = SystemSecrets::within(vec![allowed.path().to_owned()]);
        let around = allowed
            .path()
            .join("../")
            .join(other.path().file_name().unwrap())
            .join("master.key");
        for path in [
            outside.as_path(),
            &link,
            &around,
            Path::new("/etc/hostname"),
            Path::new("token"),
        ] {
            let refused = read(&secrets, path).await.unwrap_err();
            assert!(!refused.to_string().contains("master\n"), "{refused}");
        }
        assert!(read(&SystemSecrets::default(), &outside).await.is_err());
    }

    #[tokio::test]
    async fn empty_large_binary_and_missing_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = SystemSecrets::within(vec![folder.path().to_owned()]);
        let path = folder.path().join("token");
        assert!(read(&secrets, &path).await.is_err());
        assert!(read(&secrets, folder.path()).await.is_err());
        for content in [
            b"\n".to_vec(),
            vec![b'x'; SECRET_BYTES_MAX + 1],
            vec![0xff, 0xfe],
        ] {
            fs::write(&path, content).unwrap();
            assert!(read(&secrets, &path).await.is_err());
        }
    }

    #[tokio::test]
    async fn other_variables_are_not_read() {
        for name in [
            "PATH",
            "HOME",
            "REMIT_SECRET",
            "REMIT_SECRET_\u{0}",
            "remit_secret_x",
            "REMIT_SECRET_NOT_SET_HERE",
        ] {
            let refused = SystemSecrets::default()
                .read(&SecretRef::Env(name.to_owned()))
                .await;
            assert!(refused.is_err(), "{name}");
        }
    }
}
