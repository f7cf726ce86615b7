//! Places below a run: only so many runs hang on one, and on its whole tree, however many ask at once and on whichever node.
//!
//! On one node they take turns. On several, who takes a place writes the run above and the first run of the tree too, at the
//! revision at which the places were counted, in the commit that starts the run below: of two who take the last one only one is
//! committed, and the other counts again.

use std::collections::BTreeSet;

use remit_books::{BooksError, Change, Versioned};
use remit_domain::limits::{CHAIN_DEPTH_MAX, RUN_CHILDREN_MAX, RUN_TREE_MAX};
use remit_domain::{AgentId, Kind, OrgId, Refusal, RefusalCode, Registry, Run, RunId, WorkflowId};
use remit_ports::store::{Filter, StoreError};

use crate::Issuer;
use crate::refusal::{from_books, no};

/// How often whoever loses a place to another node counts again before it is told to ask again.
pub(crate) const PLACES_TRIED_MAX: usize = 8;

/// A place below a run, as long as nobody else takes one.
pub(crate) struct Place {
    /// Writes the run above, and the first of its tree. It goes last into the commit that starts the run below: who sees the one
    /// sees the other.
    pub(crate) change: Change,
    /// On one node they take turns, so that nobody has to count twice.
    _turn: tokio::sync::OwnedMutexGuard<()>,
}

/// What hangs on a run, and on the first run of its tree.
struct Counted {
    above: Versioned<Run>,
    /// The first, where it is another.
    root: Option<Versioned<Run>>,
    below: usize,
    in_tree: usize,
}

