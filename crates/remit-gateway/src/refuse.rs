//! The one door by which every refusal leaves, recorded within a limit (invariants 2 and 12).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::{Finding, FindingKind};
use remit_domain::{
    AgentId, ApprovalId, DecisionId, EnforcementPointId, FindingId, OrgId, Principal, Refusal,
    RefusalCode, RunId,
};
use remit_ports::store::Filter;

use crate::authenticate::NotLetIn;
use crate::limits::{CALLS_PER_SECOND, DENIALS_PER_SECOND, REFUSALS_PER_SECOND};
use crate::{Caller, Gateway};

/// The answer no, with what it was recorded as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The refusal.
    pub refusal: Refusal,
    /// The decision, where it came to one.
    pub decision: Option<DecisionId>,
    /// The approval that was asked for.
    pub approval: Option<ApprovalId>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            decision: None,
            approval: None,
        }
    }
}

/// Counts what is refused before it comes to a decision.
pub(crate) struct Door {
    limiter: DefaultKeyedRateLimiter<OrgId>,
    /// Recorded denials of each run.
    denials: DefaultKeyedRateLimiter<RunId>,
    /// Calls and lists of each agent.
    calls: DefaultKeyedRateLimiter<AgentId>,
    /// Refusals above the limit, by code, since they were last recorded.
    counted: Mutex<HashMap<(OrgId, RefusalCode), AtomicU64>>,
}

impl Default for Door {
    fn default() -> Self {
        let each = |n| Quota::per_second(NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::keyed(each(REFUSALS_PER_SECOND)),
            denials: RateLimiter::keyed(each(DENIALS_PER_SECOND)),
            calls: RateLimiter::keyed(each(CALLS_PER_SECOND)),
            counted: Mutex::default(),
        }
    }
}

impl Door {
    /// Whether another denial of this run may be recorded whole.
    pub(crate) fn has_room(&self, run: &RunId) -> bool {
        self.denials.check_key(run).is_ok()
    }

