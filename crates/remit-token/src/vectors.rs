//! What RFC 9449 and the SPIFFE projects hold good and bad (fixtures/vectors): the same is held here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client_certificate::CertificateError;
use crate::dpop::{self, ExpectProof, ProofError};
use crate::foreign::{self, ExpectForeign, ForeignKind};
use crate::test_support::{NOW, forge, signing_key};
use crate::{ForeignAlgorithm, ForeignBundle, ForeignJwks, PublicJwk, SpiffeId, x509_svid};

macro_rules! vectors {
    ($path:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../../fixtures/vectors/", $path)))
            .unwrap()
    };
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn the_proofs_of_rfc_9449_hold_at_their_time_and_for_their_request_only() {
    let all = vectors!("rfc9449/dpop.json");
    let key = PublicJwk::from_json(&all["jwk"].to_string()).unwrap();
    assert_eq!(key.thumbprint().as_str(), text(&all, "jkt"));
    let proofs = all["proofs"].as_array().unwrap();
    assert_eq!(proofs.len(), 4);
    for case in proofs {
        let proof = text(case, "proof");
        let iat = case["iat"].as_i64().unwrap();
        let expect = ExpectProof {
            method: text(case, "method"),
            url: text(case, "url"),
            access_token: case["access_token"].as_str(),
            now: iat,
            leeway_s: 0,
        };
        let read = dpop::verify(proof, &expect).unwrap();
        assert_eq!(read.jkt.as_str(), text(case, "jkt"));
        assert_eq!((read.jti.as_str(), read.iat), (text(case, "jti"), iat));
        assert_eq!(read.nonce, None);
        let refused = |expect: ExpectProof<'_>| dpop::verify(proof, &expect).unwrap_err();
        let put = ExpectProof {
            method: "PUT",
            ..expect
        };
        assert_eq!(refused(put), ProofError::Method);
        let url = "https://resource.example.org/other";
        assert_eq!(refused(ExpectProof { url, ..expect }), ProofError::Address);
        let now = iat - 1;
        assert_eq!(refused(ExpectProof { now, ..expect }), ProofError::Early);
        let now = iat + 61;
        assert_eq!(refused(ExpectProof { now, ..expect }), ProofError::Stale);
        let access_token = Some("another token");
        let other = ExpectProof {
            access_token,
            ..expect
        };
        assert_eq!(refused(other), ProofError::AccessToken);
        let (head, signature) = proof.rsplit_once('.').unwrap();
        let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
        let forged = dpop::verify(&forged, &expect).unwrap_err();
        assert!(matches!(forged, ProofError::Token(_)), "{forged:?}");
    }
}

#[test]
fn what_the_spiffe_projects_call_an_id_is_one_and_nothing_else_is() {
    let all = vectors!("spiffe/spiffe_id.json");
    let texts = |name: &str| all[name].as_array().unwrap().clone();
    let (good, bad) = (texts("good"), texts("bad"));
    assert_eq!((good.len(), bad.len()), (113, 431));
    for id in &good {
        let id = id.as_str().unwrap();
        assert_eq!(
            SpiffeId::parse(id).map(|id| id.to_string()),
            Ok(id.to_owned())
        );
    }
    for id in &bad {
        let id = id.as_str().unwrap();
        assert!(SpiffeId::parse(id).is_err(), "{id:?}");
    }
}

fn ders(value: &Value) -> Vec<Vec<u8>> {
    let one = |der: &Value| STANDARD.decode(der.as_str().unwrap()).unwrap();
    match value {
        Value::Array(all) => all.iter().map(one).collect(),
        Value::Null => Vec::new(),
        single => vec![one(single)],
    }
}

#[test]
fn what_the_spiffe_projects_call_an_x509_svid_is_one_and_nothing_else_is() {
    let all = vectors!("spiffe/x509_svid.json");
    // Within the life of every certificate that has an authority in these.
    let now = 1_780_000_000;
    let (mut good, mut bad, mut trusted) = (0, 0, 0);
    for case in all["cases"].as_array().unwrap() {
        let about = text(case, "name");
        let chain = ders(&case["chain"]);
        let expected = case["spiffe_id"].as_str();
        let found = x509_svid::shape(&chain);
        match expected {
            Some(id) => {
                assert_eq!(
                    found.as_ref().map(ToString::to_string),
                    Ok(id.to_owned()),
                    "{about}"
                );
                good += 1;
            }
            None => {
                let refusal = found.unwrap_err();
                assert_ne!(refusal, CertificateError::Malformed, "{about}");
                bad += 1;
            }
        }
        let authorities = ders(&case["authority"]);
        let verified = x509_svid::verify(&chain, &authorities, now);
        if let (Some(id), false) = (expected, authorities.is_empty()) {
            assert_eq!(
                verified.map(|id| id.to_string()),
                Ok(id.to_owned()),
                "{about}"
            );
            let over = x509_svid::verify(&chain, &authorities, 4_000_000_000);
            assert_eq!(over, Err(CertificateError::Expired), "{about}");
            trusted += 1;
        } else {
            assert!(verified.is_err(), "{about}");
        }
    }
    assert_eq!((good, bad, trusted), (4, 11, 2));
}

#[test]
fn a_chain_of_another_authority_is_not_believed() {
    let all = vectors!("spiffe/x509_svid.json");
    let cases = all["cases"].as_array().unwrap();
    let of = |name: &str| cases.iter().find(|case| case["name"] == name).unwrap();
    let chain = ders(&of("spiffe_leaf")["chain"]);
    let other = ders(&of("spiffe_leaf_uri_only")["authority"]);
    let verified = x509_svid::verify(&chain, &other, 1_780_000_000);
    assert_eq!(verified, Err(CertificateError::Untrusted));
}

#[test]
fn what_go_spiffe_calls_a_jwt_svid_is_one_and_nothing_else_is() {
    let all = vectors!("spiffe/jwt_svid.json");
    let (first, second) = (signing_key(), signing_key());
    let key = |key: &crate::SigningKey, kid: &str| {
        let mut jwk = serde_json::to_value(key.public()).unwrap();
        jwk["use"] = json!("jwt-svid");
        jwk["kid"] = json!(kid);
        jwk
    };
    let bundle = json!({ "keys": [key(&first, "authority1"), key(&second, "authority2")] });
    let keys = ForeignJwks::from_spiffe_bundle(&bundle.to_string()).unwrap();
    let mut found = Vec::new();
    for case in all["cases"].as_array().unwrap() {
        let token = case["token"].as_str().map_or_else(
            || {
                let mut header = json!({ "alg": "ES256", "kid": case["kid"] });
                if let Some(typ) = case.get("typ") {
                    header["typ"] = typ.clone();
                }
                let mut claims = case["claims"].clone();
                // JWT-SVID §3 says nothing of `iss`: here a trust domain that sets one is registered by it.
                claims.as_object_mut().unwrap().remove("iss");
                claims["iat"] = json!(NOW);
                if let Some(secs) = case["exp_in_s"].as_i64() {
                    claims["exp"] = json!(NOW + secs);
                }
                let by_first = case["signed_by"] == "authority1";
                forge(&header, &claims, if by_first { &first } else { &second })
            },
            str::to_owned,
        );
        let expect = ExpectForeign {
            kind: ForeignKind::Workload,
            issuer: "spiffe://trustdomain",
            audiences: &[text(case, "audience")],
            algorithms: &ForeignAlgorithm::ALL,
            ttl_s_max: 300,
            now: NOW,
            leeway_s: 0,
        };
        let read = foreign::verify(&token, &keys, &expect);
        let name = text(case, "name").to_owned();
        assert_eq!(read.is_ok(), case["good"] == true, "{name} {read:?}");
        found.push((name, read.err().map(|error| error.code())));
    }
    let expected = [
        ("success", None),
        ("malformed", Some("token-malformed")),
        ("unsupported algorithm", Some("token-algorithm-refused")),
        ("missing subject", Some("token-claim-invalid")),
        ("missing expiration claim", Some("token-claim-invalid")),
        ("expired", Some("token-expired")),
        ("unexpected audience", Some("token-audience-wrong")),
        ("invalid subject claim", Some("token-issuer-wrong")),
        ("no bundle for trust domain", Some("token-key-unknown")),
        ("no bundle for authority", Some("token-key-unknown")),
        ("mismatched JWT authority", Some("token-signature-invalid")),
        ("invalid typ", Some("token-type-refused")),
    ];
    let expected = expected.map(|(name, code)| (name.to_owned(), code));
    assert_eq!(found, expected);
}

#[test]
fn a_bundle_gives_the_keys_that_the_specification_counts() {
    let all = vectors!("spiffe/bundle.json");
    let mut found = Vec::new();
    for case in all["bundles"].as_array().unwrap() {
        let read = ForeignBundle::from_json(&case["bundle"].to_string());
        let read = read.map(|b| {
            let keys = b.keys.map_or(0, |keys| keys.len());
            (b.authorities.len(), keys, b.sequence, b.refresh_hint_s)
        });
        found.push((text(case, "name"), read.map_err(crate::KeyError::code)));
    }
    let expected = [
        ("spiffebundle_valid_1", Ok((1, 1, None, None))),
        ("spiffebundle_valid_2", Ok((1, 6, Some(1), Some(60)))),
        ("spiffebundle_valid_with_wit", Ok((1, 2, Some(1), Some(60)))),
        ("spiffebundle_missing_kid", Ok((1, 0, None, None))),
        ("spiffebundle_no_keys", Err("key-malformed")),
        ("spiffebundle_multiple_x509", Ok((1, 1, None, None))),
    ];
    assert_eq!(found, expected);
}
