//! First people: an organization's first administrators come from the operator, at once, and from nobody afterwards.

use std::collections::BTreeSet;

use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::name::Email;
use remit_domain::person::PersonState;
use remit_domain::{OrgId, Person, PersonId, Principal, Refusal, RefusalCode, Role};

use remit_ports::store::Once;

use crate::limits::{ENROLMENT_SECS, FIRST_ADMINS_MAX};
use crate::refusal::{from_books, no};
use crate::{Enrolled, Issuer};

impl Issuer {
    /// Creates an organization's first administrator, who also audits until somebody else does, and the link with which that
    /// person makes their own token.
    ///
    /// # Errors
    /// As [`Self::create_first_admins`].
    pub async fn create_first_admin(
        &self,
        org: &OrgId,
        email: &Email,
    ) -> Result<Enrolled, Refusal> {
        let made = self
            .create_first_admins(org, std::slice::from_ref(email))
            .await?;
        made.into_iter()
            .next()
            .ok_or_else(|| no(RefusalCode::InvalidRequest, "name an administrator"))
    }

    /// Creates an organization's first administrators at once, each with a link. None of them created or enrolled another,
    /// so two of them are the two people that a small organization needs.
    ///
    /// - `emails`: 1 to 5 different addresses.
    ///
    /// # Errors
    /// `forbidden` when the organization has a living administrator: then it is theirs to create people; `conflict` when
    /// an address is taken; `invalid-request` for none or too many; `not-found`, `ledger-unavailable`.
    pub async fn create_first_admins(
        &self,
        org: &OrgId,
        emails: &[Email],
    ) -> Result<Vec<Enrolled>, Refusal> {
        let different: BTreeSet<&Email> = emails.iter().collect();
        if !(1..=FIRST_ADMINS_MAX).contains(&emails.len()) || different.len() != emails.len() {
            let text = format!("name 1 to {FIRST_ADMINS_MAX} different administrators");
            return Err(no(RefusalCode::InvalidRequest, text));
        }
        // One look: the number of people belongs to the moment at which there was no administrator.
        let (has_admin, count) = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let mut people = registry.people.values();
            (people.any(|p| p.holds(Role::Admin)), registry.people.len())
        };
        if has_admin {
            return Err(no(
                RefusalCode::Forbidden,
                "the organization has an administrator, who creates people there",
            ));
        }
        // Two at once would both find no administrator: the number of people tells them apart from a later need.
        let until = self.books().now().plus_secs(ENROLMENT_SECS);
        let once = Once {
            key: format!("first-admin:{count}"),
            until,
        };
        let mut change = Change::new().once(once);
        let mut links = Vec::new();
        for email in emails {
            let (enrolled, person) = self.plan_first_admin(org, email)?;
            change = change.and(person);
            links.push(enrolled);
        }
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(links)
    }

    fn plan_first_admin(&self, org: &OrgId, email: &Email) -> Result<(Enrolled, Change), Refusal> {
        let person = Person {
            id: self.books().id(PersonId::from_uuid),
            email: email.clone(),
            display_name: email.to_string(),
            teams: BTreeSet::new(),
            // Alone, they could never become one who verifies the ledger: in `dual` nobody gives themselves a role.
            roles: BTreeSet::from([Role::Admin, Role::Auditor]),
            entitlements: BTreeSet::new(),
            manager: None,
            created_by: None,
            vouched_by: Default::default(),
            groups_roles: None,
            directory: None,
            break_glass: false,
            state: PersonState::Active,
        };
        let created = Event::new(
            EventKind::PersonCreated,
            self.books().now(),
            Principal::Operator,
        )
        .about(&person.id)
        .fact("roles", &person.roles)
        .content("person", &person);
        let (enrolled, link) = self.plan_enrolment(org, &person.id, None, Principal::Operator)?;
        Ok((
            enrolled,
            Change::new().create(&person).event(created).and(link),
        ))
    }
}
