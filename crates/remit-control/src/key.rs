//! The public keys agents prove themselves with. One key belongs to one agent, and to nobody after it was removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remit_books::{Change, Ending, Versioned};
use remit_domain::credential::{AgentKey, ClientCertificate, Token};
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::FindingKind;
use remit_domain::limits::AGENT_KEYS_MAX;
use remit_domain::name::Name;
use remit_domain::run::RunEnd;
use remit_domain::{
    Agent, CredentialId, EnforcementPoint, Kind, Noun, OrgId, Person, Principal, RefusalCode,
    Registry, Role, Run, RunId, Timestamp,
};
use remit_token::PublicJwk;
use remit_token::client_certificate::{self, NAME_PARAMETERS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::{living, may_widen, named};
use crate::error::{invalid, not_found};
use crate::{Caller, Control, ControlError, refuse};

/// Longest time that a replaced key stays good beside the new one, in seconds (30 days).
pub const OVERLAP_SECS_MAX: i64 = 30 * 86_400;

/// A public key to add: exactly one of the four forms.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewKey {
    /// As a JWK (RFC 7517), P-256 or Ed25519.
    pub jwk: Option<Value>,
    /// As a PEM `PUBLIC KEY`.
    pub pem: Option<String>,
    /// As a PEM `CERTIFICATE`: this very one proves the agent in a TLS handshake (`self_signed_tls_client_auth`, RFC 8705 §2.2).
    pub certificate: Option<String>,
    /// As a PEM `CERTIFICATE` of an authority, with one of the names below: any certificate that it signed for that name proves the
    /// agent (`tls_client_auth`, RFC 8705 §2.1). Administrators only.
    pub authority: Option<String>,
    /// The whole subject, as RFC 4514 writes it.
    pub tls_client_auth_subject_dn: Option<String>,
    /// A DNS name, exactly.
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI, exactly.
    pub tls_client_auth_san_uri: Option<String>,
    /// An IP address.
    pub tls_client_auth_san_ip: Option<String>,
    /// A mail address, exactly.
    pub tls_client_auth_san_email: Option<String>,
    /// Whether an attester (`remit workload-api`) holds it: what it says of a workload is believed. Never for a key that the
    /// workload itself can reach; only an administrator who does not own the agent (in `dual`) says so.
    pub attests: bool,
}

