//! Putting the parts together: adapters into books, books into services, services into surfaces.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use remit_books::{Books, Parts, VaultSecrets};
use remit_console::Console;
use remit_control::{Check, Control, Probe};
use remit_domain::name::Name;
use remit_gateway::Gateway;
use remit_http::{App, TokenAuthenticator};
use remit_issuer::Issuer;
use remit_outbound::{
    Allowlist, FileVault, HttpWeb, Outbound, OutboundConfig, Roots, SystemClock, SystemEntropy,
    SystemSecrets,
};
use remit_ports::store::StoreError;
use remit_ports::{Clock, Entropy, Leases, Secrets, Store, Upstreams, Vault};
use remit_store_postgres::PostgresStore;
use remit_store_sqlite::SqliteStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::config::Settings;

/// Everything that serves.
pub(crate) struct House {
    pub(crate) books: Books,
    pub(crate) issuer: Issuer,
    pub(crate) control: Control,
    pub(crate) gateway: Gateway,
    pub(crate) outbound: Arc<Outbound>,
    /// The organization at the root.
    pub(crate) default_org: Name,
}

/// The organization at the root: the one the settings name, else the first that was made.
fn default_org(settings: &Settings, books: &Books, making: Option<&str>) -> anyhow::Result<Name> {
    if let Some(name) = &settings.default_org {
        return name
            .parse::<Name>()
            .map_err(|e| anyhow!("default_org: {e}"));
    }
    // Ids are made in the order of time.
    let first = books.orgs().into_iter().find(|book| !book.is_operator());
    let name = match first {
        Some(book) => book.name(),
        None => making.unwrap_or("default").to_owned(),
    };
    name.parse::<Name>()
        .map_err(|e| anyhow!("organization: {e}"))
}

/// Says which migrations are pending; exit code 2 when there are any.
pub(crate) async fn check_migrations(settings: &Settings) -> anyhow::Result<ExitCode> {
    let pending = pending(settings).await?;
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

/// Migrations that the database does not have yet; an error also when it has some that this binary does not know.
async fn pending(settings: &Settings) -> Result<Vec<String>, StoreError> {
    match &settings.database_url {
        Some(url) => remit_store_postgres::pending(url).await,
        None => remit_store_sqlite::pending(&settings.data),
    }
}

/// What the doctor looks at beside the books: whether the database is at this binary's migrations, now and not only when it
/// was opened.
fn migrations_probe(settings: Settings) -> Probe {
    let settings = Arc::new(settings);
    Arc::new(move || Box::pin(check_pending(Arc::clone(&settings))) as _)
}

async fn check_pending(settings: Arc<Settings>) -> Check {
    let (ok, detail) = match pending(&settings).await {
        Ok(pending) if pending.is_empty() => (true, "none is pending".to_owned()),
        Ok(pending) => (false, format!("pending: {}", pending.join(", "))),
        Err(error) => (false, error.to_string()),
    };
    let fix = "keep a copy of the database, then start the server again: it applies them; `remit serve --check-migrations` tells them beforehand";
    Check::new("migrations", ok, detail, fix)
}

impl House {
    /// Opens the store and the books, and builds the services over them.
    ///
    /// - `making`: name of an organization that is about to be made; it is the one at the root where it is the first.
    pub(crate) async fn build(
        settings: &Settings,
        public_url: &str,
        making: Option<&str>,
    ) -> anyhow::Result<Self> {
        create_private(&settings.data)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let node = format!("node-{}", entropy.uuid(clock.now()).simple());
        let store = store(settings, &node, &clock).await?;
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
        let roots = roots(settings)?;
        let outbound = Arc::new(Outbound::new(OutboundConfig {
            allowlist: Allowlist::new(settings.commands.clone())?,
            loopback: settings.loopback_upstreams,
            roots: roots.clone(),
            ..OutboundConfig::default()
        }));
        let upstreams: Arc<dyn Upstreams> = outbound.clone();
        let default_org = default_org(settings, &books, making)?;
        let outside = SystemSecrets::within(settings.secret_dirs.clone(), default_org.clone());
        let secrets: Arc<dyn Secrets> =
            Arc::new(VaultSecrets::new(books.clone(), Arc::new(outside)));
        let web = Arc::new(HttpWeb::trusting(
            settings.loopback_upstreams,
            settings.idp_private,
            &roots,
        ));
        let issuer = Issuer::new(books.clone(), public_url, default_org.clone())
            .context("public_url cannot be used")?
            .with_web(web, Arc::clone(&secrets));
        if settings.tls_client_certificates {
            issuer.takes_client_certificates();
        }
        let authenticator = Arc::new(TokenAuthenticator::new(issuer.clone()));
        let leases: Arc<dyn Leases> = Arc::new(issuer.clone());
        let gateway = Gateway::holding(
            books.clone(),
            authenticator,
            Arc::clone(&upstreams),
            Arc::clone(&secrets),
            Arc::clone(&leases),
            Duration::from_millis(settings.approval_hold_ms),
        );
        let control = Control::new(books.clone(), upstreams, secrets)
            .with_leases(leases)
            .with_prover(Arc::new(remit_prove::Cvc5::default()))
            .with_probe(migrations_probe(settings.clone()));
        Ok(Self {
            books,
            issuer,
            control,
            gateway,
            outbound,
            default_org,
        })
    }

    /// What the console shows.
    pub(crate) fn console(&self, settings: &Settings, public_url: &str) -> Console {
        Console {
            issuer: self.issuer.clone(),
            control: self.control.clone(),
            books: self.books.clone(),
            public_url: public_url.to_owned(),
            default_org: self.default_org.to_string(),
            dev: settings.dev,
        }
    }

    /// What the surfaces serve.
    pub(crate) fn app(&self, settings: &Settings, public_url: &str) -> App {
        App {
            issuer: self.issuer.clone(),
            control: self.control.clone(),
            gateway: self.gateway.clone(),
            books: self.books.clone(),
            public_url: public_url.to_owned(),
            default_org: self.default_org.to_string(),
            on_loopback: settings.listen.ip().is_loopback(),
            behind_proxy: settings.behind_tls_proxy,
            hosts: settings.hosts.clone(),
            publish_ledger: settings.publish_ledger,
        }
    }
}

/// The authorities that are trusted for outgoing TLS, besides those of this machine.
fn roots(settings: &Settings) -> anyhow::Result<Roots> {
    let Some(file) = &settings.outgoing_ca else {
        return Ok(Roots::new());
    };
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Roots, _>>);
    let roots = read.with_context(|| format!("outgoing_ca `{}` cannot be read", file.display()))?;
    if roots.is_empty() {
        bail!(
            "outgoing_ca `{}` holds no certificate (PEM)",
            file.display()
        );
    }
    Ok(roots)
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

/// The store that the settings name.
async fn store(
    settings: &Settings,
    node: &str,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match &settings.database_url {
        Some(url) => Arc::new(
            PostgresStore::open(url, node)
                .await
                .context("the database cannot be opened")?,
        ),
        None => Arc::new(
            SqliteStore::open(&settings.data, Arc::clone(clock))
                .context("the embedded database cannot be opened")?,
        ),
    })
}
