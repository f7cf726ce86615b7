//! Checking an access token: once with the signature and the store, then from memory until anything is restricted.
//!
//! What is remembered holds only while the organization's containment epoch stands still: everything that takes a right
//! away raises it. Times are looked at on every use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::digest;
use remit_books::OrgBook;
use remit_domain::credential::Token;
use remit_domain::run::RunState;
use remit_domain::standing::Standing;
use remit_domain::{AgentId, DelegationId, OrgId, Refusal, RefusalCode, Run, RunId, Timestamp};
use remit_token::limits::TOKEN_BYTES_MAX;
use remit_token::{Expect, Scope, TokenError, access_token, opaque_secret};

use crate::limits::NODE_LEEWAY_SECS;
use crate::mint::actors;
use crate::refusal::{from_books, no};
use crate::{AccessRefused, Issuer, Proved, Resource, Verified};

/// A token that was checked, and until when that counts.
pub(crate) struct Seen {
    verified: Arc<Verified>,
    epoch: u64,
    good_until: Timestamp,
    idle_micros_max: i64,
    last_used: Arc<AtomicI64>,
    /// Set for what never comes back: a revoked token, an ended run.
    over: Option<AccessRefused>,
}

impl Issuer {
    /// Checks an access token for a resource, and counts it as activity of its run.
    ///
    /// - `proved`: what this request and its connection prove besides; a token that is bound to a key or a certificate is good with
    ///   that one only, never as a bearer token.
    /// - `at`: where it is used. A token for `…/mcp` is good at `…/mcp/{upstream}`, never the reverse.
    ///
    /// # Errors
    /// `unauthenticated` for what is no token of ours, has expired, was revoked or is for another resource;
    /// `proof-invalid` for a bound one without its key; `snapshot-stale`; `run-ended`, `contained` and whatever else the run's standing refuses with.
    pub async fn verify_access(
        &self,
        org: &OrgId,
        token: &str,
        proved: impl Into<Proved<'_>>,
        at: &Resource,
    ) -> Result<Arc<Verified>, AccessRefused> {
        let proved = proved.into();
        let seen = match self.seen(org, token).await {
            Ok(seen) => seen,
            Err(refused) => {
                self.person_token_at_agent(org, token, None).await;
                return Err(refused);
            }
        };
        if !seen.verified.resource.covers(at) {
            let text = "the token is for another resource; ask for one with this `resource`";
            let refused = AccessRefused::unauthenticated("token-audience-wrong", text);
            return Err(refused.of(&seen.verified));
        }
        if seen.verified.claims.cnf.is_none() && self.bound_only(org)? {
            return Err(AccessRefused::unbound().of(&seen.verified));
        }
        if let Some(text) = seen.verified.unproved(&proved) {
            let refused = AccessRefused::from(no(RefusalCode::ProofInvalid, text));
            return Err(refused.of(&seen.verified));
        }
        seen.last_used
            .store(self.books().now().as_micros(), Ordering::Relaxed);
        Ok(Arc::clone(&seen.verified))
    }

    /// The scopes of a token that was checked here a moment ago, whatever it was checked for: what its holder has to ask for
    /// again, all at once, where it is good elsewhere. From memory: it answers a refusal, and permits nothing.
    pub fn scopes_seen(&self, org: &OrgId, token: &str) -> Option<Scope> {
        let key = cache_key(org, token).ok()?;
        let seen = self.inner.verified.get(&key)?;
        Some(seen.verified.claims.scope.clone())
    }

    /// Checks an access token for no resource in particular; no activity of its run.
    pub(crate) async fn inspect(
        &self,
        org: &OrgId,
        token: &str,
    ) -> Result<Arc<Verified>, AccessRefused> {
        match self.seen(org, token).await {
            Ok(seen) => Ok(Arc::clone(&seen.verified)),
            Err(refused) => {
                self.person_token_at_agent(org, token, None).await;
                Err(refused)
            }
        }
    }

    async fn seen(&self, org: &OrgId, token: &str) -> Result<Arc<Seen>, AccessRefused> {
        let book = self.tenant(org)?;
        if !self.books().store().is_fresh() {
            return Err(no(
                RefusalCode::SnapshotStale,
                "changes of other nodes do not arrive; nothing is served until they do",
            )
            .into());
        }
        let key = cache_key(org, token)?;
        let remembered = self.inner.verified.get(&key);
        if let Some(seen) = &remembered
            && (seen.epoch == book.epoch() || seen.over.is_some())
            && (self.books().now() < seen.good_until || seen.over.is_some())
        {
            return seen.as_good(self.books().now()).map(|()| Arc::clone(seen));
        }
        // The signature of what was seen before holds still; everything else is looked up again.
        let verified = match remembered {
            Some(seen) => Arc::clone(&seen.verified),
            None => Arc::new(self.read_token(org, token).await?),
        };
        let seen = Arc::new(self.look_up(&book, verified).await?);
        self.inner.verified.insert(key, Arc::clone(&seen));
        seen.as_good(self.books().now()).map(|()| seen)
    }

