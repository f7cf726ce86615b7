//! Clients: agents that prove to hold a registered key (`private_key_jwt`, RFC 7523 §2.2), attested workloads of theirs, and
//! clients that show a certificate.

mod certificate;
mod svid;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use remit_domain::attestation::Trust;
use remit_domain::containment::Lineage;
use remit_domain::credential::{AgentKey, Federated};
use remit_domain::{
    Agent, AgentId, CredentialId, OrgId, Refusal, RefusalCode, Timestamp, Workflow, WorkflowId,
};
use remit_ports::store::Once;
use remit_token::client_assertion::{ExpectAssertion, unverified_client_id, verify};
use remit_token::{ClientAuth, ClientProof, OAuthErrorCode, PublicJwk};
use secrecy::ExposeSecret;

use crate::door::Denied;
use crate::dpop::{Bound, demanded, unbound};
use crate::limits::{CLIENT_LEEWAY_SECS, CLIENT_REQUESTS_PER_MINUTE, ONCE_MARGIN_SECS};
use crate::refusal::no;
use crate::{Issuer, document};

pub(crate) use certificate::CertificateShown;

/// A client that has proved who it is. Its assertion is spent by the commit that holds `once`, and not before.
#[derive(Clone)]
pub(crate) struct Client {
    /// The agent, which may hold a credential now.
    pub(crate) agent: Arc<Agent>,
    /// RFC 7638 thumbprint of the key it proved to hold.
    pub(crate) thumbprint: String,
    /// The use of the assertion; none where the connection itself is the proof.
    pub(crate) once: Option<Once>,
    /// The key that it wants its token bound to.
    pub(crate) bound: Option<Bound>,
    /// The trust in another issuer by which it is this agent; none where it proved a registered key.
    pub(crate) federated: Option<Federated>,
    /// The certificate that its connection shows: its tokens are bound to that.
    pub(crate) certificate: Option<CertificateShown>,
    /// How well it has proved what it is.
    pub(crate) trust: Trust,
    /// The SVID that it proved itself with, where it did.
    pub(crate) svid: Option<SvidShown>,
    /// The address of the metadata document that it is known by, where it is.
    pub(crate) document: Option<String>,
}

/// An SVID that proved a client: what it gets stays within it.
#[derive(Clone)]
pub(crate) struct SvidShown {
    pub(crate) id: CredentialId,
    pub(crate) workflow: WorkflowId,
    pub(crate) expires: Timestamp,
}

impl Issuer {
    /// Authenticates a client. What went wrong before the proof is never told; afterwards a client learns its own state.
    pub(crate) async fn authenticate(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
    ) -> Result<Client, Denied> {
        let client = match &auth.proof {
            ClientProof::PrivateKeyJwt(assertion) => {
                self.by_key(org, auth, assertion.expose_secret()).await
            }
            ClientProof::JwtSvid(svid) => self.by_jwt_svid(org, auth, svid.expose_secret()).await,
            ClientProof::Certificate => self.by_certificate(org, auth).await,
        }?;
        let certificate = self.certificate_shown(org, &auth.chain);
        let certificate = certificate.map_err(|denied| denied.by(&client.agent.id))?;
        Ok(Client {
            certificate,
            ..client
        })
    }

    /// Authenticates a client by a JWT that its registered key signed.
    async fn by_key(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        assertion: &str,
    ) -> Result<Client, Denied> {
        let book = self.tenant(org)?;
        let (issuer, endpoint) = (self.issuer_url(org)?, self.token_endpoint(org)?);
        let claimed =
            unverified_client_id(assertion).map_err(|error| Denied::client(error.code()))?;
        let id = self.client_called(org, claimed.as_str())?;
        // RFC 7521 §4.2: a client_id beside the assertion must name the same client.
        if auth
            .client_id
            .as_deref()
            .is_some_and(|said| said != id.as_str() && said != claimed.as_str())
        {
            return Err(Denied::client("client-id-other"));
        }
        let document = document::address(claimed.as_str()).map(str::to_owned);
        let keys = match &document {
            Some(url) => {
                let said = self.client_document(org, url).await;
                let said = said.map_err(|denied| denied.by(&id))?;
                // A key that was ever an agent's here proves that agent or nobody.
                let registry = book.registry();
                let here = |key: &PublicJwk| registry.keys.contains_key(key.thumbprint().as_str());
                said.keys.iter().copied().filter(|key| !here(key)).collect()
            }
            None => live_keys(book.registry().keys_of(&id).into_iter(), self.books().now()),
        };
        let expect = ExpectAssertion {
            client_id: claimed.as_str(),
            audiences: &[&issuer, &endpoint],
            now: self.books().now().as_secs(),
            leeway_s: CLIENT_LEEWAY_SECS,
        };
        let proved = verify(assertion, &keys, &expect)
            .map_err(|error| Denied::client(error.code()).by(&id))?;
        let thumbprint = proved.jkt.as_str().to_owned();
        let agent = self
            .standing_client(org, &id, &thumbprint)
            .map_err(|refusal| Denied::proved(refusal).by(&id))?;
        self.within_rate(id.as_str())
            .map_err(|refusal| Denied::from(refusal).by(&id))?;
        self.books().note_use(org, &thumbprint);
        let once = Once {
            key: format!("assertion:{id}:{}", proved.jti),
            until: Timestamp::from_secs(proved.exp).plus_secs(ONCE_MARGIN_SECS),
        };
        Ok(Client {
            agent,
            thumbprint,
            once: Some(once),
            bound: None,
            federated: None,
            certificate: None,
            trust: Trust::Key,
            svid: None,
            document,
        })
    }

