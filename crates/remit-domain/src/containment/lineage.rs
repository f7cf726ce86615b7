//! What falls under a containment: the one rule, for tokens, issue, exchange, calls, approvals, SVIDs and certificates alike.

use std::sync::Arc;

use super::{Containment, Target};
use crate::approval::Approval;
use crate::credential::{AgentKey, Svid, Token};
use crate::delegation::Delegation;
use crate::limits::CHAIN_DEPTH_MAX;
use crate::tool::ToolRef;
use crate::{
    Agent, AgentId, PersonId, Refusal, RefusalCode, Registry, Run, RunId, Tool, WorkflowId,
};

/// Everything that one thing rests on, as far as it is known here: containing any of it contains the thing.
#[derive(Debug, Clone, Default)]
pub struct Lineage<'a> {
    /// The agent, and every agent above it in its chain.
    pub agents: Vec<&'a AgentId>,
    /// The workflow, and every workflow above it.
    pub workflows: Vec<&'a WorkflowId>,
    /// The run, and every run above it.
    pub runs: Vec<&'a RunId>,
    /// The first run of the tree.
    pub chains: Vec<&'a RunId>,
    /// For whom it acts.
    pub people: Vec<&'a PersonId>,
    /// Keys by thumbprint, tokens and SVIDs by id: what it is, and what it was asked for with.
    pub credentials: Vec<&'a str>,
    /// Models of the agents, and those that the runs name.
    pub models: Vec<&'a str>,
    /// The tool.
    pub tool: Option<&'a ToolRef>,
    /// Hash of the tool's definition.
    pub definition: Option<&'a str>,
}

impl Target {
    /// Whether what rests on `of` is contained with the target. There is no other rule.
    pub fn holds(&self, of: &Lineage<'_>) -> bool {
        match self {
            Self::Agent(id) => of.agents.contains(&id),
            Self::Workflow(id) => of.workflows.contains(&id),
            Self::Run(id) => of.runs.contains(&id),
            Self::Chain(id) => of.chains.contains(&id),
            Self::Person(id) => of.people.contains(&id),
            Self::Credential(id) => of.credentials.contains(&id.as_str()),
            Self::Upstream(name) => of.tool.is_some_and(|tool| tool.upstream() == name),
            Self::Tool(tool) => of.tool == Some(tool),
            Self::Definition(hash) => of.definition == Some(hash.as_str()),
            Self::Model(model) => of.models.contains(&model.as_str()),
            // A credential alone acts for nobody: gateways of the organization go on telling what came of their calls.
            Self::Organization(_) | Self::Everything => of.acts(),
        }
    }
}

impl<'a> Lineage<'a> {
    fn acts(&self) -> bool {
        self.tool.is_some()
            || !(self.agents.is_empty()
                && self.workflows.is_empty()
                && self.runs.is_empty()
                && self.people.is_empty())
    }

    /// What is proved with these credentials, by thumbprint or id.
    pub fn of_credentials(credentials: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            credentials: credentials.into_iter().collect(),
            ..Self::default()
        }
    }

    /// What a person lets agents do.
    pub fn of_person(person: &'a PersonId) -> Self {
        Self {
            people: vec![person],
            ..Self::default()
        }
    }

    /// A workflow by itself.
    pub fn of_workflow(workflow: &'a WorkflowId) -> Self {
        Self {
            workflows: vec![workflow],
            ..Self::default()
        }
    }

    /// An agent by itself.
    pub fn of_agent(agent: &'a Agent) -> Self {
        Self {
            agents: vec![&agent.id],
            models: vec![&agent.profile.model],
            ..Self::default()
        }
    }

    /// A tool as it is offered now.
    pub fn of_tool(tool: &'a Tool) -> Self {
        Self {
            tool: Some(&tool.tool),
            definition: Some(&tool.definition.hash),
            ..Self::default()
        }
    }

    /// The same, called with this tool as it was defined.
    #[must_use]
    pub fn calling(mut self, tool: &'a ToolRef, definition: Option<&'a str>) -> Self {
        self.tool = Some(tool);
        self.definition = definition;
        self
    }

    /// The same, proved with these credentials too.
    #[must_use]
    pub fn with(mut self, credentials: impl IntoIterator<Item = &'a str>) -> Self {
        self.credentials.extend(credentials);
        self
    }
}

impl Registry {
    /// The containment that holds what rests on `of`, where there is one.
    pub fn held(&self, of: &Lineage<'_>) -> Option<&Arc<Containment>> {
        self.containments.values().find(|c| c.target.holds(of))
    }

