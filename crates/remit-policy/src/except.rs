//! Exceptions: one agent is not bound by one policy of its organization, for a while.
//!
//! An exception becomes a clause of the policy it lifts, so that what Cedar evaluates says it, the solver sees it, and
//! it ends by the time of the call alone. Guardrails take no clause from anyone.

use cedar_policy::{Policy, PolicyId, PolicySet};
use remit_domain::Timestamp;

use crate::error::PolicyError;
use crate::load::Loaded;
use crate::quick::Condition;

/// An approved exception, as an engine takes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ExceptionSource<'a> {
    /// Its id.
    pub id: &'a str,
    /// Which policy, as `SET/NAME`; one that is not there is nothing to except from.
    pub policy: &'a str,
    /// Which agent, by name.
    pub agent: &'a str,
    /// For which tool, as `upstream/tool`; none for all.
    pub tool: Option<std::borrow::Cow<'a, str>>,
    /// From when.
    pub from: Timestamp,
    /// Until when, not included.
    pub until: Timestamp,
}

/// An exception that an engine holds.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) id: String,
    pub(crate) agent: String,
    pub(crate) tool: Option<String>,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) mentions_args: bool,
    /// The policy alone, as it was written.
    pub(crate) alone: PolicySet,
}

/// Puts each exception into the policy it is from.
///
/// # Errors
/// [`PolicyError::Schema`] when a clause cannot be added; nothing goes live then.
pub(crate) fn apply(
    policies: &mut [Loaded],
    exceptions: &[ExceptionSource<'_>],
) -> Result<Vec<InForce>, PolicyError> {
    let wrong = |e: &dyn std::fmt::Display| PolicyError::Schema(format!("an exception: {e}"));
    let mut sorted = exceptions.to_vec();
    sorted.sort_by(|a, b| a.id.cmp(b.id));
    let mut out = Vec::new();
    for exception in &sorted {
        let found = policies
            .iter_mut()
            .find(|l| l.id == exception.policy && l.is_forbid() && !l.is_guardrail());
        let Some(loaded) = found else { continue };
        let mut alone = PolicySet::new();
        let written: Policy = loaded
            .source
            .parse::<Policy>()
            .map_err(|e| wrong(&e))?
            .new_id(PolicyId::new(&loaded.id));
        alone.add(written).map_err(|e| wrong(&e))?;
        let text = loaded
            .policy
            .to_cedar()
            .ok_or_else(|| wrong(&"the policy has no text"))?;
        let text = format!(
            "{}\nunless {{ {} }};",
            text.trim_end().trim_end_matches(';'),
            clause(exception)
        );
        let policy = Policy::parse(Some(PolicyId::new(&loaded.id)), text).map_err(|e| wrong(&e))?;
        let json = policy.to_json().map_err(|e| wrong(&e))?;
        loaded.condition = Condition::of(&json);
        loaded.policy = policy;
        out.push(InForce {
            id: exception.id.to_owned(),
            agent: exception.agent.to_owned(),
            tool: exception.tool.as_deref().map(str::to_owned),
            from: exception.from,
            until: exception.until,
            mentions_args: loaded.mentions_args,
            alone,
        });
    }
    Ok(out)
}

/// What is written into the policy. Names and tool names hold no character that Cedar would read otherwise, and are
/// quoted as JSON quotes them all the same.
fn clause(exception: &ExceptionSource<'_>) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let tool = exception
        .tool
        .as_deref()
        .map(|t| format!(" && resource == Tool::{}", quoted(t)))
        .unwrap_or_default();
    format!(
        "principal == Agent::{}{tool} && context.now >= {} && context.now < {}",
        quoted(exception.agent),
        exception.from.as_secs(),
        exception.until.as_secs(),
    )
}
