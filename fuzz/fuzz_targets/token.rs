//! Tokens, assertions and token requests from strangers: never a panic, never a token without a key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remit_token::Expect;
use remit_token::exchange::TokenRequest;

fuzz_target!(|data: &[u8]| {
    let _ = TokenRequest::from_form(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let expect = Expect { issuer: "https://remit.example", audiences: &["https://remit.example/mcp"], now: 1_800_000_000, leeway_s: 5 };
    assert!(remit_token::access_token::verify(text, |_| None, &expect).is_err());
    let _ = remit_token::client_assertion::unverified_client_id(text);
    let _ = remit_token::PublicJwk::parse(text);
    let _ = remit_token::SpiffeId::parse(text);
});
