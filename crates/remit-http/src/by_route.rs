//! From an HTTP request that a gateway holds back to the call that it is, by the routes of the enforcement point.
//!
//! There is one reading, and it is the one that the server behind the gateway has: what could be read in another way there is
//! denied here (an encoded slash, a parameter that no route declares, an argument from two places, a name that only capitals
//! tell from another). No route, no call.
//!
//! Source: RFC 3986 §2.1 and §3.3 (paths), WHATWG URL "application/x-www-form-urlencoded" (queries), RFC 8259 (bodies).

use std::collections::BTreeMap;

use remit_domain::enforcement_point::{Body, EnforcementPoint, HttpRoute};
use remit_domain::tool::ToolRef;
use remit_domain::{Refusal, RefusalCode, Registry};
use remit_mcp::json::JsonObject;
use serde_json::Value;

/// A denial of what is not read.
pub(crate) fn deny(text: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::Denied, text)
}

/// A request that a route declares.
#[derive(Debug)]
pub(crate) struct Routed<'a> {
    route: &'a HttpRoute,
    path: Vec<(&'a str, &'a str)>,
    query: &'a str,
}

impl<'a> Routed<'a> {
    /// By the first route that fits.
    ///
    /// - `target`: path and query.
    pub(crate) fn of(
        point: &'a EnforcementPoint,
        method: &str,
        host: &str,
        target: &'a str,
    ) -> Result<Self, Refusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let fits = |route: &'a HttpRoute| Some((route, route.matches(method, host, path)?));
        let none =
            "no route of this enforcement point fits the request; what is not declared is denied";
        let found = point.routes.iter().find_map(fits);
        let (route, path) = found.ok_or_else(|| deny(none))?;
        Ok(Self { route, path, query })
    }

    /// How its body is read.
    pub(crate) fn body(&self) -> Body {
        self.route.body
    }

    /// The call that it is.
    ///
    /// - `body`: the members of the body, where the route has one.
    pub(crate) fn call(
        self,
        registry: &Registry,
        body: JsonObject,
    ) -> Result<(ToolRef, JsonObject), Refusal> {
        let tool = registry.tools.get(&self.route.tool);
        let schema = tool.map(|tool| tool.input_schema());
        let declared = schema.and_then(|s| s.get("properties"));
        let mut arguments = body;
        let mut put = |name: &str, text: String| {
            let value = typed(declared.and_then(|d| d.get(name)), name, text)?;
            match arguments.insert(name.to_owned(), value) {
                None => Ok(()),
                Some(_) => Err(deny(format!("`{}` comes twice", short(name)))),
            }
        };
        for (name, text) in self.path {
            put(name, in_path(text)?)?;
        }
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let name = in_query(name)?;
            if !self.route.query.contains(&name) {
                let name = short(&name);
                return Err(deny(format!(
                    "the query holds `{name}`, which the route does not declare"
                )));
            }
            put(&name, in_query(text)?)?;
        }
        one_reading(&arguments, schema)?;
        Ok((self.route.tool.clone(), arguments))
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A text without its percent escapes; none where they are broken, or are no UTF-8.
fn unescaped(text: &str) -> Option<String> {
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
            return None;
        };
        bytes.push(hex(high)? * 16 + hex(low)?);
        left = rest;
    }
    String::from_utf8(bytes).ok()
}

/// One part of a path. What a server could read as several parts, as none, or as more than a path is denied.
fn in_path(text: &str) -> Result<String, Refusal> {
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | ';' | '%' | '#' | '?');
    unescaped(text)
        .filter(|plain| !plain.chars().any(odd) && !matches!(plain.as_str(), "" | "." | ".."))
        .ok_or_else(|| deny("a part of the path cannot be read in one way only"))
}

