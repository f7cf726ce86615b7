//! Containment: stopping everything derived from a target, and saying truthfully how far each item has stopped
//! (invariant 8).
//!
//! Two steps. First one commit that records the containment, takes every right away and raises the epoch; from then on
//! nothing new is admitted, because a call reads the epoch after it registered as in flight. Then everything derived is
//! looked at again, one by one, and the certificate says what was found. What neither stopped nor ends by itself stays
//! `not proved` until its outcome is known.

mod certify;
mod everything;
mod file;
mod leases;
mod lift;
mod order;
mod outside;
mod preview;
mod scope;
mod stop_all;
mod targets;

use std::collections::BTreeSet;

use remit_books::{BooksError, Change, Versioned};
use remit_domain::containment::{
    Certificate, Confirmation, Containment, ItemStatus, Level, Outside, Target,
};
use remit_domain::{AgentId, ContainmentId, OrgId, RefusalCode, Registry, Role, Timestamp};
use remit_ports::store::StoreError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Caller, Control, ControlError, ListQuery, Listing, check, names, newest, refuse};
use order::Order;
use scope::Scope;
use stop_all::Stopped;
use targets::{may_contain, not_yet, target_label};

pub use everything::{EverythingPreview, OrganizationImpact};
pub use lift::Restored;
pub use targets::{TargetKind, TargetName};

/// What a containment would stop.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Preview {
    /// The target, by name.
    pub target: String,
    /// How far.
    pub level: Level,
    /// The workflows that could do nothing more, as `agent/workflow`: the target's own, and those of the runs below it.
    pub workflows: BTreeSet<String>,
    /// Everything derived, as it is now: what is on the certificate then, besides the processes that end with their runs.
    pub items: Vec<PreviewItem>,
    /// Credentials that it could reach and Remit did not issue: they are not stopped.
    pub outside: BTreeSet<Outside>,
    /// The people it concerns, by address: for whom it acts, and who answers for the agents.
    pub people: BTreeSet<String>,
    /// What can be undone afterwards, and what cannot.
    pub effect: Vec<String>,
}

/// One thing that would stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PreviewItem {
    /// `run`, `token`, `svid`, `key`, `delegation`, `approval`, `call`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// What would become of it.
    pub becomes: &'static str,
}

/// A containment, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ContainmentView {
    /// Its id.
    pub id: ContainmentId,
    /// `active` or `lifted`; where it takes two people, `waiting`, `expired` or `withdrawn` before.
    pub state: &'static str,
    /// Its revision, which is also its ETag.
    pub revision: u64,
    /// What is contained.
    pub target: Target,
    /// The same, by name.
    pub target_name: String,
    /// How far.
    pub level: Level,
    /// Why.
    pub reason: String,
    /// Who ordered it, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Until when a second person may confirm it; null where nobody has to.
    pub confirm_by: Option<Timestamp>,
    /// Who confirmed it, by name.
    pub confirmed_by: Option<String>,
    /// Whether one person did alone what takes two.
    pub alone: bool,
    /// When it was lifted, and by whom.
    pub lifted: Option<Lifted>,
    /// The newest certificate.
    pub certificate: Option<CertificateView>,
    /// How many certificates were drawn up.
    pub certificates: usize,
}

/// When a containment was lifted, and by whom.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Lifted {
    /// When.
    pub at: Timestamp,
    /// By whom, by name.
    pub by: String,
}

/// A certificate with its totals.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CertificateView {
    /// The certificate.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// Items that have stopped.
    pub stopped: u32,
    /// Items that end by themselves.
    pub bounded: u32,
    /// Items nobody can speak for.
    pub not_proved: u32,
    /// When the last bound passes.
    pub last_bound: Option<Timestamp>,
}

impl From<&Certificate> for CertificateView {
    fn from(certificate: &Certificate) -> Self {
        let mut view = Self {
            certificate: certificate.clone(),
            stopped: 0,
            bounded: 0,
            not_proved: 0,
            last_bound: None,
        };
        for item in &certificate.items {
            match &item.status {
                ItemStatus::Stopped { .. } => view.stopped += 1,
                ItemStatus::Bounded { until, .. } => {
                    view.bounded += 1;
                    view.last_bound = view.last_bound.max(Some(*until));
                }
                ItemStatus::NotProved { .. } => view.not_proved += 1,
            }
        }
        view
    }
}

