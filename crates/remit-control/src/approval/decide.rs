//! A person's verdict on one exact call, and what they say of it before.

use remit_books::{Change, Versioned};
use remit_domain::approval::{Approval, ApprovalState, Verdict, VerdictError};
use remit_domain::event::{Event, EventKind};
use remit_domain::tool::Effect;
use remit_domain::{ApprovalId, PasskeyId, Person, RefusalCode, Registry, Timestamp};
use remit_ports::store::StoreError;
use serde_json::Value;

use super::{ApprovalView, eligible, view};
use crate::{Caller, Control, ControlError, check, refuse};

/// How often a verdict that lost a race is given anew: two approvers may speak at once.
const TRIES: u32 = 5;
/// How long a proof with a passkey is good for the call whose digest it signed, in seconds.
const PROOF_SECS: i64 = 300;
/// Longest text of arguments that a person proposes, in bytes: what is longer is not written by hand.
const EDITED_BYTES_MAX: usize = 64 * 1024;

/// What a browser session knows of the person who decides in it.
#[derive(Debug, Clone)]
pub struct BySession {
    /// Whether they have a passkey: then a yes to a severe effect takes a proof with it.
    pub has_passkey: bool,
    /// The digest that they proved last in this session, with which passkey and when.
    pub proved: Option<(String, PasskeyId, Timestamp)>,
}

impl Control {
    /// Says yes to one call.
    ///
    /// # Errors
    /// `forbidden` for who may not, with why; `conflict` for a second verdict or an approval that was approved already;
    /// `approval-denied`, `-expired`, `-cancelled`, `-stale`, `-used` or `ambiguous` for one that is settled.
    pub async fn approve(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        reason: Option<String>,
    ) -> Result<ApprovalView, ControlError> {
        self.decide(caller, id, true, reason, None).await
    }

    /// Says yes in a browser session. Whoever has a passkey proves with it, over the digest of this call, that it is them,
    /// where the effect is severe; the ledger keeps what it signed.
    ///
    /// # Errors
    /// As [`Control::approve`]; `proof-invalid` where the proof is missing, too old, or of another call.
    pub async fn approve_in_session(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        reason: Option<String>,
        session: &BySession,
    ) -> Result<ApprovalView, ControlError> {
        self.decide(caller, id, true, reason, Some(session)).await
    }

    /// Says no to one call: it is settled at once.
    ///
    /// # Errors
    /// As [`Control::approve`].
    pub async fn deny(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        reason: Option<String>,
    ) -> Result<ApprovalView, ControlError> {
        self.decide(caller, id, false, reason, None).await
    }

