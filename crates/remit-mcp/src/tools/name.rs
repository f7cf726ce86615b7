//! Names of upstreams and tools: closed alphabets, no look-alikes, and one map for aggregated names.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Sha256Digest;
use crate::limits::{AGGREGATED_NAME_CHARS_MAX, TOOL_NAME_BYTES_MAX, UPSTREAM_ID_BYTES_MAX};

/// Text that cannot be a tool's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or too long.
    #[error("must be 1 to {TOOL_NAME_BYTES_MAX} characters")]
    Length,
    /// A character outside the alphabet. Letters of other scripts can look like Latin ones.
    #[error("holds U+{code:04X}, only ASCII letters, digits and `_ . - /` are allowed")]
    Character {
        /// The code point.
        code: u32,
    },
}

/// Checks a tool name: 1 to 128 characters of `[A-Za-z0-9_.\-/]`.
///
/// Source: MCP 2026-07-28 server/tools "Tool Names"; `/` is accepted because servers use it.
///
/// # Errors
/// [`NameError`].
pub fn check_tool_name(name: &str) -> Result<(), NameError> {
    let wrong = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/'));
    if let Some(c) = name.chars().find(wrong) {
        return Err(NameError::Character { code: u32::from(c) });
    }
    if (1..=TOOL_NAME_BYTES_MAX).contains(&name.len()) {
        Ok(())
    } else {
        Err(NameError::Length)
    }
}

/// Text that cannot be an upstream's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamIdError {
    /// Not in the form.
    #[error(
        "upstream id must be 1 to {UPSTREAM_ID_BYTES_MAX} of a-z, 0-9 and `-`, beginning with a letter"
    )]
    Form,
    /// Kept for the product's own tools.
    #[error("upstream id `remit` is reserved, choose another")]
    Reserved,
}

/// Checks an upstream id: `[a-z][a-z0-9-]{0,19}`, not `remit`.
///
/// # Errors
/// [`UpstreamIdError`].
pub fn check_upstream_id(id: &str) -> Result<(), UpstreamIdError> {
    let form = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.len() <= UPSTREAM_ID_BYTES_MAX
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match (form, id) {
        (false, _) => Err(UpstreamIdError::Form),
        (true, "remit") => Err(UpstreamIdError::Reserved),
        (true, _) => Ok(()),
    }
}

/// Whether two different tool names read alike: case, separators, and the pairs 0/o, 1/l/i, 5/s, rn/m, vv/w.
#[must_use]
pub fn confusable(a: &str, b: &str) -> bool {
    a != b && skeleton(a) == skeleton(b)
}

/// The same for all names that read alike. The idea is that of UTS #39 §4, for the ASCII that names are made of.
pub(super) fn skeleton(name: &str) -> String {
    let folded: String = name
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            '0' => 'o',
            '1' | 'i' => 'l',
            '5' => 's',
            '.' | '-' | '/' => '_',
            other => other,
        })
        .collect();
    folded.replace("rn", "m").replace("vv", "w")
}

/// Aggregated names of a set of tools: an exact map in both directions. Names are built and looked up, never parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AggregatedNames {
    by_name: BTreeMap<String, (String, String)>,
    by_tool: BTreeMap<(String, String), String>,
}

impl AggregatedNames {
    /// Gives each (upstream id, tool name) a name of at most [`AGGREGATED_NAME_CHARS_MAX`] characters.
    ///
    /// ```text
    /// {upstream}__{tool}                                       while that is at most 64 characters
    /// first 55 characters of that, "_", 8 hex of its SHA-256   otherwise
    /// ```
    ///
    /// The result does not depend on the order of `tools`. Pairs that are not valid names have no entry.
    #[must_use]
    pub fn build<'a>(tools: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let valid = |(upstream, tool): &(&str, &str)| {
            check_upstream_id(upstream).is_ok() && check_tool_name(tool).is_ok()
        };
        let pairs: BTreeSet<_> = tools.into_iter().filter(valid).collect();
        let mut names = Self::default();
        let is_short = |(upstream, tool): &&(&str, &str)| {
            full(upstream, tool).len() <= AGGREGATED_NAME_CHARS_MAX
        };
        // Names that need no shortening keep their plain form, whatever a shortened one may come to.
        for (upstream, tool) in pairs.iter().filter(is_short) {
            names.insert(full(upstream, tool), upstream, tool);
        }
        for (upstream, tool) in pairs.iter().filter(|pair| !is_short(pair)) {
            // A clash needs a crafted or freak hash; the counter settles it.
            let free = (0_u32..)
                .map(|n| shortened(upstream, tool, n))
                .find(|name| !names.by_name.contains_key(name));
            if let Some(name) = free {
                names.insert(name, upstream, tool);
            }
        }
        names
    }

    fn insert(&mut self, name: String, upstream: &str, tool: &str) {
        let pair = (upstream.to_owned(), tool.to_owned());
        self.by_tool.insert(pair.clone(), name.clone());
        self.by_name.insert(name, pair);
    }

    /// (upstream id, tool name) of an aggregated name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&str, &str)> {
        self.by_name
            .get(name)
            .map(|(upstream, tool)| (upstream.as_str(), tool.as_str()))
    }

    /// Aggregated name of a tool.
    #[must_use]
    pub fn name_of(&self, upstream: &str, tool: &str) -> Option<&str> {
        self.by_tool
            .get(&(upstream.to_owned(), tool.to_owned()))
            .map(String::as_str)
    }

    /// Every (aggregated name, upstream id, tool name), by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.by_name
            .iter()
            .map(|(name, (upstream, tool))| (name.as_str(), upstream.as_str(), tool.as_str()))
    }
}

