//! Two organizations, made through the surface itself: people of every role, an upstream, an active agent with a key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use remit_books::{Books, Parts};
use remit_control::Control;
use remit_domain::{OrgId, Role, RunId};
use remit_gateway::Gateway;
use remit_issuer::Issuer;
use remit_mcp::Message;
use remit_ports::upstreams::{UpstreamError, UpstreamRequest, Upstreams};
use remit_testkit::{FakeStore, FakeVault, NoSecrets, SeededEntropy, SimClock};
use remit_token::SigningKey;
use remit_token::client_assertion::{NewAssertion, sign};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;

use crate::{App, TokenAuthenticator, router};

pub(crate) const HOST: &str = "remit.test";
pub(crate) const URL: &str = "https://remit.test";

/// An upstream with three tools: `status` answers, `slow` tells of its progress and waits, `refund` moves money.
#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) cancelled: Notify,
    pub(crate) go: Notify,
    pub(crate) called: AtomicU32,
}

fn tool(name: &str, properties: Value) -> Value {
    json!({ "name": name, "description": name, "inputSchema": { "type": "object", "properties": properties } })
}

#[async_trait]
impl Upstreams for Shop {
    async fn request(&self, request: UpstreamRequest) -> Result<Value, UpstreamError> {
        if request.method == "tools/list" {
            let region = json!({ "region": { "type": "string", "x-mcp-header": "Region" } });
            return Ok(json!({ "tools": [
                tool("status", region),
                tool("slow", json!({})),
                tool("refund", json!({ "amount": { "type": "number" }, "note": { "type": "string" } })),
            ] }));
        }
        if request.method == "server/discover" {
            return Ok(json!({ "capabilities": { "tools": {} } }));
        }
        self.called.fetch_add(1, Ordering::SeqCst);
        let done = json!({ "content": [{ "type": "text", "text": "done" }] });
        if request.params["name"] != "slow" {
            return Ok(done);
        }
        if let Some(to) = &request.notifications {
            let params = json!({ "progressToken": 0, "progress": 1 });
            let told = Message::notification("notifications/progress", params.as_object().cloned());
            to.send(told.into_value()).await.ok();
        }
        tokio::select! {
            () = request.cancel.cancelled() => {
                self.cancelled.notify_one();
                Err(UpstreamError::Cancelled)
            }
            () = self.go.notified() => Ok(done),
        }
    }

    async fn end_run(&self, _: &OrgId, _: &RunId) -> Vec<String> {
        Vec::new()
    }
}

/// An answer, read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The answer, which must be a success.
    pub(crate) fn good(self) -> Self {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text
        );
        self
    }
}

/// An agent with its key.
pub(crate) struct Actor {
    pub(crate) id: String,
    key: SigningKey,
}

pub(crate) struct House {
    pub(crate) gateway: Gateway,
    pub(crate) control: Control,
    pub(crate) books: Books,
    pub(crate) router: Router,
    pub(crate) shop: Arc<Shop>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) operator: String,
    /// Tokens of people, by organization and the local part of their address.
    pub(crate) people: BTreeMap<(&'static str, &'static str), String>,
    pub(crate) actors: BTreeMap<&'static str, Actor>,
    peers: AtomicU32,
    assertions: AtomicU32,
}

/// Local parts of addresses, and the role each has.
pub(crate) const PEOPLE: [(&str, Option<Role>); 7] = [
    ("admin", Some(Role::Admin)),
    ("responder", Some(Role::Responder)),
    ("approver", Some(Role::Approver)),
    ("reviewer", Some(Role::Reviewer)),
    ("auditor", Some(Role::Auditor)),
    ("developer", Some(Role::Developer)),
    ("nobody", None),
];

const DOCUMENTS: &str = "
apiVersion: remit.dev/v1
kind: Team
metadata: { name: support }
spec: {}
---
apiVersion: remit.dev/v1
kind: System
metadata: { name: shop }
spec: { owner: admin@acme.example, environment: production, criticality: high }
---
apiVersion: remit.dev/v1
kind: Upstream
metadata: { name: orders }
spec: { system: shop, transport: { type: stdio, command: orders } }
";

