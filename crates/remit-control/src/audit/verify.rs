//! Reading a whole ledger again, and holding it against what was signed.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use remit_books::{Books, BooksError, OpenedEntry};
use remit_domain::event::EventKind;
use remit_domain::{DecisionId, OrgId};
use remit_ledger::Leaf;
use remit_ports::store::{EntryFilter, StoredEntry};
use remit_tlog::{Checkpoint, Frontier, VerifierKey, leaf_hash};
use schemars::JsonSchema;
use serde::Serialize;

use crate::ControlError;
use crate::run::goes_on;

/// Entries read in one step.
const STEP: u32 = 1_000;
/// Most mismatches listed; more are counted.
const MISMATCHES_MAX: usize = 100;
/// Most calls in flight looked at.
const OPEN_CALLS_MAX: u32 = 10_000;

/// What verifying a ledger found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verification {
    /// Whether everything that was signed is there unchanged and everything that was sealed opens or was destroyed.
    pub ok: bool,
    /// Entries read.
    pub entries: u64,
    /// The signed checkpoint they were held against.
    pub checkpoint: String,
    /// Name of the ledger.
    pub origin: String,
    /// Root hash, base64.
    pub root: String,
    /// Size of the checkpoint kept elsewhere, where one was given and holds.
    pub kept: Option<u64>,
    /// Decisions.
    pub decisions: u64,
    /// Outcomes of calls.
    pub outcomes: u64,
    /// Calls that were to go on and have no outcome.
    pub gaps: Vec<Gap>,
    /// Sealed bodies that opened and are what their leaf commits to.
    pub opened: u64,
    /// Sealed bodies whose key was destroyed.
    pub shredded: u64,
    /// Decisions that can be replayed, because all their inputs are there.
    pub replayable: u64,
    /// What is not as it was signed, at most 100.
    pub mismatches: Vec<Mismatch>,
    /// How many mismatches there are.
    pub mismatches_count: u64,
}

/// A call that was to go on and has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gap {
    /// Index of its decision's entry.
    pub index: u64,
    /// Which call.
    pub decision: DecisionId,
    /// What is known of it.
    pub state: GapState,
}

/// What is known of a call without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapState {
    /// It was reported as a gap in the ledger.
    Reported,
    /// It is on its way, or its node has not said more yet.
    Open,
    /// Nothing is known, and nothing was reported.
    Unreported,
}

/// Something that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mismatch {
    /// Which entry; none for the ledger as a whole.
    pub index: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What is gathered on the way.
struct Reading<'a> {
    books: &'a Books,
    org: &'a OrgId,
    frontier: Frontier,
    calls: BTreeMap<DecisionId, (u64, bool)>,
    blobs: BTreeMap<String, bool>,
    report: Verification,
}

