//! Who is asked: what the annotations of an asking policy say.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Role;
use crate::name::Name;

/// Most steps of an escalation: who is not reached by then is not reached by another step.
pub const ESCALATIONS_MAX: usize = 4;

/// Who may satisfy an ask.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Approvers {
    /// Anyone here with the role.
    Role(Role),
    /// Anyone here in the team.
    Team(Name),
    /// Whoever of the team is on call; the whole team while nobody is ([`crate::rota`]).
    OnCall(Name),
    /// The agent's sponsor.
    Sponsor,
    /// The manager of the agent's sponsor.
    SponsorManager,
    /// The agent's owner.
    Owner,
    /// The manager of the person the run acts for.
    Manager,
    /// One person, by address.
    Person(crate::name::Email),
}

impl Approvers {
    /// Whether it may name more than one person.
    pub const fn may_be_many(&self) -> bool {
        matches!(self, Self::Role(_) | Self::Team(_) | Self::OnCall(_))
    }
}

impl std::fmt::Display for Approvers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(role) => write!(f, "role:{}", role.as_str()),
            Self::Team(team) => write!(f, "team:{team}"),
            Self::OnCall(team) => write!(f, "oncall:{team}"),
            Self::Sponsor => f.write_str("sponsor"),
            Self::SponsorManager => f.write_str("sponsor-manager"),
            Self::Owner => f.write_str("owner"),
            Self::Manager => f.write_str("manager"),
            Self::Person(email) => write!(f, "person:{email}"),
        }
    }
}

impl std::str::FromStr for Approvers {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text: String = text.chars().take(80).collect();
            format!(
                "`{text}` names no approvers: write role:ROLE, team:NAME, oncall:TEAM, person:ADDRESS, sponsor, sponsor-manager, owner or manager"
            )
        };
        match (text, text.split_once(':')) {
            ("sponsor", _) => Ok(Self::Sponsor),
            ("sponsor-manager", _) => Ok(Self::SponsorManager),
            ("owner", _) => Ok(Self::Owner),
            ("manager", _) => Ok(Self::Manager),
            (_, Some(("role", role))) => Role::ALL
                .into_iter()
                .find(|r| r.as_str() == role)
                .map(Self::Role)
                .ok_or_else(wrong),
            (_, Some(("team", team))) => team.parse().map(Self::Team).map_err(|_| wrong()),
            (_, Some(("oncall", team))) => team.parse().map(Self::OnCall).map_err(|_| wrong()),
            (_, Some(("person", email))) => email.parse().map(Self::Person).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// Who may satisfy an ask besides, once it has waited that long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Escalation {
    /// After how many seconds.
    pub after_secs: u32,
    /// Any of these, too.
    pub approvers: BTreeSet<Approvers>,
}

/// One policy that asks: it is satisfied when `quorum` different people it names have approved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ask {
    /// The policy's id.
    pub policy: String,
    /// Any of these may approve.
    pub approvers: BTreeSet<Approvers>,
    /// How many different people must.
    pub quorum: u8,
    /// Whether a bounded approval for the whole run may be given.
    pub standing: bool,
    /// Whether policy waives four eyes (read and draft effects only).
    pub waives_four_eyes: bool,
    /// Who may besides, as time runs; in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Escalation>,
}

impl Ask {
    /// Who may approve once it has waited for `waited_secs`. Only time widens it, so that a yes that counted counts on.
    pub fn approvers_after(&self, waited_secs: i64) -> BTreeSet<&Approvers> {
        let steps = self.escalate.iter();
        let due = steps.filter(|step| i64::from(step.after_secs) <= waited_secs);
        self.approvers
            .iter()
            .chain(due.flat_map(|step| &step.approvers))
            .collect()
    }

    /// How many steps are due once it has waited for `waited_secs`.
    pub fn steps_due(&self, waited_secs: i64) -> u8 {
        let steps = self.escalate.iter();
        let due = steps.filter(|step| i64::from(step.after_secs) <= waited_secs);
        u8::try_from(due.count()).unwrap_or(u8::MAX)
    }
}

/// The policies that ask, ordered by id.
pub type AskSet = BTreeSet<Ask>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_approvers_reads_back() {
        for text in [
            "role:approver",
            "team:leads",
            "oncall:payments",
            "sponsor",
            "sponsor-manager",
            "owner",
            "manager",
            "person:p@acme.example",
        ] {
            assert_eq!(text.parse::<Approvers>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "oncall",
            "oncall:",
            "oncall:A B",
            "sponsor_manager",
            "role:king",
        ] {
            assert!(text.parse::<Approvers>().is_err(), "{text}");
        }
    }

    #[test]
    fn time_widens_who_may_and_never_narrows_it() {
        let step = |after_secs, who: &str| Escalation {
            after_secs,
            approvers: [who.parse().unwrap()].into(),
        };
        let ask = Ask {
            policy: "p".to_owned(),
            approvers: [Approvers::Sponsor].into(),
            quorum: 1,
            standing: false,
            waives_four_eyes: false,
            escalate: vec![step(600, "owner"), step(1_800, "role:admin")],
        };
        let mut before = BTreeSet::new();
        for (waited, many) in [(-5, 1), (0, 1), (599, 1), (600, 2), (1_799, 2), (1_800, 3)] {
            let now = ask.approvers_after(waited);
            assert_eq!(now.len(), many, "{waited}");
            assert!(before.is_subset(&now), "{waited}");
            assert_eq!(usize::from(ask.steps_due(waited)), many - 1);
            before = now;
        }
    }

    #[test]
    fn what_was_asked_before_there_were_steps_still_reads() {
        let old = serde_json::json!({ "policy": "p", "approvers": ["sponsor"], "quorum": 1,
            "standing": false, "waives_four_eyes": false });
        let ask: Ask = serde_json::from_value(old.clone()).unwrap();
        assert!(ask.escalate.is_empty());
        assert_eq!(serde_json::to_value(&ask).unwrap(), old);
    }
}
