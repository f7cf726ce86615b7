//! What an entry of the ledger is to others: which events, about whom.
//!
//! Subjects are what the other side can know: a person by their address, an agent by our issuer and its id, which is its OAuth
//! client id too. What was said when it happened is sealed, and is told to nobody.

use remit_domain::event::EventKind;
use remit_domain::signal::SignalEvent;
use remit_domain::{CredentialId, PersonId, Registry, Timestamp};
use remit_ports::store::StoredEntry;
use remit_token::{Complex, SubjectId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The entries that are told of.
pub(super) const TOLD: [EventKind; 18] = [
    EventKind::Contained,
    EventKind::AgentSuspended,
    EventKind::AgentQuarantined,
    EventKind::AgentRetired,
    EventKind::AgentActivated,
    EventKind::AgentKeyAdded,
    EventKind::AgentKeyReplaced,
    EventKind::AgentKeyRemoved,
    EventKind::TokenRevoked,
    EventKind::SvidWithdrawn,
    EventKind::RunEnded,
    EventKind::PersonLeft,
    EventKind::PersonSuspended,
    EventKind::PersonResumed,
    EventKind::PersonTokenRevoked,
    EventKind::SessionEnded,
    EventKind::PasskeyAdded,
    EventKind::PasskeyRemoved,
];

/// One event to be told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signal {
    /// What.
    pub(super) event: SignalEvent,
    /// About whom.
    pub(super) subject: SubjectId,
    /// What it says.
    pub(super) claims: Value,
}

/// The part of a leaf that counts.
#[derive(Deserialize)]
struct Leaf {
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    actor: Value,
    #[serde(default)]
    facts: Map<String, Value>,
}

/// The events that an entry is, in order; none for what cannot be told any more: a leaf that cannot be read, a person nobody
/// knows.
///
/// - `issuer`: ours, by which agents are known.
pub(super) fn signals(registry: &Registry, issuer: &str, entry: &StoredEntry) -> Vec<Signal> {
    let Ok(leaf) = serde_json::from_slice::<Leaf>(&entry.leaf) else {
        return Vec::new();
    };
    let agent = entry.agent.as_ref().map(|id| agent(issuer, id.as_str()));
    let says = Says {
        at: entry.at,
        leaf: &leaf,
    };
    let mut told = of_agent(entry, &says, agent);
    told.extend(of_person(registry, entry.kind, &says));
    let whole = |(subject, event, claims): Told| {
        Some(Signal {
            event,
            subject: subject?,
            claims,
        })
    };
    told.into_iter().filter_map(whole).collect()
}

/// What happened to an agent.
fn of_agent(entry: &StoredEntry, says: &Says<'_>, agent: Option<SubjectId>) -> Vec<Told> {
    use EventKind as K;
    use SignalEvent as S;
    let run = entry.run.as_ref().map(|run| run.as_str());
    match entry.kind {
        K::AgentSuspended | K::AgentQuarantined | K::AgentRetired => vec![
            (agent.clone(), S::AccountDisabled, says.happened()),
            (agent, S::SessionRevoked, says.happened()),
        ],
        K::Contained => says.contained(agent),
        K::RunEnded => match says.fact("cause") {
            // Others ended it: who holds a token of it may not have heard.
            Some("person" | "delegation_ended" | "contained") => {
                vec![(session(agent, run), S::SessionRevoked, says.happened())]
            }
            _ => Vec::new(),
        },
        K::AgentActivated => vec![(agent, S::AccountEnabled, says.happened())],
        K::AgentKeyAdded => vec![(agent, S::CredentialChange, says.changed("key", "create"))],
        K::AgentKeyReplaced => vec![(agent, S::CredentialChange, says.changed("key", "update"))],
        K::AgentKeyRemoved => vec![(agent, S::CredentialChange, says.changed("key", "revoke"))],
        K::SvidWithdrawn => vec![(agent, S::CredentialChange, says.changed("svid", "revoke"))],
        K::TokenRevoked => vec![(session(agent, run), S::SessionRevoked, says.happened())],
        _ => Vec::new(),
    }
}

