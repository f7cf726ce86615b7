//! Clients of the SCIM interface: made, mapped and revoked by administrators.

use std::collections::{BTreeMap, BTreeSet};

use remit_books::Change;
use remit_domain::directory::{
    CLIENTS_MAX, DirectoryGroup, Given, MAPPED_MAX, ScimClient, TOKEN_DAYS_MAX,
};
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::{Kind, Noun, RefusalCode, Registry, Role, ScimClientId, Timestamp};
use remit_token::{OpaqueSecret, SecretKind};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{one_after_another, regive, told};
use crate::control::Before;
use crate::error::{invalid, not_found};
use crate::person::{person_event, takes_away};
use crate::{
    Action, Caller, Control, ControlError, ListQuery, Listing, Saved, check, names, refuse, resolve,
};

/// What a directory may do beyond telling who is here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScimClientSpec {
    /// What being in its groups gives, by their display name. A group that is not here gives nothing.
    pub groups: BTreeMap<String, Given>,
}

/// A client of the SCIM interface, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScimClientView {
    /// Its id, which is who acts in entries.
    pub id: ScimClientId,
    /// Its name.
    pub name: Name,
    /// `active`, `without_token`, `expired` or `revoked`.
    pub state: &'static str,
    /// What being in its groups gives.
    pub groups: BTreeMap<String, Given>,
    /// When its token was made.
    pub made: Timestamp,
    /// Who made it.
    pub made_by: String,
    /// When it ends.
    pub expires: Timestamp,
    /// Everybody who made a token of it or set what its groups give: they stand behind whom it makes.
    pub behind: Vec<String>,
    /// How many people it tells of.
    pub people: usize,
    /// How many groups it keeps.
    pub kept_groups: usize,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// A token, to be shown once.
#[derive(Debug)]
pub struct ScimToken {
    /// The token.
    pub token: SecretString,
    /// When it ends.
    pub expires: Timestamp,
}

