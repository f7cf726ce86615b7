//! What applying documents would change, in the order in which it would.

use std::collections::BTreeSet;

use remit_books::{Change, OrgBook};
use remit_domain::{Registry, Role};
use remit_mcp::Sha256Digest;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::documents::{Document, DocumentProblem, read};
use crate::draft::Draft;
use crate::spec::{AnySpec, DocumentKind, Reference};
use crate::{Caller, Control, ControlError};

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

/// A plan with the changes it stands for, in order; a change is missing only where the plan has an error.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) drafts: Vec<(Document, Draft)>,
}

impl Control {
    /// What applying `documents` would change. Mistakes and refusals are in the plan, each with its place: every document
    /// passes the same checks as when it is written, one after the other on a copy of the registry, so that what is planned
    /// without an error is applied. Things that no document names stay: nothing is ever deleted.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator.
    pub fn plan(&self, caller: &Caller, documents: &str) -> Result<Plan, ControlError> {
        let mut prepared = self.prepare(caller, documents)?;
        let book = self.book(&caller.org)?;
        let all = prepared
            .drafts
            .iter()
            .map(|(_, draft)| draft.change.clone());
        let all = all.reduce(Change::and).unwrap_or_default();
        if prepared.plan.errors.is_empty()
            && let Err(error) = book.would_compile(&all)
        {
            prepared.plan.errors = placed(error.into(), &prepared.drafts)?;
        }
        Ok(prepared.plan)
    }

    /// The plan, but for whether the policies compile.
    pub(crate) fn prepare(&self, caller: &Caller, text: &str) -> Result<Prepared, ControlError> {
        caller.require(&[Role::Admin])?;
        let book = self.book(&caller.org)?;
        let documents = match read(text) {
            Ok(documents) => documents,
            Err(errors) => {
                return Ok(Prepared {
                    plan: plan(Vec::new(), errors, &[]),
                    drafts: Vec::new(),
                });
            }
        };
        let mut errors = check(&book, &documents);
        let documents = ordered(&book, documents, &mut errors);
        let mut trial = Trial {
            registry: book.registry().clone(),
            failed: errors.iter().map(|e| (e.line, e.column)).collect(),
            named: BTreeSet::new(),
        };
        let (mut changes, mut states) = (Vec::new(), Vec::new());
        let mut drafts = Vec::new();
        for document in documents {
            let now = document.spec.current(&book);
            let next = document.spec.clone().settled(now.as_ref());
            let (kind, name) = (document.spec.kind(), document.spec.name());
            let is = now.as_ref().map_or(Value::Null, AnySpec::body);
            let is_to_be = next.body();
            let action = match self.tried(caller, &book, &document, &mut trial) {
                Ok(Some(draft)) => {
                    let action = draft.action;
                    drafts.push((document.clone(), draft));
                    action
                }
                Ok(None) => planned(now.is_some(), is == is_to_be),
                Err(error) => {
                    errors.push(document.problem(advised(&document.spec, &error)));
                    planned(now.is_some(), is == is_to_be)
                }
            };
            let mut diff = Vec::new();
            if action != Action::None {
                compare(String::new(), &is, &is_to_be, &mut diff);
            }
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
            drafts,
        })
    }

    /// The draft of a document, taken into the copy of the registry; none where what it builds on is wrong already.
    fn tried(
        &self,
        caller: &Caller,
        book: &OrgBook,
        document: &Document,
        trial: &mut Trial,
    ) -> Result<Option<Draft>, ControlError> {
        let own = (document.spec.kind(), document.spec.name());
        let rests = document.spec.references();
        let broken = trial.failed.contains(&document.at)
            || rests
                .iter()
                .any(|r| trial.named.contains(&(r.kind, r.name.clone())));
        if broken {
            trial.named.insert(own);
            return Ok(None);
        }
        let draft = self.draft(caller, book, &trial.registry, document.spec.clone());
        match draft {
            Ok(draft) => {
                draft.change.try_on(&mut trial.registry)?;
                Ok(Some(draft))
            }
            Err(error) => {
                trial.named.insert(own);
                Err(error)
            }
        }
    }

    /// The change that writes a spec, held against `registry`: the same as writing it by itself.
    fn draft(
        &self,
        caller: &Caller,
        book: &OrgBook,
        registry: &Registry,
        spec: AnySpec,
    ) -> Result<Draft, ControlError> {
        match spec {
            AnySpec::Organization(name, spec) => {
                self.draft_organization_named(registry, caller, &name, spec)
            }
            AnySpec::Team(name, spec) => self.draft_team(registry, caller, &name, &spec, None),
            AnySpec::Person(email, spec) => self.draft_person(registry, caller, &email, spec, None),
            AnySpec::System(name, spec) => self.draft_system(registry, caller, &name, &spec, None),
            AnySpec::Upstream(name, spec) => {
                self.draft_upstream(registry, caller, &name, spec, None)
            }
            AnySpec::Tool(name, spec) => self.draft_tool(registry, caller, &name, &spec, None),
            AnySpec::Agent(name, spec) => self.draft_agent(registry, caller, &name, spec, None),
            AnySpec::Workflow(name, spec) => {
                self.draft_workflow(registry, caller, &name, spec, None)
            }
            AnySpec::PolicySet(name, spec) => {
                self.draft_policy_set(book, caller, &name, spec, None)
            }
            AnySpec::Setting(name, spec) => {
                self.draft_setting(registry, caller, &name, &spec, None)
            }
            AnySpec::Limit(name, spec) => self.draft_limit(registry, caller, &name, &spec, None),
            AnySpec::Freeze(name, spec) => self.draft_freeze(registry, caller, &name, &spec, None),
            AnySpec::EnforcementPoint(name, spec) => {
                self.draft_enforcement_point(registry, caller, &name, &spec, None)
            }
            AnySpec::AuthorizationServer(name, spec) => {
                self.draft_authorization_server(registry, caller, &name, &spec, None)
            }
            AnySpec::TrustedIssuer(name, spec) => {
                self.draft_trusted_issuer(registry, caller, &name, &spec, None)
            }
        }
    }
}

