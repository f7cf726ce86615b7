//! Cedar, SQL, HTTP serving and HTTP calls each stay in their crates.
//!
//! The manifest decides what a crate can name, so manifests are read first; sources are read too, because a crate
//! below could hand the same thing on.

use super::{House, Problem};
use crate::metadata::Package;
use crate::rust;

struct Room {
    /// Crates, as in a manifest.
    what: &'static [&'static str],
    /// Where they may be used.
    crates: &'static [&'static str],
    why: &'static str,
}

const ROOMS: &[Room] = &[
    Room {
        what: &[
            "cedar-policy",
            "cedar-policy-core",
            "cedar-policy-mcp-schema-generator",
            "cedar-policy-formatter",
        ],
        crates: &["remit-policy", "remit-prove"],
        why: "only remit-policy decides with Cedar, and only remit-prove proves with it",
    },
    Room {
        what: &["cedar-policy-symcc"],
        crates: &["remit-prove"],
        why: "the solver stays behind the port Prover",
    },
    Room {
        what: &["rusqlite", "sqlx"],
        crates: &["remit-store-sqlite", "remit-store-postgres"],
        why: "SQL stays in the stores",
    },
    Room {
        what: &["axum", "utoipa-axum"],
        crates: &["remit-http", "remit-console", "remit-demo", "remit"],
        why: "HTTP is served by the surfaces only",
    },
    Room {
        what: &["reqwest", "hyper", "hyper-util", "hyper-rustls"],
        crates: &[
            "remit-outbound",
            "remit-http",
            "remit-cli",
            "remit-demo",
            "remit",
        ],
        why: "calls to the outside go through remit-outbound",
    },
];

pub(super) fn check(house: &House<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in house.packages.iter().filter(|p| p.in_house()) {
        for room in ROOMS {
            if !room.crates.contains(&package.name.as_str()) {
                problems.extend(manifest(package, room));
                problems.extend(sources(house, package, room));
            }
        }
    }
    problems
}

fn manifest(package: &Package, room: &Room) -> Vec<Problem> {
    package
        .dependencies
        .iter()
        .filter(|d| room.what.contains(&d.name.as_str()))
        .map(|d| {
            let place = format!("{}/Cargo.toml", package.folder);
            Problem::new(
                place,
                format!("`{}` is not for {}: {}", d.name, package.name, room.why),
            )
        })
        .collect()
}

fn sources(house: &House<'_>, package: &Package, room: &Room) -> Vec<Problem> {
    let idents: Vec<String> = room
        .what
        .iter()
        .map(|name| name.replace('-', "_"))
        .collect();
    let mut problems = Vec::new();
    for file in house.sources(package) {
        // A file that is not Rust tokens is reported by the compiler.
        for named in rust::paths(&file.text).unwrap_or_default() {
            // One segment alone may be any local name; a path or an import is the crate.
            let hit = named.segments.len() > 1 && named.segments.iter().any(|s| idents.contains(s));
            if hit {
                let text = format!("`{}`: {}", named.segments.join("::"), room.why);
                problems.push(Problem::at(file, named.line, text));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::{on_files, package};

    #[test]
    fn the_right_room_may() {
        let packages = [package("remit-policy", 2, &["cedar-policy"])];
        let file = (
            "crates/remit-policy/src/lib.rs",
            "use cedar_policy::Decision;",
        );
        assert!(on_files(check, &packages, &[file]).is_empty());
    }

    #[test]
    fn another_room_may_not_by_manifest_or_by_name() {
        let packages = [package("remit-control", 4, &["sqlx"])];
        let file = (
            "crates/remit-control/src/a.rs",
            "fn f() { remit_x::rusqlite::open() }",
        );
        let found = on_files(check, &packages, &[file]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crates/remit-control/Cargo.toml: `sqlx`"));
        assert!(found[1].starts_with("crates/remit-control/src/a.rs:1: `remit_x::rusqlite::open`"));
    }

    #[test]
    fn what_stands_beside_the_house_is_free() {
        let mut bench = package("remit-bench", 0, &["hyper"]);
        bench.folder = "benches".into();
        assert!(on_files(check, &[bench], &[]).is_empty());
    }
}
