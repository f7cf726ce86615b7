//! Trusted issuers: whose tokens make a workload an agent here.

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::trusted_issuer::{
    ADDRESS_BYTES_MAX, ISSUERS_MAX, Identities, KeySource, LIFETIME_SECS_MAX, PEOPLE_MAX,
    RULES_MAX, SUBJECT_BYTES_MAX, SpiffeEndpoint, TrustedIssuer, WorkloadRule, check_claims,
};
use remit_domain::{Kind, Noun, RecordId, RefusalCode, Registry, Role, Timestamp, TrustedIssuerId};
use remit_token::{ForeignBundle, ForeignJwks, SpiffeId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::may_widen;
use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::{TrustedIssuerSpec, WorkflowRef, WorkloadRuleSpec};
use crate::{
    Caller, Control, ControlError, ListQuery, Listing, Saved, check, idp, names, refuse, resolve,
};

/// A trusted issuer, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TrustedIssuerView {
    /// Its id.
    pub id: TrustedIssuerId,
    /// Its name.
    pub name: Name,
    /// `active` or `disabled`.
    pub state: &'static str,
    /// What it says; null when an agent it names is not known any more.
    #[serde(flatten)]
    pub spec: Option<TrustedIssuerSpec>,
    /// Who changed it last, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Trusted issuers, by id.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn trusted_issuers(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<TrustedIssuerView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry.trusted_issuers.values();
        let all = all.map(|t| (t.key(), Noun::state(&**t), t));
        Ok(query.page(all, |t| view(&registry, t)))
    }

    /// One trusted issuer.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn trusted_issuer(
        &self,
        caller: &Caller,
        name: &Name,
    ) -> Result<TrustedIssuerView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let found = registry.trusted_issuer_named(name.as_str());
        let found = found.ok_or_else(|| not_found("trusted issuer", name))?;
        Ok(view(&registry, found))
    }

    /// Registers or changes a trusted issuer. What was given by a rule that is not there any more, or reads otherwise, ends at
    /// once.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`; `conflict` when another one has the same `iss`;
    /// `limit-exceeded` when there are too many.
    pub async fn put_trusted_issuer(
        &self,
        caller: &Caller,
        name: &Name,
        spec: TrustedIssuerSpec,
        seen: Option<u64>,
    ) -> Result<Saved<TrustedIssuerView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_trusted_issuer(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.trusted_issuer(caller, name)?,
        })
    }

    /// Trusts an issuer no longer, at once: its tokens get nothing, and what they got before ends.
    ///
    /// # Errors
    /// `forbidden` for anyone but a responder or an administrator; `not-found`; `conflict` when it is not trusted already.
    pub async fn disable_trusted_issuer(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<TrustedIssuerView, ControlError> {
        caller.require(&[Role::Responder, Role::Admin])?;
        check::said("reason", reason)?;
        let book = self.book(&caller.org)?;
        let draft = {
            let registry = book.registry();
            let there = registry.trusted_issuer_named(name.as_str());
            let there = there.ok_or_else(|| not_found("trusted issuer", name))?;
            if !there.enabled {
                let text = format!("trusted issuer `{name}` is disabled already");
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let off = TrustedIssuer {
                enabled: false,
                reason: reason.to_owned(),
                by: caller.principal.clone(),
                at: self.books.now(),
                ..(**there).clone()
            };
            let event = self
                .event(caller, EventKind::TrustedIssuerDisabled)
                .about(&off.id)
                .content("reason", reason);
            Draft::over(&registry, Some(&**there), &off, None, |_| event)?.restrict_if(true)
        };
        self.save(caller, draft).await?;
        self.trusted_issuer(caller, name)
    }

    pub(crate) fn draft_trusted_issuer(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: &TrustedIssuerSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        check_spec(spec)?;
        let there = registry.trusted_issuer_named(name.as_str());
        if there.is_none() && registry.trusted_issuers.len() >= ISSUERS_MAX {
            let text = format!("an organization has at most {ISSUERS_MAX} trusted issuers");
            return Err(refuse(RefusalCode::LimitExceeded, text));
        }
        let other = registry.trusted_issuer_of(&spec.issuer);
        if let Some(other) = other.filter(|other| other.name != *name) {
            let text = format!(
                "trusted issuer `{}` has the same `issuer`; add the rules there",
                other.name
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let same = there.filter(|t| TrustedIssuerSpec::of(registry, t).as_ref() == Some(spec));
        let mut issuer = TrustedIssuer {
            id: there.map_or_else(
                || self.books.id(TrustedIssuerId::from_uuid),
                |t| t.id.clone(),
            ),
            name: name.clone(),
            description: spec.description.clone(),
            issuer: spec.issuer.clone(),
            keys: spec.keys.clone(),
            audience: spec.audience.clone(),
            algorithms: spec.algorithms.clone(),
            lifetime_secs_max: spec.lifetime_secs_max,
            rules: Vec::new(),
            identities: None,
            seen: None,
            enabled: spec.enabled,
            set_by: BTreeMap::new(),
            reason: spec.reason.clone(),
            by: same.map_or_else(|| caller.principal.clone(), |s| s.by.clone()),
            at: same.map_or_else(|| self.books.now(), |s| s.at),
        };
        match there.filter(|t| t.signs_as(&issuer)) {
            Some(same) => {
                issuer.set_by = same.set_by.clone();
                issuer.seen = same.seen.clone();
            }
            None => {
                issuer.set_by = there.map(|t| t.set_by.clone()).unwrap_or_default();
                if let Some(by) = caller.principal.person() {
                    issuer.set_by.insert(by.clone(), self.books.now());
                }
            }
        }
        let before = there.filter(|t| goes_on(t, &issuer)).map(AsRef::as_ref);
        let rules = spec.rules.iter();
        let rules = rules.map(|rule| self.rule(registry, caller, before, rule));
        issuer.rules = rules.collect::<Result<_, _>>()?;
        issuer.identities =
            self.identities(registry, caller, there.map(AsRef::as_ref), &issuer, spec)?;
        let agents: BTreeSet<_> = issuer.rules.iter().map(|rule| &rule.agent).collect();
        let draft = Draft::over(registry, there.map(AsRef::as_ref), &issuer, seen, |_| {
            self.event(caller, EventKind::TrustedIssuerChanged)
                .about(&issuer.id)
                .fact("rules", issuer.rules.len())
                .fact("agents", &agents)
                .fact(
                    "people",
                    issuer.identities.as_ref().map_or(0, |i| i.people.len()),
                )
                .fact("enabled", issuer.enabled)
                .content("issuer", &issuer)
                .content("before", there)
        });
        Ok(draft?.restrict_update())
    }

    /// A rule, by the id that it has where it reads as before.
    fn rule(
        &self,
        registry: &Registry,
        caller: &Caller,
        before: Option<&TrustedIssuer>,
        spec: &WorkloadRuleSpec,
    ) -> Result<WorkloadRule, ControlError> {
        check_claims(&spec.claims).map_err(|why| invalid("rules", why))?;
        let named = WorkflowRef {
            agent: spec.agent.clone(),
            workflow: spec.workflow.clone(),
        };
        let agent = registry
            .agent_named(spec.agent.as_str())
            .ok_or_else(|| invalid("rules", format!("no agent `{}` is here", spec.agent)))?;
        let rule = WorkloadRule {
            id: self.books.id(RecordId::from_uuid),
            subject: spec.subject.clone(),
            claims: spec.claims.clone(),
            agent: agent.id.clone(),
            workflow: resolve::workflow(registry, "rules", &named)?,
            since: self.books.now(),
        };
        let reads_so = |old: &&WorkloadRule| {
            (&old.subject, &old.claims, &old.agent, &old.workflow)
                == (&rule.subject, &rule.claims, &rule.agent, &rule.workflow)
        };
        let old = before.and_then(|before| before.rules.iter().find(reads_so));
        if old.is_none() {
            may_widen(registry, caller.person()?, agent)?;
        }
        Ok(old.cloned().unwrap_or(rule))
    }
}

impl Control {
    /// Whom it speaks for, by the id that it has where nothing of it changes.
    fn identities(
        &self,
        registry: &Registry,
        caller: &Caller,
        there: Option<&TrustedIssuer>,
        now: &TrustedIssuer,
        spec: &TrustedIssuerSpec,
    ) -> Result<Option<Identities>, ControlError> {
        let Some(said) = &spec.identities else {
            return Ok(None);
        };
        let mut people = BTreeMap::new();
        for (sub, email) in &said.people {
            if sub.is_empty() || sub.len() > SUBJECT_BYTES_MAX || sub.chars().any(char::is_control)
            {
                let why = format!("a subject has 1 to {SUBJECT_BYTES_MAX} bytes");
                return Err(invalid("identities", why));
            }
            let person = resolve::person(registry, "identities", email)?;
            people.insert(sub.clone(), person);
        }
        let workflows = said.workflows.iter();
        let workflows = workflows.map(|w| resolve::workflow(registry, "identities", w));
        let workflows: BTreeSet<_> = workflows.collect::<Result<_, _>>()?;
        let before = there.and_then(|t| t.identities.as_ref());
        let same = before.filter(|b| {
            there.is_some_and(|t| goes_on(t, now))
                && (&b.people, &b.workflows) == (&people, &workflows)
        });
        if let Some(same) = same {
            return Ok(Some(same.clone()));
        }
        let person = caller.person()?;
        for workflow in workflows.iter().filter_map(|id| registry.workflows.get(id)) {
            if let Some(agent) = registry.agents.get(&workflow.agent) {
                may_widen(registry, person, agent)?;
            }
        }
        // Whoever set its keys can sign as anybody whom it speaks for.
        let mut behind = before.map(|b| b.behind.clone()).unwrap_or_default();
        behind.extend(now.set_by.clone());
        if let Some(by) = caller.principal.person() {
            behind.insert(by.clone(), self.books.now());
        }
        Ok(Some(Identities {
            id: self.books.id(RecordId::from_uuid),
            people,
            workflows,
            behind,
        }))
    }
}

/// Whether what was given by its tokens still counts under the new document: nothing does that was turned off in between.
fn goes_on(before: &TrustedIssuer, now: &TrustedIssuer) -> bool {
    before.signs_as(now) && (before.enabled || !now.enabled)
}

/// What stands against a spec by itself.
fn check_spec(spec: &TrustedIssuerSpec) -> Result<(), ControlError> {
    check::text("description", &spec.description)?;
    check::said("reason", &spec.reason)?;
    match &spec.keys {
        KeySource::SpiffeBundle(_) | KeySource::HttpsSpiffe(_) => trust_domain(spec)?,
        _ => idp::issuer(&spec.issuer)?,
    }
    match &spec.keys {
        KeySource::SpiffeBundle(uri) => idp::address("keys", uri)?,
        KeySource::HttpsSpiffe(there) => endpoint(there)?,
        KeySource::Discovery {} => {}
        KeySource::JwksUri(uri) => idp::address("keys", uri)?,
        KeySource::Jwks(set) => {
            ForeignJwks::from_json(&set.to_string()).map_err(|e| invalid("keys", e))?;
        }
    }
    if spec.algorithms.is_empty() {
        let why = "name at least one algorithm, such as RS256 or ES256";
        return Err(invalid("algorithms", why));
    }
    let audience = spec.audience.as_ref();
    if audience.is_some_and(|a| a.is_empty() || a.len() > ADDRESS_BYTES_MAX) {
        let why = format!("has 1 to {ADDRESS_BYTES_MAX} bytes");
        return Err(invalid("audience", why));
    }
    if !(60..=LIFETIME_SECS_MAX).contains(&spec.lifetime_secs_max) {
        let why = format!("is 60 to {LIFETIME_SECS_MAX} seconds");
        return Err(invalid("lifetime_secs_max", why));
    }
    if spec.rules.len() > RULES_MAX {
        let why = format!(
            "has {} members; at most {RULES_MAX} are permitted",
            spec.rules.len()
        );
        return Err(invalid("rules", why));
    }
    let identities = spec.identities.as_ref();
    if identities.is_some_and(|i| i.people.len() > PEOPLE_MAX || i.workflows.len() > RULES_MAX) {
        let why = format!("names at most {PEOPLE_MAX} people and {RULES_MAX} workflows");
        return Err(invalid("identities", why));
    }
    Ok(())
}

/// That an endpoint is one that can be asked, and believed the first time.
fn endpoint(there: &SpiffeEndpoint) -> Result<(), ControlError> {
    idp::address("keys", &there.url)?;
    if !there.url.starts_with("https://") {
        let why = "the endpoint proves itself with a certificate, so its address is https";
        return Err(invalid("keys", why));
    }
    let id = SpiffeId::parse(&there.endpoint_spiffe_id);
    if !id.is_ok_and(|id| !id.path().is_empty()) {
        let why = "`endpoint_spiffe_id` is a SPIFFE ID with a path, such as spiffe://prod.acme.example/remit/bundle";
        return Err(invalid("keys", why));
    }
    let bundle = ForeignBundle::from_json(&there.bundle.to_string());
    if bundle
        .map_err(|e| invalid("keys", e))?
        .authorities
        .is_empty()
    {
        let why = "`bundle` has no authority for X.509-SVIDs (`use: x509-svid`), so the endpoint could not be believed";
        return Err(invalid("keys", why));
    }
    Ok(())
}

/// That the issuer is a trust domain, which says what workloads are and speaks for nobody.
fn trust_domain(spec: &TrustedIssuerSpec) -> Result<(), ControlError> {
    let id = SpiffeId::parse(&spec.issuer);
    if !id.is_ok_and(|id| id.path().is_empty()) {
        let why = "with a SPIFFE bundle it is the trust domain, such as spiffe://prod.acme.example";
        return Err(invalid("issuer", why));
    }
    if spec.identities.is_some() {
        return Err(invalid("identities", "a trust domain knows no people"));
    }
    Ok(())
}

fn view(registry: &Registry, issuer: &TrustedIssuer) -> TrustedIssuerView {
    TrustedIssuerView {
        id: issuer.id.clone(),
        name: issuer.name.clone(),
        state: Noun::state(issuer),
        spec: TrustedIssuerSpec::of(registry, issuer),
        by: names::principal(registry, &issuer.by),
        at: issuer.at,
        revision: registry
            .revision(Kind::TrustedIssuer, issuer.id.as_str())
            .unwrap_or(0),
    }
}
