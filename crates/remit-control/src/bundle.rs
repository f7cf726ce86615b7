//! Policy bundles: proposed by one person, approved by another, tried in the shadow, made live, and rolled back.
//!
//! What is live is still the policy sets; a bundle is their content under its hash. Every change of what is live goes
//! through [`Control::deployed`], which keeps the bundle, says who accepted it, and signs that.

mod back;
mod decide;
mod deploy;
mod proof;
mod read;
mod report;
mod shadow;

use std::collections::BTreeMap;

use remit_books::{BooksError, Change, OrgBook};
use remit_domain::bundle::ProposalState;
use remit_domain::bundle::{BUNDLE_BYTES_MAX, Bundle, Proposal, TEST_BYTES_MAX, TEST_FILES_MAX};
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::policy_set::POLICY_BYTES_MAX;
use remit_domain::{ProposalId, Registry, Role, Timestamp, Tool};
use remit_policy::{Engine, PolicySource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::invalid;
use crate::{Caller, Control, ControlError, check, names};
use proof::{PROOF_WAIT, own_claims};

pub use back::RolledBack;
pub(crate) use proof::Proving;
pub use read::{BundleDiff, BundleView, SetDiff, StageView};
pub use report::{ClaimResult, ProposalReport};
pub(crate) use report::{run as run_tests, suites};
pub use shadow::{ShadowFlip, ShadowReport};

/// Policies that are to go live, with their tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProposal {
    /// One line on what it is for.
    pub title: String,
    /// Cedar text by name of the set: everything that is to be live, sets that stay included.
    pub sets: BTreeMap<Name, String>,
    /// Test cases and claims, YAML by file name.
    #[serde(default)]
    pub tests: BTreeMap<String, String>,
    /// Where it comes from: a commit, a ticket.
    #[serde(default)]
    pub source: Option<String>,
}

/// A proposal, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProposalView {
    /// Its id.
    pub id: ProposalId,
    /// `proposed`, `approved`, `rejected` or `enforced`.
    pub state: &'static str,
    /// Which bundle: the SHA-256 of its policies.
    pub bundle: String,
    /// What was live when it was proposed.
    pub base: String,
    /// Whether that is still live: otherwise it has to be proposed again.
    pub is_current: bool,
    /// Whether it decides in the shadow now.
    pub in_shadow: bool,
    /// One line on what it is for.
    pub title: String,
    /// Where it comes from.
    pub source: Option<String>,
    /// Who proposed it, by name.
    pub proposed_by: String,
    /// When.
    pub proposed_at: Timestamp,
    /// Who decided on it, by name.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// What they said.
    pub comment: Option<String>,
    /// What the solver made of its claims: `running` while it is at work, `proved`, `refuted`, `undecided`, or `absent` where
    /// there is none.
    pub proof: &'static str,
    /// What the tests, the prover and the comparison with what is live said.
    #[schemars(with = "ProposalReport")]
    pub report: serde_json::Value,
}

impl Control {
    /// Proposes policies. They are compiled and tested before anybody looks at them. Then the solver looks at what is claimed of
    /// them, which is waited for a moment; until it has ended, nobody approves them.
    ///
    /// # Errors
    /// `forbidden` for anyone but administrators and developers; `Policy` with the place of each problem when they do not
    /// compile; `invalid-request` when a test file cannot be read or a limit is passed.
    pub async fn propose_policies(
        &self,
        caller: &Caller,
        new: NewProposal,
    ) -> Result<ProposalView, ControlError> {
        let person = caller.require(&[Role::Admin, Role::Developer])?.clone();
        sound(&new)?;
        let book = self.book(&caller.org)?;
        let sources = sources(&new.sets);
        let candidate = compile(&book, &sources)?;
        let live = live_sets(&book);
        let own = own_claims(&new.tests)?;
        let report = ProposalReport {
            proving: true,
            ..self.tested(&book, &candidate, &live, &new)?
        };
        let bundle = self
            .books
            .get::<Bundle>(&caller.org, candidate.bundle())
            .await?;
        let now = self.books.now();
        let change = match bundle {
            // The same policies with other tests: the tests are those that were proposed last.
            Some(there) => Change::new().update(
                &Bundle {
                    tests: new.tests.clone(),
                    ..there.noun
                },
                there.revision,
            ),
            None => Change::new().create(&Bundle {
                version: candidate.bundle().to_owned(),
                sets: new.sets.clone(),
                tests: new.tests.clone(),
                created: now,
                accepted: Vec::new(),
            }),
        };
        let proposal = Proposal {
            id: self.books.id(ProposalId::from_uuid),
            bundle: candidate.bundle().to_owned(),
            base: version_of(&live)?,
            title: new.title,
            source: new.source,
            proposed_by: person.id.clone(),
            proposed_at: now,
            state: ProposalState::Proposed,
            decided_by: None,
            decided_at: None,
            comment: None,
            report: serde_json::to_value(&report).map_err(BooksError::from)?,
        };
        let event = self
            .event(caller, EventKind::PolicyProposed)
            .about(&proposal.id)
            .fact("bundle", &proposal.bundle)
            .fact("base", &proposal.base)
            .fact("tests_failed", report.tests_failed)
            .content("title", &proposal.title)
            .content("source", &proposal.source)
            .content("sets", &new.sets)
            .content("tests", &new.tests);
        let change = change.create(&proposal).event(event);
        self.books.commit(&caller.org, change).await?;
        let (control, org, id) = (self.clone(), caller.org.clone(), proposal.id.clone());
        // It goes on when nobody waits for it any more.
        let proving = tokio::spawn(async move {
            if let Err(error) = control.prove_proposal(&org, &id, Some(own)).await {
                tracing::error!(%error, proposal = %id, "a proof broke off; it is taken up again");
            }
        });
        let _ = tokio::time::timeout(PROOF_WAIT, proving).await;
        self.proposal(caller, &proposal.id).await
    }
}

