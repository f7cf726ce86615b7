//! Leases: a token of an upstream's own authorization server for each run, asked for when a call needs it, never shown to the
//! agent, and revoked at its source when the run ends, is contained, or what it was asked with has changed.
//!
//! Source: RFC 6749 §4.4 and §6, RFC 7523 §2.1 and §2.2, RFC 8693 §2.1, RFC 8707; RFC 7009 and RFC 7662 to end one. A lease is a
//! record before its token is used, in a commit that also reads its run, so that no containment misses one. The token is in the
//! record, sealed, for whichever node revokes it, and in the memory of the node that asked.

mod answer;
mod ask;
mod refresh;
mod revoke;
mod sweep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::lease::{Lease, LeaseState};
use remit_domain::run::RunState;
use remit_domain::standing::Standing;
use remit_domain::upstream::{Injection, OauthClient, Transport, UpstreamName};
use remit_domain::{LeaseId, OrgId, Principal, Refusal, Run, RunId, Timestamp, Upstream};
use remit_ports::Leases;
use remit_ports::leases::{LeaseWanted, LentToken, NoToken};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Issuer;
use crate::limits::{LEASE_LEFT_SECS_MIN, LEASE_SECS, LEASE_SECS_MAX};
use answer::Given;

pub(crate) use sweep::Sweeps;

/// How often a lease is recorded anew that lost a race with its run.
const TRIES: u32 = 5;

/// The leases that this node lends, by what they were asked for.
pub(crate) type HeldLeases = moka::sync::Cache<String, Arc<Held>>;

/// A token that is lent.
pub(crate) struct Held {
    id: LeaseId,
    token: SecretString,
    until: Timestamp,
    /// The epoch at which its record was seen to stand.
    epoch: AtomicU64,
}

/// What a token is asked for.
#[derive(Clone)]
struct Wanted {
    org: OrgId,
    upstream: Arc<Upstream>,
    client: OauthClient,
    scopes: BTreeSet<String>,
    run: Option<RunId>,
    refused: Option<LeaseId>,
}

/// What a token is sealed for.
fn context(org: &OrgId, lease: &LeaseId) -> String {
    format!("remit/lease/1/{org}/{lease}")
}

pub(crate) fn none(why: impl std::fmt::Display) -> NoToken {
    NoToken(why.to_string())
}

/// Where an upstream is, where that is an address.
fn at(transport: &Transport) -> Option<String> {
    match transport {
        Transport::Http { url } => Some(url.clone()),
        _ => None,
    }
}

#[async_trait]
impl Leases for Issuer {
    async fn lend(&self, wanted: LeaseWanted<'_>) -> Result<Option<LentToken>, NoToken> {
        let Some(Injection::Oauth(client)) = &wanted.upstream.secret else {
            return Ok(None);
        };
        let wanted = Wanted {
            org: wanted.org.clone(),
            upstream: Arc::new(wanted.upstream.clone()),
            client: (**client).clone(),
            scopes: client.scopes_for(wanted.tool).clone(),
            run: wanted.run.cloned(),
            refused: wanted.refused.cloned(),
        };
        // By itself: a caller that leaves in the middle leaves no token behind that nobody knows of.
        let issuer = self.clone();
        let lent = tokio::spawn(async move { issuer.lent(&wanted).await });
        lent.await.map_err(none)?.map(Some)
    }

    async fn give_back(&self, org: &OrgId, run: &RunId) -> Result<(), Refusal> {
        self.end_leases_of(org, run).await
    }

    async fn revoke(
        &self,
        org: &OrgId,
        lease: &LeaseId,
        by: &Principal,
        reason: &str,
    ) -> Result<(), Refusal> {
        self.revoke_lease_by(org, lease, by, reason).await
    }
}

impl Issuer {
    /// The token that is lent already, or another one.
    async fn lent(&self, wanted: &Wanted) -> Result<LentToken, NoToken> {
        let key = self.lease_key(wanted)?;
        let lock = format!("lease {key}");
        let lock = self.inner.locks.get_with(lock, Arc::default);
        let _one_at_a_time = lock.lock().await;
        if let Some(held) = self.inner.leases.get(&key) {
            if wanted.refused.as_ref() != Some(&held.id) && self.may_lend(wanted, &held).await? {
                return Ok(held.lent());
            }
            self.inner.leases.invalidate(&key);
            self.put_away(&wanted.org, &held.id).await.map_err(none)?;
        }
        let held = Arc::new(self.obtain(wanted).await?);
        let lent = held.lent();
        self.inner.leases.insert(key, held);
        Ok(lent)
    }

    /// One token is for one run, its scopes, and what it was asked with: neither another run nor another secret finds it.
    fn lease_key(&self, wanted: &Wanted) -> Result<String, NoToken> {
        let book = self.tenant(&wanted.org).map_err(none)?;
        let registry = book.registry();
        let secrets = wanted.client.references().into_iter();
        let secrets: Vec<_> = secrets
            .filter_map(|reference| registry.secrets.get(reference.vault()?))
            // The refresh token itself is another one each time.
            .filter(|s| {
                wanted.client.refresh_token.as_ref().and_then(|r| r.vault()) != Some(&s.name)
            })
            .map(|secret| (secret.current, secret.state))
            .collect();
        let Wanted {
            org,
            upstream,
            client,
            scopes,
            run,
            ..
        } = wanted;
        let named = (&upstream.name, at(&upstream.transport));
        serde_json::to_string(&(org, named, run, scopes, client, secrets)).map_err(none)
    }

