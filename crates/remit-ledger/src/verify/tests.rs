//! Each kind of tampering is tried on a copy, and must be told apart and named.

use std::collections::BTreeMap;

use proptest::prelude::*;
use remit_domain::event::{Event, EventKind};
use remit_domain::{DecisionId, OrgId, Principal, Timestamp};
use remit_tlog::{Checkpoint, SigningKey, Tile, Tree, encode_bundle, leaf_hash, sign_checkpoint};

use super::{Report, Verifier, VerifyError};
use crate::{DataKey, seal};

const ORIGIN: &str = "log.example/acme";

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32], ORIGIN).unwrap()
}

fn org(n: u8) -> OrgId {
    format!("org_{n:026}").parse().unwrap()
}

fn decision(n: usize) -> DecisionId {
    format!("dec_{n:026}").parse().unwrap()
}

fn leaf(event: &Event) -> Vec<u8> {
    seal(
        &org(0),
        event,
        &DataKey::new(&[1; 32]).unwrap(),
        [2; 32],
        [3; 12],
    )
    .unwrap()
    .leaf
}

fn event(kind: EventKind, n: usize) -> Event {
    Event::new(kind, Timestamp::from_secs(n as i64), Principal::Remit).decision(&decision(n))
}

fn allowed(n: usize) -> Vec<u8> {
    leaf(
        &event(EventKind::CallDecided, n)
            .fact("outcome", "allow")
            .fact("consent", "not_needed"),
    )
}

fn completed(n: usize, at: u64) -> Vec<u8> {
    leaf(
        &event(EventKind::CallCompleted, n)
            .fact("status", "ok")
            .fact("decided_at", at),
    )
}

/// `calls` decisions, each followed by its outcome.
fn records(calls: usize) -> Vec<Vec<u8>> {
    (0..calls)
        .flat_map(|n| [allowed(n), completed(n, 2 * n as u64)])
        .collect()
}

/// A copy of a log: file by path.
#[derive(Clone)]
struct Copied {
    checkpoint: String,
    files: BTreeMap<String, Vec<u8>>,
}

fn tree(records: &[Vec<u8>]) -> (Tree, Vec<remit_tlog::Hash>) {
    let mut tree = Tree::new();
    let mut stored = Vec::new();
    for record in records {
        stored.extend(tree.append(leaf_hash(record)).unwrap().hashes);
    }
    (tree, stored)
}

fn note(records: &[Vec<u8>]) -> String {
    let (tree, _) = tree(records);
    sign_checkpoint(
        &key(),
        &Checkpoint::new(ORIGIN, tree.size(), tree.root()).unwrap(),
    )
    .unwrap()
}

fn copy(records: &[Vec<u8>]) -> Copied {
    let (tree, stored) = tree(records);
    let mut files = BTreeMap::new();
    for tile in Tile::grown(0, tree.size()).unwrap() {
        let bytes = match tile.level() {
            Some(_) => tile.bytes(&stored, tree.size()).unwrap(),
            None => {
                let from = tile.index() as usize * 256;
                encode_bundle(&records[from..from + usize::from(tile.width())]).unwrap()
            }
        };
        files.insert(tile.path(), bytes);
    }
    Copied {
        checkpoint: note(records),
        files,
    }
}

fn verify_since(copied: &Copied, earlier: Option<&str>) -> Report {
    let mut verifier = Verifier::new(&copied.checkpoint, key().verifier(), earlier).unwrap();
    let file = |tile: &Tile| copied.files.get(&tile.path()).map(Vec::as_slice);
    while let Some((bundle, tile)) = verifier.next().unwrap() {
        verifier.read(file(&bundle), file(&tile)).unwrap();
    }
    for tile in verifier.upper_tiles().unwrap() {
        verifier.read_upper(&tile, file(&tile));
    }
    verifier.finish()
}

fn verify(copied: &Copied) -> Report {
    verify_since(copied, None)
}

fn texts(report: &Report) -> String {
    report
        .faults
        .iter()
        .map(|f| format!("{:?} {}\n", f.record, f.text))
        .collect()
}

#[test]
fn an_honest_copy_is_believed() {
    for calls in [0, 1, 127, 128, 129, 300] {
        let report = verify(&copy(&records(calls)));
        assert!(
            report.ok() && report.gaps.is_empty(),
            "{calls}: {}",
            texts(&report)
        );
        assert_eq!(report.size, 2 * calls as u64);
        assert_eq!(report.kinds.values().sum::<u64>(), report.size);
    }
}

#[test]
fn a_flipped_byte_names_its_record() {
    let mut copied = copy(&records(200));
    let bundle = copied.files.get_mut("tile/entries/001.p/144").unwrap();
    // Inside the second record of the bundle: behind its length and the first record with its own.
    let first = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
    bundle[first + 2 + 2 + 10] ^= 1;
    let report = verify(&copied);
    assert!(
        report
            .faults
            .iter()
            .any(|f| f.record == Some(257) && f.text.contains("was changed")),
        "{}",
        texts(&report)
    );
    assert!(
        report.faults.iter().all(|f| f.record == Some(257)),
        "{}",
        texts(&report)
    );
}

