//! Servers one is signed in to: address, organization and token by name, in one file only its owner can read.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

const FILE: &str = "contexts.json";
const FILE_BYTES_MAX: u64 = 1_048_576;

/// One server one is signed in to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Address.
    pub(crate) addr: String,
    /// Organization; none for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) org: Option<String>,
    /// Who one is there, for people to read.
    #[serde(default)]
    pub(crate) who: String,
    /// The token; none once signed out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "expose"
    )]
    pub(crate) token: Option<SecretString>,
}

/// All of them, and the one in use.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Contexts {
    /// Name of the one in use.
    #[serde(default)]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Entry>,
}

/// The one place where a token belongs on disk.
fn expose<S: Serializer>(token: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(
        token
            .as_ref()
            .map(ExposeSecret::expose_secret)
            .unwrap_or_default(),
    )
}

impl Contexts {
    /// Reads them; none when there is no file.
    pub(crate) fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let found = match std::fs::metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(error).with_context(|| format!("`{}` cannot be read", path.display()));
            }
        };
        if found.permissions().mode() & 0o077 != 0 {
            bail!(
                "`{0}` holds tokens and others may read it; run: chmod 600 {0}",
                path.display()
            );
        }
        if found.len() > FILE_BYTES_MAX {
            bail!(
                "`{}` is larger than 1 MiB, so it is not ours",
                path.display()
            );
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("`{}` cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| {
            format!(
                "`{}` is damaged; move it away and sign in again",
                path.display()
            )
        })
    }

    /// Writes them, as a whole or not at all.
    pub(crate) fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(FILE);
        write_private(dir, &path, &serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("`{}` cannot be written", path.display()))
    }

    /// The one of that name, or the one in use.
    pub(crate) fn pick(&self, name: Option<&str>) -> anyhow::Result<Option<&Entry>> {
        let Some(name) = name else {
            return Ok(self
                .current
                .as_ref()
                .and_then(|current| self.contexts.get(current)));
        };
        let found = self.contexts.get(name);
        found
            .map(Some)
            .with_context(|| format!("there is no context `{name}`; `remit context ls` lists them"))
    }
}

fn write_private(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let new: PathBuf = dir.join(format!("{FILE}.new"));
    // A file left by an interrupted run may have other permissions: it goes first.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Contexts {
        let entry = Entry {
            addr: "https://remit.example".to_owned(),
            org: None,
            who: "maria".to_owned(),
            token: Some("rmt_pat_x".into()),
        };
        Contexts {
            current: Some("a".to_owned()),
            contexts: BTreeMap::from([("a".to_owned(), entry)]),
        }
    }

    #[test]
    fn only_the_owner_can_read_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("remit");
        one().save(&dir).unwrap();
        one().save(&dir).unwrap();
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(FILE))), (0o700, 0o600));
        let read = Contexts::load(&dir).unwrap();
        let entry = read.pick(None).unwrap().unwrap();
        assert_eq!(entry.token.as_ref().unwrap().expose_secret(), "rmt_pat_x");
        assert!(read.pick(Some("b")).is_err());
        assert!(!format!("{read:?}").contains("rmt_pat_x"));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        one().save(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            Contexts::load(dir.path())
                .unwrap_err()
                .to_string()
                .contains("chmod 600")
        );
    }

    #[test]
    fn no_file_is_no_context() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            Contexts::load(dir.path())
                .unwrap()
                .pick(None)
                .unwrap()
                .is_none()
        );
    }
}
