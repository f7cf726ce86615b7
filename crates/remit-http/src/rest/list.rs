//! Lists that come whole and are given a page at a time.

use remit_control::{Between, ListQuery, Listing};
use remit_domain::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which part of a list of what came about.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PastQuery {
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// Only what comes after this one.
    after: Option<String>,
    /// Only what is in this state.
    state: Option<String>,
    /// Only what came about at or after this time.
    since: Option<Timestamp>,
    /// Only what came about before this time.
    until: Option<Timestamp>,
}

impl From<PastQuery> for ListQuery {
    fn from(q: PastQuery) -> Self {
        Self {
            limit: q.limit,
            after: q.after,
            state: q.state,
            between: Between {
                since: q.since,
                until: q.until,
            },
        }
    }
}

/// The page of `all`, which is in its own order, that begins after the item with the key `after`.
pub(super) fn page<T>(all: Vec<T>, query: &ListQuery, key: impl Fn(&T) -> String) -> Listing<T> {
    let start = match &query.after {
        None => 0,
        // What the list no longer has ends it, rather than begin anew for ever.
        Some(after) => all
            .iter()
            .position(|item| key(item) == *after)
            .map_or(all.len(), |at| at + 1),
    };
    let more = all.len() > start.saturating_add(query.limit());
    let items: Vec<T> = all.into_iter().skip(start).take(query.limit()).collect();
    let next = items.last().filter(|_| more).map(key);
    Listing { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_once_and_lists_end() {
        let query = |after: Option<&str>| ListQuery {
            limit: Some(2),
            after: after.map(str::to_owned),
            ..ListQuery::default()
        };
        let all = || vec!["b", "a", "c"];
        let first = page(all(), &query(None), ToString::to_string);
        assert_eq!(
            (first.items, first.next.as_deref()),
            (vec!["b", "a"], Some("a"))
        );
        let second = page(all(), &query(Some("a")), ToString::to_string);
        assert_eq!((second.items, second.next), (vec!["c"], None));
        assert!(
            page(all(), &query(Some("gone")), ToString::to_string)
                .items
                .is_empty()
        );
    }
}
