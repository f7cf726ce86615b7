//! The same `tools/call` direct, passed through ungoverned, and governed by the real binary.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use remit_token::client_assertion::NewAssertion;
use remit_token::{SigningKey, client_assertion};
use serde_json::{Value, json};

use crate::load::{self, Figures, Path};
use crate::report::Report;
use crate::{echo, machine, pass};

const GROUP: &str = "A governed tools/call (token, policy on arguments, durable record on SQLite)";

/// The binary, serving an empty organization.
struct Server {
    child: Child,
    base: String,
    admin: String,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    async fn start(remit: &FilePath, report: &mut Report) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(".")?;
        let ready = dir.path().join("ready.json");
        let began = Instant::now();
        let child = Command::new(remit)
            .args(["dev", "--empty", "--listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready)
            .env("TMPDIR", dir.path())
            .env("REMIT_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .context("the binary does not start")?;
        while !ready.exists() {
            if began.elapsed() > Duration::from_secs(30) {
                bail!("the server did not get ready");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        report.at_most(
            GROUP,
            "start to ready",
            began.elapsed().as_secs_f64(),
            1.0,
            "s",
        );
        let file: Value = serde_json::from_slice(&std::fs::read(&ready)?)?;
        let text = |name: &str| {
            file.get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .context("ready file")
        };
        Ok(Self {
            child,
            base: text("base_url")?,
            admin: text("admin_token")?,
            _dir: dir,
        })
    }

    async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut request = reqwest::Client::new()
            .request(method, format!("{}/api/v1{path}", self.base))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{path}: {status} {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::POST, path, &self.admin, Some(body))
            .await
    }

    async fn apply(&self, documents: &str) -> anyhow::Result<()> {
        self.post("/apply", json!({ "documents": documents }))
            .await
            .map(|_| ())
    }
}

fn document(kind: &str, name: &str, agent: Option<&str>, spec: &Value) -> String {
    let mut metadata = json!({ "name": name });
    if let (Some(agent), Some(map)) = (agent, metadata.as_object_mut()) {
        map.insert("agent".to_owned(), json!(agent));
    }
    format!(
        "---\n{}\n",
        json!({ "apiVersion": "remit.dev/v1", "kind": kind, "metadata": metadata, "spec": spec })
    )
}

fn agent(n: usize) -> String {
    let spec = json!({ "owner": "admin@acme.example", "sponsor": "sponsor@acme.example", "responsible_team": "team",
        "platform_team": "team", "purpose": "a measurement", "business_process": "bench", "model": "m", "provider": "p",
        "runtime": "r", "environment": "production", "data_classes": ["orders"], "systems": ["shop"],
        "expected_actions": ["read"], "tier": 4, "review_cadence_days": 90, "enforcement": "gateway" });
    document("Agent", &format!("bench-{n}"), None, &spec)
}

/// Registers one agent that may echo, with a key, and returns its client id and key.
async fn furnish(server: &Server, upstream: SocketAddr) -> anyhow::Result<(String, SigningKey)> {
    let people =
        json!({ "display_name": "S", "teams": [], "roles": ["admin"], "entitlements": [] });
    let base = [
        document("Team", "team", None, &json!({})),
        document("Person", "sponsor@acme.example", None, &people),
        document(
            "System",
            "shop",
            None,
            &json!({ "owner": "admin@acme.example", "environment": "production", "criticality": "low" }),
        ),
        document(
            "Upstream",
            "bench",
            None,
            &json!({ "system": "shop", "transport": { "type": "http", "url": format!("http://{upstream}/mcp") }, "stateless": true, "enabled": true }),
        ),
    ];
    server.apply(&base.concat()).await?;
    server.post("/upstreams/bench/sync", json!({})).await?;
    let tool = server
        .ask(
            reqwest::Method::GET,
            "/tools/bench/echo",
            &server.admin,
            None,
        )
        .await?;
    let hash = tool
        .get("definition_hash")
        .cloned()
        .context("no definition hash")?;
    let documents = [
        document(
            "Tool",
            "bench/echo",
            None,
            &json!({ "effect": "write", "data_classes": ["orders"], "definition_hash": hash }),
        ),
        agent(0),
        document(
            "Workflow",
            "answer",
            Some("bench-0"),
            &json!({ "purpose": "echo", "data_classes": ["orders"], "run_secs_max": 86400, "run_idle_secs_max": 3600,
            "grants": [{ "tool": "bench/echo", "bounds": { "amount": [{ "decimal": { "max": 500 } }] } }] }),
        ),
        document(
            "PolicySet",
            "limits",
            None,
            &json!({ "enabled": true, "text":
            "@id(\"no-large\") forbid (principal, action == Action::\"bench/echo\", resource) when { context.args.amount.greaterThan(decimal(\"400.0\")) };" }),
        ),
    ];
    server.apply(&documents.concat()).await?;
    activate(server).await
}

/// Gives the agent a key and has it activated by somebody else.
async fn activate(server: &Server) -> anyhow::Result<(String, SigningKey)> {
    let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    )?;
    let key = SigningKey::from_pkcs8(pair.to_pkcs8v1()?.as_ref())?;
    let jwk = serde_json::to_value(key.public())?;
    server
        .post("/agents/bench-0/keys", json!({ "jwk": jwk }))
        .await?;
    let link = server
        .post("/people/sponsor@acme.example/enrolments", json!({}))
        .await?;
    let code = link.get("code").cloned().context("no code")?;
    let redeemed = server
        .post(
            "/enrolments/redeem",
            json!({ "code": code, "label": "bench", "days": 1 }),
        )
        .await?;
    let sponsor = redeemed
        .get("token")
        .and_then(Value::as_str)
        .context("no token")?
        .to_owned();
    let activated = server
        .ask(
            reqwest::Method::POST,
            "/agents/bench-0/activate",
            &sponsor,
            Some(json!({})),
        )
        .await?;
    let id = activated
        .get("id")
        .and_then(Value::as_str)
        .context("no id")?
        .to_owned();
    Ok((id, key))
}

async fn token(server: &Server, client: &str, key: &SigningKey) -> anyhow::Result<String> {
    let now = std::process::Command::new("date").arg("+%s").output()?;
    let iat: i64 = String::from_utf8(now.stdout)?.trim().parse()?;
    let jti = uuid::Uuid::from_u128(rand_u128()).to_string();
    let assertion = NewAssertion {
        client_id: client,
        issuer: &server.base,
        jti: &jti,
        iat,
        ttl_s: 60,
    };
    let assertion = client_assertion::sign(&assertion, key)?;
    let form = [
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion.as_str()),
    ];
    let response: Value = reqwest::Client::new()
        .post(format!("{}/oauth2/token", server.base))
        .form(&form)
        .send()
        .await?
        .json()
        .await?;
    response
        .get("access_token")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no token: {response}"))
}

fn rand_u128() -> u128 {
    let mut bytes = [0u8; 16];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

fn call(id: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": id, "arguments": { "text": "a line of text as agents send it", "amount": 12.5 },
        "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } } })
    .to_string()
}

fn mcp_headers() -> Vec<(String, String)> {
    [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ]
    .map(|(n, v)| (n.to_owned(), v.to_owned()))
    .to_vec()
}

pub(crate) async fn measure(
    remit: &FilePath,
    report: &mut Report,
    seconds: f64,
    rounds: usize,
) -> anyhow::Result<()> {
    let upstream = echo::start().await?;
    let passing = pass::start(upstream).await?;
    let server = Server::start(remit, report).await?;
    let pid = server.child.id();
    let (client, key) = furnish(&server, upstream).await?;
    let plain = |address| Path {
        address,
        uri: "/mcp".to_owned(),
        headers: mcp_headers(),
        body: call("echo"),
        expect: "\"ok\"",
    };
    let (direct, through) = (plain(upstream), plain(passing));
    let address: SocketAddr = server.base.trim_start_matches("http://").parse()?;
    report.note(
        GROUP,
        "4 KiB append + fdatasync of this disk",
        format!("{:.3} ms", machine::fdatasync_ms()?),
    );
    for connections in [1, 16, 64] {
        let (mut a, mut b, mut c, mut cpu) = (vec![], vec![], vec![], vec![]);
        for _ in 0..rounds {
            let mut governed = plain(address);
            governed.uri = "/mcp/bench".to_owned();
            governed.headers.push((
                "authorization".to_owned(),
                format!("Bearer {}", token(&server, &client, &key).await?),
            ));
            a.push(load::closed(&direct, connections, seconds / 2.0).await?);
            b.push(load::closed(&through, connections, seconds / 2.0).await?);
            let before = machine::cpu_seconds(pid)?;
            let figures = load::closed(&governed, connections, seconds).await?;
            cpu.push((machine::cpu_seconds(pid)? - before) * 1e6 / figures.calls.max(1) as f64);
            c.push(figures);
        }
        tell(
            report,
            connections,
            load::middle(a),
            load::middle(b),
            load::middle(c),
            machine::median(&mut cpu),
        )?;
    }
    let mut governed = plain(address);
    governed.uri = "/mcp/bench".to_owned();
    governed.headers.push((
        "authorization".to_owned(),
        format!("Bearer {}", token(&server, &client, &key).await?),
    ));
    let before = load::offered(&direct, 16, 500.0, seconds).await?;
    let after = load::offered(&governed, 16, 500.0, seconds).await?;
    report.note(
        GROUP,
        "500 calls/s offered, p50 added",
        format!("{:.2} ms", after.p50_ms - before.p50_ms),
    );
    report.at_most(
        GROUP,
        "500 calls/s offered, p99 added",
        after.p99_ms - before.p99_ms,
        2.2,
        "ms",
    );
    many_agents(&server, report).await
}

fn tell(
    report: &mut Report,
    connections: usize,
    direct: Figures,
    through: Figures,
    governed: Figures,
    cpu: f64,
) -> anyhow::Result<()> {
    let line = |f: Figures| {
        format!(
            "{:.0} calls/s, p50 {:.2} ms, p99 {:.2} ms",
            f.per_second, f.p50_ms, f.p99_ms
        )
    };
    report.note(
        GROUP,
        format!("direct, {connections} connections"),
        line(direct),
    );
    report.note(
        GROUP,
        format!("ungoverned pass-through, {connections} connections"),
        line(through),
    );
    report.note(
        GROUP,
        format!("governed, {connections} connections"),
        line(governed),
    );
    report.at_most(
        GROUP,
        &format!("CPU in Remit per governed call, {connections} connections"),
        cpu,
        250.0,
        "µs",
    );
    if connections == 1 {
        let budget = 0.350 + machine::fdatasync_ms()?;
        report.at_most(
            GROUP,
            "added p50 at 1 connection (0.35 ms + one fdatasync)",
            governed.p50_ms - direct.p50_ms,
            budget,
            "ms",
        );
    }
    Ok(())
}

/// Memory with 10,000 agents.
async fn many_agents(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    for from in (1..10_000).step_by(200) {
        let documents: String = (from..(from + 200).min(10_000)).map(agent).collect();
        server.apply(&documents).await?;
    }
    report.at_most(
        GROUP,
        "resident with 10,000 agents",
        machine::resident_mib(server.child.id())?,
        200.0,
        "MiB",
    );
    Ok(())
}
