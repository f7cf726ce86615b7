//! Entries as people read them: one line each, with names in the place of ids.

use std::collections::{BTreeMap, BTreeSet};

use remit_books::OpenedEntry;
use remit_domain::event::EventKind;
use remit_domain::{AgentId, DecisionId, Registry, RunId, SystemId, Timestamp, WorkflowId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::names;

/// How much of what was sealed a reader is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Everything that still opens.
    Whole,
    /// Reasons, and summaries as far as the tool allows.
    Outline,
    /// Nothing that was sealed.
    Leaf,
}

/// Something that happened, as people read it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventView {
    /// Index of its entry.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// What sort.
    pub kind: EventKind,
    /// Who did it, by name.
    pub who: String,
    /// What happened, in one line.
    pub text: String,
    /// The record it happened to.
    pub subject: Option<String>,
    /// Which agent, by name.
    pub agent: Option<String>,
    /// In which run.
    pub run: Option<RunId>,
    /// Which decision.
    pub decision: Option<DecisionId>,
    /// Ids, hashes, codes and numbers, as the leaf has them.
    pub facts: BTreeMap<String, Value>,
    /// What was sealed, as far as this reader is told.
    pub content: BTreeMap<String, Value>,
    /// Whether what was sealed was destroyed.
    pub shredded: bool,
}

/// An entry, as this reader is told of it.
pub(crate) fn told(registry: &Registry, entry: &OpenedEntry, reader: Reader) -> EventView {
    let leaf = &entry.leaf;
    let sealed = entry.body.as_ref().map(|b| &b.content);
    let content = match (reader, sealed) {
        (Reader::Whole, Some(all)) => all.clone(),
        (Reader::Outline, Some(all)) => outline(all),
        _ => BTreeMap::new(),
    };
    EventView {
        index: entry.stored.index,
        at: leaf.at,
        kind: leaf.kind,
        who: names::principal(registry, &leaf.actor),
        text: line(registry, leaf.kind, &leaf.facts, &content),
        subject: leaf.subject.clone(),
        agent: leaf.agent.as_ref().map(|a| names::agent(registry, a)),
        run: leaf.run.clone(),
        decision: leaf.decision.clone(),
        facts: leaf.facts.clone(),
        content,
        shredded: entry.shredded,
    }
}

/// What may be told without being close to the run: the reasons of a decision, which quote no argument, and the summary,
/// which holds values only where the tool allows them.
fn outline(all: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    if let Some(summary) = all.get("summary") {
        out.insert("summary".to_owned(), summary.clone());
    }
    if let Some(reasons) = all.get("decision").and_then(|d| d.get("reasons")) {
        out.insert("reasons".to_owned(), reasons.clone());
    }
    out
}

fn word<'a>(facts: &'a BTreeMap<String, Value>, name: &str) -> &'a str {
    facts.get(name).and_then(Value::as_str).unwrap_or("unknown")
}

fn line(
    registry: &Registry,
    kind: EventKind,
    facts: &BTreeMap<String, Value>,
    content: &BTreeMap<String, Value>,
) -> String {
    let text = |name: &str| content.get(name).and_then(Value::as_str);
    let fact = |name: &str| word(facts, name);
    let because = || colon(text("reason"));
    let workflow = || {
        let id = fact("workflow");
        id.parse::<WorkflowId>()
            .map_or_else(|_| id.to_owned(), |id| names::workflow(registry, &id))
    };
    match kind {
        EventKind::RunStarted => {
            let purpose = content.get("intent").and_then(|i| i.get("purpose"));
            let purpose = purpose.and_then(Value::as_str).filter(|p| !p.is_empty());
            format!(
                "run of {} started, {}{}",
                workflow(),
                fact("mode"),
                colon(purpose)
            )
        }
        EventKind::RunEnded => format!("run ended: {}{}", fact("cause"), suffix(facts, "outcome")),
        EventKind::CallDecided => decided(registry, facts, content),
        EventKind::CallRefused => {
            format!("refused: {}", text("text").unwrap_or_else(|| fact("code")))
        }
        EventKind::CallCompleted => {
            let reference = text("reference").filter(|r| *r != "unknown");
            let reference = reference.map(|r| format!(", reference {r}"));
            format!(
                "outcome: {}{}",
                fact("status"),
                reference.unwrap_or_default()
            )
        }
        EventKind::CallGap => "no outcome is known: an effect is possible".to_owned(),
        EventKind::ApprovalRequested
        | EventKind::ApprovalDecided
        | EventKind::ApprovalQuestioned
        | EventKind::ApprovalAnswered
        | EventKind::ApprovalGiven
        | EventKind::ApprovalClaimed
        | EventKind::ApprovalReleased
        | EventKind::ApprovalEscalated
        | EventKind::ApprovalWithdrawn
        | EventKind::ApprovalSettled => approval(kind, facts, content),
        EventKind::DelegationGranted => {
            let to = fact("to");
            let agent = to
                .parse::<AgentId>()
                .ok()
                .map(|id| names::agent(registry, &id));
            let agent = agent.unwrap_or_else(|| to.to_owned());
            format!("delegated to {agent} in {}", workflow())
        }
        EventKind::DelegationRevoked => format!("delegation taken back{}", because()),
        EventKind::SvidIssued | EventKind::TokenIssued => issued(kind, &workflow()),
        EventKind::TokenExchanged => "token exchanged".to_owned(),
        EventKind::TokenRevoked => "token revoked".to_owned(),
        EventKind::Contained => format!("contained ({}){}", fact("level"), because()),
        EventKind::ContainmentCertified => {
            let residual = facts.get("residual").map(ToString::to_string);
            format!("certificate: residual {}", residual.unwrap_or_default())
        }
        EventKind::ContainmentLifted => format!("containment lifted{}", because()),
        other => other.as_str().to_owned(),
    }
}

