//! What limits make of a result: how much it really used, and whether it may be released at all.

use remit_domain::limit::Measure;
use remit_policy::{Decision, Reservation};
use serde_json::{Map, Value};

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

/// Elements of the named list; where it is not there, lines of the text.
fn rows(result: &Map<String, Value>, at: Option<&remit_domain::bounds::ArgPath>) -> i64 {
    let list = at.and_then(|at| at.find(result.get("structuredContent")?)?.as_array());
    if let Some(list) = list {
        return count(list.len());
    }
    let parts = result.get("content").and_then(Value::as_array);
    let lines = parts
        .into_iter()
        .flatten()
        .filter_map(|part| part.get("text")?.as_str())
        .map(|text| text.lines().count());
    count(lines.sum())
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
    fn tokens_are_counted_on_the_whole_result() {
        let tokens = decision(json!({ "tokens": { "each": 5 } }));
        assert!(used(&tokens, &object(json!({ "a": "x".repeat(100) }))).is_err());
        assert!(used(&tokens, &object(json!({ "a": 1 }))).is_ok());
    }
}
