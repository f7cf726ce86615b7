//! Answers for enforcement points: advice, which consumes nothing, and decisions that take effect by the walk of any call.

use remit_domain::approval::{Approval, AskSet};
use remit_domain::{ApprovalId, DecisionId, OrgId, Refusal, RefusalCode, RunId, Timestamp};
use remit_policy::{Outcome, Reason};
use serde_json::{Map, Value};

use crate::Gateway;
use crate::call::{Approved, Authorized, Consent, Received};
use crate::enforcement_point::Question;
use crate::obligation::{flags, transforms};
use crate::record::NotRecorded;
use crate::refuse::Refused;
use crate::report::REPORT_SECS;
use crate::resolve::unavailable;

/// What would be decided of a call now. Nothing is recorded, consumed, reserved or started.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Whether it would go on.
    pub verdict: Verdict,
    /// Why, one line a policy.
    pub reasons: Vec<Reason>,
    /// The determining policies.
    pub policies: Vec<String>,
    /// The arguments as they would be sent; none where settings leave them as they are.
    pub arguments: Option<Map<String, Value>>,
    /// Settings that mask something of the call or of its result.
    pub transforms: Vec<String>,
    /// Settings that flag the call.
    pub flags: Vec<String>,
    /// The version of the policies.
    pub bundle: String,
    /// When it was looked at.
    pub at: Timestamp,
}

/// Whether a call would go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It would.
    Allow,
    /// It would, once: a person has approved exactly this.
    Approved(ApprovalId),
    /// A person has to be asked, or has been and has not said yet.
    Ask(AskSet, Option<ApprovalId>),
    /// It would not.
    Deny(Refusal),
}

impl Advice {
    /// The answer no, before anything was decided.
    pub(crate) fn no(refusal: Refusal, at: Timestamp) -> Self {
        Self {
            verdict: Verdict::Deny(refusal),
            reasons: Vec::new(),
            policies: Vec::new(),
            arguments: None,
            transforms: Vec::new(),
            flags: Vec::new(),
            bundle: String::new(),
            at,
        }
    }
}

/// A decision that has taken effect: the point may let the call through, and has to report what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Enforced {
    /// The decision, which is also the call.
    pub decision: DecisionId,
    /// Index of its entry in the organization's ledger.
    pub index: u64,
    /// The run it was decided in.
    pub run: RunId,
    /// The canonical arguments that were decided: what is to be sent on.
    pub arguments: Map<String, Value>,
    /// Settings that mask something of the result.
    pub transforms: Vec<String>,
    /// The determining policies.
    pub policies: Vec<String>,
    /// Until when the outcome has to be reported.
    pub report_by: Timestamp,
}

/// What became of an access request.
#[derive(Debug, Clone, PartialEq)]
pub struct Requested {
    /// The approval.
    pub approval: Approval,
    /// Whether it was asked for now.
    pub new: bool,
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

impl Gateway {
    /// Advises an enforcement point. Consumes nothing and records nothing.
    ///
    /// # Errors
    /// [`Refused`], recorded, where the point may not ask this at all: the agent is not assigned to it.
    pub async fn advise(&self, question: &Question) -> Result<Advice, Refused> {
        let received = match self.asked(question, false) {
            Ok(received) => received,
            Err(refusal) if refusal.code == RefusalCode::Forbidden => {
                return Err(self.turn_away_point(question, refusal).await);
            }
            Err(refusal) => return Ok(Advice::no(refusal, self.books().now())),
        };
        match self.advice(received).await {
            Ok(advice) => Ok(advice),
            Err(refusal) => Ok(Advice::no(refusal, self.books().now())),
        }
    }

