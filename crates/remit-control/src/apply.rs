//! Applying documents: one plan, one commit. Either everything is applied, or nothing.

use std::collections::BTreeSet;

use remit_books::Change;
use remit_domain::RefusalCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::plan::placed;
use crate::spec::{AnySpec, DocumentKind};
use crate::{Action, Caller, Control, ControlError, refuse};

/// One thing that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AppliedChange {
    /// What was done.
    pub action: Action,
    /// To which kind of thing.
    pub kind: DocumentKind,
    /// Its name.
    pub name: String,
}

/// What applying came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Applied {
    /// What was applied, in order; things that were as they are to be are left out.
    pub changes: Vec<AppliedChange>,
}

impl Control {
    /// Applies documents: what differs is created or changed, in one commit. (Two of them that change the same further
    /// record, such as a run that ends with two sponsors, take a commit each.)
    ///
    /// - `expect`: hash of the plan that was looked at; absent applies whatever the plan is now.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `Documents` with the place of each mistake; `conflict` when the plan is
    /// another one than expected, or when something changed meanwhile. Nothing has changed then.
    pub async fn apply(
        &self,
        caller: &Caller,
        documents: &str,
        expect: Option<&str>,
    ) -> Result<Applied, ControlError> {
        let prepared = self.prepare(caller, documents)?;
        if !prepared.plan.errors.is_empty() {
            return Err(ControlError::Documents(prepared.plan.errors));
        }
        if expect.is_some_and(|hash| hash != prepared.plan.hash) {
            let text = "the plan is another one now: documents or registry have changed; plan again and look at it";
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let mut whole = Change::new();
        let mut changes = Vec::new();
        for (document, draft) in &prepared.drafts {
            if draft.action == Action::None {
                continue;
            }
            let mut change = self.completed(caller, draft).await?;
            if collide(&whole, &change) {
                self.books
                    .commit(&caller.org, std::mem::take(&mut whole))
                    .await?;
                change = self.completed(caller, draft).await?;
            }
            whole = whole.and(change);
            changes.push(AppliedChange {
                action: draft.action,
                kind: document.spec.kind(),
                name: document.spec.name(),
            });
        }
        if !changes.is_empty() {
            self.commit_all(caller, whole, &prepared.drafts).await?;
        }
        Ok(Applied { changes })
    }

    async fn commit_all(
        &self,
        caller: &Caller,
        whole: Change,
        drafts: &[(crate::documents::Document, crate::draft::Draft)],
    ) -> Result<(), ControlError> {
        // Committing compiles what is in force; a set that is off is held against the schema too.
        let off = |spec: &AnySpec| matches!(spec, AnySpec::PolicySet(_, set) if !set.enabled);
        let looked = if drafts.iter().any(|(document, _)| off(&document.spec)) {
            self.book(&caller.org)?.would_compile(&whole)
        } else {
            Ok(())
        };
        let whole = self.deployed(caller, whole).await?;
        let committed = match looked {
            Ok(()) => self.books.commit(&caller.org, whole).await,
            Err(error) => Err(error),
        };
        match committed.map_err(ControlError::from) {
            Err(error @ ControlError::Policy(_)) => {
                Err(ControlError::Documents(placed(error, drafts)?))
            }
            other => other.map(|_| ()),
        }
    }
}

/// Whether both write the same record.
fn collide(a: &Change, b: &Change) -> bool {
    let written: BTreeSet<_> = a.writes().collect();
    b.writes().any(|record| written.contains(&record))
}
