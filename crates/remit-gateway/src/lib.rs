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
mod breaker;
mod broker;
mod call;
mod canary;
mod content;
mod enforcement_point;
mod entry;
mod evaluate;
mod forward;
mod handle;
mod hold;
mod limits;
mod line;
mod list_tools;
mod notice;
mod obligation;
mod question;
mod record;
mod refuse;
mod report;
mod resolve;
mod runs;
mod search;
mod settle;
mod subscription;
mod told;
mod tool_call;
mod transform;

use std::sync::Arc;

use remit_books::Books;
use remit_domain::OrgId;
use remit_ports::{Leases, NoLeases, Secrets, Upstreams};

pub use authenticate::{Authenticator, Caller, NotLetIn, Presented};
pub use breaker::Trip;
pub use call::{Action, Answer, Endpoint, Passes, Received, Vouched, VouchedRun};
pub use enforcement_point::Question;
pub use evaluate::{Advice, Enforced, Requested, Verdict};
pub use limits::HOLD_MAX;
pub use line::{Can, EXECUTE, Line};
pub use list_tools::{ListRequest, ListedTool};
pub use refuse::Refused;
pub use report::{REPORT_SECS, Report, Reported};
pub use search::OBJECT;
pub use subscription::Subscription;

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
    leases: Arc<dyn Leases>,
    runs: runs::Runs,
    resolved: resolve::Cache,
    refusals: refuse::Door,
    breaker: breaker::Watch,
    points: enforcement_point::Points,
    /// Content-addressed inputs this node has kept already.
    kept: moka::sync::Cache<(OrgId, String), Arc<str>>,
    /// How long a call that waits for a person is held; zero for not at all.
    hold: std::time::Duration,
}

impl Gateway {
    /// A gateway over these books.
    pub fn new(
        books: Books,
        authenticator: Arc<dyn Authenticator>,
        upstreams: Arc<dyn Upstreams>,
        secrets: Arc<dyn Secrets>,
    ) -> Self {
        Self::holding(
            books,
            authenticator,
            upstreams,
            secrets,
            Arc::new(NoLeases),
            std::time::Duration::ZERO,
        )
    }

    /// A gateway that holds a call which waits for a person for `hold`, at most [`HOLD_MAX`], before it answers.
    pub fn holding(
        books: Books,
        authenticator: Arc<dyn Authenticator>,
        upstreams: Arc<dyn Upstreams>,
        secrets: Arc<dyn Secrets>,
        leases: Arc<dyn Leases>,
        hold: std::time::Duration,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                books,
                authenticator,
                upstreams,
                secrets,
                leases,
                runs: runs::Runs::default(),
                resolved: resolve::Cache::default(),
                refusals: refuse::Door::default(),
                breaker: breaker::Watch::default(),
                points: enforcement_point::Points::default(),
                kept: moka::sync::Cache::new(limits::RESOLVED_MAX),
                hold: hold.min(HOLD_MAX),
            }),
        }
    }

    pub(crate) fn books(&self) -> &Books {
        &self.inner.books
    }
}
