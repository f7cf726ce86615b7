//! One organization's data, and the changes of it. A change works on a copy, so that a refused one leaves nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use remit_domain::{DecisionId, Kind, OrgId, Timestamp};
use remit_ledger::NewEntry;
use remit_ports::store::{
    Admit, AdmitError, Admitted, Blob, Changed, Commit, Committed, Expect, LabelRow, LabelState,
    Lower, OpenCall, Outcome, Put, Record, Reserve, StoreError, StoredEntry, TreeAppend, held,
};
use serde_json::Value;

/// A record with what it is listed by.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) record: Record,
    pub(super) name: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) state: String,
}

/// One organization.
#[derive(Clone, Default)]
pub(super) struct Org {
    pub(super) epoch: u64,
    pub(super) records: BTreeMap<(Kind, String), Arc<Row>>,
    /// Every name that was ever given, and to which key.
    names: BTreeMap<(Kind, String), String>,
    pub(super) entries: Vec<Arc<StoredEntry>>,
    once: BTreeMap<String, Timestamp>,
    pub(super) labels: BTreeMap<String, Vec<LabelRow>>,
    pub(super) counters: BTreeMap<String, i64>,
    pub(super) calls: BTreeMap<DecisionId, OpenCall>,
    /// What each open call holds.
    held: BTreeMap<DecisionId, Vec<(String, i64)>>,
    pub(super) blobs: BTreeMap<String, Arc<Vec<u8>>>,
    pub(super) tree: Arc<Vec<[u8; 32]>>,
    pub(super) checkpoint: Option<(u64, String)>,
}

fn count(entries: &[Arc<StoredEntry>]) -> u64 {
    u64::try_from(entries.len()).unwrap_or(u64::MAX)
}

impl Org {
    pub(super) fn entry_count(&self) -> u64 {
        count(&self.entries)
    }

    fn append(&mut self, entries: &[NewEntry]) -> u64 {
        let first = self.entry_count();
        for (index, entry) in (first..).zip(entries) {
            let NewEntry {
                kind,
                at,
                agent,
                run,
                decision,
                leaf,
                sealed,
            } = entry.clone();
            self.entries.push(Arc::new(StoredEntry {
                index,
                kind,
                at,
                agent,
                run,
                decision,
                leaf,
                sealed,
            }));
        }
        first
    }

    fn put(&mut self, put: &Put) -> Result<u64, StoreError> {
        let id = (put.kind, put.key.clone());
        let found = self.records.get(&id).map(|row| row.record.revision);
        let expected = match put.expect {
            Expect::Absent => found.is_none(),
            Expect::Revision(revision) => found == Some(revision),
            Expect::Any => true,
        };
        if !expected {
            return Err(StoreError::Conflict {
                kind: put.kind,
                key: put.key.clone(),
            });
        }
        if let Some(name) = &put.name {
            let holder = self
                .names
                .entry((put.kind, name.clone()))
                .or_insert_with(|| put.key.clone());
            if *holder != put.key {
                return Err(StoreError::NameTaken {
                    kind: put.kind,
                    name: name.clone(),
                });
            }
        }
        let revision = found.unwrap_or(0) + 1;
        let record = Record {
            kind: put.kind,
            key: put.key.clone(),
            revision,
            body: put.body.clone(),
        };
        let row = Row {
            record,
            name: put.name.clone(),
            parent: put.parent.clone(),
            state: put.state.clone(),
        };
        self.records.insert(id, Arc::new(row));
        Ok(revision)
    }

    fn keep(&mut self, blobs: &[Blob]) {
        for blob in blobs {
            self.blobs
                .entry(blob.hash.clone())
                .or_insert_with(|| Arc::new(blob.body.clone()));
        }
    }

    fn raise(&mut self, raise: &[(String, String)], at: Timestamp, by: &str) {
        for (scope, label) in raise {
            let rows = self.labels.entry(scope.clone()).or_default();
            let named = match marks(rows, label) {
                0 => label.clone(),
                n => format!("{label}+{n}"),
            };
            match rows.iter_mut().find(|row| row.label == named) {
                Some(row) => row.at = row.at.max(at),
                None => rows.push(LabelRow {
                    label: named,
                    at,
                    by: Some(by.to_owned()),
                }),
            }
        }
    }

