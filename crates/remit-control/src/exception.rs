//! Exceptions: for a while, one agent is not bound by one policy of its organization. Two people, always.

use remit_books::{Change, Versioned};
use remit_domain::event::EventKind;
use remit_domain::exception::{EXCEPTION_SECS_MAX, EXCEPTIONS_MAX, Exception, ExceptionState};
use remit_domain::name::Name;
use remit_domain::tool::ToolRef;
use remit_domain::{ExceptionId, RefusalCode, Role, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::eligible;
use crate::error::{invalid, not_found};
use crate::{Caller, Control, ControlError, ListQuery, Listing, check, names, refuse};

/// An exception that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewException {
    /// Which policy, as `SET/NAME`. Guardrails have no exceptions.
    pub policy: String,
    /// Which agent, by name.
    pub agent: Name,
    /// For one tool only, as `upstream/tool`.
    #[serde(default)]
    pub tool: Option<ToolRef>,
    /// For how long, in seconds from its approval; 1 to 7 days.
    pub secs: i64,
    /// Why.
    pub reason: String,
}

/// An exception, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExceptionView {
    /// Its id, which every decision it changes names.
    pub id: ExceptionId,
    /// `requested`, `approved`, `expired` or `revoked`.
    pub state: &'static str,
    /// Which policy.
    pub policy: String,
    /// Which agent.
    pub agent: Name,
    /// For which tool; all where none.
    pub tool: Option<String>,
    /// Why.
    pub reason: String,
    /// For how long, in seconds from its approval.
    pub secs: i64,
    /// Who asked for it, by name.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// Who approved it, by name.
    pub approved_by: Option<String>,
    /// From when it holds.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
}

impl Control {
    /// Asks for an exception. It holds once somebody else has approved it.
    ///
    /// # Errors
    /// `forbidden` for anyone but administrators, developers and responders; `invalid-request` for a guardrail, for a policy
    /// or an agent that is not here, and for a time that is too long.
    pub async fn request_exception(
        &self,
        caller: &Caller,
        new: NewException,
    ) -> Result<ExceptionView, ControlError> {
        let person = caller
            .require(&[Role::Admin, Role::Developer, Role::Responder])?
            .clone();
        check::said("reason", &new.reason)?;
        if !(1..=EXCEPTION_SECS_MAX).contains(&new.secs) {
            let why = format!(
                "`{}` is not within 1 to {EXCEPTION_SECS_MAX}; what is needed for longer is a policy",
                new.secs
            );
            return Err(invalid("secs", why));
        }
        self.can_be_lifted(caller, &new)?;
        let exception = Exception {
            id: self.books.id(ExceptionId::from_uuid),
            policy: new.policy,
            agent: new.agent,
            tool: new.tool,
            reason: new.reason,
            secs: new.secs,
            requested_by: person.id.clone(),
            requested_at: self.books.now(),
            approved_by: None,
            from: None,
            until: None,
            revoked_by: None,
            state: ExceptionState::Requested,
        };
        let event = self
            .event(caller, EventKind::ExceptionRequested)
            .about(&exception.id)
            .fact("secs", exception.secs)
            .content("exception", &exception);
        let change = Change::new().create(&exception).event(event);
        self.books.commit(&caller.org, change).await?;
        self.exception(caller, &exception.id)
    }

    fn can_be_lifted(&self, caller: &Caller, new: &NewException) -> Result<(), ControlError> {
        if new.policy.starts_with("guardrail/") {
            return Err(invalid(
                "policy",
                "guardrails have no exceptions, whoever asks",
            ));
        }
        let book = self.book(&caller.org)?;
        let engine = book.engine();
        let notes = engine.map(|e| e.notes()).unwrap_or_default();
        if notes.iter().any(|n| n.id == new.policy && n.hop) {
            let why = "is about hops, and exceptions are from policies about calls: change it, or name the agent in it";
            return Err(invalid("policy", why));
        }
        if !notes.iter().any(|n| n.id == new.policy && n.forbids) {
            let policy: String = new.policy.chars().take(160).collect();
            let why = format!(
                "no live policy `{policy}` forbids or asks; `remit policy show` lists them"
            );
            return Err(invalid("policy", why));
        }
        let registry = book.registry();
        if registry.agent_named(new.agent.as_str()).is_none() {
            return Err(invalid(
                "agent",
                format!("no agent `{}` is here", new.agent),
            ));
        }
        match &new.tool {
            Some(tool) if !registry.tools.contains_key(tool) => {
                Err(invalid("tool", format!("no tool `{tool}` is here")))
            }
            _ => Ok(()),
        }
    }

