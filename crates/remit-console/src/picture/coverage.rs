//! Policy coverage: one block a policy, by whether anything ever made it decide.

use std::collections::BTreeMap;

use askama::Template;
use remit_control::Covered;

use super::DRAWN_MAX;
use crate::text::Shown;

const BLOCK: usize = 26;
const ROW: usize = 20;
const HEIGHT: usize = 24;

struct Block {
    x: usize,
    y: usize,
    class: &'static str,
    sign: &'static str,
    href: String,
    title: Shown,
}

/// The picture.
#[derive(Template)]
#[template(path = "pictures/coverage.html")]
pub(crate) struct Coverage {
    width: usize,
    height: usize,
    title: String,
    blocks: Vec<Block>,
    grouped: bool,
}

/// What stands for one policy, from worst to best.
fn sign(c: &Covered) -> (&'static str, &'static str, &'static str) {
    match (c.standing, c.cases, c.decisions.unwrap_or(0)) {
        (Some("dead"), _, _) => ("bad", "✕", "dead: no call can meet it"),
        (Some("shadowed"), _, _) => (
            "warn",
            "≡",
            "shadowed: without it the same would be decided",
        ),
        (_, 0, 0) => ("never", "∅", "never decided anything"),
        (_, 0, _) => ("warn", "○", "decided calls, but no test case"),
        _ => ("good", "✓", "decided a test case"),
    }
}

impl Coverage {
    /// - `href`: where a policy stands.
    pub(crate) fn new(all: &[Covered], href: impl Fn(&Covered) -> String) -> Self {
        let grouped = all.len() > DRAWN_MAX;
        let shown: Vec<(String, &Covered)> = if grouped {
            sets(all)
        } else {
            all.iter()
                .map(|c| (format!("{}: {}", c.policy, sign(c).2), c))
                .collect()
        };
        let blocks: Vec<Block> = shown
            .iter()
            .enumerate()
            .map(|(at, (title, c))| {
                let (class, sign, _) = sign(c);
                Block {
                    x: at % ROW * (BLOCK + 2),
                    y: at / ROW * (HEIGHT + 2),
                    class,
                    sign,
                    href: href(c),
                    title: Shown::line(title),
                }
            })
            .collect();
        let hit = all.iter().filter(|c| c.cases > 0).count();
        Self {
            width: ROW * (BLOCK + 2),
            height: blocks.len().div_ceil(ROW) * (HEIGHT + 2),
            title: format!("{hit} of {} policies decided a test case", all.len()),
            blocks,
            grouped,
        }
    }
}

/// One block a set, which is as good as its worst policy.
fn sets(all: &[Covered]) -> Vec<(String, &Covered)> {
    let mut sets = BTreeMap::<&str, Vec<&Covered>>::new();
    for c in all {
        let set = c.policy.split('/').next().unwrap_or_default();
        sets.entry(set).or_default().push(c);
    }
    let told = sets.into_iter().take(DRAWN_MAX).filter_map(|(set, of)| {
        let hit = of.iter().filter(|c| c.cases > 0).count();
        let worst = of.iter().copied().min_by_key(|c| (c.cases, c.decisions))?;
        Some((
            format!("{set}: {hit} of {} decided a test case", of.len()),
            worst,
        ))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(policy: &str, cases: usize) -> Covered {
        Covered {
            policy: policy.to_owned(),
            line: 1,
            cases,
            decisions: None,
            standing: None,
        }
    }

    #[test]
    fn many_policies_become_one_block_a_set() {
        let all: Vec<_> = (0..200)
            .map(|n| covered(&format!("set{}/p{n}", n % 3), n))
            .collect();
        let picture = Coverage::new(&all, |c| c.policy.clone());
        assert_eq!(picture.blocks.len(), 3);
        assert!(picture.grouped);
        assert_eq!(picture.title, "199 of 200 policies decided a test case");
        let few = Coverage::new(&all[..2], |c| c.policy.clone());
        let signs: Vec<_> = few.blocks.iter().map(|b| b.sign).collect();
        assert_eq!(signs, ["∅", "✓"]);
    }
}
