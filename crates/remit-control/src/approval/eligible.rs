//! Who may say yes to a call: one pure check, for the verdict, for the list of names, and for counting what was said
//! (invariant 5).
//!
//! A requester, the person the run acts for, and whoever one of them created or enrolled never approve. Four eyes may be
//! waived by policy for read and draft effects only, and then only if every policy that asks waives it.

use remit_domain::approval::{Approval, Approvers, Ask};
use remit_domain::tool::Effect;
use remit_domain::{Agent, Person, PersonId, Registry};

/// Longest line of creators looked at; a longer one counts as related, because nobody can say otherwise.
const CREATORS_MAX: usize = 64;

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

/// Whether an ask names this person.
pub fn names(registry: &Registry, approval: &Approval, ask: &Ask, person: &Person) -> bool {
    let agent = registry.agents.get(&approval.agent);
    ask.approvers.iter().any(|a| {
        is_one(
            registry,
            a,
            agent.map(AsRef::as_ref),
            approval.person.as_ref(),
            person,
        )
    })
}

fn is_one(
    registry: &Registry,
    approvers: &Approvers,
    agent: Option<&Agent>,
    requester: Option<&PersonId>,
    person: &Person,
) -> bool {
    match approvers {
        Approvers::Role(role) => person.roles.contains(role),
        Approvers::Team(name) => registry
            .team_named(name.as_str())
            .is_some_and(|t| person.teams.contains(&t.id)),
        Approvers::Sponsor => agent.is_some_and(|a| a.profile.sponsor == person.id),
        Approvers::Owner => agent.is_some_and(|a| a.profile.owner == person.id),
        Approvers::Manager => requester
            .and_then(|r| registry.people.get(r))
            .and_then(|r| r.manager.as_ref())
            .is_some_and(|m| *m == person.id),
        Approvers::Person(email) => person.email == *email,
    }
}

/// Why this person may not approve whatever an ask says; none when nothing speaks against it.
fn bar(registry: &Registry, approval: &Approval, person: &Person) -> Option<&'static str> {
    if !person.is_active() {
        return Some("you are not active in this organization");
    }
    let requester = approval.person.as_ref()?;
    if *requester == person.id {
        return four_eyes_apply(registry, approval)
            .then_some("the run acts for you, and nobody approves what is done for themselves");
    }
    if created(registry, requester, person) {
        return Some("you were created or enrolled by the person the run acts for");
    }
    None
}

/// Whether `above` created `person`, or someone who did.
pub(crate) fn created(registry: &Registry, above: &PersonId, person: &Person) -> bool {
    let mut creator = person.created_by.as_ref();
    for _ in 0..CREATORS_MAX {
        match creator {
            None => return false,
            Some(id) if id == above => return true,
            Some(id) => creator = registry.people.get(id).and_then(|p| p.created_by.as_ref()),
        }
    }
    true
}

/// The asks this person's yes counts for; never empty.
///
/// # Errors
/// Why it counts for none, as the end of a sentence for that person.
pub fn counts_for<'a>(
    registry: &Registry,
    approval: &'a Approval,
    person: &Person,
) -> Result<Vec<&'a Ask>, String> {
    if let Some(why) = bar(registry, approval, person) {
        return Err(why.to_owned());
    }
    let asks: Vec<&Ask> = approval
        .asks
        .iter()
        .filter(|ask| names(registry, approval, ask, person))
        .collect();
    if asks.is_empty() {
        let wanted: std::collections::BTreeSet<String> = approval
            .asks
            .iter()
            .flat_map(|a| a.approvers.iter().map(ToString::to_string))
            .collect();
        let wanted: Vec<String> = wanted.into_iter().collect();
        return Err(format!("it is for {}", wanted.join(", ")));
    }
    Ok(asks)
}

/// Whether everyone who said yes, as they stand now, satisfies every ask with its quorum of different people.
///
/// An approval without asks is never satisfied: somebody has to say yes to something.
pub fn satisfied(registry: &Registry, approval: &Approval, yes: &[&PersonId]) -> bool {
    let people: Vec<&Person> = yes
        .iter()
        .filter_map(|id| registry.people.get(*id))
        .map(AsRef::as_ref)
        .collect();
    !approval.asks.is_empty()
        && approval.asks.iter().all(|ask| {
            let different: std::collections::BTreeSet<&PersonId> = people
                .iter()
                .filter(|p| counts_for(registry, approval, p).is_ok_and(|asks| asks.contains(&ask)))
                .map(|p| &p.id)
                .collect();
            different.len() >= usize::from(ask.quorum.max(1))
        })
}

/// Everyone who may say yes now, ordered by address.
pub fn approvers(registry: &Registry, approval: &Approval) -> Vec<std::sync::Arc<Person>> {
    let mut all: Vec<_> = registry
        .people
        .values()
        .filter(|p| counts_for(registry, approval, p).is_ok())
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
pub fn may_deny(registry: &Registry, approval: &Approval, person: &Person) -> bool {
    person.is_active()
        && (approval.person.as_ref() == Some(&person.id)
            || approval
                .asks
                .iter()
                .any(|ask| names(registry, approval, ask, person)))
}

#[cfg(test)]
mod tests;
