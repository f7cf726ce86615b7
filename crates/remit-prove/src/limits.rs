//! Every bound on proving, with its reason.

use std::time::Duration;

/// Longest time for one question, over all its claims and actions, whatever its asker says.
pub const QUESTION_TIME_MAX: Duration = Duration::from_secs(600);
/// Longest time the solver takes for one claim of one action, in milliseconds: what it cannot say by then is undecided.
pub const SOLVE_MILLIS_MAX: u64 = 20_000;
/// Questions at once: each is a process of its own and a thread of ours, and calls go first.
pub const QUESTIONS_MAX: usize = 2;
/// Most claims in one question.
pub const CLAIMS_MAX: usize = 1_000;
/// Most policies in one question.
pub const POLICIES_MAX: usize = 5_000;
/// Most facts of a counterexample that are told.
pub const FACTS_MAX: usize = 60;
