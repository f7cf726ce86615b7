//! People: who they are, and what they may. A change of roles is an event of its own.

use std::collections::BTreeMap;

use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::name::Email;
use remit_domain::person::PersonState;
use remit_domain::vouch::Vouched;
use remit_domain::{Kind, Noun, OrgId, Person, PersonId, RefusalCode, Registry, Role, Separation};
use schemars::JsonSchema;
use serde::Serialize;

use crate::approval::eligible;
use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::PersonSpec;
use crate::{Caller, Control, ControlError, ListQuery, Listing, Saved, check, refuse, resolve};

/// A person, as people see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PersonView {
    /// Opaque id.
    pub id: PersonId,
    /// Address.
    pub email: Email,
    /// `active` or `left`.
    pub state: &'static str,
    /// Who they are and what they may.
    #[serde(flatten)]
    pub spec: PersonSpec,
    /// Address of who created them.
    pub created_by: Option<String>,
    /// Addresses of everybody who could have acted as them: who created them, made a link that was used, or set what the
    /// OpenID provider says of them. None of these decides for them as somebody else, nor they for these.
    pub vouched_by: Vec<String>,
    /// Their revision, which is also their ETag.
    pub revision: u64,
}

impl Control {
    /// People, by address.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn people(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<PersonView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry
            .people
            .values()
            .map(|p| (p.email.to_string(), p.state(), p));
        Ok(query.page(all, |p| view(&registry, p)))
    }

    /// One person, present or departed.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn person(&self, caller: &Caller, email: &Email) -> Result<PersonView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(
            &registry,
            registry
                .person_named(email.as_str())
                .ok_or_else(|| not_found("person", email))?,
        ))
    }

    /// Creates or changes a person. What is taken from them counts at once.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, and in `dual` for one who gives themselves a role or entitlement;
    /// `conflict` for a person who has left, for the last administrator's role, and when it has changed since `seen`;
    /// `invalid-request` for unknown teams or managers.
    pub async fn put_person(
        &self,
        caller: &Caller,
        email: &Email,
        spec: PersonSpec,
        seen: Option<u64>,
    ) -> Result<Saved<PersonView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_person(&book.registry(), caller, email, spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.person(caller, email)?,
        })
    }

    pub(crate) fn draft_person(
        &self,
        registry: &Registry,
        caller: &Caller,
        email: &Email,
        spec: PersonSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        let admin = caller.require(&[Role::Admin])?;
        check::said("display_name", &spec.display_name)?;
        check::list("teams", spec.teams.len())?;
        check::list("entitlements", spec.entitlements.len())?;
        let there = registry.person_named(email.as_str());
        let new = Person {
            id: there.map_or_else(|| self.books.id(PersonId::from_uuid), |p| p.id.clone()),
            email: email.clone(),
            display_name: spec.display_name,
            teams: resolve::teams(registry, "teams", &spec.teams)?,
            roles: spec.roles,
            entitlements: spec.entitlements,
            manager: resolve::maybe_person(registry, "manager", spec.manager.as_ref())?,
            created_by: there.map_or_else(|| Some(admin.id.clone()), |p| p.created_by.clone()),
            vouched_by: there.map_or_else(
                || BTreeMap::from([(admin.id.clone(), Vouched::once(self.books.now()))]),
                |p| p.vouched_by.clone(),
            ),
            groups_roles: there.and_then(|p| p.groups_roles.clone()),
            directory: there.and_then(|p| p.directory.clone()),
            break_glass: spec.break_glass,
            state: there.map_or(PersonState::Active, |p| p.state.clone()),
        };
        let there = there.map(AsRef::as_ref);
        permitted(registry, admin, there, &new)?;
        let draft = Draft::over(registry, there, &new, seen, |_| {
            person_event(self.event(caller, kind_of(there)), there, &new)
        });
        Ok(draft?.restrict_if(takes_away(there, &new)))
    }

    /// Whether anyone else here is an administrator.
    pub(crate) fn has_other_admin(
        &self,
        org: &OrgId,
        person: &PersonId,
    ) -> Result<bool, ControlError> {
        Ok(other_admin(&self.book(org)?.registry(), person))
    }
}

