//! Both databases have the same migrations: `migrations/{sqlite,postgres}/NNNN_same_name.sql`, from 0001 without gaps.
//!
//! Two files of one number that say different things are for a reader to compare; one without the other is a store
//! that does not start.

use std::collections::BTreeSet;

use super::{House, Problem};

const SQLITE: &str = "migrations/sqlite/";
const POSTGRES: &str = "migrations/postgres/";

pub(super) fn check(house: &House<'_>) -> Vec<Problem> {
    let sqlite = names(house, SQLITE);
    let postgres = names(house, POSTGRES);
    let mut problems = Vec::new();
    for (have, lack, folder) in [(&sqlite, &postgres, POSTGRES), (&postgres, &sqlite, SQLITE)] {
        for name in have.difference(lack) {
            problems.push(Problem::new(
                format!("{folder}{name}"),
                "is missing; the other database has it",
            ));
        }
    }
    let all: BTreeSet<&str> = sqlite.union(&postgres).copied().collect();
    for (index, name) in all.iter().enumerate() {
        let wanted = format!("{:04}_", index + 1);
        let body = name
            .strip_prefix(&wanted)
            .and_then(|rest| rest.strip_suffix(".sql"));
        let is_named = |b: &str| {
            !b.is_empty()
                && b.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if !body.is_some_and(is_named) {
            let text = format!(
                "expected `{wanted}lower_case_name.sql`: numbers run from 0001 without gaps"
            );
            problems.push(Problem::new(format!("migrations/*/{name}"), text));
        }
    }
    problems
}

fn names<'a>(house: &'a House<'_>, folder: &str) -> BTreeSet<&'a str> {
    house
        .files
        .iter()
        .filter_map(|f| f.path.strip_prefix(folder))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::on_files;

    #[test]
    fn pairs_are_fine() {
        let files = [
            ("migrations/sqlite/0001_start.sql", ""),
            ("migrations/postgres/0001_start.sql", ""),
            ("migrations/sqlite/0002_runs.sql", ""),
            ("migrations/postgres/0002_runs.sql", ""),
        ];
        assert!(on_files(check, &[], &files).is_empty());
    }

    #[test]
    fn one_side_alone_is_named() {
        let files = [("migrations/sqlite/0001_start.sql", "")];
        let found = on_files(check, &[], &files);
        assert_eq!(
            found,
            ["migrations/postgres/0001_start.sql: is missing; the other database has it"]
        );
    }

    #[test]
    fn gaps_doubles_and_bad_names_are_refused() {
        for name in [
            "0002_gap.sql",
            "0001-dash.sql",
            "0001_Upper.sql",
            "0001_.sql",
            "1_short.sql",
        ] {
            let (a, b) = (format!("{SQLITE}{name}"), format!("{POSTGRES}{name}"));
            assert_eq!(
                on_files(check, &[], &[(&a, ""), (&b, "")]).len(),
                1,
                "{name}"
            );
        }
        let double = [
            ("migrations/sqlite/0001_a.sql", ""),
            ("migrations/postgres/0001_a.sql", ""),
            ("migrations/sqlite/0001_b.sql", ""),
            ("migrations/postgres/0001_b.sql", ""),
        ];
        assert_eq!(on_files(check, &[], &double).len(), 1);
    }
}
