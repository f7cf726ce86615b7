//! What a signal does here: in one commit with the mark that it was taken, so that the same signal never does anything twice.

use remit_books::{BooksError, Change};
use remit_domain::agent::AgentState;
use remit_domain::containment::{Containment, Level, Target};
use remit_domain::event::EventKind;
use remit_domain::run::RunEnd;
use remit_domain::signal::{SignalEvent, SignalTransmitter, TAKEN_SECS};
use remit_domain::{
    AgentId, ContainmentId, OrgId, PersonId, Principal, RefusalCode, Role, SignalTransmitterId,
};
use remit_ports::store::{Once, StoreError};
use remit_token::SubjectId;
use schemars::JsonSchema;
use serde::Serialize;

use super::whom::Whom;
use crate::{Caller, Control, ControlError, StopReport, Stopping, plan_stop, refuse};

/// How often what lost a race is made anew.
const TRIES: u32 = 5;

/// A signal whose signature, issuer, audience and time hold.
#[derive(Debug, Clone)]
pub struct SignalHeard {
    /// Whose it is.
    pub transmitter: SignalTransmitterId,
    /// What makes it one signal: a hash over its `jti`.
    pub id: String,
    /// What it says has happened; none for what is not known here.
    pub event: Option<SignalEvent>,
    /// What has become of a credential (`change_type`), where it says so.
    pub change: Option<String>,
    /// Whom it is about.
    pub subject: SubjectId,
    /// Our issuer: subjects of it are ours.
    pub issuer: String,
}

/// What a signal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalDone {
    /// What acts for a person, or runs of an agent, has ended.
    Ended,
    /// A person was suspended.
    Suspended,
    /// An agent, or a credential of one, was contained.
    Contained,
    /// Somebody asks whether the line works.
    Verified,
    /// It names nobody who is here.
    NobodyHere,
    /// It names somebody of whom this transmitter may not tell.
    NotTheirs,
    /// It is as it says already.
    SoAlready,
    /// This transmitter may not tell that, or nothing follows from it.
    NothingFollows,
    /// It is about a break-glass account or the last administrator, who are out of its reach.
    OutOfReach,
    /// It was taken before.
    Repeated,
}

/// What is to become of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// What acts for them ends; their credentials stay.
    End,
    /// Their credentials end; what acts for them goes on.
    Revoke,
    /// Both.
    EndAndRevoke,
    /// They may do nothing until somebody here lets them.
    Stop,
}

/// What follows from an event; nothing where it gives something: nobody gets anything back by a signal.
fn follows(event: SignalEvent, change: Option<&str>) -> Option<Follows> {
    use SignalEvent as E;
    match event {
        E::SessionRevoked => Some(Follows::End),
        E::CredentialChange if change == Some("create") => None,
        E::CredentialChange => Some(Follows::Revoke),
        E::CredentialCompromise => Some(Follows::EndAndRevoke),
        E::AccountDisabled | E::AccountPurged => Some(Follows::Stop),
        E::AccountEnabled | E::Verification | E::StreamUpdated => None,
    }
}