    /// Everything that answers for a token now. The epoch is read first: what is restricted while we look moves it.
    async fn look_up(
        &self,
        book: &OrgBook,
        verified: Arc<Verified>,
    ) -> Result<Seen, AccessRefused> {
        let epoch = book.epoch();
        let refused = |refusal: Refusal| AccessRefused::from(refusal).of(&verified);
        if self.books().now() >= verified.expires {
            return Err(expired().of(&verified));
        }
        let org = &verified.org;
        let standing = match self
            .standing_run(org, &verified.run, Some(&verified.agent))
            .await
        {
            Ok(standing) => standing,
            Err(refusal) if refusal.code == RefusalCode::RunEnded => {
                return Ok(self.over(epoch, verified, refusal.into()));
            }
            Err(refusal) => return Err(refused(refusal)),
        };
        let issued = self
            .books()
            .get::<Token>(org, verified.token.as_str())
            .await
            .map_err(|error| refused(from_books(error)))?;
        let Some(issued) = issued.map(|found| found.noun) else {
            let text = "the token was not recorded when it was issued; get a new one";
            return Err(AccessRefused::unauthenticated("token-unrecorded", text).of(&verified));
        };
        if issued.revoked.is_some() {
            let text = "the token was revoked; get a new one";
            let over = AccessRefused::unauthenticated("token-revoked", text);
            return Ok(self.over(epoch, verified, over));
        }
        if self
            .origin_revoked(org, &issued, &standing.chain)
            .await
            .map_err(refused)?
        {
            let text = "a token that this one was got with was revoked; get a new one";
            let over = AccessRefused::unauthenticated("token-origin-revoked", text);
            return Ok(self.over(epoch, verified, over));
        }
        if !fits(&verified, &issued, &standing) {
            let text = "the token does not agree with its record; get a new one";
            return Err(AccessRefused::unauthenticated("token-record-differs", text).of(&verified));
        }
        self.key_stands(book, &issued)
            .map_err(|refused| refused.of(&verified))?;
        if let Some(svid) = &issued.svid {
            self.svid_still_stands(org, svid).await.map_err(refused)?;
        }
        let good_until = ends_of(&standing).fold(verified.expires, Timestamp::min);
        let verified = Arc::new(Verified {
            thumbprint: issued.thumbprint,
            trust: issued.trust,
            ..(*verified).clone()
        });
        let last_used = self.activity_of(&standing.run.id, self.books().now());
        let idle_micros_max = standing.run.idle_secs_max.saturating_mul(1_000_000);
        Ok(Seen {
            verified,
            epoch,
            good_until,
            idle_micros_max,
            last_used,
            over: None,
        })
    }

    fn over(&self, epoch: u64, verified: Arc<Verified>, over: AccessRefused) -> Seen {
        let last_used = Arc::default();
        Seen {
            good_until: verified.expires,
            verified,
            epoch,
            idle_micros_max: 0,
            last_used,
            over: Some(over),
        }
    }

    /// Whether neither the token nor what it was asked for with is contained or removed.
    fn key_stands(&self, book: &OrgBook, issued: &Token) -> Result<(), AccessRefused> {
        let registry = book.registry();
        registry.not_held(|| registry.lineage_of_token(issued))?;
        let removed = |shown: &String| {
            registry
                .keys
                .get(shown)
                .is_some_and(|k| k.removed.is_some())
        };
        if issued.certificate.as_ref().is_some_and(removed) {
            let text = "the certificate that the token is bound to was revoked";
            return Err(AccessRefused::unauthenticated(
                "token-certificate-revoked",
                text,
            ));
        }
        if let Some(federated) = &issued.federated {
            return if registry.trusts(federated) {
                Ok(())
            } else {
                Err(AccessRefused::unauthenticated(
                    "token-issuer-untrusted",
                    "the trust in another issuer that this token was given by has ended or changed; get a new token",
                ))
            };
        }
        if let Some(client) = &issued.client_id {
            let workflow = registry.workflows.get(&issued.workflow);
            return if workflow.is_some_and(|w| w.client_ids.contains(client)) {
                Ok(())
            } else {
                Err(AccessRefused::unauthenticated(
                    "token-client-unlisted",
                    "the workflow does not list the client any more that asked for this token",
                ))
            };
        }
        match registry.keys.get(&issued.thumbprint) {
            Some(key) if key.removed.is_none() && key.agent == issued.agent => Ok(()),
            _ => Err(AccessRefused::unauthenticated(
                "token-key-removed",
                "the key that asked for this token was removed; get a token with another key",
            )),
        }
    }