    fn lower(&mut self, lower: &Lower, at: Timestamp) -> Result<(), StoreError> {
        let conflict = |key: &str| StoreError::Conflict {
            kind: Kind::Declassification,
            key: key.to_owned(),
        };
        for (scope, stamp) in &lower.scopes {
            if self.label_state(scope).stamp() != *stamp {
                return Err(conflict(scope));
            }
        }
        for agent in &lower.agents {
            if self.calls.values().any(|call| call.agent == *agent) {
                return Err(conflict(agent.as_str()));
            }
        }
        for (scope, _) in &lower.scopes {
            let holds = self.label_state(scope).labels;
            let rows = self.labels.entry(scope.clone()).or_default();
            for label in lower.labels.iter().filter(|l| holds.contains_key(*l)) {
                rows.push(LabelRow {
                    label: format!("{label}~{}", marks(rows, label) + 1),
                    at,
                    by: Some(lower.by.clone()),
                });
            }
        }
        Ok(())
    }

    pub(super) fn label_state(&self, scope: &str) -> LabelState {
        self.labels
            .get(scope)
            .map(|rows| LabelState::of(rows))
            .unwrap_or_default()
    }

    pub(super) fn commit(
        &mut self,
        commit: &Commit,
        shred: Option<&str>,
    ) -> Result<(Committed, Option<Changed>), StoreError> {
        if commit.at_epoch.is_some_and(|decided| decided != self.epoch) {
            return Err(StoreError::EpochMoved(self.epoch));
        }
        for once in &commit.once {
            if self.once.insert(once.key.clone(), once.until).is_some() {
                return Err(StoreError::Replayed {
                    key: once.key.clone(),
                });
            }
        }
        let revisions = commit
            .puts
            .iter()
            .map(|put| self.put(put))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(scope) = shred {
            self.shred(scope)?;
        }
        if let Some(lower) = &commit.lower {
            self.lower(lower, commit.at)?;
        }
        self.keep(&commit.blobs);
        let first_index = self.append(&commit.entries);
        self.epoch += u64::from(commit.raise_epoch);
        let mut changed = self.changed(&commit.org, commit.puts.iter(), commit.raise_epoch);
        if let Some(scope) = shred {
            let (org, epoch) = (commit.org.clone(), self.epoch);
            let changed = changed.get_or_insert(Changed {
                org,
                epoch,
                keys: Vec::new(),
            });
            changed.keys.push((Kind::ShredKey, scope.to_owned()));
        }
        Ok((
            Committed {
                revisions,
                first_index,
                epoch: self.epoch,
            },
            changed,
        ))
    }

    fn shred(&mut self, scope: &str) -> Result<(), StoreError> {
        let conflict = || StoreError::Conflict {
            kind: Kind::ShredKey,
            key: scope.to_owned(),
        };
        let row = self
            .records
            .get_mut(&(Kind::ShredKey, scope.to_owned()))
            .ok_or_else(conflict)?;
        let row = Arc::make_mut(row);
        row.record.body = Value::Null;
        row.record.revision += 1;
        "shredded".clone_into(&mut row.state);
        Ok(())
    }

