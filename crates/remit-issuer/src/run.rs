//! Runs, opened by those who may.

use std::sync::Arc;

use remit_books::{Ending, NewRun};
use remit_domain::delegation::{Delegation, DelegationUse};
use remit_domain::limits::TEXT_BYTES_MAX;
use remit_domain::run::{Intent, Mode, Provenance, RunEnd};
use remit_domain::{
    AgentId, DelegationId, OrgId, PersonId, Principal, Refusal, RefusalCode, Registry, Role, Run,
    Timestamp, Workflow, WorkflowId,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::limits::RUNS_LIVE_MAX;
use crate::refusal::{from_books, no};
use crate::{Issuer, PersonIdentity, Verified, check, narrow};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Caller<'a> {
    /// An agent, with an access token.
    Agent(&'a Verified),
    /// A person.
    Person(&'a PersonIdentity),
}

impl Caller<'_> {
    fn agent(&self) -> Option<&AgentId> {
        if let Self::Agent(verified) = self {
            Some(&verified.agent)
        } else {
            None
        }
    }
}

/// A run to open.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Of which workflow.
    pub workflow: WorkflowId,
    /// How it comes to be: interactive, api or background.
    pub mode: Mode,
    /// What it is for.
    #[serde(default)]
    pub intent: Intent,
    /// What starts it; required of a background run.
    #[serde(default)]
    pub trigger: Option<String>,
    /// The delegation it rests on: a person's own for an interactive run, a sponsor's standing one for a background run.
    #[serde(default)]
    pub delegation: Option<DelegationId>,
    /// A person's subject token, with which an agent opens an interactive run.
    #[serde(default)]
    pub subject_token: Option<SecretString>,
    /// What the caller says about itself.
    #[serde(default)]
    pub provenance: Provenance,
}

/// For whom a run is, and by which delegation.
struct Ground {
    person: Option<PersonId>,
    link: Option<Arc<Delegation>>,
    once: Option<remit_ports::store::Once>,
}

impl Issuer {
    /// Opens a run. A refusal is recorded.
    ///
    /// An *api* run acts for nobody and is opened by the agent itself. An *interactive* run needs a person's delegation: by
    /// id from that person, by single-use subject token from the agent. A *background* run needs a trigger and a standing
    /// delegation of the agent's sponsor. A *subagent* run is spawned, not opened.
    ///
    /// # Errors
    /// `no-accountable-person` for a background run without a standing delegation; `chain-broken`, `forbidden`,
    /// `workflow-unknown`, `invalid-request`, `limited`, and whatever the agent's standing refuses with.
    pub async fn open_run(
        &self,
        org: &OrgId,
        caller: Caller<'_>,
        request: RunRequest,
    ) -> Result<Run, Refusal> {
        match self.open_run_inner(org, caller, request).await {
            Err(refusal) if refusal.code != RefusalCode::LedgerUnavailable => {
                Err(self.refuse(org, "run", caller.agent(), None, refusal).await)
            }
            other => other,
        }
    }

