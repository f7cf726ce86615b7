//! Hops: whether a right may be handed on, and a credential issued for it, now.
//!
//! The nouns say what a hop may be at all: never wider, longer or deeper than what is above it. That is what permits it. An
//! organization's policies whose scope is one of the actions `Action::"delegate"` and `Action::"issue"`, or their group
//! `Action::"hop"`, come on top and only forbid. They are checked against a schema of their own and evaluated by themselves:
//! a policy without an action is about calls, and about calls only ([0009](../../../docs/decisions/0009-hops.md)).

use std::collections::{BTreeSet, HashSet};

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision as Cedar, Effect as CedarEffect, Entities,
    Entity, EntityUid, Policy, PolicyId, PolicySet, Request, Response,
    RestrictedExpression as Expr,
};
use remit_domain::Timestamp;
use remit_domain::attestation::Trust;
use remit_domain::name::Name;
use remit_domain::tool::{Classification, DataClass, ToolRef, is_regulated};
use serde::{Deserialize, Serialize};

use crate::breaches::Findings;
use crate::decision::Decision;
use crate::engine::{Engine, answer};
use crate::entities::{self, Types};
use crate::error::PolicyError;
use crate::facts::{AgentFacts, PersonFacts, WorkflowFacts};
use crate::labels::is_private;
use crate::load::{GUARDRAIL, Loaded};
use crate::schema::{HOP, is_external};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HopAction {
    /// A link is made: from a person, or from an agent to its sub-agent.
    Delegate,
    /// A token, or an identity assertion, is issued.
    Issue,
}

impl HopAction {
    /// Its word, which is also the id of its action.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delegate => "delegate",
            Self::Issue => "issue",
        }
    }
}

/// How a hop comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HopKind {
    /// A person lets an agent's client act for them, in a browser.
    Consent,
    /// A person delegates.
    Grant,
    /// A sponsor delegates for runs that nobody starts by hand.
    Standing,
    /// A person delegates for a ticket.
    Ticket,
    /// A person delegates for the window of an approval.
    Approval,
    /// An agent hands on to a sub-agent, or the sub-agent takes it up.
    SubAgent,
    /// An identity provider says that an agent acts for a person.
    IdJag,
    /// A client acts for itself, or goes on in a run.
    ClientCredentials,
    /// What a person consented to is taken up.
    Code,
    /// What a person delegated is taken up.
    Assertion,
    /// A client's own token becomes a narrower one.
    Exchange,
    /// A workload of another platform is vouched for by a trusted issuer.
    Workload,
    /// An agent says for another authorization server for whom it acts.
    IdentityAssertion,
}

impl HopKind {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Grant => "grant",
            Self::Standing => "standing",
            Self::Ticket => "ticket",
            Self::Approval => "approval",
            Self::SubAgent => "sub_agent",
            Self::IdJag => "id_jag",
            Self::ClientCredentials => "client_credentials",
            Self::Code => "code",
            Self::Assertion => "assertion",
            Self::Exchange => "exchange",
            Self::Workload => "workload",
            Self::IdentityAssertion => "identity_assertion",
        }
    }
}

/// Who hands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandsOn {
    /// A person.
    Person,
    /// An agent, by name.
    Agent(Name),
    /// Nobody: an agent acts for itself.
    Itself,
}

impl HandsOn {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Agent(_) => "agent",
            Self::Itself => "itself",
        }
    }
}

/// Everything that a hop is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopFacts {
    /// What is done.
    pub action: HopAction,
    /// How it comes about.
    pub kind: HopKind,
    /// Who receives.
    pub agent: AgentFacts,
    /// For which workflow; its grants are not looked at.
    pub workflow: WorkflowFacts,
    /// The person at the root of the chain.
    pub person: Option<PersonFacts>,
    /// Who hands on.
    pub from: HandsOn,
    /// Links from the person to the agent, this hop included.
    pub depth: usize,
    /// How many hops may follow.
    pub depth_left: u8,
    /// What it gives.
    pub gives: Gives,
    /// Seconds that it lives.
    pub secs: i64,
    /// Labels of the run that hands on, or that the token is for.
    pub labels: BTreeSet<String>,
    /// Data classes that are regulated in this organization besides those that are everywhere.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regulated: BTreeSet<DataClass>,
    /// State of the ticket it is for.
    pub ticket: String,
    /// The greatest risk of the open findings about the agent and its run, 0 to 3.
    pub risk: u8,
    /// Kinds of those findings.
    pub findings: BTreeSet<String>,
    /// How well whoever asks has proved what it is; none where a link is made.
    pub trust: Option<Trust>,
    /// When.
    pub now: Timestamp,
}

