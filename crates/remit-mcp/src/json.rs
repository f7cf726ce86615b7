//! One strict reading of JSON text.
//!
//! Two readers that disagree about a message are a way around policy, so everything on which readers are known
//! to disagree is refused: duplicate keys anywhere, unpaired surrogates, bytes that are not UTF-8, numbers out
//! of a double's range, deep nesting. The grammar itself is read by `serde_json`.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

use crate::limits::{DEPTH_MAX, MESSAGE_BYTES_MAX, POINTER_CHARS_MAX, VALUES_MAX};
use crate::text::one_line;

/// A JSON object.
pub type JsonObject = Map<String, Value>;

/// Why bytes are not an acceptable JSON text. Pointers are RFC 6901, cut to a safe length.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Longer than the limit.
    #[error("message of {bytes} bytes is larger than the limit of {max} bytes")]
    TooLarge {
        /// Size received.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Not UTF-8 (RFC 8259 §8.1).
    #[error("message is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Bytes before the first wrong one.
        at: usize,
    },
    /// Not JSON.
    #[error("message is not JSON at line {line} column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The reader's own error.
        #[source]
        source: serde_json::Error,
    },
    /// A `\u` escape of half a surrogate pair (RFC 8259 §8.2).
    #[error("string holds an unpaired surrogate at line {line} column {column}")]
    UnpairedSurrogate {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A number beyond the range of a double.
    #[error("number out of range at line {line} column {column}")]
    NumberOutOfRange {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("message is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// More values than [`VALUES_MAX`].
    #[error("message holds more than {VALUES_MAX} values")]
    TooManyValues,
    /// The same key twice in one object, after unescaping.
    #[error("duplicate key at `{pointer}`, send each key once")]
    DuplicateKey {
        /// The second occurrence.
        pointer: String,
    },
    /// A key that the JSON library itself would treat as an instruction when the value is read again.
    #[error("reserved key at `{pointer}`")]
    ReservedKey {
        /// Where.
        pointer: String,
    },
}

/// Reads one JSON text of at most [`MESSAGE_BYTES_MAX`] bytes.
///
/// Source: RFC 8259; duplicate names and surrogates as in RFC 7493 (I-JSON) §2.1 and §2.3.
///
/// # Errors
/// [`JsonError`], with a JSON pointer where there is one.
pub fn read(bytes: &[u8]) -> Result<Value, JsonError> {
    read_within(bytes, MESSAGE_BYTES_MAX)
}

/// Reads one JSON text of at most `bytes_max` bytes; otherwise as [`read`].
///
/// # Errors
/// [`JsonError`].
pub fn read_within(bytes: &[u8], bytes_max: usize) -> Result<Value, JsonError> {
    if bytes.len() > bytes_max {
        return Err(JsonError::TooLarge {
            bytes: bytes.len(),
            max: bytes_max,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| JsonError::NotUtf8 {
        at: e.valid_up_to(),
    })?;
    let mut state = State::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Reader {
        state: &mut state,
        depth: 0,
    }
    .deserialize(&mut deserializer)
    .and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| state.explain(error))
}

/// Reads one JSON text that must be an object.
///
/// # Errors
/// [`JsonError`]; `Ok(None)` when the text is JSON but not an object.
pub fn read_object(bytes: &[u8]) -> Result<Option<JsonObject>, JsonError> {
    Ok(match read(bytes)? {
        Value::Object(object) => Some(object),
        _ => None,
    })
}

/// Keys with this prefix switch `serde_json::Value` into other readings of the value (its `raw_value` and
/// `arbitrary_precision` features), so a stored message would not read back as it was checked.
const RESERVED_PREFIX: &str = "$serde_json::private::";

#[derive(Clone, Copy)]
enum Fault {
    TooDeep,
    TooManyValues,
    DuplicateKey,
    ReservedKey,
}

#[derive(Default)]
struct State {
    values: usize,
    fault: Option<Fault>,
    /// Steps from the fault outwards; filled only while an error unwinds, so a good message pays nothing.
    steps: Vec<String>,
}

impl State {
    fn fail<E: serde::de::Error>(&mut self, fault: Fault) -> E {
        self.fault = Some(fault);
        E::custom("refused")
    }

    fn step(&mut self, step: impl FnOnce() -> String) {
        if self.fault.is_some() {
            self.steps.push(step());
        }
    }

    fn explain(self, error: serde_json::Error) -> JsonError {
        let pointer = || pointer(self.steps.iter().rev().map(String::as_str));
        match self.fault {
            Some(Fault::TooDeep) => JsonError::TooDeep,
            Some(Fault::TooManyValues) => JsonError::TooManyValues,
            Some(Fault::DuplicateKey) => JsonError::DuplicateKey { pointer: pointer() },
            Some(Fault::ReservedKey) => JsonError::ReservedKey { pointer: pointer() },
            None => explain_syntax(error),
        }
    }
}

/// The library's error codes are private, so two of them are told apart by their words; a changed wording falls
/// back to `Syntax` and still refuses.
fn explain_syntax(source: serde_json::Error) -> JsonError {
    let (line, column) = (source.line(), source.column());
    let words = source.to_string();
    if words.contains("surrogate") || words.contains("end of hex escape") {
        JsonError::UnpairedSurrogate { line, column }
    } else if words.contains("number out of range") {
        JsonError::NumberOutOfRange { line, column }
    } else {
        JsonError::Syntax {
            line,
            column,
            source,
        }
    }
}

/// RFC 6901 pointer of `steps`, safe to quote.
pub(crate) fn pointer<'a>(steps: impl Iterator<Item = &'a str>) -> String {
    let mut pointer = String::new();
    for step in steps {
        pointer.push('/');
        pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
    }
    one_line(&pointer, POINTER_CHARS_MAX)
}

struct Reader<'s> {
    state: &'s mut State,
    depth: usize,
}

impl Reader<'_> {
    fn nested<E: serde::de::Error>(&mut self) -> Result<usize, E> {
        let depth = self.depth.saturating_add(1);
        if depth > DEPTH_MAX {
            Err(self.state.fail(Fault::TooDeep))
        } else {
            Ok(depth)
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.state.values = self.state.values.saturating_add(1);
        if self.state.values > VALUES_MAX {
            return Err(self.state.fail(Fault::TooManyValues));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let depth = self.nested()?;
        let mut array = Vec::new();
        loop {
            match items.next_element_seed(Reader {
                state: &mut *self.state,
                depth,
            }) {
                Ok(Some(item)) => array.push(item),
                Ok(None) => return Ok(Value::Array(array)),
                Err(error) => {
                    self.state.step(|| array.len().to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let depth = self.nested()?;
        let mut object = JsonObject::new();
        while let Some(key) = entries.next_key::<String>()? {
            let fault = if object.contains_key(&key) {
                Some(Fault::DuplicateKey)
            } else if key.starts_with(RESERVED_PREFIX) {
                Some(Fault::ReservedKey)
            } else {
                None
            };
            if let Some(fault) = fault {
                let error = self.state.fail(fault);
                self.state.step(|| key);
                return Err(error);
            }
            match entries.next_value_seed(Reader {
                state: &mut *self.state,
                depth,
            }) {
                Ok(value) => {
                    object.insert(key, value);
                }
                Err(error) => {
                    self.state.step(|| key);
                    return Err(error);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
