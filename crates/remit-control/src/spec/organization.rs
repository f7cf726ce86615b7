//! Organizations and teams.

use std::collections::BTreeSet;

use remit_domain::hygiene::Hygiene;
use remit_domain::name::Email;
use remit_domain::tool::DataClass;
use remit_domain::{Organization, Separation, SessionLimits, Team, Timestamp};
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
    /// Whether workloads get WIT-SVIDs, which SPIFFE calls incubating.
    #[serde(default)]
    pub wit_svids: bool,
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
            wit_svids: organization.wit_svids.on,
        }
    }
}

/// A team: who of it is on call, where its people take turns. Who is in it stands with each person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamSpec {
    /// Who takes turns; nobody where it is left out, and then `oncall:TEAM` means the whole team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_call: Option<OnCallSpec>,
}

/// People who take turns being on call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnCallSpec {
    /// Addresses, in this order, over and over; 1 to 64. One who is not of the team, or not active, is passed over.
    pub people: Vec<Email>,
    /// How long a turn is, in seconds: an hour to 90 days.
    #[serde(default = "a_week")]
    pub turn_secs: i64,
    /// When the first one's first turn began.
    pub since: Timestamp,
}

const fn a_week() -> i64 {
    7 * 86_400
}

impl TeamSpec {
    /// As it is now.
    pub fn of(team: &Team) -> Self {
        let takes_turns = team.rota.as_ref().filter(|r| !r.turns.is_empty());
        Self {
            on_call: takes_turns.map(|rota| OnCallSpec {
                people: rota.turns.clone(),
                turn_secs: rota.turn_secs,
                since: rota.since,
            }),
        }
    }
}
