//! One credential of any sort: what it is, who holds it, when it was last used; revoked or replaced.

mod revoke;
mod rotate;

use std::collections::BTreeMap;

use remit_domain::credential::{AgentKey, ClientCertificate, Enrolment, PersonToken, Svid, Token};
use remit_domain::finding::FindingKind;
use remit_domain::key::SigningKey;
use remit_domain::{AgentId, EnforcementPoint, Noun, PersonId, Registry, Role, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{invalid, not_found};
use crate::{Caller, Control, ControlError, names, refuse};

pub use rotate::{NewCredential, Rotated};

/// Fewest characters of an id that name a credential.
const PREFIX_MIN: usize = 8;
/// Longest id that is looked for: the name of an agent, and a thumbprint.
const ID_BYTES_MAX: usize = 128;
/// How much of a digest is shown: enough to find it.
const SHOWN: usize = 16;

/// A sort of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A public key of an agent.
    AgentKey,
    /// One certificate of an authority that vouches for an agent.
    ClientCertificate,
    /// An access token.
    AccessToken,
    /// An X.509- or JWT-SVID.
    Svid,
    /// A person's token.
    PersonToken,
    /// A link by which a person makes a token, or signs in.
    Enrolment,
    /// The token of a directory (SCIM).
    DirectoryToken,
    /// The token of somebody who hears or tells signals.
    SignalToken,
    /// A public key of an enforcement point.
    PointKey,
    /// A key by which Remit signs.
    SigningKey,
}

/// A credential, as people see it. Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CredentialView {
    /// What it is known by: an id, a thumbprint (RFC 7638), or the start of the digest that is kept of it.
    pub id: String,
    /// Its sort.
    pub kind: CredentialKind,
    /// Who holds it: name of an agent, a directory or an enforcement point, address of a person, or `remit`.
    pub holder: String,
    /// `active`, `retiring`, `expired`, `used`, `revoked`, `removed`, `withdrawn` or `retired`.
    pub state: &'static str,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself; none where it does not.
    pub expires: Option<Timestamp>,
    /// When it was last used, to the hour; none where that was not seen, or is not noted of this sort.
    pub last_used: Option<Timestamp>,
    /// What is wrong with it: open findings about it.
    pub findings: Vec<FindingKind>,
    /// What else there is to know, in words.
    pub about: BTreeMap<&'static str, String>,
}

/// A credential with what is needed to act on it.
pub(crate) struct Found {
    pub(crate) view: CredentialView,
    pub(crate) what: What,
}

/// The record behind a credential.
pub(crate) enum What {
    AgentKey(AgentKey),
    /// One certificate of an authority, by its SHA-256, that was not withheld yet.
    Certificate(AgentId, String),
    Token(Token),
    Svid(Svid),
    PersonToken(PersonToken),
    Enrolment(Enrolment),
    Directory(remit_domain::name::Name),
    Receiver(remit_domain::name::Name),
    Transmitter(remit_domain::name::Name),
    Point(remit_domain::name::Name),
    Signing(SigningKey),
}

impl Control {
    /// Credentials of every sort but access tokens and SVIDs, which `credentials` lists: keys of agents and enforcement points, tokens of
    /// people and directories, links that were not used, and the keys that Remit signs with. By sort and holder.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization. Tokens of other people are shown to administrators, responders,
    /// reviewers and auditors.
    pub async fn held_credentials(
        &self,
        caller: &Caller,
    ) -> Result<Vec<CredentialView>, ControlError> {
        let mut all: Vec<CredentialView> = self
            .kept_credentials(caller)
            .await?
            .into_iter()
            .map(|f| f.view)
            .collect();
        all.sort_by(|a, b| (a.kind, &a.holder, &a.id).cmp(&(b.kind, &b.holder, &b.id)));
        Ok(all)
    }

