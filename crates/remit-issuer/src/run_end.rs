//! Runs, ended by those who may, with what they say of it.

use std::collections::BTreeMap;

use remit_books::Ending;
use remit_domain::run::{RunEnd, RunOutcome, RunState};
use remit_domain::{OrgId, Principal, Refusal, RefusalCode, Registry, Role, Run, RunId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::limits::{MEASURE_NAME_BYTES_MAX, MEASURE_TEXT_BYTES_MAX, MEASURES_MAX};
use crate::refusal::{from_books, no};
use crate::{Caller, Issuer, check};

/// How a run is to end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunEndRequest {
    /// How it went. `corrected` is for people.
    pub outcome: RunOutcome,
    /// Measures: at most 32 names, each with a number, a truth value or a short text.
    #[serde(default)]
    pub measures: BTreeMap<String, Value>,
}

impl Issuer {
    /// Ends a run with everything in it, and says how it went. One that has ended already stays as it ended.
    ///
    /// - `caller`: the run's own agent, an agent in a run above it, the person it acts for, the agent's owner or sponsor, an
    ///   administrator or a responder.
    ///
    /// # Errors
    /// `run-unknown` also where the caller may not know of it, `forbidden`, `invalid-request`, `ledger-unavailable`.
    pub async fn end_run(
        &self,
        org: &OrgId,
        caller: Caller<'_>,
        run: &RunId,
        request: RunEndRequest,
    ) -> Result<Run, Refusal> {
        measures(&request.measures)?;
        self.tenant(org)?;
        let unknown = || no(RefusalCode::RunUnknown, "no such run is here");
        let stored = self
            .books()
            .get::<Run>(org, run.as_str())
            .await
            .map_err(from_books)?
            .ok_or_else(unknown)?
            .noun;
        let (by, cause) = self.may_end(org, caller, &stored)?;
        if request.outcome == RunOutcome::Corrected && by.person().is_none() {
            return Err(no(
                RefusalCode::Forbidden,
                "`corrected` is for a person to say; end the run as done, failed or abandoned",
            ));
        }
        if matches!(stored.state, RunState::Ended { .. }) {
            return Ok(stored);
        }
        let ending = Ending {
            by,
            cause,
            outcome: Some(request.outcome),
            measures: request.measures,
        };
        let ended = self
            .books()
            .end_run(org, run, &ending)
            .await
            .map_err(from_books)?;
        ended
            .runs
            .iter()
            .for_each(|run| self.inner.activity.invalidate(run));
        let stored = self
            .books()
            .get::<Run>(org, run.as_str())
            .await
            .map_err(from_books)?;
        Ok(stored.ok_or_else(unknown)?.noun)
    }

    fn may_end(
        &self,
        org: &OrgId,
        caller: Caller<'_>,
        run: &Run,
    ) -> Result<(Principal, RunEnd), Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        match caller {
            Caller::Agent(verified) => {
                let own = verified.agent == run.agent && verified.workflow == run.workflow;
                if own || below(&registry, run, &verified.run) {
                    Ok((Principal::Agent(verified.agent.clone()), RunEnd::Agent))
                } else {
                    Err(no(RefusalCode::RunUnknown, "no such run is here"))
                }
            }
            Caller::Person(person) => {
                let id = &person.person.id;
                let answers = registry
                    .agents
                    .get(&run.agent)
                    .is_some_and(|a| a.profile.owner == *id || a.profile.sponsor == *id);
                let may = answers
                    || run.person.as_ref() == Some(id)
                    || person.holds(Role::Admin)
                    || person.holds(Role::Responder);
                if may {
                    Ok((Principal::Person(id.clone()), RunEnd::Person))
                } else {
                    Err(no(
                        RefusalCode::Forbidden,
                        "only its person, the agent's owner or sponsor, an administrator or a responder may end it",
                    ))
                }
            }
        }
    }
}

/// Whether `run` is somewhere below `above`.
fn below(registry: &Registry, run: &Run, above: &RunId) -> bool {
    let mut at = run.parent.clone();
    let mut steps = 0;
    while let Some(parent) = at {
        if parent == *above {
            return true;
        }
        steps += 1;
        if steps > remit_domain::limits::CHAIN_DEPTH_MAX {
            return false;
        }
        at = registry
            .runs
            .get(&parent)
            .and_then(|run| run.parent.clone());
    }
    false
}

fn measures(measures: &BTreeMap<String, Value>) -> Result<(), Refusal> {
    if measures.len() > MEASURES_MAX {
        return Err(no(
            RefusalCode::TooLarge,
            format!("a run ends with at most {MEASURES_MAX} measures; report fewer"),
        ));
    }
    for (name, value) in measures {
        check::text("the name of a measure", name, MEASURE_NAME_BYTES_MAX)?;
        match value {
            Value::Number(_) | Value::Bool(_) => {}
            Value::String(text) => check::text("a measure", text, MEASURE_TEXT_BYTES_MAX)?,
            _ => {
                return Err(no(
                    RefusalCode::InvalidRequest,
                    "a measure is a number, a truth value or a short text",
                ));
            }
        }
    }
    Ok(())
}
