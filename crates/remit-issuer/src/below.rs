//! Places below a run: only so many runs hang on one, however many ask at once and on whichever node.
//!
//! On one node they take turns. On several, who takes a place writes the run above too, at the revision at which the places were
//! counted, in the commit that starts the run below: of two who take the last one only one is committed, and the other counts again.

use std::collections::BTreeSet;

use remit_books::{BooksError, Change};
use remit_domain::limits::{CHAIN_DEPTH_MAX, RUN_CHILDREN_MAX};
use remit_domain::{AgentId, Kind, OrgId, Refusal, RefusalCode, Registry, Run, RunId};
use remit_ports::store::{Filter, StoreError};

use crate::Issuer;
use crate::refusal::{from_books, no};

/// How often whoever loses a place to another node counts again before it is told to ask again.
pub(crate) const PLACES_TRIED_MAX: usize = 8;

/// A place below a run, as long as nobody else takes one.
pub(crate) struct Place {
    /// Writes the run above. It goes last into the commit that starts the run below: who sees the one sees the other.
    pub(crate) change: Change,
    /// On one node they take turns, so that nobody has to count twice.
    _turn: tokio::sync::OwnedMutexGuard<()>,
}

impl Issuer {
    /// A place below a run.
    ///
    /// # Errors
    /// `limited` where there is none, `chain-too-deep` where too many runs are above, `run-ended`.
    pub(crate) async fn place_below(&self, org: &OrgId, run: &RunId) -> Result<Place, Refusal> {
        let lock = format!("{org}/below/{run}");
        let lock = self.inner.locks.get_with(lock, Default::default);
        let turn = lock.lock_owned().await;
        let others = self.books().store().has_other_nodes();
        let (above, revision, below) = match others {
            true => self.counted_in_store(org, run).await?,
            false => self.counted_here(org, run)?,
        };
        self.not_too_deep(org, &above)?;
        if below >= RUN_CHILDREN_MAX {
            let text = format!("the run has {RUN_CHILDREN_MAX} runs below it; wait until one ends");
            return Err(no(RefusalCode::Limited, text));
        }
        Ok(Place {
            // On one node its turn is enough, and what stops the run above is never in the way of those below it.
            change: match others {
                true => Change::new().update(&above, revision),
                false => Change::new(),
            },
            _turn: turn,
        })
    }

    /// The registry knows every run where nobody else writes.
    fn counted_here(&self, org: &OrgId, run: &RunId) -> Result<(Run, u64, usize), Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let now = self.books().now();
        let above = registry.runs.get(run).filter(|above| above.is_live(now));
        let above = above.ok_or_else(ended)?;
        let revision = registry.revision(Kind::Run, run.as_str()).unwrap_or(0);
        let runs = registry.runs.values();
        let below = runs.filter(|r| r.parent.as_ref() == Some(run)).count();
        Ok((Run::clone(above), revision, below))
    }

    /// Other nodes may have started some that this one has not heard of: they are counted after the revision is read.
    async fn counted_in_store(
        &self,
        org: &OrgId,
        run: &RunId,
    ) -> Result<(Run, u64, usize), Refusal> {
        let found = self.books().get::<Run>(org, run.as_str()).await;
        let found = found.map_err(from_books)?.ok_or_else(ended)?;
        if !found.noun.is_live(self.books().now()) {
            return Err(ended());
        }
        let agents = {
            let book = self.tenant(org)?;
            may_be_below(&book.registry(), &found.noun)
        };
        let mut below = 0;
        for agent in agents {
            for state in ["active", "suspended"] {
                let counted = self.count_below(org, run, &agent, state).await;
                below += counted.map_err(from_books)?;
            }
        }
        Ok((found.noun, found.revision, below))
    }

    async fn count_below(
        &self,
        org: &OrgId,
        run: &RunId,
        agent: &AgentId,
        state: &str,
    ) -> Result<usize, BooksError> {
        let mut filter = Filter {
            parent: Some(agent.to_string()),
            state: Some(state.to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut count = 0;
        loop {
            let (page, next) = self.books().list::<Run>(org, &filter).await?;
            count += page
                .iter()
                .filter(|r| r.noun.parent.as_ref() == Some(run))
                .count();
            match next {
                Some(next) => filter.after = Some(next),
                None => return Ok(count),
            }
        }
    }

    fn not_too_deep(&self, org: &OrgId, run: &Run) -> Result<(), Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let above = |run: &RunId| registry.runs.get(run)?.parent.clone();
        let depth = std::iter::successors(Some(run.id.clone()), above).take(CHAIN_DEPTH_MAX);
        if depth.count() >= CHAIN_DEPTH_MAX {
            let text = "the run has too many runs above it; narrow a token from higher up";
            return Err(no(RefusalCode::ChainTooDeep, text));
        }
        Ok(())
    }
}

/// Whether a commit failed because another node has taken a place below this run, or the run has changed otherwise.
pub(crate) fn place_lost(error: &BooksError, run: &RunId) -> bool {
    matches!(error, BooksError::Store(StoreError::Conflict { kind: Kind::Run, key }) if key == run.as_str())
}

/// The agents that runs below a run can be of: its own, those of the workflows that its workflow may spawn, and those of runs that
/// are known to be below it, whatever it might spawn when they began.
fn may_be_below(registry: &Registry, run: &Run) -> BTreeSet<AgentId> {
    let workflow = registry.workflows.get(&run.workflow);
    let spawnable = workflow.into_iter().flat_map(|w| &w.spawnable);
    let agents = spawnable.filter_map(|id| registry.workflows.get(id).map(|w| w.agent.clone()));
    let known = registry
        .runs
        .values()
        .filter(|r| r.parent.as_ref() == Some(&run.id));
    let known = known.map(|r| r.agent.clone());
    agents.chain(known).chain([run.agent.clone()]).collect()
}

fn ended() -> Refusal {
    no(RefusalCode::RunEnded, "the run has ended; start another")
}
