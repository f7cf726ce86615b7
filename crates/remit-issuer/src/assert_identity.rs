//! Identity assertions for others (ID-JAG): an agent that acts for a person gets the word that it does, for one authorization
//! server of somebody else.
//!
//! Source: draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3. Remit is the identity provider's side. The organization's
//! list decides: server, workflow, scopes and resources; the assertion ends no later than the token that asked.

use std::sync::Arc;

use remit_books::hop::{HOP_TRIES, HopKind};
use remit_books::{Change, Hop};
use remit_domain::authority::Authority;
use remit_domain::authorization_server::{AuthorizationServer, ClientThere};
use remit_domain::credential::Token;
use remit_domain::event::{Event, EventKind};
use remit_domain::standing::Standing;
use remit_domain::{CredentialId, OrgId, PersonId, Principal, RefusalCode, Run, Timestamp};
use remit_ports::store::Once;
use remit_token::limits::ID_JAG_TTL_S_MAX;
use remit_token::{
    AccessTokenType, Actor, IdJagClaims, OAuthErrorCode, Scope, TokenExchange, TokenResponse,
    TokenType, id_jag,
};
use secrecy::SecretString;

use crate::client::Client;
use crate::door::Denied;
use crate::hop::{DECIDED_EARLY, too_early};
use crate::mint::actors;
use crate::refusal::no;
use crate::{Issuer, Verified};

fn target(code: &str, text: &'static str) -> Denied {
    Denied::new(OAuthErrorCode::InvalidTarget, code, text)
}

impl Issuer {
    /// The client's own access token, of a run for a person, becomes an identity assertion for `audience`.
    pub(crate) async fn assert_identity(
        &self,
        org: &OrgId,
        client: Client,
        request: &TokenExchange,
        audience: &str,
    ) -> Result<TokenResponse, Denied> {
        let subject = self.own_access_token(org, &client, request).await?;
        let run = subject.run.clone();
        self.assert_for(org, client, request, audience, &subject)
            .await
            .map_err(|denied| Denied {
                run: Some(run),
                ..denied
            })
    }

    async fn assert_for(
        &self,
        org: &OrgId,
        client: Client,
        request: &TokenExchange,
        audience: &str,
        subject: &Verified,
    ) -> Result<TokenResponse, Denied> {
        let Some(person) = &subject.person else {
            let text = "the run acts for nobody; a person has to delegate first";
            return Err(Denied::from(no(RefusalCode::ChainBroken, text)));
        };
        if !request.authorization_details.is_empty() {
            let text = "nothing in 'authorization_details' is asserted; ask with a listed scope";
            return Err(Denied::new(
                OAuthErrorCode::InvalidAuthorizationDetails,
                "details-not-asserted",
                text,
            ));
        }
        let server = self.server_for(org, audience)?;
        let about = |denied: Denied| denied.about(&server.id);
        let there = server
            .client_of(&subject.agent, &subject.workflow)
            .ok_or_else(|| {
                about(target(
                    "workflow-not-for-server",
                    "this workflow may assert nothing to that authorization server",
                ))
            })?;
        let scope = scope_within(there, &request.scope).map_err(about)?;
        let resource = resource_within(there, &request.resource).map_err(about)?;
        let claims = self.identity_claims(org, &server, there, (person, subject), scope, resource);
        self.give_assertion(org, client, &server, subject, claims.await.map_err(about)?)
            .await
            .map_err(about)
    }