impl Issuer {
    /// A place below a run.
    ///
    /// # Errors
    /// `limited` where there is none, below it or in its whole tree, `chain-too-deep` where too many runs are above, `run-ended`.
    pub(crate) async fn place_below(&self, org: &OrgId, run: &RunId) -> Result<Place, Refusal> {
        let root = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            registry.runs.get(run).map(|r| r.root.clone())
        };
        let root = root.ok_or_else(ended)?;
        let lock = format!("{org}/below/{root}");
        let lock = self.inner.locks.get_with(lock, Default::default);
        let turn = lock.lock_owned().await;
        let others = self.books().store().has_other_nodes();
        let counted = match others {
            true => self.counted_in_store(org, run).await?,
            false => self.counted_here(org, run)?,
        };
        self.not_too_deep(org, &counted.above.noun)?;
        counted.has_room()?;
        Ok(Place {
            // On one node its turn is enough, and what stops the runs above is never in the way of those below them.
            change: match others {
                true => counted.written(),
                false => Change::new(),
            },
            _turn: turn,
        })
    }

    /// The registry knows every run where nobody else writes.
    fn counted_here(&self, org: &OrgId, run: &RunId) -> Result<Counted, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let now = self.books().now();
        let known = |id: &RunId| {
            let noun = registry.runs.get(id).filter(|r| r.is_live(now));
            noun.map(|noun| Versioned {
                noun: Run::clone(noun),
                revision: registry.revision(Kind::Run, id.as_str()).unwrap_or(0),
            })
        };
        let above = known(run).ok_or_else(ended)?;
        let root = known(&above.noun.root).filter(|root| root.noun.id != *run);
        Ok(Counted::among(
            registry.runs.values().map(AsRef::as_ref),
            above,
            root,
        ))
    }

    /// Other nodes may have started some that this one has not heard of: they are counted after the revisions are read.
    async fn counted_in_store(&self, org: &OrgId, run: &RunId) -> Result<Counted, Refusal> {
        let above = self.live_run(org, run).await?;
        let root = match above.noun.root == *run {
            true => None,
            false => Some(self.live_run(org, &above.noun.root).await?),
        };
        let agents = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let first = root.as_ref().unwrap_or(&above);
            may_be_in_tree(&registry, &first.noun)
        };
        let mut runs = Vec::new();
        for agent in agents {
            for state in ["active", "suspended"] {
                let found = self.runs_of(org, &agent, state, &above.noun.root).await;
                runs.extend(found.map_err(from_books)?);
            }
        }
        Ok(Counted::among(runs.iter(), above, root))
    }

    async fn live_run(&self, org: &OrgId, run: &RunId) -> Result<Versioned<Run>, Refusal> {
        let found = self.books().get::<Run>(org, run.as_str()).await;
        let found = found.map_err(from_books)?.ok_or_else(ended)?;
        match found.noun.is_live(self.books().now()) {
            true => Ok(found),
            false => Err(ended()),
        }
    }

    /// The runs of an agent that are in a tree.
    async fn runs_of(
        &self,
        org: &OrgId,
        agent: &AgentId,
        state: &str,
        root: &RunId,
    ) -> Result<Vec<Run>, BooksError> {
        let mut filter = Filter {
            parent: Some(agent.to_string()),
            state: Some(state.to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut found = Vec::new();
        loop {
            let (page, next) = self.books().list::<Run>(org, &filter).await?;
            let own = page.into_iter().map(|r| r.noun);
            found.extend(own.filter(|r| r.root == *root));
            match next {
                Some(next) => filter.after = Some(next),
                None => return Ok(found),
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

impl Counted {
    fn among<'a>(
        runs: impl Iterator<Item = &'a Run>,
        above: Versioned<Run>,
        root: Option<Versioned<Run>>,
    ) -> Self {
        let (mut below, mut in_tree) = (0, 0);
        for run in runs.filter(|run| run.root == above.noun.root) {
            in_tree += 1;
            if run.parent.as_ref() == Some(&above.noun.id) {
                below += 1;
            }
        }
        Self {
            above,
            root,
            below,
            in_tree,
        }
    }

    fn has_room(&self) -> Result<(), Refusal> {
        let text = if self.below >= RUN_CHILDREN_MAX {
            format!("the run has {RUN_CHILDREN_MAX} runs below it; wait until one ends")
        } else if self.in_tree >= RUN_TREE_MAX {
            format!("the run's tree has {RUN_TREE_MAX} runs; wait until one ends")
        } else {
            return Ok(());
        };
        Err(no(RefusalCode::Limited, text))
    }

    fn written(&self) -> Change {
        let write = |change: Change, run: &Versioned<Run>| change.update(&run.noun, run.revision);
        [&self.above]
            .into_iter()
            .chain(&self.root)
            .fold(Change::new(), write)
    }
}

/// Whether a commit failed because another node has taken a place in this run's tree, or a run above has changed otherwise.
pub(crate) fn place_lost(error: &BooksError) -> bool {
    matches!(
        error,
        BooksError::Store(StoreError::Conflict {
            kind: Kind::Run,
            ..
        })
    )
}

/// The agents that runs of a tree can be of: of its first run, of the workflows that may be spawned from there on, and of runs
/// that are known to be in it, whatever was spawnable when they began.
fn may_be_in_tree(registry: &Registry, first: &Run) -> BTreeSet<AgentId> {
    let mut workflows = BTreeSet::new();
    let mut ahead = vec![first.workflow.clone()];
    let in_tree = registry.runs.values().filter(|r| r.root == first.id);
    ahead.extend(in_tree.map(|r| r.workflow.clone()));
    while let Some(id) = ahead.pop() {
        let Some(workflow) = registry.workflows.get(&id) else {
            continue;
        };
        if workflows.insert(id) {
            ahead.extend(workflow.spawnable.iter().cloned());
        }
    }
    let of = |id: &WorkflowId| registry.workflows.get(id).map(|w| w.agent.clone());
    let agents = workflows.iter().filter_map(of);
    agents.chain([first.agent.clone()]).collect()
}

fn ended() -> Refusal {
    no(RefusalCode::RunEnded, "the run has ended; start another")
}
