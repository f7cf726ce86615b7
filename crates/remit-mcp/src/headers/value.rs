//! Header values: plain where that is safe, else `=?base64?…?=`.
//!
//! Source: MCP 2026-07-28 basic/transports/streamable-http "Value Encoding".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::limits::INTEGER_MAX;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// Text as a header value.
///
/// ```text
/// us-west1        -> us-west1
/// Hello, 世界      -> =?base64?SGVsbG8sIOS4lueVjA==?=
/// =?base64?x?=    -> =?base64?PT9iYXNlNjQ/eD89?=
/// ```
#[must_use]
pub fn encode_value(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.starts_with(PREFIX);
    if plain {
        text.to_owned()
    } else {
        format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(text))
    }
}

/// The text of a header value; `None` if the sentinel wraps anything but base64 of UTF-8.
#[must_use]
pub fn decode_value(raw: &str) -> Option<String> {
    match raw
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
    {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(raw.to_owned()),
    }
}

/// Header form of an argument; `None` for what cannot be mirrored.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a decoded header says the same as the argument. Integers are compared as numbers.
pub(super) fn says(sent: &str, value: &Value) -> bool {
    match value {
        Value::Number(number) => match (number.as_i64(), integer(sent)) {
            (Some(body), Some(header)) => body == header,
            _ => number.to_string() == sent,
        },
        other => as_text(other).is_some_and(|text| text == sent),
    }
}

/// Integer written as such or with a zero fraction, within the safe range.
fn integer(text: &str) -> Option<i64> {
    let digits = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|b| b == b'0') => {
            whole
        }
        Some(_) => return None,
        None => text,
    };
    let starts_with_digit = digits
        .strip_prefix('-')
        .unwrap_or(digits)
        .starts_with(|c: char| c.is_ascii_digit());
    digits
        .parse::<i64>()
        .ok()
        .filter(|n| starts_with_digit && n.unsigned_abs() <= INTEGER_MAX.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_the_specification_hold() {
        for (text, value) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encode_value(text), value);
            assert_eq!(decode_value(value).as_deref(), Some(text));
        }
    }

    #[test]
    fn wrong_sentinels_are_refused_or_literal() {
        for raw in ["=?base64?***?=", "=?base64?/w==?=", "=?base64?YQ?="] {
            assert_eq!(decode_value(raw), None, "{raw}");
        }
        for raw in ["=?BASE64?YQ==?=", "=?base64?YQ==", "x=?base64?YQ==?="] {
            assert_eq!(decode_value(raw).as_deref(), Some(raw));
        }
    }

    #[test]
    fn integers_compare_as_numbers_and_nothing_else_does() {
        assert!(says("42", &json!(42)) && says("42.0", &json!(42)) && says("-7.00", &json!(-7)));
        for sent in ["42.5", "+42", "4.2e1", "42.", "", "0x2a", "42 "] {
            assert!(!says(sent, &json!(42)), "{sent}");
        }
        assert!(!says("42.0", &json!("42")));
        assert!(says("true", &json!(true)) && !says("True", &json!(true)));
    }

    proptest! {
        #[test]
        fn any_text_survives_as_visible_ascii(text in any::<String>()) {
            let value = encode_value(&text);
            prop_assert!(value.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
            prop_assert_eq!(decode_value(&value), Some(text));
        }
    }
}