    async fn open_run_inner(
        &self,
        org: &OrgId,
        caller: Caller<'_>,
        request: RunRequest,
    ) -> Result<Run, Refusal> {
        check::intent(&request.intent)?;
        check::provenance(&request.provenance)?;
        check::text(
            "trigger",
            request.trigger.as_deref().unwrap_or_default(),
            TEXT_BYTES_MAX,
        )?;
        let workflow = self.workflow_to_run(org, caller, &request.workflow)?;
        let ground = match request.mode {
            Mode::Api => api(caller)?,
            Mode::Interactive => self.interactive(org, caller, &workflow, &request).await?,
            Mode::Background => self.background(org, caller, &workflow, &request)?,
            Mode::Subagent => {
                return Err(no(
                    RefusalCode::InvalidRequest,
                    "a sub-agent's run is spawned by its parent, not opened",
                ));
            }
        };
        self.runs_within_limit(org, &workflow.agent)?;
        let new = NewRun {
            agent: workflow.agent.clone(),
            mode: request.mode,
            trigger: request.trigger,
            intent: self.within_token(org, caller, request.intent)?,
            person: ground.person,
            chain: ground.link.iter().map(|link| link.id.clone()).collect(),
            parent: None,
            implicit_key: None,
            provenance: request.provenance,
            idle_secs_max: None,
            ends_by: ground.link.map(|link| link.expires),
        };
        let (run, mut change) = self.books().plan_run(org, &workflow, new);
        if let Some(once) = ground.once {
            change = change.once(once);
        }
        self.books().commit(org, change).await.map_err(from_books)?;
        // What was contained meanwhile gets no run; the record of it stays, ended.
        if let Err(refusal) = self.standing_run(org, &run.id, None).await {
            let ending = Ending::because(Principal::Remit, RunEnd::Contained);
            self.books()
                .end_run(org, &run.id, &ending)
                .await
                .map_err(from_books)?;
            return Err(refusal);
        }
        self.touch(&run.id);
        Ok(run)
    }

    /// An intent within the bounds of the run that the caller's token is for: a narrowed token opens no wider run.
    fn within_token(
        &self,
        org: &OrgId,
        caller: Caller<'_>,
        intent: Intent,
    ) -> Result<Intent, Refusal> {
        let Caller::Agent(verified) = caller else {
            return Ok(intent);
        };
        let book = self.tenant(org)?;
        let registry = book.registry();
        let ended = || no(RefusalCode::RunEnded, "the run of the token has ended");
        let own = registry.runs.get(&verified.run).ok_or_else(ended)?;
        if own.implicit_key.is_none() {
            // What a run declares of itself is its own: the next one declares anew.
            return Ok(intent);
        }
        Ok(Intent {
            authority: narrow::meet(&own.intent.authority, &intent.authority),
            ..intent
        })
    }

