//! The leaves of a JSON value: texts, numbers and names of members, in one order.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Map, Value};

/// A leaf, and where it stands.
pub(super) struct Leaf<'v> {
    /// The names that lead to it, as a number. Members of a list stand at the same place.
    pub(super) path: u64,
    pub(super) text: Cow<'v, str>,
}

pub(super) fn below(path: u64, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    name.hash(&mut hasher);
    hasher.finish()
}

/// Every leaf.
pub(super) fn leaves(value: &Value) -> Vec<Leaf<'_>> {
    let mut all = Vec::new();
    collect(value, 0, &mut all);
    all
}

/// Every leaf of the members of an object.
pub(super) fn leaves_of(members: &Map<String, Value>) -> Vec<Leaf<'_>> {
    let mut all = Vec::new();
    collect_members(members, 0, &mut all);
    all
}

fn collect<'v>(value: &'v Value, path: u64, into: &mut Vec<Leaf<'v>>) {
    match value {
        Value::String(text) => into.push(Leaf {
            path,
            text: Cow::Borrowed(text),
        }),
        Value::Number(number) => into.push(Leaf {
            path,
            text: Cow::Owned(number.to_string()),
        }),
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, into)),
        Value::Object(object) => collect_members(object, path, into),
        Value::Null | Value::Bool(_) => {}
    }
}

fn collect_members<'v>(members: &'v Map<String, Value>, path: u64, into: &mut Vec<Leaf<'v>>) {
    for (name, member) in members {
        let path = below(path, name);
        into.push(Leaf {
            // A name is a text of its own.
            path: !path,
            text: Cow::Borrowed(name),
        });
        collect(member, path, into);
    }
}

/// Puts the texts that are new in the place of the leaves, in the order of [`leaves`].
pub(super) fn replace(value: &mut Value, new: &mut impl Iterator<Item = Option<String>>) {
    match value {
        Value::String(_) | Value::Number(_) => {
            if let Some(Some(text)) = new.next() {
                *value = Value::String(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, new)),
        Value::Object(object) => {
            let old = std::mem::take(object);
            for (name, mut member) in old {
                let name = new.next().flatten().unwrap_or(name);
                replace(&mut member, new);
                object.insert(name, member);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Every text that is a value, with its place.
pub(super) fn texts(value: &mut Value, path: u64, each: &mut impl FnMut(u64, &mut String)) {
    match value {
        Value::String(text) => each(path, text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, path, each)),
        Value::Object(object) => {
            for (name, member) in object.iter_mut() {
                texts(member, below(path, name), each);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
