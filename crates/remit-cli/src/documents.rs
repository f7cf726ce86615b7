//! Files of documents: one file, standard input, or every document file of a directory.
//!
//! All of them go to the server as one text; the places of its faults are told in the files they came from.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::exit::Usage;

/// Most bytes of all documents together; what the server takes.
const BYTES_MAX: usize = 1_000_000;
/// Most files of a directory.
const FILES_MAX: usize = 1_000;

/// Documents, with the files they came from.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// All of them.
    pub(crate) text: String,
    /// Where each file begins: its first line in `text`, from 1.
    starts: Vec<(u64, String)>,
}

impl Documents {
    /// Reads them.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut all = Self::default();
        if path == Path::new("-") {
            all.add("standard input", &crate::input::stdin(BYTES_MAX)?)?;
            return Ok(all);
        }
        for file in files(path)? {
            let text = crate::input::file(&file, BYTES_MAX)?;
            all.add(&file.display().to_string(), &text)?;
        }
        if all.starts.is_empty() {
            return Err(Usage(format!(
                "`{}` holds no .yaml, .yml or .json file",
                path.display()
            ))
            .into());
        }
        Ok(all)
    }

    fn add(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        if !self.text.is_empty() {
            self.text.push_str("---\n");
        }
        self.starts
            .push((self.text.lines().count() as u64 + 1, name.to_owned()));
        self.text.push_str(text);
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        if self.text.len() > BYTES_MAX {
            bail!(
                "the documents have more than {BYTES_MAX} bytes together; apply them in several goes"
            );
        }
        Ok(())
    }

    /// The file and line of a line of `text`.
    fn place(&self, line: u64) -> Option<(&str, u64)> {
        let (start, name) = self.starts.iter().rev().find(|(start, _)| *start <= line)?;
        Some((name, line - start + 1))
    }

    /// A fault of the server, with the file it is in: `file:line:column: message`.
    pub(crate) fn fault(&self, fault: &Value) -> String {
        let number = |name: &str| fault.get(name).and_then(Value::as_u64);
        let message = crate::value::line(&crate::value::text(fault, "message|detail|text"), 400);
        match number("line")
            .filter(|l| *l > 0)
            .and_then(|line| self.place(line))
        {
            Some((file, line)) => match number("column") {
                Some(column) => format!("{file}:{line}:{column}: {message}"),
                None => format!("{file}:{line}: {message}"),
            },
            None => message,
        }
    }
}

fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let found =
        std::fs::metadata(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    if !found.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut all = Vec::new();
    let mut dirs = vec![path.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = std::fs::read_dir(&dir)
            .with_context(|| format!("`{}` cannot be read", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if kind.is_dir() && !hidden {
                dirs.push(path);
            } else if kind.is_file() && !hidden && is_document(&path) {
                all.push(path);
            }
        }
        if all.len() > FILES_MAX {
            bail!(
                "`{}` holds more than {FILES_MAX} documents; name a smaller directory",
                path.display()
            );
        }
    }
    all.sort();
    Ok(all)
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|e| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| e.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_are_told_in_the_file_they_came_from() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("a.yaml"),
            "kind: Team\nmetadata: {name: x}\nspec: {}",
        )
        .unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/b.yml"), "kind: Agent\nspec: {}\n").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "not one").unwrap();
        let all = Documents::read(dir.path()).unwrap();
        // Three lines of a, a separator, then b.
        let told = all.fault(&json!({"line": 6, "column": 1, "message": "missing field"}));
        assert!(told.ends_with("sub/b.yml:2:1: missing field"), "{told}");
        let told = all.fault(&json!({"line": 2, "message": "unknown field `x`"}));
        assert!(told.ends_with("a.yaml:2: unknown field `x`"), "{told}");
        assert_eq!(all.fault(&json!({"message": "m"})), "m");
    }

    #[test]
    fn nothing_to_apply_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            Documents::read(dir.path())
                .unwrap_err()
                .to_string()
                .contains("holds no")
        );
        assert!(Documents::read(&dir.path().join("none")).is_err());
    }
}