/// A key, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyView {
    /// RFC 7638 thumbprint, base64url.
    pub thumbprint: String,
    /// Whose it is.
    pub agent: String,
    /// `active` or `removed`.
    pub state: &'static str,
    /// The public JWK; null where an authority vouches for its certificates.
    pub jwk: Value,
    /// Which certificates prove it in a TLS handshake, in words; none where it signs assertions.
    pub certificate: Option<String>,
    /// Whether an attester holds it.
    pub attests: bool,
    /// When it was added.
    pub created: Timestamp,
    /// When it stops being good: it was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires: Option<Timestamp>,
    /// When it was removed.
    pub removed: Option<Timestamp>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// The keys of an agent, newest first, removed ones included.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`.
    pub fn keys(&self, caller: &Caller, agent: &Name) -> Result<Vec<KeyView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let agent = named(&registry, agent)?;
        let mut keys: Vec<_> = registry
            .keys
            .values()
            .filter(|k| k.agent == agent.id)
            .map(|k| view(&registry, k))
            .collect();
        keys.sort_by(|a, b| {
            b.created
                .cmp(&a.created)
                .then_with(|| a.thumbprint.cmp(&b.thumbprint))
        });
        Ok(keys)
    }

    /// Adds a public key.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or the owner, and for an attester's key for anyone but an administrator who does not
    /// own the agent (in `dual`); `conflict` for a key that any agent here holds or ever held (which
    /// is a finding), for one key too many, and for a retired agent; `invalid-request` for what is no public key or certificate.
    pub async fn add_key(
        &self,
        caller: &Caller,
        name: &Name,
        key: &NewKey,
    ) -> Result<KeyView, ControlError> {
        let person = Arc::clone(caller.person()?);
        let Read {
            thumbprint,
            jwk,
            certificate,
        } = read(key, self.books.now())?;
        let book = self.book(&caller.org)?;
        let (agent, holder) = {
            let registry = book.registry();
            let agent = living(&registry, name)?;
            keeper(&person, &agent)?;
            if key.attests || key.authority.is_some() {
                caller.require(&[Role::Admin])?;
                may_widen(&registry, &person, &agent)?;
            }
            let of_point = |p: &Arc<EnforcementPoint>| {
                p.holds(&thumbprint) || p.removed_keys.contains(&thumbprint)
            };
            if registry.enforcement_points.values().any(of_point) {
                let text = "an enforcement point holds or held this key; every agent has its own: make a new one";
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let holder = registry.keys.get(&thumbprint).cloned();
            let held = registry
                .keys
                .values()
                .filter(|k| k.agent == agent.id && k.removed.is_none() && !k.is_withheld())
                .count();
            if holder.is_none() && held >= AGENT_KEYS_MAX {
                let text = format!(
                    "agent `{name}` holds {held} keys, and {AGENT_KEYS_MAX} are permitted; remove one first"
                );
                return Err(refuse(RefusalCode::Conflict, text));
            }
            (agent, holder)
        };
        if let Some(holder) = holder {
            return Err(self.refuse_shared(caller, &agent, &holder).await?);
        }
        let key = AgentKey {
            thumbprint: thumbprint.clone(),
            agent: agent.id.clone(),
            jwk,
            certificate,
            attests: key.attests,
            created: self.books.now(),
            retires: None,
            removed: None,
        };
        let event = self
            .event(caller, EventKind::AgentKeyAdded)
            .about(&thumbprint)
            .agent(&agent.id)
            .fact("attests", key.attests)
            .content("certificate", &key.certificate);
        self.books
            .commit(&caller.org, Change::new().create(&key).event(event))
            .await?;
        Ok(view(&book.registry(), &key))
    }

    /// Says no to a key that an agent holds or held; a key that goes from one agent to another is a finding.
    async fn refuse_shared(
        &self,
        caller: &Caller,
        agent: &Agent,
        holder: &AgentKey,
    ) -> Result<ControlError, ControlError> {
        if holder.agent == agent.id {
            let word = if holder.removed.is_some() {
                "was removed from it, and no key returns"
            } else {
                "is its own already"
            };
            return Ok(refuse(
                RefusalCode::Conflict,
                format!("this key {word}; make a new one"),
            ));
        }
        let text = format!(
            "agent {} was to get a key that another agent holds or held",
            agent.name
        );
        let change = self
            .opening(caller, FindingKind::SharedKey, &holder.thumbprint, text)
            .await?;
        self.books.commit(&caller.org, change).await?;
        let text = "another agent holds or held this key; every agent has its own: make a new one, and replace this one as it was shared";
        Ok(refuse(RefusalCode::Conflict, text))
    }

    /// Removes a key: tokens that were issued to it end at once, and so do its implicit runs.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or the owner; `not-found`; `conflict` when it was removed.
    pub async fn remove_key(
        &self,
        caller: &Caller,
        name: &Name,
        thumbprint: &str,
    ) -> Result<KeyView, ControlError> {
        let person = Arc::clone(caller.person()?);
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let agent = {
                let registry = book.registry();
                let agent = named(&registry, name)?;
                keeper(&person, &agent)?;
                agent
            };
            let by = &caller.principal;
            let change = self.plan_key_removal(&caller.org, &agent, thumbprint, by);
            Ok(((), change.await?))
        })
        .await?;
        let registry = book.registry();
        registry
            .keys
            .get(thumbprint)
            .map(|k| view(&registry, k))
            .ok_or_else(|| not_found("key", thumbprint))
    }

    /// The change that removes a key of an agent, with everything that was got with it.
    async fn plan_key_removal(
        &self,
        org: &OrgId,
        agent: &Agent,
        thumbprint: &str,
        by: &Principal,
    ) -> Result<Change, ControlError> {
        let runs: Vec<_> = {
            let book = self.book(org)?;
            let registry = book.registry();
            let all = registry.runs.values();
            all.filter(|r| r.agent == agent.id).cloned().collect()
        };
        let found = self.books.get::<AgentKey>(org, thumbprint).await?;
        let found = found.filter(|k| k.noun.agent == agent.id);
        let Versioned { noun, revision } = found.ok_or_else(|| not_found("key", thumbprint))?;
        if let Some(at) = noun.removed {
            let text = format!("the key was removed at {at} already");
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let removed = AgentKey {
            removed: Some(self.books.now()),
            ..noun
        };
        let event = Event::new(EventKind::AgentKeyRemoved, self.books.now(), by.clone())
            .about(thumbprint)
            .agent(&agent.id);
        let mut change = Change::new()
            .update(&removed, revision)
            .event(event)
            .restrict();
        let mut over: Vec<RunId> = Vec::new();
        let ending = Ending::because(by.clone(), RunEnd::Person);
        let implicit = |r: &&Arc<Run>| remit_books::is_started_by(r, thumbprint);
        for run in runs.iter().filter(implicit) {
            if over.contains(&run.id) {
                continue;
            }
            let (ended, end) = self.books.plan_end(org, &run.id, &ending).await?;
            over.extend(ended.runs);
            change = change.and(end);
        }
        let mut svids = self.books.live_svids(org, Some(&agent.id)).await?;
        svids.retain(|svid| {
            let asked_with = [&svid.noun.thumbprint, &svid.noun.bound_to, &svid.noun.key];
            asked_with.contains(&&Some(thumbprint.to_owned()))
        });
        change = change.and(self.books.plan_withdrawal(svids, by));
        for run in runs.iter().filter(|r| !over.contains(&r.id)) {
            change = change.and(self.revoke_tokens(org, &run.id, thumbprint, by).await?);
        }
        Ok(change)
    }

    /// Replaces a key with overlap: the new one is good at once, the old one until `overlap_s` seconds have passed. Nothing that was got
    /// with the old one ends before that.
    ///
    /// # Errors
    /// As [`Control::add_key`]; `not-found` for a key that is not this agent's; `conflict` for one that was removed or is being
    /// replaced; `invalid-request` for an overlap that is not within 0 to 30 days.
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        name: &Name,
        thumbprint: &str,
        key: &NewKey,
        overlap_s: i64,
    ) -> Result<KeyView, ControlError> {
        let person = Arc::clone(caller.person()?);
        if !(0..=OVERLAP_SECS_MAX).contains(&overlap_s) {
            let why = format!("`{overlap_s}` is not within 0 to {OVERLAP_SECS_MAX}");
            return Err(invalid("overlap_s", why));
        }
        {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let agent = living(&registry, name)?;
            keeper(&person, &agent)?;
            replaceable(&registry, &agent, thumbprint)?;
        }
        let added = self.add_key(caller, name, key).await?;
        let retires = self.books.now().plus_secs(overlap_s);
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let registry = book.registry();
            let agent = living(&registry, name)?;
            let there = replaceable(&registry, &agent, thumbprint)?;
            let revision = registry.revision(Kind::AgentKey, thumbprint).unwrap_or(0);
            let next = AgentKey {
                retires: Some(retires),
                ..AgentKey::clone(&there)
            };
            let event = self
                .event(caller, EventKind::AgentKeyReplaced)
                .about(thumbprint)
                .agent(&agent.id)
                .fact("by_key", &added.thumbprint)
                .fact("retires", retires);
            Ok(((), Change::new().update(&next, revision).event(event)))
        })
        .await?;
        if overlap_s == 0 {
            self.retire_keys(&caller.org).await?;
        }
        Ok(added)
    }

    /// Removes the replaced keys whose time has come; how many.
    pub(crate) async fn retire_keys(&self, org: &OrgId) -> Result<u32, ControlError> {
        let now = self.books.now();
        let book = self.book(org)?;
        let due: Vec<(Arc<Agent>, String)> = {
            let registry = book.registry();
            let keys = registry.keys.values();
            let due = keys.filter(|k| k.removed.is_none() && !k.is_good(now));
            due.filter_map(|k| {
                let agent = registry.agents.get(&k.agent)?;
                Some((Arc::clone(agent), k.thumbprint.clone()))
            })
            .collect()
        };
        let mut count = 0;
        for (agent, thumbprint) in due {
            let plan = || async {
                let by = &Principal::Remit;
                let change = self.plan_key_removal(org, &agent, &thumbprint, by);
                Ok(((), change.await?))
            };
            match self.settle(org, plan).await {
                Ok(_) => count += 1,
                // Another node was first.
                Err(error) if error.code() == Some(RefusalCode::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    async fn revoke_tokens(
        &self,
        org: &OrgId,
        run: &RunId,
        thumbprint: &str,
        by: &Principal,
    ) -> Result<Change, ControlError> {
        let with_key = |t: &Versioned<Token>| {
            t.noun.thumbprint == thumbprint || t.noun.certificate.as_deref() == Some(thumbprint)
        };
        let mut tokens = self.books.live_tokens(org, run).await?;
        // One that has ended counts no more by itself, but what it has started goes on.
        let started: BTreeSet<CredentialId> = {
            let book = self.book(org)?;
            let registry = book.registry();
            let links = registry.delegations.values();
            let cut = links.filter(|link| link.run.as_ref() == Some(run));
            cut.filter_map(|link| link.token.clone()).collect()
        };
        for id in started {
            if tokens.iter().all(|t| t.noun.id != id) {
                let found = self.books.get::<Token>(org, id.as_str()).await?;
                tokens.extend(found.filter(|t| t.noun.revoked.is_none()));
            }
        }
        let mut change = Change::new();
        for found in tokens.into_iter().filter(with_key) {
            let told = |event: Event| event.fact("key", thumbprint);
            change = change.and(self.books.plan_revoked(found, by, told));
        }
        Ok(change)
    }
}

/// A key of an agent that may be replaced now.
fn replaceable(
    registry: &Registry,
    agent: &Agent,
    thumbprint: &str,
) -> Result<Arc<AgentKey>, ControlError> {
    let found = registry.keys.get(thumbprint);
    let found = found.filter(|k| k.agent == agent.id);
    let found = found.ok_or_else(|| not_found("key", thumbprint))?;
    match (found.removed, found.retires) {
        (None, None) => Ok(Arc::clone(found)),
        (Some(at), _) => Err(refuse(
            RefusalCode::Conflict,
            format!("the key was removed at {at}; add another with `remit agent key add`"),
        )),
        (None, Some(at)) => Err(refuse(
            RefusalCode::Conflict,
            format!("the key was replaced already, and is good until {at}"),
        )),
    }
}

pub(crate) fn keeper(person: &Person, agent: &Agent) -> Result<(), ControlError> {
    if person.holds(Role::Admin) || agent.profile.owner == person.id {
        return Ok(());
    }
    let text = format!(
        "only an administrator or its owner changes the keys of agent `{}`",
        agent.name
    );
    Err(refuse(RefusalCode::Forbidden, text))
}

/// A key as it is kept.
struct Read {
    thumbprint: String,
    jwk: Value,
    certificate: Option<ClientCertificate>,
}

impl Read {
    fn of(jwk: PublicJwk, certificate: Option<ClientCertificate>) -> Result<Self, ControlError> {
        Ok(Self {
            thumbprint: jwk.thumbprint().to_string(),
            jwk: serde_json::to_value(jwk).map_err(|_| invalid("jwk", "cannot be written"))?,
            certificate,
        })
    }
}

fn read(key: &NewKey, now: Timestamp) -> Result<Read, ControlError> {
    match (&key.jwk, &key.pem, &key.certificate, &key.authority) {
        (Some(jwk), None, None, None) => {
            let jwk = PublicJwk::from_json(&jwk.to_string()).map_err(|e| invalid("jwk", e))?;
            Read::of(jwk, None)
        }
        (None, Some(pem), None, None) => Read::of(
            PublicJwk::from_pem(pem).map_err(|e| invalid("pem", e))?,
            None,
        ),
        (None, None, Some(pem), None) => {
            let wrong = |e| invalid("certificate", e);
            let der = client_certificate::from_pem(pem).map_err(wrong)?;
            let ends = client_certificate::is_current(&der, now.as_secs()).map_err(wrong)?;
            let exact = ClientCertificate::Exact {
                thumbprint: client_certificate::thumbprint(&der),
                ends: Timestamp::from_secs(ends),
            };
            Read::of(
                client_certificate::public_key(&der).map_err(wrong)?,
                Some(exact),
            )
        }
        (None, None, None, Some(pem)) if !key.attests => vouched(key, pem, now),
        (None, None, None, Some(_)) => Err(invalid(
            "attests",
            "an attester has one key of its own, not one that an authority vouches for",
        )),
        _ => {
            let text = "give exactly one of `jwk`, `pem`, `certificate` and `authority`";
            Err(invalid("jwk", text))
        }
    }
}

/// A client that an authority vouches for. What names it is the authority with the name, so that no two agents have the same.
fn vouched(key: &NewKey, pem: &str, now: Timestamp) -> Result<Read, ControlError> {
    let der = client_certificate::from_pem(pem).map_err(|e| invalid("authority", e))?;
    client_certificate::is_current(&der, now.as_secs()).map_err(|e| invalid("authority", e))?;
    client_certificate::is_authority(&der).map_err(|e| invalid("authority", e))?;
    let given = [
        &key.tls_client_auth_subject_dn,
        &key.tls_client_auth_san_dns,
        &key.tls_client_auth_san_uri,
        &key.tls_client_auth_san_ip,
        &key.tls_client_auth_san_email,
    ];
    let mut names = NAME_PARAMETERS
        .into_iter()
        .zip(given)
        .filter_map(|(parameter, value)| Some((parameter, value.as_ref()?)));
    let (Some((parameter, value)), None) = (names.next(), names.next()) else {
        let text = "give exactly one name with it, such as `tls_client_auth_san_dns`";
        return Err(invalid("authority", text));
    };
    let value =
        client_certificate::normal_name(parameter, value).map_err(|e| invalid(parameter, e))?;
    let of = client_certificate::thumbprint(&der);
    let name = format!("{of}\n{parameter}\n{value}");
    Ok(Read {
        thumbprint: client_certificate::thumbprint(name.as_bytes()),
        jwk: Value::Null,
        certificate: Some(ClientCertificate::Named {
            authority: STANDARD.encode(&der),
            parameter: parameter.to_owned(),
            value,
        }),
    })
}

/// Which certificates those are, in words.
pub(crate) fn told(certificate: &ClientCertificate) -> String {
    match certificate {
        ClientCertificate::Exact { thumbprint, .. } => format!("x5t#S256 {thumbprint}"),
        ClientCertificate::Named {
            parameter, value, ..
        } => format!("{parameter} {value}"),
        ClientCertificate::Withheld => "one certificate of an authority, withheld".to_owned(),
    }
}

fn view(registry: &Registry, key: &AgentKey) -> KeyView {
    KeyView {
        thumbprint: key.thumbprint.clone(),
        agent: crate::names::agent(registry, &key.agent),
        state: key.state(),
        jwk: key.jwk.clone(),
        certificate: key.certificate.as_ref().map(told),
        attests: key.attests,
        created: key.created,
        retires: key.retires,
        removed: key.removed,
        revision: registry
            .revision(Kind::AgentKey, &key.thumbprint)
            .unwrap_or(0),
    }
}
