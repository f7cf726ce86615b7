//! Secrets that are known: found in a text as they are and as others would write them, and taken out.
//!
//! A secret is looked for as it is, as JSON writes it, percent-encoded, in hexadecimal, and in base64 at each of its three
//! places (RFC 4648 §4 and §5: three bytes are four characters, so where a secret begins decides what is written). White
//! space counts for nothing, on either side, so that a wrapped line hides nothing. Of a JSON value, what stands at the same
//! place of each member of a list is read as one text, so that a secret in two parts of a result is found as well; of
//! [`Pieces`], what comes after one another.
//!
//! How it is found: patterns are sorted. Every four bytes that occur near the beginning of a pattern are in a filter, which is
//! asked once for several bytes of the text; where it says yes, the first eight bytes are held against another filter; only
//! then is searched. What is not found costs a fraction of a nanosecond a byte, however many secrets there are.
//!
//! Somebody who wants to get a secret past this can: by a cipher, or letter by letter in an order of their own. It keeps
//! echoes, dumps and logs from being leaks; what an upstream may know is decided by what it is given.

mod patterns;
mod pieces;
mod walk;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub use pieces::Pieces;

use walk::Leaf;

/// What stands in the place of a secret.
pub const MARK: &str = "[redacted by remit]";
/// Fewest bytes of a secret that is looked for, white space left out: shorter ones would match ordinary text.
pub const SECRET_BYTES_MIN: usize = 8;
/// Bytes that the first filter looks at.
const GRAM: usize = 4;
/// How far into a pattern the first filter knows its bytes, at most: the farther, the seldomer it is asked, and the oftener it
/// says yes.
const REACH_MAX: usize = 16;

/// Which secrets were found, by their place in the list that was given.
pub type Found = BTreeSet<usize>;

/// Secrets to look for.
#[derive(Default)]
pub struct Known {
    /// Sorted by their bytes, none twice.
    patterns: Vec<Pattern>,
    grams: Filter,
    heads: Filter,
    /// The first filter is asked once in so many bytes: it knows every place of a pattern that one of these falls on.
    step: usize,
    longest: usize,
}

/// One way to write one secret, without white space.
struct Pattern {
    bytes: Zeroizing<Vec<u8>>,
    secret: usize,
    /// The longest other pattern that this one begins with.
    within: Option<usize>,
}

/// A secret is not printed.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({} patterns)", self.patterns.len())
    }
}

