//! The gateway: what an agent may do now. The walk of one tool call (PEP), and the smaller walk of a list.
//!
//! ```text
//! Received -> authenticate -> resolve -> authorize -> approve -> record decision -> broker -> forward -> record outcome
//! ```
//!
//! Each room takes the previous state by value, so that a skipped room does not compile. Knows ports and engines; no
//! adapter, no other service, no HTTP.

#![warn(missing_docs)]

mod approve;
mod authenticate;
mod authorize;
mod broker;
mod call;
mod entry;
mod forward;
mod handle;
mod limits;
mod list_tools;
mod record;
mod refuse;
mod resolve;
mod runs;
mod told;
mod tool_call;

use std::sync::Arc;

use remit_books::Books;
use remit_domain::OrgId;
use remit_ports::{Secrets, Upstreams};

pub use authenticate::{Authenticator, Caller};
pub use call::{Action, Answer, Endpoint, Received};
pub use list_tools::{ListRequest, ListedTool};
pub use refuse::Refused;

/// Name of the tool that tells what became of an approval; the one tool that is the gateway's own.
pub const APPROVAL_STATUS_TOOL: &str = "remit_approval_status";

/// The gateway. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    books: Books,
    authenticator: Arc<dyn Authenticator>,
    upstreams: Arc<dyn Upstreams>,
    secrets: Arc<dyn Secrets>,
    runs: runs::Runs,
    resolved: resolve::Cache,
    refusals: refuse::Door,
    /// Content-addressed inputs this node has kept already.
    kept: moka::sync::Cache<(OrgId, String), Arc<str>>,
}

impl Gateway {
    /// A gateway over these books.
    pub fn new(
        books: Books,
        authenticator: Arc<dyn Authenticator>,
        upstreams: Arc<dyn Upstreams>,
        secrets: Arc<dyn Secrets>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                books,
                authenticator,
                upstreams,
                secrets,
                runs: runs::Runs::default(),
                resolved: resolve::Cache::default(),
                refusals: refuse::Door::default(),
                kept: moka::sync::Cache::new(limits::RESOLVED_MAX),
            }),
        }
    }

    pub(crate) fn books(&self) -> &Books {
        &self.inner.books
    }
}
