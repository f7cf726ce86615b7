//! Enforcement points: they get a token of their own kind with their own key, and it ends with that key, at once.

use std::sync::Arc;

use aws_lc_rs::digest;
use remit_books::Change;
use remit_domain::containment::Lineage;
use remit_domain::enforcement_point::EnforcementPoint;
use remit_domain::event::{Event, EventKind};
use remit_domain::{
    CredentialId, EnforcementPointId, OrgId, Principal, Refusal, RefusalCode, Timestamp,
};
use remit_ports::store::Once;
use remit_token::client_assertion::{ExpectAssertion, unverified_client_id, verify};
use remit_token::limits::{POINT_TOKEN_TTL_S_MAX, TOKEN_BYTES_MAX};
use remit_token::{
    AccessTokenType, AuthorizationDetails, ClientAuth, ClientCredentials, ClientProof, Expect,
    OAuthErrorCode, PointClaims, PublicJwk, Scope, TokenError, TokenResponse, point_token,
};
use secrecy::{ExposeSecret, SecretString};

use crate::Issuer;
use crate::details;
use crate::door::Denied;
use crate::limits::{CLIENT_LEEWAY_SECS, NODE_LEEWAY_SECS, ONCE_MARGIN_SECS};
use crate::refusal::no;
use crate::spent::spent;

/// Where a point's tokens are good, below the issuer.
const PATH: &str = "/access/v1";

/// An enforcement point that has proved which one it is.
#[derive(Debug, Clone)]
pub struct VerifiedPoint {
    /// The point, as the registry has it now.
    pub point: Arc<EnforcementPoint>,
    /// Thumbprint of the key that asked for its token.
    pub thumbprint: String,
    /// When its token ends.
    pub expires: Timestamp,
}

fn unauthenticated(text: impl Into<String>) -> Refusal {
    no(RefusalCode::Unauthenticated, text)
}

/// The point that an assertion claims to be from; none for any other client. Nothing is proved yet.
pub(crate) fn claimed(auth: &ClientAuth) -> Option<EnforcementPointId> {
    let ClientProof::PrivateKeyJwt(assertion) = &auth.proof else {
        return None;
    };
    let claimed = unverified_client_id(assertion.expose_secret()).ok()?;
    claimed.as_str().parse().ok()
}

impl Issuer {
    /// Address at which points' tokens are good, which is the base of the AuthZEN endpoints.
    ///
    /// # Errors
    /// As [`Self::issuer_url`].
    pub fn decision_point_url(&self, org: &OrgId) -> Result<String, Refusal> {
        Ok(format!("{}{PATH}", self.issuer_url(org)?))
    }

