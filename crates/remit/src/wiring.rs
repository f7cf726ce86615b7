//! Putting the parts together: adapters into books, books into services, services into surfaces.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use remit_books::{Books, Parts};
use remit_control::Control;
use remit_domain::name::Name;
use remit_gateway::Gateway;
use remit_http::{App, TokenAuthenticator};
use remit_issuer::Issuer;
use remit_outbound::{
    Allowlist, FileVault, Outbound, OutboundConfig, SystemClock, SystemEntropy, SystemSecrets,
};
use remit_ports::{Clock, Entropy, Secrets, Store, Upstreams, Vault};
use remit_store_postgres::PostgresStore;
use remit_store_sqlite::SqliteStore;

use crate::config::Settings;

/// Everything that serves.
pub(crate) struct House {
    pub(crate) books: Books,
    pub(crate) issuer: Issuer,
    pub(crate) control: Control,
    pub(crate) gateway: Gateway,
    pub(crate) outbound: Arc<Outbound>,
}

/// Says which migrations are pending; exit code 2 when there are any.
pub(crate) async fn check_migrations(settings: &Settings) -> anyhow::Result<ExitCode> {
    let pending = match &settings.database_url {
        Some(url) => remit_store_postgres::pending(url).await?,
        None => remit_store_sqlite::pending(&settings.data)?,
    };
    if pending.is_empty() {
        remit_cli::print("No migration is pending.");
        return Ok(ExitCode::SUCCESS);
    }
    remit_cli::print(&format!(
        "Pending, applied at the next start:\n  {}",
        pending.join("\n  ")
    ));
    Ok(ExitCode::from(2))
}

impl House {
    /// Opens the store and the books, and builds the services over them.
    pub(crate) async fn build(settings: &Settings, public_url: &str) -> anyhow::Result<Self> {
        create_private(&settings.data)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let node = format!("node-{}", entropy.uuid(clock.now()).simple());
        let store: Arc<dyn Store> = match &settings.database_url {
            Some(url) => Arc::new(
                PostgresStore::open(url, &node)
                    .await
                    .context("the database cannot be opened")?,
            ),
            None => Arc::new(
                SqliteStore::open(&settings.data, Arc::clone(&clock))
                    .context("the embedded database cannot be opened")?,
            ),
        };
        let key = settings
            .master_key
            .clone()
            .unwrap_or_else(|| settings.data.join("master.key"));
        let vault: Arc<dyn Vault> =
            Arc::new(FileVault::open(&key, true).context("the master key cannot be used")?);
        let parts = Parts {
            store,
            clock,
            entropy,
            vault,
            origin: origin(settings, public_url),
            node,
        };
        let books = Books::open(parts)
            .await
            .context("the books cannot be opened")?;
        let outbound = Arc::new(Outbound::new(OutboundConfig {
            allowlist: Allowlist::new(settings.commands.clone())?,
            loopback: settings.loopback_upstreams,
            ..OutboundConfig::default()
        }));
        let upstreams: Arc<dyn Upstreams> = outbound.clone();
        let default_org: Name = settings
            .default_org
            .parse()
            .map_err(|e| anyhow!("default_org: {e}"))?;
        let secrets: Arc<dyn Secrets> = Arc::new(SystemSecrets::within(
            settings.secret_dirs.clone(),
            default_org.clone(),
        ));
        let issuer = Issuer::new(books.clone(), public_url, default_org)
            .context("public_url cannot be used")?;
        let authenticator = Arc::new(TokenAuthenticator::new(issuer.clone()));
        let gateway = Gateway::new(
            books.clone(),
            authenticator,
            Arc::clone(&upstreams),
            Arc::clone(&secrets),
        );
        let control = Control::new(books.clone(), upstreams, secrets);
        Ok(Self {
            books,
            issuer,
            control,
            gateway,
            outbound,
        })
    }

    /// What the surfaces serve.
    pub(crate) fn app(&self, settings: &Settings, public_url: &str) -> App {
        App {
            issuer: self.issuer.clone(),
            control: self.control.clone(),
            gateway: self.gateway.clone(),
            books: self.books.clone(),
            public_url: public_url.to_owned(),
            default_org: settings.default_org.clone(),
            on_loopback: settings.listen.ip().is_loopback(),
            behind_proxy: settings.behind_tls_proxy,
            hosts: settings.hosts.clone(),
            publish_ledger: settings.publish_ledger,
        }
    }
}

/// Origin of the ledgers: host and path of the public URL, without scheme.
fn origin(settings: &Settings, public_url: &str) -> String {
    let host = public_url
        .split_once("://")
        .map_or(public_url, |(_, rest)| rest);
    if settings.dev {
        format!("dev.{host}/log")
    } else {
        format!("{host}/log")
    }
}

fn create_private(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("data directory `{}` cannot be made", dir.display()))
}
