//! Token exchange (RFC 8693): a person's word becomes a token of the agent it names, and a parent's token becomes a
//! subject token for its sub-agent.
//!
//! Only the client named in `may_act`, or the current actor of the subject token, may exchange. A personal token is never
//! a subject token.

use std::sync::Arc;

use remit_books::hop::HopKind;
use remit_domain::delegation::{Delegation, DelegationUse};
use remit_domain::{AgentId, OrgId, RefusalCode, RunId};
use remit_token::{
    AccessTokenType, OAuthError, OAuthErrorCode, Scope, TokenExchange, TokenResponse, TokenType,
    opaque_secret,
};
use secrecy::ExposeSecret;

use crate::client::{Client, permitted};
use crate::door::Denied;
use crate::dpop::holds;
use crate::mint::{ActingFor, Ask};
use crate::refusal::no;
use crate::scope::Wanted;
use crate::subject::once_of;
use crate::{Issuer, SpawnRequest, details};

fn invalid(text: &'static str) -> Denied {
    Denied::new(OAuthErrorCode::InvalidRequest, "exchange-invalid", text)
}

pub(crate) fn grant(code: &str, text: &'static str) -> Denied {
    Denied::new(OAuthErrorCode::InvalidGrant, code, text)
}

impl Issuer {
    pub(crate) async fn exchange(
        &self,
        org: &OrgId,
        request: &TokenExchange,
        proof: Option<&str>,
    ) -> Result<TokenResponse, Denied> {
        let client = self.authenticate_with(org, &request.client, proof).await?;
        let agent = client.agent.id.clone();
        self.exchange_as(org, client, request)
            .await
            .map_err(|denied| denied.by(&agent))
    }

    async fn exchange_as(
        &self,
        org: &OrgId,
        client: Client,
        request: &TokenExchange,
    ) -> Result<TokenResponse, Denied> {
        let subject = request.subject_token.expose_secret();
        if opaque_secret::has_prefix(subject) {
            let agent = &client.agent;
            self.person_token_at_agent(org, subject, Some(agent)).await;
            let text = "a personal token is never accepted as a subject token; get one with `remit delegation grant`";
            return Err(grant("personal-token", text));
        }
        if request.actor_token.is_some() {
            return Err(invalid(
                "the actor is the client that authenticates; leave 'actor_token' out",
            ));
        }
        let kind = request.requested_token_type;
        match (request.subject_token_type, request.audience.as_slice()) {
            (TokenType::Jwt, []) if matches!(kind, None | Some(TokenType::AccessToken)) => {
                self.redeem(org, client, request).await
            }
            (TokenType::AccessToken, []) if matches!(kind, None | Some(TokenType::AccessToken)) => {
                self.narrow_resource(org, client, request).await
            }
            (TokenType::AccessToken, [child]) if matches!(kind, None | Some(TokenType::Jwt)) => {
                self.spawn_by_exchange(org, client, request, child).await
            }
            (TokenType::AccessToken, [server]) if kind == Some(TokenType::IdJag) => {
                self.assert_identity(org, client, request, server).await
            }
            (TokenType::Jwt | TokenType::AccessToken, [] | [_]) => Err(invalid(
                "this 'requested_token_type' or 'audience' does not go with this subject token",
            )),
            (TokenType::Jwt | TokenType::AccessToken, _) => Err(invalid(
                "one sub-agent is spawned at a time; name one 'audience'",
            )),
            _ => Err(invalid(
                "the subject token is a delegation assertion (jwt) or the client's own access token",
            )),
        }
    }

