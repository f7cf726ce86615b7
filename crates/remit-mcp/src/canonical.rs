//! The one canonical reading of tool arguments.
//!
//! What is decided, shown to an approver, hashed and sent upstream is one and the same value. Anything on which
//! two readers could differ is refused rather than repaired:
//!
//! - duplicate keys and unpaired surrogates (while reading, [`crate::json`]);
//! - integers outside ±(2^53 - 1), which readers with doubles round;
//! - numbers with a fraction that need more than four digits or exceed 2^39 in magnitude, so that each one is an
//!   exact decimal that policy can compare (a Cedar decimal) and a double of its own;
//! - characters in a key that cannot be seen or that reorder what is seen.
//!
//! A number is read as the nearest double and from then on *is* that double's shortest decimal form: `1.0`, `1e0`
//! and `1` are the integer 1, `-0` is 0, and `0.10000000000000001` is `0.1`, in the decision as on the wire.
//! Strings are kept code point for code point; no Unicode normalisation is applied.

use serde_json::{Number, Value};

use crate::digest::Sha256Digest;
use crate::json::{self, JsonError, JsonObject, pointer};
use crate::limits::{
    DECIMAL_ABS_MAX, DECIMAL_DIGITS_MAX, DEPTH_MAX, INTEGER_MAX, MESSAGE_BYTES_MAX,
};
use crate::text::hidden_char;

