//! Secrets by reference, read anew each time, only from where the operator allows.
//!
//! A reference is written by an administrator of an organization, but what it names belongs to the server's machine:
//! without a boundary a reference to the master key, to any other file of the server, or to the secret of another
//! organization would send it to an upstream of the writer's choice. So a secret belongs to an organization by its place:
//!
//! ```text
//! file      {a folder of the operator}/{organization}/…     neither `..` nor a link leads out of it
//! variable  REMIT_SECRET_{ORGANIZATION}__{NAME}             the name in capitals, `-` as `_`
//!           REMIT_SECRET_{NAME}                             the default organization, NAME without `__`
//! ```
//!
//! The last `__` of a variable's name ends the organization's name, so that no variable can be read as that of two.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use remit_domain::name::Name;
use remit_domain::upstream::SecretRef;
use remit_ports::Secrets;
use remit_ports::vault::VaultError;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::limits::SECRET_BYTES_MAX;

/// Start of the names of variables that hold secrets.
pub const ENV_PREFIX: &str = "REMIT_SECRET_";
/// Longest name of a variable, in bytes.
const VARIABLE_BYTES_MAX: usize = 128;

/// The vault's secrets are read by whoever has the books.
const NOT_HERE: &str = "it is neither a file nor a variable";

/// Secrets in files and in variables of this process.
#[derive(Debug, Clone)]
pub struct SystemSecrets {
    folders: Vec<PathBuf>,
    default_org: Name,
}

impl SystemSecrets {
    /// Secrets in files below `folders` (absolute), each organization's in the folder of its name, and in variables that
    /// start with [`ENV_PREFIX`]. Without folders, no file is read.
    ///
    /// - `default_org`: whose the variables without an organization's name are.
    #[must_use]
    pub fn within(folders: Vec<PathBuf>, default_org: Name) -> Self {
        Self {
            folders,
            default_org,
        }
    }

    fn check(&self, org: &Name, reference: &SecretRef) -> Result<(), String> {
        match reference {
            SecretRef::File(path) => lies_below(path, &self.folders, org),
            SecretRef::Env(variable) => self.is_of(org, variable),
            SecretRef::Vault(_) => Err(NOT_HERE.to_owned()),
        }
    }

    /// Whether a variable is the organization's, by its name alone.
    fn is_of(&self, org: &Name, variable: &str) -> Result<(), String> {
        let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let own = org.as_str().to_ascii_uppercase().replace('-', "_");
        let ok = variable.len() <= VARIABLE_BYTES_MAX && variable.bytes().all(plain);
        let yes = variable
            .strip_prefix(ENV_PREFIX)
            .filter(|rest| ok && !rest.is_empty())
            .is_some_and(|rest| match rest.rsplit_once("__") {
                Some((owner, name)) => owner == own && !name.is_empty(),
                None => *org == self.default_org,
            });
        if yes {
            return Ok(());
        }
        let names = if *org == self.default_org {
            format!("{ENV_PREFIX}{{NAME}} (a name without `__`) or {ENV_PREFIX}{own}__{{NAME}}")
        } else {
            format!("{ENV_PREFIX}{own}__{{NAME}}")
        };
        Err(format!(
            "variables of organization `{org}` are named {names}, of A-Z, 0-9 and _"
        ))
    }
}

#[async_trait]
impl Secrets for SystemSecrets {
    fn may_name(&self, org: &Name, reference: &SecretRef) -> Result<(), VaultError> {
        let checked = self.check(org, reference);
        checked.map_err(|why| unreadable(reference, why))
    }

