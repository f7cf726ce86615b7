//! Decisions put into words: outcome, reasons, determining policies.

use std::collections::BTreeSet;

use cedar_policy::Response;
use remit_domain::tool::Classification;

use crate::breaches::Findings;
use crate::decision::{Decision, Outcome, Reason};
use crate::load::Loaded;

/// The policy named where no permit held.
const DEFAULT: &str = "guardrail/default";

/// Policies that could not be evaluated, and why, ordered.
pub(crate) fn errors(response: &Response) -> Vec<(String, String)> {
    let line = |e: &cedar_policy::AuthorizationError| match e {
        cedar_policy::AuthorizationError::PolicyEvaluationError(e) => {
            (e.policy_id().to_string(), e.inner().to_string())
        }
    };
    let mut errors: Vec<_> = response.diagnostics().errors().map(line).collect();
    errors.sort();
    errors
}

/// The reasons one policy gives: the texts of its breaches, or its own.
fn reasons(loaded: &Loaded, findings: &Findings) -> Vec<Reason> {
    let reason = |text: &str| Reason {
        policy: loaded.id.clone(),
        code: loaded.code.clone(),
        text: text.to_owned(),
    };
    let found = findings
        .breaches
        .iter()
        .filter(|(code, _)| loaded.is_guardrail() && *code == loaded.code);
    let texts: Vec<_> = found.map(|(_, text)| reason(text)).collect();
    if texts.is_empty() {
        vec![reason(&loaded.text)]
    } else {
        texts
    }
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
        exceptions: Vec::new(),
        reserve: if denied {
            Vec::new()
        } else {
            findings.reserve.clone()
        },
        obligations: if denied {
            Vec::new()
        } else {
            findings.obligations.clone()
        },
    }
}

pub(crate) fn allow(permits: &[&Loaded], findings: &Findings) -> Decision {
    decision(Outcome::Allow, permits, findings)
}

pub(crate) fn ask(
    asks: &[&Loaded],
    classification: &Classification,
    findings: &Findings,
) -> Decision {
    let set = asks
        .iter()
        .filter_map(|l| Some(l.terms.as_ref()?.ask(&l.id, classification)))
        .collect();
    decision(Outcome::Ask(set), asks, findings)
}

pub(crate) fn deny(
    forbids: &[&Loaded],
    errors: Vec<(String, String)>,
    findings: &Findings,
) -> Decision {
    let mut out = decision(Outcome::Deny, forbids, findings);
    for (policy, error) in errors {
        let text = format!("policy {policy} could not be evaluated, which denies");
        out.reasons.push(Reason {
            policy: policy.clone(),
            code: "policy-error".to_owned(),
            text,
        });
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

pub(crate) fn refusal(policy: &str, code: &str, text: String) -> Decision {
    Decision {
        outcome: Outcome::Deny,
        reasons: vec![Reason {
            policy: policy.to_owned(),
            code: code.to_owned(),
            text,
        }],
        policies: vec![policy.to_owned()],
        errors: Vec::new(),
        grant: None,
        exceptions: Vec::new(),
        reserve: Vec::new(),
        obligations: Vec::new(),
    }
}
