//! A relative link in a page leads to a file of this repository.

use std::collections::BTreeSet;

use super::{House, Problem};
use crate::files::TextFile;

pub(super) fn check(house: &House<'_>) -> Vec<Problem> {
    let known: BTreeSet<&str> = house
        .files
        .iter()
        .flat_map(|f| with_folders(&f.path))
        .collect();
    let pages = house.files.iter().filter(|f| f.extension() == "md");
    pages.flat_map(|page| on_page(page, &known)).collect()
}

/// The path and every folder above it.
fn with_folders(path: &str) -> impl Iterator<Item = &str> {
    let folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
    folders.chain(std::iter::once(path))
}

fn on_page(page: &TextFile, known: &BTreeSet<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut in_code = false;
    for (index, line) in page.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let resolved = resolve(&page.path, target);
            if !resolved
                .as_deref()
                .is_some_and(|path| path.is_empty() || known.contains(path))
            {
                problems.push(Problem::at(
                    page,
                    index + 1,
                    format!("the link `{target}` leads nowhere"),
                ));
            }
        }
    }
    problems
}

/// The relative targets of the inline links in a line, without their anchors.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains(':') && !target.starts_with('<'))
}

/// The target as a path from the root; nothing when it leaves the repository.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') {
        Vec::new()
    } else {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        folder.split('/').filter(|p| !p.is_empty()).collect()
    };
    for part in target.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::on_files;

    fn on(text: &str) -> Vec<String> {
        on_files(
            check,
            &[],
            &[
                ("docs/guides/a.md", text),
                ("docs/b.md", ""),
                ("src/x.rs", ""),
            ],
        )
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let text = "[b](../b.md#part) [x](/src/x.rs) [s](../../src/) [w](https://a.example/b) [m](mailto:a@b) [h](#here)";
        assert_eq!(on(text), Vec::<String>::new());
        assert_eq!(on("```text\n[no](gone.md)\n```"), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_or_outside_are_named() {
        assert_eq!(
            on("\n[a](gone.md)"),
            ["docs/guides/a.md:2: the link `gone.md` leads nowhere"]
        );
        assert_eq!(on("[a](../../../b.md)").len(), 1);
    }
}
