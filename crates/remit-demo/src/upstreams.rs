//! Five MCP servers to govern, with fixed data and a log of what really happened.
//!
//! They trust whoever calls them, as real upstreams trust a service account: a reset of the chief executive's password
//! or a refund to a stranger's card *works* here. What stops it in the demo is Remit, and [`EffectsLog`] proves it from
//! the other side.

mod catalog;
mod frame;
mod grc;
mod itsm;
mod journal;
mod kind;
mod ops;
mod orders;
mod siem;
pub mod story;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, bail};
use rmcp::transport::IntoTransport;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler, ServiceExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use catalog::{catalog, data_classes, entitlements};
pub use frame::EFFECTS_LOG;
pub use journal::{Change, EFFECTS_KEPT_MAX, EffectsLog};
pub use kind::{DemoKind, DemoKindError};

use frame::Framed;
use journal::Journal;

/// Where a demo server answers on its listener.
pub const MCP_PATH: &str = "/mcp";
/// Greatest request body, in bytes: the tools take short texts.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// One demo server. Its state lives as long as this value and what serves it.
#[derive(Debug, Clone)]
pub struct Upstream {
    kind: DemoKind,
    journal: Journal,
    server: Server,
}

#[derive(Debug, Clone)]
enum Server {
    Itsm(Framed<itsm::Itsm>),
    Orders(Framed<orders::Orders>),
    Siem(Framed<siem::Siem>),
    Ops(Framed<ops::Ops>),
    Grc(Framed<grc::Grc>),
}

/// Runs the same lines with whichever server it is.
macro_rules! with_server {
    ($upstream:expr, $server:ident => $run:expr) => {
        match $upstream.server.clone() {
            Server::Itsm($server) => $run,
            Server::Orders($server) => $run,
            Server::Siem($server) => $run,
            Server::Ops($server) => $run,
            Server::Grc($server) => $run,
        }
    };
}

impl Upstream {
    /// A server with its state as seeded.
    pub fn new(kind: DemoKind) -> Self {
        let journal = Journal::default();
        let server = match kind {
            DemoKind::Itsm => Server::Itsm(itsm::server(journal.clone())),
            DemoKind::Orders => Server::Orders(orders::server(journal.clone())),
            DemoKind::Siem => Server::Siem(siem::server(journal.clone())),
            DemoKind::Ops => Server::Ops(ops::server(journal.clone())),
            DemoKind::Grc => Server::Grc(grc::server(journal.clone())),
        };
        Self {
            kind,
            journal,
            server,
        }
    }

    /// Which server.
    pub fn kind(&self) -> DemoKind {
        self.kind
    }

    /// What really happened here since it was made: the same as its tool `effects_log` tells.
    pub fn effects(&self) -> EffectsLog {
        self.journal.read()
    }

    /// Serves one connection until the other side closes it.
    ///
    /// # Errors
    /// When the other side closes before it has opened the protocol.
    pub async fn serve<T, E, A>(&self, transport: T) -> Result<()>
    where
        T: IntoTransport<RoleServer, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        with_server!(self, server => connection(server, transport).await)
            .with_context(|| format!("demo upstream `{}` could not serve", self.kind))
    }

    /// Serves Streamable HTTP at [`MCP_PATH`] of `listener` until `cancel`; every session shares the state.
    ///
    /// # Errors
    /// When `listener` is not on loopback, where nobody else can reach a server that trusts its caller.
    pub async fn serve_http(&self, listener: TcpListener, cancel: CancellationToken) -> Result<()> {
        let addr = listener
            .local_addr()
            .context("cannot read the listener's address")?;
        if !addr.ip().is_loopback() {
            bail!("demo upstreams serve loopback only, not `{addr}`: they trust every caller");
        }
        let router = with_server!(self, server => routes(server, &cancel));
        axum::serve(listener, router)
            .with_graceful_shutdown(cancel.cancelled_owned())
            .await
            .with_context(|| format!("demo upstream `{}` stopped serving", self.kind))
    }
}

/// Serves a fresh `kind` over stdin and stdout until stdin ends.
///
/// # Errors
/// As [`Upstream::serve`].
pub async fn serve_stdio(kind: DemoKind) -> Result<()> {
    Upstream::new(kind)
        .serve(rmcp::transport::io::stdio_pipes())
        .await
}

/// Serves a fresh `kind` over Streamable HTTP until `cancel`.
///
/// # Errors
/// As [`Upstream::serve_http`].
pub async fn serve_http(
    kind: DemoKind,
    listener: TcpListener,
    cancel: CancellationToken,
) -> Result<()> {
    Upstream::new(kind).serve_http(listener, cancel).await
}

async fn connection<S, T, E, A>(server: Framed<S>, transport: T) -> Result<()>
where
    S: Send + Sync + 'static,
    T: IntoTransport<RoleServer, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    server.serve(transport).await?.waiting().await?;
    Ok(())
}

/// Host names other than loopback's are refused by the service's own default (DNS rebinding), foreign origins here.
fn routes<S>(server: Framed<S>, cancel: &CancellationToken) -> axum::Router
where
    S: Send + Sync + 'static,
    Framed<S>: ServerHandler,
{
    let config = StreamableHttpServerConfig::default()
        .enforce_origin_validation()
        .with_max_request_body_bytes(REQUEST_BYTES_MAX)
        .with_cancellation_token(cancel.child_token());
    let sessions = std::sync::Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    axum::Router::new().nest_service(MCP_PATH, service)
}
