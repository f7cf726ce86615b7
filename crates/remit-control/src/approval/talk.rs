//! What is said of an approval while it waits: questions to whoever answers for the call, their answers, and handing it on.
//! None of it decides anything, and none of it gives anybody a right.

use remit_domain::ApprovalId;
use remit_domain::approval::{Given, Note, NoteKind};
use remit_domain::event::EventKind;
use remit_domain::name::Email;

use super::decide::{may_not, refused};
use super::{ApprovalView, eligible};
use crate::{Caller, Control, ControlError, check, resolve};

impl Control {
    /// Asks whoever answers for the call something about it. It waits on.
    ///
    /// # Errors
    /// `forbidden` for who may not decide it, with why; `invalid-request`; `limit-exceeded` after 20 notes; as
    /// [`Control::approve`] for one that is settled.
    pub async fn question_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        text: String,
    ) -> Result<ApprovalView, ControlError> {
        self.note(caller, id, NoteKind::Question, text).await
    }

    /// Answers: the person the run acts for, or the agent's sponsor or owner.
    ///
    /// # Errors
    /// As [`Control::question_approval`].
    pub async fn answer_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        text: String,
    ) -> Result<ApprovalView, ControlError> {
        self.note(caller, id, NoteKind::Answer, text).await
    }

    async fn note(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        kind: NoteKind,
        text: String,
    ) -> Result<ApprovalView, ControlError> {
        check::said("text", &text)?;
        self.changed_approval(caller, id, |registry, approval, person| {
            let now = self.books.now();
            let (event, may) = match kind {
                NoteKind::Question => (
                    EventKind::ApprovalQuestioned,
                    eligible::may_deny(registry, approval, person, now),
                ),
                NoteKind::Answer => (
                    EventKind::ApprovalAnswered,
                    eligible::may_answer(registry, approval, person),
                ),
            };
            if !may {
                return Err(may_not(match kind {
                    NoteKind::Question => "whoever may decide it asks about it",
                    NoteKind::Answer => {
                        "whom the run acts for answers, or the agent's sponsor or owner"
                    }
                }));
            }
            let note = Note {
                kind,
                person: person.id.clone(),
                text: text.clone(),
                at: self.books.now(),
            };
            let next = approval.noted(note).map_err(refused)?;
            let event = self
                .about_approval(caller, event, &next)
                .fact("notes", next.notes.len())
                .content("text", &text);
            Ok((next, event))
        })
        .await
    }

    /// Hands an approval to somebody who may decide it, too. It leaves the caller's list and heads theirs; everybody who might
    /// decide it still may.
    ///
    /// # Errors
    /// `forbidden` for who may not approve it, or when the other may not, with why; `not-found`; as [`Control::approve`] for one
    /// that is settled.
    pub async fn give_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        to: &Email,
    ) -> Result<ApprovalView, ControlError> {
        self.changed_approval(caller, id, |registry, approval, person| {
            let now = self.books.now();
            eligible::counts_for(registry, approval, person, now).map_err(|why| may_not(&why))?;
            let other = resolve::addressed(registry, to)?;
            eligible::counts_for(registry, approval, &other, now)
                .map_err(|why| may_not(&format!("they cannot approve it: {}", theirs(&why))))?;
            let given = Given {
                to: other.id.clone(),
                by: person.id.clone(),
                at: self.books.now(),
            };
            let next = approval.handed(given).map_err(refused)?;
            let event = self
                .about_approval(caller, EventKind::ApprovalGiven, &next)
                .fact("to", &other.id);
            Ok((next, event))
        })
        .await
    }
}

/// A reason that was written for the one it is about, told to somebody else.
fn theirs(why: &str) -> String {
    why.replace("you were", "they were")
        .replace("you are", "they are")
        .replace("acts for you", "acts for them")
}

#[cfg(test)]
mod tests;
