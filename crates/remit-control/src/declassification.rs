//! Labels of runs: what each came of, and taking them back. Labels shrink in no other way than by two people.

mod labels;

use std::collections::BTreeSet;

use remit_books::labels::{agent_scope, carries};
use remit_books::{BooksError, Change, Versioned};
use remit_domain::declassification::{Declassification, DeclassificationState, LABELS_TAKEN_MAX};
use remit_domain::event::EventKind;
use remit_domain::run::Run;
use remit_domain::{
    AgentId, DeclassificationId, Kind, Person, PersonId, RefusalCode, Registry, Role, RunId,
    Timestamp,
};
use remit_ports::store::{Lower, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::eligible;
use crate::error::{invalid, not_found};
use crate::{Caller, Control, ControlError, ListQuery, Listing, check, names, newest, refuse};

pub use labels::{LabelView, RunLabels};

/// Labels that somebody asks to take back from a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeclassification {
    /// Which labels, 1 to 20; each must hold in the run.
    pub labels: BTreeSet<String>,
    /// Why: what makes it right that the run goes on as if it had not touched this.
    pub reason: String,
}

/// What somebody says of a declassification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclassificationVerdict {
    /// Why.
    pub reason: String,
}

/// A declassification, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DeclassificationView {
    /// Its id.
    pub id: DeclassificationId,
    /// `requested`, `approved`, `refused` or `expired`.
    pub state: &'static str,
    /// Which run; its whole tree.
    pub run: RunId,
    /// Whose run it is, by name.
    pub agent: String,
    /// Which labels.
    pub labels: BTreeSet<String>,
    /// What each of them came of, where it still holds.
    pub raised: Vec<LabelView>,
    /// Why, in the words of who asks.
    pub reason: String,
    /// Who asks, by name.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// Who decided, by name.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why, in the words of who decided.
    pub verdict: Option<String>,
}

impl Control {
    /// Asks to take labels back from a run. They hold until an approver, who has no part in the run, has said yes.
    ///
    /// # Errors
    /// `forbidden` for anyone but the person the run acts for, those who answer for its agent, administrators, responders and
    /// approvers; `run-ended`; `invalid-request` for a label that does not hold there; `not-found`.
    pub async fn request_declassification(
        &self,
        caller: &Caller,
        run: &RunId,
        new: NewDeclassification,
    ) -> Result<DeclassificationView, ControlError> {
        let person = caller.person()?.clone();
        check::said("reason", &new.reason)?;
        let run = self.live_run(caller, run)?;
        if !self.may_ask(caller, &run, &person.id)? {
            let text = "the person it acts for, the agent's owner or sponsor, an administrator, a responder or an approver asks for it";
            return Err(refuse(RefusalCode::Forbidden, text));
        }
        if !(1..=LABELS_TAKEN_MAX).contains(&new.labels.len()) {
            let why = format!("1 to {LABELS_TAKEN_MAX} labels are taken back at once");
            return Err(invalid("labels", why));
        }
        let holds = self.labels_of(&caller.org, &run).await?;
        if let Some(missing) = new.labels.iter().find(|l| !holds.has(l)) {
            let missing: String = missing.chars().take(160).collect();
            let why = format!(
                "the run has no label `{missing}`; `remit run labels {}` lists them",
                run.id
            );
            return Err(invalid("labels", why));
        }
        let asked = Declassification {
            id: self.books.id(DeclassificationId::from_uuid),
            run: run.id.clone(),
            root: run.root.clone(),
            agent: run.agent.clone(),
            labels: new.labels,
            reason: new.reason,
            requested_by: person.id.clone(),
            requested_at: self.books.now(),
            decided_by: None,
            decided_at: None,
            verdict: None,
            state: DeclassificationState::Requested,
        };
        let event = self
            .event(caller, EventKind::DeclassificationRequested)
            .about(&asked.id)
            .agent(&asked.agent)
            .run(&asked.run)
            .fact("labels", &asked.labels)
            .content("reason", &asked.reason);
        let change = Change::new().create(&asked).event(event);
        self.books.commit(&caller.org, change).await?;
        self.declassification(caller, &asked.id).await
    }

