//! Spawning: an agent in a run of its own hands part of its right to a sub-agent.
//!
//! The sub-agent gets a run of its own below the parent's, a delegation cut from the parent's last one, and a single-use
//! subject token that it redeems with its own key. A run that acts for nobody has nothing to hand on.

use remit_books::entitled::{ActsFor, Withheld};
use remit_books::hop::{HopAction, HopKind};
use remit_books::{Change, Ending, Hop, HopAnswer, HopRefused, NewRun};
use remit_domain::authority::Authority;
use remit_domain::delegation::{Delegation, DelegationState, DelegationUse};
use remit_domain::event::{Event, EventKind};
use remit_domain::limits::CHAIN_DEPTH_MAX;
use remit_domain::run::{Intent, Mode, Provenance, RunEnd};
use remit_domain::standing::Standing;
use remit_domain::{
    AgentId, CredentialId, DelegationId, OrgId, Principal, Refusal, RefusalCode, Registry, Run,
    Timestamp, Workflow, WorkflowId,
};
use remit_ports::store::Once;
use secrecy::SecretString;
use serde::Deserialize;

use crate::below::{PLACES_TRIED_MAX, place_lost};
use crate::door::Denied;
use crate::refusal::no;
use crate::spent::spent;
use crate::{Issuer, Verified, check, narrow};

/// What a parent asks for its sub-agent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpawnRequest {
    /// The sub-agent.
    pub agent: AgentId,
    /// Its workflow, which the parent's workflow lists as spawnable.
    pub workflow: WorkflowId,
    /// What the sub-agent is narrowed to, besides what the parent itself has.
    #[serde(default)]
    pub authority: Authority,
    /// What its run is for.
    #[serde(default)]
    pub intent: Intent,
    /// What the caller says about it.
    #[serde(default)]
    pub provenance: Provenance,
    /// How long, in seconds from now; as long as the parent may where none is given.
    #[serde(default)]
    pub for_secs: Option<i64>,
}

impl SpawnRequest {
    /// A request that narrows no further than the parent.
    #[must_use]
    pub fn new(agent: AgentId, workflow: WorkflowId) -> Self {
        let (authority, intent, provenance) = (
            Authority::default(),
            Intent::default(),
            Provenance::default(),
        );
        Self {
            agent,
            workflow,
            authority,
            intent,
            provenance,
            for_secs: None,
        }
    }
}

/// A sub-agent's run, and what the sub-agent needs to go on in it.
#[derive(Debug)]
pub struct Spawned {
    /// Its run.
    pub run: Run,
    /// The link of its chain.
    pub delegation: Delegation,
    /// Single-use subject token; redeemed by the sub-agent, with its own key, at the token endpoint.
    pub subject_token: SecretString,
    /// Seconds until the subject token ends.
    pub expires_in: u32,
}

impl Issuer {
    /// Spawns a sub-agent's run from the parent's. A refusal is recorded.
    ///
    /// The link is narrowed to what was asked and to what the parent's run has by itself: the tools its workflow is
    /// granted now, its data classes and its intent. So a parent hands on only what it could do.
    ///
    /// # Errors
    /// `wider` when more is named than the parent has, `forbidden` when the workflow is not spawnable,
    /// `no-accountable-person` when the parent acts for nobody, `chain-too-deep`, `limited`, and whatever the parent's or
    /// the sub-agent's standing refuses with.
    pub async fn spawn(
        &self,
        org: &OrgId,
        parent: &Verified,
        request: SpawnRequest,
    ) -> Result<Spawned, Refusal> {
        // Counting the runs below may cost as much as starting one, and is paid by whoever is refused too.
        let made = match self.within_rate_or(parent.agent.as_str(), "start fewer sub-agents") {
            Ok(()) => self.spawn_inner(org, parent, request, Vec::new()).await,
            Err(refusal) => Err(refusal.into()),
        };
        match made {
            Ok(spawned) => Ok(spawned),
            Err(Failed::No(refusal)) => Err(self
                .refuse(
                    org,
                    "spawn",
                    Some(&parent.agent),
                    Some(&parent.run),
                    refusal,
                )
                .await),
            Err(Failed::Hop(hop)) => {
                let refusal = hop.refusal.clone();
                let denied = Denied {
                    run: Some(parent.run.clone()),
                    ..Denied::from(hop).by(&parent.agent)
                };
                self.deny(org, "spawn", denied).await;
                Err(refusal)
            }
            Err(Failed::Books(error)) => Err(crate::refusal::from_books(error)),
        }
    }

    /// The same, paid for by single-use proofs; the caller records a refusal.
    pub(crate) async fn spawn_with(
        &self,
        org: &OrgId,
        parent: &Verified,
        request: SpawnRequest,
        once: Vec<Once>,
    ) -> Result<Spawned, Denied> {
        self.spawn_inner(org, parent, request, once)
            .await
            .map_err(|failed| match failed {
                Failed::No(refusal) => Denied {
                    run: Some(parent.run.clone()),
                    ..Denied::from(refusal)
                },
                Failed::Hop(hop) => Denied {
                    run: Some(parent.run.clone()),
                    ..Denied::from(hop)
                },
                Failed::Books(error) => spent(error),
            })
    }

