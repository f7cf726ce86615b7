//! Accepting connections, with TLS where it is configured; certificate and key are read again when they change.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use remit_http::{ClientCertificate, ShownSvid};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

mod offered;
mod svid;

pub(crate) use svid::serve_bundles;

/// How often certificate and key are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(10);
/// How long a client may take to shake hands, and to send its request head.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections may take to end when the server does.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// Certificate and key, as files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Whether clients may show a certificate.
    pub(crate) asks: bool,
}

impl Files {
    fn read(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("certificate `{}` cannot be read", self.cert.display()))?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("private key `{}` cannot be read", self.key.display()))?;
        let config = ServerConfig::builder();
        let config = match self.asks {
            true => config.with_client_cert_verifier(offered::verifier()?),
            false => config.with_no_client_auth(),
        };
        let mut config = config
            .with_single_cert(chain, key)
            .context("certificate and private key do not belong together")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn changed(&self) -> Option<(SystemTime, SystemTime)> {
        let at = |path: &PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).ok();
        Some((at(&self.cert)?, at(&self.key)?))
    }
}

/// Serves `router` until `stop` fires, then lets what goes on end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    files: Option<Files>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let tls = match files {
        Some(files) => Some(watched(files, stop.clone())?),
        None => None,
    };
    let connections = TaskTracker::new();
    while let Some((stream, peer)) = accepted(&listener, &stop).await {
        let surface = Surface {
            router: router.clone(),
            peer,
            certificate: None,
            shown: None,
        };
        connections.spawn(connection(
            stream,
            surface,
            tls.as_ref().map(|t| t.load_full()),
            stop.clone(),
        ));
    }
    ended(&connections).await;
    Ok(())
}

/// The next connection; none once `stop` fires.
async fn accepted(
    listener: &TcpListener,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        match stop.run_until_cancelled(listener.accept()).await? {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return Some((stream, peer));
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back rather than spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Waits for what goes on, for a while.
async fn ended(connections: &TaskTracker) {
    connections.close();
    if tokio::time::timeout(SHUTDOWN_GRACE, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            open = connections.len(),
            "connections were cut off at shutdown"
        );
    }
}

fn watched(files: Files, stop: CancellationToken) -> anyhow::Result<Arc<ArcSwap<ServerConfig>>> {
    let config = Arc::new(ArcSwap::new(files.read()?));
    let watched = Arc::clone(&config);
    tokio::spawn(async move {
        let mut seen = files.changed();
        while tokio::time::timeout(RELOAD_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            let now = files.changed();
            if now == seen {
                continue;
            }
            match files.read() {
                Ok(config) => {
                    watched.store(config);
                    seen = now;
                    tracing::info!(certificate = %files.cert.display(), "certificate and key were read again");
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the new certificate cannot be used; the old one stays"
                ),
            }
        }
    });
    Ok(config)
}

/// What is served on one connection. The peer goes to each request by itself: a layer would make the whole router anew, of
/// half a megabyte, for each connection.
#[derive(Clone)]
struct Surface {
    router: Router,
    peer: SocketAddr,
    certificate: Option<ClientCertificate>,
    /// Whose SVID the client was shown, where it was one.
    shown: Option<ShownSvid>,
}

impl Surface {
    fn call(&self, mut request: hyper::Request<Incoming>) -> <Router as Service<Request>>::Future {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        if let Some(shown) = &self.shown {
            request.extensions_mut().insert(shown.clone());
        }
        self.router.clone().call(request.map(Body::new))
    }
}

async fn connection(
    stream: TcpStream,
    surface: Surface,
    tls: Option<Arc<ServerConfig>>,
    stop: CancellationToken,
) {
    match tls {
        None => http(TokioIo::new(stream), surface, stop).await,
        Some(config) => {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream))
                .await
            {
                Ok(Ok(stream)) => {
                    let certificate = offered::shown(stream.get_ref().1);
                    let surface = Surface {
                        certificate,
                        ..surface
                    };
                    http(TokioIo::new(stream), surface, stop).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        }
    }
}

async fn http<I>(io: I, surface: Surface, stop: CancellationToken)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| surface.call(request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT);
    builder
        .http2()
        .timer(hyper_util::rt::TokioTimer::new())
        .max_concurrent_streams(256);
    let mut served = std::pin::pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
