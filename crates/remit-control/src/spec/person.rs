//! People.

use std::collections::BTreeSet;

use remit_domain::name::{Email, Name};
use remit_domain::{Person, Registry, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};

/// A person; their address is the document's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonSpec {
    /// How to call them.
    pub display_name: String,
    /// Teams they belong to.
    #[serde(default)]
    pub teams: BTreeSet<Name>,
    /// Roles in the organization.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Scopes that tools may require of the person an agent acts for.
    #[serde(default)]
    pub entitlements: BTreeSet<Name>,
    /// Their manager's address.
    #[serde(default)]
    pub manager: Option<Email>,
    /// Whether they may sign in with a passkey when the company's OpenID provider does not let them; each time is an alarm.
    #[serde(default)]
    pub break_glass: bool,
}

impl PersonSpec {
    /// As it is now.
    pub fn of(registry: &Registry, person: &Person) -> Self {
        Self {
            display_name: person.display_name.clone(),
            teams: person
                .teams
                .iter()
                .filter_map(|t| registry.teams.get(t))
                .map(|t| t.name.clone())
                .collect(),
            roles: person.roles.clone(),
            entitlements: person.entitlements.clone(),
            manager: person
                .manager
                .as_ref()
                .and_then(|m| registry.people.get(m))
                .map(|m| m.email.clone()),
            break_glass: person.break_glass,
        }
    }
}

impl References for PersonSpec {
    fn references(&self) -> Vec<Reference> {
        let manager = self.manager.iter().map(|m| Reference::person("manager", m));
        self.teams
            .iter()
            .map(|t| Reference::team("teams", t))
            .chain(manager)
            .collect()
    }
}
