//! Which exceptions a decision owes something to.

use cedar_policy::Response;

use super::question::{Question, request};
use super::{Engine, Ready};
use crate::decision::Decision;

impl Engine {
    /// Names in a decision the exceptions that are in force for its call and whose policy, as it was written, would have
    /// stood against it.
    pub(super) fn with_exceptions(
        &self,
        mut decision: Decision,
        ready: &Ready,
        question: &Question<'_>,
    ) -> Decision {
        if self.exceptions.is_empty() {
            return decision;
        }
        let (facts, with_args) = (question.facts, question.with_args);
        let request = request(ready, question, false);
        let (agent, tool, now) = (
            facts.fixed.agent.name.as_str(),
            facts.fixed.tool.tool.to_string(),
            facts.dynamic.now.as_secs(),
        );
        let meant = self.exceptions.iter().filter(|e| {
            e.agent == agent
                && e.tool.as_ref().is_none_or(|t| *t == tool)
                && e.from.as_secs() <= now
                && now < e.until.as_secs()
                && (with_args || !e.mentions_args)
        });
        let stands = |response: Response| response.diagnostics().reason().next().is_some();
        decision.exceptions = meant
            .filter(|e| {
                stands(
                    self.authorizer
                        .is_authorized(&request, &e.alone, &ready.cast.entities),
                )
            })
            .map(|e| e.id.clone())
            .collect();
        decision
    }
}
