//! From policy text to policies with ids, places and terms.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::{Effect, EntityUid, Policy, PolicyId, PolicySet};
use miette::Diagnostic;
use remit_domain::name::Name;
use remit_domain::policy_set::POLICY_BYTES_MAX;
use serde_json::Value;

use crate::ask::{self, Terms};
use crate::error::Problem;
use crate::hop;
use crate::quick::Condition;

/// The set of the guardrails.
pub(crate) const GUARDRAIL: &str = "guardrail";

/// Annotations with a meaning here, and three for people. Another one is more likely a slip than a note, and a slip in
/// `@quorum` would be one approver too few.
const ANNOTATIONS: [&str; 11] = [
    "id",
    "code",
    "text",
    "approvers",
    "quorum",
    "escalate",
    "standing",
    "waive_four_eyes",
    "doc",
    "owner",
    "ticket",
];

/// One named set of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicySource<'a> {
    /// Its name, which starts the ids of its policies. `guardrail` is taken.
    pub name: &'a str,
    /// Cedar text, at most [`POLICY_BYTES_MAX`] bytes.
    pub text: &'a str,
}

/// One policy, ready to be compiled.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) id: String,
    pub(crate) set: String,
    pub(crate) line: usize,
    pub(crate) code: String,
    pub(crate) text: String,
    pub(crate) source: String,
    pub(crate) terms: Option<Terms>,
    /// Whether it is about hops, and not about calls; see [`crate::hop`].
    pub(crate) hop: bool,
    /// Whether it looks at the arguments, so that it says nothing while they are unknown.
    pub(crate) mentions_args: bool,
    /// When it holds, apart from approval; see [`crate::quick`]. None where that is not known.
    pub(crate) condition: Option<Condition>,
    pub(crate) policy: Policy,
}

impl Loaded {
    pub(crate) fn is_guardrail(&self) -> bool {
        self.set == GUARDRAIL
    }

    pub(crate) fn is_forbid(&self) -> bool {
        self.policy.effect() == Effect::Forbid
    }
}

/// The policies of one set, in their order.
pub(crate) fn load(source: PolicySource<'_>) -> Result<Vec<Loaded>, Vec<Problem>> {
    let place = Place {
        set: source.name,
        text: source.text,
    };
    if source.text.len() > POLICY_BYTES_MAX {
        return Err(vec![place.whole(format!(
            "the set is larger than {POLICY_BYTES_MAX} bytes: split it"
        ))]);
    }
    let set = PolicySet::from_str(source.text).map_err(|errors| {
        errors
            .iter()
            .map(|e| place.diagnostic(e, None, 0))
            .collect::<Vec<_>>()
    })?;
    if set.num_of_templates() > 0 {
        return Err(vec![place.whole(
            "templates (`?principal`, `?resource`) are not used here: write the entity".to_owned(),
        )]);
    }
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(|p| number(p.id()));
    let (mut out, mut problems, mut seen, mut from) = (Vec::new(), Vec::new(), BTreeSet::new(), 0);
    for policy in policies {
        let text = policy.to_cedar().unwrap_or_default();
        let start = source
            .text
            .get(from..)
            .and_then(|rest| rest.find(&text))
            .map_or(from, |at| from + at);
        from = start + text.len();
        match one(&place, policy, text, start) {
            Ok(loaded) if !seen.insert(loaded.id.clone()) => {
                problems.push(place.at(
                    start,
                    Some(&loaded.id),
                    "another policy of this set has the same `@id`".to_owned(),
                ));
            }
            Ok(loaded) => out.push(loaded),
            Err(message) => problems.push(place.at(start, None, message)),
        }
    }
    if problems.is_empty() {
        Ok(out)
    } else {
        Err(problems)
    }
}

fn number(id: &PolicyId) -> usize {
    let id: &str = id.as_ref();
    id.strip_prefix("policy")
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX)
}

