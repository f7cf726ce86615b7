//! Every change of what is live: the bundle is kept, who accepted it is signed, and loosening takes two.

use std::collections::BTreeMap;

use remit_books::Change;
use remit_domain::bundle::{ACCEPTANCES_MAX, Acceptance, Accepted, Bundle, Deployed, Stage};
use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::name::Name;
use remit_domain::policy_set::PolicySet;
use remit_domain::{OrgId, PersonId, ProposalId, RefusalCode};

use super::{live_sets, sources, version_of};
use crate::{Caller, Control, ControlError, refuse};

/// Who accepts a bundle, and how.
pub(super) struct Accepting {
    pub(super) how: Acceptance,
    /// Whether one person alone made live what may allow more: a finding says so.
    pub(super) alone: bool,
    pub(super) proposed_by: PersonId,
    pub(super) approved_by: PersonId,
    pub(super) proposal: Option<ProposalId>,
}

impl Control {
    /// A change of policy sets with everything that belongs to it: nothing for a change of anything else.
    ///
    /// One administrator may add policies that forbid or ask, since nothing is allowed by it that was not. Taking one away,
    /// or changing one, takes a proposal and another person, unless the organization lets one person do both.
    ///
    /// # Errors
    /// `forbidden`, saying how to propose it; `Policy` when they do not parse.
    pub(crate) async fn deployed(
        &self,
        caller: &Caller,
        change: Change,
    ) -> Result<Change, ControlError> {
        let written = change.policy_sets()?;
        if written.is_empty() {
            return Ok(change);
        }
        let before = live_sets(&*self.book(&caller.org)?);
        let after = after(&before, written);
        if before == after {
            return Ok(change);
        }
        let person = caller.person()?.id.clone();
        let tightens = remit_policy::only_tightens(&sources(&before), &sources(&after))
            .map_err(ControlError::Policy)?;
        if !tightens && self.is_dual(&caller.org)? {
            let text = "this takes policies away or changes what they say, which takes two people here: propose it (`remit policy propose DIR`, or `remit policy apply DIR`) and let somebody else approve it";
            return Err(refuse(RefusalCode::Forbidden, text));
        }
        let accepting = Accepting {
            how: if tightens {
                Acceptance::Tightened
            } else {
                Acceptance::Alone
            },
            alone: !tightens,
            proposed_by: person.clone(),
            approved_by: person,
            proposal: None,
        };
        let more = self.accepted(caller, after, accepting, EventKind::PolicyEnforced);
        Ok(change.and(more.await?))
    }

    /// The change that keeps a bundle, signs who accepted it and puts it on the stage.
    pub(super) async fn accepted(
        &self,
        caller: &Caller,
        sets: BTreeMap<Name, String>,
        accepting: Accepting,
        kind: EventKind,
    ) -> Result<Change, ControlError> {
        let version = version_of(&sets)?;
        let there = self.books.get::<Bundle>(&caller.org, &version).await?;
        let revision = there.as_ref().map(|t| t.revision);
        let now = self.books.now();
        let replaces = version_of(&live_sets(&*self.book(&caller.org)?))?;
        let mut bundle = there.map_or_else(
            || Bundle {
                version: version.clone(),
                sets,
                tests: BTreeMap::new(),
                created: now,
                accepted: Vec::new(),
            },
            |t| t.noun,
        );
        let mut accepted = Accepted {
            how: accepting.how,
            proposed_by: accepting.proposed_by,
            approved_by: accepting.approved_by,
            proposal: accepting.proposal,
            replaces: Some(replaces),
            at: now,
            note: String::new(),
        };
        let text = statement(&caller.org, &bundle, &accepted);
        accepted.note = self.books.sign_note(&caller.org, &text).await?;
        let event = self
            .event(caller, kind)
            .about(&version)
            .fact("bundle", &version)
            .fact("how", accepted.how.as_str())
            .fact("proposed_by", &accepted.proposed_by)
            .fact("approved_by", &accepted.approved_by)
            .fact("replaces", &accepted.replaces)
            .fact("proposal", &accepted.proposal)
            .content("note", &accepted.note);
        let alone = accepting.alone;
        bundle.accepted.push(accepted);
        let over = bundle.accepted.len().saturating_sub(ACCEPTANCES_MAX);
        bundle.accepted.drain(..over);
        let change = match revision {
            Some(revision) => Change::new().update(&bundle, revision),
            None => Change::new().create(&bundle),
        };
        let change = change.event(event).and(self.staged(caller, |stage| {
            stage.deploy(Deployed {
                bundle: version.clone(),
                at: now,
                by: caller.principal.clone(),
            })
        })?);
        if !alone {
            return Ok(change);
        }
        let text = "policies were changed by one person alone; somebody else should look at them"
            .to_owned();
        let finding = self.opening(caller, FindingKind::SelfApprovedPolicy, &version, text);
        Ok(change.and(finding.await?))
    }