    async fn read(&self, org: &Name, reference: &SecretRef) -> Result<SecretString, VaultError> {
        self.may_name(org, reference)?;
        let content = match reference {
            SecretRef::File(path) => {
                let (path, folders, org) = (path.clone(), self.folders.clone(), org.clone());
                // A secret may lie on a slow or remote file system.
                let read = tokio::task::spawn_blocking(move || read_file(&path, &folders, &org));
                read.await
                    .unwrap_or_else(|_| Err("reading it failed".to_owned()))
            }
            SecretRef::Env(variable) => read_variable(variable),
            SecretRef::Vault(_) => Err(NOT_HERE.to_owned()),
        };
        let trimmed = content.and_then(|content| match content.trim_end_matches(['\r', '\n']) {
            "" => Err("it is empty".to_owned()),
            trimmed => Ok(SecretString::from(trimmed)),
        });
        trimmed.map_err(|why| unreadable(reference, why))
    }
}

fn unreadable(reference: &SecretRef, why: String) -> VaultError {
    let reference = match reference {
        SecretRef::File(path) => format!("file `{}`", path.display()),
        SecretRef::Env(variable) => {
            let shown: String = variable.chars().take(VARIABLE_BYTES_MAX).collect();
            format!("variable `{}`", shown.escape_debug())
        }
        SecretRef::Vault(name) => format!("`{name}` of the vault"),
    };
    VaultError::Unreadable { reference, why }
}

/// Whether a path, as it is written, lies below the organization's folder. Nothing is looked at, so that the answer tells
/// nothing of what is there.
fn lies_below(path: &Path, folders: &[PathBuf], org: &Name) -> Result<(), String> {
    if !path.is_absolute() {
        return Err("its path is not absolute".to_owned());
    }
    if path.components().any(|c| c == Component::ParentDir) {
        return Err("its path holds `..`".to_owned());
    }
    let below = |folder: &PathBuf| path.starts_with(folder.join(org.as_str()));
    if !folders.iter().any(below) {
        return Err(format!(
            "it is not below `{org}` in a folder that the operator allows for secrets (`secret_dirs`)"
        ));
    }
    Ok(())
}

/// Where a path really leads, when that is below the organization's folder. The operator's folder may be a link; the
/// organization's in it is not followed, and nothing in it leads out.
fn real(path: &Path, folders: &[PathBuf], org: &Name) -> Result<PathBuf, String> {
    let real = fs::canonicalize(path).map_err(|error| error.kind().to_string())?;
    let inside = |folder: &PathBuf| {
        fs::canonicalize(folder).is_ok_and(|folder| real.starts_with(folder.join(org.as_str())))
    };
    if folders.iter().any(inside) {
        Ok(real)
    } else {
        Err(format!(
            "a link on its path leads out of the folder of `{org}`"
        ))
    }
}

fn read_file(path: &Path, folders: &[PathBuf], org: &Name) -> Result<Zeroizing<String>, String> {
    lies_below(path, folders, org)?;
    let place = real(path, folders, org)?;
    if !fs::metadata(&place).is_ok_and(|found| found.is_file()) {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(&place).map_err(|error| error.kind().to_string())?;
    let found = file.metadata().map_err(|error| error.kind().to_string())?;
    if !found.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    // A link may have been put in its place meanwhile: what was opened has to be what is there.
    let again = fs::canonicalize(&place).and_then(fs::symlink_metadata);
    let same = again.is_ok_and(|a| (a.dev(), a.ino()) == (found.dev(), found.ino()));
    if !same || real(&place, folders, org)? != place {
        return Err("it was exchanged while it was read".to_owned());
    }
    if found.mode() & 0o004 != 0 {
        tracing::warn!(path = %place.display(), "secret file can be read by everyone on this machine, run `chmod o-r` on it");
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
    reason = "this is the implementation of the secrets port, and only names that were checked are read"
)]
fn read_variable(name: &str) -> Result<Zeroizing<String>, String> {
    let value = std::env::var(name)
        .map(Zeroizing::new)
        .map_err(|_| "it is not set".to_owned())?;
    if value.len() > SECRET_BYTES_MAX {
        return Err(format!("it is larger than {SECRET_BYTES_MAX} bytes"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
