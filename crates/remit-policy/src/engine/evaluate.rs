//! One decision.
//!
//! The rule: evaluate with `context.approved = true`, and a deny is final; evaluate with `false`, and a deny then is an
//! ask, whose ask set is the determining forbids; an error in either is a deny. The short way to the same answer:
//! policies can look at approval only through `unless { context.approved }`, so the evaluation with `false` finds
//! everything the other one finds and the asks besides. Only when nothing but asks stands against the call is it
//! evaluated again, with `true`, to see that it would then be allowed.

use std::collections::BTreeSet;

use cedar_policy::{Context, Decision as Cedar, PolicySet, Request, Response, RestrictedExpression as Expr};
use remit_domain::tool::Classification;

use super::{Engine, Ready, Refused, ToolEntry};
use crate::breaches::{self, ARGUMENTS_INVALID, Args, Findings};
use crate::decision::{Decision, Outcome, Reason};
use crate::entities;
use crate::facts::{Facts, Fixed};
use crate::load::Loaded;

/// The policy named where no permit held.
const DEFAULT: &str = "guardrail/default";

impl Engine {
    /// Builds what does not change from call to call.
    pub(super) fn ready(&self, fixed: &Fixed) -> Result<Ready, Refused> {
        let broken = |text: String| Refused { policy: "guardrail/facts", code: "policy-error", text };
        let entry = self.tools.get(&fixed.tool.tool).ok_or_else(|| Refused {
            policy: "guardrail/tool-known",
            code: "tool-unknown",
            text: format!("tool {} is not known here", fixed.tool.tool),
        })?;
        // Slices were cut by the classification the engine was compiled with; on another one they mean nothing.
        let changed = entry.definition_hash != fixed.tool.definition_hash || entry.classification != fixed.tool.classification;
        let cast = entities::cast(&self.types, fixed, changed).map_err(broken)?;
        let slice = entry.slice.select(&self.policies, &cast.principal, &cast.workflow).map_err(|e| broken(e.to_string()))?;
        Ok(Ready { cast, slice })
    }

    pub(super) fn answer(&self, ready: &Result<Ready, Refused>, facts: Facts<'_>, args: Args) -> Decision {
        let (ready, entry) = match (ready, self.tools.get(&facts.fixed.tool.tool)) {
            (Ok(ready), Some(entry)) => (ready, entry),
            (Err(refused), _) => return refusal(refused.policy, refused.code, refused.text.clone()),
            (Ok(_), None) => return refusal("guardrail/tool-known", "tool-unknown", "the tool is not known here".to_owned()),
        };
        let question = Question::new(entry, ready, facts, args);
        let set = if question.with_args { &ready.slice.all } else { &ready.slice.without_args };
        match self.ask_cedar(set, ready, &question, false) {
            Ok(first) => self.conclude(facts, &question.findings, &first, || self.ask_cedar(set, ready, &question, true)),
            Err(text) => refusal("guardrail/facts", "policy-error", text),
        }
    }

    fn ask_cedar(&self, set: &PolicySet, ready: &Ready, question: &Question<'_>, approved: bool) -> Result<Response, String> {
        let context = question.context(ready, approved)?;
        let cast = &ready.cast;
        let (principal, action, resource) = (cast.principal.clone(), cast.action.clone(), cast.resource.clone());
        let request = Request::new(principal, action, resource, context, None).map_err(|e| e.to_string())?;
        Ok(self.authorizer.is_authorized(&request, set, &cast.entities))
    }

    /// Reads the evaluation with `approved = false`, and the other one where it matters.
    fn conclude(
        &self,
        facts: Facts<'_>,
        findings: &Findings,
        first: &Response,
        second: impl FnOnce() -> Result<Response, String>,
    ) -> Decision {
        let errors: Vec<_> = errors(first);
        let determining = self.determining(first);
        let (asks, others): (Vec<&Loaded>, Vec<&Loaded>) = determining.iter().copied().partition(|l| l.terms.is_some());
        if !errors.is_empty() || (first.decision() == Cedar::Deny && !others.is_empty()) {
            let denies = if first.decision() == Cedar::Deny { others } else { Vec::new() };
            return deny(&denies, errors, findings);
        }
        if first.decision() == Cedar::Allow {
            return allow(&determining, findings);
        }
        let Some(classification) = facts.fixed.tool.classification.as_ref().filter(|_| !asks.is_empty()) else {
            return deny(&[], Vec::new(), findings);
        };
        match second() {
            Ok(second) if second.decision() == Cedar::Allow && second.diagnostics().errors().next().is_none() => {
                ask(&asks, classification, findings)
            }
            Ok(second) => deny(&[], self::errors(&second), findings),
            Err(text) => refusal("guardrail/facts", "policy-error", text),
        }
    }