impl Control {
    /// Clients of the SCIM interface, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn scim_clients(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<ScimClientView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let now = self.books.now();
        let all = registry.scim_clients.values();
        let all = all.map(|c| (c.name.to_string(), Noun::state(&**c), c));
        Ok(query.page(all, |c| view(&registry, c, now)))
    }

    /// One client.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn scim_client(
        &self,
        caller: &Caller,
        name: &Name,
    ) -> Result<ScimClientView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(&registry, named(&registry, name)?, self.books.now()))
    }

    /// Makes a client, or sets what its groups give. That counts at once for who is in them.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, and when they would gain by it themselves; `conflict` for a revoked one, for
    /// the last administrator, and when it has changed since `seen`; `invalid-request`; `limit-exceeded`.
    pub async fn put_scim_client(
        &self,
        caller: &Caller,
        name: &Name,
        spec: &ScimClientSpec,
        seen: Option<u64>,
    ) -> Result<Saved<ScimClientView>, ControlError> {
        let plan = || async { self.plan_scim_client(caller, name, spec, seen) };
        let (action, _) = self.settle(&caller.org, plan).await?;
        Ok(Saved {
            action,
            view: self.scim_client(caller, name)?,
        })
    }

    fn plan_scim_client(
        &self,
        caller: &Caller,
        name: &Name,
        spec: &ScimClientSpec,
        seen: Option<u64>,
    ) -> Result<(Action, Change), ControlError> {
        let admin = caller.require(&[Role::Admin])?.id.clone();
        let now = self.books.now();
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        check_groups(&registry, &spec.groups)?;
        let there = registry.scim_client_named(name.as_str());
        let mut client = match there {
            Some(there) => ScimClient::clone(there),
            None => {
                let live = registry.scim_clients.values();
                if live.filter(|c| c.revoked.is_none()).count() >= CLIENTS_MAX {
                    let text = format!("at most {CLIENTS_MAX} directories tell of people at once");
                    return Err(refuse(RefusalCode::LimitExceeded, text));
                }
                ScimClient {
                    id: self.books.id(ScimClientId::from_uuid),
                    name: name.clone(),
                    digest: None,
                    made: now,
                    expires: now,
                    groups: BTreeMap::new(),
                    made_by: admin.clone(),
                    behind: BTreeSet::new(),
                    revoked: None,
                }
            }
        };
        stands(&client)?;
        let revision = there.and_then(|c| registry.revision(Kind::ScimClient, &c.key()));
        let before = Before::of(revision, seen)?;
        if there.is_some() && client.groups == spec.groups {
            return Ok((Action::None, Change::new()));
        }
        client.groups.clone_from(&spec.groups);
        client.behind.insert(admin);
        let groups = groups_of(&registry, &client.id);
        let members = groups.values().flat_map(|g| g.members.iter().cloned());
        let people = regive(&registry, &client, &groups, &members.collect(), now)?;
        let event = self
            .event(caller, EventKind::ScimClientChanged)
            .about(&client.id)
            .fact("people_changed", people.len())
            .content("client", ClientTold::of(&client));
        let change = before.put(&client).event(event);
        let mut change = one_after_another(&registry, &people, change);
        for person in &people {
            change = change.and(self.person_change(caller, &registry, person));
        }
        let action = there.map_or(Action::Create, |_| Action::Update);
        Ok((action, change))
    }

    /// The change that writes a person over who is there.
    pub(super) fn person_change(
        &self,
        caller: &Caller,
        registry: &Registry,
        person: &remit_domain::Person,
    ) -> Change {
        let there = registry.people.get(&person.id).map(AsRef::as_ref);
        let kind = if there.is_some() {
            EventKind::PersonChanged
        } else {
            EventKind::PersonCreated
        };
        let event = person_event(self.event(caller, kind), there, person);
        let change = match registry.revision(Kind::Person, &person.key()) {
            Some(revision) => Change::new().update(person, revision),
            None => Change::new().create(person),
        };
        let change = change.event(event);
        if takes_away(there, person) {
            change.restrict()
        } else {
            change
        }
    }

    /// Makes a token of a client; the one before it ends at once.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` for a revoked one; `invalid-request`.
    pub async fn make_scim_token(
        &self,
        caller: &Caller,
        name: &Name,
        days: i64,
    ) -> Result<ScimToken, ControlError> {
        let admin = caller.require(&[Role::Admin])?.id.clone();
        if !(1..=TOKEN_DAYS_MAX).contains(&days) {
            let why = format!("`{days}` is not within 1 to {TOKEN_DAYS_MAX}");
            return Err(invalid("days", why));
        }
        let secret = OpaqueSecret::new(SecretKind::Scim, self.books.random());
        let now = self.books.now();
        let expires = now.plus_secs(days.saturating_mul(86_400));
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let registry = book.registry();
            let there = named(&registry, name)?;
            stands(there)?;
            let revision = registry.revision(Kind::ScimClient, &there.key());
            let mut client = ScimClient {
                digest: Some(hex::encode(secret.digest().as_bytes())),
                made: now,
                expires,
                made_by: admin.clone(),
                ..ScimClient::clone(there)
            };
            client.behind.insert(admin.clone());
            let event = self
                .event(caller, EventKind::ScimClientTokenMade)
                .about(&client.id)
                .fact("expires", expires);
            let change = Before::of(revision, None)?.put(&client).event(event);
            Ok(((), change.restrict()))
        })
        .await?;
        Ok(ScimToken {
            token: SecretString::from(secret.format().as_str()),
            expires,
        })
    }

    /// Ends the token of a client; the client stays, and gets the next one with [`Control::make_scim_token`].
    pub(crate) async fn end_directory_token(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<(), ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let registry = book.registry();
            let there = named(&registry, name)?;
            stands(there)?;
            let revision = registry.revision(Kind::ScimClient, &there.key());
            let client = ScimClient {
                digest: None,
                ..ScimClient::clone(there)
            };
            let event = self
                .event(caller, EventKind::ScimClientTokenEnded)
                .about(&client.id)
                .content("reason", reason);
            let change = Before::of(revision, None)?.put(&client).event(event);
            Ok(((), change.restrict()))
        })
        .await?;
        Ok(())
    }

    /// Revokes a client for good: its token ends at once. Whom it made stay, and what its groups gave them; an empty mapping
    /// beforehand takes that back.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or responder; `not-found`; `conflict` for one that was revoked.
    pub async fn revoke_scim_client(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<ScimClientView, ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        check::said("reason", reason)?;
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let registry = book.registry();
            let there = named(&registry, name)?;
            stands(there)?;
            let revision = registry.revision(Kind::ScimClient, &there.key());
            let client = ScimClient {
                digest: None,
                revoked: Some(self.books.now()),
                ..ScimClient::clone(there)
            };
            let event = self
                .event(caller, EventKind::ScimClientRevoked)
                .about(&client.id)
                .content("reason", reason);
            let change = Before::of(revision, None)?.put(&client).event(event);
            Ok(((), change.restrict()))
        })
        .await?;
        self.scim_client(caller, name)
    }
}

