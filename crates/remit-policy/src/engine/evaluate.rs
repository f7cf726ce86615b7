//! One decision.
//!
//! The rule: evaluate with `context.approved = true`, and a deny is final; evaluate with `false`, and a deny then is an
//! ask, whose ask set is the determining forbids; an error in either is a deny. The short way to the same answer:
//! policies can look at approval only through `unless { context.approved }`, so the evaluation with `false` finds
//! everything the other one finds and the asks besides. Only when nothing but asks stands against the call is it
//! evaluated again, with `true`, to see that it would then be allowed. Before all that, [`crate::quick`] answers for the
//! calls that nothing stands against.

use cedar_policy::{Decision as Cedar, Response};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use super::answer::{allow, ask, deny, errors, refusal};
use super::question::{Question, partly, put, request, slice_context};
use super::{Engine, Ready, Refused};
use crate::breaches::{Args, Findings};
use crate::decision::Decision;
use crate::entities;
use crate::facts::{Facts, Fixed};
use crate::load::Loaded;
use crate::quick::Live;

impl Engine {
    /// Builds what does not change from call to call.
    pub(super) fn ready(&self, fixed: &Fixed) -> Result<Ready, Refused> {
        let broken = |text: String| Refused {
            policy: "guardrail/facts",
            code: "policy-error",
            text,
        };
        let entry = self.tools.get(&fixed.tool.tool).ok_or_else(|| Refused {
            policy: "guardrail/tool-known",
            code: "tool-unknown",
            text: format!("tool {} is not known here", fixed.tool.tool),
        })?;
        // Slices were cut by the classification the engine was compiled with; on another one they mean nothing.
        let changed = entry.definition_hash != fixed.tool.definition_hash
            || entry.classification != fixed.tool.classification;
        let cast = entities::cast(&self.types, fixed, changed).map_err(broken)?;
        let slice = entry
            .slice
            .select(&self.policies, &cast.principal, &cast.workflow);
        let asked = put(&cast, slice_context(&cast, fixed));
        let live = Live::of(
            &self.policies,
            slice.all.positions(),
            &evaluator(asked, &cast),
        );
        Ok(Ready { cast, slice, live })
    }

    pub(super) fn answer(
        &self,
        ready: &Result<Ready, Refused>,
        facts: Facts<'_>,
        args: Args,
    ) -> Decision {
        let (ready, entry) = match (ready, self.tools.get(&facts.fixed.tool.tool)) {
            (Ok(ready), Some(entry)) => (ready, entry),
            (Err(refused), _) => {
                return refusal(refused.policy, refused.code, refused.text.clone());
            }
            (Ok(_), None) => {
                return refusal(
                    "guardrail/tool-known",
                    "tool-unknown",
                    "the tool is not known here".to_owned(),
                );
            }
        };
        let question = Question::new(entry, ready, facts, args);
        let (chosen, live) = match question.with_args {
            true => (&ready.slice.all, &ready.live.0),
            false => (&ready.slice.without_args, &ready.live.1),
        };
        let decision = match self.quickly(ready, live.as_ref(), &question) {
            Some(allowed) => allow(&allowed, &question.findings),
            None => {
                let Some(full) = chosen.full(&self.policies) else {
                    let text = "its policies do not go together".to_owned();
                    return refusal("guardrail/facts", "policy-error", text);
                };
                let put = |approved| {
                    let request = request(ready, &question, approved);
                    let entities = &ready.cast.entities;
                    self.authorizer.is_authorized(&request, full, entities)
                };
                self.conclude(facts, &question.findings, &put(false), || put(true))
            }
        };
        self.with_exceptions(decision, ready, &question)
    }

    /// The permits of a call that nothing stands against; see [`Live::allowed`].
    fn quickly(
        &self,
        ready: &Ready,
        live: Option<&Live>,
        question: &Question<'_>,
    ) -> Option<Vec<&Loaded>> {
        let live = live.filter(|_| question.findings.breaches.is_empty())?;
        let request = partly(ready, question, &live.looks);
        live.allowed(&self.policies, &evaluator(request, &ready.cast))
    }

