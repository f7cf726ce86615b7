//! Identity assertions (ID-JAG): an identity provider's word that a client may act for a person becomes a delegation of that
//! person, for one agent and workflow, as long as the token lives.
//!
//! Source: draft-ietf-oauth-identity-assertion-authz-grant-04 §4.4 and §4.5. Remit is the resource authorization server.
//!
//! It is only ever narrower: the client has to prove itself too, the workflow has to be one that the issuer may speak of, and
//! what the person is not entitled to, or the grants do not hold, is denied at each call as under any delegation.

use remit_books::hop::HOP_TRIES;
use remit_books::hop::{HopAction, HopKind};
use remit_books::{Change, Hop, NewRun};
use remit_domain::delegation::{Delegation, DelegationState, DelegationUse};
use remit_domain::event::{Event, EventKind};
use remit_domain::idp::SetBy;
use remit_domain::limits::ACCESS_TOKEN_SECS;
use remit_domain::run::{Intent, Mode, Provenance};
use remit_domain::trusted_issuer::{Identities, TrustedIssuer};
use remit_domain::{DelegationId, OrgId, PersonId, Principal, RefusalCode, Run};
use remit_token::foreign::ForeignKind;
use remit_token::limits::ACT_DEPTH_MAX;
use remit_token::{Actor, ForeignClaims, JwtBearer, OAuthErrorCode, Scope, TokenResponse};
use serde_json::Value;
use std::sync::Arc;

use crate::client::Client;
use crate::door::Denied;
use crate::federation::{denied, once_of};
use crate::hop::{DECIDED_EARLY, too_early};
use crate::mint::Ask;
use crate::refusal::no;
use crate::scope::Wanted;
use crate::{Issuer, Resource, details};

/// Hops that may follow: what an identity provider says goes to no sub-agent.
const DEPTH: u8 = 0;

impl Issuer {
    /// Answers an identity assertion of a client that proves itself.
    pub(crate) async fn id_jag(
        &self,
        org: &OrgId,
        iss: &str,
        request: &JwtBearer,
        proof: Option<&str>,
    ) -> Result<TokenResponse, Denied> {
        // ID-JAG §4.4: the client authenticates.
        let auth = request.proving();
        let auth = auth.ok_or_else(|| Denied::client("assertion-without-client"))?;
        let client = self.authenticate_with(org, &auth, proof).await?;
        let agent = client.agent.id.clone();
        let issuer = self.trusted(org, iss).map_err(|denied| denied.by(&agent))?;
        self.id_jag_of(org, &issuer, client, request)
            .await
            .map_err(|denied| denied.by(&agent).about(&issuer.id))
    }

