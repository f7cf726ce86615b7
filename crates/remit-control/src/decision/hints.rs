//! What would change a decision: one line for each thing that stands in its way, and who can move it.

use std::collections::BTreeSet;

use remit_policy::{Decision, Outcome};

use super::Recorded;

/// What would change a recorded decision.
pub(super) fn of(recorded: &Recorded) -> Vec<String> {
    recorded
        .decision
        .as_ref()
        .map(for_decision)
        .unwrap_or_default()
}

/// What would change a decision.
pub(crate) fn for_decision(decision: &Decision) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    match &decision.outcome {
        Outcome::Allow => {
            out.push(
                "taking the grant back, or a policy that forbids it, would deny it".to_owned(),
            );
            return out;
        }
        Outcome::Ask(asks) => {
            for ask in asks {
                let approvers: Vec<String> =
                    ask.approvers.iter().map(ToString::to_string).collect();
                let people = if ask.quorum > 1 {
                    format!("{} different people of", ask.quorum)
                } else {
                    "one of".to_owned()
                };
                out.push(format!(
                    "an approval of exactly this call by {people} {} ({})",
                    approvers.join(", "),
                    ask.policy
                ));
            }
        }
        Outcome::Deny => {}
    }
    if matches!(decision.outcome, Outcome::Deny) && decision.reasons.is_empty() {
        out.push("a policy or a grant that permits it: nothing does (default deny)".to_owned());
    }
    let codes: BTreeSet<&str> = decision.reasons.iter().map(|r| r.code.as_str()).collect();
    out.extend(codes.into_iter().filter_map(hint).map(str::to_owned));
    if !decision.errors.is_empty() {
        out.push(
            "mending the policies that failed: an evaluation error is always a deny".to_owned(),
        );
    }
    out
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "trust-too-low" => {
            "an attested caller (`remit workload-api`), or a lower `trust` of the system by an administrator"
        }
        "not-granted" => "a grant of this tool to the workflow, by an administrator",
        "grant-bounds" => {
            "arguments within the bounds of the grant, or wider bounds by an administrator"
        }
        "limit-exceeded" => {
            "a higher limit of the grant by an administrator, or the next period of the limit"
        }
        "intent-bounds" => "another run whose declared intent includes this call",
        "delegation-bounds" => "a delegation that includes this call, by the person who delegates",
        "delegation-expired" | "chain-broken" => {
            "a new delegation by the person the agent acts for"
        }
        "chain-too-deep" => "a delegation that permits more hops",
        "entitlement-missing" => {
            "acting for a person who holds the entitlement that the tool requires"
        }
        "data-class-not-allowed" => {
            "the data class on the agent and the workflow, by an administrator"
        }
        "system-not-allowed" => "the system on the agent, by an administrator",
        "environment-higher" => "an agent of the environment that the system is in",
        "tier-exceeded" => "a higher tier of the agent, after a review",
        "high-risk" => {
            "a release for autonomy on the grant (`autonomy`, with its evidence), or the approval that is asked for"
        }
        "regulated-out" => {
            "a run that has read no regulated data, the approval of exactly what is sent, or labels that two people take back (`remit run declassify`)"
        }
        "three-way" => {
            "a run that has not read both private data and text nobody vouches for, the approval of exactly what is sent, or labels that two people take back (`remit run declassify`)"
        }
        "customer-mixed" => {
            "a run of its own for each customer, or the approval of exactly what is done"
        }
        "discovery-bounds" => "another run, which does more than look around",
        "self-governance" => "a person: agents change nothing that governs agents",
        "environment-other" => "an agent of the environment that the critical system is in",
        "tier-asks" => "tier 4 for the agent, or the approval that is asked for",
        "tool-disabled" => "an administrator's classification of the tool, and an upstream in use",
        "tool-changed" => "an administrator's approval of the tool's new definition",
        "agent-not-active" => "activation of the agent",
        "no-accountable-person" => "an owner and a sponsor who are here, named by an administrator",
        "workflow-disabled" => "a workflow in use",
        "run-ended" => "a new run",
        "arguments-invalid" => "arguments that fit the tool's input schema",
        _ => return None,
    })
}
