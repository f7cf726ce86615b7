//! Containment: stopping everything derived from a target, and saying truthfully how far each item has stopped
//! (invariant 8).
//!
//! Two steps. First one commit that records the containment, takes every right away and raises the epoch; from then on
//! nothing new is admitted, because a call reads the epoch after it registered as in flight. Then everything derived is
//! looked at again, one by one, and the certificate says what was found. What neither stopped nor ends by itself stays
//! `not proved` until its outcome is known.

mod certify;
mod leases;
mod lift;
mod preview;
mod scope;
mod stop_all;

use std::collections::BTreeSet;

use remit_books::{BooksError, Change, Versioned};
use remit_domain::agent::AgentState;
use remit_domain::containment::{Certificate, Containment, ItemStatus, Level, Target};
use remit_domain::credential::{Svid, Token};
use remit_domain::{AgentId, ContainmentId, OrgId, RefusalCode, Registry, Role, Timestamp};
use remit_ports::store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Caller, Control, ControlError, ListQuery, Listing, check, names, newest, refuse};
use scope::Scope;
use stop_all::Stopped;

pub use lift::Restored;

/// What to contain, as people name it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetName {
    /// Sort of target.
    #[serde(rename = "type")]
    pub kind: TargetKind,
    /// Name of an agent, or `agent/workflow`.
    #[serde(default)]
    pub name: Option<String>,
    /// Id of an agent, workflow, run, token or SVID, or thumbprint of a key.
    #[serde(default)]
    pub id: Option<String>,
}

/// Sort of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the noun of the same name")]
pub enum TargetKind {
    Agent,
    Workflow,
    Run,
    Credential,
}

