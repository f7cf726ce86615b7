//! From what a case says to the facts of a call.

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::agent::{AgentState, Enforcement, Tier};
use remit_domain::attestation::Trust;
use remit_domain::authority::Authority;
use remit_domain::bounds::{Bounds, Cumulative};
use remit_domain::discovery::Discovery;
use remit_domain::name::Name;
use remit_domain::run::{Intent, Mode};
use remit_domain::system::{Criticality, Environment};
use remit_domain::tool::{Classification, DataClass, ToolRef, ToolState};
use remit_domain::workflow::Grant;
use remit_domain::{
    AgentId, DelegationId, GrantId, PersonId, Principal, Role, RunId, SystemId, Timestamp,
    WorkflowId,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::facts::{
    AgentFacts, DiscoveryFacts, Dynamic, Fixed, Link, PersonFacts, RunFacts, SystemFacts,
    ToolFacts, WorkflowFacts,
};

/// What a case says of its call; whatever it leaves out is as permissive as guardrails allow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// The agent.
    pub agent: GivenAgent,
    /// Name of its workflow.
    pub workflow: String,
    /// Whether the workflow is granted the tool.
    pub granted: bool,
    /// Bounds of the grant.
    pub bounds: Bounds,
    /// Cumulative limits of the grant.
    pub limits: Vec<Cumulative>,
    /// Whether the grant releases the call for autonomy.
    pub released: bool,
    /// The system that the tool belongs to.
    pub system: GivenSystem,
    /// The person whom the agent acts for; where the tool requires entitlements, one who holds them.
    pub person: Option<GivenPerson>,
    /// Labels that the run carries.
    pub labels: BTreeSet<String>,
    /// Data classes that are regulated besides those that are everywhere.
    pub regulated: BTreeSet<DataClass>,
    /// Whether the run only looks around, and how much.
    pub discovery: Option<Discovery>,
    /// The arguments.
    pub args: Map<String, Value>,
    /// When.
    pub at: Timestamp,
    /// How the run came to be.
    pub mode: Mode,
    /// What the run is for, and what bounds it.
    pub intent: Intent,
    /// Used so far, by counter.
    pub used: BTreeMap<String, i64>,
    /// State of the ticket that the run names.
    pub ticket: Option<String>,
    /// The greatest risk of open findings, 0 to 3.
    pub risk: u8,
    /// How well whoever calls has proved what it is.
    pub trust: Trust,
}

/// The agent of a case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenAgent {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: AgentState,
    /// Its tier.
    pub tier: u8,
    /// Where it runs.
    pub environment: Environment,
    /// Data classes that it and its workflow may touch; those of the tool where absent.
    pub data_classes: Option<BTreeSet<DataClass>>,
}

/// The system of a case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenSystem {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub environment: Environment,
    /// How much harm misuse does.
    pub criticality: Criticality,
    /// How well whoever calls has to have proved what it is; as the criticality says where absent.
    pub trust: Option<Trust>,
}

/// The person of a case.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenPerson {
    /// What they are entitled to.
    pub entitlements: BTreeSet<Name>,
    /// Their roles.
    pub roles: BTreeSet<Role>,
    /// Their teams.
    pub teams: BTreeSet<Name>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            agent: GivenAgent::default(),
            workflow: "work".to_owned(),
            granted: true,
            bounds: Bounds::default(),
            limits: Vec::new(),
            released: true,
            system: GivenSystem::default(),
            person: None,
            labels: BTreeSet::new(),
            regulated: BTreeSet::new(),
            discovery: None,
            args: Map::new(),
            // A Wednesday at noon.
            at: Timestamp::from_secs(1_767_787_200),
            mode: Mode::Api,
            intent: Intent::default(),
            used: BTreeMap::new(),
            ticket: None,
            risk: 0,
            trust: Trust::Attested,
        }
    }
}

impl Default for GivenAgent {
    fn default() -> Self {
        Self {
            name: "agent".to_owned(),
            state: AgentState::Active,
            tier: 4,
            environment: Environment::Production,
            data_classes: None,
        }
    }
}

impl Default for GivenSystem {
    fn default() -> Self {
        Self {
            name: "system".to_owned(),
            environment: Environment::Production,
            criticality: Criticality::High,
            trust: None,
        }
    }
}

/// A day, in seconds: what is made up lives this long.
const DAY: i64 = 86_400;

/// What a case says over what every case starts from.
pub(super) fn read(base: &Value, case: &Value) -> Result<Given, String> {
    let mut merged = if base.is_null() {
        Value::Object(Map::new())
    } else {
        base.clone()
    };
    if !case.is_null() {
        merge(&mut merged, case);
    }
    serde_json::from_value(merged).map_err(|e| e.to_string())
}

