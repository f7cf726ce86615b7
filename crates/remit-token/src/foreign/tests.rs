//! What attackers say in the name of another issuer.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::keys::SigningKey;
use crate::limits::FOREIGN_KEYS_MAX;
use crate::test_support::{NOW, forge, forge_hs256, forge_text, signing_key};

const ISSUER: &str = "https://ci.example";
const AUDIENCE: &str = "https://remit.example";

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" })
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "repo:acme/shop:ref:refs/heads/main", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW,
        "nbf": NOW, "jti": "one", "environment": "production"
    })
}

fn with(mut base: Value, name: &str, value: Value) -> Value {
    base[name] = value;
    base
}

fn jwk(key: &SigningKey, kid: &str) -> Value {
    let mut jwk = serde_json::to_value(key.public()).unwrap();
    jwk["kid"] = json!(kid);
    jwk
}

fn set(keys: &[Value]) -> ForeignJwks {
    ForeignJwks::from_json(&json!({ "keys": keys }).to_string()).unwrap()
}

fn checked(token: &str, keys: &ForeignJwks) -> Result<ForeignClaims, TokenError> {
    let expect = ExpectForeign {
        kind: ForeignKind::Workload,
        issuer: ISSUER,
        audiences: &[AUDIENCE],
        algorithms: &[ForeignAlgorithm::Es256, ForeignAlgorithm::Rs256],
        ttl_s_max: 3_600,
        now: NOW,
        leeway_s: 30,
    };
    verify(token, keys, &expect)
}

fn code(token: &str, keys: &ForeignJwks) -> &'static str {
    checked(token, keys).map(|_| ()).unwrap_err().code()
}

#[test]
fn a_good_token_says_who_it_is_about() {
    let key = signing_key();
    let token = forge(&header(), &claims(), &key);
    let keys = set(&[jwk(&key, "k1")]);
    assert_eq!(
        unverified(&token).unwrap(),
        Unverified {
            issuer: ISSUER.to_owned(),
            trust_domain: None,
            kind: ForeignKind::Workload
        }
    );
    let read = checked(&token, &keys).unwrap();
    assert_eq!(read.sub, "repo:acme/shop:ref:refs/heads/main");
    assert_eq!(read.text("environment"), Some("production"));
    // Without `kid` every key of the algorithm is tried; Kubernetes leaves `typ` out.
    let bare = forge(&json!({ "alg": "ES256" }), &claims(), &key);
    let other = jwk(&signing_key(), "k0");
    assert!(checked(&bare, &set(&[other, jwk(&key, "k1")])).is_ok());
}

#[test]
fn the_algorithm_is_never_the_tokens_choice() {
    let key = signing_key();
    let keys = set(&[jwk(&key, "k1")]);
    let none = format!(
        "{}.",
        crate::test_support::unsigned(
            &with(header(), "alg", json!("none")).to_string(),
            &claims().to_string()
        )
    );
    assert_eq!(code(&none, &keys), "token-algorithm-refused");
    let secret = jwk(&key, "k1").to_string();
    let mac = forge_hs256(
        &with(header(), "alg", json!("HS256")),
        &claims(),
        secret.as_bytes(),
    );
    assert_eq!(code(&mac, &keys), "token-algorithm-refused");
    // One that exists and is not listed for the issuer.
    let unlisted = forge(&with(header(), "alg", json!("ES384")), &claims(), &key);
    assert_eq!(code(&unlisted, &keys), "token-algorithm-refused");
    // One that is listed, and not that of the key.
    let confused = forge(&with(header(), "alg", json!("RS256")), &claims(), &key);
    assert_eq!(code(&confused, &keys), "token-key-unknown");
}

#[test]
fn a_token_brings_no_key_along() {
    let (key, mine) = (signing_key(), signing_key());
    let keys = set(&[jwk(&key, "k1")]);
    for (name, value) in [
        ("jwk", jwk(&mine, "k1")),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["b64"])),
    ] {
        let forged = forge(&with(header(), name, value), &claims(), &mine);
        assert_eq!(code(&forged, &keys), "token-header-refused", "{name}");
        assert!(unverified(&forged).is_err(), "{name}");
    }
    assert_eq!(
        code(&forge(&header(), &claims(), &mine), &keys),
        "token-signature-invalid"
    );
    let unknown = with(header(), "kid", json!("k2"));
    assert_eq!(
        code(&forge(&unknown, &claims(), &key), &keys),
        "token-key-unknown"
    );
}

