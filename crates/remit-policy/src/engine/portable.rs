//! A call as any evaluator of Cedar takes it: to look at it elsewhere, and to hold this evaluator against others.

use serde::Serialize;
use serde_json::Value;

use super::Engine;
use super::question::{Question, request};
use crate::breaches::Args;
use crate::facts::Facts;

/// One request and its entities, in Cedar's JSON form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Portable {
    /// `Agent::"NAME"`.
    pub principal: String,
    /// `Action::"UPSTREAM/TOOL"`.
    pub action: String,
    /// `Tool::"UPSTREAM/TOOL"`.
    pub resource: String,
    /// The context, with `approved` as it was asked for.
    pub context: Value,
    /// The entities.
    pub entities: Value,
}

impl Engine {
    /// The request that is put to Cedar about a call, together with [`Engine::texts`] all that a plain evaluator needs. None
    /// where the call is refused before Cedar is asked.
    pub fn portable(&self, facts: Facts<'_>, approved: bool) -> Option<Portable> {
        let ready = self.ready(facts.fixed).ok()?;
        let entry = self.tools.get(&facts.fixed.tool.tool)?;
        let question = Question::new(entry, &ready, facts, Args::Known);
        if !question.with_args {
            return None;
        }
        let request = request(&ready, &question, approved);
        Some(Portable {
            principal: ready.cast.principal.to_string(),
            action: ready.cast.action.to_string(),
            resource: ready.cast.resource.to_string(),
            context: request.context()?.to_json_value().ok()?,
            entities: ready.cast.entities.to_json_value().ok()?,
        })
    }

    /// Whether everything is satisfied that people could satisfy, and the call goes on: over every policy, plainly.
    #[cfg(test)]
    pub(super) fn allowed_if_approved(&self, facts: Facts<'_>) -> Option<bool> {
        let ready = self.ready(facts.fixed).ok()?;
        let entry = self.tools.get(&facts.fixed.tool.tool)?;
        let question = Question::new(entry, &ready, facts, Args::Known);
        let request = request(&ready, &question, true);
        let response = self
            .authorizer
            .is_authorized(&request, &self.whole, &ready.cast.entities);
        let failed = response.diagnostics().errors().next().is_some();
        Some(response.decision() == cedar_policy::Decision::Allow && !failed)
    }
}
