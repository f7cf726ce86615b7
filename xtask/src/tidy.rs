//! The rules of the house that no compiler checks.
//!
//! | check | rule |
//! |---|---|
//! | [`floors`] | an edge between crates goes to a strictly lower floor |
//! | [`rooms`] | Cedar, SQL, HTTP serving and HTTP calls each stay in their crates |
//! | [`pure`] | floors 0 to 2 know no clock, entropy, environment, files, network or async |
//! | [`size`] | a file has at most 600 lines; no `mod.rs` |
//! | [`migrations`] | both databases have the same migrations |
//! | [`words`] | nothing unfinished, nothing about places outside the repository |
//! | [`decisions`] | decision records are numbered without gaps |
//! | [`links`] | a relative link in a page leads to a file |
//!
//! There are no lists of exceptions: what a rule forbids is changed, or the rule is.

mod decisions;
mod floors;
mod links;
mod migrations;
mod pure;
mod rooms;
mod size;
mod words;

use std::path::Path;

use anyhow::{Result, bail};

use crate::files::{self, TextFile};
use crate::metadata::{self, Package};
use crate::{rust, say};

/// What the checks read.
pub(crate) struct House<'a> {
    pub(crate) packages: &'a [Package],
    pub(crate) files: &'a [TextFile],
}

impl House<'_> {
    /// The sources of a crate that are built into it: its `src`, without modules declared for tests only.
    pub(crate) fn sources(&self, package: &Package) -> Vec<&TextFile> {
        let folder = format!("{}/src/", package.folder);
        let in_crate = |f: &&TextFile| f.extension() == "rs" && f.path.starts_with(&folder);
        let for_tests: Vec<String> = self
            .files
            .iter()
            .filter(in_crate)
            .flat_map(|file| {
                let below = module_folder(&file.path);
                let names = rust::test_modules(&file.text).into_iter();
                names.map(move |name| format!("{below}/{name}"))
            })
            .collect();
        let is_for_tests = |f: &&TextFile| {
            for_tests.iter().any(|module| {
                let rest = f.path.strip_prefix(module.as_str());
                rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            })
        };
        let sources = self.files.iter().filter(in_crate);
        sources.filter(|file| !is_for_tests(file)).collect()
    }
}

/// Where the modules that a file declares have their files: beside a crate's root, below any other.
fn module_folder(path: &str) -> &str {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    if path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs") {
        folder
    } else {
        path.strip_suffix(".rs").unwrap_or(path)
    }
}

/// One broken rule, or one that soon will be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// A file from the root, with `:line` where there is one; or a crate.
    pub(crate) place: String,
    pub(crate) text: String,
    /// Said, but does not fail.
    pub(crate) warning: bool,
}

impl Problem {
    pub(crate) fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
            warning: false,
        }
    }

    pub(crate) fn at(file: &TextFile, line: usize, text: impl Into<String>) -> Self {
        Self::new(format!("{}:{line}", file.path), text)
    }

    pub(crate) fn warning(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            warning: true,
            ..Self::new(place, text)
        }
    }
}

/// Runs every check on the checkout at `root` and prints what is wrong.
///
/// # Errors
/// When a rule is broken, or the checkout cannot be read.
pub(crate) fn run(root: &Path) -> Result<()> {
    let packages = metadata::read(root)?;
    let files = files::read_all(root)?;
    let house = House {
        packages: &packages,
        files: &files,
    };
    let mut problems = check(&house);
    problems.sort();
    for problem in &problems {
        let kind = if problem.warning { "warning" } else { "error" };
        say(&format!("{kind}: {}: {}", problem.place, problem.text));
    }
    let warnings = problems.iter().filter(|p| p.warning).count();
    let errors = problems.len() - warnings;
    if errors > 0 {
        bail!("tidy: {errors} broken rules, {warnings} warnings");
    }
    say(&format!(
        "tidy: {} crates, {} files, {warnings} warnings",
        packages.len(),
        files.len()
    ));
    Ok(())
}

fn check(house: &House<'_>) -> Vec<Problem> {
    let checks: [fn(&House<'_>) -> Vec<Problem>; 8] = [
        floors::check,
        rooms::check,
        pure::check,
        size::check,
        migrations::check,
        words::check,
        decisions::check,
        links::check,
    ];
    checks.iter().flat_map(|check| check(house)).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    use std::fs;

    use super::{House, Problem};
    use crate::files;
    use crate::metadata::{Dependency, Kind, Package};

    /// Runs one check on a tree of files, and returns what it says as `place: text`.
    pub(crate) fn on_files(
        check: fn(&House<'_>) -> Vec<Problem>,
        packages: &[Package],
        texts: &[(&str, &str)],
    ) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in texts {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files = files::read_all(root.path()).unwrap();
        let house = House {
            packages,
            files: &files,
        };
        let mut problems = check(&house);
        problems.sort();
        problems
            .into_iter()
            .map(|p| {
                let kind = if p.warning { "warning: " } else { "" };
                format!("{kind}{}: {}", p.place, p.text)
            })
            .collect()
    }

    /// A crate under `crates/`, with its normal dependencies.
    pub(crate) fn package(name: &str, floor: u8, needs: &[&str]) -> Package {
        Package {
            name: name.into(),
            folder: format!("crates/{name}"),
            floor: Some(floor),
            dependencies: needs.iter().map(|n| need(n, Kind::Normal)).collect(),
        }
    }

    pub(crate) fn need(name: &str, kind: Kind) -> Dependency {
        Dependency {
            name: name.into(),
            kind,
        }
    }
}