/// Everything within its limits.
fn sound(new: &NewProposal) -> Result<(), ControlError> {
    check::said("title", &new.title)?;
    if let Some(source) = &new.source {
        check::text("source", source)?;
    }
    let total: usize = new.sets.values().map(String::len).sum();
    if total > BUNDLE_BYTES_MAX {
        return Err(invalid(
            "sets",
            format!("have {total} bytes together; at most {BUNDLE_BYTES_MAX} are permitted"),
        ));
    }
    if let Some((name, text)) = new.sets.iter().find(|(_, t)| t.len() > POLICY_BYTES_MAX) {
        return Err(invalid(
            "sets",
            format!(
                "`{name}` has {} bytes; at most {POLICY_BYTES_MAX} are permitted; split it",
                text.len()
            ),
        ));
    }
    let tests: usize = new.tests.values().map(String::len).sum();
    if new.tests.len() > TEST_FILES_MAX || tests > TEST_BYTES_MAX {
        return Err(invalid(
            "tests",
            format!(
                "at most {TEST_FILES_MAX} files of {TEST_BYTES_MAX} bytes together are permitted"
            ),
        ));
    }
    Ok(())
}

/// As an engine takes them.
pub(crate) fn sources(sets: &BTreeMap<Name, String>) -> Vec<PolicySource<'_>> {
    sets.iter()
        .map(|(name, text)| PolicySource {
            name: name.as_str(),
            text,
        })
        .collect()
}

/// What is live.
pub(crate) fn live_sets(book: &OrgBook) -> BTreeMap<Name, String> {
    let sets = book.policy_sets().into_iter().filter(|s| s.enabled);
    sets.map(|s| (s.name, s.text)).collect()
}

/// The version of what is live.
pub(crate) fn version_of(sets: &BTreeMap<Name, String>) -> Result<String, ControlError> {
    remit_policy::bundle_version(&sources(sets)).map_err(ControlError::Policy)
}

/// The engine as it would be with these policies and the tools as they are; exceptions left out.
pub(crate) fn compile(
    book: &OrgBook,
    sources: &[PolicySource<'_>],
) -> Result<Engine, ControlError> {
    let tools: Vec<_> = book.registry().tools.values().cloned().collect();
    let tools: Vec<&Tool> = tools.iter().map(AsRef::as_ref).collect();
    Engine::compile(&tools, sources).map_err(ControlError::Policy)
}

/// A proposal as people see it.
pub(crate) fn view(
    registry: &Registry,
    proposal: &Proposal,
    live: &str,
    in_shadow: bool,
) -> ProposalView {
    ProposalView {
        id: proposal.id.clone(),
        state: proposal.state.as_str(),
        bundle: proposal.bundle.clone(),
        base: proposal.base.clone(),
        is_current: proposal.base == live,
        in_shadow,
        title: proposal.title.clone(),
        source: proposal.source.clone(),
        proposed_by: names::person(registry, &proposal.proposed_by),
        proposed_at: proposal.proposed_at,
        decided_by: proposal
            .decided_by
            .as_ref()
            .map(|p| names::person(registry, p)),
        decided_at: proposal.decided_at,
        comment: proposal.comment.clone(),
        proof: report_of(proposal).map_or("undecided", |r| r.proof()),
        report: proposal.report.clone(),
    }
}

/// What was found out about a proposal; none where it cannot be read any more.
pub(crate) fn report_of(proposal: &Proposal) -> Option<ProposalReport> {
    serde_json::from_value(proposal.report.clone()).ok()
}

#[cfg(test)]
mod tests;
