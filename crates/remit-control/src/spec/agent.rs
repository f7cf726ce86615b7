//! Agents.

use std::collections::BTreeSet;

use remit_domain::agent::{Enforcement, Tier};
use remit_domain::name::{Email, Name};
use remit_domain::system::Environment;
use remit_domain::tool::{DataClass, Effect};
use remit_domain::{Agent, PersonId, Registry, TeamId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};

/// What is declared of an agent. A draft may leave things out; activation says what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentSpec {
    /// Address of its technical administrator.
    pub owner: Email,
    /// Address of the person answerable for purpose and lifecycle.
    pub sponsor: Email,
    /// Address of who takes over when owner or sponsor leaves.
    #[serde(default)]
    pub deputy: Option<Email>,
    /// The team one of whom takes over when owner or sponsor leaves, and no deputy is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy_team: Option<Name>,
    /// Its own team.
    #[serde(default)]
    pub responsible_team: Option<Name>,
    /// The team that runs it.
    #[serde(default)]
    pub platform_team: Option<Name>,
    /// What it is for.
    #[serde(default)]
    pub purpose: String,
    /// The business process it serves.
    #[serde(default)]
    pub business_process: String,
    /// Model name.
    #[serde(default)]
    pub model: String,
    /// Model provider.
    #[serde(default)]
    pub provider: String,
    /// What it runs on.
    #[serde(default)]
    pub runtime: String,
    /// Where it runs.
    pub environment: Environment,
    /// Data classes it may touch.
    #[serde(default)]
    pub data_classes: BTreeSet<DataClass>,
    /// Systems it may reach.
    #[serde(default)]
    pub systems: BTreeSet<Name>,
    /// Effects its purpose needs.
    #[serde(default)]
    pub expected_actions: BTreeSet<Effect>,
    /// How far it may go alone: 1 read, 2 draft, 3 approved actions, 4 autonomous within its bounds.
    pub tier: Tier,
    /// Days between access reviews, 1 to 366.
    #[serde(default = "quarter")]
    pub review_cadence_days: u16,
    /// When the next review is due; computed from the cadence at activation where absent.
    #[serde(default)]
    pub next_review: Option<Timestamp>,
    /// Age at which its keys are due for rotation, in days, 1 to 3,650; what the organization says where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_days: Option<u16>,
    /// What stands between it and its tools.
    #[serde(default = "gateway")]
    pub enforcement: Enforcement,
}

fn quarter() -> u16 {
    90
}

fn gateway() -> Enforcement {
    Enforcement::Gateway
}

impl AgentSpec {
    /// As it is now; none when its owner or sponsor is not known.
    pub fn of(registry: &Registry, agent: &Agent) -> Option<Self> {
        let p = agent.profile.clone();
        let email = |id: &PersonId| registry.people.get(id).map(|p| p.email.clone());
        let team = |id: &TeamId| registry.teams.get(id).map(|t| t.name.clone());
        Some(Self {
            owner: email(&p.owner)?,
            sponsor: email(&p.sponsor)?,
            deputy: p.deputy.as_ref().and_then(email),
            deputy_team: p.deputy_team.as_ref().and_then(team),
            responsible_team: p.responsible_team.as_ref().and_then(team),
            platform_team: p.platform_team.as_ref().and_then(team),
            purpose: p.purpose,
            business_process: p.business_process,
            model: p.model,
            provider: p.provider,
            runtime: p.runtime,
            environment: p.environment,
            data_classes: p.data_classes,
            systems: p
                .systems
                .iter()
                .filter_map(|s| registry.systems.get(s))
                .map(|s| s.name.clone())
                .collect(),
            expected_actions: p.expected_actions,
            tier: p.tier,
            review_cadence_days: p.review_cadence_days,
            next_review: p.next_review,
            rotate_days: p.rotate_days,
            enforcement: p.enforcement,
        })
    }

    /// With what nobody says left as it is.
    #[must_use]
    pub(crate) fn settled(mut self, now: Option<&Self>) -> Self {
        if self.next_review.is_none() {
            self.next_review = now.and_then(|n| n.next_review);
        }
        self
    }
}

impl References for AgentSpec {
    fn references(&self) -> Vec<Reference> {
        let people = [
            ("owner", Some(&self.owner)),
            ("sponsor", Some(&self.sponsor)),
            ("deputy", self.deputy.as_ref()),
        ];
        let teams = [
            ("deputy_team", &self.deputy_team),
            ("responsible_team", &self.responsible_team),
            ("platform_team", &self.platform_team),
        ];
        let people = people
            .into_iter()
            .filter_map(|(field, p)| Some(Reference::person(field, p?)));
        let teams = teams
            .into_iter()
            .filter_map(|(field, t)| Some(Reference::team(field, t.as_ref()?)));
        people
            .chain(teams)
            .chain(self.systems.iter().map(|s| Reference::system("systems", s)))
            .collect()
    }
}
