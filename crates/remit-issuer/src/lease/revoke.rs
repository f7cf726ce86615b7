//! How a lease ends: revoked at its source, and looked at whether it is; again with growing pauses; given up in the end, where
//! people see it.

use futures_util::future::join_all;
use remit_books::{BooksError, Change, Versioned};
use remit_domain::event::EventKind;
use remit_domain::lease::{Lease, LeaseProof, LeaseState, REVOCATION_TRIES_MAX};
use remit_domain::upstream::OauthClient;
use remit_domain::{LeaseId, OrgId, Principal, Refusal, RefusalCode, RunId};
use remit_ports::store::StoreError;
use remit_ports::web::WebRequest;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{about, answer, context};
use crate::Issuer;
use crate::limits::{LEASE_CLAIM_SECS, LEASE_PAUSE_SECS, LEASE_PAUSE_SECS_MAX};
use crate::refusal::{from_books, no};

/// An MCP message without any effect, to see whether a token is taken.
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

pub(super) fn is_conflict(error: &BooksError) -> bool {
    matches!(error, BooksError::Store(StoreError::Conflict { .. }))
}

impl Issuer {
    /// Ends every lease of a run that is not over, whichever node has it.
    pub(super) async fn end_leases_of(&self, org: &OrgId, run: &RunId) -> Result<(), Refusal> {
        let open = self.books().open_leases(org, Some(run)).await;
        let open = open.map_err(from_books)?;
        let by = &Principal::Remit;
        let ends = open
            .iter()
            .map(|lease| async move { self.end_lease(org, &lease.id, by, None).await });
        join_all(ends).await.into_iter().collect()
    }

    /// Ends one lease, because somebody says so.
    pub(super) async fn revoke_lease_by(
        &self,
        org: &OrgId,
        id: &LeaseId,
        by: &Principal,
        reason: &str,
    ) -> Result<(), Refusal> {
        let found = self.books().get::<Lease>(org, id.as_str()).await;
        let found = found.map_err(from_books)?;
        let found = found.ok_or_else(|| no(RefusalCode::NotFound, "no such lease is here"))?;
        if !is_open(&found.noun) {
            let text = format!("the lease is {} already", found.noun.state.as_str());
            return Err(no(RefusalCode::Conflict, text));
        }
        self.end_lease(org, id, by, Some(reason)).await
    }

    /// Takes a lease out of use; the next sweep revokes it.
    pub(super) async fn put_away(&self, org: &OrgId, id: &LeaseId) -> Result<(), BooksError> {
        self.books()
            .retrying(org, || async {
                let found = self.books().get::<Lease>(org, id.as_str()).await?;
                let found = found.filter(|lease| lease.noun.state == LeaseState::Active);
                let change = found.map(|mut found| {
                    found.noun.state = LeaseState::Ending;
                    Change::new().update(&found.noun, found.revision)
                });
                Ok(((), change))
            })
            .await
    }

    /// Tries once to revoke a lease at its source, and writes down what came of it. Two who try at once both ask, and one writes.
    pub(super) async fn end_lease(
        &self,
        org: &OrgId,
        id: &LeaseId,
        by: &Principal,
        reason: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(noun) = self.claim(org, id, reason.is_some()).await? else {
            return Ok(());
        };
        let now = self.books().now();
        if noun.is_expired(now) {
            let ended = |lease: Lease| lease.over(LeaseState::Expired, None, now);
            return self.write_down(org, id, by, reason, ended).await;
        }
        let tried = self.revoke_at_source(org, &noun).await;
        let now = self.books().now();
        self.write_down(org, id, by, reason, |mut lease| match &tried {
            Ok(proof) => lease.over(LeaseState::Revoked, Some(*proof), now),
            Err(why) => {
                lease.why = Some(why.clone());
                let hopeless = lease.client.revocation_endpoint.is_none();
                if hopeless || lease.tries >= REVOCATION_TRIES_MAX {
                    lease.state = LeaseState::Dead;
                    lease.try_at = None;
                } else {
                    let pause = LEASE_PAUSE_SECS << lease.tries.saturating_sub(1).min(16);
                    lease.try_at = Some(now.plus_secs(pause.min(LEASE_PAUSE_SECS_MAX)));
                }
                lease
            }
        })
        .await
    }

    /// Writes down that a lease is being ended, so that other nodes leave it alone for a while; none where it is over.
    ///
    /// - `lives`: whether its run goes on: then the epoch moves with it, and no node lends it any more.
    async fn claim(
        &self,
        org: &OrgId,
        id: &LeaseId,
        lives: bool,
    ) -> Result<Option<Lease>, Refusal> {
        let claimed = self.books().retrying(org, || async {
            let found = self.books().get::<Lease>(org, id.as_str()).await?;
            let found = found.filter(|lease| is_open(&lease.noun));
            let Some(Versioned { mut noun, revision }) = found else {
                return Ok((None, None));
            };
            let now = self.books().now();
            if noun.is_expired(now) {
                return Ok((Some(noun), None));
            }
            noun.state = LeaseState::Ending;
            noun.tries = noun.tries.saturating_add(1);
            noun.try_at = Some(now.plus_secs(LEASE_CLAIM_SECS));
            let claim = Change::new().update(&noun, revision);
            let claim = if lives { claim.restrict() } else { claim };
            Ok((Some(noun), Some(claim)))
        });
        claimed.await.map_err(from_books)
    }

