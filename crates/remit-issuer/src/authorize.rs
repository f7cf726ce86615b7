//! Authorization code (RFC 6749 §4.1, RFC 7636): a client sends a person here, the person delegates in the console, the client
//! gets a code for that delegation, and the code becomes a token.
//!
//! Nothing is kept between the steps: what was asked travels with the browser, sealed, and so does the code. Each is good once.
//! The delegation itself is made by control, by its one rule; here it is only tied to the client that asked for it.

use std::collections::BTreeMap;

use remit_books::entitled::Withheld;
use remit_books::hop::HopKind;
use remit_books::{Change, Ending};
use remit_domain::bounds::Bounds;
use remit_domain::run::RunEnd;
use remit_domain::tool::ToolRef;
use remit_domain::{
    AgentId, DelegationId, OrgId, PersonId, Principal, Refusal, RefusalCode, Workflow, WorkflowId,
};
use remit_token::authorization::{
    AuthorizationParameters, AuthorizationRequest, REQUEST_URI, is_redirect_uri, verifies,
};
use remit_token::{
    AuthorizationCode, ClientAuth, OAuthError, OAuthErrorCode, Thumbprint, TokenResponse,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::client::Client;
use crate::door::Denied;
use crate::dpop::{Bound, NONCE_MISSING, same_key};
use crate::exchange::grant;
use crate::limits::{CODE_SECS, REQUEST_CHARS_MAX};
use crate::mint::{ActingFor, Ask};
use crate::refusal::{from_books, no};
use crate::scope::Wanted;
use crate::sign_in::{Purpose, State};
use crate::spent::{CODE_REPLAYED, spent};
use crate::{Issuer, details, document};

/// What a client asks of whoever signs in, once it is known to be one of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which agent is to act.
    pub agent: AgentId,
    /// In which workflow.
    pub workflow: WorkflowId,
    /// Where the answer goes.
    pub redirect_uri: String,
    state: Option<String>,
    /// The client, where it is known by the address of its metadata document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Which tools it asks for, and within which bounds; none for all of the workflow's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeMap<ToolRef, Bounds>>,
    challenge: String,
    jkt: Option<Thumbprint>,
    resource: Option<String>,
}

/// Whose code it is, and what it stands for.
#[derive(Serialize, Deserialize)]
struct Code {
    asked: Asked,
    delegation: DelegationId,
}

/// Why an authorization request goes nowhere.
#[derive(Debug)]
pub enum NotAsked {
    /// The client or its redirect address is not known: the person is told, and sent nowhere (RFC 6749 §4.1.2.1).
    Told(OAuthError),
    /// The client is told, at its redirect address.
    Sent(String),
}

/// A request that was pushed (RFC 9126 §2.2).
#[derive(Debug, Serialize)]
pub struct Pushed {
    /// What the client names it by.
    pub request_uri: String,
    /// Seconds until it ends.
    pub expires_in: i64,
}

/// One answer for a client that is not there and one of another address: nobody finds out here which agents exist.
const UNKNOWN: &str = "no client of that 'client_id' with that 'redirect_uri' is registered here";

/// What is wrong with a request whoever asks, and so is told; anything else is of the registry.
const OF_THE_REQUEST: [&str; 5] = [
    "request-invalid",
    "scope-invalid",
    details::INVALID,
    details::TYPE_UNKNOWN,
    details::REPEATED,
];

/// Whether a client may ask people for a workflow: it is listed there, or its redirect address is. Which addresses a listed one
/// has, its document has said.
fn may_ask(workflow: &Workflow, client: Option<&str>, redirect_uri: &str) -> bool {
    match client {
        Some(client) => workflow.client_ids.contains(client),
        None => workflow
            .redirect_uris
            .iter()
            .any(|uri| is_redirect_uri(redirect_uri, uri)),
    }
}

/// What a client hears that has not proved itself: the ledger says why.
fn not_told() -> OAuthError {
    let text = "this cannot be granted now; whoever runs the agent finds the reason in the ledger";
    OAuthError::new(OAuthErrorCode::UnauthorizedClient, text)
}

