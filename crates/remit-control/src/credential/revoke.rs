//! Revoking a credential of any sort: it is good for nothing from the same moment on.

use remit_books::{Change, Versioned};
use remit_domain::credential::{Enrolment, PersonToken, Svid, Token};
use remit_domain::event::{Event, EventKind};
use remit_domain::name::Name;
use remit_domain::{AgentId, RefusalCode, Role};

use super::{CredentialView, Found, What, cannot, only};
use crate::error::not_found;
use crate::{Caller, Control, ControlError, check, refuse};

/// Who may end what another person or an agent holds.
const MAY: [Role; 2] = [Role::Admin, Role::Responder];

impl Control {
    /// Revokes a credential: a key, an access token (with the SVIDs it asked for), an SVID, a token or a link of a person, the token of a
    /// directory.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, a responder, the owner of the agent or the person whose token it is;
    /// `not-found`; `conflict` for what has ended, and for keys that are replaced rather than revoked; `invalid-request`.
    pub async fn revoke_credential(
        &self,
        caller: &Caller,
        id: &str,
        reason: &str,
    ) -> Result<CredentialView, ControlError> {
        check::said("reason", reason)?;
        let Found { view, what } = self.find_credential(caller, id).await?;
        match what {
            What::AgentKey(key) => {
                let name: Name = self.agent_name(caller, &key.agent)?;
                self.remove_key(caller, &name, &key.thumbprint).await?;
            }
            What::Certificate(agent, thumbprint) => {
                let name = self.agent_name(caller, &agent)?;
                self.withhold(caller, &agent, &thumbprint).await?;
                self.remove_key(caller, &name, &thumbprint).await?;
            }
            What::Token(token) => self.revoke_access_token(caller, &token, reason).await?,
            What::Svid(svid) => self.withdraw_svid(caller, &svid, reason).await?,
            What::PersonToken(token) => self.revoke_personal(caller, &token, reason).await?,
            What::Enrolment(link) => self.end_link(caller, &link, reason).await?,
            What::Directory(name) => self.end_directory_token(caller, &name, reason).await?,
            What::Receiver(name) => self.end_receiver_token(caller, &name, reason).await?,
            What::Transmitter(name) => {
                self.end_transmitter_token(caller, &name, reason).await?;
            }
            What::Point(name) => {
                let text = format!(
                    "take the key out of enforcement point `{name}` with `remit enforcement-point set`, or disable the point; a point has at least one key"
                );
                return Err(cannot(&text));
            }
            What::Signing(_) => {
                let text = "a key that Remit signs with is replaced, not revoked: `remit key rotate`; what it signed ends by itself within minutes";
                return Err(cannot(text));
            }
        }
        self.look_at_credentials(&caller.org).await?;
        Ok(self.credential(caller, id).await.unwrap_or(CredentialView {
            state: "revoked",
            findings: Vec::new(),
            ..view
        }))
    }

