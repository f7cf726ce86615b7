//! What the nouns themselves say about a call: every grant, link and intent checked against it, in Rust.
//!
//! The result reaches Cedar as a set of codes; `guardrails.cedar` turns each code into a deny.

use std::collections::BTreeSet;

use remit_domain::authority::{Attempt, Authority};
use remit_domain::bounds::Bounds;
use remit_domain::limits::CHAIN_DEPTH_MAX;
use remit_domain::tool::{Classification, Effect};
use remit_domain::workflow::Grant;
use remit_domain::{GrantId, Principal};

use crate::facts::{Facts, Link};
use crate::labels;
use crate::limit;
use crate::reserve::{Reservation, reservation};
use crate::schema::is_external;
use crate::setting::{self, Obligation};

pub(crate) const GRANT_BOUNDS: &str = "grant-bounds";
pub(crate) const LIMIT_EXCEEDED: &str = "limit-exceeded";
pub(crate) const INTENT_BOUNDS: &str = "intent-bounds";
pub(crate) const CHAIN_BROKEN: &str = "chain-broken";
pub(crate) const CHAIN_TOO_DEEP: &str = "chain-too-deep";
pub(crate) const DELEGATION_EXPIRED: &str = "delegation-expired";
pub(crate) const DELEGATION_BOUNDS: &str = "delegation-bounds";
pub(crate) const DISCOVERY_BOUNDS: &str = "discovery-bounds";
pub(crate) const CUSTOMER_MIXED: &str = "customer-mixed";
pub(crate) const ARGUMENTS_INVALID: &str = "arguments-invalid";

/// Whether the arguments of the call are known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Args {
    Known,
    /// Only what no arguments can heal counts.
    Unknown,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The grant that holds. None denies.
    pub(crate) grant: Option<GrantId>,
    /// Whether that grant releases the call for autonomy.
    pub(crate) released: bool,
    /// What it reserves, and what limits and rates reserve besides.
    pub(crate) reserve: Vec<Reservation>,
    /// What is owed when it is let through.
    pub(crate) obligations: Vec<Obligation>,
    /// Code and one line of text each.
    pub(crate) breaches: Vec<(&'static str, String)>,
}

impl Findings {
    pub(crate) fn add(&mut self, code: &'static str, text: String) {
        self.breaches.push((code, text));
    }

    pub(crate) fn codes(&self) -> BTreeSet<&'static str> {
        self.breaches.iter().map(|(code, _)| *code).collect()
    }
}

/// Every breach of the call.
pub(crate) fn find(facts: Facts<'_>, classification: &Classification, args: Args) -> Findings {
    let mut out = Findings::default();
    grants(facts, args, &mut out);
    setting::apply(facts, &mut out);
    if args == Args::Known {
        limits(facts, &mut out);
    }
    chain(facts, &mut out);
    flow(facts, classification, args, &mut out);
    let attempt = Attempt {
        tool: &facts.fixed.tool.tool,
        classification,
        args: &facts.dynamic.args,
        now: facts.dynamic.now,
    };
    for text in breaches(&facts.fixed.run.intent.authority, attempt, args) {
        out.add(
            INTENT_BOUNDS,
            format!("the run's intent does not cover it: {text}"),
        );
    }
    for link in &facts.fixed.chain {
        for text in breaches(&link.authority, attempt, args) {
            out.add(
                DELEGATION_BOUNDS,
                format!("delegation {} does not cover it: {text}", link.delegation),
            );
        }
    }
    out
}

/// What looking around and keeping customers apart leave of a call.
fn flow(facts: Facts<'_>, classification: &Classification, args: Args, out: &mut Findings) {
    let Facts { fixed, dynamic } = facts;
    if let Some(discovery) = &fixed.run.discovery {
        let around = classification.metadata
            && classification.effect == Effect::Read
            && !is_external(classification);
        if !around {
            let text = "the run only looks around: it calls tools that read metadata, and no others; open another run for this";
            out.add(DISCOVERY_BOUNDS, text.to_owned());
        }
        if dynamic.now >= discovery.until {
            let text = format!("the run was to look around until {}", discovery.until);
            out.add(DISCOVERY_BOUNDS, text);
        }
    }
    if args == Args::Known
        && let Some(text) = labels::mixes(classification, &dynamic.args, &dynamic.labels)
    {
        out.add(CUSTOMER_MIXED, text);
    }
}

/// What limits and rates take, whichever grant holds.
fn limits(facts: Facts<'_>, out: &mut Findings) {
    let mut taken = setting::rates(facts);
    taken.extend(limit::discovery(facts));
    for quota in &facts.fixed.limits {
        match limit::reservations(facts, quota) {
            Ok(reservations) => taken.extend(reservations),
            Err(text) => out.add(LIMIT_EXCEEDED, format!("limit {}: {text}", quota.name)),
        }
    }
    for reservation in &taken {
        let used = facts.dynamic.counters.get(&reservation.key);
        if let Some(text) = reservation.breach(used.copied().unwrap_or(0)) {
            out.add(LIMIT_EXCEEDED, text);
        }
    }
    out.reserve.extend(taken);
}

