//! Systems: what upstreams belong to.

use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::system::System;
use remit_domain::{Kind, Noun, Registry, Role, SystemId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::control::Before;
use crate::error::not_found;
use crate::spec::SystemSpec;
use crate::{Action, Caller, Control, ControlError, ListQuery, Listing, Saved, resolve};

/// A system, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SystemView {
    /// Its id.
    pub id: SystemId,
    /// Its name.
    pub name: Name,
    /// What is declared of it; null when its owner is not known any more.
    #[serde(flatten)]
    pub spec: Option<SystemSpec>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Systems, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn systems(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<SystemView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry
            .systems
            .values()
            .map(|s| (s.name.to_string(), "active", s));
        Ok(query.page(all, |s| view(&registry, s)))
    }

    /// One system.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn system(&self, caller: &Caller, name: &Name) -> Result<SystemView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(
            &registry,
            registry
                .system_named(name.as_str())
                .ok_or_else(|| not_found("system", name))?,
        ))
    }

    /// Creates or changes a system. Moving one to another environment counts at once for calls that wait.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request` for an unknown owner; `conflict`.
    pub async fn put_system(
        &self,
        caller: &Caller,
        name: &Name,
        spec: SystemSpec,
        seen: Option<u64>,
    ) -> Result<Saved<SystemView>, ControlError> {
        caller.require(&[Role::Admin])?;
        let book = self.book(&caller.org)?;
        let (system, before, there) = {
            let registry = book.registry();
            let there = registry.system_named(name.as_str()).cloned();
            let revision = there
                .as_ref()
                .and_then(|s| registry.revision(Kind::System, &s.key()));
            let system = System {
                id: there
                    .as_ref()
                    .map_or_else(|| self.books.id(SystemId::from_uuid), |s| s.id.clone()),
                name: name.clone(),
                owner: resolve::person(&registry, "owner", &spec.owner)?,
                environment: spec.environment,
                criticality: spec.criticality,
            };
            (system, Before::of(revision, seen)?, there)
        };
        if there.as_deref() == Some(&system) {
            return Ok(Saved {
                action: Action::None,
                view: self.system(caller, name)?,
            });
        }
        let (kind, action) = match there {
            None => (EventKind::SystemCreated, Action::Create),
            Some(_) => (EventKind::SystemChanged, Action::Update),
        };
        let event = self
            .event(caller, kind)
            .about(&system.id)
            .fact("owner", &system.owner)
            .fact("environment", system.environment)
            .fact("criticality", system.criticality)
            .content("system", &system);
        let change = before.put(&system).event(event);
        let change = if action == Action::Update {
            change.restrict()
        } else {
            change
        };
        self.books.commit(&caller.org, change).await?;
        Ok(Saved {
            action,
            view: self.system(caller, name)?,
        })
    }
}

fn view(registry: &Registry, system: &System) -> SystemView {
    SystemView {
        id: system.id.clone(),
        name: system.name.clone(),
        spec: SystemSpec::of(registry, system),
        revision: registry.revision(Kind::System, &system.key()).unwrap_or(0),
    }
}
