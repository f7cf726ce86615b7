//! Connections: pooled per organization, with the address rules at the moment of connecting, since a name may
//! resolve to anything.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::Uri;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use remit_domain::OrgId;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use tower_service::Service;

use super::target::{is_private, refused};
use crate::flight::Flight;
use crate::limits::{CONNECT, CONNECTION_IDLE};
use crate::slots::lock;

/// Certificates of authorities.
pub type Roots = Vec<CertificateDer<'static>>;

type BoxError = Box<dyn StdError + Send + Sync>;
type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The client of one organization.
pub(super) type Client =
    hyper_util::client::legacy::Client<Timed<HttpsConnector<HttpConnector<Guarded>>>, OneShot>;

/// The clients of all organizations: a connection, and what was agreed on it, is never shared between two.
#[derive(Debug)]
pub(super) struct Wire {
    tls: ClientConfig,
    loopback: bool,
    private: bool,
    clients: Mutex<HashMap<OrgId, Client>>,
}

impl Wire {
    pub(super) fn new(loopback: bool, roots: &Roots) -> Self {
        Self::within(loopback, true, roots)
    }

    /// - `private`: whether addresses of private networks may be connected to.
    /// - `roots`: authorities that are trusted besides this machine's.
    pub(super) fn within(loopback: bool, private: bool, roots: &Roots) -> Self {
        Self {
            tls: tls(roots),
            loopback,
            private,
            clients: Mutex::default(),
        }
    }

    pub(super) fn client(&self, org: &OrgId) -> Client {
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get(org) {
            return client.clone();
        }
        let mut tls = self.tls.clone();
        tls.resumption = Resumption::in_memory_sessions(64);
        let client = self.build(tls);
        clients.insert(org.clone(), client.clone());
        client
    }

    /// A client of its own, under the same rules for addresses: whoever it meets is judged by `tls`, and nothing is remembered.
    pub(super) fn apart(&self, mut tls: ClientConfig) -> Client {
        tls.resumption = Resumption::disabled();
        self.build(tls)
    }

    fn build(&self, tls: ClientConfig) -> Client {
        let mut tcp = HttpConnector::new_with_resolver(Guarded {
            loopback: self.loopback,
            private: self.private,
            inner: GaiResolver::new(),
        });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(CONNECTION_IDLE)
            .pool_max_idle_per_host(128)
            .http1_max_buf_size(256 * 1024)
            .http2_initial_stream_window_size(256 * 1024)
            .http2_max_header_list_size(64 * 1024)
            .build(Timed(connector))
    }
}

fn tls(roots: &Roots) -> ClientConfig {
    let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        || ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let verifier = || Verifier::new_with_extra_roots(roots.iter().cloned(), provider());
    let trusting = builder().and_then(|builder| {
        let verifier = Arc::new(verifier()?);
        // The library's own way to give a verifier; this one checks as the platform's does.
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier))
    });
    match trusting {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "this machine's certificate authorities cannot be read, every https upstream will be refused");
            // No authority is trusted, so every handshake fails.
            ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(rustls::DEFAULT_VERSIONS)
                .map(|builder| {
                    builder
                        .with_root_certificates(rustls::RootCertStore::empty())
                        .with_no_client_auth()
                })
                .unwrap_or_else(|_| trust_nobody())
        }
    }
}

fn trust_nobody() -> ClientConfig {
    ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

/// A resolver that fails when any address of a name may not be connected to.
#[derive(Debug, Clone)]
pub(super) struct Guarded<R = GaiResolver> {
    loopback: bool,
    private: bool,
    inner: R,
}

impl<R> Service<Name> for Guarded<R>
where
    R: Service<Name, Error = io::Error>,
    R::Response: Iterator<Item = SocketAddr>,
    R::Future: Send + 'static,
{
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Boxed<Self::Response, io::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolving, loopback) = (self.inner.call(name), self.loopback);
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = resolving.await?.collect();
            match found.iter().find_map(|at| {
                let why = refused(at.ip(), loopback);
                let inside =
                    (!private && is_private(at.ip())).then_some("it is of a private network");
                Some((at.ip(), why.or(inside)?))
            }) {
                Some((ip, why)) => Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("its address {ip} is refused: {why}"),
                )),
                None => Ok(found.into_iter()),
            }
        })
    }
}

/// A connector with a limit over name, TCP and TLS together.
#[derive(Debug, Clone)]
pub(super) struct Timed<C>(C);

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Boxed<C::Response, BoxError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(format!("no connection within {CONNECT:?}").into()),
            }
        })
    }
}

/// A request body that says when it is taken for writing: before, no server can have acted on it.
#[derive(Debug)]
pub(super) struct OneShot {
    bytes: Option<Bytes>,
    flight: Arc<Flight>,
}

impl OneShot {
    pub(super) fn new(bytes: Bytes, flight: &Arc<Flight>) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self {
            bytes,
            flight: Arc::clone(flight),
        }
    }
}

impl Body for OneShot {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(bytes) = self.bytes.take() else {
            return Poll::Ready(None);
        };
        if self.flight.begin() {
            Poll::Ready(Some(Ok(Frame::data(bytes))))
        } else {
            Poll::Ready(Some(Err(io::Error::other("the call was withdrawn"))))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

/// An error with its causes on one line.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    crate::outgoing::reason(&text)
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use super::*;

    /// A name that leads elsewhere each time it is asked for.
    #[derive(Clone)]
    struct Rebinding(Vec<&'static str>);

    impl Service<Name> for Rebinding {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = io::Error;
        type Future = Ready<io::Result<Self::Response>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            let found = self.0.remove(0).split(' ');
            let found: Vec<_> = found.map(|at| at.parse().unwrap()).collect();
            ready(Ok(found.into_iter()))
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_the_next_time_is_refused_then() {
        let mut guarded = Guarded {
            loopback: false,
            private: false,
            inner: Rebinding(vec![
                "203.0.113.7:443",
                "127.0.0.1:443",
                "203.0.113.7:443 169.254.169.254:443",
                "203.0.113.7:443 10.0.0.1:443",
                "[::ffff:10.0.0.1]:443",
                "203.0.113.7:443",
            ]),
        };
        let mut answers = Vec::new();
        for _ in 0..6 {
            let found = guarded.call("keys.example".parse().unwrap()).await;
            // What is connected to is what was looked at, nothing that is resolved again.
            answers.push(found.map(Iterator::collect::<Vec<_>>).ok());
        }
        let outside = Some(vec!["203.0.113.7:443".parse().unwrap()]);
        let expected = [outside.clone(), None, None, None, None, outside];
        assert_eq!(answers, expected);
    }
}