/// What became of an approval.
fn approval(
    kind: EventKind,
    facts: &BTreeMap<String, Value>,
    content: &BTreeMap<String, Value>,
) -> String {
    let text = |name: &str| content.get(name).and_then(Value::as_str);
    let fact = |name: &str| word(facts, name);
    let because = || colon(text("reason"));
    match kind {
        EventKind::ApprovalRequested => "people were asked".to_owned(),
        EventKind::ApprovalDecided => {
            let yes = facts.get("approve").and_then(Value::as_bool) == Some(true);
            let edited = facts.get("edited").and_then(Value::as_bool) == Some(true);
            let verdict = match (yes, edited) {
                (true, _) => "approved",
                (false, true) => "denied, with other arguments proposed",
                (false, false) => "denied",
            };
            format!("{verdict}{} (approval is {})", because(), fact("state"))
        }
        EventKind::ApprovalQuestioned => format!("asked{}", colon(text("text"))),
        EventKind::ApprovalAnswered => format!("answered{}", colon(text("text"))),
        EventKind::ApprovalGiven => "approval handed on".to_owned(),
        EventKind::ApprovalClaimed => "somebody looks into the approval".to_owned(),
        EventKind::ApprovalReleased => "nobody looks into the approval any more".to_owned(),
        EventKind::ApprovalEscalated => "time runs: more people may approve".to_owned(),
        EventKind::ApprovalWithdrawn => format!("yes taken back{}", because()),
        EventKind::ApprovalSettled => format!("approval {}", fact("state")),
        other => other.as_str().to_owned(),
    }
}

fn issued(kind: EventKind, workflow: &str) -> String {
    let what = if kind == EventKind::SvidIssued {
        "SVID"
    } else {
        "token"
    };
    format!("{what} issued for {workflow}")
}

fn colon(text: Option<&str>) -> String {
    text.map(|t| format!(": {t}")).unwrap_or_default()
}

fn suffix(facts: &BTreeMap<String, Value>, name: &str) -> String {
    facts
        .get(name)
        .and_then(Value::as_str)
        .map(|v| format!(", {v}"))
        .unwrap_or_default()
}

fn decided(
    registry: &Registry,
    facts: &BTreeMap<String, Value>,
    content: &BTreeMap<String, Value>,
) -> String {
    let reasons = content
        .get("reasons")
        .or_else(|| content.get("decision").and_then(|d| d.get("reasons")));
    let why: Vec<&str> = reasons
        .and_then(Value::as_array)
        .map(|all| {
            all.iter()
                .filter_map(|r| r.get("text").and_then(Value::as_str))
                .take(3)
                .collect()
        })
        .unwrap_or_default();
    let system = word(facts, "system");
    let system = system
        .parse::<SystemId>()
        .ok()
        .and_then(|id| registry.systems.get(&id))
        .map_or_else(|| system.to_owned(), |s| s.name.to_string());
    let outcome = match (word(facts, "outcome"), word(facts, "consent")) {
        ("ask", "given") => "allowed by approval",
        (outcome, _) => outcome,
    };
    // Said only where it is not the gateway that enforces it.
    let outcome = match word(facts, "enforcement") {
        "cooperative" => format!("{outcome} (cooperative)"),
        _ => outcome.to_owned(),
    };
    let why = if why.is_empty() {
        String::new()
    } else {
        format!(": {}", why.join("; "))
    };
    format!(
        "{outcome} {} ({}) on {system}{why}",
        word(facts, "tool"),
        word(facts, "effect")
    )
}

/// Whether a decision lets its call go on, so that an outcome has to follow it.
pub(crate) fn goes_on(facts: &BTreeMap<String, Value>) -> bool {
    matches!(
        (word(facts, "outcome"), word(facts, "consent")),
        ("allow", "not_needed" | "given" | "unknown") | ("ask", "given")
    )
}

/// Calls that were decided to go on and whose outcome is not among these entries.
pub(crate) fn without_outcome(entries: &[OpenedEntry]) -> Vec<DecisionId> {
    let ended: BTreeSet<&DecisionId> = entries
        .iter()
        .filter(|e| matches!(e.leaf.kind, EventKind::CallCompleted | EventKind::CallGap))
        .filter_map(|e| e.leaf.decision.as_ref())
        .collect();
    entries
        .iter()
        .filter(|e| e.leaf.kind == EventKind::CallDecided && goes_on(&e.leaf.facts))
        .filter_map(|e| e.leaf.decision.clone())
        .filter(|id| !ended.contains(id))
        .collect()
}
