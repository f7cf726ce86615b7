//! The OpenAPI 3.1 document, made from the table.
//!
//! Source: OpenAPI 3.1.1; schemas are JSON Schema 2020-12.

use std::sync::OnceLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::route::{Route, Who};
use super::{BASE, table};
use crate::problem::Problem;

/// The document. The same for every organization, since nothing in it varies.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.definitions_path = "/components/schemas".into();
        s.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = subschema::<Problem>(&mut generator);
    let mut paths = Map::new();
    for route in table::all() {
        let operation = operation(&route, &mut generator, &problem);
        let path = paths
            .entry(format!("{BASE}{}", route.path))
            .or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Remit",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The control plane for AI-agent identities",
            "description": "Served at the root for the default organization and below `/t/{organization}` for every other. \
                            References are by name: people by e-mail, workflows as `agent/workflow`, tools as `upstream/tool`. \
                            An ETag is the revision in quotes; `If-Match` is optional. Unknown fields are refused.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "person": { "type": "http", "scheme": "bearer", "description": "A person's token, rmt_pat_…" },
                "operator": { "type": "http", "scheme": "bearer", "description": "The operator's token, rmt_adm_…" },
                "agent": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An agent's access token (RFC 9068)" },
            },
        },
    })
}

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn operation(route: &Route, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut operation = Map::new();
    let mut put = |key: &str, value: Value| operation.insert(key.to_owned(), value);
    put("operationId", json!(operation_id(route)));
    put("summary", json!(route.summary));
    put(
        "tags",
        json!([route.path.split('/').nth(1).unwrap_or_default()]),
    );
    let who: Vec<_> = route.who.iter().map(|w| w.as_str()).collect();
    put("description", json!(format!("For: {}.", who.join(", "))));
    put("security", security(route.who));
    let mut parameters: Vec<Value> = route
        .parameters()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if let Some(query) = route.query {
        parameters.extend(query_parameters(query, generator));
    }
    put("parameters", json!(parameters));
    if let Some(body) = route.body {
        let schema = body(generator).to_value();
        put(
            "requestBody",
            json!({ "content": { "application/json": { "schema": schema } } }),
        );
    }
    let mut responses = Map::new();
    let answered = match route.answer {
        Some(answer) => {
            json!({ "description": "Done", "content": { "application/json": { "schema": answer(generator).to_value() } } })
        }
        None => json!({ "description": "Done" }),
    };
    responses.insert("200".to_owned(), answered);
    responses.insert(
        "default".to_owned(),
        json!({ "description": "Refused", "content": { "application/problem+json": { "schema": problem } } }),
    );
    put("responses", Value::Object(responses));
    Value::Object(operation)
}

/// `GET /agents/{name}/keys` is `get_agents_name_keys`.
fn operation_id(route: &Route) -> String {
    let words = route
        .path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty());
    let path: Vec<_> = words.collect();
    format!(
        "{}_{}",
        route.method.as_str().to_ascii_lowercase(),
        path.join("_")
    )
}

fn security(who: &[Who]) -> Value {
    let mut schemes: Vec<&str> = who
        .iter()
        .filter_map(|who| match who {
            Who::Everybody => None,
            Who::Person | Who::Role(_) => Some("person"),
            Who::Agent => Some("agent"),
            Who::Operator => Some("operator"),
        })
        .collect();
    schemes.dedup();
    schemes
        .into_iter()
        .map(|scheme| json!({ scheme: [] }))
        .collect()
}

/// A query is written as a struct and documented as one parameter for each of its fields.
fn query_parameters(query: super::route::SchemaOf, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut schema = query(generator).to_value();
    if let Some(name) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.rsplit('/').next())
    {
        schema = generator
            .definitions_mut()
            .get(name)
            .cloned()
            .unwrap_or_default();
    }
    let required: Vec<String> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| {
            names
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default();
    let fields = schema
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    fields
        .into_iter()
        .map(|(name, schema)| {
            let must = required.contains(&name);
            json!({ "name": name, "in": "query", "required": must, "schema": schema })
        })
        .collect()
}

/// Serves the document, made once: nothing in it varies.
pub(super) async fn serve() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string()).as_str();
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, text).into_response()
}
