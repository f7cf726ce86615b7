//! Who may say yes to a call: one pure check, for the verdict, for the list of names, and for counting what was said
//! (invariant 5).
//!
//! A requester, the person the run acts for, and whoever could have acted as one of them, or they as them, never approve
//! ([`remit_domain::vouch`]). Four eyes may be waived by policy for read and draft effects only, and then only if every
//! policy that asks waives it.

use std::collections::BTreeSet;

use remit_domain::approval::{Approval, Approvers, Ask};
use remit_domain::name::Name;
use remit_domain::rota;
use remit_domain::tool::Effect;
use remit_domain::vouch::{has_unrelated, stands_behind};
use remit_domain::{Person, PersonId, RefusalCode, Registry, Timestamp};

use crate::{ControlError, refuse};

/// Whether four eyes apply to what is asked.
pub fn four_eyes_apply(registry: &Registry, approval: &Approval) -> bool {
    let mild = registry
        .tools
        .get(&approval.tool)
        .and_then(|t| t.classification.as_ref())
        .is_some_and(|c| matches!(c.effect, Effect::Read | Effect::Draft) && !c.external);
    let waived = !approval.asks.is_empty() && approval.asks.iter().all(|a| a.waives_four_eyes);
    !(mild && waived)
}

/// Whether an ask names this person at `now`: who may besides, as time runs, and who is on call, are looked up each time.
pub fn names(
    registry: &Registry,
    approval: &Approval,
    ask: &Ask,
    person: &Person,
    now: Timestamp,
) -> bool {
    let waited = now.secs_since(approval.requested);
    ask.approvers_after(waited)
        .into_iter()
        .any(|a| is_one(registry, a, approval, person, now))
}

fn is_one(
    registry: &Registry,
    approvers: &Approvers,
    approval: &Approval,
    person: &Person,
    now: Timestamp,
) -> bool {
    let agent = || registry.agents.get(&approval.agent);
    let manager_of = |id: &PersonId| registry.people.get(id).and_then(|p| p.manager.as_ref());
    match approvers {
        Approvers::Role(role) => person.roles.contains(role),
        Approvers::Team(name) => registry
            .team_named(name.as_str())
            .is_some_and(|t| person.teams.contains(&t.id)),
        Approvers::OnCall(name) => match on_call(registry, approval, name, now) {
            Some(whose) => whose == person.id,
            None => registry
                .team_named(name.as_str())
                .is_some_and(|t| person.teams.contains(&t.id)),
        },
        Approvers::Sponsor => agent().is_some_and(|a| a.profile.sponsor == person.id),
        Approvers::SponsorManager => agent()
            .and_then(|a| manager_of(&a.profile.sponsor))
            .is_some_and(|m| *m == person.id),
        Approvers::Owner => agent().is_some_and(|a| a.profile.owner == person.id),
        Approvers::Manager => approval
            .person
            .as_ref()
            .and_then(manager_of)
            .is_some_and(|m| *m == person.id),
        Approvers::Person(email) => person.email == *email,
    }
}

/// Who of the team is on call for this approval; none where nobody is, or whoever is may not approve it whatever an ask says.
/// Then the whole team is asked.
fn on_call(
    registry: &Registry,
    approval: &Approval,
    team: &Name,
    now: Timestamp,
) -> Option<PersonId> {
    let team = registry.team_named(team.as_str())?;
    let person = rota::on_call(registry, team, now)?;
    bar(registry, approval, &person)
        .is_none()
        .then(|| person.id.clone())
}

/// Whom the asks that name somebody on call reach at `now`, in words; one line a team.
pub fn routing(registry: &Registry, approval: &Approval, now: Timestamp) -> Vec<String> {
    let waited = now.secs_since(approval.requested);
    let asked = approval.asks.iter();
    let teams: BTreeSet<&Name> = asked
        .flat_map(|ask| ask.approvers_after(waited))
        .filter_map(|approvers| match approvers {
            Approvers::OnCall(team) => Some(team),
            _ => None,
        })
        .collect();
    let line = |team: &&Name| match on_call(registry, approval, team, now) {
        Some(whose) => format!(
            "{} is on call for {team}",
            crate::names::person(registry, &whose)
        ),
        None => {
            format!("nobody is on call for {team} who may approve this, so the whole team is asked")
        }
    };
    teams.iter().map(line).collect()
}

/// Why this person may not approve whatever an ask says; none when nothing speaks against it.
fn bar(registry: &Registry, approval: &Approval, person: &Person) -> Option<String> {
    if !person.is_active() {
        return Some("you are not active in this organization".to_owned());
    }
    let requester = approval.person.as_ref()?;
    if *requester == person.id {
        return four_eyes_apply(registry, approval).then(|| {
            "the run acts for you, and nobody approves what is done for themselves".to_owned()
        });
    }
    related(registry, requester, person)
}