/// A change by which somebody stops being an administrator, with the organization written as it was read: of two that are planned
/// at once, on whatever nodes, the second is planned anew and finds who is the last.
pub(crate) fn leaves_an_admin(registry: &Registry, change: Change) -> Change {
    let read = registry.organization.as_ref();
    let read = read.and_then(|o| Some((o, registry.revision(Kind::Organization, &o.key())?)));
    match read {
        Some((organization, revision)) => change.update(organization.as_ref(), revision),
        None => change,
    }
}

fn other_admin(registry: &Registry, person: &PersonId) -> bool {
    registry
        .people
        .values()
        .any(|p| p.id != *person && p.holds(Role::Admin))
}

fn permitted(
    registry: &Registry,
    admin: &Person,
    there: Option<&Person>,
    new: &Person,
) -> Result<(), ControlError> {
    if there.is_some_and(Person::has_left) {
        let text = format!(
            "`{}` has left; people do not come back under the same address",
            new.email
        );
        return Err(refuse(RefusalCode::Conflict, text));
    }
    let mut above = new.manager.clone();
    for _ in 0..=registry.people.len() {
        let Some(manager) = above else { break };
        if manager == new.id {
            return Err(invalid(
                "manager",
                "nobody is their own manager, not even through others",
            ));
        }
        above = registry
            .people
            .get(&manager)
            .and_then(|m| m.manager.clone());
    }
    let Some(there) = there else { return Ok(()) };
    let dual = registry
        .organization
        .as_ref()
        .is_none_or(|o| o.separation == Separation::Dual);
    if dual && gains(there, new) {
        // Down the line it is no more than creating them with it; up the line it is giving it to oneself by a puppet.
        let does = "gives a role, an entitlement or a team";
        eligible::not_for_oneself(registry, &new.id, admin, does)?;
    }
    if dual && new.manager.as_ref() == Some(&admin.id) && there.manager != new.manager {
        let text = "nobody makes themselves somebody's manager here: managers approve; another administrator has to";
        return Err(refuse(RefusalCode::Forbidden, text));
    }
    if there.holds(Role::Admin) && !new.holds(Role::Admin) && !other_admin(registry, &new.id) {
        return Err(refuse(
            RefusalCode::Conflict,
            "this is the last administrator; make someone else one first",
        ));
    }
    Ok(())
}

/// Whether somebody may do more after a change: by roles, by what tools ask for, by teams that approve, past the provider.
pub(crate) fn gains(there: &Person, new: &Person) -> bool {
    !new.roles.is_subset(&there.roles)
        || !new.entitlements.is_subset(&there.entitlements)
        || !new.teams.is_subset(&there.teams)
        || (new.break_glass && !there.break_glass)
}

fn kind_of(there: Option<&Person>) -> EventKind {
    if there.is_some() {
        EventKind::PersonChanged
    } else {
        EventKind::PersonCreated
    }
}

/// Whether a change leaves a person with less: calls that wait on what they had are decided again.
pub(crate) fn takes_away(there: Option<&Person>, new: &Person) -> bool {
    there.is_some_and(|p| {
        !p.roles.is_subset(&new.roles)
            || !p.entitlements.is_subset(&new.entitlements)
            || !p.teams.is_subset(&new.teams)
    })
}

/// Roles, entitlements and teams are codes, names and ids; the rest of a person is sealed under their own key.
pub(crate) fn person_event(event: Event, there: Option<&Person>, new: &Person) -> Event {
    let mut event = event
        .about(&new.id)
        .fact("roles", &new.roles)
        .content("person", new);
    if let Some(there) = there {
        let added: Vec<_> = new.roles.difference(&there.roles).collect();
        let removed: Vec<_> = there.roles.difference(&new.roles).collect();
        event = event
            .fact("roles_added", added)
            .fact("roles_removed", removed)
            .fact(
                "entitlements_changed",
                new.entitlements != there.entitlements,
            )
            .content("before", there);
    }
    event.shred_scope = new.id.to_string();
    event
}

fn view(registry: &Registry, person: &Person) -> PersonView {
    PersonView {
        id: person.id.clone(),
        email: person.email.clone(),
        state: person.state(),
        spec: PersonSpec::of(registry, person),
        created_by: person
            .created_by
            .as_ref()
            .map(|id| crate::names::person(registry, id)),
        vouched_by: person
            .vouched_by
            .keys()
            .map(|id| crate::names::person(registry, id))
            .collect(),
        revision: registry.revision(Kind::Person, &person.key()).unwrap_or(0),
    }
}
