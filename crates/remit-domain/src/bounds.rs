//! Bounds on arguments: a closed set per argument path, checked together at every call, never compared with each other.
//!
//! A missing argument fails its bound; so does one of another type.

mod within;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// An exact decimal with four fraction digits, the range of Cedar's `decimal` (±922337203685477.5807).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i64);

/// A text or number that is not such a decimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a decimal of at most four fraction digits within ±922337203685477.5807")]
pub struct DecimalError(String);

impl Decimal {
    /// From ten-thousandths.
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// Ten-thousandths.
    pub const fn units(self) -> i64 {
        self.0
    }

    /// From a JSON number, exactly as its shortest text reads.
    ///
    /// # Errors
    /// [`DecimalError`] for another type, more than four fraction digits, or out of range.
    pub fn from_json(value: &Value) -> Result<Self, DecimalError> {
        match value {
            Value::Number(n) => n.to_string().parse(),
            other => Err(DecimalError(other.to_string().chars().take(40).collect())),
        }
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let wrong = || DecimalError(text.chars().take(40).collect());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let digits_only = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty()
            || whole.len() > 15
            || fraction.len() > 4
            || !digits_only(whole)
            || !digits_only(fraction)
        {
            return Err(wrong());
        }
        let whole: i64 = whole.parse().map_err(|_| wrong())?;
        let fraction: i64 = format!("{fraction:0<4}").parse().map_err(|_| wrong())?;
        let units = whole
            .checked_mul(10_000)
            .and_then(|w| w.checked_add(fraction))
            .ok_or_else(wrong)?;
        Ok(Self(if negative { -units } else { units }))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let (whole, fraction) = (units / 10_000, units % 10_000);
        if fraction == 0 {
            write!(f, "{sign}{whole}")
        } else {
            let text = format!("{fraction:04}");
            write!(f, "{sign}{whole}.{}", text.trim_end_matches('0'))
        }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => text.parse().map_err(serde::de::Error::custom),
            other => Self::from_json(&other).map_err(serde::de::Error::custom),
        }
    }
}

impl schemars::JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number"] })
    }
}

/// Deepest argument path.
pub const ARG_PATH_DEPTH_MAX: usize = 8;
/// Longest argument path, in bytes.
pub const ARG_PATH_BYTES_MAX: usize = 256;

/// A path to one argument: member names joined by dots, such as `customer.id`. Arrays are bounded as a whole, element
/// by element: a bound on an array holds when every element keeps it and there is at least one.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ArgPath(Arc<str>);

impl ArgPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value at this path of `args`.
    pub fn find<'a>(&self, args: &'a Value) -> Option<&'a Value> {
        self.0
            .split('.')
            .try_fold(args, |at, member| at.as_object()?.get(member))
    }
}

impl FromStr for ArgPath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let ok = text.len() <= ARG_PATH_BYTES_MAX
            && text.split('.').count() <= ARG_PATH_DEPTH_MAX
            && text.split('.').all(|m| {
                !m.is_empty()
                    && m.bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
            });
        if ok {
            Ok(Self(Arc::from(text)))
        } else {
            let text: String = text.chars().take(80).collect();
            Err(format!(
                "`{text}` is not an argument path such as `customer.id` (letters, digits, _ and -, joined by dots)"
            ))
        }
    }
}

impl TryFrom<String> for ArgPath {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ArgPath> for String {
    fn from(path: ArgPath) -> String {
        path.0.to_string()
    }
}

impl fmt::Display for ArgPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ArgPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one argument may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Bound {
    /// Equal (as canonical JSON) to one of these scalars.
    OneOf(Vec<Value>),
    /// An integer within both ends.
    Integer {
        /// Least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<i64>,
        /// Greatest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<i64>,
    },
    /// A number within both ends, exact to four fraction digits.
    Decimal {
        /// Least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<Decimal>,
        /// Greatest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Decimal>,
    },
    /// A string that equals `prefix`, or continues it at `separator`: `/data` holds `/data` and `/data/x`, not `/database`
    /// and not `/data/../etc`.
    Prefix {
        /// The start.
        prefix: String,
        /// What must follow the start.
        separator: char,
    },
    /// At most `max` elements (array) or characters (string).
    Length {
        /// Most.
        max: u32,
    },
}

impl Bound {
    /// Whether `value` keeps this bound.
    pub fn holds(&self, value: &Value) -> bool {
        if let (Value::Array(elements), false) = (value, matches!(self, Self::Length { .. })) {
            return !elements.is_empty() && elements.iter().all(|e| !e.is_array() && self.holds(e));
        }
        match self {
            Self::OneOf(members) => {
                !value.is_object() && members.iter().any(|m| same_scalar(m, value))
            }
            Self::Integer { min, max } => value
                .as_i64()
                .is_some_and(|n| min.is_none_or(|min| n >= min) && max.is_none_or(|max| n <= max)),
            Self::Decimal { min, max } => Decimal::from_json(value)
                .is_ok_and(|d| min.is_none_or(|min| d >= min) && max.is_none_or(|max| d <= max)),
            Self::Prefix { prefix, separator } => value
                .as_str()
                .is_some_and(|text| continues(text, prefix, *separator)),
            Self::Length { max } => {
                let len = match value {
                    Value::Array(elements) => Some(elements.len()),
                    Value::String(text) => Some(text.chars().count()),
                    _ => None,
                };
                len.and_then(|n| u32::try_from(n).ok())
                    .is_some_and(|n| n <= *max)
            }
        }
    }
}

fn same_scalar(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => {
            matches!((Decimal::from_json(a), Decimal::from_json(b)), (Ok(a), Ok(b)) if a == b)
                || a == b
        }
        _ => a == b,
    }
}

