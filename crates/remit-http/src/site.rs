//! What every endpoint shares, and which organization a request is for.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use remit_books::{Books, OPERATOR_ORG, OrgBook};
use remit_control::Control;
use remit_domain::OrgId;
use remit_gateway::Gateway;
use remit_issuer::Issuer;

use crate::guard::Guard;
use crate::mcp::Sessions;
use crate::ops::Metrics;
use crate::problem::Problem;

/// What the surface is made of.
pub struct App {
    /// Who you are.
    pub issuer: Issuer,
    /// Who decides.
    pub control: Control,
    /// What you may do now.
    pub gateway: Gateway,
    /// The books.
    pub books: Books,
    /// Where everybody reaches this instance: scheme, host and port, without trailing slash. Every address that is given
    /// out begins with it.
    pub public_url: String,
    /// Name of the organization at the root; every other one is at `/t/{name}`.
    pub default_org: String,
    /// Whether the server listens on loopback only; then loopback names are good hosts too.
    pub on_loopback: bool,
    /// Whether a proxy of ours stands in front, so that the client's address is the last one of `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// More hosts by which the server may be called, such as the address that a health probe uses: `host` or `host:port`.
    pub hosts: Vec<String>,
    /// Whether entries and tiles of the ledgers are public; the checkpoint and its key always are.
    pub publish_ledger: bool,
}

/// The state of every handler. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Site(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) app: App,
    pub(crate) guard: Guard,
    pub(crate) metrics: Metrics,
    pub(crate) sessions: Sessions,
    /// Bodies of access requests, by their idempotency keys.
    pub(crate) requests: crate::authzen::Keys,
    /// Places for those who listen to decisions.
    pub(crate) listeners: Arc<tokio::sync::Semaphore>,
    /// Places for Envoys that tell what came of requests.
    pub(crate) access_logs: Arc<tokio::sync::Semaphore>,
}

impl Site {
    pub(crate) fn new(app: App) -> Self {
        let guard = Guard::new(&app);
        Self(Arc::new(Inner {
            app,
            guard,
            metrics: Metrics::new(),
            sessions: Sessions::new(),
            requests: crate::authzen::Keys::default(),
            listeners: Arc::new(tokio::sync::Semaphore::new(crate::limits::LISTENERS_MAX)),
            access_logs: Arc::new(tokio::sync::Semaphore::new(crate::limits::ACCESS_LOGS_MAX)),
        }))
    }
}

impl std::ops::Deref for Site {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The organization a request is for: that of its path, never of its token.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) book: Arc<OrgBook>,
    /// Its issuer, which every address of it begins with.
    pub(crate) base: String,
}

impl Place {
    pub(crate) fn org(&self) -> &OrgId {
        &self.book.id
    }

    /// The organization of that name; none means the default one.
    pub(crate) fn named(site: &Site, name: Option<&str>) -> Result<Self, Problem> {
        let name = name.unwrap_or(&site.app.default_org);
        let unknown = || {
            Problem::not_found(
                "no such organization is here; its name comes after `/t/` in the address",
            )
        };
        let book = site.app.books.org_named(name).ok_or_else(unknown)?;
        // The operator's organization has no agents and no people: nothing of this surface is at its name.
        let base = site
            .app
            .issuer
            .issuer_url(&book.id)
            .map_err(|_| unknown())?;
        Ok(Self { book, base })
    }
}

impl Place {
    /// Where the operator is before there is any organization: nothing of an organization is here.
    pub(crate) fn before_any(site: &Site) -> Option<Self> {
        if site.app.books.org_named(&site.app.default_org).is_some() {
            return None;
        }
        let book = site.app.books.org(&OPERATOR_ORG.parse().ok()?)?;
        Some(Self {
            book,
            base: site.app.public_url.clone(),
        })
    }
}

impl FromRequestParts<Site> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, site).await;
        let params = params.map_err(|_| Problem::not_found("there is nothing at this address"))?;
        let name = params
            .iter()
            .find(|(key, _)| *key == "org")
            .map(|(_, value)| value.to_owned());
        Self::named(site, name.as_deref())
    }
}
