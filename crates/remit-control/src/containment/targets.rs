//! What people name when they contain something, and who may.

use remit_domain::agent::AgentState;
use remit_domain::containment::{Level, Target};
use remit_domain::credential::{Svid, Token};
use remit_domain::{AgentId, OrgId, PersonId, RefusalCode, Registry, Role, Run, RunId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Caller, Control, ControlError, names, refuse};

/// What to contain, as people name it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetName {
    /// Sort of target.
    #[serde(rename = "type")]
    pub kind: TargetKind,
    /// Name of an agent, upstream, model or the organization, `agent/workflow`, `upstream/tool`, or a person's address.
    #[serde(default)]
    pub name: Option<String>,
    /// Id of an agent, workflow, run, person, token or SVID, thumbprint of a key, hash of a definition; of a chain any run of it,
    /// or the `txn` of its tokens.
    #[serde(default)]
    pub id: Option<String>,
}

/// Sort of target. Everything at once is the operator's, elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the noun of the same name")]
pub enum TargetKind {
    Agent,
    Workflow,
    Run,
    Chain,
    Person,
    Credential,
    Upstream,
    Tool,
    Definition,
    Model,
    Organization,
}

impl TargetKind {
    /// The sort as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Workflow => "workflow",
            Self::Run => "run",
            Self::Chain => "chain",
            Self::Person => "person",
            Self::Credential => "credential",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
            Self::Definition => "definition",
            Self::Model => "model",
            Self::Organization => "organization",
        }
    }
}

/// What the registry knows by its name; none for what only the store knows, or nobody does.
fn registered(registry: &Registry, kind: TargetKind, text: &str) -> Option<Target> {
    match kind {
        TargetKind::Agent => {
            let by_id = || text.parse().ok().and_then(|id| registry.agents.get(&id));
            let agent = registry.agent_named(text).or_else(by_id)?;
            Some(Target::Agent(agent.id.clone()))
        }
        TargetKind::Workflow => {
            let by_id = || text.parse().ok().and_then(|id| registry.workflows.get(&id));
            let by_name = text.split_once('/').and_then(|(agent, workflow)| {
                registry.workflow_named(&registry.agent_named(agent)?.id, workflow)
            });
            Some(Target::Workflow(by_name.or_else(by_id)?.id.clone()))
        }
        TargetKind::Person => {
            let by_id = || text.parse().ok().and_then(|id| registry.people.get(&id));
            let person = registry.person_named(text).or_else(by_id)?;
            Some(Target::Person(person.id.clone()))
        }
        TargetKind::Upstream => {
            let name = text.parse().ok()?;
            let known = registry.upstreams.contains_key(&name);
            known.then_some(Target::Upstream(name))
        }
        TargetKind::Tool => {
            let tool = text.parse().ok()?;
            let known = registry.tools.contains_key(&tool);
            known.then_some(Target::Tool(tool))
        }
        TargetKind::Definition => {
            let mut tools = registry.tools.values();
            let has = |d: &remit_domain::tool::Definition| d.hash == text;
            let known = tools.any(|t| has(&t.definition) || t.pending.as_ref().is_some_and(has));
            known.then(|| Target::Definition(text.to_owned()))
        }
        TargetKind::Model => {
            let said = |run: &Run| run.provenance.model.as_deref() == Some(text);
            let known = registry.agents.values().any(|a| a.profile.model == text)
                || registry.runs.values().any(|run| said(run));
            known.then(|| Target::Model(text.to_owned()))
        }
        TargetKind::Organization => {
            let is = registry.organization.as_ref()?;
            let named = is.name.as_str() == text || is.id.as_str() == text;
            named.then(|| Target::Organization(is.id.clone()))
        }
        TargetKind::Run | TargetKind::Chain | TargetKind::Credential => None,
    }
}

impl Control {
    /// The target that was named, and the agent it belongs to where it is one agent's.
    pub(super) async fn target(
        &self,
        org: &OrgId,
        named: &TargetName,
    ) -> Result<(Target, Option<AgentId>), ControlError> {
        let text = match (&named.name, &named.id) {
            (Some(text), None) | (None, Some(text)) if !text.is_empty() => text.as_str(),
            _ => {
                return Err(refuse(
                    RefusalCode::InvalidRequest,
                    "name the target by `name` or by `id`, one of them",
                ));
            }
        };
        let unknown = || {
            let shown: String = text.chars().take(80).collect();
            let what = named.kind.as_str();
            refuse(
                RefusalCode::NotFound,
                format!("no {what} `{shown}` is here"),
            )
        };
        if named.kind == TargetKind::Credential {
            let found = self.credential_target(org, text).await?;
            let (target, agent) = found.ok_or_else(unknown)?;
            return Ok((target, Some(agent)));
        }
        let found = registered(&self.book(org)?.registry(), named.kind, text);
        let target = match (found, named.kind) {
            (Some(target), _) => target,
            (None, TargetKind::Run) => Target::Run(text.parse().map_err(|_| unknown())?),
            (None, TargetKind::Chain) => {
                let id: RunId = text.parse().map_err(|_| unknown())?;
                let run = self.books.get::<Run>(org, id.as_str()).await?;
                Target::Chain(run.ok_or_else(unknown)?.noun.root)
            }
            (None, _) => return Err(unknown()),
        };
        let agent = self.agent_of(org, &target).await?;
        Ok((target, agent))
    }