    /// Answers a token request of an enforcement point.
    pub(crate) async fn point_token(
        &self,
        org: &OrgId,
        id: &EnforcementPointId,
        request: &ClientCredentials,
    ) -> Result<TokenResponse, Denied> {
        let (thumbprint, once) = self.authenticate_point(org, id, &request.client)?;
        let by = |denied: Denied| denied.about(id);
        if !request.scope.is_empty() {
            let text = "an enforcement point has no scopes; leave `scope` out";
            return Err(by(Denied::new(
                OAuthErrorCode::InvalidScope,
                "scope-invalid",
                text,
            )));
        }
        if !request.authorization_details.is_empty() {
            let text = "an enforcement point calls no tools; leave `authorization_details` out";
            let error = OAuthErrorCode::InvalidAuthorizationDetails;
            return Err(by(Denied::new(error, details::INVALID, text)));
        }
        let audience = self.decision_point_url(org)?;
        if request.resource.iter().any(|asked| *asked != audience) {
            let text = "the token of an enforcement point is good at `{issuer}/access/v1` only";
            return Err(by(Denied::new(
                OAuthErrorCode::InvalidTarget,
                "not-found",
                text,
            )));
        }
        let now = self.books().now();
        let claims = PointClaims {
            iss: self.issuer_url(org)?,
            sub: id.to_string(),
            client_id: id.to_string(),
            aud: audience,
            exp: now.plus_secs(POINT_TOKEN_TTL_S_MAX).as_secs(),
            iat: now.as_secs(),
            jti: self.books().id(CredentialId::from_uuid).to_string(),
            org: org.to_string(),
            key: thumbprint.clone(),
        };
        let keys = self.org_keys(org).await.map_err(|r| by(r.into()))?;
        let signed = point_token::sign(&claims, keys.signing()?).map_err(|error| {
            by(no(RefusalCode::CredentialUnavailable, error.to_string()).into())
        })?;
        let kind = EventKind::EnforcementPointTokenIssued;
        let event = Event::new(kind, now, Principal::Remit)
            .about(id)
            .fact("token", &claims.jti)
            .fact("key", &thumbprint)
            .fact("expires", Timestamp::from_secs(claims.exp));
        let change = Change::new().event(event).once(once);
        let committed = self.books().commit(org, change).await;
        committed.map_err(|error| by(spent(error)))?;
        let life = claims.exp.saturating_sub(claims.iat);
        Ok(TokenResponse {
            access_token: SecretString::from(signed),
            issued_token_type: None,
            token_type: AccessTokenType::Bearer,
            expires_in: u32::try_from(life).unwrap_or(0),
            scope: Scope::default(),
            authorization_details: AuthorizationDetails::default(),
        })
    }

    /// Authenticates a point by its assertion. What went wrong before the proof is never told.
    fn authenticate_point(
        &self,
        org: &OrgId,
        id: &EnforcementPointId,
        auth: &ClientAuth,
    ) -> Result<(String, Once), Denied> {
        let book = self.tenant(org)?;
        let (issuer, endpoint) = (self.issuer_url(org)?, self.token_endpoint(org)?);
        // RFC 7521 §4.2: a client_id beside the assertion must name the same client.
        if auth
            .client_id
            .as_deref()
            .is_some_and(|said| said != id.as_str())
        {
            return Err(Denied::client("client-id-other"));
        }
        let point = book.registry().enforcement_points.get(id).cloned();
        let point = point.ok_or_else(|| Denied::client("client-unknown"))?;
        let keys: Vec<PublicJwk> = point
            .keys
            .iter()
            .filter_map(|key| PublicJwk::from_json(&key.jwk.to_string()).ok())
            .collect();
        let expect = ExpectAssertion {
            client_id: id.as_str(),
            audiences: &[&issuer, &endpoint],
            now: self.books().now().as_secs(),
            leeway_s: CLIENT_LEEWAY_SECS,
        };
        let ClientProof::PrivateKeyJwt(assertion) = &auth.proof else {
            return Err(Denied::client("client-method-other"));
        };
        let proved = verify(assertion.expose_secret(), &keys, &expect)
            .map_err(|error| Denied::client(error.code()).about(id))?;
        let thumbprint = proved.jkt.as_str().to_owned();
        self.standing_point(org, id, &thumbprint)
            .map_err(|refusal| Denied::proved(refusal).about(id))?;
        self.within_rate(id.as_str())
            .map_err(|refusal| Denied::from(refusal).about(id))?;
        let once = Once {
            key: format!("assertion:{id}:{}", proved.jti),
            until: Timestamp::from_secs(proved.exp).plus_secs(ONCE_MARGIN_SECS),
        };
        self.books().note_use(org, &thumbprint);
        Ok((thumbprint, once))
    }

