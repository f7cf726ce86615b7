use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::keys::Jwks;
use crate::limits::{ACT_DEPTH_MAX, TOKEN_BYTES_MAX};
use crate::test_support::{
    NOW, forge, forge_hs256, forge_text, parts, signing_key, unsigned, with,
};

const ISSUER: &str = "https://remit.example";
const RESOURCE: &str = "https://remit.example/mcp";

fn claims() -> AccessTokenClaims {
    AccessTokenClaims {
        iss: ISSUER.into(),
        sub: "per_maria".into(),
        aud: Audience::one(RESOURCE),
        exp: NOW + 300,
        iat: NOW,
        jti: "tok_1".into(),
        client_id: "support-triage".into(),
        scope: Scope::parse("workflow:refund run:run_1").unwrap(),
        txn: Some("txn_1".into()),
        act: Some(Actor::new("agt_child").after(Some(Actor::new("agt_triage")))),
        may_act: None,
        cnf: Confirmation::of(Some(signing_key().kid().clone()), None),
        org: "org_acme".into(),
        agent: "agt_triage".into(),
        workflow: "refund".into(),
        run: "run_1".into(),
        authorization_details: Default::default(),
        delegations: vec!["dlg_1".into()],
    }
}

fn expect() -> Expect<'static> {
    Expect {
        issuer: ISSUER,
        audiences: &[RESOURCE],
        now: NOW,
        leeway_s: 5,
    }
}

/// A key, and what an attacker starts from: header and claims of a good token.
struct Bench {
    key: SigningKey,
    header: Value,
    claims: Value,
}

impl Bench {
    fn new() -> Self {
        let key = signing_key();
        let (header, claims) = parts(&sign(&claims(), &key).unwrap());
        Self {
            key,
            header,
            claims,
        }
    }

    fn verify(&self, token: &str) -> Result<AccessTokenClaims, TokenError> {
        let keys = Jwks::new([self.key.public()]).unwrap();
        verify(token, |kid| keys.find(kid), &expect())
    }

    /// The refusal of a well-signed token with a changed header.
    fn header_refusal(&self, changes: Value) -> TokenError {
        self.verify(&forge(
            &with(&self.header, changes),
            &self.claims,
            &self.key,
        ))
        .unwrap_err()
    }

    /// The refusal of a well-signed token with changed claims.
    fn claims_refusal(&self, changes: Value) -> TokenError {
        self.verify(&forge(
            &self.header,
            &with(&self.claims, changes),
            &self.key,
        ))
        .unwrap_err()
    }
}

#[test]
fn what_is_signed_is_verified() {
    let bench = Bench::new();
    let token = sign(&claims(), &bench.key).unwrap();
    let read = bench.verify(&token).unwrap();
    assert_eq!(read.scope, claims().scope);
    assert_eq!(read.act.unwrap().depth(), 2);
    assert_eq!(
        bench.header,
        json!({"typ": "at+jwt", "alg": "ES256", "kid": bench.key.kid()})
    );
    assert_eq!(bench.claims["aud"], RESOURCE);
    assert_eq!(
        bench.claims["act"],
        json!({"sub": "agt_child", "act": {"sub": "agt_triage"}})
    );
    for name in [
        "remit_org",
        "remit_agent",
        "remit_workflow",
        "remit_run",
        "remit_delegations",
    ] {
        assert!(!bench.claims[name].is_null(), "{name}");
    }
}

#[test]
fn alg_none_is_refused() {
    let bench = Bench::new();
    for alg in ["none", "None", "NONE", ""] {
        let header = with(&bench.header, json!({"alg": alg}));
        let message = unsigned(&header.to_string(), &bench.claims.to_string());
        let good = sign(&claims(), &bench.key).unwrap();
        let signature = good.rsplit_once('.').unwrap().1;
        for token in [format!("{message}."), format!("{message}.{signature}")] {
            assert_eq!(
                bench.verify(&token).unwrap_err().code(),
                "token-algorithm-refused",
                "{alg}"
            );
        }
    }
    // The signature of a good token taken away.
    let good = sign(&claims(), &bench.key).unwrap();
    let bare = format!("{}.", good.rsplit_once('.').unwrap().0);
    assert_eq!(
        bench.verify(&bare).unwrap_err(),
        TokenError::SignatureInvalid
    );
}

