//! The same `tools/call` direct, passed through ungoverned, and governed by the real binary.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use remit_outbound::SystemClock;
use remit_ports::Clock;
use remit_token::client_assertion::NewAssertion;
use remit_token::{SigningKey, client_assertion};
use serde_json::{Value, json};

use crate::load::{self, Figures, Path};
use crate::report::Report;
use crate::{echo, machine, pass};

const GROUP: &str = "A governed tools/call (token, policy on arguments, durable record on SQLite)";

/// Where a server keeps its data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this disk: a record is durable before its call goes on.
    Disk,
    /// In memory, where `fdatasync` does nothing: the same binary making the same record, which nothing waits for. Remit
    /// itself has no switch for that.
    Memory,
}

impl Place {
    fn dir(self) -> &'static FilePath {
        FilePath::new(match self {
            Self::Disk => ".",
            Self::Memory => "/dev/shm",
        })
    }
}

/// The binary, serving an empty organization.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) base: String,
    pub(crate) admin: String,
    pub(crate) dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    pub(crate) async fn start(
        remit: &FilePath,
        report: &mut Report,
        place: Place,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(place.dir())?;
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
        if place == Place::Disk {
            let took = began.elapsed().as_secs_f64();
            report.at_most(GROUP, "start to ready", took, 1.0, "s");
        }
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
            dir,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    pub(crate) async fn ask(
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

    pub(crate) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::POST, path, &self.admin, Some(body))
            .await
    }

    pub(crate) async fn apply(&self, documents: &str) -> anyhow::Result<()> {
        self.post("/apply", json!({ "documents": documents }))
            .await
            .map(|_| ())
    }
}

pub(crate) fn document(kind: &str, name: &str, agent: Option<&str>, spec: &Value) -> String {
    let mut metadata = json!({ "name": name });
    if let (Some(agent), Some(map)) = (agent, metadata.as_object_mut()) {
        map.insert("agent".to_owned(), json!(agent));
    }
    format!(
        "---\n{}\n",
        json!({ "apiVersion": "remit.dev/v1", "kind": kind, "metadata": metadata, "spec": spec })
    )
}

pub(crate) fn agent(n: usize) -> String {
    let spec = json!({ "owner": "owner@acme.example", "sponsor": "sponsor@acme.example", "responsible_team": "team",
        "platform_team": "team", "purpose": "a measurement", "business_process": "bench", "model": "m", "provider": "p",
        "runtime": "r", "environment": "production", "data_classes": ["orders"], "systems": ["shop"],
        "expected_actions": ["read"], "tier": 4, "review_cadence_days": 90, "enforcement": "gateway" });
    document("Agent", &format!("bench-{n}"), None, &spec)
}

/// Agents that call: as in any fleet, one makes few of the calls, and each has a limit to itself.
const CALLERS: usize = 16;

/// An agent that may echo.
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) key: SigningKey,
}

/// What agents need to echo: people, a system, the upstream, its tool and a policy.
pub(crate) async fn found(server: &Server, upstream: SocketAddr) -> anyhow::Result<()> {
    let people =
        json!({ "display_name": "S", "teams": [], "roles": ["admin"], "entitlements": [] });
    let base = [
        document("Team", "team", None, &json!({})),
        document("Person", "sponsor@acme.example", None, &people),
        document(
            "Person",
            "owner@acme.example",
            None,
            &json!({ "display_name": "O" }),
        ),
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
        document(
            "PolicySet",
            "limits",
            None,
            &json!({ "enabled": true, "text":
            "@id(\"no-large\") forbid (principal, action == Action::\"bench/echo\", resource) when { context.args.amount.greaterThan(decimal(\"400.0\")) };" }),
        ),
    ];
    server.apply(&documents.concat()).await?;
    Ok(())
}

/// Registers agents that may echo, each with a key.
pub(crate) async fn furnish(server: &Server, upstream: SocketAddr) -> anyhow::Result<Vec<Caller>> {
    found(server, upstream).await?;
    let agents: String = (0..CALLERS)
        .map(|n| agent(n) + &workflow(&format!("bench-{n}"), &[]))
        .collect();
    server.apply(&agents).await?;
    let sponsor = sponsor(server).await?;
    let mut callers = Vec::new();
    for n in 0..CALLERS {
        callers.push(activate(server, &sponsor, n).await?);
    }
    Ok(callers)
}

/// A key pair.
pub(crate) fn new_key() -> anyhow::Result<SigningKey> {
    let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    )?;
    Ok(SigningKey::from_pkcs8(pair.to_pkcs8v1()?.as_ref())?)
}

