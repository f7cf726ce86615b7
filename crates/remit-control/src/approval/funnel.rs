//! What became of approvals lately, and how long people took: whether people are the bottleneck.

use remit_domain::Timestamp;
use remit_domain::approval::{Approval, ApprovalState};
use remit_ports::store::Filter;
use schemars::JsonSchema;
use serde::Serialize;

use super::state_at;
use crate::{Caller, Control, ControlError};

/// Most approvals that are counted: the newest ones.
const COUNTED_MAX: usize = 5_000;
/// Read at once.
const PAGE: u32 = 1_000;
/// Longest time back, in seconds.
const SINCE_SECS_MAX: i64 = 90 * 86_400;

/// What became of approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ApprovalFunnel {
    /// From when.
    pub since: Timestamp,
    /// Asked.
    pub asked: u64,
    /// Approved, whether or not the call was made then.
    pub approved: u64,
    /// Approved, and the call was sent.
    pub used: u64,
    /// Denied by a person.
    pub denied: u64,
    /// Ran out of time.
    pub expired: u64,
    /// Ended with their run, or with a change of the policies.
    pub void: u64,
    /// Waiting now.
    pub waiting: u64,
    /// Half of those that people decided were decided within this, in seconds.
    pub wait_p50_secs: Option<i64>,
    /// 95 of 100, the same.
    pub wait_p95_secs: Option<i64>,
    /// Whether there were more than are counted.
    pub is_cut: bool,
}

impl Control {
    /// What became of the approvals of the last seconds, and how long people took.
    ///
    /// - `back_secs`: 1 to 90 days; others are taken as the nearest of them.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn approval_funnel(
        &self,
        caller: &Caller,
        back_secs: i64,
    ) -> Result<ApprovalFunnel, ControlError> {
        caller.person()?;
        let now = self.books.now();
        let since = now.plus_secs(-back_secs.clamp(1, SINCE_SECS_MAX));
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let filter = Filter {
                after,
                limit: PAGE,
                descending: true,
                ..Filter::default()
            };
            let (page, next) = self.books.list::<Approval>(&caller.org, &filter).await?;
            // Ids grow with time: the page in which one is too old is the last.
            let last = page.iter().any(|a| a.noun.requested < since);
            let page = page.into_iter().map(|a| a.noun);
            all.extend(page.filter(|a| a.requested >= since));
            after = next;
            if last || after.is_none() || all.len() >= COUNTED_MAX {
                break;
            }
        }
        let is_cut = all.len() >= COUNTED_MAX;
        Ok(counted(&all, since, now, is_cut))
    }
}

fn counted(all: &[Approval], since: Timestamp, now: Timestamp, is_cut: bool) -> ApprovalFunnel {
    let of = |states: &[ApprovalState]| {
        let n = all.iter().filter(|a| states.contains(&state_at(a, now)));
        u64::try_from(n.count()).unwrap_or(0)
    };
    use ApprovalState as S;
    let mut waits: Vec<i64> = all
        .iter()
        .filter(|a| !matches!(a.state, S::Pending))
        .filter_map(|a| Some(a.verdicts.last()?.at.secs_since(a.requested).max(0)))
        .collect();
    waits.sort_unstable();
    let within = |percent: usize| {
        let at = (waits.len() * percent).div_ceil(100).saturating_sub(1);
        waits.get(at).copied()
    };
    ApprovalFunnel {
        since,
        asked: u64::try_from(all.len()).unwrap_or(0),
        approved: of(&[S::Approved, S::Used, S::Ambiguous]),
        used: of(&[S::Used, S::Ambiguous]),
        denied: of(&[S::Denied]),
        expired: of(&[S::Expired]),
        void: of(&[S::Cancelled, S::Stale]),
        waiting: of(&[S::Pending]),
        wait_p50_secs: within(50),
        wait_p95_secs: within(95),
        is_cut,
    }
}