#[test]
fn claims_have_to_hold() {
    let key = signing_key();
    let keys = set(&[jwk(&key, "k1")]);
    for (name, value, expected) in [
        ("iss", json!("https://ci.example/"), "token-issuer-wrong"),
        (
            "aud",
            json!("https://other.example"),
            "token-audience-wrong",
        ),
        (
            "aud",
            json!([AUDIENCE, "https://other.example"]),
            "token-audience-wrong",
        ),
        ("exp", json!(NOW - 31), "token-expired"),
        ("exp", json!(NOW + 3_700), "token-lifetime-too-long"),
        ("nbf", json!(NOW + 31), "token-not-yet-valid"),
        ("iat", json!(NOW + 31), "token-not-yet-valid"),
        ("sub", json!(""), "token-claim-invalid"),
        ("sub", json!(7), "token-claim-invalid"),
        ("jti", json!(""), "token-claim-invalid"),
        ("exp", json!("soon"), "token-claim-invalid"),
    ] {
        let token = forge(&header(), &with(claims(), name, value.clone()), &key);
        assert_eq!(code(&token, &keys), expected, "{name} {value}");
    }
    for name in ["iss", "sub", "aud", "exp"] {
        let mut less = claims();
        less.as_object_mut().unwrap().remove(name);
        assert_eq!(
            code(&forge(&header(), &less, &key), &keys),
            "token-claim-invalid",
            "{name}"
        );
    }
    let twice = claims().to_string().replacen(
        "\"sub\":",
        "\"sub\":\"repo:evil/shop:ref:refs/heads/main\",\"sub\":",
        1,
    );
    assert_eq!(
        code(&forge_text(&header().to_string(), &twice, &key), &keys),
        "token-malformed"
    );
}

#[test]
fn another_kind_of_token_is_none_of_a_workload() {
    let key = signing_key();
    let keys = set(&[jwk(&key, "k1")]);
    for typ in [
        "at+jwt",
        "dpop+jwt",
        "client-authentication+jwt",
        TYP_ID_JAG,
    ] {
        let token = forge(&with(header(), "typ", json!(typ)), &claims(), &key);
        assert_eq!(code(&token, &keys), "token-type-refused", "{typ}");
    }
}

#[test]
fn a_token_is_one_by_its_jti_or_by_what_was_signed() {
    let key = signing_key();
    let keys = set(&[jwk(&key, "k1")]);
    let id = |claims: &Value| checked(&forge(&header(), claims, &key), &keys).unwrap().id;
    assert_eq!(
        id(&claims()),
        id(&with(claims(), "environment", json!("staging")))
    );
    assert_ne!(id(&claims()), id(&with(claims(), "jti", json!("two"))));
    let mut without = claims();
    without.as_object_mut().unwrap().remove("jti");
    // Signatures of one text differ each time, and it stays one token.
    assert_eq!(id(&without), id(&without));
    assert_ne!(
        id(&without),
        id(&with(without.clone(), "iat", json!(NOW - 1)))
    );
}

#[test]
fn rsa_keys_verify_and_small_ones_do_not() {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = |pair: &KeyPair| {
        let key = pair.public_key();
        let n = URL_SAFE_NO_PAD.encode(key.modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(key.exponent().big_endian_without_leading_zero());
        json!({ "kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": n, "e": e })
    };
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    let signer = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some("k1".to_owned());
    let token = jsonwebtoken::encode(&header, &claims(), &signer).unwrap();
    let key = public(&pair);
    assert!(checked(&token, &set(std::slice::from_ref(&key))).is_ok());
    // The key's own `alg` narrows it.
    let other = with(key.clone(), "alg", json!("PS256"));
    assert_eq!(code(&token, &set(&[other])), "token-key-unknown");
    let short = with(key.clone(), "n", json!(URL_SAFE_NO_PAD.encode([0xff; 128])));
    let encryption = with(key.clone(), "use", json!("enc"));
    let private = with(key, "d", json!("AQAB"));
    let symmetric = json!({ "kty": "oct", "k": "AAAA", "kid": "k1" });
    for unusable in [short, encryption, private, symmetric] {
        let text = json!({ "keys": [unusable] }).to_string();
        assert!(ForeignJwks::from_json(&text).is_err(), "{text}");
    }
}

#[test]
fn a_key_set_has_its_limits() {
    let key = jwk(&signing_key(), "k1");
    let many = vec![key; FOREIGN_KEYS_MAX + 1];
    assert!(ForeignJwks::from_json(&json!({ "keys": many }).to_string()).is_err());
    for wrong in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#] {
        assert!(ForeignJwks::from_json(wrong).is_err(), "{wrong}");
    }
}

