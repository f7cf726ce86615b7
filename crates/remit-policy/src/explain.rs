//! Answers for people: why a call was decided so, and what an agent can reach at all.

use remit_domain::Timestamp;
use remit_domain::attestation::Trust;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Outcome};
use crate::engine::Engine;
use crate::facts::{Dynamic, Facts, Fixed};
use crate::load::Loaded;

/// The guardrail that asks for entitlements.
const ENTITLEMENTS: &str = "guardrail/entitlements";

/// One policy, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyNote {
    /// Its id, `SET/NAME`.
    pub id: String,
    /// The set it is in; `guardrail` for those that nobody can remove.
    pub set: String,
    /// Where it starts in the set, from 1.
    pub line: usize,
    /// Whether it forbids; otherwise it permits.
    pub forbids: bool,
    /// Whether it asks.
    pub asks: bool,
    /// Whether it is about hops, and not about calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hop: bool,
    /// Its `@text`, or a line in its stead.
    pub text: String,
    /// Its Cedar text.
    pub source: String,
}

/// A decision and the policies that made it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The determining policies, ordered by id.
    pub policies: Vec<PolicyNote>,
}

/// What an agent can reach, with arguments unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Deny is a deny with any arguments; ask, an ask with any arguments that are not denied; allow, neither.
    pub decision: Decision,
    /// What arguments must keep, one line each, and which policies look at them.
    pub conditions: Vec<String>,
}

impl Dynamic {
    /// A call at `now` in a live run without labels, counters or arguments: what access is computed for.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            args: serde_json::json!({}),
            labels: std::collections::BTreeSet::new(),
            run_active: true,
            run_idle: false,
            counters: std::collections::BTreeMap::new(),
            ticket: remit_domain::ticket::NONE.to_owned(),
            findings: std::collections::BTreeSet::new(),
            risk: 0,
            trust: Trust::Key,
        }
    }
}

/// What a guardrail says, for its page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guardrail {
    /// Its policy.
    #[serde(flatten)]
    pub note: PolicyNote,
    /// The code of its refusals.
    pub code: String,
    /// Who approves, where it asks.
    pub approvers: String,
}

/// The guardrails, in their order.
///
/// # Errors
/// [`PolicyError`](crate::PolicyError) never, in a binary whose tests have run.
pub fn guardrails() -> Result<Vec<Guardrail>, crate::PolicyError> {
    let engine = Engine::compile(&[], &[])?;
    let approvers = |l: &Loaded| {
        l.policy
            .annotation("approvers")
            .unwrap_or_default()
            .to_owned()
    };
    let guardrail = |l: &Loaded| Guardrail {
        note: note(l),
        code: l.code.clone(),
        approvers: approvers(l),
    };
    Ok(engine.policies().iter().map(guardrail).collect())
}

impl Engine {
    /// The organization's own policies, as their authors wrote them.
    pub fn notes(&self) -> Vec<PolicyNote> {
        let own = self.policies().iter().filter(|l| !l.is_guardrail());
        own.chain(&self.hops().policies).map(note).collect()
    }

    /// Whether the person lacks an entitlement that the tool requires: the guardrail of that name denies every call of it.
    pub fn lacks_entitlement(&self, fixed: &Fixed, now: Timestamp) -> bool {
        let dynamic = Dynamic::at(now);
        let decision = self.decide_without_args(Facts {
            fixed,
            dynamic: &dynamic,
        });
        decision.policies.iter().any(|id| id == ENTITLEMENTS)
    }

    /// Decides, and lists the determining policies as their authors wrote them.
    pub fn explain(&self, facts: Facts<'_>) -> Explanation {
        self.explain_decision(self.decide(facts))
    }

    /// The policies behind a decision that this version took.
    pub fn explain_decision(&self, decision: Decision) -> Explanation {
        let policies = decision
            .policies
            .iter()
            .filter_map(|id| self.policy(id))
            .map(note)
            .collect();
        Explanation { decision, policies }
    }

    /// What the agent can reach at `now` in a fresh run, and under which conditions on arguments.
    pub fn access(&self, fixed: &Fixed, now: Timestamp) -> Access {
        let dynamic = Dynamic {
            trust: fixed.trust_within_reach(),
            ..Dynamic::at(now)
        };
        let facts = Facts {
            fixed,
            dynamic: &dynamic,
        };
        let decision = self.decide_without_args(facts);
        let mut conditions = Vec::new();
        if decision.outcome != Outcome::Deny {
            bounds(fixed, now, &mut conditions);
            let looking = self.policies_on_args(facts).into_iter();
            conditions.extend(looking.map(|l| {
                format!(
                    "{}: {}",
                    if l.terms.is_some() {
                        "may ask"
                    } else {
                        "may deny"
                    },
                    l.text
                )
            }));
        }
        Access {
            decision,
            conditions,
        }
    }
}

fn note(loaded: &Loaded) -> PolicyNote {
    PolicyNote {
        id: loaded.id.clone(),
        set: loaded.set.clone(),
        line: loaded.line,
        forbids: loaded.is_forbid(),
        asks: loaded.terms.is_some(),
        hop: loaded.hop,
        text: loaded.text.clone(),
        source: loaded.source.clone(),
    }
}

fn bounds(fixed: &Fixed, now: Timestamp, out: &mut Vec<String>) {
    let tool = &fixed.tool.tool;
    let live = fixed
        .workflow
        .grants
        .iter()
        .filter(|g| g.tool == *tool && g.expires.is_none_or(|end| now < end));
    let live: Vec<_> = live.collect();
    let either = if live.len() > 1 {
        "one of several grants, "
    } else {
        ""
    };
    for grant in live {
        let whose = format!("{either}grant {}", grant.id);
        lines(&grant.bounds.0, &whose, out);
        out.extend(grant.limits.iter().map(|limit| format!("{whose}: {limit}")));
    }
    let intent = std::iter::once(("the run's intent".to_owned(), &fixed.run.intent.authority));
    let links = fixed
        .chain
        .iter()
        .map(|l| (format!("delegation {}", l.delegation), &l.authority));
    for (whose, authority) in intent.chain(links) {
        if let Some(bounds) = authority.tools.as_ref().and_then(|tools| tools.get(tool)) {
            lines(&bounds.0, &whose, out);
        }
        for (kind, objects) in authority.targets.iter().flatten() {
            let objects: Vec<_> = objects.iter().map(String::as_str).collect();
            out.push(format!("{whose}: {kind} is one of {}", objects.join(", ")));
        }
    }
}

fn lines<'a>(
    bounds: impl IntoIterator<
        Item = (
            &'a remit_domain::bounds::ArgPath,
            &'a Vec<remit_domain::bounds::Bound>,
        ),
    >,
    whose: &str,
    out: &mut Vec<String>,
) {
    for (path, bounds) in bounds {
        out.extend(
            bounds
                .iter()
                .map(|bound| format!("{whose}: argument {path} {bound}")),
        );
    }
}
