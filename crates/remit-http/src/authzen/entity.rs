//! Subjects, actions and resources as they are sent (Authorization API 1.0 §5).
//!
//! What is not known is left alone; what is required and missing, or of another type, is a bad request.

use remit_mcp::json::JsonObject;
use serde_json::Value;

use super::NotAnswered;
use crate::limits::ENTITY_BYTES_MAX;

/// A subject or a resource: a type, an id unless it is what is searched for, and properties.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entity {
    pub(super) kind: String,
    pub(super) id: Option<String>,
    pub(super) properties: JsonObject,
}

/// An action.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    pub(super) name: String,
    pub(super) properties: JsonObject,
}

fn member<'a>(of: &'a JsonObject, name: &str) -> Option<&'a Value> {
    of.get(name).filter(|v| !v.is_null())
}

/// A member that is an object; none where it is not there.
pub(super) fn object<'a>(
    of: &'a JsonObject,
    at: &str,
    name: &str,
) -> Result<Option<&'a JsonObject>, NotAnswered> {
    match member(of, name) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(NotAnswered::invalid(format!(
            "`{at}{name}` must be an object"
        ))),
    }
}

/// A member that is a text; none where it is not there.
pub(super) fn text(of: &JsonObject, at: &str, name: &str) -> Result<Option<String>, NotAnswered> {
    match member(of, name) {
        None => Ok(None),
        Some(Value::String(text)) if (1..=ENTITY_BYTES_MAX).contains(&text.len()) => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(NotAnswered::invalid(format!(
            "`{at}{name}` must be a string of 1 to {ENTITY_BYTES_MAX} bytes"
        ))),
    }
}

fn required<T>(found: Option<T>, what: &str) -> Result<T, NotAnswered> {
    found.ok_or_else(|| NotAnswered::invalid(format!("`{what}` is missing")))
}

impl Entity {
    /// A `subject` or `resource`. Its id is required unless it is what is searched for, and then it is not looked at.
    pub(super) fn read(of: &JsonObject, name: &str, searched: bool) -> Result<Self, NotAnswered> {
        let found = required(object(of, "", name)?, name)?;
        let at = format!("{name}.");
        let id = match searched {
            true => None,
            false => Some(required(text(found, &at, "id")?, &format!("{at}id"))?),
        };
        Ok(Self {
            kind: required(text(found, &at, "type")?, &format!("{at}type"))?,
            id,
            properties: object(found, &at, "properties")?
                .cloned()
                .unwrap_or_default(),
        })
    }

    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}

impl Action {
    /// The `action`.
    pub(super) fn read(of: &JsonObject) -> Result<Self, NotAnswered> {
        let found = required(object(of, "", "action")?, "action")?;
        Ok(Self {
            name: required(text(found, "action.", "name")?, "action.name")?,
            properties: object(found, "action.", "properties")?
                .cloned()
                .unwrap_or_default(),
        })
    }
}
