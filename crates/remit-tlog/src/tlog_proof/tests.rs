use super::*;
use crate::{SigningKey, Tree, sign_checkpoint};
use proptest::prelude::*;

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32], "log.example/acme").unwrap()
}

fn proof_of(index: u64, size: u64, extra: &[u8]) -> TlogProof {
    let mut tree = Tree::new();
    for n in 0..size {
        tree.append(leaf_hash(&n.to_be_bytes())).unwrap();
    }
    let head = Checkpoint::new("log.example/acme", size, tree.root()).unwrap();
    let note = sign_checkpoint(&key(), &head).unwrap();
    let hashes = tree.prove_inclusion(index, size).unwrap();
    TlogProof::new(index, hashes, note, extra.to_vec()).unwrap()
}

#[test]
fn the_text_has_the_lines_of_the_specification() {
    let proof = proof_of(2, 3, b"why");
    let text = proof.encode();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(
        lines[..3],
        ["c2sp.org/tlog-proof@v1", "extra d2h5", "index 2"]
    );
    assert_eq!(Hash::from_base64(lines[3]).unwrap(), proof.hashes()[0]);
    assert_eq!(lines[4..7], ["", "log.example/acme", "3"]);
    assert!(text.ends_with(proof.checkpoint_note()));
    // Without extra data and without a path.
    let text = proof_of(0, 1, b"").encode();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example/acme\n1\n"));
}

#[test]
fn another_entry_key_or_index_is_not_proved() {
    let proof = proof_of(2, 5, b"");
    let entry = 2_u64.to_be_bytes();
    assert!(proof.verify(&entry, key().verifier()).is_ok());

    let refused = proof.verify(&3_u64.to_be_bytes(), key().verifier());
    assert!(matches!(
        refused,
        Err(TlogProofError::Inclusion(ProofError::Mismatch))
    ));
    let other = SigningKey::from_seed(&[8; 32], "log.example/acme").unwrap();
    let refused = proof.verify(&entry, other.verifier());
    assert!(matches!(refused, Err(TlogProofError::Checkpoint(_))));
    for index in [1, 3, 5, u64::MAX] {
        let moved = TlogProof {
            index,
            ..proof.clone()
        };
        assert!(moved.verify(&entry, key().verifier()).is_err(), "{index}");
    }
}

#[test]
fn malformed_files_are_refused() {
    let good = proof_of(2, 5, b"why").encode();
    let broken = [
        String::new(),
        good.replace("@v1", "@v2"),
        good.replace("index 2", "index 02"),
        good.replace("index 2", "index +2"),
        good.replace("index 2", "index -2"),
        good.replace("index 2\n", ""),
        good.replace("extra d2h5", "extra "),
        good.replace("extra d2h5", "extra !"),
        good.replace("extra d2h5\nindex 2\n", "index 2\nextra d2h5\n"),
        good.replace("\n\n", "\n"),
        good.replace('\n', "\r\n"),
        format!("\n{good}"),
    ];
    for text in broken {
        assert!(TlogProof::parse(&text).is_err(), "{text:?}");
    }
    let line = format!("{}\n", leaf_hash(b"").to_base64());
    let long = good.replace("index 2\n", &format!("index 2\n{}", line.repeat(64)));
    assert!(matches!(
        TlogProof::parse(&long),
        Err(TlogProofError::TooLarge { .. })
    ));
    let long = format!("{good}{}", "x".repeat(PROOF_FILE_BYTES_MAX));
    assert!(matches!(
        TlogProof::parse(&long),
        Err(TlogProofError::TooLarge { .. })
    ));
}

#[test]
fn parts_over_their_limit_are_refused() {
    let refused = |hashes: usize, note: usize, extra: usize| {
        let hashes = vec![leaf_hash(b""); hashes];
        TlogProof::new(0, hashes, "n".repeat(note), vec![0; extra]).is_err()
    };
    assert!(!refused(
        PROOF_HASHES_MAX,
        NOTE_BYTES_MAX,
        PROOF_EXTRA_BYTES_MAX
    ));
    assert!(refused(PROOF_HASHES_MAX + 1, 0, 0));
    assert!(refused(0, NOTE_BYTES_MAX + 1, 0));
    assert!(refused(0, 0, PROOF_EXTRA_BYTES_MAX + 1));
    let largest = TlogProof::new(
        u64::MAX,
        vec![leaf_hash(b""); PROOF_HASHES_MAX],
        "n".repeat(NOTE_BYTES_MAX),
        vec![0; PROOF_EXTRA_BYTES_MAX],
    )
    .unwrap();
    assert_eq!(TlogProof::parse(&largest.encode()).unwrap(), largest);
}

proptest! {
    #[test]
    fn proofs_round_trip_and_verify((index, size) in (1_u64..80).prop_flat_map(|size| (0..size, Just(size))), extra: Vec<u8>) {
        let proof = proof_of(index, size, &extra);
        let read = TlogProof::parse(&proof.encode()).unwrap();
        prop_assert_eq!(&read, &proof);
        prop_assert_eq!(read.verify(&index.to_be_bytes(), key().verifier()).unwrap().size(), size);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed(at: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = proof_of(2, 7, b"").encode().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let read = String::from_utf8(bytes).ok().and_then(|text| TlogProof::parse(&text).ok());
        if let Some(changed) = read {
            prop_assert!(changed.verify(&2_u64.to_be_bytes(), key().verifier()).is_err());
        }
    }

    #[test]
    fn nothing_makes_it_panic(tail in "(.{0,9}\n){0,5}.{0,9}") {
        let _ = TlogProof::parse(&format!("{HEADER}\n{tail}"));
        let _ = TlogProof::parse(&tail);
    }
}
