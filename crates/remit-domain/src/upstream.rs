//! Upstreams: the governed servers.

pub mod oauth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, SystemId, name::Name};

pub use oauth::{OauthClient, TokenGrant};

/// An upstream's name, `[a-z][a-z0-9-]{0,19}`; `remit` is reserved.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct UpstreamName(Arc<str>);

/// A text that cannot name an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name an upstream: use 1 to 20 of a-z, 0-9 and -, starting with a letter; `remit` is reserved"
)]
pub struct UpstreamNameError(String);

impl UpstreamName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UpstreamName {
    type Err = UpstreamNameError;
    fn from_str(text: &str) -> Result<Self, UpstreamNameError> {
        if text.len() <= 20 && text != "remit" && text.parse::<Name>().is_ok() {
            Ok(Self(Arc::from(text)))
        } else {
            Err(UpstreamNameError(text.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for UpstreamName {
    type Error = UpstreamNameError;
    fn try_from(text: String) -> Result<Self, UpstreamNameError> {
        text.parse()
    }
}

impl From<UpstreamName> for String {
    fn from(name: UpstreamName) -> String {
        name.0.to_string()
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an upstream is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Transport {
    /// A process, started by the name of an entry in the operator's allowlist. Never a command of the document.
    Stdio {
        /// Entry in the server's configuration.
        command: Name,
    },
    /// MCP Streamable HTTP.
    Http {
        /// `http` (loopback only) or `https` URL of the MCP endpoint.
        url: String,
    },
    /// A server that speaks no MCP, behind a gateway of the organization which asks Remit for each request (an enforcement
    /// point). Its tools are told with `remit upstream declare`; nobody calls it through Remit.
    Guarded,
    /// A process on the agent's own machine, started beside it by `remit mcp wrap`. Remit decides and records its calls,
    /// and nothing but the wrapper keeps the agent from going around it: *cooperative*, not *enforced*. It gets no secret.
    Wrapped,
}

/// What an upstream may ask the agent's side for while a call of its tools is in work. Each is a tool of ours that has to
/// be classified and granted, and each question is decided and recorded as a call of it.
///
/// Source: MCP 2025-11-25 client/sampling, client/elicitation, client/roots; MCP 2026-07-28 basic/patterns/mrtr.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MayAsk {
    /// The agent's model, for a completion.
    Sampling,
    /// The agent's person, for input.
    Elicitation,
    /// The agent's host, for its working directories.
    Roots,
}

impl MayAsk {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Sampling, Self::Elicitation, Self::Roots];

    /// The MCP method of the question.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Sampling => "sampling/createMessage",
            Self::Elicitation => "elicitation/create",
            Self::Roots => "roots/list",
        }
    }

    /// The client capability that the question needs.
    #[must_use]
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::Elicitation => "elicitation",
            Self::Roots => "roots",
        }
    }

    /// The tool that grants are given for.
    #[must_use]
    pub const fn pseudo_tool(self) -> &'static str {
        match self {
            Self::Sampling => "mcp.sampling.create",
            Self::Elicitation => "mcp.elicitation.create",
            Self::Roots => "mcp.roots.list",
        }
    }

    /// The kind of a question, by its MCP method.
    #[must_use]
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.method() == method)
    }
}

/// Where a secret is kept. A record holds the reference, never the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// A file of the server's machine, whose trimmed content is the secret.
    File(PathBuf),
    /// An environment variable of the server's process; only names that start with `REMIT_SECRET_`.
    Env(String),
    /// A secret of the organization in Remit's own vault, by name.
    Vault(Name),
}

impl SecretRef {
    /// The name of the secret, where it is in the vault.
    #[must_use]
    pub const fn vault(&self) -> Option<&Name> {
        match self {
            Self::Vault(name) => Some(name),
            Self::File(_) | Self::Env(_) => None,
        }
    }
}

/// How a secret is put into a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Injection {
    /// As `Authorization: Bearer …`.
    Bearer(SecretRef),
    /// As the named header.
    Header {
        /// Header name.
        name: String,
        /// The secret.
        secret: SecretRef,
    },
    /// As the named parameter of the address. A header is better where the server takes one: addresses get into logs.
    Query {
        /// Parameter name.
        name: String,
        /// The secret.
        secret: SecretRef,
    },
    /// As `Authorization: Basic …` (RFC 7617): the secret is the password.
    Basic {
        /// User name, which is no secret.
        user: String,
        /// The password.
        secret: SecretRef,
    },
    /// As a bearer token that the upstream's own authorization server gives, one for each run.
    Oauth(Box<OauthClient>),
    /// As environment variables of the process at spawn (stdio).
    Environment(BTreeMap<String, SecretRef>),
}

impl Injection {
    /// Every secret it names.
    #[must_use]
    pub fn references(&self) -> Vec<&SecretRef> {
        match self {
            Self::Bearer(reference)
            | Self::Header {
                secret: reference, ..
            }
            | Self::Query {
                secret: reference, ..
            }
            | Self::Basic {
                secret: reference, ..
            } => vec![reference],
            Self::Oauth(client) => client.references(),
            Self::Environment(variables) => variables.values().collect(),
        }
    }
}

/// A governed server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its name, which is also its id and its path `/mcp/{name}`.
    pub name: UpstreamName,
    /// The system it belongs to.
    pub system: SystemId,
    /// How it is reached.
    pub transport: Transport,
    /// The secret it needs, by reference.
    pub secret: Option<Injection>,
    /// Whether one process or session may serve several runs. Never several organizations.
    pub stateless: bool,
    /// Whether it is in use.
    pub enabled: bool,
    /// What it may ask the agent's side for in the middle of a call; nothing unless said.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub may_ask: BTreeSet<MayAsk>,
}

impl Upstream {
    /// Whether its calls pass Remit only as long as the wrapper beside the agent is used.
    #[must_use]
    pub const fn is_cooperative(&self) -> bool {
        matches!(self.transport, Transport::Wrapped)
    }

    /// Whether Remit never reaches it itself: its tools are told, not asked for.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        matches!(self.transport, Transport::Wrapped | Transport::Guarded)
    }

    /// Whether only an enforcement point stands before it.
    #[must_use]
    pub const fn is_guarded(&self) -> bool {
        matches!(self.transport, Transport::Guarded)
    }

    /// `cooperative` for a wrapped server, `enforced` for every other: what stands between an agent and the server.
    #[must_use]
    pub const fn enforcement(&self) -> &'static str {
        if self.is_cooperative() {
            "cooperative"
        } else {
            "enforced"
        }
    }
}

impl Noun for Upstream {
    const KIND: Kind = Kind::Upstream;
    fn key(&self) -> String {
        self.name.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
    fn parent(&self) -> Option<String> {
        Some(self.system.to_string())
    }
    fn state(&self) -> &'static str {
        if self.enabled { "active" } else { "disabled" }
    }
}
