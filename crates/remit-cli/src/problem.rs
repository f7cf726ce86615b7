//! Problem documents of the server (RFC 9457).

use serde_json::Value;

use crate::exit::Refused;
use crate::value::text;

/// Longest line of a fault that is shown, in characters.
const LINE_CHARS_MAX: usize = 400;

/// The refusal in an answer that is not a success.
pub(crate) fn refusal(status: u16, body: &[u8]) -> Refused {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let detail = [
        text(&value, "detail"),
        text(&value, "error_description"),
        text(&value, "title"),
        text(&value, "error"),
    ];
    let detail = detail
        .into_iter()
        .find(|t| !t.is_empty())
        .unwrap_or_default();
    let errors = value
        .get("errors")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let code = [text(&value, "code"), text(&value, "error")]
        .into_iter()
        .find(|t| !t.is_empty())
        .unwrap_or_default();
    Refused {
        status,
        code,
        detail: crate::value::lines(&detail),
        errors,
    }
}

/// One fault of several, with its place where it has one.
pub(crate) fn fault_line(error: &Value) -> String {
    if let Value::String(text) = error {
        return crate::value::line(text, LINE_CHARS_MAX);
    }
    let place = match (
        error.get("line").and_then(Value::as_u64),
        error.get("column").and_then(Value::as_u64),
    ) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        (Some(line), None) => format!("line {line}: "),
        _ => String::new(),
    };
    let message = text(error, "message|detail|what");
    let message = if message.is_empty() {
        error.to_string()
    } else {
        message
    };
    format!("{place}{}", crate::value::line(&message, LINE_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_rest_and_of_oauth_are_read() {
        let body = br#"{"type":"x","title":"Not allowed","status":403,"detail":"this is for: admin","code":"forbidden"}"#;
        let refused = refusal(403, body);
        assert_eq!(
            (refused.code.as_str(), refused.to_string().as_str()),
            ("forbidden", "this is for: admin")
        );
        let refused = refusal(
            400,
            br#"{"error":"invalid_scope","error_description":"ask for one"}"#,
        );
        assert_eq!(
            (refused.code.as_str(), refused.to_string().as_str()),
            ("invalid_scope", "ask for one")
        );
        assert_eq!(
            refusal(502, b"<html>").to_string(),
            "the server answered 502"
        );
    }

    #[test]
    fn faults_name_their_place() {
        let fault = serde_json::json!({"line": 3, "column": 5, "message": "unknown field `x`"});
        assert_eq!(fault_line(&fault), "line 3, column 5: unknown field `x`");
    }

    #[test]
    fn a_hostile_answer_cannot_move_the_cursor() {
        let refused = refusal(400, br#"{"detail":"a\u001b[2Jb"}"#);
        assert!(!refused.to_string().contains('\u{1b}'));
    }
}
