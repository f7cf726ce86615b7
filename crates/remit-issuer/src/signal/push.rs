//! Telling by push (RFC 8935): in order, again with growing pauses, and given up in the end, so that one signal that a receiver does
//! not take keeps nothing else from it.

use std::sync::Arc;

use futures_util::future::join_all;
use remit_books::{Change, Versioned};
use remit_domain::signal::{Delivery, SignalReceiver, SignalStream, StreamStatus, TRIES_MAX};
use remit_domain::{OrgId, Refusal};
use remit_ports::web::WebRequest;
use remit_token::security_event::MEDIA_TYPE;
use serde::Deserialize;

use super::outbox::{Out, advance, done};
use super::stream::context;
use crate::Issuer;
use crate::refusal::from_books;

/// Most signals that one round sends by a stream.
const ROUND: usize = 20;
/// How long a round may take: another node takes the stream up when this one has gone, in seconds.
const CLAIM_SECS: i64 = 60;
/// First pause after a failure, in seconds; each next one is twice as long.
const PAUSE_SECS: i64 = 5;
/// Longest pause, in seconds.
const PAUSE_SECS_MAX: i64 = 3_600;
/// How often a signal is tried that its receiver says it will not take.
const REFUSED_TRIES_MAX: u32 = 3;

/// What came of a try.
enum Tried {
    Taken,
    /// Why, and how often it is worth a try.
    Not(String, u32),
}

impl Issuer {
    /// Tells what there is to tell by every stream that is pushed. Called every second or so.
    pub async fn tell_signals(&self) {
        let orgs = self.books().orgs();
        join_all(orgs.iter().map(|book| self.push_signals(&book.id))).await;
    }

    async fn push_signals(&self, org: &OrgId) {
        let streams: Vec<(Arc<SignalStream>, Arc<SignalReceiver>)> = {
            let Ok(book) = self.tenant(org) else { return };
            let registry = book.registry();
            let pushed = registry.signal_streams.values().filter(|s| {
                s.status == StreamStatus::Enabled && matches!(s.delivery, Delivery::Push { .. })
            });
            pushed
                .filter_map(|s| {
                    let receiver = registry.signal_receivers.get(&s.receiver)?;
                    receiver
                        .revoked
                        .is_none()
                        .then(|| (Arc::clone(s), Arc::clone(receiver)))
                })
                .collect()
        };
        let rounds = streams.iter().map(|(stream, receiver)| async move {
            if let Err(refusal) = self.push_round(org, receiver, stream).await {
                tracing::error!(%org, stream = %stream.id, %refusal, "what a stream has to tell could not be looked at");
            }
        });
        join_all(rounds).await;
    }

    async fn push_round(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        stream: &SignalStream,
    ) -> Result<(), Refusal> {
        let Versioned { noun, revision } = self.progress(org, &stream.id).await?;
        let now = self.books().now();
        if noun.try_at.is_some_and(|at| now < at) {
            return Ok(());
        }
        let waiting = self.waiting(org, stream, &noun).await?;
        let mut progress = noun.clone();
        if waiting.out.is_empty() {
            advance(&mut progress, &waiting);
            // A cursor that only passes what is not told is written seldom: nothing is lost by looking at it again.
            if progress.next.saturating_sub(noun.next) >= 100 {
                let change = Change::new().update(&progress, revision);
                let _ = self.books().commit(org, change).await;
            }
            return Ok(());
        }
        progress.try_at = Some(now.plus_secs(CLAIM_SECS));
        let claim = Change::new().update(&progress, revision);
        let Ok(claimed) = self.books().commit(org, claim).await else {
            // Another node has it.
            return Ok(());
        };
        let revision = claimed.revisions.first().copied().unwrap_or(revision);
        let mut change = Change::new();
        progress.try_at = None;
        for out in waiting.out.iter().take(ROUND) {
            match self.push_one(org, receiver, stream, out).await {
                Tried::Taken => {
                    done(&mut progress, &out.jti);
                    progress.told += 1;
                    progress.last_error = None;
                }
                Tried::Not(why, worth) => {
                    let tries = progress.tries.entry(out.jti.clone()).or_default();
                    *tries = tries.saturating_add(1);
                    let tries = *tries;
                    if tries < worth {
                        let pause = PAUSE_SECS << tries.saturating_sub(1).min(16);
                        let at = self.books().now().plus_secs(pause.min(PAUSE_SECS_MAX));
                        progress.try_at = Some(at);
                        progress.last_error = Some(why);
                        break;
                    }
                    change = change.and(self.give_up(org, stream, out, &why).await?);
                    done(&mut progress, &out.jti);
                    progress.dead += 1;
                    progress.last_error = Some(why);
                }
            }
        }
        advance(&mut progress, &waiting);
        let change = change.and(Change::new().update(&progress, revision));
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(())
    }

    async fn push_one(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        stream: &SignalStream,
        out: &Out,
    ) -> Tried {
        let not = |why: String| Tried::Not(why, TRIES_MAX);
        let token = match self.signed(org, receiver, out).await {
            Ok(token) => token,
            Err(refusal) => return not(refusal.to_string()),
        };
        let request = match self.push_request(org, stream, token) {
            Ok(request) => request,
            Err(refusal) => return not(refusal.to_string()),
        };
        let web = match self.outside() {
            Ok(outside) => Arc::clone(&outside.web),
            Err(refusal) => return not(refusal.to_string()),
        };
        match web.request(org, request).await {
            Ok(answer) if (200..300).contains(&answer.status) => Tried::Taken,
            Ok(answer) if answer.status == 400 => Tried::Not(said(&answer.body), REFUSED_TRIES_MAX),
            Ok(answer) => not(format!("it answered {}", answer.status)),
            Err(error) => not(error.to_string()),
        }
    }

    fn push_request(
        &self,
        org: &OrgId,
        stream: &SignalStream,
        token: String,
    ) -> Result<WebRequest, Refusal> {
        let Delivery::Push {
            endpoint,
            authorization,
        } = &stream.delivery
        else {
            return Err(super::not_good());
        };
        let mut headers = vec![
            ("content-type".to_owned(), MEDIA_TYPE.to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        if let Some(sealed) = authorization {
            let opened = self
                .books()
                .open_secret(sealed, &context(org, &stream.id))
                .map_err(from_books)?;
            let opened = String::from_utf8(opened).map_err(|_| super::not_good())?;
            headers.push(("authorization".to_owned(), opened));
        }
        Ok(WebRequest {
            method: "POST".to_owned(),
            url: endpoint.clone(),
            headers,
            body: token.into_bytes(),
        })
    }
}

/// What a receiver says against a signal (RFC 8935 §2.3).
fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        err: String,
        #[serde(default)]
        description: String,
    }
    match serde_json::from_slice::<Said>(body) {
        Ok(said) => {
            let text = format!("it says {}: {}", said.err, said.description);
            text.chars().filter(|c| !c.is_control()).take(200).collect()
        }
        Err(_) => "it answered 400".to_owned(),
    }
}
