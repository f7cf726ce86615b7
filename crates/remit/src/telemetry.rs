//! Structured logs: ids, codes and counts. What a library or an upstream says in an error could hold a secret all the same, so
//! every line is looked through for those that are known before it is written.

use std::io::{self, Write};
use std::sync::OnceLock;

use remit_books::Books;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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
        .with_writer(Clean);
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging had been started already");
    }
}

/// Whose secrets are kept out of the log.
static BOOKS: OnceLock<Books> = OnceLock::new();

/// Keeps the secrets out of the log that these books know.
pub(crate) fn keep_out_secrets(books: Books) {
    // Only the first books of a process count; there are no others but in tests.
    let _ = BOOKS.set(books);
}

/// Standard error, without secrets.
#[derive(Debug, Clone, Copy)]
struct Clean;

impl<'a> MakeWriter<'a> for Clean {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Clean {
    /// Writes one line, which is given whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let known = BOOKS.get().map(Books::known_everywhere);
        let mut line = String::from_utf8_lossy(bytes).into_owned();
        for known in known.into_iter().flatten() {
            if let std::borrow::Cow::Owned(clean) = known.text(&line) {
                line = clean;
            }
        }
        io::stderr().lock().write_all(line.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
