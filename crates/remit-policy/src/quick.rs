//! The short way to an answer: does any forbid hold?
//!
//! Most calls are allowed, and Cedar pays for each policy it looks at. So the condition of each policy is cut in two, once: what
//! comes first in it and looks at nothing but the registry, and the rest. The first part is
//! evaluated once for each registry slice, and for a call only the rest of those policies where it is true. The clause
//! about approval is left out of those that ask, and conditions on single breaches are false: all this is asked only
//! where nothing was found in breach. Where every condition of a forbid can be evaluated and none holds, the answer is allow, with the
//! permits that hold; in every other case the slice itself is put to Cedar, for its reasons.
//!
//! Both parts are in the order of the policy, and a part is only asked where what comes before it is true: Cedar's `&&` does the same, so
//! that nothing is left out that Cedar would have failed on.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cedar_policy::{Policy, PolicyId};
use cedar_policy_core::ast::{self, BinaryOp, Expr, ExprKind, Literal, SlotEnv, ValueKind, Var};
use cedar_policy_core::evaluator::Evaluator;
use serde_json::Value;

use crate::ask::is_ask;
use crate::engine::CONTEXT;
use crate::load::Loaded;

/// What of the context is the same for every call of a registry slice.
pub(crate) const OF_SLICE: [&str; 3] = ["chain_depth", "person", "run"];

/// When a policy holds, scope included and approval left out, cut in two. A missing part is true.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// What is the same for every call of a registry slice.
    of_slice: Option<Expr>,
    of_call: OfCall,
}

#[derive(Debug, Clone)]
enum OfCall {
    /// True wherever the first part is.
    Always,
    /// False while there are no breaches.
    Never,
    When(Expr),
}

impl Condition {
    /// Of a policy in Cedar's JSON format. None where Cedar does not take it without its clause about approval.
    pub(crate) fn of(policy: &Value) -> Option<Self> {
        let mut policy = policy.clone();
        policy
            .get_mut("conditions")?
            .as_array_mut()?
            .retain(|clause| !is_ask(clause));
        let policy = Policy::from_json(Some(PolicyId::new("condition")), policy).ok()?;
        let policy: &ast::Policy = policy.as_ref();
        let mut parts = conjuncts(&policy.condition());
        let cut = parts.iter().position(looks_at_call);
        let rest = parts.split_off(cut.unwrap_or(parts.len()));
        let of_call = match rest.first() {
            None => OfCall::Always,
            Some(first) if is_breach(first) => OfCall::Never,
            Some(_) => all(rest).map_or(OfCall::Always, OfCall::When),
        };
        Some(Self {
            of_slice: all(parts),
            of_call,
        })
    }
}

/// The parts of a conjunction, in the order in which they are evaluated, but for those that are `true` as written.
fn conjuncts(expr: &Expr) -> Vec<Expr> {
    let mut out = Vec::new();
    // No recursion: a policy may be one long conjunction.
    let mut ahead = vec![expr];
    while let Some(expr) = ahead.pop() {
        match expr.expr_kind() {
            ExprKind::And { left, right } => ahead.extend([right.as_ref(), left.as_ref()]),
            ExprKind::Lit(Literal::Bool(true)) => {}
            _ => out.push(expr.clone()),
        }
    }
    out
}

fn all(parts: Vec<Expr>) -> Option<Expr> {
    parts.into_iter().reduce(Expr::and)
}

/// Whether an expression looks at the call: at the context, whatever of it is not the slice's own.
fn looks_at_call(expr: &Expr) -> bool {
    let is_of_slice = |e: &&Expr| match e.expr_kind() {
        ExprKind::GetAttr { expr, attr } => is_context(expr) && OF_SLICE.contains(&attr.as_str()),
        _ => false,
    };
    let looks = expr.subexpressions().filter(|e| is_context(e)).count();
    looks > expr.subexpressions().filter(is_of_slice).count()
}

/// What of the context an expression looks at: all of it, where it does not say.
fn looks(expr: &Expr) -> Vec<&'static str> {
    let named = |e: &Expr| match e.expr_kind() {
        ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } if is_context(expr) => {
            CONTEXT.into_iter().find(|name| attr == name)
        }
        _ => None,
    };
    let named: Vec<_> = expr.subexpressions().filter_map(named).collect();
    match expr.subexpressions().filter(|e| is_context(e)).count() == named.len() {
        true => named,
        false => CONTEXT.to_vec(),
    }
}

fn is_context(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::Var(Var::Context))
}