/// What happened to a person.
fn of_person(registry: &Registry, kind: EventKind, says: &Says<'_>) -> Vec<Told> {
    use EventKind as K;
    use SignalEvent as S;
    let subject = says.leaf.subject.as_deref();
    if kind == K::SessionEnded {
        let person = person(registry, says.fact("person"));
        return vec![(session(person, subject), S::SessionRevoked, says.happened())];
    }
    let person = person(registry, subject);
    match kind {
        K::PersonLeft | K::PersonSuspended => vec![
            (person.clone(), S::AccountDisabled, says.happened()),
            (person, S::SessionRevoked, says.happened()),
        ],
        K::PersonResumed => vec![(person, S::AccountEnabled, says.happened())],
        K::PersonTokenRevoked => {
            vec![(person, S::CredentialChange, says.changed("token", "revoke"))]
        }
        K::PasskeyAdded => {
            let claims = says.changed("fido2-platform", "create");
            vec![(person, S::CredentialChange, claims)]
        }
        K::PasskeyRemoved => {
            let claims = says.changed("fido2-platform", "delete");
            vec![(person, S::CredentialChange, claims)]
        }
        _ => Vec::new(),
    }
}

/// About whom, what, and what it says.
type Told = (Option<SubjectId>, SignalEvent, Value);

struct Says<'a> {
    at: Timestamp,
    leaf: &'a Leaf,
}

impl Says<'_> {
    fn fact(&self, name: &str) -> Option<&str> {
        self.leaf.facts.get(name).and_then(Value::as_str)
    }

    /// What every event says (CAEP 1.0 §2): when, and who began it.
    fn happened(&self) -> Value {
        json!({ "event_timestamp": self.at.as_secs(), "initiating_entity": self.entity() })
    }

    fn entity(&self) -> &'static str {
        match self.leaf.actor.get("type").and_then(Value::as_str) {
            Some("person") => "admin",
            Some("agent") => "user",
            Some("directory" | "transmitter") => "policy",
            _ => "system",
        }
    }

    /// What a containment is that is not of a whole agent, whose change of state is told by itself. What a second look at the same
    /// containment finds was told with the first.
    fn contained(&self, agent: Option<SubjectId>) -> Vec<Told> {
        let target = self.leaf.facts.get("target");
        let of = |name: &str| target.and_then(|t| t.get(name)).and_then(Value::as_str);
        if self.leaf.facts.get("again") == Some(&Value::Bool(true)) {
            return Vec::new();
        }
        let id = of("id");
        match of("type") {
            Some("run") => {
                vec![(
                    session(agent, id),
                    SignalEvent::SessionRevoked,
                    self.happened(),
                )]
            }
            Some("workflow") => {
                let subject = application(agent, id);
                vec![(subject, SignalEvent::SessionRevoked, self.happened())]
            }
            Some("credential") => {
                let token = id.is_some_and(|id| id.parse::<CredentialId>().is_ok());
                let sort = if token { "token" } else { "key" };
                let claims = self.changed(sort, "revoke");
                vec![(agent, SignalEvent::CredentialChange, claims)]
            }
            _ => Vec::new(),
        }
    }

    /// What a change of a credential says (CAEP 1.0 §3.3.1).
    fn changed(&self, credential: &str, change: &str) -> Value {
        let sort = match (credential, self.fact("form")) {
            ("svid", Some("x509")) => "x509",
            ("svid", _) => "jwt-svid",
            (other, _) => other,
        };
        json!({
            "event_timestamp": self.at.as_secs(), "initiating_entity": self.entity(),
            "credential_type": sort, "change_type": change,
        })
    }
}

fn agent(issuer: &str, id: &str) -> SubjectId {
    SubjectId::IssSub {
        iss: issuer.to_owned(),
        sub: id.to_owned(),
    }
}

fn person(registry: &Registry, id: Option<&str>) -> Option<SubjectId> {
    let id: PersonId = id?.parse().ok()?;
    let person = registry.people.get(&id)?;
    Some(SubjectId::Email {
        email: person.email.to_string(),
    })
}

/// A session, or a run, of somebody.
fn session(user: Option<SubjectId>, id: Option<&str>) -> Option<SubjectId> {
    let id = id?.to_owned();
    Some(SubjectId::Complex(Box::new(Complex {
        user: Some(user?),
        session: Some(SubjectId::Opaque { id }),
        ..Complex::default()
    })))
}

/// A workflow of an agent.
fn application(user: Option<SubjectId>, id: Option<&str>) -> Option<SubjectId> {
    let id = id?.to_owned();
    Some(SubjectId::Complex(Box::new(Complex {
        user: Some(user?),
        application: Some(SubjectId::Opaque { id }),
        ..Complex::default()
    })))
}