    /// The point, when it may ask and this key is one of its keys.
    fn standing_point(
        &self,
        org: &OrgId,
        id: &EnforcementPointId,
        thumbprint: &str,
    ) -> Result<Arc<EnforcementPoint>, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        registry.not_held(|| Lineage::of_credentials([thumbprint, id.as_str()]))?;
        match registry.enforcement_points.get(id) {
            Some(point) if !point.enabled => Err(unauthenticated(
                "this enforcement point is out of use; an administrator has to enable it",
            )),
            Some(point) if point.holds(thumbprint) => Ok(Arc::clone(point)),
            Some(_) => Err(unauthenticated(
                "the key that asked for this token was removed; get a token with another key",
            )),
            None => Err(unauthenticated("no such enforcement point is here")),
        }
    }

    /// Checks the token of an enforcement point. Signatures are remembered; everything else is looked up on every use.
    ///
    /// # Errors
    /// `unauthenticated` for anything but an unexpired token of this kind, organization and address, whose key the point still
    /// holds; `contained`; `snapshot-stale`.
    pub async fn verify_point(&self, org: &OrgId, token: &str) -> Result<VerifiedPoint, Refusal> {
        self.fresh()?;
        let claims = self.point_claims(org, token).await?;
        let expires = Timestamp::from_secs(claims.exp);
        if self.books().now() >= expires {
            return Err(unauthenticated("the token has expired; get a new one"));
        }
        let id = claims.sub.parse::<EnforcementPointId>();
        let id = id.map_err(|_| unauthenticated("the token names nothing that is here"))?;
        Ok(VerifiedPoint {
            point: self.standing_point(org, &id, &claims.key)?,
            thumbprint: claims.key.clone(),
            expires,
        })
    }

    /// Whether a point that has proved itself may still tell what came of its calls, on a connection that outlives its token:
    /// it is in use and holds that key, and neither is contained.
    ///
    /// # Errors
    /// As [`Self::verify_point`].
    pub fn point_stands(&self, org: &OrgId, point: &VerifiedPoint) -> Result<(), Refusal> {
        self.fresh()?;
        self.standing_point(org, &point.point.id, &point.thumbprint)
            .map(drop)
    }

    fn fresh(&self) -> Result<(), Refusal> {
        if self.books().store().is_fresh() {
            return Ok(());
        }
        let text = "changes of other nodes do not arrive; nothing is served until they do";
        Err(no(RefusalCode::SnapshotStale, text))
    }

    async fn point_claims(&self, org: &OrgId, token: &str) -> Result<Arc<PointClaims>, Refusal> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(unauthenticated("this is no token of an enforcement point"));
        }
        let key = digest_of(org, token);
        if let Some(known) = self.inner.points.get(&key) {
            return Ok(known);
        }
        let (issuer, audience) = (self.issuer_url(org)?, self.decision_point_url(org)?);
        let expect = Expect {
            issuer: &issuer,
            audiences: &[&audience],
            now: self.books().now().as_secs(),
            leeway_s: NODE_LEEWAY_SECS,
        };
        let keys = self.org_keys(org).await?;
        let claims = match point_token::verify(token, |kid| keys.jwks.find(kid), &expect) {
            Err(TokenError::KeyUnknown) => {
                let keys = self.org_keys_again(org).await?;
                point_token::verify(token, |kid| keys.jwks.find(kid), &expect)
            }
            other => other,
        };
        let claims = claims.map_err(|error| unauthenticated(error.to_string()))?;
        if claims.org != org.as_str() {
            return Err(unauthenticated("the token is of another organization"));
        }
        let claims = Arc::new(claims);
        self.inner.points.insert(key, Arc::clone(&claims));
        Ok(claims)
    }

    /// Records that an enforcement point was refused before anything was decided for it.
    pub async fn refuse_point(
        &self,
        org: &OrgId,
        door: &'static str,
        point: Option<&EnforcementPointId>,
        refusal: Refusal,
    ) -> Refusal {
        let about = point.map(EnforcementPointId::as_str);
        self.record_refusal(org, door, refusal.code.as_str(), about, None, None)
            .await;
        refusal
    }
}

fn digest_of(org: &OrgId, token: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(org.as_str().as_bytes());
    context.update(b"\0");
    context.update(token.as_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}