    fn may_ask(&self, caller: &Caller, run: &Run, person: &PersonId) -> Result<bool, ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let agent = registry.agents.get(&run.agent);
        let answers =
            agent.is_some_and(|a| a.profile.owner == *person || a.profile.sponsor == *person);
        let roles = [Role::Admin, Role::Responder, Role::Approver];
        Ok(answers || run.person.as_ref() == Some(person) || caller.require(&roles).is_ok())
    }

    /// Takes the labels back: the next call of the run is decided without them.
    ///
    /// # Errors
    /// `forbidden` for anyone but an approver, for who asked, for the person the run acts for and its agent's sponsor, and for
    /// whoever one of them created or enrolled; `conflict` when it is decided, when the run has touched the same again since it
    /// was asked, and while a call is under way; `run-ended`; `not-found`.
    pub async fn approve_declassification(
        &self,
        caller: &Caller,
        id: &DeclassificationId,
        verdict: DeclassificationVerdict,
    ) -> Result<DeclassificationView, ControlError> {
        let person = caller.require(&[Role::Approver])?.clone();
        check::said("reason", &verdict.reason)?;
        let found = self.open_declassification(caller, id).await?;
        let run = self.live_run(caller, &found.noun.run)?;
        self.no_part_in(caller, &run, &found.noun, &person)?;
        let touched = self.touched_again(&caller.org, &found.noun).await?;
        if touched > 0 {
            let text = format!(
                "since it was asked, {touched} more calls of the run have touched this: nobody has looked at them; refuse it, and ask anew"
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let lower = self.lowering(caller, &run, &found.noun).await?;
        let event = self
            .event(caller, EventKind::DeclassificationApproved)
            .about(id)
            .agent(&run.agent)
            .run(&run.id)
            .fact("labels", &found.noun.labels)
            .fact("requested_by", &found.noun.requested_by)
            .content("reason", &verdict.reason);
        let decided = self.so_decided(&found, &person, verdict, DeclassificationState::Approved);
        let change = Change::new()
            .update(&decided, found.revision)
            .lower(lower)
            .event(event);
        match self.books.commit(&caller.org, change).await {
            Err(BooksError::Store(StoreError::Conflict {
                kind: Kind::Declassification,
                key,
            })) if key != id.as_str() => {
                let text = "the run is in the middle of a call, or has touched something new: look at it again, then approve";
                Err(refuse(RefusalCode::Conflict, text))
            }
            done => {
                done?;
                self.declassification(caller, id).await
            }
        }
    }

    /// What is taken back, from where, as it stands now.
    async fn lowering(
        &self,
        caller: &Caller,
        run: &Run,
        asked: &Declassification,
    ) -> Result<Lower, ControlError> {
        let (root, agents) = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let root = registry.runs.get(&run.root).cloned();
            let tree = registry.runs.values().filter(|r| r.root == run.root);
            let agents: BTreeSet<AgentId> = tree.map(|r| r.agent.clone()).collect();
            (root, agents)
        };
        let mut scopes = vec![run.root.to_string()];
        scopes.extend(
            root.filter(|r| carries(r))
                .map(|root| agent_scope(&root.agent)),
        );
        let mut stamped = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let state = self.books.store().labels(&caller.org, &scope).await;
            let stamp = state.map_err(BooksError::from)?.stamp();
            stamped.push((scope, stamp));
        }
        Ok(Lower {
            scopes: stamped,
            labels: asked.labels.iter().cloned().collect(),
            agents: agents.into_iter().collect(),
            by: asked.id.to_string(),
        })
    }

    /// Whether this person stands outside of the run and of the request (invariant 5).
    fn no_part_in(
        &self,
        caller: &Caller,
        run: &Run,
        asked: &Declassification,
        person: &Person,
    ) -> Result<(), ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let forbidden = |text: &str| Err(refuse(RefusalCode::Forbidden, text.to_owned()));
        if asked.requested_by == person.id {
            return forbidden("you asked for it; taking labels back needs two people");
        }
        if run.person.as_ref() == Some(&person.id) {
            return forbidden(
                "the run acts for you, and nobody clears what is done for themselves",
            );
        }
        let agent = registry.agents.get(&run.agent);
        if agent.is_some_and(|a| a.profile.sponsor == person.id) {
            return forbidden("you sponsor the agent; somebody else has to look at what it read");
        }
        let related = std::iter::once(&asked.requested_by).chain(&run.person);
        for above in related {
            if let Some(why) = eligible::related(&registry, above, person) {
                return forbidden(&why);
            }
        }
        Ok(())
    }

    /// Leaves the labels where they are.
    ///
    /// # Errors
    /// `forbidden` for anyone but an approver and who asked; `conflict` when it is decided; `not-found`.
    pub async fn refuse_declassification(
        &self,
        caller: &Caller,
        id: &DeclassificationId,
        verdict: DeclassificationVerdict,
    ) -> Result<DeclassificationView, ControlError> {
        let person = caller.person()?.clone();
        check::said("reason", &verdict.reason)?;
        let found = self.open_declassification(caller, id).await?;
        if found.noun.requested_by != person.id {
            caller.require(&[Role::Approver])?;
        }
        let event = self
            .event(caller, EventKind::DeclassificationRefused)
            .about(id)
            .agent(&found.noun.agent)
            .run(&found.noun.run)
            .fact("labels", &found.noun.labels)
            .content("reason", &verdict.reason);
        let decided = self.so_decided(&found, &person, verdict, DeclassificationState::Refused);
        let change = Change::new().update(&decided, found.revision).event(event);
        self.books.commit(&caller.org, change).await?;
        self.declassification(caller, id).await
    }

    fn so_decided(
        &self,
        found: &Versioned<Declassification>,
        person: &Person,
        verdict: DeclassificationVerdict,
        state: DeclassificationState,
    ) -> Declassification {
        Declassification {
            decided_by: Some(person.id.clone()),
            decided_at: Some(self.books.now()),
            verdict: Some(verdict.reason),
            state,
            ..found.noun.clone()
        }
    }

    /// Declassifications, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn declassifications(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<DeclassificationView>, ControlError> {
        caller.person()?;
        let (page, next) = newest::page(
            &self.books,
            &caller.org,
            query,
            None,
            |id| DeclassificationId::from_uuid(id).to_string(),
            |one: &Declassification| one.requested_at,
        )
        .await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let now = self.books.now();
        Ok(Listing {
            items: page
                .iter()
                .map(|d| view(&registry, &d.noun, Vec::new(), now))
                .collect(),
            next,
        })
    }

    /// One declassification, with what each label came of.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`.
    pub async fn declassification(
        &self,
        caller: &Caller,
        id: &DeclassificationId,
    ) -> Result<DeclassificationView, ControlError> {
        caller.person()?;
        let found = self.found(caller, id).await?.noun;
        let raised = match self.live_run(caller, &found.run) {
            Ok(run) => {
                let holds = self.labels_of(&caller.org, &run).await?;
                let mut raised = self.label_views(&caller.org, &holds).await?;
                raised.retain(|l| found.labels.contains(&l.label));
                raised
            }
            Err(_) => Vec::new(),
        };
        let book = self.book(&caller.org)?;
        Ok(view(&book.registry(), &found, raised, self.books.now()))
    }

    async fn found(
        &self,
        caller: &Caller,
        id: &DeclassificationId,
    ) -> Result<Versioned<Declassification>, ControlError> {
        let found = self.books.get(&caller.org, id.as_str()).await?;
        found.ok_or_else(|| not_found("declassification", id))
    }

    async fn open_declassification(
        &self,
        caller: &Caller,
        id: &DeclassificationId,
    ) -> Result<Versioned<Declassification>, ControlError> {
        let found = self.found(caller, id).await?;
        match found.noun.state_at(self.books.now()) {
            "requested" => Ok(found),
            state => {
                let text = format!("the declassification is {state} already");
                Err(refuse(RefusalCode::Conflict, text))
            }
        }
    }

    fn live_run(&self, caller: &Caller, id: &RunId) -> Result<Run, ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let run = registry.runs.get(id).map(|r| r.as_ref().clone());
        run.ok_or_else(|| {
            let text = "no such run goes on here; labels of a run that has ended bind nobody but its agent, for a day";
            refuse(RefusalCode::RunEnded, text)
        })
    }
}

fn view(
    registry: &Registry,
    d: &Declassification,
    raised: Vec<LabelView>,
    now: Timestamp,
) -> DeclassificationView {
    DeclassificationView {
        id: d.id.clone(),
        state: d.state_at(now),
        run: d.run.clone(),
        agent: names::agent(registry, &d.agent),
        labels: d.labels.clone(),
        raised,
        reason: d.reason.clone(),
        requested_by: names::person(registry, &d.requested_by),
        requested_at: d.requested_at,
        decided_by: d.decided_by.as_ref().map(|p| names::person(registry, p)),
        decided_at: d.decided_at,
        verdict: d.verdict.clone(),
    }
}

#[cfg(test)]
mod tests;
