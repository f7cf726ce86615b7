//! Effective access: what an agent can reach, computed by the policies in force rather than read from what was meant.

use std::sync::Arc;

use remit_books::facts::{Situation, Who, fixed_facts};
use remit_domain::attestation::Trust;
use remit_domain::authority::Authority;
use remit_domain::limits::DELEGATION_SECS_MAX;
use remit_domain::name::{Email, Name};
use remit_domain::run::{Intent, Mode};
use remit_domain::tool::ToolRef;
use remit_domain::{
    Agent, DelegationId, Person, Principal, Refusal, RefusalCode, Registry, RunId, Timestamp,
    Workflow,
};
use remit_policy::facts::{Link, PersonFacts};
use remit_policy::{Dynamic, Engine, Explanation, Facts, Fixed, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decision::for_decision;
use crate::error::{invalid, no_agent, no_tool, not_found};
use crate::{Caller, Control, ControlError, refuse};

/// Most labels of a hypothetical call.
const LABELS_MAX: usize = 64;

/// Said of a tool whose server runs beside the agent: what is decided of it holds as long as the agent keeps to it.
const COOPERATIVE: &str = "cooperative, not enforced: the server runs beside the agent, kept to Remit by its wrapper only";

/// What an agent can do with one tool in one workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessRow {
    /// In which workflow, by name.
    pub workflow: String,
    /// Which tool.
    pub tool: String,
    /// What it does, as declared.
    pub effect: Option<&'static str>,
    /// Whether it also reaches outside.
    pub external: bool,
    /// Data classes it touches.
    pub data_classes: Vec<String>,
    /// Name of the system it acts on.
    pub system: Option<String>,
    /// Environment of that system.
    pub environment: Option<&'static str>,
    /// `allow`, `ask` or `deny`.
    pub decision: &'static str,
    /// What has to hold besides, one line each.
    pub conditions: Vec<String>,
    /// Why it is denied or asked for.
    pub reasons: Vec<String>,
    /// Who may approve, where it asks.
    pub approvers: Vec<String>,
    /// The determining policies.
    pub policies: Vec<String>,
    /// When the last grant of it ends; none where one has no end.
    pub expires: Option<Timestamp>,
}

/// A call that might be made.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hypothetical {
    /// By which agent.
    pub agent: Name,
    /// In which of its workflows.
    pub workflow: Name,
    /// Of which tool.
    pub tool: ToolRef,
    /// With which arguments.
    #[serde(default)]
    pub args: Value,
    /// For whom, by address.
    #[serde(default)]
    pub person: Option<Email>,
    /// In a run with this intent.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// Narrowed by a delegation to this.
    #[serde(default)]
    pub authority: Option<Authority>,
    /// In a run with these labels.
    #[serde(default)]
    pub labels: std::collections::BTreeSet<String>,
    /// By a caller that has proved so much of itself; as much as the workflow can where absent.
    #[serde(default)]
    pub trust: Option<Trust>,
}

/// What would be decided, and why.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Explained {
    /// `allow`, `ask` or `deny`.
    pub outcome: &'static str,
    /// Why, one line a policy: `(policy) text`.
    pub reasons: Vec<String>,
    /// What is wrong with the arguments; a real call would be refused for it before it is decided.
    pub argument_problems: Vec<String>,
    /// Who may approve, where it asks.
    pub approvers: Vec<String>,
    /// The decision and its policies, whole.
    #[schemars(with = "Value")]
    pub explanation: Explanation,
    /// What would change it.
    pub would_change: Vec<String>,
    /// What would refuse a real call before it is decided: containment, departure, deadlines.
    pub standing: Option<String>,
}

