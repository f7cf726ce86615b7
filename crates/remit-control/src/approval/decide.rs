//! A person's verdict on one exact call, and what they say of it before.

use remit_books::{Change, Versioned};
use remit_domain::approval::{
    self, Approval, ApprovalState, RunTerms, TermsError, Verdict, VerdictError,
};
use remit_domain::event::{Event, EventKind};
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

/// What somebody says.
struct Said<'a> {
    approve: bool,
    reason: Option<String>,
    for_run: Option<RunTerms>,
    session: Option<&'a BySession>,
}

impl<'a> Said<'a> {
    fn yes(
        reason: Option<String>,
        for_run: Option<RunTerms>,
        session: Option<&'a BySession>,
    ) -> Self {
        Self {
            approve: true,
            reason,
            for_run,
            session,
        }
    }
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
        self.decide(caller, id, Said::yes(reason, None, None)).await
    }

    /// Says yes to one call, and to others like it in the same run: as many, for as long and with such arguments as `terms` say.
    /// Where several people have to, it holds for the run only if as many say the same terms; otherwise for this call.
    ///
    /// # Errors
    /// As [`Control::approve`]; `forbidden` where a policy that asks, or what the tool does, wants each call looked at;
    /// `invalid-request` for terms out of range, or that leave out the call that is asked for.
    pub async fn approve_for_run(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        reason: Option<String>,
        terms: RunTerms,
        session: Option<&BySession>,
    ) -> Result<ApprovalView, ControlError> {
        self.decide(caller, id, Said::yes(reason, Some(terms), session))
            .await
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
        self.decide(caller, id, Said::yes(reason, None, Some(session)))
            .await
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
        let said = Said {
            approve: false,
            ..Said::yes(reason, None, None)
        };
        self.decide(caller, id, said).await
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
                eligible::counts_for(registry, approval, person, self.books.now())
                    .map_err(|why| may_not(&why))?;
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
        said: Said<'_>,
    ) -> Result<ApprovalView, ControlError> {
        if let Some(reason) = &said.reason {
            check::said("reason", reason)?;
        }
        self.changed_approval(caller, id, |registry, approval, person| {
            self.after_verdict(registry, caller, approval, person, &said)
        })
        .await
    }

    /// The approval after what somebody said, and what is told of it.
    fn after_verdict(
        &self,
        registry: &Registry,
        caller: &Caller,
        approval: &Approval,
        person: &Person,
        said: &Said<'_>,
    ) -> Result<(Approval, Event), ControlError> {
        let now = self.books.now();
        if approval.state == ApprovalState::Pending {
            may_speak(registry, approval, person, said.approve, now)?;
            if said.approve {
                registry.not_held(|| registry.lineage_of_approval(approval))?;
            }
            if let Some(terms) = &said.for_run {
                let tool = registry.tools.get(&approval.tool);
                let classification = tool.and_then(|t| t.classification.as_ref());
                approval::may_stand(&approval.asks, classification)
                    .and_then(|()| terms.check(&approval.args))
                    .map_err(|why| refused(why.into()))?;
            }
        }
        let proof = match said.session {
            Some(session) if said.approve => self.proof_in(registry, approval, session)?,
            _ => None,
        };
        let verdict = Verdict {
            for_run: said.for_run.clone(),
            ..self.verdict(person, said.approve, said.reason.clone(), proof.clone())
        };
        let satisfied =
            |yes: &[&remit_domain::PersonId]| eligible::satisfied(registry, approval, yes, now);
        let mut next = approval.decide(verdict, satisfied).map_err(refused)?;
        if let Some(terms) = &next.for_run {
            let run = registry.runs.get(&next.run);
            let end = run.map_or(next.expires, |run| run.deadline);
            next.expires = now.plus_secs(terms.secs.into()).min(end);
        }
        let event = self.told(caller, &next, said.approve, said.reason.as_deref());
        let event = match &proof {
            Some(passkey) => event.fact("passkey", passkey),
            None => event,
        };
        let event = match &said.for_run {
            Some(terms) => event
                .fact("count", terms.count)
                .fact("secs", terms.secs)
                .fact("for_run", next.for_run.is_some())
                .fact("expires", next.expires)
                .content("terms", terms),
            None => event,
        };
        Ok((next, event))
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
            for_run: None,
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
            let change = match next.state {
                // It takes a right away: what was decided before it is decided again.
                ApprovalState::Withdrawn => change.restrict(),
                _ => change,
            };
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
    let classification = tool.and_then(|t| t.classification.as_ref());
    approval::is_severe(classification.map(|c| c.effect))
}

fn may_speak(
    registry: &Registry,
    approval: &Approval,
    person: &Person,
    approve: bool,
    now: Timestamp,
) -> Result<(), ControlError> {
    let counts = eligible::counts_for(registry, approval, person, now);
    if approve {
        counts.map_err(|why| may_not(&why))?;
    } else if !eligible::may_deny(registry, approval, person, now) {
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
        VerdictError::Claimed(_) => (
            RefusalCode::Conflict,
            "; you may decide it all the same, or wait for them",
        ),
        VerdictError::NotClaimed | VerdictError::NotGiven(_) => (RefusalCode::Conflict, ""),
        VerdictError::Terms(TermsError::EachAlone(_) | TermsError::Severe(_)) => {
            (RefusalCode::Forbidden, "")
        }
        VerdictError::Terms(_) => (RefusalCode::InvalidRequest, ""),
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
            ApprovalState::Withdrawn => (
                RefusalCode::ApprovalWithdrawn,
                ": the yes was taken back; the agent has to ask again",
            ),
            ApprovalState::Ambiguous => (
                RefusalCode::Ambiguous,
                ": the call was sent and no answer came",
            ),
        },
    };
    refuse(code, format!("{error}{hint}"))
}
