//! The files of a checkout, in one order on every machine.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Folders that are built or fetched, never written by us.
const SKIPPED: &[&str] = &[".git", ".cache", "target", "node_modules", "__pycache__"];

/// One file: its path from the root with `/`, and its text.
#[derive(Debug)]
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    /// The extension without its dot, or "".
    pub(crate) fn extension(&self) -> &str {
        Path::new(&self.path)
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or("")
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }

    /// Written by a program: its first line says so.
    pub(crate) fn is_generated(&self) -> bool {
        self.text
            .lines()
            .next()
            .is_some_and(|line| line.contains("@generated"))
    }
}

/// Reads every text file under `root`, sorted by path. Files that are not UTF-8 are left out, but for pictures, which have no text.
///
/// # Errors
/// A folder or file that cannot be read, by name.
pub(crate) fn read_all(root: &Path) -> Result<Vec<TextFile>> {
    let mut found = Vec::new();
    walk(root, "", &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(root: &Path, below: &str, found: &mut Vec<TextFile>) -> Result<()> {
    let folder = root.join(below);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read `{below}`"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read `{below}`"))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = if below.is_empty() {
            name.clone()
        } else {
            format!("{below}/{name}")
        };
        let kind = entry
            .file_type()
            .with_context(|| format!("cannot read `{path}`"))?;
        if kind.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                walk(root, &path, found)?;
            }
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read `{path}`"))?;
            // Of a picture, what pages link to is all that is looked at.
            let read = if path.ends_with(".png") {
                Ok(String::new())
            } else {
                String::from_utf8(bytes)
            };
            if let Ok(text) = read {
                found.push(TextFile { path, text });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_folders_and_binary_files_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in [
            ("b.rs", b"fn b() {}".as_slice()),
            ("a/z.md", b"z"),
            ("target/x.rs", b"x"),
            ("font.bin", &[0xff, 0xfe]),
            ("logo.png", &[0xff, 0xfe]),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let files = read_all(root.path()).unwrap();
        let paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["a/z.md", "b.rs", "logo.png"]);
    }
}
