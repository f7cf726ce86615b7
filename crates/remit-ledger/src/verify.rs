//! Verifying a copied ledger with nothing but its key: no server, no secret, no clock.
//!
//! A copy is a checkpoint, the records in bundles, and the hash tiles beside them. The records alone prove the
//! checkpoint: their hashes give its root or they do not. The tiles say *which* record was changed when they do not.
//! Truncation and forks show only against a checkpoint that was kept elsewhere, so one may be given.
//!
//! Feed it in order: [`Verifier::next`] names what to read, [`Verifier::read`] takes it, [`Verifier::upper_tiles`] and
//! [`Verifier::read_upper`] do the rest of the tiles, [`Verifier::finish`] reports. It holds one bundle, and 32 bytes for
//! each 256 records.
//!
//! Source: RFC 6962 §2.1, c2sp.org/tlog-tiles, c2sp.org/tlog-checkpoint.

mod pairs;
#[cfg(test)]
mod tests;
mod uppers;

use std::collections::BTreeMap;

use remit_domain::OrgId;
use remit_domain::event::EventKind;
use remit_tlog::limits::TILE_WIDTH_MAX;
use remit_tlog::{
    Checkpoint, CheckpointError, Frontier, Hash, Tile, TileError, TreeError, VerifierKey,
    leaf_hash, parse_bundle, verify_note,
};

use crate::Leaf;
use pairs::Pairs;
use uppers::Uppers;

pub use pairs::Gap;

/// Most faults that are named; the rest are counted.
pub const FAULTS_MAX: usize = 100;

const WIDTH: u64 = TILE_WIDTH_MAX as u64;
const HASH_BYTES: usize = 32;

