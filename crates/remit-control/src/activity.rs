//! What was decided lately: how much of it in each hour, who used what, and one agent's own story.
//!
//! Counting reads each entry once: what was counted is kept in memory, and the next look goes on where the last one ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::{AgentId, OrgId, Role, Timestamp};
use remit_ports::store::EntryFilter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::not_found;
use crate::run::{EventView, Reader, told};
use crate::{Caller, Control, ControlError, Listing};

/// Hours that are told one by one.
const HOURS: i64 = 24;
const HOUR: i64 = 3_600;
/// Days that uses are counted over.
const DAYS: i64 = 30;
/// Entries read at once, and how often for one look: above it the answer says that it is not complete.
const READ: u32 = 2_000;
const READS: u32 = 10;
/// Pairs of agent and tool that are counted.
const PAIRS_MAX: usize = 200_000;
/// Most entries on a page of an agent's story.
const PAGE_MAX: u32 = 200;

/// What was decided in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hour {
    /// When it began.
    pub start: Timestamp,
    /// Calls that were let through, by approval too.
    pub allow: u64,
    /// Calls for which people were asked.
    pub ask: u64,
    /// Calls that were denied.
    pub deny: u64,
}

/// What was decided lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Activity {
    /// The last 24 hours, oldest first; the last one goes on.
    pub hours: Vec<Hour>,
    /// Whether everything was counted; if not, ask again.
    pub complete: bool,
}

/// How much an agent used a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Use {
    /// Calls that were let through.
    pub calls: u64,
    /// Calls that were denied.
    pub denied: u64,
    /// The last decision.
    pub last: Option<Timestamp>,
}

/// Uses of the last days.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    /// By agent and `upstream/tool`.
    pub by: BTreeMap<(AgentId, String), Use>,
    /// Since when they were counted.
    pub since: Option<Timestamp>,
    /// Whether everything was counted; if not, ask again.
    pub complete: bool,
}

/// Which part of an agent's story.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoryQuery {
    /// Only of this kind.
    pub kind: Option<EventKind>,
    /// Only below this index.
    pub before: Option<u64>,
    /// Only at or after this time.
    pub since: Option<Timestamp>,
    /// Only before this time.
    pub until: Option<Timestamp>,
    /// At most this many, 1 to 200; 50 where absent.
    pub limit: Option<u32>,
}

#[derive(Default)]
struct Counted {
    next: u64,
    since: Option<Timestamp>,
    hours: BTreeMap<i64, [u64; 3]>,
    uses: BTreeMap<(AgentId, String), Use>,
    /// Hours of single agents, the last ones alone.
    agents: BTreeMap<(AgentId, i64), [u64; 3]>,
    complete: bool,
}

/// What was counted of each organization.
#[derive(Default)]
pub(crate) struct Counter(Mutex<HashMap<OrgId, Counted>>);

/// What of a leaf is counted.
#[derive(Deserialize)]
struct Told {
    at: Timestamp,
    #[serde(default)]
    agent: Option<AgentId>,
    facts: ToldFacts,
}

#[derive(Deserialize)]
struct ToldFacts {
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    consent: String,
    #[serde(default)]
    tool: String,
}

impl Counted {
    /// - `oldest`: the first hour that single agents are counted in.
    fn add(&mut self, told: Told, oldest: i64) {
        let kind = match (told.facts.outcome.as_str(), told.facts.consent.as_str()) {
            ("allow", _) | ("ask", "given") => 0,
            ("ask", _) => 1,
            _ => 2,
        };
        let hour = told.at.as_secs().div_euclid(HOUR);
        if let Some(count) = self.hours.entry(hour).or_default().get_mut(kind) {
            *count += 1;
        }
        let Some(agent) = told.agent else { return };
        let of_agent = (agent.clone(), hour);
        if hour >= oldest
            && (self.agents.len() < PAIRS_MAX || self.agents.contains_key(&of_agent))
            && let Some(count) = self.agents.entry(of_agent).or_default().get_mut(kind)
        {
            *count += 1;
        }
        let key = (agent, told.facts.tool);
        if self.uses.len() >= PAIRS_MAX && !self.uses.contains_key(&key) {
            return;
        }
        let used = self.uses.entry(key).or_default();
        used.calls += u64::from(kind == 0);
        used.denied += u64::from(kind == 2);
        used.last = used.last.max(Some(told.at));
    }
}

impl Control {
    /// Reads on where the last look ended.
    async fn count_on(&self, org: &OrgId) -> Result<(), ControlError> {
        let now = self.books.now();
        let oldest = now.as_secs().div_euclid(HOUR) - HOURS;
        for _ in 0..READS {
            let (from, since) = {
                let mut all = self
                    .counter
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let counted = all.entry(org.clone()).or_default();
                let since = *counted
                    .since
                    .get_or_insert(now.plus_secs(-DAYS * 24 * HOUR));
                (counted.next, since)
            };
            let filter = EntryFilter {
                from,
                kinds: vec![EventKind::CallDecided],
                since: Some(since),
                limit: READ,
                ..EntryFilter::default()
            };
            let entries = self.books.store().entries(org, &filter).await?;
            let mut all = self
                .counter
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let counted = all.entry(org.clone()).or_default();
            if counted.next != from {
                // Somebody else has counted these meanwhile.
                continue;
            }
            for entry in &entries {
                counted.next = entry.index + 1;
                // A leaf that cannot be read is the verification's to tell; here it counts for nothing.
                if let Ok(told) = serde_json::from_slice::<Told>(&entry.leaf) {
                    counted.add(told, oldest);
                }
            }
            counted.complete = entries.len() < READ as usize;
            if counted.complete {
                counted.hours = counted.hours.split_off(&oldest);
                counted.agents.retain(|(_, hour), _| *hour >= oldest);
                return Ok(());
            }
        }
        Ok(())
    }

