//! Assertions of other issuers (RFC 7523 §2.1): a workload that another platform knows becomes the agent that a rule of the
//! organization makes it, without a key of its own.
//!
//! The assertion is the proof, so it is good once. The token is like one of client credentials, and ends with the rule.

mod endpoint;
mod keys;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

use remit_books::hop::HopKind;
use remit_domain::trusted_issuer::{TrustedIssuer, WorkloadRule};
use remit_domain::{OrgId, Refusal, Timestamp, Workflow};
use remit_ports::store::Once;
use remit_token::foreign::{self, ExpectForeign, ForeignKind, Unverified};
use remit_token::{
    ForeignAlgorithm, ForeignClaims, JwtBearer, OAuthErrorCode, TokenError, TokenResponse,
};
use secrecy::ExposeSecret as _;

use crate::client::Client;
use crate::door::Denied;
use crate::limits::{CLIENT_LEEWAY_SECS, ONCE_MARGIN_SECS};
use crate::mint::{ActingFor, Ask};
use crate::scope::Wanted;
use crate::{Issuer, details};

pub use keys::TrustedIssuerReport;
pub(crate) use keys::{Keyrings, KeysOf, MetadataKind, keyrings};

/// Start of the keys that assertions use up, and of what a workload is known by in place of a key.
pub(crate) const FEDERATED: &str = "federated:";

/// What a workload hears whose token is not proved to be of an issuer that is trusted: the same, whatever the reason.
const NOT_PROVED: &str = "the assertion is not one that is trusted here; check that its issuer is registered (`remit trusted-issuer ls`), \
                          and that its keys are the published ones";

pub(crate) fn denied(code: &str, text: impl Into<std::borrow::Cow<'static, str>>) -> Denied {
    Denied::new(OAuthErrorCode::InvalidGrant, code, text)
}

/// The assertion was used before.
pub(crate) fn replayed() -> Denied {
    denied(
        "assertion-replayed",
        "the assertion was used already; it is good for one use: ask its issuer for a new one",
    )
}

impl Issuer {
    /// Answers the JWT bearer grant.
    pub(crate) async fn jwt_bearer(
        &self,
        org: &OrgId,
        request: &JwtBearer,
        proof: Option<&str>,
    ) -> Result<TokenResponse, Denied> {
        let assertion = request.assertion.expose_secret();
        let said = foreign::unverified(assertion).map_err(|e| denied(e.code(), e.to_string()))?;
        if said.kind == ForeignKind::IdJag {
            return self.id_jag(org, &said.issuer, request, proof).await;
        }
        if request.client.is_some() {
            let text = "a workload token is all the proof there is; leave the client assertion out";
            return Err(Denied::new(
                OAuthErrorCode::InvalidRequest,
                "assertion-with-client",
                text,
            ));
        }
        let issuer = self.trusted(org, &self.vouching(org, &said)?)?;
        self.workload(org, &issuer, request, proof)
            .await
            .map_err(|denied| denied.about(&issuer.id))
    }

