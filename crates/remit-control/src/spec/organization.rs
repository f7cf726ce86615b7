//! Organizations and teams.

use std::collections::BTreeSet;

use remit_domain::hygiene::Hygiene;
use remit_domain::tool::DataClass;
use remit_domain::{Organization, Separation, SessionLimits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationSpec {
    /// Whether an owner may activate their own agent.
    #[serde(default)]
    pub separation: Separation,
    /// How long people stay signed in with a browser.
    #[serde(default)]
    pub sessions: SessionLimits,
    /// When a credential is something to look at.
    #[serde(default)]
    pub hygiene: Hygiene,
    /// Data classes that are regulated here besides those that are regulated everywhere: changing them and sending them
    /// outside waits for a person, and results that cannot be looked into are withheld. At most 100.
    #[serde(default)]
    pub regulated: BTreeSet<DataClass>,
    /// Whether every access token is bound to a key (DPoP, RFC 9449) or to a certificate (RFC 8705). Tokens that are not are neither
    /// given out nor taken, from the moment that this is set.
    #[serde(default)]
    pub bound_tokens: bool,
}

impl OrganizationSpec {
    /// As it is now.
    pub fn of(organization: &Organization) -> Self {
        Self {
            separation: organization.separation,
            sessions: organization.sessions,
            hygiene: organization.hygiene,
            regulated: organization.regulated.clone(),
            bound_tokens: organization.bound_tokens,
        }
    }
}

/// A team has nothing but its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamSpec {}
