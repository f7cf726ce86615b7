//! Lists of addresses. One address is correspondence; many are data about people.

use std::collections::BTreeSet;
use std::ops::Range;

use regex::Regex;

/// The rule, compiled.
pub(crate) struct Email(Regex);

impl Email {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        Regex::new(r"(?i)\b[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}\b").map(Self)
    }

    /// Each address with its place.
    pub(crate) fn find(&self, text: &str) -> Vec<(String, Range<usize>)> {
        if !text.contains('@') {
            return Vec::new();
        }
        self.0
            .find_iter(text)
            .map(|found| (found.as_str().to_lowercase(), found.range()))
            .collect()
    }
}

/// Whether these are a list: enough of them, and different ones.
pub(crate) fn is_list<'a>(addresses: impl IntoIterator<Item = &'a str>) -> bool {
    addresses.into_iter().collect::<BTreeSet<_>>().len() >= crate::limits::EMAIL_LIST
}