    pub(super) fn agent_name(
        &self,
        caller: &Caller,
        agent: &AgentId,
    ) -> Result<Name, ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let found = registry.agents.get(agent);
        let found = found.ok_or_else(|| not_found("agent", agent))?;
        Ok(found.name.clone())
    }

    /// Whether the caller owns an agent.
    fn owns(&self, caller: &Caller, agent: &AgentId) -> Result<bool, ControlError> {
        let person = &caller.person()?.id;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let found = registry.agents.get(agent);
        Ok(found.is_some_and(|a| a.profile.owner == *person || a.profile.sponsor == *person))
    }

    async fn revoke_access_token(
        &self,
        caller: &Caller,
        token: &Token,
        reason: &str,
    ) -> Result<(), ControlError> {
        let own =
            self.owns(caller, &token.agent)? || caller.principal.person() == token.person.as_ref();
        only(caller, &MAY, own)?;
        let by = &caller.principal;
        let plan = || async {
            let found = self
                .books
                .get::<Token>(&caller.org, token.id.as_str())
                .await?;
            let found = found.ok_or_else(|| not_found("credential", &token.id))?;
            if let Some(at) = found.noun.revoked {
                return Err(ended(&format!("the token was revoked at {at}")));
            }
            let told = |event: Event| event.content("reason", reason);
            let books = &self.books;
            let planned = books.plan_token_revocation(&caller.org, &token.id, by, told);
            Ok(((), planned.await?.unwrap_or_default()))
        };
        self.settle(&caller.org, plan).await?;
        let spawned = self.books.end_spawned_with(&caller.org, &token.id, by);
        Ok(spawned.await?)
    }

    async fn withdraw_svid(
        &self,
        caller: &Caller,
        svid: &Svid,
        reason: &str,
    ) -> Result<(), ControlError> {
        only(caller, &MAY, self.owns(caller, &svid.agent)?)?;
        let plan = || async {
            let found = self
                .books
                .get::<Svid>(&caller.org, svid.id.as_str())
                .await?;
            let found = found.ok_or_else(|| not_found("credential", &svid.id))?;
            if let Some(at) = found.noun.withdrawn {
                return Err(ended(&format!("the SVID was withdrawn at {at}")));
            }
            let event = self
                .event(caller, EventKind::SvidWithdrawn)
                .about(&found.noun.id)
                .agent(&found.noun.agent)
                .fact("form", found.noun.form)
                .fact("expires", found.noun.expires)
                .content("reason", reason);
            let withdrawn = Svid {
                withdrawn: Some(self.books.now()),
                ..found.noun
            };
            let change = Change::new().update(&withdrawn, found.revision);
            Ok(((), change.event(event).restrict()))
        };
        self.settle(&caller.org, plan).await?;
        Ok(())
    }

    async fn revoke_personal(
        &self,
        caller: &Caller,
        token: &PersonToken,
        reason: &str,
    ) -> Result<(), ControlError> {
        only(
            caller,
            &MAY,
            caller.principal.person() == Some(&token.person),
        )?;
        let plan = || async {
            let found = self.books.get::<PersonToken>(&caller.org, &token.digest);
            let found = found.await?;
            let Versioned { noun, revision } =
                found.ok_or_else(|| not_found("credential", super::shown(&token.digest)))?;
            if let Some(at) = noun.revoked {
                return Err(ended(&format!("the token was revoked at {at}")));
            }
            let mut event = self
                .event(caller, EventKind::PersonTokenRevoked)
                .about(&noun.person)
                .fact("token", super::shown(&noun.digest))
                .content("reason", reason);
            event.shred_scope = noun.person.to_string();
            let revoked = PersonToken {
                revoked: Some(self.books.now()),
                ..noun
            };
            let change = Change::new().update(&revoked, revision).event(event);
            Ok(((), change.restrict()))
        };
        self.settle(&caller.org, plan).await?;
        Ok(())
    }

    async fn end_link(
        &self,
        caller: &Caller,
        link: &Enrolment,
        reason: &str,
    ) -> Result<(), ControlError> {
        let own =
            [Some(&link.person), link.created_by.as_ref()].contains(&caller.principal.person());
        only(caller, &MAY, own)?;
        let plan = || async {
            let found = self
                .books
                .get::<Enrolment>(&caller.org, &link.digest)
                .await?;
            let Versioned { noun, revision } =
                found.ok_or_else(|| not_found("credential", super::shown(&link.digest)))?;
            if noun.used.is_some() || self.books.now() >= noun.expires {
                return Err(ended("the link was used, or has ended"));
            }
            let mut event = self
                .event(caller, EventKind::EnrolmentRevoked)
                .about(&noun.person)
                .fact("link", super::shown(&noun.digest))
                .content("reason", reason);
            event.shred_scope = noun.person.to_string();
            let over = Enrolment {
                expires: self.books.now(),
                ..noun
            };
            let change = Change::new().update(&over, revision).event(event);
            Ok(((), change.restrict()))
        };
        self.settle(&caller.org, plan).await?;
        Ok(())
    }
}

fn ended(text: &str) -> ControlError {
    refuse(RefusalCode::Conflict, format!("{text} already"))
}