/// A client as entries hold it: without what its token is known by.
#[derive(Serialize)]
struct ClientTold<'a> {
    name: &'a Name,
    groups: &'a BTreeMap<String, Given>,
}

impl<'a> ClientTold<'a> {
    fn of(client: &'a ScimClient) -> Self {
        Self {
            name: &client.name,
            groups: &client.groups,
        }
    }
}

fn check_groups(registry: &Registry, groups: &BTreeMap<String, Given>) -> Result<(), ControlError> {
    if groups.len() > MAPPED_MAX {
        let why = format!("has {} members; at most {MAPPED_MAX}", groups.len());
        return Err(invalid("groups", why));
    }
    for (name, given) in groups {
        told("groups", name)?;
        resolve::teams(registry, "groups", &given.teams)?;
    }
    Ok(())
}

fn stands(client: &ScimClient) -> Result<(), ControlError> {
    match client.revoked {
        None => Ok(()),
        Some(at) => Err(refuse(
            RefusalCode::Conflict,
            format!(
                "directory `{}` was revoked at {at}, for good; make another one",
                client.name
            ),
        )),
    }
}

fn named<'a>(
    registry: &'a Registry,
    name: &Name,
) -> Result<&'a std::sync::Arc<ScimClient>, ControlError> {
    registry
        .scim_client_named(name.as_str())
        .ok_or_else(|| not_found("directory", name))
}

/// All groups of a client, by id.
pub(super) fn groups_of(
    registry: &Registry,
    client: &ScimClientId,
) -> BTreeMap<String, DirectoryGroup> {
    let all = registry.directory_groups.values();
    let own = all.filter(|g| g.client == *client);
    own.map(|g| (g.key(), DirectoryGroup::clone(g))).collect()
}

fn view(registry: &Registry, client: &ScimClient, now: Timestamp) -> ScimClientView {
    let state = match client {
        c if c.revoked.is_some() => "revoked",
        c if c.digest.is_none() => "without_token",
        c if now >= c.expires => "expired",
        _ => "active",
    };
    let tells = |p: &&std::sync::Arc<remit_domain::Person>| {
        p.directory.as_ref().is_some_and(|d| d.client == client.id)
    };
    ScimClientView {
        id: client.id.clone(),
        name: client.name.clone(),
        state,
        groups: client.groups.clone(),
        made: client.made,
        made_by: names::person(registry, &client.made_by),
        expires: client.expires,
        behind: client
            .behind
            .iter()
            .map(|p| names::person(registry, p))
            .collect(),
        people: registry.people.values().filter(tells).count(),
        kept_groups: groups_of(registry, &client.id).len(),
        revision: registry
            .revision(Kind::ScimClient, &client.key())
            .unwrap_or(0),
    }
}
