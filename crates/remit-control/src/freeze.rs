//! Change freezes and time windows: times that an organization's policies may look at.

use remit_domain::event::EventKind;
use remit_domain::freeze::{FREEZES_MAX, Freeze, SPANS_MAX, Time};
use remit_domain::name::Name;
use remit_domain::{Kind, Noun, RefusalCode, Registry, Role, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::FreezeSpec;
use crate::{
    Caller, Control, ControlError, ListQuery, Listing, Saved, check, names, refuse, resolve,
};

/// A freeze or window, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FreezeView {
    /// Its name.
    pub name: Name,
    /// `active` or `disabled`.
    pub state: &'static str,
    /// Whether it holds now.
    pub holds_now: bool,
    /// What it says; null when a system it names is not known any more.
    #[serde(flatten)]
    pub spec: Option<FreezeSpec>,
    /// Who changed it last, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Freezes and windows, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn freezes(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<FreezeView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry.freezes.values();
        let all = all.map(|f| (f.key(), Noun::state(&**f), f));
        Ok(query.page(all, |f| view(&registry, f, self.books.now())))
    }

    /// One freeze or window.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn freeze(&self, caller: &Caller, name: &Name) -> Result<FreezeView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let found = registry.freezes.get(name);
        let found = found.ok_or_else(|| not_found("freeze", name))?;
        Ok(view(&registry, found, self.books.now()))
    }

    /// Creates or changes a freeze or window. It counts for every call from here on, those that wait included.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`; `conflict`; `limit-exceeded` when there are too many.
    pub async fn put_freeze(
        &self,
        caller: &Caller,
        name: &Name,
        spec: FreezeSpec,
        seen: Option<u64>,
    ) -> Result<Saved<FreezeView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_freeze(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.freeze(caller, name)?,
        })
    }

    pub(crate) fn draft_freeze(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: &FreezeSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        check_spec(spec)?;
        let there = registry.freezes.get(name);
        if there.is_none() && registry.freezes.len() >= FREEZES_MAX {
            let text = format!("an organization has at most {FREEZES_MAX} freezes and windows");
            return Err(refuse(RefusalCode::LimitExceeded, text));
        }
        let same = there.filter(|t| FreezeSpec::of(registry, t).as_ref() == Some(spec));
        let freeze = Freeze {
            time: Time {
                name: name.clone(),
                means: spec.means,
                spans: spec.spans.clone(),
            },
            environments: spec.environments.clone(),
            systems: resolve::systems(registry, "systems", &spec.systems)?,
            reason: spec.reason.clone(),
            enabled: spec.enabled,
            by: same.map_or_else(|| caller.principal.clone(), |s| s.by.clone()),
            at: same.map_or_else(|| self.books.now(), |s| s.at),
        };
        let draft = Draft::over(registry, there.map(AsRef::as_ref), &freeze, seen, |_| {
            self.event(caller, EventKind::FreezeChanged)
                .fact("means", freeze.time.means)
                .fact("enabled", freeze.enabled)
                .fact("systems", &freeze.systems)
                .fact("environments", &freeze.environments)
                .content("freeze", &freeze)
                .content("before", there)
        });
        Ok(draft?.restrict_if(true))
    }
}

/// What stands against a freeze by itself.
fn check_spec(spec: &FreezeSpec) -> Result<(), ControlError> {
    check::said("reason", &spec.reason)?;
    check::list("systems", spec.systems.len())?;
    if !(1..=SPANS_MAX).contains(&spec.spans.len()) {
        let why = format!(
            "has {} members; 1 to {SPANS_MAX} are permitted",
            spec.spans.len()
        );
        return Err(invalid("spans", why));
    }
    let wrong = spec.spans.iter().find_map(|span| span.check().err());
    wrong.map_or(Ok(()), |why| {
        Err(refuse(
            RefusalCode::InvalidRequest,
            format!("`spans`: {why}"),
        ))
    })
}

fn view(registry: &Registry, freeze: &Freeze, now: Timestamp) -> FreezeView {
    FreezeView {
        name: freeze.time.name.clone(),
        state: Noun::state(freeze),
        holds_now: freeze.enabled && freeze.time.holds(now),
        spec: FreezeSpec::of(registry, freeze),
        by: names::principal(registry, &freeze.by),
        at: freeze.at,
        revision: registry.revision(Kind::Freeze, &freeze.key()).unwrap_or(0),
    }
}
