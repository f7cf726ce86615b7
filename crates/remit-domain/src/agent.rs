//! Agents: registered principals that act by a model's choices.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::system::Environment;
use crate::tool::{DataClass, Effect};
use crate::{AgentId, Kind, Noun, PersonId, SystemId, TeamId, Timestamp, name::Name};

/// How far an agent may go alone: 1 read, 2 draft, 3 approved actions, 4 autonomous within its bounds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(with = "u8")]
pub struct Tier(u8);

impl Tier {
    /// Reads, and nothing else.
    pub const LOWEST: Self = Self(1);
}

impl TryFrom<u8> for Tier {
    type Error = String;
    fn try_from(n: u8) -> Result<Self, String> {
        if (1..=4).contains(&n) {
            Ok(Self(n))
        } else {
            Err(format!("tier `{n}` is not 1, 2, 3 or 4"))
        }
    }
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> u8 {
        tier.0
    }
}

/// What stands between the agent and its tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// Every call passes the gateway.
    Gateway,
    /// An adapter in the agent's framework asks.
    Adapter,
    /// Another enforcement point asks.
    External,
    /// Nothing: known only.
    None,
}

/// The agent's place in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the state of the same name")]
pub enum AgentState {
    Draft,
    Active,
    Suspended,
    Quarantined,
    Retired,
}

impl AgentState {
    /// The state as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Quarantined => "quarantined",
            Self::Retired => "retired",
        }
    }
}

/// A change of state that the life of an agent does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an agent cannot go from {} to {}; retired is final, and only draft or suspended agents are activated", from.as_str(), to.as_str())]
pub struct IllegalTransition {
    /// Where it is.
    pub from: AgentState,
    /// Where it was to go.
    pub to: AgentState,
}

/// What is declared of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentProfile {
    /// Technical administrator.
    pub owner: PersonId,
    /// Person answerable for purpose and lifecycle.
    pub sponsor: PersonId,
    /// Who takes over when owner or sponsor leaves.
    pub deputy: Option<PersonId>,
    /// The team one of whom takes over when owner or sponsor leaves, and no deputy is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy_team: Option<TeamId>,
    /// Its own team.
    pub responsible_team: Option<TeamId>,
    /// Who runs it.
    pub platform_team: Option<TeamId>,
    /// What it is for.
    pub purpose: String,
    /// The business process it serves.
    pub business_process: String,
    /// Model name, as declared.
    pub model: String,
    /// Model provider, as declared.
    pub provider: String,
    /// What it runs on.
    pub runtime: String,
    /// Where it runs.
    pub environment: Environment,
    /// Data classes it may touch.
    pub data_classes: BTreeSet<DataClass>,
    /// Systems it may reach.
    pub systems: BTreeSet<SystemId>,
    /// Effects its purpose needs.
    pub expected_actions: BTreeSet<Effect>,
    /// How far it may go alone.
    pub tier: Tier,
    /// Days between access reviews.
    pub review_cadence_days: u16,
    /// When the next review is due.
    pub next_review: Option<Timestamp>,
    /// Age at which its keys are due for rotation, in days; what the organization says where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_days: Option<u16>,
    /// What stands between it and its tools.
    pub enforcement: Enforcement,
}

/// A registered agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id, which is also its OAuth client id.
    pub id: AgentId,
    /// Its name.
    pub name: Name,
    /// What is declared of it.
    #[serde(flatten)]
    pub profile: AgentProfile,
    /// Who registered it.
    pub registered_by: PersonId,
    /// Where it is in its life.
    pub state: AgentState,
    /// Why it is there (reason of suspension, quarantine, retirement), for people.
    pub state_reason: Option<String>,
}

impl Agent {
    /// The same agent in state `to`.
    ///
    /// Legal: draft → active | retired; active → suspended | quarantined | retired; suspended → active | quarantined |
    /// retired; quarantined → active | suspended | retired. Retired is final.
    ///
    /// # Errors
    /// [`IllegalTransition`] for every other pair.
    pub fn transition(
        &self,
        to: AgentState,
        reason: Option<String>,
    ) -> Result<Self, IllegalTransition> {
        use AgentState as S;
        let legal = matches!(
            (self.state, to),
            (S::Draft, S::Active | S::Retired)
                | (S::Active, S::Suspended | S::Quarantined | S::Retired)
                | (S::Suspended, S::Active | S::Quarantined | S::Retired)
                | (S::Quarantined, S::Active | S::Suspended | S::Retired)
        );
        if legal {
            Ok(Self {
                state: to,
                state_reason: reason,
                ..self.clone()
            })
        } else {
            Err(IllegalTransition {
                from: self.state,
                to,
            })
        }
    }
}

impl Noun for Agent {
    const KIND: Kind = Kind::Agent;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
    fn state(&self) -> &'static str {
        self.state.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATES: [AgentState; 5] = [
        AgentState::Draft,
        AgentState::Active,
        AgentState::Suspended,
        AgentState::Quarantined,
        AgentState::Retired,
    ];

    proptest! {
        #[test]
        fn no_walk_leaves_retired_or_returns_to_draft(steps in prop::collection::vec(0usize..5, 1..40)) {
            let mut agent = crate::registry::tests::agent();
            let mut retired = false;
            for step in steps {
                if let Ok(next) = agent.transition(STATES[step], None) {
                    prop_assert!(!retired);
                    prop_assert_ne!(next.state, AgentState::Draft);
                    agent = next;
                }
                retired |= agent.state == AgentState::Retired;
            }
        }
    }

    #[test]
    fn tiers_are_one_to_four() {
        assert!(Tier::try_from(0).is_err());
        assert!(Tier::try_from(5).is_err());
    }
}
