//! The contract of [`Signer`](crate::Signer).

use remit_token::SigningKey;
use remit_token::client_assertion::{ExpectAssertion, NewAssertion, sign, verify};

use crate::Signer;
use crate::signer::SignerError;

/// Longest handle, in bytes.
const HANDLE_BYTES_MAX: usize = 4_096;

/// Runs every check against a signer.
///
/// # Panics
/// When a check fails.
pub fn signer_suite(signer: &dyn Signer) {
    let (one, other) = (signer.make().unwrap(), signer.make().unwrap());
    assert!(one.len() <= HANDLE_BYTES_MAX);
    let key = signer.open(&one).unwrap();
    let again = signer.open(&one).unwrap();
    assert_eq!(key.kid(), again.kid(), "a handle names one key");
    let stranger = signer.open(&other).unwrap();
    assert_ne!(key.kid(), stranger.kid(), "two keys differ");
    // What it signs holds under its own public half, and under no other.
    assert!(holds(&key, &key));
    assert!(holds(&again, &key));
    assert!(!holds(&stranger, &key));
    for wrong in [&b""[..], b"never made", &one[1..]] {
        let found = signer.open(wrong);
        assert!(matches!(found, Err(SignerError::Unknown)), "{found:?}");
    }
}

fn holds(signing: &SigningKey, checking: &SigningKey) -> bool {
    let new = NewAssertion {
        client_id: "agent",
        issuer: "https://remit.example",
        jti: "one",
        iat: 1_000,
        ttl_s: 60,
    };
    let signed = sign(&new, signing).unwrap();
    let expect = ExpectAssertion {
        client_id: "agent",
        audiences: &["https://remit.example"],
        now: 1_000,
        leeway_s: 0,
    };
    verify(&signed, &[checking.public()], &expect).is_ok()
}