    async fn advice(&self, received: Received) -> Result<Advice, Refusal> {
        let given = received.call.arguments.digest();
        let call = self
            .authenticate(Box::new(received))
            .await
            .map_err(Refusal::from)?;
        let resolved = self.resolve(call).await?;
        let authorized = self.authorize(resolved)?;
        let verdict = match &authorized.decision.outcome {
            Outcome::Allow => Verdict::Allow,
            Outcome::Deny => Verdict::Deny(crate::approve::denied(&authorized)),
            Outcome::Ask(asks) => self.asked_already(&authorized, asks).await?,
        };
        let Authorized {
            resolved,
            decision,
            dynamic,
            ..
        } = authorized;
        let left = &resolved.received.call.arguments;
        let changed = left.digest() != given;
        Ok(Advice {
            verdict,
            arguments: changed.then(|| left.value().clone()),
            transforms: owned(transforms(&decision)),
            flags: owned(flags(&decision)),
            bundle: resolved.engine.bundle().to_owned(),
            at: dynamic.now,
            reasons: decision.reasons,
            policies: decision.policies,
        })
    }

    /// What people have said of exactly this call, as it stands; nobody is asked.
    async fn asked_already(&self, call: &Authorized, asks: &AskSet) -> Result<Verdict, Refusal> {
        let consent = self
            .consent(call, asks)
            .await
            .map_err(|e| unavailable(&e))?;
        Ok(match consent {
            Consent::NotNeeded => Verdict::Allow,
            Consent::Given(approval, _) => Verdict::Approved(approval.id),
            Consent::Waits(_, id) => Verdict::Ask(asks.clone(), Some(id)),
            // What was given before is stale or late: a person can be asked anew.
            Consent::Asked(..) | Consent::Spent(..) => Verdict::Ask(asks.clone(), None),
            Consent::Withheld(refusal) => Verdict::Deny(refusal),
        })
    }

    /// Decides a call so that it takes effect: by the walk of any call, up to its durable record. The point lets the call
    /// through and reports its outcome; one that is not reported becomes a gap.
    ///
    /// # Errors
    /// [`Refused`], recorded.
    pub async fn enforce(&self, question: &Question) -> Result<Enforced, Refused> {
        if !question.point.enforce {
            let text =
                "this enforcement point is only advised; an administrator can let it enforce";
            let refusal = Refusal::new(RefusalCode::Forbidden, text);
            return Err(self.turn_away_point(question, refusal).await);
        }
        if !self.inner.points.pending.has_room() {
            let text = "too many decisions wait for their outcomes; report those first";
            return Err(Refusal::new(RefusalCode::Limited, text).into());
        }
        let received = match self.asked_live(question).await {
            Ok(received) => received,
            Err(refusal) => return Err(self.turn_away_point(question, refusal).await),
        };
        let recorded = self.decided(Box::new(received)).await?;
        let call = &recorded.authorized;
        let guard = self.depart(&call.id, &call.resolved);
        // Registered, then the epoch is read, then it goes (invariant 8).
        if let Err(refusal) = self.still_good(&call.resolved).await {
            drop(guard);
            let refused = self.not_equipped(recorded, refusal.clone()).await;
            return Err(refused.err().unwrap_or_else(|| refusal.into()));
        }
        let enforced = Enforced {
            decision: call.id.clone(),
            index: recorded.index,
            run: call.resolved.standing.run.id.clone(),
            arguments: call.resolved.received.call.arguments.value().clone(),
            transforms: owned(transforms(&call.decision)),
            policies: call.decision.policies.clone(),
            report_by: call.dynamic.now.plus_secs(REPORT_SECS),
        };
        let now = self.books().clock().monotonic();
        self.inner
            .points
            .pending
            .add(&question.point.id, recorded, guard, now);
        Ok(enforced)
    }

