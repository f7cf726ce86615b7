//! `remit serve`: from settings to serving, and a clean end.

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::tls::{self, Files};
use crate::wiring::House;

/// A server that serves.
pub(crate) struct Running {
    pub(crate) house: House,
    pub(crate) url: String,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<anyhow::Result<()>>,
    tasks: tokio_util::task::TaskTracker,
}

/// Serves until a signal says stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let running = start(settings).await?;
    tracing::info!(url = running.url, "serving");
    if running.house.books.orgs().iter().all(|o| o.is_operator()) {
        tracing::warn!(
            "no organization is here, so nobody can sign in; stop, and make one with `remit init --admin EMAIL` and the same settings"
        );
    }
    signal().await?;
    tracing::info!("stopping: no new connections, calls in flight are finished");
    running.stop().await
}

/// Starts serving; returns once connections are accepted.
pub(crate) async fn start(settings: Settings) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; is another remit running? choose another with --listen",
            settings.listen
        )
    })?;
    let bundles = match settings.spiffe_bundle_listen {
        Some(at) => Some(TcpListener::bind(at).await.with_context(|| {
            format!("cannot listen on {at} (spiffe_bundle_listen); is another remit running?")
        })?),
        None => None,
    };
    let url = settings.url(listener.local_addr()?);
    let house = House::build(&settings, &url, None).await?;
    crate::telemetry::keep_out_secrets(house.books.clone());
    let stop = CancellationToken::new();
    let tasks = crate::tasks::start(&house, &settings, &stop);
    let console = remit_console::router(house.console(&settings, &url));
    let router = remit_http::router_with(house.app(&settings, &url), console);
    let files = settings
        .tls_cert
        .clone()
        .zip(settings.tls_key.clone())
        .map(|(cert, key)| Files {
            cert,
            key,
            asks: settings.tls_client_certificates,
        });
    let serving = tokio::spawn(tls::serve(listener, router, files, stop.clone()));
    if let Some(listener) = bundles {
        tasks.reopen();
        tasks.spawn(serve_bundles(listener, house.issuer.clone(), stop.clone()));
        tasks.close();
    }
    Ok(Running {
        house,
        url,
        stop,
        serving,
        tasks,
    })
}

async fn serve_bundles(
    listener: TcpListener,
    issuer: remit_issuer::Issuer,
    stop: CancellationToken,
) {
    if let Ok(at) = listener.local_addr() {
        let org = issuer.bundle_endpoint_of(None);
        let id = org.and_then(|org| issuer.bundle_endpoint_id(&org).ok());
        let id = id.map(|id| id.to_string());
        tracing::info!(%at, spiffe_id = id, "serving the bundle by https_spiffe at /spiffe/bundle");
    }
    tls::serve_bundles(listener, issuer, stop).await;
}

impl Running {
    /// Stops: connections end, queued outcomes are written, the last checkpoint is signed, the store closes.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let served = self.serving.await.context("the server broke off")?;
        self.tasks.wait().await;
        self.house.outbound.shutdown().await;
        self.house.books.store().close().await;
        served
    }
}

/// Waits for an interrupt or a termination signal.
pub(crate) async fn signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
