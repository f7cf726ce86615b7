//! Passkeys of people: listed, named and removed here; made and used in ceremonies.
//!
//! Source: WebAuthn Level 3. The relying party's id and origin come from `public_url`, never from a request. What a
//! ceremony needs between its two halves goes to the browser, sealed under the master key, good once and for five
//! minutes: any node can end what another began.

#[cfg(feature = "passkeys")]
mod enrol;
#[cfg(feature = "passkeys")]
mod finding;
#[cfg(feature = "passkeys")]
mod party;
#[cfg(feature = "passkeys")]
mod prove;
#[cfg(not(feature = "passkeys"))]
mod without;

use remit_books::{Change, Versioned};
use remit_domain::event::{Event, EventKind};
use remit_domain::passkey::Passkey;
use remit_domain::{OrgId, PasskeyId, Person, PersonId, Principal, Refusal, RefusalCode, Role};
use remit_ports::store::Filter;
use serde_json::Value;

use crate::limits::LABEL_BYTES_MAX;
use crate::refusal::{from_books, no};
use crate::{Issuer, check};

/// The first half of a ceremony: for the browser, and to be sent back with its answer.
#[derive(Debug, Clone)]
pub struct Ceremony {
    /// Sealed state; good once, for five minutes.
    pub ceremony: String,
    /// `{"publicKey": …}` as `navigator.credentials.create` or `.get` takes it, with its bytes in base64url.
    pub options: Value,
}

impl Issuer {
    /// A person's passkeys that are good, oldest first.
    ///
    /// # Errors
    /// `ledger-unavailable`.
    pub async fn passkeys(&self, org: &OrgId, person: &PersonId) -> Result<Vec<Passkey>, Refusal> {
        Ok(self
            .passkeys_of(org, person)
            .await?
            .into_iter()
            .map(|found| found.noun)
            .collect())
    }

    pub(crate) async fn passkeys_of(
        &self,
        org: &OrgId,
        person: &PersonId,
    ) -> Result<Vec<Versioned<Passkey>>, Refusal> {
        self.tenant(org)?;
        let filter = Filter {
            parent: Some(person.to_string()),
            state: Some("active".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let (found, _) = self
            .books()
            .list::<Passkey>(org, &filter)
            .await
            .map_err(from_books)?;
        Ok(found)
    }

    /// Renames one of a person's own passkeys.
    ///
    /// - `label`: at most 100 bytes.
    ///
    /// # Errors
    /// `not-found`, `invalid-request`, `conflict`, `ledger-unavailable`.
    pub async fn rename_passkey(
        &self,
        org: &OrgId,
        by: &Person,
        id: &PasskeyId,
        label: &str,
    ) -> Result<Passkey, Refusal> {
        check::text("label", label, LABEL_BYTES_MAX)?;
        let found = self.passkey_of(org, by, id, false).await?;
        let next = Passkey {
            label: label.to_owned(),
            ..found.noun
        };
        let event = self.passkey_event(EventKind::PasskeyRenamed, by, &next);
        let change = Change::new().update(&next, found.revision).event(event);
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(next)
    }

    /// Removes a passkey: one's own, or anybody's for an administrator. It never comes back.
    ///
    /// # Errors
    /// `not-found` also for somebody else's, `conflict`, `ledger-unavailable`.
    pub async fn remove_passkey(
        &self,
        org: &OrgId,
        by: &Person,
        id: &PasskeyId,
    ) -> Result<Passkey, Refusal> {
        let found = self.passkey_of(org, by, id, by.holds(Role::Admin)).await?;
        let next = Passkey {
            removed: Some(self.books().now()),
            ..found.noun
        };
        let event = self.passkey_event(EventKind::PasskeyRemoved, by, &next);
        let change = Change::new()
            .update(&next, found.revision)
            .event(event)
            .restrict();
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(next)
    }

    async fn passkey_of(
        &self,
        org: &OrgId,
        by: &Person,
        id: &PasskeyId,
        anybodys: bool,
    ) -> Result<Versioned<Passkey>, Refusal> {
        self.tenant(org)?;
        self.books()
            .get::<Passkey>(org, id.as_str())
            .await
            .map_err(from_books)?
            .filter(|found| anybodys || found.noun.person == by.id)
            .filter(|found| found.noun.is_good())
            .ok_or_else(|| no(RefusalCode::NotFound, "no such passkey is here"))
    }

    pub(crate) fn passkey_event(&self, kind: EventKind, by: &Person, passkey: &Passkey) -> Event {
        let principal = Principal::Person(by.id.clone());
        let mut event = Event::new(kind, self.books().now(), principal)
            .about(&passkey.person)
            .fact("passkey", &passkey.id)
            .content("label", &passkey.label);
        event.shred_scope = passkey.person.to_string();
        event
    }
}
