//! One decision.
//!
//! The rule: evaluate with `context.approved = true`, and a deny is final; evaluate with `false`, and a deny then is an
//! ask, whose ask set is the determining forbids; an error in either is a deny. The short way to the same answer:
//! policies can look at approval only through `unless { context.approved }`, so the evaluation with `false` finds
//! everything the other one finds and the asks besides. Only when nothing but asks stands against the call is it
//! evaluated again, with `true`, to see that it would then be allowed. Before all that, [`crate::quick`] answers for the
//! calls that nothing stands against.

use std::collections::BTreeSet;

use cedar_policy::{Context, Decision as Cedar, Request, Response, RestrictedExpression as Expr};
use remit_domain::freeze::Means;
use remit_domain::tool::Classification;

use super::answer::{allow, ask, deny, errors, refusal};
use super::{Engine, Ready, Refused, ToolEntry};
use crate::breaches::{self, ARGUMENTS_INVALID, Args, Findings};
use crate::decision::Decision;
use crate::entities;
use crate::facts::{Facts, Fixed};
use crate::labels::is_private;
use crate::load::Loaded;
use crate::slice::{Pair, Slice};

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
        let still = self.still(&cast, &slice);
        Ok(Ready { cast, slice, still })
    }

    /// Whether, of the forbids that look at nothing but the registry, none holds for this slice and none fails.
    fn still(&self, cast: &entities::Cast, slice: &Slice) -> bool {
        let (principal, action, resource) = (
            cast.principal.clone(),
            cast.action.clone(),
            cast.resource.clone(),
        );
        let request = Request::new(principal, action, resource, Context::empty(), None);
        let still = |request: &Request, of_slice| {
            let response = self
                .authorizer
                .is_authorized(request, of_slice, &cast.entities);
            let diagnostics = response.diagnostics();
            diagnostics.reason().next().is_none() && diagnostics.errors().next().is_none()
        };
        let mut of_slice = slice.all.quick().iter().filter_map(|q| q.of_slice.as_ref());
        request.is_ok_and(|request| of_slice.all(|of_slice| still(&request, of_slice)))
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
        let pair = if question.with_args {
            &ready.slice.all
        } else {
            &ready.slice.without_args
        };
        let broken = |text| refusal("guardrail/facts", "policy-error", text);
        let request = match request(ready, &question, false) {
            Ok(request) => request,
            Err(text) => return broken(text),
        };
        let entities = &ready.cast.entities;
        let decision = match self.quickly(ready, pair, &question.findings, &request) {
            Some(allowed) => allow(&allowed, &question.findings),
            None => {
                let Some(full) = pair.full(&self.policies) else {
                    return broken("its policies do not go together".to_owned());
                };
                let put =
                    |request: &Request| self.authorizer.is_authorized(request, full, entities);
                self.conclude(facts, &question.findings, &put(&request), || {
                    Ok(put(&self::request(ready, &question, true)?))
                })
            }
        };
        self.with_exceptions(decision, ready, facts, question.with_args, &request)
    }

    /// The permits of a call that nothing stands against, ordered by id. None where something does, where nothing permits it,
    /// where anything fails, and where it is not known: then each policy is asked.
    fn quickly(
        &self,
        ready: &Ready,
        pair: &Pair,
        findings: &Findings,
        request: &Request,
    ) -> Option<Vec<&Loaded>> {
        let mut permits = Vec::new();
        for quick in pair.quick().iter().filter(|_| findings.breaches.is_empty()) {
            let set = match ready.still {
                true => &quick.of_call,
                false => &quick.all,
            };
            let response = self
                .authorizer
                .is_authorized(request, set, &ready.cast.entities);
            let diagnostics = response.diagnostics();
            // Without a reason, a deny only says that no permit is in this part.
            let stands =
                response.decision() == Cedar::Deny && diagnostics.reason().next().is_some();
            if stands || diagnostics.errors().next().is_some() {
                return None;
            }
            permits.extend(self.determining(&response));
        }
        permits.sort_by(|a, b| a.id.cmp(&b.id));
        (!permits.is_empty()).then_some(permits)
    }

    /// Reads the evaluation with `approved = false`, and the other one where it matters.
    fn conclude(
        &self,
        facts: Facts<'_>,
        findings: &Findings,
        first: &Response,
        second: impl FnOnce() -> Result<Response, String>,
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
        match second() {
            Ok(second)
                if second.decision() == Cedar::Allow
                    && second.diagnostics().errors().next().is_none() =>
            {
                ask(&asks, classification, findings)
            }
            Ok(second) => deny(&[], errors(&second), findings),
            Err(text) => refusal("guardrail/facts", "policy-error", text),
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
            let request = request(&ready, &question, approved).unwrap();
            self.authorizer
                .is_authorized(&request, &self.whole, &ready.cast.entities)
        };
        let (approved, unapproved) = (put(true), put(false));
        let all: BTreeSet<_> = errors(&approved)
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

pub(super) fn request(
    ready: &Ready,
    question: &Question<'_>,
    approved: bool,
) -> Result<Request, String> {
    let context = question.context(ready, approved)?;
    let cast = &ready.cast;
    let (principal, action, resource) = (
        cast.principal.clone(),
        cast.action.clone(),
        cast.resource.clone(),
    );
    Request::new(principal, action, resource, context, None).map_err(|e| e.to_string())
}

/// What is asked of Cedar, apart from approval.
pub(super) struct Question<'a> {
    facts: Facts<'a>,
    findings: Findings,
    args: Expr,
    /// Whether policies that look at the arguments take part.
    pub(super) with_args: bool,
}

