//! SVIDs: short-lived identities of workloads, in a form that others can check without asking Remit.
//!
//! Each is a record and a ledger entry first, and issued only to what stands in the registry. Asked for with an access
//! token it ends with that token, and it is never good as proof towards Remit itself: a stolen token lives no longer by it.

use std::sync::Arc;

use remit_books::{Change, Versioned};
use remit_domain::attestation::Evidence;
use remit_domain::containment::Lineage;
use remit_domain::credential::{Federated, Svid, SvidForm, Token};
use remit_domain::event::{Event, EventKind};
use remit_domain::limits::{JWT_SVID_SECS, X509_SVID_SECS};
use remit_domain::{
    AgentId, CredentialId, OrgId, Principal, Refusal, RefusalCode, RunId, Timestamp, Workflow,
    WorkflowId,
};
use remit_token::jwt_svid::{self, JwtSvidClaims};
use remit_token::x509_svid::{self, Validity};
use remit_token::{Audience, Confirmation, SpiffeId};
use secrecy::SecretString;

use crate::limits::{AUDIENCE_BYTES_MAX, AUDIENCES_MAX, SVID_BACKDATE_SECS};
use crate::refusal::{from_books, no};
use crate::trust_domain::DomainKeys;
use crate::{Issuer, Verified};

/// This door, in records.
const DOOR: &str = "svid";

/// An X.509-SVID, for its holder alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Svid {
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The certificate, in DER. The authority that signed it is in the bundle.
    pub certificate: Vec<u8>,
    /// When it ends.
    pub expires: Timestamp,
}

/// A JWT-SVID, for its holder alone.
#[derive(Debug, Clone)]
pub struct JwtSvid {
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The token.
    pub token: SecretString,
    /// When it ends.
    pub expires: Timestamp,
}

/// For whom an SVID is issued, and on whose word.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) agent: AgentId,
    pub(crate) workflow: WorkflowId,
    /// Last part of the SPIFFE ID.
    pub(crate) instance: String,
    pub(crate) run: Option<RunId>,
    /// What an attester saw of the process it is for.
    pub(crate) attested: Option<Evidence>,
    /// Thumbprint of the key whose token asked.
    pub(crate) thumbprint: Option<String>,
    /// The token that asked.
    pub(crate) token: Option<CredentialId>,
    /// Thumbprint of the key that token is bound to.
    pub(crate) bound_to: Option<String>,
    /// When it ends at the latest.
    pub(crate) not_after: Option<Timestamp>,
}

impl Holder {
    pub(crate) fn of(verified: &Verified, attested: Option<Evidence>) -> Self {
        Self {
            agent: verified.agent.clone(),
            workflow: verified.workflow.clone(),
            instance: verified.run.to_string(),
            run: Some(verified.run.clone()),
            attested,
            thumbprint: Some(verified.thumbprint.clone()),
            token: Some(verified.token.clone()),
            bound_to: verified.claims.cnf.as_ref().and_then(Confirmation::name),
            not_after: Some(verified.expires),
        }
    }

    /// As it was when an SVID was issued, to be looked at again.
    pub(crate) fn again(svid: &Svid) -> Self {
        Self {
            agent: svid.agent.clone(),
            workflow: svid.workflow.clone(),
            instance: svid.instance.clone(),
            run: svid.run.clone(),
            attested: svid.attested.clone(),
            thumbprint: svid.thumbprint.clone(),
            token: svid.token.clone(),
            bound_to: svid.bound_to.clone(),
            not_after: Some(svid.expires),
        }
    }
}

impl Issuer {
    /// Issues an X.509-SVID for the workflow and run of an access token.
    ///
    /// - `request`: a PKCS #10 request in DER; of what it asks for, only the key counts.
    /// - `attested`: what an attester saw of the process it is for.
    ///
    /// # Errors
    /// `invalid-request` for another request; `attestation-required`, `attestation-mismatch` where the workflow declares what may run
    /// it; `limited`; whatever the run's standing refuses with; `ledger-unavailable`.
    pub async fn x509_svid(
        &self,
        verified: &Verified,
        request: &[u8],
        attested: Option<Evidence>,
    ) -> Result<X509Svid, Refusal> {
        let holder = Holder::of(verified, attested);
        let issued = self.issue_x509(&verified.org, &holder, request).await;
        self.told(&verified.org, &holder, issued).await
    }

