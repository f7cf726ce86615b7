//! Everything at once: every organization of the instance is contained, by the operator, who sees numbers and nothing inside.
//!
//! The operator's own ledger keeps one containment over all; each organization gets one of its own, once, with a certificate of
//! its own. A node that stops in between, and an organization that was made meanwhile, are taken up with the next sweep.

use std::collections::BTreeMap;
use std::sync::Arc;

use remit_books::{Change, OrgBook};
use remit_domain::containment::{
    Certificate, Confirmation, Containment, Item, ItemStatus, Level, Target,
};
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::{ContainmentId, OrgId, Principal, RefusalCode, Role};
use remit_ports::store::Once;
use schemars::JsonSchema;
use serde::Serialize;

use super::targets::not_yet;
use super::{ContainmentView, effect};
use crate::{Caller, Control, ControlError, ListQuery, Listing, check, refuse};

/// How long it is remembered that an organization was contained with everything, in seconds (10 years).
const REMEMBERED_SECS: i64 = 10 * 365 * 86_400;

/// What containing everything would stop, in numbers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EverythingPreview {
    /// How far.
    pub level: Level,
    /// Every organization, by name.
    pub organizations: Vec<OrganizationImpact>,
    /// What can be undone afterwards, and what cannot.
    pub effect: Vec<String>,
}

/// What would stop in one organization, in numbers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OrganizationImpact {
    /// Its name.
    pub organization: Name,
    /// How many of each sort would stop: `run`, `token`, `svid`, `key`, `delegation`, `approval`, `call`.
    pub stops: BTreeMap<&'static str, usize>,
    /// How many people it concerns.
    pub people: usize,
}

impl Control {
    /// What containing everything would stop. Changes nothing.
    ///
    /// # Errors
    /// `forbidden` for anyone but the operator; `invalid-request` for a kill.
    pub async fn preview_everything(
        &self,
        caller: &Caller,
        level: Level,
    ) -> Result<EverythingPreview, ControlError> {
        caller.require_operator()?;
        not_a_kill(level)?;
        let mut organizations = Vec::new();
        for book in self.organizations_here() {
            let Some(organization) = book.registry().organization.clone() else {
                continue;
            };
            let preview = self.previewed(&book.id, &Target::Everything, None, level);
            let preview = preview.await?;
            let mut stops = BTreeMap::new();
            for item in &preview.items {
                *stops.entry(item.kind).or_default() += 1;
            }
            organizations.push(OrganizationImpact {
                organization: organization.name.clone(),
                stops,
                people: preview.people.len(),
            });
        }
        organizations.sort_by(|a, b| a.organization.cmp(&b.organization));
        Ok(EverythingPreview {
            level,
            organizations,
            effect: effect(&Target::Everything, level),
        })
    }

    /// Orders that everything is contained; an administrator of any organization confirms it. In an emergency the operator does
    /// it alone, which raises an alarm in every organization.
    ///
    /// # Errors
    /// `forbidden` for anyone but the operator; `invalid-request` for a kill; `conflict` when it is contained that far already.
    pub async fn contain_everything(
        &self,
        caller: &Caller,
        level: Level,
        reason: &str,
        alone: bool,
    ) -> Result<ContainmentView, ControlError> {
        caller.require_operator()?;
        check::said("reason", reason)?;
        not_a_kill(level)?;
        let book = self.book(&caller.org)?;
        not_yet(&book.registry(), &Target::Everything, level)?;
        let now = self.books.now();
        let id = self.books.id(ContainmentId::from_uuid);
        let confirmation = if alone {
            Confirmation::BreakGlass
        } else {
            let until = now.plus_secs(remit_domain::containment::CONFIRM_SECS);
            Confirmation::Waits { until }
        };
        let what = (Target::Everything, level);
        let containment = Containment {
            confirmation,
            ..Containment::new(id, what, reason, caller.principal.clone(), now)
        };
        if !alone {
            return self.order(caller, &containment).await;
        }
        let event = self
            .event(caller, EventKind::Contained)
            .about(&containment.id)
            .fact("target", &containment.target)
            .fact("level", level)
            .fact("alone", true)
            .content("reason", reason);
        let change = Change::new().create(&containment).event(event);
        self.books.commit(&caller.org, change).await?;
        self.spread(&caller.org).await?;
        self.containment_view(&caller.org, &containment.id).await
    }

