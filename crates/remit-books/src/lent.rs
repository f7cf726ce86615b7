//! Leases that are not over.

use remit_domain::lease::{Lease, LeaseState};
use remit_domain::{OrgId, RunId};
use remit_ports::store::Filter;

use crate::{Books, BooksError};

impl Books {
    /// Leases that may be good at their source still: in use, to be revoked, or given up.
    ///
    /// - `run`: only of this one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open_leases(
        &self,
        org: &OrgId,
        run: Option<&RunId>,
    ) -> Result<Vec<Lease>, BooksError> {
        let mut open = Vec::new();
        for state in [LeaseState::Active, LeaseState::Ending, LeaseState::Dead] {
            open.extend(self.leases_in(org, run, state).await?);
        }
        Ok(open)
    }

    /// Leases in one state, every one of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn leases_in(
        &self,
        org: &OrgId,
        run: Option<&RunId>,
        state: LeaseState,
    ) -> Result<Vec<Lease>, BooksError> {
        let mut filter = Filter {
            parent: run.map(ToString::to_string),
            state: Some(state.as_str().to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut all = Vec::new();
        loop {
            let (page, next) = self.list::<Lease>(org, &filter).await?;
            all.extend(page.into_iter().map(|found| found.noun));
            match next {
                Some(next) => filter.after = Some(next),
                None => return Ok(all),
            }
        }
    }
}
