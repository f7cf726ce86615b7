//! Reading bundles and proposals: what is there, what is live, what differs.

use std::collections::BTreeMap;

use remit_books::Versioned;
use remit_domain::bundle::{Accepted, Bundle, Proposal, Stage};
use remit_domain::name::Name;
use remit_domain::{ProposalId, Timestamp};
use remit_policy::PolicyNote;
use remit_ports::store::Filter;
use schemars::JsonSchema;
use serde::Serialize;

use super::{ProposalView, compile, live_sets, sources, version_of, view};
use crate::error::not_found;
use crate::{Caller, Control, ControlError, ListQuery, Listing, names, newest};

/// Most lines of a difference that are told.
const DIFF_LINES_MAX: usize = 2_000;

/// A bundle, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BundleView {
    /// SHA-256 of its policies.
    pub version: String,
    /// `live`, `shadow`, `accepted` or `proposed`.
    pub state: &'static str,
    /// Cedar text by name of the set.
    pub sets: BTreeMap<Name, String>,
    /// Test cases and claims, YAML by file name.
    pub tests: BTreeMap<String, String>,
    /// When it was first seen.
    pub created: Timestamp,
    /// Who accepted it, oldest first.
    pub accepted: Vec<AcceptedView>,
}

/// Who accepted a bundle.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AcceptedView {
    /// `reviewed`, `alone`, `tightened` or `rolled_back`.
    pub how: &'static str,
    /// Who proposed it, by name.
    pub proposed_by: String,
    /// Who approved it, by name.
    pub approved_by: String,
    /// The bundle that was live until then; none where that was not written down.
    pub replaces: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The signed note that says so.
    pub note: String,
    /// Whether the organization's key signed it, and it says what is here.
    pub signature_is_valid: bool,
}

/// What is live and what decides in the shadow.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StageView {
    /// The live bundle.
    pub live: String,
    /// Since when; none for what was live before bundles were kept.
    pub since: Option<Timestamp>,
    /// What a rollback goes back to.
    pub before: Option<String>,
    /// The bundle in the shadow.
    pub shadow: Option<String>,
    /// By which proposal.
    pub shadow_proposal: Option<ProposalId>,
    /// Since when.
    pub shadow_since: Option<Timestamp>,
}

/// What differs in one set.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SetDiff {
    /// Which set.
    pub set: Name,
    /// Ids of policies that are new.
    pub added: Vec<String>,
    /// Ids of policies that are gone.
    pub removed: Vec<String>,
    /// Ids of policies that say something else.
    pub changed: Vec<String>,
    /// The difference, as `diff -u` tells it.
    pub text: String,
}

/// What differs between two bundles.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BundleDiff {
    /// The one.
    pub from: String,
    /// The other.
    pub to: String,
    /// Whether it only adds policies that forbid or ask.
    pub only_tightens: bool,
    /// Sets that differ.
    pub sets: Vec<SetDiff>,
}

