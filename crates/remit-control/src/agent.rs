//! Agents: registering them as drafts, and changing what is declared of them.
//!
//! Once an agent is past its draft, whatever gives it more takes someone other than its owner (in `dual`).

use std::sync::Arc;

use remit_books::Change;
use remit_books::facts::Situation;
use remit_domain::agent::{AgentProfile, AgentState};
use remit_domain::event::{Event, EventKind};
use remit_domain::hygiene::DAYS_MAX;
use remit_domain::name::Name;
use remit_domain::upstream::UpstreamName;
use remit_domain::vouch::stands_behind;
use remit_domain::{
    Agent, AgentId, Kind, Noun, Person, PersonId, RefusalCode, Registry, Role, Separation,
    Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::draft::{Draft, Later};
use crate::error::{invalid, no_agent};
use crate::spec::AgentSpec;
use crate::{
    Action, Caller, Control, ControlError, ListQuery, Listing, Saved, check, names, refuse, resolve,
};

/// Longest cadence of reviews, in days.
const CADENCE_DAYS_MAX: u16 = 366;

/// An agent, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AgentView {
    /// Its id, which is also its OAuth client id.
    pub id: AgentId,
    /// Its name.
    pub name: Name,
    /// Where it is in its life.
    pub state: AgentState,
    /// Why it is there.
    pub state_reason: Option<String>,
    /// What is declared of it.
    #[serde(flatten)]
    pub spec: Option<AgentSpec>,
    /// Address of who registered it.
    pub registered_by: String,
    /// Names of its workflows.
    pub workflows: Vec<Name>,
    /// Upstreams that it is granted tools of and that run beside it: kept to Remit by their wrapper only, not enforced.
    pub cooperative: std::collections::BTreeSet<UpstreamName>,
    /// How many keys it holds.
    pub keys: usize,
    /// The greatest risk of the open findings about it, as policies see it: 0 none, 1 low, 2 medium, 3 high.
    pub risk: u8,
    /// Kinds of those findings.
    pub findings: std::collections::BTreeSet<String>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Agents, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn agents(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<AgentView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let found = registry.agents_after(
            query.state.as_deref(),
            query.after.as_deref(),
            query.limit() + 1,
        );
        Ok(query.cut(found, |a| a.name.to_string(), |a| view(&registry, a)))
    }

    /// One agent.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn agent(&self, caller: &Caller, name: &Name) -> Result<AgentView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(
            &registry,
            registry
                .agent_named(name.as_str())
                .ok_or_else(|| no_agent(&registry, name))?,
        ))
    }

    /// Registers an agent as a draft, or changes what is declared of one.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, or a developer who is and stays its owner; for the owner of an agent past its
    /// draft who gives it more (in `dual`). `conflict` for a retired agent and when it has changed since `seen`.
    /// `invalid-request`, naming the field.
    pub async fn put_agent(
        &self,
        caller: &Caller,
        name: &Name,
        spec: AgentSpec,
        seen: Option<u64>,
    ) -> Result<Saved<AgentView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_agent(&book.registry(), caller, name, spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.agent(caller, name)?,
        })
    }

    pub(crate) fn draft_agent(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: AgentSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        let person = caller.require(&[Role::Admin, Role::Developer])?;
        check_spec(&spec)?;
        let there = registry.agent_named(name.as_str()).map(AsRef::as_ref);
        let now = there.and_then(|a| AgentSpec::of(registry, a));
        let profile = profile(registry, spec.settled(now.as_ref()), there)?;
        permitted(registry, person, there, &profile)?;
        let agent = match there {
            Some(a) => Agent {
                profile,
                ..a.clone()
            },
            None => Agent {
                id: self.books.id(AgentId::from_uuid),
                name: name.clone(),
                profile,
                registered_by: person.id.clone(),
                state: AgentState::Draft,
                state_reason: None,
            },
        };
        let draft = Draft::over(registry, there, &agent, seen, |_| match there {
            None => agent_event(self.event(caller, EventKind::AgentRegistered), &agent),
            Some(there) => agent_event(self.event(caller, EventKind::AgentChanged), &agent)
                .content("before", there),
        });
        let mut draft = draft?.restrict_update();
        if let (Action::Update, Some(there)) = (draft.action, there) {
            let both = (there.clone(), agent);
            draft.later.push(Later::HandOver(Box::new(both)));
        }
        Ok(draft)
    }

    /// What follows when accountability moves: the event that tells of it, and the end of what a former sponsor let start.
    pub(crate) async fn handed_over(
        &self,
        caller: &Caller,
        from: &Agent,
        to: &Agent,
    ) -> Result<Change, ControlError> {
        let (old, new) = (&from.profile, &to.profile);
        if same_people(old, new) {
            return Ok(Change::new());
        }
        let event = transferred(self.event(caller, EventKind::AgentTransferred), from, to);
        let mut change = Change::new().event(event);
        if old.sponsor != new.sponsor {
            let stopping = crate::Stopping {
                by: caller.principal.clone(),
                cause: remit_domain::run::RunEnd::DelegationEnded,
                reason: "the agent has another sponsor".to_owned(),
                remove_keys: false,
                end_delegations: true,
            };
            let (_, stop) = crate::stop::plan_stop_standing(
                &self.books,
                &caller.org,
                &to.id,
                &old.sponsor,
                &stopping,
            )
            .await?;
            change = change.and(stop);
        }
        Ok(change)
    }
}