/// A name or a value of a query. A bare `+` is a space to some servers and a plus to others, and a bare `;` separates for some.
fn in_query(text: &str) -> Result<String, Refusal> {
    let bare = |c: char| matches!(c, '+' | ';' | '#');
    let wrong = "a part of the query cannot be read in one way only; write a space as %20 and a plus as %2B";
    unescaped(text)
        .filter(|plain| !text.contains(bare) && !plain.contains(char::is_control))
        .ok_or_else(|| deny(wrong))
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

/// Whether no member of a body could be taken for another one. Many servers read names whatever their capitals (Go's
/// `encoding/json`, ASP.NET) or with and without `_` (protobuf's JSON): a member that the tool does not declare may then be
/// one that it does, past every rule about that one.
fn one_reading(members: &JsonObject, schema: Option<&Value>) -> Result<(), Refusal> {
    let declared = schema.and_then(|s| s.get("properties")?.as_object());
    let names = declared
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str());
    let mut known: BTreeMap<String, &str> = names.map(|name| (folded(name), name)).collect();
    for (name, member) in members {
        let own = declared.and_then(|d| d.get(name));
        if own.is_none()
            && let Some(other) = known.insert(folded(name), name)
        {
            let (name, other) = (short(name), short(other));
            let text =
                format!("the request holds `{name}`, which a server could read as `{other}`");
            return Err(deny(text));
        }
        each_reading(member, own)?;
    }
    Ok(())
}

fn each_reading(value: &Value, schema: Option<&Value>) -> Result<(), Refusal> {
    match value {
        Value::Object(members) => one_reading(members, schema),
        Value::Array(parts) => {
            let items = schema.and_then(|s| s.get("items"));
            parts.iter().try_for_each(|part| each_reading(part, items))
        }
        _ => Ok(()),
    }
}

/// A name without what readers of names pass over.
fn folded(name: &str) -> String {
    let same = |c: &char| !matches!(c, '_' | '-');
    let upper: String = name
        .chars()
        .filter(same)
        .flat_map(char::to_uppercase)
        .collect();
    upper.to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> bool {
        let refund = json!({ "type": "object", "properties": { "amount_due": {}, "id": {} } });
        let schema = json!({ "properties": {
            "amount": { "type": "number" }, "refund": refund, "all": { "type": "array", "items": refund },
            "Both": {}, "both": {},
        } });
        each_reading(body, Some(&schema)).is_ok()
    }

    #[test]
    fn no_member_stands_in_for_another() {
        for one in [
            json!({ "amount": 5, "other": 1, "refund": { "amount_due": 5, "note": "x" } }),
            json!({ "Both": 1, "both": 2 }),
            json!({ "all": [{ "id": 1 }, { "id": 2 }], "free": { "a": 1, "b": 2 } }),
            json!({}),
        ] {
            assert!(read(&one), "{one}");
        }
        for two in [
            json!({ "amount": 5, "Amount": 500 }),
            json!({ "AMOUNT": 500 }),
            json!({ "refund": { "amountDue": 500 } }),
            json!({ "all": [{ "id": 1 }, { "ID": 2 }] }),
            json!({ "free": { "a": 1, "A": 2 } }),
            json!({ "BOTH": 1 }),
            // The long s is a capital S to Go.
            json!({ "free": { "note\u{17f}": 1, "notes": 2 } }),
        ] {
            assert!(!read(&two), "{two}");
        }
    }

    #[test]
    fn a_query_is_read_in_one_way() {
        assert_eq!(in_query("a%20b%2B%26").unwrap(), "a b+&");
        for odd in ["a+b", "a;b", "a%0", "a%zz", "%ff", "a%00", "a#b"] {
            assert!(in_query(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_part_of_a_path_is_one_part() {
        assert_eq!(in_path("eu%20west").unwrap(), "eu west");
        for odd in [
            "a%2fb", "a%5cb", "%2e%2e", "a%3fb", "a%23b", "a;b", "a%252f", "%0a", "%ff",
        ] {
            assert!(in_path(odd).is_err(), "{odd}");
        }
    }
}
