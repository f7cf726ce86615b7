//! What the bundle in the shadow would have decided otherwise.

use std::collections::BTreeMap;

use remit_domain::event::EventKind;
use remit_domain::{DecisionId, RefusalCode, Timestamp};
use remit_ports::store::EntryFilter;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{Caller, Control, ControlError, refuse};

/// Most decisions that are looked at: the newest ones.
const DECISIONS_MAX: u64 = 100_000;
/// Most differences that are listed.
const FLIPS_MAX: usize = 200;
/// Entries read at once.
const PAGE: u32 = 10_000;

/// One call that would have been decided otherwise.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ShadowFlip {
    /// Which decision.
    pub decision: Option<DecisionId>,
    /// When.
    pub at: Timestamp,
    /// Which tool.
    pub tool: String,
    /// What was decided.
    pub live: String,
    /// What the shadow would have decided.
    pub shadow: String,
}

/// What the bundle in the shadow would have decided otherwise.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ShadowReport {
    /// Which bundle.
    pub bundle: String,
    /// Since when it decides.
    pub since: Timestamp,
    /// Calls that both decided.
    pub decisions: u64,
    /// Those on which they agree.
    pub agree: u64,
    /// How many of each sort differ, as `allow -> deny`.
    pub differ: BTreeMap<String, u64>,
    /// The newest of them.
    pub flips: Vec<ShadowFlip>,
}

impl Control {
    /// What the bundle in the shadow would have decided otherwise, since it is there.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `conflict` when none is in the shadow; when the store cannot be
    /// read.
    pub async fn shadow_report(&self, caller: &Caller) -> Result<ShadowReport, ControlError> {
        caller.person()?;
        let stage = self.book(&caller.org)?.stage();
        let shadow = stage.and_then(|(_, s)| s.shadow);
        let shadow = shadow.ok_or_else(|| {
            let text = "no bundle is in the shadow: `remit policy stage ID` puts one there";
            refuse(RefusalCode::Conflict, text)
        })?;
        let mut report = ShadowReport {
            bundle: shadow.bundle,
            since: shadow.since,
            decisions: 0,
            agree: 0,
            differ: BTreeMap::new(),
            flips: Vec::new(),
        };
        let mut filter = EntryFilter {
            kinds: vec![EventKind::CallDecided],
            since: Some(report.since),
            limit: PAGE,
            descending: true,
            ..EntryFilter::default()
        };
        loop {
            let entries = self.books.store().entries(&caller.org, &filter).await?;
            for stored in &entries {
                let Ok(leaf) = remit_ledger::Leaf::parse(&stored.leaf) else {
                    continue;
                };
                report.count(&leaf);
            }
            match entries.last() {
                Some(last)
                    if entries.len() == PAGE as usize && report.decisions < DECISIONS_MAX =>
                {
                    filter.from = last.index;
                }
                _ => return Ok(report),
            }
        }
    }
}

impl ShadowReport {
    fn count(&mut self, leaf: &remit_ledger::Leaf) {
        let word = |name: &str| {
            leaf.facts
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if word("shadow") != self.bundle {
            return;
        }
        self.decisions += 1;
        let (live, shadow) = (word("outcome"), word("shadow_outcome"));
        if live == shadow {
            self.agree += 1;
            return;
        }
        *self
            .differ
            .entry(format!("{live} -> {shadow}"))
            .or_default() += 1;
        if self.flips.len() < FLIPS_MAX {
            self.flips.push(ShadowFlip {
                decision: leaf.decision.clone(),
                at: leaf.at,
                tool: word("tool").to_owned(),
                live: live.to_owned(),
                shadow: shadow.to_owned(),
            });
        }
    }
}
