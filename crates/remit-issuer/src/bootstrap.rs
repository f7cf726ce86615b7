//! First people: an organization's first administrator comes from the operator, and from nobody afterwards.

use std::collections::BTreeSet;

use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::name::Email;
use remit_domain::person::PersonState;
use remit_domain::{OrgId, Person, PersonId, Principal, Refusal, RefusalCode, Role};

use remit_ports::store::Once;

use crate::limits::ENROLMENT_SECS;
use crate::refusal::{from_books, no};
use crate::{Enrolled, Issuer};

impl Issuer {
    /// Creates an organization's first administrator, who also audits until somebody else does, and the link with which that person makes their own token.
    ///
    /// # Errors
    /// `forbidden` when the organization has a living administrator: then it is theirs to create people; `conflict` when
    /// the address is taken; `not-found`, `ledger-unavailable`.
    pub async fn create_first_admin(
        &self,
        org: &OrgId,
        email: &Email,
    ) -> Result<Enrolled, Refusal> {
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
        // Two at once would both find no administrator: the number of people tells them apart from a later need.
        let until = self.books().now().plus_secs(ENROLMENT_SECS);
        let once = Once {
            key: format!("first-admin:{count}"),
            until,
        };
        let change = Change::new()
            .create(&person)
            .event(created)
            .and(link)
            .once(once);
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(enrolled)
    }
}
