//! People who may do nothing for a while: because somebody here says so, or a signal from outside does.
//!
//! Everything that rests on them ends as when somebody leaves, but nothing changes hands: agents that they own or sponsor get no
//! credential while one of the two may not act, and go on when both may again.

use std::collections::BTreeSet;

use remit_books::Change;
use remit_domain::agent::AgentState;
use remit_domain::event::EventKind;
use remit_domain::name::Email;
use remit_domain::person::PersonState;
use remit_domain::run::RunEnd;
use remit_domain::{AgentId, Kind, Noun, Person, PersonId, RefusalCode, Role};

use crate::approval::eligible;
use crate::person::leaves_an_admin;
use crate::stop::plan_stop_person;
use crate::{
    Caller, Control, ControlError, Departure, PersonView, StopReport, Stopping, check, refuse,
    resolve,
};

impl Control {
    /// Suspends a person: in one change their delegations, runs, tokens and sessions end, and so do the runs of agents that they own
    /// or sponsor.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or responder; `not-found`; `conflict` when they are suspended or have left, and for
    /// the last administrator.
    pub async fn suspend_person(
        &self,
        caller: &Caller,
        email: &Email,
        reason: &str,
    ) -> Result<Departure, ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        check::said("reason", reason)?;
        let id = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            resolve::addressed(&registry, email)?.id.clone()
        };
        let plan = || self.plan_suspension(caller, &id, reason);
        let ((done, report), _) = self.settle(&caller.org, plan).await?;
        self.end_upstream_runs(&caller.org, &report).await;
        Ok(done)
    }

    /// Lets a suspended person act again. What ended stays ended.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, for oneself, and for whoever stands behind them; `not-found`; `conflict` when they are
    /// not suspended.
    pub async fn resume_person(
        &self,
        caller: &Caller,
        email: &Email,
        reason: &str,
    ) -> Result<PersonView, ControlError> {
        let admin = caller.require(&[Role::Admin])?.clone();
        check::said("reason", reason)?;
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let registry = book.registry();
            let person = resolve::addressed(&registry, email)?;
            if self.is_dual(&caller.org)? {
                let does = "lets somebody act again";
                eligible::not_for_oneself(&registry, &person.id, &admin, does)?;
            }
            Ok(((), self.plan_resumption(caller, &person.id, reason)?))
        })
        .await?;
        self.person(caller, email)
    }

    /// The change by which a person may do nothing.
    pub(crate) async fn plan_suspension(
        &self,
        caller: &Caller,
        id: &PersonId,
        reason: &str,
    ) -> Result<((Departure, StopReport), Change), ControlError> {
        let (person, revision, agents, alone) = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let person = registry.people.get(id).cloned();
            let person = person.ok_or_else(|| crate::error::not_found("person", id))?;
            if !person.is_active() {
                let text = format!("`{}` is {} already", person.email, Noun::state(&*person));
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let rests = registry.agents.values().filter(|a| {
                a.state != AgentState::Retired
                    && (a.profile.owner == *id || a.profile.sponsor == *id)
            });
            let agents: BTreeSet<AgentId> = rests.map(|a| a.id.clone()).collect();
            let alone = match person.holds(Role::Admin) {
                true => leaves_an_admin(&registry, Change::new()),
                false => Change::new(),
            };
            let revision = registry.revision(Kind::Person, &person.key()).unwrap_or(0);
            (person, revision, agents, alone)
        };
        if person.holds(Role::Admin) && !self.has_other_admin(&caller.org, id)? {
            let text = format!(
                "`{}` is the last administrator; make someone else one first",
                person.email
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let next = Person {
            state: PersonState::Suspended {
                at: self.books.now(),
            },
            ..Person::clone(&person)
        };
        let mut event = self
            .event(caller, EventKind::PersonSuspended)
            .about(id)
            .fact("agents", agents.len())
            .content("reason", reason);
        event.shred_scope = id.to_string();
        let change = Change::new()
            .update(&next, revision)
            .event(event)
            .and(alone)
            .restrict();
        let stopping = Stopping {
            by: caller.principal.clone(),
            cause: RunEnd::SponsorSuspended,
            reason: reason.to_owned(),
            remove_keys: false,
            end_delegations: true,
        };
        let mut done = Departure::default();
        let (report, stop) =
            plan_stop_person(&self.books, &caller.org, id, &agents, &stopping).await?;
        let personal = self
            .end_personal(caller, &person, "suspended", &mut done)
            .await?;
        done.told(&report);
        Ok(((done, report), change.and(stop).and(personal)))
    }

    /// The change that ends a person's sessions, and, as asked, what acts for them and their own tokens and links. They may sign in
    /// again.
    pub(crate) async fn plan_sign_out(
        &self,
        caller: &Caller,
        person: &Person,
        acting: bool,
        credentials: bool,
    ) -> Result<(StopReport, Change), ControlError> {
        let mut done = Departure::default();
        let ended = match credentials {
            true => self.end_personal(caller, person, "signal", &mut done).await,
            false => self.end_sessions(caller, person, "signal", &mut done).await,
        };
        let change = ended?.restrict();
        if !acting {
            return Ok((StopReport::default(), change));
        }
        let stopping = Stopping {
            by: caller.principal.clone(),
            cause: RunEnd::Signalled,
            reason: "a signal says that their sessions have ended".to_owned(),
            remove_keys: false,
            end_delegations: true,
        };
        let (books, org, id) = (&self.books, &caller.org, &person.id);
        let none = BTreeSet::new();
        let (report, stop) = plan_stop_person(books, org, id, &none, &stopping).await?;
        Ok((report, change.and(stop)))
    }

    /// The change by which a suspended person may act again.
    pub(crate) fn plan_resumption(
        &self,
        caller: &Caller,
        id: &PersonId,
        reason: &str,
    ) -> Result<Change, ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let person = registry.people.get(id);
        let person = person.ok_or_else(|| crate::error::not_found("person", id))?;
        if !matches!(person.state, PersonState::Suspended { .. }) {
            let text = format!(
                "`{}` is {}, not suspended",
                person.email,
                Noun::state(&**person)
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let revision = registry.revision(Kind::Person, &person.key()).unwrap_or(0);
        let next = Person {
            state: PersonState::Active,
            ..Person::clone(person)
        };
        let mut event = self
            .event(caller, EventKind::PersonResumed)
            .about(id)
            .content("reason", reason);
        event.shred_scope = id.to_string();
        Ok(Change::new().update(&next, revision).event(event))
    }
}

#[cfg(test)]
mod tests;
