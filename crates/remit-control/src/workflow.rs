//! Workflows, and the grants in them: privileges, so that each one added or revoked is an event of its own.

use std::collections::BTreeSet;

use remit_domain::bounds::{Bound, Cumulative};
use remit_domain::discovery::Discovery;
use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::limits::{LIST_MAX, RUN_IDLE_SECS_MAX, RUN_SECS_MAX};
use remit_domain::name::Name;
use remit_domain::workflow::Grant;
use remit_domain::{
    Agent, AgentId, GrantId, Kind, Noun, Person, Registry, Role, Timestamp, Workflow, WorkflowId,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::{living, may_widen, named};
use crate::draft::{Draft, Later};
use crate::error::{invalid, not_found};
use crate::spec::{GrantSpec, WorkflowRef, WorkflowSpec};
use crate::{Action, Caller, Control, ControlError, ListQuery, Listing, Saved, check, resolve};

/// Most bounds on one argument, and most cumulative limits of one grant: each is checked at every call.
const BOUNDS_MAX: usize = 16;

/// Most redirect addresses of a workflow.
const REDIRECTS_MAX: usize = 16;

/// Most clients of a workflow that are known by a metadata document.
const CLIENTS_MAX: usize = 8;

/// Longest word of what shows that a grant may be used without asking.
const EVIDENCE_CHARS_MAX: usize = 500;

/// A workflow, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WorkflowView {
    /// Its id.
    pub id: WorkflowId,
    /// Its agent's name.
    pub agent: String,
    /// Its name.
    pub name: Name,
    /// `active` or `disabled`.
    pub state: &'static str,
    /// What is declared of it.
    #[serde(flatten)]
    pub spec: WorkflowSpec,
    /// Ids of its grants, in the order of `grants`.
    pub grant_ids: Vec<GrantId>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// How the grants of a workflow change.
struct Diff {
    grants: Vec<Grant>,
    added: Vec<Grant>,
    revoked: Vec<Grant>,
}

impl Control {
    /// The workflows of an agent, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`.
    pub fn workflows(
        &self,
        caller: &Caller,
        agent: &Name,
        query: &ListQuery,
    ) -> Result<Listing<WorkflowView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let agent = named(&registry, agent)?;
        let all = registry
            .workflows_of(&agent.id)
            .into_iter()
            .map(|w| (w.name.to_string(), w.state(), w));
        Ok(query.page(all, |w| view(&registry, w)))
    }

    /// One workflow.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn workflow(
        &self,
        caller: &Caller,
        name: &WorkflowRef,
    ) -> Result<WorkflowView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let agent = named(&registry, &name.agent)?;
        let workflow = registry.workflow_named(&agent.id, name.workflow.as_str());
        Ok(view(
            &registry,
            workflow.ok_or_else(|| not_found("workflow", name))?,
        ))
    }

    /// Creates or changes a workflow with its grants. What is taken away counts at once, for calls in flight too.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, and for the agent's owner who gives it more past its draft (in `dual`);
    /// `conflict` for a retired agent and when it has changed since `seen`; `invalid-request`, naming the field.
    pub async fn put_workflow(
        &self,
        caller: &Caller,
        name: &WorkflowRef,
        spec: WorkflowSpec,
        seen: Option<u64>,
    ) -> Result<Saved<WorkflowView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_workflow(&book.registry(), caller, name, spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.workflow(caller, name)?,
        })
    }

    pub(crate) fn draft_workflow(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &WorkflowRef,
        spec: WorkflowSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        let person = caller.require(&[Role::Admin])?;
        check_spec(&spec)?;
        let agent = living(registry, &name.agent)?;
        let there = registry
            .workflow_named(&agent.id, name.workflow.as_str())
            .map(AsRef::as_ref);
        let diff = self.diff(person, there, &spec.grants, self.books.now())?;
        let workflow = self.built(registry, name, &agent, there, spec, &diff)?;
        permitted(registry, person, &agent, there, &workflow, &diff)?;
        let draft = Draft::over(registry, there, &workflow, seen, |action| {
            let kind = match action {
                Action::Create => EventKind::WorkflowCreated,
                _ => EventKind::WorkflowChanged,
            };
            self.event(caller, kind)
                .about(&workflow.id)
                .agent(&agent.id)
                .fact("grants", workflow.grants.len())
                .fact("enabled", workflow.enabled)
                .fact("attested", workflow.attestation.is_some())
                .content("workflow", &workflow)
        });
        let draft = draft?.restrict_update();
        if draft.action == Action::None {
            return Ok(draft);
        }
        Ok(self.grant_changes(draft, caller, &agent, &workflow, &diff))
    }

    fn built(
        &self,
        registry: &Registry,
        name: &WorkflowRef,
        agent: &Agent,
        there: Option<&Workflow>,
        spec: WorkflowSpec,
        diff: &Diff,
    ) -> Result<Workflow, ControlError> {
        for grant in &diff.added {
            if !registry.tools.contains_key(&grant.tool) {
                return Err(invalid(
                    "grants",
                    format!(
                        "no tool `{}` is here; sync its upstream first, or correct the name",
                        grant.tool
                    ),
                ));
            }
        }
        of_one_agent(registry, &agent.id, &spec.client_ids)?;
        Ok(Workflow {
            id: there
                .as_ref()
                .map_or_else(|| self.books.id(WorkflowId::from_uuid), |w| w.id.clone()),
            agent: agent.id.clone(),
            name: name.workflow.clone(),
            purpose: spec.purpose,
            grants: diff.grants.clone(),
            data_classes: spec.data_classes,
            run_secs_max: spec.run_secs_max,
            run_idle_secs_max: spec.run_idle_secs_max,
            discovery: spec.discovery,
            spawnable: spec
                .spawnable
                .iter()
                .map(|w| spawnable(registry, name, there, w))
                .collect::<Result<_, _>>()?,
            dpop_bound_access_tokens: spec.dpop_bound_access_tokens,
            redirect_uris: spec.redirect_uris,
            attestation: spec.attestation,
            client_ids: spec.client_ids,
            enabled: spec.enabled,
        })
    }

    fn diff(
        &self,
        person: &Person,
        there: Option<&Workflow>,
        specs: &[GrantSpec],
        now: Timestamp,
    ) -> Result<Diff, ControlError> {
        let mut left: Vec<Grant> = there.map(|w| w.grants.clone()).unwrap_or_default();
        let mut diff = Diff {
            grants: Vec::new(),
            added: Vec::new(),
            revoked: Vec::new(),
        };
        for spec in specs {
            if let Some(at) = left.iter().position(|g| GrantSpec::of(g) == *spec) {
                diff.grants.push(left.remove(at));
                continue;
            }
            if spec.expires.is_some_and(|end| end <= now) {
                return Err(invalid(
                    "grants",
                    format!("the grant of `{}` has expired already", spec.tool),
                ));
            }
            let grant = Grant {
                id: self.books.id(GrantId::from_uuid),
                tool: spec.tool.clone(),
                bounds: spec.bounds.clone(),
                limits: spec.limits.clone(),
                expires: spec.expires,
                autonomy: spec.autonomy.clone(),
                granted_by: person.id.clone(),
                granted_at: now,
            };
            diff.grants.push(grant.clone());
            diff.added.push(grant);
        }
        diff.revoked = left;
        Ok(diff)
    }

    /// Each grant added or revoked is an event; one without an end is a finding.
    fn grant_changes(
        &self,
        mut draft: Draft,
        caller: &Caller,
        agent: &Agent,
        workflow: &Workflow,
        diff: &Diff,
    ) -> Draft {
        let event = |kind, grant: &Grant| {
            self.event(caller, kind)
                .about(&grant.id)
                .agent(&agent.id)
                .fact("workflow", &workflow.id)
                .fact("tool", &grant.tool)
                .fact("expires", grant.expires)
                .content("grant", grant)
        };
        let standing = FindingKind::StandingAccess;
        for grant in &diff.revoked {
            draft.change = draft.change.event(event(EventKind::GrantRevoked, grant));
            if grant.expires.is_none() {
                let (id, why) = (grant.id.to_string(), "the grant was revoked");
                draft.later.push(Later::Settle(standing, id, why));
            }
        }
        for grant in &diff.added {
            draft.change = draft.change.event(event(EventKind::GrantAdded, grant));
            if grant.expires.is_none() {
                let text = format!(
                    "{}/{} may call {} without an end; give the grant an expiry",
                    agent.name, workflow.name, grant.tool
                );
                draft
                    .later
                    .push(Later::Open(standing, grant.id.to_string(), text));
            }
        }
        draft
    }
}

