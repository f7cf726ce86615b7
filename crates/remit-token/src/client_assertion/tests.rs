use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::test_support::{NOW, forge, forge_hs256, parts, signing_key, unsigned, with};

const ISSUER: &str = "https://remit.example";
const ENDPOINT: &str = "https://remit.example/oauth2/token";
const CLIENT: &str = "support-triage";

fn new() -> NewAssertion<'static> {
    NewAssertion {
        client_id: CLIENT,
        issuer: ISSUER,
        jti: "j1",
        iat: NOW,
        ttl_s: 60,
    }
}

fn expect() -> ExpectAssertion<'static> {
    ExpectAssertion {
        client_id: CLIENT,
        audiences: &[ISSUER, ENDPOINT],
        now: NOW,
        leeway_s: 5,
    }
}

fn check(token: &str, key: &SigningKey) -> Result<ClientAssertion, TokenError> {
    verify(token, &[key.public()], &expect())
}

/// The result for a well-signed assertion with changed header and claims.
fn changed(header: Value, claims: Value) -> Result<ClientAssertion, TokenError> {
    let key = signing_key();
    let (good_header, good_claims) = parts(&sign(&new(), &key).unwrap());
    check(
        &forge(
            &with(&good_header, header),
            &with(&good_claims, claims),
            &key,
        ),
        &key,
    )
}

fn refusal(header: Value, claims: Value) -> &'static str {
    changed(header, claims).unwrap_err().code()
}

#[test]
fn what_is_signed_is_verified() {
    let key = signing_key();
    let token = sign(&new(), &key).unwrap();
    assert_eq!(unverified_client_id(&token).unwrap().as_str(), CLIENT);
    let expected = ClientAssertion {
        client_id: CLIENT.into(),
        jkt: key.kid().clone(),
        jti: "j1".into(),
        exp: NOW + 60,
    };
    assert_eq!(check(&token, &key).unwrap(), expected);
}

#[test]
fn an_ed25519_assertion_of_a_plain_client_is_verified() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let der = pair.to_pkcs8().unwrap();
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = None;
    header.kid = Some("my-own-name".into());
    let claims = json!({"iss": CLIENT, "sub": CLIENT, "aud": [ENDPOINT], "jti": "j1", "exp": NOW as f64 + 60.5});
    let token =
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(der.as_ref())).unwrap();
    let prefix = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    let spki = [prefix.as_slice(), pair.public_key().as_ref()].concat();
    let key = PublicJwk::from_spki_der(&spki).unwrap();
    // Tried among keys of another kind and another owner.
    let others = [signing_key().public(), key];
    let read = verify(&token, &others, &expect()).unwrap();
    assert_eq!((read.jkt, read.exp), (key.thumbprint(), NOW + 60));
    assert_eq!(
        verify(&token, &others[..1], &expect()).unwrap_err(),
        TokenError::KeyUnknown
    );
}

#[test]
fn issuer_and_subject_are_both_the_client() {
    assert_eq!(
        refusal(json!({}), json!({"iss": "other"})),
        "token-client-mismatch"
    );
    assert_eq!(
        refusal(json!({}), json!({"sub": "other"})),
        "token-client-mismatch"
    );
    assert_eq!(
        refusal(json!({}), json!({"iss": "other", "sub": "other"})),
        "token-client-mismatch"
    );
    assert_eq!(refusal(json!({}), json!({"sub": null})), "token-malformed");
    let key = signing_key();
    let (header, claims) = parts(&sign(&new(), &key).unwrap());
    let split = forge(&header, &with(&claims, json!({"iss": "victim"})), &key);
    assert_eq!(
        unverified_client_id(&split).unwrap_err(),
        TokenError::ClientMismatch
    );
}

#[test]
fn the_audience_is_one_accepted_value() {
    assert!(changed(json!({}), json!({"aud": ENDPOINT})).is_ok());
    assert!(changed(json!({}), json!({"aud": [ISSUER]})).is_ok());
    for aud in [
        json!([ISSUER, ENDPOINT]),
        json!("https://remit.example/"),
        json!("https://evil.example"),
    ] {
        assert_eq!(
            refusal(json!({}), json!({"aud": aud})),
            "token-audience-wrong",
            "{aud}"
        );
    }
    assert_eq!(refusal(json!({}), json!({"aud": null})), "token-malformed");
}

