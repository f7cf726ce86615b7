//! Applying documents: one commit a thing, in order. What was applied stays when a later one fails; applying again goes on.

use std::collections::BTreeSet;

use remit_domain::RefusalCode;
use remit_domain::upstream::UpstreamName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::documents::Document;
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

/// What stopped applying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// Which kind of thing.
    pub kind: DocumentKind,
    /// Its name.
    pub name: String,
    /// Where its document begins.
    pub line: u64,
    /// The refusal's code; null when the store could not.
    pub code: Option<RefusalCode>,
    /// Why.
    pub message: String,
}

/// What applying came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Applied {
    /// What was applied, in order; things that were as they are to be are left out.
    pub changes: Vec<AppliedChange>,
    /// Upstreams that were synced, so that their tools could be classified.
    pub synced: Vec<String>,
    /// What stopped it; null when everything was applied.
    pub failed: Option<Failure>,
    /// How many documents were not reached.
    pub not_reached: usize,
}

impl Control {
    /// Applies documents: what differs is created or changed, in order. A tool that is not known yet makes its upstream be
    /// synced first.
    ///
    /// - `expect`: hash of the plan that was looked at; absent applies whatever the plan is now.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `Documents` with the place of each mistake; `conflict` when the plan is
    /// another one than expected. Nothing has changed then. What goes wrong later is in [`Applied::failed`].
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
        let mut applied = Applied {
            changes: Vec::new(),
            synced: Vec::new(),
            failed: None,
            not_reached: 0,
        };
        let mut synced = BTreeSet::new();
        let total = prepared.documents.len();
        for (at, (document, planned)) in prepared
            .documents
            .into_iter()
            .zip(&prepared.plan.changes)
            .enumerate()
        {
            if planned.action == Action::None {
                continue;
            }
            let (kind, name, line) = (document.spec.kind(), document.spec.name(), document.at.0);
            match self.apply_one(caller, document, &mut synced).await {
                Ok(Action::None) => {}
                Ok(action) => applied.changes.push(AppliedChange { action, kind, name }),
                Err(error) => {
                    let (code, message) = (error.code(), error.to_string());
                    applied.failed = Some(Failure {
                        kind,
                        name,
                        line,
                        code,
                        message,
                    });
                    applied.not_reached = total.saturating_sub(at.saturating_add(1));
                    break;
                }
            }
        }
        applied.synced = synced.iter().map(ToString::to_string).collect();
        Ok(applied)
    }

    async fn apply_one(
        &self,
        caller: &Caller,
        document: Document,
        synced: &mut BTreeSet<UpstreamName>,
    ) -> Result<Action, ControlError> {
        Ok(match document.spec {
            AnySpec::Organization(name, spec) => {
                self.put_organization_named(caller, &name, spec).await?
            }
            AnySpec::Team(name, spec) => self.put_team(caller, &name, spec, None).await?.action,
            AnySpec::Person(email, spec) => {
                self.put_person(caller, &email, spec, None).await?.action
            }
            AnySpec::System(name, spec) => self.put_system(caller, &name, spec, None).await?.action,
            AnySpec::Upstream(name, spec) => {
                self.put_upstream(caller, &name, spec, None).await?.action
            }
            AnySpec::Tool(name, spec) => {
                let known = self.book(&caller.org)?.registry().tools.contains_key(&name);
                if !known && synced.insert(name.upstream().clone()) {
                    self.sync_upstream(caller, name.upstream()).await?;
                }
                self.put_tool(caller, &name, spec, None).await?.action
            }
            AnySpec::Agent(name, spec) => self.put_agent(caller, &name, spec, None).await?.action,
            AnySpec::Workflow(name, spec) => {
                self.put_workflow(caller, &name, spec, None).await?.action
            }
            AnySpec::PolicySet(name, spec) => {
                self.put_policy_set(caller, &name, spec, None).await?.action
            }
        })
    }
}