fn spawnable(
    registry: &Registry,
    own: &WorkflowRef,
    there: Option<&Workflow>,
    name: &WorkflowRef,
) -> Result<WorkflowId, ControlError> {
    // A workflow may spawn itself; while it is new it has no id yet to be found by.
    match there {
        None if own == name => Err(invalid(
            "spawnable",
            format!("`{name}` is not here yet; create it, then let it spawn itself"),
        )),
        _ => resolve::workflow(registry, "spawnable", name),
    }
}

fn permitted(
    registry: &Registry,
    person: &Person,
    agent: &Agent,
    there: Option<&Workflow>,
    new: &Workflow,
    diff: &Diff,
) -> Result<(), ControlError> {
    let grows = there.is_none_or(|old| {
        new.run_secs_max > old.run_secs_max
            || new.run_idle_secs_max > old.run_idle_secs_max
            || !new.data_classes.is_subset(&old.data_classes)
            || !new.spawnable.is_subset(&old.spawnable)
            || sees_more(old.discovery, new.discovery)
            || (old.dpop_bound_access_tokens && !new.dpop_bound_access_tokens)
            || !new.redirect_uris.is_subset(&old.redirect_uris)
            || new.attestation != old.attestation
            || !new.client_ids.is_subset(&old.client_ids)
            || (new.enabled && !old.enabled)
    });
    if grows || !diff.added.is_empty() {
        may_widen(registry, person, agent)
    } else {
        Ok(())
    }
}