impl Control {
    /// Proposals, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn proposals(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<ProposalView>, ControlError> {
        caller.person()?;
        let (found, next) = newest::page(
            &self.books,
            &caller.org,
            query,
            None,
            |id| ProposalId::from_uuid(id).to_string(),
            |one: &Proposal| one.proposed_at,
        )
        .await?;
        let book = self.book(&caller.org)?;
        let live = version_of(&live_sets(&book))?;
        let shadow = book.stage().and_then(|(_, s)| s.shadow).map(|s| s.proposal);
        let registry = book.registry();
        let items = found
            .iter()
            .map(|p| {
                view(
                    &registry,
                    &p.noun,
                    &live,
                    shadow.as_ref() == Some(&p.noun.id),
                )
            })
            .collect();
        Ok(Listing { items, next })
    }

    /// One proposal.
    ///
    /// # Errors
    /// `forbidden`, `not-found`; when the store cannot be read.
    pub async fn proposal(
        &self,
        caller: &Caller,
        id: &ProposalId,
    ) -> Result<ProposalView, ControlError> {
        caller.person()?;
        let found = self.proposed(caller, id).await?;
        let book = self.book(&caller.org)?;
        let live = version_of(&live_sets(&book))?;
        let shadow = book.stage().and_then(|(_, s)| s.shadow).map(|s| s.proposal);
        let in_shadow = shadow.as_ref() == Some(id);
        Ok(view(&book.registry(), &found.noun, &live, in_shadow))
    }

    pub(super) async fn proposed(
        &self,
        caller: &Caller,
        id: &ProposalId,
    ) -> Result<Versioned<Proposal>, ControlError> {
        let found = self.books.get::<Proposal>(&caller.org, id.as_str()).await?;
        found.ok_or_else(|| not_found("proposal", id))
    }

    pub(crate) async fn bundle_of(
        &self,
        caller: &Caller,
        version: &str,
    ) -> Result<Versioned<Bundle>, ControlError> {
        let found = self.books.get::<Bundle>(&caller.org, version).await?;
        found.ok_or_else(|| not_found("policy bundle", version))
    }

    /// The bundle of that version; `live` is the one that is live.
    ///
    /// # Errors
    /// `forbidden`, `not-found`; when the store cannot be read.
    pub async fn policy_bundle(
        &self,
        caller: &Caller,
        version: &str,
    ) -> Result<BundleView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let live = version_of(&live_sets(&book))?;
        let version = if version == "live" { &live } else { version };
        let bundle = match self.books.get::<Bundle>(&caller.org, version).await? {
            Some(found) => found.noun,
            // Live since before bundles were kept.
            None if version == live => Bundle {
                version: live.clone(),
                sets: live_sets(&book),
                tests: BTreeMap::new(),
                created: self.books.now(),
                accepted: Vec::new(),
            },
            None => return Err(not_found("policy bundle", version)),
        };
        let shadow = book.stage().and_then(|(_, s)| s.shadow).map(|s| s.bundle);
        let mut accepted = Vec::with_capacity(bundle.accepted.len());
        for one in &bundle.accepted {
            let valid = self.is_signed(caller, &bundle, one).await?;
            let registry = book.registry();
            accepted.push(AcceptedView {
                how: one.how.as_str(),
                proposed_by: names::person(&registry, &one.proposed_by),
                approved_by: names::person(&registry, &one.approved_by),
                replaces: one.replaces.clone(),
                at: one.at,
                note: one.note.clone(),
                signature_is_valid: valid,
            });
        }
        let state = match () {
            () if bundle.version == live => "live",
            () if shadow.as_ref() == Some(&bundle.version) => "shadow",
            () if !bundle.accepted.is_empty() => "accepted",
            () => "proposed",
        };
        Ok(BundleView {
            version: bundle.version,
            state,
            sets: bundle.sets,
            tests: bundle.tests,
            created: bundle.created,
            accepted,
        })
    }

    /// Whether the organization's key signed that a bundle was accepted so.
    pub(super) async fn is_signed(
        &self,
        caller: &Caller,
        bundle: &Bundle,
        accepted: &Accepted,
    ) -> Result<bool, ControlError> {
        let said = self.books.open_note(&caller.org, &accepted.note).await?;
        let honest = version_of(&bundle.sets)? == bundle.version;
        Ok(honest
            && said.as_deref() == Some(&super::deploy::statement(&caller.org, bundle, accepted)))
    }

    /// Bundles that were kept, newest version first by when they were seen.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn policy_bundles(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<BundleView>, ControlError> {
        caller.person()?;
        let filter = Filter {
            state: query.state.clone(),
            after: query.after.clone(),
            limit: u32::try_from(query.limit()).unwrap_or(1_000),
            ..Filter::default()
        };
        let (found, next) = self.books.list::<Bundle>(&caller.org, &filter).await?;
        let mut items = Vec::with_capacity(found.len());
        for bundle in &found {
            items.push(self.policy_bundle(caller, &bundle.noun.version).await?);
        }
        items.sort_by_key(|b| std::cmp::Reverse(b.created));
        Ok(Listing { items, next })
    }

    /// What is live and what decides in the shadow.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn policy_stage(&self, caller: &Caller) -> Result<StageView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let live = version_of(&live_sets(&book))?;
        let stage = book.stage().map(|(_, s)| s).unwrap_or_default();
        let now = stage.live.last().filter(|d| d.bundle == live);
        let Stage { shadow, .. } = &stage;
        Ok(StageView {
            since: now.map(|d| d.at),
            before: stage.before().map(|d| d.bundle.clone()),
            shadow: shadow.as_ref().map(|s| s.bundle.clone()),
            shadow_proposal: shadow.as_ref().map(|s| s.proposal.clone()),
            shadow_since: shadow.as_ref().map(|s| s.since),
            live,
        })
    }

    /// What differs between two bundles; `live` is the one that is live.
    ///
    /// # Errors
    /// As [`Control::policy_bundle`]; `Policy` when one of them does not compile any more.
    pub async fn policy_diff(
        &self,
        caller: &Caller,
        from: &str,
        to: &str,
    ) -> Result<BundleDiff, ControlError> {
        let (from, to) = (
            self.policy_bundle(caller, from).await?,
            self.policy_bundle(caller, to).await?,
        );
        let book = self.book(&caller.org)?;
        let (old, new) = (
            compile(&book, &sources(&from.sets))?.notes(),
            compile(&book, &sources(&to.sets))?.notes(),
        );
        let only_tightens = remit_policy::only_tightens(&sources(&from.sets), &sources(&to.sets))
            .map_err(ControlError::Policy)?;
        let names: std::collections::BTreeSet<&Name> =
            from.sets.keys().chain(to.sets.keys()).collect();
        let sets = names
            .into_iter()
            .filter(|n| from.sets.get(*n) != to.sets.get(*n))
            .map(|n| set_diff(n, &from.sets, &to.sets, &old, &new))
            .collect();
        Ok(BundleDiff {
            from: from.version,
            to: to.version,
            only_tightens,
            sets,
        })
    }
}

fn set_diff(
    name: &Name,
    from: &BTreeMap<Name, String>,
    to: &BTreeMap<Name, String>,
    old: &[PolicyNote],
    new: &[PolicyNote],
) -> SetDiff {
    let of = |notes: &[PolicyNote]| -> BTreeMap<String, String> {
        let mine = notes.iter().filter(|n| n.set == name.as_str());
        mine.map(|n| (n.id.clone(), n.source.clone())).collect()
    };
    let (old, new) = (of(old), of(new));
    let missing = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
        a.keys()
            .filter(|id| !b.contains_key(*id))
            .cloned()
            .collect()
    };
    let empty = String::new();
    let (before, after) = (
        from.get(name).unwrap_or(&empty),
        to.get(name).unwrap_or(&empty),
    );
    let diff = similar::TextDiff::from_lines(before.as_str(), after.as_str());
    let unified = diff.unified_diff().header("a", "b").to_string();
    SetDiff {
        set: name.clone(),
        added: missing(&new, &old),
        removed: missing(&old, &new),
        changed: old
            .iter()
            .filter(|(id, text)| new.get(*id).is_some_and(|t| t != *text))
            .map(|(id, _)| id.clone())
            .collect(),
        text: unified
            .lines()
            .take(DIFF_LINES_MAX)
            .map(|l| format!("{l}\n"))
            .collect(),
    }
}
