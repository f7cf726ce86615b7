//! WIT-SVIDs: a SPIFFE ID and the key of the workload that has it, as a JWT. Good only together with a proof by that key.
//!
//! Source: WIT-SVID §2 (header), §3 (claims); draft-ietf-wimse-workload-creds (`cnf.jwk`). Signed with a key that signs nothing
//! else, published in the bundle of the trust domain with `use` `wit-svid`.

#[cfg(test)]
mod tests;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::claims::{check_id, check_span};
use crate::error::TokenError;
use crate::jws;
use crate::keys::{KeyAlgorithm, PublicJwk, SigningKey};
use crate::limits::WIT_SVID_TTL_S_MAX;
use crate::spiffe_id::SpiffeId;

/// The `typ` of a WIT-SVID (WIT-SVID §2.2).
pub const TYP: &str = "wit+jwt";

/// The claims of a WIT-SVID. Times are seconds since 1970-01-01 UTC. It has no audience: that is for the proof to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WitSvidClaims {
    /// The trust domain: no address at which OpenID Connect metadata could be looked for (WIT-SVID §3.7).
    pub iss: SpiffeId,
    /// Whose it is.
    pub sub: SpiffeId,
    /// The key whose holder it is good for.
    pub cnf: WorkloadKey,
    /// When it ends.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its id, unique at the issuer.
    pub jti: String,
}

/// The `cnf` of a WIT-SVID: the key itself, with the algorithm that its holder signs proofs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkloadKey(pub PublicJwk);

impl Serialize for WorkloadKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("jwk", &Named(&self.0))?;
        map.end()
    }
}

struct Named<'a>(&'a PublicJwk);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.write_members(&mut map)?;
        map.serialize_entry("alg", self.0.algorithm().as_str())?;
        map.end()
    }
}

impl WitSvidClaims {
    fn check(&self) -> Result<(), TokenError> {
        let wrong = |name, problem| Err(TokenError::ClaimInvalid { name, problem });
        check_id("jti", &self.jti)?;
        if self.sub.path().is_empty() {
            return wrong("sub", "the trust domain itself, not a workload");
        }
        if !self.iss.path().is_empty() || self.iss.trust_domain() != self.sub.trust_domain() {
            return wrong("iss", "not the trust domain of the workload");
        }
        if self.cnf.0.algorithm() != KeyAlgorithm::Es256 {
            return wrong("cnf", "not a key on P-256");
        }
        check_span(self.iat, self.exp, WIT_SVID_TTL_S_MAX)
    }
}

/// Signs a WIT-SVID with ES256.
///
/// # Errors
/// `ClaimInvalid`, also for a key that is not on P-256 (the specification knows no EdDSA); `LifetimeTooLong`, `TooLarge`,
/// `SigningFailed`.
pub fn sign(claims: &WitSvidClaims, key: &SigningKey) -> Result<String, TokenError> {
    claims.check()?;
    jws::seal(TYP, claims, key)
}
