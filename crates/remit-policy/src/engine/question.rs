//! What is put to Cedar about one call: who, what, on what, and the context.
//!
//! The context is made of Cedar's values, not of expressions that Cedar would first have to evaluate: as much time as all
//! policies of a call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use cedar_policy::Request;
use cedar_policy_core::ast::{self, Context, Literal, Value};
use remit_domain::freeze::Means;
use remit_domain::tool::Classification;

use super::{Ready, ToolEntry};
use crate::breaches::{self, ARGUMENTS_INVALID, Args, Findings};
use crate::entities::Cast;
use crate::facts::{Facts, Fixed};
use crate::labels::is_private;
use crate::quick::OF_SLICE;

/// What the context has, ordered.
pub(crate) const CONTEXT: [&str; 22] = [
    "approved",
    "args",
    "breaches",
    "chain_depth",
    "findings",
    "freezes",
    "frozen",
    "granted",
    "hour",
    "labels",
    "live",
    "now",
    "person",
    "private",
    "regulated",
    "released",
    "risk",
    "run",
    "ticket",
    "trust",
    "weekday",
    "windows",
];

/// The request about a call, with `approved` as given.
pub(super) fn request(ready: &Ready, question: &Question<'_>, approved: bool) -> Request {
    put(&ready.cast, question.context(ready, &CONTEXT, approved)).into()
}

/// The request about a call that is not approved, with no more of the context than what is looked at.
pub(super) fn partly(
    ready: &Ready,
    question: &Question<'_>,
    looks: &[&'static str],
) -> ast::Request {
    put(&ready.cast, question.context(ready, looks, false))
}

/// What one slice's request looks like in this context.
pub(super) fn put(cast: &Cast, context: Context) -> ast::Request {
    let [principal, action, resource] = cast.asked.clone();
    ast::Request::new_unchecked(principal, action, resource, Some(context))
}

/// What is asked of Cedar, apart from approval.
pub(super) struct Question<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) findings: Findings,
    args: Value,
    /// Whether policies that look at the arguments take part.
    pub(super) with_args: bool,
}

impl<'a> Question<'a> {
    pub(super) fn new(entry: &ToolEntry, ready: &Ready, facts: Facts<'a>, args: Args) -> Self {
        let unclassified: Classification;
        let classification = match facts.fixed.tool.classification.as_ref() {
            Some(classification) => classification,
            None => {
                unclassified = nothing_declared();
                &unclassified
            }
        };
        let mut findings = breaches::find(facts, classification, args);
        let empty = || Value::empty_record(None);
        let (args, with_args) = match args {
            Args::Unknown => (empty(), false),
            Args::Known => match entry.args.encode(&facts.dynamic.args) {
                Ok(args) if ready.slice.mentions_args => (args, true),
                Ok(_) => (empty(), true),
                // The guardrail denies; policies that look at arguments of another type could only fail.
                Err(text) => {
                    findings.add(ARGUMENTS_INVALID, text);
                    (empty(), false)
                }
            },
        };
        Self {
            facts,
            findings,
            args,
            with_args,
        }
    }

    fn context(&self, ready: &Ready, looks: &[&'static str], approved: bool) -> Context {
        context(looks, |name| self.of_call(&ready.cast, name, approved))
    }

    fn of_call(&self, cast: &Cast, name: &str, approved: bool) -> Value {
        let Facts { fixed, dynamic } = self.facts;
        let secs = dynamic.now.as_secs();
        let times = |means: Means| {
            let held = fixed.times.iter();
            held.filter(move |t| t.means == means && t.holds(dynamic.now))
                .map(|t| t.name.as_str())
        };
        let labels = || dynamic.labels.iter().map(String::as_str);
        match name {
            "approved" => value(approved),
            "args" => self.args.clone(),
            "breaches" => words(self.findings.codes()),
            "findings" => words(dynamic.findings.iter().map(String::as_str)),
            "freezes" => words(times(Means::Freeze)),
            "frozen" => value(times(Means::Freeze).next().is_some()),
            "granted" => value(self.findings.grant.is_some()),
            "hour" => value(secs.rem_euclid(86_400) / 3_600),
            "labels" => words(labels()),
            "live" => {
                let in_time = !dynamic.run_idle && dynamic.now < fixed.run.deadline;
                value(dynamic.run_active && in_time)
            }
            "now" => value(secs),
            "private" => value(labels().any(is_private)),
            "regulated" => value(labels().any(|l| fixed.is_regulated(l))),
            "released" => value(self.findings.released),
            "risk" => value(i64::from(dynamic.risk)),
            "ticket" => value(dynamic.ticket.as_str()),
            "trust" => value(dynamic.trust.rank()),
            // 1970-01-01 was a Thursday.
            "weekday" => value((secs.div_euclid(86_400) + 3).rem_euclid(7) + 1),
            "windows" => words(times(Means::Window)),
            of_slice => self::of_slice(cast, fixed, of_slice),
        }
    }
}

/// The context of a registry slice without a call: [`OF_SLICE`], and nothing else.
pub(super) fn slice_context(cast: &Cast, fixed: &Fixed) -> Context {
    context(&OF_SLICE, |name| of_slice(cast, fixed, name))
}

/// What of the context is the same for every call of a slice: [`OF_SLICE`].
fn of_slice(cast: &Cast, fixed: &Fixed, name: &str) -> Value {
    match name {
        "person" => value(Arc::clone(&cast.person)),
        "run" => value(Arc::clone(&cast.run)),
        _ => value(i64::try_from(fixed.chain.len()).unwrap_or(i64::MAX)),
    }
}

fn context(names: &[&'static str], value: impl Fn(&str) -> Value) -> Context {
    let pairs = names.iter().map(|name| ((*name).into(), value(name)));
    Context::Value(Arc::new(pairs.collect::<BTreeMap<_, _>>()))
}

fn value(literal: impl Into<Literal>) -> Value {
    Value::new(literal.into(), None)
}

/// A set of strings; none is the same for every call.
fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    static NONE: LazyLock<Value> = LazyLock::new(|| Value::empty_set(None));
    let mut words = words.into_iter().map(Literal::from).peekable();
    match words.peek() {
        None => NONE.clone(),
        Some(_) => Value::set_of_lits(words, None),
    }
}

/// Stands in where nothing was declared: authorities that bound effects or targets do not cover it.
fn nothing_declared() -> Classification {
    Classification {
        effect: remit_domain::tool::Effect::Privilege,
        external: true,
        data_classes: BTreeSet::new(),
        untrusted_content: true,
        metadata: false,
        customer: None,
        entitlements: BTreeSet::new(),
        targets: std::collections::BTreeMap::new(),
        show: BTreeSet::new(),
    }
}
