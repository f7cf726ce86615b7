//! A folder of policies: `*.cedar`, `*.test.yaml` and, where there is one, `policy.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use remit_policy::test_case::Suite;
use remit_policy::{Engine, PolicyError, PolicySource};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::input;

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: usize = 1_024 * 1_024;
/// Most files of one folder.
const FILES_MAX: usize = 256;

/// `policy.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Meta {
    /// One line on what the policies are for.
    title: Option<String>,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) title: Option<String>,
    /// Cedar text by name of the set.
    pub(super) sets: BTreeMap<String, String>,
    /// Where each set was read from.
    pub(super) paths: BTreeMap<String, PathBuf>,
    /// YAML by file name.
    pub(super) tests: BTreeMap<String, String>,
}

impl Files {
    /// Reads a folder, or one Cedar file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut files = Self::default();
        if path.is_file() {
            files.take(path)?;
            return Ok(files);
        }
        let entries = std::fs::read_dir(path)
            .with_context(|| format!("the folder `{}` cannot be read", path.display()))?;
        let mut all: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        all.sort();
        if all.len() > FILES_MAX {
            bail!("`{}` holds more than {FILES_MAX} files", path.display());
        }
        for file in all.iter().filter(|p| p.is_file()) {
            files.take(file)?;
        }
        if files.sets.is_empty() {
            bail!("`{}` holds no *.cedar file", path.display());
        }
        Ok(files)
    }

    fn take(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if let Some(set) = name.strip_suffix(".cedar") {
            self.sets
                .insert(set.to_owned(), input::file(path, FILE_BYTES_MAX)?);
            self.paths.insert(set.to_owned(), path.to_owned());
        } else if name.ends_with(".test.yaml") {
            self.tests
                .insert(name.to_owned(), input::file(path, FILE_BYTES_MAX)?);
        } else if name == "policy.yaml" {
            let meta: Meta = serde_saphyr::from_str(&input::file(path, FILE_BYTES_MAX)?)
                .with_context(|| format!("`{}` is not as it must be", path.display()))?;
            self.title = meta.title;
        }
        Ok(())
    }

    /// As the server takes them.
    pub(super) fn body(&self, title: Option<String>, source: Option<String>) -> Value {
        let title = title
            .or_else(|| self.title.clone())
            .unwrap_or_else(|| "policies from files".to_owned());
        json!({ "title": title, "sets": self.sets, "tests": self.tests, "source": source })
    }

    /// Runs the tests here, with the tools that they describe themselves.
    pub(super) fn test(&self) -> anyhow::Result<Value> {
        let (mut cases, mut engines) = (Vec::new(), Vec::new());
        for (name, yaml) in &self.tests {
            let wrong = |e: String| anyhow::anyhow!("{name}: {e}");
            let suite = Suite::parse(yaml).map_err(wrong)?;
            let tools = suite.tools().map_err(wrong)?;
            let tools: Vec<_> = tools.iter().collect();
            let sets: Vec<PolicySource<'_>> = self
                .sets
                .iter()
                .map(|(name, text)| PolicySource { name, text })
                .collect();
            let engine = Engine::compile(&tools, &sets).map_err(|e| self.told(&e))?;
            cases.extend(suite.run(&engine));
            engines.push(engine);
        }
        let passed = cases.iter().all(|c| c.passed);
        let notes = engines.first().map(Engine::notes).unwrap_or_default();
        let decided = |id: &String| cases.iter().filter(|c| c.policies.contains(id)).count();
        let coverage: Vec<Value> = notes
            .iter()
            .map(|n| json!({ "policy": n.id, "line": n.line, "cases": decided(&n.id) }))
            .collect();
        let covered = notes.iter().filter(|n| decided(&n.id) > 0).count();
        let percent = (covered * 100).checked_div(notes.len()).unwrap_or(100);
        Ok(
            json!({ "passed": passed, "cases": cases, "coverage": coverage, "coverage_percent": percent }),
        )
    }

    /// Problems with their places in the files.
    fn told(&self, error: &PolicyError) -> anyhow::Error {
        let lines: Vec<String> = error
            .problems()
            .iter()
            .map(|p| {
                let place = Place {
                    file: &self.file(&p.set),
                    source: self.sets.get(&p.set).map(String::as_str),
                };
                place.tell("error", p.line, p.column, &p.message, p.help.as_deref())
            })
            .collect();
        if lines.is_empty() {
            return anyhow::anyhow!("{error}");
        }
        anyhow::anyhow!("{}", lines.join("\n"))
    }

    /// The file that a set was read from.
    pub(super) fn file(&self, set: &str) -> String {
        self.paths
            .get(set)
            .map_or_else(|| format!("{set}.cedar"), |p| p.display().to_string())
    }
}

