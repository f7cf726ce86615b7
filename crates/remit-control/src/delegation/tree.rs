//! The tree of delegations: which person stands behind which agent, hop by hop.

use std::collections::BTreeSet;
use std::time::Duration;

use remit_books::Versioned;
use remit_domain::delegation::Delegation;
use remit_domain::limits::CHAIN_DEPTH_MAX;
use remit_domain::name::{Email, Name};
use remit_domain::run::Mode;
use remit_domain::{AgentId, Kind, Noun, Registry, Run, RunId, Timestamp};
use remit_ports::store::Changed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use tokio::time::Instant;

use super::{DelegationView, view};
use crate::approval::{WAIT_SECS_MAX, heard};
use crate::error::not_found;
use crate::{Caller, Control, ControlError, names};

/// How long one look at the tree counts while somebody watches it: what ends by time alone is told no later.
const TURN: Duration = Duration::from_secs(2);

/// Which part of the tree.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TreeFilter {
    /// Only below this person, by address.
    pub person: Option<Email>,
    /// Only chains that pass this agent, by name.
    pub agent: Option<Name>,
}

/// What one person has delegated.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PersonTree {
    /// Address.
    pub person: String,
    /// How to call them.
    pub display_name: String,
    /// Delegations that the person made.
    pub delegations: Vec<Hop>,
}

/// One hop of a chain.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Hop {
    /// The delegation; `narrows` is what this hop took away.
    #[serde(flatten)]
    pub delegation: DelegationView,
    /// Address of the agent's sponsor.
    pub sponsor: String,
    /// Seconds until it ends.
    pub expires_in: i64,
    /// Runs that act under it now, each with those below it that act under it too.
    pub acting: Vec<RunNode>,
    /// Delegations cut from it.
    pub below: Vec<Hop>,
}

/// A run that acts under a delegation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunNode {
    /// Its id.
    pub run: RunId,
    /// How it came to be.
    pub mode: Mode,
    /// `active` or `suspended`.
    pub state: &'static str,
    /// When it started.
    pub started: Timestamp,
    /// Runs below it that act under the same delegation: narrowed ones, and sub-agents in the same process.
    pub below: Vec<RunNode>,
}

/// The tree, and what tells whether it has changed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TreeWatch {
    /// The tree.
    pub items: Vec<PersonTree>,
    /// What to wait from: the next answer comes when the tree is another one, or the time is up.
    pub next: String,
}

impl Control {
    /// Waits until the tree is another one than `after` was told of; at once where none is given.
    ///
    /// # Errors
    /// As [`Control::delegation_tree`].
    pub async fn watch_delegation_tree(
        &self,
        caller: &Caller,
        wanted: &TreeFilter,
        after: Option<&str>,
        timeout: Duration,
    ) -> Result<TreeWatch, ControlError> {
        let until = Instant::now() + timeout.min(Duration::from_secs(WAIT_SECS_MAX));
        let mut changes = self.books.store().changes();
        let kinds = [Kind::Delegation, Kind::Run, Kind::Person, Kind::Agent];
        let concerns = |c: &Changed| c.keys.iter().any(|(kind, _)| kinds.contains(kind));
        loop {
            let items = self.delegation_tree(caller, wanted)?;
            let next = told_apart(&items);
            let over = Instant::now() >= until;
            if over || after.is_none_or(|after| after != next) {
                return Ok(TreeWatch { items, next });
            }
            // A change of another node may be heard here before it is taken in: the time that is left is then waited in turns.
            let turn = until.min(Instant::now() + TURN);
            let heard = heard(&mut changes, &caller.org, concerns);
            let _ = tokio::time::timeout_at(turn, heard).await;
        }
    }

    /// Delegations that count now, as a tree: person, agents, sub-agents.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found` for a person or agent that is not here.
    pub fn delegation_tree(
        &self,
        caller: &Caller,
        wanted: &TreeFilter,
    ) -> Result<Vec<PersonTree>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let now = self.books.now();
        let agent = match &wanted.agent {
            None => None,
            Some(n) => Some(
                registry
                    .agent_named(n.as_str())
                    .ok_or_else(|| not_found("agent", n.as_str()))?
                    .id
                    .clone(),
            ),
        };
        let person = match &wanted.person {
            None => None,
            Some(e) => Some(
                registry
                    .person_named(e.as_str())
                    .ok_or_else(|| not_found("person", e.as_str()))?
                    .id
                    .clone(),
            ),
        };
        let mut people: Vec<_> = registry
            .people
            .values()
            .filter(|p| person.as_ref().is_none_or(|id| p.id == *id))
            .collect();
        people.sort_by(|a, b| a.email.cmp(&b.email));
        let mut trees = Vec::new();
        for person in people {
            let roots = registry
                .delegations
                .values()
                .filter(|d| d.parent.is_none() && d.person == person.id);
            let delegations = hops(
                &registry,
                &mut roots.map(AsRef::as_ref),
                agent.as_ref(),
                now,
                CHAIN_DEPTH_MAX,
            );
            if !delegations.is_empty() {
                trees.push(PersonTree {
                    person: person.email.to_string(),
                    display_name: person.display_name.clone(),
                    delegations,
                });
            }
        }
        Ok(trees)
    }
}

