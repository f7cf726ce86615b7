//! Changes of other nodes: sent with `NOTIFY` inside the transaction that makes them, received on a connection of its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use remit_domain::{Kind, OrgId};
use remit_ports::store::Changed;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgListener;
use sqlx::{PgPool, Row};
use tokio::sync::{Notify, broadcast};

use crate::number::{nat, now};

/// The channel.
pub(crate) const CHANNEL: &str = "remit_changes";

/// Largest payload that is sent with its keys: PostgreSQL takes less than 8,000 bytes.
const PAYLOAD: usize = 7_900;

/// How often the connection is asked whether it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a heartbeat may stay unanswered before the connection is given up.
const ANSWER: Duration = Duration::from_secs(4);

/// Without an answered heartbeat for so long, changes are said not to arrive.
const STALE: Duration = Duration::from_secs(5);

/// Answered heartbeats that wait for their changes to be taken in: more than go stale meanwhile.
const BEATS_KEPT: usize = 16;

/// Between attempts to connect.
const RETRY: Duration = Duration::from_millis(500);

/// Whether changes arrive.
pub(crate) struct Freshness {
    base: Instant,
    listening: AtomicBool,
    /// When the newest answered heartbeat was sent whose changes are all taken in, in milliseconds since `base`.
    heard: AtomicU64,
    /// Changes given out, and how many of them whoever follows has taken in; none while nobody follows.
    given: AtomicU64,
    taken: AtomicU64,
    followed: AtomicBool,
    /// Answered heartbeats whose changes are not all taken in, oldest first: how many there were, and when each was sent.
    beats: Mutex<VecDeque<(u64, u64)>>,
    /// Whoever waits for the first answer.
    first: Notify,
}

impl Freshness {
    pub(crate) fn new() -> Self {
        Self {
            base: now(),
            listening: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            given: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            followed: AtomicBool::new(false),
            beats: Mutex::default(),
            first: Notify::new(),
        }
    }

    /// A change was given out to whoever follows.
    fn gave(&self) {
        self.given.fetch_add(1, Ordering::AcqRel);
    }

    /// How many changes were given out.
    pub(crate) fn given_out(&self) -> u64 {
        self.given.load(Ordering::Acquire)
    }

    /// Whoever follows holds every change up to that many.
    pub(crate) fn taken_in(&self, up_to: u64) {
        self.taken.fetch_max(up_to, Ordering::AcqRel);
        self.followed.store(true, Ordering::Release);
        self.settle();
    }

    /// A heartbeat sent at `sent` was answered, and every change before it was given out.
    fn answered(&self, sent: Instant) {
        let since = sent.saturating_duration_since(self.base).as_millis();
        let beat = (self.given_out(), u64::try_from(since).unwrap_or(u64::MAX));
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        if beats.len() >= BEATS_KEPT {
            beats.pop_back();
        }
        beats.push_back(beat);
        drop(beats);
        self.settle();
        self.listening.store(true, Ordering::Release);
        self.first.notify_one();
    }

    /// What was heard counts from the moment it is taken in: a change that waits to be read is not known yet.
    fn settle(&self) {
        let all = !self.followed.load(Ordering::Acquire);
        let taken = self.taken.load(Ordering::Acquire);
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((given, since)) = beats.front().copied()
            && (all || given <= taken)
        {
            self.heard.fetch_max(since, Ordering::AcqRel);
            beats.pop_front();
        }
    }

    /// Waits until changes arrive for the first time, but not for long: a node that cannot listen says so from then on.
    pub(crate) async fn begun(&self) {
        if tokio::time::timeout(STALE, self.first.notified())
            .await
            .is_err()
        {
            tracing::warn!(
                "changes of other nodes do not arrive; decisions are refused until they do"
            );
        }
    }

    pub(crate) fn lost(&self) {
        // What was answered before says nothing of what was missed since.
        self.beats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.listening.store(false, Ordering::Release);
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.is_fresh_at(now())
    }

    fn is_fresh_at(&self, at: Instant) -> bool {
        let heard = self.base + Duration::from_millis(self.heard.load(Ordering::Acquire));
        self.listening.load(Ordering::Acquire) && at.saturating_duration_since(heard) < STALE
    }
}

/// What is sent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    node: String,
    org: OrgId,
    epoch: u64,
    keys: Vec<(Kind, String)>,
}

/// A change as it is sent; one with too many keys says: read everything again.
pub(crate) fn payload(node: &str, changed: &Changed) -> String {
    let text = |keys| {
        let payload = Payload {
            node: node.to_owned(),
            org: changed.org.clone(),
            epoch: changed.epoch,
            keys,
        };
        serde_json::to_string(&payload).unwrap_or_default()
    };
    let full = text(changed.keys.clone());
    if full.len() <= PAYLOAD {
        full
    } else {
        text(Vec::new())
    }
}

/// A change as it is received; none for a node's own.
fn received(node: &str, payload: &str) -> Result<Option<Changed>, serde_json::Error> {
    let Payload {
        node: from,
        org,
        epoch,
        keys,
    } = serde_json::from_str(payload)?;
    Ok((from != node).then_some(Changed { org, epoch, keys }))
}

