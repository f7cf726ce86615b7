//! Transmitters: who is believed about what happened elsewhere, by which keys, and what it may tell.

use std::collections::{BTreeMap, BTreeSet};

use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::name::{Email, Name};
use remit_domain::signal::{
    MAPPED_BYTES_MAX, MAPPED_MAX, SignalEvent, SignalTransmitter, Source, TRANSMITTERS_MAX,
};
use remit_domain::trusted_issuer::{KeySource, SignatureAlgorithm};
use remit_domain::{
    AgentId, Kind, Noun, PersonId, RefusalCode, Registry, Role, SignalTransmitterId, Timestamp,
};
use remit_token::ForeignJwks;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{SignalToken, audience, revoked};
use crate::control::Before;
use crate::error::{invalid, not_found};
use crate::{
    Action, Caller, Control, ControlError, ListQuery, Listing, Saved, check, idp, names, refuse,
};

/// What an administrator says of a transmitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalTransmitterSpec {
    /// Its `iss`, byte for byte.
    pub issuer: String,
    /// Where its keys come from.
    pub keys: KeySource,
    /// The algorithms that it may sign with.
    #[serde(default = "algorithms")]
    pub algorithms: BTreeSet<SignatureAlgorithm>,
    /// What its signals have to say in `aud`.
    pub audience: String,
    /// What it may tell: everything where absent.
    #[serde(default = "events")]
    pub events: BTreeSet<SignalEvent>,
    /// Whether it sends, or is asked.
    #[serde(default = "push")]
    pub source: Source,
    /// People of whom it may tell, by its own names for them (a subject, an address, an id): besides those who sign in with it,
    /// where it is the OpenID provider, and those for whom it speaks as a trusted issuer.
    #[serde(default)]
    pub people: BTreeMap<String, Email>,
    /// Agents of which it may tell, by its own names for them.
    #[serde(default)]
    pub agents: BTreeMap<String, Name>,
    /// Whether it may tell of every agent here, by its id here.
    #[serde(default)]
    pub every_agent: bool,
}

fn algorithms() -> BTreeSet<SignatureAlgorithm> {
    [SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256].into()
}

fn events() -> BTreeSet<SignalEvent> {
    SignalEvent::HEARD.into()
}

const fn push() -> Source {
    Source::Push {}
}

/// Whom it may tell of, as records.
struct Mapped {
    people: BTreeMap<String, PersonId>,
    agents: BTreeMap<String, AgentId>,
}

