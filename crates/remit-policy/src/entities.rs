//! The registry slice as Cedar entities.
//!
//! Entities carry names, which people write in policies and which are never reused: `Agent::"support"` in
//! `Workflow::"support/refund"`, `Tool::"orders/refund"` in `Upstream::"orders"` in `System::"orders"`. What stays the
//! same from call to call (run, person) is an entity too, so that it is built once and not for each call.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use cedar_policy::{
    Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Expr,
};
use cedar_policy_core::ast::{EntityUID, EntityUIDEntry};
use remit_domain::system::{Criticality, Environment};
use remit_domain::tool::{Classification, ToolRef, ToolState};

use crate::error::PolicyError;
use crate::facts::{AgentFacts, Fixed, PersonFacts, WorkflowFacts};
use crate::schema::{groups, is_external};

/// A rank above every environment: a tool of no known system is out of everyone's reach.
const NOWHERE: i64 = i64::MAX;

/// The names of the entity types, parsed once.
#[derive(Debug, Clone)]
pub(crate) struct Types {
    action: EntityTypeName,
    agent: EntityTypeName,
    person: EntityTypeName,
    run: EntityTypeName,
    system: EntityTypeName,
    tool: EntityTypeName,
    upstream: EntityTypeName,
    workflow: EntityTypeName,
}

impl Types {
    pub(crate) fn new() -> Result<Self, PolicyError> {
        let name = |name: &str| {
            name.parse()
                .map_err(|e| PolicyError::Schema(format!("{e}")))
        };
        Ok(Self {
            action: name("Action")?,
            agent: name("Agent")?,
            person: name("Person")?,
            run: name("Run")?,
            system: name("System")?,
            tool: name("Tool")?,
            upstream: name("Upstream")?,
            workflow: name("Workflow")?,
        })
    }

    pub(crate) fn action(&self, id: &str) -> EntityUid {
        uid(&self.action, id)
    }

    pub(crate) fn agent(&self, name: &str) -> EntityUid {
        uid(&self.agent, name)
    }

    /// The person of that id, or the one that stands for nobody.
    pub(crate) fn person(&self, person: Option<&PersonFacts>) -> EntityUid {
        uid(&self.person, person.map_or("none", |p| p.id.as_str()))
    }

    pub(crate) fn tool(&self, tool: &ToolRef) -> EntityUid {
        uid(&self.tool, &tool.to_string())
    }

    pub(crate) fn upstream(&self, tool: &ToolRef) -> EntityUid {
        uid(&self.upstream, tool.upstream().as_str())
    }

    pub(crate) fn workflow(&self, agent: &str, workflow: &str) -> EntityUid {
        uid(&self.workflow, &format!("{agent}/{workflow}"))
    }

    pub(crate) fn is_system(&self, uid: &EntityUid) -> bool {
        *uid.type_name() == self.system
    }
}

fn uid(name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
}

/// Entities of one slice, and the four that a request names.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) entities: Entities,
    pub(crate) principal: EntityUid,
    pub(crate) action: EntityUid,
    pub(crate) resource: EntityUid,
    /// Principal, action and resource, as every request has them.
    pub(crate) asked: [EntityUIDEntry; 3],
    pub(crate) run: Arc<EntityUID>,
    pub(crate) person: Arc<EntityUID>,
    pub(crate) workflow: EntityUid,
}

