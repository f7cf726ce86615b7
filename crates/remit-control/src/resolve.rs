//! From names to ids. A name nobody has is an error that says which field.

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_domain::name::{Email, Name};
use remit_domain::system::System;
use remit_domain::{Person, PersonId, Registry, SystemId, TeamId, Workflow, WorkflowId};

use crate::ControlError;
use crate::error::invalid;
use crate::spec::WorkflowRef;

fn unknown(field: &str, what: &str, name: &dyn std::fmt::Display) -> ControlError {
    invalid(
        field,
        format!("no {what} `{name}` is here; create it first, or correct the name"),
    )
}

/// A person, present.
pub(crate) fn person(
    registry: &Registry,
    field: &str,
    email: &Email,
) -> Result<PersonId, ControlError> {
    let person = registry
        .person_named(email.as_str())
        .ok_or_else(|| unknown(field, "person", email))?;
    if person.is_active() {
        Ok(person.id.clone())
    } else {
        let state = remit_domain::Noun::state(&**person);
        Err(invalid(field, format!("`{email}` is not here: {state}")))
    }
}

/// A person who may be absent.
pub(crate) fn maybe_person(
    registry: &Registry,
    field: &str,
    email: Option<&Email>,
) -> Result<Option<PersonId>, ControlError> {
    email.map(|e| person(registry, field, e)).transpose()
}

/// A team.
pub(crate) fn team(registry: &Registry, field: &str, name: &Name) -> Result<TeamId, ControlError> {
    registry
        .team_named(name.as_str())
        .map(|t| t.id.clone())
        .ok_or_else(|| unknown(field, "team", name))
}

/// A team that may be absent.
pub(crate) fn maybe_team(
    registry: &Registry,
    field: &str,
    name: Option<&Name>,
) -> Result<Option<TeamId>, ControlError> {
    name.map(|n| team(registry, field, n)).transpose()
}

/// Teams.
pub(crate) fn teams(
    registry: &Registry,
    field: &str,
    names: &BTreeSet<Name>,
) -> Result<BTreeSet<TeamId>, ControlError> {
    names.iter().map(|n| team(registry, field, n)).collect()
}

/// A system.
pub(crate) fn system(
    registry: &Registry,
    field: &str,
    name: &Name,
) -> Result<Arc<System>, ControlError> {
    registry
        .system_named(name.as_str())
        .cloned()
        .ok_or_else(|| unknown(field, "system", name))
}

/// Systems.
pub(crate) fn systems(
    registry: &Registry,
    field: &str,
    names: &BTreeSet<Name>,
) -> Result<BTreeSet<SystemId>, ControlError> {
    names
        .iter()
        .map(|n| system(registry, field, n).map(|s| s.id.clone()))
        .collect()
}

/// A workflow, as `agent/workflow`.
pub(crate) fn workflow(
    registry: &Registry,
    field: &str,
    name: &WorkflowRef,
) -> Result<WorkflowId, ControlError> {
    let found: Option<&Arc<Workflow>> = registry
        .agent_named(name.agent.as_str())
        .and_then(|a| registry.workflow_named(&a.id, name.workflow.as_str()));
    found
        .map(|w| w.id.clone())
        .ok_or_else(|| unknown(field, "workflow", name))
}

/// The person of that address, present or not, as a path names them.
pub(crate) fn addressed(registry: &Registry, email: &Email) -> Result<Arc<Person>, ControlError> {
    registry
        .person_named(email.as_str())
        .cloned()
        .ok_or_else(|| crate::error::not_found("person", email))
}
