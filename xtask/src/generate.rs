//! Reference pages and schemas, written by the binary about itself and kept in the repository.
//!
//! `remit docs --out DIR` writes `docs/reference/*.md` and `api/*` below DIR. They are either copied into the
//! repository or compared with it, so that what a reader finds there is what the code does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{files, say};

/// The folders that the binary writes. Only files marked `@generated`, and all of `api/`, belong to it.
const OWNED: &[&str] = &["api/", "docs/reference/"];

/// What to do with what the binary wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

/// Runs the binary in a scratch folder, then copies or compares.
///
/// # Errors
/// When the binary fails or writes nothing, when a file cannot be written, and in [`Mode::Check`] when anything differs.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<()> {
    let scratch = Scratch::new()?;
    let mut command = binary();
    let status = command
        .args(["docs", "--out"])
        .arg(&scratch.0)
        .current_dir(root)
        .status()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !status.success() {
        bail!("`remit docs --out DIR` failed ({status})");
    }
    let changes = differences(&scratch.0, root)?;
    match mode {
        Mode::Write => write(&changes, &scratch.0, root),
        Mode::Check if changes.is_empty() => {
            say("generate: up to date");
            Ok(())
        }
        Mode::Check => {
            for change in &changes {
                say(&format!("  {}", change.describe()));
            }
            bail!(
                "{} generated files differ from what the code says; run `cargo xtask generate` and commit the result",
                changes.len()
            )
        }
    }
}

/// The binary that was built already (`REMIT_BIN`), or one that cargo builds now.
fn binary() -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool of the repository, run by scripts/test.sh"
    )]
    let built = std::env::var_os("REMIT_BIN");
    if let Some(path) = built {
        return Command::new(path);
    }
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--package", "remit", "--"]);
    command
}

/// A folder of our own that goes when we go.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("remit-generate-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing useful can be done about a scratch folder that stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Missing(String),
    Differs(String),
    /// In the repository, marked as generated, and no longer written.
    Stale(String),
}

impl Change {
    fn describe(&self) -> String {
        match self {
            Self::Missing(path) => format!("missing  {path}"),
            Self::Differs(path) => format!("differs  {path}"),
            Self::Stale(path) => format!("stale    {path}"),
        }
    }
}

/// What would have to change in `root` for it to hold what is in `made`.
fn differences(made: &Path, root: &Path) -> Result<Vec<Change>> {
    let made = files::read_all(made)?;
    if made.is_empty() {
        bail!("the binary wrote no files");
    }
    let mut changes = Vec::new();
    let mut names = BTreeSet::new();
    for file in &made {
        if !OWNED.iter().any(|folder| file.path.starts_with(folder)) {
            bail!("the binary wrote `{}`, outside {OWNED:?}", file.path);
        }
        names.insert(file.path.as_str());
        match fs::read_to_string(root.join(&file.path)) {
            Ok(text) if text == file.text => {}
            Ok(_) => changes.push(Change::Differs(file.path.clone())),
            Err(_) => changes.push(Change::Missing(file.path.clone())),
        }
    }
    for folder in OWNED {
        let path = root.join(folder);
        if !path.is_dir() {
            continue;
        }
        for file in files::read_all(&path)? {
            let name = format!("{folder}{}", file.path);
            if !names.contains(name.as_str()) && (*folder == "api/" || file.is_generated()) {
                changes.push(Change::Stale(name));
            }
        }
    }
    Ok(changes)
}

fn write(changes: &[Change], made: &Path, root: &Path) -> Result<()> {
    for change in changes {
        match change {
            Change::Stale(path) => fs::remove_file(root.join(path))
                .with_context(|| format!("cannot remove `{path}`"))?,
            Change::Missing(path) | Change::Differs(path) => {
                let to = root.join(path);
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder)
                        .with_context(|| format!("cannot create the folder of `{path}`"))?;
                }
                fs::copy(made.join(path), to).with_context(|| format!("cannot write `{path}`"))?;
            }
        }
        say(&format!("  {}", change.describe()));
    }
    say(&format!("generate: {} files changed", changes.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn missing_differing_and_stale_files_are_found_and_repaired() {
        let made = tree(&[("docs/reference/cli.md", "new"), ("api/openapi.json", "{}")]);
        let root = tree(&[
            ("docs/reference/cli.md", "old"),
            ("docs/reference/gone.md", "<!-- @generated -->"),
            ("docs/reference/by-hand.md", "kept"),
        ]);
        let changes = differences(made.path(), root.path()).unwrap();
        assert_eq!(
            changes,
            [
                Change::Missing("api/openapi.json".into()),
                Change::Differs("docs/reference/cli.md".into()),
                Change::Stale("docs/reference/gone.md".into()),
            ]
        );
        write(&changes, made.path(), root.path()).unwrap();
        assert_eq!(differences(made.path(), root.path()).unwrap(), []);
        assert!(root.path().join("docs/reference/by-hand.md").exists());
    }

    #[test]
    fn a_file_outside_its_folders_is_refused() {
        let made = tree(&[("README.md", "no")]);
        assert!(differences(made.path(), tree(&[]).path()).is_err());
    }

    #[test]
    fn a_binary_that_writes_nothing_is_an_error() {
        assert!(differences(tree(&[]).path(), tree(&[]).path()).is_err());
    }
}