/// Whether a condition is `context.breaches.contains("…")`: false while there are no breaches.
fn is_breach(expr: &Expr) -> bool {
    let ExprKind::BinaryApp {
        op: BinaryOp::Contains,
        arg1,
        arg2,
    } = expr.expr_kind()
    else {
        return false;
    };
    let is_word = matches!(arg2.expr_kind(), ExprKind::Lit(Literal::String(_)));
    let ExprKind::GetAttr { expr, attr } = arg1.expr_kind() else {
        return false;
    };
    is_word && attr == "breaches" && is_context(expr)
}

/// Whether an expression is true. None where that cannot be said: an error, or no boolean.
fn holds(expr: &Expr, evaluator: &Evaluator<'_>) -> Option<bool> {
    static SLOTS: LazyLock<SlotEnv> = LazyLock::new(SlotEnv::new);
    match evaluator.interpret(expr, &SLOTS).ok()?.value {
        ValueKind::Lit(Literal::Bool(holds)) => Some(holds),
        _ => None,
    }
}

/// What is left to ask of each call of a registry slice that has no breaches, by position in the list of policies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    forbids: Vec<usize>,
    permits: Vec<usize>,
    /// What of the context they look at, ordered.
    pub(crate) looks: Vec<&'static str>,
}

impl Live {
    /// Of all policies of a slice, and of those that do not look at the arguments. None where the short way cannot answer: a
    /// forbid holds whatever the call, a first part fails, or a policy is not known to it.
    ///
    /// - `slice`: positions in the list of policies.
    /// - `evaluator`: over the registry slice, with nothing but [`OF_SLICE`] in the context.
    pub(crate) fn of(
        policies: &[Loaded],
        slice: &[usize],
        evaluator: &Evaluator<'_>,
    ) -> (Option<Self>, Option<Self>) {
        let (mut all, mut without_args) = (Some(Self::default()), Some(Self::default()));
        for at in slice {
            let loaded = policies.get(*at);
            let asked = loaded.and_then(|l| Some((l.is_forbid(), may_hold(l, evaluator)?)));
            let of_args = loaded.is_some_and(|l| l.mentions_args);
            let meant = [Some(&mut all), (!of_args).then_some(&mut without_args)];
            for live in meant.into_iter().flatten() {
                match (asked, live.as_mut()) {
                    (None, _) => *live = None,
                    (Some((true, true)), Some(live)) => live.forbids.push(*at),
                    (Some((false, true)), Some(live)) => live.permits.push(*at),
                    _ => {}
                }
            }
        }
        for live in [&mut all, &mut without_args].into_iter().flatten() {
            live.looks = live.looked_at(policies);
        }
        (all, without_args)
    }

    fn looked_at(&self, policies: &[Loaded]) -> Vec<&'static str> {
        let both = self.forbids.iter().chain(&self.permits);
        let conditions = both.filter_map(|at| policies.get(*at)?.condition.as_ref());
        let asked = conditions.filter_map(|condition| match &condition.of_call {
            OfCall::When(expr) => Some(expr),
            OfCall::Always | OfCall::Never => None,
        });
        let looked: BTreeSet<_> = asked.flat_map(looks).collect();
        looked.into_iter().collect()
    }

    /// The permits of a call that no forbid stands against, ordered by id. None where one does, where nothing permits it, and
    /// where anything fails.
    ///
    /// - `evaluator`: over the call, which has no breaches.
    pub(crate) fn allowed<'a>(
        &self,
        policies: &'a [Loaded],
        evaluator: &Evaluator<'_>,
    ) -> Option<Vec<&'a Loaded>> {
        let asked = |at: &usize| {
            let loaded = policies.get(*at)?;
            let holds = match &loaded.condition.as_ref()?.of_call {
                OfCall::Always => true,
                OfCall::Never => false,
                OfCall::When(expr) => holds(expr, evaluator)?,
            };
            Some((loaded, holds))
        };
        for at in &self.forbids {
            if asked(at)?.1 {
                return None;
            }
        }
        let mut permits = Vec::with_capacity(self.permits.len());
        for at in &self.permits {
            let (loaded, holds) = asked(at)?;
            permits.extend(holds.then_some(loaded));
        }
        permits.sort_by(|a, b| a.id.cmp(&b.id));
        (!permits.is_empty()).then_some(permits)
    }
}

/// Whether a policy may hold for a call of this registry slice without breaches. None where that cannot be said, and of a forbid that
/// always does.
fn may_hold(loaded: &Loaded, evaluator: &Evaluator<'_>) -> Option<bool> {
    let condition = loaded.condition.as_ref()?;
    let first = condition.of_slice.as_ref();
    let first = first.map_or(Some(true), |expr| holds(expr, evaluator))?;
    match condition.of_call {
        OfCall::Always if first && loaded.is_forbid() => None,
        OfCall::Never => Some(false),
        OfCall::Always | OfCall::When(_) => Some(first),
    }
}
