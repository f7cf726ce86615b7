//! A server over a directory on this disk, which can be stopped, filled, and started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::server::Server;

impl Server {
    /// `remit serve` over a directory of its own on this disk, which can be stopped and started again.
    pub(crate) async fn serve(remit: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(".")?;
        let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let data = dir.path().join("data");
        let admins = [
            "--admin",
            "admin@acme.example",
            "--admin",
            "vera@acme.example",
        ];
        let init = Command::new(remit)
            .arg("init")
            .args(admins)
            .arg("--data")
            .arg(&data)
            .args(["--listen", &listen.to_string()])
            .output()?;
        let said = String::from_utf8(init.stdout)?;
        let code = said.split_whitespace().find(|w| w.starts_with("rmt_enr_"));
        let code = code.context("init gave no code")?.to_owned();
        let mut server = Self {
            child: serving(remit, &data, &listen.to_string())?,
            base: format!("http://{listen}"),
            admin: String::new(),
            dir,
        };
        server.until_ready().await?;
        let body = json!({ "code": code, "label": "bench", "days": 1 });
        let redeemed = server.post("/enrolments/redeem", body).await?;
        let token = redeemed.get("token").and_then(Value::as_str);
        server.admin = token.context("no token")?.to_owned();
        Ok(server)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it anew over what is there now.
    pub(crate) async fn again(&mut self, remit: &Path) -> anyhow::Result<()> {
        let listen = self.base.trim_start_matches("http://");
        self.child = serving(remit, &self.data(), listen)?;
        self.until_ready().await
    }

    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let asked = reqwest::get(format!("{}/readyz", self.base)).await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended: {status}");
            }
            if began.elapsed() > Duration::from_secs(600) {
                bail!("the server did not get ready");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn serving(remit: &Path, data: &Path, listen: &str) -> anyhow::Result<Child> {
    Command::new(remit)
        .arg("serve")
        .arg("--data")
        .arg(data)
        .args(["--listen", listen])
        .env("REMIT_LOG", "warn")
        .stdout(Stdio::null())
        .spawn()
        .context("the binary does not start")
}
