//! Upstreams: the governed servers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, SystemId, name::Name};

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
}

/// Where a secret is kept: Remit stores the reference, never the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// A file of the server's machine, whose trimmed content is the secret.
    File(PathBuf),
    /// An environment variable of the server's process; only names that start with `REMIT_SECRET_`.
    Env(String),
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
    /// As environment variables of the process at spawn (stdio).
    Environment(BTreeMap<String, SecretRef>),
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
