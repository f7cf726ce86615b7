//! Every bound of the gateway, with its reason.

use std::time::Duration;

/// How often a call is decided again because something moved meanwhile, before it is denied.
pub(crate) const WALKS_MAX: u32 = 3;
/// How long an upstream may take. Longer work belongs in a task.
pub(crate) const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a cancelled upstream may take to say so.
pub(crate) const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// Refusals recorded one by one, per organization and second; above it they are counted (invariant 12).
pub(crate) const REFUSALS_PER_SECOND: u32 = 50;
/// Resolved (run, tool) pairs kept.
pub(crate) const RESOLVED_MAX: u64 = 100_000;
/// Label scopes kept.
pub(crate) const LABELS_MAX: u64 = 100_000;
/// Most reasons told in one line.
pub(crate) const REASONS_TOLD: usize = 3;
/// How long an agent's own labels are kept, in seconds, before the store is asked again.
pub(crate) const AGENT_LABELS_KEPT: u64 = 1;
/// Approvals that may wait in one run: more is a loop, and a person's queue is not for loops.
pub(crate) const APPROVALS_WAITING_MAX: usize = 16;
/// Approvals of one agent that may wait, over all of its runs: opening runs buys no more of people's time.
pub(crate) const APPROVALS_OF_AGENT_MAX: usize = 64;
/// Calls and lists of one agent a second, and at once; above it they are refused and counted. More than any agent makes that
/// waits for its answers, and less than one server can do, so that one agent leaves room for the others.
pub(crate) const CALLS_PER_SECOND: u32 = 1_000;
/// Decisions that refuse, recorded whole, per run and second; above it they are counted (invariant 12).
pub(crate) const DENIALS_PER_SECOND: u32 = 20;
/// Determining policies named in a leaf; the sealed decision names all.
pub(crate) const POLICIES_IN_LEAF: usize = 8;
/// Questions of one enforcement point in a second, each of a batch counted: far more than a gateway has, and few enough that one
/// that loops leaves room for the others.
pub(crate) const EVALUATIONS_PER_SECOND: std::num::NonZeroU32 =
    std::num::NonZeroU32::new(100_000).expect("above zero");
/// Agents, tools or objects that one search goes through.
pub(crate) const CANDIDATES_MAX: usize = 1_000;
/// Runs of enforcement points that are remembered.
pub(crate) const PLANNED_RUNS_MAX: u64 = 100_000;
/// How long the run of an enforcement point is remembered that has not started, in seconds: another node may start it.
pub(crate) const PLANNED_SECS: u64 = 30;
/// How long the start of a run of an enforcement point is remembered against a second one, in seconds.
pub(crate) const RUN_START_SECS: i64 = 60;
/// Decisions of enforcement points that wait for their outcomes on one node; each holds what its call holds.
pub(crate) const PENDING_MAX: usize = 50_000;
/// Questions of an upstream that wait in one call, beside the one in work. With their greatest size, below what a call may
/// hold.
pub(crate) const QUESTIONS_WAITING_MAX: usize = 2;
/// Questions of an upstream in one call.
pub(crate) const QUESTIONS_MAX: usize = 64;
/// How often an upstream may answer one call with questions.
pub(crate) const ROUNDS_MAX: usize = 8;
/// How long the agent's side may take to answer: a person may have to read.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest hold of a call that waits for a person, whatever is configured: clients give up soon after.
pub const HOLD_MAX: Duration = Duration::from_secs(3);
/// Agents whose last calls the breaker remembers.
pub(crate) const BREAKER_AGENTS_MAX: u64 = 20_000;
/// How long an agent is refused after the breaker tripped: its quarantine is committed long before.
pub(crate) const BREAKER_HOLD: Duration = Duration::from_secs(10);
/// Agents that may wait for their quarantine at once.
pub(crate) const TRIPS_WAITING_MAX: usize = 1_024;
/// Notifications of one call that are held back until what they hold is recorded; later ones are dropped.
pub(crate) const NOTICES_HELD_MAX: usize = 64;
/// Bytes of them together: beside its answer, a call holds no more.
pub(crate) const NOTICES_HELD_BYTES_MAX: usize = 64 * 1_024;
/// How long a caller may take to take what is left of its notifications once the answer is there.
pub(crate) const NOTICES_GRACE: Duration = Duration::from_secs(1);
/// Notifications that wait to be looked into.
pub(crate) const NOTICES_WAITING_MAX: usize = 4;
