use serde_json::json;

use super::*;
use crate::access_token;
use crate::test_support::{NOW, forge, parts, signing_key, unsigned, with};

const ISSUER: &str = "https://remit.example";
const AT: &str = "https://remit.example/access/v1";

fn claims() -> PointClaims {
    PointClaims {
        iss: ISSUER.into(),
        sub: "pep_1".into(),
        client_id: "pep_1".into(),
        aud: AT.into(),
        exp: NOW + 300,
        iat: NOW,
        jti: "crd_1".into(),
        org: "org_acme".into(),
        key: "thumbprint".into(),
    }
}

fn check(token: &str, key: &SigningKey) -> Result<PointClaims, TokenError> {
    let expect = Expect {
        issuer: ISSUER,
        audiences: &[AT],
        now: NOW,
        leeway_s: 5,
    };
    let find = |kid: &str| (kid == key.kid().as_str()).then(|| key.public());
    verify(token, find, &expect)
}

#[test]
fn what_is_signed_is_verified() {
    let key = signing_key();
    let token = sign(&claims(), &key).unwrap();
    assert_eq!(check(&token, &key).unwrap(), claims());
}

#[test]
fn no_other_token_passes_and_none_passes_elsewhere() {
    let key = signing_key();
    let (header, body) = parts(&sign(&claims(), &key).unwrap());
    for (head, change) in [
        (json!({ "typ": "at+jwt" }), json!({})),
        (json!({ "typ": "JWT" }), json!({})),
        (json!({}), json!({ "aud": "https://remit.example/mcp" })),
        (json!({}), json!({ "iss": "https://remit.example/t/other" })),
        (json!({}), json!({ "client_id": "pep_2" })),
        (json!({}), json!({ "exp": NOW + 301 })),
        (json!({}), json!({ "exp": NOW - 60, "iat": NOW - 120 })),
        (json!({}), json!({ "iat": NOW + 60 })),
    ] {
        let token = forge(
            &with(&header, head.clone()),
            &with(&body, change.clone()),
            &key,
        );
        assert!(check(&token, &key).is_err(), "{head} {change}");
    }
    assert!(check(&unsigned(&header.to_string(), &body.to_string()), &key).is_err());
    let token = sign(&claims(), &key).unwrap();
    let expect = Expect {
        issuer: ISSUER,
        audiences: &[AT],
        now: NOW,
        leeway_s: 5,
    };
    assert!(access_token::verify(&token, |_| Some(key.public()), &expect).is_err());
}
