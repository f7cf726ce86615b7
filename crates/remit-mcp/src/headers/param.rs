//! `x-mcp-header`: which arguments of a tool are mirrored into `Mcp-Param-*`.
//!
//! Source: MCP 2026-07-28 basic/transports/streamable-http "Schema Extension". A violated constraint makes the whole
//! tool definition invalid.

use serde_json::Value;

use crate::json::{JsonObject, pointer};
use crate::limits::{DEPTH_MAX, PARAM_HEADERS_MAX};
use crate::protocol::header;
use crate::text::one_line;

const KEYWORD: &str = "x-mcp-header";

/// Why an `x-mcp-header` annotation is invalid. Pointers lead into the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamHeaderError {
    /// Not a non-empty RFC 9110 token.
    #[error("x-mcp-header at `{pointer}` is not a header name")]
    NotAToken {
        /// Where.
        pointer: String,
    },
    /// Two annotations with one name, regardless of case.
    #[error("x-mcp-header `{name}` is used twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The property is not a string, integer or boolean.
    #[error("x-mcp-header at `{pointer}` is not on a string, integer or boolean")]
    NotPrimitive {
        /// Where.
        pointer: String,
    },
    /// The property is not reached through `properties` alone.
    #[error("x-mcp-header at `{pointer}` is not on a plain property")]
    Unreachable {
        /// Where.
        pointer: String,
    },
    /// More than [`PARAM_HEADERS_MAX`], or nested deeper than [`DEPTH_MAX`].
    #[error("x-mcp-header is used more than {PARAM_HEADERS_MAX} times or the schema is too deep")]
    TooMany,
}

/// One mirrored argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamHeader {
    path: Vec<String>,
    name: String,
}

impl ParamHeader {
    /// Full header name as the schema spells it.
    #[must_use]
    pub fn header_name(&self) -> String {
        format!("{}{}", header::PARAM_PREFIX, self.name)
    }

    pub(super) fn lower(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// The argument at the annotated path; `None` if absent or null, which must have no header.
    #[must_use]
    pub fn value_in<'a>(&self, arguments: &'a JsonObject) -> Option<&'a Value> {
        let (first, rest) = self.path.split_first()?;
        let value = rest.iter().try_fold(arguments.get(first)?, |value, key| {
            value.as_object()?.get(key)
        })?;
        Some(value).filter(|value| !value.is_null())
    }
}

/// All mirrored arguments of one tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParamHeaders(Vec<ParamHeader>);

impl ParamHeaders {
    /// Reads the annotations of an input schema.
    ///
    /// # Errors
    /// [`ParamHeaderError`]; the tool must then not be offered.
    pub fn of_schema(schema: &JsonObject) -> Result<Self, ParamHeaderError> {
        let mut scan = Scan {
            found: Self::default(),
            path: Vec::new(),
            trail: Vec::new(),
        };
        scan.schema(schema, true)?;
        Ok(scan.found)
    }

    /// The mirrored arguments.
    pub fn iter(&self) -> impl Iterator<Item = &ParamHeader> {
        self.0.iter()
    }

    /// Whether nothing is mirrored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Scan<'s> {
    found: ParamHeaders,
    /// Property names from the root, valid while on the plain chain.
    path: Vec<&'s str>,
    /// Steps into the schema, for errors.
    trail: Vec<&'s str>,
}

impl<'s> Scan<'s> {
    /// - `plain`: `schema` is the root or reached from it through `properties` alone.
    fn schema(&mut self, schema: &'s JsonObject, plain: bool) -> Result<(), ParamHeaderError> {
        if self.trail.len() > DEPTH_MAX {
            return Err(ParamHeaderError::TooMany);
        }
        for (keyword, value) in schema {
            self.trail.push(keyword);
            match (keyword.as_str(), value) {
                (KEYWORD, value) => self.annotation(schema, value, plain)?,
                ("properties", Value::Object(properties)) => {
                    for (name, property) in properties {
                        self.path.push(name);
                        self.trail.push(name);
                        self.subschema(property, plain)?;
                        self.trail.pop();
                        self.path.pop();
                    }
                }
                // Maps from arbitrary names to schemas: a name is not a keyword.
                (
                    "$defs" | "definitions" | "patternProperties" | "dependentSchemas",
                    Value::Object(schemas),
                ) => {
                    for subschema in schemas.values() {
                        self.subschema(subschema, false)?;
                    }
                }
                // Data, not schemas.
                ("default" | "const" | "enum" | "examples" | "required", _) => {}
                (_, value) => self.subschema(value, false)?,
            }
            self.trail.pop();
        }
        Ok(())
    }