    /// Issues a JWT-SVID for the workflow and run of an access token.
    ///
    /// - `audience`: where it is good; 1 to [`AUDIENCES_MAX`], none of them Remit itself.
    ///
    /// # Errors
    /// As [`Self::x509_svid`].
    pub async fn jwt_svid(
        &self,
        verified: &Verified,
        audience: &[String],
        attested: Option<Evidence>,
    ) -> Result<JwtSvid, Refusal> {
        let holder = Holder::of(verified, attested);
        let issued = match self.not_ours(&verified.org, audience, &holder) {
            Ok(()) => self.issue_jwt(&verified.org, &holder, audience).await,
            Err(refusal) => Err(refusal),
        };
        self.told(&verified.org, &holder, issued).await
    }

    /// Records a refusal to a holder.
    pub(crate) async fn told<T>(
        &self,
        org: &OrgId,
        holder: &Holder,
        issued: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        match issued {
            Ok(issued) => Ok(issued),
            Err(refusal) => {
                self.note_mismatch(org, holder, &refusal).await;
                let (agent, run) = (Some(&holder.agent), holder.run.as_ref());
                Err(self.refuse(org, DOOR, agent, run, refusal).await)
            }
        }
    }

    /// Whether none of these is an address of this organization. The issuer, and nothing beside it, may be named for a workload that
    /// an attester vouches for who proved its key: as a client it proves itself with that (draft-ietf-oauth-spiffe-client-auth).
    fn not_ours(&self, org: &OrgId, audience: &[String], holder: &Holder) -> Result<(), Refusal> {
        let issuer = self.issuer_url(org)?;
        if audience == [issuer.clone()] && holder.attested.is_some() && holder.bound_to.is_some() {
            return Ok(());
        }
        let root = &self.inner.public_url;
        let ours = |aud: &String| {
            let below = |base: &str| {
                aud.strip_prefix(base)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
            };
            below(&issuer) || below(root)
        };
        if audience.iter().any(ours) {
            let text = "an SVID that was asked for with an access token is no proof towards Remit; leave its own address out of `audience`. A workload of an attester whose token is bound to its key names the issuer alone";
            return Err(no(RefusalCode::InvalidRequest, text));
        }
        Ok(())
    }

    pub(crate) async fn issue_x509(
        &self,
        org: &OrgId,
        holder: &Holder,
        request: &[u8],
    ) -> Result<X509Svid, Refusal> {
        let (keys, spiffe_id) = self.ready(org, holder).await?;
        let now = self.books().now();
        let expires = ends(now.plus_secs(X509_SVID_SECS), holder, now)?;
        let validity = Validity {
            serial: self.books().random(),
            not_before: now.plus_secs(-SVID_BACKDATE_SECS).as_secs(),
            not_after: expires.as_secs(),
        };
        let certificate = keys
            .authority
            .issue(request, &spiffe_id, &validity)
            .map_err(|error| no(RefusalCode::InvalidRequest, error.to_string()))?;
        let svid = Svid {
            certificate: Some(x509_svid::thumbprint(&certificate)),
            ..self.record(SvidForm::X509, holder, &spiffe_id, expires)
        };
        self.commit_svid(org, holder, svid).await?;
        Ok(X509Svid {
            spiffe_id,
            certificate,
            expires,
        })
    }