/// # Errors
/// One line, when Cedar refuses an entity; the caller denies.
pub(crate) fn cast(types: &Types, fixed: &Fixed, changed: bool) -> Result<Cast, String> {
    let Fixed {
        agent,
        workflow,
        tool,
        system,
        person,
        ..
    } = fixed;
    let run = uid(&types.run, "current");
    let who = types.person(person.as_ref());
    let (principal, action, resource) = (
        types.agent(agent.name.as_str()),
        types.action(&tool.tool.to_string()),
        types.tool(&tool.tool),
    );
    let asked = [&principal, &action, &resource];
    let names = Cast {
        entities: Entities::empty(),
        asked: asked.map(|uid| EntityUIDEntry::known(uid.clone().into(), None)),
        principal,
        action,
        resource,
        run: Arc::new(run.clone().into()),
        person: Arc::new(who.clone().into()),
        workflow: types.workflow(agent.name.as_str(), workflow.name.as_str()),
    };
    let place = uid(
        &types.system,
        system.as_ref().map_or("", |s| s.name.as_str()),
    );
    let upstream = types.upstream(&tool.tool);
    let mut all = vec![
        agent_entity(agent, names.principal.clone(), names.workflow.clone())?,
        workflow_entity(workflow, names.workflow.clone())?,
        tool_entity(fixed, &names, changed, place.clone(), upstream.clone())?,
        entity(
            upstream,
            vec![("name", string(tool.tool.upstream().as_str()))],
            [place.clone()],
        )?,
        system_entity(fixed, place)?,
        run_entity(fixed, run)?,
        person_entity(person.as_ref(), who)?,
    ];
    let parents: Vec<_> = groups(tool.classification.as_ref())
        .iter()
        .map(|id| types.action(id))
        .collect();
    all.extend(
        parents
            .iter()
            .map(|id| Entity::new_no_attrs(id.clone(), HashSet::new())),
    );
    all.push(Entity::new_no_attrs(
        names.action.clone(),
        parents.into_iter().collect(),
    ));
    let entities = Entities::from_entities(all, None).map_err(|e| e.to_string())?;
    Ok(Cast { entities, ..names })
}

pub(crate) fn workflow_entity(workflow: &WorkflowFacts, uid: EntityUid) -> Result<Entity, String> {
    let attrs = vec![
        ("id", string(workflow.id.as_str())),
        ("name", string(workflow.name.as_str())),
        ("enabled", Expr::new_bool(workflow.enabled)),
        ("attested", Expr::new_bool(workflow.attested)),
        ("data_classes", strings(&workflow.data_classes)),
    ];
    entity(uid, attrs, [])
}

fn run_entity(fixed: &Fixed, uid: EntityUid) -> Result<Entity, String> {
    let run = &fixed.run;
    let declared = run.intent.authority.effects.iter().flatten();
    let effects = declared.map(|e| string(e.as_str()));
    let mut attrs = vec![
        ("purpose", string(&run.intent.purpose)),
        ("mode", string(run.mode.as_str())),
        ("effects", Expr::new_set(effects)),
        ("discovery", Expr::new_bool(run.discovery.is_some())),
    ];
    attrs.extend(run.intent.ticket.as_ref().map(|t| ("ticket", string(t))));
    entity(uid, attrs, [])
}

pub(crate) fn agent_entity(
    agent: &AgentFacts,
    uid: EntityUid,
    workflow: EntityUid,
) -> Result<Entity, String> {
    let attrs = vec![
        ("id", string(agent.id.as_str())),
        ("name", string(agent.name.as_str())),
        ("state", string(agent.state.as_str())),
        ("tier", Expr::new_long(u8::from(agent.tier).into())),
        ("environment", string(agent.environment.as_str())),
        (
            "environment_rank",
            Expr::new_long(environment_rank(agent.environment)),
        ),
        ("data_classes", strings(&agent.data_classes)),
        ("systems", strings(&agent.systems)),
        ("enforcement", string(enforcement(agent.enforcement))),
        ("owner_living", Expr::new_bool(agent.owner_living)),
        ("sponsor_living", Expr::new_bool(agent.sponsor_living)),
        ("workflow", Expr::new_entity_uid(workflow.clone())),
    ];
    entity(uid, attrs, [workflow])
}

