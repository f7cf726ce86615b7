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

    /// The file and line where a policy begins that the server names by its id (`set/policy`), its line in the text of the
    /// set, and its source; none where these documents do not hold it so.
    pub(crate) fn policy_place(&self, policy: &Value) -> Option<String> {
        let id = crate::value::text(policy, "id");
        let (set, _) = id.split_once('/')?;
        let source = crate::value::text(policy, "source");
        let first = source.lines().map(str::trim).find(|l| !l.is_empty())?;
        let in_text = policy.get("line").and_then(Value::as_u64)?;
        let (mut of_set, mut start, mut best) = (false, 0, None::<(u64, u64)>);
        let (mut is_set, mut is_named) = (false, false);
        for (at, line) in (1..).zip(self.text.lines()) {
            if line.starts_with("---") {
                (of_set, is_set, is_named) = (false, false, false);
            }
            is_set |= line.trim_end() == "kind: PolicySet";
            is_named |= name_of(line).is_some_and(|name| name == set);
            if is_set && is_named && line.trim_start().starts_with("text:") {
                (of_set, start) = (true, at);
            }
            if of_set && line.trim() == first {
                let off = (start + in_text).abs_diff(at);
                if best.is_none_or(|(least, _)| off < least) {
                    best = Some((off, at));
                }
            }
        }
        let (file, line) = self.place(best?.1)?;
        Some(format!("{file}:{line}"))
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

/// The name in a line of metadata: `metadata: { name: x }` or `name: x`.
fn name_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("name:")?;
    let name = rest.trim().trim_end_matches('}').trim();
    Some(name.trim_matches(['"', '\'']))
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
    fn a_policy_is_found_in_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let sets = "kind: Team\n---\napiVersion: remit.dev/v1\nkind: PolicySet\nmetadata: { name: refunds }\nspec:\n  text: |\n    // caps\n    @id(\"cap\")\n    forbid (principal, action, resource);\n---\nkind: PolicySet\nmetadata:\n  name: other\nspec:\n  text: |\n    @id(\"cap\")\n    permit (principal, action, resource);\n";
        std::fs::write(dir.path().join("p.yaml"), sets).unwrap();
        let all = Documents::read(dir.path()).unwrap();
        let place = |id: &str, line: u64| {
            let policy = json!({"id": id, "line": line, "source": "@id(\"cap\")\nforbid (principal, action, resource);"});
            all.policy_place(&policy)
        };
        assert!(place("refunds/cap", 2).unwrap().ends_with("p.yaml:9"));
        assert!(place("other/cap", 1).unwrap().ends_with("p.yaml:17"));
        assert_eq!(place("guardrail/cap", 1), None);
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