pub(crate) fn workflow(agent: &str, spawnable: &[String]) -> String {
    let spec = json!({ "spawnable": spawnable, "purpose": "echo", "data_classes": ["orders"], "run_secs_max": 86400, "run_idle_secs_max": 3600,
        "grants": [{ "tool": "bench/echo", "autonomy": "measured", "bounds": { "amount": [{ "decimal": { "max": 500 } }] } }] });
    document("Workflow", "answer", Some(agent), &spec)
}

/// The token of somebody who may activate what the administrator owns.
pub(crate) async fn sponsor(server: &Server) -> anyhow::Result<String> {
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
    let token = redeemed.get("token").and_then(Value::as_str);
    Ok(token.context("no token")?.to_owned())
}

/// Gives an agent a key and has it activated by somebody else.
pub(crate) async fn activate(server: &Server, sponsor: &str, n: usize) -> anyhow::Result<Caller> {
    let key = new_key()?;
    let jwk = serde_json::to_value(key.public())?;
    server
        .post(&format!("/agents/bench-{n}/keys"), json!({ "jwk": jwk }))
        .await?;
    let activated = server
        .ask(
            reqwest::Method::POST,
            &format!("/agents/bench-{n}/activate"),
            sponsor,
            Some(json!({})),
        )
        .await?;
    let id = activated
        .get("id")
        .and_then(Value::as_str)
        .context("no id")?
        .to_owned();
    Ok(Caller { id, key })
}