/// Why this person is nobody else for `other`: one of them created or enrolled the other, perhaps through others. The
/// sentence says what to do.
pub(crate) fn related(registry: &Registry, other: &PersonId, person: &Person) -> Option<String> {
    let name = crate::names::person(registry, other);
    let line = if stands_behind(registry, other, &person.id) {
        format!("you were created or enrolled by {name}")
    } else if stands_behind(registry, &person.id, other) {
        format!("you created or enrolled {name}")
    } else {
        return None;
    };
    Some(format!(
        "{line} (a link, the OpenID provider, perhaps through others), so one of you could have signed in as the other; \
         ask somebody whom neither of you created or enrolled: `remit person show` says who did"
    ))
}

/// That an administrator does something about somebody, and not about themselves or whoever could act as them.
pub(crate) fn not_for_oneself(
    registry: &Registry,
    whose: &PersonId,
    admin: &Person,
    does: &str,
) -> Result<(), ControlError> {
    let text = if *whose == admin.id {
        format!("nobody {does} for themselves; another administrator has to")
    } else if stands_behind(registry, whose, &admin.id) {
        let name = crate::names::person(registry, whose);
        format!(
            "nobody {does} for themselves, and {name} created or enrolled you, perhaps through others; another administrator has to"
        )
    } else {
        return Ok(());
    };
    Err(refuse(RefusalCode::Forbidden, text))
}

/// The asks this person's yes counts for; never empty.
///
/// # Errors
/// Why it counts for none, as the end of a sentence for that person.
pub fn counts_for<'a>(
    registry: &Registry,
    approval: &'a Approval,
    person: &Person,
    now: Timestamp,
) -> Result<Vec<&'a Ask>, String> {
    if let Some(why) = bar(registry, approval, person) {
        return Err(why);
    }
    let asks: Vec<&Ask> = approval
        .asks
        .iter()
        .filter(|ask| names(registry, approval, ask, person, now))
        .collect();
    if asks.is_empty() {
        let waited = now.secs_since(approval.requested);
        let wanted: BTreeSet<String> = approval
            .asks
            .iter()
            .flat_map(|a| a.approvers_after(waited))
            .map(ToString::to_string)
            .collect();
        let wanted: Vec<String> = wanted.into_iter().collect();
        return Err(format!("it is for {}", wanted.join(", ")));
    }
    Ok(asks)
}

/// Whether everyone who said yes, as they stand now, satisfies every ask with its quorum of different people, none of whom
/// could have acted as another.
///
/// An approval without asks is never satisfied: somebody has to say yes to something.
pub fn satisfied(
    registry: &Registry,
    approval: &Approval,
    yes: &[&PersonId],
    now: Timestamp,
) -> bool {
    let people: Vec<&Person> = yes
        .iter()
        .filter_map(|id| registry.people.get(*id))
        .map(AsRef::as_ref)
        .collect();
    !approval.asks.is_empty()
        && approval.asks.iter().all(|ask| {
            let counting: Vec<&PersonId> = people
                .iter()
                .filter(|p| {
                    counts_for(registry, approval, p, now).is_ok_and(|asks| asks.contains(&ask))
                })
                .map(|p| &p.id)
                .collect();
            has_unrelated(registry, &counting, usize::from(ask.quorum.max(1)))
        })
}

/// Everyone who may say yes now, ordered by address.
pub fn approvers(
    registry: &Registry,
    approval: &Approval,
    now: Timestamp,
) -> Vec<std::sync::Arc<Person>> {
    let mut all: Vec<_> = registry
        .people
        .values()
        .filter(|p| counts_for(registry, approval, p, now).is_ok())
        .cloned()
        .collect();
    all.sort_by(|a, b| a.email.cmp(&b.email));
    all
}

/// Whether this person answers for the call: the run acts for them, or they are the agent's sponsor or owner.
pub fn may_answer(registry: &Registry, approval: &Approval, person: &Person) -> bool {
    let agent = registry.agents.get(&approval.agent);
    person.is_active()
        && (approval.person.as_ref() == Some(&person.id)
            || agent
                .is_some_and(|a| a.profile.sponsor == person.id || a.profile.owner == person.id))
}

/// Whether this person may say no: whoever is named, and the person the run acts for. A no takes no right from anybody
/// else, so four eyes do not stand in its way.
pub fn may_deny(registry: &Registry, approval: &Approval, person: &Person, now: Timestamp) -> bool {
    person.is_active()
        && (approval.person.as_ref() == Some(&person.id)
            || approval
                .asks
                .iter()
                .any(|ask| names(registry, approval, ask, person, now)))
}

#[cfg(test)]
mod tests;
