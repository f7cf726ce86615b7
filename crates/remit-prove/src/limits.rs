//! Every bound on proving, with its reason.

use std::time::Duration;

/// Longest time for one question, over all its actions: whoever proposes a policy waits for it.
pub const QUESTION_TIME_MAX: Duration = Duration::from_secs(120);
/// Longest time the solver takes for one action, in milliseconds: what it cannot say by then is undecided.
pub const SOLVE_MILLIS_MAX: u64 = 20_000;
/// Questions at once: each is a process of its own, and calls go first.
pub const QUESTIONS_MAX: usize = 2;
/// Most policies in one question.
pub const POLICIES_MAX: usize = 5_000;
/// Most facts of a counterexample that are told.
pub const FACTS_MAX: usize = 60;
