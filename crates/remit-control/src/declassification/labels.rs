//! What labels a run has, and the call that raised each.

use std::collections::{BTreeMap, BTreeSet};

use remit_books::labels::{agent_scope, carried};
use remit_books::{BooksError, OpenedEntry};
use remit_domain::declassification::Declassification;
use remit_domain::event::EventKind;
use remit_domain::run::Run;
use remit_domain::tool::ToolRef;
use remit_domain::{DecisionId, OrgId, RunId, Timestamp};
use remit_policy::labels::{CUSTOMER, kinds};
use remit_ports::store::{EntryFilter, Raised};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::error::not_found;
use crate::{Caller, Control, ControlError, names};

/// Most entries of one run that are looked through at once.
const ENTRIES_MAX: u32 = 10_000;

/// One label of a run, and what raised it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LabelView {
    /// The label.
    pub label: String,
    /// When it was raised last.
    pub at: Timestamp,
    /// The call that raised it first; none where that was not kept.
    pub decision: Option<DecisionId>,
    /// Which tool that call was of.
    pub tool: Option<String>,
    /// Which agent made it, by name.
    pub agent: Option<String>,
    /// In which run.
    pub run: Option<RunId>,
    /// Whether its agent brought it along from an earlier run.
    pub carried: bool,
}

/// The labels of a run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunLabels {
    /// The run.
    pub run: RunId,
    /// The first run of its tree, which they belong to.
    pub root: RunId,
    /// Each label.
    pub labels: Vec<LabelView>,
}

/// Labels that hold in a run: of its tree, and brought along.
pub(crate) struct Holds {
    tree: BTreeMap<String, Raised>,
    carried: BTreeMap<String, Raised>,
}

impl Holds {
    pub(super) fn has(&self, label: &str) -> bool {
        self.tree.contains_key(label) || self.carried.contains_key(label)
    }
}

impl Control {
    /// The labels of a run, each with the call that raised it.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn run_labels(&self, caller: &Caller, id: &RunId) -> Result<RunLabels, ControlError> {
        caller.person()?;
        let run = self.books.get::<Run>(&caller.org, id.as_str()).await?;
        let run = run.ok_or_else(|| not_found("run", id))?.noun;
        Ok(RunLabels {
            labels: self.labels_told(&caller.org, &run).await?,
            run: run.id,
            root: run.root,
        })
    }

    /// The same of a run at hand.
    pub(crate) async fn labels_told(
        &self,
        org: &OrgId,
        run: &Run,
    ) -> Result<Vec<LabelView>, ControlError> {
        let holds = self.labels_of(org, run).await?;
        self.label_views(org, &holds).await
    }

    /// What holds in a run now.
    pub(crate) async fn labels_of(&self, org: &OrgId, run: &Run) -> Result<Holds, ControlError> {
        let store = self.books.store();
        let tree = store.labels(org, run.root.as_str()).await;
        let tree = tree.map_err(BooksError::from)?.labels;
        let root = self.books.get::<Run>(org, run.root.as_str()).await?;
        let carried = match root {
            Some(root) => {
                let scope = agent_scope(&root.noun.agent);
                let own = store.labels(org, &scope).await;
                let own = own.map_err(BooksError::from)?;
                let names = carried(&root.noun, &own, self.books.now());
                let mut all = own.labels;
                all.retain(|label, _| names.contains(label) && !tree.contains_key(label));
                all
            }
            None => BTreeMap::new(),
        };
        Ok(Holds { tree, carried })
    }

    /// Labels with what raised them, by label.
    pub(super) async fn label_views(
        &self,
        org: &OrgId,
        holds: &Holds,
    ) -> Result<Vec<LabelView>, ControlError> {
        let all = [(&holds.tree, false), (&holds.carried, true)];
        let mut out = Vec::new();
        for (labels, carried) in all {
            for (label, raised) in labels {
                let entry = match &raised.by {
                    Some(decision) => self.decided_as(org, decision).await?,
                    None => None,
                };
                let leaf = entry.as_ref().map(|e| &e.leaf);
                let book = self.book(org)?;
                let registry = book.registry();
                out.push(LabelView {
                    label: label.clone(),
                    at: raised.at,
                    decision: raised.by.clone(),
                    tool: leaf.and_then(|l| Some(l.facts.get("tool")?.as_str()?.to_owned())),
                    agent: leaf
                        .and_then(|l| l.agent.as_ref())
                        .map(|a| names::agent(&registry, a)),
                    run: leaf.and_then(|l| l.run.clone()),
                    carried,
                });
            }
        }
        out.sort_by(|a, b| a.label.cmp(&b.label));
        Ok(out)
    }

    async fn decided_as(
        &self,
        org: &OrgId,
        decision: &DecisionId,
    ) -> Result<Option<OpenedEntry>, ControlError> {
        let filter = EntryFilter {
            kinds: vec![EventKind::CallDecided],
            decision: Some(decision.clone()),
            limit: 1,
            ..EntryFilter::default()
        };
        let entries = self.books.opened_entries(org, &filter).await?;
        Ok(entries.into_iter().next())
    }

    /// How many calls of the run's tree have brought one of the labels again since it was asked to take them back.
    pub(super) async fn touched_again(
        &self,
        org: &OrgId,
        asked: &Declassification,
    ) -> Result<usize, ControlError> {
        let runs: Vec<RunId> = {
            let book = self.book(org)?;
            let registry = book.registry();
            let tree = registry.runs.values().filter(|r| r.root == asked.root);
            tree.map(|r| r.id.clone()).collect()
        };
        let mut touched = BTreeSet::new();
        for run in runs {
            let filter = EntryFilter {
                kinds: vec![EventKind::CallDecided, EventKind::CallCompleted],
                run: Some(run),
                since: Some(asked.requested_at),
                limit: ENTRIES_MAX,
                ..EntryFilter::default()
            };
            for entry in self.books.opened_entries(org, &filter).await? {
                if self.brings(org, &entry, asked)? {
                    touched.extend(entry.leaf.decision.clone());
                }
            }
        }
        Ok(touched.len())
    }

    /// Whether an entry tells of a call that brought one of the labels, by what its tool is declared to touch or by what was
    /// found in its result.
    fn brings(
        &self,
        org: &OrgId,
        entry: &OpenedEntry,
        asked: &Declassification,
    ) -> Result<bool, ControlError> {
        let fact = |name: &str| entry.leaf.facts.get(name);
        if entry.leaf.kind == EventKind::CallCompleted {
            let found = fact("found").and_then(Value::as_array);
            let mut found = found.into_iter().flatten().filter_map(Value::as_str);
            return Ok(found.any(|class| asked.labels.contains(class)));
        }
        let went_on = matches!(
            fact("consent").and_then(Value::as_str),
            Some("not_needed" | "given")
        ) && fact("outcome").and_then(Value::as_str) != Some("deny");
        let tool = fact("tool").and_then(Value::as_str);
        let tool = tool.and_then(|t| t.parse::<ToolRef>().ok());
        let book = self.book(org)?;
        let registry = book.registry();
        let classified = tool
            .and_then(|t| registry.tools.get(&t))
            .and_then(|t| t.classification.as_ref());
        let Some(classification) = classified.filter(|_| went_on) else {
            return Ok(false);
        };
        let customers = asked.labels.iter().any(|l| l.starts_with(CUSTOMER));
        let brings = !kinds(classification).is_disjoint(&asked.labels);
        Ok(brings || (customers && classification.customer.is_some()))
    }
}