    /// That nothing holds what rests on `of`; it costs nothing while nothing is contained.
    ///
    /// # Errors
    /// `contained`, saying by what.
    pub fn not_held<'a>(&self, of: impl FnOnce() -> Lineage<'a>) -> Result<(), Refusal> {
        if self.containments.is_empty() {
            return Ok(());
        }
        self.held(&of())
            .map_or(Ok(()), |held| Err(self.contained_by(held)))
    }

    /// What is said to whoever is contained.
    fn contained_by(&self, held: &Containment) -> Refusal {
        let what = match &held.target {
            Target::Agent(id) => match self.agents.get(id) {
                Some(agent) => format!("agent {}", agent.name),
                None => "the agent".to_owned(),
            },
            Target::Workflow(_) => "the workflow".to_owned(),
            Target::Run(_) => "the run".to_owned(),
            Target::Chain(_) => "the chain of runs".to_owned(),
            Target::Person(_) => "what this person delegates".to_owned(),
            Target::Credential(_) => "the credential".to_owned(),
            Target::Upstream(name) => format!("upstream {name}"),
            Target::Tool(tool) => format!("tool {tool}"),
            Target::Definition(_) => "the definition of this tool".to_owned(),
            Target::Model(model) => format!("model {model}"),
            Target::Organization(_) => "the organization".to_owned(),
            Target::Everything => "everything here".to_owned(),
        };
        let text = format!(
            "{what} is contained ({}): {}",
            held.level.as_str(),
            held.reason
        );
        Refusal::new(RefusalCode::Contained, text)
    }

    fn add_agent<'a>(&'a self, of: &mut Lineage<'a>, id: &'a AgentId) {
        of.agents.push(id);
        of.models
            .extend(self.agents.get(id).map(|a| a.profile.model.as_str()));
    }

    fn add_link<'a>(&'a self, of: &mut Lineage<'a>, link: &'a Delegation) {
        self.add_agent(of, &link.to);
        if let Some(from) = link.from.agent() {
            self.add_agent(of, from);
        }
        of.workflows.push(&link.workflow);
        of.people.push(&link.person);
        of.credentials
            .extend(link.token.as_ref().map(|token| token.as_str()));
        if let Some(run) = &link.run {
            of.runs.push(run);
            of.chains.extend(self.runs.get(run).map(|run| &run.root));
        }
    }

    /// What one delegation rests on, without those above it.
    pub fn lineage_of_link<'a>(&'a self, link: &'a Delegation) -> Lineage<'a> {
        let mut of = Lineage::default();
        self.add_link(&mut of, link);
        of
    }

    /// What a delegation rests on, with every one above it.
    pub fn lineage_of_delegation<'a>(&'a self, link: &'a Delegation) -> Lineage<'a> {
        let mut of = self.lineage_of_link(link);
        let mut above = link.parent.as_ref();
        for _ in 0..CHAIN_DEPTH_MAX {
            let Some(link) = above.and_then(|id| self.delegations.get(id)) else {
                break;
            };
            self.add_link(&mut of, link);
            above = link.parent.as_ref();
        }
        of
    }

    /// What a run rests on: every run above it, and every link of its chain.
    pub fn lineage_of_run<'a>(&'a self, run: &'a Run) -> Lineage<'a> {
        let mut of = Lineage {
            chains: vec![&run.root],
            ..Lineage::default()
        };
        for link in run.chain.iter().filter_map(|id| self.delegations.get(id)) {
            self.add_link(&mut of, link);
        }
        let mut at = Some(run);
        for _ in 0..=CHAIN_DEPTH_MAX {
            let Some(run) = at else { break };
            self.add_agent(&mut of, &run.agent);
            of.workflows.push(&run.workflow);
            of.runs.push(&run.id);
            of.people.extend(&run.person);
            of.models.extend(run.provenance.model.as_deref());
            of.credentials.extend(run.started_with());
            at = run
                .parent
                .as_ref()
                .and_then(|id| self.runs.get(id))
                .map(AsRef::as_ref);
        }
        of
    }

    /// What is known of a run by its id, and of its agent where the run has ended.
    fn lineage_in<'a>(&'a self, run: &'a RunId, agent: &'a AgentId) -> Lineage<'a> {
        if let Some(run) = self.runs.get(run) {
            return self.lineage_of_run(run);
        }
        let mut of = Lineage {
            runs: vec![run],
            ..Lineage::default()
        };
        self.add_agent(&mut of, agent);
        of
    }

    /// What a call in a run rests on.
    pub fn lineage_of_call<'a>(
        &'a self,
        run: &'a RunId,
        agent: &'a AgentId,
        tool: &'a ToolRef,
        definition: Option<&'a str>,
    ) -> Lineage<'a> {
        self.lineage_in(run, agent).calling(tool, definition)
    }

    /// What an approval rests on.
    pub fn lineage_of_approval<'a>(&'a self, approval: &'a Approval) -> Lineage<'a> {
        let definition = Some(approval.definition_hash.as_str());
        self.lineage_of_call(&approval.run, &approval.agent, &approval.tool, definition)
    }

    /// What a token rests on: its run, itself, and what it was asked for with.
    pub fn lineage_of_token<'a>(&'a self, token: &'a Token) -> Lineage<'a> {
        let mut of = self.lineage_in(&token.run, &token.agent);
        of.workflows.push(&token.workflow);
        of.people.extend(&token.person);
        let asked_with = [token.id.as_str(), token.thumbprint.as_str()];
        of.with(asked_with)
            .with(token.bound_to.as_deref())
            .with(token.certificate.as_deref())
            .with(token.svid.as_ref().map(|svid| svid.as_str()))
            .with(token.from.as_ref().map(|from| from.as_str()))
    }

    /// What an SVID rests on: its run where it has one, itself, and what it was asked for with.
    pub fn lineage_of_svid<'a>(&'a self, svid: &'a Svid) -> Lineage<'a> {
        let mut of = match &svid.run {
            Some(run) => self.lineage_in(run, &svid.agent),
            None => {
                let mut of = Lineage::default();
                self.add_agent(&mut of, &svid.agent);
                of
            }
        };
        of.workflows.push(&svid.workflow);
        let named = [&svid.thumbprint, &svid.bound_to, &svid.key];
        of.with([svid.id.as_str()])
            .with(svid.token.as_ref().map(|token| token.as_str()))
            .with(named.into_iter().flatten().map(String::as_str))
    }

    /// What an agent's key rests on.
    pub fn lineage_of_key<'a>(&'a self, key: &'a AgentKey) -> Lineage<'a> {
        let mut of = Lineage::of_credentials([key.thumbprint.as_str()]);
        self.add_agent(&mut of, &key.agent);
        of
    }
}

#[cfg(test)]
mod tests;
