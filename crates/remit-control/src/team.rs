//! Teams.

use std::collections::BTreeSet;

use remit_domain::event::EventKind;
use remit_domain::name::{Email, Name};
use remit_domain::organization::Team;
use remit_domain::rota::{
    COVER_SECS_MAX, Cover, Rota, TURN_SECS_MAX, TURN_SECS_MIN, TURNS_MAX, on_call,
};
use remit_domain::{Kind, Noun, RefusalCode, Registry, Role, TeamId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::eligible;
use crate::draft::Draft;
use crate::error::not_found;
use crate::spec::{OnCallSpec, TeamSpec};
use crate::{Action, Caller, Control, ControlError, ListQuery, Listing, Saved, refuse};

/// A team, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TeamView {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: Name,
    /// Its people's addresses.
    pub people: Vec<String>,
    /// Who of it is on call.
    pub on_call: OnCallView,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// Who of a team is on call, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OnCallView {
    /// Address of whoever is now; none where nobody is, and then the whole team is asked.
    pub now: Option<String>,
    /// The same in words.
    pub text: String,
    /// Who takes turns, how long, since when.
    pub turns: Option<OnCallSpec>,
    /// Address of whoever stands in.
    pub cover: Option<Email>,
    /// Until when.
    pub cover_until: Option<Timestamp>,
}

/// Who stands in, and until when.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoverSpec {
    /// Address of somebody of the team.
    pub person: Email,
    /// Until when, at most 30 days from now; a time that is over ends it.
    pub until: Timestamp,
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
        let now = self.books.now();
        Ok(query.page(all, |t| view(&registry, t, now)))
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
            self.books.now(),
        ))
    }

    /// Creates or changes a team.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` when it has changed since `seen`; `invalid-request` for turns
    /// that are too many, too short or too long.
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
        let there = registry.team_named(name.as_str());
        let cover = there
            .and_then(|t| t.rota.as_ref())
            .and_then(|r| r.cover.clone());
        let rota = match &spec.on_call {
            Some(on_call) => Some(Rota {
                cover,
                ..turns(on_call)?
            }),
            None => cover.map(|cover| Rota {
                cover: Some(cover),
                ..Rota::default()
            }),
        };
        let team = Team {
            id: there.map_or_else(|| self.books.id(TeamId::from_uuid), |t| t.id.clone()),
            name: name.clone(),
            rota,
        };
        Draft::over(registry, there.map(AsRef::as_ref), &team, seen, |action| {
            let kind = match action {
                Action::Create => EventKind::TeamCreated,
                _ => EventKind::TeamChanged,
            };
            self.event(caller, kind)
                .about(&team.id)
                .content("team", &team)
        })
    }

    /// Somebody of the team stands in for whoever is on call, until a time.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator and whoever is on call now; `not-found`; `invalid-request` for somebody who
    /// is not of the team, or a time too far away.
    pub async fn cover_on_call(
        &self,
        caller: &Caller,
        name: &Name,
        spec: CoverSpec,
    ) -> Result<TeamView, ControlError> {
        let now = self.books.now();
        let book = self.book(&caller.org)?;
        let draft = {
            let registry = book.registry();
            let there = registry
                .team_named(name.as_str())
                .ok_or_else(|| not_found("team", name))?;
            let me = caller.person()?;
            let mine = on_call(&registry, there, now).is_some_and(|p| p.id == me.id);
            if !mine && !me.holds(Role::Admin) {
                return Err(refuse(
                    RefusalCode::Forbidden,
                    "an administrator says who stands in, or whoever is on call now",
                ));
            }
            let end = there.rota.as_ref().map(|rota| rota.until(now));
            if !me.holds(Role::Admin) && end.is_none_or(|end| spec.until > end) {
                return Err(refuse(
                    RefusalCode::Forbidden,
                    "whoever is on call names somebody for their own turn; an administrator does for longer",
                ));
            }
            let person = registry.person_named(spec.person.as_str());
            if let (false, true, Some(person)) = (mine, self.is_dual(&caller.org)?, person) {
                let does = "puts on call";
                eligible::not_for_oneself(&registry, &person.id, me, does)?;
            }
            if !person.is_some_and(|p| p.is_active() && p.teams.contains(&there.id)) {
                return Err(invalid(format!(
                    "`person`: {} is not an active person of {name}; only somebody of the team stands in",
                    spec.person
                )));
            }
            if spec.until > now.plus_secs(COVER_SECS_MAX) {
                return Err(invalid("`until`: at most 30 days from now".to_owned()));
            }
            let cover = Cover {
                person: spec.person,
                until: spec.until,
            };
            let team = Team {
                rota: Some(Rota {
                    cover: Some(cover).filter(|c| now < c.until),
                    ..there.rota.clone().unwrap_or_default()
                }),
                ..(**there).clone()
            };
            Draft::over(&registry, Some(there.as_ref()), &team, None, |_| {
                self.event(caller, EventKind::TeamChanged)
                    .about(&team.id)
                    .content("team", &team)
            })?
        };
        self.save(caller, draft).await?;
        self.team(caller, name)
    }
}

fn invalid(text: String) -> ControlError {
    refuse(RefusalCode::InvalidRequest, text)
}

fn turns(spec: &OnCallSpec) -> Result<Rota, ControlError> {
    let different: BTreeSet<&Email> = spec.people.iter().collect();
    if spec.people.is_empty()
        || spec.people.len() > TURNS_MAX
        || different.len() < spec.people.len()
    {
        return Err(invalid(format!(
            "`on_call.people`: name 1 to {TURNS_MAX} people, each once"
        )));
    }
    if !(TURN_SECS_MIN..=TURN_SECS_MAX).contains(&spec.turn_secs) {
        return Err(invalid(format!(
            "`on_call.turn_secs` is {}, and has to be from {TURN_SECS_MIN} (an hour) to {TURN_SECS_MAX} (90 days)",
            spec.turn_secs
        )));
    }
    Ok(Rota {
        turns: spec.people.clone(),
        turn_secs: spec.turn_secs,
        since: spec.since,
        cover: None,
    })
}

fn on_call_view(registry: &Registry, team: &Team, now: Timestamp) -> OnCallView {
    let whose = on_call(registry, team, now).map(|p| p.email.clone());
    let cover = team.rota.as_ref().and_then(|r| r.cover.as_ref());
    let cover = cover.filter(|c| now < c.until);
    let text = match (&whose, cover) {
        (Some(whose), Some(cover)) if *whose == cover.person => {
            format!("{whose} stands in until {}", cover.until)
        }
        (Some(whose), _) => format!("{whose} is on call"),
        (None, _) => "nobody is on call: the whole team is asked".to_owned(),
    };
    OnCallView {
        now: whose.map(|w| w.to_string()),
        text,
        turns: TeamSpec::of(team).on_call,
        cover: cover.map(|c| c.person.clone()),
        cover_until: cover.map(|c| c.until),
    }
}

fn view(registry: &Registry, team: &Team, now: Timestamp) -> TeamView {
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
        on_call: on_call_view(registry, team, now),
        revision: registry.revision(Kind::Team, &team.key()).unwrap_or(0),
    }
}
