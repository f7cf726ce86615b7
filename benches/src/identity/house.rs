//! A server with agents enough that none comes near its limit, and the requests that they make: each signed beforehand, so that
//! only answering is timed.

use std::net::SocketAddr;
use std::path::Path as FilePath;

use anyhow::Context;
use remit_token::dpop::{self, NewProof};
use remit_token::x509_svid;
use serde_json::{Value, json};

use crate::load::{self, Path};
use crate::report::Report;
use crate::server::{
    Caller, Place, Server, activate, agent, assertion, call, found, mcp_headers, now_s, sponsor,
    unique, workflow,
};

/// Agents; a client may ask 600 times in a minute.
const AGENTS: usize = 256;
/// Sub-agents at the end of a chain of three; a run may have 64 below it.
const LAST: usize = 60;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

pub(super) struct House {
    pub(super) server: Server,
    pub(super) agents: Vec<Caller>,
    /// The runs of the last agents of the chain.
    runs: Vec<String>,
}

/// The form of a request.
type Form = Vec<(&'static str, String)>;

fn client_credentials() -> Form {
    vec![("grant_type", "client_credentials".to_owned())]
}

fn exchange(kind: &str, subject: &str) -> Form {
    vec![
        ("grant_type", EXCHANGE.to_owned()),
        ("subject_token_type", kind.to_owned()),
        ("subject_token", subject.to_owned()),
    ]
}

/// How a client says that its assertion is one (RFC 7523 §2.2).
pub(super) fn proved(mut form: Form, assertion: String) -> Form {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    form.push(("client_assertion_type", kind.to_owned()));
    form.push(("client_assertion", assertion));
    form
}

/// A form as a call.
pub(super) fn posted(address: SocketAddr, uri: &str, form: &Form, expect: &'static str) -> Path {
    let url = reqwest::Url::parse_with_params("http://form/", form);
    let body = url.ok().and_then(|url| url.query().map(str::to_owned));
    let kind = "application/x-www-form-urlencoded";
    Path {
        address,
        uri: uri.to_owned(),
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: body.unwrap_or_default(),
        expect,
    }
}

fn member(answer: &str, name: &str) -> anyhow::Result<String> {
    let read: Value = serde_json::from_str(answer)?;
    let found = read.get(name).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .with_context(|| format!("no `{name}` in {answer}"))
}

impl House {
    pub(super) async fn start(
        remit: &FilePath,
        report: &mut Report,
        place: Place,
        upstream: SocketAddr,
    ) -> anyhow::Result<Self> {
        let server = Server::start(remit, report, place).await?;
        found(&server, upstream).await?;
        // The first may spawn the second, and that one those after it.
        for from in (0..AGENTS).step_by(64) {
            let some: String = (from..(from + 64).min(AGENTS)).map(agent).collect();
            server.apply(&some).await?;
        }
        let name = |n: usize| format!("bench-{n}");
        let answer = |n: usize| format!("bench-{n}/answer");
        let last: Vec<String> = (2..2 + LAST).map(answer).collect();
        let plain: String = (2..AGENTS).map(|n| workflow(&name(n), &[])).collect();
        server.apply(&plain).await?;
        server.apply(&workflow(&name(1), &last)).await?;
        server.apply(&workflow(&name(0), &[answer(1)])).await?;
        let sponsor = sponsor(&server).await?;
        let mut agents = Vec::new();
        for n in 0..AGENTS {
            agents.push(activate(&server, &sponsor, n).await?);
        }
        let mut house = Self {
            server,
            agents,
            runs: Vec::new(),
        };
        house.chain().await?;
        Ok(house)
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.server.base().trim_start_matches("http://").parse()?)
    }

    fn agent(&self, n: usize) -> anyhow::Result<&Caller> {
        self.agents.get(n % AGENTS).context("no agent")
    }

    /// A request of an agent that proves itself.
    fn asked(
        &self,
        agent: &Caller,
        end: &str,
        form: Form,
        expect: &'static str,
    ) -> anyhow::Result<Path> {
        let assertion = assertion(self.server.base(), &agent.id, &agent.key)?;
        let form = proved(form, assertion);
        Ok(posted(
            self.address()?,
            &format!("/oauth2/{end}"),
            &form,
            expect,
        ))
    }

    /// The token that a request of the token endpoint gets.
    async fn token(&self, agent: usize, form: Form) -> anyhow::Result<String> {
        let path = self.asked(self.agent(agent)?, "token", form, "access_token")?;
        let answer = load::once(&path).await?;
        answer.good(&path)?;
        member(&answer.text, "access_token")
    }

    /// A person lets the first agent act, which spawns the second, which spawns those after it.
    async fn chain(&mut self) -> anyhow::Result<()> {
        let asked = json!({ "agent": "bench-0", "workflow": "answer", "kind": "interactive", "for_secs": 28_800, "depth": 3 });
        let made = self.server.post("/delegations", asked).await?;
        let id = made
            .get("id")
            .and_then(Value::as_str)
            .context("no delegation")?;
        let made = self
            .server
            .post(&format!("/delegations/{id}/assertion"), json!({}))
            .await?;
        let subject = made.get("subject_token").and_then(Value::as_str);
        let first = self
            .token(0, exchange(JWT, subject.context("no subject token")?))
            .await?;
        let second = self.spawned(0, &first, 1).await?;
        for n in 2..2 + LAST {
            let last = self.spawned(1, &second, n).await?;
            self.runs.push(run_of(&last)?);
        }
        Ok(())
    }

    async fn spawned(&self, parent: usize, token: &str, child: usize) -> anyhow::Result<String> {
        let mut form = exchange(ACCESS_TOKEN, token);
        form.push(("audience", self.agent(child)?.id.clone()));
        form.push(("scope", "workflow:answer".to_owned()));
        let subject = self.token(parent, form).await?;
        self.token(child, exchange(JWT, &subject)).await
    }

    pub(super) async fn tokens(&self, many: usize) -> anyhow::Result<Vec<Path>> {
        let one = |n| {
            self.asked(
                self.agent(n)?,
                "token",
                client_credentials(),
                "access_token",
            )
        };
        (0..many).map(one).collect()
    }

    /// The same with a DPoP proof, by the agent's own key.
    pub(super) async fn bound_tokens(&self, many: usize) -> anyhow::Result<Vec<Path>> {
        let url = format!("{}/oauth2/token", self.server.base());
        let proof = |agent: &Caller, nonce: Option<&str>| {
            let new = NewProof {
                method: "POST",
                url: &url,
                access_token: None,
                nonce,
                jti: &unique(),
                iat: now_s(),
            };
            dpop::sign(&new, &agent.key)
        };
        let one = |n, nonce: Option<&str>| {
            let agent = self.agent(n)?;
            let mut path = self.asked(agent, "token", client_credentials(), "DPoP")?;
            path.headers.push(("dpop".to_owned(), proof(agent, nonce)?));
            anyhow::Ok(path)
        };
        let nonce = load::once(&one(0, None)?)
            .await?
            .nonce
            .context("no nonce")?;
        (0..many).map(|n| one(n, Some(&nonce))).collect()
    }

    /// Access tokens at the end of the chain become tokens for one server only.
    pub(super) async fn exchanges(&self, many: usize) -> anyhow::Result<Vec<Path>> {
        let mut tokens = Vec::new();
        for (n, run) in self.runs.iter().enumerate() {
            let mut form = client_credentials();
            form.push(("scope", format!("workflow:answer {run}")));
            tokens.push((n + 2, self.token(n + 2, form).await?));
        }
        let one = |(agent, token): &(usize, String)| {
            let mut form = exchange(ACCESS_TOKEN, token);
            form.push(("resource", format!("{}/mcp/bench", self.server.base())));
            self.asked(self.agent(*agent)?, "token", form, "access_token")
        };
        tokens.iter().cycle().take(many).map(one).collect()
    }

    /// Each client asks about its own token.
    pub(super) async fn introspections(&self, many: usize) -> anyhow::Result<Vec<Path>> {
        let tokens = self.own_tokens(None).await?;
        let one = |n: usize| {
            let token = tokens.get(n % AGENTS).cloned().unwrap_or_default();
            let form = vec![("token", token)];
            self.asked(self.agent(n)?, "introspect", form, "\"active\":true")
        };
        (0..many).map(one).collect()
    }

    /// A token of each agent.
    async fn own_tokens(&self, resource: Option<&str>) -> anyhow::Result<Vec<String>> {
        let mut tokens = Vec::new();
        for n in 0..AGENTS {
            let mut form = client_credentials();
            form.extend(resource.map(|end| ("resource", format!("{}{end}", self.server.base()))));
            tokens.push(self.token(n, form).await?);
        }
        Ok(tokens)
    }

    async fn svids(&self, many: usize, end: &str, body: &Value) -> anyhow::Result<Vec<Path>> {
        let (address, tokens) = (self.address()?, self.own_tokens(Some("/api/v1")).await?);
        let one = |token: &String| Path {
            address,
            uri: format!("/api/v1/svids/{end}"),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("authorization".to_owned(), format!("Bearer {token}")),
            ],
            body: body.to_string(),
            expect: "spiffe_id",
        };
        Ok(tokens.iter().cycle().take(many).map(one).collect())
    }

    pub(super) async fn jwt_svids(&self, many: usize) -> anyhow::Result<Vec<Path>> {
        let body = json!({ "audience": ["https://elsewhere.example"] });
        self.svids(many, "jwt", &body).await
    }

    pub(super) async fn x509_svids(&self, many: usize) -> anyhow::Result<Vec<Path>> {
        let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        )?;
        let csr = x509_svid::request(pair.to_pkcs8v1()?.as_ref())?;
        let body = json!({ "csr": x509_svid::request_pem(&csr) });
        self.svids(many, "x509", &body).await
    }

    /// A governed call with a token of an agent, and the revocation of that token.
    pub(super) async fn revocable(&self, n: usize) -> anyhow::Result<(Path, Path)> {
        let token = self.token(n, client_credentials()).await?;
        let revoke = vec![("token", token.clone())];
        let revoke = self.asked(self.agent(n)?, "revoke", revoke, "")?;
        Ok((
            self.governed(&token, "tools/call", call("echo"), "\"ok\"")?,
            revoke,
        ))
    }

    fn governed(
        &self,
        token: &str,
        method: &str,
        body: String,
        expect: &'static str,
    ) -> anyhow::Result<Path> {
        let mut headers = mcp_headers();
        headers.retain(|(name, _)| {
            name != "mcp-method" && (method == "tools/call" || name != "mcp-name")
        });
        headers.push(("mcp-method".to_owned(), method.to_owned()));
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        Ok(Path {
            address: self.address()?,
            uri: "/mcp/bench".to_owned(),
            headers,
            body,
            expect,
        })
    }

    /// Something small that each of these tokens is looked at for.
    pub(super) fn looks(&self, given: &[String]) -> anyhow::Result<Vec<Path>> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {
            "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } } });
        let body = body.to_string();
        let one = |answer: &String| {
            let token = member(answer, "access_token")?;
            self.governed(&token, "tools/list", body.clone(), "\"tools\"")
        };
        given.iter().map(one).collect()
    }
}

/// The scope that names the run of a token. What it says is only read, by whoever it was given to.
fn run_of(token: &str) -> anyhow::Result<String> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).context("no token")?;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload)?;
    let scope = member(&String::from_utf8(payload)?, "scope")?;
    let run = scope.split(' ').find(|scope| scope.starts_with("run:"));
    run.map(str::to_owned).context("no run in the token")
}