    /// A delegation assertion is redeemed by the agent that it names.
    async fn redeem(
        &self,
        org: &OrgId,
        client: Client,
        request: &TokenExchange,
    ) -> Result<TokenResponse, Denied> {
        let claims = self
            .subject_claims(org, request.subject_token.expose_secret())
            .await?;
        let wanted = Wanted::read(&request.scope)?;
        let resource = self.resource_asked(org, &request.resource)?;
        let (named, link) = self.subject_link(org, &client.agent.id, &claims)?;
        let workflow = self
            .tenant(org)?
            .registry()
            .standing_workflow(&client.agent.id, &named)?;
        if wanted
            .workflow
            .is_some_and(|name| name != workflow.name.as_str())
        {
            return Err(no(
                RefusalCode::WorkflowUnknown,
                "the subject token is for another workflow",
            )
            .into());
        }
        let ask = Ask {
            details: details::read(&request.authorization_details)?,
            client,
            workflow,
            resource,
            once: vec![once_of(&claims)],
            not_after: None,
            from: None,
            kind: match link.kind {
                DelegationUse::SubAgent => HopKind::SubAgent,
                DelegationUse::Interactive | DelegationUse::Standing => HopKind::Assertion,
            },
        };
        match link.kind {
            DelegationUse::Interactive => self.redeem_of_person(org, wanted.run, link, ask).await,
            DelegationUse::SubAgent => {
                let run = self.run_of_link(org, &link)?;
                if wanted.run.is_some_and(|wanted| wanted != run) {
                    return Err(no(
                        RefusalCode::RunUnknown,
                        "the subject token is for another run",
                    )
                    .into());
                }
                self.issue_in(org, &run, ask).await
            }
            DelegationUse::Standing => Err(grant(
                "standing",
                "a standing delegation starts runs by itself; it is not exchanged",
            )),
        }
    }

    async fn redeem_of_person(
        &self,
        org: &OrgId,
        run: Option<RunId>,
        link: Arc<Delegation>,
        ask: Ask,
    ) -> Result<TokenResponse, Denied> {
        let Some(run) = run else {
            let person = Some(link.person.clone());
            return self
                .issue_implicit(org, ActingFor::person(person, vec![link]), ask)
                .await;
        };
        let same = self
            .tenant(org)?
            .registry()
            .runs
            .get(&run)
            .is_some_and(|r| r.chain.iter().eq([&link.id]));
        if !same {
            let text = "no run of this agent under this delegation goes on with that id";
            return Err(no(RefusalCode::RunUnknown, text).into());
        }
        self.issue_in(org, &run, ask).await
    }

    /// The client's own access token becomes one for a narrower resource, for fewer tools, or for a new run below its own, which
    /// ends no later.
    async fn narrow_resource(
        &self,
        org: &OrgId,
        client: Client,
        request: &TokenExchange,
    ) -> Result<TokenResponse, Denied> {
        let subject = self.own_access_token(org, &client, request).await?;
        let wanted = Wanted::read_below(&request.scope)?;
        let resource = self.resource_asked(org, &request.resource)?;
        if !subject.resource.covers(&resource) {
            let text = "the subject token is for a narrower resource";
            return Err(Denied::new(OAuthErrorCode::InvalidTarget, "wider", text));
        }
        let workflow = self
            .tenant(org)?
            .registry()
            .standing_workflow(&client.agent.id, &subject.workflow)?;
        let other = wanted
            .workflow
            .is_some_and(|name| name != workflow.name.as_str())
            || wanted.run.is_some_and(|run| run != subject.run);
        if other {
            return Err(Denied::new(
                OAuthErrorCode::InvalidScope,
                "wider",
                "the subject token is for another workflow or run",
            ));
        }
        let ask = Ask {
            details: details::read(&request.authorization_details)?,
            client,
            workflow,
            resource,
            once: Vec::new(),
            not_after: Some(subject.expires),
            from: Some(subject.token.clone()),
            kind: HopKind::Exchange,
        };
        match wanted.new_run {
            true => self.issue_child(org, &subject.run, ask).await,
            false => self.issue_in(org, &subject.run, ask).await,
        }
    }