impl Known {
    /// Secrets to look for, in this order. One with less than [`SECRET_BYTES_MIN`] bytes is left out.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut patterns: Vec<(Zeroizing<Vec<u8>>, usize)> = Vec::new();
        for (secret, value) in secrets.into_iter().enumerate() {
            if stripped(value).len() < SECRET_BYTES_MIN {
                continue;
            }
            let ways = patterns::of(value).into_iter();
            let ways = ways.filter(|way| way.len() >= SECRET_BYTES_MIN);
            patterns.extend(ways.map(|way| (way, secret)));
        }
        // Of two secrets with the same pattern, the first is named.
        patterns.sort_by(|a, b| a.0.as_slice().cmp(b.0.as_slice()).then(a.1.cmp(&b.1)));
        patterns.dedup_by(|b, a| a.0 == b.0);
        let lengths = || patterns.iter().map(|(bytes, _)| bytes.len());
        let shortest = lengths().min().unwrap_or(SECRET_BYTES_MIN);
        let step = shortest.clamp(SECRET_BYTES_MIN, REACH_MAX) - GRAM + 1;
        let longest = lengths().max().unwrap_or(0);
        let (mut grams, mut heads) = (
            Filter::for_about(patterns.len().saturating_mul(step)),
            Filter::for_about(patterns.len()),
        );
        for (bytes, _) in &patterns {
            for at in 0..step {
                if let Some(gram) = gram(bytes, at) {
                    grams.put(gram);
                }
            }
            if let Some(head) = head(bytes) {
                heads.put(head);
            }
        }
        Self {
            patterns: linked(patterns),
            grams,
            heads,
            step,
            longest,
        }
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// A text without the secrets in it.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_empty() {
            return Cow::Borrowed(text);
        }
        let spans = self.spans(&stripped(text), &mut Found::new());
        covered(text, 0, &spans).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Takes the secrets out of a value: out of texts, numbers and names of members. Says which there were.
    pub fn value(&self, value: &mut Value) -> Found {
        let mut found = Found::new();
        if self.is_empty() {
            return found;
        }
        let new = self.replaced(value, &mut found);
        if !found.is_empty() {
            walk::replace(value, &mut new.into_iter());
        }
        found
    }

    /// Which secrets a value holds.
    #[must_use]
    pub fn found(&self, value: &Value) -> Found {
        let mut found = Found::new();
        if !self.is_empty() {
            self.replaced(value, &mut found);
        }
        found
    }

    /// Which secrets the members of an object hold.
    #[must_use]
    pub fn found_members(&self, members: &Map<String, Value>) -> Found {
        let mut found = Found::new();
        if !self.is_empty() {
            self.replaced_leaves(&walk::leaves_of(members), &mut found);
        }
        found
    }

    /// What each leaf of a value becomes, in the order of the walk; none where it stays. Empty when nothing was found.
    fn replaced(&self, value: &Value, found: &mut Found) -> Vec<Option<String>> {
        self.replaced_leaves(&walk::leaves(value), found)
    }

    fn replaced_leaves(&self, leaves: &[Leaf<'_>], found: &mut Found) -> Vec<Option<String>> {
        let mut order: Vec<usize> = (0..leaves.len()).collect();
        let path = |leaf: &usize| leaves.get(*leaf).map(|leaf| leaf.path);
        order.sort_by_key(path);
        let length = leaves.iter().map(|leaf| leaf.text.len().saturating_add(1));
        let mut buffer = Vec::with_capacity(length.sum());
        let mut starts = vec![0; leaves.len()];
        let mut before = None;
        for leaf in &order {
            if before.replace(path(leaf)) != Some(path(leaf)) {
                // No text holds this byte, so that nothing is found across it.
                buffer.push(0xff);
            }
            if let (Some(start), Some(leaf)) = (starts.get_mut(*leaf), leaves.get(*leaf)) {
                *start = buffer.len();
                strip(&leaf.text, &mut buffer);
            }
        }
        let spans = self.spans(&buffer, found);
        if spans.is_empty() {
            return Vec::new();
        }
        let all = leaves.iter().zip(starts);
        all.map(|(leaf, start)| covered(&leaf.text, start, &spans))
            .collect()
    }

    /// Where secrets are in a text without white space: sorted, none touching another.
    fn spans(&self, text: &[u8], found: &mut Found) -> Vec<Range<usize>> {
        let mut spans: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while let Some(gram) = gram(text, at) {
            if self.grams.may_have(gram) {
                let first = at.saturating_sub(self.step - 1);
                for start in first..=at {
                    let Some((end, secret)) = self.longest_at(text, start) else {
                        continue;
                    };
                    found.insert(secret);
                    match spans.last_mut().filter(|last| start <= last.end) {
                        Some(last) => last.end = last.end.max(end),
                        None => spans.push(start..end),
                    }
                }
            }
            at += self.step;
        }
        spans
    }

    /// The longest pattern that begins there: where it ends, and whose it is.
    fn longest_at(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        let rest = text.get(start..)?;
        if !self.heads.may_have(head(rest)?) {
            return None;
        }
        let after = self
            .patterns
            .partition_point(|p| p.bytes.as_slice() <= rest);
        let mut next = after.checked_sub(1);
        while let Some(pattern) = next.and_then(|at| self.patterns.get(at)) {
            if rest.starts_with(&pattern.bytes) {
                return Some((start.saturating_add(pattern.bytes.len()), pattern.secret));
            }
            next = pattern.within;
        }
        None
    }

    /// Whether that may be the beginning of a secret which goes on.
    fn begins(&self, part: &[u8]) -> bool {
        let at = self
            .patterns
            .partition_point(|p| p.bytes.as_slice() <= part);
        let next = self.patterns.get(at);
        next.is_some_and(|pattern| pattern.bytes.starts_with(part))
    }
}