    /// The change that puts the stage in another state.
    pub(super) fn staged(
        &self,
        caller: &Caller,
        next: impl FnOnce(Stage) -> Stage,
    ) -> Result<Change, ControlError> {
        let book = self.book(&caller.org)?;
        Ok(match book.stage() {
            Some((revision, stage)) => Change::new().update(&next(stage), revision),
            None => Change::new().create(&next(Stage::default())),
        })
    }

    /// The policy sets as records, so that exactly `sets` are live.
    pub(super) fn sets_change(
        &self,
        caller: &Caller,
        sets: &BTreeMap<Name, String>,
    ) -> Result<Change, ControlError> {
        let book = self.book(&caller.org)?;
        let now = self.books.now();
        let mut change = Change::new();
        let names: std::collections::BTreeSet<Name> = sets
            .keys()
            .cloned()
            .chain(book.policy_sets().into_iter().map(|s| s.name))
            .collect();
        for name in names {
            let there = book.policy_set(name.as_str());
            let old = there.as_ref().map(|(_, set)| set);
            let (text, enabled) = match (sets.get(&name), old) {
                (Some(text), _) => (text.clone(), true),
                (None, Some(old)) => (old.text.clone(), false),
                (None, None) => continue,
            };
            if old.is_some_and(|o| o.text == text && o.enabled == enabled) {
                continue;
            }
            let set = PolicySet {
                name,
                text,
                enabled,
                by: caller.principal.clone(),
                at: now,
            };
            change = match there {
                Some((revision, _)) => change.update(&set, revision),
                None => change.create(&set),
            };
        }
        Ok(change.restrict())
    }
}

/// What is live after these sets were written.
fn after(before: &BTreeMap<Name, String>, written: Vec<PolicySet>) -> BTreeMap<Name, String> {
    let mut after = before.clone();
    for set in written {
        if set.enabled {
            after.insert(set.name, set.text);
        } else {
            after.remove(&set.name);
        }
    }
    after
}

/// What is signed: one line a fact.
///
/// ```text
/// remit policy bundle v1
/// organization org_…
/// bundle 3f5a…
/// accepted reviewed
/// proposed-by per_…
/// approved-by per_…
/// proposal ppl_…
/// replaces 91c0…
/// at 2026-11-22T08:00:00Z
/// ```
pub(super) fn statement(org: &OrgId, bundle: &Bundle, accepted: &Accepted) -> String {
    let proposal = accepted
        .proposal
        .as_ref()
        .map_or_else(|| "none".to_owned(), ToString::to_string);
    let replaces = accepted
        .replaces
        .as_ref()
        .map_or_else(String::new, |bundle| format!("replaces {bundle}\n"));
    format!(
        "remit policy bundle v1\norganization {org}\nbundle {}\naccepted {}\nproposed-by {}\napproved-by {}\nproposal {proposal}\n{replaces}at {}\n",
        bundle.version,
        accepted.how.as_str(),
        accepted.proposed_by,
        accepted.approved_by,
        accepted.at,
    )
}