#[test]
fn it_is_short_lived_and_has_an_id() {
    assert_eq!(refusal(json!({}), json!({"exp": null})), "token-malformed");
    assert_eq!(refusal(json!({}), json!({"exp": NOW - 5})), "token-expired");
    assert_eq!(
        refusal(json!({}), json!({"exp": NOW + 306})),
        "token-lifetime-too-long"
    );
    assert!(changed(json!({}), json!({"exp": NOW + 305, "iat": null})).is_ok());
    assert_eq!(
        refusal(json!({}), json!({"iat": NOW + 6})),
        "token-not-yet-valid"
    );
    assert_eq!(
        refusal(json!({}), json!({"nbf": NOW + 6})),
        "token-not-yet-valid"
    );
    assert_eq!(refusal(json!({}), json!({"jti": null})), "token-malformed");
    assert_eq!(
        refusal(json!({}), json!({"jti": ""})),
        "token-claim-invalid"
    );
    assert_eq!(
        refusal(json!({}), json!({"jti": "j".repeat(129)})),
        "token-claim-invalid"
    );
    let long = NewAssertion {
        ttl_s: 301,
        ..new()
    };
    assert_eq!(
        sign(&long, &signing_key()).unwrap_err().code(),
        "token-lifetime-too-long"
    );
}

#[test]
fn the_type_is_that_of_an_assertion_or_none() {
    for typ in [
        json!(null),
        json!("JWT"),
        json!("jwt"),
        json!("application/client-authentication+jwt"),
    ] {
        assert!(changed(json!({"typ": typ}), json!({})).is_ok(), "{typ}");
    }
    for typ in ["at+jwt", "dpop+jwt", "remit-delegation+jwt"] {
        assert_eq!(
            refusal(json!({"typ": typ}), json!({})),
            "token-type-refused",
            "{typ}"
        );
    }
}

#[test]
fn an_embedded_key_is_refused_at_both_steps() {
    let attacker = signing_key();
    for (name, value) in [
        ("jwk", json!(attacker.public())),
        ("jku", json!("https://evil.example/jwks")),
        ("x5c", json!(["MIIB"])),
        ("x5u", json!("https://evil.example")),
        ("crit", json!(["exp"])),
    ] {
        let (header, claims) = parts(&sign(&new(), &attacker).unwrap());
        let token = forge(&with(&header, json!({ name: value })), &claims, &attacker);
        let expected = TokenError::HeaderRefused { name };
        assert_eq!(unverified_client_id(&token).unwrap_err(), expected);
        assert_eq!(check(&token, &attacker).unwrap_err(), expected);
    }
    // A header that means nothing to us is not a reason to refuse (RFC 7515 §4).
    assert!(changed(json!({"x5t": "AA", "device": 7}), json!({})).is_ok());
}

#[test]
fn another_key_does_not_do() {
    let (key, attacker) = (signing_key(), signing_key());
    let token = sign(&new(), &attacker).unwrap();
    assert_eq!(
        check(&token, &key).unwrap_err(),
        TokenError::SignatureInvalid
    );
    assert_eq!(
        verify(&token, &[], &expect()).unwrap_err(),
        TokenError::KeyUnknown
    );
    let (header, claims) = parts(&sign(&new(), &key).unwrap());
    let none = unsigned(
        &with(&header, json!({"alg": "none"})).to_string(),
        &claims.to_string(),
    );
    assert_eq!(
        check(&format!("{none}."), &key).unwrap_err().code(),
        "token-algorithm-refused"
    );
    let jwk = serde_json::to_vec(&key.public()).unwrap();
    let mac = forge_hs256(&with(&header, json!({"alg": "HS256"})), &claims, &jwk);
    assert_eq!(
        check(&mac, &key).unwrap_err().code(),
        "token-algorithm-refused"
    );
    // The other accepted algorithm does not fit this key.
    let swapped = forge(&with(&header, json!({"alg": "EdDSA"})), &claims, &key);
    assert_eq!(check(&swapped, &key).unwrap_err(), TokenError::KeyUnknown);
}

#[test]
fn only_so_many_keys_are_tried() {
    let key = signing_key();
    let mut keys: Vec<_> = (0..CLIENT_KEYS_MAX)
        .map(|_| signing_key().public())
        .collect();
    keys.push(key.public());
    let (header, claims) = parts(&sign(&new(), &key).unwrap());
    let named = forge(&header, &claims, &key);
    assert!(verify(&named, &keys, &expect()).is_ok());
    let nameless = forge(&with(&header, json!({"kid": null})), &claims, &key);
    assert_eq!(
        verify(&nameless, &keys, &expect()).unwrap_err(),
        TokenError::SignatureInvalid
    );
    assert!(verify(&nameless, &keys[1..], &expect()).is_ok());
}

proptest! {
    #[test]
    fn no_flipped_bit_passes(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let key = signing_key();
        let mut bytes = sign(&new(), &key).unwrap().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(token) = String::from_utf8(bytes) {
            prop_assert!(check(&token, &key).is_err());
        }
    }

    #[test]
    fn any_text_gives_an_error(text in "\\PC{0,200}") {
        prop_assert!(unverified_client_id(&text).is_err());
    }
}
