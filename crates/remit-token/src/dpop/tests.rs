use serde_json::json;

use super::*;
use crate::test_support::{
    NOW, forge, forge_hs256, forge_text, parts, signing_key, unsigned, with,
};

const URL: &str = "https://remit.example/mcp";
const TOKEN: &str = "a.b.c";

fn expect() -> ExpectProof<'static> {
    ExpectProof {
        method: "POST",
        url: URL,
        access_token: Some(TOKEN),
        now: NOW,
        leeway_s: 30,
    }
}

fn made(key: &SigningKey) -> String {
    let new = NewProof {
        method: "POST",
        url: "https://remit.example/mcp?x=1#y",
        access_token: Some(TOKEN),
        nonce: Some("n-1"),
        jti: "j-1",
        iat: NOW,
    };
    sign(&new, key).unwrap()
}

#[test]
fn a_proof_says_which_key_made_it() {
    let key = signing_key();
    let proof = verify(&made(&key), &expect()).unwrap();
    assert_eq!(&proof.jkt, key.kid());
    assert_eq!(
        (proof.jti.as_str(), proof.iat, proof.nonce.as_deref()),
        ("j-1", NOW, Some("n-1"))
    );
    let (header, claims) = parts(&made(&key));
    assert_eq!(header["typ"], "dpop+jwt");
    assert_eq!(header["jwk"], serde_json::to_value(key.public()).unwrap());
    assert_eq!(claims["htu"], URL);
}

#[test]
fn the_example_of_the_rfc_is_read() {
    // RFC 9449 §4.1, the proof for the token request.
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let expect = ExpectProof {
        method: "POST",
        url: "https://server.example.com/token",
        access_token: None,
        now: 1_562_262_616,
        leeway_s: 0,
    };
    let read = verify(proof, &expect).unwrap();
    // RFC 9449 §6.1: the thumbprint of that key.
    assert_eq!(
        read.jkt.as_str(),
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    );
}

#[test]
fn an_address_is_compared_in_normal_form_and_whole() {
    for (said, same) in [
        ("https://remit.example/mcp", true),
        ("HTTPS://Remit.Example:443/mcp", true),
        ("https://remit.example/mcp?a=b#c", true),
        ("https://remit.example/mcp/", false),
        ("https://remit.example/mcp/orders", false),
        ("https://evil.example/mcp", false),
        ("http://remit.example/mcp", false),
        ("https://remit.example:8443/mcp", false),
        ("https://u@remit.example/mcp", false),
        ("/mcp", false),
        ("", false),
    ] {
        assert_eq!(same_address(said, URL), same, "{said}");
    }
}

#[test]
fn every_wrong_claim_has_its_own_reason() {
    let key = signing_key();
    let (header, claims) = parts(&made(&key));
    for (change, code) in [
        (json!({ "htm": "GET" }), "dpop-htm-other"),
        (json!({ "htm": "post" }), "dpop-htm-other"),
        (json!({ "htm": null }), "dpop-malformed"),
        (
            json!({ "htu": "https://evil.example/mcp" }),
            "dpop-htu-other",
        ),
        (json!({ "ath": null }), "dpop-ath-other"),
        (
            json!({ "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" }),
            "dpop-ath-other",
        ),
        (json!({ "iat": NOW - 91 }), "dpop-stale"),
        (json!({ "iat": NOW + 31 }), "dpop-early"),
        (json!({ "iat": i64::MIN }), "dpop-stale"),
        (json!({ "iat": null }), "dpop-malformed"),
        (json!({ "jti": "" }), "dpop-claim-invalid"),
        (json!({ "jti": "x".repeat(129) }), "dpop-claim-invalid"),
        (json!({ "jti": null }), "dpop-malformed"),
    ] {
        let forged = forge(&header, &with(&claims, change.clone()), &key);
        assert_eq!(
            verify(&forged, &expect()).unwrap_err().code(),
            code,
            "{change}"
        );
    }
    for good in [
        json!({ "iat": NOW - 90 }),
        json!({ "iat": NOW + 30 }),
        json!({ "iat": NOW as f64 + 0.5 }),
    ] {
        assert!(
            verify(
                &forge(&header, &with(&claims, good.clone()), &key),
                &expect()
            )
            .is_ok(),
            "{good}"
        );
    }
}

