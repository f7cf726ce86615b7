//! A counterexample in words: the request's own facts, and who decided what about it.

use cedar_policy::{Authorizer, EntityUid, PolicySet, Response};
use cedar_policy_symcc::Env;
use remit_ports::prover::Counterexample;

use crate::limits::FACTS_MAX;

/// What the request says and which policies make it a counterexample, by the plain evaluator.
pub(crate) fn tell(
    env: &Env,
    policies: &PolicySet,
    others: &PolicySet,
    disjoint: bool,
) -> Counterexample {
    let decide = |set| Authorizer::new().is_authorized(&env.request, set, &env.entities);
    let mut facts = Vec::new();
    let (principal, resource) = (env.request.principal(), env.request.resource());
    for (name, uid) in [("principal", principal), ("resource", resource)] {
        if let Some(uid) = uid {
            facts.push(format!("{name} = {uid}"));
            attributes(env, name, uid, 0, &mut facts);
        }
    }
    if let Some(context) = env.request.context() {
        let json = context.to_json_value().unwrap_or_default();
        let members = json.as_object().into_iter().flatten();
        facts.extend(members.map(|(name, value)| format!("context.{name} = {value}")));
    }
    facts.truncate(FACTS_MAX);
    Counterexample {
        action: env
            .request
            .action()
            .map(|a| a.id().unescaped().to_owned())
            .unwrap_or_default(),
        facts,
        allowed_by: reasons(&decide(policies)),
        denied_by: if disjoint {
            Vec::new()
        } else {
            reasons(&decide(others))
        },
    }
}

/// The attributes of an entity, and of the entities it names, one step down.
fn attributes(env: &Env, name: &str, uid: &EntityUid, depth: u8, facts: &mut Vec<String>) {
    let Some(entity) = env.entities.get(uid) else {
        return;
    };
    let json = entity.to_json_value().unwrap_or_default();
    let Some(all) = json.get("attrs").and_then(|a| a.as_object()) else {
        return;
    };
    for (key, value) in all {
        let reference = value.get("__entity").and_then(|e| {
            Some((
                e.get("type")?.as_str()?.to_owned(),
                e.get("id")?.as_str()?.to_owned(),
            ))
        });
        match reference {
            Some((kind, id)) if depth == 0 => {
                facts.push(format!("{name}.{key} = {kind}::{id:?}"));
                let named = kind.parse().ok().map(|kind| {
                    EntityUid::from_type_name_and_id(kind, cedar_policy::EntityId::new(&id))
                });
                if let Some(named) = named {
                    attributes(env, &format!("{name}.{key}"), &named, depth + 1, facts);
                }
            }
            Some((kind, id)) => facts.push(format!("{name}.{key} = {kind}::{id:?}")),
            None => facts.push(format!("{name}.{key} = {value}")),
        }
    }
}

fn reasons(response: &Response) -> Vec<String> {
    let mut ids: Vec<String> = response
        .diagnostics()
        .reason()
        .map(ToString::to_string)
        .collect();
    ids.sort();
    ids
}
