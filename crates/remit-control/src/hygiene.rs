//! Hygiene: which credentials, grants and administrators somebody should look at. Findings open when a rule of the organization
//! is passed, and settle by themselves when it is kept again.

mod given;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use remit_domain::agent::AgentState;
use remit_domain::credential::{AgentKey, PersonToken};
use remit_domain::finding::FindingKind;
use remit_domain::hygiene::{Hygiene, WATCHED};
use remit_domain::key::{KeyUse, SigningKey};
use remit_domain::lease::{Lease, LeaseState};
use remit_domain::signal::DeadSignal;
use remit_domain::{Noun, OrgId, PersonId, Registry, Role, Timestamp};
use remit_ports::store::Filter;

use crate::{Control, ControlError, names};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400;

/// What only hygiene opens, and settles when its cause is gone.
const OWN: [FindingKind; 10] = [
    FindingKind::RotationDue,
    FindingKind::RotationOverdue,
    FindingKind::LongLived,
    FindingKind::UnusedCredential,
    FindingKind::OverScoped,
    FindingKind::SharedKey,
    FindingKind::PersonTokenAtAgent,
    FindingKind::StandingAdmin,
    FindingKind::SignalUndelivered,
    FindingKind::LeaseNotRevoked,
];

/// Something that somebody should look at: what, whose, in words, and who has to do something about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) kind: FindingKind,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) owner: Option<PersonId>,
}

impl Wanted {
    pub(crate) fn new(kind: FindingKind, subject: impl ToString, text: String) -> Self {
        Self {
            kind,
            subject: subject.to_string(),
            text,
            owner: None,
        }
    }

    fn to(mut self, owner: &PersonId) -> Self {
        self.owner = Some(owner.clone());
        self
    }
}

/// What hygiene looks at.
struct Look<'a> {
    registry: &'a Registry,
    rules: Hygiene,
    now: Timestamp,
    /// Nothing counts as unused before this.
    watched: Timestamp,
    /// Tokens of people that count now.
    tokens: &'a [PersonToken],
    out: Vec<Wanted>,
}

