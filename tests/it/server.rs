//! The binary, started for one test: `remit dev` with its demo data, or `remit serve` over a directory or database.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use remit_token::SigningKey;
use remit_token::client_assertion::{self, NewAssertion};
use reqwest::Method;
use serde_json::{Value, json};

/// Longest wait for a server to get ready: a debug build on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The binary under test.
#[expect(
    clippy::disallowed_methods,
    reason = "the test command says where the binary is"
)]
pub(crate) fn binary() -> PathBuf {
    match std::env::var_os("REMIT_BIN") {
        Some(path) => path.into(),
        // Beside this test's own binary: target/debug/deps/it-… -> target/debug/remit
        None => std::env::current_exe()
            .unwrap()
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .join("remit"),
    }
}

/// A path that setup wrote to the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "setup says where the clients are"
)]
pub(crate) fn installed(name: &str) -> PathBuf {
    std::env::var_os(name)
        .unwrap_or_else(|| {
            panic!("{name} is not set: run `scripts/setup.sh test`, then `make test`")
        })
        .into()
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) ready: Value,
    pub(crate) dir: tempfile::TempDir,
    http: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Ok(said) = std::fs::read_to_string(self.dir.path().join("data.log"))
        {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
        }
    }
}

impl Server {
    /// `remit dev` with its demo data.
    pub(crate) async fn dev() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready.json");
        let child = Command::new(binary())
            .args(["dev", "--listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready)
            .env("TMPDIR", dir.path())
            .env("REMIT_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        Self::wait(child, dir, &ready).await
    }

    /// `remit demo`, left open after everything was proved.
    pub(crate) async fn demo() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready.json");
        let child = Command::new(binary())
            .args(["demo", "--open", "--ready-file"])
            .arg(&ready)
            .env("TMPDIR", dir.path())
            .env("REMIT_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        Self::wait(child, dir, &ready).await
    }

    /// `remit serve` over `dir`, on a free port, with the first administrator enrolled.
    pub(crate) async fn serve(dir: tempfile::TempDir, args: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        Self::serve_at(dir, &listen, args).await
    }

    /// The same at an address of the caller's choice.
    pub(crate) async fn serve_at(dir: tempfile::TempDir, listen: &str, args: &[&str]) -> Self {
        Self::serve_to(dir, listen, args, ("http", reqwest::Client::new())).await
    }

    /// The same with TLS of its own, which `args` configure.
    ///
    /// - `http`: trusts its certificate.
    pub(crate) async fn serve_tls(
        dir: tempfile::TempDir,
        http: reqwest::Client,
        args: &[&str],
    ) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        Self::serve_to(dir, &listen, args, ("https", http)).await
    }

    async fn serve_to(
        dir: tempfile::TempDir,
        listen: &str,
        args: &[&str],
        (scheme, http): (&str, reqwest::Client),
    ) -> Self {
        let data = dir.path().join("data");
        let public = args.iter().skip_while(|a| **a != "--public-url").nth(1);
        let common = |command: &mut Command| {
            command
                .arg("--data")
                .arg(&data)
                .args(["--listen", listen])
                .args(args)
                .env("REMIT_LOG", "warn");
        };
        let mut init = Command::new(binary());
        init.args(["init", "--admin", "admin@acme.example"]);
        common(&mut init);
        let output = init.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let code = text
            .split_whitespace()
            .find(|w| w.starts_with("rmt_enr_"))
            .expect("a code")
            .to_owned();
        let child = Self::spawn(&data, listen, args);
        let mut server = Self {
            child,
            ready: json!({ "base_url": public.map_or_else(|| format!("{scheme}://{listen}"), |url| (*url).to_owned()) }),
            dir,
            http,
        };
        server.until_ready().await;
        let redeemed = server
            .open(
                "/api/v1/enrolments/redeem",
                json!({ "code": code, "label": "test", "days": 1 }),
            )
            .await;
        server.ready["admin_token"] = redeemed["token"].clone();
        server
    }

    fn spawn(data: &Path, listen: &str, args: &[&str]) -> Child {
        // A limit on the size of files is an error to the writer then, as a full disk is, and no signal. The log is a file
        // too, so that it is on the full disk as well.
        Command::new("sh")
            .args([
                "-c",
                "trap '' XFSZ; exec 2>>\"$1.log\"; shift; exec \"$@\"",
                "sh",
            ])
            .arg(data)
            .arg(binary())
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", listen])
            .args(args)
            .env("REMIT_LOG", "warn")
            .spawn()
            .expect("the binary starts")
    }

    /// Lets no file of the server grow beyond so many bytes, as on a full disk; none takes the limit away.
    pub(crate) fn let_files_grow(&self, bytes: Option<u64>) {
        let soft = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let status = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string()])
            .arg(format!("--fsize={soft}:"))
            .status();
        assert!(status.unwrap().success(), "prlimit --fsize={soft}:");
    }

    /// Another server over the same database and keys, known to everybody by the first one's address.
    pub(crate) async fn beside(&self, args: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let base = self.base();
        let args: Vec<&str> = args
            .iter()
            .copied()
            .chain(["--public-url", &base])
            .collect();
        let child = Self::spawn(&self.dir.path().join("data"), &listen, &args);
        let mut server = Self {
            child,
            ready: json!({ "base_url": format!("http://{listen}"), "admin_token": self.admin() }),
            dir: tempfile::tempdir().unwrap(),
            http: reqwest::Client::new(),
        };
        server.until_ready().await;
        server
    }

    /// Ends the process at once, without warning, and starts it again over the same data.
    pub(crate) async fn kill_and_restart(&mut self, args: &[&str]) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let listen = self.base().trim_start_matches("http://").to_owned();
        self.child = Self::spawn(&self.dir.path().join("data"), &listen, args);
        self.until_ready().await;
    }

    /// Ends the process at once, without warning.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    pub(crate) fn wait_for_end(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// Starts it again over the same data.
    pub(crate) async fn start_again(&mut self, args: &[&str]) {
        let listen = self.base().trim_start_matches("http://").to_owned();
        self.start_again_at(&listen, args).await;
    }

    /// The same at an address that is not in its URL.
    pub(crate) async fn start_again_at(&mut self, listen: &str, args: &[&str]) {
        self.child = Self::spawn(&self.dir.path().join("data"), listen, args);
        self.until_ready().await;
    }

    async fn wait(child: Child, dir: tempfile::TempDir, ready: &Path) -> Self {
        let mut server = Self {
            child,
            ready: Value::Null,
            dir,
            http: reqwest::Client::new(),
        };
        let mut waited = Duration::ZERO;
        while !ready.exists() {
            server.still_runs();
            assert!(waited < READY_WITHIN, "the server did not get ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
            waited += Duration::from_millis(20);
        }
        server.ready = serde_json::from_slice(&std::fs::read(ready).unwrap()).unwrap();
        server
    }

    async fn until_ready(&mut self) {
        let mut waited = Duration::ZERO;
        loop {
            let url = format!("{}/readyz", self.base());
            if self
                .http
                .get(url)
                .send()
                .await
                .is_ok_and(|r| r.status().is_success())
            {
                return;
            }
            self.still_runs();
            assert!(waited < READY_WITHIN, "the server did not get ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
            waited += Duration::from_millis(20);
        }
    }

    fn still_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the server ended: {status}");
        }
    }

    pub(crate) fn base(&self) -> String {
        self.ready["base_url"].as_str().unwrap().to_owned()
    }

    pub(crate) fn admin(&self) -> String {
        self.ready["admin_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn person(&self, email: &str) -> String {
        self.ready["people"][email]["token"]
            .as_str()
            .unwrap_or_else(|| panic!("{email}: {}", self.ready))
            .to_owned()
    }

    /// Asks REST; returns status and body.
    pub(crate) async fn rest(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.base()))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// Asks REST as the administrator and expects success.
    pub(crate) async fn admin_rest(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Value {
        let (status, answer) = self.rest(method, path, &self.admin(), body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    async fn open(&self, path: &str, body: Value) -> Value {
        let response = self
            .http
            .post(format!("{}{path}", self.base()))
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Applies documents, JSON values as YAML.
    pub(crate) async fn apply(&self, documents: &[Value]) -> Value {
        let text: String = documents.iter().map(|d| format!("---\n{d}\n")).collect();
        self.admin_rest(Method::POST, "/apply", Some(json!({ "documents": text })))
            .await
    }

    /// An access token of a demo agent, for one of its workflows.
    pub(crate) async fn agent_token(&self, agent: &str, workflow: &str) -> String {
        let (client, key) = self.demo_agent(agent);
        self.token(&client, &key, &format!("workflow:{workflow}"))
            .await
    }

    /// A demo agent's client id and key.
    pub(crate) fn demo_agent(&self, agent: &str) -> (String, SigningKey) {
        let found = &self.ready["agents"][agent];
        let key = std::fs::read_to_string(found["key_file"].as_str().unwrap()).unwrap();
        let client = found["client_id"].as_str().unwrap();
        (client.to_owned(), SigningKey::from_pkcs8_pem(&key).unwrap())
    }

    /// An access token by client credentials.
    pub(crate) async fn token(&self, client: &str, key: &SigningKey, scope: &str) -> String {
        let (status, answer) = self.try_token(client, key, scope).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn try_token(
        &self,
        client: &str,
        key: &SigningKey,
        scope: &str,
    ) -> (u16, Value) {
        let grant = [("grant_type", "client_credentials"), ("scope", scope)];
        self.token_request(client, key, &grant).await
    }

    /// An access token of a demo agent that acts for whoever gave this subject token.
    pub(crate) async fn exchange(&self, agent: &str, workflow: &str, subject: &str) -> String {
        let (status, answer) = self.try_exchange(agent, workflow, subject).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn try_exchange(
        &self,
        agent: &str,
        workflow: &str,
        subject: &str,
    ) -> (u16, Value) {
        let (client, key) = self.demo_agent(agent);
        self.exchange_by(&client, &key, workflow, subject).await
    }

    /// The same, for any agent.
    pub(crate) async fn exchange_by(
        &self,
        client: &str,
        key: &SigningKey,
        workflow: &str,
        subject: &str,
    ) -> (u16, Value) {
        let scope = format!("workflow:{workflow}");
        let grant = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("scope", &scope),
        ];
        self.token_request(client, key, &grant).await
    }

    pub(crate) async fn token_request(
        &self,
        client: &str,
        key: &SigningKey,
        grant: &[(&str, &str)],
    ) -> (u16, Value) {
        let base = self.base();
        let assertion = assertion(client, &base, key);
        let proof = [
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion.as_str()),
        ];
        let form = [grant, &proof].concat();
        let response = self
            .http
            .post(format!("{base}/oauth2/token"))
            .form(&form)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// One `tools/call` over MCP 2026-07-28.
    pub(crate) async fn call(&self, endpoint: &str, token: &str, tool: &str, args: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": args,
            "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } } });
        let response = self
            .http
            .post(format!("{}{endpoint}", self.base()))
            .bearer_auth(token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .json(&body)
            .send()
            .await
            .unwrap();
        let text = response.text().await.unwrap();
        let line = text.lines().rev().find_map(|l| {
            l.strip_prefix("data: ")
                .or_else(|| l.starts_with('{').then_some(l))
        });
        serde_json::from_str(line.unwrap_or("null")).unwrap_or_else(|_| panic!("{text}"))
    }

    /// Runs a client command of the binary as the administrator; returns exit code and standard output.
    pub(crate) fn remit(&self, args: &[&str]) -> (i32, String) {
        self.remit_as(&self.admin(), args)
    }

    /// The authority of its own TLS, for commands that connect to it: where a test put it.
    pub(crate) fn trusted(&self) -> Option<(&'static str, PathBuf)> {
        let root = self.dir.path().join("root.pem");
        root.exists().then_some(("SSL_CERT_FILE", root))
    }

    pub(crate) fn remit_as(&self, token: &str, args: &[&str]) -> (i32, String) {
        let output = Command::new(binary())
            .args(args)
            .envs(self.trusted())
            .env("REMIT_ADDR", self.base())
            .env("REMIT_TOKEN", token)
            .env("NO_COLOR", "1")
            .env("XDG_CONFIG_HOME", self.dir.path())
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code().unwrap_or(-1), text)
    }
}

/// An assertion by which a client proves its key to the server at `issuer`.
pub(crate) fn assertion(client: &str, issuer: &str, key: &SigningKey) -> String {
    let now = Command::new("date").arg("+%s").output().unwrap();
    let now = String::from_utf8(now.stdout).unwrap();
    let new = NewAssertion {
        client_id: client,
        issuer,
        jti: &random_id(),
        iat: now.trim().parse().unwrap(),
        ttl_s: 60,
    };
    client_assertion::sign(&new, key).unwrap()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub(crate) fn random_id() -> String {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// A new P-256 key and its public JWK.
pub(crate) fn new_key() -> (SigningKey, Value) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let key = SigningKey::from_pkcs8(pair.to_pkcs8v1().unwrap().as_ref()).unwrap();
    let jwk = serde_json::to_value(key.public()).unwrap();
    (key, jwk)
}
