//! Arguments as Cedar sees them: a record type for each tool, made of its input schema, and values of that type.
//!
//! | JSON Schema | Cedar |
//! |---|---|
//! | `boolean` | `Bool` |
//! | `integer` | `Long` |
//! | `number` | `decimal`, exactly: more than four fraction digits, or beyond its range, denies the call |
//! | `string`, also with `enum`, `const` or `format` | `String` |
//! | `array` with one `items` | `Set` of the items' type: order and repetition are not visible |
//! | `object` with `properties` | record; not `required` or nullable members are optional |
//! | `$ref` within the schema, `anyOf`/`oneOf` of one type and `null`, `allOf` of one | what it stands for |
//! | anything else | left out: a policy that names it does not compile |
//!
//! A value that is not of its declared type is an error, never left out: a policy that looks at it must not be skipped.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cedar_policy_core::ast::{Literal, Name, Value as Cedar};
use cedar_policy_core::extensions::Extensions;
use remit_domain::bounds::Decimal;
use serde_json::{Map, Value, json};

use crate::limits::{ARG_DEPTH_MAX, ARG_MEMBERS_MAX, ARG_NODES_MAX};

/// The Cedar type of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ArgType {
    Bool,
    Long,
    Decimal,
    String,
    Set(Box<ArgType>),
    Record(BTreeMap<String, Member>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    ty: ArgType,
    required: bool,
    nullable: bool,
}

struct Walk<'a> {
    root: &'a Value,
    nodes: usize,
}

impl ArgType {
    /// The type of a tool's arguments; an empty record when the schema says nothing that Cedar can.
    pub(crate) fn of(schema: &Value) -> Self {
        let mut walk = Walk {
            root: schema,
            nodes: 0,
        };
        let members = schema
            .as_object()
            .map(|object| walk.members(object, 0))
            .unwrap_or_default();
        Self::Record(members)
    }

    /// The type in Cedar's JSON schema format.
    pub(crate) fn to_schema(&self) -> Value {
        match self {
            Self::Bool => json!({ "type": "Boolean" }),
            Self::Long => json!({ "type": "Long" }),
            Self::Decimal => json!({ "type": "Extension", "name": "decimal" }),
            Self::String => json!({ "type": "String" }),
            Self::Set(element) => json!({ "type": "Set", "element": element.to_schema() }),
            Self::Record(members) => {
                let mut attributes = Map::new();
                for (name, member) in members {
                    let mut ty = member.ty.to_schema();
                    if let Some(ty) = ty.as_object_mut() {
                        ty.insert("required".to_owned(), Value::Bool(member.required));
                    }
                    attributes.insert(name.clone(), ty);
                }
                json!({ "type": "Record", "attributes": attributes })
            }
        }
    }

    /// `value` as a value of this type.
    ///
    /// # Errors
    /// One line with the path of the argument that is not of its type. Holds no value.
    pub(crate) fn encode(&self, value: &Value) -> Result<Cedar, String> {
        self.encode_at(value, &mut Vec::new())
            .map_err(|(path, what)| format!("argument {path} is {what}"))
    }

