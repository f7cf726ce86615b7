//! Tool definitions as an upstream lists them, their hash, and their names.
//!
//! A definition is text from a server that is not trusted: it is bounded, hashed, and a change of the hash stops
//! calls until a person has seen what changed. Annotations are hints and decide nothing.
//!
//! Source: MCP 2026-07-28 server/tools; MCP 2025-11-25 server/tools.

use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::canonical::{EncodeError, jcs};
use crate::digest::Sha256Digest;
use crate::headers::{ParamHeaderError, ParamHeaders};
use crate::json::JsonObject;
use crate::limits::{
    HANDLE_BYTES_MAX, TOOL_ANNOTATIONS_BYTES_MAX, TOOL_DESCRIPTION_BYTES_MAX,
    TOOL_SCHEMA_BYTES_MAX, TOOL_TITLE_BYTES_MAX, TOOLS_PER_PAGE_MAX,
};
use crate::text::one_line;

mod name;

pub use name::{
    AggregatedNames, NameError, UpstreamIdError, aggregated_name, check_tool_name,
    check_upstream_id, confusable,
};

/// Why a tool definition is refused.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Not an object.
    #[error("tool definition is not an object")]
    NotAnObject,
    /// The name is missing or cannot be a tool's name.
    #[error("tool name: {0}")]
    Name(#[from] NameError),
    /// A member is of the wrong type.
    #[error("`{member}` has the wrong type")]
    Type {
        /// Which.
        member: &'static str,
    },
    /// A member is larger than its limit.
    #[error("`{member}` is larger than {max} bytes")]
    TooLarge {
        /// Which.
        member: &'static str,
        /// The limit.
        max: usize,
    },
    /// The root of the input schema is not an object type.
    #[error("`inputSchema` must have type `object`")]
    NotAnObjectSchema,
    /// An `x-mcp-header` annotation is invalid.
    #[error(transparent)]
    ParamHeader(#[from] ParamHeaderError),
    /// Two tools of one upstream have the same name.
    #[error("name is listed twice")]
    Duplicate,
    /// The name reads like that of another tool of the same upstream.
    #[error("name looks like that of tool `{other}`")]
    Confusable {
        /// The other tool.
        other: String,
    },
    /// The JCS writer refused.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// One tool as its upstream describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDefinition {
    /// Name at the upstream.
    pub name: String,
    /// Name for people.
    pub title: Option<String>,
    /// Description, for models and for the person who approves the tool.
    pub description: Option<String>,
    /// JSON Schema of the arguments; root type `object`.
    pub input_schema: JsonObject,
    /// JSON Schema of the structured result.
    pub output_schema: Option<JsonObject>,
    /// Hints of the server about itself.
    pub annotations: Option<JsonObject>,
    /// Every other member (icons, execution, `_meta`); not part of the hash, not shown to callers.
    pub extra: JsonObject,
    definition_hash: Sha256Digest,
    param_headers: ParamHeaders,
}

impl ToolDefinition {
    /// Reads one element of a `tools/list` result.
    ///
    /// - `value`: as [`crate::json::read`] gave it.
    ///
    /// # Errors
    /// [`ToolError`].
    pub fn parse(value: Value) -> Result<Self, ToolError> {
        let Value::Object(mut object) = value else {
            return Err(ToolError::NotAnObject);
        };
        let name = text(&mut object, "name", usize::MAX)?.unwrap_or_default();
        check_tool_name(&name)?;
        let title = text(&mut object, "title", TOOL_TITLE_BYTES_MAX)?;
        let description = text(&mut object, "description", TOOL_DESCRIPTION_BYTES_MAX)?;
        let input_schema =
            bounded(&mut object, "inputSchema", TOOL_SCHEMA_BYTES_MAX)?.ok_or(ToolError::Type {
                member: "inputSchema",
            })?;
        if input_schema
            .get("type")
            .is_some_and(|kind| kind != "object")
        {
            return Err(ToolError::NotAnObjectSchema);
        }
        let output_schema = bounded(&mut object, "outputSchema", TOOL_SCHEMA_BYTES_MAX)?;
        let annotations = bounded(&mut object, "annotations", TOOL_ANNOTATIONS_BYTES_MAX)?;
        let param_headers = ParamHeaders::of_schema(&input_schema)?;
        let mut tool = Self {
            name,
            title,
            description,
            input_schema,
            output_schema,
            annotations,
            extra: object,
            definition_hash: Sha256Digest::from_bytes([0; 32]),
            param_headers,
        };
        tool.definition_hash = Sha256Digest::of(jcs(&tool.hashed_part())?.as_bytes());
        Ok(tool)
    }

    /// SHA-256 over the JCS text of name, title, description, inputSchema, outputSchema and annotations, absent
    /// members left out.
    ///
    /// JCS writes numbers as doubles, so bounds in a schema that differ only beyond 2^53 hash alike; arguments
    /// cannot tell them apart either ([`crate::canonical`]).
    #[must_use]
    pub fn definition_hash(&self) -> Sha256Digest {
        self.definition_hash
    }

    /// Which arguments are mirrored into `Mcp-Param-*`.
    #[must_use]
    pub fn param_headers(&self) -> &ParamHeaders {
        &self.param_headers
    }

    /// The hashed members as a JSON object: what a person approves and what a diff compares.
    #[must_use]
    pub fn hashed_part(&self) -> JsonObject {
        let mut part = JsonObject::new();
        part.insert("name".to_owned(), json!(self.name));
        part.insert("inputSchema".to_owned(), json!(self.input_schema));
        let optional = [
            ("title", self.title.as_ref().map(|text| json!(text))),
            (
                "description",
                self.description.as_ref().map(|text| json!(text)),
            ),
            (
                "outputSchema",
                self.output_schema.as_ref().map(|schema| json!(schema)),
            ),
            (
                "annotations",
                self.annotations.as_ref().map(|hints| json!(hints)),
            ),
        ];
        part.extend(
            optional
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?))),
        );
        part
    }

    /// The definition for a caller's `tools/list`, under the name that the caller must use.
    ///
    /// Only hashed members go out: nothing that a person has not approved reaches a model.
    #[must_use]
    pub fn listed_as(&self, name: &str) -> Value {
        let mut part = self.hashed_part();
        part.insert("name".to_owned(), json!(name));
        Value::Object(part)
    }
}

