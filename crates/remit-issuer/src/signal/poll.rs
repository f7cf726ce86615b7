//! Telling those who ask (RFC 8936). What was handed out waits until it is acknowledged, or refused.

use std::collections::BTreeMap;

use remit_books::Change;
use remit_domain::signal::{Delivery, OUT_MAX, SignalReceiver, StreamStatus};
use remit_domain::{OrgId, Refusal, RefusalCode, SignalStreamId};
use serde::{Deserialize, Serialize};

use super::outbox::{Out, advance, done};
use crate::Issuer;
use crate::refusal::no;

/// Signals in one answer where the receiver does not say.
const AT_ONCE: usize = 20;

/// What was wrong with a signal (RFC 8936 §2.6).
#[derive(Debug, Clone, Deserialize)]
pub struct SetError {
    /// A code (RFC 8935 §2.4).
    pub err: String,
    /// In words.
    #[serde(default)]
    pub description: String,
}

/// A receiver asks (RFC 8936 §2.2).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PollRequest {
    /// Most signals in the answer; 0 for none.
    pub max_events: Option<u32>,
    /// Whether to answer when there is nothing; it is always so.
    pub return_immediately: bool,
    /// Signals that it has.
    pub ack: Vec<String>,
    /// Signals that it does not take.
    pub set_errs: BTreeMap<String, SetError>,
}

/// What there is to tell (RFC 8936 §2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PollResponse {
    /// The signals, by `jti`.
    pub sets: BTreeMap<String, String>,
    /// Whether there is more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_available: bool,
}

impl Issuer {
    /// Answers a receiver that asks: first what it acknowledges is done with, then what waits is handed out.
    ///
    /// # Errors
    /// `not-found` for a stream that is not its own or is pushed; `invalid-request`; `conflict`; `ledger-unavailable`.
    pub async fn poll_signals(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        id: &SignalStreamId,
        asked: &PollRequest,
    ) -> Result<PollResponse, Refusal> {
        if asked.ack.len() > OUT_MAX || asked.set_errs.len() > OUT_MAX {
            let text = format!("at most {OUT_MAX} signals are acknowledged at once");
            return Err(no(RefusalCode::InvalidRequest, text));
        }
        let (stream, _) = self.own_stream(org, receiver, id)?;
        if stream.delivery != Delivery::Poll {
            let text = "this stream is pushed; it is not asked";
            return Err(no(RefusalCode::NotFound, text));
        }
        let mut found = self.progress(org, id).await?;
        let before = found.noun.clone();
        let waiting = self.waiting(org, &stream, &before).await?;
        let mut change = Change::new();
        let out = |jti: &str| waiting.out.iter().find(|out| out.jti == jti);
        for jti in asked.ack.iter().filter(|jti| out(jti).is_some()) {
            if !found.noun.done.contains(jti) {
                done(&mut found.noun, jti);
                found.noun.told += 1;
            }
        }
        for (jti, error) in &asked.set_errs {
            let Some(out) = out(jti).filter(|o| !found.noun.done.contains(&o.jti)) else {
                continue;
            };
            let why = format!("it says {}: {}", error.err, error.description);
            change = change.and(self.give_up(org, &stream, out, &why).await?);
            done(&mut found.noun, jti);
            found.noun.dead += 1;
        }
        advance(&mut found.noun, &waiting);
        let left: Vec<&Out> = waiting
            .out
            .iter()
            .filter(|o| !asked.ack.contains(&o.jti) && !asked.set_errs.contains_key(&o.jti))
            .collect();
        if let Some(moved) = Self::moved_on(found, &before) {
            self.commit_signal(org, change.and(moved)).await?;
        }
        if stream.status != StreamStatus::Enabled {
            return Ok(PollResponse {
                sets: BTreeMap::new(),
                more_available: false,
            });
        }
        let most = asked
            .max_events
            .map_or(AT_ONCE, |n| n as usize)
            .min(OUT_MAX);
        let mut sets = BTreeMap::new();
        for out in left.iter().take(most) {
            sets.insert(out.jti.clone(), self.signed(org, receiver, out).await?);
        }
        Ok(PollResponse {
            more_available: left.len() > most,
            sets,
        })
    }
}
