//! Leaves, notes, proofs and bundles from strangers: never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = remit_ledger::Leaf::parse(data);
    let _ = remit_tlog::parse_bundle(data, 256);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = remit_tlog::Checkpoint::parse(text);
    let _ = remit_tlog::TlogProof::parse(text);
    let _ = text.parse::<remit_tlog::VerifierKey>();
});
