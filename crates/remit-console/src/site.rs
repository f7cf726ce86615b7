//! What every page shares, and which organization a page is of.

use std::sync::Arc;

use remit_books::{Books, OrgBook};
use remit_control::Control;
use remit_domain::{OrgId, Timestamp};
use remit_issuer::Issuer;

use crate::audit::Verifications;
use crate::live::Live;

/// What the console is made of.
pub struct Console {
    /// Who you are.
    pub issuer: Issuer,
    /// Who decides.
    pub control: Control,
    /// The books.
    pub books: Books,
    /// Where everybody reaches this instance: scheme, host and port, without trailing slash.
    pub public_url: String,
    /// Name of the organization at the root; every other one is at `/t/{name}`.
    pub default_org: String,
    /// Whether this is a scratch server, which every page then says.
    pub dev: bool,
}

/// The state of every page. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Site(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) console: Console,
    pub(crate) live: Live,
    pub(crate) verifications: Verifications,
    pub(crate) secure: bool,
}

impl Site {
    pub(crate) fn new(console: Console) -> Self {
        let secure = console.public_url.starts_with("https://");
        Self(Arc::new(Inner {
            console,
            live: Live::new(),
            verifications: Verifications::default(),
            secure,
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.console.books.now()
    }
}

impl std::ops::Deref for Site {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The organization a page is of: that of its path, never of a cookie.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) book: Arc<OrgBook>,
    pub(crate) name: String,
    /// What every address on this page begins with: nothing, or `/t/{name}`.
    pub(crate) at: String,
    /// Where others reach it: scheme, host, and the same.
    pub(crate) base: String,
}

impl Place {
    /// The organization of that name; none means the default one.
    pub(crate) fn named(site: &Site, name: Option<&str>) -> Option<Self> {
        let console = &site.console;
        let at = name.map_or_else(String::new, |name| format!("/t/{name}"));
        let name = name.unwrap_or(&console.default_org);
        let book = console.books.org_named(name)?;
        // The operator's organization has no agents and no people: no page is of it.
        let base = console.issuer.issuer_url(&book.id).ok()?;
        Some(Self {
            name: name.to_owned(),
            at,
            base,
            book,
        })
    }

    pub(crate) fn org(&self) -> &OrgId {
        &self.book.id
    }
}
