//! Policy sets: what an organization adds on top of the guardrails. What does not compile never goes live.

use remit_books::{BooksError, OrgBook, Versioned};
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::policy_set::{POLICY_BYTES_MAX, PolicySet};
use remit_domain::{Noun, RefusalCode, Role, Timestamp, Tool};
use remit_mcp::Sha256Digest;
use remit_policy::{Engine, PolicySource};
use schemars::JsonSchema;
use serde::Serialize;

use crate::control::Before;
use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::PolicySetSpec;
use crate::{Action, Caller, Control, ControlError, ListQuery, Listing, Saved, names, refuse};

/// Most policy sets of an organization.
const SETS_MAX: usize = 100;

/// A policy set, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicySetView {
    /// Its name.
    pub name: Name,
    /// `active` or `disabled`.
    pub state: &'static str,
    /// Its text and whether it counts.
    #[serde(flatten)]
    pub spec: PolicySetSpec,
    /// Who changed it last, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// One thing wrong, or odd, in one policy set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyProblem {
    /// Which set.
    pub set: String,
    /// Line, from 1; 0 where the set as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 as above.
    pub column: usize,
    /// Id of the policy, where it is known.
    pub policy: Option<String>,
    /// What, why, what to do.
    pub message: String,
    /// What was probably meant, where Cedar has an idea.
    pub help: Option<String>,
}

/// What a check of policies came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Validation {
    /// Whether they would go live.
    pub valid: bool,
    /// What is wrong.
    pub problems: Vec<PolicyProblem>,
    /// What is odd, and permitted.
    pub warnings: Vec<PolicyProblem>,
}

