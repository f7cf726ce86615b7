//! Who of a team is on call: people who take turns, and somebody who stands in until a time.

use serde::{Deserialize, Serialize};

use crate::name::Email;
use crate::organization::Team;
use crate::{Person, Registry, Timestamp};

/// Most people who take turns.
pub const TURNS_MAX: usize = 64;
/// Longest turn, in seconds (90 days), and shortest.
pub const TURN_SECS_MAX: i64 = 90 * 86_400;
/// Shortest turn, in seconds.
pub const TURN_SECS_MIN: i64 = 3_600;
/// Longest that somebody stands in, in seconds (30 days).
pub const COVER_SECS_MAX: i64 = 30 * 86_400;

/// Somebody who stands in for whoever's turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// Who.
    pub person: Email,
    /// Until when.
    pub until: Timestamp,
}

/// Who takes turns, and for how long. It only narrows who of the team is asked: nobody outside the team is ever on call for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rota {
    /// In this order, over and over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Email>,
    /// How long a turn is, in seconds.
    #[serde(default)]
    pub turn_secs: i64,
    /// When the first one's first turn began.
    #[serde(default)]
    pub since: Timestamp,
    /// Who stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<Cover>,
}

impl Rota {
    /// Whose turn it is at `now`, of those who `may`; the next one's where one may not. None while there is nobody.
    pub fn on_call(&self, now: Timestamp, may: impl Fn(&Email) -> bool) -> Option<&Email> {
        let cover = self.cover.as_ref().filter(|c| now < c.until);
        if let Some(cover) = cover.filter(|c| may(&c.person)) {
            return Some(&cover.person);
        }
        let many = i64::try_from(self.turns.len()).ok().filter(|n| *n > 0)?;
        let gone = now.secs_since(self.since).max(0) / self.turn_secs.max(1);
        let first = usize::try_from(gone % many).ok()?;
        let (before, after) = self.turns.split_at_checked(first)?;
        after.iter().chain(before).find(|person| may(person))
    }

    /// When it is somebody else's turn: as the turns go, or when whoever stands in stops.
    pub fn until(&self, now: Timestamp) -> Timestamp {
        if let Some(cover) = self.cover.as_ref().filter(|c| now < c.until) {
            return cover.until;
        }
        let turn = self.turn_secs.max(1);
        let gone = now.secs_since(self.since).max(0) / turn;
        self.since
            .plus_secs(gone.saturating_add(1).saturating_mul(turn))
    }
}

/// Who of a team is on call at `now`: active, still of the team. None while nobody is; then the whole team is asked.
pub fn on_call(registry: &Registry, team: &Team, now: Timestamp) -> Option<std::sync::Arc<Person>> {
    let of_team = |email: &Email| {
        let person = registry.person_named(email.as_str())?;
        (person.is_active() && person.teams.contains(&team.id))
            .then(|| std::sync::Arc::clone(person))
    };
    let email = team
        .rota
        .as_ref()?
        .on_call(now, |email| of_team(email).is_some())?;
    of_team(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(n: u8) -> Email {
        format!("p{n}@acme.example").parse().unwrap()
    }

    fn rota() -> Rota {
        Rota {
            turns: vec![person(1), person(2), person(3)],
            turn_secs: 86_400,
            since: "2026-11-02T09:00:00Z".parse().unwrap(),
            cover: None,
        }
    }

    fn at(rota: &Rota, text: &str, may: impl Fn(&Email) -> bool) -> Option<Email> {
        rota.on_call(text.parse().unwrap(), may).cloned()
    }

    #[test]
    fn people_take_turns() {
        let rota = rota();
        for (text, n) in [
            ("2026-11-02T09:00:00Z", 1),
            ("2026-11-03T08:59:59Z", 1),
            ("2026-11-03T09:00:00Z", 2),
            ("2026-11-05T09:00:00Z", 1),
            // Before it began, the first one has it.
            ("2026-10-01T00:00:00Z", 1),
        ] {
            assert_eq!(at(&rota, text, |_| true), Some(person(n)), "{text}");
        }
    }

    #[test]
    fn a_turn_ends_when_the_next_begins_or_whoever_stands_in_stops() {
        let until = |rota: &Rota, text: &str| rota.until(text.parse().unwrap()).to_string();
        let day = "2026-11-03T12:00:00Z";
        assert_eq!(until(&rota(), day), "2026-11-04T09:00:00Z");
        let cover = Cover {
            person: person(9),
            until: "2026-11-03T18:00:00Z".parse().unwrap(),
        };
        let covered = Rota {
            cover: Some(cover),
            ..rota()
        };
        assert_eq!(until(&covered, day), "2026-11-03T18:00:00Z");
    }

    #[test]
    fn who_may_not_is_passed_over_and_nobody_is_nobody() {
        let rota = rota();
        let day = "2026-11-03T12:00:00Z";
        assert_eq!(at(&rota, day, |p| *p != person(2)), Some(person(3)));
        assert_eq!(at(&rota, day, |p| *p == person(1)), Some(person(1)));
        assert_eq!(at(&rota, day, |_| false), None);
        assert_eq!(at(&Rota::default(), day, |_| true), None);
    }

    #[test]
    fn whoever_stands_in_does_so_until_the_time_and_only_while_they_may() {
        let until = "2026-11-03T18:00:00Z".parse().unwrap();
        let rota = Rota {
            cover: Some(Cover {
                person: person(9),
                until,
            }),
            ..rota()
        };
        assert_eq!(at(&rota, "2026-11-03T17:59:59Z", |_| true), Some(person(9)));
        assert_eq!(at(&rota, "2026-11-03T18:00:00Z", |_| true), Some(person(2)));
        let gone = |p: &Email| *p != person(9);
        assert_eq!(at(&rota, "2026-11-03T12:00:00Z", gone), Some(person(2)));
    }
}
