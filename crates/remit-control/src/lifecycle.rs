//! The life of an agent: activated by someone other than its owner, suspended, resumed, handed over, retired.

use std::sync::Arc;

use remit_books::{Change, Versioned};
use remit_domain::agent::AgentState;
use remit_domain::containment::{Containment, Level, Target};
use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::name::{Email, Name};
use remit_domain::run::RunEnd;
use remit_domain::{Agent, Kind, Noun, OrgId, Person, RefusalCode, Registry, Role};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::agent::{agent_event, living};
use crate::approval::eligible;
use crate::completeness::Completeness;
use crate::error::invalid;
use crate::{
    AgentView, Caller, Control, ControlError, StopReport, Stopping, check, plan_stop, refuse,
    resolve,
};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Who is to answer for an agent from now on; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Transfer {
    /// Address of the owner.
    pub owner: Option<Email>,
    /// Address of the sponsor.
    pub sponsor: Option<Email>,
    /// Address of the deputy.
    pub deputy: Option<Email>,
    /// Name of the team one of whom takes over where no deputy is here.
    pub deputy_team: Option<Name>,
}

impl Control {
    /// Activates a draft, or an agent whose keys were removed, after automatic checks.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or its sponsor (in `single` also its owner), and for its owner in `dual`;
    /// `conflict` saying what is missing, or that it is contained or in another state.
    pub async fn activate_agent(
        &self,
        caller: &Caller,
        name: &Name,
    ) -> Result<AgentView, ControlError> {
        let person = Arc::clone(caller.person()?);
        let dual = self.is_dual(&caller.org)?;
        self.settle(&caller.org, || {
            self.plan_activation(caller, &person, name, dual)
        })
        .await?;
        self.agent(caller, name)
    }

    async fn plan_activation(
        &self,
        caller: &Caller,
        person: &Person,
        name: &Name,
        dual: bool,
    ) -> Result<((), Change), ControlError> {
        let now = self.books.now();
        let book = self.book(&caller.org)?;
        let (mut agent, revision, own, killed) = {
            let registry = book.registry();
            let agent = living(&registry, name)?;
            let own = agent.profile.owner == person.id;
            may_activate(&registry, person, &agent, dual)?;
            if !matches!(agent.state, AgentState::Draft | AgentState::Suspended) {
                return Err(conflict(format!(
                    "agent `{name}` is {}; only a draft or suspended agent is activated",
                    agent.state.as_str()
                )));
            }
            complete(&registry, &agent, now)?;
            let killed = uncontained(&registry, &agent)?;
            trusted_anew(&registry, &agent, &killed)?;
            let next = agent
                .transition(AgentState::Active, None)
                .map_err(|e| conflict(e.to_string()))?;
            (
                next,
                registry.revision(Kind::Agent, &agent.key()).unwrap_or(0),
                own,
                killed,
            )
        };
        let review =
            now.plus_secs(DAY.saturating_mul(i64::from(agent.profile.review_cadence_days)));
        agent.profile.next_review = agent
            .profile
            .next_review
            .filter(|at| *at > now)
            .or(Some(review));
        let event = agent_event(self.event(caller, EventKind::AgentActivated), &agent)
            .fact("self_activated", own);
        let mut change = Change::new().update(&agent, revision).event(event);
        if own {
            let text = format!("agent {} was activated by its own owner", agent.name);
            change = change.and(
                self.opening(caller, FindingKind::SelfActivated, agent.id.as_str(), text)
                    .await?,
            );
        } else {
            let why = "activated by someone other than the owner";
            change = change.and(
                self.settling(caller, FindingKind::SelfActivated, agent.id.as_str(), why)
                    .await?,
            );
        }
        let why = "activated with a living owner and sponsor";
        change = change.and(
            self.settling(caller, FindingKind::Orphan, agent.id.as_str(), why)
                .await?,
        );
        change = change.and(self.ending_kills(caller, &agent, killed).await?);
        Ok(((), change))
    }

