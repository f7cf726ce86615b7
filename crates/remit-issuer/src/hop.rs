//! Each hop is a decision of its own: the live policies are asked before anything is handed on or issued, and what they say is
//! committed with it, at the containment epoch at which they were asked, or not at all.

use std::sync::Arc;

use remit_books::hop::HOP_TRIES;
use remit_books::hop::{HopAction, HopKind};
use remit_books::{BooksError, Change, Hop, HopAnswer, HopRefused};
use remit_domain::delegation::Delegation;
use remit_domain::{OrgId, Refusal, RefusalCode, Run, Timestamp};
use remit_token::{OAuthErrorCode, TokenResponse};

use crate::Issuer;
use crate::door::Denied;
use crate::mint::Ask;
use crate::refusal::no;
use crate::spent::spent;

/// Something was taken away since the policies were asked.
pub(crate) const DECIDED_EARLY: &str = "decided-early";

/// The refusal of what was asked too often while things were taken away.
pub(crate) fn early() -> Refusal {
    let text = "what is permitted keeps changing here; ask again";
    no(RefusalCode::SnapshotStale, text)
}

/// The same, at the token endpoint.
pub(crate) fn too_early() -> Denied {
    early().into()
}

/// Whether a token answers a token exchange (RFC 8693).
pub(crate) const fn is_exchange(kind: HopKind) -> bool {
    matches!(
        kind,
        HopKind::Assertion | HopKind::SubAgent | HopKind::Exchange
    )
}

/// The hop of a token in a run, which may only begin with it.
pub(crate) fn token_hop<'a>(
    run: &'a Run,
    chain: &'a [Arc<Delegation>],
    ask: &'a Ask,
    expires: Timestamp,
) -> Hop<'a> {
    Hop {
        action: HopAction::Issue,
        kind: ask.kind,
        agent: Arc::clone(&ask.client.agent),
        workflow: &ask.workflow,
        person: run.person.as_ref(),
        chain: chain.iter().map(AsRef::as_ref).collect(),
        intent: Some(&run.intent),
        run: Some(run),
        ticket: run.intent.ticket.as_deref(),
        expires,
        trust: Some(ask.client.trust),
    }
}

impl From<HopRefused> for Denied {
    fn from(refused: HopRefused) -> Self {
        let refusal = refused.refusal.clone();
        Self {
            forbidden: Some(Box::new(refused)),
            ..Self::from(refusal)
        }
    }
}

impl Issuer {
    /// Asks the policies about a hop, and refuses what they forbid.
    pub(crate) async fn may_hop(&self, org: &OrgId, hop: &Hop<'_>) -> Result<HopAnswer, Denied> {
        let answer = self.books().ask_hop(org, hop).await?;
        match answer.refused() {
            Some(refused) => Err(refused.into()),
            None => Ok(answer),
        }
    }

    /// Why a commit that was decided on failed.
    pub(crate) async fn lost(&self, org: &OrgId, error: BooksError) -> Denied {
        if !self.books().decided_too_early(org, &error).await {
            return spent(error);
        }
        let text = "what is permitted has changed meanwhile; ask again";
        Denied::new(OAuthErrorCode::TemporarilyUnavailable, DECIDED_EARLY, text)
    }

    /// Issues a token, asking the policies anew while something is taken away between their answer and the commit.
    pub(crate) async fn issue(
        &self,
        org: &OrgId,
        run: Run,
        chain: &[Arc<Delegation>],
        ask: Ask,
        change: Change,
    ) -> Result<TokenResponse, Denied> {
        for _ in 0..HOP_TRIES {
            let change = change.clone();
            match self.issue_once(org, &run, chain, &ask, change).await {
                Err(denied) if denied.code == DECIDED_EARLY => {}
                other => return other,
            }
        }
        Err(too_early().by(&ask.client.agent.id))
    }
}
