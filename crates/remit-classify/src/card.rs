//! Numbers of payment cards: an issuer's range, a length it uses, Luhn's check, and groups as they are printed.
//! Source: ISO/IEC 7812-1; ranges as the schemes publish them.

use std::ops::Range;

use crate::checksum::{digits, luhn};
use crate::nearby;
use crate::{Class, Finding};

/// Words beside a number of a length that other things have too.
const WORDS: [&str; 14] = [
    "cc",
    "card",
    "cards",
    "visa",
    "mastercard",
    "maestro",
    "amex",
    "credit",
    "debit",
    "pan",
    "diners",
    "jcb",
    "karte",
    "carte",
];

/// Whether an issuer gives out numbers like this, and whether the number must be explained by a word nearby.
fn issued(digits: &[u32]) -> Option<bool> {
    let lead = |n: usize| digits.iter().take(n).fold(0, |sum, digit| sum * 10 + digit);
    let plain = Some(false);
    let explained = Some(true);
    match (digits.len(), lead(1), lead(2), lead(4)) {
        (16, 4, ..) | (15, _, 34 | 37, _) => plain,
        (13 | 19, 4, ..) => explained,
        (16, _, 51..=55, _) | (16, _, _, 2221..=2720 | 6011 | 3528..=3589) => plain,
        (16, _, 65, _) | (16, _, _, 6440..=6499) | (16, _, 62, _) => plain,
        (14, _, 36 | 38 | 39, _) | (14, _, _, 3000..=3059 | 3095) => explained,
        (15, _, _, 2131 | 1800) | (17..=19, _, 62 | 65, _) | (17..=19, _, _, 6011) => explained,
        (16, _, 35, _) => explained,
        (12..=19, _, 50 | 56..=58 | 60 | 61 | 63 | 66..=69, _) => explained,
        _ => None,
    }
}

/// Whether the groups are how cards are printed: one, fours with a shorter rest, or 4-6-5 and 4-6-4.
fn printed(groups: &[Range<usize>]) -> bool {
    let lens: Vec<usize> = groups.iter().map(ExactSizeIterator::len).collect();
    match lens.as_slice() {
        [_] | [4, 6, 4 | 5] => true,
        [rest @ .., last] => rest.iter().all(|len| *len == 4) && (1..=4).contains(last),
        [] => false,
    }
}

/// Runs of digits, each split into groups by one blank or dash.
fn runs(text: &str) -> Vec<Vec<Range<usize>>> {
    let bytes = text.as_bytes();
    let mut runs: Vec<Vec<Range<usize>>> = Vec::new();
    let mut at = 0;
    while let Some(start) =
        (at..bytes.len()).find(|i| bytes.get(*i).is_some_and(u8::is_ascii_digit))
    {
        let end = (start..bytes.len())
            .find(|i| !bytes.get(*i).is_some_and(u8::is_ascii_digit))
            .unwrap_or(bytes.len());
        let joined = start > 0
            && matches!(bytes.get(start - 1), Some(b' ' | b'-'))
            && runs
                .last()
                .and_then(|run| run.last())
                .is_some_and(|group| group.end + 1 == start);
        match runs.last_mut() {
            Some(run) if joined => run.push(start..end),
            _ => runs.push(std::iter::once(start..end).collect()),
        }
        at = end;
    }
    runs
}

/// Whether one more group of four is joined to them: then they are a part of something else.
fn goes_on(run: &[Range<usize>], first: usize, end: usize) -> bool {
    let four = |group: Option<&Range<usize>>| group.is_some_and(|group| group.len() == 4);
    end - first > 1
        && (four(run.get(end)) || four(first.checked_sub(1).and_then(|before| run.get(before))))
}

/// Whether the number stands alone: not inside a word, a decimal or a longer identifier.
fn alone(text: &str, at: &Range<usize>) -> bool {
    let before = text
        .get(..at.start)
        .and_then(|text| text.chars().next_back());
    let after = text.get(at.end..).and_then(|text| text.chars().next());
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !inside(before) && !inside(after) && !matches!(before, Some('.' | '-' | '+'))
}

pub(crate) fn find(text: &str, found: &mut Vec<Finding>) {
    for run in runs(text) {
        let mut first = 0;
        while first < run.len() {
            let longest = (first + 1..=run.len().min(first + 6))
                .rev()
                .find_map(|end| {
                    let groups = run.get(first..end)?;
                    let at = groups.first()?.start..groups.last()?.end;
                    let digits = digits(text.get(at.clone())?);
                    let explained = issued(&digits)?;
                    let varied = digits.iter().any(|digit| Some(digit) != digits.first());
                    let good = printed(groups)
                        && !goes_on(&run, first, end)
                        && alone(text, &at)
                        && varied
                        && luhn(&digits);
                    (good && (!explained || nearby::says(text, &at, &WORDS))).then_some((end, at))
                });
            first = match longest {
                Some((end, at)) => {
                    found.push(Finding::new(Class::Card, "card-number", at));
                    end
                }
                None => first + 1,
            };
        }
    }
}