/// Verifies the ledger of an organization.
///
/// - `kept`: a checkpoint kept elsewhere, its signature already verified.
/// - `told`: hears how many entries were read, and of how many.
pub(super) async fn run(
    books: &Books,
    org: &OrgId,
    key: &VerifierKey,
    kept: Option<&Checkpoint>,
    told: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Verification, ControlError> {
    let mut reading = Reading::new(books, org);
    let signed = match books.checkpoint(org).await {
        Ok((_, note)) => {
            let signed = remit_tlog::verify_note(&note, key).map_err(BooksError::from)?;
            reading.report.checkpoint = note;
            Some(signed)
        }
        Err(BooksError::Store(error @ remit_ports::store::StoreError::Unavailable(_))) => {
            return Err(error.into());
        }
        Err(error) => {
            reading.wrong(None, format!("no checkpoint can be signed: {error}"));
            None
        }
    };
    let size = match &signed {
        Some(signed) => signed.size(),
        None => books.store().entry_count(org).await?,
    };
    reading.read(size, kept, told).await?;
    if let Some(signed) = &signed
        && (signed.root() != reading.frontier.root() || signed.origin() != books.log_origin(org))
    {
        reading.wrong(
            None,
            "the entries are not those that the checkpoint signed".to_owned(),
        );
    }
    if let Some(kept) = kept
        && kept.size() > reading.frontier.size()
    {
        let text = format!(
            "the checkpoint kept elsewhere has {} entries and the ledger only {size}: it was cut",
            kept.size()
        );
        reading.wrong(None, text);
    }
    reading.gaps().await?;
    Ok(reading.done())
}

impl<'a> Reading<'a> {
    fn new(books: &'a Books, org: &'a OrgId) -> Self {
        let report = Verification {
            ok: false,
            entries: 0,
            checkpoint: String::new(),
            origin: books.log_origin(org),
            root: String::new(),
            kept: None,
            decisions: 0,
            outcomes: 0,
            gaps: Vec::new(),
            opened: 0,
            shredded: 0,
            replayable: 0,
            mismatches: Vec::new(),
            mismatches_count: 0,
        };
        Self {
            books,
            org,
            frontier: Frontier::new(),
            calls: BTreeMap::new(),
            blobs: BTreeMap::new(),
            report,
        }
    }

    fn wrong(&mut self, index: Option<u64>, what: String) {
        self.report.mismatches_count += 1;
        if self.report.mismatches.len() < MISMATCHES_MAX {
            self.report.mismatches.push(Mismatch { index, what });
        }
    }

    async fn read(
        &mut self,
        size: u64,
        kept: Option<&Checkpoint>,
        told: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<(), ControlError> {
        self.against_kept(kept);
        while self.frontier.size() < size {
            told(self.frontier.size(), size);
            let from = self.frontier.size();
            let limit = u32::try_from(size - from).unwrap_or(STEP).min(STEP);
            let page = self
                .books
                .store()
                .entries(
                    self.org,
                    &EntryFilter {
                        from,
                        limit,
                        ..EntryFilter::default()
                    },
                )
                .await?;
            if page.is_empty() {
                self.wrong(
                    Some(from),
                    "entries that were signed are missing from here on".to_owned(),
                );
                return Ok(());
            }
            for stored in page {
                if stored.index != self.frontier.size() {
                    self.wrong(
                        Some(stored.index),
                        format!("entry {} is missing before it", self.frontier.size()),
                    );
                    return Ok(());
                }
                self.frontier
                    .append(leaf_hash(&stored.leaf))
                    .map_err(BooksError::from)?;
                self.against_kept(kept);
                self.entry(stored).await?;
            }
        }
        Ok(())
    }

    fn against_kept(&mut self, kept: Option<&Checkpoint>) {
        if let Some(kept) = kept.filter(|k| k.size() == self.frontier.size()) {
            if kept.root() == self.frontier.root() {
                self.report.kept = Some(kept.size());
            } else {
                self.wrong(
                    None,
                    "the first entries are not those that the checkpoint kept elsewhere signed"
                        .to_owned(),
                );
            }
        }
    }

    async fn entry(&mut self, stored: StoredEntry) -> Result<(), ControlError> {
        let index = stored.index;
        let leaf = match Leaf::parse(&stored.leaf) {
            Ok(leaf) => leaf,
            Err(error) => {
                self.wrong(Some(index), error.to_string());
                return Ok(());
            }
        };
        if leaf.org != *self.org {
            self.wrong(Some(index), "it is of another organization".to_owned());
        }
        let filed = (
            stored.kind,
            stored.at,
            &stored.agent,
            &stored.run,
            &stored.decision,
        );
        if filed != (leaf.kind, leaf.at, &leaf.agent, &leaf.run, &leaf.decision) {
            self.wrong(
                Some(index),
                "it is filed under something else than its leaf says".to_owned(),
            );
        }
        if !leaf.commit.is_empty() && stored.sealed.is_empty() {
            self.wrong(
                Some(index),
                "what its leaf commits to is missing".to_owned(),
            );
        }
        self.count(&leaf, index);
        match self.books.open_entry(self.org, stored).await {
            Ok(opened) => self.opened(&opened).await?,
            Err(BooksError::Store(error)) => return Err(error.into()),
            Err(error) => self.wrong(Some(index), error.to_string()),
        }
        Ok(())
    }

    fn count(&mut self, leaf: &Leaf, index: u64) {
        let Some(decision) = &leaf.decision else {
            return;
        };
        match leaf.kind {
            EventKind::CallDecided => {
                self.report.decisions += 1;
                if goes_on(&leaf.facts)
                    && self
                        .calls
                        .insert(decision.clone(), (index, false))
                        .is_some()
                {
                    self.wrong(Some(index), format!("call {decision} was decided before"));
                }
            }
            EventKind::CallCompleted => {
                self.report.outcomes += 1;
                if self.calls.remove(decision).is_none() {
                    self.wrong(
                        Some(index),
                        format!("call {decision} has an outcome and no decision that let it go on"),
                    );
                }
            }
            EventKind::CallGap => {
                if let Some(call) = self.calls.get_mut(decision) {
                    call.1 = true;
                }
            }
            _ => {}
        }
    }

    async fn opened(&mut self, entry: &OpenedEntry) -> Result<(), ControlError> {
        if entry.shredded {
            self.report.shredded += 1;
            return Ok(());
        }
        self.report.opened += u64::from(entry.body.is_some());
        if entry.leaf.kind != EventKind::CallDecided {
            return Ok(());
        }
        let fact = |name: &str| {
            entry
                .leaf
                .facts
                .get(name)
                .and_then(|v| v.as_str())
                .map(str::to_owned)
        };
        let (Some(fixed), Some(engine)) = (fact("fixed"), fact("engine")) else {
            return Ok(());
        };
        // The slice of the registry is its own hash; the engine's sources are checked by compiling them, on replay.
        let fixed_there = self.blob(&fixed, true).await?;
        let engine_there = self.blob(&engine, false).await?;
        if fixed_there && engine_there {
            self.report.replayable += u64::from(entry.body.is_some());
        } else {
            self.wrong(
                Some(entry.stored.index),
                "inputs of the decision are missing or changed: it cannot be replayed".to_owned(),
            );
        }
        Ok(())
    }

    async fn blob(&mut self, hash: &str, is_hash: bool) -> Result<bool, ControlError> {
        if let Some(known) = self.blobs.get(hash) {
            return Ok(*known);
        }
        let found = self.books.store().blob(self.org, hash).await?;
        let good = found.is_some_and(|body| !is_hash || sha256(&body) == hash);
        self.blobs.insert(hash.to_owned(), good);
        Ok(good)
    }

    async fn gaps(&mut self) -> Result<(), ControlError> {
        let open: BTreeSet<DecisionId> = self
            .books
            .store()
            .open_calls(self.org, OPEN_CALLS_MAX)
            .await?
            .into_iter()
            .map(|c| c.decision)
            .collect();
        let state =
            |decision: &DecisionId, reported: bool| match (reported, open.contains(decision)) {
                (true, _) => GapState::Reported,
                (false, true) => GapState::Open,
                (false, false) => GapState::Unreported,
            };
        let calls = std::mem::take(&mut self.calls);
        let mut gaps: Vec<Gap> = calls
            .into_iter()
            .map(|(decision, (index, reported))| Gap {
                index,
                state: state(&decision, reported),
                decision,
            })
            .collect();
        gaps.sort_by_key(|gap| gap.index);
        // An outcome may have come after the checkpoint that was read to.
        let size = self.frontier.size();
        let late = EntryFilter {
            from: size,
            kinds: vec![EventKind::CallCompleted],
            limit: 10_000,
            ..EntryFilter::default()
        };
        let late: BTreeSet<_> = self
            .books
            .store()
            .entries(self.org, &late)
            .await?
            .into_iter()
            .filter_map(|e| e.decision)
            .collect();
        gaps.retain(|gap| !late.contains(&gap.decision));
        self.report.gaps = gaps;
        Ok(())
    }

    fn done(mut self) -> Verification {
        self.report.entries = self.frontier.size();
        self.report.root = self.frontier.root().to_base64();
        self.report.ok = self.report.mismatches_count == 0;
        self.report
    }
}

/// SHA-256, lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes)
        .as_ref()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}