impl Control {
    /// Takes a signal: it does what follows from it, once.
    ///
    /// # Errors
    /// `forbidden` for a transmitter that was revoked; when it cannot be recorded, and then nothing was done.
    pub async fn take_signal(
        &self,
        org: &OrgId,
        heard: &SignalHeard,
    ) -> Result<SignalDone, ControlError> {
        let transmitter = {
            let book = self.book(org)?;
            let registry = book.registry();
            let found = registry.signal_transmitters.get(&heard.transmitter);
            let found = found.filter(|t| t.revoked.is_none());
            let gone = || refuse(RefusalCode::Forbidden, "this transmitter was revoked");
            SignalTransmitter::clone(found.ok_or_else(gone)?)
        };
        let caller = Caller {
            principal: Principal::Transmitter(transmitter.id.clone()),
            person: None,
            org: org.clone(),
        };
        let may = heard.event.filter(|e| transmitter.events.contains(e));
        let wanted = may.and_then(|event| Some((event, follows(event, heard.change.as_deref())?)));
        let Some((event, follows)) = wanted else {
            let done = match heard.event {
                Some(SignalEvent::Verification) => SignalDone::Verified,
                _ => SignalDone::NothingFollows,
            };
            return self.heard_only(&caller, heard, done).await;
        };
        let reason = format!("transmitter {} says {}", transmitter.name, event.as_str());
        match self.whom(org, &transmitter, heard).await? {
            Whom::Nobody => {
                let done = SignalDone::NobodyHere;
                self.heard_only(&caller, heard, done).await
            }
            Whom::NotTheirs => {
                let done = SignalDone::NotTheirs;
                self.heard_only(&caller, heard, done).await
            }
            Whom::Person(person) => {
                self.about_person(&caller, heard, follows, &person, &reason)
                    .await
            }
            Whom::Agent(agent) if matches!(follows, Follows::End | Follows::Revoke) => {
                self.end_runs_of(&caller, heard, &agent, &reason).await
            }
            Whom::Agent(agent) => {
                let target = Target::Agent(agent.clone());
                self.contain_heard(&caller, heard, target, &agent, reason)
                    .await
            }
            Whom::Credential(id, agent) => {
                let target = Target::Credential(id);
                self.contain_heard(&caller, heard, target, &agent, reason)
                    .await
            }
        }
    }

    async fn about_person(
        &self,
        caller: &Caller,
        heard: &SignalHeard,
        follows: Follows,
        person: &PersonId,
        reason: &str,
    ) -> Result<SignalDone, ControlError> {
        let plan = || async {
            let planned = self.plan_about(caller, follows, person, reason).await?;
            let (done, report, change) = planned;
            let mut event = self.heard_event(caller, heard, done).about(person);
            event.shred_scope = person.to_string();
            Ok(((done, report), change.event(event)))
        };
        self.settle_heard(caller, heard, plan).await
    }

