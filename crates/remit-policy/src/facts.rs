//! Everything a decision is a pure function of (invariant 11).
//!
//! Two halves: [`Fixed`] is the slice of the registry a call touches, kept by content address and shared between calls;
//! [`Dynamic`] is what belongs to one call. Both serialise deterministically, so that replaying a decision from its
//! sealed inputs gives the same answer and the same reasons.

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::agent::{AgentState, Enforcement, Tier};
use remit_domain::attestation::Trust;
use remit_domain::authority::Authority;
use remit_domain::discovery::Discovery;
use remit_domain::freeze::Time;
use remit_domain::limit::Quota;
use remit_domain::name::Name;
use remit_domain::run::{Intent, Mode};
use remit_domain::setting::Rule;
use remit_domain::system::{Criticality, Environment};
use remit_domain::tool::{Classification, DataClass, ToolRef, ToolState, is_regulated};
use remit_domain::workflow::Grant;
use remit_domain::{
    AgentId, DelegationId, PersonId, Principal, Role, RunId, SystemId, Timestamp, WorkflowId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::FactsError;

/// The agent, as a decision sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentFacts {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: Name,
    /// Where it is in its life.
    pub state: AgentState,
    /// How far it may go alone.
    pub tier: Tier,
    /// Where it runs.
    pub environment: Environment,
    /// Data classes it may touch.
    pub data_classes: BTreeSet<DataClass>,
    /// Systems it may reach.
    pub systems: BTreeSet<SystemId>,
    /// What stands between it and its tools.
    pub enforcement: Enforcement,
    /// Who answers for it; limits per day count across everything they sponsor.
    pub sponsor: PersonId,
    /// Whether its owner is still here.
    pub owner_living: bool,
    /// Whether its sponsor is still here.
    pub sponsor_living: bool,
}

/// The workflow, as a decision sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowFacts {
    /// Its id.
    pub id: WorkflowId,
    /// Its name.
    pub name: Name,
    /// Whose it is; another agent's workflow denies.
    pub agent: AgentId,
    /// Data classes it may touch.
    pub data_classes: BTreeSet<DataClass>,
    /// Whether it is in use.
    pub enabled: bool,
    /// Whether it declares what may run it, so that its calls can come from an attested process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attested: bool,
    /// Its grants of this tool, expired ones included; grants of other tools count for nothing.
    pub grants: Vec<Grant>,
}

/// The tool, as a decision sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolFacts {
    /// Which tool of which upstream.
    pub tool: ToolRef,
    /// SHA-256 (hex) of the approved definition; an engine compiled for another definition denies.
    pub definition_hash: String,
    /// Where it stands.
    pub state: ToolState,
    /// Whether its upstream is in use.
    pub upstream_enabled: bool,
    /// What an administrator declared; an unclassified tool is denied.
    pub classification: Option<Classification>,
}

/// The system the tool's upstream belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemFacts {
    /// Its id.
    pub id: SystemId,
    /// Its name.
    pub name: Name,
    /// Where it runs.
    pub environment: Environment,
    /// How much harm misuse does.
    pub criticality: Criticality,
    /// How well whoever calls has to have proved what it is.
    #[serde(default)]
    pub trust: Trust,
}

/// The person at the root of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonFacts {
    /// Opaque id.
    pub id: PersonId,
    /// Whether they are still here.
    pub active: bool,
    /// Scopes that tools may require of them.
    pub entitlements: BTreeSet<Name>,
    /// Roles in the organization.
    pub roles: BTreeSet<Role>,
    /// Names of their teams.
    pub teams: BTreeSet<Name>,
}

/// One link of the chain, from the person's delegation to this run's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Who delegates.
    pub from: Principal,
    /// Who may act.
    pub to: AgentId,
    /// By which delegation.
    pub delegation: DelegationId,
    /// What it narrows to.
    pub authority: Authority,
    /// When it ends.
    pub expires: Timestamp,
    /// How many links may follow it.
    pub depth_left: u8,
}

/// The run, as far as it does not change from call to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// The first run of its tree: limits per run belong to it.
    pub root: RunId,
    /// Its declared purpose, which bounds it.
    pub intent: Intent,
    /// How it came to be.
    pub mode: Mode,
    /// When it ends at the latest.
    pub deadline: Timestamp,
    /// Whether it only looks around: what is declared by it, by its workflow, or above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<DiscoveryFacts>,
}

/// How a run that only looks around is boxed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoveryFacts {
    /// The run that declared it: its calls, and those of the runs below it, are counted together.
    pub over: RunId,
    /// When its time has run out.
    pub until: Timestamp,
    /// How much.
    pub within: Discovery,
}

/// The slice of the registry that a call touches: content-addressed, the same for many calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// Who acts.
    pub agent: AgentFacts,
    /// In which workflow.
    pub workflow: WorkflowFacts,
    /// On what.
    pub tool: ToolFacts,
    /// Where that is; a tool of no known system is denied.
    pub system: Option<SystemFacts>,
    /// For whom; none for what an agent does by itself.
    pub person: Option<PersonFacts>,
    /// Through whom, from the person's delegation to this run's; empty when there is no person.
    pub chain: Vec<Link>,
    /// Why.
    pub run: RunFacts,
    /// Settings about it, from wide to narrow, at most one of each level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Rule>,
    /// Limits about it, ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Quota>,
    /// Data classes that are regulated in this organization besides those that are everywhere.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regulated: BTreeSet<DataClass>,
    /// Freezes and windows about its system, ordered by name, those that do not hold now included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Time>,
}

impl Fixed {
    /// The most that a caller of this workflow can prove: what answers that know no caller are worked out for.
    pub fn trust_within_reach(&self) -> Trust {
        if self.workflow.attested {
            Trust::Attested
        } else {
            Trust::Key
        }
    }

    /// Whether a data class, or the label it raises, is regulated in this organization.
    pub fn is_regulated(&self, class: &str) -> bool {
        is_regulated(class, &self.regulated)
    }

    /// Content address: SHA-256 (lower-case hex, 64 characters) over the RFC 8785 form.
    ///
    /// # Errors
    /// [`FactsError`] when a value has no canonical form (a number beyond IEEE 754 double in a bound).
    pub fn hash(&self) -> Result<String, FactsError> {
        crate::digest::canonical(self)
    }
}

/// What belongs to one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dynamic {
    /// When it is decided.
    pub now: Timestamp,
    /// Canonical arguments, an object.
    pub args: Value,
    /// Labels of the run's tree before this call (data classes, `untrusted`).
    pub labels: BTreeSet<String>,
    /// Whether the run goes on by its state; its deadline is checked against `now`.
    pub run_active: bool,
    /// Whether the run has been idle for longer than it may.
    pub run_idle: bool,
    /// Used so far of each limit a grant names; a missing one is 0. The store reserves again
    /// when it admits, and its word counts.
    pub counters: BTreeMap<String, i64>,
    /// State of the ticket that the run names: `none` where it names none, `unknown` where nobody has told of it.
    #[serde(default = "no_ticket")]
    pub ticket: String,
    /// Kinds of the open findings about the agent and its run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub findings: BTreeSet<String>,
    /// The greatest risk of those findings: 0 none, 1 low, 2 medium, 3 high.
    #[serde(default)]
    pub risk: u8,
    /// How well whoever calls has proved what it is.
    #[serde(default = "Trust::key")]
    pub trust: Trust,
}

fn no_ticket() -> String {
    remit_domain::ticket::NONE.to_owned()
}

/// Both halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Facts<'a> {
    /// The slice of the registry.
    pub fixed: &'a Fixed,
    /// The call.
    pub dynamic: &'a Dynamic,
}
