//! An edge between crates of the workspace goes to a strictly lower floor.
//!
//! So nothing below can call up, services and adapters never meet, and a cycle is impossible. Tests may also use
//! `remit-testkit`, which stands beside the house. What has no floor (tools, end-to-end tests, benches) may use
//! everything and is used by nothing.

use super::{House, Problem};
use crate::metadata::{Dependency, Kind, Package};

const TESTKIT: &str = "remit-testkit";

pub(super) fn check(house: &House<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for from in house.packages {
        match (from.floor, from.in_house()) {
            (Some(floor), true) => {
                for dependency in &from.dependencies {
                    if let Some(to) = house.packages.iter().find(|p| p.name == dependency.name) {
                        problems.extend(edge(from, floor, to, dependency));
                    }
                }
            }
            (None, true) => problems.push(Problem::new(
                &from.name,
                "has no floor; add `[package.metadata]` with `floor = N` to its manifest",
            )),
            (Some(_), false) => problems.push(Problem::new(
                &from.name,
                "has a floor, but stands beside the house; only crates under crates/ have floors",
            )),
            (None, false) => {}
        }
    }
    problems
}

fn edge(from: &Package, floor: u8, to: &Package, dependency: &Dependency) -> Option<Problem> {
    if dependency.kind == Kind::Dev && to.name == TESTKIT {
        return None;
    }
    let place = format!("{} -> {}", from.name, to.name);
    if to.name == TESTKIT {
        return Some(Problem::new(place, "the test kit is for tests only"));
    }
    let Some(below) = to.floor else {
        return Some(Problem::new(
            place,
            "nothing in the house depends on what stands beside it",
        ));
    };
    (below >= floor).then(|| {
        Problem::new(
            place,
            format!(
                "goes from floor {floor} to floor {below}; an edge goes to a strictly lower floor"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::{need, on_files, package};

    #[test]
    fn down_is_allowed_and_outside_crates_are_not_looked_at() {
        let packages = [
            package("remit-domain", 1, &["serde"]),
            package("remit-ports", 3, &["remit-domain", "tokio"]),
        ];
        assert!(on_files(check, &packages, &[]).is_empty());
    }

    #[test]
    fn up_and_sideways_are_named() {
        let packages = [
            package("remit-domain", 1, &["remit-ports"]),
            package("remit-ports", 3, &[]),
            package("remit-issuer", 4, &["remit-gateway"]),
            package("remit-gateway", 4, &[]),
        ];
        let found = on_files(check, &packages, &[]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("remit-domain -> remit-ports: goes from floor 1 to floor 3"));
        assert!(
            found[1].starts_with("remit-issuer -> remit-gateway: goes from floor 4 to floor 4")
        );
    }

    #[test]
    fn the_test_kit_is_for_tests() {
        let mut domain = package("remit-domain", 1, &[]);
        domain.dependencies.push(need(TESTKIT, Kind::Dev));
        let kit = package(TESTKIT, 4, &["remit-domain"]);
        assert!(on_files(check, &[domain, kit.clone()], &[]).is_empty());

        let surface = package("remit-http", 5, &[TESTKIT]);
        assert_eq!(on_files(check, &[surface, kit], &[]).len(), 1);
    }

    #[test]
    fn a_test_edge_goes_down_too() {
        let mut domain = package("remit-domain", 1, &[]);
        domain.dependencies.push(need("remit-ports", Kind::Dev));
        assert_eq!(
            on_files(check, &[domain, package("remit-ports", 3, &[])], &[]).len(),
            1
        );
    }

    #[test]
    fn a_crate_without_a_floor_is_an_error() {
        let mut domain = package("remit-domain", 1, &[]);
        domain.floor = None;
        assert_eq!(on_files(check, &[domain], &[]).len(), 1);
    }
}