    pub(crate) async fn issue_jwt(
        &self,
        org: &OrgId,
        holder: &Holder,
        audience: &[String],
    ) -> Result<JwtSvid, Refusal> {
        let fits = |aud: &String| (1..=AUDIENCE_BYTES_MAX).contains(&aud.len());
        if !(1..=AUDIENCES_MAX).contains(&audience.len()) || !audience.iter().all(fits) {
            let text = format!(
                "`audience` has 1 to {AUDIENCES_MAX} values of at most {AUDIENCE_BYTES_MAX} bytes"
            );
            return Err(no(RefusalCode::InvalidRequest, text));
        }
        let (keys, spiffe_id) = self.ready(org, holder).await?;
        let now = self.books().now();
        let expires = ends(now.plus_secs(JWT_SVID_SECS), holder, now)?;
        let svid = Svid {
            audience: audience.to_vec(),
            ..self.record(SvidForm::Jwt, holder, &spiffe_id, expires)
        };
        let aud = serde_json::to_value(audience).and_then(serde_json::from_value::<Audience>);
        let claims = JwtSvidClaims {
            iss: self.issuer_url(org)?,
            sub: spiffe_id.clone(),
            aud: aud.map_err(|error| no(RefusalCode::InvalidRequest, error.to_string()))?,
            exp: expires.as_secs(),
            iat: now.as_secs(),
            jti: svid.id.to_string(),
        };
        let token = jwt_svid::sign(&claims, &keys.jwt)
            .map_err(|error| no(RefusalCode::InvalidRequest, error.to_string()))?;
        self.commit_svid(org, holder, svid).await?;
        Ok(JwtSvid {
            spiffe_id,
            token: SecretString::from(token),
            expires,
        })
    }

    /// The keys and the SPIFFE ID for a holder that stands and is within its rate.
    async fn ready(
        &self,
        org: &OrgId,
        holder: &Holder,
    ) -> Result<(Arc<DomainKeys>, SpiffeId), Refusal> {
        self.svid_fresh()?;
        self.svid_holder(org, holder).await?;
        self.within_rate(&format!("svid:{}", holder.agent))?;
        let keys = self.domain_keys(org).await?;
        let domain = self.trust_domain(org)?;
        let path = [
            "agent",
            holder.agent.as_str(),
            holder.workflow.as_str(),
            holder.instance.as_str(),
        ];
        let id = SpiffeId::from_segments(domain.trust_domain(), path)
            .map_err(|error| no(RefusalCode::InvalidRequest, error.to_string()))?;
        Ok((keys, id))
    }

    pub(crate) fn svid_fresh(&self) -> Result<(), Refusal> {
        if self.books().store().is_fresh() {
            return Ok(());
        }
        let text = "changes of other nodes do not arrive; nothing is served until they do";
        Err(no(RefusalCode::SnapshotStale, text))
    }

    /// Whether a holder stands, and is what its workflow declares.
    pub(crate) async fn svid_holder(&self, org: &OrgId, holder: &Holder) -> Result<(), Refusal> {
        let workflow = self.holder_stands(org, holder).await?;
        let book = self.tenant(org)?;
        crate::attest::judge(&book.registry(), &workflow, holder)
    }

    /// Whether everything that answers for a holder stands now: agent, workflow, run, and the key that asks.
    pub(crate) async fn holder_stands(
        &self,
        org: &OrgId,
        holder: &Holder,
    ) -> Result<Arc<Workflow>, Refusal> {
        if let Some(run) = &holder.run {
            self.standing_run(org, run, Some(&holder.agent)).await?;
        }
        let federated = self.token_stands(org, holder).await?;
        let book = self.tenant(org)?;
        let registry = book.registry();
        registry.standing_agent(&holder.agent)?;
        let workflow = registry.standing_workflow(&holder.agent, &holder.workflow)?;
        if let Some(thumbprint) = &holder.thumbprint {
            let asked_with = [Some(thumbprint.as_str()), holder.bound_to.as_deref()];
            let token = holder.token.as_ref().map(|token| token.as_str());
            registry.not_held(|| {
                Lineage::of_credentials(asked_with.into_iter().flatten()).with(token)
            })?;
            let key = registry.keys.get(thumbprint);
            let stands = match &federated {
                Some(federated) => registry.trusts(federated),
                None => key.is_some_and(|key| key.removed.is_none() && key.agent == holder.agent),
            };
            if !stands {
                let text = "the key that asked for it was removed";
                return Err(no(RefusalCode::Unauthenticated, text));
            }
        }
        Ok(workflow)
    }

