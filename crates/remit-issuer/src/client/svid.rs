//! Attested workloads as clients: an SVID of ours is the proof (draft-ietf-oauth-spiffe-client-auth).
//!
//! Only an SVID whose workload was attested, and whose attester had proved its key, is one: otherwise a stolen access token would
//! buy a proof that buys the next one, and a narrowed token one that is not. What is got with it stays within it: it is for the
//! same workflow, ends with it, and falls with it.

use remit_domain::attestation::Trust;
use remit_domain::credential::{Svid, SvidForm};
use remit_domain::{CredentialId, OrgId, Refusal, RefusalCode, Timestamp};
use remit_ports::store::Once;
use remit_token::ClientAuth;
use remit_token::jwt_svid::{ExpectSvid, verify};

use super::{Client, SvidShown};
use crate::Issuer;
use crate::door::Denied;
use crate::limits::{CLIENT_LEEWAY_SECS, ONCE_MARGIN_SECS};
use crate::refusal::{from_books, no};
use crate::svid::Holder;

impl Issuer {
    /// Authenticates a client by a JWT-SVID that is for this issuer alone.
    pub(super) async fn by_jwt_svid(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        token: &str,
    ) -> Result<Client, Denied> {
        let issuer = self.issuer_url(org)?;
        let domain = self.trust_domain(org)?;
        let keys = self.domain_keys(org).await?;
        let expect = ExpectSvid {
            trust_domain: domain.trust_domain(),
            audience: &issuer,
            sole_audience: true,
            now: self.books().now().as_secs(),
            leeway_s: CLIENT_LEEWAY_SECS,
        };
        let find = |kid: &str| {
            let mut published = keys.bundle.jwt.iter();
            published
                .find(|key| key.thumbprint().as_str() == kid)
                .copied()
        };
        let claims = verify(token, find, &expect).map_err(|error| Denied::client(error.code()))?;
        let id: CredentialId = claims
            .jti
            .parse()
            .map_err(|_| Denied::client("svid-unknown"))?;
        let svid = self.svid_recorded(org, &id).await?;
        if svid.form != SvidForm::Jwt || svid.spiffe_id != claims.sub.to_string() {
            return Err(Denied::client("svid-unknown"));
        }
        let once = Once {
            key: format!("assertion:svid:{id}"),
            until: Timestamp::from_secs(claims.exp).plus_secs(ONCE_MARGIN_SECS),
        };
        self.by_svid(org, auth, svid, Some(once)).await
    }

    /// The client that an SVID whose signature holds proves.
    pub(crate) async fn by_svid(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        svid: Svid,
        once: Option<Once>,
    ) -> Result<Client, Denied> {
        let agent = svid.agent.clone();
        let by = |denied: Denied| denied.by(&agent);
        if let Some(said) = &auth.client_id
            && *said != svid.spiffe_id
            && self.client_called(org, said).ok().as_ref() != Some(&svid.agent)
        {
            return Err(by(Denied::client("client-id-other")));
        }
        let thumbprint = self
            .svid_stands(org, &svid)
            .await
            .map_err(|refusal| by(Denied::proved(refusal)))?;
        let agent = self
            .standing_client(org, &svid.agent, &thumbprint)
            .map_err(|refusal| by(Denied::proved(refusal)))?;
        self.within_rate(svid.agent.as_str())
            .map_err(|refusal| by(refusal.into()))?;
        Ok(Client {
            agent,
            thumbprint,
            once,
            bound: None,
            federated: None,
            document: None,
            certificate: None,
            trust: Trust::Attested,
            svid: Some(SvidShown {
                id: svid.id,
                workflow: svid.workflow,
                expires: svid.expires,
            }),
        })
    }

    async fn svid_recorded(&self, org: &OrgId, id: &CredentialId) -> Result<Svid, Denied> {
        let found = self.books().get::<Svid>(org, id.as_str()).await?;
        let found = found.ok_or_else(|| Denied::client("svid-unknown"))?;
        Ok(found.noun)
    }

    /// Whether an SVID is a proof towards us now, with everything that answers for it; gives the attester's key.
    pub(crate) async fn svid_stands(&self, org: &OrgId, svid: &Svid) -> Result<String, Refusal> {
        let refused = |text: &str| Err(no(RefusalCode::Unauthenticated, text));
        if svid.withdrawn.is_some() {
            return refused("the SVID was withdrawn");
        }
        if self.books().now() >= svid.expires {
            return refused("the SVID has ended; get another one");
        }
        let (Some(_), Some(_), Some(thumbprint)) =
            (&svid.attested, &svid.bound_to, &svid.thumbprint)
        else {
            let text = "only an SVID whose workload was attested proves it here: get it from `remit workload-api`";
            return Err(no(RefusalCode::AttestationRequired, text));
        };
        self.svid_holder(org, &Holder::again(svid)).await?;
        Ok(thumbprint.clone())
    }

    /// Whether the SVID that an access token was got with still stands.
    pub(crate) async fn svid_still_stands(
        &self,
        org: &OrgId,
        id: &CredentialId,
    ) -> Result<(), Refusal> {
        let found = self.books().get::<Svid>(org, id.as_str()).await;
        let Some(found) = found.map_err(from_books)? else {
            let text = "the SVID that the token was got with is not recorded; get a new one";
            return Err(no(RefusalCode::Unauthenticated, text));
        };
        self.svid_stands(org, &found.noun).await.map(drop)
    }
}
