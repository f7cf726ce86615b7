//! A change of one thing, worked out against a registry and not committed: what `put` commits at once, what a plan only
//! looks at, and what applying documents commits together. One way for all three, so that they never differ.

use remit_books::Change;
use remit_domain::event::Event;
use remit_domain::finding::FindingKind;
use remit_domain::{Agent, Noun, Registry};

use crate::control::Before;
use crate::{Action, Caller, Control, ControlError};

/// A change of one thing that was permitted and checked.
pub(crate) struct Draft {
    /// What it does to the thing.
    pub(crate) action: Action,
    /// The records and events of it.
    pub(crate) change: Change,
    /// What follows from it and takes reading the store.
    pub(crate) later: Vec<Later>,
}

/// What follows from a change.
pub(crate) enum Later {
    /// A finding opens.
    Open(FindingKind, String, String),
    /// A finding is settled, for this reason.
    Settle(FindingKind, String, &'static str),
    /// Others answer for an agent.
    HandOver(Box<(Agent, Agent)>),
}

impl Draft {
    /// Everything is as it is to be.
    pub(crate) fn nothing() -> Self {
        Self {
            action: Action::None,
            change: Change::new(),
            later: Vec::new(),
        }
    }

    /// Writes `new` over what is there; nothing where it is the same.
    ///
    /// - `seen`: the revision the caller looked at; another one is a conflict.
    pub(crate) fn over<N: Noun + PartialEq>(
        registry: &Registry,
        there: Option<&N>,
        new: &N,
        seen: Option<u64>,
        event: impl FnOnce(Action) -> Event,
    ) -> Result<Self, ControlError> {
        let revision = there.and_then(|t| registry.revision(N::KIND, &t.key()));
        let before = Before::of(revision, seen)?;
        if there == Some(new) {
            return Ok(Self::nothing());
        }
        let action = match before {
            Before::Absent => Action::Create,
            Before::At(_) => Action::Update,
        };
        Ok(Self {
            action,
            change: before.put(new).event(event(action)),
            later: Vec::new(),
        })
    }

    /// Raises the containment epoch: calls decided under what was there are decided again.
    pub(crate) fn restrict_if(mut self, restrict: bool) -> Self {
        if restrict && self.action != Action::None {
            self.change = self.change.restrict();
        }
        self
    }

    /// The same, for whatever was there before.
    pub(crate) fn restrict_update(self) -> Self {
        let update = self.action == Action::Update;
        self.restrict_if(update)
    }
}

impl Control {
    /// The whole change of a draft, with what follows from it.
    pub(crate) async fn completed(
        &self,
        caller: &Caller,
        draft: &Draft,
    ) -> Result<Change, ControlError> {
        let mut change = draft.change.clone();
        for later in &draft.later {
            let more = match later {
                Later::Open(kind, subject, text) => {
                    self.opening(caller, *kind, subject, text.clone()).await?
                }
                Later::Settle(kind, subject, why) => {
                    self.settling(caller, *kind, subject, why).await?
                }
                Later::HandOver(both) => self.handed_over(caller, &both.0, &both.1).await?,
            };
            change = change.and(more);
        }
        Ok(change)
    }

    /// Commits a draft by itself.
    pub(crate) async fn save(&self, caller: &Caller, draft: Draft) -> Result<Action, ControlError> {
        if draft.action != Action::None {
            let change = self.completed(caller, &draft).await?;
            let change = self.deployed(caller, change).await?;
            self.books.commit(&caller.org, change).await?;
        }
        Ok(draft.action)
    }
}