    fn encode_at<'a>(
        &'a self,
        value: &Value,
        path: &mut Vec<&'a str>,
    ) -> Result<Cedar, (String, &'static str)> {
        let wrong = |path: &[&str], what| {
            (
                if path.is_empty() {
                    "list".to_owned()
                } else {
                    path.join(".")
                },
                what,
            )
        };
        match (self, value) {
            (Self::Bool, Value::Bool(b)) => Ok(literal(*b)),
            (Self::Bool, _) => Err(wrong(path, "no boolean")),
            (Self::Long, _) => integer(value)
                .map(literal)
                .ok_or_else(|| wrong(path, "no integer")),
            (Self::Decimal, _) => Decimal::from_json(value)
                .ok()
                .and_then(|d| decimal(&cedar_decimal(d)))
                .ok_or_else(|| wrong(path, "no decimal of at most four fraction digits")),
            (Self::String, Value::String(s)) => Ok(literal(s.as_str())),
            (Self::String, _) => Err(wrong(path, "no string")),
            (Self::Set(element), Value::Array(values)) => {
                let values = values
                    .iter()
                    .map(|v| element.encode_at(v, path))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(Cedar::set(values, None))
            }
            (Self::Set(_), _) => Err(wrong(path, "no array")),
            (Self::Record(members), Value::Object(object)) => {
                let mut fields = Vec::with_capacity(members.len());
                for (name, member) in members {
                    path.push(name);
                    match object.get(name) {
                        None if member.required => return Err(wrong(path, "missing")),
                        None => {}
                        Some(Value::Null) if member.nullable => {}
                        Some(value) => {
                            fields.push((name.as_str(), member.ty.encode_at(value, path)?))
                        }
                    }
                    path.pop();
                }
                Ok(Cedar::record(fields, None))
            }
            (Self::Record(_), _) => Err(wrong(path, "no object")),
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    // The canonical form of 2.0 is 2 (RFC 8785 section 3.2.2.3), so the two are one integer.
    match Decimal::from_json(value) {
        Ok(d) if d.units() % 10_000 == 0 => Some(d.units() / 10_000),
        Ok(_) => None,
        Err(_) => value.as_i64(),
    }
}

fn literal(literal: impl Into<Literal>) -> Cedar {
    Cedar::new(literal.into(), None)
}

/// A decimal, made by Cedar's own function of that name. None where it is beyond its range.
fn decimal(text: &str) -> Option<Cedar> {
    static FUNCTION: LazyLock<Option<Name>> =
        LazyLock::new(|| Some(Name::unqualified_name("decimal".parse().ok()?)));
    let function = Extensions::all_available().func(FUNCTION.as_ref()?).ok()?;
    function.call(&[literal(text)]).ok()?.try_into().ok()
}

fn cedar_decimal(decimal: Decimal) -> String {
    let units = decimal.units();
    let sign = if units < 0 { "-" } else { "" };
    format!(
        "{sign}{}.{:04}",
        units.unsigned_abs() / 10_000,
        units.unsigned_abs() % 10_000
    )
}

impl Walk<'_> {
    fn members(&mut self, object: &Map<String, Value>, depth: usize) -> BTreeMap<String, Member> {
        let required = object.get("required").and_then(Value::as_array);
        let required =
            |name: &str| required.is_some_and(|list| list.iter().any(|r| r.as_str() == Some(name)));
        let properties = object.get("properties").and_then(Value::as_object);
        let mut out = BTreeMap::new();
        for (name, schema) in properties.into_iter().flatten().take(ARG_MEMBERS_MAX) {
            if let Some((ty, nullable)) = self.map(schema, depth + 1) {
                out.insert(
                    name.clone(),
                    Member {
                        ty,
                        required: required(name) && !nullable,
                        nullable,
                    },
                );
            }
        }
        out
    }

    /// The type of one schema, and whether null is also permitted.
    fn map(&mut self, schema: &Value, depth: usize) -> Option<(ArgType, bool)> {
        self.nodes += 1;
        if depth > ARG_DEPTH_MAX || self.nodes > ARG_NODES_MAX {
            return None;
        }
        let object = schema.as_object()?;
        if let Some(pointer) = object.get("$ref").and_then(Value::as_str) {
            let target = self.root.pointer(pointer.strip_prefix('#')?)?;
            return self.map(target, depth + 1);
        }
        if let Some(kinds) = object.get("type") {
            return self.typed(kinds, object, depth);
        }
        if let Some(choices) = ["anyOf", "oneOf", "allOf"]
            .iter()
            .find_map(|k| object.get(*k)?.as_array())
        {
            let is_null = |s: &&Value| s.get("type").and_then(Value::as_str) == Some("null");
            let [choice] = choices.iter().filter(|s| !is_null(s)).collect::<Vec<_>>()[..] else {
                return None;
            };
            let (ty, nullable) = self.map(choice, depth + 1)?;
            return Some((ty, nullable || choices.len() > 1));
        }
        let constant = object.get("const").map(std::slice::from_ref);
        literals(
            object
                .get("enum")
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .or(constant)?,
        )
    }

    fn typed(
        &mut self,
        kinds: &Value,
        object: &Map<String, Value>,
        depth: usize,
    ) -> Option<(ArgType, bool)> {
        let (kind, nullable) = match kinds {
            Value::String(kind) => (kind.as_str(), false),
            Value::Array(kinds) => {
                let named: Vec<_> = kinds
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|k| *k != "null")
                    .collect();
                let [kind] = named[..] else { return None };
                (kind, kinds.len() > 1)
            }
            _ => return None,
        };
        let ty = match kind {
            "boolean" => ArgType::Bool,
            "integer" => ArgType::Long,
            "number" => ArgType::Decimal,
            "string" => ArgType::String,
            "array" if !object.contains_key("prefixItems") => {
                match self.map(object.get("items")?, depth + 1)? {
                    (element, false) => ArgType::Set(Box::new(element)),
                    (_, true) => return None,
                }
            }
            "object" if object.contains_key("properties") => {
                ArgType::Record(self.members(object, depth))
            }
            _ => return None,
        };
        Some((ty, nullable))
    }
}

