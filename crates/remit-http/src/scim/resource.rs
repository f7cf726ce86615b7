//! Resources as JSON (RFC 7643 section 3), and what a directory writes of them.

use std::collections::BTreeSet;

use remit_control::{AgentTold, DirectoryAgent, GroupTold, GroupView, UserTold, UserView};
use serde_json::{Map, Value, json};

use super::error::ScimError;
use super::filter;
use super::patch::{self, Holds, Members};

/// What sort of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
    Agent,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::User, Self::Group, Self::Agent];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Agent => "Agent",
        }
    }

    pub(super) const fn endpoint(self) -> &'static str {
        match self {
            Self::User => "Users",
            Self::Group => "Groups",
            Self::Agent => "Agents",
        }
    }

    pub(super) const fn schema(self) -> &'static str {
        match self {
            Self::User => "urn:ietf:params:scim:schemas:core:2.0:User",
            Self::Group => "urn:ietf:params:scim:schemas:core:2.0:Group",
            // draft-wzdk-scim-agent-resource-00
            Self::Agent => "urn:ietf:params:scim:schemas:core:2.0:Agent",
        }
    }

    pub(super) const fn members(self) -> Members {
        match self {
            Self::User => USER,
            Self::Group => GROUP,
            Self::Agent => AGENT,
        }
    }
}

const USER: Members = &[
    ("userName", Holds::Text),
    ("externalId", Holds::Text),
    ("displayName", Holds::Text),
    ("active", Holds::Truth),
    ("groups", Holds::ReadOnly),
    ("roles", Holds::ReadOnly),
    ("entitlements", Holds::ReadOnly),
    // What the standard has and is not kept; the address comes from `userName`.
    ("emails", Holds::Nothing),
    ("name", Holds::Nothing),
    ("nickName", Holds::Nothing),
    ("profileUrl", Holds::Nothing),
    ("title", Holds::Nothing),
    ("userType", Holds::Nothing),
    ("preferredLanguage", Holds::Nothing),
    ("locale", Holds::Nothing),
    ("timezone", Holds::Nothing),
    ("password", Holds::Nothing),
    ("phoneNumbers", Holds::Nothing),
    ("ims", Holds::Nothing),
    ("photos", Holds::Nothing),
    ("addresses", Holds::Nothing),
    ("x509Certificates", Holds::Nothing),
];

const GROUP: Members = &[
    ("displayName", Holds::Text),
    ("externalId", Holds::Text),
    ("members", Holds::Members),
];

const AGENT: Members = &[
    ("active", Holds::Truth),
    ("agentUserName", Holds::ReadOnly),
    ("displayName", Holds::ReadOnly),
    ("description", Holds::ReadOnly),
    ("owners", Holds::ReadOnly),
    ("externalId", Holds::Nothing),
];

/// A resource, with its revision.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) revision: u64,
    pub(super) body: Value,
}

impl Resource {
    /// Its ETag. Weak: whose name changes in a group changes the group's text, and not its revision.
    pub(super) fn etag(&self) -> String {
        format!("W/\"{}\"", self.revision)
    }
}

fn made(base: &str, kind: Kind, id: &str, revision: u64, members: Value) -> Resource {
    let location = format!("{base}/{}/{id}", kind.endpoint());
    let mut body = json!({ "schemas": [kind.schema()], "id": id, "meta": {
        "resourceType": kind.word(), "location": location, "version": format!("W/\"{revision}\"") } });
    if let (Value::Object(body), Value::Object(members)) = (&mut body, members) {
        // What is not assigned is left out (RFC 7643 section 2.5).
        let unassigned = |v: &Value| v.is_null() || v.as_array().is_some_and(Vec::is_empty);
        body.extend(members.into_iter().filter(|(_, v)| !unassigned(v)));
    }
    Resource { revision, body }
}

pub(super) fn user(base: &str, user: &UserView) -> Resource {
    let told = &user.told;
    let groups = user.groups.iter().map(
        |(id, name)| json!({ "value": id, "$ref": format!("{base}/Groups/{id}"), "display": name }),
    );
    let named = Some(&told.display_name).filter(|name| **name != told.user_name);
    let members = json!({ "userName": told.user_name, "externalId": told.external_id, "displayName": named,
        "active": told.active,
        "emails": [{ "value": told.user_name, "type": "work", "primary": true }],
        "roles": user.roles.iter().map(|r| json!({ "value": r.as_str() })).collect::<Vec<_>>(),
        "groups": groups.collect::<Vec<_>>() });
    made(base, Kind::User, user.id.as_str(), user.revision, members)
}