/// What a hop gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gives {
    /// Tools, as `upstream/tool`.
    pub tools: BTreeSet<String>,
    /// Their effects; `unclassified` for one that nobody has declared.
    pub effects: BTreeSet<String>,
    /// Whether one of them reaches outside, or nobody has declared whether it does.
    pub external: bool,
    /// Their data classes, as far as the links let them.
    pub data_classes: BTreeSet<DataClass>,
    /// Names of the systems they belong to.
    pub systems: BTreeSet<Name>,
}

impl Gives {
    /// Adds a tool.
    pub fn take(
        &mut self,
        tool: &ToolRef,
        classification: Option<&Classification>,
        system: Option<&Name>,
    ) {
        self.tools.insert(tool.to_string());
        let effect = classification.map_or("unclassified", |c| c.effect.as_str());
        self.effects.insert(effect.to_owned());
        self.external |= classification.is_none_or(is_external);
        let classes = classification.iter().flat_map(|c| &c.data_classes);
        self.data_classes.extend(classes.cloned());
        self.systems.extend(system.cloned());
    }
}

/// An organization's policies about hops, compiled.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    pub(crate) policies: Vec<Loaded>,
    /// None where there are none: then nothing is asked.
    set: Option<PolicySet>,
}

impl Hops {
    /// # Errors
    /// [`PolicyError::Schema`] when Cedar does not take them together.
    pub(crate) fn of(policies: Vec<Loaded>) -> Result<Self, PolicyError> {
        if policies.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |e: &dyn std::fmt::Display| PolicyError::Schema(e.to_string());
        let id = PolicyId::new(format!("{GUARDRAIL}/hop"));
        let permit = Policy::parse(Some(id), "permit (principal, action, resource);");
        let all = policies.iter().map(|l| l.policy.clone());
        let all = all.chain([permit.map_err(|e| wrong(&e))?]);
        let set = PolicySet::from_policies(all).map_err(|e| wrong(&e))?;
        Ok(Self {
            policies,
            set: Some(set),
        })
    }
}

/// Whether a policy is about hops: its action is one of theirs.
///
/// # Errors
/// One line, where it names actions of both.
pub(crate) fn is_about(policy: &Policy) -> Result<bool, String> {
    let ours = |uid: &EntityUid| {
        let id = uid.id().unescaped();
        uid.type_name().basename() == "Action"
            && [HOP, HopAction::Delegate.as_str(), HopAction::Issue.as_str()].contains(&id)
    };
    match policy.action_constraint() {
        ActionConstraint::Any => Ok(false),
        ActionConstraint::Eq(uid) => Ok(ours(&uid)),
        ActionConstraint::In(uids) if uids.iter().all(ours) => Ok(!uids.is_empty()),
        ActionConstraint::In(uids) if uids.iter().any(ours) => Err(
            "a policy is about calls or about hops (`delegate`, `issue`), not about both: write two"
                .to_owned(),
        ),
        ActionConstraint::In(_) => Ok(false),
    }
}

/// Refuses what a policy about hops cannot say.
///
/// # Errors
/// One line.
pub(crate) fn check(policy: &Policy, asks: bool) -> Result<(), String> {
    if policy.effect() != CedarEffect::Forbid {
        return Err(
            "a policy about hops only forbids: what permits a hop is the grant, the delegation and the parent, not a policy"
                .to_owned(),
        );
    }
    if asks {
        return Err(
            "a hop waits for nobody, so `unless { context.approved }` means nothing here: forbid it, or ask at the call"
                .to_owned(),
        );
    }
    Ok(())
}

impl Engine {
    /// Whether there are policies about hops at all: where there are none, nothing has to be gathered for them.
    pub fn has_hop_policies(&self) -> bool {
        self.hops().set.is_some()
    }

    /// Decides one hop that the nouns permit: deny where a policy forbids it, or where one cannot be evaluated. Never fails.
    pub fn decide_hop(&self, facts: &HopFacts) -> Decision {
        let findings = Findings::default();
        let Some(set) = &self.hops().set else {
            return answer::allow(&[], &findings);
        };
        let answered = ask(self.types(), set, facts);
        let response = match answered {
            Ok(response) => response,
            Err(text) => return answer::refusal("guardrail/facts", "policy-error", text),
        };
        let errors = answer::errors(&response);
        let determining = self.determining_hops(&response);
        if response.decision() == Cedar::Deny || !errors.is_empty() {
            return answer::deny(&determining, errors, &findings);
        }
        answer::allow(&[], &findings)
    }

