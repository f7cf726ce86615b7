//! Security event tokens that we sign; what others sign is attacked in [`verify`].

mod verify;

use serde_json::json;

use super::*;
use crate::test_support::{parts, signing_key};

fn claims(subject: SubjectId) -> SetClaims {
    SetClaims {
        iss: "https://remit.example".to_owned(),
        iat: 1_764_000_000,
        jti: "sgs_1-7.0".to_owned(),
        aud: "https://soc.example".to_owned(),
        txn: None,
        sub_id: subject,
        events: BTreeMap::from([("https://schemas.example/e".to_owned(), json!({}))]),
    }
}

fn email(email: &str) -> SubjectId {
    SubjectId::Email {
        email: email.to_owned(),
    }
}

#[test]
fn an_event_is_signed_as_what_it_is_and_has_neither_sub_nor_exp() {
    let token = sign(&claims(email("maria@acme.example")), &signing_key()).unwrap();
    let (header, said) = parts(&token);
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!(TYP), &json!("ES256"))
    );
    assert!(said.get("sub").is_none() && said.get("exp").is_none());
    let subject = json!({ "format": "email", "email": "maria@acme.example" });
    assert_eq!(said["sub_id"], subject);
}

#[test]
fn subjects_are_written_as_the_standard_has_them() {
    let session = SubjectId::Complex(Box::new(Complex {
        user: Some(SubjectId::IssSub {
            iss: "https://remit.example".to_owned(),
            sub: "agt_1".to_owned(),
        }),
        session: Some(SubjectId::Opaque {
            id: "run_1".to_owned(),
        }),
        ..Complex::default()
    }));
    let wire = json!({
        "format": "complex",
        "user": { "format": "iss_sub", "iss": "https://remit.example", "sub": "agt_1" },
        "session": { "format": "opaque", "id": "run_1" },
    });
    assert_eq!(serde_json::to_value(&session).unwrap(), wire);
    assert_eq!(serde_json::from_value::<SubjectId>(wire).unwrap(), session);
}

#[test]
fn subjects_within_each_other_or_without_a_name_are_not_signed() {
    let key = signing_key();
    let aliases = |identifiers| SubjectId::Aliases { identifiers };
    let complex = |user| {
        SubjectId::Complex(Box::new(Complex {
            user: Some(user),
            ..Complex::default()
        }))
    };
    for wrong in [
        email(""),
        email(&"a".repeat(3_000)),
        email("a\nb@acme.example"),
        aliases(Vec::new()),
        aliases(vec![aliases(vec![email("a@b.example")])]),
        complex(complex(email("a@b.example"))),
        aliases(vec![email("a@b.example"); 17]),
    ] {
        assert!(sign(&claims(wrong.clone()), &key).is_err(), "{wrong:?}");
    }
    let mut two = claims(email("a@b.example"));
    two.events
        .insert("https://schemas.example/f".to_owned(), json!({}));
    assert!(sign(&two, &key).is_err());
}
