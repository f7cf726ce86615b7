//! Containments that take two people: one orders, which contains nothing, and another confirms.

use remit_books::{Change, Versioned};
use remit_domain::containment::{CONFIRM_SECS, Confirmation, Containment, Target};
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::FindingKind;
use remit_domain::vouch::stands_behind;
use remit_domain::{AgentId, ContainmentId, OrgId, PersonId, RefusalCode, Registry, Role};

use super::ContainmentView;
use super::targets::{may_contain, not_yet};
use crate::{Caller, Control, ControlError, finding_change, refuse};

/// A containment on its way into force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    /// The containment as it is to stand.
    pub(super) containment: &'a Containment,
    /// The agent it belongs to, where it is one agent's.
    pub(super) agent: Option<&'a AgentId>,
    /// The revision at which it waited for a second person; none where it is new.
    pub(super) waited: Option<u64>,
}

impl Control {
    /// What a containment waits for before it is in force.
    pub(super) fn confirmation(
        &self,
        caller: &Caller,
        target: &Target,
    ) -> Result<Confirmation, ControlError> {
        if !target.takes_two() || !self.is_dual(&caller.org)? {
            return Ok(Confirmation::NotNeeded);
        }
        if caller.person()?.break_glass {
            return Ok(Confirmation::BreakGlass);
        }
        let until = self.books.now().plus_secs(CONFIRM_SECS);
        Ok(Confirmation::Waits { until })
    }

    /// Writes down what was ordered. Nothing is contained by it.
    pub(super) async fn order(
        &self,
        caller: &Caller,
        containment: &Containment,
    ) -> Result<ContainmentView, ControlError> {
        let event = self
            .event(caller, EventKind::ContainmentOrdered)
            .about(&containment.id)
            .fact("target", &containment.target)
            .fact("level", containment.level)
            .content("reason", &containment.reason);
        let change = Change::new().create(containment).event(event);
        self.books.commit(&caller.org, change).await?;
        self.containment_view(&caller.org, &containment.id).await
    }

    /// What goes with a containment that one person did alone where it takes two: everybody here hears of it.
    pub(super) async fn alarm(
        &self,
        org: &OrgId,
        containment: &Containment,
    ) -> Result<Change, ControlError> {
        if containment.confirmation != Confirmation::BreakGlass {
            return Ok(Change::new());
        }
        let text = format!(
            "{} was contained ({}) by one person alone, in an emergency: {}",
            containment.target,
            containment.level.as_str(),
            containment.reason
        );
        let (kind, id) = (FindingKind::BreakGlassUsed, containment.id.as_str());
        Ok(finding_change(&self.books, org, kind, id, text).await?)
    }

    /// Says yes to a containment that takes two: it is in force from then on, over everything there is by then.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, for whoever ordered it, and for whoever stands behind them or they behind;
    /// `conflict` when nobody has to, or it was withdrawn; `approval-expired` when it waited too long; `not-found`.
    pub async fn confirm_containment(
        &self,
        caller: &Caller,
        id: &ContainmentId,
    ) -> Result<ContainmentView, ControlError> {
        let person = caller.require(&[Role::Admin])?;
        let found = self.find_containment(&caller.org, id).await?;
        self.still_waits(&found.noun)?;
        {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            another(&registry, &found.noun, &person.id)?;
            let target = (&found.noun.target, None);
            may_contain(&registry, caller, target, found.noun.level)?;
            not_yet(&registry, &found.noun.target, found.noun.level)?;
        }
        let containment = Containment {
            confirmation: Confirmation::Given {
                at: self.books.now(),
                by: caller.principal.clone(),
            },
            ..found.noun
        };
        let order = Order {
            containment: &containment,
            agent: None,
            waited: Some(found.revision),
        };
        let none = Change::new();
        let stopped = self.stop_all(&caller.org, order, &none).await?;
        self.certify(&caller.org, id, stopped).await?;
        self.containment_view(&caller.org, id).await
    }

    /// Takes back a containment that waits for a second person.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator and whoever ordered it; `conflict` when it waits for nobody; `not-found`.
    pub async fn withdraw_containment(
        &self,
        caller: &Caller,
        id: &ContainmentId,
    ) -> Result<ContainmentView, ControlError> {
        let person = caller.person()?;
        let found = self.find_containment(&caller.org, id).await?;
        waiting(&found.noun)?;
        if found.noun.by.person() != Some(&person.id) {
            caller.require(&[Role::Admin])?;
        }
        self.withdraw(&caller.org, caller, found).await
    }

    pub(super) async fn withdraw(
        &self,
        org: &OrgId,
        caller: &Caller,
        found: Versioned<Containment>,
    ) -> Result<ContainmentView, ControlError> {
        let (at, by) = (self.books.now(), caller.principal.clone());
        let id = found.noun.id.clone();
        let event = Event::new(EventKind::ContainmentWithdrawn, at, by.clone()).about(&id);
        let next = Containment {
            confirmation: Confirmation::Withdrawn { at, by },
            ..found.noun
        };
        let change = Change::new().update(&next, found.revision).event(event);
        self.books.commit(org, change).await?;
        self.containment_view(org, &id).await
    }

    /// That a containment waits for a second person, and not for too long.
    pub(super) fn still_waits(&self, containment: &Containment) -> Result<(), ControlError> {
        let until = waiting(containment)?;
        if self.books.now() >= until {
            let text = format!("it waited until {until}; order it again");
            return Err(refuse(RefusalCode::ApprovalExpired, text));
        }
        Ok(())
    }
}

fn waiting(containment: &Containment) -> Result<remit_domain::Timestamp, ControlError> {
    match &containment.confirmation {
        Confirmation::Waits { until } if containment.lifted.is_none() => Ok(*until),
        _ => Err(refuse(
            RefusalCode::Conflict,
            "the containment waits for nobody; look at its state",
        )),
    }
}

/// That whoever confirms is neither who ordered it nor could have acted as them, nor they as them.
fn another(
    registry: &Registry,
    containment: &Containment,
    person: &PersonId,
) -> Result<(), ControlError> {
    let same = match containment.by.person() {
        Some(by) => {
            by == person
                || stands_behind(registry, by, person)
                || stands_behind(registry, person, by)
        }
        None => false,
    };
    if same {
        let text = "you ordered it, or whoever did was created or enrolled by you or you by them; another administrator has to confirm";
        return Err(refuse(RefusalCode::Forbidden, text));
    }
    Ok(())
}
