//! The commands of the binary: the server's own, and every client command beside them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Flags, Settings};

/// The control plane for AI-agent identities: every agent known, scoped, observable and revocable.
#[derive(Debug, Parser)]
#[command(name = "remit", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve {
        #[command(flatten)]
        flags: Box<Flags>,
        /// Say which migrations are pending, change nothing, and exit with 2 when there are any
        #[arg(long)]
        check_migrations: bool,
    },
    /// Create the operator and the first administrator of an organization
    Init {
        #[command(flatten)]
        flags: Box<Flags>,
        /// Name of the organization
        #[arg(long, default_value = "default")]
        org: String,
        /// E-mail address of its first administrator; say it twice for two, who can then approve for each other
        #[arg(long, required = true, value_name = "EMAIL")]
        admin: Vec<String>,
        /// Whether an owner may activate their own agent (`single`) or somebody else has to (`dual`)
        #[arg(long, default_value = "dual")]
        separation: String,
    },
    /// Run everything in a scratch directory with demo upstreams, on loopback only
    Dev(dev_args::Dev),
    /// Look at the server's configuration
    #[command(subcommand)]
    Config(Config),
    /// Run the five use-cases against a server of their own, and prove what happened
    Demo(Box<DemoArgs>),
    /// Write the generated reference
    #[command(hide = true)]
    Docs {
        /// Directory to write to
        #[arg(long)]
        out: PathBuf,
    },
    #[command(flatten)]
    Client(remit_cli::Command),
}

/// Arguments of `remit dev`.
pub(crate) mod dev_args {
    use std::path::PathBuf;

    use clap::Args;

    /// Arguments of `remit dev`.
    #[derive(Debug, Clone, Args)]
    pub(crate) struct Dev {
        /// Address to listen on; loopback only
        #[arg(long, default_value = "127.0.0.1:7600")]
        pub(crate) listen: std::net::SocketAddr,
        /// File to write addresses and tokens to once it serves, as JSON, mode 0600
        #[arg(long)]
        pub(crate) ready_file: Option<PathBuf>,
        /// Start without demo data
        #[arg(long)]
        pub(crate) empty: bool,
    }
}

#[derive(Debug, clap::Args)]
struct DemoArgs {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    /// Address to listen on; loopback only
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: std::net::SocketAddr,
    /// Leave the console open afterwards, also where there is no terminal
    #[arg(long)]
    open: bool,
    /// File to write addresses and tokens to once the console is left open, as JSON, mode 0600
    #[arg(long)]
    ready_file: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Option<DemoCommand>,
}

#[derive(Debug, Subcommand)]
enum DemoCommand {
    /// Serve one demo upstream over standard input and output
    #[command(hide = true)]
    Upstream {
        /// Which: itsm, orders, siem, ops or grc
        kind: remit_demo::DemoKind,
    },
}

#[derive(Debug, Subcommand)]
enum Config {
    /// Show the settings in force, secrets left out
    Show {
        #[command(flatten)]
        flags: Box<Flags>,
        /// Say of each where it comes from
        #[arg(long)]
        origin: bool,
    },
}

/// Prints why a command failed, with its causes, and gives exit code 1.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    tracing::debug!(?error, "failed");
    remit_cli::print_error(error);
    ExitCode::from(1)
}

pub(crate) async fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve {
            flags,
            check_migrations,
        } => serve(&flags, check_migrations).await,
        Command::Init {
            flags,
            org,
            admin,
            separation,
        } => init(&flags, &org, &admin, &separation).await,
        Command::Dev(args) => crate::dev::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Config(Config::Show { flags, origin }) => show(&flags, origin),
        Command::Demo(args) => demo(*args).await,
        Command::Docs { out } => {
            crate::docs::write(&out, &<Cli as clap::CommandFactory>::command())
                .map(|()| ExitCode::SUCCESS)
        }
        Command::Client(command) => {
            let whole = <Cli as clap::CommandFactory>::command();
            return remit_cli::run_with(command, Some(whole)).await;
        }
    };
    done.unwrap_or_else(|error| failed(&error))
}

async fn serve(flags: &Flags, check_migrations: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(flags)?;
    if check_migrations {
        return crate::wiring::check_migrations(&settings).await;
    }
    crate::telemetry::init(settings.log_format);
    crate::serve::run(settings).await?;
    Ok(ExitCode::SUCCESS)
}

async fn init(
    flags: &Flags,
    org: &str,
    admins: &[String],
    separation: &str,
) -> anyhow::Result<ExitCode> {
    crate::init::run(flags, org, admins, separation).await?;
    Ok(ExitCode::SUCCESS)
}

fn show(flags: &Flags, origin: bool) -> anyhow::Result<ExitCode> {
    remit_cli::print(&crate::config::shown(flags, origin)?);
    Ok(ExitCode::SUCCESS)
}

async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(DemoCommand::Upstream { kind }) => {
            remit_demo::serve_stdio(kind).await?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            crate::dev::demo(crate::dev::Demo {
                json: args.json,
                listen: args.listen,
                open: args.open,
                ready_file: args.ready_file,
            })
            .await
        }
    }
}