    async fn write_down(
        &self,
        org: &OrgId,
        id: &LeaseId,
        by: &Principal,
        reason: Option<&str>,
        after: impl Fn(Lease) -> Lease + Send + Sync,
    ) -> Result<(), Refusal> {
        let written = self.books().retrying(org, || async {
            let found = self.books().get::<Lease>(org, id.as_str()).await?;
            let Some(found) = found.filter(|lease| is_open(&lease.noun)) else {
                return Ok(((), None));
            };
            let lease = after(found.noun);
            let kind = match lease.state {
                LeaseState::Revoked => Some(EventKind::LeaseRevoked),
                LeaseState::Expired => Some(EventKind::LeaseExpired),
                LeaseState::Dead => Some(EventKind::LeaseGivenUp),
                LeaseState::Active | LeaseState::Ending => None,
            };
            let mut change = Change::new().update(&lease, found.revision);
            if let Some(kind) = kind {
                let event = about(kind, &lease, self.books().now(), by)
                    .fact("tries", lease.tries)
                    .fact("proof", lease.proof.map(LeaseProof::as_str))
                    .fact("expires", lease.expires)
                    .content("reason", reason)
                    .content("why", &lease.why);
                change = change.event(event);
            }
            Ok(((), Some(change)))
        });
        written.await.map_err(from_books)
    }

    /// Revokes the token of a lease, and proves that it is; or says why not.
    async fn revoke_at_source(&self, org: &OrgId, lease: &Lease) -> Result<LeaseProof, String> {
        let sealed = lease.sealed.as_ref().ok_or("its token is not kept")?;
        let token = self.books().open_secret(sealed, &context(org, &lease.id));
        let token = Zeroizing::new(token.map_err(|error| error.to_string())?);
        let token = std::str::from_utf8(&token).map_err(|_| "its token cannot be read")?;
        let token = SecretString::from(token);
        self.revoke_token(org, &lease.client, &token).await?;
        self.proof(org, lease, &token).await
    }

    /// Asks the authorization server to revoke a token (RFC 7009 §2.1).
    pub(super) async fn revoke_token(
        &self,
        org: &OrgId,
        client: &OauthClient,
        token: &SecretString,
    ) -> Result<(), String> {
        let endpoint = client.revocation_endpoint.as_ref();
        let endpoint = endpoint.ok_or("its server has no revocation endpoint")?;
        let answer = self.post(org, client, endpoint, of_token(token)).await;
        let answer = answer.map_err(|error| error.0)?;
        // A token that is not known there is revoked as well (RFC 7009 §2.2).
        match answer.status {
            200 => Ok(()),
            _ => Err(answer::denial(&answer)),
        }
    }

    /// Whether the token is really over: its source is asked, or it is tried at the upstream.
    async fn proof(
        &self,
        org: &OrgId,
        lease: &Lease,
        token: &SecretString,
    ) -> Result<LeaseProof, String> {
        #[derive(Deserialize)]
        struct Introspected {
            active: bool,
        }
        if let Some(endpoint) = &lease.client.introspection_endpoint {
            let answer = self
                .post(org, &lease.client, endpoint, of_token(token))
                .await;
            let answer = answer.map_err(|error| error.0)?;
            return match serde_json::from_slice::<Introspected>(&answer.body) {
                Ok(found) if answer.status == 200 && !found.active => Ok(LeaseProof::Introspection),
                Ok(_) if answer.status == 200 => {
                    Err("its server says that it is revoked, and that it is active".to_owned())
                }
                _ => Ok(LeaseProof::Said),
            };
        }
        let refused = self.is_refused(org, lease, token).await;
        Ok(if refused {
            LeaseProof::Refused
        } else {
            LeaseProof::Said
        })
    }

    async fn is_refused(&self, org: &OrgId, lease: &Lease, token: &SecretString) -> bool {
        // Where it was lent to, and nowhere else: an address that was changed since would learn it, and its no would prove nothing.
        let (Some(url), Ok(web)) = (lease.at.clone(), self.web()) else {
            return false;
        };
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
            ("authorization", format!("Bearer {}", token.expose_secret())),
        ];
        let request = WebRequest {
            method: "POST".to_owned(),
            url,
            headers: headers
                .into_iter()
                .map(|(n, v)| (n.to_owned(), v))
                .collect(),
            body: PING.to_vec(),
        };
        let answer = web.request(org, request).await;
        answer.is_ok_and(|answer| answer.status == 401)
    }
}

fn of_token(token: &SecretString) -> super::ask::Form {
    vec![
        ("token", token.clone()),
        ("token_type_hint", SecretString::from("access_token")),
    ]
}

/// Whether its token may still be good for something.
pub(super) fn is_open(lease: &Lease) -> bool {
    match lease.state {
        LeaseState::Active | LeaseState::Ending | LeaseState::Dead => true,
        LeaseState::Revoked | LeaseState::Expired => false,
    }
}