/// A transmitter, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignalTransmitterView {
    /// Its id, which is who acts in entries.
    pub id: SignalTransmitterId,
    /// Its name.
    pub name: Name,
    /// `active`, `without_token`, `expired` or `revoked`; one that is asked needs no token.
    pub state: &'static str,
    /// What is said of it.
    #[serde(flatten)]
    pub spec: SignalTransmitterSpec,
    /// When its token was made.
    pub made: Timestamp,
    /// When that ends; none where there is none.
    pub expires: Option<Timestamp>,
    /// Who set it up last.
    pub by: String,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Transmitters, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn signal_transmitters(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<SignalTransmitterView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let now = self.books.now();
        let all = registry.signal_transmitters.values();
        let all = all.map(|t| (t.name.to_string(), Noun::state(&**t), t));
        Ok(query.page(all, |t| view(&registry, t, now)))
    }

    /// One transmitter.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn signal_transmitter(
        &self,
        caller: &Caller,
        name: &Name,
    ) -> Result<SignalTransmitterView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(&registry, named(&registry, name)?, self.books.now()))
    }

    /// Registers a transmitter, or changes what is believed of it.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` for a revoked one, and when it has changed since `seen`;
    /// `invalid-request`; `limit-exceeded`.
    pub async fn put_signal_transmitter(
        &self,
        caller: &Caller,
        name: &Name,
        spec: &SignalTransmitterSpec,
        seen: Option<u64>,
    ) -> Result<Saved<SignalTransmitterView>, ControlError> {
        let admin = caller.require(&[Role::Admin])?.id.clone();
        self.check_transmitter(caller, spec)?;
        let book = self.book(&caller.org)?;
        let plan = || async {
            let registry = book.registry();
            let there = registry.signal_transmitter_named(name.as_str());
            let there = there.map(AsRef::as_ref);
            let next = self.drafted(&registry, there, name, spec, &admin)?;
            stands(&next)?;
            let revision = there.and_then(|t| registry.revision(Kind::SignalTransmitter, &t.key()));
            let before = Before::of(revision, seen)?;
            if there.is_some_and(|t| spec_of(&registry, t) == *spec) {
                return Ok((Action::None, Change::new()));
            }
            let event = self
                .event(caller, EventKind::SignalTransmitterChanged)
                .about(&next.id)
                .fact("events", &next.events)
                .fact("people", next.people.len())
                .fact("agents", next.agents.len())
                .fact("every_agent", next.every_agent)
                .content("transmitter", (&next.name, spec));
            let action = there.map_or(Action::Create, |_| Action::Update);
            Ok((action, before.put(&next).event(event)))
        };
        let (action, _) = self.settle(&caller.org, plan).await?;
        Ok(Saved {
            action,
            view: self.signal_transmitter(caller, name)?,
        })
    }

    /// A transmitter as it is to be.
    fn drafted(
        &self,
        registry: &Registry,
        there: Option<&SignalTransmitter>,
        name: &Name,
        spec: &SignalTransmitterSpec,
        admin: &PersonId,
    ) -> Result<SignalTransmitter, ControlError> {
        if there.is_none() {
            let live = registry.signal_transmitters.values();
            if live.filter(|t| t.revoked.is_none()).count() >= TRANSMITTERS_MAX {
                let text = format!("at most {TRANSMITTERS_MAX} transmitters are heard at once");
                return Err(refuse(RefusalCode::LimitExceeded, text));
            }
        }
        let Mapped { people, agents } = mapped(registry, spec)?;
        let now = self.books.now();
        Ok(SignalTransmitter {
            id: there.map_or_else(
                || self.books.id(SignalTransmitterId::from_uuid),
                |t| t.id.clone(),
            ),
            name: name.clone(),
            issuer: spec.issuer.clone(),
            keys: spec.keys.clone(),
            algorithms: spec.algorithms.clone(),
            audience: spec.audience.clone(),
            events: spec.events.clone(),
            source: spec.source.clone(),
            people,
            agents,
            every_agent: spec.every_agent,
            digest: there.and_then(|t| t.digest.clone()),
            made: there.map_or(now, |t| t.made),
            expires: there.map_or(now, |t| t.expires),
            by: admin.clone(),
            revoked: there.and_then(|t| t.revoked),
        })
    }

    fn check_transmitter(
        &self,
        caller: &Caller,
        spec: &SignalTransmitterSpec,
    ) -> Result<(), ControlError> {
        idp::issuer(&spec.issuer)?;
        audience(&spec.audience)?;
        match &spec.keys {
            KeySource::Discovery {} => {}
            KeySource::SpiffeBundle(_) | KeySource::HttpsSpiffe(_) => {
                return Err(invalid("keys", "a trust domain signs no signals"));
            }
            KeySource::JwksUri(uri) => idp::address("keys", uri)?,
            KeySource::Jwks(set) => {
                ForeignJwks::from_json(&set.to_string()).map_err(|e| invalid("keys", e))?;
            }
        }
        if spec.algorithms.is_empty() {
            return Err(invalid("algorithms", "is empty; name what it signs with"));
        }
        if let Some(other) = spec.events.iter().find(|e| !SignalEvent::HEARD.contains(e)) {
            let why = format!("nothing follows from `{}` here", other.as_str());
            return Err(invalid("events", why));
        }
        if let Source::Poll { endpoint, secret } = &spec.source {
            idp::address("source.endpoint", endpoint)?;
            let org = self.org_name(&caller.org)?;
            self.secrets
                .may_name(&org, secret)
                .map_err(|e| invalid("source.secret", e))?;
        }
        Ok(())
    }

    /// Makes a token of a transmitter that sends; the one before it ends at once.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` for a revoked one, and for one that is asked;
    /// `invalid-request`.
    pub async fn make_transmitter_token(
        &self,
        caller: &Caller,
        name: &Name,
        days: i64,
    ) -> Result<SignalToken, ControlError> {
        let admin = caller.require(&[Role::Admin])?.id.clone();
        let made = self.new_signal_token(days)?;
        let now = self.books.now();
        self.change_transmitter(caller, name, |transmitter| {
            if transmitter.source != push() {
                let text = "this transmitter is asked, and needs no token of ours";
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let event = self
                .event(caller, EventKind::SignalTokenMade)
                .fact("expires", made.expires);
            let next = SignalTransmitter {
                digest: Some(made.digest.clone()),
                made: now,
                expires: made.expires,
                by: admin.clone(),
                ..transmitter
            };
            Ok((next, event))
        })
        .await?;
        Ok(SignalToken {
            token: SecretString::from(made.secret.format().as_str()),
            expires: made.expires,
        })
    }

    /// Ends the token of a transmitter: it is heard no more until it has another.
    pub(crate) async fn end_transmitter_token(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<(), ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        self.change_transmitter(caller, name, |transmitter| {
            let event = self
                .event(caller, EventKind::SignalTokenEnded)
                .content("reason", reason);
            let next = SignalTransmitter {
                digest: None,
                ..transmitter
            };
            Ok((next, event))
        })
        .await
    }

    /// Revokes a transmitter for good: nothing that it says counts any more. What it did stays.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or responder; `not-found`; `conflict` for one that was revoked.
    pub async fn revoke_signal_transmitter(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<SignalTransmitterView, ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        check::said("reason", reason)?;
        let now = self.books.now();
        self.change_transmitter(caller, name, |transmitter| {
            let event = self
                .event(caller, EventKind::SignalTransmitterRevoked)
                .content("reason", reason);
            let next = SignalTransmitter {
                digest: None,
                revoked: Some(now),
                ..transmitter
            };
            Ok((next, event))
        })
        .await?;
        self.signal_transmitter(caller, name)
    }

    async fn change_transmitter(
        &self,
        caller: &Caller,
        name: &Name,
        change: impl Fn(SignalTransmitter) -> Result<(SignalTransmitter, Event), ControlError>
        + Send
        + Sync,
    ) -> Result<(), ControlError> {
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let registry = book.registry();
            let there = named(&registry, name)?;
            stands(there)?;
            let revision = registry.revision(Kind::SignalTransmitter, &there.key());
            let (next, event) = change(SignalTransmitter::clone(there))?;
            let event = event.about(&next.id);
            let change = Before::of(revision, None)?.put(&next).event(event);
            Ok(((), change.restrict()))
        })
        .await?;
        Ok(())
    }
}

