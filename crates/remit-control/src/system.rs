//! Systems: what upstreams belong to.

use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::system::System;
use remit_domain::{Kind, Noun, Registry, Role, SystemId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::draft::Draft;
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
        let book = self.book(&caller.org)?;
        let draft = self.draft_system(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.system(caller, name)?,
        })
    }

    pub(crate) fn draft_system(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: &SystemSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        let there = registry.system_named(name.as_str());
        let system = System {
            id: there.map_or_else(|| self.books.id(SystemId::from_uuid), |s| s.id.clone()),
            name: name.clone(),
            owner: resolve::person(registry, "owner", &spec.owner)?,
            environment: spec.environment,
            criticality: spec.criticality,
            trust: spec.trust,
        };
        let draft = Draft::over(
            registry,
            there.map(AsRef::as_ref),
            &system,
            seen,
            |action| {
                let kind = match action {
                    Action::Create => EventKind::SystemCreated,
                    _ => EventKind::SystemChanged,
                };
                self.event(caller, kind)
                    .about(&system.id)
                    .fact("owner", &system.owner)
                    .fact("environment", system.environment)
                    .fact("criticality", system.criticality)
                    .fact("trust", system.trust())
                    .content("system", &system)
            },
        );
        Ok(draft?.restrict_update())
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
