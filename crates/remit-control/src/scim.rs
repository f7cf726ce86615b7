//! Directories: who of the company is here, told by its own system over the SCIM interface (RFC 7643, RFC 7644).
//!
//! A directory makes people, renames them and says that they have left; it keeps groups, and what being in a group gives is
//! set by an administrator. It changes nobody's address, no break-glass account and nobody whom another directory tells of.

mod agent;
mod client;
mod group;
mod user;

pub use agent::{AgentTold, DirectoryAgent};
pub use client::{ScimClientSpec, ScimClientView, ScimToken};
pub use group::{GroupTold, GroupView};
pub use user::{UserTold, UserView};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use remit_books::Change;
use remit_domain::directory::{DirectoryGroup, Listed, ScimClient, TOLD_BYTES_MAX, given};
use remit_domain::{
    OrgId, Person, PersonId, Principal, RefusalCode, Registry, Role, ScimClientId, Separation,
    Timestamp,
};

use crate::approval::eligible;
use crate::error::invalid;
use crate::person::{gains, leaves_an_admin};
use crate::{Caller, Control, ControlError, check, refuse};

/// A directory that has proved which one it is.
#[derive(Debug, Clone)]
pub struct DirectoryCaller {
    /// Which client.
    pub client: ScimClientId,
    /// Of which organization.
    pub org: OrgId,
}

impl DirectoryCaller {
    fn caller(&self) -> Caller {
        Caller {
            principal: Principal::Directory(self.client.clone()),
            person: None,
            org: self.org.clone(),
        }
    }

    /// The client as it is now; a revoked one changes nothing more.
    fn standing(&self, registry: &Registry) -> Result<Arc<ScimClient>, ControlError> {
        let found = registry.scim_clients.get(&self.client);
        found
            .filter(|c| c.revoked.is_none())
            .cloned()
            .ok_or_else(|| refuse(RefusalCode::Forbidden, "this directory was revoked"))
    }

    /// Whether it tells of this person: no other directory does, and none has deleted them.
    fn tells_of(&self, registry: &Registry, person: &Person) -> bool {
        let deleted = person.directory.as_ref().is_some_and(|d| d.deleted);
        !deleted && !is_of_another(registry, &self.client, person)
    }
}

impl Control {
    fn directory<T>(
        &self,
        by: &DirectoryCaller,
        read: impl FnOnce(&Registry, &ScimClient) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let book = self.book(&by.org)?;
        let registry = book.registry();
        let client = by.standing(&registry)?;
        read(&registry, &client)
    }
}

/// A name that a directory gives: 1 to 255 bytes of one line.
fn told(field: &str, text: &str) -> Result<(), ControlError> {
    if text.len() > TOLD_BYTES_MAX || text.contains(['\n', '\t']) {
        let why = format!("is not one line of at most {TOLD_BYTES_MAX} bytes");
        return Err(invalid(field, why));
    }
    check::said(field, text)
}

fn longer_than_told(text: Option<&str>) -> Result<(), ControlError> {
    text.map_or(Ok(()), |text| told("externalId", text))
}

/// The people for whom what the client's groups give is another now, each as they become.
///
/// - `groups`: all groups of the client, as they become.
/// - `affected`: whom to look at.
///
/// # Errors
/// `forbidden` when a break-glass account would change, or when somebody would gain who set this directory up, or who could
/// have acted as those who did; `conflict` when no administrator would be left.
fn regive(
    registry: &Registry,
    client: &ScimClient,
    groups: &BTreeMap<String, DirectoryGroup>,
    affected: &BTreeSet<PersonId>,
    now: Timestamp,
) -> Result<Vec<Person>, ControlError> {
    let mut changed = Vec::new();
    // Whom another directory tells of by now, this one's groups give nothing and take nothing from.
    let own = |p: &&Arc<Person>| !is_of_another(registry, &client.id, p);
    let people = affected.iter().filter_map(|id| registry.people.get(id));
    for person in people.filter(|p| !p.has_left()).filter(own) {
        let of_theirs = groups.values().filter(|g| g.members.contains(&person.id));
        let (roles, teams) = given(registry, client, of_theirs);
        let had = listed(client, person);
        // What they had by hand is not the groups' to take back, though a group gives the same.
        let roles = &roles - &(&person.roles - &had.roles);
        let teams = &teams - &(&person.teams - &had.teams);
        if (&had.roles, &had.teams) == (&roles, &teams) {
            continue;
        }
        if person.break_glass {
            return Err(untouchable(person));
        }
        let mut next = Person::clone(person);
        next.roles = (&person.roles - &had.roles)
            .union(&roles)
            .copied()
            .collect();
        next.teams = (&person.teams - &had.teams)
            .union(&teams)
            .cloned()
            .collect();
        next.directory = Some(Listed {
            roles,
            teams,
            ..had
        });
        if gains(person, &next) {
            next = behind(registry, client, &next, now)?;
        }
        changed.push(next);
    }
    keeps_an_admin(registry, &changed)?;
    Ok(changed)
}

