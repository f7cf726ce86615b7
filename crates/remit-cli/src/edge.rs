//! The edge to the world: clock, environment, randomness. The only place that asks for them.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use remit_domain::Timestamp;

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "a command line has no other clock than the machine's"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command line finds its files by the environment"
)]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}

/// A variable that a server of the caller's own machine may keep, as it is.
#[expect(
    clippy::disallowed_methods,
    reason = "a server beside its agent keeps the variables that its command names"
)]
pub(crate) fn inherited(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// Where contexts and credentials are kept: `$XDG_CONFIG_HOME/remit`, else `~/.config/remit`.
pub(crate) fn config_dir() -> anyhow::Result<PathBuf> {
    let base = variable("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
    let base = base.or_else(|| variable("HOME").map(|home| home.join(".config")));
    let base = base.context("neither XDG_CONFIG_HOME nor HOME says where to keep credentials")?;
    Ok(base.join("remit"))
}

/// Whether colours are not wanted (no-color.org).
pub(crate) fn no_colour() -> bool {
    variable("NO_COLOR").is_some()
}

/// 128 random bits, as text that names nothing twice.
pub(crate) fn unique() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("no randomness"))?;
    Ok(hex::encode(bytes))
}

/// The token of the environment, `REMIT_TOKEN`.
#[expect(
    clippy::disallowed_methods,
    reason = "a token in the environment is how scripts and pipelines sign in"
)]
pub(crate) fn token() -> Option<secrecy::SecretString> {
    std::env::var("REMIT_TOKEN")
        .ok()
        .map(|t| t.trim().to_owned())
        .filter(|t| !t.is_empty())
        .map(Into::into)
}