    /// Whether a token may still be lent: it has not run out, and its record stands as of the newest epoch.
    async fn may_lend(&self, wanted: &Wanted, held: &Held) -> Result<bool, NoToken> {
        if self.books().now() >= held.until {
            return Ok(false);
        }
        let epoch = self.tenant(&wanted.org).map_err(none)?.epoch();
        if held.epoch.load(Ordering::Relaxed) == epoch {
            return Ok(true);
        }
        let found = self.books().get::<Lease>(&wanted.org, held.id.as_str());
        let found = found.await.map_err(none)?;
        let stands = found.is_some_and(|found| found.noun.state == LeaseState::Active);
        if stands {
            held.epoch.store(epoch, Ordering::Relaxed);
        }
        Ok(stands)
    }

    async fn obtain(&self, wanted: &Wanted) -> Result<Held, NoToken> {
        let epoch = self.tenant(&wanted.org).map_err(none)?.epoch();
        let who = match &wanted.run {
            Some(run) => Some(
                self.standing_run(&wanted.org, run, None)
                    .await
                    .map_err(none)?,
            ),
            None => None,
        };
        let given = self.asked_for(wanted, who.as_ref()).await?;
        let now = self.books().now();
        let lease = self.lease_of(wanted, who.as_ref(), &given, now)?;
        let kept = if given.wider {
            Err(none("its token is for more than was asked"))
        } else {
            self.record_lease(wanted, &lease).await
        };
        if let Err(error) = kept {
            // Nobody knows of it: it is given back at once, as well as that goes.
            let _ = self
                .revoke_token(&wanted.org, &lease.client, &given.token)
                .await;
            return Err(error);
        }
        Ok(Held {
            id: lease.id,
            token: given.token,
            until: lease.until,
            epoch: AtomicU64::new(epoch),
        })
    }

    fn lease_of(
        &self,
        wanted: &Wanted,
        who: Option<&Standing>,
        given: &Given,
        now: Timestamp,
    ) -> Result<Lease, NoToken> {
        let id = self.books().id(LeaseId::from_uuid);
        let secs = given.expires_in.unwrap_or(LEASE_SECS).min(LEASE_SECS_MAX);
        let sealed = self.books().seal_secret(
            given.token.expose_secret().as_bytes(),
            &context(&wanted.org, &id),
        );
        Ok(Lease {
            id,
            upstream: wanted.upstream.name.clone(),
            at: at(&wanted.upstream.transport),
            run: wanted.run.clone(),
            agent: who.map(|who| who.agent.id.clone()),
            person: who.and_then(|who| who.person.as_ref().map(|p| p.id.clone())),
            client: wanted.client.clone(),
            scopes: given.scopes.clone(),
            issued: now,
            until: now.plus_secs(secs.saturating_sub(LEASE_LEFT_SECS_MIN)),
            expires: given.expires_in.map(|secs| now.plus_secs(secs)),
            state: LeaseState::Active,
            tries: 0,
            try_at: None,
            why: None,
            ended: None,
            proof: None,
            sealed: Some(sealed.map_err(none)?),
        })
    }

    /// Records a lease, at the revision of its run: whoever ends the run comes before, and there is no lease, or after, and finds it.
    async fn record_lease(&self, wanted: &Wanted, lease: &Lease) -> Result<(), NoToken> {
        let mut tries = 0;
        loop {
            let mut change = Change::new().create(lease).event(issued(lease));
            if let Some(run) = &wanted.run {
                let found = self.books().get::<Run>(&wanted.org, run.as_str()).await;
                let found = found.map_err(none)?;
                let found = found.filter(|run| run.noun.state == RunState::Active);
                let found = found.ok_or_else(|| none("the run has ended"))?;
                change = change.update(&found.noun, found.revision);
            }
            match self.books().commit(&wanted.org, change).await {
                Ok(_) => return Ok(()),
                Err(error) if tries < TRIES && revoke::is_conflict(&error) => tries += 1,
                Err(error) => return Err(none(error)),
            }
        }
    }
}

impl Held {
    fn lent(&self) -> LentToken {
        LentToken {
            lease: self.id.clone(),
            token: self.token.clone(),
        }
    }
}

fn issued(lease: &Lease) -> Event {
    about(
        EventKind::LeaseIssued,
        lease,
        lease.issued,
        &Principal::Remit,
    )
    .fact("grant", lease.client.grant.as_str())
    .fact("person", &lease.person)
    .fact("expires", lease.expires)
    .content("token_endpoint", &lease.client.token_endpoint)
    .content("scopes", &lease.scopes)
    .content("resource", &lease.client.resource)
}

fn about(kind: EventKind, lease: &Lease, at: Timestamp, by: &Principal) -> Event {
    let event = Event::new(kind, at, by.clone()).about(&lease.id);
    let event = upstream(event, &lease.upstream);
    let event = match &lease.agent {
        Some(agent) => event.agent(agent),
        None => event,
    };
    match &lease.run {
        Some(run) => event.run(run),
        None => event,
    }
}

fn upstream(event: Event, name: &UpstreamName) -> Event {
    event.fact("upstream", name)
}
