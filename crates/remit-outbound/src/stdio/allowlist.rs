//! The commands that may be started: the operator's, by name, never an administrator's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use remit_domain::name::Name;
use serde::{Deserialize, Serialize};

/// One command that may be started as an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedCommand {
    /// Absolute path of the program.
    pub path: PathBuf,
    /// Its arguments, exactly.
    #[serde(default)]
    pub args: Vec<String>,
    /// SHA-256 of the program's file, 64 hexadecimal digits, compared before each start. It covers the program, not
    /// the scripts that it may read.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Account to run as; needs the privilege to change it, and `gid`.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Group to run as.
    #[serde(default)]
    pub gid: Option<u32>,
    /// Variables that it gets beside `PATH` and `LANG`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Names of the variables that an upstream's secret may set. No others are set: a name such as `LD_PRELOAD`
    /// would run code.
    #[serde(default)]
    pub secret_env: BTreeSet<String>,
    /// Absolute path of its working directory; `/` when not given.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
}

impl AllowedCommand {
    /// The command `path args…` with nothing else.
    #[must_use]
    pub fn new(
        path: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            path: path.into(),
            args: args.into_iter().map(Into::into).collect(),
            sha256: None,
            uid: None,
            gid: None,
            env: BTreeMap::new(),
            secret_env: BTreeSet::new(),
            cwd: None,
        }
    }
}

/// Why an allowlist is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowlistError {
    /// A relative path would be looked up in a place that others may choose.
    #[error("stdio command `{name}`: `{path}` is not an absolute path")]
    Relative {
        /// Entry.
        name: Name,
        /// The path.
        path: PathBuf,
    },
    /// Not 64 hexadecimal digits.
    #[error("stdio command `{name}`: `sha256` must be 64 hexadecimal digits")]
    Digest {
        /// Entry.
        name: Name,
    },
    /// An account without a group would keep the server's own.
    #[error("stdio command `{name}`: `uid` and `gid` must be given together")]
    Account {
        /// Entry.
        name: Name,
    },
    /// Not a name of letters, digits and underscores.
    #[error("stdio command `{name}`: `{variable}` cannot name a variable")]
    Variable {
        /// Entry.
        name: Name,
        /// The variable.
        variable: String,
    },
}

/// The operator's commands by name. Empty unless configured.
#[derive(Debug, Clone, Default)]
pub struct Allowlist(BTreeMap<Name, AllowedCommand>);

impl Allowlist {
    /// Checks and takes the operator's commands.
    ///
    /// # Errors
    /// [`AllowlistError`], with the entry.
    pub fn new(commands: BTreeMap<Name, AllowedCommand>) -> Result<Self, AllowlistError> {
        for (name, command) in &commands {
            let name = || name.clone();
            let paths = std::iter::once(&command.path).chain(&command.cwd);
            for path in paths {
                if !path.is_absolute() {
                    return Err(AllowlistError::Relative {
                        name: name(),
                        path: path.clone(),
                    });
                }
            }
            let digest = command.sha256.as_deref();
            if digest
                .is_some_and(|digest| hex::decode(digest).map_or(true, |bytes| bytes.len() != 32))
            {
                return Err(AllowlistError::Digest { name: name() });
            }
            if command.uid.is_some() != command.gid.is_some() {
                return Err(AllowlistError::Account { name: name() });
            }
            let mut variables = command.env.keys().chain(&command.secret_env);
            if let Some(variable) = variables.find(|variable| !is_variable(variable)) {
                return Err(AllowlistError::Variable {
                    name: name(),
                    variable: variable.clone(),
                });
            }
        }
        Ok(Self(commands))
    }

    /// The command of that name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&AllowedCommand> {
        self.0.get(name)
    }
}

fn is_variable(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Checks the program's file right before a start: a regular file, not writable by everyone, of the digest that the
/// operator gave. Blocks on the disk.
///
/// # Errors
/// What is wrong, for the person who configured it.
pub(super) fn verify(path: &Path, sha256: Option<&str>) -> Result<(), String> {
    let quoted = path.display();
    let mut file =
        File::open(path).map_err(|error| format!("`{quoted}` cannot be read: {}", error.kind()))?;
    let found = file
        .metadata()
        .map_err(|error| format!("`{quoted}` cannot be read: {}", error.kind()))?;
    if !found.is_file() {
        return Err(format!("`{quoted}` is not a regular file"));
    }
    if found.mode() & 0o002 != 0 {
        return Err(format!(
            "`{quoted}` can be changed by everyone on this machine, run `chmod o-w` on it"
        ));
    }
    let Some(expected) = sha256 else {
        return Ok(());
    };
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0u8; 128 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => context.update(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("`{quoted}` cannot be read: {}", error.kind())),
        }
    }
    let actual = hex::encode(context.finish());
    if actual.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        Err(format!(
            "`{quoted}` has SHA-256 {actual}, the allowlist says {expected}: it was changed"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: AllowedCommand) -> Result<Allowlist, AllowlistError> {
        Allowlist::new(BTreeMap::from([("echo".parse().unwrap(), command)]))
    }

    #[test]
    fn entries_are_checked() {
        let good = || AllowedCommand::new("/bin/echo", ["a"]);
        assert!(check(good()).is_ok());
        assert!(matches!(
            check(AllowedCommand::new("echo", ["a"])),
            Err(AllowlistError::Relative { .. })
        ));
        let cwd = AllowedCommand {
            cwd: Some("here".into()),
            ..good()
        };
        assert!(matches!(check(cwd), Err(AllowlistError::Relative { .. })));
        for digest in ["", "00", &"g".repeat(64), &"0".repeat(62)] {
            let command = AllowedCommand {
                sha256: Some(digest.to_owned()),
                ..good()
            };
            assert!(matches!(check(command), Err(AllowlistError::Digest { .. })));
        }
        let uid = AllowedCommand {
            uid: Some(1),
            ..good()
        };
        assert!(matches!(check(uid), Err(AllowlistError::Account { .. })));
        for variable in ["", "A B", "A=B", "1A", "Ä"] {
            let command = AllowedCommand {
                secret_env: BTreeSet::from([variable.to_owned()]),
                ..good()
            };
            assert!(
                matches!(check(command), Err(AllowlistError::Variable { .. })),
                "{variable}"
            );
        }
    }

    #[test]
    fn a_changed_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tool");
        std::fs::write(&path, "abc").unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(verify(&path, None), Ok(()));
        assert_eq!(verify(&path, Some(digest)), Ok(()));
        std::fs::write(&path, "abd").unwrap();
        assert!(
            verify(&path, Some(digest))
                .unwrap_err()
                .contains("was changed")
        );
        assert!(verify(folder.path(), None).is_err());
        assert!(verify(&folder.path().join("missing"), None).is_err());
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o757)).unwrap();
        assert!(verify(&path, None).unwrap_err().contains("everyone"));
    }
}