    fn determining_hops(&self, response: &Response) -> Vec<&Loaded> {
        let determines = |l: &&Loaded| {
            let mut reasons = response.diagnostics().reason();
            reasons.any(|id| <PolicyId as AsRef<str>>::as_ref(id) == l.id)
        };
        let mut found: Vec<_> = self.hops().policies.iter().filter(determines).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }
}

/// # Errors
/// One line, when Cedar refuses an entity or the request; the caller denies.
fn ask(types: &Types, set: &PolicySet, facts: &HopFacts) -> Result<Response, String> {
    let agent = types.agent(facts.agent.name.as_str());
    let workflow = types.workflow(facts.agent.name.as_str(), facts.workflow.name.as_str());
    let person = types.person(facts.person.as_ref());
    let (action, group) = (types.action(facts.action.as_str()), types.action(HOP));
    let entities = Entities::from_entities(
        [
            entities::agent_entity(&facts.agent, agent.clone(), workflow.clone())?,
            entities::workflow_entity(&facts.workflow, workflow.clone())?,
            entities::person_entity(facts.person.as_ref(), person.clone())?,
            Entity::new_no_attrs(group.clone(), HashSet::new()),
            Entity::new_no_attrs(action.clone(), HashSet::from([group])),
        ],
        None,
    )
    .map_err(|e| e.to_string())?;
    let context = Context::from_pairs(context(facts, person)).map_err(|e| e.to_string())?;
    let request =
        Request::new(agent, action, workflow, context, None).map_err(|e| e.to_string())?;
    Ok(Authorizer::new().is_authorized(&request, set, &entities))
}

fn context(facts: &HopFacts, person: EntityUid) -> Vec<(String, Expr)> {
    let text = |text: &str| Expr::new_string(text.to_owned());
    let words = |words: &mut dyn Iterator<Item = &str>| {
        Expr::new_set(
            words
                .map(|w| Expr::new_string(w.to_owned()))
                .collect::<Vec<_>>(),
        )
    };
    let long = |n: usize| Expr::new_long(i64::try_from(n).unwrap_or(i64::MAX));
    let Gives {
        tools,
        effects,
        external,
        data_classes,
        systems,
    } = &facts.gives;
    let labels = || facts.labels.iter().map(String::as_str);
    let secs = facts.now.as_secs();
    let mut pairs = vec![
        ("kind", text(facts.kind.as_str())),
        ("from", text(facts.from.as_str())),
        ("depth", long(facts.depth)),
        ("hops_left", Expr::new_long(facts.depth_left.into())),
        ("tools", words(&mut tools.iter().map(String::as_str))),
        ("effects", words(&mut effects.iter().map(String::as_str))),
        ("external", Expr::new_bool(*external)),
        (
            "data_classes",
            words(&mut data_classes.iter().map(DataClass::as_str)),
        ),
        ("systems", words(&mut systems.iter().map(Name::as_str))),
        ("secs", Expr::new_long(facts.secs)),
        ("labels", words(&mut labels())),
        (
            "regulated",
            Expr::new_bool(labels().any(|l| is_regulated(l, &facts.regulated))),
        ),
        ("private", Expr::new_bool(labels().any(is_private))),
        ("ticket", text(&facts.ticket)),
        ("risk", Expr::new_long(facts.risk.into())),
        (
            "findings",
            words(&mut facts.findings.iter().map(String::as_str)),
        ),
        ("now", Expr::new_long(secs)),
        ("hour", Expr::new_long(secs.rem_euclid(86_400) / 3_600)),
        // 1970-01-01 was a Thursday.
        (
            "weekday",
            Expr::new_long((secs.div_euclid(86_400) + 3).rem_euclid(7) + 1),
        ),
        ("person", Expr::new_entity_uid(person)),
    ];
    if let HandsOn::Agent(name) = &facts.from {
        pairs.push(("from_agent", text(name.as_str())));
    }
    if let Some(trust) = facts.trust {
        pairs.push(("trust", Expr::new_long(trust.rank())));
    }
    let named = |(name, value): (&str, Expr)| (name.to_owned(), value);
    pairs.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests;
