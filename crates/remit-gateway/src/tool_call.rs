//! The walk of one tool call, one line a room.

use remit_domain::{Refusal, RefusalCode};

use crate::Gateway;
use crate::call::{Answer, Authenticated, Received, Recorded};
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
        let org = received.org.clone();
        let named = match received.action.pseudo_tool() {
            Some(method) => method.to_owned(),
            None => received.call.name.clone(),
        };
        let call = match self.authenticate(received).await {
            Ok(call) => call,
            Err(refusal) => return Err(self.refuse(&org, None, &named, refusal).await),
        };
        let caller = call.caller.clone();
        if named == crate::APPROVAL_STATUS_TOOL {
            return self.approval_status(call).await;
        }
        match self.walk(call).await {
            Ok(recorded) => self.send(recorded).await,
            Err(Stopped::Recorded(refused)) => Err(*refused),
            Err(Stopped::AtDoor(refusal)) => {
                Err(self.refuse(&org, Some(&caller), &named, refusal).await)
            }
        }
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
                Err(NotRecorded::Moved(again)) => call = self.authenticate(*again).await?,
                Err(NotRecorded::Refused(refused)) => return Err(Stopped::Recorded(refused)),
                Err(NotRecorded::Failed(refusal)) => return Err(Stopped::AtDoor(refusal)),
            }
        }
        let text = "what the decision rests on kept changing while it was made; call again";
        Err(Refusal::new(RefusalCode::SnapshotStale, text).into())
    }

    /// From recorded to answered. Goes on when the caller leaves: what was recorded gets its outcome.
    async fn send(&self, recorded: Recorded) -> Result<Answer, Refused> {
        let gateway = self.clone();
        let decision = recorded.authorized.id.clone();
        let sending = tokio::spawn(async move {
            match gateway.broker(recorded).await {
                Ok(equipped) => {
                    let forwarded = gateway.forward(equipped).await;
                    gateway.record_outcome(forwarded).await
                }
                Err((recorded, refusal)) => gateway.not_equipped(recorded, refusal).await,
            }
        });
        sending.await.unwrap_or_else(|_| {
            let text = "AMBIGUOUS: the call broke off inside Remit; it may have had its effect. Do not retry it; find out first";
            Err(Refused { refusal: Refusal::new(RefusalCode::Ambiguous, text), decision: Some(decision), approval: None })
        })
    }
}