/// Why verification cannot begin, which is as bad as any fault.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The newest checkpoint is not believed.
    #[error("the checkpoint is not believed")]
    Checkpoint(#[source] CheckpointError),
    /// The kept checkpoint is not believed.
    #[error("the checkpoint that was kept is not believed")]
    Earlier(#[source] CheckpointError),
    /// The tree cannot be computed.
    #[error("the tree cannot be computed")]
    Tree(#[from] TreeError),
    /// A tile cannot be named.
    #[error("the tile cannot be named")]
    Tile(#[from] TileError),
}

/// One thing that is not as it was logged.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The record, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// What is wrong with it.
    pub text: String,
}

/// What came of it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// Origin line of the log.
    pub origin: String,
    /// Records that the checkpoint covers.
    pub size: u64,
    /// Root that is signed, base64.
    pub root: String,
    /// Size of the earlier checkpoint that this one continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<u64>,
    /// Records of each kind.
    pub kinds: BTreeMap<EventKind, u64>,
    /// Calls that went on and have no outcome.
    pub gaps: Vec<Gap>,
    /// What is wrong; empty when the ledger is as it was signed.
    pub faults: Vec<Fault>,
    /// Faults beyond [`FAULTS_MAX`].
    pub more_faults: u64,
}

impl Report {
    /// Whether the ledger is as it was signed. Gaps are reported, they are no fault.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A verification in work.
#[derive(Debug)]
pub struct Verifier {
    head: Checkpoint,
    earlier: Option<Checkpoint>,
    next: u64,
    /// Tree of the records; none once a bundle could not be read.
    records: Option<Frontier>,
    /// Tree of the level 0 tiles; none once one was missing.
    tiles: Option<Frontier>,
    /// What the tiles above must hold, by the records and by the level 0 tiles.
    by_records: Uppers,
    by_tiles: Uppers,
    /// Records whose tile holds another hash.
    differ: Vec<u64>,
    org: Option<OrgId>,
    kinds: BTreeMap<EventKind, u64>,
    pairs: Pairs,
    faults: Faults,
}

impl Verifier {
    /// Begins.
    ///
    /// - `note`: the signed checkpoint of the copy.
    /// - `key`: the log's key, from elsewhere than the copy.
    /// - `earlier`: a signed checkpoint of the same log that was kept elsewhere.
    ///
    /// # Errors
    /// `Checkpoint` and `Earlier` when one is not signed by the key.
    pub fn new(note: &str, key: &VerifierKey, earlier: Option<&str>) -> Result<Self, VerifyError> {
        let head = verify_note(note, key).map_err(VerifyError::Checkpoint)?;
        let earlier = earlier
            .map(|e| verify_note(e, key))
            .transpose()
            .map_err(VerifyError::Earlier)?;
        let mut verifier = Self {
            head,
            earlier,
            next: 0,
            records: Some(Frontier::new()),
            tiles: Some(Frontier::new()),
            by_records: Uppers::default(),
            by_tiles: Uppers::default(),
            differ: Vec::new(),
            org: None,
            kinds: BTreeMap::new(),
            pairs: Pairs::default(),
            faults: Faults::default(),
        };
        verifier.compare_earlier();
        Ok(verifier)
    }

    /// Records that the checkpoint covers.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.head.size()
    }

    /// The next bundle and its hash tile, to be read; none when all were.
    ///
    /// # Errors
    /// `Tile` for a tree beyond what tiles can name.
    pub fn next(&self) -> Result<Option<(Tile, Tile)>, VerifyError> {
        let left = self.head.size() - self.next;
        if left == 0 {
            return Ok(None);
        }
        let width = u16::try_from(left.min(WIDTH)).unwrap_or(TILE_WIDTH_MAX);
        let index = self.next / WIDTH;
        Ok(Some((
            Tile::entries(index, width)?,
            Tile::hashes(0, index, width)?,
        )))
    }

    /// Takes what [`Self::next`] named; none where the copy lacks it.
    ///
    /// # Errors
    /// `Tree` when the tree cannot grow.
    pub fn read(&mut self, bundle: Option<&[u8]>, tile: Option<&[u8]>) -> Result<(), VerifyError> {
        let Some((bundle_name, tile_name)) = self.next()? else {
            return Ok(());
        };
        let width = usize::from(bundle_name.width());
        let stated = self.stated(&tile_name, tile, width)?;
        let Some(bytes) = bundle else {
            self.faults.file(&bundle_name.path(), "is missing");
            self.records = None;
            self.next += width as u64;
            return Ok(());
        };
        match parse_bundle(bytes, bundle_name.width()) {
            Ok(entries) => self.entries(&entries, stated.as_deref())?,
            Err(error) => {
                let (at, text) = (
                    self.first_changed(bytes, stated.as_deref()),
                    error.to_string(),
                );
                self.faults.record(
                    at,
                    format!(
                        "the bundle `{}` cannot be read from here on: {text}",
                        bundle_name.path()
                    ),
                );
                self.records = None;
            }
        }
        self.next += width as u64;
        Ok(())
    }

    /// Tiles above level 0, to be read once all bundles were.
    ///
    /// # Errors
    /// `Tree` for a tree beyond what tiles can name.
    pub fn upper_tiles(&self) -> Result<Vec<Tile>, VerifyError> {
        let all = Tile::grown(0, self.head.size())?;
        Ok(all
            .into_iter()
            .filter(|t| t.level().is_some_and(|l| l > 0))
            .collect())
    }

    /// Takes one of [`Self::upper_tiles`]; none where the copy lacks it.
    pub fn read_upper(&mut self, tile: &Tile, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else {
            return self.faults.file(&tile.path(), "is missing");
        };
        let signed = Some(self.head.root());
        // Whichever is as it was signed says what the tile must hold; where neither is, there are faults already.
        let known = if self.records.as_ref().map(Frontier::root) == signed {
            &self.by_records
        } else if self.tiles.as_ref().map(Frontier::root) == signed {
            &self.by_tiles
        } else {
            return;
        };
        if bytes != known.bytes(tile.level().unwrap_or_default(), tile.index(), tile.width()) {
            self.faults.file(
                &tile.path(),
                "does not hold the hashes of the tiles below it",
            );
        }
    }

    /// Reports.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.judge();
        let continues = self.earlier.as_ref().map(Checkpoint::size);
        Report {
            origin: self.head.origin().to_owned(),
            size: self.head.size(),
            root: self.head.root().to_base64(),
            continues,
            kinds: self.kinds,
            gaps: self.pairs.into_gaps(),
            faults: self.faults.named,
            more_faults: self.faults.more,
        }
    }

    /// The hashes a level 0 tile states.
    fn stated(
        &mut self,
        name: &Tile,
        bytes: Option<&[u8]>,
        width: usize,
    ) -> Result<Option<Vec<Hash>>, VerifyError> {
        let chunks = bytes.map(|b| b.as_chunks::<HASH_BYTES>());
        let stated = match chunks {
            Some((hashes, [])) if hashes.len() == width => {
                hashes.iter().map(|h| Hash::new(*h)).collect::<Vec<_>>()
            }
            found => {
                let what = if found.is_none() {
                    "is missing"
                } else {
                    "does not have the size of its hashes"
                };
                self.faults.file(&name.path(), what);
                self.tiles = None;
                return Ok(None);
            }
        };
        if let Some(tiles) = &mut self.tiles {
            for hash in &stated {
                tiles.append(*hash)?;
            }
            self.by_tiles.grow(&stated)?;
        }
        Ok(Some(stated))
    }

    fn entries(&mut self, entries: &[&[u8]], stated: Option<&[Hash]>) -> Result<(), VerifyError> {
        let mut hashes = Vec::with_capacity(entries.len());
        for (at, entry) in (self.next..).zip(entries) {
            let hash = leaf_hash(entry);
            hashes.push(hash);
            if let Some(records) = &mut self.records {
                records.append(hash)?;
                let (size, root) = (records.size(), records.root());
                self.at_earlier(size, root);
            }
            if stated.is_some_and(|s| s.get(hashes.len() - 1) != Some(&hash)) {
                self.differ.push(at);
            }
            self.leaf(at, entry);
        }
        Ok(self.by_records.grow(&hashes)?)
    }

    fn leaf(&mut self, at: u64, entry: &[u8]) {
        let leaf = match Leaf::parse(entry) {
            Ok(leaf) => leaf,
            Err(error) => return self.faults.record(at, format!("is not a leaf: {error}")),
        };
        if self.org.get_or_insert_with(|| leaf.org.clone()) != &leaf.org {
            self.faults
                .record(at, format!("belongs to another organization, {}", leaf.org));
        }
        *self.kinds.entry(leaf.kind).or_default() += 1;
        if let Err(text) = self.pairs.take(at, &leaf) {
            self.faults.record(at, text);
        }
    }

    /// First record of a bundle that cannot be read whole whose bytes are not those the tile knows.
    fn first_changed(&self, bundle: &[u8], stated: Option<&[Hash]>) -> u64 {
        let mut rest = bundle;
        let mut at = 0_usize;
        while let Some((length, after)) = rest.split_first_chunk() {
            let Some((entry, after)) =
                after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
            else {
                break;
            };
            if stated.is_some_and(|s| s.get(at) != Some(&leaf_hash(entry))) {
                break;
            }
            (rest, at) = (after, at + 1);
        }
        self.next + at as u64
    }

    /// Truncation, and forks of the same size, show at once.
    fn compare_earlier(&mut self) {
        let Some(earlier) = &self.earlier else { return };
        let (kept, found) = (earlier.size(), self.head.size());
        if kept > found {
            self.faults.log(format!("the log was truncated: the checkpoint that was kept covers {kept} records, this copy {found}"));
        } else if kept == found && earlier.root() != self.head.root() {
            self.faults.log(format!("the log was forked: two checkpoints over {kept} records are signed with different roots"));
        }
    }

    fn at_earlier(&mut self, size: u64, root: Hash) {
        let Some(earlier) = &self.earlier else { return };
        if size == earlier.size() && size < self.head.size() && root != earlier.root() {
            self.faults.log(format!("the log was forked or rewritten: its first {size} records are not those of the checkpoint that was kept"));
        }
    }

    /// Records against the signed root, and tiles against records.
    fn judge(&mut self) {
        let signed = self.head.root();
        let by_records = self.records.as_ref().map(Frontier::root);
        let by_tiles = self.tiles.as_ref().map(Frontier::root);
        let differ = std::mem::take(&mut self.differ);
        for at in &differ {
            let text = if by_records == Some(signed) {
                "is as it was logged, but its hash tile was changed"
            } else if by_tiles == Some(signed) {
                "was changed: its bytes are not those that were logged"
            } else {
                "and its hash tile disagree, so one of them was changed"
            };
            self.faults.record(*at, text.to_owned());
        }
        if by_records.is_some_and(|root| root != signed) && differ.is_empty() {
            self.faults.log("the records do not give the root that is signed, and the tiles were changed with them".to_owned());
        }
    }
}

/// Faults, bounded.
#[derive(Debug, Default)]
struct Faults {
    named: Vec<Fault>,
    more: u64,
}

impl Faults {
    fn add(&mut self, record: Option<u64>, text: String) {
        if self.named.len() < FAULTS_MAX {
            self.named.push(Fault { record, text })
        } else {
            self.more += 1
        }
    }

    fn record(&mut self, at: u64, text: String) {
        self.add(Some(at), text);
    }

    fn file(&mut self, path: &str, text: &str) {
        self.add(None, format!("the file `{path}` {text}"));
    }

    fn log(&mut self, text: String) {
        self.add(None, text);
    }
}
