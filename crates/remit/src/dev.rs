//! `remit dev` and `remit demo`: everything in a scratch directory, with demo upstreams, on loopback, with fresh keys.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use remit_demo::{DemoContext, DemoKind, Ready, ReadyPerson, Target};
use remit_domain::OrgId;
use remit_domain::organization::Separation;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::commands::dev_args::Dev;
use crate::config::{LogFormat, Settings};
use crate::serve::{self, Running};

const ADMIN: &str = "admin@acme.example";
/// The other first administrator: whom the first one creates and enrols does not approve for them, so somebody else has to be
/// there who does.
const OTHER_ADMIN: &str = "vera@acme.example";

/// A server with its demo upstreams and data, in a directory that goes with it.
struct DevServer {
    running: Running,
    upstreams: CancellationToken,
    ready: Ready,
    org: OrgId,
    dir: tempfile::TempDir,
}

impl DevServer {
    async fn start(listen: SocketAddr, empty: bool) -> anyhow::Result<Self> {
        if !listen.ip().is_loopback() {
            bail!("remit dev listens on loopback only; `remit serve` is for everything else");
        }
        let dir = tempfile::Builder::new().prefix("remit-dev-").tempdir()?;
        let settings = Settings {
            data: dir.path().join("data"),
            listen,
            dev: true,
            ..Settings::default()
        };
        let running = serve::start(settings).await?;
        let admins = [ADMIN.to_owned(), OTHER_ADMIN.to_owned()];
        let first =
            crate::init::first(&running.house, "default", &admins, Separation::Dual).await?;
        let mut tokens = Vec::new();
        for link in &first.links {
            let code = link.code.expose_secret();
            let issuer = &running.house.issuer;
            let made = issuer.redeem_enrolment(&first.org, code, "remit dev", Some(1));
            tokens.push(made.await?.token.expose_secret().to_owned());
        }
        let [admin_token, other_token] = <[String; 2]>::try_from(tokens)
            .map_err(|_| anyhow::anyhow!("two administrators were not made"))?;
        let upstreams = CancellationToken::new();
        let target = Target {
            base_url: running.url.clone(),
            admin_token: admin_token.clone(),
        };
        let mut ready = if empty {
            Ready {
                base_url: running.url.clone(),
                admin_token,
                people: BTreeMap::new(),
                agents: BTreeMap::new(),
            }
        } else {
            let urls = serve_upstreams(&upstreams).await?;
            remit_demo::seed(&target, urls, &dir.path().join("keys"))
                .await
                .context("the demo data could not be loaded")?
        };
        let other = ReadyPerson { token: other_token };
        ready.people.insert(OTHER_ADMIN.to_owned(), other);
        Ok(Self {
            running,
            upstreams,
            ready,
            org: first.org,
            dir,
        })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.running.stop().await?;
        self.upstreams.cancel();
        self.dir
            .close()
            .context("the scratch directory could not be removed")
    }
}

/// Serves the five demo upstreams on free loopback ports.
async fn serve_upstreams(stop: &CancellationToken) -> anyhow::Result<BTreeMap<DemoKind, String>> {
    let mut urls = BTreeMap::new();
    for kind in DemoKind::ALL {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        urls.insert(kind, format!("http://{}/mcp", listener.local_addr()?));
        let stop = stop.clone();
        tokio::spawn(async move {
            if let Err(error) = remit_demo::serve_http(kind, listener, stop).await {
                tracing::error!(error = format!("{error:#}"), %kind, "a demo upstream broke off");
            }
        });
    }
    Ok(urls)
}

/// `remit dev`.
pub(crate) async fn run(args: Dev) -> anyhow::Result<()> {
    crate::telemetry::init(LogFormat::Text);
    let server = DevServer::start(args.listen, args.empty).await?;
    let login = crate::init::login_link(
        &server.running.house,
        &server.org,
        &server.ready.admin_token,
    )
    .await?;
    // A link works once: the browser has one of its own.
    let browser = crate::init::login_link(
        &server.running.house,
        &server.org,
        &server.ready.admin_token,
    )
    .await?;
    remit_cli::print(&banner(&server.ready, &login, &browser));
    if let Some(file) = &args.ready_file {
        write_ready(file, &server.ready)?;
    }
    serve::signal().await?;
    server.stop().await
}