#[test]
fn a_flipped_length_names_where_reading_ends() {
    let mut copied = copy(&records(10));
    let bundle = copied.files.get_mut("tile/entries/000.p/20").unwrap();
    let first = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
    bundle[first + 2] ^= 0x80;
    let report = verify(&copied);
    assert_eq!(report.faults[0].record, Some(1), "{}", texts(&report));
}

#[test]
fn a_changed_tile_is_told_from_a_changed_record() {
    for (path, word) in [
        ("tile/0/000", "hash tile was changed"),
        ("tile/1/000.p/1", "does not hold the hashes"),
    ] {
        let mut copied = copy(&records(200));
        copied.files.get_mut(path).unwrap()[5] ^= 1;
        let report = verify(&copied);
        assert!(texts(&report).contains(word), "{path}: {}", texts(&report));
        assert_eq!(report.faults.len(), 1, "{}", texts(&report));
    }
}

#[test]
fn records_and_tiles_rewritten_together_do_not_give_the_signed_root() {
    let mut forged = records(200);
    forged[7] = completed(3, 99);
    let copied = Copied {
        checkpoint: note(&records(200)),
        ..copy(&forged)
    };
    assert!(texts(&verify(&copied)).contains("do not give the root that is signed"));
}

#[test]
fn missing_files_are_named() {
    for path in ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"] {
        let mut copied = copy(&records(200));
        copied.files.remove(path);
        assert!(
            texts(&verify(&copied)).contains(&format!("`{path}` is missing")),
            "{path}"
        );
    }
}

#[test]
fn truncation_and_forks_show_against_a_kept_checkpoint() {
    let kept = note(&records(150));
    assert!(verify_since(&copy(&records(200)), Some(&kept)).ok());
    assert!(texts(&verify_since(&copy(&records(100)), Some(&kept))).contains("truncated"));
    let mut other = records(150);
    other[4] = leaf(
        &event(EventKind::CallDecided, 2)
            .fact("outcome", "deny")
            .fact("consent", "withheld"),
    );
    assert!(texts(&verify_since(&copy(&other), Some(&kept))).contains("forked"));
    other.extend(records(200).split_off(300));
    assert!(texts(&verify_since(&copy(&other), Some(&kept))).contains("forked or rewritten"));
}

#[test]
fn a_checkpoint_of_another_key_is_not_believed() {
    let other = SigningKey::from_seed(&[8; 32], ORIGIN).unwrap();
    let copied = copy(&records(1));
    assert!(matches!(
        Verifier::new(&copied.checkpoint, other.verifier(), None),
        Err(VerifyError::Checkpoint(_))
    ));
    assert!(matches!(
        Verifier::new(&copied.checkpoint, key().verifier(), Some("x")),
        Err(VerifyError::Earlier(_))
    ));
}

#[test]
fn calls_without_outcome_are_gaps_and_outcomes_without_call_are_faults() {
    let gap = leaf(&event(EventKind::CallGap, 1));
    let asked = leaf(
        &event(EventKind::CallDecided, 9)
            .fact("outcome", "ask")
            .fact("consent", "asked"),
    );
    let report = verify(&copy(&[allowed(0), allowed(1), asked, gap]));
    assert!(report.ok(), "{}", texts(&report));
    let gaps: Vec<_> = report.gaps.iter().map(|g| (g.record, g.reported)).collect();
    assert_eq!(gaps, [(0, false), (1, true)]);
    // Its outcome may still come; a second one, or one of nothing, may not.
    let late = [
        allowed(1),
        leaf(&event(EventKind::CallGap, 1)),
        completed(1, 0),
    ];
    assert!(verify(&copy(&late)).ok());
    for wrong in [
        vec![completed(0, 0)],
        vec![allowed(0), completed(0, 0), completed(0, 0)],
        vec![allowed(0), allowed(0)],
    ] {
        assert!(!verify(&copy(&wrong)).ok());
    }
    let report = verify(&copy(&[
        leaf(&event(EventKind::RunStarted, 5)),
        allowed(0),
        completed(0, 0),
    ]));
    assert_eq!(report.faults[0].record, Some(2), "{}", texts(&report));
}

#[test]
fn what_is_not_a_leaf_or_of_another_organization_is_named_even_if_signed() {
    let foreign = seal(
        &org(1),
        &event(EventKind::RunStarted, 0),
        &DataKey::new(&[1; 32]).unwrap(),
        [2; 32],
        [3; 12],
    )
    .unwrap()
    .leaf;
    let report = verify(&copy(&[
        allowed(0),
        completed(0, 0),
        b"{}".to_vec(),
        foreign,
    ]));
    assert_eq!(
        report.faults.iter().map(|f| f.record).collect::<Vec<_>>(),
        [Some(2), Some(3)]
    );
}

#[test]
fn faults_are_bounded() {
    let report = verify(&copy(&vec![b"nonsense".to_vec(); 300]));
    assert_eq!(
        (report.faults.len(), report.more_faults),
        (super::FAULTS_MAX, 200)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_flipped_bit_goes_unseen(file in 0usize..100, at in 0usize..100_000, bit in 0u8..8) {
        let mut copied = copy(&records(130));
        let paths: Vec<String> = copied.files.keys().cloned().collect();
        let bytes = copied.files.get_mut(&paths[file % paths.len()]).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(!verify(&copied).ok());
    }
}