    async fn plan_about(
        &self,
        caller: &Caller,
        follows: Follows,
        id: &PersonId,
        reason: &str,
    ) -> Result<(SignalDone, StopReport, Change), ControlError> {
        let nothing = |done| Ok((done, StopReport::default(), Change::new()));
        let person = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let person = registry.people.get(id).cloned();
            person.ok_or_else(|| crate::error::not_found("person", id))?
        };
        if person.break_glass {
            return nothing(SignalDone::OutOfReach);
        }
        if !person.is_active() {
            return nothing(SignalDone::SoAlready);
        }
        // The last administrator stays, and keeps what they come in with: a signal locks nobody's house.
        let last = person.holds(Role::Admin) && !self.has_other_admin(&caller.org, id)?;
        let follows = match follows {
            Follows::Stop | Follows::Revoke if last => return nothing(SignalDone::OutOfReach),
            Follows::EndAndRevoke if last => Follows::End,
            follows => follows,
        };
        if follows != Follows::Stop {
            let acting = follows != Follows::Revoke;
            let credentials = follows != Follows::End;
            let (report, change) = self
                .plan_sign_out(caller, &person, acting, credentials)
                .await?;
            return Ok((SignalDone::Ended, report, change));
        }
        let ((_, report), change) = self.plan_suspension(caller, id, reason).await?;
        Ok((SignalDone::Suspended, report, change))
    }

    /// Ends what an agent does now: its runs, tokens and SVIDs. It may begin anew with its key.
    async fn end_runs_of(
        &self,
        caller: &Caller,
        heard: &SignalHeard,
        agent: &AgentId,
        reason: &str,
    ) -> Result<SignalDone, ControlError> {
        let plan = || async {
            let stopping = Stopping {
                by: caller.principal.clone(),
                cause: RunEnd::Signalled,
                reason: reason.to_owned(),
                remove_keys: false,
                end_delegations: false,
            };
            let (report, stop) = plan_stop(&self.books, &caller.org, agent, &stopping).await?;
            let done = SignalDone::Ended;
            let event = self.heard_event(caller, heard, done);
            let event = event.about(agent).agent(agent);
            Ok(((done, report), stop.restrict().event(event)))
        };
        self.settle_heard(caller, heard, plan).await
    }

    async fn contain_heard(
        &self,
        caller: &Caller,
        heard: &SignalHeard,
        target: Target,
        agent: &AgentId,
        reason: String,
    ) -> Result<SignalDone, ControlError> {
        let already = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let whole = Target::Agent(agent.clone());
            let retired = registry.agents.get(agent);
            let retired = retired.is_none_or(|a| a.state == AgentState::Retired);
            let mut standing = registry.containments.values();
            retired || standing.any(|c| c.target == whole || c.target == target)
        };
        if already {
            let done = SignalDone::SoAlready;
            return self.heard_only(caller, heard, done).await;
        }
        let id = self.books.id(ContainmentId::from_uuid);
        let (what, by) = ((target, Level::Suspend), caller.principal.clone());
        let containment = Containment::new(id, what, reason, by, self.books.now());
        let done = SignalDone::Contained;
        let event = self.heard_event(caller, heard, done);
        let event = event.about(agent).agent(agent);
        let mark = Change::new().event(event).once(self.taken(heard));
        let first = self
            .contain_once(&caller.org, containment, Some(agent), &mark)
            .await?;
        Ok(if first { done } else { SignalDone::Repeated })
    }

    /// Writes down that a signal came, from which nothing follows.
    async fn heard_only(
        &self,
        caller: &Caller,
        heard: &SignalHeard,
        done: SignalDone,
    ) -> Result<SignalDone, ControlError> {
        let plan = || async {
            let event = self.heard_event(caller, heard, done);
            Ok(((done, StopReport::default()), Change::new().event(event)))
        };
        self.settle_heard(caller, heard, plan).await
    }

    /// Plans what a signal does and commits it with the mark that it was taken, anew while it loses races.
    async fn settle_heard<F>(
        &self,
        caller: &Caller,
        heard: &SignalHeard,
        plan: impl Fn() -> F,
    ) -> Result<SignalDone, ControlError>
    where
        F: Future<Output = Result<((SignalDone, StopReport), Change), ControlError>>,
    {
        let mut tries = 0;
        loop {
            let ((done, report), change) = plan().await?;
            let change = change.once(self.taken(heard));
            match self.books.commit(&caller.org, change).await {
                Ok(_) => {
                    self.end_upstream_runs(&caller.org, &report).await;
                    return Ok(done);
                }
                Err(BooksError::Store(StoreError::Replayed { .. })) => {
                    return Ok(SignalDone::Repeated);
                }
                Err(BooksError::Store(StoreError::Conflict { .. })) if tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The mark that a signal was taken.
    fn taken(&self, heard: &SignalHeard) -> Once {
        Once {
            key: format!("signal:{}:{}", heard.transmitter, heard.id),
            until: self.books.now().plus_secs(TAKEN_SECS),
        }
    }

    /// The entry that tells of it.
    fn heard_event(
        &self,
        caller: &Caller,
        heard: &SignalHeard,
        done: SignalDone,
    ) -> remit_domain::event::Event {
        self.event(caller, EventKind::SignalHeard)
            .fact("transmitter", &heard.transmitter)
            .fact("signal", &heard.id)
            .fact("event", heard.event)
            .fact("done", done)
            .content("subject", &heard.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_back_by_a_signal() {
        use SignalEvent as E;
        for event in [E::AccountEnabled, E::Verification, E::StreamUpdated] {
            assert_eq!(follows(event, None), None);
        }
        assert_eq!(follows(E::CredentialChange, Some("create")), None);
        for event in E::HEARD {
            assert!(follows(event, None).is_some());
        }
    }
}