    async fn spawn_inner(
        &self,
        org: &OrgId,
        parent: &Verified,
        request: SpawnRequest,
        once: Vec<Once>,
    ) -> Result<Spawned, Failed> {
        check::authority(&request.authority)?;
        check::intent(&request.intent)?;
        check::provenance(&request.provenance)?;
        for _ in 0..PLACES_TRIED_MAX {
            match self.spawn_once(org, parent, &request, &once).await {
                Err(Failed::Books(error))
                    if place_lost(&error) || self.books().decided_too_early(org, &error).await => {}
                other => return other,
            }
        }
        let text = "other runs are starting below this one; ask again";
        Err(no(RefusalCode::SnapshotStale, text).into())
    }

    async fn spawn_once(
        &self,
        org: &OrgId,
        parent: &Verified,
        request: &SpawnRequest,
        once: &[Once],
    ) -> Result<Spawned, Failed> {
        let standing = self
            .standing_run(org, &parent.run, Some(&parent.agent))
            .await?;
        let (workflow, link) = self.plan_link(org, (&standing, &parent.token), request)?;
        let place = self.place_below(org, &standing.run.id).await?;
        self.runs_within_limit(org, &request.agent)?;
        let now = self.books().now();
        let new = NewRun {
            agent: request.agent.clone(),
            mode: Mode::Subagent,
            trigger: None,
            intent: request.intent.clone(),
            person: Some(link.person.clone()),
            chain: standing
                .run
                .chain
                .iter()
                .chain([&link.id])
                .cloned()
                .collect(),
            parent: Some(standing.run.id.clone()),
            implicit_key: None,
            provenance: request.provenance.clone(),
            idle_secs_max: None,
            ends_by: Some(link.expires),
        };
        let (run, change) = self.books().plan_run(org, &workflow, new);
        let answer = self
            .ask_spawn(org, &standing, (&workflow, &link), &run)
            .await?;
        let granted = answer.recorded(granted_event(now, &link));
        let change = Change::new().create(&link).event(granted).and(change);
        let mut change = answer.binds(change.and(place.change.clone()));
        for once in once {
            change = change.once(once.clone());
        }
        let token = self.subject_token(org, &link, &standing).await?;
        self.books()
            .commit(org, change)
            .await
            .map_err(Failed::Books)?;
        // What ended or was contained meanwhile has nothing below it.
        if let Err(refusal) = self.spawned_stands(org, &run.id, &parent.token).await {
            let ending = Ending::because(Principal::Remit, RunEnd::ParentEnded);
            if let Err(error) = self.books().end_run(org, &run.id, &ending).await {
                tracing::error!(%org, run = %run.id, %error, "a run that must not go on could not be ended");
            }
            return Err(refusal.into());
        }
        Ok(Spawned {
            run,
            delegation: link,
            subject_token: token.token,
            expires_in: token.expires_in,
        })
    }

    /// Asks the policies whether the parent may hand on.
    async fn ask_spawn(
        &self,
        org: &OrgId,
        parent: &Standing,
        (workflow, link): (&Workflow, &Delegation),
        run: &Run,
    ) -> Result<HopAnswer, Failed> {
        let agent = self.tenant(org)?.registry().standing_agent(&link.to)?;
        let chain = parent.chain.iter().map(AsRef::as_ref).chain([link]);
        let hop = Hop {
            action: HopAction::Delegate,
            kind: HopKind::SubAgent,
            agent,
            workflow,
            person: Some(&link.person),
            chain: chain.collect(),
            intent: Some(&run.intent),
            run: Some(&parent.run),
            ticket: link.ticket.as_deref(),
            expires: link.expires,
            trust: None,
        };
        let answer = self.books().ask_hop(org, &hop).await;
        let answer = answer.map_err(Failed::Books)?;
        match answer.refused() {
            Some(refused) => Err(Failed::Hop(refused)),
            None => Ok(answer),
        }
    }

