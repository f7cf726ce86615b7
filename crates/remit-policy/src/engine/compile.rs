//! From text and tools to an engine: nothing goes live that does not parse, type-check and ask properly.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Authorizer, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use remit_domain::Tool;
use remit_domain::name::Name;

use super::{Engine, ToolEntry};
use crate::args::ArgType;
use crate::bundle::bundle_version;
use crate::digest;
use crate::entities::Types;
use crate::error::{PolicyError, Problem};
use crate::except::{self, ExceptionSource};
use crate::hop::Hops;
use crate::limits::{POLICIES_MAX, SETS_MAX};
use crate::load::{GUARDRAIL, Loaded, Place, PolicySource, load};
use crate::schema::{self, Action, CALL};
use crate::slice::Slicer;
use crate::sources;
use crate::validate;

const GUARDRAILS: PolicySource<'static> = PolicySource {
    name: GUARDRAIL,
    text: include_str!("../guardrails.cedar"),
};

impl Engine {
    /// Compiles the guardrails and an organization's policy sets for its tools. The order of sets and tools is
    /// irrelevant.
    ///
    /// # Errors
    /// [`PolicyError`] with every problem found, each with set, line and column.
    pub fn compile(tools: &[&Tool], sets: &[PolicySource<'_>]) -> Result<Self, PolicyError> {
        Self::compile_with(tools, sets, &[])
    }

    /// As [`Engine::compile`], with exceptions from the organization's own policies. One from a guardrail, or from a
    /// policy that is not there, lifts nothing.
    ///
    /// # Errors
    /// As [`Engine::compile`].
    pub fn compile_with(
        tools: &[&Tool],
        sets: &[PolicySource<'_>],
        exceptions: &[ExceptionSource<'_>],
    ) -> Result<Self, PolicyError> {
        let mut sets = sets.to_vec();
        sets.sort_by_key(|set| set.name);
        let args: Vec<ArgType> = tools
            .iter()
            .map(|tool| ArgType::of(tool.input_schema()))
            .collect();
        let (schema, schema_text) =
            schema::build(tools.iter().zip(&args).map(|(tool, args)| Action {
                id: tool.tool.to_string(),
                groups: schema::groups(tool.classification.as_ref()),
                args,
            }))?;
        let Read {
            mut policies,
            hops,
            warnings,
        } = policies(&sets, schema)?;
        let in_force = except::apply(&mut policies, exceptions)?;
        let types = Types::new()?;
        let mut slicer = Slicer::new(&policies, &types);
        let mut entries = HashMap::with_capacity(tools.len());
        for (tool, args) in tools.iter().zip(args) {
            let entry = ToolEntry {
                definition_hash: tool.definition.hash.clone(),
                classification: tool.classification.clone(),
                args,
                validator: validate::compile(tool.input_schema()),
                slice: slicer.tool(&tool.tool, tool.classification.as_ref()),
            };
            if entries.insert(tool.tool.clone(), entry).is_some() {
                return Err(PolicyError::Schema(format!(
                    "tool `{}` is given twice",
                    tool.tool
                )));
            }
        }
        Ok(Self {
            version: Arc::from(version(tools, &sets, exceptions, &schema_text)?),
            bundle: Arc::from(bundle_version(&sets)?),
            exceptions: in_force,
            sources: Arc::from(sources::write(tools, &sets, exceptions)?),
            schema_text,
            warnings,
            types,
            authorizer: Authorizer::new(),
            by_id: policies
                .iter()
                .enumerate()
                .map(|(at, l)| (l.id.clone(), at))
                .collect(),
            #[cfg(test)]
            whole: set_of(policies.iter())?,
            policies,
            hops: Hops::of(hops)?,
            tools: entries,
        })
    }
}

fn version(
    tools: &[&Tool],
    sets: &[PolicySource<'_>],
    exceptions: &[ExceptionSource<'_>],
    schema: &str,
) -> Result<String, PolicyError> {
    let mut tools: Vec<_> = tools
        .iter()
        .map(|t| (&t.tool, &t.definition.hash, &t.classification))
        .collect();
    tools.sort_by(|a, b| a.0.cmp(b.0));
    let sets: Vec<_> = sets.iter().map(|set| (set.name, set.text)).collect();
    let mut exceptions: Vec<_> = exceptions.iter().collect();
    exceptions.sort_by_key(|e| e.id);
    let all = (
        env!("CARGO_PKG_VERSION"),
        GUARDRAILS.text,
        schema,
        sets,
        tools,
        exceptions,
    );
    digest::canonical(&all).map_err(|e| PolicyError::Schema(e.to_string()))
}

/// Every policy, and what Cedar finds odd.
struct Read {
    /// About calls, guardrails first.
    policies: Vec<Loaded>,
    /// About hops.
    hops: Vec<Loaded>,
    warnings: Vec<Problem>,
}

/// Reads and type-checks policies: those about calls against `schema`, those about hops against their own.
fn policies(sets: &[PolicySource<'_>], schema: Schema) -> Result<Read, PolicyError> {
    let guardrails = load(GUARDRAILS).map_err(PolicyError::of)?;
    // Guardrails look at no arguments: they are the same for every tool, and are checked once.
    let any = ArgType::of(&serde_json::Value::Bool(true));
    let one = schema::build(std::iter::once(Action {
        id: "any/tool".to_owned(),
        groups: vec![CALL.to_owned()],
        args: &any,
    }))?;
    check(&[GUARDRAILS], &guardrails, one.0)?;
    let mut problems = names(sets);
    let mut own = Vec::new();
    for set in sets {
        match load(*set) {
            Ok(loaded) => own.extend(loaded),
            Err(found) => problems.extend(found),
        }
    }
    if let Some(set) = sets.first().filter(|_| own.len() > POLICIES_MAX) {
        let place = Place {
            set: set.name,
            text: set.text,
        };
        problems.push(place.whole(format!(
            "there are {} policies in all sets, at most {POLICIES_MAX} may be",
            own.len()
        )));
    }
    if !problems.is_empty() {
        return Err(PolicyError::of(problems));
    }
    let (hops, own): (Vec<_>, Vec<_>) = own.into_iter().partition(|l| l.hop);
    let mut warnings = check(sets, &own, schema);
    if !hops.is_empty() {
        warnings = both(warnings, check(sets, &hops, schema::build_hops()?.0));
    }
    let mut policies = guardrails;
    policies.extend(own);
    Ok(Read {
        policies,
        hops,
        warnings: warnings?,
    })
}

/// What is wrong with either, or odd about both.
fn both(
    one: Result<Vec<Problem>, PolicyError>,
    other: Result<Vec<Problem>, PolicyError>,
) -> Result<Vec<Problem>, PolicyError> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok([one, other].concat()),
        (Err(one), Err(other)) => Err(PolicyError::of([one.problems(), other.problems()].concat())),
        (Err(wrong), Ok(_)) | (Ok(_), Err(wrong)) => Err(wrong),
    }
}

fn names(sets: &[PolicySource<'_>]) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (at, set) in sets.iter().enumerate() {
        let wrong = if at >= SETS_MAX {
            Some(format!("there are more than {SETS_MAX} policy sets"))
        } else if set.name == GUARDRAIL {
            Some(
                "the name `guardrail` is taken by what nobody can remove: choose another"
                    .to_owned(),
            )
        } else if !seen.insert(set.name) {
            Some("another set has the same name".to_owned())
        } else {
            set.name.parse::<Name>().err().map(|e| e.to_string())
        };
        problems.extend(wrong.map(|message| {
            Place {
                set: set.name,
                text: set.text,
            }
            .whole(message)
        }));
    }
    problems
}

/// Type-checks policies against a schema, strictly; gives the warnings.
fn check(
    sets: &[PolicySource<'_>],
    policies: &[Loaded],
    schema: Schema,
) -> Result<Vec<Problem>, PolicyError> {
    let set = set_of(policies.iter())?;
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let problem = |id: &str, diagnostic: &dyn Diagnostic| {
        let loaded = policies.iter().find(|l| l.id == id);
        let source = loaded.and_then(|l| sets.iter().find(|s| s.name == l.set));
        let place = source.map_or(Place { set: "", text: "" }, |s| Place {
            set: s.name,
            text: s.text,
        });
        let start = loaded.map_or(0, |l| place.text.find(&l.source).unwrap_or(0));
        place.diagnostic(diagnostic, Some(id), start)
    };
    let errors: Vec<_> = result
        .validation_errors()
        .map(|e| problem(e.policy_id().as_ref(), e))
        .collect();
    if !errors.is_empty() {
        return Err(PolicyError::of(errors));
    }
    Ok(result
        .validation_warnings()
        .map(|w| problem(w.policy_id().as_ref(), w))
        .collect())
}

fn set_of<'a>(policies: impl Iterator<Item = &'a Loaded>) -> Result<PolicySet, PolicyError> {
    PolicySet::from_policies(policies.map(|l| l.policy.clone()))
        .map_err(|e| PolicyError::Schema(e.to_string()))
}
