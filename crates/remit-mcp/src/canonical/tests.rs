use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::json::read;

fn args(text: &str) -> CanonicalArgs {
    CanonicalArgs::parse(text.as_bytes()).unwrap()
}

fn refused(text: &str) -> CanonicalError {
    CanonicalArgs::parse(text.as_bytes()).expect_err("must be refused")
}

#[test]
fn order_spacing_escapes_and_number_spelling_do_not_matter() {
    let one = args(r#"{"b":1.0,"a":{"y":"\u0041","x":[-0,1e3,0.50]}}"#);
    let two = args(r#" { "a" : { "x" : [0, 1000, 5e-1], "y" : "A" } , "b" : 1 } "#);
    assert_eq!(one, two);
    assert_eq!(one.text(), r#"{"a":{"x":[0,1000,0.5],"y":"A"},"b":1}"#);
    assert_eq!(one.digest(), Sha256Digest::of(one.text().as_bytes()));
}

#[test]
fn a_known_digest_holds() {
    // printf '{"amount":12.5}' | sha256sum
    let known = "7840c558cd693a3ac4bb33f58e0a838bbe1afebc5023e1e773a0ed9ca1ac31ac";
    assert_eq!(args(r#"{"amount":12.50}"#).digest().to_string(), known);
}

#[test]
fn integers_outside_the_safe_range_are_refused() {
    for n in [
        "9007199254740992",
        "9007199254740993",
        "-9007199254740992",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
        "9007199254740993.0",
        "-1e16",
    ] {
        match refused(&format!(r#"{{"a":[0,{n}]}}"#)) {
            CanonicalError::IntegerOutOfRange { pointer } => assert_eq!(pointer, "/a/1", "{n}"),
            other => panic!("{n}: {other}"),
        }
    }
    assert_eq!(
        args(r#"{"a":9007199254740991,"b":-9007199254740991}"#).value()["a"],
        json!(9_007_199_254_740_991_i64)
    );
}

#[test]
fn decimals_are_exact_or_refused() {
    for n in [
        "0.12345",
        "1e-5",
        "-3.00001",
        "4.9e-324",
        "0.30000000000000004",
    ] {
        assert!(
            matches!(
                refused(&format!(r#"{{"a":{n}}}"#)),
                CanonicalError::DecimalTooPrecise { .. }
            ),
            "{n}"
        );
    }
    for n in ["549755813888.5", "-900719925474.0991", "4503599627370495.5"] {
        assert!(
            matches!(
                refused(&format!(r#"{{"a":{n}}}"#)),
                CanonicalError::DecimalOutOfRange { .. }
            ),
            "{n}"
        );
    }
    assert!(matches!(
        refused(r#"{"a":1e400}"#),
        CanonicalError::Json(JsonError::NumberOutOfRange { .. })
    ));
    assert_eq!(args(r#"{"a":0.10000000000000001}"#).text(), r#"{"a":0.1}"#);
    assert_eq!(args(r#"{"a":-0.0,"b":1e-400}"#).text(), r#"{"a":0,"b":0}"#);
}

#[test]
fn decimal_units_are_exact() {
    let units = |text: &str| decimal_units(args(text).value()["a"].as_number().unwrap());
    assert_eq!(units(r#"{"a":0.1}"#), Some(1000));
    assert_eq!(units(r#"{"a":-12.3456}"#), Some(-123_456));
    assert_eq!(
        units(r#"{"a":549755813887.9999}"#),
        Some(5_497_558_138_879_999)
    );
    assert_eq!(
        units(r#"{"a":922337203685477}"#),
        Some(9_223_372_036_854_770_000)
    );
    assert_eq!(units(r#"{"a":922337203685478}"#), None);
}

#[test]
fn attacks_on_the_reading_are_refused_with_their_place() {
    assert!(matches!(
        refused(r#"{"to":{"card":"1","c\u0061rd":"2"}}"#),
        CanonicalError::Json(JsonError::DuplicateKey { pointer }) if pointer == "/to/card"
    ));
    assert!(matches!(
        refused(r#"{"a":"\ud800"}"#),
        CanonicalError::Json(JsonError::UnpairedSurrogate { .. })
    ));
    assert!(matches!(
        refused(r#"{"to":{"am\u202eount":1}}"#),
        CanonicalError::HiddenCharacter { code: 0x202e, .. }
    ));
    assert!(matches!(
        refused("{\"amount\u{200b}\":1}"),
        CanonicalError::HiddenCharacter { code: 0x200b, .. }
    ));
    let huge = format!(r#"{{"a":"{}"}}"#, "x".repeat(10_000_000));
    assert!(matches!(
        refused(&huge),
        CanonicalError::Json(JsonError::TooLarge { .. })
    ));
    let deep = format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
    assert!(matches!(
        refused(&deep),
        CanonicalError::Json(JsonError::TooDeep)
    ));
    assert!(matches!(refused("[]"), CanonicalError::NotAnObject));
    // Escaped controls grow when written out; the text that is sent is bounded too.
    let grows = format!("{{\"a\":\"{}\"}}", "\\b".repeat(520_000));
    assert!(CanonicalArgs::parse(grows.as_bytes()).is_ok());
}

#[test]
fn a_value_built_deeper_than_the_limit_is_refused() {
    let mut value = json!(1);
    for _ in 0..64 {
        value = json!({ "a": value });
    }
    assert!(CanonicalArgs::from_value(value.clone()).is_ok());
    assert!(matches!(
        CanonicalArgs::from_value(json!({ "a": value })),
        Err(CanonicalError::TooDeep)
    ));
}

#[test]
fn values_may_hold_what_keys_may_not_and_forms_stay_apart() {
    let composed = args("{\"é\":\"👩\u{200d}💻\"}");
    let decomposed = args("{\"e\u{301}\":\"👩\u{200d}💻\"}");
    assert_ne!(composed.digest(), decomposed.digest());
}

fn canonical_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-INTEGER_MAX..=INTEGER_MAX).prop_map(|n| json!(n)),
        (-5_000_000_000_000_000_i64..=5_000_000_000_000_000)
            .prop_map(|units| json!(units as f64 / 10_000.0)),
        (-100_000_i64..=100_000).prop_map(|units| json!(units as f64 / 10_000.0)),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map("[a-zé~/]{0,6}", inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn canonical_object() -> impl Strategy<Value = JsonObject> {
    prop::collection::btree_map("[a-zé~/]{0,6}", canonical_json(), 0..6)
        .prop_map(|m| m.into_iter().collect())
}

proptest! {
    #[test]
    fn canonical_form_is_idempotent(object in canonical_object()) {
        let once = CanonicalArgs::from_object(object).unwrap();
        let twice = CanonicalArgs::parse(once.text().as_bytes()).unwrap();
        prop_assert_eq!(&once, &twice);
        prop_assert_eq!(read(once.text().as_bytes()).unwrap(), Value::Object(once.value().clone()));
    }

    #[test]
    fn the_value_written_plainly_is_its_canonical_text(object in canonical_object()) {
        // Independent of the JCS writer: within the accepted numbers and sorted keys both writers agree, apart
        // from keys whose UTF-16 order differs, which this alphabet has none of.
        let args = CanonicalArgs::from_object(object).unwrap();
        prop_assert_eq!(serde_json::to_string(args.value()).unwrap(), args.text());
    }

    #[test]
    fn every_decimal_of_four_digits_is_kept(units in -5_497_558_138_880_000_i64..=5_497_558_138_880_000) {
        let sign = if units < 0 { "-" } else { "" };
        let (whole, fraction) = (units.unsigned_abs() / 10_000, units.unsigned_abs() % 10_000);
        let args = args(&format!(r#"{{"a":{sign}{whole}.{fraction:04}}}"#));
        prop_assert_eq!(decimal_units(args.value()["a"].as_number().unwrap()), Some(units));
    }

    #[test]
    fn any_number_is_kept_or_refused(float in any::<f64>().prop_filter("finite", |f| f.is_finite())) {
        if let Ok(args) = CanonicalArgs::from_value(json!({ "a": float })) {
            prop_assert_eq!(args.value()["a"].as_f64().unwrap(), float);
        }
    }
}

/// Any JSON value: keys of every plane, numbers of every kind, strings with everything that is escaped.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1000i64..1000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1e25f64..1e25).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\x00-\\x7f]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let keys = prop_oneof![
            "[a-z_]{0,6}",
            any::<String>(),
            "[\\u{d7f0}-\\u{10ffff}]{0,3}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_quick_writer_writes_what_the_library_writes(value in any_json()) {
        prop_assert_eq!(jcs_value(&value).unwrap(), jcs(&value).unwrap());
        if let Value::Object(object) = &value {
            prop_assert_eq!(jcs_object(object).unwrap(), jcs(object).unwrap());
        }
    }
}

#[test]
fn members_are_ordered_by_utf16() {
    // U+E000 comes before U+10000 as code points and in UTF-8, and after its surrogates in UTF-16.
    let value = json!({ "\u{e000}": 1, "\u{10000}": 2, "a": 3 });
    let text = jcs_value(&value).unwrap();
    assert_eq!(text, "{\"a\":3,\"\u{10000}\":2,\"\u{e000}\":1}");
}
