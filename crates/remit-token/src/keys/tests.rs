use super::weak::first_byte;
use super::*;
use crate::test_support::{pkcs8_pem, signing_key};

/// RFC 7517 §A.1, the EC key.
const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig"}"#;
const EC_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A\n\
    iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\n\
    -----END PUBLIC KEY-----\n";
/// RFC 8037 §A.2.
const ED: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ED_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
    -----END PUBLIC KEY-----\n";

#[test]
fn thumbprint_matches_rfc_7638_section_3_1() {
    let canonical = concat!(
        r#"{"e":"AQAB","kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAt"#,
        "VT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h",
        "4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTW",
        r#"hAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#
    );
    assert_eq!(
        Thumbprint::of(canonical).as_str(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn thumbprints_match_rfc_8037_section_a_3_and_another_implementation() {
    let ed = PublicJwk::from_json(ED).unwrap();
    assert_eq!(
        ed.thumbprint().as_str(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    let ec = PublicJwk::from_json(EC).unwrap();
    assert_eq!(
        ec.thumbprint().as_str(),
        "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
    );
    for key in [ed, ec] {
        let theirs: jsonwebtoken::jwk::Jwk =
            serde_json::from_value(serde_json::to_value(key).unwrap()).unwrap();
        let theirs = theirs
            .thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256)
            .unwrap();
        assert_eq!(key.thumbprint().as_str(), theirs);
    }
}

#[test]
fn json_and_pem_are_the_same_key() {
    assert_eq!(
        PublicJwk::parse(EC).unwrap(),
        PublicJwk::parse(EC_PEM).unwrap()
    );
    assert_eq!(
        PublicJwk::parse(ED).unwrap(),
        PublicJwk::parse(ED_PEM).unwrap()
    );
    for text in [EC, ED] {
        let key = PublicJwk::parse(text).unwrap();
        let again: PublicJwk = serde_json::from_str(&serde_json::to_string(&key).unwrap()).unwrap();
        assert_eq!(key, again);
    }
}

#[test]
fn private_members_are_refused() {
    for member in PRIVATE_MEMBERS {
        let text = EC.replace("\"use\":\"sig\"", &format!("\"{member}\":\"AAAA\""));
        assert_eq!(
            PublicJwk::from_json(&text),
            Err(KeyError::Private),
            "{member}"
        );
    }
    assert_eq!(PublicJwk::from_pem(&pkcs8_pem()), Err(KeyError::Private));
    // A private key beside a public one is just as exposed.
    assert_eq!(
        PublicJwk::from_pem(&format!("{EC_PEM}{}", pkcs8_pem())),
        Err(KeyError::Private)
    );
}

#[test]
fn other_key_types_are_refused() {
    for text in [
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
        r#"{"kty":"oct"}"#,
        r#"{"kty":"EC","crv":"P-384","x":"","y":""}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#"{"kty":"AKP"}"#,
    ] {
        assert_eq!(
            PublicJwk::from_json(text),
            Err(KeyError::Unsupported),
            "{text}"
        );
    }
    // P-384, and secp256k1 whose points have the length of P-256.
    for pem in [
        "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEiUBX1ZkgGmH2zeiCy9bmULs5IAM6z3mV\n\
         aXobjnjPbUnQ8p+44zCzC73pP+SIlZn9nFlV9QU13e/ZaAYmADuZJNnooXvlBIpZ\n\
         ZgW+8IE7PXuhyUawuovKtB4iFWT7n6O8",
        "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEzUvpP6xsok60Ah6fUBmZqnWFLVKxq8/E\n\
         sWIIMzhJkDpqp43iS0dEOirRMvbRv90V8YNvQlIA80YlQlR05/A+lg==",
    ] {
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
        assert_eq!(PublicJwk::from_pem(&pem), Err(KeyError::Unsupported));
    }
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let off = EC.replace("4Etl6SRW2YiL", "4Etl6SRW2YiM");
    assert_eq!(PublicJwk::from_json(&off), Err(KeyError::InvalidPoint));
    let zero = "A".repeat(43);
    let zero = format!(r#"{{"kty":"EC","crv":"P-256","x":"{zero}","y":"{zero}"}}"#);
    assert_eq!(PublicJwk::from_json(&zero), Err(KeyError::InvalidPoint));
}

#[test]
fn ed25519_keys_under_which_anybody_can_sign_are_refused() {
    let mut weak = vec![[0; 32], first_byte(1, 0, 0), first_byte(0xec, 0xff, 0x7f)];
    // y = p and y = p + 1: second encodings of 0 and 1.
    weak.extend([first_byte(0xed, 0xff, 0x7f), first_byte(0xee, 0xff, 0x7f)]);
    for mut x in weak {
        for sign in [0, 0x80] {
            x[31] |= sign;
            let text = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, b64(&x));
            assert_eq!(
                PublicJwk::from_json(&text),
                Err(KeyError::InvalidPoint),
                "{x:02x?}"
            );
        }
    }
}

#[test]
fn ambiguous_or_misused_keys_are_refused() {
    let twice = EC.replace("\"use\":\"sig\"", "\"kty\":\"EC\"");
    assert_eq!(PublicJwk::from_json(&twice), Err(KeyError::Malformed));
    let encryption = EC.replace("\"use\":\"sig\"", "\"use\":\"enc\"");
    assert_eq!(PublicJwk::from_json(&encryption), Err(KeyError::WrongUse));
    for alg in ["HS256", "none", "ES384", "EdDSA"] {
        let other = EC.replace("\"use\":\"sig\"", &format!("\"alg\":\"{alg}\""));
        assert_eq!(
            PublicJwk::from_json(&other),
            Err(KeyError::WrongUse),
            "{alg}"
        );
    }
    let padded = EC.replace("4IFyM\"", "4IFyM=\"");
    assert_eq!(PublicJwk::from_json(&padded), Err(KeyError::Malformed));
    // The last character has two unused bits; a second spelling of the key would be a second name for it.
    let spelling = EC.replace("4IFyM\"", "4IFyN\"");
    assert_eq!(PublicJwk::from_json(&spelling), Err(KeyError::Malformed));
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(JWK_BYTES_MAX));
    assert_eq!(PublicJwk::from_json(&large), Err(KeyError::TooLarge));
    for text in ["", "[]", "null", "{", "{}", "-----BEGIN PUBLIC KEY-----"] {
        assert_eq!(PublicJwk::parse(text), Err(KeyError::Malformed), "{text:?}");
    }
}

#[test]
fn a_signing_key_shows_only_its_name() {
    let key = signing_key();
    let shown = format!("{key:?}");
    assert_eq!(
        shown,
        format!(
            "SigningKey {{ kid: Thumbprint({:?}), .. }}",
            key.kid().as_str()
        )
    );
    assert_eq!(key.kid(), &key.public().thumbprint());
}

#[test]
fn a_signing_key_is_only_p256() {
    assert!(SigningKey::from_pkcs8_pem(&pkcs8_pem()).is_ok());
    assert_eq!(
        SigningKey::from_pkcs8(&[]).unwrap_err(),
        KeyError::PrivateKeyUnreadable
    );
    assert_eq!(
        SigningKey::from_pkcs8_pem(EC_PEM).unwrap_err(),
        KeyError::PrivateKeyUnreadable
    );
    let ed = aws_lc_rs::signature::Ed25519KeyPair::generate()
        .unwrap()
        .to_pkcs8()
        .unwrap();
    assert_eq!(
        SigningKey::from_pkcs8(ed.as_ref()).unwrap_err(),
        KeyError::PrivateKeyUnreadable
    );
}

#[test]
fn a_key_set_is_published_with_use_alg_and_kid() {
    let set = Jwks::new([
        PublicJwk::parse(EC_PEM).unwrap(),
        PublicJwk::parse(ED).unwrap(),
    ])
    .unwrap();
    let json = serde_json::to_value(&set).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"keys": [
            {"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
             "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "use": "sig", "alg": "ES256",
             "kid": "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
             "use": "sig", "alg": "EdDSA", "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
        ]})
    );
    assert_eq!(Jwks::from_json(&json.to_string()).unwrap(), set);
    assert!(
        set.find("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
            .is_some()
    );
    assert!(set.find("").is_none());
}

#[test]
fn a_key_set_with_an_unusable_key_is_refused_whole() {
    let mixed = format!(r#"{{"keys":[{ED},{{"kty":"oct","k":"AAAA"}}]}}"#);
    assert_eq!(Jwks::from_json(&mixed), Err(KeyError::Private));
    let many = format!(r#"{{"keys":[{}]}}"#, vec![ED; 33].join(","));
    assert_eq!(Jwks::from_json(&many), Err(KeyError::TooManyKeys));
}