    /// The determining policies of a response, ordered by id.
    fn determining(&self, response: &Response) -> Vec<&Loaded> {
        let mut found: Vec<_> = response.diagnostics().reason().filter_map(|id| self.policy(id.as_ref())).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    /// The policies that may still matter once the arguments are known, ordered by id.
    pub(crate) fn policies_on_args(&self, facts: Facts<'_>) -> Vec<&Loaded> {
        let Ok(ready) = self.ready(facts.fixed) else { return Vec::new() };
        let ids = ready.slice.all.policies().filter_map(|p| self.policy(p.id().as_ref()));
        let mut found: Vec<_> = ids.filter(|l| l.mentions_args && l.is_forbid()).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    /// The rule itself, over every policy: what the short way is tested against.
    #[cfg(test)]
    pub(super) fn decide_plainly(&self, facts: Facts<'_>) -> Decision {
        let (ready, entry) = match (self.ready(facts.fixed), self.tools.get(&facts.fixed.tool.tool)) {
            (Ok(ready), Some(entry)) => (ready, entry),
            _ => return self.decide(facts),
        };
        let question = Question::new(entry, &ready, facts, Args::Known);
        if !question.with_args {
            return self.decide(facts);
        }
        let approved = self.ask_cedar(&self.whole, &ready, &question, true).unwrap();
        let unapproved = self.ask_cedar(&self.whole, &ready, &question, false).unwrap();
        let all: BTreeSet<_> = errors(&approved).into_iter().chain(errors(&unapproved)).collect();
        if approved.decision() == Cedar::Deny {
            deny(&self.determining(&approved), all.into_iter().collect(), &question.findings)
        } else if !all.is_empty() {
            deny(&[], all.into_iter().collect(), &question.findings)
        } else if unapproved.decision() == Cedar::Deny {
            let classification = facts.fixed.tool.classification.as_ref().unwrap();
            ask(&self.determining(&unapproved), classification, &question.findings)
        } else {
            allow(&self.determining(&unapproved), &question.findings)
        }
    }
}

/// What is asked of Cedar, apart from approval.
struct Question<'a> {
    facts: Facts<'a>,
    findings: Findings,
    args: Expr,
    /// Whether policies that look at the arguments take part.
    with_args: bool,
}

impl<'a> Question<'a> {
    fn new(entry: &ToolEntry, ready: &Ready, facts: Facts<'a>, args: Args) -> Self {
        let unclassified: Classification;
        let classification = match facts.fixed.tool.classification.as_ref() {
            Some(classification) => classification,
            None => {
                unclassified = nothing_declared();
                &unclassified
            }
        };
        let mut findings = breaches::find(facts, classification, args);
        let empty = || Expr::new_record([]).unwrap_or_else(|_| Expr::new_bool(false));
        let (args, with_args) = match args {
            Args::Unknown => (empty(), false),
            Args::Known => match entry.args.encode(&facts.dynamic.args) {
                Ok(args) if ready.slice.mentions_args => (args, true),
                Ok(_) => (empty(), true),
                // The guardrail denies; policies that look at arguments of another type could only fail.
                Err(text) => {
                    findings.add(ARGUMENTS_INVALID, text);
                    (empty(), false)
                }
            },
        };
        Self { facts, findings, args, with_args }
    }