    async fn id_jag_of(
        &self,
        org: &OrgId,
        issuer: &TrustedIssuer,
        client: Client,
        request: &JwtBearer,
    ) -> Result<TokenResponse, Denied> {
        let Some(identities) = &issuer.identities else {
            let text = "this issuer speaks for nobody here; an administrator maps its people";
            return Err(denied("issuer-not-for-people", text));
        };
        let claims = self
            .proved(org, issuer, ForeignKind::IdJag, &request.assertion)
            .await?;
        about_client(&claims, &client)?;
        let person = person_of(identities, &claims)?;
        let here = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            registry.people.get(&person).is_some_and(|p| p.is_active())
        };
        if !here {
            let text = "the person whom the assertion names has left";
            return Err(no(RefusalCode::ChainBroken, text).into());
        }
        let asked = asked_scope(&claims, &request.scope)?;
        let workflow = self.workflow_wanted(org, &client.agent.id, asked.as_deref())?;
        if !identities.workflows.contains(&workflow.id) {
            let text = "this issuer may not let anybody be acted for in this workflow";
            return Err(Denied::new(
                OAuthErrorCode::InvalidScope,
                "workflow-not-for-issuer",
                text,
            ));
        }
        let resource = self.resource_of(org, &claims, &request.resource)?;
        let details = details::read(&request.authorization_details)?;
        if let Some(asked) = &details {
            let who = (&client.agent, &workflow);
            let withheld = self.withheld(org, who, Some(&person), asked)?;
            let now = self.books().now();
            details::not_wider(asked, &workflow, std::iter::empty(), &withheld, now)?;
        }
        self.stand_behind(org, &person, identities).await?;
        let link = self.delegation_by(issuer, identities, &client, &workflow.id, &person);
        let ask = Ask {
            client,
            workflow,
            resource,
            once: vec![once_of(issuer, &claims)],
            not_after: None,
            from: None,
            kind: HopKind::IdJag,
            details,
        };
        self.start_under(org, Arc::new(link), ask).await
    }

    /// Where the token is good: where the assertion says, or narrower.
    fn resource_of(
        &self,
        org: &OrgId,
        claims: &ForeignClaims,
        asked: &[String],
    ) -> Result<Resource, Denied> {
        let said: Vec<String> = match claims.all.get("resource") {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(many)) if !many.is_empty() && many.iter().all(Value::is_string) => {
                many.iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            }
            Some(_) => return Err(denied("token-claim-invalid", "`resource` is no address")),
        };
        let granted = self.resource_asked(org, &said)?;
        if asked.is_empty() {
            return Ok(granted);
        }
        let named = self.resource_asked(org, asked)?;
        if granted.covers(&named) {
            return Ok(named);
        }
        let text = "the assertion is for a narrower resource";
        Err(Denied::new(OAuthErrorCode::InvalidTarget, "wider", text))
    }

    /// Whoever set what the issuer says could have it say what they like of this person: they stand behind them from now on.
    async fn stand_behind(
        &self,
        org: &OrgId,
        person: &PersonId,
        identities: &Identities,
    ) -> Result<(), Denied> {
        let behind: Vec<SetBy> = identities
            .behind
            .iter()
            .map(|(person, at)| SetBy {
                person: person.clone(),
                at: *at,
            })
            .collect();
        let behind: Vec<&SetBy> = behind.iter().collect();
        Ok(self.vouched(org, person, &behind, None).await?)
    }

    /// The delegation that the assertion is: for one agent and workflow, as long as the token.
    fn delegation_by(
        &self,
        issuer: &TrustedIssuer,
        identities: &Identities,
        client: &Client,
        workflow: &remit_domain::WorkflowId,
        person: &PersonId,
    ) -> Delegation {
        let now = self.books().now();
        Delegation {
            id: self.books().id(DelegationId::from_uuid),
            person: person.clone(),
            from: Principal::Person(person.clone()),
            to: client.agent.id.clone(),
            workflow: workflow.clone(),
            kind: DelegationUse::Interactive,
            authority: Default::default(),
            ticket: None,
            depth_left: DEPTH,
            parent: None,
            run: None,
            token: None,
            federated: Some(issuer.says(identities)),
            created: now,
            expires: now.plus_secs(ACCESS_TOKEN_SECS),
            state: DelegationState::Active,
        }
    }

    /// Issues a token in a run of its own under a delegation that is made in the same commit. Labels of the agent follow into it
    /// (it is no run that the person opened).
    async fn start_under(
        &self,
        org: &OrgId,
        link: Arc<Delegation>,
        ask: Ask,
    ) -> Result<TokenResponse, Denied> {
        self.runs_within_limit(org, &ask.client.agent.id)?;
        for _ in 0..HOP_TRIES {
            let (run, change) = self.plan_under(org, &link, &ask).await?;
            let chain = [Arc::clone(&link)];
            match self.issue_once(org, &run, &chain, &ask, change).await {
                Err(denied) if denied.code == DECIDED_EARLY => {}
                other => return other,
            }
        }
        Err(too_early().by(&ask.client.agent.id))
    }

    /// The run and the delegation, where the policies let it be made.
    async fn plan_under(
        &self,
        org: &OrgId,
        link: &Delegation,
        ask: &Ask,
    ) -> Result<(Run, Change), Denied> {
        let new = NewRun {
            agent: ask.client.agent.id.clone(),
            mode: Mode::Api,
            trigger: None,
            intent: Intent {
                authority: ask.details.clone().unwrap_or_default(),
                ..Intent::default()
            },
            person: Some(link.person.clone()),
            chain: vec![link.id.clone()],
            parent: None,
            implicit_key: Some(ask.client.thumbprint.clone()),
            provenance: Provenance::default(),
            idle_secs_max: Some(ask.workflow.run_idle_secs_max),
            ends_by: Some(link.expires),
        };
        let (run, change) = self.books().plan_run(org, &ask.workflow, new);
        let hop = Hop {
            action: HopAction::Delegate,
            kind: HopKind::IdJag,
            agent: Arc::clone(&ask.client.agent),
            workflow: &ask.workflow,
            person: Some(&link.person),
            chain: vec![link],
            intent: Some(&run.intent),
            run: Some(&run),
            ticket: None,
            expires: link.expires,
            trust: None,
        };
        let answer = self.may_hop(org, &hop).await?;
        let now = self.books().now();
        let made = Event::new(EventKind::DelegationGranted, now, Principal::Remit)
            .about(&link.id)
            .agent(&link.to)
            .fact("person", &link.person)
            .fact("to", &link.to)
            .fact("workflow", &link.workflow)
            .fact("kind", link.kind)
            .fact("depth_left", link.depth_left)
            .fact("expires", link.expires)
            .fact("trusted_issuer", link.federated.as_ref().map(|f| &f.issuer));
        let change = change.create(link).event(answer.recorded(made));
        Ok((run, answer.binds(change)))
    }
}

