//! Tools: one action on an upstream, with the effect an administrator declared for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounds::ArgPath;
use crate::upstream::UpstreamName;
use crate::{Kind, Noun, name::Name};

/// What a call of the tool does to the world. Declared by an administrator; a server's own annotations are hints.
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
#[expect(missing_docs, reason = "each variant is the effect of the same name")]
pub enum Effect {
    Read,
    Draft,
    Write,
    Destructive,
    External,
    Execute,
    Purchase,
    Privilege,
}

impl Effect {
    /// The effect as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Draft => "draft",
            Self::Write => "write",
            Self::Destructive => "destructive",
            Self::External => "external",
            Self::Execute => "execute",
            Self::Purchase => "purchase",
            Self::Privilege => "privilege",
        }
    }
}

/// A class of data, such as `customer-pii`.
pub type DataClass = Name;

/// Data classes that law or contract regulates everywhere: changing them and sending them outside waits for a person. An
/// organization names more of its own; none of these can be taken away, since guardrails rest on them.
pub const REGULATED: [&str; 10] = [
    "bank-account",
    "credential",
    "customer-pii",
    "employee-pii",
    "health-data",
    "national-id",
    "payment-card",
    "payment-data",
    "pii",
    "regulated",
];

/// Whether a data class, or the label it raises, is one of [`REGULATED`] or of the organization's `own`.
pub fn is_regulated(class: &str, own: &BTreeSet<DataClass>) -> bool {
    REGULATED.contains(&class) || own.iter().any(|c| c.as_str() == class)
}

/// A tool on the wire of policies and documents: `upstream/tool`.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ToolRef {
    upstream: UpstreamName,
    tool: Arc<str>,
}

/// Longest tool name, in bytes (MCP 2026-07-28 server/tools).
pub const TOOL_NAME_BYTES_MAX: usize = 128;

/// A text that is not `upstream/tool`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a tool: write upstream/tool, the tool as 1 to 128 of A-Z a-z 0-9 _ . - /")]
pub struct ToolRefError(String);

impl ToolRef {
    /// The tool `tool` of `upstream`.
    ///
    /// # Errors
    /// [`ToolRefError`] when the tool's name has other characters or another length than MCP permits.
    pub fn new(upstream: UpstreamName, tool: &str) -> Result<Self, ToolRefError> {
        let ok = (1..=TOOL_NAME_BYTES_MAX).contains(&tool.len())
            && tool
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-/".contains(&b));
        if ok {
            Ok(Self {
                upstream,
                tool: Arc::from(tool),
            })
        } else {
            Err(ToolRefError(tool.chars().take(160).collect()))
        }
    }

    /// The upstream's name.
    pub fn upstream(&self) -> &UpstreamName {
        &self.upstream
    }

    /// The tool's name at its upstream.
    pub fn tool(&self) -> &str {
        &self.tool
    }
}

impl fmt::Display for ToolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.upstream, self.tool)
    }
}

impl fmt::Debug for ToolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ToolRef {
    type Err = ToolRefError;
    fn from_str(text: &str) -> Result<Self, ToolRefError> {
        let wrong = || ToolRefError(text.chars().take(160).collect());
        let (upstream, tool) = text.split_once('/').ok_or_else(wrong)?;
        Self::new(upstream.parse().map_err(|_| wrong())?, tool)
    }
}

impl TryFrom<String> for ToolRef {
    type Error = ToolRefError;
    fn try_from(text: String) -> Result<Self, ToolRefError> {
        text.parse()
    }
}

impl From<ToolRef> for String {
    fn from(tool: ToolRef) -> String {
        tool.to_string()
    }
}

/// What an administrator declared of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// What a call does.
    pub effect: Effect,
    /// Whether a call also reaches outside the organization. Implied by the effect `external`.
    #[serde(default)]
    pub external: bool,
    /// Data classes a call touches; each becomes a label of the run.
    #[serde(default)]
    pub data_classes: BTreeSet<DataClass>,
    /// Whether a result carries content nobody vouches for; becomes the label `untrusted`.
    #[serde(default)]
    pub untrusted_content: bool,
    /// Entitlements the person must hold whom the agent acts for.
    #[serde(default)]
    pub entitlements: BTreeSet<Name>,
    /// Arguments that name the object acted on, and the kind of object (`order`, `person`): what an intent bounds.
    #[serde(default)]
    pub targets: BTreeMap<ArgPath, Name>,
    /// Whether results hold nothing but metadata: names, types, sizes, schemas; no content. What may be called by a run that
    /// only looks around.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metadata: bool,
    /// The argument that names the customer whose data a call touches, written alike by every tool that names one: a run
    /// that has touched one customer does not act on another alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<ArgPath>,
    /// Arguments whose values may be shown in summaries. Default: names and types only.
    #[serde(default)]
    pub show: BTreeSet<ArgPath>,
}

/// Where a tool stands between discovery and use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// Found, not classified: refused.
    Disabled,
    /// Classified and approved as defined.
    Enabled,
    /// Its definition changed since it was approved: refused with `tool-changed` until re-approved.
    Changed,
    /// No longer offered by its upstream: refused.
    Gone,
}

impl ToolState {
    /// The state as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

/// A definition as an upstream gave it, and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// SHA-256 (hex) over the RFC 8785 form of name, title, description, schemas and annotations.
    pub hash: String,
    /// The definition itself, an MCP `Tool` object.
    pub body: Value,
}

/// One action on an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Which tool of which upstream.
    pub tool: ToolRef,
    /// Approved definition (or, while disabled, the one found).
    pub definition: Definition,
    /// The definition seen since, when it differs.
    pub pending: Option<Definition>,
    /// What an administrator declared; absent while disabled.
    pub classification: Option<Classification>,
    /// Where it stands.
    pub state: ToolState,
}

impl Tool {
    /// The tool's input schema (JSON Schema), `true` when it declares none.
    pub fn input_schema(&self) -> &Value {
        static ANY: Value = Value::Bool(true);
        self.definition.body.get("inputSchema").unwrap_or(&ANY)
    }

    /// Whether a call may run ahead of its record: declared read, and not external (invariant 2).
    pub fn may_run_ahead(&self) -> bool {
        self.classification
            .as_ref()
            .is_some_and(|c| c.effect == Effect::Read && !c.external)
    }
}

impl Noun for Tool {
    const KIND: Kind = Kind::Tool;
    fn key(&self) -> String {
        self.tool.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.tool.upstream().to_string())
    }
    fn state(&self) -> &'static str {
        self.state.as_str()
    }
}
