//! Limits: how much may be done in a time, by whom together; and how much has been.

use std::collections::BTreeMap;

use remit_domain::event::EventKind;
use remit_domain::limit::{LIMITS_MAX, Limit, Match, Measure, Over, Quota};
use remit_domain::name::Name;
use remit_domain::{Kind, Noun, RefusalCode, Registry, Role, Timestamp};
use remit_policy::reserve::SLOTS;
use schemars::JsonSchema;
use serde::Serialize;

use crate::approval::eligible;
use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::LimitSpec;
use crate::{
    Caller, Control, ControlError, ListQuery, Listing, Saved, check, names, refuse, resolve,
};

/// Most counters read of one limit.
const COUNTERS_MAX: u32 = 10_000;

/// A limit, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LimitView {
    /// Its name.
    pub name: Name,
    /// `active` or `disabled`.
    pub state: &'static str,
    /// What it says; null when what it is about is not known any more.
    #[serde(flatten)]
    pub spec: Option<LimitSpec>,
    /// Who changed it last, by name.
    pub by_whom: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// What is used of a limit now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LimitUse {
    /// Whose: `sponsor:maria@acme.example`.
    pub whose: String,
    /// Digest of the value that is counted apart; null where nothing is.
    pub by: Option<String>,
    /// In what time: `day 2026-11-22`, `any minute`, `run run_…`; null for calls at the same time.
    pub over: Option<String>,
    /// How much is used, what is reserved for calls under way included.
    pub used: String,
    /// The most.
    pub max: String,
    /// How much is left.
    pub left: String,
}

/// A limit with what is used of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LimitReport {
    /// The limit.
    #[serde(flatten)]
    pub limit: LimitView,
    /// What is used of it now, by whom; nobody who has used nothing.
    pub usage: Vec<LimitUse>,
}

impl Control {
    /// Limits, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn limits(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<LimitView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry.limits.values();
        let all = all.map(|l| (l.key(), Noun::state(&**l), l));
        Ok(query.page(all, |l| view(&registry, l)))
    }

    /// One limit, with what is used of it now.
    ///
    /// # Errors
    /// `forbidden`, `not-found`; when the store cannot be read.
    pub async fn limit(&self, caller: &Caller, name: &Name) -> Result<LimitReport, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let limit = book.registry().limits.get(name).cloned();
        let limit = limit.ok_or_else(|| not_found("limit", name))?;
        let prefix = format!("limit:{name}|");
        let store = self.books.store();
        let counters = store
            .counters_under(&caller.org, &prefix, COUNTERS_MAX)
            .await?;
        let registry = book.registry();
        Ok(LimitReport {
            limit: view(&registry, &limit),
            usage: usage(&registry, &limit.quota, &counters, self.books.now()),
        })
    }

    /// Creates or changes a limit. What was used before counts on.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, and for the person it is about; `invalid-request`; `conflict`;
    /// `limit-exceeded` when there are too many.
    pub async fn put_limit(
        &self,
        caller: &Caller,
        name: &Name,
        spec: LimitSpec,
        seen: Option<u64>,
    ) -> Result<Saved<LimitView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_limit(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        let registry = book.registry();
        let limit = registry.limits.get(name);
        let limit = limit.ok_or_else(|| not_found("limit", name))?;
        Ok(Saved {
            action,
            view: view(&registry, limit),
        })
    }

    pub(crate) fn draft_limit(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: &LimitSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        let person = caller.require(&[Role::Admin])?;
        check::said("reason", &spec.reason)?;
        let which = which(registry, spec)?;
        let there = registry.limits.get(name);
        let before = there.and_then(|t| t.which.person.as_ref());
        for whose in which.person.iter().chain(before) {
            eligible::not_for_oneself(registry, whose, person, "sets limits")?;
        }
        if there.is_none() && registry.limits.len() >= LIMITS_MAX {
            let text = format!("an organization has at most {LIMITS_MAX} limits");
            return Err(refuse(RefusalCode::LimitExceeded, text));
        }
        let same = there.filter(|t| LimitSpec::of(registry, t).as_ref() == Some(spec));
        let limit = Limit {
            quota: quota(name, spec, &which)?,
            which,
            reason: spec.reason.clone(),
            enabled: spec.enabled,
            by_whom: same.map_or_else(|| caller.principal.clone(), |s| s.by_whom.clone()),
            at: same.map_or_else(|| self.books.now(), |s| s.at),
        };
        let draft = Draft::over(registry, there.map(AsRef::as_ref), &limit, seen, |_| {
            self.event(caller, EventKind::LimitChanged)
                .fact("measure", limit.quota.measure.as_str())
                .fact("max", limit.quota.max_units())
                .fact("over", limit.quota.over)
                .fact("per", limit.quota.per)
                .fact("enabled", limit.enabled)
                .content("limit", &limit)
                .content("before", there)
        });
        Ok(draft?.restrict_if(true))
    }
}

