//! Lists of what the registry does not keep, newest first.

use remit_ports::store::Filter;

use crate::ListQuery;

/// The store's filter for a page, newest first, of one parent where given.
pub(crate) fn first(query: &ListQuery, parent: Option<String>) -> Filter {
    Filter {
        parent,
        state: query.state.clone(),
        after: query.after.clone(),
        limit: u32::try_from(query.limit()).unwrap_or(100),
        descending: true,
    }
}
