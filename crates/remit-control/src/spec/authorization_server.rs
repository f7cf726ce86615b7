//! Authorization servers of others.

use std::collections::BTreeSet;

use remit_domain::Registry;
use remit_domain::authorization_server::AuthorizationServer;
use remit_domain::name::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};
use super::workflow::WorkflowRef;

/// An authorization server of somebody else, to which agents may carry the word that they act for a person (ID-JAG).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationServerSpec {
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// Its issuer, exactly as its metadata has it: the one audience of what is asserted to it.
    pub issuer: String,
    /// Which workflows may assert something to it; none where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientThereSpec>,
    /// Whether it is told the address of the person, beside the id that the person has here.
    #[serde(default)]
    pub share_email: bool,
    /// Why, for people.
    pub reason: String,
    /// Whether anything is asserted to it now.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

/// What a workflow is at a server, and what may be asserted of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientThereSpec {
    /// The agent.
    pub agent: Name,
    /// Which of its workflows.
    pub workflow: Name,
    /// Its client id at the server.
    pub client_id: String,
    /// Scopes of the server that may be asked for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<String>,
    /// Resources that may be asked for, by their identifiers (RFC 9728).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub resources: BTreeSet<String>,
}

impl AuthorizationServerSpec {
    /// As it is now; none when an agent or workflow it names is not known any more.
    pub fn of(registry: &Registry, server: &AuthorizationServer) -> Option<Self> {
        let clients = server.clients.iter().map(|client| {
            Some(ClientThereSpec {
                agent: registry.agents.get(&client.agent)?.name.clone(),
                workflow: registry.workflows.get(&client.workflow)?.name.clone(),
                client_id: client.client_id.clone(),
                scopes: client.scopes.clone(),
                resources: client.resources.clone(),
            })
        });
        Some(Self {
            description: server.description.clone(),
            issuer: server.issuer.clone(),
            clients: clients.collect::<Option<_>>()?,
            share_email: server.share_email,
            reason: server.reason.clone(),
            enabled: server.enabled,
        })
    }
}

impl References for AuthorizationServerSpec {
    fn references(&self) -> Vec<Reference> {
        let clients = self.clients.iter().map(|client| {
            let workflow = WorkflowRef {
                agent: client.agent.clone(),
                workflow: client.workflow.clone(),
            };
            Reference::workflow("clients", &workflow)
        });
        clients.collect()
    }
}
