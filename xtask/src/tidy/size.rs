//! A file fits in a head: at most 600 lines, better 100 to 250. And `foo.rs` beside `foo/`, never `mod.rs`.

use super::{House, Problem};

const LINES_MAX: usize = 600;
const LINES_WARN: usize = 400;

pub(super) fn check(house: &House<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in house.files.iter().filter(|f| f.extension() == "rs") {
        if file.name() == "mod.rs" {
            let text = "a module is `name.rs`, so that an editor's tab says which";
            problems.push(Problem::new(&file.path, text));
        }
        if file.is_generated() {
            continue;
        }
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            let text = format!("{lines} lines; at most {LINES_MAX}");
            problems.push(Problem::new(&file.path, text));
        } else if lines > LINES_WARN {
            let text = format!("{lines} lines; {LINES_MAX} is the end");
            problems.push(Problem::warning(&file.path, text));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::on_files;

    #[test]
    fn long_files_warn_then_fail() {
        let lines = |n: usize| "x\n".repeat(n);
        let (ok, warn, fail) = (lines(400), lines(401), lines(601));
        let made = format!("// @generated\n{fail}");
        let files = [
            ("a.rs", &*ok),
            ("b.rs", &*warn),
            ("c.rs", &*fail),
            ("d.rs", &*made),
            ("e.md", &*fail),
        ];
        let found = on_files(check, &[], &files);
        assert_eq!(
            found,
            [
                "warning: b.rs: 401 lines; 600 is the end",
                "c.rs: 601 lines; at most 600",
            ]
        );
    }

    #[test]
    fn mod_rs_is_refused() {
        assert_eq!(on_files(check, &[], &[("src/a/mod.rs", "")]).len(), 1);
    }
}
