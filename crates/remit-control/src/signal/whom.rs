//! Whom a signal is about, and whether its transmitter may tell of them.
//!
//! A transmitter tells of people whose identity provider it is, and of whom an administrator has named for it. A name that it may
//! not use finds nobody, whoever has it.

use remit_domain::credential::Token;
use remit_domain::idp::{IdentityProvider, PROVIDER_KEY, ProviderSettings};
use remit_domain::signal::SignalTransmitter;
use remit_domain::{AgentId, CredentialId, OrgId, PersonId, Registry};
use remit_token::SubjectId;

use super::effect::SignalHeard;
use crate::{Control, ControlError};

/// Who a subject is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    /// A person.
    Person(PersonId),
    /// An agent.
    Agent(AgentId),
    /// A credential of an agent: a key by its thumbprint, a token by its id.
    Credential(String, AgentId),
    /// Somebody of whom this transmitter may not tell.
    NotTheirs,
    /// Nobody who is here.
    Nobody,
}

/// What decides whom a transmitter means.
struct Names<'a> {
    registry: &'a Registry,
    transmitter: &'a SignalTransmitter,
    /// The OpenID provider of the organization, where that is who tells.
    provider: Option<&'a ProviderSettings>,
    /// Our issuer.
    ours: &'a str,
}

impl Control {
    /// Whom a signal is about; of several names for one, the first that finds somebody.
    pub(super) async fn whom(
        &self,
        org: &OrgId,
        transmitter: &SignalTransmitter,
        heard: &SignalHeard,
    ) -> Result<Whom, ControlError> {
        let provider = self.provider_of(org, transmitter).await?;
        let names = flat(&heard.subject);
        let mut found = self.token_named(org, transmitter, heard, &names).await?;
        let book = self.book(org)?;
        let registry = book.registry();
        let known = Names {
            registry: &registry,
            transmitter,
            provider: provider.as_ref(),
            ours: &heard.issuer,
        };
        for name in names {
            match known.whom(name) {
                Whom::Nobody => {}
                Whom::NotTheirs => found = found.or(Some(Whom::NotTheirs)),
                theirs => return Ok(theirs),
            }
        }
        Ok(found.unwrap_or(Whom::Nobody))
    }

    /// The OpenID provider of the organization, where it is in use and is this transmitter.
    async fn provider_of(
        &self,
        org: &OrgId,
        transmitter: &SignalTransmitter,
    ) -> Result<Option<ProviderSettings>, ControlError> {
        let found = self.books.get::<IdentityProvider>(org, PROVIDER_KEY);
        let found = found.await?.map(|found| found.noun);
        let same = |p: &IdentityProvider| p.is_in_use() && p.settings.issuer == transmitter.issuer;
        Ok(found.filter(same).map(|provider| provider.settings))
    }

    /// One of our access tokens, by its `jti`.
    async fn token_named(
        &self,
        org: &OrgId,
        transmitter: &SignalTransmitter,
        heard: &SignalHeard,
        names: &[&SubjectId],
    ) -> Result<Option<Whom>, ControlError> {
        let jti = names.iter().find_map(|name| match name {
            SubjectId::JwtId { iss, jti } if *iss == heard.issuer => Some(jti),
            _ => None,
        });
        let Some(id) = jti.and_then(|jti| jti.parse::<CredentialId>().ok()) else {
            return Ok(None);
        };
        let found = self.books.get::<Token>(org, id.as_str()).await?;
        Ok(
            found.map(|found| match transmitter.reaches(&found.noun.agent) {
                true => Whom::Credential(id.to_string(), found.noun.agent),
                false => Whom::NotTheirs,
            }),
        )
    }
}

impl Names<'_> {
    fn whom(&self, name: &SubjectId) -> Whom {
        match name {
            SubjectId::IssSub { iss, sub } if *iss == self.transmitter.issuer => {
                self.provided(sub).unwrap_or_else(|| self.theirs(sub))
            }
            SubjectId::IssSub { iss, sub } if iss == self.ours => self.our_own(sub),
            SubjectId::Email { email } => self.addressed(email),
            SubjectId::Account { uri } => self.addressed(uri.trim_start_matches("acct:")),
            SubjectId::Opaque { id } => match self.theirs(id) {
                Whom::Nobody => self.our_own(id),
                theirs => theirs,
            },
            SubjectId::Uri { uri } => self.theirs(uri),
            _ => Whom::Nobody,
        }
    }

    /// By a name that an administrator has put down for this transmitter.
    fn theirs(&self, name: &str) -> Whom {
        if let Some(person) = self.transmitter.people.get(name) {
            return Whom::Person(person.clone());
        }
        match self.transmitter.agents.get(name) {
            Some(agent) => Whom::Agent(agent.clone()),
            None => Whom::Nobody,
        }
    }

    /// By its own subject, where it is the identity provider of people here: that of the organization, or a trusted issuer that
    /// speaks for them.
    fn provided(&self, sub: &str) -> Option<Whom> {
        let mapped = self.provider.and_then(|p| p.subjects.get(sub));
        let mapped = mapped.and_then(|email| self.registry.person_named(email.as_str()));
        let person = mapped.map(|person| person.id.clone());
        let spoken = || {
            let issuer = self.registry.trusted_issuer_of(&self.transmitter.issuer)?;
            let identities = issuer.identities.as_ref().filter(|_| issuer.enabled)?;
            identities.people.get(sub).cloned()
        };
        person.or_else(spoken).map(Whom::Person)
    }

    /// By an address: that of somebody named for it, or of whoever may sign in by it.
    fn addressed(&self, email: &str) -> Whom {
        if let Whom::Person(person) = self.theirs(email) {
            return Whom::Person(person);
        }
        let email = email.to_ascii_lowercase();
        let Some(person) = self.registry.person_named(&email) else {
            return Whom::Nobody;
        };
        match self.provider.is_some_and(|p| p.verified_email) {
            true => Whom::Person(person.id.clone()),
            false => Whom::NotTheirs,
        }
    }

    /// By an id of ours.
    fn our_own(&self, id: &str) -> Whom {
        let reached = |agent: &AgentId, whom: Whom| match self.transmitter.reaches(agent) {
            true => whom,
            false => Whom::NotTheirs,
        };
        if let Ok(agent) = id.parse::<AgentId>() {
            return match self.registry.agents.contains_key(&agent) {
                true => reached(&agent, Whom::Agent(agent.clone())),
                false => Whom::Nobody,
            };
        }
        if let Ok(person) = id.parse::<PersonId>() {
            let named = self.transmitter.people.values().any(|p| *p == person);
            return match self.registry.people.contains_key(&person) {
                true if named => Whom::Person(person),
                true => Whom::NotTheirs,
                false => Whom::Nobody,
            };
        }
        match self.registry.keys.get(id).filter(|k| k.removed.is_none()) {
            Some(key) => reached(
                &key.agent,
                Whom::Credential(key.thumbprint.clone(), key.agent.clone()),
            ),
            None => Whom::Nobody,
        }
    }
}

/// The names of whom a subject is: those of the user, where it is several things that belong together. Which session of theirs it
/// is, only the transmitter knows: it is all of them here.
fn flat(subject: &SubjectId) -> Vec<&SubjectId> {
    match subject {
        SubjectId::Aliases { identifiers } => identifiers.iter().collect(),
        SubjectId::Complex(all) => match &all.user {
            Some(SubjectId::Aliases { identifiers }) => identifiers.iter().collect(),
            user => user.iter().collect(),
        },
        one => vec![one],
    }
}