fn continues(text: &str, prefix: &str, separator: char) -> bool {
    let rest = match text.strip_prefix(prefix) {
        Some("") => return true,
        Some(rest) if prefix.ends_with(separator) => rest,
        Some(rest) => match rest.strip_prefix(separator) {
            Some(rest) => rest,
            None => return false,
        },
        None => return false,
    };
    // A step back would leave what the prefix names; so would a backslash where the other side reads it as a separator.
    !rest
        .split([separator, '/', '\\'])
        .any(|step| step == ".." || step == ".")
        && !rest.contains('\0')
}

/// The bounds of one tool: every listed argument must be there and keep every bound listed for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Bounds(pub BTreeMap<ArgPath, Vec<Bound>>);

/// One argument outside one bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Which argument.
    pub path: ArgPath,
    /// Which bound; absent when the argument is missing.
    pub bound: Option<Bound>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bound {
            None => write!(f, "argument {} is missing", self.path),
            Some(Bound::OneOf(_)) => write!(
                f,
                "argument {} is not one of the permitted values",
                self.path
            ),
            Some(Bound::Integer { min, max }) => {
                write!(
                    f,
                    "argument {} is outside {}..{}",
                    self.path,
                    end(min.as_ref()),
                    end(max.as_ref())
                )
            }
            Some(Bound::Decimal { min, max }) => {
                write!(
                    f,
                    "argument {} is outside {}..{}",
                    self.path,
                    end(min.as_ref()),
                    end(max.as_ref())
                )
            }
            Some(Bound::Prefix { prefix, .. }) => {
                write!(f, "argument {} is not within {prefix}", self.path)
            }
            Some(Bound::Length { max }) => write!(f, "argument {} is longer than {max}", self.path),
        }
    }
}

/// What an argument may be, in words that follow its name.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |min: Option<String>, max: Option<String>| match (min, max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "any number".to_owned(),
        };
        match self {
            Self::OneOf(members) => {
                let members = members.iter().map(|m| match m {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                write!(f, "one of {}", members.collect::<Vec<_>>().join(", "))
            }
            Self::Integer { min, max } => {
                let range = range(min.map(|n| n.to_string()), max.map(|n| n.to_string()));
                write!(f, "a whole number, {range}")
            }
            Self::Decimal { min, max } => {
                let text = |end: &Option<Decimal>| end.as_ref().map(ToString::to_string);
                f.write_str(&range(text(min), text(max)))
            }
            Self::Prefix { prefix, separator } => {
                write!(f, "`{prefix}`, or beginning with `{prefix}{separator}`")
            }
            Self::Length { max } => write!(f, "at most {max} long"),
        }
    }
}

fn end<T: fmt::Display>(bound: Option<&T>) -> String {
    bound.map(ToString::to_string).unwrap_or_default()
}

impl Bounds {
    /// Every breach of these bounds by `args`, in the order of paths.
    pub fn breaches(&self, args: &Value) -> Vec<Breach> {
        let mut out = Vec::new();
        for (path, bounds) in &self.0 {
            match path.find(args) {
                None | Some(Value::Null) => out.push(Breach {
                    path: path.clone(),
                    bound: None,
                }),
                Some(value) => {
                    let broken = bounds.iter().filter(|b| !b.holds(value));
                    out.extend(broken.map(|b| Breach {
                        path: path.clone(),
                        bound: Some(b.clone()),
                    }));
                }
            }
        }
        out
    }
}

/// The span over which a cumulative limit counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// The whole tree of runs below one root run.
    Run,
    /// One UTC day.
    Day,
}

