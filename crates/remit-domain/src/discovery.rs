//! Discovery: a run that only looks around. It sees metadata, for a while, so much of it and no more.
//!
//! Declared on a workflow, for all its runs, or by a run of itself. What is declared anywhere above a run holds in it: a
//! sub-agent of a run that looks around looks around too.

use serde::{Deserialize, Serialize};

/// Longest time a run may look around, in seconds.
pub const DISCOVERY_SECS_MAX: u32 = 3_600;
/// Most calls of one such run.
pub const DISCOVERY_CALLS_MAX: u32 = 10_000;
/// Most tokens of results of one such run.
pub const DISCOVERY_TOKENS_MAX: u32 = 10_000_000;
/// Most tokens that one call of such a run may bring, where the run may bring more.
pub const DISCOVERY_TOKENS_EACH: u32 = 10_000;

/// How long, how often and how much a run may look around. Calls other than of tools that give metadata are denied in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    /// For so long from the start of the run, in seconds; 1 to 3,600.
    #[serde(default = "secs")]
    pub secs: u32,
    /// So many calls, sub-agents included; 1 to 10,000.
    #[serde(default = "calls")]
    pub calls: u32,
    /// So many tokens of results in all, counted as limits count them; 1 to 10,000,000.
    #[serde(default = "tokens")]
    pub tokens: u32,
}

const fn secs() -> u32 {
    600
}

const fn calls() -> u32 {
    100
}

const fn tokens() -> u32 {
    100_000
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            secs: secs(),
            calls: calls(),
            tokens: tokens(),
        }
    }
}

impl Discovery {
    /// Why it cannot be, in one line.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self) -> Result<(), String> {
        let within = |what: &str, n: u32, max: u32| {
            if (1..=max).contains(&n) {
                Ok(())
            } else {
                Err(format!("`{what}`: must be 1 to {max}"))
            }
        };
        within("secs", self.secs, DISCOVERY_SECS_MAX)?;
        within("calls", self.calls, DISCOVERY_CALLS_MAX)?;
        within("tokens", self.tokens, DISCOVERY_TOKENS_MAX)
    }

    /// Most tokens that one call may bring.
    pub fn tokens_each(&self) -> u32 {
        self.tokens.min(DISCOVERY_TOKENS_EACH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_around_is_boxed_in_on_every_side() {
        Discovery::default().check().unwrap();
        for json in [
            r#"{ "secs": 0 }"#,
            r#"{ "secs": 3601 }"#,
            r#"{ "calls": 0 }"#,
            r#"{ "tokens": 10000001 }"#,
        ] {
            let bad: Discovery = serde_json::from_str(json).unwrap();
            assert!(bad.check().is_err(), "{json}");
        }
        assert!(serde_json::from_str::<Discovery>(r#"{ "writes": 1 }"#).is_err());
    }
}
