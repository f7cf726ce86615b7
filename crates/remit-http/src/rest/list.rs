//! Lists that come whole and are given a page at a time.

use remit_control::{ListQuery, Listing};

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
            state: None,
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