/// Why a value has no canonical reading. Pointers are RFC 6901 from the root of the arguments.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// The text itself is refused.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// MCP arguments are an object.
    #[error("arguments must be a JSON object")]
    NotAnObject,
    /// Integer outside ±(2^53 - 1).
    #[error("integer at `{pointer}` is outside ±9007199254740991, send it as a string")]
    IntegerOutOfRange {
        /// Where.
        pointer: String,
    },
    /// Fraction of a magnitude at which four digits are no longer exact.
    #[error("decimal at `{pointer}` is outside ±549755813888, send it as a string")]
    DecimalOutOfRange {
        /// Where.
        pointer: String,
    },
    /// Fraction with more than four digits.
    #[error(
        "decimal at `{pointer}` has more than {DECIMAL_DIGITS_MAX} digits after the point, round it or send a string"
    )]
    DecimalTooPrecise {
        /// Where.
        pointer: String,
    },
    /// Key with a bidirectional control, zero-width or control character.
    #[error("key at `{pointer}` holds the invisible character U+{code:04X}")]
    HiddenCharacter {
        /// Where, with the character shown as a space.
        pointer: String,
        /// The code point.
        code: u32,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("arguments are nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Canonical text longer than [`MESSAGE_BYTES_MAX`].
    #[error("arguments are larger than {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
    /// The JCS writer refused.
    #[error("arguments cannot be written canonically")]
    Encode(#[from] EncodeError),
}

/// The JCS writer refused a value.
#[derive(Debug, thiserror::Error)]
#[error("value cannot be written as canonical JSON")]
pub struct EncodeError(#[source] serde_json::Error);

/// RFC 8785 (JCS) text of `value`.
///
/// # Errors
/// [`EncodeError`]; does not happen for values that [`crate::json::read`] gave.
pub fn jcs<T: serde::Serialize>(value: &T) -> Result<String, EncodeError> {
    serde_json_canonicalizer::to_string(value).map_err(EncodeError)
}

/// RFC 8785 (JCS) text of a JSON value: the same text as [`jcs`] gives, made without a buffer for each member. The order
/// of members and whole numbers are written here, everything else by the libraries.
///
/// # Errors
/// As [`jcs`].
pub fn jcs_value(value: &Value) -> Result<String, EncodeError> {
    let mut out = Vec::with_capacity(128);
    write_value(value, &mut out)?;
    text(out)
}

fn text(written: Vec<u8>) -> Result<String, EncodeError> {
    let unreadable = |e| EncodeError(<serde_json::Error as serde::ser::Error>::custom(e));
    String::from_utf8(written).map_err(unreadable)
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match value {
        Value::Object(object) => write_object(object, out),
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
            Ok(())
        }
        // A fraction, or an integer that a double may not hold: the form of ECMAScript, as the library knows it.
        Value::Number(number) if !is_plain(number) => {
            out.extend(serde_json_canonicalizer::to_vec(number).map_err(EncodeError)?);
            Ok(())
        }
        // RFC 8785 section 3.2.2.2 escapes what serde_json escapes.
        plain => serde_json::to_writer(out, plain).map_err(EncodeError),
    }
}

fn is_plain(number: &Number) -> bool {
    let integer = number.as_i64().map(i64::unsigned_abs);
    integer.is_some_and(|n| n <= INTEGER_MAX.unsigned_abs())
}

fn write_object(object: &JsonObject, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut members: Vec<(&String, &Value)> = object.iter().collect();
    // RFC 8785 section 3.2.3: by UTF-16 code units, which for ASCII is the order of bytes.
    members.sort_unstable_by(|(a, _), (b, _)| {
        if a.is_ascii() && b.is_ascii() {
            a.cmp(b)
        } else {
            a.encode_utf16().cmp(b.encode_utf16())
        }
    });
    out.push(b'{');
    for (n, (key, value)) in members.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key).map_err(EncodeError)?;
        out.push(b':');
        write_value(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// As [`jcs_value`], for an object.
///
/// # Errors
/// As [`jcs`].
pub fn jcs_object(object: &JsonObject) -> Result<String, EncodeError> {
    let mut out = Vec::with_capacity(128);
    write_object(object, &mut out)?;
    text(out)
}

/// Tool arguments (or input responses) in their one canonical reading.
#[derive(Debug, Clone, PartialEq)]
pub struct CanonicalArgs {
    value: JsonObject,
    text: String,
    digest: Sha256Digest,
}

impl CanonicalArgs {
    /// Reads arguments from bytes.
    ///
    /// # Errors
    /// [`CanonicalError`] with the place.
    pub fn parse(bytes: &[u8]) -> Result<Self, CanonicalError> {
        Self::from_value(json::read(bytes)?)
    }

    /// Reads arguments from a value that [`crate::json::read`] gave, alone or as part of a message. A value from a
    /// lenient reader may already have lost a duplicate key and must not be given here.
    ///
    /// # Errors
    /// [`CanonicalError`] with the place.
    pub fn from_value(value: Value) -> Result<Self, CanonicalError> {
        match value {
            Value::Object(object) => Self::from_object(object),
            _ => Err(CanonicalError::NotAnObject),
        }
    }

    /// As [`CanonicalArgs::from_value`], for an object.
    ///
    /// # Errors
    /// [`CanonicalError`] with the place.
    pub fn from_object(mut value: JsonObject) -> Result<Self, CanonicalError> {
        canonical_object(&mut value, 1).map_err(Fault::explain)?;
        let text = jcs_object(&value)?;
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(CanonicalError::TooLarge);
        }
        let digest = Sha256Digest::of(text.as_bytes());
        Ok(Self {
            value,
            text,
            digest,
        })
    }

    /// No arguments: `{}`.
    ///
    /// # Errors
    /// Only if the JCS writer refuses, as [`CanonicalArgs::from_object`].
    pub fn empty() -> Result<Self, CanonicalError> {
        Self::from_object(JsonObject::new())
    }

    /// The value that is decided and sent.
    #[must_use]
    pub fn value(&self) -> &JsonObject {
        &self.value
    }

    /// Its RFC 8785 text. Two arguments are the same if and only if their texts are.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of [`CanonicalArgs::text`].
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }
}

/// A canonical number in ten-thousandths, the unit of a Cedar decimal.
///
/// Exact for every number that [`CanonicalArgs`] accepts; `None` when an integer is beyond the decimal range
/// (±922337203685477.5807) or the number did not come from [`CanonicalArgs`].
#[must_use]
pub fn decimal_units(number: &Number) -> Option<i64> {
    if let Some(integer) = number.as_i64() {
        return integer.checked_mul(10_000);
    }
    let float = number.as_f64().filter(|f| f.abs() <= DECIMAL_ABS_MAX)?;
    format!("{float:.4}").replace('.', "").parse().ok()
}

/// What is wrong, with the steps to it from the inside out.
struct Fault {
    kind: FaultKind,
    steps: Vec<String>,
}

enum FaultKind {
    Integer,
    DecimalRange,
    DecimalDigits,
    Hidden(char),
    Depth,
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            steps: Vec::new(),
        }
    }

    fn at(mut self, step: impl Into<String>) -> Self {
        self.steps.push(step.into());
        self
    }

    fn explain(self) -> CanonicalError {
        let pointer = pointer(self.steps.iter().rev().map(String::as_str));
        match self.kind {
            FaultKind::Integer => CanonicalError::IntegerOutOfRange { pointer },
            FaultKind::DecimalRange => CanonicalError::DecimalOutOfRange { pointer },
            FaultKind::DecimalDigits => CanonicalError::DecimalTooPrecise { pointer },
            FaultKind::Hidden(c) => CanonicalError::HiddenCharacter {
                pointer,
                code: u32::from(c),
            },
            FaultKind::Depth => CanonicalError::TooDeep,
        }
    }
}

