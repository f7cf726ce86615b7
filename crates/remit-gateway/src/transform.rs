//! Masking and leaving out, as settings say: arguments before the call is decided, so that what is decided is what is sent;
//! results before anybody sees them. What has no fields to look into is withheld where fields are to be masked.

use std::collections::BTreeSet;

use remit_classify::{Class, Cover};
use remit_domain::bounds::ArgPath;
use remit_domain::setting::{Masking, Rule, Transform, Value as Setting, in_force};
use remit_policy::{Decision, Obligation};
use remit_ports::upstreams::UpstreamError;
use serde_json::{Map, Value, json};

use crate::content;

/// What stands for masked text.
const MASKED: &str = "[masked]";
/// What stands for content that cannot be looked into.
const WITHHELD: &str =
    "[withheld: a setting masks fields of this result, and this part of it has no fields]";

/// What stands for a result that cannot be looked into.
const UNSEEN: &str =
    "[withheld: a setting covers content of this result, and it cannot be looked into]";

/// Arguments as the settings about the call leave them; none where they leave them as they are.
pub(crate) fn args(rules: &[Rule], args: &Map<String, Value>) -> Option<Map<String, Value>> {
    let transforms: Vec<&Transform> = in_force(rules)
        .filter_map(|rule| match &rule.value {
            Setting::Transform(t) if !t.args.is_empty() => Some(t),
            _ => None,
        })
        .collect();
    if transforms.is_empty() {
        return None;
    }
    let mut value = Value::Object(args.clone());
    for (path, masking) in transforms.iter().flat_map(|t| &t.args) {
        apply(&mut value, path, *masking);
    }
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// What the decision obliges to mask or leave out.
fn owed(decision: &Decision) -> impl Iterator<Item = &Transform> {
    decision.obligations.iter().filter_map(|o| match o {
        Obligation::Transform { transform, .. } => Some(transform),
        Obligation::Flag { .. } => None,
    })
}

/// A result as the decision's obligations leave it.
pub(crate) fn result(decision: &Decision, result: Map<String, Value>) -> Map<String, Value> {
    let result = covered(decision, result);
    let paths: Vec<(&ArgPath, Masking)> = owed(decision)
        .flat_map(|t| t.result.iter().map(|(path, masking)| (path, *masking)))
        .collect();
    if paths.is_empty() {
        return result;
    }
    let mut result = result;
    if let Some(structured) = result.get_mut("structuredContent") {
        for (path, masking) in &paths {
            apply(structured, path, *masking);
        }
    }
    for parts in ["content", "contents", "messages"] {
        if let Some(part) = result.get_mut(parts) {
            looked_into(part, &paths);
        }
    }
    result
}

/// What an upstream says in the middle of a call, or with an error, as the decision's obligations leave it.
pub(crate) fn words(decision: &Decision, said: &mut Value) {
    *said = covered_value(decision, said.take());
    let paths: Vec<(&ArgPath, Masking)> = owed(decision)
        .flat_map(|t| t.result.iter().map(|(path, masking)| (path, *masking)))
        .collect();
    if paths.is_empty() {
        return;
    }
    match said {
        Value::String(_) => *said = json!(text(said, &paths)),
        _ => paths
            .iter()
            .for_each(|(path, masking)| apply(said, path, *masking)),
    }
}

/// An upstream's error as the decision's obligations leave its words.
pub(crate) fn error<'a>(decision: &Decision, error: &'a mut UpstreamError) -> &'a UpstreamError {
    let cover = |text: &mut String| {
        let mut said = json!(text);
        words(decision, &mut said);
        *text = said.as_str().unwrap_or(UNSEEN).to_owned();
    };
    match error {
        UpstreamError::Rpc { message, data, .. } => {
            cover(message);
            if let Some(data) = data {
                words(decision, data);
            }
        }
        UpstreamError::Invalid(why)
        | UpstreamError::Unreachable(why)
        | UpstreamError::Unauthorized(why)
        | UpstreamError::Ambiguous(why) => {
            let said = covered_value(decision, json!(why));
            *why = said.as_str().unwrap_or(UNSEEN).to_owned();
        }
        UpstreamError::Cancelled | UpstreamError::TooLarge(_) => {}
    }
    error
}

