//! Who could act as whom: whoever created a person, made the link they signed in with, or set what the company's OpenID
//! provider says of them, could have taken that sign-in for themselves.
//!
//! Nobody decides as *somebody else* for a person in whose line they stand, in either direction (invariant 5). The line is
//! followed through others, in the order of time: who enrols an administrator today stands behind whom that administrator
//! enrols tomorrow, and not behind whom they enrolled last year.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Person, PersonId, Registry, Timestamp};

/// Most steps of one look along a line; a longer one counts as related, because nobody can say otherwise.
const STEPS_MAX: usize = 10_000;

/// From when to when somebody did what lets them act as a person: the first time and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
}

impl Vouched {
    /// Once, at `at`.
    pub const fn once(at: Timestamp) -> Self {
        Self {
            first: at,
            last: at,
        }
    }
}

impl Person {
    /// The person with `by` as one who could act as them since `at`; none where that is known, or they did it themselves.
    #[must_use]
    pub fn vouched(&self, by: &PersonId, at: Timestamp) -> Option<Self> {
        if *by == self.id {
            return None;
        }
        let there = self.vouched_by.get(by).copied();
        let with = there.map_or(Vouched::once(at), |v| Vouched {
            first: v.first.min(at),
            last: v.last.max(at),
        });
        if there == Some(with) {
            return None;
        }
        let mut next = self.clone();
        next.vouched_by.insert(by.clone(), with);
        Some(next)
    }

    /// Everybody who could have acted as this person, not through others: the latest time not after `until`.
    fn vouchers(&self, until: Timestamp) -> impl Iterator<Item = (&PersonId, Timestamp)> {
        let written = self
            .vouched_by
            .iter()
            .filter(move |(_, v)| v.first <= until)
            .map(move |(by, v)| (by, v.last.min(until)));
        // A record that does not say when: it may have been at any time.
        let unsaid = self
            .created_by
            .iter()
            .filter(|by| !self.vouched_by.contains_key(*by))
            .map(move |by| (by, until));
        written.chain(unsaid).filter(|(by, _)| **by != self.id)
    }
}

/// Whether `above` could have acted as `person`, by themselves or through others.
pub fn stands_behind(registry: &Registry, above: &PersonId, person: &PersonId) -> bool {
    let start = (person.clone(), Timestamp::from_micros(i64::MAX));
    let mut latest: BTreeMap<PersonId, Timestamp> = BTreeMap::new();
    let mut open = vec![start];
    for _ in 0..STEPS_MAX {
        let Some((at, until)) = open.pop() else {
            return false;
        };
        let Some(person) = registry.people.get(&at) else {
            continue;
        };
        for (by, time) in person.vouchers(until) {
            if by == above {
                return true;
            }
            if latest.get(by).is_none_or(|seen| *seen < time) {
                latest.insert(by.clone(), time);
                open.push((by.clone(), time));
            }
        }
    }
    true
}

/// Whether one of two people could have acted as the other, so that neither counts as somebody else for the other.
pub fn are_related(registry: &Registry, one: &PersonId, other: &PersonId) -> bool {
    stands_behind(registry, one, other) || stands_behind(registry, other, one)
}