    /// How much was decided in each of the last 24 hours.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the ledger cannot be read.
    pub async fn activity(&self, caller: &Caller) -> Result<Activity, ControlError> {
        caller.person()?;
        self.count_on(&caller.org).await?;
        Ok(self.counted_hours(&caller.org, |counted, hour| {
            counted.hours.get(&hour).copied()
        }))
    }

    /// The same of one agent.
    ///
    /// # Errors
    /// As [`Control::activity`].
    pub async fn activity_of(
        &self,
        caller: &Caller,
        agent: &AgentId,
    ) -> Result<Activity, ControlError> {
        caller.person()?;
        self.count_on(&caller.org).await?;
        Ok(self.counted_hours(&caller.org, |counted, hour| {
            counted.agents.get(&(agent.clone(), hour)).copied()
        }))
    }

    fn counted_hours(
        &self,
        org: &OrgId,
        of: impl Fn(&Counted, i64) -> Option<[u64; 3]>,
    ) -> Activity {
        let last = self.books.now().as_secs().div_euclid(HOUR);
        let all = self
            .counter
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let counted = all.get(org);
        let hours = (last - HOURS + 1..=last)
            .map(|hour| {
                let [allow, ask, deny] = counted.and_then(|c| of(c, hour)).unwrap_or_default();
                Hour {
                    start: Timestamp::from_secs(hour * HOUR),
                    allow,
                    ask,
                    deny,
                }
            })
            .collect();
        Activity {
            hours,
            complete: counted.is_none_or(|c| c.complete),
        }
    }

    /// Which agent used which tool in the last 30 days, as far as this node has counted.
    ///
    /// # Errors
    /// As [`Control::activity`].
    pub async fn uses(&self, caller: &Caller, agents: &[AgentId]) -> Result<Uses, ControlError> {
        caller.person()?;
        self.count_on(&caller.org).await?;
        let all = self
            .counter
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(counted) = all.get(&caller.org) else {
            return Ok(Uses::default());
        };
        let mut by = BTreeMap::new();
        for agent in agents {
            let from = (agent.clone(), String::new());
            let of_agent = counted
                .uses
                .range(from..)
                .take_while(|((id, _), _)| id == agent);
            by.extend(of_agent.map(|(key, used)| (key.clone(), *used)));
        }
        Ok(Uses {
            by,
            since: counted.since,
            complete: counted.complete,
        })
    }

    /// What an agent did and what was done to it, newest first. What was sealed is told to auditors and to those who answer
    /// for the agent; to others, what happened without what was said.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`; when the ledger cannot be read.
    pub async fn agent_story(
        &self,
        caller: &Caller,
        name: &Name,
        query: &StoryQuery,
    ) -> Result<Listing<EventView>, ControlError> {
        let person = caller.person()?;
        let book = self.book(&caller.org)?;
        let (agent, close) = {
            let registry = book.registry();
            let agent = registry
                .agent_named(name.as_str())
                .ok_or_else(|| not_found("agent", name))?;
            let answers = agent.profile.owner == person.id || agent.profile.sponsor == person.id;
            (agent.id.clone(), answers || caller.holds(Role::Auditor))
        };
        let limit = query.limit.unwrap_or(50).clamp(1, PAGE_MAX);
        let filter = EntryFilter {
            from: query.before.unwrap_or(0),
            kinds: query.kind.into_iter().collect(),
            agent: Some(agent),
            since: query.since,
            until: query.until,
            limit,
            descending: true,
            ..EntryFilter::default()
        };
        if query.before == Some(0) {
            return Ok(Listing {
                items: Vec::new(),
                next: None,
            });
        }
        let entries = self.books.opened_entries(&caller.org, &filter).await?;
        let full = u32::try_from(entries.len()).is_ok_and(|n| n == limit);
        let last = entries.last().filter(|_| full).map(|e| e.stored.index);
        let registry = book.registry();
        let reader = if close {
            Reader::Whole
        } else {
            Reader::Outline
        };
        Ok(Listing {
            items: entries.iter().map(|e| told(&registry, e, reader)).collect(),
            next: last
                .filter(|index| *index > 0)
                .map(|index| index.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_counted_by_what_came_of_them() {
        let mut counted = Counted::default();
        let agent = AgentId::from_uuid(uuid::Uuid::nil());
        for (at, outcome, consent) in [
            ("2026-11-22T08:00:00Z", "allow", "not_needed"),
            ("2026-11-22T08:30:00Z", "ask", "given"),
            ("2026-11-22T08:59:59Z", "ask", "asked"),
            ("2026-11-22T09:00:00Z", "deny", "not_needed"),
        ] {
            let leaf = serde_json::json!({
                "at": at, "agent": agent, "kind": "call.decided",
                "facts": { "outcome": outcome, "consent": consent, "tool": "orders/refund", "epoch": 1 },
            });
            let hour = "2026-11-22T09:00:00Z".parse::<Timestamp>().unwrap();
            counted.add(serde_json::from_value(leaf).unwrap(), hour.as_secs() / HOUR);
        }
        let hours: Vec<_> = counted.hours.values().copied().collect();
        assert_eq!(hours, [[2, 1, 0], [0, 0, 1]]);
        let of_agent: Vec<_> = counted.agents.values().copied().collect();
        assert_eq!(of_agent, [[0, 0, 1]], "only the last hours");
        let used = counted.uses[&(agent, "orders/refund".to_owned())];
        assert_eq!((used.calls, used.denied), (2, 1));
        assert_eq!(used.last, Some("2026-11-22T09:00:00Z".parse().unwrap()));
    }
}