/// What a containment would stop.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Preview {
    /// The target, by name.
    pub target: String,
    /// How far.
    pub level: Level,
    /// The workflows that could do nothing more, as `agent/workflow`: the target's own, and those of the runs below it.
    pub workflows: BTreeSet<String>,
    /// Everything derived, as it is now.
    pub items: Vec<PreviewItem>,
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
    /// `active` or `lifted`.
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
        may_contain(&book.registry(), caller, &agent, level)?;
        let scope = Scope::of(&book.registry(), &target, &agent);
        let derived = self.derived(&caller.org, &scope).await?;
        let calls = self
            .open_calls_of(&caller.org, &Stopped::of(&scope, &derived))
            .await?;
        let registry = book.registry();
        Ok(Preview {
            target: target_label(&registry, &target),
            level,
            workflows: preview::workflows(&registry, &scope, &derived),
            items: preview::items(&registry, &scope, &derived, &calls, level),
            effect: effect(level),
        })
    }

    /// Contains: commits what takes every right away, then draws up the first certificate.
    ///
    /// # Errors
    /// `forbidden` for anyone but a responder or an administrator (and, for suspend, the agent's owner or sponsor);
    /// `conflict` when it is contained that far already; `not-found`; `ledger-unavailable` when it cannot be recorded, and
    /// then nothing has changed.
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
        may_contain(&book.registry(), caller, &agent, level)?;
        not_yet(&book.registry(), &target, &agent, level)?;
        self.withhold_unknown(caller, &target, &agent).await?;
        let containment = Containment {
            id: self.books.id(ContainmentId::from_uuid),
            target,
            level,
            reason: reason.to_owned(),
            by: caller.principal.clone(),
            at: self.books.now(),
            lifted: None,
            certificates: Vec::new(),
        };
        let none = Change::new();
        let stopped = self.stop_all(&caller.org, &containment, &agent, &none);
        let stopped = stopped.await?;
        let id = containment.id.clone();
        self.certify(&caller.org, &id, stopped).await?;
        self.containment_view(&caller.org, &id).await
    }

    /// Contains what nobody ordered, because of what was seen.
    pub(crate) async fn contain_by_itself(
        &self,
        org: &OrgId,
        containment: Containment,
        agent: &AgentId,
    ) -> Result<(), ControlError> {
        let none = Change::new();
        let stopped = self.stop_all(org, &containment, agent, &none).await?;
        self.certify(org, &containment.id, stopped).await
    }

    /// Contains because of what was heard, once; `false` when it was heard before, and then nothing has changed.
    ///
    /// - `heard`: the mark of what was heard, which goes into the same commit.
    pub(crate) async fn contain_once(
        &self,
        org: &OrgId,
        containment: Containment,
        agent: &AgentId,
        heard: &Change,
    ) -> Result<bool, ControlError> {
        match self.stop_all(org, &containment, agent, heard).await {
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
        let (page, next) = newest::page(
            &self.books,
            &caller.org,
            query,
            None,
            |id| ContainmentId::from_uuid(id).to_string(),
            |one: &Containment| one.at,
        )
        .await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(Listing {
            items: page.iter().map(|c| view(&registry, c)).collect(),
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
            may_contain(&book.registry(), caller, &agent, Level::Suspend)?;
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
        Ok(view(&self.book(org)?.registry(), &found))
    }

    /// The target that was named, and the agent it belongs to.
    async fn target(
        &self,
        org: &OrgId,
        named: &TargetName,
    ) -> Result<(Target, AgentId), ControlError> {
        let text = match (&named.name, &named.id) {
            (Some(text), None) | (None, Some(text)) => text.as_str(),
            _ => {
                return Err(refuse(
                    RefusalCode::InvalidRequest,
                    "name the target by `name` or by `id`, one of them",
                ));
            }
        };
        let shown: String = text.chars().take(80).collect();
        let unknown = |what: &str| {
            refuse(
                RefusalCode::NotFound,
                format!("no {what} `{shown}` is here"),
            )
        };
        let book = self.book(org)?;
        let target = match named.kind {
            TargetKind::Agent => {
                let registry = book.registry();
                let by_id = || {
                    text.parse::<AgentId>()
                        .ok()
                        .and_then(|id| registry.agents.get(&id))
                };
                let agent = registry
                    .agent_named(text)
                    .or_else(by_id)
                    .ok_or_else(|| unknown("agent"))?;
                Target::Agent(agent.id.clone())
            }
            TargetKind::Workflow => {
                let registry = book.registry();
                let by_id = || text.parse().ok().and_then(|id| registry.workflows.get(&id));
                let by_name = text.split_once('/').and_then(|(agent, workflow)| {
                    registry.workflow_named(&registry.agent_named(agent)?.id, workflow)
                });
                Target::Workflow(
                    by_name
                        .or_else(by_id)
                        .ok_or_else(|| unknown("workflow"))?
                        .id
                        .clone(),
                )
            }
            TargetKind::Run => Target::Run(text.parse().map_err(|_| unknown("run"))?),
            TargetKind::Credential => {
                let found = self.credential_target(org, text).await?;
                return found.ok_or_else(|| unknown("credential"));
            }
        };
        let agent = self.agent_of(org, &target).await?;
        Ok((target, agent))
    }

    /// The agent a target belongs to.
    pub(crate) async fn agent_of(
        &self,
        org: &OrgId,
        target: &Target,
    ) -> Result<AgentId, ControlError> {
        let unknown = || refuse(RefusalCode::NotFound, format!("no {target} is here"));
        let book = self.book(org)?;
        match target {
            Target::Agent(id) => Ok(id.clone()),
            Target::Workflow(id) => book
                .registry()
                .workflows
                .get(id)
                .map(|w| w.agent.clone())
                .ok_or_else(unknown),
            Target::Run(id) => {
                let run = self
                    .books
                    .get::<remit_domain::Run>(org, id.as_str())
                    .await?;
                run.map(|r| r.noun.agent).ok_or_else(unknown)
            }
            Target::Credential(id) => {
                let key = book.registry().keys.get(id).map(|k| k.agent.clone());
                match key {
                    Some(agent) => Ok(agent),
                    None => match self.books.get::<Token>(org, id).await? {
                        Some(token) => Ok(token.noun.agent),
                        None => self
                            .books
                            .get::<Svid>(org, id)
                            .await?
                            .map(|svid| svid.noun.agent)
                            .ok_or_else(unknown),
                    },
                }
            }
        }
    }
}

/// Whether the caller may contain what belongs to `agent`, so far.
fn may_contain(
    registry: &Registry,
    caller: &Caller,
    agent: &AgentId,
    level: Level,
) -> Result<(), ControlError> {
    let person = caller.person()?;
    if caller.require(&[Role::Responder, Role::Admin]).is_ok() {
        return Ok(());
    }
    let answers = registry
        .agents
        .get(agent)
        .is_some_and(|a| a.profile.owner == person.id || a.profile.sponsor == person.id);
    match (answers, level) {
        (true, Level::Suspend) => Ok(()),
        (true, _) => {
            let text = "the agent's owner and sponsor suspend; a responder or an administrator quarantines and kills";
            Err(refuse(RefusalCode::Forbidden, text))
        }
        (false, _) => {
            let text = "a responder or an administrator contains; the agent's owner and sponsor may suspend";
            Err(refuse(RefusalCode::Forbidden, text))
        }
    }
}

/// Refuses what would change nothing.
fn not_yet(
    registry: &Registry,
    target: &Target,
    agent: &AgentId,
    level: Level,
) -> Result<(), ControlError> {
    if let Target::Agent(_) = target
        && registry
            .agents
            .get(agent)
            .is_some_and(|a| a.state == AgentState::Retired)
    {
        return Err(refuse(
            RefusalCode::Conflict,
            "the agent is retired: nothing of it is left to contain",
        ));
    }
    let as_far = registry
        .containments
        .values()
        .find(|c| c.target == *target && c.level >= level);
    match as_far {
        Some(c) => {
            let text = format!(
                "{target} is contained already ({}) by {}",
                c.level.as_str(),
                c.id
            );
            Err(refuse(RefusalCode::Conflict, text))
        }
        None => Ok(()),
    }
}

fn effect(level: Level) -> Vec<String> {
    let lines: &[&str] = match level {
        Level::Suspend => &[
            "lifting restores the target and its runs",
            "tokens and pending approvals do not come back",
        ],
        Level::Quarantine => &[
            "evidence is kept; only a responder or an administrator lifts",
            "tokens and pending approvals do not come back",
        ],
        Level::Kill => &[
            "final: runs end, delegations and tokens are revoked, keys are removed",
            "an agent returns only with new keys and a new activation",
        ],
    };
    lines.iter().map(|l| (*l).to_owned()).collect()
}

/// A target by name.
fn target_label(registry: &Registry, target: &Target) -> String {
    match target {
        Target::Agent(id) => format!("agent {}", names::agent(registry, id)),
        Target::Workflow(id) => format!("workflow {}", names::workflow(registry, id)),
        Target::Run(_) | Target::Credential(_) => target.to_string(),
    }
}

fn view(registry: &Registry, containment: &Versioned<Containment>) -> ContainmentView {
    let c = &containment.noun;
    ContainmentView {
        id: c.id.clone(),
        state: remit_domain::Noun::state(c),
        revision: containment.revision,
        target: c.target.clone(),
        target_name: target_label(registry, &c.target),
        level: c.level,
        reason: c.reason.clone(),
        by: names::principal(registry, &c.by),
        at: c.at,
        lifted: c.lifted.as_ref().map(|(at, by)| Lifted {
            at: *at,
            by: names::principal(registry, by),
        }),
        certificate: c.certificates.last().map(CertificateView::from),
        certificates: c.certificates.len(),
    }
}

#[cfg(test)]
mod tests;