pub(super) fn group(base: &str, group: &GroupView) -> Resource {
    let members = group.members.iter();
    let members = members.map(|id| json!({ "value": id, "$ref": format!("{base}/Users/{id}") }));
    let members = json!({ "displayName": group.display_name, "externalId": group.external_id,
        "members": members.collect::<Vec<_>>() });
    made(
        base,
        Kind::Group,
        group.id.as_str(),
        group.revision,
        members,
    )
}

pub(super) fn agent(base: &str, agent: &DirectoryAgent) -> Resource {
    let owners = agent.owners.iter().map(
        |(id, name)| json!({ "value": id, "$ref": format!("{base}/Users/{id}"), "display": name }),
    );
    let purpose = Some(&agent.purpose).filter(|p| !p.is_empty());
    let members = json!({ "agentUserName": agent.name, "displayName": agent.name, "description": purpose,
        "active": agent.active, "owners": owners.collect::<Vec<_>>() });
    made(
        base,
        Kind::Agent,
        agent.id.as_str(),
        agent.revision,
        members,
    )
}

/// What is told of a person by the members of a resource.
///
/// - `whole`: the resource as it came, where the name may stand in parts that are not kept.
pub(super) fn user_told(
    known: &Map<String, Value>,
    whole: Option<&Value>,
) -> Result<UserTold, ScimError> {
    let user_name = text(known, "userName")
        .ok_or_else(|| ScimError::bad("invalidValue", "`userName` is required"))?
        .to_ascii_lowercase();
    let display_name = text(known, "displayName")
        .or_else(|| whole.and_then(name_in_parts))
        .unwrap_or_else(|| user_name.clone());
    Ok(UserTold {
        user_name,
        external_id: text(known, "externalId"),
        display_name,
        active: known.get("active").and_then(Value::as_bool).unwrap_or(true),
    })
}

fn name_in_parts(whole: &Value) -> Option<String> {
    let name = filter::get(whole, "name")?;
    let part = |part: &str| filter::get(name, part).and_then(Value::as_str);
    let parts = [part("givenName"), part("familyName")];
    let both = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let said = part("formatted").map_or(both, ToOwned::to_owned);
    Some(said).filter(|name| !name.trim().is_empty())
}

pub(super) fn group_told(known: &Map<String, Value>) -> Result<GroupTold, ScimError> {
    let members = known.get("members").and_then(Value::as_array);
    let ids = members
        .into_iter()
        .flatten()
        .filter_map(|m| m.get("value")?.as_str());
    let members: BTreeSet<String> = ids.map(ToOwned::to_owned).collect();
    Ok(GroupTold {
        display_name: text(known, "displayName")
            .ok_or_else(|| ScimError::bad("invalidValue", "`displayName` is required"))?,
        external_id: text(known, "externalId"),
        members,
    })
}

/// What is told of an agent that is to be registered. What people decide (whether it is active, and all that it may) is not told.
pub(super) fn agent_told(body: &Value) -> Result<AgentTold, ScimError> {
    let missing = |what: &str| ScimError::bad("invalidValue", format!("{what} is required"));
    let owners = filter::get(body, "owners").and_then(patch::people);
    let owners = owners.ok_or_else(|| missing("`owners`, a list of users: {\"value\": id},"))?;
    let ids = owners.iter().filter_map(|o| o.get("value")?.as_str());
    let purpose = filter::get(body, "description").and_then(Value::as_str);
    Ok(AgentTold {
        name: agent_name(body)
            .ok_or_else(|| missing("`agentUserName`"))?
            .to_owned(),
        purpose: purpose.unwrap_or_default().to_owned(),
        owners: ids.map(ToOwned::to_owned).collect(),
    })
}

/// The name of an agent as a directory writes it: `agentUserName`, which an earlier draft calls `name`.
pub(super) fn agent_name(body: &Value) -> Option<&str> {
    let text = |name| filter::get(body, name).and_then(Value::as_str);
    text("agentUserName").or_else(|| text("name"))
}

fn text(known: &Map<String, Value>, name: &str) -> Option<String> {
    let text = known.get(name).and_then(Value::as_str)?;
    Some(text.to_owned()).filter(|t| !t.is_empty())
}