/// Whether the assertion is for this client, with this key.
fn about_client(claims: &ForeignClaims, client: &Client) -> Result<(), Denied> {
    let is_it = |said: &str| said == client.agent.id.as_str() || said == client.agent.name.as_str();
    if !claims.text("client_id").is_some_and(is_it) {
        let text = "the assertion is for another client: its `client_id` is not the one that has proved itself";
        return Err(denied("client-id-other", text));
    }
    // Who acts is named by the provider's own ids, so it gives nothing here: the chain begins with the client that has proved
    // itself.
    let acts = serde_json::from_value::<Option<Actor>>(claims.all.get("act").cloned().into());
    if !acts.is_ok_and(|act| act.is_none_or(|act| act.depth() <= ACT_DEPTH_MAX)) {
        let text = "the assertion's `act` cannot be read, or is too deep";
        return Err(denied("actor-invalid", text));
    }
    if let Some(cnf) = claims.all.get("cnf") {
        let jkt = cnf.get("jkt").and_then(Value::as_str);
        let bound = client.bound.as_ref().map(|bound| bound.jkt.as_str());
        if jkt.is_none() || jkt != bound {
            let text = "the assertion is bound to a key; send a DPoP proof by that key";
            return Err(denied("dpop-key-other", text));
        }
    }
    if claims.all.contains_key("authorization_details") {
        let text = "the assertion has `authorization_details`, which would be lost; have it made with a scope";
        return Err(denied("authorization-details-unknown", text));
    }
    Ok(())
}

fn person_of(identities: &Identities, claims: &ForeignClaims) -> Result<PersonId, Denied> {
    let text = "this issuer's subject is nobody here; an administrator maps it";
    let found = identities.people.get(&claims.sub);
    found.cloned().ok_or_else(|| denied("person-unknown", text))
}

/// The workflow that is asked for, within what the assertion says.
fn asked_scope(claims: &ForeignClaims, asked: &Scope) -> Result<Option<String>, Denied> {
    let wrong =
        |code: &str, text: &'static str| Denied::new(OAuthErrorCode::InvalidScope, code, text);
    let wanted = Wanted::read(asked)?;
    if wanted.run.is_some() {
        let text = "an assertion starts a run of its own; ask for no 'run:'";
        return Err(wrong("scope-invalid", text));
    }
    let Some(scope) = claims.all.get("scope") else {
        return Ok(wanted.workflow);
    };
    let said = scope.as_str().unwrap_or_default();
    let mut said = said.split(' ').filter_map(|s| s.strip_prefix("workflow:"));
    match wanted.workflow {
        Some(workflow) if said.any(|name| name == workflow) => Ok(Some(workflow)),
        Some(_) => Err(wrong("wider", "the assertion is for another workflow")),
        None => match (said.next(), said.next()) {
            (Some(only), None) => Ok(Some(only.to_owned())),
            (None, _) => Err(wrong(
                "scope-none",
                "the assertion's `scope` names no workflow of here",
            )),
            _ => Err(wrong(
                "scope-invalid",
                "the assertion names several workflows; ask for one",
            )),
        },
    }
}
