//! What a run of the demo leaves.

use serde::Serialize;

/// Something that had to happen.
#[derive(Debug, Clone, Serialize)]
pub struct Expectation {
    /// Part of the demo: a use-case, a question, or what comes after.
    pub part: String,
    /// What.
    pub name: String,
    /// How it had to end.
    pub expected: String,
    /// How it ended.
    pub got: String,
    /// Whether that is the same.
    pub ok: bool,
}

/// How the calls of the use-cases were decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls that ran.
    pub allowed: u32,
    /// Calls that had to wait for a person.
    pub asked: u32,
    /// Calls, and requests for tokens or sub-agents, that were refused.
    pub denied: u32,
}

/// What happened.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// How many use-cases ran.
    pub use_cases: u32,
    /// How their calls were decided.
    pub counts: Counts,
    /// Everything that had to happen, in order.
    pub expectations: Vec<Expectation>,
    /// Whether the copied ledger was verified with nothing but its key.
    pub ledger_verified: bool,
    /// What the containment certificate counts as not stopped; absent when nothing was contained.
    pub residual: Option<u64>,
    /// The last line.
    pub closing: String,
}

impl Report {
    /// Whether everything happened as it had to.
    pub fn ok(&self) -> bool {
        self.use_cases == 5
            && self.ledger_verified
            && self.residual == Some(0)
            && self.expectations.iter().all(|e| e.ok)
    }

    /// The last line.
    pub(super) fn line(&self) -> String {
        let Counts {
            allowed,
            asked,
            denied,
        } = self.counts;
        let ledger = if self.ledger_verified {
            "ledger verified"
        } else {
            "ledger NOT verified"
        };
        let residual = self
            .residual
            .map_or_else(|| "not proved".to_owned(), |n| n.to_string());
        let cases = self.use_cases;
        format!(
            "demo: {cases} use-cases, {allowed} allowed, {asked} asked, {denied} denied, {ledger}, residual access {residual}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let counts = Counts {
            allowed: 30,
            asked: 6,
            denied: 12,
        };
        Report {
            use_cases: 5,
            counts,
            ledger_verified: true,
            residual: Some(0),
            ..Report::default()
        }
    }

    #[test]
    fn the_closing_line_is_as_promised() {
        let line =
            "demo: 5 use-cases, 30 allowed, 6 asked, 12 denied, ledger verified, residual access 0";
        assert_eq!(report().line(), line);
        assert!(report().ok());
    }

    #[test]
    fn one_thing_that_did_not_hold_fails_all_of_it() {
        let wrong = Expectation {
            part: "p".into(),
            name: "n".into(),
            expected: "a".into(),
            got: "b".into(),
            ok: false,
        };
        for report in [
            Report {
                expectations: vec![wrong],
                ..report()
            },
            Report {
                ledger_verified: false,
                ..report()
            },
            Report {
                residual: Some(1),
                ..report()
            },
            Report {
                residual: None,
                ..report()
            },
            Report {
                use_cases: 4,
                ..report()
            },
        ] {
            assert!(!report.ok(), "{}", report.line());
        }
    }
}
