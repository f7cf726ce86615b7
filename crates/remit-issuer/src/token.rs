//! The token endpoint (RFC 6749 §3.2).

use remit_books::hop::HopKind;
use remit_domain::OrgId;
use remit_token::{ClientCredentials, OAuthError, OAuthErrorCode, TokenRequest, TokenResponse};

use crate::door::Denied;
use crate::dpop::NONCE_MISSING;
use crate::mint::{ActingFor, Ask};
use crate::scope::Wanted;
use crate::{Issuer, details, enforcement_point};

impl Issuer {
    /// Answers a token request. The token is recorded when this returns; so is a refusal.
    ///
    /// - `request`: of known shape and within limits, nothing in it verified.
    /// - returns: an access token of at most five minutes for one workflow, one run and one resource; or, to a parent that
    ///   names a sub-agent as `audience`, a single-use subject token for that sub-agent.
    ///
    /// # Errors
    /// [`OAuthError`] as in RFC 6749 §5.2; the description begins with Remit's own refusal code where there is one.
    pub async fn token(
        &self,
        org: &OrgId,
        request: &TokenRequest,
    ) -> Result<TokenResponse, OAuthError> {
        self.token_with_proof(org, request, None).await
    }

    /// The same with a DPoP proof beside it, to whose key the token is then bound (RFC 9449 §5). Without a nonce in the proof
    /// the answer is `use_dpop_nonce`.
    ///
    /// - `proof`: the one `DPoP` header of the request.
    ///
    /// # Errors
    /// As [`Self::token`]; `invalid_dpop_proof`, `use_dpop_nonce`.
    pub async fn token_with_proof(
        &self,
        org: &OrgId,
        request: &TokenRequest,
        proof: Option<&str>,
    ) -> Result<TokenResponse, OAuthError> {
        let answer = match request {
            TokenRequest::ClientCredentials(request) => {
                match enforcement_point::claimed(&request.client) {
                    Some(point) if proof.is_none() => self.point_token(org, &point, request).await,
                    Some(point) => Err(point_unbound().about(&point)),
                    None => self.client_credentials(org, request, proof).await,
                }
            }
            TokenRequest::AuthorizationCode(request) => self.redeem_code(org, request, proof).await,
            TokenRequest::TokenExchange(request) => self.exchange(org, request, proof).await,
            TokenRequest::JwtBearer(request) => self.jwt_bearer(org, request, proof).await,
        };
        match answer {
            Ok(response) => Ok(response),
            // A first proof has no nonce yet: that is how it gets one, and nothing to record.
            Err(denied) if denied.code == NONCE_MISSING => Err(denied.error),
            Err(denied) => Err(self.deny(org, "token", denied).await),
        }
    }

    /// A client acts for itself, or goes on in a run of its own (RFC 6749 §4.4).
    async fn client_credentials(
        &self,
        org: &OrgId,
        request: &ClientCredentials,
        proof: Option<&str>,
    ) -> Result<TokenResponse, Denied> {
        let client = self.authenticate_with(org, &request.client, proof).await?;
        let agent = client.agent.id.clone();
        let wanted = Wanted::read(&request.scope).map_err(|denied| denied.by(&agent))?;
        let resource = self
            .resource_asked(org, &request.resource)
            .map_err(|refusal| Denied::from(refusal).by(&agent))?;
        let workflow = match (&wanted.workflow, &client.svid) {
            (None, Some(svid)) => {
                let book = self.tenant(org)?;
                let found = book.registry().standing_workflow(&agent, &svid.workflow);
                found.map_err(|refusal| Denied::from(refusal).by(&agent))?
            }
            (named, _) => self.workflow_wanted(org, &agent, named.as_deref())?,
        };
        let asked = details::read(&request.authorization_details);
        let ask = Ask {
            details: asked.map_err(|denied| denied.by(&agent))?,
            client,
            workflow,
            resource,
            once: Vec::new(),
            not_after: None,
            from: None,
            kind: HopKind::ClientCredentials,
        };
        match wanted.run {
            Some(run) => self.issue_in(org, &run, ask).await,
            None => {
                self.issue_implicit(org, ActingFor::person(None, Vec::new()), ask)
                    .await
            }
        }
    }
}

fn point_unbound() -> Denied {
    let text = "the token of an enforcement point is bound to no key; leave the DPoP proof out";
    Denied::new(OAuthErrorCode::InvalidDpopProof, "dpop-point", text)
}