    /// The agent a target belongs to; none for what is not one agent's.
    pub(crate) async fn agent_of(
        &self,
        org: &OrgId,
        target: &Target,
    ) -> Result<Option<AgentId>, ControlError> {
        let unknown = || refuse(RefusalCode::NotFound, format!("no {target} is here"));
        let book = self.book(org)?;
        let agent = match target {
            Target::Agent(id) => id.clone(),
            Target::Workflow(id) => {
                let registry = book.registry();
                let workflow = registry.workflows.get(id).ok_or_else(unknown)?;
                workflow.agent.clone()
            }
            Target::Run(id) | Target::Chain(id) => {
                let run = self.books.get::<Run>(org, id.as_str()).await?;
                run.ok_or_else(unknown)?.noun.agent
            }
            Target::Credential(id) => {
                let key = book.registry().keys.get(id).map(|k| k.agent.clone());
                match key {
                    Some(agent) => agent,
                    None => match self.books.get::<Token>(org, id).await? {
                        Some(token) => token.noun.agent,
                        None => {
                            let svid = self.books.get::<Svid>(org, id).await?;
                            svid.ok_or_else(unknown)?.noun.agent
                        }
                    },
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(agent))
    }
}

/// Whether the caller may contain the target, which belongs to `agent`, so far.
pub(super) fn may_contain(
    registry: &Registry,
    caller: &Caller,
    (target, agent): (&Target, Option<&AgentId>),
    level: Level,
) -> Result<(), ControlError> {
    let person = caller.person()?;
    if level == Level::Kill && !target.can_be_killed() {
        let text = "what many agents share is suspended or quarantined, so that it can come back; kill agents, workflows, runs, chains, credentials, or what a person delegates";
        return Err(refuse(RefusalCode::InvalidRequest, text));
    }
    if caller.require(&[Role::Responder, Role::Admin]).is_ok() {
        return Ok(());
    }
    let text = match (answers(registry, target, agent, &person.id), level) {
        (true, Level::Suspend) => return Ok(()),
        (true, _) => {
            "you may suspend what you answer for; a responder or an administrator quarantines and kills"
        }
        (false, _) => {
            "a responder or an administrator contains; the agent's owner and sponsor may suspend"
        }
    };
    Err(refuse(RefusalCode::Forbidden, text))
}

/// Whether a person answers for a target: it is an agent that they own or sponsor, or what they delegated themselves.
fn answers(
    registry: &Registry,
    target: &Target,
    agent: Option<&AgentId>,
    person: &PersonId,
) -> bool {
    let agent = agent.and_then(|id| registry.agents.get(id));
    *target == Target::Person(person.clone())
        || agent.is_some_and(|a| a.profile.owner == *person || a.profile.sponsor == *person)
}

/// Refuses what would change nothing.
pub(super) fn not_yet(
    registry: &Registry,
    target: &Target,
    level: Level,
) -> Result<(), ControlError> {
    let retired = |id| {
        let agent = registry.agents.get(id);
        agent.is_some_and(|a| a.state == AgentState::Retired)
    };
    if let Target::Agent(id) = target
        && retired(id)
    {
        return Err(refuse(
            RefusalCode::Conflict,
            "the agent is retired: nothing of it is left to contain",
        ));
    }
    let mut standing = registry.containments.values();
    match standing.find(|c| c.target == *target && c.level >= level) {
        Some(c) => {
            let level = c.level.as_str();
            let text = format!("{target} is contained already ({level}) by {}", c.id);
            Err(refuse(RefusalCode::Conflict, text))
        }
        None => Ok(()),
    }
}

/// A target by name.
pub(super) fn target_label(registry: &Registry, target: &Target) -> String {
    match target {
        Target::Agent(id) => format!("agent {}", names::agent(registry, id)),
        Target::Workflow(id) => format!("workflow {}", names::workflow(registry, id)),
        Target::Person(id) => format!("delegations of {}", names::person(registry, id)),
        Target::Organization(_) => match &registry.organization {
            Some(is) => format!("organization {}", is.name),
            None => target.to_string(),
        },
        _ => target.to_string(),
    }
}
