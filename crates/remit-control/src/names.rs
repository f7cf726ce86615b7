//! What people call things: ids turned into names, for views. An id nobody knows any more stays an id.

use remit_domain::{AgentId, PersonId, Principal, Registry, WorkflowId};

/// A person's address.
pub(crate) fn person(registry: &Registry, id: &PersonId) -> String {
    registry
        .people
        .get(id)
        .map_or_else(|| id.to_string(), |p| p.email.to_string())
}

/// An agent's name.
pub(crate) fn agent(registry: &Registry, id: &AgentId) -> String {
    registry
        .agents
        .get(id)
        .map_or_else(|| id.to_string(), |a| a.name.to_string())
}

/// A workflow as `agent/workflow`.
pub(crate) fn workflow(registry: &Registry, id: &WorkflowId) -> String {
    registry.workflows.get(id).map_or_else(
        || id.to_string(),
        |w| format!("{}/{}", agent(registry, &w.agent), w.name),
    )
}

/// Who acts, by name.
pub(crate) fn principal(registry: &Registry, who: &Principal) -> String {
    match who {
        Principal::Person(id) => person(registry, id),
        Principal::Agent(id) => agent(registry, id),
        Principal::Directory(id) => registry
            .scim_clients
            .get(id)
            .map_or_else(|| id.to_string(), |c| format!("directory {}", c.name)),
        Principal::Transmitter(id) => registry
            .signal_transmitters
            .get(id)
            .map_or_else(|| id.to_string(), |t| format!("transmitter {}", t.name)),
        Principal::Operator | Principal::Remit => who.to_string(),
    }
}
