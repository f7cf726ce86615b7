//! One reading of a text: compatibility forms folded (full-width digits are digits), characters that nobody sees left
//! out, and each byte of the reading knows where it came from.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

/// A text as the rules read it.
pub(crate) struct Reading<'a> {
    /// The folded text.
    pub(crate) text: Cow<'a, str>,
    /// For each byte of `text`, the first byte of the character it came from, and one more for the end; empty when the
    /// text is its own reading.
    origin: Vec<usize>,
    len: usize,
}

/// Characters that take no room and carry no meaning of their own: zero-width, joiners, directional marks, tags.
pub(crate) fn unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}')
}

impl<'a> Reading<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        if text.is_ascii() {
            return Self {
                text: Cow::Borrowed(text),
                origin: Vec::new(),
                len: text.len(),
            };
        }
        let mut read = String::with_capacity(text.len());
        let mut origin = Vec::with_capacity(text.len() + 1);
        for (at, c) in text.char_indices() {
            if unseen(c) {
                continue;
            }
            let dash = matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}');
            let folded = std::iter::once(if dash { '-' } else { c });
            for c in folded.nfkc() {
                read.push(c);
                origin.resize(read.len(), at);
            }
        }
        origin.push(text.len());
        Self {
            text: Cow::Owned(read),
            origin,
            len: text.len(),
        }
    }

    /// Where a range of the reading is in the text it was made of.
    pub(crate) fn place(&self, at: &Range<usize>) -> Range<usize> {
        if self.origin.is_empty() {
            return at.clone();
        }
        let of = |byte: usize| self.origin.get(byte).copied().unwrap_or(self.len);
        of(at.start)..of(at.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_digits_and_hidden_marks_are_read_through_and_keep_their_place() {
        let text = "a\u{ff14}\u{200b}\u{ff12}b";
        let reading = Reading::of(text);
        assert_eq!(reading.text, "a42b");
        assert_eq!(&text[reading.place(&(1..3))], "\u{ff14}\u{200b}\u{ff12}");
    }

    proptest::proptest! {
        #[test]
        fn every_place_is_on_character_boundaries(text in "\\PC{0,40}") {
            let reading = Reading::of(&text);
            for start in 0..=reading.text.len() {
                for end in start..=reading.text.len() {
                    proptest::prop_assert!(text.get(reading.place(&(start..end))).is_some());
                }
            }
        }
    }
}
