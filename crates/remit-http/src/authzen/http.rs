//! From an HTTP request that a gateway holds back to the call that it is, by the routes of the enforcement point.
//!
//! The action is the method, the resource's id path and query, its property `host` the host, and `context.body` the body as JSON.
//! There is one reading, and it is the one that the server behind the gateway has: what could be read in another way there is
//! denied here (an encoded slash, a parameter that no route declares, an argument from two places). No route, no call.

use remit_domain::enforcement_point::{Body, EnforcementPoint, HttpRoute};
use remit_domain::tool::ToolRef;
use remit_domain::{Refusal, RefusalCode, Registry};
use remit_mcp::json::JsonObject;
use serde_json::Value;

use super::read::Evaluation;

/// Type of a resource that is an HTTP request.
pub(super) const HTTP: &str = "http";

fn deny(text: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::Denied, text)
}

/// The call, by the first route that fits.
pub(super) fn call(
    registry: &Registry,
    point: &EnforcementPoint,
    asked: &Evaluation,
) -> Result<(ToolRef, JsonObject), Refusal> {
    let (path, query) = match asked.resource.id().split_once('?') {
        Some((path, query)) => (path, query),
        None => (asked.resource.id(), ""),
    };
    let host = asked
        .resource
        .properties
        .get("host")
        .and_then(Value::as_str);
    let host = host.unwrap_or_default();
    let method = asked.action.name.as_str();
    let fits = |route: &'_ &HttpRoute| route.matches(method, host, path).is_some();
    let none = || {
        deny("no route of this enforcement point fits the request; what is not declared is denied")
    };
    let route = point.routes.iter().find(fits).ok_or_else(none)?;
    let declared = registry.tools.get(&route.tool).map(|t| t.input_schema());
    let declared = declared.and_then(|schema| schema.get("properties")?.as_object());
    let mut arguments = body(route, asked.context.get("body"))?;
    let mut put = |name: &str, text: String| {
        let value = typed(declared.and_then(|d| d.get(name)), name, text)?;
        match arguments.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(deny(format!("`{}` comes twice", short(name)))),
        }
    };
    for (name, text) in route.matches(method, host, path).unwrap_or_default() {
        put(name, decoded(text)?)?;
    }
    for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
        if !route.query.contains(name.as_ref()) {
            let name = short(&name);
            return Err(deny(format!(
                "the query holds `{name}`, which the route does not declare"
            )));
        }
        put(&name, text.into_owned())?;
    }
    Ok((route.tool.clone(), arguments))
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn body(route: &HttpRoute, body: Option<&Value>) -> Result<JsonObject, Refusal> {
    match (route.body, body) {
        (Body::None, None | Some(Value::Null)) => Ok(JsonObject::new()),
        (Body::None, Some(_)) => Err(deny("the request has a body, and its route declares none")),
        (Body::Json, Some(Value::Object(object))) => Ok(object.clone()),
        (Body::Json, _) => Err(Refusal::new(
            RefusalCode::ArgumentsInvalid,
            "`context.body` must be the whole body, a JSON object",
        )),
    }
}

/// One part of a path. What a server could read as several parts, or as none, is denied.
fn decoded(text: &str) -> Result<String, Refusal> {
    let wrong = || deny("a part of the path cannot be read in one way only");
    let hex = |b: &u8| {
        char::from(*b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        left = rest;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, rest @ ..] = left else {
            return Err(wrong());
        };
        let (high, low) = (hex(high).ok_or_else(wrong)?, hex(low).ok_or_else(wrong)?);
        bytes.push(high * 16 + low);
        left = rest;
    }
    let plain = String::from_utf8(bytes).map_err(|_| wrong())?;
    let odd = plain
        .chars()
        .any(|c| c.is_control() || matches!(c, '/' | '\\' | ';' | '%' | '#'));
    if odd || matches!(plain.as_str(), "" | "." | "..") {
        return Err(wrong());
    }
    Ok(plain)
}

/// A text of an address as the type that its tool declares; only what is written in one way is a number.
fn typed(schema: Option<&Value>, name: &str, text: String) -> Result<Value, Refusal> {
    let kind = schema.and_then(|s| s.get("type")).and_then(Value::as_str);
    let wrong = || {
        let text = format!(
            "`{}` is not of the type that the tool declares",
            short(name)
        );
        Refusal::new(RefusalCode::ArgumentsInvalid, text)
    };
    match kind {
        Some("integer" | "number") => {
            let value: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
            let written = value.to_string();
            if value.is_number() && written == text {
                Ok(value)
            } else {
                Err(wrong())
            }
        }
        Some("boolean") => match text.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong()),
        },
        _ => Ok(Value::String(text)),
    }
}