/// Refuses a client that acts as another agent already: whose key it proves would not be known.
fn of_one_agent(
    registry: &Registry,
    agent: &AgentId,
    clients: &BTreeSet<String>,
) -> Result<(), ControlError> {
    let others = registry.workflows.values().filter(|w| w.agent != *agent);
    let taken = others
        .flat_map(|w| &w.client_ids)
        .find(|id| clients.contains(*id));
    taken.map_or(Ok(()), |id| {
        Err(invalid(
            "client_ids",
            format!("`{id}` is a client of another agent"),
        ))
    })
}

/// Whether runs that only looked around may do more than that now, or look around for more.
fn sees_more(old: Option<Discovery>, new: Option<Discovery>) -> bool {
    match (old, new) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(old), Some(new)) => {
            new.secs > old.secs || new.calls > old.calls || new.tokens > old.tokens
        }
    }
}

pub(crate) fn check_spec(spec: &WorkflowSpec) -> Result<(), ControlError> {
    check::text("purpose", &spec.purpose)?;
    check::list("grants", spec.grants.len())?;
    check::list("data_classes", spec.data_classes.len())?;
    check::list("spawnable", spec.spawnable.len())?;
    for (field, secs, max) in [
        ("run_secs_max", spec.run_secs_max, RUN_SECS_MAX),
        (
            "run_idle_secs_max",
            spec.run_idle_secs_max,
            RUN_IDLE_SECS_MAX,
        ),
    ] {
        if !(1..=max).contains(&secs) {
            return Err(invalid(field, format!("`{secs}` is not within 1 to {max}")));
        }
    }
    if spec.redirect_uris.len() > REDIRECTS_MAX {
        let text = format!("more than {REDIRECTS_MAX} addresses");
        return Err(invalid("redirect_uris", text));
    }
    for uri in &spec.redirect_uris {
        remit_token::authorization::check_redirect_uri(uri)
            .map_err(|why| invalid("redirect_uris", format!("`{uri}` {why}")))?;
    }
    if let Some(attestation) = &spec.attestation {
        attestation
            .check()
            .map_err(|why| invalid("attestation", why))?;
    }
    if spec.client_ids.len() > CLIENTS_MAX {
        return Err(invalid(
            "client_ids",
            format!("more than {CLIENTS_MAX} clients"),
        ));
    }
    for id in &spec.client_ids {
        remit_token::client_metadata::check_client_id(id)
            .map_err(|why| invalid("client_ids", format!("`{id}` {why}")))?;
    }
    if let Some(discovery) = &spec.discovery {
        discovery.check().map_err(|why| invalid("discovery", why))?;
    }
    spec.grants.iter().try_for_each(check_grant)
}