/// The aggregated name of one tool where no other one clashes with it, which is what [`AggregatedNames`] gives but
/// for freak cases. For display; calls are resolved with the map.
#[must_use]
pub fn aggregated_name(upstream: &str, tool: &str) -> String {
    let full = full(upstream, tool);
    if full.len() <= AGGREGATED_NAME_CHARS_MAX {
        full
    } else {
        shortened(upstream, tool, 0)
    }
}

/// Upstream ids hold no `_`, so different pairs have different names.
fn full(upstream: &str, tool: &str) -> String {
    format!("{upstream}__{tool}")
}

fn shortened(upstream: &str, tool: &str, attempt: u32) -> String {
    let full = full(upstream, tool);
    let salt = if attempt == 0 {
        String::new()
    } else {
        format!("#{attempt}")
    };
    let digest = Sha256Digest::of_parts(&[full.as_bytes(), salt.as_bytes()]).to_string();
    let head: String = full
        .chars()
        .take(AGGREGATED_NAME_CHARS_MAX.saturating_sub(9))
        .collect();
    let tail: String = digest.chars().take(8).collect();
    format!("{head}_{tail}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tool_names_are_short_ascii() {
        for name in ["a", "read_file", "a.b-c/D9", &"x".repeat(128)] {
            assert_eq!(check_tool_name(name), Ok(()), "{name}");
        }
        for name in ["", &"x".repeat(129)] {
            assert_eq!(check_tool_name(name), Err(NameError::Length));
        }
        // Cyrillic, fullwidth, zero-width, bidi, space, line break.
        for name in [
            "r\u{435}fund",
            "\u{ff52}efund",
            "re\u{200b}fund",
            "\u{202e}dnufer",
            "a b",
            "a\n",
            "a,b",
        ] {
            assert!(
                matches!(check_tool_name(name), Err(NameError::Character { .. })),
                "{name:?}"
            );
        }
    }

    #[test]
    fn upstream_ids_have_one_form() {
        for id in ["a", "orders", "git-2", &"a".repeat(20)] {
            assert_eq!(check_upstream_id(id), Ok(()), "{id}");
        }
        for id in [
            "",
            "A",
            "1a",
            "-a",
            "a_b",
            "a.b",
            "ördérs",
            &"a".repeat(21),
            "remit\n",
        ] {
            assert_eq!(check_upstream_id(id), Err(UpstreamIdError::Form), "{id}");
        }
        assert_eq!(check_upstream_id("remit"), Err(UpstreamIdError::Reserved));
    }

    #[test]
    fn look_alikes_are_seen() {
        for (a, b) in [
            ("refund", "Refund"),
            ("delete_all", "de1ete_all"),
            ("read-file", "read_file"),
            ("o", "0"),
            ("modern", "modem"),
            ("list.s", "li5t/s"),
        ] {
            assert!(confusable(a, b), "{a} {b}");
        }
        assert!(!confusable("refund", "refund") && !confusable("read", "write"));
    }

    #[test]
    fn names_are_looked_up_not_parsed() {
        let names = AggregatedNames::build([
            ("a", "b__c"),
            ("a-b", "c"),
            ("a", "_c"),
            ("remit", "x"),
            ("ok", "bad name"),
        ]);
        assert_eq!(names.find("a__b__c"), Some(("a", "b__c")));
        assert_eq!(names.find("a___c"), Some(("a", "_c")));
        assert_eq!(names.name_of("a-b", "c"), Some("a-b__c"));
        assert_eq!(names.find("a__c"), None);
        assert_eq!(names.iter().count(), 3);
    }

    #[test]
    fn long_names_are_shortened_and_stay_unique() {
        let long = "x".repeat(100);
        let other = format!("{long}y");
        let name = aggregated_name("orders", &long);
        assert_eq!(name.len(), 64);
        assert!(name.starts_with("orders__xxx"));
        // A tool that calls itself what another one is shortened to.
        let squatter = name.strip_prefix("orders__").unwrap();
        let names = AggregatedNames::build([
            ("orders", long.as_str()),
            ("orders", squatter),
            ("orders", other.as_str()),
        ]);
        assert_eq!(names.iter().count(), 3);
        assert_eq!(names.find(&name), Some(("orders", squatter)));
        let moved = names.name_of("orders", &long).unwrap();
        assert_eq!(
            (moved.len(), names.find(moved)),
            (64, Some(("orders", long.as_str())))
        );
    }

    proptest! {
        #[test]
        fn every_tool_has_its_own_name(
            pairs in prop::collection::vec(("[a-c][a-c-]{0,3}", "[a-c_]{1,90}"), 0..30),
        ) {
            let refs: Vec<_> = pairs.iter().map(|(u, t)| (u.as_str(), t.as_str())).collect();
            let names = AggregatedNames::build(refs.iter().copied());
            for (upstream, tool) in &refs {
                let name = names.name_of(upstream, tool).unwrap();
                prop_assert!(name.len() <= 64);
                prop_assert_eq!(names.find(name), Some((*upstream, *tool)));
            }
            prop_assert_eq!(&names, &AggregatedNames::build(refs.into_iter().rev()));
        }
    }
}