/// Where something is wrong.
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) source: Option<&'a str>,
}

impl Place<'_> {
    /// As compilers tell it: what, where, the line itself, and what was probably meant.
    pub(super) fn tell(
        &self,
        sort: &str,
        line: usize,
        column: usize,
        message: &str,
        help: Option<&str>,
    ) -> String {
        let mut out = format!("{}:{line}:{column}: {sort}: {message}", self.file);
        let text = self
            .source
            .and_then(|s| s.lines().nth(line.checked_sub(1)?));
        if let Some(text) = text {
            let (number, blank) = (line.to_string(), " ".repeat(line.to_string().len()));
            let before = " ".repeat(column.saturating_sub(1).min(200));
            let text: String = text.chars().take(240).collect();
            out.push_str(&format!(
                "\n {blank} |\n {number} | {text}\n {blank} | {before}^"
            ));
        }
        if let Some(help) = help {
            out.push_str(&format!("\n   = help: {help}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_line_and_what_was_meant() {
        let place = Place {
            file: "refunds.cedar",
            source: Some("forbid (principal, action, resource)\nwhen { context.huor < 6 };"),
        };
        let told = place.tell(
            "error",
            2,
            8,
            "no attribute `huor`",
            Some("did you mean `hour`?"),
        );
        insta::assert_snapshot!(told, @r"
        refunds.cedar:2:8: error: no attribute `huor`
           |
         2 | when { context.huor < 6 };
           |        ^
           = help: did you mean `hour`?
        ");
    }

    #[test]
    fn a_folder_is_read_and_its_tests_run_here() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "hours.cedar",
            "@id(\"night\") forbid (principal, action, resource) when { context.hour < 6 };",
        );
        write(
            "hours.test.yaml",
            "tools: { a/b: { effect: read } }\ncases: [{ name: at night, tool: a/b, given: { at: '2026-01-07T03:00:00Z' }, expect: deny, by: [hours/night] }]",
        );
        write("policy.yaml", "title: nobody works at night");
        write("README.md", "not a policy");
        let files = Files::read(dir.path()).unwrap();
        assert_eq!(files.title.as_deref(), Some("nobody works at night"));
        let report = files.test().unwrap();
        assert_eq!(
            (&report["passed"], &report["coverage_percent"]),
            (&json!(true), &json!(100))
        );
        write(
            "hours.cedar",
            "forbid (principal, action, resource) when { context.huor < 6 };",
        );
        let error = Files::read(dir.path())
            .unwrap()
            .test()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("hours.cedar:1:") && error.contains("huor"),
            "{error}"
        );
    }

    #[test]
    fn the_starter_bundles_pass_their_tests_and_cover_every_policy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policies");
        let folders: Vec<PathBuf> = std::fs::read_dir(root)
            .unwrap()
            .filter_map(|e| Some(e.ok()?.path()).filter(|p| p.is_dir()))
            .collect();
        assert_eq!(folders.len(), 5);
        for folder in folders {
            let files = Files::read(&folder).unwrap();
            let report = files.test().unwrap();
            assert_eq!(report["passed"], true, "{}: {report:#}", folder.display());
            assert_eq!(
                report["coverage_percent"],
                100,
                "{}: {report:#}",
                folder.display()
            );
            assert!(files.title.is_some(), "{}", folder.display());
            for (set, cedar) in &files.sets {
                let pretty = remit_policy::format(set, cedar).unwrap();
                assert_eq!(&pretty, cedar, "remit policy fmt {}", files.file(set));
            }
        }
    }
}