impl Control {
    /// Looks at the credentials of an organization once a minute; how many findings were opened or settled.
    pub(crate) async fn keep_clean(&self, org: &OrgId) -> Result<u32, ControlError> {
        let now = self.books.clock().monotonic();
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let last = looked.get(org);
            if last.is_some_and(|last| now.saturating_sub(*last) < EVERY) {
                return Ok(0);
            }
            looked.insert(org.clone(), now);
        }
        self.look_at_credentials(org).await
    }

    /// Opens and settles the findings of hygiene as the facts are now.
    pub(crate) async fn look_at_credentials(&self, org: &OrgId) -> Result<u32, ControlError> {
        let book = self.book(org)?;
        if book.is_operator() {
            return Ok(0);
        }
        let tokens = self.tokens_of_people(org).await?;
        let keys = self.signing_keys_in_use(org).await?;
        let dead: Vec<DeadSignal> = self.active(org, None).await?;
        let leases = self.dead_leases(org).await?;
        let open = self.open_findings(org).await?;
        let mut wanted = {
            let registry = book.registry();
            let mut wanted = unclean(&registry, &tokens, &keys, self.books.now());
            wanted.extend(still_so(&registry, &tokens, &open, self.books.now()));
            wanted.extend(undelivered(&registry, &dead));
            wanted.extend(leases.iter().map(not_revoked));
            wanted
        };
        wanted.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
        self.hold_findings(org, &wanted, &open, &OWN).await
    }

    /// Tokens of people that count now.
    pub(crate) async fn tokens_of_people(
        &self,
        org: &OrgId,
    ) -> Result<Vec<PersonToken>, ControlError> {
        let now = self.books.now();
        let mut all: Vec<PersonToken> = self.active(org, None).await?;
        all.retain(|token| now < token.expires);
        Ok(all)
    }

    /// Tokens of upstreams' own servers that could not be revoked and have not ended, as many as are looked at.
    async fn dead_leases(&self, org: &OrgId) -> Result<Vec<Lease>, ControlError> {
        let filter = Filter {
            state: Some(LeaseState::Dead.as_str().to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let now = self.books.now();
        let (leases, _) = self.books.list::<Lease>(org, &filter).await?;
        let leases = leases.into_iter().map(|lease| lease.noun);
        Ok(leases.filter(|lease| !lease.is_expired(now)).collect())
    }

    async fn signing_keys_in_use(&self, org: &OrgId) -> Result<Vec<SigningKey>, ControlError> {
        let mut keys: Vec<SigningKey> = self.active(org, None).await?;
        // Replacing the ledger's key would break the chain of its checkpoints; those of trust domains replace themselves.
        keys.retain(|key| key.usage == KeyUse::Issuer);
        Ok(keys)
    }

    /// Every record of a kind in state `active`, of one parent where given.
    pub(crate) async fn active<N: Noun>(
        &self,
        org: &OrgId,
        parent: Option<String>,
    ) -> Result<Vec<N>, ControlError> {
        let mut filter = Filter {
            parent,
            state: Some("active".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut all = Vec::new();
        loop {
            let (page, next) = self.books.list::<N>(org, &filter).await?;
            all.extend(page.into_iter().map(|found| found.noun));
            match next {
                Some(next) => filter.after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

/// Findings that something opened as it happened, and whose cause is not gone: the shared key is in use, the token counts.
fn still_so(
    registry: &Registry,
    tokens: &[PersonToken],
    open: &BTreeSet<(FindingKind, String)>,
    now: Timestamp,
) -> Vec<Wanted> {
    let stays = |kind: FindingKind, subject: &str| match kind {
        FindingKind::SharedKey => registry.keys.get(subject).is_some_and(|k| k.is_good(now)),
        FindingKind::PersonTokenAtAgent => tokens.iter().any(|t| t.digest == subject),
        _ => false,
    };
    open.iter()
        .filter(|(kind, subject)| stays(*kind, subject))
        .map(|(kind, subject)| Wanted::new(*kind, subject, String::new()))
        .collect()
}

/// A lease that could not be revoked.
fn not_revoked(lease: &Lease) -> Wanted {
    let until = match lease.expires {
        Some(until) => format!("it ends by itself at {until}"),
        None => "nobody knows when it ends".to_owned(),
    };
    let text = format!(
        "a token of {} for {} could not be revoked and {until}; revoke it there, or try again: remit lease revoke",
        lease.client.issuer, lease.upstream
    );
    Wanted::new(FindingKind::LeaseNotRevoked, &lease.id, text)
}

/// Streams that have something to tell which their receiver does not take.
fn undelivered(registry: &Registry, dead: &[DeadSignal]) -> Vec<Wanted> {
    let streams: BTreeSet<_> = dead.iter().map(|d| &d.stream).collect();
    let live = streams.into_iter().filter_map(|id| {
        let stream = registry.signal_streams.get(id)?;
        let receiver = registry.signal_receivers.get(&stream.receiver);
        let receiver = receiver.filter(|r| r.revoked.is_none())?;
        let text = format!(
            "receiver {} does not take what it is told; `remit signal dead` lists it, and tells it again",
            receiver.name
        );
        Some(Wanted::new(FindingKind::SignalUndelivered, id, text))
    });
    live.collect()
}

/// What is not as the organization's rules want it.
fn unclean(
    registry: &Registry,
    tokens: &[PersonToken],
    signing: &[SigningKey],
    now: Timestamp,
) -> Vec<Wanted> {
    let rules = registry.organization.as_ref().map(|o| o.hygiene);
    let watched = registry.uses.get(WATCHED).map_or(now, |w| w.last);
    let mut look = Look {
        registry,
        rules: rules.unwrap_or_default(),
        now,
        watched,
        tokens,
        out: Vec::new(),
    };
    look.agent_keys();
    look.shared_keys();
    look.points();
    look.signing(signing);
    look.given();
    look.certificates();
    look.people();
    look.grants();
    look.admins();
    look.out
}

impl Look<'_> {
    fn older(&self, than: Timestamp, days: u16) -> bool {
        self.now.secs_since(than) > i64::from(days) * DAY
    }

    fn days(&self, since: Timestamp) -> i64 {
        self.now.secs_since(since) / DAY
    }

    /// When it was last used; never earlier than uses are noted, or than it was there.
    fn last(&self, id: &str, created: Timestamp) -> Timestamp {
        let used = self.registry.uses.get(id).map(|u| u.last);
        used.unwrap_or(created).max(created).max(self.watched)
    }

    /// Whether a key is due, and whether it is overdue.
    fn aged(&self, created: Timestamp, days: u16) -> Option<FindingKind> {
        let overdue = days.saturating_add(self.rules.rotate_grace_days);
        match () {
            () if self.older(created, overdue) => Some(FindingKind::RotationOverdue),
            () if self.older(created, days) => Some(FindingKind::RotationDue),
            () => None,
        }
    }

    fn agent_keys(&mut self) {
        let good = |k: &&Arc<AgentKey>| k.is_good(self.now) && !k.is_withheld();
        for key in self.registry.keys.values().filter(good) {
            let Some(agent) = self.registry.agents.get(&key.agent) else {
                continue;
            };
            if agent.state == AgentState::Retired {
                continue;
            }
            let (owner, name) = (&agent.profile.owner, &agent.name);
            let days = agent.profile.rotate_days.unwrap_or(self.rules.rotate_days);
            let due = self.aged(key.created, days);
            if let Some(kind) = due.filter(|_| key.retires.is_none()) {
                let text = format!(
                    "a key of agent {name} is {} days old and was to be replaced after {days}: `remit credential rotate`",
                    self.days(key.created)
                );
                self.out
                    .push(Wanted::new(kind, &key.thumbprint, text).to(owner));
            }
            let last = self.last(&key.thumbprint, key.created);
            if agent.state == AgentState::Active && self.older(last, self.rules.unused_days) {
                let text = format!(
                    "agent {name} has not used a key of its own for {} days; remove it if nothing needs it",
                    self.days(last)
                );
                let wanted = Wanted::new(FindingKind::UnusedCredential, &key.thumbprint, text);
                self.out.push(wanted.to(owner));
            }
        }
    }

    /// One key, several agents. Registration refuses that; what is found here came another way.
    fn shared_keys(&mut self) {
        let mut by_key: BTreeMap<String, Vec<&Arc<AgentKey>>> = BTreeMap::new();
        for key in self.registry.keys.values().filter(|k| k.is_good(self.now)) {
            if let Some(material) = material(key) {
                by_key.entry(material).or_default().push(key);
            }
        }
        for keys in by_key.into_values().filter(|keys| keys.len() > 1) {
            let agents: BTreeSet<String> = keys
                .iter()
                .map(|k| names::agent(self.registry, &k.agent))
                .collect();
            let agents: Vec<String> = agents.into_iter().collect();
            let text = format!(
                "one key is held by agents {}; give each a key of its own, and remove this one",
                agents.join(" and ")
            );
            let subject = keys.iter().map(|k| k.thumbprint.as_str()).min();
            if let Some(subject) = subject.filter(|_| agents.len() > 1) {
                self.out
                    .push(Wanted::new(FindingKind::SharedKey, subject, text));
            }
        }
    }

    fn points(&mut self) {
        let points = self.registry.enforcement_points.values();
        for point in points.filter(|p| p.enabled) {
            // Of two, one is on its way out.
            let alone = point.keys.len() == 1;
            for key in &point.keys {
                let created = key.added.unwrap_or(point.at);
                let due = self.aged(created, self.rules.rotate_days);
                if let Some(kind) = due.filter(|_| alone) {
                    let text = format!(
                        "the key of enforcement point {} is {} days old; add another, and take this one out",
                        point.name,
                        self.days(created)
                    );
                    self.out.push(Wanted::new(kind, &key.thumbprint, text));
                }
                let last = self.last(&key.thumbprint, created);
                if self.older(last, self.rules.unused_days) {
                    let text = format!(
                        "enforcement point {} has not used a key of its own for {} days; take it out if nothing needs it",
                        point.name,
                        self.days(last)
                    );
                    let kind = FindingKind::UnusedCredential;
                    self.out.push(Wanted::new(kind, &key.thumbprint, text));
                }
            }
        }
    }

    fn signing(&mut self, keys: &[SigningKey]) {
        for key in keys {
            if let Some(kind) = self.aged(key.created, self.rules.rotate_days) {
                let text = format!(
                    "the key that signs access tokens is {} days old; replace it with `remit key rotate`",
                    self.days(key.created)
                );
                self.out.push(Wanted::new(kind, &key.id, text));
            }
        }
    }

    fn people(&mut self) {
        for token in self.tokens {
            let whose = names::person(self.registry, &token.person);
            let life = token.expires.secs_since(token.created);
            if life > i64::from(self.rules.long_lived_days) * DAY {
                let text = format!("a token of {whose} lives {} days", life / DAY);
                let wanted = Wanted::new(FindingKind::LongLived, &token.digest, text);
                self.out.push(wanted.to(&token.person));
            }
            let last = self.last(&token.digest, token.created);
            if self.older(last, self.rules.unused_days) {
                let text = format!(
                    "{whose} has not used a token of theirs for {} days; it opens what they may until it is revoked",
                    self.days(last)
                );
                let wanted = Wanted::new(FindingKind::UnusedCredential, &token.digest, text);
                self.out.push(wanted.to(&token.person));
            }
        }
    }

    fn grants(&mut self) {
        for workflow in self.registry.workflows.values().filter(|w| w.enabled) {
            let agent = self.registry.agents.get(&workflow.agent);
            let Some(agent) = agent.filter(|a| a.state == AgentState::Active) else {
                continue;
            };
            let live =
                |g: &&remit_domain::workflow::Grant| g.expires.is_none_or(|ends| self.now < ends);
            for grant in workflow.grants.iter().filter(live) {
                let last = self.last(grant.id.as_str(), grant.granted_at);
                if self.older(last, self.rules.grant_unused_days) {
                    let text = format!(
                        "{}/{} has not used its grant of {} for {} days; take it back: `remit policy suggest`",
                        agent.name,
                        workflow.name,
                        grant.tool,
                        self.days(last)
                    );
                    let wanted = Wanted::new(FindingKind::OverScoped, &grant.id, text);
                    self.out.push(wanted.to(&agent.profile.owner));
                }
            }
        }
    }

    /// Administrators whose role waits for nobody: a token that opens everything is kept, or the role is not used.
    fn admins(&mut self) {
        let admins = self.registry.people.values();
        for person in admins.filter(|p| p.holds(Role::Admin)) {
            let mut why = Vec::new();
            let own = self.tokens.iter().filter(|t| t.person == person.id);
            let oldest = own.map(|t| t.created).min();
            if let Some(created) = oldest.filter(|at| self.older(*at, self.rules.admin_days)) {
                let days = self.days(created);
                why.push(format!("keeps a token that is {days} days old"));
            }
            let last = self.last(person.id.as_str(), person.id.made());
            if !person.break_glass && self.older(last, self.rules.admin_days) {
                let days = self.days(last);
                why.push(format!("has not signed in for {days} days"));
            }
            if !why.is_empty() {
                let text = format!(
                    "administrator {} {}; take the role back where it is not needed, and sign in for what is",
                    person.email,
                    why.join(" and ")
                );
                let wanted = Wanted::new(FindingKind::StandingAdmin, &person.id, text);
                self.out.push(wanted.to(&person.id));
            }
        }
    }
}

/// The members of a public key that make it that key (RFC 7638 §3.2), in one text; none for what is no key.
pub(crate) fn material(key: &AgentKey) -> Option<String> {
    let members = ["kty", "crv", "x", "y", "n", "e"];
    let said = members.iter().filter_map(|m| {
        let value = key.jwk.get(*m)?.as_str()?;
        Some(format!("{m}={value};"))
    });
    Some(said.collect::<String>()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
