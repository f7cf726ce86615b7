//! What is done with bytes of strangers: never a panic, and what was read is written and read again the same.
//!
//! The fuzz targets call these; so does `tests/it/strangers.rs` with the seeds and mutations of them, in `make test`.

use remit_mcp::{CanonicalArgs, LineFramer, Message, ToolCall, framing};
use remit_token::{Expect, PublicJwk, Scope, SpiffeId, exchange::TokenRequest};

/// Tokens, assertions and token requests. Without a key, nothing is a token.
pub fn token(data: &[u8]) {
    let _ = TokenRequest::from_form(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let expect = Expect {
        issuer: "https://remit.example",
        audiences: &["https://remit.example/mcp"],
        now: 1_800_000_000,
        leeway_s: 5,
    };
    assert!(remit_token::access_token::verify(text, |_| None, &expect).is_err());
    let _ = remit_token::client_assertion::unverified_client_id(text);
    let _ = remit_token::opaque_secret::OpaqueSecret::parse(text);
    let _ = SpiffeId::parse(text);
    if let Ok(key) = PublicJwk::from_json(text) {
        let again = serde_json::to_string(&key).expect("a key is written");
        let again = PublicJwk::from_json(&again).expect("a key that was written is read");
        assert_eq!(key.thumbprint().as_str(), again.thumbprint().as_str());
    }
    if let Ok(scope) = Scope::parse(text) {
        let again = Scope::from_tokens(scope.iter()).expect("a scope that was read is a scope");
        assert!(scope.is_subset_of(&again) && again.is_subset_of(&scope));
    }
}

/// MCP messages and framing.
pub fn mcp(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        let _ = ToolCall::read(message.params());
        let bytes = framing::line(message.clone());
        if let Ok(bytes) = bytes {
            let again = Message::parse(&bytes).expect("a message that was written is read");
            assert_eq!(message, again);
        }
    }
    if let Ok(args) = CanonicalArgs::parse(data) {
        let again = CanonicalArgs::parse(args.text().as_bytes()).expect("canonical text is read");
        assert_eq!(args.text(), again.text());
        assert_eq!(args.digest().to_string(), again.digest().to_string());
    }
    let (whole, pieces) = (
        framed(data.chunks(data.len().max(1))),
        framed(data.chunks(7)),
    );
    assert_eq!(whole, pieces, "lines are the same however they arrive");
}

/// The lines of a stream, and whether it broke.
fn framed<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut framer, mut lines) = (LineFramer::default(), Vec::new());
    for chunk in chunks {
        if framer.push(chunk, &mut lines).is_err() {
            return (lines, true);
        }
    }
    (lines, false)
}

/// Documents from people.
pub fn yaml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(problems) = remit_control::check_documents(text)
    {
        assert!(!problems.is_empty(), "a refusal says why");
    }
}

/// Leaves, notes, proofs and bundles.
pub fn ledger(data: &[u8]) {
    if let Ok(leaf) = remit_ledger::Leaf::parse(data)
        && let Ok(bytes) = leaf.encode()
    {
        let again = remit_ledger::Leaf::parse(&bytes).expect("a leaf that was written is read");
        assert_eq!(leaf, again);
    }
    if let Ok(entries) = remit_tlog::parse_bundle(data, 256) {
        let again = remit_tlog::encode_bundle(&entries).expect("a bundle that was read is written");
        assert_eq!(again, data);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(checkpoint) = remit_tlog::Checkpoint::parse(text) {
        assert_eq!(checkpoint.encode(), text);
    }
    if let Ok(proof) = remit_tlog::TlogProof::parse(text) {
        assert_eq!(proof.encode(), text);
    }
    if let Ok(key) = text.parse::<remit_tlog::VerifierKey>() {
        assert!(remit_tlog::verify_note(text, &key).is_err());
    }
}
