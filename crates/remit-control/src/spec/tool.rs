//! Tools: what an administrator declares of one, for exactly one definition.

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::Tool;
use remit_domain::bounds::ArgPath;
use remit_domain::name::Name;
use remit_domain::tool::{Classification, DataClass, Effect, ToolState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an administrator declares of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolSpec {
    /// Hash of the definition that is approved: the one found, or the pending one of a changed tool.
    pub definition_hash: String,
    /// What a call does.
    pub effect: Effect,
    /// Whether a call also reaches outside the organization. Implied by the effect `external`.
    #[serde(default)]
    pub external: bool,
    /// Data classes a call touches.
    #[serde(default)]
    pub data_classes: BTreeSet<DataClass>,
    /// Whether a result carries content nobody vouches for.
    #[serde(default)]
    pub untrusted_content: bool,
    /// Entitlements the person must hold whom the agent acts for.
    #[serde(default)]
    pub entitlements: BTreeSet<Name>,
    /// Arguments that name the object acted on, and the kind of object.
    #[serde(default)]
    pub targets: BTreeMap<ArgPath, Name>,
    /// Whether results hold nothing but metadata (names, types, sizes, schemas): what a run that only looks around may call.
    #[serde(default)]
    pub metadata: bool,
    /// The argument that names the customer whose data a call touches. Tools that name customers must write them alike.
    #[serde(default)]
    pub customer: Option<ArgPath>,
    /// Arguments whose values may be shown in summaries.
    #[serde(default)]
    pub show: BTreeSet<ArgPath>,
}

impl ToolSpec {
    /// As it is now; none while it is not classified and approved as its upstream offers it.
    pub fn of(tool: &Tool) -> Option<Self> {
        let c = tool
            .classification
            .clone()
            .filter(|_| tool.state == ToolState::Enabled)?;
        Some(Self {
            definition_hash: tool.definition.hash.clone(),
            effect: c.effect,
            external: c.external,
            data_classes: c.data_classes,
            untrusted_content: c.untrusted_content,
            entitlements: c.entitlements,
            targets: c.targets,
            metadata: c.metadata,
            customer: c.customer,
            show: c.show,
        })
    }

    /// With what is implied said.
    #[must_use]
    pub(crate) fn settled(mut self) -> Self {
        self.external |= self.effect == Effect::External;
        self
    }

    /// The classification in it.
    pub(crate) fn classification(&self) -> Classification {
        let spec = self.clone().settled();
        Classification {
            effect: spec.effect,
            external: spec.external,
            data_classes: spec.data_classes,
            untrusted_content: spec.untrusted_content,
            entitlements: spec.entitlements,
            targets: spec.targets,
            metadata: spec.metadata,
            customer: spec.customer,
            show: spec.show,
        }
    }
}
