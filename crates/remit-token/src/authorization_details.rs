//! Rich authorization requests: what is asked for beyond scopes, as a list of objects that each name their type.
//!
//! Source: RFC 9396 §2. Only the form is read here, strictly; what an object of a type may say is for the caller to know.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};
use thiserror::Error;

use crate::limits::{AUTHORIZATION_DETAILS_BYTES_MAX, AUTHORIZATION_DETAILS_MAX};

/// The one `type` that is granted here: calls of one tool, within bounds on its arguments.
pub const TYPE_TOOL: &str = "remit_tool";

/// Objects of an `authorization_details` parameter, claim or member; 0 to [`AUTHORIZATION_DETAILS_MAX`] where they were
/// received.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorizationDetails(pub Vec<Value>);

/// Why a text is no list of authorization details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorizationDetailsError {
    /// Longer than [`AUTHORIZATION_DETAILS_BYTES_MAX`], or more than [`AUTHORIZATION_DETAILS_MAX`] objects.
    #[error(
        "'authorization_details' is longer than {AUTHORIZATION_DETAILS_BYTES_MAX} bytes or has more than {AUTHORIZATION_DETAILS_MAX} objects; ask for less at once"
    )]
    TooLarge,
    /// Not JSON, or not an array of at least one object.
    #[error("'authorization_details' is not a JSON array of at least one object")]
    NotObjects,
    /// A member occurs twice in one object, at any depth.
    #[error("an object in 'authorization_details' has a member twice; give each once")]
    Repeated,
    /// An object without a `type`.
    #[error("an object in 'authorization_details' has no 'type'")]
    NoType,
}

/// What a repeated member is told apart by.
const REPEATED: &str = "a member occurs twice";

impl AuthorizationDetails {
    /// Reads the value of the parameter.
    ///
    /// # Errors
    /// [`AuthorizationDetailsError`].
    pub fn parse(text: &str) -> Result<Self, AuthorizationDetailsError> {
        if text.len() > AUTHORIZATION_DETAILS_BYTES_MAX {
            return Err(AuthorizationDetailsError::TooLarge);
        }
        let read: Result<UniqueValue, _> = serde_json::from_str(text);
        let value = match read {
            Ok(UniqueValue(value)) => value,
            Err(error) if error.to_string().starts_with(REPEATED) => {
                return Err(AuthorizationDetailsError::Repeated);
            }
            Err(_) => return Err(AuthorizationDetailsError::NotObjects),
        };
        let Value::Array(objects) = value else {
            return Err(AuthorizationDetailsError::NotObjects);
        };
        if objects.len() > AUTHORIZATION_DETAILS_MAX {
            return Err(AuthorizationDetailsError::TooLarge);
        }
        if objects.is_empty() || !objects.iter().all(Value::is_object) {
            return Err(AuthorizationDetailsError::NotObjects);
        }
        if !objects
            .iter()
            .all(|o| o.get("type").is_some_and(Value::is_string))
        {
            return Err(AuthorizationDetailsError::NoType);
        }
        Ok(Self(objects))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The wire form.
    #[must_use]
    pub fn to_text(&self) -> String {
        Value::Array(self.0.clone()).to_string()
    }
}

/// A JSON value in which no object has a member twice.
struct UniqueValue(Value);

impl<'de> Deserialize<'de> for UniqueValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueValue(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, UniqueValue(value))) = map.next_entry::<String, UniqueValue>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom(REPEATED));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_written() {
        let text = r#"[{"bounds":{"amount":[{"decimal":{"max":"49.5"}}],"n":[{"integer":{"min":-1,"max":7}}]},"tool":"orders/refund","type":"remit_tool"}]"#;
        let details = AuthorizationDetails::parse(text).unwrap();
        assert_eq!(details.to_text(), text);
    }

    #[test]
    fn one_reader_cannot_see_another_value_than_the_next() {
        for twice in [
            r#"[{"type":"remit_tool","type":"other"}]"#,
            r#"[{"type":"a","bounds":{"amount":[{"decimal":{"max":"5","max":"5000"}}]}}]"#,
            r#"[{"type":"a","bounds":{"amount":[],"amount":[]}}]"#,
        ] {
            assert_eq!(
                AuthorizationDetails::parse(twice),
                Err(AuthorizationDetailsError::Repeated),
                "{twice}"
            );
        }
    }

    #[test]
    fn only_objects_with_a_type_are_let_in_and_not_too_many() {
        use AuthorizationDetailsError::{NoType, NotObjects, TooLarge};
        let many = format!(
            "[{}]",
            vec![r#"{"type":"a"}"#; AUTHORIZATION_DETAILS_MAX + 1].join(",")
        );
        let long = format!(
            r#"[{{"type":"{}"}}]"#,
            "a".repeat(AUTHORIZATION_DETAILS_BYTES_MAX)
        );
        let deep = "[".repeat(2_000);
        for (text, error) in [
            ("", NotObjects),
            ("[]", NotObjects),
            ("{}", NotObjects),
            ("[1]", NotObjects),
            (&deep, NotObjects),
            (r#"[{}]"#, NoType),
            (r#"[{"type":1}]"#, NoType),
            (&many, TooLarge),
            (&long, TooLarge),
        ] {
            assert_eq!(AuthorizationDetails::parse(text), Err(error), "{text}");
        }
    }
}
