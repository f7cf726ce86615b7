//! Binding a request for access to the denial it follows from (AuthZEN Access Request and Approval Profile, draft 1).

use remit_domain::{EnforcementPointId, OrgId, Refusal, RefusalCode, Timestamp};
use remit_token::limits::{DENIAL_TOKEN_TTL_S_MAX, TOKEN_BYTES_MAX};
use remit_token::{DenialClaims, Expect, TokenError, denial_token};

use crate::Issuer;
use crate::limits::NODE_LEEWAY_SECS;
use crate::refusal::no;

/// A denial that a person can turn, bound to what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundDenial {
    /// Id of the evaluation.
    pub evaluation: String,
    /// The token that binds a request to it.
    pub token: String,
    /// Until when access can be asked for.
    pub expires: Timestamp,
}

/// Why a request for access does not follow from a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// The denial is too long ago.
    Expired,
    /// It is no denial of this question to this point.
    Invalid,
}

impl Issuer {
    /// Binds a denial.
    ///
    /// - `question`: SHA-256 (hex) over what was asked.
    ///
    /// # Errors
    /// When the organization has no key to sign with.
    pub async fn bind_denial(
        &self,
        org: &OrgId,
        point: &EnforcementPointId,
        question: &str,
    ) -> Result<BoundDenial, Refusal> {
        let now = self.books().now();
        let expires = now.plus_secs(DENIAL_TOKEN_TTL_S_MAX);
        let random: [u8; 16] = self.books().random();
        let evaluation = format!("eval_{:032x}", u128::from_be_bytes(random));
        let claims = DenialClaims {
            iss: self.issuer_url(org)?,
            sub: point.to_string(),
            aud: format!("{}/requests", self.decision_point_url(org)?),
            exp: expires.as_secs(),
            iat: now.as_secs(),
            jti: evaluation.clone(),
            org: org.to_string(),
            question: question.to_owned(),
        };
        let keys = self.org_keys(org).await?;
        let token = denial_token::sign(&claims, keys.signing()?)
            .map_err(|e| no(RefusalCode::CredentialUnavailable, e.to_string()))?;
        Ok(BoundDenial {
            evaluation,
            token,
            expires: Timestamp::from_secs(claims.exp),
        })
    }

    /// Whether a token binds a request for access to a denial of this question to this point; the id of the evaluation.
    ///
    /// # Errors
    /// [`Unbound`].
    pub async fn bound_denial(
        &self,
        org: &OrgId,
        point: &EnforcementPointId,
        question: &str,
        token: &str,
    ) -> Result<String, Unbound> {
        let invalid = |_| Unbound::Invalid;
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(Unbound::Invalid);
        }
        let issuer = self.issuer_url(org).map_err(invalid)?;
        let audience = format!(
            "{}/requests",
            self.decision_point_url(org).map_err(invalid)?
        );
        let expect = Expect {
            issuer: &issuer,
            audiences: &[&audience],
            now: self.books().now().as_secs(),
            leeway_s: NODE_LEEWAY_SECS,
        };
        let keys = self.org_keys(org).await.map_err(invalid)?;
        let claims = match denial_token::verify(token, |kid| keys.jwks.find(kid), &expect) {
            Ok(claims) => claims,
            Err(TokenError::Expired) => return Err(Unbound::Expired),
            Err(_) => return Err(Unbound::Invalid),
        };
        let same = claims.org == org.as_str()
            && claims.sub == point.as_str()
            && claims.question == question;
        if same {
            Ok(claims.jti)
        } else {
            Err(Unbound::Invalid)
        }
    }
}