/// A notification as the decision's obligations leave it; the token that ties it to the call stays.
pub(crate) fn notice(decision: &Decision, mut notice: Value) -> Value {
    let params = notice.get_mut("params").and_then(Value::as_object_mut);
    for (name, value) in params.into_iter().flatten() {
        match name.as_str() {
            "progressToken" | "progress" | "total" | "level" => {}
            _ => words(decision, value),
        }
    }
    notice
}

/// The result without what is of the classes to cover; withheld whole where it cannot be looked into.
fn covered(decision: &Decision, result: Map<String, Value>) -> Map<String, Value> {
    match covered_value(decision, Value::Object(result)) {
        Value::Object(map) => map,
        _ => json!({ "content": [{ "type": "text", "text": UNSEEN }], "isError": true })
            .as_object()
            .cloned()
            .unwrap_or_default(),
    }
}

/// The same for any value; a text that says so where it cannot be looked into.
fn covered_value(decision: &Decision, mut value: Value) -> Value {
    for (masking, how) in [
        (Masking::Mask, Cover::Mask),
        (Masking::Redact, Cover::Redact),
    ] {
        let classes: BTreeSet<Class> = owed(decision)
            .flat_map(|t| &t.classes)
            .filter(|(_, given)| **given == masking)
            .filter_map(|(class, _)| Class::named(class.as_str()))
            .collect();
        if classes.is_empty() {
            continue;
        }
        let done = content::rules().map(|rules| rules.cover_value(&mut value, &classes, how));
        if !matches!(done, Some(Ok(_))) {
            return json!(UNSEEN);
        }
    }
    value
}

