//! How people sign in with a browser: what is shared by links, passkeys and the company's OpenID provider.

pub(crate) mod ceremony;
mod cookie;
mod oidc;
mod provider;
mod vouch;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use remit_books::Change;
use remit_domain::credential::Enrolment;
use remit_domain::event::{Event, EventKind};
use remit_domain::{OrgId, Principal, Refusal, RefusalCode, SignedInBy};
use remit_ports::store::Once;
use remit_ports::{Secrets, Web};

use crate::Issuer;
use crate::limits::{
    ONCE_MARGIN_SECS, PROVIDER_FRESH_SECS, PROVIDERS_KNOWN_MAX, SESSIONS_KNOWN_MAX, VERIFIED_SECS,
};
use crate::person_token::short;
use crate::refusal::no;
use crate::session::{Known, NewSession, OpenSession};

pub(crate) use ceremony::{Purpose, State};
pub use cookie::CookieAttributes;
pub use oidc::{OidcAnswer, OidcStart, Welcome};
pub use provider::ProviderReport;

/// What signing in remembers and reaches.
pub(crate) struct SignIn {
    pub(crate) known: moka::sync::Cache<[u8; 32], Arc<Known>>,
    pub(crate) providers: moka::sync::Cache<(OrgId, String), Arc<provider::Metadata>>,
    pub(crate) outside: OnceLock<Outside>,
}

/// What is outside of this process, for the OpenID provider.
pub(crate) struct Outside {
    pub(crate) web: Arc<dyn Web>,
    pub(crate) secrets: Arc<dyn Secrets>,
}

impl SignIn {
    pub(crate) fn new() -> Self {
        Self {
            known: moka::sync::Cache::builder()
                .max_capacity(SESSIONS_KNOWN_MAX)
                .time_to_live(Duration::from_secs(VERIFIED_SECS))
                .build(),
            providers: moka::sync::Cache::builder()
                .max_capacity(PROVIDERS_KNOWN_MAX)
                .time_to_live(Duration::from_secs(PROVIDER_FRESH_SECS))
                .build(),
            outside: OnceLock::new(),
        }
    }
}

impl Issuer {
    /// With the ways to the company's OpenID provider; without them nobody signs in with one. Counts once.
    #[must_use]
    pub fn with_web(self, web: Arc<dyn Web>, secrets: Arc<dyn Secrets>) -> Self {
        if self
            .inner
            .sign_in
            .outside
            .set(Outside { web, secrets })
            .is_err()
        {
            tracing::debug!("the ways outside were set already");
        }
        self
    }

    /// Signs a person in with the code of a link that an administrator, the operator or `remit dev` made. Works once, also
    /// when it is tried many times at once. A refusal is recorded.
    ///
    /// - `browser`: what the browser calls itself; shortened.
    ///
    /// # Errors
    /// `unauthenticated` when the code is not good, `ledger-unavailable`.
    pub async fn sign_in_with_link(
        &self,
        org: &OrgId,
        code: &str,
        browser: &str,
    ) -> Result<NewSession, Refusal> {
        match self.sign_in_with_link_inner(org, code, browser).await {
            Err(refusal) if refusal.code == RefusalCode::Unauthenticated => {
                Err(self.refuse(org, "sign_in_link", None, None, refusal).await)
            }
            other => other,
        }
    }

    async fn sign_in_with_link_inner(
        &self,
        org: &OrgId,
        code: &str,
        browser: &str,
    ) -> Result<NewSession, Refusal> {
        let found = self.enrolment_of(org, code).await?;
        let now = self.books().now();
        let person = found.noun.person.clone();
        self.enrolled(org, &found.noun).await?;
        let used = Enrolment {
            used: Some(now),
            ..found.noun
        };
        let event = Event::new(
            EventKind::PersonEnrolled,
            now,
            Principal::Person(person.clone()),
        )
        .about(&person)
        .fact("enrolment", short(&used.digest))
        .fact("step", "signed_in")
        .fact("created_by", &used.created_by);
        let once = Once {
            key: format!("enrolment:{}", used.digest),
            until: used.expires.plus_secs(ONCE_MARGIN_SECS),
        };
        let paid = Change::new()
            .update(&used, found.revision)
            .event(event)
            .once(once);
        let open = OpenSession {
            person,
            how: SignedInBy::Link,
            browser: browser.to_owned(),
            roles_max: None,
        };
        self.open_session_with(org, open, paid).await
    }
}

/// The same for everybody who cannot sign in, so that nothing is learned of who is here.
pub(crate) fn cannot_sign_in() -> Refusal {
    no(
        RefusalCode::Unauthenticated,
        "you could not be signed in; try again, or ask an administrator for a link",
    )
}