    async fn read_token(&self, org: &OrgId, token: &str) -> Result<Verified, AccessRefused> {
        let issuer = self.issuer_url(org)?;
        let keys = self.org_keys(org).await?;
        let now = self.books().now().as_secs();
        let audiences = self.audiences(org)?;
        let audiences: Vec<&str> = audiences.iter().map(String::as_str).collect();
        let expect = Expect {
            issuer: &issuer,
            audiences: &audiences,
            now,
            leeway_s: NODE_LEEWAY_SECS,
        };
        let claims = match access_token::verify(token, |kid| keys.jwks.find(kid), &expect) {
            Err(TokenError::KeyUnknown) => {
                let keys = self.org_keys_again(org).await?;
                access_token::verify(token, |kid| keys.jwks.find(kid), &expect)
            }
            other => other,
        };
        let claims = claims
            .map_err(|error| AccessRefused::unauthenticated(error.code(), error.to_string()))?;
        let resource = claims
            .aud
            .single()
            .map(|aud| self.resource_at(org, aud))
            .transpose()?
            .flatten();
        let resource = resource.ok_or_else(|| {
            AccessRefused::unauthenticated(
                "token-audience-wrong",
                "the token is for another audience",
            )
        })?;
        Verified::read(org, claims, resource).ok_or_else(|| {
            AccessRefused::unauthenticated(
                "token-claim-invalid",
                "the token names nothing that is here",
            )
        })
    }

    /// Every resource of ours: which of them a token is for is compared with where it is used, on every use.
    fn audiences(&self, org: &OrgId) -> Result<Vec<String>, Refusal> {
        let book = self.tenant(org)?;
        let upstreams: Vec<Resource> = book
            .registry()
            .upstreams
            .keys()
            .cloned()
            .map(Resource::Upstream)
            .collect();
        let all = [Resource::Mcp, Resource::Api].into_iter().chain(upstreams);
        all.map(|resource| self.resource_url(org, &resource))
            .collect()
    }

    /// The run with everything that answers for it. One that the registry does not keep is looked up: its own agent is
    /// told that it has ended.
    pub(crate) async fn standing_run(
        &self,
        org: &OrgId,
        run: &RunId,
        asker: Option<&AgentId>,
    ) -> Result<Standing, Refusal> {
        let found = self
            .tenant(org)?
            .registry()
            .standing(run, self.books().now());
        match found {
            Err(refusal) if refusal.code == RefusalCode::RunUnknown => {
                let stored = self
                    .books()
                    .get::<Run>(org, run.as_str())
                    .await
                    .map_err(from_books)?;
                let own =
                    stored.filter(|stored| asker.is_none_or(|asker| stored.noun.agent == *asker));
                Err(match own.map(|stored| stored.noun.state) {
                    Some(RunState::Ended { .. }) => {
                        no(RefusalCode::RunEnded, "the run has ended; start another")
                    }
                    _ => refusal,
                })
            }
            other => other,
        }
    }
}

impl Seen {
    fn as_good(&self, now: Timestamp) -> Result<(), AccessRefused> {
        let refused = if now >= self.verified.expires {
            expired()
        } else if let Some(over) = &self.over {
            over.clone()
        } else if now
            .as_micros()
            .saturating_sub(self.last_used.load(Ordering::Relaxed))
            > self.idle_micros_max
        {
            no(
                RefusalCode::RunEnded,
                "the run was idle for too long and has ended; start another",
            )
            .into()
        } else {
            return Ok(());
        };
        Err(refused.of(&self.verified))
    }
}

fn expired() -> AccessRefused {
    AccessRefused::unauthenticated("token-expired", "the token has expired; get a new one")
}

/// When a run and the links of its chain end.
fn ends_of(standing: &Standing) -> impl Iterator<Item = Timestamp> {
    standing
        .chain
        .iter()
        .map(|link| link.expires)
        .chain([standing.run.deadline])
}

fn cache_key(org: &OrgId, token: &str) -> Result<[u8; 32], AccessRefused> {
    if opaque_secret::has_prefix(token) {
        let text = "a personal token was given where an agent's access token is needed";
        return Err(AccessRefused::unauthenticated("token-opaque-secret", text));
    }
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        let text = format!("an access token has 1 to {TOKEN_BYTES_MAX} bytes");
        return Err(AccessRefused::unauthenticated("token-too-large", text));
    }
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(org.as_str().as_bytes());
    context.update(b"\0");
    context.update(token.as_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    Ok(key)
}

/// Whether a token says what was recorded of it and of its run, the chain included.
fn fits(verified: &Verified, issued: &Token, standing: &Standing) -> bool {
    let run = &standing.run;
    let links = verified.claims.delegations.iter().map(String::as_str);
    issued.agent == verified.agent
        && issued.run == verified.run
        && issued.workflow == verified.workflow
        && run.agent == verified.agent
        && run.workflow == verified.workflow
        && run.person == verified.person
        && links.eq(run.chain.iter().map(DelegationId::as_str))
        && verified.claims.act == actors(&standing.chain)
}
