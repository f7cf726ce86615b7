//! Checking agents' tokens for the gateway, which knows only that somebody does.

use async_trait::async_trait;
use remit_domain::{OrgId, Refusal, RefusalCode};
use remit_gateway::{Authenticator, Caller, NotLetIn, Presented};
use remit_issuer::{AccessRefused, Issuer, Proved, Resource, Verified};
use secrecy::ExposeSecret;

/// The issuer as the gateway's authenticator.
#[derive(Debug, Clone)]
pub struct TokenAuthenticator(Issuer);

impl TokenAuthenticator {
    /// Tokens of this issuer.
    pub fn new(issuer: Issuer) -> Self {
        Self(issuer)
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(
        &self,
        org: &OrgId,
        presented: &Presented,
        resource: &str,
    ) -> Result<Caller, NotLetIn> {
        let issuer = self.0.issuer_url(org)?;
        let unknown = || Refusal::new(RefusalCode::Forbidden, "no token is good at this address");
        let at = resource
            .strip_prefix(issuer.as_str())
            .and_then(resource_of)
            .ok_or_else(unknown)?;
        let (token, proved) = (presented.token.expose_secret(), proved(presented));
        match self.0.verify_access(org, token, proved, &at).await {
            Ok(verified) => Ok(caller(&verified)),
            // A run that has ended never comes back, so the gateway refuses the call again by itself; but now it knows whose
            // call it was, and a call after the end of a run is something to look at.
            Err(refused)
                if refused.refusal.code == RefusalCode::RunEnded
                    && self.is_over(org, refused.verified.as_deref())
                    && holds_key(refused.verified.as_deref(), &proved) =>
            {
                let over = refused.verified.as_deref().map(caller);
                over.ok_or_else(|| not_let_in(refused))
            }
            // The token is good, elsewhere: its holder is to ask for another one, not to believe that this one is broken.
            Err(refused)
                if refused
                    .verified
                    .as_ref()
                    .is_some_and(|v| !v.resource.covers(&at)) =>
            {
                let refusal = Refusal::new(
                    RefusalCode::Forbidden,
                    "the token is for another resource; get one for this resource",
                );
                Err(NotLetIn {
                    refusal,
                    ..not_let_in(refused)
                })
            }
            Err(refused) => Err(not_let_in(refused)),
        }
    }
}

impl TokenAuthenticator {
    /// Whether the token's run has ended for good: the registry keeps every run that goes on, idle ones included.
    fn is_over(&self, org: &OrgId, verified: Option<&Verified>) -> bool {
        let book = self.0.books().org(org);
        let over =
            |v: &Verified| book.is_some_and(|book| !book.registry().runs.contains_key(&v.run));
        verified.is_some_and(over)
    }
}

/// What a request and its connection prove besides showing the token.
pub(crate) fn proved(presented: &Presented) -> Proved<'_> {
    Proved {
        key: presented.key.as_deref(),
        certificate: presented.certificate.as_deref(),
    }
}

/// Whether everything that a token is bound to was proved.
fn holds_key(verified: Option<&Verified>, proved: &Proved<'_>) -> bool {
    verified.is_none_or(|verified| verified.unproved(proved).is_none())
}

fn not_let_in(refused: AccessRefused) -> NotLetIn {
    let known = refused.verified.map(|v| (v.agent.clone(), v.run.clone()));
    NotLetIn {
        reason: Some(refused.reason),
        refusal: refused.refusal,
        known,
    }
}

fn resource_of(path: &str) -> Option<Resource> {
    match path {
        "/mcp" => Some(Resource::Mcp),
        "/api/v1" => Some(Resource::Api),
        _ => path
            .strip_prefix("/mcp/")?
            .parse()
            .ok()
            .map(Resource::Upstream),
    }
}

fn caller(verified: &Verified) -> Caller {
    Caller {
        agent: verified.agent.clone(),
        workflow: verified.workflow.clone(),
        run: verified.run.clone(),
        person: verified.person.clone(),
        credential: verified.token.to_string(),
        trust: verified.trust,
    }
}
