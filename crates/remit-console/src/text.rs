//! Text that others wrote, made harmless to look at.
//!
//! Escaping HTML is the templates' work. What is left is text that lies to the eye: characters that reorder a line, hide,
//! move a terminal's cursor, or go on for pages. They are shown by their number instead, in pages, pictures and exports alike.

use std::fmt::{self, Write as _};

use crate::limits::{BLOCK_CHARS_MAX, DOCUMENT_CHARS_MAX, LINE_CHARS_MAX};

/// A text that is safe to look at. It still has to be escaped, which the templates do by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown(String);

impl Shown {
    /// In one line: line ends too are shown by their number.
    pub(crate) fn line(text: impl fmt::Display) -> Self {
        Self(visible(&text.to_string(), LINE_CHARS_MAX, false))
    }

    /// With its line ends, where it has room.
    pub(crate) fn block(text: impl fmt::Display) -> Self {
        Self(visible(&text.to_string(), BLOCK_CHARS_MAX, true))
    }

    /// Whole, as far as a page can hold it: what somebody decides on is not shortened.
    pub(crate) fn whole(text: impl fmt::Display) -> Self {
        Self(visible(&text.to_string(), DOCUMENT_CHARS_MAX, true))
    }

    /// A value as indented JSON, whole. JSON's own escapes are kept, so that two different values never look the same.
    pub(crate) fn json(value: &impl serde::Serialize) -> Self {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        Self::whole(text)
    }

    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::line(text)
    }
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self::line(text)
    }
}

impl From<&String> for Shown {
    fn from(text: &String) -> Self {
        Self::line(text)
    }
}

/// Whether a character does something to its neighbours, or nothing that anybody can see.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, combining grapheme joiner, Arabic letter mark, Hangul fillers, Khmer inherent vowels.
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}' | '\u{FFA0}'
            // Mongolian selectors, zero width, direction marks, line and paragraph separators, embeddings and overrides.
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            // Invisible operators, isolates, deprecated format characters.
            | '\u{2060}'..='\u{206F}'
            // Variation selectors, byte-order mark, interlinear annotation, object replacement.
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFC}'
            // Tags and further selectors, musical format characters; private use, which every font draws differently.
            | '\u{1D173}'..='\u{1D17A}' | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..='\u{10FFFF}')
}

/// Whether a text of several lines has something in it that would not be seen.
pub(crate) fn hides(text: &str) -> bool {
    text.chars()
        .any(|c| is_hidden(c) && !matches!(c, '\n' | '\t'))
}

/// A value as indented JSON, with escapes for what would not be seen.
pub(crate) fn escaped_json(value: &serde_json::Value) -> String {
    let mut out = escaped(&serde_json::to_string_pretty(value).unwrap_or_default());
    out.push('\n');
    out
}

/// A value as JSON in one line, the same way.
pub(crate) fn escaped_line(value: &impl serde::Serialize) -> String {
    escaped(&serde_json::to_string(value).unwrap_or_default())
}

/// JSON with escapes for what would not be seen, which are the same value: in it such characters stand in texts only.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// More marks than this on one letter climb over the lines above and below.
const MARKS_MAX: u8 = 3;

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
}

/// The text with everything shown that would hide, at most `max` characters of it.
fn visible(text: &str, max: usize, lines: bool) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    let mut marks = 0;
    for (at, c) in text.chars().enumerate() {
        if at == max {
            let rest = text.chars().count().saturating_sub(max);
            let _ = write!(out, "… ({rest} more characters)");
            return out;
        }
        marks = if is_mark(c) { marks + 1 } else { 0 };
        let kept = lines && matches!(c, '\n' | '\t');
        if !kept && (is_hidden(c) || marks > MARKS_MAX) {
            marks = marks.min(MARKS_MAX);
            let _ = write!(out, "⟦U+{:04X}⟧", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_shown_by_its_number() {
        for (text, shown) in [
            ("refund", "refund"),
            ("Zürich 東京 עברית", "Zürich 東京 עברית"),
            ("evil\u{202E}gpj.exe", "evil⟦U+202E⟧gpj.exe"),
            ("\u{1b}[31mred", "⟦U+001B⟧[31mred"),
            ("a\u{200b}b\u{2066}c", "a⟦U+200B⟧b⟦U+2066⟧c"),
            ("a\u{0}b\rc\nd", "a⟦U+0000⟧b⟦U+000D⟧c⟦U+000A⟧d"),
            ("tag\u{E0041}", "tag⟦U+E0041⟧"),
        ] {
            assert_eq!(Shown::line(text).as_str(), shown);
        }
        assert_eq!(Shown::block("a\nb\u{202a}").as_str(), "a\nb⟦U+202A⟧");
    }

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        let long = "x".repeat(10_000);
        let line = Shown::line(&long).to_string();
        assert!(line.ends_with("… (9840 more characters)"), "{line}");
        assert!(line.chars().count() < 200);
        assert_eq!(Shown::whole(&long).as_str().len(), 10_000);
    }

    #[test]
    fn json_with_escapes_is_the_same_value_with_nothing_unseen() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{E0041}\n", "b"] });
        let text = escaped_json(&value);
        assert!(!hides(&text), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
        let line = escaped_line(&value);
        assert!(!hides(&line) && !line.contains('\n'), "{line}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&line).unwrap(),
            value
        );
    }

    #[test]
    fn marks_do_not_pile_up() {
        let shown = Shown::line(format!("a{}", "\u{301}".repeat(50)));
        assert_eq!(shown.as_str().matches('\u{301}').count(), 3);
    }
}
