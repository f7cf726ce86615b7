//! What the solver says of policies: of a proposal beside everything else, since it may take minutes.
//!
//! A proposal is recorded before it is proved, and nobody approves it until it is. The work is taken up again where the node that
//! began it has gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use remit_books::Change;
use remit_domain::bundle::{Bundle, Proposal, ProposalState};
use remit_domain::event::{Event, EventKind};
use remit_domain::{OrgId, Principal, ProposalId};
use remit_policy::Engine;
use remit_policy::prove::{claims, is_of_one_tool};
use remit_policy::test_case::Never;
use remit_ports::prover::{
    Answer, Asked, Claim, Counterexample, PolicyText, Proof, ProverError, Question,
};
use remit_ports::store::Filter;

use super::report::suites;
use super::{ClaimResult, ProposalReport, compile, live_sets, sources, version_of};
use crate::{Control, ControlError};

/// Longest that the claims of a proposal are looked at, all together. What is not proved by then is undecided.
const PROVE: Duration = Duration::from_secs(300);
/// The same for somebody who waits for the answer.
pub(super) const PROVE_NOW: Duration = Duration::from_secs(45);
/// How long whoever proposes waits for the solver: most proofs are done by then.
pub(super) const PROOF_WAIT: Duration = Duration::from_secs(20);
/// Seconds after which an unfinished proof is taken up again: longer than any takes.
const TAKEN_UP_SECS: i64 = 360;

/// Proposals that this node is proving, one after the other in each organization: the time of each counts from its turn, so that
/// however many are proposed, none of them is undecided for want of one, and no organization waits for another's.
#[derive(Debug, Default)]
pub(crate) struct Proving {
    begun: Mutex<BTreeSet<ProposalId>>,
    turns: Mutex<BTreeMap<OrgId, Arc<tokio::sync::Mutex<()>>>>,
}

/// One of them, until it is dropped.
struct Begun<'a>(&'a Proving, ProposalId);

impl Proving {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeSet<ProposalId>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the proposals of an organization take turns.
    fn turns(&self, org: &OrgId) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(org.clone()).or_default())
    }

    /// None where it is begun already.
    fn begin(&self, id: &ProposalId) -> Option<Begun<'_>> {
        let new = self.all().insert(id.clone());
        new.then(|| Begun(self, id.clone()))
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.all().remove(&self.1);
    }
}

impl Control {
    /// Proves what is claimed of a proposal, and records what came of it; nothing where somebody has decided on it meanwhile. Where
    /// other policies are live than it was proposed over, nothing of it is proved, and it is not approved either.
    ///
    /// - `own`: the claims that came with it; those of its bundle where they are not at hand any more.
    pub(super) async fn prove_proposal(
        &self,
        org: &OrgId,
        id: &ProposalId,
        own: Option<Vec<Never>>,
    ) -> Result<(), ControlError> {
        let Some(_begun) = self.proving.begin(id) else {
            return Ok(());
        };
        let book = self.book(org)?;
        let turns = self.proving.turns(org);
        let _turn = turns.lock().await;
        let found = self.books.get::<Proposal>(org, id.as_str()).await?;
        let Some((proposal, mut report)) = found.and_then(|p| unproved(p.noun)) else {
            return Ok(());
        };
        let live = live_sets(&book);
        let bundle = self.books.get::<Bundle>(org, &proposal.bundle).await?;
        let Some(bundle) = bundle.filter(|_| version_of(&live).is_ok_and(|v| v == proposal.base))
        else {
            report.solver = self.prover.version().await.ok();
            outdated(&mut report);
            return self.proved(org, id, &report).await;
        };
        let candidate = compile(&book, &sources(&bundle.noun.sets))?;
        let now = compile(&book, &sources(&live))?;
        let own = match own {
            Some(own) => own,
            None => own_claims(&bundle.noun.tests)?,
        };
        self.solve(&candidate, &now, &own, PROVE, &mut report).await;
        self.proved(org, id, &report).await
    }

    /// Records what came of a proof, where it is still waited for.
    async fn proved(
        &self,
        org: &OrgId,
        id: &ProposalId,
        report: &ProposalReport,
    ) -> Result<(), ControlError> {
        let said = serde_json::to_value(report).map_err(remit_books::BooksError::from)?;
        let said = &said;
        let plan = || async move {
            let found = self.books.get::<Proposal>(org, id.as_str()).await?;
            let waiting = found.and_then(|p| Some((p.revision, unproved(p.noun)?.0)));
            let Some((revision, proposal)) = waiting else {
                return Ok(((), Change::new()));
            };
            let event = Event::new(EventKind::PolicyProved, self.books.now(), Principal::Remit)
                .about(id)
                .fact("bundle", &proposal.bundle)
                .fact("proof", report.proof())
                .fact("claims_failed", report.claims_failed())
                .fact("solver", &report.solver);
            let proposal = Proposal {
                report: said.clone(),
                ..proposal
            };
            let change = Change::new().update(&proposal, revision).event(event);
            Ok(((), change))
        };
        self.settle(org, plan).await.map(drop)
    }