    fn server_for(&self, org: &OrgId, audience: &str) -> Result<Arc<AuthorizationServer>, Denied> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let mut all = registry.authorization_servers.values();
        let found = all.find(|server| server.issuer == audience && server.enabled);
        found.cloned().ok_or_else(|| {
            target(
                "audience-not-listed",
                "the 'audience' is not the issuer of an authorization server that is listed here",
            )
        })
    }

    /// Whether less was let than the whole workflow, by the person or by a run above: another server's scopes know nothing of tools,
    /// so that what is narrowed to some would be all of it there.
    fn narrowed(&self, org: &OrgId, standing: &Standing) -> Result<bool, Denied> {
        let now = self.books().now();
        let over = |a: &Authority| a.until.is_some_and(|end| end <= now);
        let narrows = |a: &Authority| {
            a.tools.is_some() || a.effects.is_some() || a.targets.is_some() || over(a)
        };
        let first = standing.chain.first();
        let book = self.tenant(org)?;
        let registry = book.registry();
        let above = |run: &Arc<Run>| registry.runs.get(run.parent.as_ref()?).cloned();
        let mut runs = std::iter::successors(Some(Arc::clone(&standing.run)), above);
        let by_person = first.is_some_and(|l| l.federated.is_some() || narrows(&l.authority));
        Ok(by_person || runs.any(|run| narrows(&run.intent.authority)))
    }

    async fn identity_claims(
        &self,
        org: &OrgId,
        server: &AuthorizationServer,
        there: &ClientThere,
        (person, subject): (&PersonId, &Verified),
        scope: Scope,
        resource: Option<String>,
    ) -> Result<IdJagClaims, Denied> {
        let now = self.books().now();
        let standing = self
            .standing_run(org, &subject.run, Some(&subject.agent))
            .await?;
        if self.narrowed(org, &standing)? {
            return Err(target(
                "wider",
                "what is narrowed to tools, or rests on another provider's word, is not asserted elsewhere",
            ));
        }
        let ends = standing.chain.iter().map(|link| link.expires);
        let ends = ends.chain([standing.run.deadline, subject.expires]);
        let exp = ends.fold(now.plus_secs(ID_JAG_TTL_S_MAX), Timestamp::min);
        let email = standing.person.filter(|_| server.share_email);
        Ok(IdJagClaims {
            iss: self.issuer_url(org)?,
            sub: person.to_string(),
            aud: server.issuer.clone(),
            client_id: there.client_id.clone(),
            jti: self.books().id(CredentialId::from_uuid).to_string(),
            iat: now.as_secs(),
            exp: exp.as_secs(),
            scope,
            resource,
            act: actors(&standing.chain).unwrap_or_else(|| Actor::new(subject.agent.as_str())),
            email: email.map(|person| person.email.to_string()),
        })
    }

    /// Signs, and records it as a credential of the run: it is listed, and a containment says when it ends.
    async fn give_assertion(
        &self,
        org: &OrgId,
        client: Client,
        server: &AuthorizationServer,
        subject: &Verified,
        claims: IdJagClaims,
    ) -> Result<TokenResponse, Denied> {
        let keys = self.org_keys(org).await?;
        let signed = id_jag::sign(&claims, keys.signing()?)
            .map_err(|error| unavailable(error.to_string()))?;
        let id: CredentialId = claims
            .jti
            .parse()
            .map_err(|_| unavailable("no id could be made".to_owned()))?;
        let token = Token {
            client_id: client.document.clone(),
            id: id.clone(),
            agent: subject.agent.clone(),
            workflow: subject.workflow.clone(),
            run: subject.run.clone(),
            person: subject.person.clone(),
            delegation: subject
                .claims
                .delegations
                .last()
                .and_then(|id| id.parse().ok()),
            thumbprint: client.thumbprint.clone(),
            bound_to: None,
            certificate: None,
            from: Some(subject.token.clone()),
            outside: Some(server.id.clone()),
            federated: None,
            trust: client.trust,
            svid: client.svid.as_ref().map(|svid| svid.id.clone()),
            issued: Timestamp::from_secs(claims.iat),
            expires: Timestamp::from_secs(claims.exp),
            revoked: None,
        };
        let once = client.once.into_iter();
        let once: Vec<_> = once.chain(client.bound.map(|bound| bound.once)).collect();
        self.commit_assertion(org, subject, &token, &claims, &once)
            .await?;
        if let Err(refusal) = self.stands_still(org, &token).await {
            self.withdraw(org, &id).await;
            return Err(refusal.into());
        }
        Ok(TokenResponse {
            access_token: SecretString::from(signed),
            issued_token_type: Some(TokenType::IdJag),
            token_type: AccessTokenType::NotApplicable,
            expires_in: u32::try_from(claims.exp.saturating_sub(claims.iat)).unwrap_or(0),
            scope: claims.scope,
            authorization_details: Default::default(),
        })
    }
}