fn breaches(authority: &Authority, attempt: Attempt<'_>, args: Args) -> Vec<String> {
    match args {
        Args::Known => authority.breaches(attempt),
        Args::Unknown => {
            let tools = authority.tools.as_ref();
            let tools = tools.map(|t| {
                t.keys()
                    .map(|tool| (tool.clone(), Bounds::default()))
                    .collect()
            });
            Authority {
                tools,
                targets: None,
                ..authority.clone()
            }
            .breaches(attempt)
        }
    }
}

/// The first grant, by id, whose bounds and limits hold; otherwise what is wrong with the one that is nearest.
fn grants(facts: Facts<'_>, args: Args, out: &mut Findings) {
    let Facts { fixed, dynamic } = facts;
    if fixed.workflow.agent != fixed.agent.id {
        return;
    }
    let live =
        |g: &&Grant| g.tool == fixed.tool.tool && g.expires.is_none_or(|end| dynamic.now < end);
    let mut live: Vec<&Grant> = fixed.workflow.grants.iter().filter(live).collect();
    live.sort_by(|a, b| a.id.cmp(&b.id));
    if args == Args::Unknown {
        // Which of them will hold is not known yet: what one of them permits is not surely asked.
        out.released = live.iter().any(|g| g.autonomy.is_some());
    }
    let mut nearest: Option<(&Grant, Vec<(&'static str, String)>)> = None;
    for grant in live {
        let (wrong, reserve) = match args {
            Args::Known => check(facts, grant),
            Args::Unknown => (Vec::new(), Vec::new()),
        };
        if wrong.is_empty() {
            out.grant = Some(grant.id.clone());
            out.released |= grant.autonomy.is_some();
            out.reserve = reserve;
            return;
        }
        if nearest
            .as_ref()
            .is_none_or(|(_, best)| wrong.len() < best.len())
        {
            nearest = Some((grant, wrong));
        }
    }
    if let Some((grant, wrong)) = nearest {
        // There is a grant: the call is outside it, which is another reason than having none.
        out.grant = Some(grant.id.clone());
        out.breaches.extend(wrong);
    }
}

fn check(facts: Facts<'_>, grant: &Grant) -> (Vec<(&'static str, String)>, Vec<Reservation>) {
    let broken = grant.bounds.breaches(&facts.dynamic.args);
    let mut wrong: Vec<_> = broken
        .iter()
        .map(|b| (GRANT_BOUNDS, format!("{b} (grant {})", grant.id)))
        .collect();
    let mut reserve = Vec::with_capacity(grant.limits.len());
    for limit in &grant.limits {
        match reservation(facts, limit) {
            Err(text) => wrong.push((GRANT_BOUNDS, text)),
            Ok(taken) => {
                let used = facts.dynamic.counters.get(&taken.key).copied().unwrap_or(0);
                if let Some(text) = taken.breach(used) {
                    wrong.push((LIMIT_EXCEEDED, text));
                }
                reserve.push(taken);
            }
        }
    }
    (wrong, reserve)
}

/// The chain leads from the person, link by link, to the agent, no link is longer than an earlier one permits, and none
/// has expired.
fn chain(facts: Facts<'_>, out: &mut Findings) {
    let Facts { fixed, dynamic } = facts;
    let person = fixed
        .person
        .as_ref()
        .map(|p| Principal::Person(p.id.clone()));
    match (fixed.chain.first(), &person) {
        (None, None) => return,
        (None, Some(_)) => out.add(
            CHAIN_BROKEN,
            "there is a person and no delegation of theirs".to_owned(),
        ),
        (Some(first), Some(person)) if first.from == *person => {}
        (
            Some(Link {
                from: Principal::Agent(_),
                ..
            }),
            None,
        ) => {}
        (Some(first), _) => out.add(
            CHAIN_BROKEN,
            format!("delegation {} is not the person's", first.delegation),
        ),
    }
    if fixed.chain.len() > CHAIN_DEPTH_MAX {
        out.add(
            CHAIN_TOO_DEEP,
            format!(
                "the chain has {} links, at most {CHAIN_DEPTH_MAX} are permitted",
                fixed.chain.len()
            ),
        );
    }
    for (at, link) in fixed.chain.iter().enumerate() {
        let next = fixed.chain.get(at + 1);
        let follows = match next {
            Some(next) => next.from == Principal::Agent(link.to.clone()),
            None => link.to == fixed.agent.id,
        };
        if !follows {
            out.add(
                CHAIN_BROKEN,
                format!(
                    "delegation {} does not lead on to the next actor",
                    link.delegation
                ),
            );
        }
        let after = fixed.chain.len() - at - 1;
        if after > usize::from(link.depth_left) {
            let text = format!(
                "{after} links follow delegation {}, at most {} may",
                link.delegation, link.depth_left
            );
            out.add(CHAIN_TOO_DEEP, text);
        }
        if dynamic.now >= link.expires {
            out.add(
                DELEGATION_EXPIRED,
                format!("delegation {} expired at {}", link.delegation, link.expires),
            );
        }
    }
}