    fn context(&self, ready: &Ready, approved: bool) -> Result<Context, String> {
        let Facts { fixed, dynamic } = self.facts;
        let secs = dynamic.now.as_secs();
        let live = dynamic.run_active && !dynamic.run_idle && dynamic.now < fixed.run.deadline;
        let words = |words: &mut dyn Iterator<Item = &str>| Expr::new_set(words.map(|w| Expr::new_string(w.to_owned())));
        let long = |n: i64| Expr::new_long(n);
        let depth = i64::try_from(fixed.chain.len()).unwrap_or(i64::MAX);
        Context::from_pairs([
            ("approved".to_owned(), Expr::new_bool(approved)),
            ("args".to_owned(), self.args.clone()),
            ("labels".to_owned(), words(&mut dynamic.labels.iter().map(String::as_str))),
            ("breaches".to_owned(), words(&mut self.findings.codes().into_iter())),
            ("granted".to_owned(), Expr::new_bool(self.findings.grant.is_some())),
            ("live".to_owned(), Expr::new_bool(live)),
            ("now".to_owned(), long(secs)),
            ("hour".to_owned(), long(secs.rem_euclid(86_400) / 3_600)),
            // 1970-01-01 was a Thursday.
            ("weekday".to_owned(), long((secs.div_euclid(86_400) + 3).rem_euclid(7) + 1)),
            ("chain_depth".to_owned(), long(depth)),
            ("run".to_owned(), Expr::new_entity_uid(ready.cast.run.clone())),
            ("person".to_owned(), Expr::new_entity_uid(ready.cast.person.clone())),
        ])
        .map_err(|e| e.to_string())
    }
}

/// Stands in where nothing was declared: authorities that bound effects or targets do not cover it.
fn nothing_declared() -> Classification {
    Classification {
        effect: remit_domain::tool::Effect::Privilege,
        external: true,
        data_classes: BTreeSet::new(),
        untrusted_content: true,
        entitlements: BTreeSet::new(),
        targets: std::collections::BTreeMap::new(),
        show: BTreeSet::new(),
    }
}

fn errors(response: &Response) -> Vec<(String, String)> {
    let line = |e: &cedar_policy::AuthorizationError| match e {
        cedar_policy::AuthorizationError::PolicyEvaluationError(e) => (e.policy_id().to_string(), e.inner().to_string()),
    };
    let mut errors: Vec<_> = response.diagnostics().errors().map(line).collect();
    errors.sort();
    errors
}

/// The reasons one policy gives: the texts of its breaches, or its own.
fn reasons(loaded: &Loaded, findings: &Findings) -> Vec<Reason> {
    let reason = |text: &str| Reason { policy: loaded.id.clone(), code: loaded.code.clone(), text: text.to_owned() };
    let found = findings.breaches.iter().filter(|(code, _)| loaded.is_guardrail() && *code == loaded.code);
    let texts: Vec<_> = found.map(|(_, text)| reason(text)).collect();
    if texts.is_empty() { vec![reason(&loaded.text)] } else { texts }
}

fn decision(outcome: Outcome, policies: &[&Loaded], findings: &Findings) -> Decision {
    let reasons: BTreeSet<_> = policies.iter().flat_map(|l| reasons(l, findings)).collect();
    let denied = outcome == Outcome::Deny;
    Decision {
        outcome,
        reasons: reasons.into_iter().collect(),
        policies: policies.iter().map(|l| l.id.clone()).collect(),
        errors: Vec::new(),
        grant: findings.grant.clone().filter(|_| !denied),
        reserve: if denied { Vec::new() } else { findings.reserve.clone() },
    }
}

fn allow(permits: &[&Loaded], findings: &Findings) -> Decision {
    decision(Outcome::Allow, permits, findings)
}

fn ask(asks: &[&Loaded], classification: &Classification, findings: &Findings) -> Decision {
    let set = asks.iter().filter_map(|l| Some(l.terms.as_ref()?.ask(&l.id, classification))).collect();
    decision(Outcome::Ask(set), asks, findings)
}

fn deny(forbids: &[&Loaded], errors: Vec<(String, String)>, findings: &Findings) -> Decision {
    let mut out = decision(Outcome::Deny, forbids, findings);
    for (policy, error) in errors {
        let text = format!("policy {policy} could not be evaluated, which denies");
        out.reasons.push(Reason { policy: policy.clone(), code: "policy-error".to_owned(), text });
        out.errors.push(format!("{policy}: {error}"));
        out.policies.push(policy);
    }
    out.reasons.sort();
    out.policies.sort();
    out.policies.dedup();
    if out.reasons.is_empty() {
        out.reasons.push(Reason {
            policy: DEFAULT.to_owned(),
            code: "default-deny".to_owned(),
            text: "nothing permits it".to_owned(),
        });
        out.policies.push(DEFAULT.to_owned());
    }
    out
}

fn refusal(policy: &str, code: &str, text: String) -> Decision {
    Decision {
        outcome: Outcome::Deny,
        reasons: vec![Reason { policy: policy.to_owned(), code: code.to_owned(), text }],
        policies: vec![policy.to_owned()],
        errors: Vec::new(),
        grant: None,
        reserve: Vec::new(),
    }
}
