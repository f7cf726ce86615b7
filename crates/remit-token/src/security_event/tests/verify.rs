//! What attackers say in the name of a transmitter.

use serde_json::{Value, json};

use super::super::*;
use crate::test_support::{NOW, forge, forge_hs256, forge_text, signing_key, unsigned};

const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://remit.example";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const WEEK: i64 = 7 * 86_400;

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "secevent+jwt", "kid": "k1" })
}

fn said() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "jti": "one",
        "sub_id": { "format": "email", "email": "maria@acme.example" },
        "events": { REVOKED: { "event_timestamp": NOW } },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut said = said();
    said[name] = value;
    said
}

fn keys(key: &SigningKey) -> ForeignJwks {
    let mut jwk = serde_json::to_value(key.public()).unwrap();
    jwk["kid"] = json!("k1");
    ForeignJwks::from_json(&json!({ "keys": [jwk] }).to_string()).unwrap()
}

fn checked(token: &str, keys: &ForeignJwks) -> Result<SecurityEvent, TokenError> {
    let expect = ExpectSet {
        issuer: ISSUER,
        audience: AUDIENCE,
        algorithms: &[ForeignAlgorithm::Es256, ForeignAlgorithm::Rs256],
        age_s_max: WEEK,
        now: NOW,
        leeway_s: 30,
    };
    verify(token, keys, &expect)
}

fn code(said: &Value) -> &'static str {
    let key = signing_key();
    let token = forge(&header(), said, &key);
    checked(&token, &keys(&key)).unwrap_err().code()
}

#[test]
fn a_good_event_says_what_has_happened_to_whom() {
    let key = signing_key();
    let read = checked(&forge(&header(), &said(), &key), &keys(&key)).unwrap();
    assert_eq!((read.jti.as_str(), read.event.as_str()), ("one", REVOKED));
    let email = "maria@acme.example".to_owned();
    assert_eq!(read.subject, SubjectId::Email { email });
    let several = with("aud", json!(["https://other.example", AUDIENCE]));
    assert!(checked(&forge(&header(), &several, &key), &keys(&key)).is_ok());
}

#[test]
fn what_we_sign_is_what_a_receiver_takes() {
    let key = signing_key();
    let claims = SetClaims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        iat: NOW,
        jti: "sgs_1-7.0".to_owned(),
        txn: Some("org_1-7".to_owned()),
        sub_id: SubjectId::Opaque {
            id: "agt_1".to_owned(),
        },
        events: BTreeMap::from([(REVOKED.to_owned(), json!({}))]),
    };
    let token = sign(&claims, &key).unwrap();
    // Its `kid` is our name of the key, which a published set has too.
    let (head, _) = crate::test_support::parts(&token);
    let mut jwk = serde_json::to_value(key.public()).unwrap();
    jwk["kid"] = head["kid"].clone();
    let named = ForeignJwks::from_json(&json!({ "keys": [jwk] }).to_string()).unwrap();
    assert_eq!(checked(&token, &named).unwrap().jti, "sgs_1-7.0");
}

#[test]
fn the_algorithm_and_the_key_are_never_the_tokens_choice() {
    let key = signing_key();
    let keys = keys(&key);
    let with = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        header
    };
    let none = with("alg", json!("none")).to_string();
    let none = format!("{}.", unsigned(&none, &said().to_string()));
    let secret = serde_json::to_vec(&key.public()).unwrap();
    let confused = forge_hs256(&with("alg", json!("HS256")), &said(), &secret);
    for token in [none, confused] {
        assert_eq!(
            checked(&token, &keys).unwrap_err().code(),
            "token-algorithm-refused"
        );
    }
    let own = signing_key();
    let embedded = with("jwk", serde_json::to_value(own.public()).unwrap());
    for wrong in [embedded, with("jku", json!("https://evil.example/keys"))] {
        let token = forge(&wrong, &said(), &own);
        assert_eq!(
            checked(&token, &keys).unwrap_err().code(),
            "token-header-refused"
        );
    }
    let theirs = forge(&header(), &said(), &own);
    assert_eq!(
        checked(&theirs, &keys).unwrap_err().code(),
        "token-signature-invalid"
    );
    let unknown = forge(&with("kid", json!("k2")), &said(), &key);
    assert_eq!(
        checked(&unknown, &keys).unwrap_err().code(),
        "token-key-unknown"
    );
}

