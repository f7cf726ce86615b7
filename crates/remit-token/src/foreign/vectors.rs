//! Wycheproof's JSON Web Signatures (fixtures/vectors): what it calls invalid is never verified here, and what it calls valid is,
//! where its algorithm is one of ours.
//!
//! The payloads are no claims, so that a token whose signature holds fails on those, and on nothing before them.

use serde_json::{Value, json};

use super::{ForeignAlgorithm, ForeignJwks, opened};
use crate::error::TokenError;
use crate::jws;

const VECTORS: &str =
    include_str!("../../../../fixtures/vectors/wycheproof/json_web_signature_test.json");

/// Whether a token's signature holds with that key.
fn holds(token: &str, key: &Value) -> bool {
    let Ok(keys) = ForeignJwks::from_json(&json!({ "keys": [key] }).to_string()) else {
        return false;
    };
    let Ok(header) = jws::foreign_header(token) else {
        return false;
    };
    let Some(algorithm) = ForeignAlgorithm::parse(&header.alg) else {
        return false;
    };
    match opened::<Value>(token, &header, algorithm, &keys) {
        Err(TokenError::Malformed { part: "claims" }) => true,
        Err(_) => false,
        Ok(_) => panic!("no payload of these is a claims set"),
    }
}

#[test]
fn what_wycheproof_calls_invalid_is_never_verified_and_what_it_calls_valid_is() {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in all["testGroups"].as_array().unwrap() {
        // Keyed hashes have no public key, and are never verified.
        let key = group.get("public").unwrap_or(&group["private"]);
        let ours = key["alg"].as_str().and_then(ForeignAlgorithm::parse);
        for test in group["tests"].as_array().unwrap() {
            let token = test["jws"]
                .as_str()
                .map_or_else(|| test["jws"].to_string(), str::to_owned);
            let named = jws::foreign_header(&token).map(|h| h.alg);
            let same = named.is_ok_and(|alg| ours.is_some_and(|o| o.as_str() == alg));
            let expected = test["result"] == "valid" && same;
            let (id, about) = (&test["tcId"], &test["comment"]);
            assert_eq!(holds(&token, key), expected, "{id} {about}");
            valid += u32::from(expected);
            invalid += u32::from(test["result"] == "invalid");
        }
    }
    assert_eq!((valid, invalid), (16, 355));
}
