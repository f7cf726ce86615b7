//! Deciding again from what was recorded: the same inputs under the same engine give the same decision and reasons.

use remit_domain::{DecisionId, OrgId, Person, RefusalCode, Role};
use remit_policy::{Decision, Engine, Facts, PolicyNote, Sources};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Recorded;
use crate::{Caller, Control, ControlError, refuse};

/// What deciding again gave.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Replay {
    /// Which decision.
    pub decision: DecisionId,
    /// Whether outcome, reasons, policies and everything else came out equal.
    pub same: bool,
    /// Version of the engine, compiled again from its recorded sources.
    pub engine: String,
    /// As recorded.
    #[schemars(with = "Value")]
    pub recorded: Decision,
    /// As decided again.
    #[schemars(with = "Value")]
    pub replayed: Decision,
    /// What differs, one line each.
    pub differences: Vec<String>,
    /// What the reader should know.
    pub note: Option<String>,
}

impl Control {
    /// Decides again from the recorded inputs.
    ///
    /// # Errors
    /// `forbidden` for anyone but auditors, administrators, the person it was for, and those who answer for the agent;
    /// `not-found`; `conflict` when inputs were shredded or are missing, and then it cannot be replayed.
    pub async fn replay(&self, caller: &Caller, id: &DecisionId) -> Result<Replay, ControlError> {
        let person = caller.person()?;
        let recorded = self.recorded(&caller.org, id).await?;
        self.may_replay(caller, person, &recorded)?;
        if recorded.entry.shredded {
            return Err(missing("its inputs were shredded"));
        }
        let before = recorded
            .decision
            .clone()
            .ok_or_else(|| missing("its entry holds no decision"))?;
        let dynamic = recorded
            .dynamic
            .as_ref()
            .ok_or_else(|| missing("its entry holds no facts of the call"))?;
        let fixed = recorded
            .fixed
            .as_ref()
            .ok_or_else(|| missing("the facts of the registry it refers to are not kept"))?;
        let version = version(&recorded).ok_or_else(|| missing("its entry names no engine"))?;
        let engine = self
            .engine_of(&caller.org, version)
            .await?
            .ok_or_else(|| missing("the policies it was taken under are not kept"))?;
        if engine.version() != version {
            let text = format!(
                "the kept policies compile to version {}, not {version}",
                engine.version()
            );
            return Err(missing(&text));
        }
        let replayed = engine.decide(Facts { fixed, dynamic });
        let differences = differences(&before, &replayed);
        let limit = before.reasons.iter().any(|r| {
            r.policy == "guardrail/limits" && r.code == RefusalCode::LimitExceeded.as_str()
        });
        let note = (limit && !differences.is_empty()).then(|| {
            "the limit was reached when it was to be admitted, after it was decided".to_owned()
        });
        Ok(Replay {
            decision: id.clone(),
            same: differences.is_empty(),
            engine: version.to_owned(),
            recorded: before,
            replayed,
            differences,
            note,
        })
    }

    fn may_replay(
        &self,
        caller: &Caller,
        person: &Person,
        recorded: &Recorded,
    ) -> Result<(), ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let leaf = &recorded.entry.leaf;
        let agent = leaf.agent.as_ref().and_then(|a| registry.agents.get(a));
        let answers =
            agent.is_some_and(|a| a.profile.owner == person.id || a.profile.sponsor == person.id);
        let own = leaf.facts.get("person").and_then(Value::as_str) == Some(person.id.as_str());
        if !(answers || own) {
            caller.require(&[Role::Auditor, Role::Admin])?;
        }
        Ok(())
    }

    /// The determining policies of a recorded decision, as they were written then.
    pub(super) async fn notes(
        &self,
        org: &OrgId,
        recorded: &Recorded,
        decision: &Decision,
    ) -> Result<Vec<PolicyNote>, ControlError> {
        let Some(version) = version(recorded) else {
            return Ok(Vec::new());
        };
        let live = self.book(org)?.engine().filter(|e| e.version() == version);
        let explained = |engine: &Engine| engine.explain_decision(decision.clone()).policies;
        Ok(match live {
            Some(engine) => explained(&engine),
            None => self
                .engine_of(org, version)
                .await?
                .as_ref()
                .map(explained)
                .unwrap_or_default(),
        })
    }

    /// The engine of a version, compiled again from what was kept under it; none when nothing was.
    async fn engine_of(&self, org: &OrgId, version: &str) -> Result<Option<Engine>, ControlError> {
        let Some(bytes) = self.books.store().blob(org, version).await? else {
            return Ok(None);
        };
        let sources = Sources::parse(&bytes).map_err(ControlError::Policy)?;
        Ok(Some(sources.compile().map_err(ControlError::Policy)?))
    }
}

fn missing(what: &str) -> ControlError {
    let text = format!("{what}; the decision cannot be replayed");
    refuse(RefusalCode::Conflict, text)
}

fn version(recorded: &Recorded) -> Option<&str> {
    recorded
        .entry
        .leaf
        .facts
        .get("engine")
        .and_then(Value::as_str)
}

fn differences(before: &Decision, after: &Decision) -> Vec<String> {
    let mut out = Vec::new();
    if before.outcome != after.outcome {
        out.push(format!(
            "outcome was {} and is {}",
            before.outcome.as_str(),
            after.outcome.as_str()
        ));
    }
    let reasons = |d: &Decision| {
        d.reasons
            .iter()
            .map(|r| format!("({}) {}", r.policy, r.text))
            .collect::<Vec<_>>()
    };
    let (was, is) = (reasons(before), reasons(after));
    out.extend(
        was.iter()
            .filter(|r| !is.contains(r))
            .map(|r| format!("only recorded: {r}")),
    );
    out.extend(
        is.iter()
            .filter(|r| !was.contains(r))
            .map(|r| format!("only replayed: {r}")),
    );
    if out.is_empty() && before != after {
        out.push("policies, grant, reservations or errors differ".to_owned());
    }
    out
}
