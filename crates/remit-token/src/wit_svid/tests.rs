use serde_json::json;

use super::*;
use crate::jwt_svid::{self, ExpectSvid};
use crate::test_support::{NOW, parts, signing_key};

fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).unwrap()
}

fn claims(key: &SigningKey) -> WitSvidClaims {
    WitSvidClaims {
        iss: id("spiffe://acme.remit.example"),
        sub: id("spiffe://acme.remit.example/agent/a/w/i"),
        cnf: WorkloadKey(key.public()),
        exp: NOW + 300,
        iat: NOW,
        jti: "crd_1".to_owned(),
    }
}

#[test]
fn what_is_signed_has_the_header_and_the_claims_of_the_specification() {
    let (key, workload) = (signing_key(), signing_key());
    let (header, body) = parts(&sign(&claims(&workload), &key).unwrap());
    let kid = key.kid().as_str();
    let expected = json!({ "typ": "wit+jwt", "alg": "ES256", "kid": kid });
    assert_eq!(header, expected);
    let mut jwk = serde_json::to_value(workload.public()).unwrap();
    jwk["alg"] = json!("ES256");
    let expected = json!({
        "iss": "spiffe://acme.remit.example",
        "sub": "spiffe://acme.remit.example/agent/a/w/i",
        "cnf": { "jwk": jwk },
        "exp": NOW + 300,
        "iat": NOW,
        "jti": "crd_1",
    });
    assert_eq!(body, expected, "and no audience");
}

#[test]
fn what_the_specification_does_not_know_is_not_signed() {
    let (key, workload) = (signing_key(), signing_key());
    let good = claims(&workload);
    let ed25519 =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let bad = [
        WitSvidClaims {
            cnf: WorkloadKey(PublicJwk::from_json(ed25519).unwrap()),
            ..good.clone()
        },
        WitSvidClaims {
            sub: id("spiffe://acme.remit.example"),
            ..good.clone()
        },
        WitSvidClaims {
            iss: id("spiffe://globex.remit.example"),
            ..good.clone()
        },
        WitSvidClaims {
            iss: good.sub.clone(),
            ..good.clone()
        },
        WitSvidClaims {
            exp: NOW + WIT_SVID_TTL_S_MAX + 1,
            ..good.clone()
        },
        WitSvidClaims {
            jti: String::new(),
            ..good
        },
    ];
    for claims in bad {
        assert!(sign(&claims, &key).is_err(), "{claims:?}");
    }
}

/// It is no bearer token: not even with the right key is it taken for a JWT-SVID (WIT-SVID §7.1).
#[test]
fn it_is_no_jwt_svid() {
    let key = signing_key();
    let token = sign(&claims(&signing_key()), &key).unwrap();
    let expect = ExpectSvid {
        trust_domain: "acme.remit.example",
        audience: "https://orders.example",
        sole_audience: false,
        now: NOW,
        leeway_s: 0,
    };
    let refused = jwt_svid::verify(&token, |_| Some(key.public()), &expect).unwrap_err();
    assert_eq!(refused.code(), "token-type-refused");
    assert!(jwt_svid::unverified_subject(&token).is_err());
}