impl Control {
    /// What a containment would stop. Changes nothing.
    ///
    /// # Errors
    /// As [`Control::contain`].
    pub async fn preview_containment(
        &self,
        caller: &Caller,
        target: &TargetName,
        level: Level,
    ) -> Result<Preview, ControlError> {
        let (target, agent) = self.target(&caller.org, target).await?;
        let book = self.book(&caller.org)?;
        may_contain(&book.registry(), caller, (&target, agent.as_ref()), level)?;
        self.previewed(&caller.org, &target, agent.as_ref(), level)
            .await
    }

    /// What would stop, whoever asks.
    pub(super) async fn previewed(
        &self,
        org: &OrgId,
        target: &Target,
        agent: Option<&AgentId>,
        level: Level,
    ) -> Result<Preview, ControlError> {
        let book = self.book(org)?;
        let scope = Scope::of(&book.registry(), target, agent);
        let derived = self.derived(org, &scope).await?;
        let what = Stopped::of(&book.registry(), &scope, &derived);
        let calls = self.open_calls_of(org, &what).await?;
        let registry = book.registry();
        Ok(Preview {
            target: target_label(&registry, target),
            level,
            workflows: preview::workflows(&registry, &scope, &derived),
            people: preview::people(&registry, &scope, &derived),
            items: preview::items(&registry, &scope, &derived, &calls, level),
            outside: what.outside,
            effect: effect(target, level),
        })
    }

    /// Contains: commits what takes every right away, then draws up the first certificate. What takes two people is only
    /// ordered, and contains nothing before another administrator has confirmed it; a break-glass account does it alone, and
    /// raises an alarm.
    ///
    /// # Errors
    /// `forbidden` for anyone but a responder or an administrator (and, for suspend, whoever answers for it);
    /// `invalid-request` for a kill of what many share; `conflict` when it is contained that far already; `not-found`;
    /// `ledger-unavailable` when it cannot be recorded, and then nothing has changed.
    pub async fn contain(
        &self,
        caller: &Caller,
        target: &TargetName,
        level: Level,
        reason: &str,
    ) -> Result<ContainmentView, ControlError> {
        check::said("reason", reason)?;
        let (target, agent) = self.target(&caller.org, target).await?;
        let book = self.book(&caller.org)?;
        may_contain(&book.registry(), caller, (&target, agent.as_ref()), level)?;
        not_yet(&book.registry(), &target, level)?;
        if let Some(agent) = &agent {
            self.withhold_unknown(caller, &target, agent).await?;
        }
        let confirmation = self.confirmation(caller, &target)?;
        let id = self.books.id(ContainmentId::from_uuid);
        let by = caller.principal.clone();
        let containment = Containment {
            confirmation,
            ..Containment::new(id, (target, level), reason, by, self.books.now())
        };
        if !containment.is_in_force() {
            return self.order(caller, &containment).await;
        }
        let alarm = self.alarm(&caller.org, &containment).await?;
        self.contain_now(&caller.org, &containment, agent.as_ref(), &alarm)
            .await?;
        self.containment_view(&caller.org, &containment.id).await
    }

    /// Contains, and draws up the first certificate.
    ///
    /// - `also`: goes into the same commit.
    pub(super) async fn contain_now(
        &self,
        org: &OrgId,
        containment: &Containment,
        agent: Option<&AgentId>,
        also: &Change,
    ) -> Result<(), ControlError> {
        let order = Order {
            containment,
            agent,
            waited: None,
        };
        let stopped = self.stop_all(org, order, also).await?;
        self.certify(org, &containment.id, stopped).await
    }

    /// Contains what nobody ordered, because of what was seen.
    pub(crate) async fn contain_by_itself(
        &self,
        org: &OrgId,
        containment: Containment,
        agent: &AgentId,
    ) -> Result<(), ControlError> {
        self.contain_now(org, &containment, Some(agent), &Change::new())
            .await
    }

