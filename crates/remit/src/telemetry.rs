//! Structured logs. Nothing here ever sees a secret: what is logged are ids, codes and counts.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts logging to standard error, at `REMIT_LOG` (default `info`).
pub(crate) fn init(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_env_var("REMIT_LOG")
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    // A library that tells of every session it serves.
    let quiet = "rmcp=warn".parse();
    let filter = match quiet {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        // To tell on standard error that standard error cannot be written ends the thread that tried: a log on a full disk
        // would take the server with it.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging had been started already");
    }
}
