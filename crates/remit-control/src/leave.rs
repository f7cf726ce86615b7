//! Departure: a person leaves, and everything that rests on them ends or goes to whom was named beforehand (invariant 1).

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_books::{Change, Versioned};
use remit_domain::agent::AgentState;
use remit_domain::credential::{Enrolment, PersonToken};
use remit_domain::directory::Listed;
use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::name::{Email, Name};
use remit_domain::person::PersonState;
use remit_domain::run::RunEnd;
use remit_domain::{
    Agent, AgentId, DelegationId, Kind, Noun, OrgId, Person, RefusalCode, Role, RunId, Session,
};
use remit_ports::store::Filter;
use schemars::JsonSchema;
use serde::Serialize;

use crate::bereavement::Bereaved;
use crate::person::leaves_an_admin;
use crate::stop::plan_stop_person;
use crate::{Caller, Control, ControlError, StopReport, Stopping, refuse, resolve};

/// What a departure did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Departure {
    /// Agents that went to their deputy.
    pub transferred: Vec<Name>,
    /// Agents that were suspended, as nobody was named.
    pub suspended: Vec<Name>,
    /// Agents that were not active, and that nobody answers for now.
    pub orphaned: Vec<Name>,
    /// Delegations that ended.
    pub delegations: Vec<DelegationId>,
    /// Runs that ended.
    pub runs: Vec<RunId>,
    /// How many access tokens ended.
    pub tokens: usize,
    /// How many approvals were cancelled.
    pub approvals: usize,
    /// How many personal tokens and enrolment links ended.
    pub personal_tokens: usize,
    /// How many sessions with browsers ended.
    pub sessions: usize,
}

impl Departure {
    /// Counts what was stopped.
    pub(crate) fn told(&mut self, report: &StopReport) {
        let ended = &report.ended;
        let delegations = report.delegations.iter().chain(&ended.delegations);
        self.delegations.extend(delegations.cloned());
        self.runs.clone_from(&ended.runs);
        self.tokens = ended.tokens.len();
        self.approvals = ended.approvals.len();
    }
}

impl Control {
    /// A person leaves. In one change: their delegations end with every run in their name, their personal tokens and links
    /// end, and each agent they own or sponsor goes to its deputy or is suspended. The epoch rises.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` when they have left, or are the last administrator.
    pub async fn leave(&self, caller: &Caller, email: &Email) -> Result<Departure, ControlError> {
        caller.require(&[Role::Admin])?;
        let (departure, _) = self
            .settle(&caller.org, || self.plan_departure(caller, email, None))
            .await?;
        let (departure, report) = departure;
        self.end_upstream_runs(&caller.org, &report).await;
        Ok(departure)
    }

    fn may_leave(&self, org: &OrgId, person: &Person) -> Result<(), ControlError> {
        if person.has_left() {
            let text = format!("`{}` has left already", person.email);
            return Err(refuse(RefusalCode::Conflict, text));
        }
        if !person.holds(Role::Admin) || self.has_other_admin(org, &person.id)? {
            return Ok(());
        }
        let text = format!(
            "`{}` is the last administrator; make someone else one first",
            person.email
        );
        Err(refuse(RefusalCode::Conflict, text))
    }

