//! Lists, a page at a time.

use remit_domain::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Items on a page where nobody says.
const PAGE: usize = 100;
/// Most items on a page.
const PAGE_MAX: usize = 1_000;

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListQuery {
    /// At most this many, 1 to 1,000; 100 where absent.
    pub limit: Option<usize>,
    /// Only what comes after this one.
    pub after: Option<String>,
    /// Only what is in this state.
    pub state: Option<String>,
    /// Only what came about then, in lists of what came about.
    #[serde(skip)]
    pub between: Between,
}

/// From when to when; open where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Between {
    /// At or after this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; null at the end.
    pub next: Option<String>,
}

impl ListQuery {
    /// Most items on the page.
    pub fn limit(&self) -> usize {
        self.limit.map_or(PAGE, |n| n.clamp(1, PAGE_MAX))
    }

    /// The page that `found` is, with one more than fits where there is more: what an index gives, in its own order.
    pub(crate) fn cut<I, T>(
        &self,
        mut found: Vec<I>,
        key: impl Fn(&I) -> String,
        view: impl Fn(&I) -> T,
    ) -> Listing<T> {
        let more = found.len() > self.limit();
        found.truncate(self.limit());
        Listing {
            next: found.last().filter(|_| more).map(key),
            items: found.iter().map(view).collect(),
        }
    }

    /// The page of `all` (key, state, item), ordered by key. Views are made only for what is on the page.
    pub(crate) fn page<I, T>(
        &self,
        all: impl Iterator<Item = (String, &'static str, I)>,
        view: impl Fn(I) -> T,
    ) -> Listing<T> {
        let mut wanted: Vec<_> = all
            .filter(|(key, state, _)| {
                self.after
                    .as_deref()
                    .is_none_or(|after| key.as_str() > after)
                    && self.state.as_deref().is_none_or(|wanted| wanted == *state)
            })
            .collect();
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        let more = wanted.len() > self.limit();
        wanted.truncate(self.limit());
        let next = wanted.last().filter(|_| more).map(|(key, ..)| key.clone());
        Listing {
            items: wanted.into_iter().map(|(.., item)| view(item)).collect(),
            next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_end() {
        let all = || {
            ["c", "a", "d", "b"]
                .into_iter()
                .map(|k| (k.to_owned(), if k == "b" { "off" } else { "on" }, k))
        };
        let query = ListQuery {
            limit: Some(2),
            ..ListQuery::default()
        };
        let first = query.page(all(), |k| k);
        assert_eq!(
            (first.items, first.next.as_deref()),
            (vec!["a", "b"], Some("b"))
        );
        let second = ListQuery {
            after: Some("b".to_owned()),
            ..query
        }
        .page(all(), |k| k);
        assert_eq!((second.items, second.next), (vec!["c", "d"], None));
        let off = ListQuery {
            state: Some("off".to_owned()),
            ..ListQuery::default()
        }
        .page(all(), |k| k);
        assert_eq!(off.items, ["b"]);
    }
}