/// The receiving task.
pub(crate) struct Feed {
    pub(crate) node: String,
    /// One connection.
    pub(crate) pool: PgPool,
    pub(crate) changes: broadcast::Sender<Changed>,
    pub(crate) fresh: Arc<Freshness>,
}

impl Feed {
    /// Listens for ever; ends when it is aborted.
    pub(crate) async fn run(self) {
        loop {
            if let Err(error) = self.listen().await {
                tracing::warn!(%error, "changes of other nodes do not arrive; decisions are refused until they do");
            }
            self.fresh.lost();
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Listens until the connection is lost.
    async fn listen(&self) -> sqlx::Result<()> {
        let connect = async {
            let mut listener = PgListener::connect_with(&self.pool).await?;
            listener.listen(CHANNEL).await?;
            sqlx::Result::Ok(listener)
        };
        let mut listener = within(connect).await?;
        // What happened before is lost: everybody reads everything again, then it counts as fresh.
        let sent = now();
        within(self.read_again(&mut listener)).await?;
        self.fresh.answered(sent);
        let mut beat = tokio::time::interval(HEARTBEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                got = listener.try_recv() => match got? {
                    Some(change) => self.forward(change.payload(), &mut listener).await?,
                    None => return Err(sqlx::Error::WorkerCrashed),
                },
                _ = beat.tick() => {
                    let sent = now();
                    within(sqlx::query("SELECT 1").execute(&mut listener)).await?;
                    // The answer comes after every change that was sent before it.
                    while let Some(change) = listener.next_buffered() {
                        self.forward(change.payload(), &mut listener).await?;
                    }
                    self.fresh.answered(sent);
                }
            }
        }
    }

    async fn forward(&self, payload: &str, listener: &mut PgListener) -> sqlx::Result<()> {
        match received(&self.node, payload) {
            Ok(Some(changed)) => {
                // No receiver is fine.
                let _none = self.changes.send(changed);
                self.fresh.gave();
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "a change of another node cannot be read; reading everything again");
                within(self.read_again(listener)).await
            }
        }
    }

    async fn read_again(&self, listener: &mut PgListener) -> sqlx::Result<()> {
        let rows = sqlx::query("SELECT org, epoch FROM orgs_state")
            .fetch_all(listener)
            .await?;
        for row in rows {
            let Ok(org) = row.try_get::<&str, _>(0)?.parse() else {
                continue;
            };
            let epoch = nat(row.try_get(1)?);
            let _none = self.changes.send(Changed {
                org,
                epoch,
                keys: Vec::new(),
            });
            self.fresh.gave();
        }
        Ok(())
    }
}

async fn within<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(ANSWER, work)
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(keys: usize) -> Changed {
        let keys = (0..keys)
            .map(|n| (Kind::Agent, format!("agt_{n:026}")))
            .collect();
        Changed {
            org: OrgId::from_uuid(uuid::Uuid::from_u128(1)),
            epoch: 3,
            keys,
        }
    }

    #[test]
    fn a_change_travels_and_is_not_heard_by_its_own_node() {
        let sent = payload("a", &changed(2));
        assert_eq!(received("b", &sent).unwrap(), Some(changed(2)));
        assert_eq!(received("a", &sent).unwrap(), None);
        assert!(received("a", "nonsense").is_err());
    }

    #[test]
    fn a_change_too_large_to_send_says_read_everything() {
        let sent = payload("a", &changed(1_000));
        assert!(sent.len() < 8_000);
        assert_eq!(received("b", &sent).unwrap(), Some(changed(0)));
    }

    #[test]
    fn silence_is_stale() {
        let fresh = Freshness::new();
        let start = fresh.base;
        assert!(!fresh.is_fresh_at(start), "nothing was heard");
        fresh.answered(start + Duration::from_secs(2));
        assert!(fresh.is_fresh_at(start + Duration::from_millis(6_999)));
        assert!(!fresh.is_fresh_at(start + Duration::from_secs(7)));
        fresh.lost();
        assert!(!fresh.is_fresh_at(start + Duration::from_secs(3)));
    }

    #[test]
    fn what_was_heard_counts_only_once_it_is_taken_in() {
        let fresh = Freshness::new();
        let at = |secs| fresh.base + Duration::from_secs(secs);
        fresh.taken_in(fresh.given_out());
        fresh.answered(at(1));
        assert!(fresh.is_fresh_at(at(5)));
        // A change comes, with beats after it, and whoever follows is slow.
        fresh.gave();
        (2..=20).for_each(|secs| fresh.answered(at(secs)));
        assert!(!fresh.is_fresh_at(at(7)), "the change is not known yet");
        fresh.taken_in(1);
        assert!(fresh.is_fresh_at(at(21)));
        // A connection that was lost takes its beats with it.
        fresh.gave();
        fresh.answered(at(22));
        fresh.lost();
        fresh.taken_in(2);
        assert!(!fresh.is_fresh_at(at(22)));
    }
}