impl Issuer {
    /// Asks the policies and commits, anew where something was taken away meanwhile.
    async fn commit_assertion(
        &self,
        org: &OrgId,
        subject: &Verified,
        token: &Token,
        claims: &IdJagClaims,
        once: &[Once],
    ) -> Result<(), Denied> {
        for _ in 0..HOP_TRIES {
            let standing = self
                .standing_run(org, &subject.run, Some(&subject.agent))
                .await?;
            let hop = Hop {
                trust: Some(token.trust),
                ..Hop::of_token(&standing, HopKind::IdentityAssertion, token.expires)
            };
            let answer = self.may_hop(org, &hop).await?;
            let event = answer.recorded(asserted(self.books().now(), subject, token, claims));
            let change = answer.binds(Change::new().create(token).event(event));
            let change = once.iter().cloned().fold(change, Change::once);
            match self.books().commit(org, change).await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let denied = self.lost(org, error).await;
                    if denied.code != DECIDED_EARLY {
                        return Err(denied);
                    }
                }
            }
        }
        Err(too_early())
    }
}

fn asserted(now: Timestamp, subject: &Verified, token: &Token, claims: &IdJagClaims) -> Event {
    let by = Principal::Agent(subject.agent.clone());
    Event::new(EventKind::IdJagIssued, now, by)
        .about(&token.id)
        .agent(&subject.agent)
        .run(&subject.run)
        .fact("server", &token.outside)
        .fact("workflow", &subject.workflow)
        .fact("person", &subject.person)
        .fact("chain", &subject.claims.delegations)
        .fact("expires", token.expires)
        .content("audience", &claims.aud)
        .content("client_id", &claims.client_id)
        .content("scope", claims.scope.to_string())
        .content("resource", &claims.resource)
}

fn unavailable(why: String) -> Denied {
    let code = OAuthErrorCode::TemporarilyUnavailable;
    Denied::new(code, "credential-unavailable", why)
}

/// The scopes that are asked for, all of which have to be listed; all that are listed where none is asked for.
fn scope_within(there: &ClientThere, asked: &Scope) -> Result<Scope, Denied> {
    if asked.iter().any(|scope| !there.scopes.contains(scope)) {
        let text = "a scope is asked for that is not listed for this workflow at that server";
        return Err(Denied::new(OAuthErrorCode::InvalidScope, "wider", text));
    }
    if !asked.is_empty() {
        return Ok(asked.clone());
    }
    Scope::from_tokens(there.scopes.iter().cloned()).map_err(|error| {
        Denied::new(
            OAuthErrorCode::InvalidScope,
            "scope-invalid",
            error.to_string(),
        )
    })
}

/// The resource that is asked for, which has to be listed; the only one that is listed where none is asked for.
fn resource_within(there: &ClientThere, asked: &[String]) -> Result<Option<String>, Denied> {
    match asked {
        [] if there.resources.len() == 1 => Ok(there.resources.first().cloned()),
        [] if there.resources.is_empty() => Ok(None),
        [] => Err(target(
            "resource-missing",
            "several resources are listed for this workflow at that server; name one 'resource'",
        )),
        [one] if there.resources.contains(one) => Ok(Some(one.clone())),
        [_] => Err(target(
            "wider",
            "the 'resource' is not listed for this workflow at that server",
        )),
        _ => Err(target(
            "wider",
            "an assertion is for one resource; name one 'resource'",
        )),
    }
}
