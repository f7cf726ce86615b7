//! What applying documents would change, in the order in which it would.

use std::collections::BTreeSet;

use remit_books::OrgBook;
use remit_domain::Role;
use remit_domain::agent::AgentState;
use remit_mcp::Sha256Digest;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::documents::{Document, DocumentProblem, read};
use crate::spec::{AnySpec, DocumentKind};
use crate::{Caller, Control, ControlError, agent, tool, upstream, workflow};

/// What happens, or happened, to one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It is as it is to be.
    None,
}

impl Action {
    /// `+`, `~` or `=`.
    pub const fn symbol(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::None => '=',
        }
    }
}

/// One field that changes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FieldChange {
    /// Which, such as `grants[0].expires`.
    pub field: String,
    /// What it is; null where it is not there.
    pub before: Value,
    /// What it would be; null where it would not be there.
    pub after: Value,
}

/// What would happen to one thing.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PlannedChange {
    /// What.
    pub action: Action,
    /// To which kind of thing.
    pub kind: DocumentKind,
    /// Its name.
    pub name: String,
    /// Where its document begins.
    pub line: u64,
    /// The fields that change.
    pub diff: Vec<FieldChange>,
}

/// What applying documents would change.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Plan {
    /// Each thing, in the order in which it would change.
    pub changes: Vec<PlannedChange>,
    /// What stands against applying it; empty when it can be.
    pub errors: Vec<DocumentProblem>,
    /// SHA-256 (hex) over what is and what is to be: applying with it fails when either has changed.
    pub hash: String,
    /// How many things are created.
    pub create: usize,
    /// How many are changed.
    pub update: usize,
}

/// A plan with the documents it is of, in order.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) documents: Vec<Document>,
}

impl Control {
    /// What applying `documents` would change. Mistakes are in the plan, each with its place. Things that no document names
    /// stay: nothing is ever deleted.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator.
    pub fn plan(&self, caller: &Caller, documents: &str) -> Result<Plan, ControlError> {
        Ok(self.prepare(caller, documents)?.plan)
    }

    pub(crate) fn prepare(&self, caller: &Caller, text: &str) -> Result<Prepared, ControlError> {
        caller.require(&[Role::Admin])?;
        let book = self.book(&caller.org)?;
        let documents = match read(text) {
            Ok(documents) => documents,
            Err(errors) => {
                return Ok(Prepared {
                    plan: plan(Vec::new(), errors, &[]),
                    documents: Vec::new(),
                });
            }
        };
        let mut errors = check(self, &book, &documents);
        let documents = ordered(&book, documents, &mut errors);
        let mut changes = Vec::with_capacity(documents.len());
        let mut states = Vec::with_capacity(documents.len());
        for document in &documents {
            let now = document.spec.current(&book);
            let next = document.spec.clone().settled(now.as_ref());
            let is = now.as_ref().map_or(Value::Null, AnySpec::body);
            let is_to_be = next.body();
            let known = now.is_some() || is_known(&book, &document.spec);
            let action = match now {
                Some(_) if is == is_to_be => Action::None,
                _ if known => Action::Update,
                _ => Action::Create,
            };
            let mut diff = Vec::new();
            if action != Action::None {
                compare(String::new(), &is, &is_to_be, &mut diff);
            }
            let (kind, name) = (document.spec.kind(), document.spec.name());
            states.push(json!([kind, name, is, is_to_be]));
            changes.push(PlannedChange {
                action,
                kind,
                name,
                line: document.at.0,
                diff,
            });
        }
        errors.sort();
        Ok(Prepared {
            plan: plan(changes, errors, &states),
            documents,
        })
    }
}

fn plan(changes: Vec<PlannedChange>, errors: Vec<DocumentProblem>, states: &[Value]) -> Plan {
    let count = |action| changes.iter().filter(|c| c.action == action).count();
    let states = Value::from(states.to_vec()).to_string();
    Plan {
        hash: Sha256Digest::of_parts(&[b"remit-plan-v1\n", states.as_bytes()]).to_string(),
        create: count(Action::Create),
        update: count(Action::Update),
        changes,
        errors,
    }
}

/// Whether the thing is here though it has no spec yet: a tool that was found and not classified.
fn is_known(book: &OrgBook, spec: &AnySpec) -> bool {
    matches!(spec, AnySpec::Tool(name, _) if book.registry().tools.contains_key(name))
}