#[test]
fn tokens_of_another_sort_are_no_events() {
    let key = signing_key();
    for typ in ["JWT", "at+jwt", "oauth-id-jag+jwt"] {
        let mut header = header();
        header["typ"] = json!(typ);
        let token = forge(&header, &said(), &key);
        assert_eq!(
            checked(&token, &keys(&key)).unwrap_err().code(),
            "token-type-refused"
        );
    }
    let mut bare = header();
    bare.as_object_mut().unwrap().remove("typ");
    let token = forge(&bare, &said(), &key);
    assert!(checked(&token, &keys(&key)).is_err());
    assert_eq!(code(&with("exp", json!(NOW + 60))), "token-claim-invalid");
    assert_eq!(code(&with("sub", json!("maria"))), "token-claim-invalid");
}

#[test]
fn an_event_for_another_or_by_another_is_not_taken() {
    assert_eq!(
        code(&with("aud", json!("https://other.example"))),
        "token-audience-wrong"
    );
    assert_eq!(
        code(&with("aud", json!(format!("{AUDIENCE}/")))),
        "token-audience-wrong"
    );
    assert_eq!(
        code(&with("iss", json!("https://other.example"))),
        "token-issuer-wrong"
    );
}

#[test]
fn an_event_from_tomorrow_or_the_month_before_is_not_taken() {
    assert_eq!(code(&with("iat", json!(NOW + 31))), "token-not-yet-valid");
    assert_eq!(code(&with("iat", json!(NOW - WEEK - 1))), "token-expired");
    let key = signing_key();
    for iat in [NOW + 30, NOW - WEEK] {
        let token = forge(&header(), &with("iat", json!(iat)), &key);
        assert!(checked(&token, &keys(&key)).is_ok());
    }
}

#[test]
fn an_event_says_one_thing_about_one_in_a_form_that_is_known() {
    let other = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
    for wrong in [
        with("events", json!({})),
        with("events", json!({ REVOKED: {}, other: {} })),
        with("events", json!({ REVOKED: "x" })),
        with("sub_id", json!({ "format": "shoe-size", "size": 44 })),
        with("sub_id", json!({ "format": "email", "email": "" })),
        with("jti", json!("")),
        with("jti", json!("x".repeat(3_000))),
    ] {
        assert_eq!(code(&wrong), "token-claim-invalid", "{wrong}");
    }
    let key = signing_key();
    let many: Vec<String> = (0..9)
        .map(|n| format!("\"https://e.example/{n}\":{{}}"))
        .collect();
    let sub = r#""sub_id":{"format":"opaque","id":"x"}"#;
    for text in [
        format!(
            r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","iat":{NOW},"jti":"a",{sub},"events":{{{}}}}}"#,
            many.join(",")
        ),
        format!(
            r#"{{"iss":"{ISSUER}","iss":"{ISSUER}","aud":"{AUDIENCE}","iat":{NOW},"jti":"a",{sub},"events":{{"{REVOKED}":{{}}}}}}"#
        ),
        format!(
            r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","iat":{NOW},"jti":"a",{sub},"events":{{"{REVOKED}":{{}},"{REVOKED}":{{}}}}}}"#
        ),
    ] {
        let token = forge_text(&header().to_string(), &text, &key);
        let refused = checked(&token, &keys(&key)).unwrap_err();
        assert_eq!(refused.code(), "token-malformed", "{text}");
    }
}
