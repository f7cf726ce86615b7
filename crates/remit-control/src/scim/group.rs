//! Groups of a directory (SCIM Group, RFC 7643 section 4.2). What being in one gives is mapped by an administrator.

use std::collections::BTreeSet;

use remit_books::Change;
use remit_domain::directory::{DirectoryGroup, GROUPS_MAX, MEMBERS_MAX};
use remit_domain::event::EventKind;
use remit_domain::{DirectoryGroupId, Kind, Noun, PersonId, RefusalCode, Registry};

use super::client::groups_of;
use super::user::found as found_person;
use super::{DirectoryCaller, longer_than_told, one_after_another, regive, told, unchanged};
use crate::error::{invalid, not_found};
use crate::{Control, ControlError, refuse};

/// What a directory tells of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTold {
    /// How it is called, which is what it is mapped by.
    pub display_name: String,
    /// The directory's own id of it.
    pub external_id: Option<String>,
    /// Ids of people.
    pub members: BTreeSet<String>,
}

/// A group, as its directory sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Opaque id.
    pub id: DirectoryGroupId,
    /// Revision.
    pub revision: u64,
    /// How it is called.
    pub display_name: String,
    /// The directory's own id of it.
    pub external_id: Option<String>,
    /// Who is in it. Whom the directory has deleted are not.
    pub members: Vec<PersonId>,
}

impl Control {
    /// The groups of this directory.
    ///
    /// # Errors
    /// `forbidden` for a revoked directory.
    pub fn directory_groups(&self, by: &DirectoryCaller) -> Result<Vec<GroupView>, ControlError> {
        self.directory(by, |registry, client| {
            let all = groups_of(registry, &client.id);
            Ok(all.values().map(|g| view(by, registry, g)).collect())
        })
    }

    /// One of them.
    ///
    /// # Errors
    /// `not-found`, also for another directory's; `forbidden` for a revoked directory.
    pub fn directory_group(
        &self,
        by: &DirectoryCaller,
        id: &str,
    ) -> Result<GroupView, ControlError> {
        self.directory(by, |registry, _| {
            Ok(view(by, registry, found(by, registry, id)?))
        })
    }

    /// Makes a group, or replaces what is told of one. What that gives to whom, and takes from whom, is in the same commit.
    ///
    /// - `at`: id and revision of the one that is there; none for a new one.
    ///
    /// # Errors
    /// `not-found`; `conflict` for a name that another group has, when it has changed since, and for the last administrator;
    /// `invalid-request` for members nobody knows; `forbidden` when somebody would gain who set the directory up, or a
    /// break-glass account would change; `limit-exceeded`.
    pub async fn put_directory_group(
        &self,
        by: &DirectoryCaller,
        at: Option<(&str, u64)>,
        new: &GroupTold,
    ) -> Result<GroupView, ControlError> {
        told("displayName", &new.display_name)?;
        longer_than_told(new.external_id.as_deref())?;
        if new.members.len() > MEMBERS_MAX {
            let why = format!("has {} members; at most {MEMBERS_MAX}", new.members.len());
            return Err(invalid("members", why));
        }
        let plan = || async { self.plan_group(by, at, new) };
        let (id, _) = self.settle(&by.org, plan).await?;
        self.directory_group(by, id.as_str())
    }

