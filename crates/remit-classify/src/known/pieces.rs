//! Values that come one after another, such as the messages of one call: a secret may begin in one and end in another.

use std::collections::BTreeMap;

use serde_json::Value;
use zeroize::Zeroizing;

use super::{Found, Known, MARK, covered, is_space, stripped, walk};

/// Characters at the end of a piece that are shown although they may begin a secret: three are no part of one that tells
/// anything, and without them most pieces would be kept back.
const SHOWN_MAX: usize = 3;
/// Most places of a value whose texts are read as going on.
const PLACES_MAX: usize = 64;

/// What came before, as far as it may be the beginning of a secret.
#[derive(Default)]
pub struct Pieces(BTreeMap<u64, Tail>);

/// The end of the text at one place.
struct Tail {
    /// It may begin a secret.
    text: Zeroizing<String>,
    /// How many bytes of it were shown already.
    shown: usize,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pieces({} places)", self.0.len())
    }
}

impl Known {
    /// Takes the secrets out of the next value. What may begin a secret at the end of a text is kept back, and comes with the
    /// next value when it was none.
    pub fn piece(&self, pieces: &mut Pieces, value: &mut Value) -> Found {
        let mut found = Found::new();
        if self.is_empty() {
            return found;
        }
        walk::texts(value, 0, &mut |path, text| {
            let before = pieces.0.remove(&path);
            let (tail, shown) = before.map_or_else(
                || (Zeroizing::new(String::new()), 0),
                |tail| (tail.text, tail.shown),
            );
            let mut whole = tail;
            whole.push_str(text);
            let (clean, next) = self.shown(&whole, shown, &mut found);
            *text = clean;
            if let Some(next) = next {
                if pieces.0.len() < PLACES_MAX {
                    pieces.0.insert(path, next);
                } else if next.shown < next.text.len() {
                    text.push_str(MARK);
                }
            }
        });
        found.append(&mut self.value(value));
        found
    }

    /// Takes the secrets out of the value that comes last, whose texts go on anything that came before.
    pub fn last(&self, pieces: &Pieces, value: &mut Value) -> Found {
        let mut found = self.value(value);
        if pieces.0.is_empty() {
            return found;
        }
        walk::texts(value, 0, &mut |_, text| {
            for tail in pieces.0.values() {
                let own = stripped(&tail.text).len();
                let mut whole = Zeroizing::new(tail.text.to_string());
                whole.push_str(text);
                let spans = self.spans(&stripped(&whole), &mut found);
                let over: Vec<_> = spans.into_iter().filter(|s| s.start < own).collect();
                if let Some(clean) = covered(text, own, &over) {
                    *text = clean;
                }
            }
        });
        found
    }

    /// What is shown of a text whose first bytes were shown already, and what of its end is remembered.
    fn shown(&self, whole: &str, shown: usize, found: &mut Found) -> (String, Option<Tail>) {
        let spans = self.spans(&stripped(whole), found);
        // What is part of a secret that is there whole is no beginning of another one.
        let tail = self.tail(whole);
        let tail = tail.filter(|(start, _)| spans.last().is_none_or(|last| last.end <= *start));
        let end = tail.map_or(whole.len(), |(_, at)| at);
        let rest = whole.get(end..).unwrap_or_default();
        let kept_back = stripped(rest).len() > SHOWN_MAX;
        let until = if kept_back {
            end.max(shown)
        } else {
            whole.len()
        };
        let new = whole.get(shown..until).unwrap_or_default();
        let start = stripped(whole.get(..shown).unwrap_or_default()).len();
        let clean = covered(new, start, &spans).unwrap_or_else(|| new.to_owned());
        let next = tail.map(|_| Tail {
            text: Zeroizing::new(rest.to_owned()),
            shown: until.saturating_sub(end),
        });
        (clean, next)
    }

    /// Where the longest end of a text begins that may begin a secret: without white space, and with it.
    fn tail(&self, text: &str) -> Option<(usize, usize)> {
        let bytes = stripped(text);
        let from = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let start =
            (from..bytes.len()).find(|at| self.begins(bytes.get(*at..).unwrap_or_default()))?;
        let mut places = text.bytes().enumerate().filter(|(_, b)| !is_space(*b));
        places.nth(start).map(|(at, _)| (start, at))
    }
}
