use super::*;
use crate::leaf_hash;
use proptest::prelude::*;

/// A head of the Go checksum database as it was published, and its key.
const SUMDB: &str = "go.sum database tree\n65664258\nWVVNVD2qx+fTq31zkj6UAqxT5X6HvGphGM+o8Thnbsg=\n\n\
    — sum.golang.org Az3grligJmgX7KGyGPKybykNTh3VgsbLvUuvOwrM5zLVlulmFp2wdvbxOw74/gcNxURShXEpb7RXcs3+BYflYN+w0gQ=\n";
const SUMDB_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32], "log.example/acme").unwrap()
}

fn head() -> Checkpoint {
    Checkpoint::new("log.example/acme", 923_748, leaf_hash(b"root")).unwrap()
}

#[test]
fn a_published_checkpoint_is_read() {
    let key: VerifierKey = SUMDB_KEY.parse().unwrap();
    let head = Checkpoint::parse(&open_note(SUMDB, &key).unwrap()).unwrap();
    assert_eq!(
        (head.origin(), head.size()),
        ("go.sum database tree", 65_664_258)
    );
    assert_eq!(
        head.root().to_base64(),
        "WVVNVD2qx+fTq31zkj6UAqxT5X6HvGphGM+o8Thnbsg="
    );
    assert!(SUMDB.starts_with(&head.encode()));
    // That database signs under another name than its origin, which we do not take.
    assert!(matches!(
        verify_note(SUMDB, &key),
        Err(CheckpointError::OtherLog { .. })
    ));
}

#[test]
fn signing_round_trips() {
    let note = sign_checkpoint(&key(), &head()).unwrap();
    assert_eq!(verify_note(&note, key().verifier()).unwrap(), head());
    // Ed25519 is deterministic: the same head is the same note.
    assert_eq!(note, sign_checkpoint(&key(), &head()).unwrap());
}

#[test]
fn a_key_speaks_only_for_its_own_log() {
    let other = SigningKey::from_seed(&[7; 32], "log.example/globex").unwrap();
    let refused = sign_checkpoint(&other, &head());
    assert!(matches!(refused, Err(CheckpointError::OtherLog { .. })));
    // Even a valid signature of the log's operator over another log's head is not taken.
    let note = sign_note(&other, &head().encode()).unwrap();
    assert!(matches!(
        verify_note(&note, other.verifier()),
        Err(CheckpointError::OtherLog { .. })
    ));
    let refused = verify_note(&note, key().verifier());
    assert!(matches!(
        refused,
        Err(CheckpointError::Note(NoteError::Unsigned { .. }))
    ));
}

#[test]
fn malformed_heads_are_refused_even_if_signed() {
    let root = leaf_hash(b"root").to_base64();
    let bad = [
        String::from("log.example/acme\n"),
        format!("log.example/acme\n1\n{root}"),
        format!("\n1\n{root}\n"),
        format!("log.example/acme\n01\n{root}\n"),
        format!("log.example/acme\n+1\n{root}\n"),
        format!("log.example/acme\n-1\n{root}\n"),
        format!("log.example/acme\n{}\n{root}\n", u64::MAX),
        format!("log.example/acme\n1\n{}\n", root.trim_end_matches('=')),
        format!("log.example/acme\n1\n{root}\n\nmore\n"),
        format!("log.example/acme\n1\n{root}\nextension"),
        format!("log.example/acme\r\n1\n{root}\n"),
    ];
    for text in bad {
        assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
        if let Ok(note) = sign_note(&key(), &text) {
            assert!(verify_note(&note, key().verifier()).is_err(), "{text:?}");
        }
    }
    for origin in ["", "two\nlines", "nul\0", &"o".repeat(256)] {
        assert!(
            Checkpoint::new(origin, 1, leaf_hash(b"")).is_err(),
            "{origin:?}"
        );
    }
}

#[test]
fn foreign_extension_lines_are_kept() {
    let text = format!("{}one\ntwo\n", head().encode());
    let read = Checkpoint::parse(&text).unwrap();
    assert_eq!((read.extension(), read.encode()), ("one\ntwo\n", text));
    assert_ne!(read, head());
}

proptest! {
    #[test]
    fn heads_round_trip(origin in "[!-~é]{1,80}", size in 0..=TREE_SIZE_MAX, root: [u8; 32]) {
        let head = Checkpoint::new(&origin, size, Hash::new(root)).unwrap();
        prop_assert_eq!(Checkpoint::parse(&head.encode()).unwrap(), head);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed(at: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = sign_checkpoint(&key(), &head()).unwrap().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(verify_note(&changed, key().verifier()).is_err());
        }
    }

    #[test]
    fn nothing_makes_it_panic(text in "(.{0,9}\n){0,6}.{0,3}") {
        let _ = Checkpoint::parse(&text);
    }
}