    /// Approves an exception: from now on, for as long as was asked for. Somebody else than who asked, in every organization.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, for who asked, and for whom they created or enrolled; `not-found`;
    /// `conflict` when it is decided already; `limit-exceeded` when too many hold.
    pub async fn approve_exception(
        &self,
        caller: &Caller,
        id: &ExceptionId,
    ) -> Result<ExceptionView, ControlError> {
        let person = caller.require(&[Role::Admin])?.clone();
        let found = self.exception_at(caller, id, ExceptionState::Requested)?;
        let now = self.books.now();
        {
            let book = self.book(&caller.org)?;
            if book
                .exceptions()
                .iter()
                .filter(|(_, e)| e.holds(now))
                .count()
                >= EXCEPTIONS_MAX
            {
                let text = format!("{EXCEPTIONS_MAX} exceptions hold already; revoke one");
                return Err(refuse(RefusalCode::LimitExceeded, text));
            }
            let registry = book.registry();
            let forbidden = |text: String| Err(refuse(RefusalCode::Forbidden, text));
            if found.noun.requested_by == person.id {
                return forbidden("you asked for it; an exception takes two people".to_owned());
            }
            if let Some(why) = eligible::related(&registry, &found.noun.requested_by, &person) {
                return forbidden(why);
            }
        }
        let exception = Exception {
            approved_by: Some(person.id.clone()),
            from: Some(now),
            until: Some(now.plus_secs(found.noun.secs)),
            state: ExceptionState::Approved,
            ..found.noun
        };
        let event = self
            .event(caller, EventKind::ExceptionApproved)
            .about(&exception.id)
            .fact("requested_by", &exception.requested_by)
            .fact("until", exception.until)
            .content("exception", &exception);
        let change = Change::new()
            .update(&exception, found.revision)
            .event(event);
        self.books.commit(&caller.org, change).await?;
        self.exception(caller, id)
    }

    /// Refuses an exception, or takes it back; at once, for calls in flight too.
    ///
    /// # Errors
    /// `forbidden` for anyone but administrators, responders and who asked; `not-found`; `conflict` when it is revoked.
    pub async fn revoke_exception(
        &self,
        caller: &Caller,
        id: &ExceptionId,
    ) -> Result<ExceptionView, ControlError> {
        let person = caller.person()?.clone();
        let found = self.found_exception(caller, id)?;
        if found.noun.requested_by != person.id {
            caller.require(&[Role::Admin, Role::Responder])?;
        }
        if found.noun.state == ExceptionState::Revoked {
            return Err(refuse(
                RefusalCode::Conflict,
                "the exception is revoked already",
            ));
        }
        let exception = Exception {
            revoked_by: Some(person.id.clone()),
            state: ExceptionState::Revoked,
            ..found.noun
        };
        let event = self
            .event(caller, EventKind::ExceptionRevoked)
            .about(&exception.id)
            .content("exception", &exception);
        let change = Change::new()
            .update(&exception, found.revision)
            .event(event)
            .restrict();
        self.books.commit(&caller.org, change).await?;
        self.exception(caller, id)
    }

    /// Exceptions, by id.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn exceptions(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<ExceptionView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let now = self.books.now();
        let all = book.exceptions().into_iter();
        let all = all.map(|(_, e)| (e.id.to_string(), e.state_at(now), e));
        let registry = book.registry();
        Ok(query.page(all, |e| view(&registry, &e, now)))
    }

    /// One exception.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn exception(
        &self,
        caller: &Caller,
        id: &ExceptionId,
    ) -> Result<ExceptionView, ControlError> {
        caller.person()?;
        let found = self.found_exception(caller, id)?;
        let book = self.book(&caller.org)?;
        Ok(view(&book.registry(), &found.noun, self.books.now()))
    }

    fn found_exception(
        &self,
        caller: &Caller,
        id: &ExceptionId,
    ) -> Result<Versioned<Exception>, ControlError> {
        let all = self.book(&caller.org)?.exceptions();
        let found = all.into_iter().find(|(_, e)| e.id == *id);
        let (revision, noun) = found.ok_or_else(|| not_found("exception", id))?;
        Ok(Versioned { noun, revision })
    }

    fn exception_at(
        &self,
        caller: &Caller,
        id: &ExceptionId,
        state: ExceptionState,
    ) -> Result<Versioned<Exception>, ControlError> {
        let found = self.found_exception(caller, id)?;
        if found.noun.state == state {
            return Ok(found);
        }
        let text = format!("the exception is {} already", found.noun.state.as_str());
        Err(refuse(RefusalCode::Conflict, text))
    }
}

fn view(registry: &remit_domain::Registry, e: &Exception, now: Timestamp) -> ExceptionView {
    ExceptionView {
        id: e.id.clone(),
        state: e.state_at(now),
        policy: e.policy.clone(),
        agent: e.agent.clone(),
        tool: e.tool.as_ref().map(ToString::to_string),
        reason: e.reason.clone(),
        secs: e.secs,
        requested_by: names::person(registry, &e.requested_by),
        requested_at: e.requested_at,
        approved_by: e.approved_by.as_ref().map(|p| names::person(registry, p)),
        from: e.from,
        until: e.until,
    }
}
