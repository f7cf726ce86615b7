//! What an upstream says while its call is in work (progress, log messages), on its way to the caller: looked into first,
//! like a result.
//!
//! Words that raise no label which the run has not got go on at once, covered as settings say. Others are held back until
//! the outcome has made their labels durable, and come just before the answer.

use std::collections::BTreeSet;

use remit_ports::upstreams::UpstreamError;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::call::Authorized;
use crate::content::{self, Seen};
use crate::limits::{NOTICES_GRACE, NOTICES_HELD_BYTES_MAX, NOTICES_HELD_MAX, NOTICES_WAITING_MAX};
use crate::record::raised;
use crate::transform;

/// The notifications of one call.
pub(crate) struct Notices<'a> {
    call: &'a Authorized,
    from: Option<mpsc::Receiver<Value>>,
    to: Option<mpsc::Sender<Value>>,
    /// One that the caller has not taken yet.
    next: Option<Value>,
    held: Vec<Value>,
    held_bytes: usize,
    /// Labels that the decision raised: they are durable already.
    durable: BTreeSet<(String, String)>,
}

impl<'a> Notices<'a> {
    /// Where an upstream sends them, and what becomes of them; nowhere where the caller takes none.
    pub(crate) fn of(call: &'a Authorized) -> (Option<mpsc::Sender<Value>>, Self) {
        let to = call.resolved.received.notifications.clone();
        let (sender, from) = match &to {
            Some(_) => {
                let (sender, from) = mpsc::channel(NOTICES_WAITING_MAX);
                (Some(sender), Some(from))
            }
            None => (None, None),
        };
        let notices = Self {
            call,
            from,
            to,
            next: None,
            held: Vec::new(),
            held_bytes: 0,
            durable: match &sender {
                Some(_) => raised(call).into_iter().collect(),
                None => BTreeSet::new(),
            },
        };
        (sender, notices)
    }

    /// Passes one on, or keeps it. Nothing is lost when it is dropped half-way.
    pub(crate) async fn pass(&mut self) {
        if self.next.is_none() {
            let Some(from) = &mut self.from else {
                return std::future::pending().await;
            };
            match from.recv().await {
                Some(notice) => self.next = self.judged(notice),
                None => self.from = None,
            }
        }
        let (Some(to), true) = (&self.to, self.next.is_some()) else {
            return;
        };
        match to.reserve().await {
            Ok(place) => {
                if let Some(notice) = self.next.take() {
                    place.send(notice);
                }
            }
            // The caller has left; its call goes on.
            Err(_) => self.next = None,
        }
    }

    /// The notification as it may go on now; none where it has to wait for its labels.
    fn judged(&mut self, notice: Value) -> Option<Value> {
        let seen = content::look_at_notice(&notice);
        let raise = seen.raise(self.call);
        if raise.iter().all(|label| self.durable.contains(label)) && !seen.is_withheld(self.call) {
            return Some(transform::notice(&self.call.decision, notice));
        }
        let bytes = serde_json::to_vec(&notice).map_or(usize::MAX, |bytes| bytes.len());
        let together = self.held_bytes.saturating_add(bytes);
        if self.held.len() < NOTICES_HELD_MAX && together <= NOTICES_HELD_BYTES_MAX {
            self.held_bytes = together;
            self.held.push(notice);
        }
        None
    }

    /// What came before the answer and was not passed on yet goes first. What is held back, for its labels.
    pub(crate) async fn end(mut self) -> Vec<Value> {
        if let Some(from) = &mut self.from {
            from.close();
        }
        let rest = async {
            while self.from.is_some() || self.next.is_some() {
                self.pass().await;
            }
        };
        // A caller that takes nothing does not keep its call from getting an outcome.
        let _ = tokio::time::timeout(NOTICES_GRACE, rest).await;
        self.held
    }
}

/// What was seen of a whole call: its answer, and what was held back of what was said before.
pub(crate) fn seen(result: &Result<Map<String, Value>, UpstreamError>, held: &[Value]) -> Seen {
    let answer = match result {
        Ok(result) => content::look(result),
        Err(error) => content::look_at_error(error),
    };
    held.iter()
        .map(content::look_at_notice)
        .fold(answer, Seen::and)
}

/// Sends what was held back, now that what it holds is recorded.
pub(crate) async fn release(call: &Authorized, held: Vec<Value>) {
    let Some(to) = &call.resolved.received.notifications else {
        return;
    };
    let all = async {
        for notice in held {
            let may_go = !content::look_at_notice(&notice).is_withheld(call);
            if may_go
                && to
                    .send(transform::notice(&call.decision, notice))
                    .await
                    .is_err()
            {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(NOTICES_GRACE, all).await;
}