impl<'a> Question<'a> {
    pub(super) fn new(entry: &ToolEntry, ready: &Ready, facts: Facts<'a>, args: Args) -> Self {
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
        Self {
            facts,
            findings,
            args,
            with_args,
        }
    }

    fn context(&self, ready: &Ready, approved: bool) -> Result<Context, String> {
        let Facts { fixed, dynamic } = self.facts;
        let secs = dynamic.now.as_secs();
        let long = |n: i64| Expr::new_long(n);
        let times = |means: Means| {
            let held = fixed.times.iter();
            held.filter(move |t| t.means == means && t.holds(dynamic.now))
                .map(|t| t.name.as_str())
        };
        let depth = i64::try_from(fixed.chain.len()).unwrap_or(i64::MAX);
        let pairs = [
            ("approved".to_owned(), Expr::new_bool(approved)),
            ("args".to_owned(), self.args.clone()),
            (
                "breaches".to_owned(),
                words(&mut self.findings.codes().into_iter()),
            ),
            (
                "granted".to_owned(),
                Expr::new_bool(self.findings.grant.is_some()),
            ),
            (
                "released".to_owned(),
                Expr::new_bool(self.findings.released),
            ),
            ("now".to_owned(), long(secs)),
            ("hour".to_owned(), long(secs.rem_euclid(86_400) / 3_600)),
            // 1970-01-01 was a Thursday.
            (
                "weekday".to_owned(),
                long((secs.div_euclid(86_400) + 3).rem_euclid(7) + 1),
            ),
            ("chain_depth".to_owned(), long(depth)),
            (
                "ticket".to_owned(),
                Expr::new_string(dynamic.ticket.clone()),
            ),
            ("risk".to_owned(), long(i64::from(dynamic.risk))),
            (
                "findings".to_owned(),
                words(&mut dynamic.findings.iter().map(String::as_str)),
            ),
            ("freezes".to_owned(), words(&mut times(Means::Freeze))),
            ("windows".to_owned(), words(&mut times(Means::Window))),
            (
                "frozen".to_owned(),
                Expr::new_bool(times(Means::Freeze).next().is_some()),
            ),
            (
                "run".to_owned(),
                Expr::new_entity_uid(ready.cast.run.clone()),
            ),
            (
                "person".to_owned(),
                Expr::new_entity_uid(ready.cast.person.clone()),
            ),
        ];
        Context::from_pairs(pairs.into_iter().chain(self.of_run())).map_err(|e| e.to_string())
    }

    /// What the run is and has touched.
    fn of_run(&self) -> [(String, Expr); 4] {
        let Facts { fixed, dynamic } = self.facts;
        let live = dynamic.run_active && !dynamic.run_idle && dynamic.now < fixed.run.deadline;
        let labels = || dynamic.labels.iter().map(String::as_str);
        [
            ("labels".to_owned(), words(&mut labels())),
            (
                "regulated".to_owned(),
                Expr::new_bool(labels().any(|l| fixed.is_regulated(l))),
            ),
            (
                "private".to_owned(),
                Expr::new_bool(labels().any(is_private)),
            ),
            ("live".to_owned(), Expr::new_bool(live)),
        ]
    }
}

fn words(words: &mut dyn Iterator<Item = &str>) -> Expr {
    Expr::new_set(words.map(|w| Expr::new_string(w.to_owned())))
}

/// Stands in where nothing was declared: authorities that bound effects or targets do not cover it.
fn nothing_declared() -> Classification {
    Classification {
        effect: remit_domain::tool::Effect::Privilege,
        external: true,
        data_classes: BTreeSet::new(),
        untrusted_content: true,
        metadata: false,
        customer: None,
        entitlements: BTreeSet::new(),
        targets: std::collections::BTreeMap::new(),
        show: BTreeSet::new(),
    }
}