    /// Reads the evaluation with `approved = false`, and the other one where it matters.
    fn conclude(
        &self,
        facts: Facts<'_>,
        findings: &Findings,
        first: &Response,
        second: impl FnOnce() -> Response,
    ) -> Decision {
        let failed = errors(first);
        let determining = self.determining(first);
        let (asks, others): (Vec<&Loaded>, Vec<&Loaded>) =
            determining.iter().copied().partition(|l| l.terms.is_some());
        if !failed.is_empty() || (first.decision() == Cedar::Deny && !others.is_empty()) {
            let denies = if first.decision() == Cedar::Deny {
                others
            } else {
                Vec::new()
            };
            return deny(&denies, failed, findings);
        }
        if first.decision() == Cedar::Allow {
            return allow(&determining, findings);
        }
        let Some(classification) = facts
            .fixed
            .tool
            .classification
            .as_ref()
            .filter(|_| !asks.is_empty())
        else {
            return deny(&[], Vec::new(), findings);
        };
        let second = second();
        let failed = errors(&second);
        if second.decision() == Cedar::Allow && failed.is_empty() {
            ask(&asks, classification, findings)
        } else {
            deny(&[], failed, findings)
        }
    }

    /// The determining policies of a response, ordered by id.
    fn determining(&self, response: &Response) -> Vec<&Loaded> {
        let mut found: Vec<_> = response
            .diagnostics()
            .reason()
            .filter_map(|id| self.policy(id.as_ref()))
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    /// The policies that may still matter once the arguments are known, ordered by id.
    pub(crate) fn policies_on_args(&self, facts: Facts<'_>) -> Vec<&Loaded> {
        let Ok(ready) = self.ready(facts.fixed) else {
            return Vec::new();
        };
        let at = ready.slice.all.positions().iter();
        let mut found: Vec<_> = at
            .filter_map(|at| self.policies.get(*at))
            .filter(|l| l.mentions_args && l.is_forbid())
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    /// The rule itself, over every policy: what the short way is tested against.
    #[cfg(test)]
    pub(super) fn decide_plainly(&self, facts: Facts<'_>) -> Decision {
        let (ready, entry) = match (
            self.ready(facts.fixed),
            self.tools.get(&facts.fixed.tool.tool),
        ) {
            (Ok(ready), Some(entry)) => (ready, entry),
            _ => return self.decide(facts),
        };
        let question = Question::new(entry, &ready, facts, Args::Known);
        if !question.with_args {
            return self.decide(facts);
        }
        let put = |approved| {
            let request = request(&ready, &question, approved);
            self.authorizer
                .is_authorized(&request, &self.whole, &ready.cast.entities)
        };
        let (approved, unapproved) = (put(true), put(false));
        let all: std::collections::BTreeSet<_> = errors(&approved)
            .into_iter()
            .chain(errors(&unapproved))
            .collect();
        if approved.decision() == Cedar::Deny {
            deny(
                &self.determining(&approved),
                all.into_iter().collect(),
                &question.findings,
            )
        } else if !all.is_empty() {
            deny(&[], all.into_iter().collect(), &question.findings)
        } else if unapproved.decision() == Cedar::Deny {
            let classification = facts.fixed.tool.classification.as_ref().unwrap();
            ask(
                &self.determining(&unapproved),
                classification,
                &question.findings,
            )
        } else {
            allow(&self.determining(&unapproved), &question.findings)
        }
    }
}

/// What evaluates expressions for one request; the same that Cedar's authorizer makes for it.
fn evaluator<'a>(
    request: cedar_policy_core::ast::Request,
    cast: &'a entities::Cast,
) -> Evaluator<'a> {
    Evaluator::new(request, cast.entities.as_ref(), Extensions::all_available())
}
