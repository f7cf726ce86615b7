//! Floors 0 to 2 decide from their arguments alone: no clock, entropy, environment, files, network or async.
//!
//! That is what lets a decision be replayed years later, and an offline verifier be small.

use super::{House, Problem};
use crate::rust;

/// The highest floor that is pure.
const PURE: u8 = 2;

/// A path that begins so, written out or imported.
const ROOTS: &[&[&str]] = &[
    &["tokio"],
    &["futures"],
    &["futures_util"],
    &["async_trait"],
    &["rand"],
    &["getrandom"],
    &["fastrand"],
    &["aws_lc_rs", "rand"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "os"],
];

/// A path that has this somewhere in it, whatever it was imported as a part of.
const ANYWHERE: &[&[&str]] = &[
    &["SystemTime", "now"],
    &["Instant", "now"],
    &["Timestamp", "now"],
    &["Zoned", "now"],
    &["Uuid", "new_v4"],
    &["Uuid", "now_v7"],
    &["SystemRandom"],
    &["OsRng"],
    &["async"],
    &["await"],
];

pub(super) fn check(house: &House<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let pure = house
        .packages
        .iter()
        .filter(|p| p.in_house() && p.floor.is_some_and(|f| f <= PURE));
    for package in pure {
        for file in house.sources(package) {
            let paths = match rust::paths(&file.text) {
                Ok(paths) => paths,
                Err(error) => {
                    problems.push(Problem::new(&file.path, error.to_string()));
                    continue;
                }
            };
            for named in paths.iter().filter(|n| is_forbidden(&n.segments)) {
                let text = format!(
                    "`{}` on a pure floor; take time, entropy and facts as arguments",
                    named.segments.join("::")
                );
                problems.push(Problem::at(file, named.line, text));
            }
        }
    }
    problems
}

fn is_forbidden(segments: &[String]) -> bool {
    let same = |part: &[String], wanted: &[&str]| part.iter().eq(wanted.iter());
    // `tokio` alone may be a local name; `tokio::x` is the crate.
    let begins = |root: &&[&str]| {
        segments.len() >= root.len().max(2)
            && segments
                .get(..root.len())
                .is_some_and(|part| same(part, root))
    };
    let holds = |wanted: &&[&str]| {
        segments
            .windows(wanted.len())
            .any(|part| same(part, wanted))
    };
    ROOTS.iter().any(begins) || ANYWHERE.iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::{on_files, package};

    fn on(source: &str) -> Vec<String> {
        let packages = [package("remit-policy", 2, &[])];
        on_files(
            check,
            &packages,
            &[("crates/remit-policy/src/a.rs", source)],
        )
    }

    #[test]
    fn every_forbidden_call_is_found() {
        for source in [
            "use tokio::sync::Mutex;",
            "use std::{collections::BTreeMap, env};",
            "use std::fs::File;",
            "fn f() { std::env::var(\"X\"); }",
            "fn f() { SystemTime::now(); }",
            "fn f() { std::time::Instant::now(); }",
            "fn f() { jiff::Timestamp::now(); }",
            "fn f() { uuid::Uuid::new_v4(); }",
            "fn f() { Uuid::now_v7(); }",
            "fn f() { rand::random(); }",
            "use aws_lc_rs::rand::SystemRandom;",
            "async fn f() {}",
            "fn f() { vec![g::<u8>(std::fs::read(p))] }",
        ] {
            assert!(!on(source).is_empty(), "{source}");
        }
    }

    #[test]
    fn the_edge_of_the_rule_is_allowed() {
        for source in [
            "use std::time::Duration; use jiff::Timestamp; use uuid::Uuid;",
            "fn f(now: Timestamp, rand: u8) -> Uuid { g(now, rand, env!(\"CARGO_PKG_VERSION\")) }",
            "// SystemTime::now() is forbidden\nconst S: &str = \"std::env::var\";",
            "#[cfg(test)] mod tests { fn t() { std::fs::read(p); } }",
        ] {
            assert_eq!(on(source), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn a_file_is_not_a_test_by_its_name() {
        let packages = [package("remit-policy", 2, &[])];
        let files = [
            ("crates/remit-policy/src/lib.rs", "mod tests;"),
            ("crates/remit-policy/src/tests.rs", "use std::fs::File;"),
        ];
        assert_eq!(on_files(check, &packages, &files).len(), 1);
    }

    #[test]
    fn test_files_and_higher_floors_are_free() {
        let packages = [
            package("remit-policy", 2, &[]),
            package("remit-ports", 3, &[]),
        ];
        let source = "use std::fs::File;";
        let files = [
            (
                "crates/remit-policy/src/lib.rs",
                "mod a; #[cfg(test)] mod support;",
            ),
            ("crates/remit-policy/src/a.rs", "#[cfg(test)] mod tests;"),
            ("crates/remit-policy/src/a/tests.rs", source),
            ("crates/remit-policy/src/support.rs", source),
            ("crates/remit-policy/src/support/clock.rs", source),
            ("crates/remit-policy/tests/it/main.rs", source),
            ("crates/remit-ports/src/lib.rs", source),
        ];
        assert!(on_files(check, &packages, &files).is_empty());
    }
}