fn canonical_value(value: &mut Value, depth: usize) -> Result<(), Fault> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) => {
            *number = canonical_number(number).map_err(Fault::new)?;
            Ok(())
        }
        Value::Array(items) => {
            if depth >= DEPTH_MAX {
                return Err(Fault::new(FaultKind::Depth));
            }
            for (index, item) in items.iter_mut().enumerate() {
                canonical_value(item, depth.saturating_add(1))
                    .map_err(|fault| fault.at(index.to_string()))?;
            }
            Ok(())
        }
        Value::Object(object) => {
            if depth >= DEPTH_MAX {
                return Err(Fault::new(FaultKind::Depth));
            }
            canonical_object(object, depth.saturating_add(1))
        }
    }
}

/// `depth` counts this object.
fn canonical_object(object: &mut JsonObject, depth: usize) -> Result<(), Fault> {
    // Where maps keep insertion order, sorting makes the forwarded bytes independent of the received order.
    object.sort_keys();
    for (key, value) in object.iter_mut() {
        if let Some(c) = hidden_char(key) {
            return Err(Fault::new(FaultKind::Hidden(c)).at(key.as_str()));
        }
        canonical_value(value, depth).map_err(|fault| fault.at(key.as_str()))?;
    }
    Ok(())
}

fn canonical_number(number: &Number) -> Result<Number, FaultKind> {
    if let Some(integer) = number.as_i64() {
        let safe = integer.unsigned_abs() <= INTEGER_MAX.unsigned_abs();
        return if safe {
            Ok(Number::from(integer))
        } else {
            Err(FaultKind::Integer)
        };
    }
    let float = number
        .as_f64()
        .filter(|_| !number.is_u64())
        .ok_or(FaultKind::Integer)?;
    if float.fract() == 0.0 {
        // 2^53 - 1 is a double, so the comparison is exact, and below it so is the conversion.
        let safe = float.abs() <= INTEGER_MAX as f64;
        return if safe {
            Ok(Number::from(float as i64))
        } else {
            Err(FaultKind::Integer)
        };
    }
    if float.abs() > DECIMAL_ABS_MAX {
        return Err(FaultKind::DecimalRange);
    }
    // `Display` of a double is its shortest decimal that reads back, never with an exponent.
    let shortest = float.to_string();
    let digits = shortest
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    if digits > DECIMAL_DIGITS_MAX {
        return Err(FaultKind::DecimalDigits);
    }
    Number::from_f64(float).ok_or(FaultKind::DecimalRange)
}

#[cfg(test)]
mod tests;
