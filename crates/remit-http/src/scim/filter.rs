//! Filters (RFC 7644 section 3.4.2.2): read by a grammar, held against a resource. What they may cost is bounded before they
//! are read: length, brackets and terms.

use serde_json::Value;
use winnow::ModalResult;
use winnow::ascii::{Caseless, multispace0, multispace1};
use winnow::combinator::{alt, cut_err, delimited, opt, preceded, repeat, terminated};
use winnow::error::{ContextError, ErrMode};
use winnow::prelude::*;
use winnow::token::{literal, one_of, take_while};

/// Longest filter, in bytes.
pub(super) const FILTER_BYTES_MAX: usize = 1_000;
/// Most brackets that open in one: how deep reading it goes.
const BRACKETS_MAX: usize = 16;
/// Most comparisons in one: what holding it against a resource costs.
const TERMS_MAX: usize = 32;

/// Attributes whose texts are compared letter by letter; all others without regard to case (RFC 7643 section 2.2).
const EXACT: [&str; 4] = ["id", "externalid", "value", "$ref"];

/// Where a value is: an attribute, and one of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttrPath {
    /// The schema in front of it.
    pub(super) schema: Option<String>,
    /// Name of the attribute.
    pub(super) name: String,
    /// Name of its part.
    pub(super) part: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Present(AttrPath),
    Compare(AttrPath, Op, Value),
    /// Some member of a list is so.
    Some(AttrPath, Box<Self>),
}

/// Reads a filter; the error says what is wrong.
pub(super) fn read(text: &str) -> Result<Filter, String> {
    bounded(text)?;
    let found = delimited(multispace0, or, multispace0).parse(text);
    let found = found.map_err(|e| {
        let at = e.offset();
        format!("the filter cannot be read from character {at} on (RFC 7644 section 3.4.2.2)")
    })?;
    let terms = found.terms();
    if terms > TERMS_MAX {
        return Err(format!(
            "the filter has {terms} comparisons; at most {TERMS_MAX} are looked at"
        ));
    }
    Ok(found)
}

fn bounded(text: &str) -> Result<(), String> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(format!(
            "the filter has {} bytes; at most {FILTER_BYTES_MAX} are read",
            text.len()
        ));
    }
    let brackets = text.bytes().filter(|b| matches!(b, b'(' | b'[')).count();
    if brackets > BRACKETS_MAX {
        return Err(format!(
            "the filter has {brackets} brackets; at most {BRACKETS_MAX} are read"
        ));
    }
    Ok(())
}

/// Reads where a change goes: an attribute, with a filter of its members, and a part of it.
pub(super) fn read_target(
    text: &str,
) -> Result<(AttrPath, Option<Filter>, Option<String>), String> {
    bounded(text)?;
    let members = delimited('[', delimited(multispace0, or, multispace0), ']');
    let part = preceded('.', name).map(str::to_owned);
    let target = (attr_path, opt(members), opt(part)).parse(text);
    target.map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        format!("the path `{shown}` cannot be read (RFC 7644 section 3.5.2)")
    })
}

fn word<'a>(text: &'static str) -> impl Parser<&'a str, &'a str, ErrMode<ContextError>> {
    literal(Caseless(text))
}

fn or(input: &mut &str) -> ModalResult<Filter> {
    let first = and.parse_next(input)?;
    let rest: Vec<Filter> = repeat(
        0..,
        preceded((multispace1, word("or"), multispace1), cut_err(and)),
    )
    .parse_next(input)?;
    Ok(joined(first, rest, Filter::Or))
}

fn and(input: &mut &str) -> ModalResult<Filter> {
    let first = factor.parse_next(input)?;
    let rest: Vec<Filter> = repeat(
        0..,
        preceded((multispace1, word("and"), multispace1), cut_err(factor)),
    )
    .parse_next(input)?;
    Ok(joined(first, rest, Filter::And))
}

fn joined(first: Filter, rest: Vec<Filter>, all: fn(Vec<Filter>) -> Filter) -> Filter {
    if rest.is_empty() {
        return first;
    }
    all(std::iter::once(first).chain(rest).collect())
}

fn factor(input: &mut &str) -> ModalResult<Filter> {
    let group = || delimited(('(', multispace0), or, (multispace0, ')'));
    let not = preceded((word("not"), multispace0), group());
    let not = not.map(|inner| Filter::Not(Box::new(inner)));
    alt((not, group(), comparison)).parse_next(input)
}

