//! People, as a directory tells of them (SCIM User, RFC 7643 section 4.1).

use std::collections::{BTreeMap, BTreeSet};

use remit_books::Change;
use remit_domain::directory::{Listed, PEOPLE_MAX, ScimClient};
use remit_domain::name::Email;
use remit_domain::person::PersonState;
use remit_domain::{Kind, Noun, Person, PersonId, RefusalCode, Registry, Role};

use super::{
    DirectoryCaller, behind, listed, longer_than_told, new_listed, told, unchanged, untouchable,
};
use crate::error::{invalid, not_found};
use crate::{Control, ControlError, StopReport, refuse};

/// What a directory tells of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTold {
    /// Their address (`userName`), which never changes.
    pub user_name: String,
    /// The directory's own id of them.
    pub external_id: Option<String>,
    /// How to call them.
    pub display_name: String,
    /// Whether they are here.
    pub active: bool,
}

/// A person, as a directory sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// Opaque id.
    pub id: PersonId,
    /// Revision.
    pub revision: u64,
    /// What it told.
    pub told: UserTold,
    /// Its groups they are in: id and display name.
    pub groups: Vec<(String, String)>,
    /// Roles they hold here, by whomever.
    pub roles: BTreeSet<Role>,
}

impl Control {
    /// People whom this directory may tell of, in the order of their making.
    ///
    /// # Errors
    /// `forbidden` for a revoked directory.
    pub fn directory_users(&self, by: &DirectoryCaller) -> Result<Vec<UserView>, ControlError> {
        self.directory(by, |registry, client| {
            let mut groups: BTreeMap<&PersonId, Vec<(String, String)>> = BTreeMap::new();
            for group in registry.directory_groups.values() {
                for member in group.members.iter().filter(|_| group.client == client.id) {
                    let named = (group.id.to_string(), group.display_name.clone());
                    groups.entry(member).or_default().push(named);
                }
            }
            let people = registry
                .people
                .values()
                .filter(|p| by.tells_of(registry, p));
            let mut all: Vec<UserView> = people
                .map(|p| view(registry, p, groups.get(&p.id).cloned().unwrap_or_default()))
                .collect();
            all.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(all)
        })
    }

    /// One of them.
    ///
    /// # Errors
    /// `not-found`, also for whom this directory does not tell of; `forbidden` for a revoked directory.
    pub fn directory_user(&self, by: &DirectoryCaller, id: &str) -> Result<UserView, ControlError> {
        self.directory(by, |registry, client| {
            let person = found(by, registry, id)?;
            let groups = registry.directory_groups.values();
            let own = groups.filter(|g| g.client == client.id && g.members.contains(&person.id));
            let own = own.map(|g| (g.id.to_string(), g.display_name.clone()));
            Ok(view(registry, person, own.collect()))
        })
    }

    /// Makes a person: without any role, entitlement or team.
    ///
    /// # Errors
    /// `conflict` for an address that is or was somebody's; `invalid-request`; `limit-exceeded`; `forbidden`.
    pub async fn make_directory_user(
        &self,
        by: &DirectoryCaller,
        new: &UserTold,
    ) -> Result<UserView, ControlError> {
        check(new)?;
        let email = address(&new.user_name)?;
        let caller = by.caller();
        let plan = || async {
            self.directory(by, |registry, client| {
                if registry.person_named(email.as_str()).is_some() {
                    let text = format!(
                        "`{email}` is or was somebody here; look them up, or give another address: addresses are not given twice"
                    );
                    return Err(refuse(RefusalCode::Conflict, text));
                }
                if registry.people.len() >= PEOPLE_MAX {
                    let text = format!("directories make at most {PEOPLE_MAX} people");
                    return Err(refuse(RefusalCode::LimitExceeded, text));
                }
                let person = self.new_person(registry, client, email.clone(), new)?;
                let change = self.person_change(&caller, registry, &person);
                Ok((person.id, change))
            })
        };
        let (id, _) = self.settle(&by.org, plan).await?;
        self.directory_user(by, id.as_str())
    }

    fn new_person(
        &self,
        registry: &Registry,
        client: &ScimClient,
        email: Email,
        new: &UserTold,
    ) -> Result<Person, ControlError> {
        if !new.active {
            let text = "nobody is made who is not here; tell of them when they are active";
            return Err(invalid("active", text));
        }
        let person = Person {
            id: self.books.id(PersonId::from_uuid),
            email,
            display_name: new.display_name.clone(),
            teams: BTreeSet::new(),
            roles: BTreeSet::new(),
            entitlements: BTreeSet::new(),
            manager: None,
            created_by: Some(client.made_by.clone()),
            vouched_by: BTreeMap::new(),
            groups_roles: None,
            directory: Some(Listed {
                external_id: new.external_id.clone(),
                ..new_listed(client)
            }),
            break_glass: false,
            state: PersonState::Active,
        };
        behind(registry, client, &person, self.books.now())
    }