fn banner(ready: &Ready, login: &str, browser: &str) -> String {
    let url = &ready.base_url;
    let mut text = format!(
        "remit {version} dev: scratch data, fresh keys, loopback only. Not for production; everything goes when it stops.\n\
         \n  Server   {url}\n  Gateway  {url}/mcp\n\
         \nOpen the console as {ADMIN}, once:\n  {browser}\n\
         \nSign in as {ADMIN} on the command line, once:\n  remit login {login}\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    if ready.agents.is_empty() {
        text.push_str("\nIt is empty. Begin with:  remit apply -f DIR\n");
    } else {
        let agents = ready
            .agents
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        text.push_str(&format!(
            "\nDemo agents: {agents}\n\nTry:\n  remit agent ls\n  remit access show support-triage\n  remit delegation tree\n  remit doctor\n  remit demo          (in a server of its own: five use-cases, each with an attack)\n"
        ));
    }
    text
}

/// Writes addresses and tokens for scripts, readable only by this account, whole or not at all.
fn write_ready(file: &Path, ready: &Ready) -> anyhow::Result<()> {
    let scratch = file.with_extension("new");
    let _ = std::fs::remove_file(&scratch);
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&scratch)
        .with_context(|| format!("ready file `{}` cannot be written", file.display()))?;
    serde_json::to_writer_pretty(&mut out, ready)?;
    out.write_all(b"\n")?;
    std::fs::rename(&scratch, file)
        .with_context(|| format!("ready file `{}` cannot be written", file.display()))
}

/// What `remit demo` is asked.
pub(crate) struct Demo {
    /// One JSON document instead of text.
    pub(crate) json: bool,
    /// Where it serves; loopback only.
    pub(crate) listen: SocketAddr,
    /// Leave the console open afterwards even where nobody sits at a terminal.
    pub(crate) open: bool,
    /// File to write addresses and tokens to once the console is left open.
    pub(crate) ready_file: Option<std::path::PathBuf>,
}

/// `remit demo`: a server of its own, the five use-cases, and the proof. Exit code 1 when any expectation failed.
///
/// At a terminal the console stays open on what happened until somebody ends it.
pub(crate) async fn demo(asked: Demo) -> anyhow::Result<ExitCode> {
    let server = DevServer::start(asked.listen, false).await?;
    let context = DemoContext {
        ready: server.ready.clone(),
        remit: std::env::current_exe()?,
        json: asked.json,
    };
    let report = remit_demo::run(context.clone()).await;
    let at_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let stays = asked.open || (at_terminal && !asked.json);
    let left = match &report {
        Ok(report) if report.ok() && stays => {
            left_open(&server, &context, asked.ready_file.as_deref()).await
        }
        _ => Ok(()),
    };
    server.stop().await?;
    left?;
    Ok(if report?.ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The console with what happened, something that waits, and who may take it; until somebody ends it.
async fn left_open(
    server: &DevServer,
    context: &DemoContext,
    ready_file: Option<&Path>,
) -> anyhow::Result<()> {
    let encore = remit_demo::encore(context)
        .await
        .context("nothing could be left waiting for people")?;
    let house = &server.running.house;
    let token = &server.ready.admin_token;
    let approver = crate::init::login_link_of(house, &server.org, token, encore.approver()).await?;
    let admin = crate::init::login_link(house, &server.org, token).await?;
    remit_cli::print(&format!(
        "\nThe console stays open on {url} with what has happened. Each link signs in once:\n\n\
         \x20 {approver}\n    as {who}: a refund waits for you; see what runs, and approve, edit or deny it\n\n\
         \x20 {admin}\n    as {ADMIN}: why the other refund was denied, and the contained agent's certificate\n\n\
         Then look at:\n\
         \x20 {url}/approvals          what waits\n\
         \x20 {url}/runs/{run}\n\
         \x20 {url}/containments       what was stopped, with its proof\n\n\
         ctrl-C ends it, and everything goes.\n",
        url = server.running.url,
        who = encore.approver(),
        run = encore.run(),
    ));
    if let Some(file) = ready_file {
        write_ready(file, &server.ready)?;
    }
    serve::signal().await
}