    /// Says yes to what the operator ordered: everything is contained from then on.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator of an organization; `conflict` when it waits for nobody; `approval-expired`;
    /// `not-found`.
    pub async fn confirm_everything(
        &self,
        caller: &Caller,
        id: &ContainmentId,
    ) -> Result<ContainmentView, ControlError> {
        caller.require(&[Role::Admin])?;
        let operator = self.operator()?.org;
        let found = self.find_containment(&operator, id).await?;
        self.still_waits(&found.noun)?;
        let (at, by) = (self.books.now(), caller.principal.clone());
        let event = self
            .event(caller, EventKind::Contained)
            .about(id)
            .fact("target", &found.noun.target)
            .fact("level", found.noun.level)
            .fact("confirmed_in", &caller.org)
            .content("reason", &found.noun.reason);
        let next = Containment {
            confirmation: Confirmation::Given { at, by },
            ..found.noun
        };
        let change = Change::new().update(&next, found.revision).event(event);
        self.books.commit(&operator, change).await?;
        self.spread(&operator).await?;
        self.containment_view(&operator, id).await
    }

    /// What contained everything, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but the operator.
    pub async fn containments_of_everything(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<ContainmentView>, ControlError> {
        caller.require_operator()?;
        self.listed(&caller.org, query).await
    }

    /// One of them, with its newest certificate: what became of each organization.
    ///
    /// # Errors
    /// `forbidden` for anyone but the operator; `not-found`.
    pub async fn containment_of_everything(
        &self,
        caller: &Caller,
        id: &ContainmentId,
    ) -> Result<ContainmentView, ControlError> {
        caller.require_operator()?;
        self.containment_view(&caller.org, id).await
    }

    /// Lets every organization go on, or takes back what waits for a second person. Tokens do not come back.
    ///
    /// # Errors
    /// `forbidden` for anyone but the operator; `conflict` when it was lifted before; `not-found`.
    pub async fn lift_everything(
        &self,
        caller: &Caller,
        id: &ContainmentId,
        reason: &str,
    ) -> Result<ContainmentView, ControlError> {
        caller.require_operator()?;
        check::said("reason", reason)?;
        let found = self.find_containment(&caller.org, id).await?;
        if let Confirmation::Waits { .. } = found.noun.confirmation {
            return self.withdraw(&caller.org, caller, found).await;
        }
        if found.noun.lifted.is_none() && !found.noun.is_in_force() {
            let text = "it is not in force, so there is nothing to lift";
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let others = self.others_of_everything(&caller.org, id)?;
        let copies = self
            .organizations_here()
            .iter()
            .any(|book| !self.of_everything(book).is_empty());
        // What was lifted and did not free everybody is lifted once more.
        if found.noun.lifted.is_some() && (others || !copies) {
            return Err(refuse(RefusalCode::Conflict, "it was lifted already"));
        }
        if found.noun.lifted.is_none() {
            let event = self.event(caller, EventKind::ContainmentLifted);
            let event = event.about(id).content("reason", reason);
            let next = Containment {
                lifted: Some((self.books.now(), caller.principal.clone())),
                ..found.noun
            };
            let change = Change::new().update(&next, found.revision).event(event);
            self.books.commit(&caller.org, change).await?;
        }
        // Nobody goes on while another one is in force.
        if !self.others_of_everything(&caller.org, id)? {
            for book in self.organizations_here() {
                for one in self.of_everything(&book) {
                    self.lift(&book.id, &one, &caller.principal, reason).await?;
                }
            }
        }
        self.containment_view(&caller.org, id).await
    }

    /// Whether everything is contained by another order, too.
    fn others_of_everything(
        &self,
        operator: &OrgId,
        id: &ContainmentId,
    ) -> Result<bool, ControlError> {
        let book = self.book(operator)?;
        let registry = book.registry();
        let mut all = registry.containments.values();
        Ok(all.any(|c| c.id != *id && c.target == Target::Everything && c.is_in_force()))
    }

    fn organizations_here(&self) -> Vec<Arc<OrgBook>> {
        let mut all = self.books.orgs();
        all.retain(|book| !book.is_operator());
        all
    }

    /// The containments in force in an organization that came with everything.
    fn of_everything(&self, book: &OrgBook) -> Vec<Arc<Containment>> {
        let registry = book.registry();
        let standing = registry.containments.values();
        let found = standing.filter(|c| c.target == Target::Everything);
        found.cloned().collect()
    }

    /// Whether everything is contained now: no organization is made meanwhile.
    pub(crate) fn not_everything(&self, operator: &OrgId) -> Result<(), ControlError> {
        let book = self.book(operator)?;
        let held = self.of_everything(&book);
        match held.first() {
            None => Ok(()),
            Some(c) => {
                let text = format!("everything is contained by {}; lift it first", c.id);
                Err(refuse(RefusalCode::Contained, text))
            }
        }
    }

    /// Contains every organization with what is in force over everything, each once, and draws up what became of them.
    pub(super) async fn spread(&self, operator: &OrgId) -> Result<u32, ControlError> {
        let standing = self.of_everything(&*self.book(operator)?);
        let mut drawn_up = 0;
        for over in &standing {
            for book in self.organizations_here() {
                self.spread_to(&book.id, over).await?;
            }
            drawn_up += u32::from(self.certify_everything(operator, over).await?);
        }
        Ok(drawn_up)
    }

    async fn spread_to(&self, org: &OrgId, over: &Containment) -> Result<(), ControlError> {
        let now = self.books.now();
        let key = format!("everything:{}", over.id);
        if self
            .of_everything(&*self.book(org)?)
            .iter()
            .any(|c| c.level >= over.level)
        {
            return Ok(());
        }
        let until = now.plus_secs(REMEMBERED_SECS);
        let mark = self.alarm(org, over).await?.once(Once { key, until });
        let id = self.books.id(ContainmentId::from_uuid);
        let what = (Target::Everything, over.level);
        let mut one = Containment::new(id, what, &over.reason, Principal::Operator, now);
        one.confirmation = match &over.confirmation {
            Confirmation::BreakGlass => Confirmation::BreakGlass,
            _ => Confirmation::NotNeeded,
        };
        self.contain_once(org, one, None, &mark).await.map(drop)
    }

    /// Keeps a certificate over everything when it says something new.
    async fn certify_everything(
        &self,
        operator: &OrgId,
        over: &Containment,
    ) -> Result<bool, ControlError> {
        if over.certificates.last().is_some_and(|c| c.is_final) {
            return Ok(false);
        }
        let mut items = Vec::new();
        for book in self.organizations_here() {
            let registry = book.registry();
            let Some(organization) = registry.organization.clone() else {
                continue;
            };
            let standing = registry.containments.values();
            let mine = standing.filter(|c| c.target == Target::Everything).last();
            let last = mine.and_then(|c| Some((c.id.clone(), c.certificates.last()?.clone())));
            items.push(Item {
                kind: "organization".to_owned(),
                id: book.id.to_string(),
                label: organization.name.to_string(),
                status: status_of(last.as_ref()),
            });
        }
        items.sort_by(|a, b| a.label.cmp(&b.label));
        if over.certificates.last().is_some_and(|c| c.items == items) {
            return Ok(false);
        }
        self.keep_certificate(operator, &over.id, items, Default::default())
            .await?;
        Ok(true)
    }
}

fn status_of(last: Option<&(ContainmentId, Certificate)>) -> ItemStatus {
    match last {
        Some((id, certificate)) if certificate.is_final => ItemStatus::Stopped {
            verified: format!(
                "the final certificate of {id} says that everything in it has stopped"
            ),
        },
        Some((id, certificate)) => ItemStatus::NotProved {
            why: format!(
                "{id} holds it, and {} of its items have not stopped yet",
                certificate.residual
            ),
        },
        None => ItemStatus::NotProved {
            why: "it has no certificate yet".to_owned(),
        },
    }
}

fn not_a_kill(level: Level) -> Result<(), ControlError> {
    if level == Level::Kill {
        let text = "everything is suspended or quarantined, so that it can come back; each organization kills what it has to";
        return Err(refuse(RefusalCode::InvalidRequest, text));
    }
    Ok(())
}