fn quota(name: &Name, spec: &LimitSpec, which: &Match) -> Result<Quota, ControlError> {
    let quota = Quota {
        name: name.clone(),
        measure: spec.measure.clone(),
        max: spec.max,
        over: spec.over,
        per: spec.per,
        by: spec.by.clone(),
    };
    match quota.check(which) {
        Ok(()) => Ok(quota),
        Err(why) => Err(refuse(RefusalCode::InvalidRequest, why)),
    }
}

fn which(registry: &Registry, spec: &LimitSpec) -> Result<Match, ControlError> {
    let agent = |name: &Name| {
        let found = registry.agent_named(name.as_str()).map(|a| a.id.clone());
        found.ok_or_else(|| invalid("agent", format!("no agent `{name}` is here")))
    };
    if let Some(tool) = &spec.tool
        && !registry.tools.contains_key(tool)
    {
        return Err(invalid("tool", format!("no tool `{tool}` is here")));
    }
    let workflow = spec.workflow.as_ref();
    Ok(Match {
        agent: spec.agent.as_ref().map(agent).transpose()?,
        workflow: workflow
            .map(|w| resolve::workflow(registry, "workflow", w))
            .transpose()?,
        tool: spec.tool.clone(),
        person: resolve::maybe_person(registry, "person", spec.person.as_ref())?,
        mode: spec.mode,
        effects: spec.effects.clone(),
    })
}

fn view(registry: &Registry, limit: &Limit) -> LimitView {
    LimitView {
        name: limit.quota.name.clone(),
        state: Noun::state(limit),
        spec: LimitSpec::of(registry, limit),
        by_whom: names::principal(registry, &limit.by_whom),
        at: limit.at,
        revision: registry.revision(Kind::Limit, &limit.key()).unwrap_or(0),
    }
}

/// Sums the counters of a limit that count now, by whose they are.
fn usage(
    registry: &Registry,
    quota: &Quota,
    counters: &[(String, i64)],
    now: Timestamp,
) -> Vec<LimitUse> {
    let mut sums: BTreeMap<(String, Option<String>, Option<String>), i64> = BTreeMap::new();
    for (key, used) in counters {
        let mut parts = key.split('|').skip(1);
        let (Some(whose), Some(_what)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (mut by, mut over) = (None, None);
        for part in parts {
            match part.split_once(':') {
                Some(("by", value)) => by = Some(value.to_owned()),
                _ => over = Some(part),
            }
        }
        let Some(over) = counts_now(quota, over, now) else {
            continue;
        };
        let sum = sums.entry((whose.to_owned(), by, over)).or_default();
        *sum = sum.saturating_add(*used);
    }
    let max = quota.max_units();
    let shown = |n: i64| quota.measure.shown(n);
    let used = sums.into_iter().filter(|(_, used)| *used > 0);
    used.map(|((whose, by, over), used)| LimitUse {
        whose: named(registry, &whose),
        by,
        over,
        used: shown(used),
        max: shown(max),
        left: shown(max.saturating_sub(used).max(0)),
    })
    .collect()
}

/// In what time a counter counts, in words; none when that time is over.
fn counts_now(quota: &Quota, over: Option<&str>, now: Timestamp) -> Option<Option<String>> {
    if quota.measure == Measure::Concurrent {
        return Some(None);
    }
    let over = over?;
    let (sort, rest) = over.split_once(':')?;
    match (sort, quota.over) {
        ("day", Over::Day) => {
            let today = now.as_secs().div_euclid(86_400);
            let date: String = now.day_start().to_string().chars().take(10).collect();
            (rest.parse() == Ok(today)).then(|| Some(format!("day {date}")))
        }
        ("month", Over::Month) => (rest == now.month().0).then(|| Some(format!("month {rest}"))),
        ("slot", Over::Minute | Over::Hour) => {
            let (secs, n) = rest.split_once(':')?;
            let (secs, n): (i64, i64) = (secs.parse().ok()?, n.parse().ok()?);
            let expected = match quota.over {
                Over::Minute => 60 / SLOTS,
                _ => 3_600 / SLOTS,
            };
            let slot = now.as_secs().div_euclid(secs.max(1));
            let within = secs == expected && (slot - SLOTS..=slot).contains(&n);
            within.then(|| Some(format!("any {}", quota.over.as_str())))
        }
        ("run", Over::Run) => Some(Some(format!("run {rest}"))),
        _ => None,
    }
}

/// Whose, with names for ids.
fn named(registry: &Registry, whose: &str) -> String {
    let Some((sort, id)) = whose.split_once(':') else {
        return whose.to_owned();
    };
    let name = match sort {
        "sponsor" | "person" => id.parse().ok().map(|id| names::person(registry, &id)),
        "agent" => id.parse().ok().map(|id| names::agent(registry, &id)),
        "workflow" => id.parse().ok().map(|id| names::workflow(registry, &id)),
        _ => None,
    };
    name.map_or_else(|| whose.to_owned(), |name| format!("{sort}:{name}"))
}