pub(super) fn facts(
    base: &Value,
    case: &Value,
    tool: &ToolRef,
    hash: &str,
    classification: Option<&Classification>,
) -> Result<(Fixed, Dynamic), String> {
    let given = read(base, case)?;
    let name = |text: &str| text.parse::<Name>().map_err(|e| e.to_string());
    let (agent, sponsor) = (id(AgentId::from_uuid, 1), id(PersonId::from_uuid, 2));
    let system = id(SystemId::from_uuid, 1);
    let classes = given.agent.data_classes.clone().unwrap_or_else(|| {
        classification
            .map(|c| c.data_classes.clone())
            .unwrap_or_default()
    });
    let (person, chain) = person(&given, classification, &agent);
    let fixed = Fixed {
        agent: acting(
            &given,
            agent.clone(),
            classes.clone(),
            (system.clone(), sponsor.clone()),
        )?,
        workflow: WorkflowFacts {
            id: id(WorkflowId::from_uuid, 1),
            name: name(&given.workflow)?,
            agent,
            data_classes: classes,
            enabled: true,
            attested: true,
            grants: grants(&given, tool, sponsor),
        },
        tool: ToolFacts {
            tool: tool.clone(),
            definition_hash: hash.to_owned(),
            state: ToolState::Enabled,
            upstream_enabled: true,
            classification: classification.cloned(),
        },
        system: Some(place(&given, system)?),
        person,
        chain,
        run: run(&given),
        regulated: given.regulated,
        settings: Vec::new(),
        limits: Vec::new(),
        times: Vec::new(),
    };
    let mut dynamic = Dynamic {
        args: Value::Object(given.args),
        labels: given.labels,
        counters: given.used,
        risk: given.risk,
        trust: given.trust,
        ..Dynamic::at(given.at)
    };
    if let Some(ticket) = given.ticket {
        dynamic.ticket = ticket;
    }
    Ok((fixed, dynamic))
}

fn place(given: &Given, id: SystemId) -> Result<SystemFacts, String> {
    let system = &given.system;
    Ok(SystemFacts {
        id,
        name: system.name.parse().map_err(|e| format!("{e}"))?,
        environment: system.environment,
        criticality: system.criticality,
        trust: system.trust.unwrap_or(system.criticality.trust()),
    })
}

fn run(given: &Given) -> RunFacts {
    RunFacts {
        root: id(RunId::from_uuid, 1),
        intent: given.intent.clone(),
        mode: given.mode,
        deadline: given.at.plus_secs(DAY),
        discovery: given.discovery.map(|within| DiscoveryFacts {
            over: id(RunId::from_uuid, 1),
            until: given.at.plus_secs(within.secs.into()),
            within,
        }),
    }
}

pub(super) fn acting(
    given: &Given,
    agent: AgentId,
    classes: BTreeSet<DataClass>,
    (system, sponsor): (SystemId, PersonId),
) -> Result<AgentFacts, String> {
    Ok(AgentFacts {
        id: agent,
        name: given
            .agent
            .name
            .parse::<Name>()
            .map_err(|e| e.to_string())?,
        state: given.agent.state,
        tier: Tier::try_from(given.agent.tier).map_err(|e| e.to_string())?,
        environment: given.agent.environment,
        data_classes: classes,
        systems: [system].into(),
        enforcement: Enforcement::Gateway,
        sponsor,
        owner_living: true,
        sponsor_living: true,
    })
}

pub(super) fn id<T>(make: impl FnOnce(uuid::Uuid) -> T, n: u128) -> T {
    make(uuid::Uuid::from_u128(n))
}

fn grants(given: &Given, tool: &ToolRef, by: PersonId) -> Vec<Grant> {
    let grant = || Grant {
        id: id(GrantId::from_uuid, 1),
        tool: tool.clone(),
        bounds: given.bounds.clone(),
        limits: given.limits.clone(),
        expires: None,
        autonomy: given.released.then(|| "given by the test".to_owned()),
        granted_by: by,
        granted_at: given.at,
    };
    given.granted.then(grant).into_iter().collect()
}

fn person(
    given: &Given,
    classification: Option<&Classification>,
    agent: &AgentId,
) -> (Option<PersonFacts>, Vec<Link>) {
    let required = classification
        .map(|c| c.entitlements.clone())
        .unwrap_or_default();
    let given_person = match &given.person {
        Some(person) => person.clone(),
        None if required.is_empty() => return (None, Vec::new()),
        None => GivenPerson {
            entitlements: required,
            ..GivenPerson::default()
        },
    };
    let person = id(PersonId::from_uuid, 1);
    let link = Link {
        from: Principal::Person(person.clone()),
        to: agent.clone(),
        delegation: id(DelegationId::from_uuid, 1),
        authority: Authority::default(),
        expires: given.at.plus_secs(DAY),
        depth_left: 0,
    };
    let facts = PersonFacts {
        id: person,
        active: true,
        entitlements: given_person.entitlements,
        roles: given_person.roles,
        teams: given_person.teams,
    };
    (Some(facts), vec![link])
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else {
        return;
    };
    for (key, value) in patch {
        match value {
            Value::Null => drop(object.remove(key)),
            value => merge(object.entry(key.as_str()).or_insert(Value::Null), value),
        }
    }
}