fn text(
    object: &mut JsonObject,
    member: &'static str,
    max: usize,
) -> Result<Option<String>, ToolError> {
    match object.remove(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= max => Ok(Some(text)),
        Some(Value::String(_)) => Err(ToolError::TooLarge { member, max }),
        Some(_) => Err(ToolError::Type { member }),
    }
}

fn bounded(
    object: &mut JsonObject,
    member: &'static str,
    max: usize,
) -> Result<Option<JsonObject>, ToolError> {
    match object.remove(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(found)) if jcs(&found)?.len() <= max => Ok(Some(found)),
        Some(Value::Object(_)) => Err(ToolError::TooLarge { member, max }),
        Some(_) => Err(ToolError::Type { member }),
    }
}

/// A tool that an upstream listed and that is not taken in.
#[derive(Debug)]
pub struct RefusedTool {
    /// Its name, made safe to show; empty if it had none.
    pub name: String,
    /// Why.
    pub error: ToolError,
}

/// Why a `tools/list` result as a whole is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolPageError {
    /// `tools` is missing or not an array.
    #[error("`tools` must be an array")]
    Tools,
    /// More than [`TOOLS_PER_PAGE_MAX`] tools.
    #[error("more than {TOOLS_PER_PAGE_MAX} tools on one page")]
    TooMany,
    /// `nextCursor` is not a string of at most [`HANDLE_BYTES_MAX`] bytes.
    #[error("`nextCursor` must be a string of at most {HANDLE_BYTES_MAX} bytes")]
    Cursor,
}

/// One page of an upstream's `tools/list`.
#[derive(Debug, Default)]
pub struct ToolPage {
    /// Definitions that can be taken in, in the upstream's order.
    pub tools: Vec<ToolDefinition>,
    /// Those that cannot, with the reason; one bad tool does not hide the others.
    pub refused: Vec<RefusedTool>,
    /// Where the next page begins, opaque.
    pub next_cursor: Option<String>,
}

impl ToolPage {
    /// Reads a `tools/list` result. Look-alikes across pages are found by [`refuse_look_alikes`] over all of them.
    ///
    /// # Errors
    /// [`ToolPageError`].
    pub fn read(mut result: JsonObject) -> Result<Self, ToolPageError> {
        let Some(Value::Array(items)) = result.remove("tools") else {
            return Err(ToolPageError::Tools);
        };
        if items.len() > TOOLS_PER_PAGE_MAX {
            return Err(ToolPageError::TooMany);
        }
        let next_cursor = match result.remove("nextCursor") {
            None | Some(Value::Null) => None,
            Some(Value::String(cursor)) if cursor.len() <= HANDLE_BYTES_MAX => Some(cursor),
            Some(_) => return Err(ToolPageError::Cursor),
        };
        let mut page = Self {
            next_cursor,
            ..Self::default()
        };
        for item in items {
            let name = item
                .get("name")
                .and_then(Value::as_str)
                .map(|name| one_line(name, 128));
            match ToolDefinition::parse(item) {
                Ok(tool) => page.tools.push(tool),
                Err(error) => page.refused.push(RefusedTool {
                    name: name.unwrap_or_default(),
                    error,
                }),
            }
        }
        page.refused.extend(refuse_look_alikes(&mut page.tools));
        Ok(page)
    }
}

/// Takes every tool out of `tools` whose name is that of another one or reads like it.
///
/// All of the alike ones go, since nothing says which of them a person or a model would mean.
pub fn refuse_look_alikes(tools: &mut Vec<ToolDefinition>) -> Vec<RefusedTool> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for tool in tools.iter() {
        groups
            .entry(name::skeleton(&tool.name))
            .or_default()
            .push(tool.name.clone());
    }
    let mut refused = Vec::new();
    tools.retain(|tool| {
        let Some(alike) = groups
            .get(&name::skeleton(&tool.name))
            .filter(|group| group.len() > 1)
        else {
            return true;
        };
        let error = match alike.iter().find(|other| **other != tool.name) {
            Some(other) => ToolError::Confusable {
                other: other.clone(),
            },
            None => ToolError::Duplicate,
        };
        refused.push(RefusedTool {
            name: tool.name.clone(),
            error,
        });
        false
    });
    refused
}

#[cfg(test)]
mod tests;
