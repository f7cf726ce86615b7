//! The port, implemented over the data in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use remit_domain::{Kind, OrgId};
use remit_ports::Store;
use remit_ports::store::{
    Admit, AdmitError, Admitted, Changed, Commit, Committed, EntryFilter, Filter, LabelState,
    OpenCall, Outcome, Page, Record, StoreError, StoredEntry, TreeAppend,
};
use tokio::sync::broadcast;

use super::FakeStore;
use super::org::{Org, Row};

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn page(org: &Org, kind: Kind, filter: &Filter) -> Page {
    let wanted = |row: &&Arc<Row>| {
        let key = row.record.key.as_str();
        let on = filter.after.as_deref().is_none_or(|after| {
            if filter.descending {
                key < after
            } else {
                key > after
            }
        });
        row.record.kind == kind
            && on
            && filter
                .parent
                .as_ref()
                .is_none_or(|parent| row.parent.as_ref() == Some(parent))
            && filter
                .state
                .as_ref()
                .is_none_or(|state| row.state == *state)
    };
    let mut rows: Vec<&Arc<Row>> = org.records.values().filter(wanted).collect();
    if filter.descending {
        rows.reverse();
    }
    let limit = size(filter.limit());
    let more = rows.len() > limit;
    let records: Vec<Record> = rows
        .into_iter()
        .take(limit)
        .map(|row| row.record.clone())
        .collect();
    let next = if more {
        records.last().map(|record| record.key.clone())
    } else {
        None
    };
    Page { records, next }
}

fn entries(org: &Org, filter: &EntryFilter) -> Vec<StoredEntry> {
    let wanted = |entry: &&Arc<StoredEntry>| {
        let on = match (filter.descending, filter.from) {
            (true, 0) => true,
            (true, from) => entry.index < from,
            (false, from) => entry.index >= from,
        };
        on && (filter.kinds.is_empty() || filter.kinds.contains(&entry.kind))
            && (filter.agent.is_none() || filter.agent == entry.agent)
            && (filter.run.is_none() || filter.run == entry.run)
            && (filter.decision.is_none() || filter.decision == entry.decision)
            && filter.since.is_none_or(|since| entry.at >= since)
            && filter.until.is_none_or(|until| entry.at < until)
    };
    let as_asked = |entry: &Arc<StoredEntry>| {
        let mut entry = entry.as_ref().clone();
        if filter.leaves_only {
            entry.sealed.clear();
        }
        entry
    };
    let found = org.entries.iter();
    let limit = size(filter.limit());
    if filter.descending {
        let found = found.rev().filter(wanted).take(limit);
        found.map(as_asked).collect()
    } else {
        found.filter(wanted).take(limit).map(as_asked).collect()
    }
}

fn open_calls(org: &Org, limit: u32) -> Vec<OpenCall> {
    let mut calls: Vec<_> = org.calls.values().cloned().collect();
    calls.sort_by_key(|call| call.index);
    calls.truncate(size(limit));
    calls
}

#[async_trait]
impl Store for FakeStore {
    async fn organizations(&self) -> Result<Vec<Record>, StoreError> {
        let data = self.readable()?;
        let all = data.orgs.values().flat_map(|org| org.records.values());
        let mut own: Vec<_> = all
            .filter(|row| row.record.kind == Kind::Organization)
            .map(|row| row.record.clone())
            .collect();
        own.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(own)
    }

    async fn get(&self, org: &OrgId, kind: Kind, key: &str) -> Result<Option<Record>, StoreError> {
        self.read(org, |org| {
            org.records
                .get(&(kind, key.to_owned()))
                .map(|row| row.record.clone())
        })
    }

