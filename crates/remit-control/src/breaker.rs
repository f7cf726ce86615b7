//! The circuit breaker: its thresholds, and what becomes of an agent for which it trips.

use remit_books::Change;
use remit_domain::breaker::{Breaker, Thresholds};
use remit_domain::containment::{Containment, Level, Target};
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::FindingKind;
use remit_domain::{AgentId, ContainmentId, Kind, OrgId, Principal, RefusalCode, Role, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::draft::Draft;
use crate::{Caller, Control, ControlError, Saved, finding_change, names, refuse};

/// The breaker, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BreakerView {
    /// When it trips, and what happens then.
    #[serde(flatten)]
    pub thresholds: Thresholds,
    /// Who changed it last, by name; null while nobody has.
    pub by: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// Its revision, which is also its ETag; 0 while nobody has changed it.
    pub revision: u64,
}

impl Control {
    /// The breaker of the organization.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn breaker(&self, caller: &Caller) -> Result<BreakerView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let set = registry.breaker.as_ref();
        Ok(BreakerView {
            thresholds: set.map(|b| b.thresholds).unwrap_or_default(),
            by: set.map(|b| names::principal(&registry, &b.by)),
            at: set.map(|b| b.at),
            revision: registry.revision(Kind::Breaker, Breaker::KEY).unwrap_or(0),
        })
    }

    /// Changes when the breaker trips.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`; `conflict`.
    pub async fn put_breaker(
        &self,
        caller: &Caller,
        thresholds: Thresholds,
        seen: Option<u64>,
    ) -> Result<Saved<BreakerView>, ControlError> {
        caller.require(&[Role::Admin])?;
        let wrong = |why: String| refuse(RefusalCode::InvalidRequest, why);
        thresholds.check().map_err(wrong)?;
        let draft = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let there = registry.breaker.as_ref();
            let same = there.filter(|t| t.thresholds == thresholds);
            let breaker = Breaker {
                thresholds,
                by: same.map_or_else(|| caller.principal.clone(), |s| s.by.clone()),
                at: same.map_or_else(|| self.books.now(), |s| s.at),
            };
            Draft::over(&registry, there.map(AsRef::as_ref), &breaker, seen, |_| {
                self.event(caller, EventKind::BreakerChanged)
                    .fact("mode", thresholds.mode)
                    .fact("window_secs", thresholds.window_secs)
                    .fact("repeats", thresholds.repeats)
                    .fact("failure_percent", thresholds.failure_percent)
                    .fact("failure_calls", thresholds.failure_calls)
                    .fact("rate_calls", thresholds.rate_calls)
                    .fact("canary", thresholds.canary)
            })?
        };
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.breaker(caller)?,
        })
    }

    /// The breaker tripped for an agent: a finding and an entry, and the agent's quarantine where the breaker enforces. An agent
    /// that is contained already stays as it is. Where the agent sent a canary, the finding is there already.
    ///
    /// # Errors
    /// When it cannot be written; what was committed before stands.
    pub async fn trip(
        &self,
        org: &OrgId,
        agent: &AgentId,
        cause: &str,
        (enforce, canary): (bool, bool),
    ) -> Result<Option<ContainmentId>, ControlError> {
        let contained = {
            let book = self.book(org)?;
            let registry = book.registry();
            let target = Target::Agent(agent.clone());
            let mut all = registry.containments.values();
            all.any(|c| c.target == target && c.level >= Level::Quarantine && c.is_in_force())
        };
        let containment = (enforce && !contained).then(|| {
            let id = self.books.id(ContainmentId::from_uuid);
            let what = (Target::Agent(agent.clone()), Level::Quarantine);
            let reason = format!("the breaker tripped: {cause}");
            Containment::new(id, what, reason, Principal::Remit, self.books.now())
        });
        // What happened is told before anything is done about it: a quarantine that fails is not a trip nobody saw.
        let event = Event::new(
            EventKind::BreakerTripped,
            self.books.now(),
            Principal::Remit,
        )
        .about(agent)
        .agent(agent)
        .fact("trigger", if canary { "canary" } else { "breaker" })
        .fact("enforced", enforce)
        .fact("containment", containment.as_ref().map(|c| &c.id))
        .content("cause", cause);
        let text = match enforce {
            true => format!("{cause}; the agent was quarantined"),
            false => format!("{cause}; the breaker only watches (dry run), so it goes on"),
        };
        let kind = FindingKind::Looping;
        let finding = match canary {
            true => Change::new(),
            false => finding_change(&self.books, org, kind, agent.as_str(), text).await?,
        };
        self.books.commit(org, finding.event(event)).await?;
        let Some(containment) = containment else {
            return Ok(None);
        };
        let id = containment.id.clone();
        self.contain_by_itself(org, containment, agent).await?;
        Ok(Some(id))
    }
}

#[cfg(test)]
mod tests;