fn one(place: &Place<'_>, policy: &Policy, source: String, start: usize) -> Result<Loaded, String> {
    if let Some((unknown, _)) = policy
        .annotations()
        .find(|(key, _)| !ANNOTATIONS.contains(key))
    {
        return Err(format!(
            "`@{unknown}` is not an annotation here: use one of @{}",
            ANNOTATIONS.join(", @")
        ));
    }
    let name = match policy.annotation("id") {
        Some(id) => id
            .parse::<Name>()
            .map_err(|e| format!("`@id`: {e}"))?
            .to_string(),
        None => policy.id().to_string(),
    };
    let code = match policy.annotation("code") {
        Some(code) => code
            .parse::<Name>()
            .map_err(|e| format!("`@code`: {e}"))?
            .to_string(),
        None => "policy".to_owned(),
    };
    let json = policy.to_json().map_err(|e| e.to_string())?;
    let terms = ask::terms(&json, |key| policy.annotation(key))?;
    check_literals(policy)?;
    let hop = hop::is_about(policy)?;
    if hop {
        hop::check(policy, terms.is_some())?;
    }
    let id = format!("{}/{name}", place.set);
    let text = match (policy.annotation("text"), &terms, policy.effect()) {
        (Some(text), _, _) => text.to_owned(),
        (None, Some(_), _) => format!("policy {id} asks for approval"),
        (None, None, Effect::Forbid) => format!("policy {id} forbids it"),
        (None, None, Effect::Permit) => format!("policy {id} permits it"),
    };
    Ok(Loaded {
        policy: policy.new_id(PolicyId::new(&id)),
        set: place.set.to_owned(),
        line: place.position(start).0,
        mentions_args: ask::mentions(json.get("conditions").unwrap_or(&Value::Null), "args"),
        condition: Condition::of(&json),
        id,
        code,
        text,
        source,
        terms,
        hop,
    })
}

/// A policy that names an agent by its opaque id would silently never match.
fn check_literals(policy: &Policy) -> Result<(), String> {
    let wrong = |uid: &&EntityUid| {
        let prefix = match uid.type_name().basename() {
            "Agent" => "agt_",
            "Workflow" => "wf_",
            "System" => "sys_",
            _ => return false,
        };
        uid.id().unescaped().starts_with(prefix)
    };
    match policy.entity_literals().iter().find(wrong) {
        Some(uid) => Err(format!(
            "`{uid}` is an id: write names, as in Agent::\"support\", Workflow::\"support/refund\", System::\"orders\""
        )),
        None => Ok(()),
    }
}

/// Finds lines and columns in one set.
pub(crate) struct Place<'a> {
    pub(crate) set: &'a str,
    pub(crate) text: &'a str,
}

impl Place<'_> {
    /// Line and column, from 1, of a byte offset.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }

    pub(crate) fn at(&self, offset: usize, policy: Option<&str>, message: String) -> Problem {
        let (line, column) = self.position(offset);
        Problem {
            set: self.set.to_owned(),
            line,
            column,
            policy: policy.map(ToOwned::to_owned),
            message,
            help: None,
        }
    }

    pub(crate) fn whole(&self, message: String) -> Problem {
        Problem {
            set: self.set.to_owned(),
            line: 0,
            column: 0,
            policy: None,
            message,
            help: None,
        }
    }

    /// A message of Cedar's, with its place, or `otherwise` where it names none.
    pub(crate) fn diagnostic(
        &self,
        diagnostic: &dyn Diagnostic,
        policy: Option<&str>,
        otherwise: usize,
    ) -> Problem {
        let label = diagnostic.labels().and_then(|mut labels| labels.next());
        let help = diagnostic.help().map(|h| h.to_string());
        let problem = self.at(
            label.map_or(otherwise, |l| l.offset()),
            policy,
            diagnostic.to_string(),
        );
        Problem { help, ..problem }
    }
}
