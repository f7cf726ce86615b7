//! TLS by X.509-SVIDs of our own trust domains: the bundle endpoint of the profile `https_spiffe` (SPIFFE Federation §5.2.2.3). Each
//! connection is shown the SVID of the moment, so that nothing has to be told when it is replaced. No client has to prove itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper_util::rt::TokioIo;
use remit_http::ShownSvid;
use remit_issuer::{EndpointSvid, Issuer};
use rustls::ServerConfig;
use rustls::server::Acceptor;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{HANDSHAKE_TIMEOUT, Surface};

/// Most connections at once: whoever fetches a bundle does so once a minute.
const CONNECTIONS_MAX: usize = 512;
/// How long a connection lasts, from its handshake on.
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// Serves bundles until `stop` fires.
pub(crate) async fn serve_bundles(listener: TcpListener, issuer: Issuer, stop: CancellationToken) {
    let router = remit_http::bundle_endpoint(issuer.clone());
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    while let Some((stream, peer)) = super::accepted(&listener, &stop).await {
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::debug!(%peer, "too many connections to the bundle endpoint");
            continue;
        };
        let (issuer, router, stop) = (issuer.clone(), router.clone(), stop.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, peer, issuer, router, stop).await {
                tracing::debug!(
                    error = format!("{error:#}"),
                    "no connection to the bundle endpoint"
                );
            }
            drop(place);
        });
    }
    super::ended(&connections).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    issuer: Issuer,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let named = hello.client_hello().server_name().map(str::to_owned);
        let org = issuer
            .bundle_endpoint_of(named.as_deref())
            .context("no organization is here")?;
        let svid = issuer.bundle_endpoint_svid(&org).await.map_err(|refusal| {
            tracing::error!(%org, %refusal, "the bundle endpoint has no SVID");
            anyhow::anyhow!("{refusal}")
        })?;
        let stream = hello.into_stream(config(&svid)?).await?;
        anyhow::Ok((stream, org))
    });
    let (stream, org) = shaken.await.context("TLS handshake took too long")??;
    let surface = Surface {
        router,
        peer,
        certificate: None,
        shown: Some(ShownSvid(org)),
    };
    let served = super::http(TokioIo::new(stream), surface, stop);
    // Whoever stays longer connects anew, and sees the SVID of then.
    let _ = tokio::time::timeout(CONNECTION_MAX, served).await;
    Ok(())
}

fn config(svid: &EndpointSvid) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = vec![CertificateDer::from(svid.certificate.clone())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(svid.key.to_vec()));
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the SVID of the bundle endpoint cannot be used")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