/// A cumulative limit: counted per (organization, sponsor) across every agent and sub-agent; reserved when decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cumulative {
    /// At most `max` calls.
    Count {
        /// Most calls.
        max: u32,
        /// Over what.
        per: Span,
    },
    /// Values of one argument add up to at most `max`.
    Sum {
        /// Which argument; must be a number of at least zero.
        arg: ArgPath,
        /// Greatest sum.
        max: Decimal,
        /// Over what.
        per: Span,
        /// Count apart for each value of this argument (refunds a day *per customer*).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<ArgPath>,
    },
}

impl fmt::Display for Cumulative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = |span: &Span| match span {
            Span::Run => "run",
            Span::Day => "day",
        };
        match self {
            Self::Count { max, per } => write!(f, "at most {max} calls a {}", over(per)),
            Self::Sum { arg, max, per, by } => {
                write!(f, "{arg} adds up to at most {max} a {}", over(per))?;
                match by {
                    Some(by) => write!(f, ", for each {by}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn bounds_and_limits_are_told_in_words() {
        let bound = |json: Value| serde_json::from_value::<Bound>(json).unwrap().to_string();
        let limit = |json: Value| {
            serde_json::from_value::<Cumulative>(json)
                .unwrap()
                .to_string()
        };
        let said = [
            bound(json!({ "one_of": ["A-118", 7] })),
            bound(json!({ "integer": { "min": 1 } })),
            bound(json!({ "decimal": { "min": 0.01, "max": 500 } })),
            bound(json!({ "prefix": { "prefix": "/data", "separator": "/" } })),
            bound(json!({ "length": { "max": 3 } })),
            limit(json!({ "count": { "max": 3, "per": "run" } })),
            limit(
                json!({ "sum": { "arg": "amount", "max": 2000, "per": "day", "by": "customer" } }),
            ),
        ];
        assert_eq!(
            said,
            [
                "one of A-118, 7",
                "a whole number, at least 1",
                "from 0.01 to 500",
                "`/data`, or beginning with `/data/`",
                "at most 3 long",
                "at most 3 calls a run",
                "amount adds up to at most 2000 a day, for each customer",
            ]
        );
    }

    fn bounds(json: Value) -> Bounds {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_missing_argument_fails_its_bound() {
        let b = bounds(json!({ "amount": [{ "decimal": { "max": 50 } }] }));
        assert_eq!(b.breaches(&json!({})).len(), 1);
        assert_eq!(b.breaches(&json!({ "amount": null })).len(), 1);
        assert!(b.breaches(&json!({ "amount": 50.0 })).is_empty());
        assert_eq!(b.breaches(&json!({ "amount": 50.01 })).len(), 1);
    }

    #[test]
    fn a_number_as_text_is_not_a_number() {
        let b = bounds(
            json!({ "amount": [{ "decimal": { "max": 50 } }], "n": [{ "integer": { "min": 1 } }] }),
        );
        assert_eq!(b.breaches(&json!({ "amount": "49", "n": "2" })).len(), 2);
        assert_eq!(b.breaches(&json!({ "amount": 49, "n": 1.5 })).len(), 1);
    }

    #[test]
    fn a_prefix_stops_at_its_separator() {
        let b = Bound::Prefix {
            prefix: "/data".into(),
            separator: '/',
        };
        for good in ["/data", "/data/x", "/data/x/y"] {
            assert!(b.holds(&json!(good)), "{good}");
        }
        for bad in [
            "/database",
            "/data/../etc",
            "/data/./x",
            "/etc",
            "/data/..\\etc",
            "/data/a\0b",
            "",
        ] {
            assert!(!b.holds(&json!(bad)), "{bad}");
        }
    }

    #[test]
    fn an_array_keeps_a_bound_only_with_all_its_elements() {
        let b = Bound::OneOf(vec![json!("A-118")]);
        assert!(b.holds(&json!(["A-118"])));
        assert!(!b.holds(&json!(["A-118", "B-1"])));
        assert!(!b.holds(&json!([])));
        assert!(!b.holds(&json!([["A-118"]])));
    }

    proptest! {
        #[test]
        fn decimals_round_trip(units in -9_000_000_000_000_000_000i64..9_000_000_000_000_000_000) {
            let d = Decimal::from_units(units);
            prop_assert_eq!(d.to_string().parse::<Decimal>().unwrap(), d);
        }

        #[test]
        fn decimal_bounds_hold_exactly(value in 0i64..1_000_000, max in 0i64..1_000_000) {
            let b = Bound::Decimal { min: None, max: Some(Decimal::from_units(max)) };
            let text = Decimal::from_units(value).to_string();
            let json: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(b.holds(&json), value <= max);
        }
    }
}