fn comparison(input: &mut &str) -> ModalResult<Filter> {
    let path = attr_path.parse_next(input)?;
    let members = opt(delimited(('[', multispace0), or, (multispace0, ']'))).parse_next(input)?;
    if let Some(members) = members {
        return Ok(Filter::Some(path, Box::new(members)));
    }
    multispace1.parse_next(input)?;
    if opt(terminated(word("pr"), not_in_name))
        .parse_next(input)?
        .is_some()
    {
        return Ok(Filter::Present(path));
    }
    let op = operator.parse_next(input)?;
    multispace1.parse_next(input)?;
    let value = value.parse_next(input)?;
    Ok(Filter::Compare(path, op, value))
}

/// A word ends here.
fn not_in_name(input: &mut &str) -> ModalResult<()> {
    winnow::combinator::not(one_of(|c: char| c.is_ascii_alphanumeric())).parse_next(input)
}

fn operator(input: &mut &str) -> ModalResult<Op> {
    alt((
        word("eq").value(Op::Eq),
        word("ne").value(Op::Ne),
        word("co").value(Op::Co),
        word("sw").value(Op::Sw),
        word("ew").value(Op::Ew),
        word("gt").value(Op::Gt),
        word("ge").value(Op::Ge),
        word("lt").value(Op::Lt),
        word("le").value(Op::Le),
    ))
    .parse_next(input)
}

/// A JSON text, number or word: its end is found here, and JSON reads it.
fn value(input: &mut &str) -> ModalResult<Value> {
    let escaped = ('\\', winnow::token::any).void();
    let plain = one_of(|c: char| c != '"' && c != '\\').void();
    let quoted = (
        '"',
        repeat::<_, _, (), _, _>(0.., alt((escaped, plain))),
        '"',
    )
        .take();
    let bare = take_while(1.., |c: char| {
        c.is_ascii_alphanumeric() || "+-.".contains(c)
    });
    alt((quoted, bare))
        .verify_map(|text: &str| serde_json::from_str(text).ok())
        .parse_next(input)
}

fn name<'a>(input: &mut &'a str) -> ModalResult<&'a str> {
    take_while(1.., |c: char| {
        c.is_ascii_alphanumeric() || "-_$".contains(c)
    })
    .parse_next(input)
}

fn attr_path(input: &mut &str) -> ModalResult<AttrPath> {
    let text = take_while(1.., |c: char| {
        c.is_ascii_alphanumeric() || "-_$:.".contains(c)
    })
    .parse_next(input)?;
    let (schema, rest) = match text.rsplit_once(':') {
        Some((schema, rest)) => (Some(schema.to_owned()), rest),
        None => (None, text),
    };
    let (name, part) = match rest.split_once('.') {
        Some((name, part)) => (name, Some(part.to_owned())),
        None => (rest, None),
    };
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$');
    if !begins
        || part
            .as_ref()
            .is_some_and(|p| p.is_empty() || p.contains('.'))
    {
        return Err(ErrMode::Backtrack(ContextError::new()));
    }
    Ok(AttrPath {
        schema,
        name: name.to_owned(),
        part,
    })
}

impl Filter {
    fn terms(&self) -> usize {
        match self {
            Self::Or(all) | Self::And(all) => all.iter().map(Self::terms).sum(),
            Self::Not(inner) | Self::Some(_, inner) => inner.terms(),
            Self::Present(_) | Self::Compare(..) => 1,
        }
    }

    /// Whether a resource, or a member of a list, is so.
    pub(super) fn holds(&self, resource: &Value) -> bool {
        match self {
            Self::Or(all) => all.iter().any(|f| f.holds(resource)),
            Self::And(all) => all.iter().all(|f| f.holds(resource)),
            Self::Not(inner) => !inner.holds(resource),
            Self::Present(path) => path.values(resource).into_iter().any(is_present),
            Self::Compare(path, op, wanted) => {
                let last = path
                    .part
                    .as_ref()
                    .unwrap_or(&path.name)
                    .to_ascii_lowercase();
                let exact = EXACT.contains(&last.as_str());
                let found = path.values(resource);
                match op {
                    Op::Ne => !found.iter().any(|v| compare(v, Op::Eq, wanted, exact)),
                    op => found.iter().any(|v| compare(v, *op, wanted, exact)),
                }
            }
            Self::Some(path, inner) => path.values(resource).into_iter().any(|v| inner.holds(v)),
        }
    }
}

impl AttrPath {
    /// Every value there, those of each member of a list.
    fn values<'a>(&self, resource: &'a Value) -> Vec<&'a Value> {
        let Some(found) = get(resource, &self.name) else {
            return Vec::new();
        };
        let each = match found {
            Value::Array(all) => all.iter().collect(),
            one => vec![one],
        };
        match &self.part {
            Some(part) => each.into_iter().filter_map(|v| get(v, part)).collect(),
            None => each,
        }
    }
}

