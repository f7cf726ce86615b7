//! Decisions: what was decided, why, what would change it, and deciding it again from what was recorded (invariant 11).

mod hints;
mod replay;

use std::collections::BTreeMap;

use remit_books::OpenedEntry;
use remit_domain::event::EventKind;
use remit_domain::run::Run;
use remit_domain::{DecisionId, OrgId, Registry, Role, RunId, Timestamp};
use remit_policy::{Decision, Dynamic, Fixed, PolicyNote};
use remit_ports::store::EntryFilter;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::declassification::LabelView;
use crate::delegation;
use crate::error::not_found;
use crate::{Caller, Control, ControlError, names};

pub(crate) use hints::for_decision;
pub use replay::Replay;

/// A decision, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DecisionView {
    /// Its id, which is also the call's.
    pub id: DecisionId,
    /// Index of its entry.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// `allow`, `ask` or `deny`.
    pub outcome: String,
    /// What people had to do with it: `not_needed`, `asked`, `given` or `withheld`.
    pub consent: String,
    /// Which agent, by name.
    pub agent: Option<String>,
    /// In which workflow, as `agent/workflow`.
    pub workflow: String,
    /// In which run.
    pub run: Option<RunId>,
    /// Address of the person it was for.
    pub person: Option<String>,
    /// Address of the agent's sponsor.
    pub sponsor: Option<String>,
    /// Which tool.
    pub tool: String,
    /// What the tool does, as declared.
    pub effect: Option<String>,
    /// Name of the system it acts on.
    pub system: Option<String>,
    /// What came of the call, where it went on: `ok`, `tool_error`, `error`, `ambiguous`, …, or `gap`.
    pub result: Option<String>,
    /// Everything the leaf holds.
    pub facts: BTreeMap<String, Value>,
    /// The arguments, as far as the tool allows them to be shown.
    pub summary: Value,
    /// Whether what was sealed was destroyed, so that it can neither be explained nor replayed.
    pub shredded: bool,
}

/// Why a decision was taken.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Why {
    /// The decision.
    pub decision: DecisionView,
    /// Why, one line a policy: `(policy) text`.
    pub reasons: Vec<String>,
    /// The determining policies, as their authors wrote them.
    #[schemars(with = "Vec<Value>")]
    pub policies: Vec<PolicyNote>,
    /// Via what: each hop and what it narrowed.
    pub chain: Vec<String>,
    /// The facts of the registry it was taken on.
    #[schemars(with = "Option<Value>")]
    pub facts: Option<Fixed>,
    /// The facts of the call; only for those who may read what was sealed.
    #[schemars(with = "Option<Value>")]
    pub call: Option<Dynamic>,
    /// The labels it was taken on, each with the call that raised it; those taken back since have none.
    pub labels: Vec<LabelView>,
    /// What would change it.
    pub would_change: Vec<String>,
}

/// A decision's entry with its inputs, as far as they are still there.
pub(crate) struct Recorded {
    pub(crate) entry: OpenedEntry,
    pub(crate) decision: Option<Decision>,
    pub(crate) dynamic: Option<Dynamic>,
    pub(crate) fixed: Option<Fixed>,
}

impl Control {
    /// One decision.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for anyone but people of the organization.
    pub async fn decision(
        &self,
        caller: &Caller,
        id: &DecisionId,
    ) -> Result<DecisionView, ControlError> {
        caller.person()?;
        let recorded = self.recorded(&caller.org, id).await?;
        let result = self.result_of(&caller.org, id).await?;
        Ok(view(
            &self.book(&caller.org)?.registry(),
            id,
            &recorded,
            result,
        ))
    }

    /// Why a decision was taken, and what would change it.
    ///
    /// # Errors
    /// As [`Control::decision`].
    pub async fn why(&self, caller: &Caller, id: &DecisionId) -> Result<Why, ControlError> {
        let person = caller.person()?;
        let recorded = self.recorded(&caller.org, id).await?;
        let result = self.result_of(&caller.org, id).await?;
        let policies = match &recorded.decision {
            Some(decision) => self.notes(&caller.org, &recorded, decision).await?,
            None => Vec::new(),
        };
        let labels = self.labels_at(&caller.org, &recorded).await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let close = caller.holds(Role::Auditor)
            || recorded
                .entry
                .leaf
                .agent
                .as_ref()
                .and_then(|a| registry.agents.get(a))
                .is_some_and(|a| a.profile.owner == person.id || a.profile.sponsor == person.id)
            || recorded
                .fixed
                .as_ref()
                .and_then(|f| f.person.as_ref())
                .is_some_and(|p| p.id == person.id);
        let reasons = recorded.decision.iter().flat_map(|d| &d.reasons);
        let reasons = reasons
            .map(|r| format!("({}) {}", r.policy, r.text))
            .collect();
        let chain = recorded
            .fixed
            .as_ref()
            .map(|f| chain(&registry, f))
            .unwrap_or_default();
        let would_change = hints::of(&recorded);
        Ok(Why {
            decision: view(&registry, id, &recorded, result),
            reasons,
            policies,
            chain,
            facts: recorded.fixed.clone(),
            call: recorded.dynamic.clone().filter(|_| close),
            labels,
            would_change,
        })
    }