    /// Contains because of what was heard, once; `false` when it was heard before, and then nothing has changed.
    ///
    /// - `heard`: the mark of what was heard, which goes into the same commit.
    pub(crate) async fn contain_once(
        &self,
        org: &OrgId,
        containment: Containment,
        agent: Option<&AgentId>,
        heard: &Change,
    ) -> Result<bool, ControlError> {
        let order = Order {
            containment: &containment,
            agent,
            waited: None,
        };
        match self.stop_all(org, order, heard).await {
            Ok(stopped) => self.certify(org, &containment.id, stopped).await?,
            Err(BooksError::Store(StoreError::Replayed { .. })) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Containments, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but responders, administrators and auditors.
    pub async fn containments(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<ContainmentView>, ControlError> {
        caller.require(&[Role::Responder, Role::Admin, Role::Auditor])?;
        self.listed(&caller.org, query).await
    }

    async fn listed(
        &self,
        org: &OrgId,
        query: &ListQuery,
    ) -> Result<Listing<ContainmentView>, ControlError> {
        let (page, next) = newest::page(
            &self.books,
            org,
            query,
            None,
            |id| ContainmentId::from_uuid(id).to_string(),
            |one: &Containment| one.at,
        )
        .await?;
        let book = self.book(org)?;
        let registry = book.registry();
        Ok(Listing {
            items: page.iter().map(|c| self.view(&registry, c)).collect(),
            next,
        })
    }

    /// One containment with its newest certificate.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for anyone but responders, administrators, auditors, and those who answer for the agent.
    pub async fn containment(
        &self,
        caller: &Caller,
        id: &ContainmentId,
    ) -> Result<ContainmentView, ControlError> {
        let found = self.find_containment(&caller.org, id).await?.noun;
        if caller
            .require(&[Role::Responder, Role::Admin, Role::Auditor])
            .is_err()
        {
            let agent = self.agent_of(&caller.org, &found.target).await?;
            let book = self.book(&caller.org)?;
            let target = (&found.target, agent.as_ref());
            may_contain(&book.registry(), caller, target, Level::Suspend)?;
        }
        self.containment_view(&caller.org, id).await
    }

    async fn find_containment(
        &self,
        org: &OrgId,
        id: &ContainmentId,
    ) -> Result<Versioned<Containment>, ControlError> {
        let unknown = || {
            refuse(
                RefusalCode::NotFound,
                format!("no containment `{id}` is here"),
            )
        };
        self.books
            .get::<Containment>(org, id.as_str())
            .await?
            .ok_or_else(unknown)
    }

    async fn containment_view(
        &self,
        org: &OrgId,
        id: &ContainmentId,
    ) -> Result<ContainmentView, ControlError> {
        let found = self.find_containment(org, id).await?;
        Ok(self.view(&self.book(org)?.registry(), &found))
    }
}

fn effect(target: &Target, level: Level) -> Vec<String> {
    let lines: &[&str] = match level {
        Level::Kill if target.outlives_its_kill() => &[
            "final for what is derived: runs end, delegations and tokens are revoked",
            "lifting lets the person delegate anew; what ended does not come back",
        ],
        Level::Kill => &[
            "final: runs end, delegations and tokens are revoked, keys are removed",
            "an agent returns only with new keys and a new activation",
        ],
        _ if target.is_of_tools() => &[
            "calls of it are refused, whoever makes them; agents and their runs go on",
            "pending approvals do not come back",
        ],
        Level::Suspend => &[
            "lifting restores the target and its runs",
            "tokens and pending approvals do not come back",
        ],
        Level::Quarantine => &[
            "evidence is kept; only a responder or an administrator lifts",
            "tokens and pending approvals do not come back",
        ],
    };
    lines.iter().map(|l| (*l).to_owned()).collect()
}

impl Control {
    fn view(&self, registry: &Registry, containment: &Versioned<Containment>) -> ContainmentView {
        let c = &containment.noun;
        let confirm_by = match &c.confirmation {
            Confirmation::Waits { until } => Some(*until),
            _ => None,
        };
        let late = confirm_by.is_some_and(|until| self.books.now() >= until);
        ContainmentView {
            id: c.id.clone(),
            state: match remit_domain::Noun::state(c) {
                "waiting" if late => "expired",
                state => state,
            },
            revision: containment.revision,
            target: c.target.clone(),
            target_name: target_label(registry, &c.target),
            level: c.level,
            reason: c.reason.clone(),
            by: names::principal(registry, &c.by),
            at: c.at,
            confirm_by,
            confirmed_by: match &c.confirmation {
                Confirmation::Given { by, .. } => Some(names::principal(registry, by)),
                _ => None,
            },
            alone: c.confirmation == Confirmation::BreakGlass,
            lifted: c.lifted.as_ref().map(|(at, by)| Lifted {
                at: *at,
                by: names::principal(registry, by),
            }),
            certificate: c.certificates.last().map(CertificateView::from),
            certificates: c.certificates.len(),
        }
    }
}

#[cfg(test)]
mod tests;
