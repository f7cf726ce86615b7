//! What a search for an enforcement point goes through: what could be asked about, and what surely is denied.

use std::collections::BTreeSet;

use remit_domain::bounds::Bound;
use remit_domain::tool::{ToolRef, ToolState};
use remit_domain::upstream::UpstreamName;
use remit_domain::{OrgId, Refusal};
use remit_policy::{Dynamic, Facts};
use serde_json::Value;

use crate::Gateway;
use crate::enforcement_point::Question;
use crate::limits::CANDIDATES_MAX;

/// Argument of a tool that names the object it acts on, in questions that name a resource of another sort than `tool`.
pub const OBJECT: &str = "id";

impl Gateway {
    /// Whether a call is not surely denied, whatever its arguments: what lists of tools show too.
    pub async fn could(&self, question: &Question) -> bool {
        self.could_be(question).await.unwrap_or(false)
    }

    async fn could_be(&self, question: &Question) -> Result<bool, Refusal> {
        let received = self.asked(question, false)?;
        let call = self
            .authenticate(Box::new(received))
            .await
            .map_err(Refusal::from)?;
        let resolved = self.resolve(call).await?;
        let now = self.books().now();
        if resolved
            .standing
            .workflow
            .grants_of(&question.tool, now)
            .next()
            .is_none()
        {
            return Ok(false);
        }
        let dynamic = Dynamic {
            trust: resolved.caller.trust,
            ..Dynamic::at(now)
        };
        let facts = Facts {
            fixed: resolved.fixed(),
            dynamic: &dynamic,
        };
        Ok(!resolved.engine.surely_denied(facts))
    }

    /// Tools in use, of one upstream or of all, ordered; at most as many as a search goes through.
    pub fn tools_in_use(&self, org: &OrgId, upstream: Option<&UpstreamName>) -> Vec<ToolRef> {
        let Some(book) = self.books().org(org) else {
            return Vec::new();
        };
        let registry = book.registry();
        let here = |tool: &&ToolRef| upstream.is_none_or(|u| u == tool.upstream());
        let in_use = registry
            .tools
            .iter()
            .filter(|(_, t)| t.state == ToolState::Enabled);
        let found: BTreeSet<ToolRef> = in_use.map(|(tool, _)| tool).filter(here).cloned().collect();
        found.into_iter().take(CANDIDATES_MAX).collect()
    }

    /// The objects that grants of the question's workflow name for its tool, ordered: nobody else knows which there are.
    pub fn granted_objects(&self, question: &Question) -> Vec<String> {
        let Ok(received) = self.asked(question, false) else {
            return Vec::new();
        };
        let (Some(book), Some(vouched)) = (self.books().org(&question.org), &received.vouched)
        else {
            return Vec::new();
        };
        let registry = book.registry();
        let Some(workflow) = registry.workflows.get(&vouched.workflow) else {
            return Vec::new();
        };
        let grants = workflow.grants_of(&question.tool, self.books().now());
        let bounds = grants.flat_map(|g| &g.bounds.0);
        let objects = bounds.filter(|(path, _)| path.as_str() == OBJECT);
        let members = objects
            .flat_map(|(_, bounds)| bounds)
            .filter_map(|b| match b {
                Bound::OneOf(members) => Some(members),
                _ => None,
            });
        let named: BTreeSet<String> = members.flatten().filter_map(text).collect();
        named.into_iter().take(CANDIDATES_MAX).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