#[test]
fn the_header_chooses_neither_algorithm_nor_another_key() {
    let (key, other) = (signing_key(), signing_key());
    let (header, claims) = parts(&made(&key));
    let private = with(&header["jwk"], json!({ "d": "AAAA" }));
    let of = |key: &SigningKey| serde_json::to_value(key.public()).unwrap();
    for (change, code) in [
        (json!({ "typ": "JWT" }), "dpop-type-refused"),
        (json!({ "typ": null }), "dpop-type-refused"),
        (json!({ "alg": "none" }), "dpop-algorithm-refused"),
        (json!({ "alg": "HS256" }), "dpop-algorithm-refused"),
        (json!({ "alg": "RS256" }), "dpop-algorithm-refused"),
        (json!({ "alg": "EdDSA" }), "dpop-algorithm-refused"),
        (json!({ "jwk": null }), "dpop-key-invalid"),
        (json!({ "jwk": "x" }), "dpop-key-invalid"),
        (json!({ "jwk": private }), "dpop-key-private"),
        (
            json!({ "jwk": { "kty": "oct", "k": "AAAA" } }),
            "dpop-key-private",
        ),
        (
            json!({ "jwk": { "kty": "RSA", "n": "AQAB", "e": "AQAB" } }),
            "dpop-key-invalid",
        ),
        (json!({ "jwk": of(&other) }), "dpop-signature-invalid"),
        (
            json!({ "jku": "https://evil.example/jwks" }),
            "dpop-header-refused",
        ),
        (
            json!({ "x5u": "https://evil.example/x5u" }),
            "dpop-header-refused",
        ),
        (json!({ "x5c": [] }), "dpop-header-refused"),
        (json!({ "crit": ["b64"] }), "dpop-header-refused"),
    ] {
        let forged = forge(&with(&header, change.clone()), &claims, &key);
        assert_eq!(
            verify(&forged, &expect()).unwrap_err().code(),
            code,
            "{change}"
        );
    }
}

#[test]
fn what_is_not_signed_is_no_proof() {
    let key = signing_key();
    let (header, claims) = parts(&made(&key));
    // Its own public key as the secret of a MAC, and no signature at all.
    let secret = header["jwk"].to_string();
    let mac = forge_hs256(
        &with(&header, json!({ "alg": "HS256" })),
        &claims,
        secret.as_bytes(),
    );
    assert_eq!(
        verify(&mac, &expect()).unwrap_err().code(),
        "dpop-algorithm-refused"
    );
    let none = with(&header, json!({ "alg": "none" }));
    let bare = format!("{}.", unsigned(&none.to_string(), &claims.to_string()));
    assert_eq!(
        verify(&bare, &expect()).unwrap_err().code(),
        "dpop-algorithm-refused"
    );
    let twice = header.to_string().replacen('{', "{\"alg\":\"none\",", 1);
    let twice = forge_text(&twice, &claims.to_string(), &key);
    assert_eq!(
        verify(&twice, &expect()).unwrap_err().code(),
        "dpop-malformed"
    );
    for broken in ["", ".", "a.b", "a.b.c", "a.b.c.d"] {
        assert_eq!(
            verify(broken, &expect()).unwrap_err().code(),
            "dpop-malformed",
            "{broken}"
        );
    }
    let long = "x".repeat(PROOF_BYTES_MAX + 1);
    assert_eq!(
        verify(&long, &expect()).unwrap_err().code(),
        "dpop-too-large"
    );
}
