//! What a token was got with: it falls with that, however far it went on from there.
//!
//! A token that was exchanged for another names it, and so does a sub-agent's link name the token that spawned it. Looking back costs
//! nothing when something is revoked and misses nothing that is issued meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_domain::credential::Token;
use remit_domain::delegation::Delegation;
use remit_domain::{CredentialId, OrgId, Refusal, RefusalCode, RunId};

use crate::Issuer;
use crate::refusal::{from_books, no};

/// Most tokens that are looked back at: more than a chain of runs is deep, each narrowed a few times.
const ORIGINS_MAX: usize = 64;

impl Issuer {
    /// Whether something that a token was got with was revoked, or is contained by itself.
    ///
    /// - `chain`: the links of its run.
    ///
    /// # Errors
    /// `ledger-unavailable`; `unauthenticated` where an origin is not recorded, or there are too many.
    pub(crate) async fn origin_revoked(
        &self,
        org: &OrgId,
        issued: &Token,
        chain: &[Arc<Delegation>],
    ) -> Result<bool, Refusal> {
        let spawned = chain.iter().filter_map(|link| link.token.clone());
        self.one_revoked(org, spawned.chain(issued.from.clone()).collect())
            .await
    }

    /// Whether one of these tokens, or of those that they were exchanged for, was revoked or is contained by itself.
    async fn one_revoked(
        &self,
        org: &OrgId,
        mut ahead: Vec<CredentialId>,
    ) -> Result<bool, Refusal> {
        let mut seen = BTreeSet::new();
        while let Some(id) = ahead.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            if seen.len() > ORIGINS_MAX {
                let text = "the token was exchanged too often; get a new one";
                return Err(no(RefusalCode::Unauthenticated, text));
            }
            let found = self.books().get::<Token>(org, id.as_str()).await;
            let Some(origin) = found.map_err(from_books)?.map(|found| found.noun) else {
                let text = "a token that this one was got with is not recorded; get a new one";
                return Err(no(RefusalCode::Unauthenticated, text));
            };
            if origin.revoked.is_some() || self.is_contained(org, &origin)? {
                return Ok(true);
            }
            ahead.extend(origin.from);
        }
        Ok(false)
    }

    /// Whether a token is contained, or the key or the certificate that it was got with.
    fn is_contained(&self, org: &OrgId, token: &Token) -> Result<bool, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        Ok(registry.held(&registry.lineage_of_token(token)).is_some())
    }

    /// That nothing that a token was got with, or that its run was spawned with, has fallen.
    ///
    /// # Errors
    /// `unauthenticated`, `ledger-unavailable`.
    pub(crate) async fn origins_stand(&self, org: &OrgId, token: &Token) -> Result<(), Refusal> {
        let chain: Vec<Arc<Delegation>> = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let run = registry.runs.get(&token.run);
            let links = run.into_iter().flat_map(|run| &run.chain);
            links
                .filter_map(|id| registry.delegations.get(id).cloned())
                .collect()
        };
        match self.origin_revoked(org, token, &chain).await? {
            true => Err(fallen()),
            false => Ok(()),
        }
    }

    /// That what a token was just given on stands still: its run, and what it was got with.
    ///
    /// # Errors
    /// Whatever the run's standing refuses with; `unauthenticated`.
    pub(crate) async fn stands_still(&self, org: &OrgId, given: &Token) -> Result<(), Refusal> {
        let standing = self
            .standing_run(org, &given.run, Some(&given.agent))
            .await?;
        match self.origin_revoked(org, given, &standing.chain).await? {
            true => Err(fallen()),
            false => Ok(()),
        }
    }

    /// That a sub-agent's run stands after it was started, and the token that started it.
    ///
    /// # Errors
    /// As [`Issuer::stands_still`].
    pub(crate) async fn spawned_stands(
        &self,
        org: &OrgId,
        run: &RunId,
        with: &CredentialId,
    ) -> Result<(), Refusal> {
        self.standing_run(org, run, None).await?;
        match self.one_revoked(org, vec![with.clone()]).await? {
            true => Err(fallen()),
            false => Ok(()),
        }
    }
}

fn fallen() -> Refusal {
    let text = "the token that it was got with was revoked meanwhile; get a new one";
    no(RefusalCode::Unauthenticated, text)
}