    fn subschema(&mut self, value: &'s Value, plain: bool) -> Result<(), ParamHeaderError> {
        match value {
            Value::Object(schema) => self.schema(schema, plain),
            Value::Array(items) => items.iter().try_for_each(|item| match item {
                Value::Object(schema) => self.schema(schema, false),
                _ => Ok(()),
            }),
            _ => Ok(()),
        }
    }

    fn annotation(
        &mut self,
        schema: &JsonObject,
        value: &Value,
        plain: bool,
    ) -> Result<(), ParamHeaderError> {
        let at = || pointer(self.trail.iter().copied());
        if !plain || self.path.is_empty() {
            return Err(ParamHeaderError::Unreachable { pointer: at() });
        }
        let name = value
            .as_str()
            .filter(|name| !name.is_empty() && name.len() <= 128 && name.bytes().all(is_tchar))
            .ok_or_else(|| ParamHeaderError::NotAToken { pointer: at() })?;
        if !matches!(
            schema.get("type").and_then(Value::as_str),
            Some("string" | "integer" | "boolean")
        ) {
            return Err(ParamHeaderError::NotPrimitive { pointer: at() });
        }
        if self
            .found
            .iter()
            .any(|other| other.name.eq_ignore_ascii_case(name))
        {
            return Err(ParamHeaderError::Duplicate {
                name: one_line(name, 128),
            });
        }
        if self.found.0.len() >= PARAM_HEADERS_MAX {
            return Err(ParamHeaderError::TooMany);
        }
        let path = self.path.iter().map(|&step| step.to_owned()).collect();
        self.found.0.push(ParamHeader {
            path,
            name: name.to_owned(),
        });
        Ok(())
    }
}

/// RFC 9110 §5.6.2.
fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scan(schema: &Value) -> Result<ParamHeaders, ParamHeaderError> {
        ParamHeaders::of_schema(schema.as_object().unwrap())
    }

    #[test]
    fn plain_and_nested_properties_are_found() {
        let found = scan(&json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "db": {"type": "object", "properties": {"shard": {"type": "integer", "x-mcp-header": "Shard"}}},
            "x-mcp-header": {"type": "string"},
        }}))
        .unwrap();
        let names: Vec<_> = found.iter().map(ParamHeader::header_name).collect();
        assert_eq!(names.len(), 2);
        let arguments = json!({"region": null, "db": {"shard": 4}});
        let values: Vec<_> = found
            .iter()
            .filter_map(|p| p.value_in(arguments.as_object().unwrap()))
            .collect();
        assert_eq!(values, [&json!(4)]);
    }

    #[test]
    fn annotations_elsewhere_make_the_tool_invalid() {
        let on = json!({"type": "string", "x-mcp-header": "A"});
        for schema in [
            json!({"type": "object", "x-mcp-header": "A"}),
            json!({"properties": {"a": {"type": "array", "items": on}}}),
            json!({"properties": {"a": {"anyOf": [on]}}}),
            json!({"anyOf": [{"properties": {"a": on}}]}),
            json!({"$defs": {"properties": {"properties": {"a": on}}}}),
            json!({"if": {"properties": {"a": on}}}),
            json!({"additionalProperties": on}),
            json!({"patternProperties": {"^a": on}}),
        ] {
            assert!(
                matches!(scan(&schema), Err(ParamHeaderError::Unreachable { .. })),
                "{schema}"
            );
        }
        assert!(
            scan(&json!({"properties": {"a": {"default": on}}}))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn names_and_types_are_checked() {
        let with = |ty: &str, name: Value| json!({"properties": {"a": {"type": ty, "x-mcp-header": name}}});
        for name in [
            json!(""),
            json!("a b"),
            json!("a\r\nX: y"),
            json!("é"),
            json!(1),
        ] {
            assert!(matches!(
                scan(&with("string", name)),
                Err(ParamHeaderError::NotAToken { .. })
            ));
        }
        for ty in ["number", "object", "array", "null"] {
            assert!(matches!(
                scan(&with(ty, json!("A"))),
                Err(ParamHeaderError::NotPrimitive { .. })
            ));
        }
        let twice = json!({"properties": {
            "a": {"type": "string", "x-mcp-header": "Region"},
            "b": {"type": "string", "x-mcp-header": "rEGION"},
        }});
        assert!(matches!(
            scan(&twice),
            Err(ParamHeaderError::Duplicate { .. })
        ));
    }
}