pub(crate) async fn token(
    server: &Server,
    client: &str,
    key: &SigningKey,
) -> anyhow::Result<String> {
    let assertion = assertion(&server.base, client, key)?;
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

/// A client's assertion for this issuer, which is good for a minute.
pub(crate) fn assertion(issuer: &str, client: &str, key: &SigningKey) -> anyhow::Result<String> {
    let jti = unique();
    let assertion = NewAssertion {
        client_id: client,
        issuer,
        jti: &jti,
        iat: now_s(),
        ttl_s: 60,
    };
    Ok(client_assertion::sign(&assertion, key)?)
}

/// Seconds since 1970-01-01 UTC.
pub(crate) fn now_s() -> i64 {
    SystemClock::new().now().as_secs()
}

/// What was never used before.
pub(crate) fn unique() -> String {
    uuid::Uuid::from_u128(rand_u128()).to_string()
}

fn rand_u128() -> u128 {
    let mut bytes = [0u8; 16];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

pub(crate) fn call(id: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": id, "arguments": { "text": "a line of text as agents send it", "amount": 12.5 },
        "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } } })
    .to_string()
}

pub(crate) fn mcp_headers() -> Vec<(String, String)> {
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

/// A server with agents that may call, and the call without its token.
pub(crate) struct Governed {
    pub(crate) server: Server,
    callers: Vec<Caller>,
    plain: Path,
}

impl Governed {
    pub(crate) async fn start(
        remit: &FilePath,
        report: &mut Report,
        place: Place,
        upstream: SocketAddr,
    ) -> anyhow::Result<Self> {
        let server = Server::start(remit, report, place).await?;
        let callers = furnish(&server, upstream).await?;
        let address = server.base.trim_start_matches("http://").parse()?;
        let plain = Path {
            uri: "/mcp/bench".to_owned(),
            ..plain(address)
        };
        Ok(Self {
            server,
            callers,
            plain,
        })
    }

    /// The call of each agent, with a token that was made just now.
    async fn calls(&self) -> anyhow::Result<Vec<Path>> {
        let mut paths = Vec::new();
        for caller in &self.callers {
            let token = token(&self.server, &caller.id, &caller.key).await?;
            let mut path = self.plain.clone();
            let header = ("authorization".to_owned(), format!("Bearer {token}"));
            path.headers.push(header);
            paths.push(path);
        }
        Ok(paths)
    }

    /// A closed loop, and the CPU time of the server for each call, in microseconds.
    async fn closed(&self, connections: usize, seconds: f64) -> anyhow::Result<(Figures, f64)> {
        let paths = self.calls().await?;
        let pid = self.server.child.id();
        let before = machine::cpu_seconds(pid)?;
        let figures = load::closed(&paths, connections, seconds).await?;
        let cpu = (machine::cpu_seconds(pid)? - before) * 1e6 / figures.calls.max(1) as f64;
        Ok((figures, cpu))
    }
}

fn plain(address: SocketAddr) -> Path {
    Path {
        address,
        uri: "/mcp".to_owned(),
        headers: mcp_headers(),
        body: call("echo"),
        expect: "\"ok\"",
    }
}

/// The ways to make the same call.
struct Ways {
    direct: Path,
    through: Path,
    disk: Governed,
    memory: Governed,
}

/// What one number of connections came to: a round for each entry.
#[derive(Default)]
struct Rounds {
    direct: Vec<Figures>,
    through: Vec<Figures>,
    disk: Vec<Figures>,
    memory: Vec<Figures>,
    cpu: Vec<f64>,
    sync_ms: Vec<f64>,
}

impl Rounds {
    async fn add(&mut self, ways: &Ways, connections: usize, seconds: f64) -> anyhow::Result<()> {
        self.direct.push(
            load::closed(
                std::slice::from_ref(&ways.direct),
                connections,
                seconds / 2.0,
            )
            .await?,
        );
        self.through.push(
            load::closed(
                std::slice::from_ref(&ways.through),
                connections,
                seconds / 2.0,
            )
            .await?,
        );
        self.sync_ms.push(machine::fdatasync_ms()?);
        let (disk, cpu) = ways.disk.closed(connections, seconds).await?;
        self.disk.push(disk);
        self.cpu.push(cpu);
        let (memory, _) = ways.memory.closed(connections, seconds).await?;
        self.memory.push(memory);
        Ok(())
    }
}

pub(crate) async fn measure(
    remit: &FilePath,
    report: &mut Report,
    seconds: f64,
    rounds: usize,
) -> anyhow::Result<()> {
    let upstream = echo::start().await?;
    let ways = Ways {
        direct: plain(upstream),
        through: plain(pass::start(upstream).await?),
        disk: Governed::start(remit, report, Place::Disk, upstream).await?,
        memory: Governed::start(remit, report, Place::Memory, upstream).await?,
    };
    for connections in [1, 16, 64] {
        let mut all = Rounds::default();
        for _ in 0..rounds {
            all.add(&ways, connections, seconds).await?;
        }
        tell(report, connections, all);
    }
    let (mut p50, mut p99) = (vec![], vec![]);
    for _ in 0..rounds {
        let before = load::offered(std::slice::from_ref(&ways.direct), 16, 500.0, seconds).await?;
        let after = load::offered(&ways.disk.calls().await?, 16, 500.0, seconds).await?;
        p50.push(after.p50_ms - before.p50_ms);
        p99.push(after.p99_ms - before.p99_ms);
    }
    let (p50, p99) = (machine::median(&mut p50), machine::median(&mut p99));
    report.note(
        GROUP,
        "500 calls/s offered, p50 added",
        format!("{p50:.2} ms"),
    );
    report.at_most(GROUP, "500 calls/s offered, p99 added", p99, 2.2, "ms");
    many_agents(&ways.disk.server, report).await
}

fn tell(report: &mut Report, connections: usize, rounds: Rounds) {
    let (direct, through) = (load::middle(rounds.direct), load::middle(rounds.through));
    let (disk, memory) = (load::middle(rounds.disk), load::middle(rounds.memory));
    let (mut cpu, mut sync_ms) = (rounds.cpu, rounds.sync_ms);
    let sync_ms = machine::median(&mut sync_ms);
    let lines = [
        ("direct", direct),
        ("ungoverned pass-through", through),
        ("governed", disk),
        ("governed, record in memory only (tmpfs)", memory),
    ];
    for (what, f) in lines {
        report.note(
            GROUP,
            format!("{what}, {connections} connections"),
            format!(
                "{:.0} calls/s, p50 {:.2} ms, p99 {:.2} ms",
                f.per_second, f.p50_ms, f.p99_ms
            ),
        );
    }
    let what = format!("CPU in Remit per governed call, {connections} connections");
    report.at_most(GROUP, &what, machine::median(&mut cpu), 250.0, "µs");
    let ratio = disk.per_second / memory.per_second.max(1.0);
    let what = format!("governed calls/s, durable ÷ in memory, {connections} connections");
    if connections == 1 {
        // One caller waits for each sync by itself: a rate is no throughput here, and the sum below has the target.
        report.note(GROUP, what, format!("{ratio:.2} ×"));
        report.note(
            GROUP,
            "4 KiB append + fdatasync of this disk",
            format!("{sync_ms:.3} ms"),
        );
        report.at_most(
            GROUP,
            "added p50 at 1 connection (0.35 ms + one fdatasync)",
            disk.p50_ms - direct.p50_ms,
            0.350 + sync_ms,
            "ms",
        );
    } else {
        report.at_least(GROUP, &what, ratio, 0.8, "×");
    }
}

/// Memory with 10,000 agents.
async fn many_agents(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    for from in (CALLERS..10_000).step_by(200) {
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