impl Issuer {
    /// Takes up an authorization request of a browser. A refusal is recorded.
    ///
    /// - returns: the request, sealed, to be shown to whoever is signed in and decided by them.
    ///
    /// # Errors
    /// [`NotAsked`].
    pub async fn authorize(
        &self,
        org: &OrgId,
        parameters: &AuthorizationParameters,
    ) -> Result<String, NotAsked> {
        if let Some(uri) = parameters.get("request_uri") {
            let pushed = self.pushed(org, uri, parameters.get("client_id"));
            return match pushed {
                Ok(sealed) => Ok(sealed),
                Err(denied) => Err(NotAsked::Told(self.deny(org, "authorize", denied).await)),
            };
        }
        let (agent, redirect_uri) = match self.client_asking(org, parameters).await {
            Ok(known) => known,
            Err(denied) => return Err(NotAsked::Told(self.deny(org, "authorize", denied).await)),
        };
        match self.asked(org, &agent, &redirect_uri, parameters, None) {
            Ok(sealed) => Ok(sealed),
            Err(denied) => {
                let form = OF_THE_REQUEST.contains(&denied.code.as_str());
                let error = self.deny(org, "authorize", denied.by(&agent)).await;
                let error = if form { error } else { not_told() };
                let state = parameters.get("state");
                let to = self.answer(org, &redirect_uri, state, Err(&error));
                Err(to.map_or(NotAsked::Told(error), NotAsked::Sent))
            }
        }
    }

    /// Takes up an authorization request of a client that proves itself (RFC 9126).
    ///
    /// - `proof`: the one `DPoP` header of the request, to whose key the code is then bound (RFC 9449 §10.1).
    ///
    /// # Errors
    /// As at the token endpoint.
    pub async fn push(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        parameters: &AuthorizationParameters,
        proof: Option<&str>,
    ) -> Result<Pushed, OAuthError> {
        match self.push_inner(org, auth, parameters, proof).await {
            Ok(pushed) => Ok(pushed),
            Err(denied) if denied.code == NONCE_MISSING => Err(denied.error),
            Err(denied) => Err(self.deny(org, "par", denied).await),
        }
    }

    async fn push_inner(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        parameters: &AuthorizationParameters,
        proof: Option<&str>,
    ) -> Result<Pushed, Denied> {
        let client = self.authenticate(org, auth).await?;
        let own = client.agent.id.clone();
        let bound = self.bound(&format!("{}/oauth2/par", self.issuer_url(org)?), proof);
        let bound = bound.map_err(|denied| denied.by(&own))?;
        let asking = self.client_asking(org, parameters).await;
        let (agent, redirect_uri) = asking.map_err(|denied| denied.by(&own))?;
        let said = parameters.get("client_id").and_then(document::address);
        if agent != own || said != client.document.as_deref() {
            let text = "the request is of another client than the one that pushes it";
            let denied = Denied::new(OAuthErrorCode::InvalidRequest, "client-id-other", text);
            return Err(denied.by(&own));
        }
        if parameters.get("request_uri").is_some() {
            let text = "a pushed request names no 'request_uri'";
            let denied = Denied::new(OAuthErrorCode::InvalidRequest, "request-invalid", text);
            return Err(denied.by(&own));
        }
        let sealed = self.asked(org, &agent, &redirect_uri, parameters, bound.as_ref());
        let sealed = sealed.map_err(|denied| denied.by(&own))?;
        let mut change = client.once.into_iter().fold(Change::new(), Change::once);
        if let Some(bound) = bound {
            change = change.once(bound.once);
        }
        let committed = self.books().commit(org, change).await;
        committed.map_err(|error| spent(error).by(&own))?;
        Ok(Pushed {
            request_uri: format!("{REQUEST_URI}{sealed}"),
            expires_in: crate::limits::CEREMONY_SECS,
        })
    }

    /// A pushed request, when it is this client's and has not ended.
    fn pushed(&self, org: &OrgId, uri: &str, client: Option<&str>) -> Result<String, Denied> {
        let invalid = |code, text| Denied::new(OAuthErrorCode::InvalidRequest, code, text);
        let gone = || {
            let text =
                "the 'request_uri' was not given out here or has ended; push the request again";
            invalid("request-uri-invalid", text)
        };
        let sealed = uri.strip_prefix(REQUEST_URI).ok_or_else(gone)?;
        let (_, asked) = self.open_asked(org, sealed).map_err(|_| gone())?;
        let named = client.and_then(|said| self.client_called(org, said).ok());
        if named.as_ref() == Some(&asked.agent) {
            return Ok(sealed.to_owned());
        }
        let text = "the 'request_uri' was pushed by another client";
        Err(invalid("client-id-other", text).by(&asked.agent))
    }