/// The agent that a path names.
pub(crate) fn named(registry: &Registry, name: &Name) -> Result<Arc<Agent>, ControlError> {
    registry
        .agent_named(name.as_str())
        .cloned()
        .ok_or_else(|| no_agent(registry, name))
}

/// The agent that a path names, where it is not retired.
pub(crate) fn living(registry: &Registry, name: &Name) -> Result<Arc<Agent>, ControlError> {
    let agent = named(registry, name)?;
    if agent.state == AgentState::Retired {
        let text = format!("agent `{name}` is retired; register another one under another name");
        return Err(refuse(RefusalCode::Conflict, text));
    }
    Ok(agent)
}

/// Whether `person` may give an agent more: not its owner in `dual`, once it is past its draft.
pub(crate) fn may_widen(
    registry: &Registry,
    person: &Person,
    agent: &Agent,
) -> Result<(), ControlError> {
    let dual = registry
        .organization
        .as_ref()
        .is_none_or(|o| o.separation == Separation::Dual);
    if !dual || agent.state == AgentState::Draft {
        return Ok(());
    }
    let owner = &agent.profile.owner;
    let text = if *owner == person.id {
        format!(
            "you own agent `{}`; someone else has to give it more than it has",
            agent.name
        )
    } else if stands_behind(registry, owner, &person.id) {
        format!(
            "the owner of agent `{}` created or enrolled you, perhaps through others; somebody has to give it more whom they did not create or enrol",
            agent.name
        )
    } else {
        return Ok(());
    };
    Err(refuse(RefusalCode::Forbidden, text))
}

/// Whether `person` may make `sponsor` answer for an agent: not themselves in `dual`, once it is past its draft. Sponsors
/// approve where a policy says so, and make standing delegations.
pub(crate) fn may_sponsor(
    registry: &Registry,
    person: &Person,
    agent: &Agent,
    sponsor: &PersonId,
) -> Result<(), ControlError> {
    let dual = registry
        .organization
        .as_ref()
        .is_none_or(|o| o.separation == Separation::Dual);
    let takes = *sponsor == person.id && agent.profile.sponsor != person.id;
    if !dual || agent.state == AgentState::Draft || !takes {
        return Ok(());
    }
    let text = format!(
        "nobody makes themselves the sponsor of agent `{}`, which is past its draft; another administrator has to",
        agent.name
    );
    Err(refuse(RefusalCode::Forbidden, text))
}

/// The event of a transfer, with who was and who is.
pub(crate) fn transferred(event: Event, from: &Agent, to: &Agent) -> Event {
    let (old, new) = (&from.profile, &to.profile);
    event
        .about(&to.id)
        .agent(&to.id)
        .fact("owner", &new.owner)
        .fact("owner_before", &old.owner)
        .fact("sponsor", &new.sponsor)
        .fact("sponsor_before", &old.sponsor)
        .fact("deputy", &new.deputy)
        .fact("deputy_before", &old.deputy)
}

/// An event about an agent: who answers for it and how far it may go, in clear; the rest sealed.
pub(crate) fn agent_event(event: Event, agent: &Agent) -> Event {
    event
        .about(&agent.id)
        .agent(&agent.id)
        .fact("owner", &agent.profile.owner)
        .fact("sponsor", &agent.profile.sponsor)
        .fact("tier", agent.profile.tier)
        .fact("environment", agent.profile.environment)
        .fact("enforcement", agent.profile.enforcement)
        .fact("state", agent.state)
        .content("agent", agent)
}

pub(crate) fn check_spec(spec: &AgentSpec) -> Result<(), ControlError> {
    let texts = [
        ("purpose", &spec.purpose),
        ("business_process", &spec.business_process),
        ("model", &spec.model),
        ("provider", &spec.provider),
        ("runtime", &spec.runtime),
    ];
    for (field, text) in texts {
        check::text(field, text)?;
    }
    check::list("systems", spec.systems.len())?;
    check::list("data_classes", spec.data_classes.len())?;
    if let Some(days) = spec.rotate_days
        && !(1..=DAYS_MAX).contains(&days)
    {
        let why = format!("`{days}` is not within 1 to {DAYS_MAX}");
        return Err(invalid("rotate_days", why));
    }
    if (1..=CADENCE_DAYS_MAX).contains(&spec.review_cadence_days) {
        Ok(())
    } else {
        Err(invalid(
            "review_cadence_days",
            format!(
                "`{}` is not within 1 to {CADENCE_DAYS_MAX}",
                spec.review_cadence_days
            ),
        ))
    }
}