    /// Takes up proofs that somebody began and did not end: their node has gone. Called now and then.
    ///
    /// # Errors
    /// When the books cannot be read.
    pub async fn take_up_proofs(&self, org: &OrgId) -> Result<(), ControlError> {
        let filter = Filter {
            state: Some(ProposalState::Proposed.as_str().to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let (found, _) = self.books.list::<Proposal>(org, &filter).await?;
        let now = self.books.now();
        for proposal in found {
            let due = now >= proposal.noun.proposed_at.plus_secs(TAKEN_UP_SECS);
            let Some((proposal, _)) = unproved(proposal.noun).filter(|_| due) else {
                continue;
            };
            if let Err(error) = self.prove_proposal(org, &proposal.id, None).await {
                tracing::error!(%error, proposal = %proposal.id, "a proof broke off again");
            }
        }
        Ok(())
    }

    /// Asks the solver about everything that is claimed of policies; `report` then says what it answered.
    pub(super) async fn solve(
        &self,
        candidate: &Engine,
        live: &Engine,
        own: &[Never],
        within: Duration,
        report: &mut ProposalReport,
    ) {
        report.proving = false;
        report.solver = self.prover.version().await.ok();
        let shipped = claims();
        let never: Vec<&Never> = shipped.iter().chain(own).collect();
        let representatives = candidate.representatives();
        let mut asked: Vec<Asked> = never
            .iter()
            .map(|claim| Asked {
                actions: match is_of_one_tool(&claim.when) {
                    true => Vec::new(),
                    false => representatives.clone(),
                },
                claim: Claim::Never {
                    condition: claim.when.clone(),
                },
            })
            .collect();
        asked.push(Asked {
            actions: candidate.representatives_beside(live),
            claim: Claim::Within {
                others: texts(live),
            },
        });
        let question = Question {
            schema: candidate.schema_text().to_owned(),
            policies: texts(candidate),
            asked,
            within,
        };
        let mut answers = Answers(self.prover.prove(question).await.map(Vec::into_iter));
        report.claims = never
            .into_iter()
            .map(|claim| told(claim.id.as_str(), &claim.text, answers.next()))
            .collect();
        let text = "nothing is allowed that is not allowed now";
        report.within_live = Some(told("within-live", text, answers.next()));
    }
}

/// Says of every claim that it is not proved, since what was proposed is no change of what is live by now.
fn outdated(report: &mut ProposalReport) {
    let why = "other policies are live than it was proposed over; propose it again";
    let unproved = |claim: &Never| {
        let error = ProverError::Failed(why.to_owned());
        told(claim.id.as_str(), &claim.text, Err(error))
    };
    report.proving = false;
    report.claims = claims().iter().map(unproved).collect();
}

/// A proposal that waits for its proof, and what is known of it.
fn unproved(proposal: Proposal) -> Option<(Proposal, ProposalReport)> {
    let report: ProposalReport = serde_json::from_value(proposal.report.clone()).ok()?;
    let waits = proposal.state == ProposalState::Proposed && report.proving;
    waits.then_some((proposal, report))
}

/// The claims in test files.
pub(super) fn own_claims(tests: &BTreeMap<String, String>) -> Result<Vec<Never>, ControlError> {
    let suites = suites(tests)?;
    Ok(suites.into_iter().flat_map(|s| s.never).collect())
}

/// The solver's answers, one after the other. What is not answered is not proved.
struct Answers(Result<std::vec::IntoIter<Answer>, ProverError>);

impl Answers {
    fn next(&mut self) -> Answer {
        match &mut self.0 {
            Ok(answers) => answers
                .next()
                .unwrap_or_else(|| Err(ProverError::Failed("it said nothing of this".to_owned()))),
            Err(error) => Err(error.clone()),
        }
    }
}

fn texts(engine: &Engine) -> Vec<PolicyText> {
    let texts = engine.texts().into_iter();
    texts.map(|(id, text)| PolicyText { id, text }).collect()
}

fn told(id: &str, text: &str, answer: Result<Proof, ProverError>) -> ClaimResult {
    let (result, example) = match answer {
        Ok(Proof::Holds) => ("holds", Vec::new()),
        Ok(Proof::Fails(example)) => ("fails", lines(&example)),
        Ok(Proof::Undecided(why)) => ("undecided", vec![why]),
        Err(error) => ("unproved", vec![error.to_string()]),
    };
    ClaimResult {
        id: id.to_owned(),
        text: text.to_owned(),
        result: result.to_owned(),
        example,
    }
}

fn lines(example: &Counterexample) -> Vec<String> {
    let mut lines = vec![format!("a call of {}", example.action)];
    lines.extend(example.facts.iter().cloned());
    lines.push(format!("is allowed by {}", example.allowed_by.join(", ")));
    if !example.denied_by.is_empty() {
        lines.push(format!(
            "and denied now by {}",
            example.denied_by.join(", ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests;
