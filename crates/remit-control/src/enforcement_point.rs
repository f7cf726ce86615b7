//! Enforcement points: which gateways may ask for decisions, and about whom.

use std::collections::BTreeSet;

use remit_domain::enforcement_point::{
    AGENTS_MAX, Assigned, EnforcementPoint, KEYS_MAX, POINTS_MAX, PointKey, ROUTES_MAX,
};
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::{
    AgentId, EnforcementPointId, Kind, Noun, RefusalCode, Registry, Role, Timestamp,
};
use remit_token::PublicJwk;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::{EnforcementPointSpec, WorkflowRef};
use crate::{
    Caller, Control, ControlError, ListQuery, Listing, Saved, check, names, refuse, resolve,
};

/// An enforcement point, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EnforcementPointView {
    /// Its id, which is its OAuth client id.
    pub id: EnforcementPointId,
    /// Its name.
    pub name: Name,
    /// `active` or `disabled`.
    pub state: &'static str,
    /// What it says; null when an agent it names is not known any more.
    #[serde(flatten)]
    pub spec: Option<EnforcementPointSpec>,
    /// Thumbprints (RFC 7638) of its keys.
    pub thumbprints: Vec<String>,
    /// Who changed it last, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Enforcement points, by id.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn enforcement_points(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<EnforcementPointView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry.enforcement_points.values();
        let all = all.map(|p| (p.key(), Noun::state(&**p), p));
        Ok(query.page(all, |p| view(&registry, p)))
    }

    /// One enforcement point.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn enforcement_point(
        &self,
        caller: &Caller,
        name: &Name,
    ) -> Result<EnforcementPointView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let found = registry.enforcement_point_named(name.as_str());
        let found = found.ok_or_else(|| not_found("enforcement point", name))?;
        Ok(view(&registry, found))
    }

    /// Registers or changes an enforcement point. What it may no longer do ends at once, its tokens included.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`; `conflict` for a key that an agent or another point holds or ever
    /// held, or that was removed from this one; `limit-exceeded` when there are too many.
    pub async fn put_enforcement_point(
        &self,
        caller: &Caller,
        name: &Name,
        spec: EnforcementPointSpec,
        seen: Option<u64>,
    ) -> Result<Saved<EnforcementPointView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_enforcement_point(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.enforcement_point(caller, name)?,
        })
    }

    /// Takes an enforcement point out of use at once: it gets no decision and no token from here on.
    ///
    /// # Errors
    /// `forbidden` for anyone but a responder or an administrator; `not-found`; `conflict` when it is out of use.
    pub async fn disable_enforcement_point(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<EnforcementPointView, ControlError> {
        caller.require(&[Role::Responder, Role::Admin])?;
        check::said("reason", reason)?;
        let book = self.book(&caller.org)?;
        let draft = {
            let registry = book.registry();
            let there = registry.enforcement_point_named(name.as_str());
            let there = there.ok_or_else(|| not_found("enforcement point", name))?;
            if !there.enabled {
                let text = format!("enforcement point `{name}` is out of use already");
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let off = EnforcementPoint {
                enabled: false,
                reason: reason.to_owned(),
                by: caller.principal.clone(),
                at: self.books.now(),
                ..(**there).clone()
            };
            let event = self
                .event(caller, EventKind::EnforcementPointDisabled)
                .about(&off.id)
                .content("reason", reason);
            Draft::over(&registry, Some(&**there), &off, None, |_| event)?.restrict_if(true)
        };
        self.save(caller, draft).await?;
        self.enforcement_point(caller, name)
    }

    pub(crate) fn draft_enforcement_point(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: &EnforcementPointSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        check_spec(registry, spec)?;
        let there = registry.enforcement_point_named(name.as_str());
        if there.is_none() && registry.enforcement_points.len() >= POINTS_MAX {
            let text = format!("an organization has at most {POINTS_MAX} enforcement points");
            return Err(refuse(RefusalCode::LimitExceeded, text));
        }
        let keys = keys(
            registry,
            there.map(AsRef::as_ref),
            &spec.keys,
            self.books.now(),
        )?;
        let same = there.filter(|t| EnforcementPointSpec::of(registry, t).as_ref() == Some(spec));
        let mut removed = there.map(|t| t.removed_keys.clone()).unwrap_or_default();
        let had = there.iter().flat_map(|t| &t.keys);
        removed.extend(had.map(|k| k.thumbprint.clone()));
        removed.retain(|t| !keys.iter().any(|k| k.thumbprint == *t));
        let point = EnforcementPoint {
            id: there.map_or_else(
                || self.books.id(EnforcementPointId::from_uuid),
                |t| t.id.clone(),
            ),
            name: name.clone(),
            description: spec.description.clone(),
            keys,
            removed_keys: removed,
            agents: assigned(registry, spec)?,
            enforce: spec.enforce,
            routes: spec.routes.clone(),
            enabled: spec.enabled,
            reason: spec.reason.clone(),
            by: same.map_or_else(|| caller.principal.clone(), |s| s.by.clone()),
            at: same.map_or_else(|| self.books.now(), |s| s.at),
        };
        let agents: Vec<&AgentId> = point.agents.iter().map(|a| &a.agent).collect();
        let thumbprints: Vec<&String> = point.keys.iter().map(|k| &k.thumbprint).collect();
        let draft = Draft::over(registry, there.map(AsRef::as_ref), &point, seen, |_| {
            self.event(caller, EventKind::EnforcementPointChanged)
                .about(&point.id)
                .fact("keys", thumbprints)
                .fact("agents", agents.len())
                .fact("enforce", point.enforce)
                .fact("routes", point.routes.len())
                .fact("enabled", point.enabled)
                .content("point", &point)
                .content("before", there)
        });
        Ok(draft?.restrict_update())
    }
}

/// What stands against a spec by itself.
fn check_spec(registry: &Registry, spec: &EnforcementPointSpec) -> Result<(), ControlError> {
    check::text("description", &spec.description)?;
    check::said("reason", &spec.reason)?;
    if spec.agents.len() > AGENTS_MAX {
        let why = format!(
            "has {} members; at most {AGENTS_MAX} are permitted",
            spec.agents.len()
        );
        return Err(invalid("agents", why));
    }
    if spec.routes.len() > ROUTES_MAX {
        let why = format!(
            "has {} members; at most {ROUTES_MAX} are permitted",
            spec.routes.len()
        );
        return Err(invalid("routes", why));
    }
    for route in &spec.routes {
        route.check().map_err(|why| invalid("routes", why))?;
        if !registry.tools.contains_key(&route.tool) {
            return Err(invalid(
                "routes",
                format!("no tool `{}` is here", route.tool),
            ));
        }
    }
    Ok(())
}

/// The agents, each once, and each under one name.
fn assigned(
    registry: &Registry,
    spec: &EnforcementPointSpec,
) -> Result<Vec<Assigned>, ControlError> {
    let (mut agents, mut subjects) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Vec::with_capacity(spec.agents.len());
    for said in &spec.agents {
        let agent = registry
            .agent_named(said.agent.as_str())
            .ok_or_else(|| invalid("agents", format!("no agent `{}` is here", said.agent)))?;
        if !agents.insert(&agent.id) {
            return Err(invalid(
                "agents",
                format!("`{}` is there twice", said.agent),
            ));
        }
        if let Some(subject) = &said.subject {
            subject.check().map_err(|why| invalid("agents", why))?;
            if !subjects.insert(subject) {
                let why = format!("two agents are subject `{}` `{}`", subject.kind, subject.id);
                return Err(invalid("agents", why));
            }
        }
        let workflow = said.workflow.as_ref().map(|workflow| WorkflowRef {
            agent: said.agent.clone(),
            workflow: workflow.clone(),
        });
        let workflow = workflow.map(|w| resolve::workflow(registry, "agents", &w));
        all.push(Assigned {
            agent: agent.id.clone(),
            workflow: workflow.transpose()?,
            subject: said.subject.clone(),
        });
    }
    Ok(all)
}

/// The keys: nobody else's, and none that was removed.
fn keys(
    registry: &Registry,
    there: Option<&EnforcementPoint>,
    jwks: &[Value],
    now: Timestamp,
) -> Result<Vec<PointKey>, ControlError> {
    if !(1..=KEYS_MAX).contains(&jwks.len()) {
        let why = format!("has {} members; 1 or {KEYS_MAX} are permitted", jwks.len());
        return Err(invalid("keys", why));
    }
    let mut keys: Vec<PointKey> = Vec::with_capacity(jwks.len());
    for jwk in jwks {
        let jwk = PublicJwk::from_json(&jwk.to_string()).map_err(|e| invalid("keys", e))?;
        let thumbprint = jwk.thumbprint().to_string();
        let elsewhere = |p: &&EnforcementPoint| there.is_none_or(|t| t.id != p.id);
        let held =
            |p: &EnforcementPoint| p.holds(&thumbprint) || p.removed_keys.contains(&thumbprint);
        let others = registry.enforcement_points.values().map(AsRef::as_ref);
        let taken = registry.keys.contains_key(&thumbprint)
            || others.filter(elsewhere).any(held)
            || there.is_some_and(|t| t.removed_keys.contains(&thumbprint))
            || keys.iter().any(|k| k.thumbprint == thumbprint);
        if taken {
            let text = "`keys`: an agent or an enforcement point holds or held this key; every one has its own: make a new one";
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let had = there.and_then(|t| t.keys.iter().find(|k| k.thumbprint == thumbprint));
        keys.push(PointKey {
            added: had.map_or(Some(now), |k| k.added),
            thumbprint,
            jwk: serde_json::to_value(jwk).map_err(|_| invalid("keys", "cannot be written"))?,
        });
    }
    Ok(keys)
}

fn view(registry: &Registry, point: &EnforcementPoint) -> EnforcementPointView {
    EnforcementPointView {
        id: point.id.clone(),
        name: point.name.clone(),
        state: Noun::state(point),
        spec: EnforcementPointSpec::of(registry, point),
        thumbprints: point.keys.iter().map(|k| k.thumbprint.clone()).collect(),
        by: names::principal(registry, &point.by),
        at: point.at,
        revision: registry
            .revision(Kind::EnforcementPoint, point.id.as_str())
            .unwrap_or(0),
    }
}