impl Control {
    /// What an agent can reach, row by row, for every tool that a workflow of it is granted. With `asks`, only what has to
    /// wait for people.
    ///
    /// A tool that requires entitlements of a person is computed for one who holds them; its row says so.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`; `denied` while the policies do not compile.
    pub fn access(
        &self,
        caller: &Caller,
        agent: &Name,
        asks: bool,
    ) -> Result<Vec<AccessRow>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let engine = book.engine().ok_or_else(no_engine)?;
        let registry = book.registry();
        let agent = registry
            .agent_named(agent.as_str())
            .ok_or_else(|| no_agent(&registry, agent))?;
        let now = self.books.now();
        let mut rows = Vec::new();
        for workflow in registry.workflows_of(&agent.id) {
            let tools: std::collections::BTreeSet<&ToolRef> =
                workflow.grants.iter().map(|g| &g.tool).collect();
            for tool in tools {
                let row = row(&registry, &engine, agent, workflow, tool, now);
                rows.extend(row.filter(|r| !asks || r.may_ask()));
            }
        }
        Ok(rows)
    }

    /// What would be decided of a call that is not made.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`; `invalid-request`; `denied` while the policies do
    /// not compile.
    pub fn explain(&self, caller: &Caller, call: Hypothetical) -> Result<Explained, ControlError> {
        caller.person()?;
        if call.labels.len() > LABELS_MAX {
            return Err(invalid(
                "labels",
                format!(
                    "has {} members; at most {LABELS_MAX} are permitted",
                    call.labels.len()
                ),
            ));
        }
        let args = match &call.args {
            Value::Null => Value::Object(serde_json::Map::new()),
            Value::Object(_) => call.args.clone(),
            _ => return Err(invalid("args", "is not an object")),
        };
        let book = self.book(&caller.org)?;
        let engine = book.engine().ok_or_else(no_engine)?;
        let registry = book.registry();
        let now = self.books.now();
        let (fixed, standing) = hypothetical(&registry, &call, now)?;
        let situation = Situation::of(&registry, &fixed.agent.id, &fixed.run.intent, &[], now);
        let dynamic = Dynamic {
            args,
            labels: call.labels.clone(),
            ticket: situation.ticket,
            findings: situation.findings,
            risk: situation.risk,
            trust: call.trust.unwrap_or(fixed.trust_within_reach()),
            ..Dynamic::at(now)
        };
        let argument_problems = engine
            .validate_args(&call.tool, &dynamic.args)
            .err()
            .map(|e| e.to_string());
        let explanation = engine.explain(Facts {
            fixed: &fixed,
            dynamic: &dynamic,
        });
        let decision = &explanation.decision;
        Ok(Explained {
            outcome: decision.outcome.as_str(),
            reasons: decision
                .reasons
                .iter()
                .map(|r| format!("({}) {}", r.policy, r.text))
                .collect(),
            argument_problems: argument_problems.into_iter().collect(),
            approvers: approvers(&decision.outcome),
            would_change: for_decision(decision),
            explanation,
            standing,
        })
    }
}

impl AccessRow {
    /// Whether a call of it waits for people, always or with some arguments.
    fn may_ask(&self) -> bool {
        self.decision == "ask" || self.conditions.iter().any(|c| c.starts_with("may ask"))
    }
}

/// The facts of a hypothetical call, and what would refuse a real one before it is decided.
fn hypothetical(
    registry: &Registry,
    call: &Hypothetical,
    now: Timestamp,
) -> Result<(Fixed, Option<String>), ControlError> {
    let agent = registry
        .agent_named(call.agent.as_str())
        .ok_or_else(|| no_agent(registry, &call.agent))?;
    let workflow = registry
        .workflow_named(&agent.id, call.workflow.as_str())
        .ok_or_else(|| not_found("workflow", &call.workflow))?;
    let named = |email: &Email| {
        let found = registry.person_named(email.as_str());
        found.ok_or_else(|| not_found("person", email))
    };
    let person = call.person.as_ref().map(named).transpose()?;
    let intent = call.intent.clone().unwrap_or_default();
    let who = who(agent, workflow, person, intent, now);
    let mut fixed =
        fixed_facts(registry, &who, &call.tool).ok_or_else(|| no_tool(registry, &call.tool))?;
    if let Some(person) = person {
        let authority = call.authority.clone().unwrap_or_default();
        fixed.chain = vec![link(person, agent, authority, now)];
    }
    let stands = registry.standing_agent(&agent.id);
    let stands = stands.and_then(|_| registry.standing_workflow(&agent.id, &workflow.id));
    let stands = stands.and_then(|_| standing_tool(registry, &call.tool));
    Ok((fixed, stands.err().map(|r| r.to_string())))
}

/// That calls of a tool are not contained; one that is not here is said elsewhere.
fn standing_tool(registry: &Registry, tool: &ToolRef) -> Result<(), Refusal> {
    let tool = registry.tools.get(tool);
    tool.map_or(Ok(()), |tool| registry.standing_tool(tool))
}

pub(crate) fn no_engine() -> ControlError {
    let text = "the organization's policies do not compile, so everything is denied; an administrator has to mend them";
    refuse(RefusalCode::Denied, text)
}

pub(crate) fn who(
    agent: &Arc<Agent>,
    workflow: &Arc<Workflow>,
    person: Option<&Arc<Person>>,
    intent: Intent,
    now: Timestamp,
) -> Who {
    Who {
        agent: Arc::clone(agent),
        workflow: Arc::clone(workflow),
        person: person.cloned(),
        chain: Vec::new(),
        root: RunId::from_uuid(Default::default()),
        intent,
        mode: if person.is_some() {
            Mode::Interactive
        } else {
            Mode::Api
        },
        deadline: now.plus_secs(workflow.run_secs_max.max(1)),
        run: None,
    }
}

