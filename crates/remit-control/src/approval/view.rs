//! Approvals as people, and as the agent that waits, see them.

use std::collections::BTreeMap;

use remit_books::Versioned;
use remit_domain::approval::{
    Approval, ApprovalState, Approvers, Given, NoteKind, RunTerms, Verdict, may_stand,
};
use remit_domain::tool::ToolRef;
use remit_domain::{ApprovalId, DecisionId, PersonId, Registry, RunId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{claim, decide, eligible, state_at};
use crate::{Caller, names};

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
    /// Who may besides, as time runs, and from when.
    pub escalates: Vec<EscalationView>,
}

/// Who may say yes besides, from a time on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EscalationView {
    /// From when.
    pub at: Timestamp,
    /// Who: `role:admin`, `sponsor-manager`, ….
    pub approvers: Vec<String>,
    /// Whether that time has come.
    pub is_due: bool,
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
    /// Whether they proved with a passkey, over the digest of this call, that it was them.
    pub with_passkey: bool,
    /// What they said yes to besides this call, in words.
    pub for_run: Option<String>,
}

/// What an approval for a run lets pass.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ForRunView {
    /// How many calls.
    pub count: u32,
    /// How many it has let pass.
    pub used: u32,
    /// What arguments may be; those that are not named are as they are shown.
    pub bounds: remit_domain::bounds::Bounds,
    /// The same in words.
    pub text: String,
}

/// A question or an answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NoteView {
    /// Which of them.
    pub kind: NoteKind,
    /// Whose, by address.
    pub person: String,
    /// What they said.
    pub text: String,
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
    /// Questions and answers, oldest first.
    pub notes: Vec<NoteView>,
    /// Address of the person it was handed to last.
    pub given_to: Option<String>,
    /// By whom.
    pub given_by: Option<String>,
    /// The arguments that whoever said no would say yes to.
    pub edited: Option<Value>,
    /// Whether a yes to it takes the passkey of whoever has one and decides in a browser.
    pub is_severe: bool,
    /// Whether the caller may ask about it.
    pub you_may_ask: bool,
    /// Whether the caller may answer what was asked.
    pub you_may_answer: bool,
    /// Who is on call, where that is asked.
    pub routing: Vec<String>,
    /// Address of whoever looks into it now.
    pub claimed_by: Option<String>,
    /// Until when, unless they say so again.
    pub claimed_until: Option<Timestamp>,
    /// Whether a yes may be said for the run: every policy that asks lets it, and what the tool does is not severe.
    pub may_stand: bool,
    /// What it lets pass, where it was approved for the run.
    pub for_run: Option<ForRunView>,
    /// Whether the caller may take the yes back.
    pub you_may_withdraw: bool,
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
    /// The arguments that a person proposes in place of these; a call with them is asked for anew.
    pub edited: Option<Value>,
    /// Where it holds for the run: how often, how long, and what arguments may be.
    pub for_run: Option<String>,
}

/// What a yes lets happen, in one line.
fn opens(registry: &Registry, approval: &Approval) -> String {
    let who = match &approval.person {
        Some(person) => format!(" for {}", names::person(registry, person)),
        None => String::new(),
    };
    let agent = names::agent(registry, &approval.agent);
    let how = match &approval.for_run {
        Some(terms) => format!(
            "{} times, within the bounds that were approved",
            terms.count
        ),
        None => "once, with exactly these arguments".to_owned(),
    };
    format!(
        "agent {agent}{who} calls {} {how}, in run {}, before {}",
        approval.tool,
        approval.run,
        Timestamp::from_secs(approval.expires.as_secs())
    )
}

fn ask_views(registry: &Registry, approval: &Approval, now: Timestamp) -> Vec<AskView> {
    let waited = now.secs_since(approval.requested);
    let yes = approval
        .verdicts
        .iter()
        .filter(|v| v.approve)
        .filter_map(|v| registry.people.get(&v.person));
    let yes: Vec<_> = yes.collect();
    let view = |ask: &remit_domain::approval::Ask| {
        let counted = |p: &remit_domain::Person| {
            eligible::counts_for(registry, approval, p, now).is_ok_and(|asks| asks.contains(&ask))
        };
        let approved_by: Vec<String> = yes
            .iter()
            .filter(|p| counted(p))
            .map(|p| p.email.to_string())
            .collect();
        AskView {
            policy: ask.policy.clone(),
            approvers: told(ask.approvers_after(waited)),
            escalates: ask
                .escalate
                .iter()
                .map(|step| EscalationView {
                    at: approval.requested.plus_secs(step.after_secs.into()),
                    approvers: told(step.approvers.iter()),
                    is_due: i64::from(step.after_secs) <= waited,
                })
                .collect(),
            quorum: ask.quorum,
            satisfied: approved_by.len() >= usize::from(ask.quorum.max(1)),
            approved_by,
        }
    };
    approval.asks.iter().map(view).collect()
}

fn told<'a>(approvers: impl IntoIterator<Item = &'a Approvers>) -> Vec<String> {
    approvers.into_iter().map(ToString::to_string).collect()
}

