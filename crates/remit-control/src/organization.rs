//! Organizations: the operator makes them, their administrators set them.

use remit_books::Change;
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::{Kind, Noun, OrgId, Organization, RefusalCode, Role, Separation};
use schemars::JsonSchema;
use serde::Serialize;

use crate::control::Before;
use crate::error::{invalid, not_found};
use crate::spec::OrganizationSpec;
use crate::{Action, Caller, Control, ControlError, Saved, refuse};

/// An organization, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OrganizationView {
    /// Its id.
    pub id: OrgId,
    /// Its name.
    pub name: Name,
    /// Its settings.
    #[serde(flatten)]
    pub spec: OrganizationSpec,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Creates an organization, with its ledger and keys and nobody in it: its first administrator enrols next.
    ///
    /// # Errors
    /// `forbidden` for anyone but the operator; `conflict` when the name is taken.
    pub async fn create_organization(
        &self,
        caller: &Caller,
        name: Name,
        separation: Separation,
    ) -> Result<OrganizationView, ControlError> {
        caller.require_operator()?;
        let organization = Organization {
            id: self.books.id(OrgId::from_uuid),
            name,
            separation,
            sessions: Default::default(),
        };
        self.books
            .create_organization(&organization, caller.principal.clone())
            .await?;
        Ok(view(&organization, 1))
    }

    /// Every organization, by name; the operator sees that they are there, nothing inside.
    ///
    /// # Errors
    /// `forbidden` for anyone but the operator.
    pub fn organizations(&self, caller: &Caller) -> Result<Vec<OrganizationView>, ControlError> {
        caller.require_operator()?;
        let mut all: Vec<_> = self
            .books
            .orgs()
            .iter()
            .filter(|book| !book.is_operator())
            .filter_map(|book| {
                let registry = book.registry();
                let organization = registry.organization.clone()?;
                Some(view(
                    &organization,
                    registry
                        .revision(Kind::Organization, &organization.key())
                        .unwrap_or(0),
                ))
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The caller's organization.
    ///
    /// # Errors
    /// `forbidden` for anyone but its people.
    pub fn organization(&self, caller: &Caller) -> Result<OrganizationView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let organization = registry
            .organization
            .as_ref()
            .ok_or_else(|| not_found("organization", &caller.org))?;
        Ok(view(
            organization,
            registry
                .revision(Kind::Organization, &organization.key())
                .unwrap_or(0),
        ))
    }

    /// Changes the organization's settings.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` when it has changed since `seen`.
    pub async fn put_organization(
        &self,
        caller: &Caller,
        spec: OrganizationSpec,
        seen: Option<u64>,
    ) -> Result<Saved<OrganizationView>, ControlError> {
        caller.require(&[Role::Admin])?;
        if !spec.sessions.is_valid() {
            let text = "idle_s is 60 to 86400 and at most life_s, which is 300 to 604800";
            return Err(invalid("sessions", text));
        }
        let now = self.organization(caller)?;
        let before = Before::of(Some(now.revision), seen)?;
        if now.spec == spec {
            return Ok(Saved {
                action: Action::None,
                view: now,
            });
        }
        let organization = Organization {
            id: now.id,
            name: now.name,
            separation: spec.separation,
            sessions: spec.sessions,
        };
        let event = self
            .event(caller, EventKind::OrganizationChanged)
            .about(&organization.id)
            .fact("separation", organization.separation)
            .fact("sessions", organization.sessions)
            .content("organization", &organization);
        let change: Change = before.put(&organization).event(event).restrict();
        let committed = self.books.commit(&caller.org, change).await?;
        let revision = committed.revisions.first().copied().unwrap_or(0);
        Ok(Saved {
            action: Action::Update,
            view: view(&organization, revision),
        })
    }

    /// The same for a document, which names the organization.
    pub(crate) async fn put_organization_named(
        &self,
        caller: &Caller,
        name: &Name,
        spec: OrganizationSpec,
    ) -> Result<Action, ControlError> {
        let now = self.organization(caller)?;
        if now.name != *name {
            return Err(invalid(
                "metadata.name",
                format!(
                    "this organization is `{}`; only the operator creates others",
                    now.name
                ),
            ));
        }
        Ok(self.put_organization(caller, spec, None).await?.action)
    }

    /// Whether someone other than the owner has to activate and widen an agent here.
    pub(crate) fn is_dual(&self, org: &OrgId) -> Result<bool, ControlError> {
        let book = self.book(org)?;
        let registry = book.registry();
        let organization = registry.organization.as_ref();
        let organization = organization
            .ok_or_else(|| refuse(RefusalCode::NotFound, "no such organization is here"))?;
        Ok(organization.separation == Separation::Dual)
    }
}

fn view(organization: &Organization, revision: u64) -> OrganizationView {
    OrganizationView {
        id: organization.id.clone(),
        name: organization.name.clone(),
        spec: OrganizationSpec::of(organization),
        revision,
    }
}
