use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refused(text: &str) -> JsonError {
    read(text.as_bytes()).expect_err("must be refused")
}

#[test]
fn ordinary_json_reads_as_serde_json_reads_it() {
    for text in [
        "null",
        "true",
        "[]",
        "{}",
        r#""\ud83d\ude00""#,
        "1.5",
        "-0",
        "18446744073709551615",
        "1e3",
        r#"{"a":[1,{"b":null}],"c":"\u0000"}"#,
    ] {
        let plain: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(text.as_bytes()).unwrap(), plain, "{text}");
    }
}

#[test]
fn numbers_stay_numbers_under_the_workspace_features() {
    // With `arbitrary_precision` switched on by another crate, numbers would arrive as maps here.
    assert!(read(b"1.5").unwrap().is_f64());
}

#[test]
fn duplicate_keys_are_refused_at_any_depth() {
    for (text, at) in [
        (r#"{"a":1,"a":1}"#, "/a"),
        (r#"{"x":[0,{"p/q":{"k":1,"\u006b":2}}]}"#, "/x/1/p~1q/k"),
        (r#"{"":0,"":0}"#, "/"),
    ] {
        match refused(text) {
            JsonError::DuplicateKey { pointer } => assert_eq!(pointer, at),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn unpaired_surrogates_are_refused() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800x""#,
        r#""\ud800\ud800""#,
        r#"{"\udfff":1}"#,
    ] {
        assert!(
            matches!(refused(text), JsonError::UnpairedSurrogate { .. }),
            "{text}"
        );
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    assert!(matches!(
        read(b"\"\xff\""),
        Err(JsonError::NotUtf8 { at: 1 })
    ));
    // CESU-8 form of a surrogate.
    assert!(matches!(
        read(b"\"\xed\xa0\x80\""),
        Err(JsonError::NotUtf8 { .. })
    ));
}

#[test]
fn nesting_is_bounded() {
    let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(read(nest(64).as_bytes()).is_ok());
    assert!(matches!(refused(&nest(65)), JsonError::TooDeep));
    assert!(matches!(refused(&nest(1000)), JsonError::TooDeep));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
    assert!(matches!(refused(&objects), JsonError::TooDeep));
    assert!(matches!(refused(&"[".repeat(500_000)), JsonError::TooDeep));
}

#[test]
fn size_and_count_are_bounded() {
    let big = format!("\"{}\"", "a".repeat(10_000_000));
    assert!(matches!(refused(&big), JsonError::TooLarge { .. }));
    let many = format!("[{}0]", "0,".repeat(300_000));
    assert!(matches!(refused(&many), JsonError::TooManyValues));
}

#[test]
fn numbers_beyond_a_double_are_refused() {
    assert!(matches!(
        refused("[1e400]"),
        JsonError::NumberOutOfRange { .. }
    ));
    assert!(matches!(
        refused("-1e400"),
        JsonError::NumberOutOfRange { .. }
    ));
}

#[test]
fn text_after_the_value_and_loose_syntax_are_refused() {
    for text in [
        "{} {}",
        "[1,]",
        "{a:1}",
        "NaN",
        "01",
        "'a'",
        "\u{FEFF}{}",
        "",
        "// x\n1",
    ] {
        assert!(matches!(refused(text), JsonError::Syntax { .. }), "{text}");
    }
}

#[test]
fn keys_that_would_change_a_second_reading_are_refused() {
    let text = r#"{"a":{"$serde_json::private::RawValue":"{\"b\":1}"}}"#;
    assert!(matches!(refused(text), JsonError::ReservedKey { .. }));
}

#[test]
fn a_pointer_in_an_error_cannot_break_the_line() {
    let JsonError::DuplicateKey { pointer } = refused("{\"a\\n\\u202e\":1,\"a\\n\\u202e\":1}")
    else {
        panic!()
    };
    assert_eq!(pointer, "/a  ");
    let long = "k".repeat(5000);
    let JsonError::DuplicateKey { pointer } = refused(&format!(r#"{{"{long}":1,"{long}":1}}"#))
    else {
        panic!()
    };
    assert_eq!(pointer.chars().count(), POINTER_CHARS_MAX);
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(|f| json!(f)),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_json()) {
        prop_assert_eq!(read(value.to_string().as_bytes()).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }
}