    fn workflow_to_run(
        &self,
        org: &OrgId,
        caller: Caller<'_>,
        id: &WorkflowId,
    ) -> Result<Arc<Workflow>, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let unknown = || no(RefusalCode::WorkflowUnknown, "no such workflow is in use");
        let agent = match caller {
            // A token is for one workflow: it opens runs of no other.
            Caller::Agent(verified) if verified.workflow != *id => {
                return Err(no(
                    RefusalCode::WorkflowUnknown,
                    "the token is for another workflow; get one for this workflow",
                ));
            }
            Caller::Agent(verified) => verified.agent.clone(),
            Caller::Person(_) => registry
                .workflows
                .get(id)
                .ok_or_else(unknown)?
                .agent
                .clone(),
        };
        registry.standing_agent(&agent)?;
        registry.standing_workflow(&agent, id)
    }

    async fn interactive(
        &self,
        org: &OrgId,
        caller: Caller<'_>,
        workflow: &Workflow,
        request: &RunRequest,
    ) -> Result<Ground, Refusal> {
        match (caller, &request.delegation, &request.subject_token) {
            (Caller::Person(person), Some(id), None) => {
                let link = self.own_link(org, person, id, workflow)?;
                Ok(Ground {
                    person: Some(link.person.clone()),
                    link: Some(link),
                    once: None,
                })
            }
            (Caller::Agent(_), None, Some(token)) => {
                let (link, once) = self
                    .subject_of_person(org, &workflow.agent, &workflow.id, token.expose_secret())
                    .await?;
                Ok(Ground {
                    person: Some(link.person.clone()),
                    link: Some(link),
                    once: Some(once),
                })
            }
            (Caller::Person(_), ..) => Err(no(
                RefusalCode::InvalidRequest,
                "name your own `delegation` to this agent and workflow, and nothing else",
            )),
            (Caller::Agent(_), ..) => {
                let text = "an interactive run needs the `subject_token` that the person was given for this agent and workflow";
                Err(no(RefusalCode::InvalidRequest, text))
            }
        }
    }

    fn own_link(
        &self,
        org: &OrgId,
        person: &PersonIdentity,
        id: &DelegationId,
        workflow: &Workflow,
    ) -> Result<Arc<Delegation>, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let from = Principal::Person(person.person.id.clone());
        let found = registry
            .delegations
            .get(id)
            .filter(|link| link.from == from && fits(link, workflow, DelegationUse::Interactive));
        let link = found.filter(|link| link.is_live(self.books().now()));
        link.cloned().ok_or_else(|| {
            no(
                RefusalCode::ChainBroken,
                "you have no such delegation to this agent and workflow that counts",
            )
        })
    }

    fn background(
        &self,
        org: &OrgId,
        caller: Caller<'_>,
        workflow: &Workflow,
        request: &RunRequest,
    ) -> Result<Ground, Refusal> {
        if request
            .trigger
            .as_deref()
            .unwrap_or_default()
            .trim()
            .is_empty()
        {
            return Err(no(
                RefusalCode::InvalidRequest,
                "say in `trigger` which event or schedule starts this run",
            ));
        }
        if request.subject_token.is_some() {
            return Err(no(
                RefusalCode::InvalidRequest,
                "a background run rests on a standing delegation, not on a subject token",
            ));
        }
        let book = self.tenant(org)?;
        let registry = book.registry();
        let agent = registry.standing_agent(&workflow.agent)?;
        if let Caller::Person(person) = caller {
            let own = person.person.id == agent.profile.sponsor
                || person.person.id == agent.profile.owner;
            if !own && !person.holds(Role::Admin) {
                return Err(no(
                    RefusalCode::Forbidden,
                    "only the agent's owner or sponsor, or an administrator, may start it",
                ));
            }
        }
        let sponsor = &agent.profile.sponsor;
        let link = standing_link(&registry, workflow, sponsor, request.delegation.as_ref(), self.books().now()).ok_or_else(|| {
            let text = "no standing delegation of the agent's sponsor permits runs of this workflow that nobody starts by hand; \
                        the sponsor has to grant one";
            no(RefusalCode::NoAccountablePerson, text)
        })?;
        Ok(Ground {
            person: Some(sponsor.clone()),
            link: Some(link),
            once: None,
        })
    }

    /// Refuses where an agent has too many live runs.
    pub(crate) fn runs_within_limit(&self, org: &OrgId, agent: &AgentId) -> Result<(), Refusal> {
        let live = self
            .tenant(org)?
            .registry()
            .runs
            .values()
            .filter(|run| run.agent == *agent)
            .count();
        if live >= RUNS_LIVE_MAX {
            return Err(no(
                RefusalCode::Limited,
                format!("the agent has {RUNS_LIVE_MAX} live runs; end some of them"),
            ));
        }
        Ok(())
    }
}

fn api(caller: Caller<'_>) -> Result<Ground, Refusal> {
    match caller {
        Caller::Agent(_) => Ok(Ground {
            person: None,
            link: None,
            once: None,
        }),
        Caller::Person(_) => {
            let text =
                "an api run is opened by the agent itself; a person opens an interactive one";
            Err(no(RefusalCode::InvalidRequest, text))
        }
    }
}

fn fits(link: &Delegation, workflow: &Workflow, usage: DelegationUse) -> bool {
    link.to == workflow.agent && link.workflow == workflow.id && link.kind == usage
}

/// The sponsor's standing delegation: the one named, or the one that ends last.
fn standing_link(
    registry: &Registry,
    workflow: &Workflow,
    sponsor: &PersonId,
    named: Option<&DelegationId>,
    now: Timestamp,
) -> Option<Arc<Delegation>> {
    let live = registry.delegations.values().filter(|link| {
        let own = link.from == Principal::Person(sponsor.clone())
            && link.person == *sponsor
            && link.parent.is_none();
        own && fits(link, workflow, DelegationUse::Standing)
            && link.is_live(now)
            && named.is_none_or(|id| link.id == *id)
    });
    live.max_by_key(|link| (link.expires, link.id.clone()))
        .cloned()
}
