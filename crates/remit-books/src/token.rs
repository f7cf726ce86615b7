//! Revoking an access token, and what was got with it.

use std::collections::BTreeSet;

use remit_domain::credential::Token;
use remit_domain::event::{Event, EventKind};
use remit_domain::limits::ACCESS_TOKEN_SECS;
use remit_domain::run::RunEnd;
use remit_domain::{CredentialId, OrgId, Principal, RunId};
use remit_ports::store::Filter;

use crate::{Books, BooksError, Change, Ending, Versioned};

impl Books {
    /// The change that revokes a token, what was exchanged for it in its run and in runs below, and the SVIDs that were asked for
    /// with any of them; none where it is not here or was revoked before.
    ///
    /// What is exchanged for it beside this change is refused too: whoever checks a token looks back at what it was got with.
    ///
    /// - `told`: adds to the entry of each token what is to be said.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn plan_token_revocation(
        &self,
        org: &OrgId,
        token: &CredentialId,
        by: &Principal,
        told: impl Fn(Event) -> Event,
    ) -> Result<Option<Change>, BooksError> {
        let found = self.get::<Token>(org, token.as_str()).await?;
        let Some(found) = found.filter(|found| found.noun.revoked.is_none()) else {
            return Ok(None);
        };
        let agent = found.noun.agent.clone();
        let all = self.with_exchanged(org, found).await?;
        let ids: BTreeSet<CredentialId> = all.iter().map(|t| t.noun.id.clone()).collect();
        let mut change = Change::new();
        for found in all {
            change = change.and(self.plan_revoked(found, by, &told));
        }
        let mut svids = self.live_svids(org, Some(&agent)).await?;
        svids.retain(|svid| svid.noun.token.as_ref().is_some_and(|t| ids.contains(t)));
        Ok(Some(change.and(self.plan_withdrawal(svids, by)).restrict()))
    }

    /// The change that revokes this one token.
    ///
    /// - `told`: adds to its entry what is to be said.
    pub fn plan_revoked(
        &self,
        found: Versioned<Token>,
        by: &Principal,
        told: impl Fn(Event) -> Event,
    ) -> Change {
        let Versioned { noun, revision } = found;
        let event = Event::new(EventKind::TokenRevoked, self.now(), by.clone())
            .about(&noun.id)
            .agent(&noun.agent)
            .run(&noun.run)
            .fact("from", &noun.from);
        let revoked = Some(self.now());
        Change::new()
            .update(&Token { revoked, ..noun }, revision)
            .event(told(event))
    }

    /// A token, and those of the same agent that were exchanged for it and have not ended.
    async fn with_exchanged(
        &self,
        org: &OrgId,
        token: Versioned<Token>,
    ) -> Result<Vec<Versioned<Token>>, BooksError> {
        let mut live = Vec::new();
        for run in self.family(org, &token.noun.run) {
            live.extend(self.live_tokens(org, &run).await?);
        }
        let mut fallen = vec![token];
        let mut ids: BTreeSet<CredentialId> = fallen.iter().map(|t| t.noun.id.clone()).collect();
        loop {
            let of_fallen =
                |t: &Versioned<Token>| t.noun.from.as_ref().is_some_and(|from| ids.contains(from));
            let (more, rest): (Vec<_>, Vec<_>) = live.into_iter().partition(of_fallen);
            if more.is_empty() {
                return Ok(fallen);
            }
            ids.extend(more.iter().map(|t| t.noun.id.clone()));
            fallen.extend(more);
            live = rest;
        }
    }

    /// Tokens of a run that have neither ended nor been revoked, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn live_tokens(
        &self,
        org: &OrgId,
        run: &RunId,
    ) -> Result<Vec<Versioned<Token>>, BooksError> {
        let now = self.now();
        // None lives longer: what was issued before that has ended, and so has everything before it.
        let oldest = now.plus_secs(-ACCESS_TOKEN_SECS);
        let mut filter = Filter {
            parent: Some(run.to_string()),
            state: Some("active".to_owned()),
            descending: true,
            limit: 1_000,
            ..Filter::default()
        };
        let mut live = Vec::new();
        loop {
            let (page, next) = self.list::<Token>(org, &filter).await?;
            let over = page.last().is_none_or(|last| last.noun.issued < oldest);
            live.extend(page.into_iter().filter(|t| now < t.noun.expires));
            match next {
                Some(next) if !over => filter.after = Some(next),
                _ => return Ok(live),
            }
        }
    }

    /// Ends the runs of sub-agents that were spawned with a revoked token, or with what was exchanged for it. Their tokens are
    /// good for nothing already; this says so to everybody who looks.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn end_spawned_with(
        &self,
        org: &OrgId,
        token: &CredentialId,
        by: &Principal,
    ) -> Result<(), BooksError> {
        for run in self.spawned_with(org, token).await? {
            let ending = Ending::because(by.clone(), RunEnd::ParentEnded);
            self.end_run(org, &run, &ending).await?;
        }
        Ok(())
    }

    async fn spawned_with(
        &self,
        org: &OrgId,
        token: &CredentialId,
    ) -> Result<Vec<RunId>, BooksError> {
        let Some(found) = self.get::<Token>(org, token.as_str()).await? else {
            return Ok(Vec::new());
        };
        let Some(book) = self.org(org) else {
            return Ok(Vec::new());
        };
        let family = self.family(org, &found.noun.run);
        let links: Vec<_> = {
            let registry = book.registry();
            let links = registry.delegations.values();
            let cut = links.filter(|l| l.run.as_ref().is_some_and(|run| family.contains(run)));
            cut.filter_map(|l| Some((l.id.clone(), l.token.clone()?)))
                .collect()
        };
        let mut runs = Vec::new();
        for (link, with) in links {
            if with != *token && !self.was_exchanged_for(org, &with, token).await? {
                continue;
            }
            let registry = book.registry();
            let of_link = registry
                .runs
                .values()
                .filter(|r| r.chain.last() == Some(&link));
            runs.extend(of_link.map(|r| r.id.clone()));
        }
        Ok(runs)
    }

    /// Whether `token` goes back to `origin`.
    async fn was_exchanged_for(
        &self,
        org: &OrgId,
        token: &CredentialId,
        origin: &CredentialId,
    ) -> Result<bool, BooksError> {
        let mut seen = BTreeSet::new();
        let mut at = Some(token.clone());
        while let Some(id) = at.filter(|id| seen.insert(id.clone())) {
            if id == *origin {
                return Ok(true);
            }
            let found = self.get::<Token>(org, id.as_str()).await?;
            at = found.and_then(|found| found.noun.from);
        }
        Ok(false)
    }
}
