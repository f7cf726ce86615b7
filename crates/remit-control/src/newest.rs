//! Lists of what the registry does not keep, newest first.

use remit_books::{Books, BooksError, Versioned};
use remit_domain::{Noun, OrgId, Timestamp};
use remit_ports::store::Filter;
use uuid::Uuid;

use crate::ListQuery;

/// A page of records, and where the next one goes on.
type Page<N> = (Vec<Versioned<N>>, Option<String>);

/// The page of `query`, newest first, of one parent where given.
///
/// - `id`: how an id of them is written. Ids begin with their time, so that `until` is a place in the list.
/// - `at`: when one came about.
pub(crate) async fn page<N: Noun>(
    books: &Books,
    org: &OrgId,
    query: &ListQuery,
    parent: Option<String>,
    id: impl Fn(Uuid) -> String,
    at: impl Fn(&N) -> Timestamp,
) -> Result<Page<N>, BooksError> {
    let until = query.between.until.map(|until| id(earliest(until)));
    let filter = Filter {
        parent,
        state: query.state.clone(),
        after: match (query.after.clone(), until) {
            (Some(after), Some(until)) => Some(after.min(until)),
            (after, until) => after.or(until),
        },
        limit: u32::try_from(query.limit()).unwrap_or(100),
        descending: true,
    };
    let (mut found, mut next) = books.list::<N>(org, &filter).await?;
    if let Some(since) = query.between.since
        && let Some(end) = found.iter().position(|one| at(&one.noun) < since)
    {
        found.truncate(end);
        next = None;
    }
    Ok((found, next))
}

/// No id that was made at that time or later sorts before it (RFC 9562 §5.7).
fn earliest(at: Timestamp) -> Uuid {
    let millis = u128::try_from(at.as_micros() / 1_000).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_at_a_time_sorts_at_or_after_its_earliest_id() {
        let at: Timestamp = "2026-11-22T08:00:00.500Z".parse().unwrap();
        let made = |at: Timestamp| {
            let millis = u64::try_from(at.as_micros() / 1_000).unwrap();
            uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
        };
        assert!(made(at) >= earliest(at));
        assert!(made(at.plus_secs(-1)) < earliest(at));
        assert_eq!(earliest(Timestamp::from_secs(-1)), Uuid::nil());
    }
}
