//! Reading answers of the server, and making what is in them safe to show.
//!
//! Names, purposes and arguments come from agents and upstreams. Nothing of them may move the cursor, hide text or
//! reorder it on the screen of the person who decides.

use remit_domain::Timestamp;
use remit_mcp::text::{hidden_char, one_line};
use serde_json::Value;

/// What is at the first of several places, `a.b|c`, that has something.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('|').find_map(|path| {
        let found = path.split('.').try_fold(value, |v, name| match v {
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            _ => v.get(name),
        });
        found.filter(|v| !v.is_null())
    })
}

/// The same as text: a string itself, a list joined, anything else as JSON; empty where there is nothing.
pub(crate) fn text(value: &Value, path: &str) -> String {
    at(value, path).map(plain).unwrap_or_default()
}

/// A value as text.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        other => other.to_string(),
    }
}

/// A list; empty where there is none.
pub(crate) fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A time.
pub(crate) fn time(value: &Value, path: &str) -> Option<Timestamp> {
    at(value, path)?.as_str()?.parse().ok()
}

/// One line that is safe to show, at most `max` characters.
pub(crate) fn line(text: &str, max: usize) -> String {
    one_line(text, max)
}

/// Text of several lines that is safe to show.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n')
        .map(|l| one_line(l.trim_end_matches('\r'), 4_000))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Text shown whole, with everything that would hide or move written as its JSON escape: for what a person decides about.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && hidden_char(c.encode_utf8(&mut [0; 4])).is_some() {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A number of things: `1 run`, `2 runs`, `3 entries`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    let plural = match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if noun.ends_with("ch") => format!("{noun}es"),
        _ => format!("{noun}s"),
    };
    format!("{n} {}", if n == 1 { noun } else { &plural })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_found() {
        let value = json!({"a": {"b": [{"c": 1}]}, "list": ["x", "y"], "none": null, "yes": true});
        assert_eq!(text(&value, "a.b.0.c"), "1");
        assert_eq!(text(&value, "none|list"), "x, y");
        assert_eq!(text(&value, "yes"), "yes");
        assert_eq!(text(&value, "missing"), "");
        assert_eq!(items(&value, "list").len(), 2);
    }

    #[test]
    fn what_an_agent_wrote_cannot_hide_or_move() {
        let hostile = "pay 5\u{202e}0\u{1b}[2K\r\nAPPROVED";
        assert_eq!(lines(hostile).lines().count(), 2);
        assert!(!lines(hostile).contains(['\u{202e}', '\u{1b}', '\r']));
        assert!(!line(hostile, 100).contains('\n'));
    }

    #[test]
    fn what_is_decided_about_is_shown_whole() {
        let long = "x".repeat(10_000);
        assert_eq!(visible(&long), long);
        assert_eq!(
            visible("a\u{202e}b\u{1b}\u{e0041}\n"),
            "a\\u202eb\\u001b\\udb40\\udc41\n"
        );
    }

    #[test]
    fn counts_agree_with_their_noun() {
        assert_eq!(
            [
                count(1, "run"),
                count(2, "run"),
                count(2, "entry"),
                count(3, "day")
            ],
            ["1 run", "2 runs", "2 entries", "3 days"]
        );
    }
}
