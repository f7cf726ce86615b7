//! People: the only principals that can be answerable, approve, or change anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::directory::Listed;
use crate::{Kind, Noun, PersonId, TeamId, Timestamp, name::Email, name::Name};

/// What a person may do in their organization.
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
pub enum Role {
    /// Changes the registry, roles and settings.
    Admin,
    /// Contains and lifts.
    Responder,
    /// Decides approvals addressed to the role.
    Approver,
    /// Decides access reviews.
    Reviewer,
    /// Reads everything, ledger included; changes nothing.
    Auditor,
    /// Registers and sees their own agents.
    Developer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Admin,
        Self::Responder,
        Self::Approver,
        Self::Reviewer,
        Self::Auditor,
        Self::Developer,
    ];

    /// The role as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Responder => "responder",
            Self::Approver => "approver",
            Self::Reviewer => "reviewer",
            Self::Auditor => "auditor",
            Self::Developer => "developer",
        }
    }
}

/// Whether a person is here and may act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PersonState {
    /// Present.
    Active,
    /// May do nothing until somebody lifts it: delegations, runs, tokens and sessions of theirs ended at `at`.
    Suspended {
        /// When.
        at: Timestamp,
    },
    /// Departed: every delegation of theirs ended at `at`.
    Left {
        /// When.
        at: Timestamp,
    },
}

/// A human principal (SCIM User, RFC 7643 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Opaque id: the only thing of a person that a ledger leaf carries.
    pub id: PersonId,
    /// Address, unique in the organization.
    pub email: Email,
    /// How to call them.
    pub display_name: String,
    /// Teams they belong to.
    pub teams: BTreeSet<TeamId>,
    /// Roles in the organization.
    pub roles: BTreeSet<Role>,
    /// Scopes that tools may require of the person an agent acts for.
    pub entitlements: BTreeSet<Name>,
    /// Their manager, for approvals.
    pub manager: Option<PersonId>,
    /// Who created them: whoever creates a person cannot have that person approve what they ask for.
    pub created_by: Option<PersonId>,
    /// Who could have acted as them: who created them, made a link that was used, or set what the OpenID provider says of
    /// them, and when ([`crate::vouch`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vouched_by: BTreeMap<PersonId, crate::vouch::Vouched>,
    /// The roles that the OpenID provider's groups named when they last signed in with it; none where they never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_roles: Option<BTreeSet<Role>>,
    /// What the directory that tells of them says; none for people whom none tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Listed>,
    /// Whether they may sign in with a passkey when the company's OpenID provider does not let them; each time is an alarm.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// Present or departed.
    #[serde(flatten)]
    pub state: PersonState,
}

impl Person {
    /// Whether the person is here and may act.
    pub fn is_active(&self) -> bool {
        self.state == PersonState::Active
    }

    /// Whether the person has left, for good.
    pub fn has_left(&self) -> bool {
        matches!(self.state, PersonState::Left { .. })
    }

    /// When the person left, where they have.
    pub fn left_at(&self) -> Option<Timestamp> {
        match self.state {
            PersonState::Left { at } => Some(at),
            _ => None,
        }
    }

    /// The person with at most these roles.
    #[must_use]
    pub fn with_at_most(self: Arc<Self>, most: &BTreeSet<Role>) -> Arc<Self> {
        if self.roles.is_subset(most) {
            return self;
        }
        let roles = self.roles.intersection(most).copied().collect();
        Arc::new(Self {
            roles,
            ..Self::clone(&self)
        })
    }

    /// Whether the person is here and holds `role`.
    pub fn holds(&self, role: Role) -> bool {
        self.is_active() && self.roles.contains(&role)
    }
}

impl Noun for Person {
    const KIND: Kind = Kind::Person;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.email.to_string())
    }
    fn state(&self) -> &'static str {
        match self.state {
            PersonState::Active => "active",
            PersonState::Suspended { .. } => "suspended",
            PersonState::Left { .. } => "left",
        }
    }
}