/// What stands against each document by itself, and names that nobody has, here or in another document.
fn check(control: &Control, book: &OrgBook, documents: &[Document]) -> Vec<DocumentProblem> {
    let named: BTreeSet<_> = documents
        .iter()
        .map(|d| (d.spec.kind(), d.spec.name()))
        .collect();
    let mut problems = Vec::new();
    for document in documents {
        if let Err(error) = check_spec(book, &document.spec) {
            problems.push(document.problem(error));
        }
        if let AnySpec::Upstream(_, spec) = &document.spec
            && let Err(error) = control.check_secret_places(&book.id, spec)
        {
            problems.push(document.problem(error));
        }
        for reference in document.spec.references() {
            let there = named.contains(&(reference.kind, reference.name.clone()))
                || reference.is_known(book);
            if !there {
                let why = format!(
                    "`{}`: no {} `{}` is here or in these documents",
                    reference.field,
                    reference.kind.as_str(),
                    reference.name
                );
                problems.push(document.problem(why));
            }
        }
    }
    problems
}

fn check_spec(book: &OrgBook, spec: &AnySpec) -> Result<(), ControlError> {
    let registry = book.registry();
    let gone = |what: &str| {
        crate::refuse(
            remit_domain::RefusalCode::Conflict,
            format!("{what}; names are never used again"),
        )
    };
    match spec {
        AnySpec::Organization(name, _) => match registry.organization.as_ref() {
            Some(organization) if organization.name == *name => Ok(()),
            _ => Err(crate::error::invalid(
                "metadata.name",
                "is not this organization's; only the operator creates others",
            )),
        },
        AnySpec::Team(..) | AnySpec::System(..) | AnySpec::PolicySet(..) => Ok(()),
        AnySpec::Person(email, _) => match registry.person_named(email.as_str()) {
            Some(person) if !person.is_active() => Err(gone("the person has left")),
            _ => Ok(()),
        },
        AnySpec::Upstream(_, spec) => upstream::check_spec(spec),
        AnySpec::Tool(name, spec) => registry
            .tools
            .get(name)
            .map_or(Ok(()), |t| tool::check_spec(t, spec)),
        AnySpec::Agent(name, spec) => match registry.agent_named(name.as_str()) {
            Some(agent) if agent.state == AgentState::Retired => Err(gone("the agent is retired")),
            _ => agent::check_spec(spec),
        },
        AnySpec::Workflow(_, spec) => workflow::check_spec(spec),
    }
}

/// By kind, and within a kind what is referred to before what refers to it; otherwise as written.
fn ordered(
    book: &OrgBook,
    documents: Vec<Document>,
    errors: &mut Vec<DocumentProblem>,
) -> Vec<Document> {
    let mut left = documents;
    left.sort_by_key(|d| d.spec.kind());
    let mut out = Vec::with_capacity(left.len());
    loop {
        let waiting: BTreeSet<_> = left
            .iter()
            .map(|d| (d.spec.kind(), d.spec.name()))
            .collect();
        let waits = |d: &Document| {
            let kind = d.spec.kind();
            let of_kind = d.spec.references().into_iter().filter(|r| r.kind == kind);
            of_kind
                .into_iter()
                .any(|r| waiting.contains(&(kind, r.name.clone())) && !r.is_known(book))
        };
        let before = out.len();
        let mut later = Vec::new();
        for document in left {
            if waits(&document) {
                later.push(document);
            } else {
                out.push(document);
            }
        }
        left = later;
        if left.is_empty() {
            out.sort_by_key(|d| d.spec.kind());
            return out;
        }
        if out.len() == before {
            for document in &left {
                errors.push(document.problem("refers to itself or in a circle to others that are not here yet; create one of them without it first"));
            }
            out.append(&mut left);
            out.sort_by_key(|d| d.spec.kind());
            return out;
        }
    }
}

/// Every difference of two specs, field by field, into objects and lists of objects.
fn compare(field: String, before: &Value, after: &Value, out: &mut Vec<FieldChange>) {
    let inner = |name: &str| {
        if field.is_empty() {
            name.to_owned()
        } else {
            format!("{field}.{name}")
        }
    };
    match (before, after) {
        _ if before == after => {}
        (Value::Object(_) | Value::Null, Value::Object(new))
            if field.is_empty() || before.is_object() =>
        {
            let empty = serde_json::Map::new();
            let old = before.as_object().unwrap_or(&empty);
            let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for name in names {
                let side = |o: &serde_json::Map<String, Value>| {
                    o.get(name).cloned().unwrap_or(Value::Null)
                };
                compare(inner(name), &side(old), &side(new), out);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.iter().chain(new).all(Value::is_object) => {
            for at in 0..old.len().max(new.len()) {
                let side = |list: &[Value]| list.get(at).cloned().unwrap_or(Value::Null);
                compare(format!("{field}[{at}]"), &side(old), &side(new), out);
            }
        }
        // What is empty before and after says nothing.
        (Value::Null, Value::Array(new)) if new.is_empty() => {}
        _ => out.push(FieldChange {
            field,
            before: before.clone(),
            after: after.clone(),
        }),
    }
}