    /// A parent asks for its sub-agent's subject token: `audience` is the sub-agent, `scope` its workflow.
    async fn spawn_by_exchange(
        &self,
        org: &OrgId,
        client: Client,
        request: &TokenExchange,
        child: &str,
    ) -> Result<TokenResponse, Denied> {
        let parent = self.own_access_token(org, &client, request).await?;
        if !request.resource.is_empty() {
            return Err(invalid(
                "the sub-agent names the resource when it redeems its subject token",
            ));
        }
        let unknown = || {
            Denied::new(
                OAuthErrorCode::InvalidTarget,
                "not-found",
                "the 'audience' is not the client id of an agent here",
            )
        };
        let agent: AgentId = child.parse().map_err(|_| unknown())?;
        let wanted = Wanted::read(&request.scope)?;
        let (Some(name), None) = (&wanted.workflow, &wanted.run) else {
            let text = "name the sub-agent's workflow with 'workflow:<name>', and no run";
            return Err(Denied::new(
                OAuthErrorCode::InvalidScope,
                "scope-invalid",
                text,
            ));
        };
        let workflow = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let found = registry
                .workflow_named(&agent, name)
                .map(|workflow| workflow.id.clone());
            found.ok_or_else(|| {
                Denied::from(no(
                    RefusalCode::WorkflowUnknown,
                    "the sub-agent has no such workflow",
                ))
            })?
        };
        let mut once: Vec<_> = client.once.into_iter().collect();
        once.extend(client.bound.map(|bound| bound.once));
        let asked = details::read(&request.authorization_details)?;
        let narrowed = asked.is_some();
        let spawn = SpawnRequest {
            authority: asked.unwrap_or_default(),
            ..SpawnRequest::new(agent, workflow)
        };
        let spawned = self.spawn_with(org, &parent, spawn, once).await;
        let spawned = spawned.map_err(|denied| match denied.code.as_str() {
            "wider" if narrowed => Denied {
                error: OAuthError::new(
                    OAuthErrorCode::InvalidAuthorizationDetails,
                    denied.error.error_description.clone(),
                ),
                ..denied
            },
            _ => denied,
        })?;
        let granted = narrowed.then(|| details::said(&spawned.delegation.authority));
        let scope = [
            format!("workflow:{name}"),
            format!("run:{}", spawned.run.id),
        ];
        Ok(TokenResponse {
            access_token: spawned.subject_token,
            issued_token_type: Some(TokenType::Jwt),
            token_type: AccessTokenType::NotApplicable,
            expires_in: spawned.expires_in,
            scope: Scope::from_tokens(scope).map_err(|error| invalid_scope(&error))?,
            authorization_details: granted.unwrap_or_default(),
        })
    }

    /// The subject token as an access token whose current actor is this client.
    pub(crate) async fn own_access_token(
        &self,
        org: &OrgId,
        client: &Client,
        request: &TokenExchange,
    ) -> Result<Arc<crate::Verified>, Denied> {
        let token = request.subject_token.expose_secret();
        let verified = self.inspect(org, token).await.map_err(|refused| {
            let run = refused
                .verified
                .as_ref()
                .map(|verified| verified.run.clone());
            let text = refused.refusal.to_string();
            Denied {
                run,
                ..Denied::new(
                    OAuthErrorCode::InvalidGrant,
                    refused.refusal.code.as_str(),
                    text,
                )
            }
        })?;
        if verified.agent != client.agent.id {
            return Err(grant(
                "actor-other",
                "the subject token is another agent's; only its current actor may exchange it",
            ));
        }
        holds(&verified, client)?;
        let book = self.tenant(org)?;
        let workflow = book
            .registry()
            .standing_workflow(&verified.agent, &verified.workflow)?;
        permitted(client, &workflow, self.bound_only(org)?)?;
        Ok(verified)
    }
}

fn invalid_scope(error: &remit_token::ScopeError) -> Denied {
    Denied::new(
        OAuthErrorCode::InvalidScope,
        "scope-invalid",
        error.to_string(),
    )
}