/// What one person said, with their name in the place of their id.
fn verdict(registry: &Registry, v: &Verdict) -> VerdictView {
    VerdictView {
        person: names::person(registry, &v.person),
        approve: v.approve,
        reason: v.reason.clone(),
        at: v.at,
        with_passkey: v.proof.is_some(),
        for_run: v.for_run.as_ref().map(RunTerms::in_words),
    }
}

fn note(registry: &Registry, n: &remit_domain::approval::Note) -> NoteView {
    NoteView {
        kind: n.kind,
        person: names::person(registry, &n.person),
        text: n.text.clone(),
        at: n.at,
    }
}

fn for_run(terms: &RunTerms) -> ForRunView {
    ForRunView {
        count: terms.count,
        used: 0,
        bounds: terms.bounds.clone(),
        text: terms.in_words(),
    }
}

/// What whoever looks at it may do.
#[derive(Default)]
struct Yours {
    may_not: Option<String>,
    may_ask: bool,
    may_answer: bool,
    may_withdraw: bool,
}

fn yours(
    registry: &Registry,
    a: &Approval,
    caller: Option<&Caller>,
    state: ApprovalState,
    now: Timestamp,
) -> Yours {
    let Some(you) = caller.and_then(|c| c.person.as_ref()) else {
        return Yours::default();
    };
    match state {
        ApprovalState::Pending => Yours {
            may_not: eligible::counts_for(registry, a, you, now).err(),
            may_ask: eligible::may_deny(registry, a, you, now),
            may_answer: eligible::may_answer(registry, a, you),
            may_withdraw: false,
        },
        ApprovalState::Approved => Yours {
            may_withdraw: claim::may_withdraw(registry, a, you, now),
            ..Yours::default()
        },
        _ => Yours::default(),
    }
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
        eligible::approvers(registry, a, now)
    } else {
        Vec::new()
    };
    let you = yours(registry, a, caller, state, now);
    let claim = a.claim_at(now).filter(|_| waits);
    let classification = tool.and_then(|t| t.classification.as_ref());
    let given =
        |pick: fn(&Given) -> &PersonId| a.given.as_ref().map(|g| names::person(registry, pick(g)));
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
        effect: classification.map(|c| c.effect.as_str()),
        system,
        definition_hash: a.definition_hash.clone(),
        args: a.args.clone(),
        reasons: a.reasons.clone(),
        asks: ask_views(registry, a, now),
        four_eyes: eligible::four_eyes_apply(registry, a),
        may_approve: may_approve
            .iter()
            .map(|p| (p.email.to_string(), p.display_name.clone()))
            .collect(),
        you_may_not: you.may_not,
        requested: a.requested,
        expires: a.expires,
        verdicts: a.verdicts.iter().map(|v| verdict(registry, v)).collect(),
        notes: a.notes.iter().map(|n| note(registry, n)).collect(),
        given_to: given(|g| &g.to),
        given_by: given(|g| &g.by),
        edited: a.edited.clone(),
        is_severe: decide::is_severe(registry, a),
        you_may_ask: you.may_ask,
        you_may_answer: you.may_answer,
        routing: if waits {
            eligible::routing(registry, a, now)
        } else {
            Vec::new()
        },
        claimed_by: claim.map(|c| names::person(registry, &c.by)),
        claimed_until: claim.map(|c| c.until),
        may_stand: waits && may_stand(&a.asks, classification).is_ok(),
        you_may_withdraw: you.may_withdraw,
        for_run: a.for_run.as_ref().map(for_run),
    }
}

pub(super) fn agent_view(approval: &Approval, now: Timestamp) -> AgentApprovalView {
    let state = state_at(approval, now);
    let text = match state {
        ApprovalState::Pending => "people have been asked; wait, then make the same call again",
        ApprovalState::Approved if approval.for_run.is_some() => {
            "approved for this run: make the call again, and others that keep what was approved"
        }
        ApprovalState::Approved => "approved: make exactly the same call again, once",
        ApprovalState::Withdrawn => "the yes was taken back; make the call again to ask again",
        ApprovalState::Denied if approval.edited.is_some() => {
            "a person said no to this, and proposes other arguments: call with exactly those, which are asked for anew"
        }
        ApprovalState::Denied => "a person said no; do not make this call again",
        ApprovalState::Expired => "nobody said yes in time; make the call again to ask again",
        ApprovalState::Cancelled => "the run ended or was contained; the approval is void",
        ApprovalState::Stale => "the policies have changed since; make the call again to ask again",
        ApprovalState::Used => "the call was sent; an approval is good for one call",
        ApprovalState::Ambiguous => "the call was sent and no answer came; it is never sent again",
    };
    let waited = now.secs_since(approval.requested);
    let asked = approval.asks.iter();
    let approvers: std::collections::BTreeSet<String> = asked
        .flat_map(|a| told(a.approvers_after(waited)))
        .collect();
    AgentApprovalView {
        id: approval.id.clone(),
        state,
        text: text.to_owned(),
        tool: approval.tool.clone(),
        approvers: approvers.into_iter().collect(),
        expires: approval.expires,
        edited: approval.edited.clone(),
        for_run: approval.for_run.as_ref().map(RunTerms::in_words),
    }
}
