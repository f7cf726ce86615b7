//! Changes of parts (RFC 7644 section 3.5.2), applied to what a directory may write of a resource.
//!
//! The members of that are known beforehand. What the standard has and Remit does not keep (telephones, photographs, a name in
//! parts) is taken and dropped, as when a resource is made; what nobody knows is refused.

use std::collections::HashSet;

use remit_domain::directory::MEMBERS_MAX;
use serde_json::{Map, Value};

use super::error::ScimError;
use super::filter::{self, Filter};

/// Most operations in one request.
const OPERATIONS_MAX: usize = 100;

/// What a member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Truth,
    /// People, by id.
    Members,
    /// Nothing: it is taken and dropped.
    Nothing,
    /// What only Remit writes.
    ReadOnly,
}

/// The members that a directory may write, or that it may try to.
pub(super) type Members = &'static [(&'static str, Holds)];

/// The members of a resource by their own names, each of its kind. What is unknown is dropped (RFC 7644 section 3.3).
pub(super) fn known(body: &Value, members: Members) -> Result<Map<String, Value>, ScimError> {
    let mut found = Map::new();
    for (name, holds) in members {
        let Some(value) = filter::get(body, name).filter(|v| !v.is_null()) else {
            continue;
        };
        if let Some(value) = of_kind(name, *holds, value)? {
            found.insert((*name).to_owned(), value);
        }
    }
    Ok(found)
}

fn of_kind(name: &str, holds: Holds, value: &Value) -> Result<Option<Value>, ScimError> {
    let wrong = |what: &str| ScimError::bad("invalidValue", format!("`{name}` must be {what}"));
    match (holds, value) {
        (Holds::Nothing | Holds::ReadOnly, _) => Ok(None),
        (Holds::Text, Value::String(_)) | (Holds::Truth, Value::Bool(_)) => Ok(Some(value.clone())),
        // Some directories write truth as text.
        (Holds::Truth, Value::String(text)) => {
            let truth = text.to_ascii_lowercase().parse::<bool>();
            truth
                .map(|t| Some(t.into()))
                .map_err(|_| wrong("true or false"))
        }
        (Holds::Truth, _) => Err(wrong("true or false")),
        (Holds::Text, _) => Err(wrong("a text")),
        (Holds::Members, value) => {
            let all = people(value).ok_or_else(|| wrong("a list of people: {\"value\": id}"))?;
            Ok(Some(Value::Array(no_more(name, all)?)))
        }
    }
}

/// Ids of people, each as `{"value": id}`, and once.
pub(super) fn people(value: &Value) -> Option<Vec<Value>> {
    let each = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for member in each {
        let id = filter::get(member, "value").or(Some(member).filter(|m| m.is_string()))?;
        let id = id.as_str()?;
        if seen.insert(id) {
            all.push(serde_json::json!({ "value": id }));
        }
    }
    Some(all)
}

/// No more than a group holds, at any step of a change: what each step costs goes by it.
fn no_more(name: &str, all: Vec<Value>) -> Result<Vec<Value>, ScimError> {
    if all.len() > MEMBERS_MAX {
        let text = format!("`{name}` names {} people; at most {MEMBERS_MAX}", all.len());
        return Err(ScimError::bad("tooMany", text));
    }
    Ok(all)
}

/// Applies a `PatchOp` to what a directory wrote before.
///
/// - `schema`: the resource's own, which may stand in front of names.
pub(super) fn apply(
    state: &mut Map<String, Value>,
    body: &Value,
    schema: &str,
    members: Members,
) -> Result<(), ScimError> {
    let operations = filter::get(body, "Operations").and_then(Value::as_array);
    let operations = operations
        .filter(|all| !all.is_empty())
        .ok_or_else(|| ScimError::bad("invalidSyntax", "`Operations` must be a list of changes"))?;
    if operations.len() > OPERATIONS_MAX {
        let text = format!("at most {OPERATIONS_MAX} operations are taken at once");
        return Err(ScimError::bad("tooMany", text));
    }
    for operation in operations {
        one(state, operation, schema, members)?;
    }
    Ok(())
}