/// Content: text that is JSON is masked like structured content; anything else is withheld.
fn looked_into(part: &mut Value, paths: &[(&ArgPath, Masking)]) {
    match part {
        Value::Array(parts) => parts.iter_mut().for_each(|p| looked_into(p, paths)),
        Value::Object(map) => {
            for (name, inner) in map.iter_mut() {
                match name.as_str() {
                    "text" => *inner = json!(text(inner, paths)),
                    "content" | "resource" => looked_into(inner, paths),
                    "data" | "blob" => *inner = json!(""),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn text(text: &Value, paths: &[(&ArgPath, Masking)]) -> String {
    let read = text.as_str().and_then(|t| serde_json::from_str(t).ok());
    match read {
        Some(mut value @ (Value::Object(_) | Value::Array(_))) => {
            for (path, masking) in paths {
                apply(&mut value, path, *masking);
            }
            value.to_string()
        }
        _ => WITHHELD.to_owned(),
    }
}

fn apply(value: &mut Value, path: &ArgPath, masking: Masking) {
    let steps: Vec<&str> = path.as_str().split('.').collect();
    step(value, &steps, masking);
}

fn step(value: &mut Value, path: &[&str], masking: Masking) {
    match (value, path) {
        (Value::Array(elements), _) => elements.iter_mut().for_each(|e| step(e, path, masking)),
        (Value::Object(map), [last]) => match masking {
            Masking::Redact => {
                map.remove(*last);
            }
            Masking::Mask => {
                if let Some(found) = map.get_mut(*last) {
                    mask(found);
                }
            }
        },
        (Value::Object(map), [first, rest @ ..]) => {
            if let Some(inner) = map.get_mut(*first) {
                step(inner, rest, masking);
            }
        }
        _ => {}
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => MASKED.clone_into(text),
        Value::Array(elements) => elements.iter_mut().for_each(mask),
        other => *other = Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(result: Value) -> Decision {
        serde_json::from_value(json!({
            "outcome": "allow", "reasons": [], "policies": [], "errors": [], "grant": null, "reserve": [],
            "obligations": [{ "type": "transform", "setting": "organization", "level": "organization",
                              "transform": { "result": result } }],
        }))
        .unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn fields_are_masked_in_every_form_a_result_has() {
        let decision = decision(json!({ "customer.iban": "mask", "pin": "redact" }));
        let data = json!({ "customer": [{ "iban": "DE02", "name": "Ann" }], "pin": 7 });
        let out = result(
            &decision,
            object(json!({
                "structuredContent": data.clone(),
                "content": [
                    { "type": "text", "text": data.to_string() },
                    { "type": "text", "text": "IBAN DE02" },
                    { "type": "image", "data": "DE02", "mimeType": "image/png" },
                    { "type": "resource", "resource": { "uri": "x:y", "text": "DE02" } },
                ],
            })),
        );
        let text = Value::Object(out.clone()).to_string();
        assert!(!text.contains("DE02"), "{text}");
        assert_eq!(out["structuredContent"]["customer"][0]["name"], "Ann");
        assert_eq!(out["structuredContent"]["customer"][0]["iban"], MASKED);
        assert!(out["structuredContent"].get("pin").is_none());
        assert!(out["content"][0]["text"].as_str().unwrap().contains("Ann"));
        assert_eq!(out["content"][1]["text"], WITHHELD);
    }

    #[test]
    fn classes_of_content_are_covered_wherever_they_are() {
        let mut decision = decision(json!({}));
        let transform = json!({ "classes": { "payment-card": "mask", "bank-account": "redact" } });
        decision.obligations = serde_json::from_value(json!([
            { "type": "transform", "setting": "organization", "level": "organization", "transform": transform }
        ]))
        .unwrap();
        let out = result(
            &decision,
            object(json!({
                "structuredContent": { "pan": "4111 1111 1111 1111", "order": "A-118" },
                "content": [{ "type": "text", "text": "IBAN DE44500105175407324931, card 4111111111111111" }],
            })),
        );
        assert_eq!(
            out["structuredContent"]["pan"],
            "[payment-card ending 1111]"
        );
        assert_eq!(out["structuredContent"]["order"], "A-118");
        assert_eq!(
            out["content"][0]["text"],
            "IBAN [redacted bank-account], card [payment-card ending 1111]"
        );
    }

    #[test]
    fn words_beside_a_result_are_covered_like_one() {
        let mut classes = decision(json!({}));
        let transform = json!({ "classes": { "bank-account": "redact" } });
        classes.obligations = serde_json::from_value(json!([
            { "type": "transform", "setting": "organization", "level": "organization", "transform": transform }
        ]))
        .unwrap();
        let said = json!({ "method": "notifications/progress", "params": {
            "progressToken": "DE44500105175407324931", "progress": 1, "message": "reads DE44500105175407324931" } });
        let out = notice(&classes, said);
        assert_eq!(out["params"]["message"], "reads [redacted bank-account]");
        assert_eq!(out["params"]["progressToken"], "DE44500105175407324931");
        let log = json!({ "method": "notifications/message", "params": { "level": "info",
            "logger": "DE44500105175407324931", "data": { "a": ["DE44500105175407324931"] } } });
        let out = notice(&classes, log);
        assert!(!out.to_string().contains("DE44"), "{out}");
        // Where fields are masked, text without fields is withheld, and data has its fields masked.
        let fields = decision(json!({ "iban": "redact" }));
        let log =
            json!({ "params": { "data": { "iban": "x", "order": "A-118" }, "message": "iban x" } });
        let out = notice(&fields, log);
        assert_eq!(out["params"]["data"], json!({ "order": "A-118" }));
        assert_eq!(out["params"]["message"], WITHHELD);
    }

    #[test]
    fn masking_arguments_twice_is_masking_them_once() {
        let rules: Vec<Rule> = serde_json::from_value(json!([{
            "id": "organization", "level": "organization", "locked": false,
            "value": { "transform": { "args": { "note": "mask", "card.number": "redact" } } }
        }]))
        .unwrap();
        let once = args(
            &rules,
            &object(json!({ "note": "call Ann", "card": { "number": "4111" }, "order": "A" })),
        )
        .unwrap();
        assert_eq!(
            Value::Object(once.clone()),
            json!({ "note": MASKED, "card": {}, "order": "A" })
        );
        assert_eq!(args(&rules, &once).unwrap(), once);
        assert!(args(&[], &once).is_none());
    }
}