fn tool_entity(
    fixed: &Fixed,
    names: &Cast,
    changed: bool,
    system: EntityUid,
    upstream: EntityUid,
) -> Result<Entity, String> {
    let tool = &fixed.tool;
    let class = tool.classification.as_ref();
    let none = BTreeSet::new();
    let attrs = vec![
        ("name", string(tool.tool.tool())),
        ("upstream", string(tool.tool.upstream().as_str())),
        (
            "effect",
            string(class.map_or("unclassified", |c| c.effect.as_str())),
        ),
        ("external", Expr::new_bool(class.is_none_or(is_external))),
        ("classified", Expr::new_bool(class.is_some())),
        (
            "usable",
            Expr::new_bool(
                matches!(tool.state, ToolState::Enabled | ToolState::Changed)
                    && tool.upstream_enabled,
            ),
        ),
        ("state", string(tool.state.as_str())),
        (
            "changed",
            Expr::new_bool(changed || tool.state == ToolState::Changed),
        ),
        (
            "data_classes",
            strings(class.map_or(&none, |c: &Classification| &c.data_classes)),
        ),
        (
            "untrusted_content",
            Expr::new_bool(class.is_none_or(|c| c.untrusted_content)),
        ),
        (
            "regulated",
            Expr::new_bool(class.is_none_or(|c| {
                c.data_classes
                    .iter()
                    .any(|class| fixed.is_regulated(class.as_str()))
            })),
        ),
        (
            "metadata",
            Expr::new_bool(class.is_some_and(|c| c.metadata)),
        ),
        (
            "entitlements",
            strings(class.map_or(&none, |c| &c.entitlements)),
        ),
        ("system", Expr::new_entity_uid(system)),
    ];
    entity(names.resource.clone(), attrs, [upstream])
}

fn system_entity(fixed: &Fixed, uid: EntityUid) -> Result<Entity, String> {
    let system = fixed.system.as_ref();
    let attrs = vec![
        ("id", string(system.map_or("", |s| s.id.as_str()))),
        ("name", string(system.map_or("", |s| s.name.as_str()))),
        (
            "environment",
            string(system.map_or("unknown", |s| s.environment.as_str())),
        ),
        (
            "environment_rank",
            Expr::new_long(system.map_or(NOWHERE, |s| environment_rank(s.environment))),
        ),
        (
            "criticality",
            string(system.map_or("unknown", |s| s.criticality.as_str())),
        ),
        (
            "criticality_rank",
            Expr::new_long(system.map_or(NOWHERE, |s| criticality_rank(s.criticality))),
        ),
        (
            "trust",
            Expr::new_long(system.map_or(NOWHERE, |s| s.trust.rank())),
        ),
    ];
    entity(uid, attrs, [])
}

pub(crate) fn person_entity(
    person: Option<&PersonFacts>,
    uid: EntityUid,
) -> Result<Entity, String> {
    let words = |words: Vec<&str>| Expr::new_set(words.into_iter().map(string));
    let attrs = vec![
        ("id", string(person.map_or("", |p| p.id.as_str()))),
        ("present", Expr::new_bool(person.is_some())),
        ("active", Expr::new_bool(person.is_some_and(|p| p.active))),
        (
            "entitlements",
            words(person.map_or(Vec::new(), |p| {
                p.entitlements.iter().map(|e| e.as_str()).collect()
            })),
        ),
        (
            "roles",
            words(person.map_or(Vec::new(), |p| p.roles.iter().map(|r| r.as_str()).collect())),
        ),
        (
            "teams",
            words(person.map_or(Vec::new(), |p| p.teams.iter().map(|t| t.as_str()).collect())),
        ),
    ];
    entity(uid, attrs, [])
}

fn entity<const N: usize>(
    uid: EntityUid,
    attrs: Vec<(&str, Expr)>,
    parents: [EntityUid; N],
) -> Result<Entity, String> {
    let attrs = attrs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Entity::new(uid, attrs, HashSet::from(parents)).map_err(|e| e.to_string())
}

fn string(text: &str) -> Expr {
    Expr::new_string(text.to_owned())
}

fn strings<T: ToString>(words: &BTreeSet<T>) -> Expr {
    Expr::new_set(words.iter().map(|w| Expr::new_string(w.to_string())))
}

/// 1 development to 4 production.
const fn environment_rank(environment: Environment) -> i64 {
    match environment {
        Environment::Development => 1,
        Environment::Test => 2,
        Environment::Staging => 3,
        Environment::Production => 4,
    }
}

/// 1 low to 4 critical.
const fn criticality_rank(criticality: Criticality) -> i64 {
    match criticality {
        Criticality::Low => 1,
        Criticality::Medium => 2,
        Criticality::High => 3,
        Criticality::Critical => 4,
    }
}

const fn enforcement(enforcement: remit_domain::agent::Enforcement) -> &'static str {
    use remit_domain::agent::Enforcement as E;
    match enforcement {
        E::Gateway => "gateway",
        E::Adapter => "adapter",
        E::External => "external",
        E::None => "none",
    }
}
