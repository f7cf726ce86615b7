//! What is told while it runs: the only place of this crate that writes to standard output.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Result;

use super::report::Report;

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const DIM: &str = "2";

/// Tells what happens, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Say {
    silent: bool,
    colours: bool,
}

impl Say {
    /// Says nothing: somebody else's machine reads the report.
    pub(super) const fn silent() -> Self {
        Self {
            silent: true,
            colours: false,
        }
    }

    /// Says it on standard output; colours only where a person looks and has not declined them.
    pub(super) fn to_stdout() -> Self {
        Self {
            silent: false,
            colours: std::io::stdout().is_terminal() && !no_colour(),
        }
    }

    /// A new part begins.
    pub(super) fn heading(self, text: &str) {
        self.line(&format!("\n{}", self.painted(BOLD, text)));
    }

    /// Something held, or did not.
    pub(super) fn held(self, ok: bool, text: &str) {
        let mark = if ok {
            self.painted(GREEN, "ok")
        } else {
            self.painted(RED, "FAILED")
        };
        self.line(&format!("  {mark}  {}", plain(text)));
    }

    /// What somebody else said, indented.
    pub(super) fn quote(self, text: &str) {
        for line in text.lines() {
            self.line(&format!("      {}", self.painted(DIM, &plain(line))));
        }
    }

    /// One line as it is.
    pub(super) fn line(self, text: &str) {
        if !self.silent {
            // A reader that has gone away is no error: the exit code says how it went.
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }

    fn painted(self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Text that cannot move the cursor, whoever wrote it.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "NO_COLOR is an agreement about terminals (no-color.org), not a setting"
)]
fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The whole report as one JSON document.
pub(super) fn json(report: &Report) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, report)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\rc"), "a [2Jb c");
        assert_eq!(Say::silent().painted(RED, "x"), "x");
    }
}
