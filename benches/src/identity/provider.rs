//! The thing to compare with: npm `oidc-provider` on Node, which `scripts/bench.sh` sets up, with the same clients and keys.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use serde_json::{Value, json};

use super::house::{House, posted, proved};
use crate::load::Path as Call;
use crate::server::{Caller, assertion};

/// The script, as part of this program: it runs from anywhere.
const SCRIPT: &str = include_str!("provider.mjs");

/// `oidc-provider`, answering.
pub(super) struct Provider {
    child: Child,
    issuer: String,
    _script: tempfile::NamedTempFile,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    /// Starts it; none where nobody says where Node and its packages are.
    pub(super) fn start(
        house: &House,
        node: Option<(&Path, &Path)>,
    ) -> anyhow::Result<Option<Self>> {
        let Some((node, modules)) = node else {
            return Ok(None);
        };
        let mut script = tempfile::Builder::new().suffix(".mjs").tempfile()?;
        script.write_all(SCRIPT.as_bytes())?;
        let mut child = Command::new(node)
            .arg(script.path())
            .arg(modules)
            .env("NODE_ENV", "production")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("node does not start")?;
        let client = |agent: &Caller| -> anyhow::Result<Value> {
            let mut jwk = serde_json::to_value(agent.key.public())?;
            if let Some(jwk) = jwk.as_object_mut() {
                jwk.insert("kid".to_owned(), json!(agent.key.kid()));
            }
            Ok(json!({ "client_id": agent.id, "jwks": { "keys": [jwk] } }))
        };
        let clients: Vec<Value> = house.agents.iter().map(client).collect::<Result<_, _>>()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(serde_json::to_string(&clients)?.as_bytes())?;
        drop(stdin);
        let mut line = String::new();
        let stdout = child.stdout.take().context("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Some(Self {
            issuer: line.trim().to_owned(),
            child,
            _script: script,
        }))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Requests like Remit's: the same grant, the same proof, for one resource, answered by a JWT that it signs with ES256.
    ///
    /// - `house`: whose agents it knows as clients.
    pub(super) fn tokens(&self, house: &House, many: usize) -> anyhow::Result<Vec<Call>> {
        let address: SocketAddr = self.issuer.trim_start_matches("http://").parse()?;
        let one = |agent: &Caller| {
            let form = vec![
                ("grant_type", "client_credentials".to_owned()),
                ("resource", "https://bench.example/mcp".to_owned()),
            ];
            let form = proved(form, assertion(&self.issuer, &agent.id, &agent.key)?);
            Ok(posted(address, "/token", &form, "access_token"))
        };
        house.agents.iter().cycle().take(many).map(one).collect()
    }
}
