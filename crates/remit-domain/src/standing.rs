//! Who may act at all: one check of agent, accountable people, workflow, run, chain and containment, shared by whoever
//! issues and whoever enforces (invariants 1, 4 and 8).

use std::sync::Arc;

use crate::agent::AgentState;
use crate::containment::Lineage;
use crate::delegation::Delegation;
use crate::limits::CHAIN_DEPTH_MAX;
use crate::run::RunState;
use crate::{
    Agent, AgentId, DelegationId, Person, PersonId, Refusal, RefusalCode, Registry, Run, RunId,
    Timestamp, Tool, Workflow, WorkflowId,
};

/// A run that stands: everything that answers for a call in it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Its workflow.
    pub workflow: Arc<Workflow>,
    /// The run.
    pub run: Arc<Run>,
    /// The person at the root of its chain.
    pub person: Option<Arc<Person>>,
    /// Every link of its chain, from the person's on.
    pub chain: Vec<Arc<Delegation>>,
}

fn no(code: RefusalCode, text: impl Into<String>) -> Refusal {
    Refusal::new(code, text)
}

impl Registry {
    /// The agent, when it may hold a credential: active, not contained, with a living owner and sponsor.
    ///
    /// # Errors
    /// `agent-not-active`, `no-accountable-person`, `contained`, `not-found`.
    pub fn standing_agent(&self, id: &AgentId) -> Result<Arc<Agent>, Refusal> {
        let agent = self
            .agents
            .get(id)
            .ok_or_else(|| no(RefusalCode::NotFound, "no such agent is registered here"))?;
        self.not_held(|| Lineage::of_agent(agent))?;
        if agent.state != AgentState::Active {
            let text = format!(
                "agent {} is {}, not active; an administrator has to activate it",
                agent.name,
                agent.state.as_str()
            );
            return Err(no(RefusalCode::AgentNotActive, text));
        }
        for (role, person) in [
            ("owner", &agent.profile.owner),
            ("sponsor", &agent.profile.sponsor),
        ] {
            if !self.people.get(person).is_some_and(|p| p.is_active()) {
                let text = format!(
                    "agent {} has no living {role}; an administrator has to name one",
                    agent.name
                );
                return Err(no(RefusalCode::NoAccountablePerson, text));
            }
        }
        Ok(Arc::clone(agent))
    }

    /// The workflow, when the agent may run it now.
    ///
    /// # Errors
    /// `workflow-unknown`, `contained`.
    pub fn standing_workflow(
        &self,
        agent: &AgentId,
        id: &WorkflowId,
    ) -> Result<Arc<Workflow>, Refusal> {
        self.not_held(|| Lineage::of_workflow(id))?;
        match self.workflows.get(id) {
            Some(w) if w.agent == *agent && w.enabled => Ok(Arc::clone(w)),
            _ => Err(no(
                RefusalCode::WorkflowUnknown,
                "the agent has no such workflow in use",
            )),
        }
    }

