//! Teams.

use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::organization::Team;
use remit_domain::{Kind, Noun, Registry, Role, TeamId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::draft::Draft;
use crate::error::not_found;
use crate::spec::TeamSpec;
use crate::{Caller, Control, ControlError, ListQuery, Listing, Saved};

/// A team, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TeamView {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: Name,
    /// Its people's addresses.
    pub people: Vec<String>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Teams, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn teams(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<TeamView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry
            .teams
            .values()
            .map(|t| (t.name.to_string(), "active", t));
        Ok(query.page(all, |t| view(&registry, t)))
    }

    /// One team.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn team(&self, caller: &Caller, name: &Name) -> Result<TeamView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(
            &registry,
            registry
                .team_named(name.as_str())
                .ok_or_else(|| not_found("team", name))?,
        ))
    }

    /// Creates a team; one that is there stays as it is.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` when it has changed since `seen`.
    pub async fn put_team(
        &self,
        caller: &Caller,
        name: &Name,
        spec: TeamSpec,
        seen: Option<u64>,
    ) -> Result<Saved<TeamView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_team(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.team(caller, name)?,
        })
    }

    pub(crate) fn draft_team(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: &TeamSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        let TeamSpec {} = spec;
        let there = registry.team_named(name.as_str());
        let team = Team {
            id: there.map_or_else(|| self.books.id(TeamId::from_uuid), |t| t.id.clone()),
            name: name.clone(),
        };
        Draft::over(registry, there.map(AsRef::as_ref), &team, seen, |_| {
            self.event(caller, EventKind::TeamCreated)
                .about(&team.id)
                .content("team", &team)
        })
    }
}

fn view(registry: &Registry, team: &Team) -> TeamView {
    let members = registry
        .people
        .values()
        .filter(|p| p.is_active() && p.teams.contains(&team.id));
    let mut people: Vec<_> = members.map(|p| p.email.to_string()).collect();
    people.sort();
    TeamView {
        id: team.id.clone(),
        name: team.name.clone(),
        people,
        revision: registry.revision(Kind::Team, &team.key()).unwrap_or(0),
    }
}