    /// Whose word a token is: its issuer's, where that is registered, else that of the trust domain of its subject.
    fn vouching(&self, org: &OrgId, said: &Unverified) -> Result<String, Denied> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let known = registry.trusted_issuer_of(&said.issuer).is_some();
        let domain = said.trust_domain.as_ref().filter(|_| !known);
        Ok(domain.unwrap_or(&said.issuer).clone())
    }

    /// The issuer of that `iss`, where it is trusted now.
    pub(crate) fn trusted(&self, org: &OrgId, iss: &str) -> Result<Arc<TrustedIssuer>, Denied> {
        let book = self.tenant(org)?;
        let found = book.registry().trusted_issuer_of(iss).cloned();
        match found {
            Some(issuer) if issuer.enabled => Ok(issuer),
            Some(issuer) => Err(denied("issuer-disabled", NOT_PROVED).about(&issuer.id)),
            None => Err(denied("issuer-untrusted", NOT_PROVED)),
        }
    }

    async fn workload(
        &self,
        org: &OrgId,
        issuer: &TrustedIssuer,
        request: &JwtBearer,
        proof: Option<&str>,
    ) -> Result<TokenResponse, Denied> {
        let claims = self
            .proved(org, issuer, ForeignKind::Workload, &request.assertion)
            .await?;
        let wanted = Wanted::read(&request.scope)?;
        let (rule, workflow) = self.rule_for(org, issuer, &claims, &wanted)?;
        let agent = rule.agent.clone();
        let by = |denied: Denied| denied.by(&agent);
        let client = self
            .workload_client(org, issuer, &rule, &claims)
            .map_err(|refusal| by(refusal.into()))?;
        // RFC 7521 §4.1: who is named beside the assertion must be whom it proves.
        let named = request.client_id.as_deref();
        if named.is_some_and(|said| said != agent.as_str() && said != client.agent.name.as_str()) {
            return Err(by(denied(
                "client-id-other",
                "the 'client_id' is not the agent that this workload is",
            )));
        }
        let endpoint = self.token_endpoint(org)?;
        let bound = self.bound(&endpoint, proof).map_err(by)?;
        let certificate = self.certificate_shown(org, &request.chain).map_err(by)?;
        let details = details::read(&request.authorization_details).map_err(by)?;
        let resource = self
            .resource_asked(org, &request.resource)
            .map_err(|refusal| by(refusal.into()))?;
        let ask = Ask {
            client: Client {
                bound,
                certificate,
                ..client
            },
            workflow,
            resource,
            once: Vec::new(),
            not_after: None,
            from: None,
            kind: HopKind::Workload,
            details,
        };
        match wanted.run {
            Some(run) => self.issue_in(org, &run, ask).await,
            None => {
                let acting = ActingFor::person(None, Vec::new());
                self.issue_implicit(org, acting, ask).await
            }
        }
    }

    /// What an assertion says, once its signature, issuer, audience and times hold.
    pub(crate) async fn proved(
        &self,
        org: &OrgId,
        issuer: &TrustedIssuer,
        kind: ForeignKind,
        assertion: &secrecy::SecretString,
    ) -> Result<ForeignClaims, Denied> {
        let own = self.issuer_url(org)?;
        // An identity assertion is for an authorization server by its issuer, whatever workloads say (ID-JAG §4.4).
        let audience = match kind {
            ForeignKind::Workload => issuer.audience.as_deref().unwrap_or(&own),
            ForeignKind::IdJag => &own,
        };
        let algorithms: Vec<ForeignAlgorithm> = issuer
            .algorithms
            .iter()
            .filter_map(|algorithm| ForeignAlgorithm::parse(algorithm.as_str()))
            .collect();
        let expect = ExpectForeign {
            kind,
            issuer: &issuer.issuer,
            audiences: &[audience],
            algorithms: &algorithms,
            ttl_s_max: issuer.lifetime_secs_max,
            now: self.books().now().as_secs(),
            leeway_s: CLIENT_LEEWAY_SECS,
        };
        let assertion = assertion.expose_secret();
        let keys = self.foreign_keys(org, issuer, None).await?;
        let proved = match foreign::verify(assertion, &keys, &expect) {
            Err(TokenError::KeyUnknown) => {
                let newer = self.foreign_keys(org, issuer, Some(&keys)).await?;
                foreign::verify(assertion, &newer, &expect)
            }
            other => other,
        };
        proved.map_err(|error| match error {
            TokenError::KeyUnknown
            | TokenError::SignatureInvalid
            | TokenError::AlgorithmRefused { .. } => denied(error.code(), NOT_PROVED),
            TokenError::AudienceWrong => denied(
                error.code(),
                format!("the assertion has another audience; its one `aud` has to be {audience}"),
            ),
            other => denied(other.code(), other.to_string()),
        })
    }

    /// The one rule that a workload is meant by, in the workflow that is asked for.
    fn rule_for(
        &self,
        org: &OrgId,
        issuer: &TrustedIssuer,
        claims: &ForeignClaims,
        wanted: &Wanted,
    ) -> Result<(WorkloadRule, Arc<Workflow>), Denied> {
        let fitting: Vec<&WorkloadRule> = issuer
            .rules
            .iter()
            .filter(|rule| rule.fits(&claims.sub, &claims.all))
            .collect();
        if fitting.is_empty() {
            let text = "no rule of this issuer is for this subject and these claims; see `remit trusted-issuer show`";
            return Err(denied("workload-unknown", text));
        }
        let book = self.tenant(org)?;
        let registry = book.registry();
        let asked = |rule: &&&WorkloadRule| {
            let Some(name) = &wanted.workflow else {
                return true;
            };
            let workflow = registry.workflows.get(&rule.workflow);
            workflow.is_some_and(|workflow| workflow.name.as_str() == name)
        };
        let mut rules = fitting.iter().filter(asked);
        let Some(rule) = rules.next() else {
            let text = "this workload has no such workflow here; ask for one that a rule names";
            return Err(Denied::new(
                OAuthErrorCode::InvalidScope,
                "workflow-unknown",
                text,
            ));
        };
        let same = |other: &&WorkloadRule| {
            (&other.agent, &other.workflow) == (&rule.agent, &rule.workflow)
        };
        if !rules.all(same) {
            let text =
                "this workload has several workflows here; ask for one with 'workflow:<name>'";
            return Err(Denied::new(
                OAuthErrorCode::InvalidScope,
                "workload-ambiguous",
                text,
            ));
        }
        let workflow = registry
            .standing_workflow(&rule.agent, &rule.workflow)
            .map_err(|refusal| Denied::from(refusal).by(&rule.agent))?;
        Ok(((*rule).clone(), workflow))
    }

    /// The workload as a client: the agent, when it may hold a credential, and the use of its assertion.
    fn workload_client(
        &self,
        org: &OrgId,
        issuer: &TrustedIssuer,
        rule: &WorkloadRule,
        claims: &ForeignClaims,
    ) -> Result<Client, Refusal> {
        let thumbprint = known_by(issuer, &claims.sub);
        let agent = self.standing_client(org, &rule.agent, &thumbprint)?;
        self.within_rate(rule.agent.as_str())?;
        Ok(Client {
            agent,
            thumbprint,
            once: Some(once_of(issuer, claims)),
            bound: None,
            certificate: None,
            document: None,
            federated: Some(issuer.federated(rule)),
            trust: remit_domain::attestation::Trust::Key,
            svid: None,
        })
    }
}

/// The use of an assertion.
pub(crate) fn once_of(issuer: &TrustedIssuer, claims: &ForeignClaims) -> Once {
    Once {
        key: format!("{FEDERATED}{}:{}", issuer.id, claims.id),
        until: Timestamp::from_secs(claims.exp).plus_secs(ONCE_MARGIN_SECS),
    }
}

/// What a workload is known by where an agent's key is known by its thumbprint: it can be contained by it.
fn known_by(issuer: &TrustedIssuer, subject: &str) -> String {
    let text = format!("{}\0{subject}", issuer.id);
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    format!("{FEDERATED}{}", URL_SAFE_NO_PAD.encode(hash))
}
