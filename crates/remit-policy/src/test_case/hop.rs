//! A hop, as a case says it.

use std::collections::BTreeSet;

use remit_domain::name::Name;
use remit_domain::tool::ToolRef;
use remit_domain::{AgentId, PersonId, SystemId, WorkflowId};
use serde::Deserialize;

use super::given::{Given, acting, id};
use crate::engine::Engine;
use crate::facts::{PersonFacts, WorkflowFacts};
use crate::hop::{Gives, HandsOn, HopAction, HopFacts, HopKind};

/// A hop that is tried. Of what a case is given, the agent is the one that receives, and the person the one it acts for; labels,
/// ticket, risk, trust and time count as for a call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriedHop {
    /// What is done; `delegate` where nothing is said.
    #[serde(default = "delegate")]
    pub action: HopAction,
    /// How it comes about.
    pub kind: HopKind,
    /// The agent that hands on; a person does where none is named, and nobody for a client that acts for itself.
    #[serde(default)]
    pub from_agent: Option<Name>,
    /// Tools that it gives.
    #[serde(default)]
    pub tools: BTreeSet<ToolRef>,
    /// Links from the person to the agent, this one included.
    #[serde(default = "one")]
    pub depth: u8,
    /// How many hops may follow.
    #[serde(default)]
    pub hops_left: u8,
    /// Seconds that it lives.
    #[serde(default = "an_hour")]
    pub secs: i64,
}

const fn delegate() -> HopAction {
    HopAction::Delegate
}

const fn one() -> u8 {
    1
}

const fn an_hour() -> i64 {
    3_600
}

impl TriedHop {
    /// # Errors
    /// One line, where a name is none, or a tool is not known.
    pub(crate) fn facts(&self, engine: &Engine, given: Given) -> Result<HopFacts, String> {
        let name = |text: &str| text.parse::<Name>().map_err(|e| e.to_string());
        let (agent, sponsor) = (id(AgentId::from_uuid, 1), id(PersonId::from_uuid, 2));
        let system = id(SystemId::from_uuid, 1);
        let gives = self.gives(engine, &name(&given.system.name)?)?;
        let classes = given.agent.data_classes.clone();
        let classes = classes.unwrap_or_else(|| gives.data_classes.clone());
        let alone = matches!(self.kind, HopKind::ClientCredentials | HopKind::Workload)
            && given.person.is_none()
            && self.from_agent.is_none();
        let person = given.person.clone().unwrap_or_default();
        let person = PersonFacts {
            id: id(PersonId::from_uuid, 1),
            active: true,
            entitlements: person.entitlements,
            roles: person.roles,
            teams: person.teams,
        };
        Ok(HopFacts {
            action: self.action,
            kind: self.kind,
            agent: acting(&given, agent.clone(), classes.clone(), (system, sponsor))?,
            workflow: WorkflowFacts {
                id: id(WorkflowId::from_uuid, 1),
                name: name(&given.workflow)?,
                agent,
                data_classes: classes,
                enabled: true,
                attested: true,
                grants: Vec::new(),
            },
            person: (!alone).then_some(person),
            from: match &self.from_agent {
                Some(from) => HandsOn::Agent(from.clone()),
                None if alone => HandsOn::Itself,
                None => HandsOn::Person,
            },
            depth: if alone { 0 } else { self.depth.into() },
            depth_left: self.hops_left,
            gives,
            secs: self.secs,
            labels: given.labels,
            regulated: given.regulated,
            ticket: given
                .ticket
                .unwrap_or_else(|| remit_domain::ticket::NONE.to_owned()),
            risk: given.risk,
            findings: BTreeSet::new(),
            trust: (self.action == HopAction::Issue).then_some(given.trust),
            now: given.at,
        })
    }

    fn gives(&self, engine: &Engine, system: &Name) -> Result<Gives, String> {
        let mut gives = Gives::default();
        for tool in &self.tools {
            let (_, classification) = engine.tool_known(tool).ok_or_else(|| {
                format!("tool {tool} is not known: register it, or describe it under `tools`")
            })?;
            gives.take(tool, classification, Some(system));
        }
        Ok(gives)
    }
}