    /// Counts a refusal that is not recorded by itself.
    pub(crate) fn count(&self, org: &OrgId, code: RefusalCode) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counted.entry((org.clone(), code)).or_default();
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Gateway {
    /// Turns away who is not let in, and records what they asked for and who they are, as far as that is known.
    ///
    /// - `named`: the method or tool that was asked for, as it was named.
    pub async fn turn_away(&self, org: &OrgId, named: &str, not: NotLetIn) -> Refused {
        let NotLetIn {
            refusal,
            reason,
            known,
        } = not;
        let event = Event::new(
            EventKind::AuthenticationRefused,
            self.books().now(),
            Principal::Remit,
        );
        let event = match &known {
            Some((agent, run)) => event.agent(agent).run(run),
            None => event,
        };
        let event = event.fact("reason", reason);
        self.record_refusal(org, named, &refusal, event, None).await;
        refusal.into()
    }

    /// Records that an enforcement point asked what it may not.
    ///
    /// - `named`: what it asked about, as it named it.
    pub async fn refuse_point(
        &self,
        org: &OrgId,
        point: &EnforcementPointId,
        named: &str,
        refusal: Refusal,
    ) -> Refused {
        let event = Event::new(EventKind::CallRefused, self.books().now(), Principal::Remit);
        let event = event.about(point).fact("enforcement_point", point);
        self.record_refusal(org, named, &refusal, event, None).await;
        refusal.into()
    }

    /// Refuses an agent that asks too often. What is refused so is counted, not recorded one by one.
    pub(crate) fn in_time(&self, org: &OrgId, caller: &Caller) -> Result<(), Refused> {
        let door = &self.inner.refusals;
        if door.calls.check_key(&caller.agent).is_ok() {
            return Ok(());
        }
        door.count(org, RefusalCode::Limited);
        let text = format!(
            "LIMITED: more than {CALLS_PER_SECOND} calls a second of one agent; nothing was sent. Slow down and try again"
        );
        Err(Refusal::new(RefusalCode::Limited, text).into())
    }

    /// Records a refusal that did not come to a decision. It is refused all the same when it cannot be recorded.
    pub(crate) async fn refuse(
        &self,
        org: &OrgId,
        caller: Option<&Caller>,
        named: &str,
        refusal: Refusal,
    ) -> Refused {
        let now = self.books().now();
        let event = match caller {
            Some(caller) => Event::new(
                EventKind::CallRefused,
                now,
                Principal::Agent(caller.agent.clone()),
            )
            .agent(&caller.agent)
            .run(&caller.run)
            .fact("credential", &caller.credential),
            None => Event::new(EventKind::AuthenticationRefused, now, Principal::Remit),
        };
        self.record_refusal(org, named, &refusal, event, caller)
            .await;
        refusal.into()
    }

    async fn record_refusal(
        &self,
        org: &OrgId,
        named: &str,
        refusal: &Refusal,
        event: Event,
        caller: Option<&Caller>,
    ) {
        if self.inner.refusals.limiter.check_key(org).is_err() {
            self.inner.refusals.count(org, refusal.code);
            return;
        }
        let event = event
            .fact("code", refusal.code)
            .content("named", named.chars().take(200).collect::<String>())
            .content("text", &refusal.text);
        let change = Change::new().event(event);
        let change = match caller {
            Some(caller) if refusal.code == RefusalCode::RunEnded => {
                self.with_finding(org, caller, change).await
            }
            _ => change,
        };
        if let Err(error) = self.books().commit(org, change).await {
            tracing::error!(%error, code = %refusal.code, "a refusal could not be recorded");
        }
    }

    /// A call after its run ended is something to look at, once for each run.
    async fn with_finding(&self, org: &OrgId, caller: &Caller, change: Change) -> Change {
        let filter = Filter {
            parent: Some(caller.run.to_string()),
            state: Some("open".to_owned()),
            ..Filter::default()
        };
        match self.books().list::<Finding>(org, &filter).await {
            Ok((found, _)) if found.is_empty() => {
                let finding = Finding {
                    id: self.books().id(FindingId::from_uuid),
                    kind: FindingKind::CallAfterRunEnd,
                    subject: caller.run.to_string(),
                    text: "the agent went on calling after its run had ended".to_owned(),
                    opened: self.books().now(),
                    seen: 1,
                    owner: None,
                    by: Default::default(),
                    closed: None,
                };
                let event = Event::new(EventKind::FindingOpened, finding.opened, Principal::Remit)
                    .about(&finding.id)
                    .agent(&caller.agent)
                    .run(&caller.run)
                    .fact("finding", finding.kind);
                change.create(&finding).event(event)
            }
            _ => change,
        }
    }

    /// Records what was counted above the limit. Called now and then.
    ///
    /// # Errors
    /// When it cannot be committed; the counts are kept then.
    pub async fn record_counted_refusals(&self) -> Result<(), remit_books::BooksError> {
        // Keys that have been quiet are forgotten.
        self.inner.refusals.limiter.retain_recent();
        self.inner.refusals.denials.retain_recent();
        self.inner.refusals.calls.retain_recent();
        self.forget_quiet_points();
        let counted: Vec<((OrgId, RefusalCode), u64)> = {
            let mut counted = self
                .inner
                .refusals
                .counted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            counted
                .drain()
                .map(|(key, n)| (key, n.into_inner()))
                .collect()
        };
        for ((org, code), count) in counted {
            let event = Event::new(
                EventKind::RefusalsCounted,
                self.books().now(),
                Principal::Remit,
            )
            .fact("code", code)
            .fact("count", count);
            if let Err(error) = self.books().commit(&org, Change::new().event(event)).await {
                let mut counted = self
                    .inner
                    .refusals
                    .counted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                counted
                    .entry((org, code))
                    .or_default()
                    .fetch_add(count, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }
}
