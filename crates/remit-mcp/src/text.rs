//! Text that does not look like what it is.

/// First character of `text` that a reader cannot see or that reorders what they see.
///
/// Covers control characters, bidirectional controls, zero-width and other format characters, variation
/// selectors, fillers that render as nothing, and tag characters. Used on names (object keys), where such a
/// character can only mislead; ordinary text may hold them (emoji are joined by U+200D).
///
/// Source: Unicode UAX #9 §2 (bidirectional controls), UTS #39 §3.1 (default ignorables).
#[must_use]
pub fn hidden_char(text: &str) -> Option<char> {
    text.chars().find(|&c| is_hidden(c))
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// `text` as one line that is safe to quote in an error, a log or to a model: hidden characters and line breaks
/// become spaces, and it is cut to `chars_max` characters.
#[must_use]
pub fn one_line(text: &str, chars_max: usize) -> String {
    let clean = text.chars().map(|c| if is_hidden(c) { ' ' } else { c });
    let mut line: String = clean.clone().take(chars_max).collect();
    if clean.clone().nth(chars_max).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_found() {
        for text in [
            "a\u{202E}b",
            "a\u{200B}",
            "\u{FEFF}x",
            "a\u{2066}",
            "a\nb",
            "x\u{E0041}",
        ] {
            assert!(hidden_char(text).is_some(), "{text:?}");
        }
        assert_eq!(hidden_char("größe_数量"), None);
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("a\r\nb\u{202E}", 10), "a  b ");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("abcd", 4), "abcd");
    }
}