    /// Changes what is told of a person. Not active is departure: their delegations and runs end in this commit, and their
    /// agents go to whom was named beforehand, or stop. Nobody comes back.
    ///
    /// # Errors
    /// `not-found`; `conflict` when they have changed since `seen`, have left, or are the last administrator; `forbidden` for a
    /// break-glass account; `invalid-request`, also for another address.
    pub async fn put_directory_user(
        &self,
        by: &DirectoryCaller,
        id: &str,
        new: &UserTold,
        seen: u64,
    ) -> Result<UserView, ControlError> {
        check(new)?;
        let email = address(&new.user_name)?;
        let plan = || self.plan_user(by, id, new, &email, seen);
        let (report, _) = self.settle(&by.org, plan).await?;
        self.end_upstream_runs(&by.org, &report).await;
        self.directory_user(by, id)
    }

    async fn plan_user(
        &self,
        by: &DirectoryCaller,
        id: &str,
        new: &UserTold,
        email: &Email,
        seen: u64,
    ) -> Result<(StopReport, Change), ControlError> {
        let caller = by.caller();
        let told = self.directory(by, |registry, client| {
            let there = found(by, registry, id)?;
            let is = registry.revision(Kind::Person, &there.key());
            if is != Some(seen) {
                let text = "they have changed meanwhile; read them again and repeat";
                return Err(refuse(RefusalCode::Conflict, text));
            }
            if *email != there.email {
                let text = "an address is who somebody is here, and never changes; tell of them as another person";
                return Err(invalid("userName", text));
            }
            let now = view(registry, there, Vec::new()).told;
            let same = UserTold {
                user_name: now.user_name.clone(),
                ..new.clone()
            };
            if same == now {
                return Ok(None);
            }
            if there.has_left() {
                let text = format!("`{email}` has left; people do not come back under the same address");
                return Err(refuse(RefusalCode::Conflict, text));
            }
            if there.break_glass {
                return Err(untouchable(there));
            }
            let had = listed(client, there);
            let next = Person {
                display_name: new.display_name.clone(),
                directory: Some(Listed {
                    external_id: new.external_id.clone(),
                    ..had
                }),
                ..Person::clone(there)
            };
            let change = self.person_change(&caller, registry, &next);
            Ok(Some((next, change)))
        })?;
        match told {
            None => Ok((StopReport::default(), Change::new())),
            Some((_, change)) if new.active => Ok((StopReport::default(), change)),
            Some((next, _)) => {
                let leaving = self.plan_departure(&caller, email, next.directory);
                let ((_, report), change) = leaving.await?;
                Ok((report, change))
            }
        }
    }

    /// A directory deletes a person: they leave, and it tells of them no more.
    ///
    /// - `seen`: the revision that it looked at, where it says so.
    ///
    /// # Errors
    /// As [`Self::put_directory_user`].
    pub async fn delete_directory_user(
        &self,
        by: &DirectoryCaller,
        id: &str,
        seen: Option<u64>,
    ) -> Result<(), ControlError> {
        let caller = by.caller();
        let plan = || async {
            let (person, gone) = self.directory(by, |registry, client| {
                let there = found(by, registry, id)?;
                unchanged(registry.revision(Kind::Person, &there.key()), seen)?;
                if there.break_glass {
                    return Err(untouchable(there));
                }
                let had = listed(client, there);
                let deleted = Listed {
                    deleted: true,
                    ..had
                };
                let gone = Person {
                    directory: Some(deleted),
                    ..Person::clone(there)
                };
                let change = self.person_change(&caller, registry, &gone);
                Ok((gone, change))
            })?;
            if person.has_left() {
                return Ok((StopReport::default(), gone));
            }
            let leaving = self.plan_departure(&caller, &person.email, person.directory.clone());
            let ((_, report), change) = leaving.await?;
            Ok((report, change))
        };
        let (report, _) = self.settle(&by.org, plan).await?;
        self.end_upstream_runs(&by.org, &report).await;
        Ok(())
    }
}

fn check(new: &UserTold) -> Result<(), ControlError> {
    told("displayName", &new.display_name)?;
    longer_than_told(new.external_id.as_deref())
}

/// Addresses are compared as they are kept: in small letters.
fn address(user_name: &str) -> Result<Email, ControlError> {
    user_name.to_ascii_lowercase().parse().map_err(|_| {
        invalid(
            "userName",
            "is not an e-mail address; map the address of people to `userName`",
        )
    })
}

/// Somebody this directory may tell of.
pub(super) fn found<'a>(
    by: &DirectoryCaller,
    registry: &'a Registry,
    id: &str,
) -> Result<&'a std::sync::Arc<Person>, ControlError> {
    let id = id.parse::<PersonId>().ok();
    id.and_then(|id| registry.people.get(&id))
        .filter(|p| by.tells_of(registry, p))
        .ok_or_else(|| not_found("person", "of that id"))
}

fn view(registry: &Registry, person: &Person, mut groups: Vec<(String, String)>) -> UserView {
    groups.sort();
    UserView {
        id: person.id.clone(),
        revision: registry.revision(Kind::Person, &person.key()).unwrap_or(0),
        told: UserTold {
            user_name: person.email.to_string(),
            external_id: person
                .directory
                .as_ref()
                .and_then(|d| d.external_id.clone()),
            display_name: person.display_name.clone(),
            active: !person.has_left(),
        },
        groups,
        roles: person.roles.clone(),
    }
}
