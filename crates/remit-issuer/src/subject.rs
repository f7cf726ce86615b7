//! Subject tokens, as they come back: whether one is for this client, and whether what it rests on still counts.

use std::sync::Arc;

use remit_domain::delegation::{Delegation, DelegationUse};
use remit_domain::{AgentId, OrgId, Refusal, RefusalCode, RunId, Timestamp, WorkflowId};
use remit_ports::store::Once;
use remit_token::{DelegationClaims, Expect, TokenError, subject_token};

use crate::Issuer;
use crate::door::Denied;
use crate::exchange::grant;
use crate::limits::{NODE_LEEWAY_SECS, ONCE_MARGIN_SECS};
use crate::refusal::no;

impl Issuer {
    /// The delegation behind a person's subject token for this agent and workflow, and the use to be consumed.
    pub(crate) async fn subject_of_person(
        &self,
        org: &OrgId,
        agent: &AgentId,
        workflow: &WorkflowId,
        token: &str,
    ) -> Result<(Arc<Delegation>, Once), Refusal> {
        let refused = |denied: Denied| {
            no(
                RefusalCode::ChainBroken,
                denied.error.error_description.into_owned(),
            )
        };
        let claims = self.subject_claims(org, token).await.map_err(refused)?;
        let (named, link) = self.subject_link(org, agent, &claims).map_err(refused)?;
        if named != *workflow || link.kind != DelegationUse::Interactive {
            return Err(no(
                RefusalCode::ChainBroken,
                "the subject token is for another workflow or use",
            ));
        }
        Ok((link, once_of(&claims)))
    }

    /// What a subject token says, once its signature, audience and times hold.
    pub(crate) async fn subject_claims(
        &self,
        org: &OrgId,
        token: &str,
    ) -> Result<DelegationClaims, Denied> {
        let (issuer, endpoint) = (self.issuer_url(org)?, self.token_endpoint(org)?);
        let audiences = [endpoint.as_str()];
        let now = self.books().now().as_secs();
        let expect = Expect {
            issuer: &issuer,
            audiences: &audiences,
            now,
            leeway_s: NODE_LEEWAY_SECS,
        };
        let keys = self.org_keys(org).await?;
        let claims = match subject_token::verify(token, |kid| keys.jwks.find(kid), &expect) {
            Err(TokenError::KeyUnknown) => {
                let keys = self.org_keys_again(org).await?;
                subject_token::verify(token, |kid| keys.jwks.find(kid), &expect)
            }
            other => other,
        };
        let claims = claims.map_err(|error| Denied::subject(&error))?;
        if claims.org != org.as_str() || claims.exp <= now {
            return Err(grant(
                "token-expired",
                "the subject token has expired; get a new one",
            ));
        }
        Ok(claims)
    }

    /// The delegation that a subject token rests on, when it is for this client and still counts.
    pub(crate) fn subject_link(
        &self,
        org: &OrgId,
        client: &AgentId,
        claims: &DelegationClaims,
    ) -> Result<(WorkflowId, Arc<Delegation>), Denied> {
        let workflow = claims.may_act.workflow.as_deref().unwrap_or_default();
        if !claims.may_act.names(client.as_str(), workflow) {
            return Err(grant(
                "may-act-other",
                "the subject token names another agent; only that one may exchange it",
            ));
        }
        let unknown = || {
            grant(
                "subject-unknown",
                "the subject token names nothing that is here",
            )
        };
        let workflow: WorkflowId = workflow.parse().map_err(|_| unknown())?;
        let id = claims.delegation.parse().map_err(|_| unknown())?;
        let book = self.tenant(org)?;
        let registry = book.registry();
        let broken = || {
            Denied::from(no(
                RefusalCode::ChainBroken,
                "the delegation was revoked or has ended; ask the person to delegate again",
            ))
        };
        let link = registry.delegations.get(&id).ok_or_else(broken)?;
        let fits =
            link.to == *client && link.workflow == workflow && link.person.as_str() == claims.sub;
        if !fits || !link.is_live(self.books().now()) {
            return Err(broken());
        }
        if !registry
            .people
            .get(&link.person)
            .is_some_and(|person| person.is_active())
        {
            return Err(broken());
        }
        Ok((workflow, Arc::clone(link)))
    }

    /// The run that was started with a sub-agent's delegation.
    pub(crate) fn run_of_link(&self, org: &OrgId, link: &Delegation) -> Result<RunId, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let found = registry
            .runs
            .values()
            // A run that was only narrowed from it has the same chain, and a key of its own.
            .find(|run| {
                run.agent == link.to
                    && run.chain.last() == Some(&link.id)
                    && run.implicit_key.is_none()
            });
        found
            .map(|run| run.id.clone())
            .ok_or_else(|| no(RefusalCode::RunEnded, "the sub-agent's run has ended"))
    }
}

/// The use of a subject token.
pub(crate) fn once_of(claims: &DelegationClaims) -> Once {
    let until = Timestamp::from_secs(claims.exp).plus_secs(ONCE_MARGIN_SECS);
    Once {
        key: format!("subject:{}", claims.jti),
        until,
    }
}
