//! Leaves, notes, proofs and bundles.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| remit_fuzz::ledger(data));