    pub(super) fn admit(
        &mut self,
        admit: &Admit,
    ) -> Result<(Admitted, Option<Changed>), AdmitError> {
        if admit.epoch != self.epoch {
            return Err(AdmitError::EpochMoved(self.epoch));
        }
        let (scope, version) = &admit.labels;
        if self.label_state(scope).version() != *version {
            return Err(AdmitError::LabelsMoved(self.label_state(scope)));
        }
        if let Some((beside, stamp)) = &admit.carried
            && self.label_state(beside).stamp() != *stamp
        {
            return Err(AdmitError::LabelsMoved(self.label_state(scope)));
        }
        for reserve in &admit.reserve {
            self.reserve(reserve)?;
        }
        for put in &admit.puts {
            self.put(put)?;
        }
        self.keep(&admit.blobs);
        self.raise(&admit.raise, admit.at, admit.decision.as_str());
        let index = self.append(&admit.entries);
        if let Some(node) = &admit.sends {
            let call = OpenCall {
                decision: admit.decision.clone(),
                index,
                agent: admit.agent.clone(),
                run: admit.run.clone(),
                tool: admit.tool.to_string(),
                node: node.clone(),
                at: admit.at,
            };
            let kept = held(admit.held().as_deref());
            self.held.insert(admit.decision.clone(), kept);
            if self.calls.insert(admit.decision.clone(), call).is_some() {
                return Err(StoreError::Replayed {
                    key: admit.decision.to_string(),
                }
                .into());
            }
        }
        let labels = self.label_state(scope).version();
        let changed = self.changed(&admit.org, admit.puts.iter(), false);
        Ok((Admitted { index, labels }, changed))
    }

    fn reserve(&mut self, reserve: &Reserve) -> Result<(), AdmitError> {
        let of = |key: &String| self.counters.get(key).copied().unwrap_or(0);
        let own = of(&reserve.key);
        let used = reserve.also.iter().map(of).fold(own, i64::saturating_add);
        let amount = reserve.amount.max(0);
        match (own.checked_add(amount), used.checked_add(amount)) {
            (Some(after), Some(all)) if all <= reserve.max => {
                self.counters.insert(reserve.key.clone(), after);
                Ok(())
            }
            _ => Err(AdmitError::LimitExceeded {
                key: reserve.key.clone(),
                used,
                max: reserve.max,
            }),
        }
    }

    pub(super) fn outcome(&mut self, outcome: &Outcome) -> Option<Changed> {
        let closed = self.calls.remove(&outcome.decision).is_some();
        self.append(&outcome.entries);
        self.raise(&outcome.raise, outcome.at, outcome.decision.as_str());
        let kept = self.held.remove(&outcome.decision).unwrap_or_default();
        if closed {
            for (key, amount) in kept.iter().chain(&outcome.release) {
                if let Some(used) = self.counters.get_mut(key) {
                    *used = used.saturating_sub((*amount).max(0)).max(0);
                }
            }
        }
        let written: Vec<_> = outcome
            .puts
            .iter()
            .filter(|put| self.put(put).is_ok())
            .collect();
        self.changed(&outcome.org, written.into_iter(), false)
    }

    pub(super) fn append_tree(
        &mut self,
        org: &OrgId,
        append: &TreeAppend,
    ) -> Result<(), StoreError> {
        let size = self.checkpoint.as_ref().map_or(0, |(size, _)| *size);
        if size != append.old_size || append.new_size < size {
            return Err(StoreError::Conflict {
                kind: Kind::Organization,
                key: org.to_string(),
            });
        }
        if append.new_size > self.entry_count() {
            let why = format!(
                "a tree of {} entries was signed and the ledger has {}",
                append.new_size,
                self.entry_count()
            );
            return Err(StoreError::Inconsistent {
                table: "checkpoints",
                key: org.to_string(),
                why,
            });
        }
        Arc::make_mut(&mut self.tree).extend(&append.hashes);
        self.checkpoint = Some((append.new_size, append.checkpoint.clone()));
        Ok(())
    }

    fn changed<'p>(
        &self,
        org: &OrgId,
        puts: impl Iterator<Item = &'p Put>,
        raised: bool,
    ) -> Option<Changed> {
        let keys: Vec<_> = puts.map(|put| (put.kind, put.key.clone())).collect();
        (raised || !keys.is_empty()).then(|| Changed {
            org: org.clone(),
            epoch: self.epoch,
            keys,
        })
    }
}

/// How often a label was taken back.
fn marks(rows: &[LabelRow], label: &str) -> usize {
    let mark = |row: &&LabelRow| row.label.split_once('~').is_some_and(|(l, _)| l == label);
    rows.iter().filter(mark).count()
}
