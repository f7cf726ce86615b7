//! Tokens that others were given, directories and parties of shared signals; and certificates that agents prove themselves with.

use remit_domain::credential::ClientCertificate;
use remit_domain::finding::FindingKind;
use remit_domain::{PersonId, Timestamp};

use super::{DAY, Look, Wanted};

/// A token that somebody outside was given.
struct Given {
    id: String,
    /// Whose it is, in words.
    whose: String,
    /// What nobody does once it has ended, in words.
    without: &'static str,
    made: Timestamp,
    expires: Timestamp,
    made_by: PersonId,
}

impl Look<'_> {
    /// Tokens of directories, of receivers and of transmitters of signals.
    pub(super) fn given(&mut self) {
        let clients = self.registry.scim_clients.values();
        let directories = clients.filter(|c| c.revoked.is_none() && c.digest.is_some());
        let directories = directories.map(|c| Given {
            id: c.id.to_string(),
            whose: format!("directory {}", c.name),
            without: "nobody tells who leaves",
            made: c.made,
            expires: c.expires,
            made_by: c.made_by.clone(),
        });
        let receivers = self.registry.signal_receivers.values();
        let receivers = receivers.filter(|r| r.revoked.is_none() && r.digest.is_some());
        let receivers = receivers.map(|r| Given {
            id: r.id.to_string(),
            whose: format!("receiver of signals {}", r.name),
            without: "it is told nothing that it asks for",
            made: r.made,
            expires: r.expires,
            made_by: r.made_by.clone(),
        });
        let transmitters = self.registry.signal_transmitters.values();
        let transmitters = transmitters.filter(|t| t.revoked.is_none() && t.digest.is_some());
        let transmitters = transmitters.map(|t| Given {
            id: t.id.to_string(),
            whose: format!("transmitter of signals {}", t.name),
            without: "what it tells is not heard",
            made: t.made,
            expires: t.expires,
            made_by: t.by.clone(),
        });
        let all: Vec<Given> = directories.chain(receivers).chain(transmitters).collect();
        for one in all {
            self.given_one(&one);
        }
    }

    fn given_one(&mut self, given: &Given) {
        let Given { id, whose, .. } = given;
        let life = given.expires.secs_since(given.made);
        let mut found = Vec::new();
        if life > i64::from(self.rules.long_lived_days) * DAY {
            let text = format!(
                "the token of {whose} lives {} days; make a shorter one with `remit credential rotate`",
                life / DAY
            );
            found.push((FindingKind::LongLived, text));
        }
        let left = given.expires.secs_since(self.now);
        if left <= 0 {
            let text = format!(
                "the token of {whose} has ended, so {}; make the next one",
                given.without
            );
            found.push((FindingKind::RotationOverdue, text));
        } else if left <= i64::from(self.rules.rotate_grace_days) * DAY {
            let text = format!(
                "the token of {whose} ends at {}; make the next one with `remit credential rotate`",
                given.expires
            );
            found.push((FindingKind::RotationDue, text));
        }
        let last = self.last(id, given.made);
        if self.older(last, self.rules.unused_days) {
            let text = format!(
                "{whose} has used its token for nothing for {} days; revoke it if it is gone",
                self.days(last)
            );
            found.push((FindingKind::UnusedCredential, text));
        }
        let wanted = found.into_iter().map(|(kind, text)| {
            let wanted = Wanted::new(kind, id, text);
            wanted.to(&given.made_by)
        });
        self.out.extend(wanted);
    }

    /// Certificates of agents: one that lives long, and one that is about to end or has ended.
    pub(super) fn certificates(&mut self) {
        for key in self.registry.keys.values().filter(|k| k.is_good(self.now)) {
            let Some(ClientCertificate::Exact { ends, .. }) = &key.certificate else {
                continue;
            };
            let Some(agent) = self.registry.agents.get(&key.agent) else {
                continue;
            };
            let (name, owner) = (&agent.name, &agent.profile.owner);
            let life = ends.secs_since(key.created);
            let left = ends.secs_since(self.now);
            let found = if left <= 0 {
                let text =
                    format!("a certificate of agent {name} ended at {ends}; register the next one");
                Some((FindingKind::RotationOverdue, text))
            } else if left <= i64::from(self.rules.rotate_grace_days) * DAY {
                let text = format!(
                    "a certificate of agent {name} ends at {ends}; register the next one before"
                );
                Some((FindingKind::RotationDue, text))
            } else if life > i64::from(self.rules.long_lived_days) * DAY {
                let text = format!(
                    "a certificate of agent {name} is good for {} days from when it was registered; register one that ends sooner",
                    life / DAY
                );
                Some((FindingKind::LongLived, text))
            } else {
                None
            };
            if let Some((kind, text)) = found {
                let same = |w: &Wanted| w.kind == kind && w.subject == key.thumbprint;
                // Its age may have said so already.
                if !self.out.iter().any(same) {
                    self.out
                        .push(Wanted::new(kind, &key.thumbprint, text).to(owner));
                }
            }
        }
    }
}
