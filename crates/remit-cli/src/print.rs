//! The only place that writes to the terminal.

use std::io::{IsTerminal, Write};

/// Prints text to standard output, with a line end. A reader that has gone away is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = if text.ends_with('\n') {
        write!(out, "{text}")
    } else {
        writeln!(out, "{text}")
    };
    let _ = out.flush();
}

/// Prints an error to standard error: what happened, then why, a line each.
pub fn print_error(error: &anyhow::Error) {
    note(&error_text(error));
}

/// Text of an error with its causes; one that only repeats the line before it is left out.
pub(crate) fn error_text(error: &anyhow::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !lines.iter().any(|said| said.contains(&cause)) {
            lines.push(cause);
        }
    }
    format!("error: {}", lines.join("\n  because: "))
}

/// Says something beside the output, on standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says how far something is, on a terminal only, in place of what was said before. The last one ends the line.
pub(crate) fn progress(text: &str, last: bool) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[2K{text}{}", if last { "\n" } else { "" });
        let _ = err.flush();
    }
}

/// Whether a person can be asked.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether standard output takes colours.
pub(crate) fn takes_colours() -> bool {
    std::io::stdout().is_terminal() && !crate::edge::no_colour()
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    #[test]
    fn causes_are_told_once() {
        let error = Err::<(), _>(anyhow::anyhow!("connection refused"))
            .context("cannot reach it: connection refused")
            .context("nothing was read")
            .unwrap_err();
        let text = super::error_text(&error);
        assert_eq!(
            text,
            "error: nothing was read\n  because: cannot reach it: connection refused"
        );
    }
}