/// A copy of the registry that documents are tried on, one after the other.
struct Trial {
    registry: Registry,
    /// Where documents begin that are wrong already.
    failed: BTreeSet<(u64, u64)>,
    /// What was not taken in, so that what builds on it is not blamed for it too.
    named: BTreeSet<(DocumentKind, String)>,
}

fn planned(there: bool, same: bool) -> Action {
    match (there, same) {
        (true, true) => Action::None,
        (true, false) => Action::Update,
        (false, _) => Action::Create,
    }
}

/// Why a document is refused, with what comes first where that is what is missing.
fn advised(spec: &AnySpec, error: &ControlError) -> String {
    match (spec, error.code()) {
        (AnySpec::Tool(tool, _), Some(remit_domain::RefusalCode::NotFound)) => format!(
            "it was not found at its upstream yet; apply the upstream, run `remit upstream sync {}`, then apply this",
            tool.upstream()
        ),
        _ => error.to_string(),
    }
}

/// Policies that do not compile, each problem at the document it is in.
pub(crate) fn placed(
    error: ControlError,
    drafts: &[(Document, Draft)],
) -> Result<Vec<DocumentProblem>, ControlError> {
    let ControlError::Policy(policy) = &error else {
        return Err(error);
    };
    let of_set = |set: &str| {
        drafts
            .iter()
            .map(|(d, _)| d)
            .find(|d| matches!(&d.spec, AnySpec::PolicySet(name, _) if name.as_str() == set))
    };
    let problem = |set: &str, why: String| match of_set(set) {
        Some(document) => document.problem(why),
        None => DocumentProblem {
            line: 0,
            column: 0,
            message: format!("the policies would not compile: {why}"),
        },
    };
    let all = policy.problems();
    if all.is_empty() {
        return Ok(vec![problem("", error.to_string())]);
    }
    // One slip is told once, not again for every action that the policy is checked for.
    let mut told = std::collections::BTreeSet::new();
    let first = all
        .iter()
        .filter(|p| told.insert((&p.set, &p.policy, p.line, p.column)));
    Ok(first.map(|p| problem(&p.set, p.to_string())).collect())
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

/// Names that nobody has, here or in another document.
fn check(book: &OrgBook, documents: &[Document]) -> Vec<DocumentProblem> {
    let named: BTreeSet<_> = documents
        .iter()
        .map(|d| (d.spec.kind(), d.spec.name()))
        .collect();
    let mut problems = Vec::new();
    for document in documents {
        for reference in document.spec.references() {
            let there = named.contains(&(reference.kind, reference.name.clone()))
                || reference.is_known(book);
            if !there {
                problems.push(document.problem(unknown(&reference)));
            }
        }
    }
    problems
}

fn unknown(reference: &Reference) -> String {
    let Reference { field, kind, name } = reference;
    let text = format!(
        "`{field}`: no {} `{name}` is here or in these documents",
        kind.as_str()
    );
    match (kind, name.split_once('/')) {
        (DocumentKind::Tool, Some((upstream, _))) => {
            format!("{text}; `remit upstream sync {upstream}` asks its upstream for its tools")
        }
        _ => text,
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