/// The people and agents that a transmitter may tell of.
fn mapped(registry: &Registry, spec: &SignalTransmitterSpec) -> Result<Mapped, ControlError> {
    let sized = |name: &String| {
        (1..=MAPPED_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
    };
    let names = || spec.people.keys().chain(spec.agents.keys());
    if spec.people.len() > MAPPED_MAX || spec.agents.len() > MAPPED_MAX || !names().all(sized) {
        let why = format!("has at most {MAPPED_MAX} names of at most {MAPPED_BYTES_MAX} bytes");
        return Err(invalid("people", why));
    }
    if let Some(both) = spec.people.keys().find(|n| spec.agents.contains_key(*n)) {
        let why = format!("`{both}` is among the agents too; a name is of one of them");
        return Err(invalid("people", why));
    }
    let people = spec.people.iter().map(|(name, email)| {
        let found = registry.person_named(email.as_str());
        let found =
            found.ok_or_else(|| invalid("people", format!("no person `{email}` is here")))?;
        Ok((name.clone(), found.id.clone()))
    });
    let people = people.collect::<Result<_, ControlError>>()?;
    let agents = spec.agents.iter().map(|(name, agent)| {
        let found = registry.agent_named(agent.as_str());
        let found =
            found.ok_or_else(|| invalid("agents", format!("no agent `{agent}` is here")))?;
        Ok((name.clone(), found.id.clone()))
    });
    let agents = agents.collect::<Result<_, ControlError>>()?;
    Ok(Mapped { people, agents })
}

/// What is said of a transmitter now.
fn spec_of(registry: &Registry, t: &SignalTransmitter) -> SignalTransmitterSpec {
    let person = |id: &PersonId| registry.people.get(id).map(|p| p.email.clone());
    let agent = |id: &AgentId| registry.agents.get(id).map(|a| a.name.clone());
    let people = t.people.iter();
    let agents = t.agents.iter();
    SignalTransmitterSpec {
        people: people
            .filter_map(|(name, id)| Some((name.clone(), person(id)?)))
            .collect(),
        agents: agents
            .filter_map(|(name, id)| Some((name.clone(), agent(id)?)))
            .collect(),
        every_agent: t.every_agent,
        issuer: t.issuer.clone(),
        keys: t.keys.clone(),
        algorithms: t.algorithms.clone(),
        audience: t.audience.clone(),
        events: t.events.clone(),
        source: t.source.clone(),
    }
}

fn stands(transmitter: &SignalTransmitter) -> Result<(), ControlError> {
    match transmitter.revoked {
        None => Ok(()),
        Some(at) => Err(revoked(&format!("transmitter `{}`", transmitter.name), at)),
    }
}

fn named<'a>(
    registry: &'a Registry,
    name: &Name,
) -> Result<&'a std::sync::Arc<SignalTransmitter>, ControlError> {
    registry
        .signal_transmitter_named(name.as_str())
        .ok_or_else(|| not_found("transmitter", name))
}

fn view(
    registry: &Registry,
    transmitter: &SignalTransmitter,
    now: Timestamp,
) -> SignalTransmitterView {
    let state = match transmitter {
        t if t.revoked.is_some() => "revoked",
        t if t.source != push() => "active",
        t if t.digest.is_none() => "without_token",
        t if now >= t.expires => "expired",
        _ => "active",
    };
    SignalTransmitterView {
        id: transmitter.id.clone(),
        name: transmitter.name.clone(),
        state,
        spec: spec_of(registry, transmitter),
        made: transmitter.made,
        expires: transmitter.digest.as_ref().map(|_| transmitter.expires),
        by: names::person(registry, &transmitter.by),
        revision: registry
            .revision(Kind::SignalTransmitter, &transmitter.key())
            .unwrap_or(0),
    }
}