    /// Whether the token that asked was not revoked, and the trust in another issuer that it rests on.
    async fn token_stands(
        &self,
        org: &OrgId,
        holder: &Holder,
    ) -> Result<Option<Federated>, Refusal> {
        let Some(token) = &holder.token else {
            return Ok(None);
        };
        let found = self.books().get::<Token>(org, token.as_str()).await;
        match found.map_err(from_books)?.map(|found| found.noun) {
            // Else whoever was attested could attest themselves, and what was withdrawn would come back by what it had got.
            Some(token) if token.svid.is_some() => {
                let text = "a token that was got with an SVID asks for no other; the attester asks with its own";
                Err(no(RefusalCode::AttestationRequired, text))
            }
            Some(token) if token.revoked.is_none() => {
                self.origins_stand(org, &token).await?;
                Ok(token.federated)
            }
            _ => {
                let text = "the token that asked for it was revoked";
                Err(no(RefusalCode::Unauthenticated, text))
            }
        }
    }

    fn record(&self, form: SvidForm, holder: &Holder, id: &SpiffeId, expires: Timestamp) -> Svid {
        Svid {
            id: self.books().id(CredentialId::from_uuid),
            form,
            agent: holder.agent.clone(),
            workflow: holder.workflow.clone(),
            instance: holder.instance.clone(),
            spiffe_id: id.to_string(),
            run: holder.run.clone(),
            token: holder.token.clone(),
            bound_to: holder.bound_to.clone(),
            attested: holder.attested.clone(),
            audience: Vec::new(),
            certificate: None,
            thumbprint: holder.thumbprint.clone(),
            issued: self.books().now(),
            expires,
            withdrawn: None,
        }
    }

    /// Records an SVID, and looks once more: what was contained meanwhile gets nothing.
    async fn commit_svid(&self, org: &OrgId, holder: &Holder, svid: Svid) -> Result<(), Refusal> {
        let mut event = Event::new(
            EventKind::SvidIssued,
            self.books().now(),
            Principal::Agent(svid.agent.clone()),
        )
        .about(&svid.id)
        .agent(&svid.agent)
        .fact("form", svid.form)
        .fact("workflow", &svid.workflow)
        .fact("instance", &svid.instance)
        .fact("key", &svid.thumbprint)
        .fact("binary", svid.attested.as_ref().map(|seen| &seen.sha256))
        .fact("certificate", &svid.certificate)
        .fact("expires", svid.expires);
        if let Some(run) = &svid.run {
            event = event.run(run);
        }
        if !svid.audience.is_empty() {
            event = event.content("audience", &svid.audience);
        }
        if let Some(seen) = &svid.attested {
            event = event.content("attested", seen);
        }
        let change = Change::new().create(&svid).event(event);
        self.books().commit(org, change).await.map_err(from_books)?;
        if let Err(refusal) = self.svid_holder(org, holder).await {
            self.withdraw_svid(org, &svid.id).await;
            return Err(refusal);
        }
        Ok(())
    }

    async fn withdraw_svid(&self, org: &OrgId, id: &CredentialId) {
        let withdrawn = self
            .books()
            .retrying(org, async || {
                let found = self.books().get::<Svid>(org, id.as_str()).await?;
                let live = |svid: &Versioned<Svid>| svid.noun.withdrawn.is_none();
                let change = found
                    .filter(live)
                    .map(|svid| self.books().plan_withdrawal(vec![svid], &Principal::Remit));
                Ok(((), change))
            })
            .await;
        if let Err(error) = withdrawn {
            // It was given to nobody.
            tracing::error!(%org, svid = %id, %error, "an SVID could not be withdrawn");
        }
    }
}

/// When an SVID ends: by itself, or with what it was asked for with.
fn ends(by_itself: Timestamp, holder: &Holder, now: Timestamp) -> Result<Timestamp, Refusal> {
    let end = holder.not_after.map_or(by_itself, |end| end.min(by_itself));
    if end <= now.plus_secs(1) {
        let text = "the token that asks for it ends now; get a new one";
        return Err(no(RefusalCode::Unauthenticated, text));
    }
    Ok(Timestamp::from_secs(end.as_secs()))
}
