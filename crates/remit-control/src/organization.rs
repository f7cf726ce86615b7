//! Organizations: the operator makes them, their administrators set them.

mod loosen;

use remit_domain::event::EventKind;
use remit_domain::hygiene::DAYS_MAX;
use remit_domain::name::Name;
use remit_domain::organization::Loosening;
use remit_domain::{Kind, Noun, OrgId, Organization, RefusalCode, Registry, Role, Separation};
use schemars::JsonSchema;
use serde::Serialize;

use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::OrganizationSpec;
use crate::{Caller, Control, ControlError, Saved, refuse};

/// Most data classes that an organization regulates by itself.
const REGULATED_MAX: usize = 100;

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
    /// A wish for less separation that waits for another administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loosening: Option<Loosening>,
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
        self.not_everything(&caller.org)?;
        let organization = Organization::new(self.books.id(OrgId::from_uuid), name, separation);
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
        let book = self.book(&caller.org)?;
        let draft = self.draft_organization(&book.registry(), caller, spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.organization(caller)?,
        })
    }

    pub(crate) fn draft_organization(
        &self,
        registry: &Registry,
        caller: &Caller,
        spec: OrganizationSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        if !spec.sessions.is_valid() {
            let text = "idle_s is 60 to 86400 and at most life_s, which is 300 to 604800";
            return Err(invalid("sessions", text));
        }
        if !spec.hygiene.is_valid() {
            let why = format!("every rule is 1 to {DAYS_MAX} days");
            return Err(invalid("hygiene", why));
        }
        if spec.regulated.len() > REGULATED_MAX {
            let text = format!("at most {REGULATED_MAX} data classes may be named");
            return Err(invalid("regulated", text));
        }
        let there = registry.organization.as_deref();
        let there = there.ok_or_else(|| not_found("organization", &caller.org))?;
        if there.separation == Separation::Dual && spec.separation == Separation::Single {
            let text = "one person does not end that two people are needed: ask with `remit organization loosen --reason WHY`, and let another administrator agree";
            return Err(refuse(RefusalCode::Forbidden, text));
        }
        let tightened = there.separation != spec.separation;
        let new = Organization {
            separation: spec.separation,
            sessions: spec.sessions,
            hygiene: spec.hygiene,
            regulated: spec.regulated,
            bound_tokens: spec.bound_tokens,
            wit_svids: there.wit_svids.turned(spec.wit_svids),
            loosening: there.loosening.clone().filter(|_| !tightened),
            ..there.clone()
        };
        let draft = Draft::over(registry, Some(there), &new, seen, |_| {
            self.event(caller, EventKind::OrganizationChanged)
                .about(&new.id)
                .fact("separation", new.separation)
                .fact("sessions", new.sessions)
                .fact("hygiene", new.hygiene)
                .fact("regulated", new.regulated.len())
                .fact("bound_tokens", new.bound_tokens)
                .fact("wit_svids", new.wit_svids.on)
                .content("organization", &new)
        });
        Ok(draft?.restrict_update())
    }

    /// The same for a document, which names the organization.
    pub(crate) fn draft_organization_named(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: OrganizationSpec,
    ) -> Result<Draft, ControlError> {
        if let Some(is) = registry.organization.as_ref().filter(|o| o.name != *name) {
            return Err(invalid(
                "metadata.name",
                format!(
                    "this organization is `{}`; only the operator creates others",
                    is.name
                ),
            ));
        }
        self.draft_organization(registry, caller, spec, None)
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

pub(super) fn view(organization: &Organization, revision: u64) -> OrganizationView {
    OrganizationView {
        id: organization.id.clone(),
        name: organization.name.clone(),
        spec: OrganizationSpec::of(organization),
        loosening: organization.loosening.clone(),
        revision,
    }
}