pub(crate) fn profile(
    registry: &Registry,
    spec: AgentSpec,
    there: Option<&Agent>,
) -> Result<AgentProfile, ControlError> {
    // Someone who has left stays named until somebody else is: changing a purpose does not take a new owner.
    let kept = |field, email, id: Option<&remit_domain::PersonId>| match resolve::person(
        registry, field, email,
    ) {
        Err(error) => id
            .filter(|id| registry.people.get(id).is_some_and(|p| p.email == *email))
            .cloned()
            .ok_or(error),
        found => found,
    };
    let now = there.map(|a| &a.profile);
    Ok(AgentProfile {
        owner: kept("owner", &spec.owner, now.map(|p| &p.owner))?,
        sponsor: kept("sponsor", &spec.sponsor, now.map(|p| &p.sponsor))?,
        deputy: resolve::maybe_person(registry, "deputy", spec.deputy.as_ref())?,
        deputy_team: resolve::maybe_team(registry, "deputy_team", spec.deputy_team.as_ref())?,
        responsible_team: resolve::maybe_team(
            registry,
            "responsible_team",
            spec.responsible_team.as_ref(),
        )?,
        platform_team: resolve::maybe_team(registry, "platform_team", spec.platform_team.as_ref())?,
        purpose: spec.purpose,
        business_process: spec.business_process,
        model: spec.model,
        provider: spec.provider,
        runtime: spec.runtime,
        environment: spec.environment,
        data_classes: spec.data_classes,
        systems: resolve::systems(registry, "systems", &spec.systems)?,
        expected_actions: spec.expected_actions,
        tier: spec.tier,
        review_cadence_days: spec.review_cadence_days,
        next_review: spec.next_review,
        rotate_days: spec.rotate_days,
        enforcement: spec.enforcement,
    })
}

fn permitted(
    registry: &Registry,
    person: &Person,
    there: Option<&Agent>,
    new: &AgentProfile,
) -> Result<(), ControlError> {
    let owns = new.owner == person.id && there.is_none_or(|a| a.profile.owner == person.id);
    if !person.holds(Role::Admin) && !owns {
        let text = "a developer registers and changes agents they own; an administrator has to do the rest";
        return Err(refuse(RefusalCode::Forbidden, text));
    }
    let Some(there) = there else { return Ok(()) };
    if there.state == AgentState::Retired {
        return Err(refuse(
            RefusalCode::Conflict,
            format!(
                "agent `{}` is retired; its name and id are never used again",
                there.name
            ),
        ));
    }
    if there.state == AgentState::Draft || !widens(&there.profile, new) {
        return Ok(());
    }
    if !person.holds(Role::Admin) {
        let text = "the agent is past its draft; an administrator has to give it more or move it to others";
        return Err(refuse(RefusalCode::Forbidden, text));
    }
    may_sponsor(registry, person, there, &new.sponsor)?;
    may_widen(registry, person, there)
}

/// Whether the same people answer for an agent, and would take over.
fn same_people(old: &AgentProfile, new: &AgentProfile) -> bool {
    let people = |p: &AgentProfile| {
        let (owner, sponsor) = (p.owner.clone(), p.sponsor.clone());
        (owner, sponsor, p.deputy.clone(), p.deputy_team.clone())
    };
    people(old) == people(new)
}

/// Whether a profile gives an agent more than it has, puts less between it and its tools, makes others answerable, or puts
/// off its review.
fn widens(old: &AgentProfile, new: &AgentProfile) -> bool {
    !same_people(old, new)
        || new.tier > old.tier
        || new.environment > old.environment
        || new.enforcement != old.enforcement
        || !new.systems.is_subset(&old.systems)
        || !new.data_classes.is_subset(&old.data_classes)
        || new.review_cadence_days > old.review_cadence_days
        || new.next_review > old.next_review
}

pub(crate) fn view(registry: &Registry, agent: &Agent) -> AgentView {
    // The time and the intent are about tickets, which an agent outside of a run has none of.
    let intent = remit_domain::run::Intent::default();
    let now = Timestamp::from_secs(0);
    let situation = Situation::of(registry, &agent.id, &intent, &[], now);
    AgentView {
        risk: situation.risk,
        findings: situation.findings,
        id: agent.id.clone(),
        name: agent.name.clone(),
        state: agent.state,
        state_reason: agent.state_reason.clone(),
        spec: AgentSpec::of(registry, agent),
        registered_by: names::person(registry, &agent.registered_by),
        workflows: registry
            .workflows_of(&agent.id)
            .into_iter()
            .map(|w| w.name.clone())
            .collect(),
        cooperative: registry
            .workflows_of(&agent.id)
            .iter()
            .flat_map(|w| w.grants.iter().map(|g| g.tool.upstream()))
            .filter(|name| {
                registry
                    .upstreams
                    .get(*name)
                    .is_some_and(|u| u.is_cooperative())
            })
            .cloned()
            .collect(),
        keys: registry
            .keys_of(&agent.id)
            .iter()
            .filter(|k| k.removed.is_none())
            .count(),
        revision: registry.revision(Kind::Agent, &agent.key()).unwrap_or(0),
    }
}
