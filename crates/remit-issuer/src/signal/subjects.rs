//! Subjects: a receiver hears of everybody but those whom it has taken out (SSF 1.0 §8.1.3).

use remit_books::Change;
use remit_domain::signal::{SUBJECTS_MAX, SignalReceiver, SignalStream};
use remit_domain::{OrgId, Refusal, RefusalCode, SignalStreamId};
use remit_token::SubjectId;
use serde::Deserialize;

use super::stream::invalid;
use crate::Issuer;
use crate::refusal::no;

/// A subject to hear of, or not to.
#[derive(Debug, Clone, Deserialize)]
pub struct SubjectAsked {
    /// By which stream.
    pub stream_id: SignalStreamId,
    /// About whom.
    pub subject: SubjectId,
}

impl Issuer {
    /// Lets a receiver hear of a subject again, or no more.
    ///
    /// - `hears`: whether it wants to hear of them.
    ///
    /// # Errors
    /// `not-found` for a stream that is not its own; `invalid-request`; `limit-exceeded`; `conflict`.
    pub async fn set_subject(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        asked: &SubjectAsked,
        hears: bool,
    ) -> Result<(), Refusal> {
        asked.subject.check().map_err(|e| invalid(e.to_string()))?;
        let (mut stream, revision) = self.own_stream(org, receiver, &asked.stream_id)?;
        let subject = text(&asked.subject);
        let changed = if hears {
            stream.without.remove(&subject)
        } else {
            stream.without.insert(subject)
        };
        if stream.without.len() > SUBJECTS_MAX {
            let text = format!("a stream leaves at most {SUBJECTS_MAX} subjects out");
            return Err(no(RefusalCode::LimitExceeded, text));
        }
        if !changed {
            return Ok(());
        }
        let event = self.stream_event(&stream);
        let change = Change::new().update(&stream, revision).event(event);
        self.commit_signal(org, change).await
    }
}

/// Whether a stream tells of a subject: not of one that was taken out, nor of a session or run of theirs.
pub(super) fn hears(stream: &SignalStream, subject: &SubjectId) -> bool {
    let out = |one: &SubjectId| stream.without.contains(&text(one));
    let user = match subject {
        SubjectId::Complex(all) => all.user.as_ref(),
        _ => None,
    };
    !out(subject) && !user.is_some_and(out)
}

/// A subject as it is kept: its members are always in the same order.
fn text(subject: &SubjectId) -> String {
    serde_json::to_string(subject).unwrap_or_default()
}
