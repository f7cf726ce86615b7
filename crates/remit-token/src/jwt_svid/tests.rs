use serde_json::{Value, json};

use super::*;
use crate::test_support::{NOW, forge, forge_hs256, parts, signing_key, with};

fn claims() -> JwtSvidClaims {
    JwtSvidClaims {
        iss: "https://remit.example".to_owned(),
        sub: SpiffeId::parse("spiffe://acme.remit.example/agent/a/w/i").unwrap(),
        aud: Audience::one("https://orders.example"),
        exp: NOW + 300,
        iat: NOW,
        jti: "crd_1".to_owned(),
    }
}

fn check(token: &str, key: &SigningKey, sole: bool) -> Result<JwtSvidClaims, TokenError> {
    let expect = ExpectSvid {
        trust_domain: "acme.remit.example",
        audience: "https://orders.example",
        sole_audience: sole,
        now: NOW,
        leeway_s: 0,
    };
    let find = |kid: &str| (kid == key.kid().as_str()).then(|| key.public());
    verify(token, find, &expect)
}

#[test]
fn what_is_signed_is_read_back_and_has_only_the_permitted_header() {
    let key = signing_key();
    let token = sign(&claims(), &key).unwrap();
    assert_eq!(check(&token, &key, true).unwrap(), claims());
    let (header, body) = parts(&token);
    let kid = key.kid().as_str();
    assert_eq!(header, json!({ "typ": "JWT", "alg": "ES256", "kid": kid }));
    assert_eq!(body["sub"], "spiffe://acme.remit.example/agent/a/w/i");
    assert_eq!(unverified_subject(&token).unwrap(), claims().sub);
}

#[test]
fn forgeries_are_refused_each_with_its_reason() {
    let key = signing_key();
    let (header, body) = parts(&sign(&claims(), &key).unwrap());
    let bad = |header: Value, body: Value| check(&forge(&header, &body, &key), &key, false);
    let code = |result: Result<JwtSvidClaims, TokenError>| result.unwrap_err().code();
    for (change, expected) in [
        (json!({ "alg": "none" }), "token-algorithm-refused"),
        (json!({ "alg": "EdDSA" }), "token-algorithm-refused"),
        (json!({ "alg": "HS256" }), "token-algorithm-refused"),
        (json!({ "typ": "at+jwt" }), "token-type-refused"),
        (json!({ "kid": null }), "token-key-id-missing"),
        (json!({ "kid": "other" }), "token-key-unknown"),
        (
            json!({ "jku": "https://e.example" }),
            "token-header-refused",
        ),
        (
            json!({ "x5u": "https://e.example" }),
            "token-header-refused",
        ),
        (json!({ "jwk": {} }), "token-header-refused"),
        (json!({ "cty": "x" }), "token-header-refused"),
        (json!({ "more": 1 }), "token-header-refused"),
    ] {
        assert_eq!(
            code(bad(with(&header, change.clone()), body.clone())),
            expected,
            "{change}"
        );
    }
    let other = "spiffe://globex.remit.example/agent/a/w/i";
    for (change, expected) in [
        (json!({ "sub": other }), "token-issuer-wrong"),
        (json!({ "sub": "agent" }), "token-malformed"),
        (
            json!({ "sub": "spiffe://acme.remit.example" }),
            "token-claim-invalid",
        ),
        (
            json!({ "aud": "https://elsewhere.example" }),
            "token-audience-wrong",
        ),
        (json!({ "aud": [] }), "token-malformed"),
        (json!({ "exp": NOW }), "token-expired"),
        (json!({ "iat": NOW + 1 }), "token-not-yet-valid"),
        (
            json!({ "exp": NOW + JWT_SVID_TTL_S_MAX + 1 }),
            "token-lifetime-too-long",
        ),
    ] {
        assert_eq!(
            code(bad(header.clone(), with(&body, change.clone()))),
            expected,
            "{change}"
        );
    }
    let mac = forge_hs256(&with(&header, json!({ "alg": "HS256" })), &body, b"public");
    assert_eq!(code(check(&mac, &key, false)), "token-algorithm-refused");
    let stolen = forge(
        &with(&header, json!({ "kid": key.kid().as_str() })),
        &body,
        &signing_key(),
    );
    assert_eq!(code(check(&stolen, &key, false)), "token-signature-invalid");
}

#[test]
fn a_second_audience_is_refused_where_one_is_demanded() {
    let key = signing_key();
    let (header, body) = parts(&sign(&claims(), &key).unwrap());
    let two = json!({ "aud": ["https://orders.example", "https://elsewhere.example"] });
    let token = forge(&header, &with(&body, two), &key);
    assert!(check(&token, &key, false).is_ok());
    assert_eq!(
        check(&token, &key, true).unwrap_err(),
        TokenError::AudienceWrong
    );
}
