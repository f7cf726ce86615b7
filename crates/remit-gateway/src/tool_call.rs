//! The walk of one tool call, one line a room.

use remit_domain::{Refusal, RefusalCode};

use crate::Gateway;
use crate::breaker;
use crate::call::{Action, Answer, Authenticated, Received, Recorded};
use crate::limits::WALKS_MAX;
use crate::record::NotRecorded;
use crate::refuse::Refused;

/// Why a walk ended: with the answer no, recorded already or not yet.
enum Stopped {
    AtDoor(Refusal),
    Recorded(Box<Refused>),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::AtDoor(refusal)
    }
}

impl Gateway {
    /// Walks one call from received to answered. Every refusal leaves by the one door and is recorded.
    ///
    /// # Errors
    /// [`Refused`]: the answer no, with its reason and what it was recorded as.
    pub async fn tool_call(&self, received: Received) -> Result<Answer, Refused> {
        let held = self.may_hold(&received);
        match self.once(Box::new(received)).await {
            Err(refused) => Box::pin(self.hold(held, refused)).await,
            answered => answered,
        }
    }

    /// One walk, and what the upstream asks on the way.
    pub(crate) async fn once(&self, received: Box<Received>) -> Result<Answer, Refused> {
        if received.call.name == crate::APPROVAL_STATUS_TOOL && received.action == Action::Tool {
            let (org, named) = (received.org.clone(), received.call.name.clone());
            return match self.authenticate(received).await {
                Ok(call) => {
                    self.in_time(&org, &call.caller)?;
                    Box::pin(self.approval_status(call)).await
                }
                Err(not) => Err(Box::pin(self.turn_away(&org, &named, not)).await),
            };
        }
        let recorded = self.decided(received).await?;
        self.converse(recorded).await
    }

    /// From received to recorded. Every refusal leaves by the one door.
    pub(crate) async fn decided(&self, received: Box<Received>) -> Result<Recorded, Refused> {
        let org = received.org.clone();
        let named = match received.action.pseudo_tool() {
            Some(method) => method.to_owned(),
            None => received.call.name.clone(),
        };
        let call = match self.authenticate(received).await {
            Ok(call) => call,
            Err(not) => return Err(Box::pin(self.turn_away(&org, &named, not)).await),
        };
        let (caller, digest) = (call.caller.clone(), breaker::digest(&call.received));
        self.in_time(&org, &caller)?;
        let walked = match self.not_tripped(&org, &caller.agent) {
            Ok(()) => self.walk(call).await,
            Err(refusal) => Err(refusal.into()),
        };
        let refused = match walked {
            Ok(recorded) => return Ok(recorded),
            Err(Stopped::Recorded(refused)) => *refused,
            Err(Stopped::AtDoor(refusal)) => {
                Box::pin(self.refuse(&org, Some(&caller), &named, refusal)).await
            }
        };
        if breaker::counts(refused.refusal.code) {
            self.watch(&org, &caller.agent, digest, true);
        }
        Err(refused)
    }

    /// From authenticated to recorded; from the beginning again when something moved meanwhile.
    async fn walk(&self, call: Authenticated) -> Result<Recorded, Stopped> {
        let mut call = call;
        for _ in 0..WALKS_MAX {
            let resolved = self.resolve(call).await?;
            let authorized = self.authorize(resolved)?;
            let approved = self.approve(authorized).await?;
            match self.record_decision(approved).await {
                Ok(recorded) => return Ok(recorded),
                // From the beginning: the token itself may be what moved.
                Err(NotRecorded::Moved(again)) => {
                    call = self.authenticate(again).await.map_err(|not| not.refusal)?;
                }
                Err(NotRecorded::Refused(refused)) => return Err(Stopped::Recorded(refused)),
                Err(NotRecorded::Failed(refusal)) => return Err(Stopped::AtDoor(refusal)),
            }
        }
        let text = "what the decision rests on kept changing while it was made; call again";
        Err(Refusal::new(RefusalCode::SnapshotStale, text).into())
    }

    /// From recorded to answered. Goes on when the caller leaves: what was recorded gets its outcome.
    pub(crate) async fn send(&self, recorded: Recorded) -> Result<Answer, Refused> {
        let gateway = self.clone();
        let decision = recorded.authorized.id.clone();
        let sending = tokio::spawn(async move {
            match gateway.broker(recorded).await {
                Ok(equipped) => {
                    let forwarded = gateway.forward(equipped).await;
                    gateway.record_outcome(forwarded).await
                }
                Err((recorded, refusal)) => Box::pin(gateway.not_equipped(recorded, refusal)).await,
            }
        });
        sending.await.unwrap_or_else(|_| {
            let text = "AMBIGUOUS: the call broke off inside Remit; it may have had its effect. Do not retry it; find out first";
            Err(Refused { refusal: Refusal::new(RefusalCode::Ambiguous, text), decision: Some(decision), approval: None })
        })
    }
}