    async fn kept_credentials(&self, caller: &Caller) -> Result<Vec<Found>, ControlError> {
        let person = caller.person()?.id.clone();
        let sees = [Role::Admin, Role::Responder, Role::Reviewer, Role::Auditor];
        let sees = sees.iter().any(|role| caller.holds(*role));
        let of = |id: &PersonId| sees || *id == person;
        let mut tokens = self.tokens_of_people(&caller.org).await?;
        tokens.retain(|t| of(&t.person));
        let now = self.books.now();
        let mut links: Vec<Enrolment> = self.active(&caller.org, None).await?;
        links.retain(|l| now < l.expires && of(&l.person));
        let signing: Vec<SigningKey> = self.active(&caller.org, None).await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let mut all: Vec<Found> = Vec::new();
        let keys = registry.keys.values().filter(|k| k.removed.is_none());
        all.extend(keys.map(|k| agent_key(&registry, k, now)));
        all.extend(tokens.into_iter().map(|t| person_token(&registry, t, now)));
        all.extend(links.into_iter().map(|l| enrolment(&registry, l, now)));
        all.extend(directories(&registry, now));
        all.extend(receivers(&registry, now));
        all.extend(transmitters(&registry, now));
        for point in registry.enforcement_points.values() {
            all.extend(point_keys(&registry, point));
        }
        all.extend(signing.into_iter().map(|k| signing_key(&registry, k)));
        Ok(all)
    }

