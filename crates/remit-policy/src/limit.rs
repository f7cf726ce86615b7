//! Limits in a decision: which counters a call takes from, and how much.

use remit_domain::limit::{Measure, Over, Per, Quota};
use remit_domain::limits::RUN_SECS_MAX;
use remit_domain::{AgentId, Principal};

use crate::facts::{Facts, Fixed};
use crate::reserve::{Reservation, amount, by_value};

/// How long a place among calls at the same time may be held, in seconds: longer than any call.
const HELD_SECS: i64 = 86_400;

/// The agent, and every agent it acts for, ordered.
pub fn agents(fixed: &Fixed) -> Vec<AgentId> {
    let agent = |principal: &Principal| match principal {
        Principal::Agent(id) => Some(id.clone()),
        _ => None,
    };
    let mut agents = vec![fixed.agent.id.clone()];
    for link in &fixed.chain {
        agents.extend(agent(&link.from));
        agents.push(link.to.clone());
    }
    agents.sort();
    agents.dedup();
    agents
}

/// What `quota` takes for this call: one counter, or one for each agent that the call is made for.
///
/// # Errors
/// One line when an argument that is counted is missing, no number, or below zero; the caller denies.
pub(crate) fn reservations(facts: Facts<'_>, quota: &Quota) -> Result<Vec<Reservation>, String> {
    let amount = match &quota.measure {
        Measure::Calls | Measure::Concurrent => 1,
        Measure::Sum { arg } => amount(facts, arg)?,
        Measure::Rows { each, .. } | Measure::Tokens { each } => i64::from(*each),
    };
    let by = by_value(facts, quota.by.as_ref())?;
    let what = match &quota.measure {
        Measure::Sum { arg } => format!("sum:{arg}"),
        other => other.as_str().to_owned(),
    };
    let reserve = |whose: String| {
        let key = format!("limit:{}|{whose}|{what}{by}", quota.name);
        let taken = over(facts, quota, &key, amount);
        let measured = matches!(quota.measure, Measure::Rows { .. } | Measure::Tokens { .. });
        Reservation {
            held: quota.measure == Measure::Concurrent,
            measure: measured.then(|| quota.measure.clone()),
            ..taken.of(format!("limit {} (per {})", quota.name, quota.per.as_str()))
        }
    };
    Ok(whose(facts.fixed, quota.per)
        .into_iter()
        .map(reserve)
        .collect())
}

/// What a run that only looks around takes of its calls and of what it may bring back.
pub(crate) fn discovery(facts: Facts<'_>) -> Vec<Reservation> {
    let Some(discovery) = &facts.fixed.run.discovery else {
        return Vec::new();
    };
    let within = &discovery.within;
    let until = facts.dynamic.now.plus_secs(RUN_SECS_MAX);
    let each = within.tokens_each();
    let take = |measure: Measure, amount: u32, max: u32| {
        let key = format!("discovery|run:{}|{}", discovery.over, measure.as_str());
        let taken = Reservation::new(key, i64::from(amount), i64::from(max), until);
        Reservation {
            measure: matches!(measure, Measure::Tokens { .. }).then_some(measure),
            ..taken.of("looking around".to_owned())
        }
    };
    vec![
        take(Measure::Calls, 1, within.calls),
        take(Measure::Tokens { each }, each, within.tokens),
    ]
}

fn over(facts: Facts<'_>, quota: &Quota, key: &str, amount: i64) -> Reservation {
    let (max, now) = (quota.max_units(), facts.dynamic.now);
    if quota.measure == Measure::Concurrent {
        return Reservation::new(key.to_owned(), amount, max, now.plus_secs(HELD_SECS));
    }
    match quota.over {
        Over::Minute => Reservation::sliding(key, amount, max, 60, now),
        Over::Hour => Reservation::sliding(key, amount, max, 3_600, now),
        Over::Day => {
            let day = now.day_start();
            let key = format!("{key}|day:{}", day.as_secs().div_euclid(86_400));
            Reservation::new(key, amount, max, day.plus_secs(86_400))
        }
        Over::Month => {
            let (month, next) = now.month();
            Reservation::new(format!("{key}|month:{month}"), amount, max, next)
        }
        Over::Run => {
            let key = format!("{key}|run:{}", facts.fixed.run.root);
            Reservation::new(key, amount, max, now.plus_secs(RUN_SECS_MAX))
        }
    }
}

/// Whose use is counted together, as parts of keys.
fn whose(fixed: &Fixed, per: Per) -> Vec<String> {
    let one = |text: String| vec![text];
    match per {
        Per::Organization => one("organization".to_owned()),
        Per::Sponsor => one(format!("sponsor:{}", fixed.agent.sponsor)),
        Per::Person => {
            let person = fixed.person.as_ref().map(|p| &p.id);
            one(format!("person:{}", person.unwrap_or(&fixed.agent.sponsor)))
        }
        Per::Agent => agents(fixed).iter().map(|a| format!("agent:{a}")).collect(),
        Per::Workflow => one(format!("workflow:{}", fixed.workflow.id)),
        Per::Run => one(format!("run:{}", fixed.run.root)),
        Per::Tool => one(format!("tool:{}", fixed.tool.tool)),
    }
}
