//! Approvals: what waits for people, who may say yes, what they said.
//!
//! What is shown is what runs: the canonical arguments whose digest the approval is bound to (invariant 6). Who may
//! approve is decided in [`eligible`], from the registry as it is at that moment.

mod decide;
pub mod eligible;
mod wait;

use std::collections::BTreeMap;

use remit_books::{BooksError, Change, Versioned};
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::event::{Event, EventKind};
use remit_domain::tool::ToolRef;
use remit_domain::{
    AgentId, ApprovalId, DecisionId, OrgId, Principal, RefusalCode, Registry, RunId, Timestamp,
};
use remit_ports::store::Filter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Caller, Control, ControlError, Listing, names, refuse};

pub use wait::{WAIT_SECS_MAX, Watch};

/// Which approvals to list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalFilter {
    /// Only in this state.
    pub state: Option<ApprovalState>,
    /// Only those the caller may decide now.
    pub mine: bool,
    /// Only after this one, which is older: the list is newest first.
    pub after: Option<ApprovalId>,
    /// At most this many, 1 to 1,000.
    pub limit: Option<u32>,
}

/// One policy that asks, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AskView {
    /// The policy.
    pub policy: String,
    /// Who may say yes: `role:approver`, `sponsor`, ….
    pub approvers: Vec<String>,
    /// How many different people must.
    pub quorum: u8,
    /// Addresses of those who said yes and count for it.
    pub approved_by: Vec<String>,
    /// Whether it is satisfied.
    pub satisfied: bool,
}

/// What one person said.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VerdictView {
    /// Address.
    pub person: String,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An approval, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ApprovalView {
    /// Its id.
    pub id: ApprovalId,
    /// Where it stands now, expiry included.
    pub state: ApprovalState,
    /// Its revision, which is also its ETag.
    pub revision: u64,
    /// What a yes lets happen, in one line.
    pub opens: String,
    /// Digest of the exact call.
    pub digest: String,
    /// The decision that asked.
    pub decision: DecisionId,
    /// Which agent, by name.
    pub agent: String,
    /// In which workflow, as `agent/workflow`.
    pub workflow: String,
    /// In which run.
    pub run: RunId,
    /// Address of the person the run acts for.
    pub person: Option<String>,
    /// What the run is for, as its intent says.
    pub intent: Option<remit_domain::run::Intent>,
    /// Which tool.
    pub tool: ToolRef,
    /// What the tool does, as an administrator declared.
    pub effect: Option<&'static str>,
    /// Name of the system it acts on.
    pub system: Option<String>,
    /// Hash of the tool's definition when asked.
    pub definition_hash: String,
    /// The exact arguments.
    pub args: Value,
    /// Why, one line a policy.
    pub reasons: Vec<String>,
    /// The policies that ask.
    pub asks: Vec<AskView>,
    /// Whether nobody approves what is done for themselves.
    pub four_eyes: bool,
    /// Everyone who may say yes now: address to name.
    pub may_approve: BTreeMap<String, String>,
    /// Why the caller may not, where they may not.
    pub you_may_not: Option<String>,
    /// When asked.
    pub requested: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// What people said.
    pub verdicts: Vec<VerdictView>,
}

/// An approval, as the agent that waits for it sees it: no names of people.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AgentApprovalView {
    /// Its id.
    pub id: ApprovalId,
    /// Where it stands now.
    pub state: ApprovalState,
    /// What that means for the agent.
    pub text: String,
    /// Which tool.
    pub tool: ToolRef,
    /// Who may say yes: `role:approver`, `sponsor`, ….
    pub approvers: Vec<String>,
    /// When it ends.
    pub expires: Timestamp,
}