const AGENT: &str = "
apiVersion: remit.dev/v1
kind: Agent
metadata: { name: returns-bot }
spec:
  owner: developer@acme.example
  sponsor: nobody@acme.example
  responsible_team: support
  platform_team: support
  purpose: answers returns
  business_process: returns
  model: m-1
  provider: p
  runtime: container
  environment: production
  systems: [shop]
  tier: 4
---
apiVersion: remit.dev/v1
kind: Workflow
metadata: { name: refund, agent: returns-bot }
spec:
  purpose: refunds
  grants:
    - tool: orders/status
    - tool: orders/slow
    - tool: orders/refund
      autonomy: tested
      bounds: { amount: [{ decimal: { min: 0.01, max: 100 } }] }
      expires: 2027-02-01T00:00:00Z
";

impl House {
    /// The house with nobody in it but the operator.
    pub(crate) async fn bare() -> Self {
        let clock = Arc::new(SimClock::at("2026-11-22T08:00:00Z"));
        let parts = Parts {
            store: Arc::new(FakeStore::new()),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(11)),
            vault: Arc::new(FakeVault),
            origin: "remit.test/log".to_owned(),
            node: "node-1".to_owned(),
        };
        let books = Books::open(parts).await.unwrap();
        let shop = Arc::new(Shop::default());
        let issuer = Issuer::new(books.clone(), URL, "acme".parse().unwrap()).unwrap();
        let authenticator = Arc::new(TokenAuthenticator::new(issuer.clone()));
        let operator = issuer
            .init_operator()
            .await
            .unwrap()
            .unwrap()
            .expose_secret()
            .to_owned();
        let app = App {
            gateway: Gateway::new(
                books.clone(),
                authenticator,
                shop.clone(),
                Arc::new(NoSecrets),
            ),
            control: Control::new(books.clone(), shop.clone(), Arc::new(NoSecrets)),
            issuer,
            books,
            public_url: URL.to_owned(),
            default_org: "acme".to_owned(),
            on_loopback: false,
            behind_proxy: false,
            hosts: Vec::new(),
            publish_ledger: false,
        };
        let (gateway, control, books) =
            (app.gateway.clone(), app.control.clone(), app.books.clone());
        let (people, actors) = (BTreeMap::new(), BTreeMap::new());
        let (peers, assertions) = (AtomicU32::new(0), AtomicU32::new(0));
        Self {
            gateway,
            control,
            books,
            router: router(app),
            shop,
            clock,
            operator,
            people,
            actors,
            peers,
            assertions,
        }
    }

    /// Two organizations, `acme` at the root and `globex`, each with people of every role and an active agent.
    pub(crate) async fn new() -> Self {
        let mut house = Self::bare().await;
        for org in ["acme", "globex"] {
            house.found(org).await;
        }
        house
    }

    async fn found(&mut self, org: &'static str) {
        let operator = self.operator.clone();
        let body = json!({ "name": org, "admin_email": format!("root@{org}.example") });
        let made = self
            .post("/api/v1/organizations", &operator, body)
            .await
            .good()
            .json();
        let at = if org == "acme" {
            String::new()
        } else {
            format!("/t/{org}")
        };
        assert!(
            made["link"]
                .as_str()
                .unwrap()
                .starts_with(&format!("{URL}{at}/enrol#rmt_enr_")),
            "{made}"
        );
        // The first administrator is an auditor too; those here have one role each.
        let first = self.redeem(&at, &made).await;
        for (local, role) in PEOPLE {
            let address = format!("{at}/api/v1/people/{local}@{org}.example");
            let roles: Vec<_> = role.into_iter().collect();
            self.put(
                &address,
                &first,
                json!({ "display_name": local, "roles": roles }),
            )
            .await
            .good();
            let link = self
                .post(&format!("{address}/enrolments"), &first, json!({}))
                .await
                .good()
                .json();
            let token = self.redeem(&at, &link).await;
            self.people.insert((org, local), token);
        }
        let admin = self.people[&(org, "admin")].clone();
        self.furnish(org, &at, &admin).await;
    }

    async fn redeem(&self, at: &str, link: &Value) -> String {
        let body = json!({ "code": link["code"], "label": "test" });
        let made = self
            .post(&format!("{at}/api/v1/enrolments/redeem"), "", body)
            .await
            .good()
            .json();
        made["token"].as_str().unwrap().to_owned()
    }

    async fn furnish(&mut self, org: &'static str, at: &str, admin: &str) {
        let api = format!("{at}/api/v1");
        let here = |text: &str| json!({ "documents": text.replace("acme", org) });
        self.applied(&api, admin, here(DOCUMENTS)).await;
        self.post(&format!("{api}/upstreams/orders/sync"), admin, json!({}))
            .await
            .good();
        for (tool, effect) in [("status", "read"), ("slow", "read"), ("refund", "write")] {
            let address = format!("{api}/tools/orders/{tool}");
            let found = self.get(&address, admin).await.good().json();
            let spec = json!({ "definition_hash": found["definition_hash"], "effect": effect });
            self.put(&address, admin, spec).await.good();
        }
        self.applied(&api, admin, here(AGENT)).await;
        let key = new_key();
        let jwk = json!({ "jwk": serde_json::to_value(key.public()).unwrap() });
        self.post(&format!("{api}/agents/returns-bot/keys"), admin, jwk)
            .await
            .good();
        let sponsor = self.people[&(org, "nobody")].clone();
        let active = self
            .post(
                &format!("{api}/agents/returns-bot/activate"),
                &sponsor,
                json!({}),
            )
            .await
            .good()
            .json();
        assert_eq!(active["state"], "active");
        self.actors.insert(
            org,
            Actor {
                id: active["id"].as_str().unwrap().to_owned(),
                key,
            },
        );
    }

    pub(crate) async fn applied(&self, api: &str, admin: &str, body: Value) {
        let applied = self
            .post(&format!("{api}/apply"), admin, body)
            .await
            .good()
            .json();
        assert_eq!(applied["failed"], Value::Null, "{applied}");
    }

    /// One request as it is.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        // Every request comes from another address, so that limits of one test are not those of another.
        let peer = self.peers.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from((peer, 1))));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(crate) fn request(
        method: Method,
        uri: &str,
        token: &str,
        body: Option<Value>,
    ) -> Request<Body> {
        let mut builder = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", HOST);
        if !token.is_empty() {
            builder = builder.header("authorization", format!("Bearer {token}"));
        }
        match body {
            Some(body) => builder
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
            None => builder.body(Body::empty()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, uri: &str, token: &str) -> Answer {
        self.send(Self::request(Method::GET, uri, token, None))
            .await
    }

    pub(crate) async fn post(&self, uri: &str, token: &str, body: Value) -> Answer {
        self.send(Self::request(Method::POST, uri, token, Some(body)))
            .await
    }

    pub(crate) async fn put(&self, uri: &str, token: &str, body: Value) -> Answer {
        self.send(Self::request(Method::PUT, uri, token, Some(body)))
            .await
    }

    pub(crate) fn person(&self, local: &'static str) -> &str {
        &self.people[&("acme", local)]
    }

    /// A client assertion of an organization's agent.
    pub(crate) fn assertion(&self, org: &str) -> String {
        let actor = &self.actors[org];
        let issuer = if org == "acme" {
            URL.to_owned()
        } else {
            format!("{URL}/t/{org}")
        };
        let jti = format!(
            "assertion-{}",
            self.assertions.fetch_add(1, Ordering::SeqCst)
        );
        let iat = remit_ports::Clock::now(&*self.clock).as_secs();
        sign(
            &NewAssertion {
                client_id: &actor.id,
                issuer: &issuer,
                jti: &jti,
                iat,
                ttl_s: 60,
            },
            &actor.key,
        )
        .unwrap()
    }

    pub(crate) async fn form(&self, uri: &str, pairs: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header("host", HOST);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    /// An access token of an organization's agent, for a resource below its issuer.
    pub(crate) async fn token(&self, org: &str, resource: &str) -> String {
        let at = if org == "acme" {
            String::new()
        } else {
            format!("/t/{org}")
        };
        let assertion = self.assertion(org);
        let answer = self
            .form(
                &format!("{at}/oauth2/token"),
                &[
                    ("grant_type", "client_credentials"),
                    (
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", &assertion),
                    ("resource", &format!("{URL}{at}{resource}")),
                ],
            )
            .await;
        assert_eq!(
            StatusCode::from_u16(answer.status).unwrap(),
            StatusCode::OK,
            "{}",
            answer.text
        );
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn new_key() -> SigningKey {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = aws_lc_rs::rand::SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    SigningKey::from_pkcs8(made.as_ref()).unwrap()
}
