//! A copy on disk, attacked.

use std::path::Path;

use remit_domain::event::{Event, EventKind};
use remit_domain::{Principal, Timestamp};
use remit_ledger::{DataKey, seal};
use remit_tlog::{
    Checkpoint, SigningKey, Tile, TlogProof, Tree, encode_bundle, leaf_hash, sign_checkpoint,
};

use super::*;
use crate::exit::code_of;
use crate::output::test::out;

fn signing() -> SigningKey {
    SigningKey::from_seed(&[7; 32], "log.example/acme").unwrap()
}

fn records(n: usize) -> Vec<Vec<u8>> {
    let key = DataKey::new(&[1; 32]).unwrap();
    let org = "org_00000000000000000000000000".parse().unwrap();
    let event = |n: usize| {
        Event::new(
            EventKind::RunStarted,
            Timestamp::from_secs(n as i64),
            Principal::Remit,
        )
        .fact("n", n)
    };
    (0..n)
        .map(|n| seal(&org, &event(n), &key, [2; 32], [3; 12]).unwrap().leaf)
        .collect()
}

/// Writes a copy as `export` does; its tree.
fn copied(dir: &Path, records: &[Vec<u8>]) -> Tree {
    let (mut tree, mut stored) = (Tree::new(), Vec::new());
    for record in records {
        stored.extend(tree.append(leaf_hash(record)).unwrap().hashes);
    }
    for tile in Tile::grown(0, tree.size()).unwrap() {
        let from = tile.index() as usize * 256;
        let bytes = match tile.level() {
            Some(_) => tile.bytes(&stored, tree.size()).unwrap(),
            None => encode_bundle(&records[from..from + usize::from(tile.width())]).unwrap(),
        };
        let path = dir.join(tile.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let head = Checkpoint::new("log.example/acme", tree.size(), tree.root()).unwrap();
    std::fs::write(
        dir.join(copy::CHECKPOINT),
        sign_checkpoint(&signing(), &head).unwrap(),
    )
    .unwrap();
    std::fs::write(dir.join(copy::KEY), format!("{}\n", signing().verifier())).unwrap();
    tree
}

fn verify(dir: &Path) -> Done {
    let key = Some(signing().verifier().to_string());
    offline(
        out(),
        dir,
        &Verify {
            dir: Some(dir.to_owned()),
            key,
            since_checkpoint: None,
        },
    )
}

#[test]
fn an_honest_copy_verifies_and_a_flipped_byte_exits_with_5() {
    let dir = tempfile::tempdir().unwrap();
    copied(dir.path(), &records(300));
    assert_eq!(verify(dir.path()).unwrap(), OK);

    let path = dir.path().join("tile/entries/000");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(verify(dir.path()).unwrap(), NOT_VERIFIED);
    let report = copy::verify(dir.path(), signing().verifier(), None).unwrap();
    assert!(
        reported(&report, "").contains("FAULT  record #0 was changed"),
        "{}",
        reported(&report, "")
    );
}

#[test]
fn another_key_or_no_checkpoint_exits_with_5_or_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    copied(dir.path(), &records(3));
    let other = SigningKey::from_seed(&[8; 32], "log.example/acme").unwrap();
    let refused = copy::verify(dir.path(), other.verifier(), None).unwrap_err();
    assert_eq!(code_of(&refused), NOT_VERIFIED);
    std::fs::remove_file(dir.path().join(copy::CHECKPOINT)).unwrap();
    assert!(
        verify(dir.path())
            .unwrap_err()
            .to_string()
            .contains("checkpoint")
    );
}

#[test]
fn truncation_shows_against_a_kept_checkpoint() {
    let (long, short) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copied(long.path(), &records(20));
    copied(short.path(), &records(10));
    let verify = Verify {
        dir: None,
        key: Some(signing().verifier().to_string()),
        since_checkpoint: Some(long.path().join(copy::CHECKPOINT)),
    };
    assert_eq!(offline(out(), short.path(), &verify).unwrap(), NOT_VERIFIED);
    let verify = Verify {
        since_checkpoint: Some(short.path().join(copy::CHECKPOINT)),
        ..verify
    };
    assert_eq!(offline(out(), long.path(), &verify).unwrap(), OK);
}

#[test]
fn a_report_reads_as_one() {
    let dir = tempfile::tempdir().unwrap();
    copied(dir.path(), &records(3));
    let mut report = copy::verify(dir.path(), signing().verifier(), None).unwrap();
    report.root = "root".to_owned();
    insta::assert_snapshot!(reported(&report, "Copied to ledger."));
}

#[test]
fn a_proof_is_verified_with_its_record_inside_and_another_record_is_not_proved() {
    let dir = tempfile::tempdir().unwrap();
    let records = records(9);
    let tree = copied(dir.path(), &records);
    let note = std::fs::read_to_string(dir.path().join(copy::CHECKPOINT)).unwrap();
    let file = dir.path().join("entry.proof");
    let prove = |record: &[u8]| {
        let proof = TlogProof::new(
            4,
            tree.prove_inclusion(4, 9).unwrap(),
            note.clone(),
            record.to_vec(),
        )
        .unwrap();
        std::fs::write(&file, proof.encode()).unwrap();
        proof::verify(out(), &file, signing().verifier(), None)
    };
    assert_eq!(prove(&records[4]).unwrap(), OK);
    assert_eq!(code_of(&prove(&records[5]).unwrap_err()), NOT_VERIFIED);
    assert_eq!(code_of(&prove(b"").unwrap_err()), crate::exit::USAGE);
}

#[test]
fn a_key_is_text_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    copied(dir.path(), &records(1));
    let text = signing().verifier().to_string();
    assert_eq!(verifier_key(&text).unwrap().to_string(), text);
    assert_eq!(
        verifier_key(dir.path().join("key").to_str().unwrap())
            .unwrap()
            .to_string(),
        text
    );
    assert!(verifier_key("a+b+c").is_err());
}
