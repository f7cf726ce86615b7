//! Decisions as they were recorded, with everything they were taken on.

use std::collections::BTreeMap;
use std::sync::Arc;

use remit_books::BooksError;
use remit_domain::event::EventKind;
use remit_domain::{DecisionId, OrgId, Timestamp};
use remit_policy::{Decision, Dynamic, Fixed, Sources};
use remit_ports::store::EntryFilter;
use serde_json::Value;

use crate::{Control, ControlError};

/// Entries read at once.
const PAGE: u32 = 5_000;

/// One decision, and its inputs.
pub(crate) struct Past {
    pub(crate) id: DecisionId,
    pub(crate) at: Timestamp,
    pub(crate) engine: String,
    pub(crate) fixed: Arc<Fixed>,
    pub(crate) dynamic: Dynamic,
    pub(crate) decision: Decision,
}

/// Decisions of a time, newest first.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) past: Vec<Arc<Past>>,
    /// What each engine was compiled from, by its version.
    pub(crate) sources: BTreeMap<String, Sources>,
    /// Decisions that cannot be taken again.
    pub(crate) lost: usize,
    /// Whether there were more.
    pub(crate) is_cut: bool,
}

impl Control {
    /// Decisions since then, at most `max`, newest first.
    pub(crate) async fn recording(
        &self,
        org: &OrgId,
        since: Timestamp,
        max: usize,
    ) -> Result<Recording, ControlError> {
        let mut out = Recording::default();
        let mut facts = BTreeMap::new();
        let mut filter = EntryFilter {
            kinds: vec![EventKind::CallDecided],
            since: Some(since),
            limit: PAGE,
            descending: true,
            ..EntryFilter::default()
        };
        loop {
            let entries = self.books.opened_entries(org, &filter).await?;
            let (count, last) = (entries.len(), entries.last().map(|e| e.stored.index));
            for entry in entries {
                if out.past.len() >= max {
                    out.is_cut = true;
                    return Ok(out);
                }
                match self.past(org, &entry, &mut facts, &mut out.sources).await? {
                    Some(past) => out.past.push(Arc::new(past)),
                    None => out.lost += 1,
                }
            }
            match last {
                Some(last) if count == PAGE as usize => filter.from = last,
                _ => return Ok(out),
            }
        }
    }

    async fn past(
        &self,
        org: &OrgId,
        entry: &remit_books::OpenedEntry,
        facts: &mut BTreeMap<String, Arc<Fixed>>,
        sources: &mut BTreeMap<String, Sources>,
    ) -> Result<Option<Past>, ControlError> {
        let leaf = &entry.leaf;
        let word = |name: &str| leaf.facts.get(name).and_then(Value::as_str);
        let (Some(body), Some(id), Some(run), Some(engine), Some(hash)) = (
            &entry.body,
            &leaf.decision,
            &leaf.run,
            word("engine"),
            word("fixed"),
        ) else {
            return Ok(None);
        };
        let sealed = |name: &str| body.content.get(name).cloned();
        let decision = sealed("decision").and_then(|v| serde_json::from_value(v).ok());
        let dynamic = sealed("dynamic").and_then(|v| serde_json::from_value(v).ok());
        let (Some(decision), Some(dynamic)) = (decision, dynamic) else {
            return Ok(None);
        };
        let fixed = match facts.get(hash) {
            Some(fixed) => Arc::clone(fixed),
            None => {
                let bytes = match self.books.open_blob(org, run.as_str(), hash).await {
                    Err(BooksError::Shredded) => None,
                    other => other?,
                };
                let Some(bytes) = bytes else { return Ok(None) };
                let fixed: Fixed = serde_json::from_slice(&bytes).map_err(BooksError::from)?;
                let fixed = Arc::new(fixed);
                facts.insert(hash.to_owned(), Arc::clone(&fixed));
                fixed
            }
        };
        if !sources.contains_key(engine) {
            let Some(bytes) = self.books.store().blob(org, engine).await? else {
                return Ok(None);
            };
            let kept = Sources::parse(&bytes).map_err(ControlError::Policy)?;
            sources.insert(engine.to_owned(), kept);
        }
        Ok(Some(Past {
            id: id.clone(),
            at: leaf.at,
            engine: engine.to_owned(),
            fixed,
            dynamic,
            decision,
        }))
    }
}