    /// Says no to the call as it was asked, and which arguments would do. The agent is told them; a call with them is another
    /// call, decided and asked for anew, so that whoever may not approve alone still cannot.
    ///
    /// - `args`: an object, other than what was asked.
    ///
    /// # Errors
    /// As [`Control::approve`]; `invalid-request` for arguments that are no object, the same, or too long.
    pub async fn edit_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        args: Value,
        reason: Option<String>,
    ) -> Result<ApprovalView, ControlError> {
        let wrong = |why: &str| {
            Err(refuse(
                RefusalCode::InvalidRequest,
                format!("`args`: {why}"),
            ))
        };
        if !args.is_object() {
            return wrong("are not a JSON object");
        }
        if args.to_string().len() > EDITED_BYTES_MAX {
            return wrong("are longer than 65,536 bytes; propose fewer");
        }
        if let Some(reason) = &reason {
            check::said("reason", reason)?;
        }
        self.changed_approval(caller, id, |registry, approval, person| {
            if approval.args == args {
                let text = "`args`: are what was asked; approve or deny it";
                return Err(refuse(RefusalCode::InvalidRequest, text));
            }
            if approval.state == ApprovalState::Pending {
                eligible::counts_for(registry, approval, person).map_err(|why| may_not(&why))?;
            }
            let verdict = self.verdict(person, false, reason.clone(), None);
            let mut next = approval.decide(verdict, |_| false).map_err(refused)?;
            next.edited = Some(args.clone());
            let event = self
                .told(caller, &next, false, reason.as_deref())
                .fact("edited", true)
                .content("args", &args);
            Ok((next, event))
        })
        .await
    }

    async fn decide(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        approve: bool,
        reason: Option<String>,
        session: Option<&BySession>,
    ) -> Result<ApprovalView, ControlError> {
        if let Some(reason) = &reason {
            check::said("reason", reason)?;
        }
        self.changed_approval(caller, id, |registry, approval, person| {
            if approval.state == ApprovalState::Pending {
                may_speak(registry, approval, person, approve)?;
            }
            if approve {
                registry.not_held(|| registry.lineage_of_approval(approval))?;
            }
            let proof = match session {
                Some(session) if approve => self.proof_in(registry, approval, session)?,
                _ => None,
            };
            let verdict = self.verdict(person, approve, reason.clone(), proof.clone());
            let satisfied =
                |yes: &[&remit_domain::PersonId]| eligible::satisfied(registry, approval, yes);
            let next = approval.decide(verdict, satisfied).map_err(refused)?;
            let event = self.told(caller, &next, approve, reason.as_deref());
            let event = match &proof {
                Some(passkey) => event.fact("passkey", passkey),
                None => event,
            };
            Ok((next, event))
        })
        .await
    }

    fn verdict(
        &self,
        person: &Person,
        approve: bool,
        reason: Option<String>,
        proof: Option<PasskeyId>,
    ) -> Verdict {
        Verdict {
            person: person.id.clone(),
            approve,
            reason,
            at: self.books.now(),
            proof,
        }
    }

    /// The passkey that proved this very call in the session; none where none is needed and none was given.
    fn proof_in(
        &self,
        registry: &Registry,
        approval: &Approval,
        session: &BySession,
    ) -> Result<Option<PasskeyId>, ControlError> {
        let now = self.books.now();
        let proved = session.proved.as_ref().filter(|(digest, _, at)| {
            *digest == approval.digest && (0..PROOF_SECS).contains(&now.secs_since(*at))
        });
        match proved {
            Some((_, passkey, _)) => Ok(Some(passkey.clone())),
            None if session.has_passkey && is_severe(registry, approval) => Err(refuse(
                RefusalCode::ProofInvalid,
                "a yes to this effect takes your passkey, over this call; press Approve with passkey, or use `remit approval approve`",
            )),
            None => Ok(None),
        }
    }

    /// Changes an approval, anew while it loses races. Who may speak, and who of those who spoke before still counts, is
    /// looked up each time: a role or a person may have gone since they were asked.
    pub(super) async fn changed_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        plan: impl Fn(&Registry, &Approval, &Person) -> Result<(Approval, Event), ControlError>,
    ) -> Result<ApprovalView, ControlError> {
        let asked = caller.person()?;
        let mut tries = 0;
        loop {
            let found = self.current(&caller.org, id).await?;
            let revision = found.revision;
            let (next, event) = {
                let book = self.book(&caller.org)?;
                let registry = book.registry();
                // The registry's own record counts, not the one the caller came with; but no role that their session has not.
                let person = registry
                    .people
                    .get(&asked.id)
                    .cloned()
                    .ok_or_else(|| may_not("you are not a person of this organization"))?
                    .with_at_most(&asked.roles);
                plan(&registry, &found.noun, &person)?
            };
            let change = Change::new().update(&next, revision).event(event);
            match self.books.commit(&caller.org, change).await {
                Ok(committed) => {
                    let revision = committed.revisions.first().copied().unwrap_or(revision);
                    let noun = next;
                    let found = Versioned { noun, revision };
                    let book = self.book(&caller.org)?;
                    let registry = book.registry();
                    return Ok(view(&registry, &found, Some(caller), self.books.now()));
                }
                Err(remit_books::BooksError::Store(StoreError::Conflict { .. }))
                    if tries < TRIES =>
                {
                    tries += 1
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn told(&self, caller: &Caller, next: &Approval, approve: bool, reason: Option<&str>) -> Event {
        self.about_approval(caller, EventKind::ApprovalDecided, next)
            .fact("approve", approve)
            .fact("state", next.state)
            .fact("digest", &next.digest)
            .fact("verdicts", next.verdicts.len())
            .content("reason", reason)
    }

    pub(super) fn about_approval(&self, caller: &Caller, kind: EventKind, a: &Approval) -> Event {
        Event::new(kind, self.books.now(), caller.principal.clone())
            .about(&a.id)
            .run(&a.run)
            .agent(&a.agent)
            .decision(&a.decision)
    }
}

/// Whether a yes to it deserves a proof: what it does cannot be taken back, spends, or gives rights.
pub(super) fn is_severe(registry: &Registry, approval: &Approval) -> bool {
    let tool = registry.tools.get(&approval.tool);
    let effect = tool
        .and_then(|t| t.classification.as_ref())
        .map(|c| c.effect);
    // What nobody has classified is not known to be harmless.
    effect.is_none_or(|e| {
        matches!(
            e,
            Effect::Destructive | Effect::Purchase | Effect::Privilege | Effect::Execute
        )
    })
}

fn may_speak(
    registry: &Registry,
    approval: &Approval,
    person: &Person,
    approve: bool,
) -> Result<(), ControlError> {
    let counts = eligible::counts_for(registry, approval, person);
    if approve {
        counts.map_err(|why| may_not(&why))?;
    } else if !eligible::may_deny(registry, approval, person) {
        let why = counts.err();
        return Err(may_not(why.as_deref().unwrap_or("it is not for you")));
    }
    Ok(())
}

pub(super) fn may_not(why: &str) -> ControlError {
    refuse(
        RefusalCode::Forbidden,
        VerdictError::NotApprover(why.to_owned()).to_string(),
    )
}

pub(super) fn refused(error: VerdictError) -> ControlError {
    let (code, hint) = match &error {
        VerdictError::NotApprover(_) => (RefusalCode::Forbidden, ""),
        VerdictError::Talked(_) => (RefusalCode::LimitExceeded, ""),
        VerdictError::Twice => (RefusalCode::Conflict, "; another person has to decide"),
        VerdictError::Expired(_) => (RefusalCode::ApprovalExpired, ""),
        VerdictError::Settled(state) => match state {
            ApprovalState::Pending | ApprovalState::Approved => {
                (RefusalCode::Conflict, "; there is nothing left to decide")
            }
            ApprovalState::Denied => (
                RefusalCode::ApprovalDenied,
                "; a no is final, the agent has to ask again",
            ),
            ApprovalState::Expired => {
                (RefusalCode::ApprovalExpired, "; the agent has to ask again")
            }
            ApprovalState::Cancelled => (
                RefusalCode::ApprovalCancelled,
                ": its run ended or was contained",
            ),
            ApprovalState::Stale => (
                RefusalCode::ApprovalStale,
                ": the policies have changed since it was asked",
            ),
            ApprovalState::Used => (RefusalCode::ApprovalUsed, ": the call was sent"),
            ApprovalState::Ambiguous => (
                RefusalCode::Ambiguous,
                ": the call was sent and no answer came",
            ),
        },
    };
    refuse(code, format!("{error}{hint}"))
}
