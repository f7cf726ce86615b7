//! What documents and REST bodies hold: one type a kind, with names where the nouns have ids.
//!
//! Unknown fields are refused. `of` turns a noun into its spec; writing what it returns changes nothing.

mod agent;
mod any;
mod authorization_server;
mod enforcement_point;
mod freeze;
mod limit;
mod organization;
mod person;
mod policy_set;
mod setting;
mod system;
mod tool;
mod trusted_issuer;
mod upstream;
mod workflow;

use schemars::Schema;
use serde::{Deserialize, Serialize};

pub use agent::AgentSpec;
pub use any::AnySpec;
pub(crate) use any::Reference;
pub use authorization_server::{AuthorizationServerSpec, ClientThereSpec};
pub use enforcement_point::{AssignedSpec, EnforcementPointSpec};
pub use freeze::FreezeSpec;
pub use limit::LimitSpec;
pub use organization::{OnCallSpec, OrganizationSpec, TeamSpec};
pub use person::PersonSpec;
pub use policy_set::PolicySetSpec;
pub use setting::{SettingName, SettingSpec};
pub use system::SystemSpec;
pub use tool::ToolSpec;
pub use trusted_issuer::{IdentitiesSpec, TrustedIssuerSpec, WorkloadRuleSpec};
pub use upstream::UpstreamSpec;
pub use workflow::{GrantSpec, WorkflowRef, WorkflowSpec};

/// `apiVersion` of every document.
pub const API_VERSION: &str = "remit.dev/v1";

/// Kinds of documents, in the order in which they depend on each other.
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
#[expect(missing_docs, reason = "each variant is the kind of the same name")]
pub enum DocumentKind {
    Organization,
    Team,
    Person,
    System,
    Upstream,
    Tool,
    Agent,
    Workflow,
    PolicySet,
    Setting,
    Limit,
    Freeze,
    EnforcementPoint,
    TrustedIssuer,
    AuthorizationServer,
}

impl DocumentKind {
    /// Every kind, in order.
    pub const ALL: [Self; 15] = [
        Self::Organization,
        Self::Team,
        Self::Person,
        Self::System,
        Self::Upstream,
        Self::Tool,
        Self::Agent,
        Self::Workflow,
        Self::PolicySet,
        Self::Setting,
        Self::Limit,
        Self::Freeze,
        Self::EnforcementPoint,
        Self::TrustedIssuer,
        Self::AuthorizationServer,
    ];

    /// The kind as documents write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "Organization",
            Self::Team => "Team",
            Self::Person => "Person",
            Self::System => "System",
            Self::Upstream => "Upstream",
            Self::Tool => "Tool",
            Self::Agent => "Agent",
            Self::Workflow => "Workflow",
            Self::PolicySet => "PolicySet",
            Self::Setting => "Setting",
            Self::Limit => "Limit",
            Self::Freeze => "Freeze",
            Self::EnforcementPoint => "EnforcementPoint",
            Self::TrustedIssuer => "TrustedIssuer",
            Self::AuthorizationServer => "AuthorizationServer",
        }
    }

    /// The kind of that word, in any case (`agent`, `policyset`).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }
}

/// A document's JSON Schema (draft 2020-12): `apiVersion`, `kind`, `metadata`, `spec`.
pub fn schema(kind: DocumentKind) -> Schema {
    let mut generator = schemars::SchemaGenerator::default();
    let spec = match kind {
        DocumentKind::Organization => generator.subschema_for::<OrganizationSpec>(),
        DocumentKind::Team => generator.subschema_for::<TeamSpec>(),
        DocumentKind::Person => generator.subschema_for::<PersonSpec>(),
        DocumentKind::System => generator.subschema_for::<SystemSpec>(),
        DocumentKind::Upstream => generator.subschema_for::<UpstreamSpec>(),
        DocumentKind::Tool => generator.subschema_for::<ToolSpec>(),
        DocumentKind::Agent => generator.subschema_for::<AgentSpec>(),
        DocumentKind::Workflow => generator.subschema_for::<WorkflowSpec>(),
        DocumentKind::PolicySet => generator.subschema_for::<PolicySetSpec>(),
        DocumentKind::Setting => generator.subschema_for::<SettingSpec>(),
        DocumentKind::Limit => generator.subschema_for::<LimitSpec>(),
        DocumentKind::Freeze => generator.subschema_for::<FreezeSpec>(),
        DocumentKind::EnforcementPoint => generator.subschema_for::<EnforcementPointSpec>(),
        DocumentKind::TrustedIssuer => generator.subschema_for::<TrustedIssuerSpec>(),
        DocumentKind::AuthorizationServer => generator.subschema_for::<AuthorizationServerSpec>(),
    };
    let definitions = generator.take_definitions(true);
    let (mut names, mut needed) = (
        serde_json::json!({ "name": { "type": "string" } }),
        vec!["name"],
    );
    if kind == DocumentKind::Workflow {
        names = serde_json::json!({ "name": { "type": "string" }, "agent": { "type": "string" } });
        needed.push("agent");
    }
    schemars::json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.as_str(),
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": { "const": API_VERSION },
            "kind": { "const": kind.as_str() },
            "metadata": { "type": "object", "additionalProperties": false, "properties": names, "required": needed },
            "spec": spec,
        },
        "$defs": definitions,
    })
}

/// `true`, for fields that are in use unless somebody says otherwise.
fn yes() -> bool {
    true
}