fn one(
    state: &mut Map<String, Value>,
    operation: &Value,
    schema: &str,
    members: Members,
) -> Result<(), ScimError> {
    let text = |name: &str| filter::get(operation, name).and_then(Value::as_str);
    let op = text("op").unwrap_or_default().to_ascii_lowercase();
    if !matches!(op.as_str(), "add" | "replace" | "remove") {
        let text = "`op` must be add, replace or remove";
        return Err(ScimError::bad("invalidSyntax", text));
    }
    let value = filter::get(operation, "value");
    let Some(path) = text("path") else {
        let Some(Value::Object(each)) = value.filter(|_| op != "remove") else {
            let text = "without a `path`, `value` must be an object, and nothing is removed";
            return Err(ScimError::bad("noTarget", text));
        };
        return each.iter().try_for_each(|(name, value)| {
            set(state, &op, &target(name, schema, members)?, Some(value))
        });
    };
    set(state, &op, &target(path, schema, members)?, value)
}

struct Target {
    name: &'static str,
    holds: Holds,
    which: Option<Filter>,
}

fn target(path: &str, schema: &str, members: Members) -> Result<Target, ScimError> {
    let dropped = Target {
        name: "",
        holds: Holds::Nothing,
        which: None,
    };
    if path.starts_with("urn:ietf:params:scim:schemas:extension:") {
        return Ok(dropped);
    }
    let invalid = |text: String| ScimError::bad("invalidPath", text);
    let (found, which, part) = filter::read_target(path).map_err(invalid)?;
    let ours = found
        .schema
        .as_ref()
        .is_none_or(|s| s.eq_ignore_ascii_case(schema));
    let same = |(name, _): &&(&'static str, Holds)| name.eq_ignore_ascii_case(&found.name);
    if ["schemas", "id", "meta"]
        .iter()
        .any(|fixed| fixed.eq_ignore_ascii_case(&found.name))
    {
        return Ok(dropped);
    }
    let Some((name, holds)) = members.iter().find(same).filter(|_| ours) else {
        let shown: String = path.chars().take(80).collect();
        return Err(invalid(format!("no attribute `{shown}` is known")));
    };
    let parts = found.part.is_some() || part.is_some() || which.is_some();
    let whole = matches!(holds, Holds::Text | Holds::Truth);
    let inside = *holds == Holds::Members && (found.part.is_some() || part.is_some());
    if (whole && parts) || inside {
        return Err(invalid(format!("`{name}` has no parts")));
    }
    Ok(Target {
        name,
        holds: *holds,
        which,
    })
}

fn set(
    state: &mut Map<String, Value>,
    op: &str,
    target: &Target,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let name = target.name;
    match target.holds {
        Holds::Nothing => return Ok(()),
        Holds::ReadOnly => {
            let text = format!("`{name}` is written by Remit only");
            return Err(ScimError::bad("mutability", text));
        }
        Holds::Members => return set_members(state, op, target, value),
        Holds::Text | Holds::Truth => {}
    }
    if op == "remove" {
        state.remove(name);
        return Ok(());
    }
    let value = value.ok_or_else(|| ScimError::bad("invalidValue", "`value` is missing"))?;
    match of_kind(name, target.holds, value)? {
        Some(value) => state.insert(name.to_owned(), value),
        None => state.remove(name),
    };
    Ok(())
}

fn set_members(
    state: &mut Map<String, Value>,
    op: &str,
    target: &Target,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let had = state.remove(target.name);
    let mut members = had.and_then(|v| v.as_array().cloned()).unwrap_or_default();
    let given = match value {
        Some(value) => of_kind(target.name, Holds::Members, value)?,
        None => None,
    };
    let given = given.and_then(|v| v.as_array().cloned());
    match (op, &target.which, given) {
        ("remove", Some(which), _) => members.retain(|m| !which.holds(m)),
        // Some directories name whom they take out in the value.
        ("remove", None, Some(gone)) => {
            let gone: HashSet<_> = gone.iter().map(id_of).collect();
            members.retain(|m| !gone.contains(&id_of(m)));
        }
        ("remove", None, None) => members.clear(),
        ("add", None, Some(more)) => {
            members.extend(more);
            members = people(&Value::Array(members)).unwrap_or_default();
        }
        ("replace", None, Some(all)) => members = all,
        _ => {
            let text = "members are added and replaced by a `value`, without a filter";
            return Err(ScimError::bad("noTarget", text));
        }
    }
    let members = no_more(target.name, members)?;
    state.insert(target.name.to_owned(), Value::Array(members));
    Ok(())
}

fn id_of(member: &Value) -> Option<&str> {
    member.get("value").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MEMBERS: Members = &[
        ("userName", Holds::Text),
        ("active", Holds::Truth),
        ("members", Holds::Members),
        ("title", Holds::Nothing),
        ("roles", Holds::ReadOnly),
    ];
    const SCHEMA: &str = "urn:x:User";

    fn patched(operations: Value) -> Result<Value, ScimError> {
        let mut state = Map::new();
        state.insert("active".to_owned(), true.into());
        state.insert(
            "members".to_owned(),
            json!([{ "value": "a" }, { "value": "b" }]),
        );
        let body = json!({ "Operations": operations });
        apply(&mut state, &body, SCHEMA, MEMBERS).map(|()| Value::Object(state))
    }

    #[test]
    fn directories_change_parts_in_their_several_ways() {
        for (operation, path, becomes) in [
            (
                json!({ "op": "replace", "path": "active", "value": false }),
                "active",
                json!(false),
            ),
            (
                json!({ "op": "Replace", "path": "active", "value": "False" }),
                "active",
                json!(false),
            ),
            (
                json!({ "op": "replace", "value": { "active": false } }),
                "active",
                json!(false),
            ),
            (
                json!({ "op": "replace", "path": "urn:x:User:active", "value": false }),
                "active",
                json!(false),
            ),
            (
                json!({ "op": "add", "path": "members", "value": [{ "value": "c" }] }),
                "members",
                json!([{"value":"a"},{"value":"b"},{"value":"c"}]),
            ),
            (
                json!({ "op": "remove", "path": "members[value eq \"a\"]" }),
                "members",
                json!([{"value":"b"}]),
            ),
            (
                json!({ "op": "remove", "path": "members", "value": [{ "value": "b" }] }),
                "members",
                json!([{"value":"a"}]),
            ),
            (
                json!({ "op": "replace", "path": "members", "value": [] }),
                "members",
                json!([]),
            ),
            (
                json!({ "op": "remove", "path": "members" }),
                "members",
                json!([]),
            ),
            (
                json!({ "op": "replace", "path": "title", "value": "boss" }),
                "title",
                Value::Null,
            ),
        ] {
            let after =
                patched(json!([operation])).unwrap_or_else(|e| panic!("{operation}: {e:?}"));
            assert_eq!(
                after.get(path).cloned().unwrap_or_default(),
                becomes,
                "{operation}"
            );
        }
    }

    #[test]
    fn what_is_not_theirs_to_write_is_refused() {
        for operation in [
            json!({ "op": "add", "path": "roles", "value": [{ "value": "admin" }] }),
            json!({ "op": "add", "value": { "roles": [{ "value": "admin" }] } }),
            json!({ "op": "add", "path": "entitlement", "value": "all" }),
            json!({ "op": "add", "path": "urn:y:User:active", "value": true }),
            json!({ "op": "move", "path": "active" }),
            json!({ "op": "replace", "path": "active", "value": 1 }),
            json!({ "op": "replace", "path": "userName.x", "value": "a" }),
            json!({ "op": "remove" }),
            json!({ "op": "add", "path": "members", "value": 7 }),
            json!({ "op": "add", "path": "members[value eq \"a\"]", "value": [{ "value": "c" }] }),
        ] {
            assert!(patched(json!([operation])).is_err(), "{operation}");
        }
        let many = vec![json!({ "op": "remove", "path": "members" }); OPERATIONS_MAX + 1];
        assert!(patched(json!(many)).is_err());
    }

    #[test]
    fn no_step_names_more_people_than_a_group_holds() {
        let named = |from: usize, to: usize| -> Vec<_> {
            (from..to).map(|n| json!(format!("p{n}"))).collect()
        };
        for op in ["add", "replace", "remove"] {
            let many = json!({ "op": op, "path": "members", "value": named(0, MEMBERS_MAX + 1) });
            assert!(patched(json!([many])).is_err(), "{op}");
        }
        let half = |from| json!({ "op": "add", "path": "members", "value": named(from, from + MEMBERS_MAX / 2) });
        let clear = json!({ "op": "remove", "path": "members" });
        let both = json!([clear, half(0), half(MEMBERS_MAX / 2)]);
        assert!(patched(both.clone()).is_ok());
        let third = [
            both.as_array().unwrap().as_slice(),
            &[half(MEMBERS_MAX), clear.clone()],
        ]
        .concat();
        assert!(patched(json!(third)).is_err(), "not even between steps");
        // The same people again are no more people.
        let twice = json!([clear, half(0), half(0), half(0)]);
        let after = patched(twice).unwrap();
        assert_eq!(after["members"].as_array().unwrap().len(), MEMBERS_MAX / 2);
    }
}
