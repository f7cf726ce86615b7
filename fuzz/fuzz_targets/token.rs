//! Tokens, assertions and token requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| remit_fuzz::token(data));
