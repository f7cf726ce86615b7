use super::*;
use proptest::prelude::*;

/// The example of c2sp.org/signed-note.
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32], "log.example/acme").unwrap()
}

#[test]
fn published_keys_and_notes_are_read() {
    let key: VerifierKey = EXAMPLE_KEY.parse().unwrap();
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    assert_eq!((key.name(), key.id()), ("example.com/foo", 0x530d_903a));
    assert_eq!(
        open_note(EXAMPLE, &key).unwrap(),
        "This is an example message.\n"
    );

    // The Go checksum database; its base64 holds a plus sign.
    let sumdb = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    assert_eq!(sumdb.parse::<VerifierKey>().unwrap().to_string(), sumdb);
}

#[test]
fn the_seed_makes_the_key_of_rfc_8032() {
    // RFC 8032 §7.1, test 1.
    let seed =
        hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let key = SigningKey::from_seed(seed.as_slice().try_into().unwrap(), "n").unwrap();
    assert_eq!(hex::encode(key.verifier().public_key()), public);
    assert!(!format!("{key:?}").contains("9d61"));
}

#[test]
fn bad_verifier_keys_are_refused() {
    let bad = [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        // Another name, another id, another type, a short key, a long id.
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm",
        "example.com/foo+0530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ];
    for text in bad {
        assert!(text.parse::<VerifierKey>().is_err(), "{text}");
    }
    let long = format!("{}{EXAMPLE_KEY}", "n".repeat(VERIFIER_KEY_BYTES_MAX));
    assert!(long.parse::<VerifierKey>().is_err());
}

#[test]
fn names_that_break_a_signature_line_are_refused() {
    for name in [
        "",
        "a b",
        "a+b",
        "a\nb",
        "a\u{2003}b",
        "a\u{1}b",
        &"n".repeat(256),
    ] {
        let error = SigningKey::from_seed(&[7; 32], name).unwrap_err();
        assert!(matches!(error, KeyError::Name { .. }), "{name:?}");
    }
}

#[test]
fn texts_that_cannot_be_signed_are_refused() {
    for text in ["", "no newline", "tab\there\n", "bell\u{7}\n"] {
        assert!(
            matches!(sign_note(&key(), text), Err(NoteError::Malformed(_))),
            "{text:?}"
        );
    }
    let long = format!("{}\n", "x".repeat(NOTE_BYTES_MAX));
    assert!(matches!(
        sign_note(&key(), &long),
        Err(NoteError::TooLarge { .. })
    ));
    assert!(matches!(
        open_note(&long, key().verifier()),
        Err(NoteError::TooLarge { .. })
    ));
}

#[test]
fn strangers_are_ignored_and_impostors_spoil_the_note() {
    let key = key();
    let note = sign_note(&key, "hello\n").unwrap();
    let stranger = SigningKey::from_seed(&[8; 32], "witness.example").unwrap();
    let namesake = SigningKey::from_seed(&[8; 32], "log.example/acme").unwrap();
    let line = |note: &str| note.split_once("\n\n").unwrap().1.to_owned();

    // Not by the expected key, even under its name.
    for other in [&stranger, &namesake] {
        let theirs = sign_note(other, "hello\n").unwrap();
        assert!(matches!(
            open_note(&theirs, key.verifier()),
            Err(NoteError::Unsigned { .. })
        ));
        let both = format!("{note}{}", line(&theirs));
        assert_eq!(open_note(&both, key.verifier()).unwrap(), "hello\n");
    }
    // Ours, taken from another text.
    let lifted = format!("hullo\n\n{}", line(&note));
    assert!(matches!(
        open_note(&lifted, key.verifier()),
        Err(NoteError::BadSignature { .. })
    ));
    // No signature at all.
    assert!(open_note("hello\n", key.verifier()).is_err());
    assert!(open_note("hello\n\n", key.verifier()).is_err());
}

proptest! {
    #[test]
    fn what_is_signed_opens(text in "([ -~é—]{0,40}\n){1,6}") {
        let note = sign_note(&key(), &text).unwrap();
        prop_assert_eq!(open_note(&note, key().verifier()).unwrap(), text);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed(at: prop::sample::Index, bit in 0_u8..8) {
        let note = sign_note(&key(), "log.example/acme\n3\nroot\n").unwrap();
        let mut bytes = note.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // A flip may break the encoding itself, which is refused before it gets here.
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(open_note(&changed, key().verifier()).is_err());
        }
    }

    #[test]
    fn nothing_makes_it_panic(note in "\\PC*|(.{0,9}\n{0,2}— .{0,30}){0,3}", vkey in "\\PC{0,20}\\+[0-9a-f]{7,9}\\+.{0,50}") {
        let _ = open_note(&note, key().verifier());
        let _ = vkey.parse::<VerifierKey>();
    }
}
