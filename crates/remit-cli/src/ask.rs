//! Asking the person at the terminal.

use std::io::{BufRead, Write};

use anyhow::bail;
use rustix::termios::{LocalModes, OptionalActions, tcsetattr};
use secrecy::SecretString;

use crate::exit::Usage;
use crate::print::is_interactive;

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 65_536;

fn prompt(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{text}");
    let _ = err.flush();
}

/// One line of standard input, without its end.
pub(crate) fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    let mut input = std::io::Read::take(std::io::stdin().lock(), LINE_BYTES_MAX);
    input.read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// A line, asked for when there is somebody to ask.
pub(crate) fn line(question: &str) -> anyhow::Result<String> {
    if is_interactive() {
        prompt(question);
    }
    read_line()
}

/// A line, asked for without showing what is typed.
pub(crate) fn hidden(question: &str) -> anyhow::Result<SecretString> {
    prompt(question);
    let quiet = Quiet::begin();
    let read = read_line();
    drop(quiet);
    prompt("\n");
    Ok(SecretString::from(read?))
}

/// The terminal shows nothing of what is typed, until this is dropped.
struct Quiet(Option<rustix::termios::Termios>);

impl Quiet {
    fn begin() -> Self {
        let before = rustix::termios::tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes -= LocalModes::ECHO;
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, before);
        }
    }
}

/// Goes on only when the person says yes; without a person, only with `--yes`.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !is_interactive() {
        return Err(
            Usage("nobody can be asked here; say --yes to go on without".to_owned()).into(),
        );
    }
    prompt(&format!("{question} [y/N] "));
    if matches!(read_line()?.as_str(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        bail!("nothing was done")
    }
}

/// Goes on only when the person types the name of what it is about.
pub(crate) fn type_name(name: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !is_interactive() {
        return Err(
            Usage("nobody can be asked here; say --yes to go on without".to_owned()).into(),
        );
    }
    prompt(&format!("Type `{name}` to go on: "));
    if read_line()? == name {
        Ok(())
    } else {
        bail!("that is another name, so nothing was done")
    }
}