    pub(super) fn plan_group(
        &self,
        by: &DirectoryCaller,
        at: Option<(&str, u64)>,
        new: &GroupTold,
    ) -> Result<(DirectoryGroupId, Change), ControlError> {
        self.directory(by, |registry, client| {
            let there = at.map(|(id, _)| found(by, registry, id)).transpose()?;
            let revision = there.and_then(|g| registry.revision(Kind::DirectoryGroup, &g.key()));
            if revision != at.map(|(_, seen)| seen) {
                let text = "it has changed meanwhile; read it again and repeat";
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let own = groups_of(registry, &client.id);
            if there.is_none() && own.len() >= GROUPS_MAX {
                let text = format!("a directory keeps at most {GROUPS_MAX} groups");
                return Err(refuse(RefusalCode::LimitExceeded, text));
            }
            let taken = |g: &&DirectoryGroup| {
                g.display_name == new.display_name && there.is_none_or(|t| t.id != g.id)
            };
            if own.values().any(|g| taken(&g)) {
                let text = "another group has that displayName; what a group gives goes by it";
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let group = DirectoryGroup {
                id: there.map_or_else(
                    || self.books.id(DirectoryGroupId::from_uuid),
                    |g| g.id.clone(),
                ),
                client: client.id.clone(),
                display_name: new.display_name.clone(),
                external_id: new.external_id.clone(),
                members: members(by, registry, there, new)?,
                removed: None,
            };
            if there == Some(&group) {
                return Ok((group.id, Change::new()));
            }
            let change = self.group_change(by, registry, there, &group)?;
            Ok((group.id, change))
        })
    }

    /// Removes a group; what it gave is taken back.
    ///
    /// - `seen`: the revision that the directory looked at, where it says so.
    ///
    /// # Errors
    /// `not-found`; `conflict` for the last administrator; `forbidden` for a break-glass account or a revoked directory.
    pub async fn delete_directory_group(
        &self,
        by: &DirectoryCaller,
        id: &str,
        seen: Option<u64>,
    ) -> Result<(), ControlError> {
        let plan = || async {
            self.directory(by, |registry, _| {
                let there = found(by, registry, id)?;
                unchanged(registry.revision(Kind::DirectoryGroup, &there.key()), seen)?;
                let gone = DirectoryGroup {
                    removed: Some(self.books.now()),
                    ..there.clone()
                };
                Ok(((), self.group_change(by, registry, Some(there), &gone)?))
            })
        };
        self.settle(&by.org, plan).await.map(|_| ())
    }

    fn group_change(
        &self,
        by: &DirectoryCaller,
        registry: &Registry,
        there: Option<&DirectoryGroup>,
        group: &DirectoryGroup,
    ) -> Result<Change, ControlError> {
        let caller = by.caller();
        let client = by.standing(registry)?;
        let mut own = groups_of(registry, &client.id);
        own.insert(group.key(), group.clone());
        let before = there.map(|g| g.members.clone()).unwrap_or_default();
        let affected = before.union(&group.members).cloned().collect();
        let people = regive(registry, &client, &own, &affected, self.books.now())?;
        let kind = if group.removed.is_some() {
            EventKind::DirectoryGroupRemoved
        } else {
            EventKind::DirectoryGroupChanged
        };
        let added: Vec<_> = group.members.difference(&before).collect();
        let removed: Vec<_> = before.difference(&group.members).collect();
        let event = self
            .event(&caller, kind)
            .about(&group.id)
            .fact("members", group.members.len())
            .fact("people_changed", people.len())
            .content("name", &group.display_name)
            .content("added", added)
            .content("removed", removed);
        let change = match registry.revision(Kind::DirectoryGroup, &group.key()) {
            Some(revision) => Change::new().update(group, revision),
            None => Change::new().create(group),
        };
        // What groups give is worked out over all of them: changes of one directory come one after the other.
        let revision = registry.revision(Kind::ScimClient, &client.key());
        let change = change.event(event).update(&*client, revision.unwrap_or(0));
        let change = one_after_another(registry, &people, change);
        let changes = people
            .iter()
            .map(|p| self.person_change(&caller, registry, p));
        Ok(changes.fold(change, Change::and))
    }
}

/// The people that a group is told to hold. Who has left stays until told otherwise; nobody joins who has left.
fn members(
    by: &DirectoryCaller,
    registry: &Registry,
    there: Option<&DirectoryGroup>,
    new: &GroupTold,
) -> Result<BTreeSet<PersonId>, ControlError> {
    let mut members = BTreeSet::new();
    for id in &new.members {
        let unknown = || invalid("members", "name people of this directory, by their id");
        let person = found_person(by, registry, id).map_err(|_| unknown())?;
        let was = there.is_some_and(|g| g.members.contains(&person.id));
        if person.has_left() && !was {
            return Err(unknown());
        }
        members.insert(person.id.clone());
    }
    Ok(members)
}

fn found<'a>(
    by: &DirectoryCaller,
    registry: &'a Registry,
    id: &str,
) -> Result<&'a DirectoryGroup, ControlError> {
    let id = id.parse::<DirectoryGroupId>().ok();
    id.and_then(|id| registry.directory_groups.get(&id))
        .filter(|g| g.client == by.client)
        .map(AsRef::as_ref)
        .ok_or_else(|| not_found("group", "of that id"))
}

fn view(by: &DirectoryCaller, registry: &Registry, group: &DirectoryGroup) -> GroupView {
    let told_of = |id: &&PersonId| {
        registry
            .people
            .get(*id)
            .is_some_and(|p| by.tells_of(registry, p))
    };
    let members = group.members.iter().filter(told_of);
    GroupView {
        id: group.id.clone(),
        revision: registry
            .revision(Kind::DirectoryGroup, &group.key())
            .unwrap_or(0),
        display_name: group.display_name.clone(),
        external_id: group.external_id.clone(),
        members: members.cloned().collect(),
    }
}