fn literals(values: &[Value]) -> Option<(ArgType, bool)> {
    let nullable = values.iter().any(Value::is_null);
    let all = |is: &dyn Fn(&Value) -> bool| values.iter().all(|v| v.is_null() || is(v));
    let ty = match values.iter().find(|v| !v.is_null())? {
        Value::String(_) if all(&Value::is_string) => ArgType::String,
        Value::Bool(_) if all(&Value::is_boolean) => ArgType::Bool,
        Value::Number(_) if all(&|v| integer(v).is_some()) => ArgType::Long,
        _ => return None,
    };
    Some((ty, nullable))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(schema: Value) -> ArgType {
        ArgType::of(&schema)
    }

    #[test]
    fn each_json_type_has_its_cedar_type() {
        let ty = ty(json!({
            "type": "object",
            "properties": {
                "amount": { "type": "number" }, "count": { "type": "integer" }, "dry": { "type": "boolean" },
                "to": { "type": "array", "items": { "type": "string", "format": "email" } },
                "card": { "anyOf": [{ "$ref": "#/$defs/Card" }, { "type": "null" }] },
                "free": {}, "either": { "type": ["string", "integer"] }, "pair": { "type": "array", "prefixItems": [{}] }
            },
            "required": ["amount", "card"],
            "$defs": { "Card": { "type": "object", "properties": { "last4": { "type": "string" } }, "required": ["last4"] } }
        }));
        let expected = json!({ "type": "Record", "attributes": {
            "amount": { "type": "Extension", "name": "decimal", "required": true },
            "count": { "type": "Long", "required": false }, "dry": { "type": "Boolean", "required": false },
            "to": { "type": "Set", "element": { "type": "String" }, "required": false },
            "card": { "type": "Record", "attributes": { "last4": { "type": "String", "required": true } }, "required": false }
        }});
        assert_eq!(ty.to_schema(), expected);
    }

    #[test]
    fn a_value_of_another_type_is_refused_and_never_left_out() {
        let ty = ty(json!({
            "properties": { "amount": { "type": "number" }, "n": { "type": "integer" }, "ids": { "type": "array", "items": { "type": "string" } } },
            "required": ["amount"]
        }));
        assert!(
            ty.encode(&json!({ "amount": 49.99, "n": 2.0, "ids": ["a"], "unknown": {} }))
                .is_ok()
        );
        let bad = [
            json!({ "amount": "49" }),
            json!({}),
            json!({ "amount": null }),
            json!({ "amount": 0.00001 }),
            json!({ "amount": 1e300 }),
            json!({ "amount": 1, "n": 1.5 }),
            json!({ "amount": 1, "n": null }),
            json!({ "amount": 1, "ids": "a" }),
            json!({ "amount": 1, "ids": [1] }),
            json!([]),
            json!(null),
        ];
        for args in bad {
            assert!(ty.encode(&args).is_err(), "{args}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let ty = ty(
            json!({ "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#/properties/b" } }, "type": "object" }),
        );
        assert!(matches!(ty, ArgType::Record(_)));
    }
}
