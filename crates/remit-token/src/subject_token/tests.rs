use serde_json::{Value, json};

use super::*;
use crate::test_support::{NOW, forge, forge_hs256, parts, signing_key, unsigned, with};

const ISSUER: &str = "https://remit.example";

fn claims() -> DelegationClaims {
    DelegationClaims {
        iss: ISSUER.into(),
        sub: "per_maria".into(),
        aud: ISSUER.into(),
        exp: NOW + 300,
        iat: NOW,
        jti: "sub_1".into(),
        may_act: MayAct {
            sub: "agt_triage".into(),
            workflow: Some("refund".into()),
        },
        act: None,
        org: "org_acme".into(),
        delegation: "dlg_1".into(),
        run: None,
    }
}

fn check(token: &str, key: &SigningKey) -> Result<DelegationClaims, TokenError> {
    let expect = Expect {
        issuer: ISSUER,
        audiences: &[ISSUER],
        now: NOW,
        leeway_s: 5,
    };
    verify(
        token,
        |kid| (kid == key.kid().as_str()).then(|| key.public()),
        &expect,
    )
}

/// The code with which a well-signed token is refused.
fn refusal(header: Value, changes: Value) -> &'static str {
    let key = signing_key();
    let (good_header, good_claims) = parts(&sign(&claims(), &key).unwrap());
    let token = forge(
        &with(&good_header, header),
        &with(&good_claims, changes),
        &key,
    );
    check(&token, &key).unwrap_err().code()
}

#[test]
fn what_is_signed_is_verified() {
    let key = signing_key();
    let token = sign(&claims(), &key).unwrap();
    assert_eq!(check(&token, &key).unwrap(), claims());
    let (header, body) = parts(&token);
    assert_eq!(header["typ"], "remit-delegation+jwt");
    assert_eq!(
        body["may_act"],
        json!({"sub": "agt_triage", "remit_workflow": "refund"})
    );
    let nested = DelegationClaims {
        act: Some(Actor::new("agt_parent")),
        run: Some("run_1".into()),
        ..claims()
    };
    assert_eq!(check(&sign(&nested, &key).unwrap(), &key).unwrap(), nested);
}

#[test]
fn a_personal_token_is_never_a_subject_token() {
    let key = signing_key();
    for kind in [
        crate::SecretKind::PersonalToken,
        crate::SecretKind::AdminBootstrap,
    ] {
        let text = crate::OpaqueSecret::new(kind, [7; 32]).format();
        assert_eq!(check(&text, &key).unwrap_err(), TokenError::OpaqueSecret);
    }
}

#[test]
fn another_kind_of_token_is_refused() {
    for typ in [
        json!("at+jwt"),
        json!("JWT"),
        json!("client-authentication+jwt"),
        json!(null),
    ] {
        assert_eq!(
            refusal(json!({"typ": typ}), json!({})),
            "token-type-refused"
        );
    }
}

#[test]
fn it_must_name_one_agent_and_one_workflow() {
    assert_eq!(
        refusal(json!({}), json!({"may_act": null})),
        "token-malformed"
    );
    assert_eq!(
        refusal(json!({}), json!({"may_act": {"sub": "agt_triage"}})),
        "token-claim-invalid"
    );
    let unnamed = MayAct {
        sub: "agt_triage".into(),
        workflow: None,
    };
    let unnamed = DelegationClaims {
        may_act: unnamed,
        ..claims()
    };
    assert_eq!(
        sign(&unnamed, &signing_key()).unwrap_err().code(),
        "token-claim-invalid"
    );
}

#[test]
fn it_is_for_the_token_endpoint_of_its_issuer_only() {
    assert_eq!(
        refusal(json!({}), json!({"aud": "https://remit.example/mcp"})),
        "token-audience-wrong"
    );
    // Several audiences would let one of them use it at another.
    assert_eq!(
        refusal(json!({}), json!({"aud": [ISSUER, "x"]})),
        "token-malformed"
    );
    assert_eq!(
        refusal(json!({}), json!({"iss": "https://evil.example"})),
        "token-issuer-wrong"
    );
}

#[test]
fn it_lives_five_minutes_at_most() {
    assert_eq!(
        refusal(json!({}), json!({"exp": NOW + 301})),
        "token-lifetime-too-long"
    );
    assert_eq!(
        refusal(json!({}), json!({"exp": NOW - 5, "iat": NOW - 300})),
        "token-expired"
    );
    assert_eq!(
        refusal(json!({}), json!({"iat": NOW + 6})),
        "token-not-yet-valid"
    );
    let long = DelegationClaims {
        exp: NOW + 301,
        ..claims()
    };
    assert_eq!(
        sign(&long, &signing_key()).unwrap_err().code(),
        "token-lifetime-too-long"
    );
    let backwards = DelegationClaims {
        exp: NOW,
        ..claims()
    };
    assert_eq!(
        sign(&backwards, &signing_key()).unwrap_err().code(),
        "token-claim-invalid"
    );
}

#[test]
fn the_usual_forgeries_are_refused() {
    let key = signing_key();
    let attacker = signing_key();
    let (header, body) = parts(&sign(&claims(), &key).unwrap());
    let none = unsigned(
        &with(&header, json!({"alg": "none"})).to_string(),
        &body.to_string(),
    );
    assert_eq!(
        check(&format!("{none}."), &key).unwrap_err().code(),
        "token-algorithm-refused"
    );
    let jwk = serde_json::to_vec(&key.public()).unwrap();
    let mac = forge_hs256(&with(&header, json!({"alg": "HS256"})), &body, &jwk);
    assert_eq!(
        check(&mac, &key).unwrap_err().code(),
        "token-algorithm-refused"
    );
    let embedded = forge(
        &with(&header, json!({"jwk": attacker.public()})),
        &body,
        &attacker,
    );
    assert_eq!(
        check(&embedded, &key).unwrap_err().code(),
        "token-header-refused"
    );
    assert_eq!(
        check(&forge(&header, &body, &attacker), &key).unwrap_err(),
        TokenError::SignatureInvalid
    );
    let nameless = forge(&with(&header, json!({"kid": null})), &body, &key);
    assert_eq!(
        check(&nameless, &key).unwrap_err(),
        TokenError::KeyIdMissing
    );
    let unknown = forge(&with(&header, json!({"kid": attacker.kid()})), &body, &key);
    assert_eq!(check(&unknown, &key).unwrap_err(), TokenError::KeyUnknown);
}

#[test]
fn an_access_token_verifier_refuses_it() {
    let key = signing_key();
    let token = sign(&claims(), &key).unwrap();
    let expect = Expect {
        issuer: ISSUER,
        audiences: &[ISSUER],
        now: NOW,
        leeway_s: 5,
    };
    let result = crate::access_token::verify(&token, |_| Some(key.public()), &expect);
    assert_eq!(result.unwrap_err().code(), "token-type-refused");
}
