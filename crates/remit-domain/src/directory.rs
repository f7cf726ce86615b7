//! Directories: the company's list of people, told by its own system (SCIM, RFC 7643 and RFC 7644).
//!
//! A directory says who is here and in which of its groups. What a group gives is set by an administrator, group by group; a
//! group that nobody mapped gives nothing. Whoever set that, or made the directory's token, could have made up each person
//! it tells of, and stands behind them ([`crate::vouch`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::{
    DirectoryGroupId, Kind, Noun, PersonId, Registry, Role, ScimClientId, TeamId, Timestamp,
};

/// Most clients of an organization that are not revoked.
pub const CLIENTS_MAX: usize = 8;
/// Most groups that one client maps.
pub const MAPPED_MAX: usize = 256;
/// Most people in one group.
pub const MEMBERS_MAX: usize = 2_000;
/// Most groups of one client.
pub const GROUPS_MAX: usize = 2_000;
/// Most people of an organization that directories may make.
pub const PEOPLE_MAX: usize = 50_000;
/// Most drafts of agents that may wait for people while a directory registers others.
pub const DRAFTS_MAX: usize = 1_000;
/// Longest name that a directory gives, in bytes.
pub const TOLD_BYTES_MAX: usize = 255;
/// Longest life of a client's token, in days.
pub const TOKEN_DAYS_MAX: i64 = 366;

/// What being in a group gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Given {
    /// Roles in the organization.
    pub roles: BTreeSet<Role>,
    /// Names of teams.
    pub teams: BTreeSet<Name>,
}

/// A client of the SCIM interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimClient {
    /// Its id.
    pub id: ScimClientId,
    /// Its name.
    pub name: Name,
    /// SHA-256 of its token, hex; none before one was made.
    pub digest: Option<String>,
    /// When its token was made.
    pub made: Timestamp,
    /// When its token ends.
    pub expires: Timestamp,
    /// What its groups give, by their display name.
    pub groups: BTreeMap<String, Given>,
    /// Who made its token last: people whom it creates are created by them.
    pub made_by: PersonId,
    /// Everybody who made a token of it or set what its groups give.
    pub behind: BTreeSet<PersonId>,
    /// When it was revoked, for good.
    pub revoked: Option<Timestamp>,
}

impl ScimClient {
    /// Whether a token with this digest is good at `now`.
    pub fn accepts(&self, digest: &str, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.expires && self.digest.as_deref() == Some(digest)
    }
}

impl Noun for ScimClient {
    const KIND: Kind = Kind::ScimClient;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
    fn state(&self) -> &'static str {
        if self.revoked.is_some() {
            "revoked"
        } else {
            "active"
        }
    }
}

/// A group of a directory (SCIM Group, RFC 7643 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryGroup {
    /// Its id.
    pub id: DirectoryGroupId,
    /// Whose it is: no other client sees it.
    pub client: ScimClientId,
    /// How the directory calls it, which is what it is mapped by.
    pub display_name: String,
    /// The directory's own id of it.
    pub external_id: Option<String>,
    /// Who is in it.
    pub members: BTreeSet<PersonId>,
    /// When it was removed.
    pub removed: Option<Timestamp>,
}

impl Noun for DirectoryGroup {
    const KIND: Kind = Kind::DirectoryGroup;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.client.to_string())
    }
    fn state(&self) -> &'static str {
        if self.removed.is_some() {
            "removed"
        } else {
            "active"
        }
    }
}

/// What a directory says of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Which one: no other changes them.
    pub client: ScimClientId,
    /// Its own id of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The roles that its groups gave.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// The teams that its groups gave.
    #[serde(default)]
    pub teams: BTreeSet<TeamId>,
    /// Whether it deleted them: they have left, and it is told of them no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// What these groups give somebody who is in all of them: roles, and teams that there are.
pub fn given<'a>(
    registry: &Registry,
    client: &ScimClient,
    groups: impl Iterator<Item = &'a DirectoryGroup>,
) -> (BTreeSet<Role>, BTreeSet<TeamId>) {
    let (mut roles, mut teams) = (BTreeSet::new(), BTreeSet::new());
    for group in groups.filter(|g| g.client == client.id && g.removed.is_none()) {
        let Some(given) = client.groups.get(&group.display_name) else {
            continue;
        };
        roles.extend(given.roles.iter().copied());
        let named = given.teams.iter();
        let named = named.filter_map(|name| registry.team_named(name.as_str()));
        teams.extend(named.map(|team| team.id.clone()));
    }
    (roles, teams)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_good_until_it_ends_or_is_revoked() {
        let id = |p: &str| format!("{p}_{}", "0".repeat(26));
        let mut client: ScimClient = serde_json::from_value(json!({
            "id": id("scm"), "name": "okta", "digest": "ab", "made": "2026-11-22T08:00:00Z",
            "expires": "2026-12-22T08:00:00Z", "groups": {}, "made_by": id("per"), "behind": [], "revoked": null
        }))
        .unwrap();
        let now = client.made.plus_secs(1);
        assert!(client.accepts("ab", now));
        assert!(!client.accepts("ac", now));
        assert!(!client.accepts("ab", client.expires));
        client.revoked = Some(now);
        assert!(!client.accepts("ab", now));
        (client.revoked, client.digest) = (None, None);
        assert!(!client.accepts("", now));
    }
}