    /// The change that ends the kills of an agent: it is active again, with other keys.
    async fn ending_kills(
        &self,
        caller: &Caller,
        agent: &Agent,
        killed: Vec<String>,
    ) -> Result<Change, ControlError> {
        let mut change = Change::new();
        for id in killed {
            let Some(Versioned { noun, revision }) =
                self.books.get::<Containment>(&caller.org, &id).await?
            else {
                continue;
            };
            let event = self
                .event(caller, EventKind::ContainmentLifted)
                .about(&noun.id)
                .agent(&agent.id)
                .fact("by", "activation");
            let lifted = Containment {
                lifted: Some((self.books.now(), caller.principal.clone())),
                ..noun
            };
            change = change.update(&lifted, revision).event(event);
        }
        Ok(change)
    }

    /// Suspends an agent: its runs end, its tokens with them; keys and delegations stay.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, its sponsor or its owner; `conflict` in another state.
    pub async fn suspend_agent(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<AgentView, ControlError> {
        self.stop_agent(caller, name, reason, AgentState::Suspended)
            .await?;
        self.agent(caller, name)
    }

    /// Retires an agent for ever: its runs, delegations and approvals end, its keys are removed.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, its sponsor or its owner; `conflict` when it is retired.
    pub async fn retire_agent(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<AgentView, ControlError> {
        self.stop_agent(caller, name, reason, AgentState::Retired)
            .await?;
        self.agent(caller, name)
    }

    async fn stop_agent(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
        to: AgentState,
    ) -> Result<StopReport, ControlError> {
        let person = Arc::clone(caller.person()?);
        check::said("reason", reason)?;
        let may = |agent: &Agent| answerable(&person, agent, true);
        self.stop_whom(caller, name, reason, to, may).await
    }

    /// Stops an agent for whoever `may`.
    pub(crate) async fn stop_whom(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
        to: AgentState,
        may: impl Fn(&Agent) -> Result<(), ControlError> + Send + Sync,
    ) -> Result<StopReport, ControlError> {
        let for_good = to == AgentState::Retired;
        let book = self.book(&caller.org)?;
        let stopping = Stopping {
            by: caller.principal.clone(),
            cause: RunEnd::Person,
            reason: reason.to_owned(),
            remove_keys: for_good,
            end_delegations: for_good,
        };
        let (report, _) = self
            .settle(&caller.org, || async {
                let (agent, revision) = {
                    let registry = book.registry();
                    let agent = living(&registry, name)?;
                    may(&agent)?;
                    let next = agent
                        .transition(to, Some(reason.to_owned()))
                        .map_err(|e| conflict(e.to_string()))?;
                    (
                        next,
                        registry.revision(Kind::Agent, &agent.key()).unwrap_or(0),
                    )
                };
                let kind = if for_good {
                    EventKind::AgentRetired
                } else {
                    EventKind::AgentSuspended
                };
                let event = agent_event(self.event(caller, kind), &agent).content("reason", reason);
                let (report, stop) =
                    plan_stop(&self.books, &caller.org, &agent.id, &stopping).await?;
                Ok((
                    report,
                    Change::new()
                        .update(&agent, revision)
                        .event(event)
                        .and(stop),
                ))
            })
            .await?;
        self.end_upstream_runs(&caller.org, &report).await;
        Ok(report)
    }

    /// Retires the agents that were suspended because nobody answers for them, once the organization's grace time is over; how many.
    pub(crate) async fn retire_orphans(&self, org: &OrgId) -> Result<u32, ControlError> {
        let due: Vec<Arc<Agent>> = {
            let book = self.book(org)?;
            let registry = book.registry();
            let rules = registry.organization.as_ref().map(|o| o.hygiene);
            let grace = DAY * i64::from(rules.unwrap_or_default().orphan_days);
            let now = self.books.now();
            let gone = |id| registry.people.get(id).is_none_or(|p| p.has_left());
            let left =
                |id: &remit_domain::PersonId| registry.people.get(id).and_then(|p| p.left_at());
            let over = |agent: &Agent| {
                let about = registry.findings.get(agent.id.as_str());
                let orphan = about.and_then(|open| {
                    let orphans = open.values().filter(|f| f.kind == FindingKind::Orphan);
                    orphans.map(|f| f.opened).min()
                });
                // A person who was suspended first is missed from when they left on.
                let gone = [&agent.profile.owner, &agent.profile.sponsor];
                let gone = gone.into_iter().filter_map(left).min();
                orphan.is_some_and(|since| {
                    now.secs_since(gone.map_or(since, |at| at.max(since))) >= grace
                })
            };
            let suspended = registry.agents.values().filter(|a| {
                a.state == AgentState::Suspended
                    && (gone(&a.profile.owner) || gone(&a.profile.sponsor))
            });
            suspended.filter(|a| over(a)).cloned().collect()
        };
        let mut count = 0;
        let caller = Caller {
            principal: remit_domain::Principal::Remit,
            person: None,
            org: org.clone(),
        };
        let reason = "nobody answered for it within the organization's grace time";
        for seen in due {
            let may =
                |agent: &Agent| match agent.state == seen.state && agent.profile == seen.profile {
                    true => Ok(()),
                    false => Err(conflict("somebody answers for it again".to_owned())),
                };
            let stopped = self.stop_whom(&caller, &seen.name, reason, AgentState::Retired, may);
            match stopped.await {
                Ok(_) => count += 1,
                // Another node was first.
                Err(error) if error.code() == Some(RefusalCode::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Resumes a suspended agent that still holds a key, after the same checks as activation.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or its sponsor, and for its owner in `dual`; `conflict` saying what is
    /// missing, or that it is contained or in another state.
    pub async fn resume_agent(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<AgentView, ControlError> {
        let person = Arc::clone(caller.person()?);
        check::said("reason", reason)?;
        let dual = self.is_dual(&caller.org)?;
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let (agent, revision) = {
                let registry = book.registry();
                let agent = living(&registry, name)?;
                answerable(&person, &agent, false)?;
                may_activate(&registry, &person, &agent, dual)?;
                if agent.state != AgentState::Suspended {
                    return Err(conflict(format!(
                        "agent `{name}` is {}, not suspended",
                        agent.state.as_str()
                    )));
                }
                if !uncontained(&registry, &agent)?.is_empty() {
                    return Err(conflict(format!(
                        "agent `{name}` was killed; add new keys and activate it"
                    )));
                }
                complete(&registry, &agent, self.books.now())?;
                let next = agent
                    .transition(AgentState::Active, None)
                    .map_err(|e| conflict(e.to_string()))?;
                (
                    next,
                    registry.revision(Kind::Agent, &agent.key()).unwrap_or(0),
                )
            };
            let event = agent_event(self.event(caller, EventKind::AgentActivated), &agent)
                .fact("resumed", true)
                .content("reason", reason);
            let why = "resumed with a living owner and sponsor";
            let settled = self
                .settling(caller, FindingKind::Orphan, agent.id.as_str(), why)
                .await?;
            Ok((
                (),
                Change::new()
                    .update(&agent, revision)
                    .event(event)
                    .and(settled),
            ))
        })
        .await?;
        self.agent(caller, name)
    }

    /// Makes others answer for an agent.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, and for its owner in `dual` past its draft; `invalid-request` for people
    /// who are not here, and when nothing is to change.
    pub async fn transfer_agent(
        &self,
        caller: &Caller,
        name: &Name,
        transfer: Transfer,
    ) -> Result<AgentView, ControlError> {
        let person = Arc::clone(caller.require(&[Role::Admin])?);
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let (from, to, revision) = {
                let registry = book.registry();
                let from = living(&registry, name)?;
                crate::agent::may_widen(&registry, &person, &from)?;
                let to = moved(&registry, &from, &transfer)?;
                crate::agent::may_sponsor(&registry, &person, &from, &to.profile.sponsor)?;
                let revision = registry.revision(Kind::Agent, &from.key()).unwrap_or(0);
                (from, to, revision)
            };
            if *from == to {
                return Err(invalid(
                    "owner",
                    "name an owner, sponsor, deputy or team of deputies other than those it has",
                ));
            }
            let change = Change::new().update(&to, revision).restrict();
            Ok(((), change.and(self.handed_over(caller, &from, &to).await?)))
        })
        .await?;
        self.agent(caller, name)
    }

    /// Ends the upstream processes of runs that were ended.
    pub(crate) async fn end_upstream_runs(&self, org: &OrgId, report: &StopReport) {
        for run in &report.ended.runs {
            self.upstreams.end_run(org, run).await;
        }
    }
}

fn conflict(text: impl Into<String>) -> ControlError {
    refuse(RefusalCode::Conflict, text)
}

/// Whether `person` is an administrator or the agent's sponsor, or, where it counts, its owner.
fn answerable(person: &Person, agent: &Agent, owner_too: bool) -> Result<(), ControlError> {
    let p = &agent.profile;
    if person.holds(Role::Admin) || p.sponsor == person.id || (owner_too && p.owner == person.id) {
        return Ok(());
    }
    let who = if owner_too {
        "an administrator, its sponsor or its owner"
    } else {
        "an administrator or its sponsor"
    };
    Err(refuse(
        RefusalCode::Forbidden,
        format!("only {who} may do this to agent `{}`", agent.name),
    ))
}

/// Someone other than the owner, whom the owner could not have signed in as, nor they as the owner.
fn may_activate(
    registry: &Registry,
    person: &Person,
    agent: &Agent,
    dual: bool,
) -> Result<(), ControlError> {
    let owner = &agent.profile.owner;
    if !dual || *owner != person.id {
        answerable(person, agent, !dual)?;
    }
    if !dual {
        return Ok(());
    }
    let text = if *owner == person.id {
        format!(
            "you own agent `{}`; someone else has to activate it (its sponsor or an administrator)",
            agent.name
        )
    } else if let Some(why) = eligible::related(registry, owner, person) {
        format!(
            "someone other than the owner has to activate agent `{}`, and {why}",
            agent.name
        )
    } else {
        return Ok(());
    };
    Err(refuse(RefusalCode::Forbidden, text))
}

fn complete(
    registry: &Registry,
    agent: &Agent,
    now: remit_domain::Timestamp,
) -> Result<(), ControlError> {
    let completeness = Completeness::of(registry, agent, now);
    if completeness.complete {
        return Ok(());
    }
    Err(conflict(format!(
        "agent `{}` is not complete: {}",
        agent.name,
        completeness.missing.join("; ")
    )))
}

/// Ids of the kills an activation ends.
///
/// # Errors
/// `contained` while a suspension or quarantine holds the agent: that is lifted, not activated over.
fn uncontained(registry: &Registry, agent: &Agent) -> Result<Vec<String>, ControlError> {
    let target = Target::Agent(agent.id.clone());
    let (killed, held): (Vec<_>, Vec<_>) = registry
        .containments
        .values()
        .filter(|c| c.target == target)
        .partition(|c| c.level == Level::Kill);
    if let Some(c) = held.first() {
        let text = format!(
            "agent `{}` is contained ({}): {}; lift {} first",
            agent.name,
            c.level.as_str(),
            c.reason,
            c.id
        );
        return Err(refuse(RefusalCode::Contained, text));
    }
    Ok(killed.into_iter().map(|c| c.key()).collect())
}

/// After a kill, what said that a workload is this agent does not do so again by itself, as no key returns.
fn trusted_anew(registry: &Registry, agent: &Agent, killed: &[String]) -> Result<(), ControlError> {
    let kills = registry.containments.values();
    let last = kills
        .filter(|c| killed.contains(&c.key()))
        .map(|c| c.at)
        .max();
    for issuer in registry.trusted_issuers.values() {
        let mut rules = issuer.rules_of(&agent.id);
        if rules.any(|rule| last.is_some_and(|last| rule.since <= last)) {
            return Err(conflict(format!(
                "agent `{}` was killed, and trusted issuer `{}` made workloads this agent before: take its rules out and, where they still hold, add them anew",
                agent.name, issuer.name
            )));
        }
    }
    let mut workflows = registry.workflows.values().filter(|w| w.agent == agent.id);
    if last.is_some() && workflows.any(|w| !w.client_ids.is_empty()) {
        return Err(conflict(format!(
            "agent `{}` was killed, and clients of a metadata document were this agent before: take `client_ids` out of its workflows, activate it and, where they still hold, list them anew",
            agent.name
        )));
    }
    Ok(())
}

fn moved(registry: &Registry, from: &Agent, transfer: &Transfer) -> Result<Agent, ControlError> {
    let mut to = from.clone();
    if let Some(email) = &transfer.owner {
        to.profile.owner = resolve::person(registry, "owner", email)?;
    }
    if let Some(email) = &transfer.sponsor {
        to.profile.sponsor = resolve::person(registry, "sponsor", email)?;
    }
    if let Some(email) = &transfer.deputy {
        to.profile.deputy = Some(resolve::person(registry, "deputy", email)?);
    }
    if transfer.deputy_team.is_some() {
        let team = transfer.deputy_team.as_ref();
        to.profile.deputy_team = resolve::maybe_team(registry, "deputy_team", team)?;
    }
    Ok(to)
}
