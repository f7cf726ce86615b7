//! Decision records are `docs/decisions/NNNN-title.md`, from 0001 without gaps: a number in a comment leads to one page.

use super::{House, Problem};

const FOLDER: &str = "docs/decisions/";

pub(super) fn check(house: &House<'_>) -> Vec<Problem> {
    let records = house
        .files
        .iter()
        .filter(|f| f.path.starts_with(FOLDER) && f.name() != "README.md");
    let mut problems = Vec::new();
    for (index, file) in records.enumerate() {
        let wanted = format!("{:04}-", index + 1);
        let title = file
            .name()
            .strip_prefix(&wanted)
            .and_then(|rest| rest.strip_suffix(".md"));
        if title.is_none_or(str::is_empty) {
            let text = format!("expected `{wanted}title.md`: numbers run from 0001 without gaps");
            problems.push(Problem::new(&file.path, text));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::on_files;

    fn on(names: &[&str]) -> usize {
        let paths: Vec<String> = names.iter().map(|n| format!("{FOLDER}{n}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|p| (p.as_str(), "")).collect();
        on_files(check, &[], &files).len()
    }

    #[test]
    fn a_full_row_is_fine() {
        assert_eq!(
            on(&["README.md", "0001-floors.md", "0002-two-stores.md"]),
            0
        );
    }

    #[test]
    fn gaps_doubles_and_bad_names_are_refused() {
        assert_eq!(on(&["0002-gap.md"]), 1);
        assert_eq!(on(&["0001-a.md", "0001-b.md"]), 1);
        assert_eq!(on(&["0001-.md"]), 1);
        assert_eq!(on(&["notes.txt"]), 1);
    }
}