    /// A decision's entry, and its inputs as far as they are there.
    pub(crate) async fn recorded(
        &self,
        org: &OrgId,
        id: &DecisionId,
    ) -> Result<Recorded, ControlError> {
        let filter = EntryFilter {
            kinds: vec![EventKind::CallDecided],
            decision: Some(id.clone()),
            limit: 1,
            ..EntryFilter::default()
        };
        let entry = self
            .books
            .opened_entries(org, &filter)
            .await?
            .into_iter()
            .next();
        let entry = entry.ok_or_else(|| not_found("decision", id))?;
        let sealed = |name: &str| {
            entry
                .body
                .as_ref()
                .and_then(|b| b.content.get(name))
                .cloned()
        };
        let decision = sealed("decision").and_then(|v| serde_json::from_value(v).ok());
        let dynamic = sealed("dynamic").and_then(|v| serde_json::from_value(v).ok());
        let kept = entry.leaf.facts.get("fixed").and_then(Value::as_str);
        let fixed = match (kept, &entry.leaf.run) {
            (Some(hash), Some(run)) if !entry.shredded => {
                self.books.open_blob(org, run.as_str(), hash).await?
            }
            _ => None,
        };
        let fixed = fixed.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Recorded {
            entry,
            decision,
            dynamic,
            fixed,
        })
    }

    /// The labels that a decision was taken on, with what raised them as far as they still hold.
    async fn labels_at(
        &self,
        org: &OrgId,
        recorded: &Recorded,
    ) -> Result<Vec<LabelView>, ControlError> {
        let taken_on = recorded.dynamic.as_ref().map(|d| &d.labels);
        let (Some(taken_on), Some(run)) = (taken_on, &recorded.entry.leaf.run) else {
            return Ok(Vec::new());
        };
        let known = match self.books.get::<Run>(org, run.as_str()).await? {
            Some(run) => self.labels_told(org, &run.noun).await?,
            None => Vec::new(),
        };
        let told = taken_on.iter().map(|label| {
            let known = known.iter().find(|l| l.label == *label);
            known.cloned().unwrap_or_else(|| LabelView {
                label: label.clone(),
                at: recorded.entry.leaf.at,
                decision: None,
                tool: None,
                agent: None,
                run: None,
                carried: false,
            })
        });
        Ok(told.collect())
    }

    /// What came of the call, where it went on.
    async fn result_of(
        &self,
        org: &OrgId,
        id: &DecisionId,
    ) -> Result<Option<String>, ControlError> {
        let kinds = vec![EventKind::CallCompleted, EventKind::CallGap];
        let filter = EntryFilter {
            kinds,
            decision: Some(id.clone()),
            ..EntryFilter::default()
        };
        let entries = self.books.opened_entries(org, &filter).await?;
        let word = |e: &OpenedEntry| match e.leaf.kind {
            EventKind::CallGap => "gap".to_owned(),
            _ => e
                .leaf
                .facts
                .get("status")
                .and_then(Value::as_str)
                .unwrap_or("unknown")
                .to_owned(),
        };
        Ok(entries.last().map(word))
    }
}

fn chain(registry: &Registry, fixed: &Fixed) -> Vec<String> {
    let hop = |link: &remit_policy::facts::Link| {
        let narrows = delegation::narrowing_lines(&link.authority);
        let narrows = if narrows.is_empty() {
            "narrows nothing".to_owned()
        } else {
            format!("only {}", narrows.join("; "))
        };
        let (from, to) = (
            names::principal(registry, &link.from),
            names::agent(registry, &link.to),
        );
        format!(
            "{from} -> {to} ({}), {narrows}, until {}",
            link.delegation, link.expires
        )
    };
    fixed.chain.iter().map(hop).collect()
}

fn view(
    registry: &Registry,
    id: &DecisionId,
    recorded: &Recorded,
    result: Option<String>,
) -> DecisionView {
    let leaf = &recorded.entry.leaf;
    let word = |name: &str| {
        leaf.facts
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let person = |name: &str| {
        let id = word(name)?;
        Some(
            id.parse()
                .map_or_else(|_| id.clone(), |p| names::person(registry, &p)),
        )
    };
    let workflow = word("workflow").unwrap_or_default();
    let summary = recorded
        .entry
        .body
        .as_ref()
        .and_then(|b| b.content.get("summary"))
        .cloned();
    DecisionView {
        id: id.clone(),
        index: recorded.entry.stored.index,
        at: leaf.at,
        outcome: word("outcome").unwrap_or_default(),
        consent: word("consent").unwrap_or_default(),
        agent: leaf.agent.as_ref().map(|a| names::agent(registry, a)),
        workflow: workflow
            .parse()
            .map_or_else(|_| workflow.clone(), |w| names::workflow(registry, &w)),
        run: leaf.run.clone(),
        person: person("person"),
        sponsor: person("sponsor"),
        tool: word("tool").unwrap_or_default(),
        effect: word("effect"),
        system: word("system").map(|id| {
            let system = id.parse().ok().and_then(|s| registry.systems.get(&s));
            system.map_or_else(|| id.clone(), |s| s.name.to_string())
        }),
        result,
        facts: leaf.facts.clone(),
        summary: summary.unwrap_or(Value::Null),
        shredded: recorded.entry.shredded,
    }
}

#[cfg(test)]
mod tests;