const DOMAIN: &str = "spiffe://prod.acme.example";

/// Claims of a JWT-SVID: no `iss`.
fn svid(sub: &str) -> Value {
    json!({ "sub": sub, "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW })
}

fn of_domain(token: &str, keys: &ForeignJwks) -> Result<ForeignClaims, TokenError> {
    let expect = ExpectForeign {
        kind: ForeignKind::Workload,
        issuer: DOMAIN,
        audiences: &[AUDIENCE],
        algorithms: &[ForeignAlgorithm::Es256],
        ttl_s_max: 3_600,
        now: NOW,
        leeway_s: 30,
    };
    verify(token, keys, &expect)
}

#[test]
fn a_trust_domain_speaks_for_its_own_ids_only() {
    let key = signing_key();
    let keys = set(&[jwk(&key, "k1")]);
    let own = forge(&header(), &svid(&format!("{DOMAIN}/ns/a/sa/b")), &key);
    assert_eq!(unverified(&own).unwrap().issuer, DOMAIN);
    assert_eq!(
        of_domain(&own, &keys).unwrap().sub,
        format!("{DOMAIN}/ns/a/sa/b")
    );
    for sub in [
        "spiffe://other.example/ns/a/sa/b",
        "spiffe://prod.acme.example.evil.example/x",
        "spiffe://prod.acme.example",
        "https://prod.acme.example/x",
        "system:serviceaccount:a:b",
    ] {
        let token = forge(&header(), &svid(sub), &key);
        let refused = of_domain(&token, &keys).unwrap_err();
        assert_eq!(refused.code(), "token-issuer-wrong", "{sub}");
    }
    // Who names an issuer too may be of that one; by its keys the trust domain speaks all the same.
    let named = |iss: &str| with(svid(&format!("{DOMAIN}/a")), "iss", json!(iss));
    let token = forge(&header(), &named(ISSUER), &key);
    let said = unverified(&token).unwrap();
    assert_eq!(said.issuer, ISSUER);
    assert_eq!(said.trust_domain.as_deref(), Some(DOMAIN));
    assert!(of_domain(&token, &keys).is_ok());
    let token = forge(&header(), &named("spiffe://other.example"), &key);
    assert_eq!(
        of_domain(&token, &keys).unwrap_err().code(),
        "token-issuer-wrong"
    );
    // Nothing else goes without an issuer.
    let nobody = forge(&header(), &svid("repo:acme/shop"), &key);
    assert_eq!(
        unverified(&nobody).unwrap_err().code(),
        "token-claim-invalid"
    );
    assert_eq!(code(&own, &keys), "token-claim-invalid");
    let jag = with(header(), "typ", json!(TYP_ID_JAG));
    let jag = forge(&jag, &svid(&format!("{DOMAIN}/a")), &key);
    assert_eq!(unverified(&jag).unwrap_err().code(), "token-claim-invalid");
}

#[test]
fn of_a_bundle_only_keys_for_jwt_svids_count() {
    let (jwt, x509, bare) = (signing_key(), signing_key(), signing_key());
    let used = |key: &SigningKey, kid: &str, used: &str| {
        let mut jwk = jwk(key, kid);
        jwk["use"] = json!(used);
        jwk
    };
    let all = json!({
        "spiffe_sequence": 3, "spiffe_refresh_hint": 300,
        "keys": [used(&jwt, "k1", "jwt-svid"), used(&x509, "k2", "x509-svid"), jwk(&bare, "k3")]
    });
    let bundle = ForeignJwks::from_spiffe_bundle(&all.to_string()).unwrap();
    assert_eq!(bundle.len(), 1);
    for (key, kid, good) in [
        (&jwt, "k1", true),
        (&x509, "k2", false),
        (&bare, "k3", false),
    ] {
        let header = with(header(), "kid", json!(kid));
        let token = forge(&header, &svid(&format!("{DOMAIN}/a")), key);
        assert_eq!(of_domain(&token, &bundle).is_ok(), good, "{kid}");
    }
    let none = json!({ "keys": [used(&x509, "k2", "x509-svid")] });
    assert!(ForeignJwks::from_spiffe_bundle(&none.to_string()).is_err());
}