/// A delegation that might be made, for as long as one may last.
fn link(person: &Person, agent: &Agent, authority: Authority, now: Timestamp) -> Link {
    Link {
        from: Principal::Person(person.id.clone()),
        to: agent.id.clone(),
        delegation: DelegationId::from_uuid(Default::default()),
        authority,
        expires: now.plus_secs(DELEGATION_SECS_MAX),
        depth_left: 0,
    }
}

fn row(
    registry: &Registry,
    engine: &Engine,
    agent: &Arc<Agent>,
    workflow: &Arc<Workflow>,
    tool: &ToolRef,
    now: Timestamp,
) -> Option<AccessRow> {
    let who = who(agent, workflow, None, Intent::default(), now);
    let Some(mut fixed) = fixed_facts(registry, &who, tool) else {
        return Some(unknown(workflow, tool));
    };
    let mut conditions = entitled(registry, agent, &mut fixed, now);
    let access = engine.access(&fixed, now);
    conditions.extend(access.conditions);
    let beside = registry.upstreams.get(tool.upstream());
    if beside.is_some_and(|upstream| upstream.is_cooperative()) {
        conditions.push(COOPERATIVE.to_owned());
    }
    let grants = || workflow.grants.iter().filter(|g| g.tool == *tool);
    let endless = grants().any(|g| g.expires.is_none());
    let classification = fixed.tool.classification.as_ref();
    let (decision, reasons) = match registry
        .standing_agent(&agent.id)
        .and_then(|_| registry.standing_workflow(&agent.id, &workflow.id))
        .and_then(|_| standing_tool(registry, tool))
    {
        Ok(_) => (
            access.decision.outcome.as_str(),
            access
                .decision
                .reasons
                .iter()
                .map(|r| r.text.clone())
                .collect(),
        ),
        // What does not stand reaches nothing, whatever its policies say.
        Err(refusal) => ("deny", vec![refusal.to_string()]),
    };
    Some(AccessRow {
        workflow: workflow.name.to_string(),
        tool: tool.to_string(),
        effect: classification.map(|c| c.effect.as_str()),
        external: classification.is_some_and(|c| c.external),
        data_classes: classification
            .map(|c| c.data_classes.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        system: fixed.system.as_ref().map(|s| s.name.to_string()),
        environment: fixed.system.as_ref().map(|s| s.environment.as_str()),
        decision,
        conditions,
        reasons,
        approvers: approvers(&access.decision.outcome),
        policies: access.decision.policies.clone(),
        expires: grants()
            .filter_map(|g| g.expires)
            .max()
            .filter(|_| !endless),
    })
}

/// Where a tool requires entitlements, a person who holds them: what they would have to be is the condition.
pub(crate) fn entitled(
    registry: &Registry,
    agent: &Agent,
    fixed: &mut Fixed,
    now: Timestamp,
) -> Vec<String> {
    let required = fixed
        .tool
        .classification
        .as_ref()
        .map(|c| c.entitlements.clone())
        .unwrap_or_default();
    let Some(sponsor) = registry
        .people
        .get(&agent.profile.sponsor)
        .filter(|_| !required.is_empty())
    else {
        return Vec::new();
    };
    fixed.person = Some(PersonFacts {
        id: sponsor.id.clone(),
        active: true,
        entitlements: required.clone(),
        roles: std::collections::BTreeSet::new(),
        teams: std::collections::BTreeSet::new(),
    });
    fixed.chain = vec![link(sponsor, agent, Authority::default(), now)];
    fixed.run.mode = Mode::Interactive;
    let required: Vec<String> = required.iter().map(ToString::to_string).collect();
    vec![format!(
        "only for a person who holds {}",
        required.join(", ")
    )]
}

/// A tool that is granted and not here.
fn unknown(workflow: &Workflow, tool: &ToolRef) -> AccessRow {
    AccessRow {
        workflow: workflow.name.to_string(),
        tool: tool.to_string(),
        effect: None,
        external: false,
        data_classes: Vec::new(),
        system: None,
        environment: None,
        decision: "deny",
        conditions: Vec::new(),
        reasons: vec!["the tool is not registered here".to_owned()],
        approvers: Vec::new(),
        policies: Vec::new(),
        expires: None,
    }
}

fn approvers(outcome: &Outcome) -> Vec<String> {
    let Outcome::Ask(asks) = outcome else {
        return Vec::new();
    };
    let all: std::collections::BTreeSet<String> = asks
        .iter()
        .flat_map(|a| a.approvers.iter().map(ToString::to_string))
        .collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests;
