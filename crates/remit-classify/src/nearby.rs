//! Words near a number that say what it is.

use std::ops::Range;

use crate::limits::NEARBY;

/// Whether one of these words (lower case) stands just before the place or just after it.
pub(crate) fn says(text: &str, at: &Range<usize>, words: &[&str]) -> bool {
    let mut from = at.start.saturating_sub(NEARBY);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let mut to = (at.end + NEARBY / 2).min(text.len());
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    let around = [text.get(from..at.start), text.get(at.end..to)];
    around.into_iter().flatten().any(|around| {
        let around = around.to_lowercase();
        words.iter().any(|word| holds(&around, word))
    })
}

/// Whether the word stands by itself (`aba` is not in `alabama`); a word of several parts may be joined by any of ` _-`.
fn holds(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text
            .get(at + word.len()..)
            .and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphabetic)
    })
}