    /// One credential, by its id or by at least 8 characters from its start.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`; `invalid-request` where several begin so.
    pub async fn credential(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<CredentialView, ControlError> {
        Ok(self.find_credential(caller, id).await?.view)
    }

    pub(crate) async fn find_credential(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Found, ControlError> {
        caller.person()?;
        let short = || {
            let why = format!("give the id, or at least {PREFIX_MIN} characters from its start");
            invalid("id", why)
        };
        if id.len() > ID_BYTES_MAX {
            return Err(short());
        }
        if let Some(found) = self.issued_credential(caller, id).await? {
            return Ok(found);
        }
        if let Some(found) = self.books.get::<AgentKey>(&caller.org, id).await? {
            let book = self.book(&caller.org)?;
            return Ok(agent_key(&book.registry(), &found.noun, self.books.now()));
        }
        if let Some((target, agent)) = self.certificate_target(&caller.org, id).await? {
            return self.find_certificate(caller, target, agent).await;
        }
        if id.len() < PREFIX_MIN {
            return Err(short());
        }
        let mut matching = self.kept_credentials(caller).await?;
        matching.retain(|f| f.view.id.starts_with(id) || f.digest().is_some_and(|d| d == id));
        match (matching.pop(), matching.pop()) {
            (Some(found), None) => Ok(found),
            (None, _) => Err(not_found("credential", id)),
            (Some(_), Some(_)) => Err(invalid("id", "several begin so; give more of it")),
        }
    }

    /// An access token or SVID, ended ones included.
    async fn issued_credential(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Option<Found>, ControlError> {
        let now = self.books.now();
        if let Some(found) = self.books.get::<Token>(&caller.org, id).await? {
            let book = self.book(&caller.org)?;
            return Ok(Some(access_token(&book.registry(), found.noun, now)));
        }
        let found = self.books.get::<Svid>(&caller.org, id).await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(found.map(|found| svid(&registry, found.noun, now)))
    }
}

impl Found {
    fn digest(&self) -> Option<&str> {
        match &self.what {
            What::PersonToken(t) => Some(&t.digest),
            What::Enrolment(l) => Some(&l.digest),
            _ => None,
        }
    }
}

/// A view of a credential that is known by `subject` in findings and uses.
fn view(
    registry: &Registry,
    subject: &str,
    kind: CredentialKind,
    holder: String,
    created: Timestamp,
) -> CredentialView {
    let about = registry.findings.get(subject);
    let mut findings: Vec<FindingKind> = about
        .into_iter()
        .flat_map(|open| open.values().map(|f| f.kind))
        .collect();
    findings.sort();
    CredentialView {
        id: subject.to_owned(),
        kind,
        holder,
        state: "active",
        created,
        expires: None,
        last_used: registry.uses.get(subject).map(|u| u.last),
        findings,
        about: BTreeMap::new(),
    }
}

fn ends(view: &mut CredentialView, at: Timestamp, now: Timestamp) {
    view.expires = Some(at);
    if now >= at {
        view.state = "expired";
    }
}

fn agent_key(registry: &Registry, key: &AgentKey, now: Timestamp) -> Found {
    let holder = names::agent(registry, &key.agent);
    let kind = match key.is_withheld() {
        true => CredentialKind::ClientCertificate,
        false => CredentialKind::AgentKey,
    };
    let mut view = view(registry, &key.thumbprint, kind, holder, key.created);
    if let Some(certificate) = &key.certificate {
        view.about
            .insert("certificate", crate::key::told(certificate));
    }
    if let Some(ClientCertificate::Exact { ends: at, .. }) = key.certificate {
        ends(&mut view, at, now);
    }
    if let Some(at) = key.retires {
        view.state = "retiring";
        ends(&mut view, at, now);
    }
    if let Some(at) = key.removed {
        (view.state, view.expires) = ("removed", Some(at));
    }
    if let Some(crv) = key.jwk.get("crv").and_then(|c| c.as_str()) {
        view.about.insert("curve", crv.to_owned());
    }
    Found {
        view,
        what: What::AgentKey(key.clone()),
    }
}

/// A certificate of an authority that is no record.
pub(crate) fn certificate(
    registry: &Registry,
    agent: AgentId,
    thumbprint: String,
    now: Timestamp,
) -> Found {
    let holder = names::agent(registry, &agent);
    let kind = CredentialKind::ClientCertificate;
    Found {
        view: view(registry, &thumbprint, kind, holder, now),
        what: What::Certificate(agent, thumbprint),
    }
}

fn access_token(registry: &Registry, token: Token, now: Timestamp) -> Found {
    let holder = names::agent(registry, &token.agent);
    let kind = CredentialKind::AccessToken;
    let mut view = view(registry, token.id.as_str(), kind, holder, token.issued);
    ends(&mut view, token.expires, now);
    if token.revoked.is_some() {
        view.state = "revoked";
    }
    let workflow = names::workflow(registry, &token.workflow);
    view.about.insert("workflow", workflow);
    view.about.insert("run", token.run.to_string());
    if let Some(person) = &token.person {
        view.about.insert("for", names::person(registry, person));
    }
    if let Some(delegation) = &token.delegation {
        view.about.insert("delegation", delegation.to_string());
    }
    view.about.insert("key", token.thumbprint.clone());
    if let Some(key) = token
        .bound_to
        .as_ref()
        .filter(|b| Some(*b) != token.certificate.as_ref())
    {
        view.about.insert("bound to key", key.clone());
    }
    if let Some(shown) = &token.certificate {
        view.about.insert("bound to certificate", shown.clone());
    }
    Found {
        view,
        what: What::Token(token),
    }
}

fn svid(registry: &Registry, svid: Svid, now: Timestamp) -> Found {
    let holder = names::agent(registry, &svid.agent);
    let kind = CredentialKind::Svid;
    let mut view = view(registry, svid.id.as_str(), kind, holder, svid.issued);
    ends(&mut view, svid.expires, now);
    if svid.withdrawn.is_some() {
        view.state = "withdrawn";
    }
    view.about.insert("form", svid.form.as_str().to_owned());
    view.about.insert("spiffe id", svid.spiffe_id.clone());
    if let Some(key) = &svid.key {
        view.about.insert("bound to key", key.clone());
    }
    if let Some(attested) = &svid.attested {
        let seen = format!(
            "{}, user {}, sha256 {}",
            attested.binary, attested.uid, attested.sha256
        );
        view.about.insert("attested", seen);
    }
    Found {
        view,
        what: What::Svid(svid),
    }
}

fn shown(digest: &str) -> String {
    digest.chars().take(SHOWN).collect()
}

fn person_token(registry: &Registry, token: PersonToken, now: Timestamp) -> Found {
    let holder = names::person(registry, &token.person);
    let kind = CredentialKind::PersonToken;
    let mut view = view(registry, &token.digest, kind, holder, token.created);
    view.id = shown(&token.digest);
    ends(&mut view, token.expires, now);
    view.about.insert("label", token.label.clone());
    Found {
        view,
        what: What::PersonToken(token),
    }
}

fn enrolment(registry: &Registry, link: Enrolment, now: Timestamp) -> Found {
    let holder = names::person(registry, &link.person);
    let kind = CredentialKind::Enrolment;
    let mut view = view(registry, &link.digest, kind, holder, link.created);
    view.id = shown(&link.digest);
    ends(&mut view, link.expires, now);
    if let Some(by) = &link.created_by {
        view.about.insert("made by", names::person(registry, by));
    }
    Found {
        view,
        what: What::Enrolment(link),
    }
}

fn directories(registry: &Registry, now: Timestamp) -> Vec<Found> {
    let held = registry
        .scim_clients
        .values()
        .filter(|c| c.revoked.is_none() && c.digest.is_some());
    held.map(|client| {
        let (kind, holder) = (CredentialKind::DirectoryToken, client.name.to_string());
        let mut view = view(registry, client.id.as_str(), kind, holder, client.made);
        ends(&mut view, client.expires, now);
        view.about
            .insert("made by", names::person(registry, &client.made_by));
        Found {
            view,
            what: What::Directory(client.name.clone()),
        }
    })
    .collect()
}

fn receivers(registry: &Registry, now: Timestamp) -> Vec<Found> {
    let held = registry
        .signal_receivers
        .values()
        .filter(|r| r.revoked.is_none() && r.digest.is_some());
    held.map(|receiver| {
        let (kind, holder) = (CredentialKind::SignalToken, receiver.name.to_string());
        let mut view = view(registry, receiver.id.as_str(), kind, holder, receiver.made);
        ends(&mut view, receiver.expires, now);
        view.about
            .insert("made by", names::person(registry, &receiver.made_by));
        Found {
            view,
            what: What::Receiver(receiver.name.clone()),
        }
    })
    .collect()
}

fn transmitters(registry: &Registry, now: Timestamp) -> Vec<Found> {
    let held = registry
        .signal_transmitters
        .values()
        .filter(|t| t.revoked.is_none() && t.digest.is_some());
    held.map(|transmitter| {
        let (kind, holder) = (CredentialKind::SignalToken, transmitter.name.to_string());
        let (id, made) = (transmitter.id.as_str(), transmitter.made);
        let mut view = view(registry, id, kind, holder, made);
        ends(&mut view, transmitter.expires, now);
        view.about
            .insert("made by", names::person(registry, &transmitter.by));
        Found {
            view,
            what: What::Transmitter(transmitter.name.clone()),
        }
    })
    .collect()
}

fn point_keys(registry: &Registry, point: &EnforcementPoint) -> Vec<Found> {
    let (kind, holder) = (CredentialKind::PointKey, point.name.to_string());
    let keys = point.keys.iter();
    keys.map(|key| {
        let created = key.added.unwrap_or(point.at);
        let mut view = view(registry, &key.thumbprint, kind, holder.clone(), created);
        if !point.enabled {
            view.state = "retired";
        }
        Found {
            view,
            what: What::Point(point.name.clone()),
        }
    })
    .collect()
}

fn signing_key(registry: &Registry, key: SigningKey) -> Found {
    let (kind, holder) = (CredentialKind::SigningKey, "remit".to_owned());
    let mut view = view(registry, key.id.as_str(), kind, holder, key.created);
    view.state = match Noun::state(&key) {
        "active" => "active",
        _ => "retired",
    };
    view.about.insert("signs", key.usage.as_str().to_owned());
    Found {
        view,
        what: What::Signing(key),
    }
}

/// Only these may act on what another person holds.
fn only(caller: &Caller, roles: &[Role], own: bool) -> Result<(), ControlError> {
    if own {
        return Ok(());
    }
    caller.require(roles).map(|_| ())
}

/// A sort of credential that this cannot be done with.
fn cannot(text: &str) -> ControlError {
    refuse(remit_domain::RefusalCode::Conflict, text)
}