    /// The client of a request, and its redirect address, when one of its workflows has registered that.
    async fn client_asking(
        &self,
        org: &OrgId,
        parameters: &AuthorizationParameters,
    ) -> Result<(AgentId, String), Denied> {
        let invalid = |code: &str, text| Denied::new(OAuthErrorCode::InvalidRequest, code, text);
        let said = parameters.get("client_id").unwrap_or_default();
        let agent = self
            .client_called(org, said)
            .map_err(|_| invalid("client-unknown", UNKNOWN))?;
        let text = UNKNOWN;
        let asked = parameters
            .get("redirect_uri")
            .ok_or_else(|| invalid("redirect-unknown", text).by(&agent))?;
        let known = match document::address(said) {
            Some(url) => {
                let said = self.client_document(org, url).await;
                let said = said.map_err(|denied| invalid(&denied.code, text).by(&agent))?;
                said.redirect_uris.iter().any(|uri| uri == asked)
            }
            None => {
                let book = self.tenant(org)?;
                let registry = book.registry();
                registry.workflows_of(&agent).into_iter().any(|w| {
                    w.enabled
                        && w.redirect_uris
                            .iter()
                            .any(|uri| is_redirect_uri(asked, uri))
                })
            }
        };
        if known {
            Ok((agent, asked.to_owned()))
        } else {
            Err(invalid("redirect-unknown", text).by(&agent))
        }
    }

    /// The request of a known client, sealed.
    fn asked(
        &self,
        org: &OrgId,
        agent: &AgentId,
        redirect_uri: &str,
        parameters: &AuthorizationParameters,
        bound: Option<&Bound>,
    ) -> Result<String, Denied> {
        let request: AuthorizationRequest = parameters.read().map_err(|error| Denied {
            error,
            ..Denied::new(OAuthErrorCode::InvalidRequest, "request-invalid", "")
        })?;
        self.tenant(org)?.registry().standing_agent(agent)?;
        let wanted = Wanted::read(&request.scope)?;
        if wanted.run.is_some() {
            let text = "a person lets an agent act in a workflow, not in a run; leave 'run:' out";
            return Err(Denied::new(
                OAuthErrorCode::InvalidScope,
                "scope-invalid",
                text,
            ));
        }
        let workflow = self.workflow_wanted(org, agent, wanted.workflow.as_deref())?;
        let client = parameters.get("client_id").and_then(document::address);
        if !may_ask(&workflow, client, redirect_uri) {
            let text = "the 'redirect_uri' is registered with another workflow of this client";
            return Err(Denied::new(
                OAuthErrorCode::InvalidScope,
                "redirect-other",
                text,
            ));
        }
        let resource: Vec<String> = request.resource.iter().cloned().collect();
        self.resource_asked(org, &resource)?;
        let details = details::read(&request.authorization_details)?;
        if let Some(asked) = &details {
            // For whom is not known yet: what that person is not entitled to is left out when they are asked.
            let (nothing, now) = (Withheld::default(), self.books().now());
            details::not_wider(asked, &workflow, std::iter::empty(), &nothing, now)?;
        }
        let asked = Asked {
            client: client.map(str::to_owned),
            tools: details.and_then(|asked| asked.tools),
            agent: agent.clone(),
            workflow: workflow.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            state: request.state,
            challenge: request.code_challenge,
            jkt: same_key(request.dpop_jkt, bound)?,
            resource: request.resource,
        };
        let inner = serde_json::to_value(&asked).unwrap_or_default();
        let state = self.new_ceremony(inner);
        let sealed = self.seal_ceremony(org, Purpose::Authorize, &state)?;
        if sealed.len() > REQUEST_CHARS_MAX {
            let text =
                "the request is too long; use a shorter 'state', or ask for fewer tools at once";
            return Err(Denied::new(
                OAuthErrorCode::InvalidRequest,
                "request-invalid",
                text,
            ));
        }
        Ok(sealed)
    }

    fn open_asked(&self, org: &OrgId, sealed: &str) -> Result<(State, Asked), Refusal> {
        let state = self.open_ceremony(org, Purpose::Authorize, sealed)?;
        let asked = serde_json::from_value(state.inner.clone());
        let asked =
            asked.map_err(|_| no(RefusalCode::ProofInvalid, "begin again at the client"))?;
        Ok((state, asked))
    }