    async fn find(
        &self,
        org: &OrgId,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Record>, StoreError> {
        self.read(org, |org| {
            let mut rows = org.records.values();
            rows.find(|row| row.record.kind == kind && row.name.as_deref() == Some(name))
                .map(|row| row.record.clone())
        })
    }

    async fn list(&self, org: &OrgId, kind: Kind, filter: &Filter) -> Result<Page, StoreError> {
        self.read(org, |org| page(org, kind, filter))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.write(&commit.org, |org| org.commit(&commit, None))
    }

    async fn admit(&self, admit: Admit) -> Result<Admitted, AdmitError> {
        self.write(&admit.org, |org| org.admit(&admit))
    }

    fn outcome(&self, outcome: Outcome) -> Result<(), StoreError> {
        if self.holding.load(Ordering::SeqCst) {
            self.readable()?.held.push(outcome);
            return Ok(());
        }
        self.write(&outcome.org, |org| Ok(((), org.outcome(&outcome))))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let held = std::mem::take(&mut self.readable()?.held);
        for outcome in held {
            self.write::<_, StoreError>(&outcome.org, |org| Ok(((), org.outcome(&outcome))))?;
        }
        Ok(())
    }

    async fn epoch(&self, org: &OrgId) -> Result<u64, StoreError> {
        self.read(org, |org| org.epoch)
    }

    async fn open_calls(&self, org: &OrgId, limit: u32) -> Result<Vec<OpenCall>, StoreError> {
        self.read(org, |org| open_calls(org, limit))
    }

    async fn labels(&self, org: &OrgId, scope: &str) -> Result<LabelState, StoreError> {
        self.read(org, |org| org.label_state(scope))
    }

    async fn counters_under(
        &self,
        org: &OrgId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        self.read(org, |org| {
            let from = org.counters.range(prefix.to_owned()..);
            from.take_while(|(key, _)| key.starts_with(prefix))
                .take(size(limit))
                .map(|(key, used)| (key.clone(), *used))
                .collect()
        })
    }

    async fn counters(&self, org: &OrgId, keys: &[String]) -> Result<Vec<i64>, StoreError> {
        self.read(org, |org| {
            keys.iter()
                .map(|key| org.counters.get(key).copied().unwrap_or(0))
                .collect()
        })
    }

    async fn blob(&self, org: &OrgId, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(org, |org| {
            org.blobs.get(hash).map(|body| body.as_ref().clone())
        })
    }

    async fn entry_count(&self, org: &OrgId) -> Result<u64, StoreError> {
        self.read(org, Org::entry_count)
    }

    async fn entries(
        &self,
        org: &OrgId,
        filter: &EntryFilter,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.read(org, |org| entries(org, filter))
    }

    async fn tree_hashes(
        &self,
        org: &OrgId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        self.read(org, |org| {
            org.tree
                .iter()
                .skip(from)
                .take(size(limit))
                .copied()
                .collect()
        })
    }

    async fn checkpoint(&self, org: &OrgId) -> Result<Option<(u64, String)>, StoreError> {
        self.read(org, |org| org.checkpoint.clone())
    }

    async fn append_tree(&self, org: &OrgId, append: TreeAppend) -> Result<(), StoreError> {
        self.write(org, |data| {
            data.append_tree(org, &append).map(|()| ((), None))
        })
    }

    async fn shred(
        &self,
        org: &OrgId,
        scope: &str,
        commit: Commit,
    ) -> Result<Committed, StoreError> {
        if commit.org != *org {
            let why = "the commit belongs to another organization".to_owned();
            return Err(StoreError::Inconsistent {
                table: "records",
                key: scope.to_owned(),
                why,
            });
        }
        self.write(org, |org| org.commit(&commit, Some(scope)))
    }

    fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    fn has_other_nodes(&self) -> bool {
        !self.alone.load(Ordering::SeqCst)
    }

    fn is_fresh(&self) -> bool {
        !self.stale.load(Ordering::SeqCst) && !self.closed.load(Ordering::SeqCst)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.readable().map(|_| ())
    }

    async fn close(&self) {
        if let Err(error) = self.flush().await {
            // A closed store has nothing to write.
            let _closed = error;
        }
        self.closed.store(true, Ordering::SeqCst);
    }
}
