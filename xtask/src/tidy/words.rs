//! Nothing unfinished, and nothing about places outside the repository.
//!
//! An unfinished thing is either finished or not there; a reader has this repository and nothing else. The words
//! are written in halves here, so that this file passes its own check.

use super::{House, Problem};
use crate::files::TextFile;

/// Marks of unfinished work, as whole words in this case.
const MARKS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("TB", "D"),
    concat!("HA", "CK"),
];

/// Phrases of unfinished work, in any case.
const PHRASES: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("lorem", " ipsum"),
    concat!("coming", " soon"),
    concat!("not yet", " implemented"),
    concat!("not implemented", " yet"),
];

/// Tests and examples that do not run, in Rust.
const UNRUN: &[&str] = &[
    concat!("#[ign", "ore"),
    concat!("```ign", "ore"),
    concat!("```rust,ign", "ore"),
];

/// Folders on the machine of whoever wrote a line. As the beginning of a path only.
const OUTSIDE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
    concat!("/tmp/br", "ief"),
    concat!("/ro", "ot/"),
];

/// Written by others, or data.
const FOREIGN: &[&str] = &[
    "fixtures/",
    "Cargo.lock",
    "LICENSE",
    "tests/clients/package-lock.json",
];

pub(super) fn check(house: &House<'_>) -> Vec<Problem> {
    let ours = |f: &&TextFile| {
        !FOREIGN.iter().any(|foreign| f.path.starts_with(foreign)) && !f.path.contains("/vendor/")
    };
    house.files.iter().filter(ours).flat_map(on_file).collect()
}

fn on_file(file: &TextFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut say = |text: String| problems.push(Problem::at(file, index + 1, text));
        if let Some(word) = MARKS.iter().find(|word| has_word(line, word)) {
            say(format!("`{word}`: finish it, or leave it out"));
        }
        let lower = line.to_ascii_lowercase();
        if let Some(phrase) = PHRASES.iter().find(|phrase| lower.contains(**phrase)) {
            say(format!("`{phrase}`: finish it, or leave it out"));
        }
        if file.extension() == "rs" && UNRUN.iter().any(|mark| line.contains(mark)) {
            say("a test or example that never runs; make it run, or use ```text".into());
        }
        if let Some(place) = OUTSIDE.iter().find(|place| begins_a_path(line, place)) {
            say(format!("`{place}` is outside the repository"));
        }
    }
    problems
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .any(|part| part == word)
}

/// `/x/` in `see /x/y`, and not in `https://host/x/y`.
fn begins_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.' | '}' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::on_files;

    fn on(path: &str, text: &str) -> usize {
        on_files(check, &[], &[(path, text)]).len()
    }

    #[test]
    fn unfinished_work_is_found_in_any_file() {
        for mark in MARKS {
            assert_eq!(on("docs/a.md", &format!("one\n{mark}: later")), 1, "{mark}");
        }
        for phrase in PHRASES {
            assert_eq!(on("a.rs", &format!("x {phrase}")), 1, "{phrase}");
        }
        for mark in UNRUN {
            assert_eq!(on("a.rs", &format!("    {mark}")), 1, "{mark}");
        }
    }

    #[test]
    fn words_inside_words_are_not_marks() {
        assert_eq!(
            on(
                "a.sh",
                concat!("mktemp -d /tmp/a.XX", "XXXX; echo HA", "CKATHON")
            ),
            0
        );
    }

    #[test]
    fn places_outside_are_found_and_addresses_are_not() {
        assert_eq!(on("a.md", concat!("see `/wo", "rk/x`")), 1);
        assert_eq!(on("a.toml", concat!("path = \"../sha", "red/x\"")), 1);
        assert_eq!(
            on(
                "a.md",
                concat!("https://example.com/wo", "rk/x and {dir}/wo", "rk/")
            ),
            0
        );
    }

    #[test]
    fn the_line_is_named_and_foreign_files_are_left_alone() {
        let text = concat!("a\nb TO", "DO\n");
        let found = on_files(check, &[], &[("x/a.md", text), ("fixtures/v.md", text)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("x/a.md:2: "));
    }
}