impl Control {
    /// Approvals, newest first, and where to go on.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn approvals(
        &self,
        caller: &Caller,
        wanted: &ApprovalFilter,
    ) -> Result<Listing<ApprovalView>, ControlError> {
        let person = caller.person()?;
        let filter = Filter {
            // What has expired may still be stored as waiting.
            state: wanted
                .state
                .filter(|s| *s != ApprovalState::Expired)
                .map(|s| s.as_str().to_owned()),
            after: wanted.after.as_ref().map(ToString::to_string),
            limit: wanted.limit.unwrap_or(100),
            descending: true,
            ..Filter::default()
        };
        let (page, next) = self.books.list::<Approval>(&caller.org, &filter).await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let now = self.books.now();
        let in_state = |a: &Approval| wanted.state.is_none_or(|s| s == state_at(a, now));
        let for_caller = |a: &Approval| {
            !wanted.mine
                || (state_at(a, now) == ApprovalState::Pending
                    && eligible::counts_for(&registry, a, person).is_ok())
        };
        let items = page
            .iter()
            .filter(|a| in_state(&a.noun) && for_caller(&a.noun))
            .map(|a| view(&registry, a, Some(caller), now))
            .collect();
        Ok(Listing { items, next })
    }

    /// One approval. One whose time has run out is settled as expired first.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for anyone but people of the organization.
    pub async fn approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
    ) -> Result<ApprovalView, ControlError> {
        caller.person()?;
        let found = self.current(&caller.org, id).await?;
        Ok(view(
            &self.book(&caller.org)?.registry(),
            &found,
            Some(caller),
            self.books.now(),
        ))
    }

    /// One approval of an agent's own, for that agent.
    ///
    /// # Errors
    /// `not-found`, also for another agent's.
    pub async fn approval_of_agent(
        &self,
        org: &OrgId,
        agent: &AgentId,
        id: &ApprovalId,
    ) -> Result<AgentApprovalView, ControlError> {
        let found = self.current(org, id).await?.noun;
        if found.agent != *agent {
            return Err(unknown(id));
        }
        Ok(agent_view(&found, self.books.now()))
    }

    /// The approval as stored, after expiry.
    pub(crate) async fn current(
        &self,
        org: &OrgId,
        id: &ApprovalId,
    ) -> Result<Versioned<Approval>, ControlError> {
        let found = self
            .books
            .get::<Approval>(org, id.as_str())
            .await?
            .ok_or_else(|| unknown(id))?;
        if !is_overdue(&found.noun, self.books.now()) {
            return Ok(found);
        }
        self.expire(org, id).await?;
        self.books
            .get::<Approval>(org, id.as_str())
            .await?
            .ok_or_else(|| unknown(id))
    }

    /// Settles an approval whose time has run out. Does nothing when it has not, or was settled meanwhile.
    pub(crate) async fn expire(&self, org: &OrgId, id: &ApprovalId) -> Result<bool, BooksError> {
        self.books
            .retrying(org, || async {
                let Some(Versioned { noun, revision }) =
                    self.books.get::<Approval>(org, id.as_str()).await?
                else {
                    return Ok((false, None));
                };
                let now = self.books.now();
                if !is_overdue(&noun, now) {
                    return Ok((false, None));
                }
                let next = Approval {
                    state: ApprovalState::Expired,
                    ..noun
                };
                let change = Change::new().update(&next, revision).event(settled(
                    &next,
                    Principal::Remit,
                    now,
                ));
                Ok((true, Some(change)))
            })
            .await
    }
}

fn unknown(id: &ApprovalId) -> ControlError {
    refuse(RefusalCode::NotFound, format!("no approval `{id}` is here"))
}

/// The entry that tells how an approval was settled without a verdict.
pub(crate) fn settled(approval: &Approval, by: Principal, now: Timestamp) -> Event {
    Event::new(EventKind::ApprovalSettled, now, by)
        .about(&approval.id)
        .run(&approval.run)
        .agent(&approval.agent)
        .decision(&approval.decision)
        .fact("state", approval.state)
}

fn is_overdue(approval: &Approval, now: Timestamp) -> bool {
    matches!(
        approval.state,
        ApprovalState::Pending | ApprovalState::Approved
    ) && now >= approval.expires
}

/// Where an approval stands at `now`: what waits too long has expired, whether or not it was written down yet.
pub(crate) fn state_at(approval: &Approval, now: Timestamp) -> ApprovalState {
    if is_overdue(approval, now) {
        ApprovalState::Expired
    } else {
        approval.state
    }
}

/// What a yes lets happen, in one line.
fn opens(registry: &Registry, approval: &Approval) -> String {
    let who = match &approval.person {
        Some(person) => format!(" for {}", names::person(registry, person)),
        None => String::new(),
    };
    let agent = names::agent(registry, &approval.agent);
    format!(
        "agent {agent}{who} calls {} once, with exactly these arguments, in run {}, before {}",
        approval.tool, approval.run, approval.expires
    )
}