    /// Checks what is asked and cuts the link.
    fn plan_link(
        &self,
        org: &OrgId,
        (parent, token): (&Standing, &CredentialId),
        request: &SpawnRequest,
    ) -> Result<(std::sync::Arc<Workflow>, Delegation), Refusal> {
        let now = self.books().now();
        let Some(last) = parent.chain.last() else {
            let text = "this run acts for no person, so that nobody would answer for a sub-agent; a person has to delegate first";
            return Err(no(RefusalCode::NoAccountablePerson, text));
        };
        if !parent.workflow.spawnable.contains(&request.workflow) {
            let text = format!(
                "workflow {} does not list that workflow as spawnable",
                parent.workflow.name
            );
            return Err(no(RefusalCode::Forbidden, text));
        }
        not_in_a_loop(parent, request)?;
        if last.depth_left == 0 || parent.chain.len() >= CHAIN_DEPTH_MAX {
            return Err(no(
                RefusalCode::ChainTooDeep,
                "the person's delegation permits no further hop",
            ));
        }
        let book = self.tenant(org)?;
        let registry = book.registry();
        registry.standing_agent(&request.agent)?;
        let workflow = registry.standing_workflow(&request.agent, &request.workflow)?;
        let engine = book.engine();
        let withheld = |authority: &Authority| {
            let who = ActsFor {
                agent: &parent.agent,
                workflow: &parent.workflow,
                person: registry.people.get(&last.person),
            };
            Withheld::of(&registry, engine.as_deref(), who, authority, now)
        };
        let mut carried = narrow::meet(&request.authority, &narrow::of_run(parent, now));
        withheld(&carried).take_from(&mut carried);
        let mut more = withheld(&request.authority).lines();
        more.extend(withheld(&request.intent.authority).lines());
        let expires = not_wider(&registry, parent, request, (&carried, more), now)?;
        let link = Delegation {
            id: self.books().id(DelegationId::from_uuid),
            person: last.person.clone(),
            from: Principal::Agent(parent.agent.id.clone()),
            to: request.agent.clone(),
            workflow: request.workflow.clone(),
            kind: DelegationUse::SubAgent,
            authority: carried,
            ticket: last.ticket.clone(),
            depth_left: last.depth_left.saturating_sub(1),
            parent: Some(last.id.clone()),
            run: Some(parent.run.id.clone()),
            token: Some(token.clone()),
            federated: None,
            created: now,
            expires,
            state: DelegationState::Active,
        };
        Ok((workflow, link))
    }
}

/// That the sub-agent is not one of those who hand on to each other already, in the same workflow. An agent may run its own
/// workflow once more, where that lists itself: the depth of the chain ends that.
fn not_in_a_loop(parent: &Standing, request: &SpawnRequest) -> Result<(), Refusal> {
    let is_it = |agent: &AgentId, workflow: &WorkflowId| {
        *agent == request.agent && *workflow == request.workflow
    };
    let itself = is_it(&parent.agent.id, &parent.workflow.id);
    if itself
        || !parent
            .chain
            .iter()
            .any(|link| is_it(&link.to, &link.workflow))
    {
        return Ok(());
    }
    let text = "the sub-agent hands on in this chain already, so that it would act for itself; spawn another, or go on in its run";
    Err(no(RefusalCode::DelegationLoop, text))
}

/// When the link ends, where nothing that is asked is more than the parent has.
///
/// - `carried`: what the link carries, and what is asked for that the person is not entitled to.
fn not_wider(
    registry: &Registry,
    parent: &Standing,
    request: &SpawnRequest,
    (carried, mut more): (&Authority, Vec<String>),
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    let have = narrow::in_all(parent, now);
    more.extend(narrow::wider(&request.authority, &have, registry));
    more.extend(narrow::wider(&request.intent.authority, &have, registry));
    let links = parent.chain.iter().map(|link| &link.authority);
    let held = links.chain([&parent.run.intent.authority]);
    more.extend(narrow::freer(
        &request.authority,
        &parent.workflow,
        held,
        now,
    ));
    let ends = parent
        .chain
        .iter()
        .map(|link| link.expires)
        .chain(have.until)
        // What the parent may do for a time, its sub-agent may do no longer.
        .chain(narrow::ends(&parent.workflow, carried, now));
    let end = ends.fold(parent.run.deadline, Timestamp::min);
    let asked = request.for_secs.map(|secs| now.plus_secs(secs));
    if asked.is_some_and(|asked| asked > end)
        || request.authority.until.is_some_and(|until| until > end)
    {
        more.push("more time".to_owned());
    }
    if !more.is_empty() {
        more.sort();
        more.dedup();
        let named: Vec<&str> = more.iter().take(5).map(String::as_str).collect();
        let text = format!(
            "the sub-agent asks for more than its parent has: {}; ask for less",
            named.join(", ")
        );
        return Err(no(RefusalCode::Wider, text));
    }
    let expires = asked.unwrap_or(end);
    if expires <= now {
        return Err(no(
            RefusalCode::InvalidRequest,
            "the sub-agent would have no time; ask for at least one second",
        ));
    }
    Ok(expires)
}

fn granted_event(now: Timestamp, link: &Delegation) -> Event {
    let event = Event::new(EventKind::DelegationGranted, now, link.from.clone())
        .about(&link.id)
        .agent(&link.to)
        .fact("person", &link.person)
        .fact("workflow", &link.workflow)
        .fact("kind", link.kind)
        .fact("parent", &link.parent)
        .fact("depth_left", link.depth_left)
        .fact("expires", link.expires)
        .content("authority", &link.authority)
        .content("ticket", &link.ticket);
    match &link.run {
        Some(run) => event.run(run),
        None => event,
    }
}

/// Why nothing was spawned: a refusal, or the books.
enum Failed {
    No(Refusal),
    Hop(HopRefused),
    Books(remit_books::BooksError),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::No(refusal)
    }
}