    /// What is asked, for the page on which the person decides.
    ///
    /// # Errors
    /// `proof-invalid` when it was not asked here, has ended, or its redirect address is not registered any more.
    pub fn consent_asked(&self, org: &OrgId, sealed: &str) -> Result<Asked, Refusal> {
        let (_, asked) = self.open_asked(org, sealed)?;
        let still = self.books().org(org).is_some_and(|book| {
            let registry = book.registry();
            let workflow = registry.workflows.get(&asked.workflow);
            workflow.is_some_and(|w| may_ask(w, asked.client.as_deref(), &asked.redirect_uri))
        });
        if still {
            Ok(asked)
        } else {
            Err(no(RefusalCode::ProofInvalid, "begin again at the client"))
        }
    }

    /// Uses a request up: it is decided once, whatever is decided.
    ///
    /// # Errors
    /// `unauthenticated` when it was decided before; `proof-invalid`, `ledger-unavailable`.
    pub async fn decide_consent(&self, org: &OrgId, sealed: &str) -> Result<Asked, Refusal> {
        let (state, asked) = self.open_asked(org, sealed)?;
        let change = Change::new().once(state.once());
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(asked)
    }

    /// Where the browser goes with a code for the delegation that the person has made.
    ///
    /// # Errors
    /// `credential-unavailable`, `not-found`.
    pub fn consent_given(
        &self,
        org: &OrgId,
        asked: Asked,
        delegation: &DelegationId,
        by: &PersonId,
    ) -> Result<String, Refusal> {
        let (to, echo) = (asked.redirect_uri.clone(), asked.state.clone());
        let code = Code {
            asked,
            delegation: delegation.clone(),
        };
        let inner = serde_json::to_value(&code).unwrap_or_default();
        let mut state = self
            .new_ceremony(inner)
            .ending_in(self.books().now(), CODE_SECS);
        state.person = Some(by.clone());
        let sealed = self.seal_ceremony(org, Purpose::Code, &state)?;
        self.answer(org, &to, echo.as_deref(), Ok(&sealed))
    }