    /// Every link of a chain, when all of them count at `now` and the first is a living person's.
    ///
    /// # Errors
    /// `chain-broken`, `chain-too-deep`, `contained`.
    pub fn standing_chain(
        &self,
        person: Option<&PersonId>,
        chain: &[DelegationId],
        now: Timestamp,
    ) -> Result<Vec<Arc<Delegation>>, Refusal> {
        if chain.len() > CHAIN_DEPTH_MAX {
            return Err(no(
                RefusalCode::ChainTooDeep,
                format!(
                    "the chain has {} links; {CHAIN_DEPTH_MAX} are permitted",
                    chain.len()
                ),
            ));
        }
        let broken = |why: &str| {
            no(
                RefusalCode::ChainBroken,
                format!("{why}; ask the person to delegate again"),
            )
        };
        if let Some(person) = person
            && !self.people.get(person).is_some_and(|p| p.is_active())
        {
            return Err(broken("the person this run acts for has left"));
        }
        if let Some(person) = person {
            self.not_held(|| Lineage::of_person(person))?;
        }
        let mut links: Vec<Arc<Delegation>> = Vec::with_capacity(chain.len());
        for id in chain {
            let link = self
                .delegations
                .get(id)
                .filter(|d| d.is_live(now))
                .ok_or_else(|| broken("a delegation was revoked or has ended"))?;
            let follows = match links.last() {
                None => link.parent.is_none() && Some(&link.person) == person,
                Some(before) => {
                    link.parent.as_ref() == Some(&before.id)
                        && link.person == before.person
                        && before.depth_left > 0
                }
            };
            if !follows {
                return Err(broken("the delegations do not follow from each other"));
            }
            // The commit that tells a ticket to be over ends what is there; this holds for what was made at the same moment.
            let ticket = link.ticket.as_ref().and_then(|id| self.tickets.get(id));
            if ticket.is_some_and(|t| t.is_over()) {
                return Err(broken("the ticket that a delegation is for is over"));
            }
            if link.federated.as_ref().is_some_and(|f| !self.trusts(f)) {
                return Err(broken(
                    "the trust in the issuer by whose word it was delegated has ended or changed",
                ));
            }
            // Whoever stands in the middle of a chain lends it nothing while contained.
            self.not_held(|| self.lineage_of_link(link))?;
            links.push(Arc::clone(link));
        }
        Ok(links)
    }

    /// The tool as it is offered now, when calls of it are not contained.
    ///
    /// # Errors
    /// `contained`.
    pub fn standing_tool(&self, tool: &Tool) -> Result<(), Refusal> {
        self.not_held(|| Lineage::of_tool(tool))
    }

    /// Whether the run and every run above it go on.
    fn standing_tree(&self, run: &Arc<Run>, now: Timestamp) -> Result<(), Refusal> {
        let mut above = Some(run);
        let mut steps = 0;
        while let Some(at) = above {
            match at.state {
                RunState::Active if now < at.deadline => {}
                RunState::Active => {
                    return Err(no(
                        RefusalCode::RunEnded,
                        "the run has reached its deadline; start another",
                    ));
                }
                RunState::Suspended => {
                    // Most runs are suspended with their agent, and that is what has to be lifted.
                    self.standing_agent(&at.agent)?;
                    let text = "the run is suspended until a responder lifts it";
                    return Err(no(RefusalCode::Contained, text));
                }
                RunState::Ended { .. } => {
                    return Err(no(
                        RefusalCode::RunEnded,
                        "the run has ended; start another",
                    ));
                }
            }
            steps += 1;
            above = match &at.parent {
                Some(_) if steps > CHAIN_DEPTH_MAX => {
                    return Err(no(
                        RefusalCode::ChainTooDeep,
                        "the run has too many runs above it",
                    ));
                }
                Some(parent) => Some(self.runs.get(parent).ok_or_else(|| {
                    no(RefusalCode::RunEnded, "the run above this one has ended")
                })?),
                None => None,
            };
        }
        Ok(())
    }

    /// The run with everything that answers for it, when a call may be made in it at `now`.
    ///
    /// # Errors
    /// `run-unknown` when the registry does not keep it (ask the store whether it has ended), `run-ended`, `contained`, and
    /// whatever agent, workflow and chain refuse with.
    pub fn standing(&self, run: &RunId, now: Timestamp) -> Result<Standing, Refusal> {
        let run = self
            .runs
            .get(run)
            .ok_or_else(|| no(RefusalCode::RunUnknown, "no such run goes on here"))?;
        self.not_held(|| self.lineage_of_run(run))?;
        self.standing_tree(run, now)?;
        let agent = self.standing_agent(&run.agent)?;
        let workflow = self.standing_workflow(&run.agent, &run.workflow)?;
        let chain = self.standing_chain(run.person.as_ref(), &run.chain, now)?;
        if chain
            .last()
            .is_some_and(|l| l.to != run.agent || l.workflow != run.workflow)
        {
            return Err(no(
                RefusalCode::ChainBroken,
                "the last delegation is for another agent or workflow",
            ));
        }
        let person = run
            .person
            .as_ref()
            .and_then(|p| self.people.get(p))
            .cloned();
        Ok(Standing {
            agent,
            workflow,
            run: Arc::clone(run),
            person,
            chain,
        })
    }
}
