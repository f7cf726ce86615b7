//! Demo data: who and what there is before the use-cases begin, loaded the way an administrator would load it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::upstreams::DemoKind;

/// The server to load, and as whom.
#[derive(Clone)]
pub struct Target {
    /// Where it serves, without a slash at the end.
    pub base_url: String,
    /// An administrator's token.
    pub admin_token: String,
}

/// What others need to use the server and its data: the ready file.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Where it serves.
    pub base_url: String,
    /// An administrator's token.
    pub admin_token: String,
    /// People by e-mail address.
    pub people: BTreeMap<String, ReadyPerson>,
    /// Agents by name.
    pub agents: BTreeMap<String, ReadyAgent>,
}

/// A person who can sign in.
#[derive(Clone, Serialize, Deserialize)]
pub struct ReadyPerson {
    /// Their own token.
    pub token: String,
}

/// An agent that can prove itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadyAgent {
    /// Its id at the token endpoint.
    pub client_id: String,
    /// File of its private key, PKCS#8 PEM.
    pub key_file: String,
    /// Its workflows.
    pub workflows: Vec<String>,
}

/// Loads the demo data.
///
/// # Errors
/// When the server refuses anything: the data are complete or the demo does not begin.
pub async fn seed(target: &Target, upstream_urls: BTreeMap<DemoKind, String>, keys_dir: &Path) -> anyhow::Result<Ready> {
    let _ = (target, upstream_urls, keys_dir);
    anyhow::bail!("not loaded")
}