fn hops(
    registry: &Registry,
    delegations: &mut dyn Iterator<Item = &Delegation>,
    passes: Option<&AgentId>,
    now: Timestamp,
    depth: usize,
) -> Vec<Hop> {
    let mut found: Vec<&Delegation> = delegations.filter(|d| d.is_live(now)).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let Some(depth) = depth.checked_sub(1) else {
        return Vec::new();
    };
    found
        .into_iter()
        .filter_map(|d| {
            let here = passes.is_none_or(|agent| d.to == *agent);
            let mut children = registry
                .delegations
                .values()
                .filter(|c| c.parent.as_ref() == Some(&d.id))
                .map(AsRef::as_ref);
            // Below the agent that was asked for, everything counts; above it, only what leads to it.
            let below = hops(
                registry,
                &mut children,
                passes.filter(|_| !here),
                now,
                depth,
            );
            (here || !below.is_empty()).then(|| hop(registry, d, below, now))
        })
        .collect()
}

fn hop(registry: &Registry, delegation: &Delegation, below: Vec<Hop>, now: Timestamp) -> Hop {
    let revision = registry
        .revision(Kind::Delegation, delegation.id.as_str())
        .unwrap_or(0);
    let sponsor = registry
        .agents
        .get(&delegation.to)
        .map(|a| names::person(registry, &a.profile.sponsor));
    Hop {
        delegation: view(
            registry,
            &Versioned {
                noun: delegation.clone(),
                revision,
            },
            now,
        ),
        sponsor: sponsor.unwrap_or_default(),
        expires_in: delegation.expires.secs_since(now),
        acting: acting(registry, delegation, now),
        below,
    }
}

/// The live runs of a delegation, nested.
fn acting(registry: &Registry, delegation: &Delegation, now: Timestamp) -> Vec<RunNode> {
    let under = |run: &&Run| run.chain.last() == Some(&delegation.id) && run.is_live(now);
    let runs = registry.runs.values().map(AsRef::as_ref);
    let runs: Vec<&Run> = runs.filter(under).collect();
    let ids: BTreeSet<&RunId> = runs.iter().map(|run| &run.id).collect();
    let is_top = |run: &&&Run| run.parent.as_ref().is_none_or(|above| !ids.contains(above));
    let mut tops: Vec<&Run> = runs.iter().filter(is_top).copied().collect();
    tops.sort_by(|a, b| a.id.cmp(&b.id));
    tops.iter()
        .map(|run| node(&runs, run, CHAIN_DEPTH_MAX))
        .collect()
}

fn node(runs: &[&Run], run: &Run, depth: usize) -> RunNode {
    let depth = depth.checked_sub(1);
    let mut below: Vec<&&Run> = runs
        .iter()
        .filter(|r| r.parent.as_ref() == Some(&run.id))
        .collect();
    below.sort_by(|a, b| a.id.cmp(&b.id));
    let below = below.into_iter();
    RunNode {
        run: run.id.clone(),
        mode: run.mode,
        state: Noun::state(run),
        started: run.started,
        below: depth.map_or(Vec::new(), |depth| {
            below.map(|run| node(runs, run, depth)).collect()
        }),
    }
}

/// What tells trees apart: the delegations and runs in them, and where each stands, whatever the time.
fn told_apart(items: &[PersonTree]) -> String {
    fn runs(nodes: &[RunNode], out: &mut Vec<String>) {
        for node in nodes {
            out.push(format!("{} {}", node.run, node.state));
            runs(&node.below, out);
        }
    }
    fn hops(all: &[Hop], out: &mut Vec<String>) {
        for hop in all {
            out.push(format!("{} {}", hop.delegation.id, hop.delegation.revision));
            runs(&hop.acting, out);
            hops(&hop.below, out);
        }
    }
    let mut out = Vec::new();
    for person in items {
        out.push(person.person.clone());
        hops(&person.delegations, &mut out);
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, out.join("\n").as_bytes());
    let digest = digest.as_ref().iter().take(16);
    digest.map(|byte| format!("{byte:02x}")).collect()
}