#[test]
fn the_public_key_is_not_an_hmac_secret() {
    let bench = Bench::new();
    let jwk = serde_json::to_string(&bench.key.public()).unwrap();
    let header = with(&bench.header, json!({"alg": "HS256"}));
    for secret in [jwk.as_bytes(), b""] {
        let token = forge_hs256(&header, &bench.claims, secret);
        assert_eq!(
            bench.verify(&token).unwrap_err().code(),
            "token-algorithm-refused"
        );
        // The MAC under a header that says ES256.
        let (message, mac) = token.rsplit_once('.').unwrap();
        let renamed = unsigned(&bench.header.to_string(), &bench.claims.to_string());
        assert!(bench.verify(&format!("{renamed}.{mac}")).is_err());
        assert!(bench.verify(&format!("{message}.")).is_err());
    }
    for alg in ["HS384", "RS256", "PS256", "ES384", "EdDSA", "es256"] {
        assert_eq!(
            bench.header_refusal(json!({"alg": alg})).code(),
            "token-algorithm-refused"
        );
    }
}

#[test]
fn a_header_cannot_bring_or_name_a_key() {
    let bench = Bench::new();
    let attacker = signing_key();
    let header = with(
        &bench.header,
        json!({"jwk": attacker.public(), "kid": attacker.kid()}),
    );
    let token = forge(&header, &bench.claims, &attacker);
    assert_eq!(
        bench.verify(&token).unwrap_err(),
        TokenError::HeaderRefused { name: "jwk" }
    );
    for (name, value) in [
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("jwk", Value::Bool(false)),
    ] {
        assert_eq!(
            bench.header_refusal(json!({ name: value })),
            TokenError::HeaderRefused { name }
        );
    }
    assert_eq!(
        bench.header_refusal(json!({"x5t": "AA"})),
        TokenError::HeaderRefused { name: "other" }
    );
    // Present, though null.
    let text = bench.header.to_string().replacen('{', r#"{"jwk":null,"#, 1);
    let token = forge_text(&text, &bench.claims.to_string(), &bench.key);
    assert_eq!(
        bench.verify(&token).unwrap_err(),
        TokenError::HeaderRefused { name: "jwk" }
    );
}

#[test]
fn a_member_cannot_be_said_twice() {
    let bench = Bench::new();
    let (header, body) = (bench.header.to_string(), bench.claims.to_string());
    for twice in [r#"{"alg":"none","#, r#"{"typ":"JWT","#, r#"{"kid":"x","#] {
        let token = forge_text(&header.replacen('{', twice, 1), &body, &bench.key);
        assert_eq!(
            bench.verify(&token).unwrap_err(),
            TokenError::Malformed { part: "header" }
        );
    }
    for twice in [
        r#"{"sub":"root","#,
        r#"{"aud":"x","#,
        r#"{"exp":1,"#,
        r#"{"remit_org":"x","#,
    ] {
        let token = forge_text(&header, &body.replacen('{', twice, 1), &bench.key);
        assert_eq!(
            bench.verify(&token).unwrap_err(),
            TokenError::Malformed { part: "claims" }
        );
    }
}

#[test]
fn another_kind_of_token_is_refused() {
    let bench = Bench::new();
    for typ in [
        "JWT",
        "remit-delegation+jwt",
        "dpop+jwt",
        "at+jwt ",
        "text/at+jwt",
        "",
    ] {
        assert_eq!(
            bench.header_refusal(json!({"typ": typ})).code(),
            "token-type-refused",
            "{typ}"
        );
    }
    assert_eq!(
        bench.header_refusal(json!({"typ": null})).code(),
        "token-type-refused"
    );
    for typ in ["application/at+jwt", "AT+JWT"] {
        let header = with(&bench.header, json!({"typ": typ}));
        assert!(
            bench
                .verify(&forge(&header, &bench.claims, &bench.key))
                .is_ok(),
            "{typ}"
        );
    }
}

#[test]
fn the_key_must_be_named_and_trusted() {
    let bench = Bench::new();
    assert_eq!(
        bench.header_refusal(json!({"kid": null})),
        TokenError::KeyIdMissing
    );
    assert_eq!(
        bench.header_refusal(json!({"kid": "../../dev/null"})),
        TokenError::KeyUnknown
    );
    assert_eq!(
        bench.header_refusal(json!({"kid": 7})).code(),
        "token-malformed"
    );
    assert_eq!(
        bench.header_refusal(json!({"kid": "k".repeat(300)})).code(),
        "token-malformed"
    );
    // Another key under a trusted name.
    let token = forge(&bench.header, &bench.claims, &signing_key());
    assert_eq!(
        bench.verify(&token).unwrap_err(),
        TokenError::SignatureInvalid
    );
}

#[test]
fn issuer_and_audience_are_compared_byte_for_byte() {
    let bench = Bench::new();
    for iss in [
        "https://remit.example/",
        "https://remit.example/t/other",
        "HTTPS://remit.example",
    ] {
        assert_eq!(
            bench.claims_refusal(json!({"iss": iss})),
            TokenError::IssuerWrong,
            "{iss}"
        );
    }
    for aud in [
        json!("https://remit.example/mcp/"),
        json!("https://remit.example"),
        json!(["a", "b"]),
    ] {
        assert_eq!(
            bench.claims_refusal(json!({"aud": aud})),
            TokenError::AudienceWrong,
            "{aud}"
        );
    }
    assert_eq!(
        bench.claims_refusal(json!({"aud": []})).code(),
        "token-malformed"
    );
    let many = with(
        &bench.claims,
        json!({"aud": ["https://other.example", RESOURCE]}),
    );
    assert!(
        bench
            .verify(&forge(&bench.header, &many, &bench.key))
            .is_ok()
    );
}

#[test]
fn time_is_checked_with_the_leeway() {
    let bench = Bench::new();
    let ok = |changes: Value| {
        bench
            .verify(&forge(
                &bench.header,
                &with(&bench.claims, changes),
                &bench.key,
            ))
            .is_ok()
    };
    assert!(ok(json!({"iat": NOW - 300, "exp": NOW - 4})));
    assert_eq!(
        bench.claims_refusal(json!({"iat": NOW - 300, "exp": NOW - 5})),
        TokenError::Expired
    );
    assert!(ok(json!({"iat": NOW + 5})));
    assert_eq!(
        bench.claims_refusal(json!({"iat": NOW + 6})),
        TokenError::NotYetValid
    );
    assert_eq!(
        bench.claims_refusal(json!({"exp": NOW + 3601})).code(),
        "token-lifetime-too-long"
    );
    assert_eq!(
        bench.claims_refusal(json!({"exp": i64::MAX})).code(),
        "token-lifetime-too-long"
    );
    // The span counts, not only what is left of it.
    let old = json!({"iat": NOW - 90_000, "exp": NOW + 60});
    assert_eq!(bench.claims_refusal(old).code(), "token-lifetime-too-long");
    for exp in [json!(null), json!("9999999999"), json!(1e300), json!(-1)] {
        assert!(!ok(json!({"exp": exp})), "{exp}");
    }
    assert_eq!(
        bench.claims_refusal(json!({"iat": null})).code(),
        "token-malformed"
    );
}

#[test]
fn a_chain_has_a_greatest_depth() {
    let bench = Bench::new();
    let chain = |depth: usize| {
        (1..depth).fold(Actor::new("agt_0"), |prior, n| {
            Actor::new(format!("agt_{n}")).after(Some(prior))
        })
    };
    let deepest = AccessTokenClaims {
        act: Some(chain(ACT_DEPTH_MAX)),
        ..claims()
    };
    assert!(bench.verify(&sign(&deepest, &bench.key).unwrap()).is_ok());
    let too_deep = chain(ACT_DEPTH_MAX + 1);
    let refusal = TokenError::ActorChainTooDeep { max: ACT_DEPTH_MAX };
    assert_eq!(bench.claims_refusal(json!({"act": too_deep})), refusal);
    let too_deep = AccessTokenClaims {
        act: Some(too_deep),
        ..claims()
    };
    assert_eq!(sign(&too_deep, &bench.key).unwrap_err(), refusal);
    // Deep enough to hurt a recursive reader.
    let bomb = format!("{}1{}", r#"{"sub":"a","act":"#.repeat(400), "}".repeat(400));
    let bare = with(&bench.claims, json!({"act": null})).to_string();
    let text = bare.replacen('{', &format!(r#"{{"act":{bomb},"#), 1);
    let token = forge_text(&bench.header.to_string(), &text, &bench.key);
    let refusal = TokenError::Malformed { part: "claims" };
    assert_eq!(bench.verify(&token).unwrap_err(), refusal);
}

#[test]
fn claims_have_limits_on_both_sides() {
    let bench = Bench::new();
    for (name, value) in [
        ("jti", json!("")),
        ("jti", json!("x".repeat(129))),
        ("sub", json!("x".repeat(2049))),
        ("sub", json!("a\nb")),
        ("txn", json!("")),
        ("remit_run", json!("")),
        ("remit_delegations", json!(vec!["d"; 11])),
        ("may_act", json!({"sub": ""})),
        ("act", json!({"sub": ""})),
    ] {
        assert_eq!(
            bench.claims_refusal(json!({ name: value })).code(),
            "token-claim-invalid",
            "{name}"
        );
    }
    for name in [
        "sub",
        "jti",
        "client_id",
        "remit_org",
        "remit_agent",
        "remit_workflow",
        "remit_run",
    ] {
        assert_eq!(
            bench.claims_refusal(json!({ name: null })).code(),
            "token-malformed",
            "{name}"
        );
    }
    assert_eq!(
        bench
            .claims_refusal(json!({"cnf": {"jkt": "short"}}))
            .code(),
        "token-malformed"
    );

    let no_run = AccessTokenClaims {
        run: String::new(),
        ..claims()
    };
    assert_eq!(
        sign(&no_run, &bench.key).unwrap_err().code(),
        "token-claim-invalid"
    );
    let two: Audience = serde_json::from_value(json!(["a", "b"])).unwrap();
    let two = AccessTokenClaims {
        aud: two,
        ..claims()
    };
    assert_eq!(
        sign(&two, &bench.key).unwrap_err().code(),
        "token-claim-invalid"
    );
    let endless = AccessTokenClaims {
        exp: NOW + ACCESS_TOKEN_TTL_S_MAX + 1,
        ..claims()
    };
    assert_eq!(
        sign(&endless, &bench.key).unwrap_err().code(),
        "token-lifetime-too-long"
    );
}

#[test]
fn a_large_token_is_not_looked_at() {
    let bench = Bench::new();
    let padded = with(&bench.claims, json!({"pad": "x".repeat(TOKEN_BYTES_MAX)}));
    let refusal = TokenError::TooLarge {
        max: TOKEN_BYTES_MAX,
    };
    assert_eq!(
        bench
            .verify(&forge(&bench.header, &padded, &bench.key))
            .unwrap_err(),
        refusal
    );
    let header = with(&bench.header, json!({"kid": "x".repeat(4000)}));
    let token = forge(&header, &bench.claims, &bench.key);
    assert_eq!(
        bench.verify(&token).unwrap_err(),
        TokenError::Malformed { part: "header" }
    );
}

#[test]
fn text_that_is_no_jwt_is_refused() {
    let bench = Bench::new();
    let good = sign(&claims(), &bench.key).unwrap();
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d.e",
        "é.é.é",
        &format!("{good}.x"),
        &format!("{good}="),
    ] {
        assert_eq!(
            bench.verify(bad).unwrap_err().code(),
            "token-malformed",
            "{bad:?}"
        );
    }
    let pat = crate::OpaqueSecret::new(crate::SecretKind::PersonalToken, [7; 32]).format();
    assert_eq!(bench.verify(&pat).unwrap_err(), TokenError::OpaqueSecret);
}

#[test]
fn every_code_is_kebab_case_and_used_once() {
    let all = [
        TokenError::TooLarge { max: 1 },
        TokenError::Malformed { part: "shape" },
        TokenError::OpaqueSecret,
        TokenError::AlgorithmRefused { accepted: "ES256" },
        TokenError::HeaderRefused { name: "jwk" },
        TokenError::TypeRefused { expected: "at+jwt" },
        TokenError::KeyIdMissing,
        TokenError::KeyUnknown,
        TokenError::SignatureInvalid,
        TokenError::IssuerWrong,
        TokenError::AudienceWrong,
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::LifetimeTooLong { max_s: 1 },
        TokenError::ActorChainTooDeep { max: 1 },
        TokenError::ClientMismatch,
        TokenError::ClaimInvalid {
            name: "sub",
            problem: "empty",
        },
        TokenError::SigningFailed,
    ];
    let mut codes: Vec<_> = all.iter().map(TokenError::code).collect();
    assert!(
        codes
            .iter()
            .all(|c| c.starts_with("token-")
                && c.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
    );
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all.len());
}

proptest! {
    #[test]
    fn no_flipped_bit_passes(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let bench = Bench::new();
        let mut bytes = sign(&claims(), &bench.key).unwrap().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(token) = String::from_utf8(bytes) {
            prop_assert!(bench.verify(&token).is_err());
        }
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "\\PC{0,200}") {
        prop_assert!(Bench::new().verify(&text).is_err());
    }

    #[test]
    fn any_header_and_claims_are_refused_without_a_panic(header in "\\PC{0,60}", body in "\\PC{0,60}") {
        let bench = Bench::new();
        prop_assert!(bench.verify(&forge_text(&header, &body, &bench.key)).is_err());
    }
}