/// What this directory says of a person: what is known, of one that was revoked too, or nothing yet.
fn listed(client: &ScimClient, person: &Person) -> Listed {
    let had = person.directory.clone();
    let had = had.unwrap_or_else(|| new_listed(client));
    Listed {
        client: client.id.clone(),
        ..had
    }
}

fn new_listed(client: &ScimClient) -> Listed {
    Listed {
        client: client.id.clone(),
        external_id: None,
        roles: BTreeSet::new(),
        teams: BTreeSet::new(),
        deleted: false,
    }
}

/// Whether another directory tells of a person. One that was revoked tells of nobody any more: the next takes over.
fn is_of_another(registry: &Registry, client: &ScimClientId, person: &Person) -> bool {
    person.directory.as_ref().is_some_and(|d| {
        let other = registry.scim_clients.get(&d.client);
        d.client != *client && other.is_some_and(|c| c.revoked.is_none())
    })
}

fn untouchable(person: &Person) -> ControlError {
    let text = format!(
        "`{}` is a break-glass account, for when a directory is wrong; an administrator changes it",
        person.email
    );
    refuse(RefusalCode::Forbidden, text)
}

/// Who gains by a directory, with whoever set it up written down as behind them: nobody gives anything to themselves by one.
fn behind(
    registry: &Registry,
    client: &ScimClient,
    person: &Person,
    now: Timestamp,
) -> Result<Person, ControlError> {
    let dual = registry
        .organization
        .as_ref()
        .is_none_or(|o| o.separation == Separation::Dual);
    let mut next = person.clone();
    for maker in &client.behind {
        if let Some(maker) = registry.people.get(maker).filter(|_| dual) {
            let does = "gives a role or a team, by a directory that they set up,";
            eligible::not_for_oneself(registry, &person.id, maker, does)?;
        }
        if let Some(with) = next.vouched(maker, now) {
            next = with;
        }
    }
    Ok(next)
}

/// What is there is what a directory saw, where it says what that was.
fn unchanged(now: Option<u64>, seen: Option<u64>) -> Result<(), ControlError> {
    if seen.is_none() || now == seen {
        return Ok(());
    }
    let text = "it has changed meanwhile; read it again and repeat";
    Err(refuse(RefusalCode::Conflict, text))
}

/// Whether somebody would stop being an administrator.
fn loses_an_admin(registry: &Registry, changed: &[Person]) -> bool {
    changed.iter().any(|p| {
        let before = registry.people.get(&p.id);
        before.is_some_and(|b| b.holds(Role::Admin)) && !p.holds(Role::Admin)
    })
}

fn one_after_another(registry: &Registry, changed: &[Person], change: Change) -> Change {
    match loses_an_admin(registry, changed) {
        true => leaves_an_admin(registry, change),
        false => change,
    }
}

fn keeps_an_admin(registry: &Registry, changed: &[Person]) -> Result<(), ControlError> {
    let after = |id: &PersonId| changed.iter().find(|p| p.id == *id);
    let is_admin = |p: &Person| after(&p.id).unwrap_or(p).holds(Role::Admin);
    let mut people = registry.people.values();
    if loses_an_admin(registry, changed) && !people.any(|p| is_admin(p)) {
        let text = "no administrator would be left; make someone else one first";
        return Err(refuse(RefusalCode::Conflict, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
