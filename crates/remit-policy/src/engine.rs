//! The engine: policies and tools compiled once, decisions taken many times.

pub(crate) mod answer;
#[cfg(test)]
mod asks;
mod compile;
mod evaluate;
mod excepted;
mod portable;
mod question;
#[cfg(test)]
mod tests;

pub use portable::Portable;
pub(crate) use question::CONTEXT;

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::Authorizer;
use remit_domain::tool::{Classification, ToolRef};
use serde_json::Value;

use crate::args::ArgType;
use crate::breaches::Args;
use crate::decision::Decision;
use crate::entities::{Cast, Types};
use crate::error::{ArgsError, Problem};
use crate::except::InForce;
use crate::facts::{Dynamic, Facts, Fixed};
use crate::hop::Hops;
use crate::load::Loaded;
use crate::quick::Live;
use crate::slice::{Slice, ToolSlice};
use crate::validate::{self, Compiled};

/// Guardrails, an organization's policies and its tools, compiled. Immutable: a change of any of them is another
/// engine, with another [`Engine::version`].
pub struct Engine {
    version: Arc<str>,
    bundle: Arc<str>,
    exceptions: Vec<InForce>,
    sources: Arc<str>,
    schema_text: String,
    warnings: Vec<Problem>,
    types: Types,
    authorizer: Authorizer,
    policies: Vec<Loaded>,
    by_id: HashMap<String, usize>,
    hops: Hops,
    tools: HashMap<ToolRef, ToolEntry>,
    /// Everything, unsliced: what the fast path is held against.
    #[cfg(test)]
    whole: cedar_policy::PolicySet,
}

/// One tool, compiled.
pub(crate) struct ToolEntry {
    definition_hash: String,
    classification: Option<Classification>,
    args: ArgType,
    validator: Compiled,
    slice: ToolSlice,
}

/// A registry slice made ready for an engine: what does not change from call to call is built once. It belongs to the
/// engine that made it; another one denies on it.
#[derive(Debug, Clone)]
pub struct Prepared {
    fixed: Arc<Fixed>,
    version: Arc<str>,
    ready: Result<Ready, Refused>,
}

impl Prepared {
    /// The slice it was made of.
    pub fn fixed(&self) -> &Arc<Fixed> {
        &self.fixed
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Ready {
    cast: Cast,
    slice: Arc<Slice>,
    /// What is left to ask where nothing was found in breach, and the same without the arguments.
    live: (Option<Live>, Option<Live>),
}

/// Why a slice cannot be decided on at all.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    policy: &'static str,
    code: &'static str,
    text: String,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (policies, tools) = (self.policies.len(), self.tools.len());
        write!(
            f,
            "Engine({policies} policies, {tools} tools, {})",
            self.version
        )
    }
}

impl Engine {
    /// SHA-256 (lower-case hex) over every policy, the schema and the tools' definitions and classifications: decisions
    /// of one version on the same facts are equal.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 (lower-case hex) over the organization's own policies: which bundle this is; see [`crate::bundle_version`].
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// Everything it was compiled from but the guardrails, as JSON: [`crate::Sources`] makes an equal one of it.
    pub fn sources(&self) -> &str {
        &self.sources
    }

    /// Every policy about calls, guardrails first, as id and the Cedar text that is evaluated, exceptions included.
    pub fn texts(&self) -> Vec<(String, String)> {
        let text = |l: &Loaded| (l.id.clone(), l.policy.to_cedar().unwrap_or_default());
        self.policies.iter().map(text).collect()
    }

    /// The approved definition's hash and the classification of a tool; none where it is not known here.
    pub(crate) fn tool_known(&self, tool: &ToolRef) -> Option<(&str, Option<&Classification>)> {
        let entry = self.tools.get(tool)?;
        Some((&entry.definition_hash, entry.classification.as_ref()))
    }

    /// The Cedar schema policies are checked against, as text for their authors.
    pub fn schema_text(&self) -> &str {
        &self.schema_text
    }

    /// What Cedar finds odd about policies that are valid, such as one that can never apply.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Checks arguments against the input schema of `tool`; before deciding, and on what will be sent.
    ///
    /// # Errors
    /// [`ArgsError`], holding no value of an argument.
    pub fn validate_args(&self, tool: &ToolRef, args: &Value) -> Result<(), ArgsError> {
        let entry = self
            .tools
            .get(tool)
            .ok_or_else(|| ArgsError::UnknownTool(tool.to_string()))?;
        validate::validate(&entry.validator, args)
    }

    /// Makes a registry slice ready for many calls.
    pub fn prepare(&self, fixed: Arc<Fixed>) -> Prepared {
        let ready = self.ready(&fixed);
        Prepared {
            fixed,
            version: Arc::clone(&self.version),
            ready,
        }
    }

    /// Decides one call. Never fails: whatever goes wrong is a deny.
    pub fn decide(&self, facts: Facts<'_>) -> Decision {
        self.answer(&self.ready(facts.fixed), facts, Args::Known)
    }

    /// As [`Engine::decide`], on a slice made ready before: the path of every call.
    pub fn decide_prepared(&self, prepared: &Prepared, dynamic: &Dynamic) -> Decision {
        self.answer_prepared(prepared, dynamic, Args::Known)
    }

    /// The decision while the arguments are unknown: whatever depends on them counts as satisfied, so that a deny here
    /// is a deny with any arguments. `dynamic.args` is not looked at.
    pub fn decide_without_args(&self, facts: Facts<'_>) -> Decision {
        self.answer(&self.ready(facts.fixed), facts, Args::Unknown)
    }

    /// As [`Engine::decide_without_args`], on a slice made ready before: the path of lists.
    pub fn decide_prepared_without_args(&self, prepared: &Prepared, dynamic: &Dynamic) -> Decision {
        self.answer_prepared(prepared, dynamic, Args::Unknown)
    }

    /// Whether every call with these facts is denied, whatever its arguments.
    pub fn surely_denied(&self, facts: Facts<'_>) -> bool {
        self.decide_without_args(facts).is_deny()
    }

    fn answer_prepared(&self, prepared: &Prepared, dynamic: &Dynamic, args: Args) -> Decision {
        let facts = Facts {
            fixed: &prepared.fixed,
            dynamic,
        };
        if prepared.version == self.version {
            self.answer(&prepared.ready, facts, args)
        } else {
            let text = "the policies changed since this was looked up: try again".to_owned();
            self.answer(
                &Err(Refused {
                    policy: "guardrail/snapshot",
                    code: "snapshot-stale",
                    text,
                }),
                facts,
                args,
            )
        }
    }

    /// Every tool and what was declared of it, in no order.
    pub(crate) fn tools(&self) -> impl Iterator<Item = (&ToolRef, Option<&Classification>)> {
        self.tools
            .iter()
            .map(|(tool, entry)| (tool, entry.classification.as_ref()))
    }

    /// The policies about hops.
    pub(crate) fn hops(&self) -> &Hops {
        &self.hops
    }

    /// The names of the entity types.
    pub(crate) fn types(&self) -> &Types {
        &self.types
    }

    /// Every policy about calls, guardrails first, in their order.
    pub(crate) fn policies(&self) -> &[Loaded] {
        &self.policies
    }

    /// The policy of that id.
    pub(crate) fn policy(&self, id: &str) -> Option<&Loaded> {
        self.policies.get(*self.by_id.get(id)?)
    }
}
