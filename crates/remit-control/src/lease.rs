//! Leases: which tokens of upstreams' own authorization servers there are, for whom, and how each of them ended. Nobody sees a token
//! here.

use std::collections::BTreeSet;

use remit_books::Versioned;
use remit_domain::lease::{Lease, LeaseProof, LeaseState};
use remit_domain::upstream::{TokenGrant, UpstreamName};
use remit_domain::{LeaseId, Registry, Role, RunId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::not_found;
use crate::{Caller, Control, ControlError, ListQuery, Listing, check, names, newest};

/// Who sees them all.
const READERS: [Role; 3] = [Role::Admin, Role::Responder, Role::Auditor];

/// A lease, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeaseView {
    /// Its id.
    pub id: LeaseId,
    /// `active`, `ending`, `revoked`, `expired` or `dead`: not revoked, and not tried any more.
    pub state: LeaseState,
    /// At which upstream it is good.
    pub upstream: UpstreamName,
    /// In which run; none for what an administrator did.
    pub run: Option<RunId>,
    /// Which agent acts, by name.
    pub agent: Option<String>,
    /// Address of the person it acts for.
    pub person: Option<String>,
    /// How it was asked for.
    pub grant: TokenGrant,
    /// The authorization server that gave it.
    pub issuer: String,
    /// What it may be used for there.
    pub scopes: BTreeSet<String>,
    /// When it was given.
    pub issued: Timestamp,
    /// When it ends by itself; none where its server did not say.
    pub expires: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it was verified that it is revoked: `introspection`, `refused` by the upstream, or `said` by its server alone.
    pub proof: Option<LeaseProof>,
    /// How often its revocation was tried.
    pub tries: u32,
    /// When it is tried again.
    pub try_at: Option<Timestamp>,
    /// What the last try came to, where it did not succeed.
    pub why: Option<String>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Leases, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, responder or auditor.
    pub async fn leases(
        &self,
        caller: &Caller,
        query: &ListQuery,
        run: Option<&RunId>,
    ) -> Result<Listing<LeaseView>, ControlError> {
        caller.require(&READERS)?;
        let parent = run.map(ToString::to_string);
        let id = |uuid| LeaseId::from_uuid(uuid).to_string();
        let at = |lease: &Lease| lease.issued;
        let page = newest::page::<Lease>(&self.books, &caller.org, query, parent, id, at);
        let (found, next) = page.await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(Listing {
            items: found.into_iter().map(|one| view(&registry, one)).collect(),
            next,
        })
    }

    /// One lease.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn lease_of(&self, caller: &Caller, id: &LeaseId) -> Result<LeaseView, ControlError> {
        caller.require(&READERS)?;
        let found = self.books.get::<Lease>(&caller.org, id.as_str()).await?;
        let found = found.ok_or_else(|| not_found("lease", id))?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(&registry, found))
    }

    /// Ends a lease and tries to revoke it at its source; a call that needs one afterwards gets another. The view says what came of it.
    ///
    /// # Errors
    /// `forbidden` for anyone but a responder or administrator; `not-found`; `conflict` when it is over.
    pub async fn revoke_lease(
        &self,
        caller: &Caller,
        id: &LeaseId,
        reason: &str,
    ) -> Result<LeaseView, ControlError> {
        caller.require(&[Role::Responder, Role::Admin])?;
        check::said("reason", reason)?;
        let revoked = self
            .leases
            .revoke(&caller.org, id, &caller.principal, reason);
        revoked.await.map_err(ControlError::from)?;
        self.lease_of(caller, id).await
    }
}

fn view(registry: &Registry, found: Versioned<Lease>) -> LeaseView {
    let lease = found.noun;
    LeaseView {
        agent: lease.agent.map(|agent| names::agent(registry, &agent)),
        person: lease.person.map(|person| names::person(registry, &person)),
        grant: lease.client.grant,
        issuer: lease.client.issuer,
        id: lease.id,
        state: lease.state,
        upstream: lease.upstream,
        run: lease.run,
        scopes: lease.scopes,
        issued: lease.issued,
        expires: lease.expires,
        ended: lease.ended,
        proof: lease.proof,
        tries: lease.tries,
        try_at: lease.try_at,
        why: lease.why,
        revision: found.revision,
    }
}
