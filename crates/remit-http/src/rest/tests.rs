//! The document made from the table.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{openapi, table};

#[test]
fn the_table_is_as_published() {
    let rows: Vec<String> = table::all()
        .iter()
        .map(|route| {
            let who: Vec<_> = route.who.iter().map(|w| w.as_str()).collect();
            format!(
                "{:6} {:44} {}",
                route.method.as_str(),
                route.path,
                who.join(", ")
            )
        })
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
}

#[test]
fn no_route_is_there_twice() {
    let all: BTreeSet<_> = table::all()
        .iter()
        .map(|r| format!("{} {}", r.method, r.path))
        .collect();
    assert_eq!(all.len(), table::all().len());
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get("$ref") {
                found.push(text);
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[test]
fn the_document_holds_together() {
    let document = openapi();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(
            document
                .pointer(reference.trim_start_matches('#'))
                .is_some(),
            "{reference}"
        );
    }
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id}");
            let declared: BTreeSet<_> = operation["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|p| p["in"] == "path")
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            let written: BTreeSet<_> = path
                .split('/')
                .filter_map(|p| p.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(declared, written, "{method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty());
        }
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let fits = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        assert!(
            fits,
            "{name} is not a component name (OpenAPI 3.1.1 §4.8.7)"
        );
    }
}

#[test]
fn what_is_written_is_strict() {
    let document = openapi();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema")
            else {
                continue;
            };
            let schema = match schema["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                None => schema,
            };
            let strict = schema["additionalProperties"] == Value::Bool(false)
                || schema["unevaluatedProperties"] == Value::Bool(false);
            assert!(strict, "{method} {path} takes fields that it does not know");
        }
    }
}