/// Whether `count` of these people are pairwise unrelated: as many different people as a quorum asks for.
pub fn has_unrelated(registry: &Registry, people: &[&PersonId], count: usize) -> bool {
    fn choose<'a>(
        registry: &Registry,
        rest: &[&'a PersonId],
        chosen: &mut Vec<&'a PersonId>,
        count: usize,
    ) -> bool {
        if chosen.len() >= count {
            return true;
        }
        if chosen.len() + rest.len() < count {
            return false;
        }
        let Some((next, rest)) = rest.split_first() else {
            return false;
        };
        let free = chosen
            .iter()
            .all(|c| c != next && !are_related(registry, c, next));
        if free {
            chosen.push(next);
            if choose(registry, rest, chosen, count) {
                return true;
            }
            chosen.pop();
        }
        choose(registry, rest, chosen, count)
    }
    choose(registry, people, &mut Vec::new(), count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use proptest::prelude::*;
    use serde_json::json;

    fn id(n: u128) -> PersonId {
        PersonId::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    /// Person `n`, for whom each of these vouched at these times.
    fn put(registry: &mut Registry, n: u128, vouched: &[(u128, i64)]) {
        let mut person: Person = serde_json::from_value(json!({
            "id": id(n), "email": format!("p{n}@acme.example"), "display_name": "P", "teams": [], "roles": [],
            "entitlements": [], "manager": null, "created_by": null, "state": "active"
        }))
        .unwrap();
        for (by, time) in vouched {
            if let Some(next) = person.vouched(&id(*by), at(*time)) {
                person = next;
            }
        }
        let value = serde_json::to_value(&person).unwrap();
        registry
            .apply(
                Kind::Person,
                id(n).as_str(),
                1 + vouched.len() as u64,
                &value,
            )
            .unwrap();
    }

    #[test]
    fn who_vouched_is_related_in_both_directions_and_through_others() {
        let mut r = Registry::default();
        put(&mut r, 1, &[]);
        put(&mut r, 2, &[(1, 10)]);
        put(&mut r, 3, &[(2, 20)]);
        put(&mut r, 4, &[(1, 30)]);
        for (one, other, related) in [
            (1, 2, true),
            (2, 1, true),
            (1, 3, true),
            (3, 1, true),
            (2, 4, false),
            (3, 4, false),
        ] {
            assert_eq!(
                are_related(&r, &id(one), &id(other)),
                related,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn a_line_follows_time_so_a_later_enrolment_takes_nobody_in_who_came_before() {
        let mut r = Registry::default();
        // 2 made a link for 1 at 50: behind whom 1 enrolled at 60, not behind whom 1 enrolled at 20.
        put(&mut r, 1, &[(2, 50)]);
        put(&mut r, 2, &[(1, 10)]);
        put(&mut r, 3, &[(1, 20)]);
        put(&mut r, 4, &[(1, 60)]);
        assert!(!are_related(&r, &id(2), &id(3)));
        assert!(are_related(&r, &id(2), &id(4)));
        // A second link of 1 for 3, after 2 could have acted as 1.
        put(&mut r, 3, &[(1, 20), (1, 70)]);
        assert!(are_related(&r, &id(2), &id(3)));
    }

    #[test]
    fn nobody_is_vouched_for_by_themselves_and_nothing_is_written_twice() {
        let mut r = Registry::default();
        put(&mut r, 1, &[(2, 10)]);
        let one = r.people[&id(1)].clone();
        assert_eq!(one.vouched(&id(1), at(20)), None);
        assert_eq!(one.vouched(&id(2), at(10)), None);
        let wider = one.vouched(&id(2), at(20)).unwrap();
        assert_eq!(wider.vouched(&id(2), at(15)), None, "it is between");
    }

    #[test]
    fn a_quorum_counts_people_none_of_whom_could_have_acted_as_another() {
        let mut r = Registry::default();
        put(&mut r, 1, &[]);
        put(&mut r, 2, &[(1, 10)]);
        put(&mut r, 3, &[(1, 10)]);
        let (one, two, three) = (id(1), id(2), id(3));
        assert!(!has_unrelated(&r, &[&one, &two], 2));
        assert!(!has_unrelated(&r, &[&two, &two], 2));
        assert!(
            has_unrelated(&r, &[&one, &two, &three], 2),
            "the two whom 1 enrolled"
        );
        assert!(!has_unrelated(&r, &[&one, &two, &three], 3));
    }

    proptest! {
        /// However often and by whomever people are vouched for: a look ends, and is the same from both sides.
        #[test]
        fn every_look_ends_and_is_symmetric(edges in prop::collection::vec((0u128..6, 0u128..6, 0i64..20), 0..24)) {
            let mut r = Registry::default();
            for n in 0..6 {
                let own: Vec<_> = edges.iter().filter(|e| e.0 == n).map(|e| (e.1, e.2)).collect();
                put(&mut r, n, &own);
            }
            for (to, by, _) in &edges {
                if to != by {
                    prop_assert!(are_related(&r, &id(*to), &id(*by)));
                    prop_assert!(are_related(&r, &id(*by), &id(*to)));
                }
            }
        }
    }
}