    /// Asks people to approve exactly this call, where it takes that; what they were asked before is found again.
    ///
    /// # Errors
    /// [`Refused`]: `invalid-request` where nobody has to be asked; `denied` where nobody's yes would help; and what refuses any
    /// call.
    pub async fn request_access(&self, question: &Question) -> Result<Requested, Refused> {
        let received = match self.asked_live(question).await {
            Ok(received) => received,
            Err(refusal) => return Err(self.turn_away_point(question, refusal).await),
        };
        let org = question.org.clone();
        let call = match self.authenticate(Box::new(received)).await {
            Ok(call) => call,
            Err(not) => return Err(self.turn_away(&org, question.tool.tool(), not).await),
        };
        self.in_time(&org, &call.caller)?;
        let resolved = self.resolve(call).await?;
        let approved = self.approve(self.authorize(resolved)?).await?;
        let old = match &approved.consent {
            Consent::NotNeeded => {
                let text = "nobody has to approve this; ask for the decision";
                return Err(Refusal::new(RefusalCode::InvalidRequest, text).into());
            }
            Consent::Given(approval, _) => Some((**approval).clone()),
            Consent::Waits(_, id) => self.approval(&org, id).await?,
            Consent::Withheld(refusal) => return Err(refusal.clone().into()),
            Consent::Asked(..) | Consent::Spent(..) => None,
        };
        match old {
            Some(approval) => Ok(Requested {
                approval,
                new: false,
            }),
            None => self.ask_people(&org, approved).await,
        }
    }

    async fn ask_people(&self, org: &OrgId, approved: Approved) -> Result<Requested, Refused> {
        let refused = match self.record_decision(approved).await {
            Err(NotRecorded::Refused(refused)) => *refused,
            Err(NotRecorded::Failed(refusal)) => return Err(refusal.into()),
            // Asking again is safe: nothing was recorded, or it is found again.
            Err(NotRecorded::Moved(_)) | Ok(_) => {
                let text = "what the decision rests on changed while it was made; ask again";
                return Err(Refusal::new(RefusalCode::SnapshotStale, text).into());
            }
        };
        let Some(id) = refused.approval.clone() else {
            return Err(refused);
        };
        match self.approval(org, &id).await? {
            Some(approval) => Ok(Requested {
                approval,
                new: true,
            }),
            None => Err(refused),
        }
    }

    /// An approval of an agent that is assigned to the point.
    ///
    /// # Errors
    /// `not-found`, the same for another point's; when the store cannot be read.
    pub async fn point_approval(
        &self,
        org: &OrgId,
        point: &remit_domain::EnforcementPoint,
        id: &str,
    ) -> Result<Approval, Refusal> {
        let unknown = || Refusal::new(RefusalCode::NotFound, "no such access request is here");
        let id: ApprovalId = id.parse().map_err(|_| unknown())?;
        let found = self.approval(org, &id).await?;
        let own = |a: &Approval| point.assigned(&a.agent).is_some();
        found.filter(own).ok_or_else(unknown)
    }

    /// Takes an access request back that nobody has said anything to.
    ///
    /// # Errors
    /// As [`Self::point_approval`]; `conflict` when it does not wait any more.
    pub async fn cancel_request(
        &self,
        org: &OrgId,
        point: &remit_domain::EnforcementPoint,
        id: &str,
    ) -> Result<Approval, Refusal> {
        let found = self.point_approval(org, point, id).await?;
        if found.state == remit_domain::approval::ApprovalState::Pending {
            self.cancel_held(org, &found.id).await;
        }
        let now = self.point_approval(org, point, id).await?;
        if now.state == remit_domain::approval::ApprovalState::Cancelled {
            return Ok(now);
        }
        let text = format!("the request is {}; it waits for nobody", now.state.as_str());
        Err(Refusal::new(RefusalCode::Conflict, text))
    }

    async fn approval(&self, org: &OrgId, id: &ApprovalId) -> Result<Option<Approval>, Refusal> {
        let found = self.books().get::<Approval>(org, id.as_str()).await;
        Ok(found.map_err(|e| unavailable(&e))?.map(|a| a.noun))
    }

    /// Turns away a point that asked what it may not, and records it.
    pub(crate) async fn turn_away_point(&self, question: &Question, refusal: Refusal) -> Refused {
        let tool = question.tool.to_string();
        self.refuse_point(&question.org, &question.point.id, &tool, refusal)
            .await
    }
}