fn check_grant(grant: &GrantSpec) -> Result<(), ControlError> {
    let wrong = |why: String| {
        Err(invalid(
            "grants",
            format!("grant of `{}`: {why}", grant.tool),
        ))
    };
    if grant.bounds.0.len() > LIST_MAX || grant.limits.len() > BOUNDS_MAX {
        return wrong(format!(
            "at most {LIST_MAX} bounded arguments and {BOUNDS_MAX} limits are permitted"
        ));
    }
    if let Some(evidence) = &grant.autonomy {
        check::said("autonomy", evidence)?;
        if evidence.chars().count() > EVIDENCE_CHARS_MAX {
            return wrong(format!(
                "`autonomy` is longer than {EVIDENCE_CHARS_MAX} characters"
            ));
        }
    }
    for (path, bounds) in &grant.bounds.0 {
        if bounds.is_empty() || bounds.len() > BOUNDS_MAX {
            return wrong(format!("argument {path}: give 1 to {BOUNDS_MAX} bounds"));
        }
        if let Some(why) = bounds.iter().find_map(unsound) {
            return wrong(format!("argument {path}: {why}"));
        }
    }
    let negative = |l: &Cumulative| matches!(l, Cumulative::Sum { max, .. } if max.units() < 0);
    if grant.limits.iter().any(negative) {
        return wrong("a sum has a greatest value of at least 0".to_owned());
    }
    Ok(())
}

/// Why no value could keep a bound, or why it bounds nothing.
fn unsound(bound: &Bound) -> Option<&'static str> {
    match bound {
        Bound::OneOf(members) if members.is_empty() => Some("`one_of` lists nothing"),
        Bound::OneOf(members) if members.len() > LIST_MAX => {
            Some("`one_of` lists more than 256 values")
        }
        Bound::OneOf(members)
            if members
                .iter()
                .any(|m| m.is_object() || m.is_array() || m.is_null()) =>
        {
            Some("`one_of` lists strings, numbers and booleans only")
        }
        Bound::Integer {
            min: None,
            max: None,
        }
        | Bound::Decimal {
            min: None,
            max: None,
        } => Some("a range has a `min` or a `max`"),
        Bound::Integer {
            min: Some(min),
            max: Some(max),
        } if min > max => Some("`min` is greater than `max`"),
        Bound::Decimal {
            min: Some(min),
            max: Some(max),
        } if min > max => Some("`min` is greater than `max`"),
        Bound::Prefix { prefix, .. } if prefix.is_empty() => {
            Some("`prefix` is empty and holds everything")
        }
        _ => None,
    }
}

fn view(registry: &Registry, workflow: &Workflow) -> WorkflowView {
    WorkflowView {
        id: workflow.id.clone(),
        agent: crate::names::agent(registry, &workflow.agent),
        name: workflow.name.clone(),
        state: workflow.state(),
        spec: WorkflowSpec::of(registry, workflow),
        grant_ids: workflow.grants.iter().map(|g| g.id.clone()).collect(),
        revision: registry
            .revision(Kind::Workflow, &workflow.key())
            .unwrap_or(0),
    }
}