    /// Authenticates a client of the token endpoint, and the key that it wants its token bound to.
    pub(crate) async fn authenticate_with(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        proof: Option<&str>,
    ) -> Result<Client, Denied> {
        let client = self.authenticate(org, auth).await?;
        let agent = client.agent.id.clone();
        let endpoint = self.token_endpoint(org)?;
        let bound = self.bound(&endpoint, proof);
        let bound = bound.map_err(|denied| denied.by(&agent))?;
        Ok(Client { bound, ..client })
    }

    /// The agent that a client calls itself by: its client id, or its name, which no other agent of the organization ever
    /// gets, or the address of a metadata document that a workflow of that agent lists. It has to prove a key of that agent, or of
    /// that document, and its tokens carry the agent's id.
    pub(crate) fn client_called(&self, org: &OrgId, said: &str) -> Result<AgentId, Denied> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        if let Some(url) = document::address(said) {
            let lists = |w: &&Arc<Workflow>| w.enabled && w.client_ids.contains(url);
            let found = registry.workflows.values().find(lists);
            let found = found.ok_or_else(|| Denied::client("client-unknown"))?;
            return Ok(found.agent.clone());
        }
        let found = match said.parse::<AgentId>() {
            Ok(id) => registry.agents.get(&id),
            Err(_) => registry.agent_named(said),
        };
        let found = found.ok_or_else(|| Denied::client("client-unknown"))?;
        Ok(found.id.clone())
    }

    /// Counts what a client asks for: each answer is an entry, and nobody may fill the ledger.
    pub(crate) fn within_rate(&self, client: &str) -> Result<(), Refusal> {
        self.within_rate_or(client, "keep a token for its five minutes")
    }

    /// The same.
    ///
    /// - `advice`: what the caller had better do.
    pub(crate) fn within_rate_or(&self, client: &str, advice: &str) -> Result<(), Refusal> {
        let now = self.books().clock().monotonic();
        let mut rates = self
            .inner
            .rates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (since, count) = rates.entry(client.to_owned()).or_insert((now, 0));
        if now.saturating_sub(*since) >= Duration::from_secs(60) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count > CLIENT_REQUESTS_PER_MINUTE {
            let text =
                format!("more than {CLIENT_REQUESTS_PER_MINUTE} requests in a minute; {advice}");
            return Err(no(RefusalCode::Limited, text));
        }
        Ok(())
    }

    /// The agent, when it may hold a credential and this key of it is not contained.
    pub(crate) fn standing_client(
        &self,
        org: &OrgId,
        id: &AgentId,
        thumbprint: &str,
    ) -> Result<Arc<Agent>, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        registry.not_held(|| Lineage::of_credentials([thumbprint]))?;
        registry.standing_agent(id)
    }
}

/// Whether a client may have tokens of the workflow that it asks for: it proved the key that this demands, is one that it lists, and
/// showed no SVID of another one.
///
/// - `bound_only`: whether the organization gives out no token that is bound to nothing.
pub(crate) fn permitted(
    client: &Client,
    workflow: &Workflow,
    bound_only: bool,
) -> Result<(), Denied> {
    if let Some(svid) = &client.svid
        && svid.workflow != workflow.id
    {
        let text = "the SVID is for another workflow; ask for that one";
        let code = OAuthErrorCode::InvalidScope;
        return Err(Denied::new(code, "svid-workflow-other", text));
    }
    if workflow.dpop_bound_access_tokens && client.bound.is_none() {
        return Err(demanded());
    }
    if bound_only && client.bound.is_none() && client.certificate.is_none() {
        return Err(unbound());
    }
    let foreign = |url: &String| !workflow.client_ids.contains(url);
    if client.document.as_ref().is_some_and(foreign) {
        let text = "workflow-unknown: the workflow does not list this client";
        return Err(Denied::new(
            OAuthErrorCode::InvalidScope,
            "client-not-listed",
            text,
        ));
    }
    Ok(())
}

impl Issuer {
    /// Whether every access token of an organization has to be bound to a key or a certificate.
    pub(crate) fn bound_only(&self, org: &OrgId) -> Result<bool, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        Ok(registry
            .organization
            .as_ref()
            .is_some_and(|o| o.bound_tokens))
    }
}

/// Keys that still prove something. A stored key that cannot be read proves nothing.
fn live_keys<'a>(keys: impl Iterator<Item = &'a Arc<AgentKey>>, now: Timestamp) -> Vec<PublicJwk> {
    keys.filter(|key| key.is_good(now) && key.certificate.is_none())
        .filter_map(|key| {
            PublicJwk::from_json(&key.jwk.to_string())
                .ok()
                .filter(|jwk| jwk.thumbprint().as_str() == key.thumbprint)
        })
        .collect()
}
