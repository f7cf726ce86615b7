//! Whether the organization's policies let a person delegate this, now.

use remit_books::hop::{HopAction, HopKind};
use remit_books::{Change, Hop, HopAnswer};
use remit_domain::delegation::{Delegation, DelegationUse};
use remit_domain::event::{Event, EventKind};

use super::NewDelegation;
use crate::{Caller, Control, ControlError};

/// How a delegation that a person asks for comes about.
pub(super) fn kind_of(new: &NewDelegation) -> HopKind {
    match (&new.kind, &new.ticket) {
        (DelegationUse::Standing, _) => HopKind::Standing,
        (_, Some(_)) => HopKind::Ticket,
        _ => HopKind::Grant,
    }
}

impl Control {
    /// Asks the policies. A refusal is recorded.
    pub(super) async fn may_delegate(
        &self,
        caller: &Caller,
        delegation: &Delegation,
        kind: HopKind,
    ) -> Result<HopAnswer, ControlError> {
        let (agent, workflow) = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let workflow = registry.standing_workflow(&delegation.to, &delegation.workflow)?;
            (registry.standing_agent(&delegation.to)?, workflow)
        };
        let hop = Hop {
            action: HopAction::Delegate,
            kind,
            agent,
            workflow: &workflow,
            person: Some(&delegation.person),
            chain: vec![delegation],
            intent: None,
            run: None,
            ticket: delegation.ticket.as_deref(),
            expires: delegation.expires,
            trust: None,
        };
        let answer = self.books.ask_hop(&caller.org, &hop).await?;
        let Some(refused) = answer.refused() else {
            return Ok(answer);
        };
        let by = caller.principal.clone();
        let event = Event::new(EventKind::DelegationRefused, self.books.now(), by)
            .agent(&delegation.to)
            .fact("person", &delegation.person)
            .fact("workflow", &delegation.workflow)
            .fact("kind", kind.as_str())
            .fact("code", refused.refusal.code.as_str())
            .content("text", &refused.refusal.text)
            .content("authority", &delegation.authority)
            .content("ticket", &delegation.ticket);
        let change = Change::new().event(refused.recorded(event));
        self.books.commit(&caller.org, change).await?;
        Err(refused.refusal.into())
    }
}