impl Control {
    /// Policy sets, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn policy_sets(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<PolicySetView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let page = query.page(
            book.policy_sets()
                .into_iter()
                .map(|s| (s.name.to_string(), s.state(), s)),
            |s| s,
        );
        let mut items = Vec::with_capacity(page.items.len());
        for set in page.items {
            items.push(self.policy_set(caller, &set.name).await?);
        }
        Ok(Listing {
            items,
            next: page.next,
        })
    }

    /// One policy set.
    ///
    /// # Errors
    /// `forbidden`, `not-found`; when the store cannot be read.
    pub async fn policy_set(
        &self,
        caller: &Caller,
        name: &Name,
    ) -> Result<PolicySetView, ControlError> {
        caller.person()?;
        let found = self
            .books
            .get::<PolicySet>(&caller.org, name.as_str())
            .await?;
        let Versioned { noun, revision } = found.ok_or_else(|| not_found("policy set", name))?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(PolicySetView {
            name: noun.name.clone(),
            state: noun.state(),
            spec: PolicySetSpec::of(&noun),
            by: names::principal(&registry, &noun.by),
            at: noun.at,
            revision,
        })
    }

    /// Creates or changes a policy set. It counts for every call from here on, those that wait included.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `Policy` with the place of each problem when the policies do not compile;
    /// `conflict` when it has changed since `seen`; `invalid-request` when it is too large.
    pub async fn put_policy_set(
        &self,
        caller: &Caller,
        name: &Name,
        spec: PolicySetSpec,
        seen: Option<u64>,
    ) -> Result<Saved<PolicySetView>, ControlError> {
        let book = self.book(&caller.org)?;
        let enabled = spec.enabled;
        let draft = self.draft_policy_set(&book, caller, name, spec, seen)?;
        if !enabled {
            // Committing compiles what is in force; a set that is off is held against the schema too: switching it on must not
            // be what finds its mistakes.
            book.would_compile(&draft.change)?;
        }
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.policy_set(caller, name).await?,
        })
    }

    /// The change of a policy set. Whether it compiles is looked at by whoever commits it, once for all that go together.
    pub(crate) fn draft_policy_set(
        &self,
        book: &OrgBook,
        caller: &Caller,
        name: &Name,
        spec: PolicySetSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        check_size(&spec.text)?;
        let there = book.policy_set(name.as_str());
        let before = Before::of(there.as_ref().map(|(revision, _)| *revision), seen)?;
        let there = there.map(|(_, set)| set);
        if there.as_ref().is_some_and(|s| PolicySetSpec::of(s) == spec) {
            return Ok(Draft::nothing());
        }
        if there.is_none() && book.policy_sets().len() >= SETS_MAX {
            return Err(refuse(
                RefusalCode::LimitExceeded,
                format!("an organization has at most {SETS_MAX} policy sets"),
            ));
        }
        let set = PolicySet {
            name: name.clone(),
            text: spec.text,
            enabled: spec.enabled,
            by: caller.principal.clone(),
            at: self.books.now(),
        };
        let event = self
            .event(caller, EventKind::PolicySetChanged)
            .about(name)
            .fact(
                "text_sha256",
                Sha256Digest::of(set.text.as_bytes()).to_string(),
            )
            .fact("enabled", set.enabled)
            .content("text", &set.text)
            .content("before", there.as_ref().map(|s| &s.text));
        Ok(Draft {
            action: there.map_or(Action::Create, |_| Action::Update),
            change: before.put(&set).event(event).restrict(),
            later: Vec::new(),
        })
    }

    /// Checks a policy set against the tools and the other sets as they are, without changing anything.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `invalid-request` when it is too large.
    pub fn validate_policies(
        &self,
        caller: &Caller,
        name: &Name,
        text: &str,
    ) -> Result<Validation, ControlError> {
        caller.person()?;
        check_size(text)?;
        let book = self.book(&caller.org)?;
        match compile(&book, Some((name.as_str(), text))) {
            Ok(engine) => Ok(Validation {
                valid: true,
                problems: Vec::new(),
                warnings: engine.warnings().iter().map(PolicyProblem::from).collect(),
            }),
            Err(ControlError::Policy(error)) => {
                let mut problems: Vec<_> =
                    error.problems().iter().map(PolicyProblem::from).collect();
                if problems.is_empty() {
                    let (set, message) = (name.to_string(), error.to_string());
                    problems.push(PolicyProblem {
                        set,
                        line: 0,
                        column: 0,
                        policy: None,
                        message,
                        help: None,
                    });
                }
                Ok(Validation {
                    valid: false,
                    problems,
                    warnings: Vec::new(),
                })
            }
            Err(other) => Err(other),
        }
    }

    /// The Cedar schema that policies about hops are checked against, as text.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn hop_schema(&self, caller: &Caller) -> Result<String, ControlError> {
        caller.person()?;
        remit_policy::hop_schema_text().map_err(ControlError::Policy)
    }

    /// The Cedar schema that policies about calls are checked against, as text.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `Policy` when no schema can be made of the tools.
    pub fn policy_schema(&self, caller: &Caller) -> Result<String, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        match book.engine() {
            Some(engine) => Ok(engine.schema_text().to_owned()),
            None => Ok(compile(&book, None)?.schema_text().to_owned()),
        }
    }
}

fn check_size(text: &str) -> Result<(), ControlError> {
    if text.len() <= POLICY_BYTES_MAX {
        return Ok(());
    }
    Err(invalid(
        "text",
        format!(
            "has {} bytes; at most {POLICY_BYTES_MAX} are permitted; split it",
            text.len()
        ),
    ))
}

/// The engine as it would be with `with` in force.
fn compile(book: &OrgBook, with: Option<(&str, &str)>) -> Result<Engine, ControlError> {
    let tools: Vec<_> = book.registry().tools.values().cloned().collect();
    let tools: Vec<&Tool> = tools.iter().map(AsRef::as_ref).collect();
    let sets = book.policy_sets();
    let others = sets
        .iter()
        .filter(|s| s.enabled && with.is_none_or(|(name, _)| s.name.as_str() != name));
    let mut sources: Vec<_> = others
        .map(|s| PolicySource {
            name: s.name.as_str(),
            text: &s.text,
        })
        .collect();
    sources.extend(with.map(|(name, text)| PolicySource { name, text }));
    Engine::compile(&tools, &sources).map_err(|e| BooksError::Policy(e).into())
}
