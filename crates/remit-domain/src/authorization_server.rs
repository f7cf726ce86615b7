//! Authorization servers of others, in front of resources that agents use: to which of them an agent may carry the word that it
//! acts for a person (ID-JAG).
//!
//! The list is closed: a server that is not in it, or not for that workflow, gets no assertion; nor does it get a scope or
//! resource that is not listed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::{AgentId, AuthorizationServerId, Kind, Noun, Principal, Timestamp, WorkflowId};

/// Most authorization servers of one organization.
pub const SERVERS_MAX: usize = 200;
/// Most clients of one server.
pub const CLIENTS_MAX: usize = 200;
/// Most scopes, and most resources, of one client.
pub const SCOPES_MAX: usize = 64;
/// Longest client id, scope or resource, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;

/// What a workflow is at a server, and what may be asserted of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientThere {
    /// Which agent.
    pub agent: AgentId,
    /// In which of its workflows.
    pub workflow: WorkflowId,
    /// Its client id at the server.
    pub client_id: String,
    /// Scopes of the server that may be asked for.
    pub scopes: BTreeSet<String>,
    /// Resources (RFC 9728 identifiers) that may be asked for.
    pub resources: BTreeSet<String>,
}

/// An authorization server of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationServer {
    /// Its id.
    pub id: AuthorizationServerId,
    /// Its name here.
    pub name: Name,
    /// What it is, for people.
    pub description: String,
    /// Its issuer, byte for byte: the one audience of what is asserted to it.
    pub issuer: String,
    /// Which workflows may carry assertions to it.
    pub clients: Vec<ClientThere>,
    /// Whether it is told the address of the person, beside the id that the person has here.
    pub share_email: bool,
    /// Whether anything is asserted to it now.
    pub enabled: bool,
    /// Why, for people.
    pub reason: String,
    /// Who changed it last.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl AuthorizationServer {
    /// What a workflow is there.
    pub fn client_of(&self, agent: &AgentId, workflow: &WorkflowId) -> Option<&ClientThere> {
        self.clients
            .iter()
            .find(|client| client.agent == *agent && client.workflow == *workflow)
    }
}

impl Noun for AuthorizationServer {
    const KIND: Kind = Kind::AuthorizationServer;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
    fn state(&self) -> &'static str {
        if self.enabled { "active" } else { "disabled" }
    }
}