fn linked(sorted: Vec<(Zeroizing<Vec<u8>>, usize)>) -> Vec<Pattern> {
    let mut patterns: Vec<Pattern> = Vec::with_capacity(sorted.len());
    for (bytes, secret) in sorted {
        let mut within = patterns.len().checked_sub(1);
        while let Some(other) = within.and_then(|at| patterns.get(at)) {
            if bytes.starts_with(&other.bytes) {
                break;
            }
            within = other.within;
        }
        patterns.push(Pattern {
            bytes,
            secret,
            within,
        });
    }
    patterns
}

fn gram(text: &[u8], at: usize) -> Option<u64> {
    let gram = text.get(at..)?.first_chunk::<GRAM>()?;
    Some(u64::from(u32::from_le_bytes(*gram)))
}

fn head(text: &[u8]) -> Option<u64> {
    text.first_chunk::<SECRET_BYTES_MIN>()
        .map(|head| u64::from_le_bytes(*head))
}

/// A set of numbers that may say yes to one that is not in it.
#[derive(Default)]
struct Filter {
    bits: Box<[u64]>,
    shift: u32,
}

impl Filter {
    /// Large enough for about so many to be wrong once in fifty times.
    fn for_about(numbers: usize) -> Self {
        let bits = numbers.saturating_mul(48).clamp(1 << 12, 1 << 21);
        let bits = bits.next_power_of_two();
        Self {
            bits: vec![0; bits / 64].into_boxed_slice(),
            shift: 64 - bits.trailing_zeros(),
        }
    }

    /// Fibonacci hashing: the high bits of a product with 2^64 over the golden ratio.
    fn place(&self, number: u64) -> (usize, u32) {
        let bit = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        let word = usize::try_from(bit / 64).unwrap_or(usize::MAX);
        (word, u32::try_from(bit % 64).unwrap_or(0))
    }

    fn put(&mut self, number: u64) {
        let (word, bit) = self.place(number);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    fn may_have(&self, number: u64) -> bool {
        let (word, bit) = self.place(number);
        self.bits.get(word).is_some_and(|word| word >> bit & 1 == 1)
    }
}

/// Tab, line feed, vertical tab, form feed, carriage return and space; without a branch, since where words end cannot be
/// foreseen.
const fn is_space(byte: u8) -> bool {
    (byte == b' ') | (byte.wrapping_sub(b'\t') < 5)
}

fn stripped(text: &str) -> Zeroizing<Vec<u8>> {
    let mut into = Zeroizing::new(Vec::new());
    strip(text, &mut into);
    into
}

/// Appends a text without its white space.
fn strip(text: &str, into: &mut Vec<u8>) {
    let before = into.len();
    into.resize(before.saturating_add(text.len()), 0);
    let mut kept = 0usize;
    if let Some(room) = into.get_mut(before..) {
        for byte in text.bytes() {
            // Written each time and kept by counting on: faster than to branch on each byte.
            if let Some(place) = room.get_mut(kept) {
                *place = byte;
            }
            kept += usize::from(!is_space(byte));
        }
    }
    into.truncate(before.saturating_add(kept));
}

/// A text whose first byte that is no white space stands at `start`, without what is in `spans`; none where nothing is.
fn covered(text: &str, start: usize, spans: &[Range<usize>]) -> Option<String> {
    let mut next = spans.partition_point(|span| span.end <= start);
    if spans
        .get(next)
        .is_none_or(|span| span.start >= start.saturating_add(text.len()))
    {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut at = start;
    let mut changed = false;
    for (index, c) in text.char_indices() {
        while spans.get(next).is_some_and(|span| span.end <= at) {
            next += 1;
        }
        let space = u8::try_from(c).is_ok_and(is_space);
        let inside = spans.get(next).is_some_and(|span| {
            // White space within a secret goes with it; before and after it, it stays.
            let begun = if space {
                span.start < at
            } else {
                span.start <= at
            };
            begun && at < span.end
        });
        if inside {
            let first = spans.get(next).is_some_and(|span| span.start == at) && !space;
            if first || index == 0 {
                out.push_str(MARK);
            }
            changed = true;
        } else {
            out.push(c);
        }
        at = at.saturating_add(if space { 0 } else { c.len_utf8() });
    }
    changed.then_some(out)
}

#[cfg(test)]
mod tests;