/// A member of an object, by its name without regard to case (RFC 7643 section 2.1).
pub(super) fn get<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let members = object.as_object()?;
    let found = members
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn compare(found: &Value, op: Op, wanted: &Value, exact: bool) -> bool {
    // A list's member that is an object is compared by its `value` (RFC 7644 section 3.4.2.2).
    let found = match found {
        Value::Object(_) => get(found, "value").unwrap_or(&Value::Null),
        other => other,
    };
    match (found, wanted) {
        (Value::String(found), Value::String(wanted)) => {
            if exact {
                texts(found, op, wanted)
            } else {
                texts(&found.to_lowercase(), op, &wanted.to_lowercase())
            }
        }
        _ => op == Op::Eq && found == wanted,
    }
}

fn texts(found: &str, op: Op, wanted: &str) -> bool {
    match op {
        Op::Eq => found == wanted,
        Op::Ne => found != wanted,
        Op::Co => found.contains(wanted),
        Op::Sw => found.starts_with(wanted),
        Op::Ew => found.ends_with(wanted),
        Op::Gt => found > wanted,
        Op::Ge => found >= wanted,
        Op::Lt => found < wanted,
        Op::Le => found <= wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn maria() -> Value {
        json!({ "id": "per_1", "externalId": "Ab", "userName": "maria@acme.example", "active": true,
            "emails": [{ "value": "maria@acme.example", "type": "work" }],
            "groups": [{ "value": "grp_1", "display": "Finance" }] })
    }

    #[test]
    fn filters_of_directories_hold_as_the_standard_says() {
        for (text, holds) in [
            (r#"userName eq "MARIA@acme.example""#, true),
            (r#"UserName Eq "maria@acme.example""#, true),
            (
                r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "mar""#,
                true,
            ),
            (r#"externalId eq "ab""#, false),
            (r#"externalId eq "Ab""#, true),
            ("active eq true", true),
            ("active eq false", false),
            ("active ne false", true),
            ("title pr", false),
            ("not (title pr)", true),
            (r#"emails[type eq "work" and value co "@acme"]"#, true),
            (r#"emails[type eq "home"]"#, false),
            (r#"emails.value ew "acme.example""#, true),
            (r#"groups eq "grp_1""#, true),
            (r#"groups.display eq "finance""#, true),
            (
                r#"(userName eq "x" or active eq true) and id eq "per_1""#,
                true,
            ),
            (
                r#"userName eq "x" or userName eq "y" and active eq true"#,
                false,
            ),
            (r#"userName eq "say \"no\"""#, false),
            (r#"userName gt "a" and userName lt "n""#, true),
            (r#"title ne "boss""#, true),
        ] {
            let filter = read(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(filter.holds(&maria()), holds, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "",
            "userName",
            "userName eq",
            "userName is \"x\"",
            "userName eq x",
            "eq \"x\"",
            "(userName pr",
            "userName pr)",
            "userName eq \"x",
            "userName pr and",
            "userName pr or or active pr",
            "emails[",
            "emails[]",
            "a.b.c pr",
            "\u{430} pr",
            "userName eq {\"a\":1}",
            "userName prx",
            "userName eq \"a\" active pr",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn filter_bombs_are_refused_before_they_are_read() {
        let deep = format!("{}a pr{}", "(".repeat(400), ")".repeat(400));
        let nots = format!("{}a pr{}", "not (".repeat(100), ")".repeat(100));
        let members = format!("{}a pr{}", "a[".repeat(200), "]".repeat(200));
        let wide = vec!["a pr"; 100].join(" or ");
        let long = format!("a eq \"{}\"", "x".repeat(FILTER_BYTES_MAX));
        for bomb in [deep, nots, members, wide, long] {
            let why = read(&bomb).unwrap_err();
            assert!(why.contains("at most"), "{why}");
        }
        assert!(read(&vec!["a pr"; TERMS_MAX].join(" and ")).is_ok());
        assert!(read_target(&format!("members{}", "[".repeat(100))).is_err());
    }

    #[test]
    fn targets_of_changes_are_read() {
        let (path, members, part) = read_target(r#"members[value eq "per_1"]"#).unwrap();
        assert_eq!((path.name.as_str(), part), ("members", None));
        assert!(members.unwrap().holds(&json!({ "value": "per_1" })));
        let (path, _, part) = read_target(r#"emails[type eq "work"].value"#).unwrap();
        assert_eq!(
            (path.name.as_str(), part.as_deref()),
            ("emails", Some("value"))
        );
        let (path, members, _) = read_target("name.givenName").unwrap();
        assert_eq!((path.part.as_deref(), members), (Some("givenName"), None));
        for wrong in ["", "members[", "members]", "a b", "[value pr]"] {
            assert!(read_target(wrong).is_err(), "{wrong}");
        }
    }
}
