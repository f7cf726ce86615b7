//! What limits make of a result: how much it really used, and whether it may be released at all.

use remit_domain::bounds::ArgPath;
use remit_domain::limit::Measure;
use remit_policy::{Decision, Reservation};
use serde_json::{Map, Value};

/// How deep content is looked into for rows; what is deeper counts as too many.
const DEPTH_MAX: usize = 64;

/// What of the reservations is given back after a call was answered.
///
/// # Errors
/// A line that says which limit the result breaks: it brings more than was reserved for it. Everything stays reserved then.
pub(crate) fn used(
    decision: &Decision,
    result: &Map<String, Value>,
) -> Result<Vec<(String, i64)>, String> {
    let mut back = Vec::new();
    for Reservation {
        key,
        amount,
        of,
        measure,
        ..
    } in &decision.reserve
    {
        let Some(measure) = measure else { continue };
        let brought = match measure {
            Measure::Rows { at, .. } => rows(result, at.as_ref()),
            Measure::Tokens { .. } => tokens(result),
            Measure::Calls | Measure::Concurrent | Measure::Sum { .. } => continue,
        };
        if brought > *amount {
            let of = of.as_deref().unwrap_or("a limit");
            let what = measure.as_str();
            return Err(format!(
                "the result holds {brought} {what} and {of} permits {amount} for one call"
            ));
        }
        back.push((key.clone(), amount.saturating_sub(brought)));
    }
    Ok(back)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Elements of the named list, and as many as the text holds where that is more: what is said is counted wherever it is.
fn rows(result: &Map<String, Value>, at: Option<&ArgPath>) -> i64 {
    let named = |value: &Value| at.and_then(|at| Some(at.find(value)?.as_array()?.len()));
    let structured = result.get("structuredContent");
    let listed = structured.map(|value| named(value).unwrap_or_else(|| longest(value, DEPTH_MAX)));
    let mut texts = Vec::new();
    for parts in ["content", "contents", "messages"] {
        texts_of(result.get(parts), DEPTH_MAX, &mut texts);
    }
    let said = texts
        .into_iter()
        .map(|text| match serde_json::from_str::<Value>(text) {
            Ok(value @ (Value::Array(_) | Value::Object(_))) => {
                named(&value).unwrap_or_else(|| longest(&value, DEPTH_MAX).max(1))
            }
            _ => text.lines().count(),
        });
    count(listed.unwrap_or(0).max(said.sum()))
}

/// Texts of content, however it is nested.
fn texts_of<'a>(content: Option<&'a Value>, depth: usize, texts: &mut Vec<&'a str>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    match content {
        Some(Value::Array(parts)) => parts
            .iter()
            .for_each(|part| texts_of(Some(part), depth, texts)),
        Some(Value::Object(part)) => {
            texts.extend(part.get("text").and_then(Value::as_str));
            texts_of(part.get("content"), depth, texts);
            texts_of(part.get("resource"), depth, texts);
        }
        _ => {}
    }
}

/// Elements of the longest list in a value, or of all lists that are elements of one: rows in pages are rows.
fn longest(value: &Value, depth: usize) -> usize {
    let Some(depth) = depth.checked_sub(1) else {
        return usize::MAX;
    };
    match value {
        Value::Array(parts) => {
            let inner: usize = parts
                .iter()
                .map(|part| longest(part, depth))
                .fold(0, usize::saturating_add);
            parts.len().max(inner)
        }
        Value::Object(map) => map
            .values()
            .map(|part| longest(part, depth))
            .max()
            .unwrap_or(0),
        _ => 0,
    }
}

/// One for every four bytes of the JSON text, rounded up.
fn tokens(result: &Map<String, Value>) -> i64 {
    let bytes = serde_json::to_vec(result).map_or(usize::MAX, |bytes| bytes.len());
    count(bytes.div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decision(measure: Value) -> Decision {
        serde_json::from_value(json!({
            "outcome": "allow", "reasons": [], "policies": [], "errors": [], "grant": null,
            "reserve": [
                { "key": "k", "amount": 5, "max": 10, "until": "2026-11-22T00:00:00Z", "of": "limit rows", "measure": measure },
                { "key": "calls", "amount": 1, "max": 10, "until": "2026-11-22T00:00:00Z" },
            ],
        }))
        .unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_was_not_brought_is_given_back_and_what_is_too_much_is_said() {
        let rows = decision(json!({ "rows": { "at": "items", "each": 5 } }));
        let result = |n: usize| object(json!({ "structuredContent": { "items": vec![1; n] } }));
        assert_eq!(used(&rows, &result(2)), Ok(vec![("k".to_owned(), 3)]));
        assert_eq!(used(&rows, &result(5)), Ok(vec![("k".to_owned(), 0)]));
        assert!(used(&rows, &result(6)).is_err());
        let text = object(json!({ "content": [{ "type": "text", "text": "a\nb\nc" }] }));
        assert_eq!(used(&rows, &text), Ok(vec![("k".to_owned(), 2)]));
    }

    #[test]
    fn rows_in_one_line_of_json_are_rows_wherever_they_stand() {
        let limit = decision(json!({ "rows": { "at": "items", "each": 5 } }));
        let unnamed = decision(json!({ "rows": { "each": 5 } }));
        let list = |n: usize| Value::from(vec![json!({ "order": "A" }); n]);
        let text = |value: Value| json!([{ "type": "text", "text": value.to_string() }]);
        let too_many = [
            json!({ "content": text(list(6)) }),
            json!({ "content": text(json!({ "items": list(6) })) }),
            json!({ "content": text(json!({ "other": { "rows": list(6) } })) }),
            json!({ "content": text(json!([list(3), list(3)])) }),
            json!({ "content": [text(list(3))[0], text(list(3))[0]] }),
            json!({ "content": [{ "type": "resource", "resource": { "uri": "a:b", "text": list(6).to_string() } }] }),
            json!({ "contents": [{ "uri": "a:b", "text": list(6).to_string() }] }),
            json!({ "structuredContent": { "elsewhere": list(6) } }),
            // Few in the place that is counted, all of them in the text beside it.
            json!({ "structuredContent": { "items": list(1) }, "content": text(list(6)) }),
        ];
        for result in too_many {
            for limit in [&limit, &unnamed] {
                assert!(used(limit, &object(result.clone())).is_err(), "{result}");
            }
        }
        let few = object(json!({ "content": text(json!({ "items": list(2) })) }));
        for limit in [&limit, &unnamed] {
            assert_eq!(used(limit, &few), Ok(vec![("k".to_owned(), 3)]));
        }
        // The same rows twice, as structured content and as its text, are counted once.
        let both = object(
            json!({ "structuredContent": { "items": list(4) }, "content": text(json!({ "items": list(4) })) }),
        );
        assert_eq!(used(&limit, &both), Ok(vec![("k".to_owned(), 1)]));
    }

    #[test]
    fn tokens_are_counted_on_the_whole_result() {
        let tokens = decision(json!({ "tokens": { "each": 5 } }));
        assert!(used(&tokens, &object(json!({ "a": "x".repeat(100) }))).is_err());
        assert!(used(&tokens, &object(json!({ "a": 1 }))).is_ok());
    }
}
