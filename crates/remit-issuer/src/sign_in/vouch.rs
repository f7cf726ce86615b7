//! Who could have signed in as somebody is written into that person's record before they do: those people never decide for
//! them as somebody else, nor they for those.

use std::collections::BTreeSet;

use remit_books::{BooksError, Change, Versioned};
use remit_domain::credential::Enrolment;
use remit_domain::event::{Event, EventKind};
use remit_domain::idp::{IdentityProvider, SetBy};
use remit_domain::{OrgId, Person, PersonId, Principal, Refusal, Role};

use remit_ports::store::StoreError;

use crate::Issuer;
use crate::refusal::from_books;
use crate::sign_in::cannot_sign_in;

/// How often a record that somebody else changed is written anew.
const TRIES: u32 = 5;

impl Issuer {
    /// Whoever made a link could have used it.
    pub(crate) async fn enrolled(&self, org: &OrgId, link: &Enrolment) -> Result<(), Refusal> {
        let Some(by) = &link.created_by else {
            return Ok(());
        };
        let by = SetBy {
            person: by.clone(),
            at: link.created,
        };
        self.vouched(org, &link.person, &[&by], None).await
    }

    /// Whoever set which provider is believed, or what names somebody in its answers, could have signed in with it.
    ///
    /// What its groups let the person do is kept with them, so that no other way in gives back what they took.
    ///
    /// - `subject`: the mapped subject that named the person; none where their verified address did.
    /// - `groups`: the roles that the groups name; none where groups are not looked at.
    pub(crate) async fn named_by_provider(
        &self,
        org: &OrgId,
        person: &PersonId,
        provider: &IdentityProvider,
        subject: Option<&str>,
        groups: Option<&BTreeSet<Role>>,
    ) -> Result<(), Refusal> {
        self.vouched(org, person, &provider.behind(subject), groups)
            .await
    }

    pub(crate) async fn vouched(
        &self,
        org: &OrgId,
        person: &PersonId,
        by: &[&SetBy],
        groups: Option<&BTreeSet<Role>>,
    ) -> Result<(), Refusal> {
        let mut tries = 0;
        loop {
            let found = self.books().get::<Person>(org, person.as_str()).await;
            let found = found.map_err(from_books)?.ok_or_else(cannot_sign_in)?;
            let Some(change) = self.plan_vouched(&found, by, groups) else {
                return Ok(());
            };
            match self.books().commit(org, change).await {
                Ok(_) => return Ok(()),
                // Somebody changed the person, or wrote the same, at this moment.
                Err(BooksError::Store(StoreError::Conflict { .. })) if tries < TRIES => tries += 1,
                Err(error) => return Err(from_books(error)),
            }
        }
    }

    fn plan_vouched(
        &self,
        found: &Versioned<Person>,
        by: &[&SetBy],
        groups: Option<&BTreeSet<Role>>,
    ) -> Option<Change> {
        let person = &found.noun;
        let mut next = person.clone();
        let mut change = Change::new();
        let event = |kind| {
            let who = Principal::Person(person.id.clone());
            Event::new(kind, self.books().now(), who).about(&person.id)
        };
        for set in by {
            if let Some(with) = next.vouched(&set.person, set.at) {
                next = with;
                let event = event(EventKind::PersonVouched);
                let event = event.fact("by", &set.person).fact("since", set.at);
                change = change.event(event);
            }
        }
        if groups.is_some() && next.groups_roles.as_ref() != groups {
            next.groups_roles = groups.cloned();
            let event = event(EventKind::PersonNarrowed);
            change = change.event(event.fact("roles_max", groups)).restrict();
        }
        (next != *person).then(|| change.update(&next, found.revision))
    }
}