fn ask_views(registry: &Registry, approval: &Approval) -> Vec<AskView> {
    let yes = approval
        .verdicts
        .iter()
        .filter(|v| v.approve)
        .filter_map(|v| registry.people.get(&v.person));
    let yes: Vec<_> = yes.collect();
    let view = |ask: &remit_domain::approval::Ask| {
        let counted = |p: &remit_domain::Person| {
            eligible::counts_for(registry, approval, p).is_ok_and(|asks| asks.contains(&ask))
        };
        let approved_by: Vec<String> = yes
            .iter()
            .filter(|p| counted(p))
            .map(|p| p.email.to_string())
            .collect();
        AskView {
            policy: ask.policy.clone(),
            approvers: ask.approvers.iter().map(ToString::to_string).collect(),
            quorum: ask.quorum,
            satisfied: approved_by.len() >= usize::from(ask.quorum.max(1)),
            approved_by,
        }
    };
    approval.asks.iter().map(view).collect()
}

pub(crate) fn view(
    registry: &Registry,
    approval: &Versioned<Approval>,
    caller: Option<&Caller>,
    now: Timestamp,
) -> ApprovalView {
    let a = &approval.noun;
    let state = state_at(a, now);
    let waits = state == ApprovalState::Pending;
    let tool = registry.tools.get(&a.tool);
    let upstream = registry.upstreams.get(a.tool.upstream());
    let system = upstream
        .and_then(|u| registry.systems.get(&u.system))
        .map(|s| s.name.to_string());
    let may_approve = if waits {
        eligible::approvers(registry, a)
    } else {
        Vec::new()
    };
    let you = caller.and_then(|c| c.person.as_ref()).filter(|_| waits);
    let you_may_not = you.and_then(|p| eligible::counts_for(registry, a, p).err());
    let verdict = |v: &remit_domain::approval::Verdict| VerdictView {
        person: names::person(registry, &v.person),
        approve: v.approve,
        reason: v.reason.clone(),
        at: v.at,
    };
    ApprovalView {
        id: a.id.clone(),
        state,
        revision: approval.revision,
        opens: opens(registry, a),
        digest: a.digest.clone(),
        decision: a.decision.clone(),
        agent: names::agent(registry, &a.agent),
        workflow: names::workflow(registry, &a.workflow),
        run: a.run.clone(),
        person: a.person.as_ref().map(|p| names::person(registry, p)),
        intent: registry.runs.get(&a.run).map(|r| r.intent.clone()),
        tool: a.tool.clone(),
        effect: tool
            .and_then(|t| t.classification.as_ref())
            .map(|c| c.effect.as_str()),
        system,
        definition_hash: a.definition_hash.clone(),
        args: a.args.clone(),
        reasons: a.reasons.clone(),
        asks: ask_views(registry, a),
        four_eyes: eligible::four_eyes_apply(registry, a),
        may_approve: may_approve
            .iter()
            .map(|p| (p.email.to_string(), p.display_name.clone()))
            .collect(),
        you_may_not,
        requested: a.requested,
        expires: a.expires,
        verdicts: a.verdicts.iter().map(verdict).collect(),
    }
}

fn agent_view(approval: &Approval, now: Timestamp) -> AgentApprovalView {
    let state = state_at(approval, now);
    let text = match state {
        ApprovalState::Pending => "people have been asked; wait, then make the same call again",
        ApprovalState::Approved => "approved: make exactly the same call again, once",
        ApprovalState::Denied => "a person said no; do not make this call again",
        ApprovalState::Expired => "nobody said yes in time; make the call again to ask again",
        ApprovalState::Cancelled => "the run ended or was contained; the approval is void",
        ApprovalState::Stale => "the policies have changed since; make the call again to ask again",
        ApprovalState::Used => "the call was sent; an approval is good for one call",
        ApprovalState::Ambiguous => "the call was sent and no answer came; it is never sent again",
    };
    let approvers: std::collections::BTreeSet<String> = approval
        .asks
        .iter()
        .flat_map(|a| a.approvers.iter().map(ToString::to_string))
        .collect();
    AgentApprovalView {
        id: approval.id.clone(),
        state,
        text: text.to_owned(),
        tool: approval.tool.clone(),
        approvers: approvers.into_iter().collect(),
        expires: approval.expires,
    }
}

#[cfg(test)]
mod tests;