    /// Where the browser goes when the person lets the agent do nothing. It is recorded.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn consent_denied(&self, org: &OrgId, asked: Asked) -> Result<String, Refusal> {
        let text = "the person has not let the agent act for them";
        let denied = Denied::new(OAuthErrorCode::AccessDenied, "consent-denied", text);
        let error = self.deny(org, "authorize", denied.by(&asked.agent)).await;
        self.answer(
            org,
            &asked.redirect_uri,
            asked.state.as_deref(),
            Err(&error),
        )
    }

    /// The redirect address with the answer: `code` or `error`, the client's `state`, and our `iss` (RFC 9207).
    fn answer(
        &self,
        org: &OrgId,
        to: &str,
        state: Option<&str>,
        answer: Result<&str, &OAuthError>,
    ) -> Result<String, Refusal> {
        let issuer = self.issuer_url(org)?;
        let mut url = Url::parse(to)
            .map_err(|_| no(RefusalCode::InvalidRequest, "the redirect address is none"))?;
        {
            let mut query = url.query_pairs_mut();
            match answer {
                Ok(code) => query.append_pair("code", code),
                Err(error) => query
                    .append_pair("error", error.error.as_str())
                    .append_pair("error_description", &error.error_description),
            };
            if let Some(state) = state {
                query.append_pair("state", state);
            }
            query.append_pair("iss", &issuer);
        }
        Ok(url.into())
    }

    /// A code becomes a token (RFC 6749 §4.1.3). One that was used already ends what it gave (§4.1.2).
    pub(crate) async fn redeem_code(
        &self,
        org: &OrgId,
        request: &AuthorizationCode,
        proof: Option<&str>,
    ) -> Result<TokenResponse, Denied> {
        let client = self.authenticate_with(org, &request.client, proof).await?;
        let agent = client.agent.id.clone();
        let by = |denied: Denied| denied.by(&agent);
        let (state, code) = self.own_code(org, &client, request).map_err(by)?;
        let redeemed = self.redeem_own(org, client, request, &state, &code).await;
        if redeemed
            .as_ref()
            .is_err_and(|denied| denied.code == CODE_REPLAYED)
        {
            self.end_under(org, &code.delegation).await;
        }
        redeemed.map_err(by)
    }

    /// The code, when it is this client's, with this redirect address, verifier and key.
    fn own_code(
        &self,
        org: &OrgId,
        client: &Client,
        request: &AuthorizationCode,
    ) -> Result<(State, Code), Denied> {
        let unknown = || {
            grant(
                "code-invalid",
                "the code was not given out here, or has ended",
            )
        };
        let sealed = request.code.expose_secret();
        let state = self.open_ceremony(org, Purpose::Code, sealed);
        let state = state.map_err(|_| unknown())?;
        let code: Code = serde_json::from_value(state.inner.clone()).map_err(|_| unknown())?;
        let asked = &code.asked;
        if asked.agent != client.agent.id || asked.client != client.document {
            return Err(grant(
                "code-client-other",
                "the code was given to another client",
            ));
        }
        if request.redirect_uri.as_deref() != Some(asked.redirect_uri.as_str()) {
            let text = "the 'redirect_uri' is not the one that the code was sent to";
            return Err(grant("code-redirect-other", text));
        }
        if !verifies(request.code_verifier.expose_secret(), &asked.challenge) {
            let text = "the 'code_verifier' is not the one that the request was begun with";
            return Err(grant("code-verifier-other", text));
        }
        let key = client.bound.as_ref().map(|bound: &Bound| &bound.jkt);
        if asked.jkt.is_some() && asked.jkt.as_ref() != key {
            let text = "the code is bound to a key; send a DPoP proof by that key";
            return Err(grant("code-key-other", text));
        }
        Ok((state, code))
    }

    async fn redeem_own(
        &self,
        org: &OrgId,
        client: Client,
        request: &AuthorizationCode,
        state: &State,
        code: &Code,
    ) -> Result<TokenResponse, Denied> {
        let asked = &code.asked;
        let granted: Vec<String> = asked.resource.iter().cloned().collect();
        let granted = self.resource_asked(org, &granted)?;
        let resource = match request.resource.as_slice() {
            [] => granted,
            named => {
                let named = self.resource_asked(org, named)?;
                if !granted.covers(&named) {
                    let text = "the person was asked for a narrower resource";
                    return Err(Denied::new(OAuthErrorCode::InvalidTarget, "wider", text));
                }
                named
            }
        };
        let broken = || {
            let text = "the delegation was revoked or has ended; ask the person again";
            Denied::from(no(RefusalCode::ChainBroken, text))
        };
        let book = self.tenant(org)?;
        let (workflow, link) = {
            let registry = book.registry();
            let link = registry.delegations.get(&code.delegation);
            let link = link.filter(|link| {
                let person = registry.people.get(&link.person);
                link.is_live(self.books().now())
                    && link.to == asked.agent
                    && link.workflow == asked.workflow
                    && person.is_some_and(|person| person.is_active())
            });
            let workflow = registry.standing_workflow(&asked.agent, &asked.workflow)?;
            (workflow, link.cloned())
        };
        let ask = Ask {
            details: details::read(&request.authorization_details)?,
            client,
            workflow,
            resource,
            once: vec![state.once()],
            not_after: None,
            from: None,
            kind: HopKind::Code,
        };
        let Some(link) = link else {
            // What it gave may be gone because the code was used before: that is the same answer, with its own reason.
            return Err(broken());
        };
        let acting = ActingFor::person(Some(link.person.clone()), vec![link]);
        self.issue_implicit(org, acting, ask).await
    }

    /// Ends every run that rests on a delegation, and with it its tokens.
    async fn end_under(&self, org: &OrgId, delegation: &DelegationId) {
        let Some(book) = self.books().org(org) else {
            return;
        };
        let runs: Vec<_> = {
            let registry = book.registry();
            let under = |run: &&std::sync::Arc<remit_domain::Run>| run.chain.contains(delegation);
            let found = registry.runs.values().filter(under);
            found.map(|run| run.id.clone()).collect()
        };
        for run in runs {
            let ending = Ending::because(Principal::Remit, RunEnd::DelegationEnded);
            if let Err(error) = self.books().end_run(org, &run, &ending).await {
                tracing::error!(%org, %run, %error, "a run of a replayed code could not be ended");
            }
        }
    }
}