    /// The change by which a person leaves.
    ///
    /// - `listed`: what their directory says of them from now on; as before where absent.
    pub(crate) async fn plan_departure(
        &self,
        caller: &Caller,
        email: &Email,
        listed: Option<Listed>,
    ) -> Result<((Departure, StopReport), Change), ControlError> {
        let (person, revision, agents, alone) = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let person = resolve::addressed(&registry, email)?;
            let revision = registry.revision(Kind::Person, &person.key()).unwrap_or(0);
            let mut agents: Vec<_> = registry
                .agents
                .values()
                .filter(|a| rests_on(a, &person))
                .cloned()
                .collect();
            agents.sort_by(|a, b| a.name.cmp(&b.name));
            let alone = match person.holds(Role::Admin) {
                true => leaves_an_admin(&registry, Change::new()),
                false => Change::new(),
            };
            (person, revision, agents, alone)
        };
        self.may_leave(&caller.org, &person)?;
        let gone = Person {
            state: PersonState::Left {
                at: self.books.now(),
            },
            directory: listed.or_else(|| person.directory.clone()),
            ..Person::clone(&person)
        };
        let mut event = self
            .event(caller, EventKind::PersonLeft)
            .about(&gone.id)
            .content("person", &gone);
        event.shred_scope = gone.id.to_string();
        let mut change = Change::new()
            .update(&gone, revision)
            .event(event)
            .and(alone)
            .restrict();
        let mut departure = Departure::default();
        let bereaved = self.bereave(caller, &agents, &person, &mut departure);
        let (suspended, handed) = bereaved.await?;
        change = change.and(handed);
        let stopping = Stopping {
            by: caller.principal.clone(),
            cause: RunEnd::SponsorLeft,
            reason: "the person left".to_owned(),
            remove_keys: false,
            end_delegations: true,
        };
        let (report, stop) =
            plan_stop_person(&self.books, &caller.org, &person.id, &suspended, &stopping).await?;
        change = change.and(stop).and(
            self.end_personal(caller, &person, "left", &mut departure)
                .await?,
        );
        change = change.and(self.orphan_systems(caller, &person).await?);
        departure.told(&report);
        Ok(((departure, report), change))
    }

    /// Hands over each agent; returns those that are suspended, whose runs end.
    async fn bereave(
        &self,
        caller: &Caller,
        agents: &[Arc<Agent>],
        gone: &Person,
        departure: &mut Departure,
    ) -> Result<(BTreeSet<AgentId>, Change), ControlError> {
        let mut change = Change::new();
        let mut suspended = BTreeSet::new();
        for agent in agents {
            let (became, handed) = self.plan_bereavement(caller, agent, gone).await?;
            change = change.and(handed);
            match became {
                Bereaved::Transferred => departure.transferred.push(agent.name.clone()),
                Bereaved::Suspended => {
                    departure.suspended.push(agent.name.clone());
                    suspended.insert(agent.id.clone());
                }
                Bereaved::Orphaned => departure.orphaned.push(agent.name.clone()),
                Bereaved::Deputy => {}
            }
        }
        Ok((suspended, change))
    }

    /// The change that ends a person's tokens, links and sessions.
    pub(crate) async fn end_personal(
        &self,
        caller: &Caller,
        person: &Person,
        why: &'static str,
        departure: &mut Departure,
    ) -> Result<Change, ControlError> {
        let now = self.books.now();
        let mut change = Change::new();
        let mut filter = Filter {
            parent: Some(person.id.to_string()),
            state: Some("active".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        loop {
            let (tokens, next) = self.books.list::<PersonToken>(&caller.org, &filter).await?;
            for Versioned { noun, revision } in tokens {
                let mut event = self
                    .event(caller, EventKind::PersonTokenRevoked)
                    .about(&person.id)
                    .fact("token", &noun.digest);
                event.shred_scope = person.id.to_string();
                change = change
                    .update(
                        &PersonToken {
                            revoked: Some(now),
                            ..noun
                        },
                        revision,
                    )
                    .event(event);
                departure.personal_tokens += 1;
            }
            match next {
                Some(next) => filter.after = Some(next),
                None => break,
            }
        }
        filter.after = None;
        let links = self.all::<Enrolment>(caller, filter).await?;
        for Versioned { noun, revision } in links.into_iter().filter(|l| l.noun.expires > now) {
            change = change.update(
                &Enrolment {
                    expires: now,
                    ..noun
                },
                revision,
            );
            departure.personal_tokens += 1;
        }
        Ok(change.and(self.end_sessions(caller, person, why, departure).await?))
    }

    /// Every record that a filter matches, however many.
    async fn all<N: Noun>(
        &self,
        caller: &Caller,
        mut filter: Filter,
    ) -> Result<Vec<Versioned<N>>, ControlError> {
        let mut all = Vec::new();
        loop {
            let (page, next) = self.books.list::<N>(&caller.org, &filter).await?;
            all.extend(page);
            match next {
                Some(next) => filter.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Nobody is signed in after they left: the check of a session asks the registry, and here the records say so too.
    pub(crate) async fn end_sessions(
        &self,
        caller: &Caller,
        person: &Person,
        why: &'static str,
        departure: &mut Departure,
    ) -> Result<Change, ControlError> {
        let filter = Filter {
            parent: Some(person.id.to_string()),
            state: Some("active".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let sessions = self.all::<Session>(caller, filter).await?;
        departure.sessions = sessions.len();
        let now = self.books.now();
        Ok(sessions.into_iter().fold(Change::new(), |change, found| {
            let event = self
                .event(caller, EventKind::SessionEnded)
                .about(&found.noun.id)
                .fact("person", &person.id)
                .fact("why", why);
            let ended = Session {
                ended: Some(now),
                ..found.noun
            };
            change.update(&ended, found.revision).event(event)
        }))
    }

    async fn orphan_systems(
        &self,
        caller: &Caller,
        person: &Person,
    ) -> Result<Change, ControlError> {
        let mut systems: Vec<_> = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            registry
                .systems
                .values()
                .filter(|s| s.owner == person.id)
                .map(|s| (s.id.clone(), s.name.clone()))
                .collect()
        };
        systems.sort();
        let mut change = Change::new();
        for (id, name) in systems {
            let text = format!("the owner of system {name} left; name another");
            change = change.and(
                self.opening(caller, FindingKind::Orphan, id.as_str(), text)
                    .await?,
            );
        }
        Ok(change)
    }
}

fn rests_on(agent: &Agent, person: &Person) -> bool {
    let p = &agent.profile;
    agent.state != AgentState::Retired
        && (p.owner == person.id || p.sponsor == person.id || p.deputy.as_ref() == Some(&person.id))
}
