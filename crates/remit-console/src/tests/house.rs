//! Two organizations with people of every role, each signed in with a browser, an upstream and an agent whose texts are
//! hostile.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use remit_books::{Books, Parts};
use remit_control::spec::{PersonSpec, ToolSpec};
use remit_control::{Caller, Control};
use remit_domain::{OrgId, Principal, Role, RunId};
use remit_issuer::Issuer;
use remit_ports::upstreams::{UpstreamError, UpstreamRequest, Upstreams};
use remit_testkit::{FakeStore, FakeVault, NoSecrets, SeededEntropy, SimClock};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{Console, router};

pub(super) const URL: &str = "https://remit.test";

/// What others write to deceive whoever looks.
pub(super) const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\" onmouseover=\"x\u{202e}gpj.exe\u{1b}[31m'`{{7*7}}";

/// Local parts of addresses, and the role each has.
pub(super) const PEOPLE: [(&str, Option<Role>); 7] = [
    ("admin", Some(Role::Admin)),
    ("responder", Some(Role::Responder)),
    ("approver", Some(Role::Approver)),
    ("reviewer", Some(Role::Reviewer)),
    ("auditor", Some(Role::Auditor)),
    ("developer", Some(Role::Developer)),
    ("nobody", None),
];

/// An upstream that lies in every text it sends.
struct Shop;

#[async_trait]
impl Upstreams for Shop {
    async fn request(&self, request: UpstreamRequest) -> Result<Value, UpstreamError> {
        Ok(match request.method.as_str() {
            "tools/list" => json!({ "tools": [
                { "name": "status", "description": EVIL, "inputSchema": { "type": "object", "description": EVIL } },
                { "name": "refund", "description": "refund", "inputSchema": { "type": "object" } },
            ] }),
            _ => json!({ "capabilities": { "tools": {} } }),
        })
    }

    async fn end_run(&self, _: &OrgId, _: &RunId) -> Vec<String> {
        Vec::new()
    }
}

/// An answer, read.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The token of the page's forms.
    pub(super) fn csrf(&self) -> String {
        let (_, rest) = self
            .text
            .split_once("name=\"csrf\" value=\"")
            .expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

pub(super) struct House {
    pub(super) router: Router,
    pub(super) control: Control,
    pub(super) issuer: Issuer,
    pub(super) books: Books,
    pub(super) clock: Arc<SimClock>,
    /// Secrets of browser sessions, by organization and the local part of the address.
    pub(super) secrets: BTreeMap<(&'static str, &'static str), String>,
}

impl House {
    pub(super) async fn new() -> Self {
        let clock = Arc::new(SimClock::at("2026-11-22T08:00:00Z"));
        let parts = Parts {
            store: Arc::new(FakeStore::new()),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            vault: Arc::new(FakeVault),
            origin: "remit.test/log".to_owned(),
            node: "node-1".to_owned(),
        };
        let books = Books::open(parts).await.unwrap();
        let issuer = Issuer::new(books.clone(), URL, "acme".parse().unwrap()).unwrap();
        issuer.init_operator().await.unwrap();
        let control = Control::new(books.clone(), Arc::new(Shop), Arc::new(NoSecrets));
        let console = Console {
            issuer: issuer.clone(),
            control: control.clone(),
            books: books.clone(),
            public_url: URL.to_owned(),
            default_org: "acme".to_owned(),
            dev: false,
        };
        let mut house = Self {
            router: router(console),
            control,
            issuer,
            books,
            clock,
            secrets: BTreeMap::new(),
        };
        for org in ["acme", "globex"] {
            house.found(org).await;
        }
        house
    }

    pub(super) fn org(&self, name: &str) -> OrgId {
        self.books.org_named(name).unwrap().id.clone()
    }

    /// A person as a caller of control.
    pub(super) async fn caller(&self, org: &str, who: &str) -> Caller {
        let id = self.org(org);
        let email = format!("{who}@{org}.example");
        let person = self
            .books
            .org(&id)
            .unwrap()
            .registry()
            .people
            .values()
            .find(|p| p.email.as_str() == email)
            .unwrap()
            .clone();
        self.control
            .caller(&id, Principal::Person(person.id.clone()))
    }

    async fn found(&mut self, org: &'static str) {
        let operator = self.control.operator().unwrap();
        let made: remit_control::OrganizationView = self
            .control
            .create_organization(
                &operator,
                org.parse().unwrap(),
                remit_domain::Separation::Dual,
            )
            .await
            .unwrap();
        // Two, since whom the first one creates does not approve for them, nor they for those.
        let emails = ["admin", "vera"].map(|l| format!("{l}@{org}.example").parse().unwrap());
        let links = self.issuer.create_first_admins(&made.id, &emails);
        for (local, link) in ["admin", "vera"].into_iter().zip(links.await.unwrap()) {
            let opened = self
                .issuer
                .sign_in_with_link(&made.id, link.code.expose_secret(), "test")
                .await
                .unwrap();
            let secret = opened.secret.expose_secret().to_owned();
            self.secrets.insert((org, local), secret);
        }
        let secret = self.secrets[&(org, "admin")].clone();
        let admin = self.issuer.check_session(&made.id, &secret).await.unwrap();
        let caller = self.caller(org, "admin").await;
        for (local, role) in PEOPLE.into_iter().skip(1) {
            let roles: Vec<_> = role.into_iter().collect();
            let spec: PersonSpec = serde_json::from_value(json!({ "display_name": EVIL.chars().take(40).filter(|c| !c.is_control()).collect::<String>(), "roles": roles })).unwrap();
            let email = format!("{local}@{org}.example").parse().unwrap();
            let person = self
                .control
                .put_person(&caller, &email, spec, None)
                .await
                .unwrap()
                .view;
            let link = self
                .issuer
                .create_enrolment(&made.id, &admin.identity(), &person.id)
                .await
                .unwrap();
            let opened = self
                .issuer
                .sign_in_with_link(&made.id, link.code.expose_secret(), EVIL)
                .await
                .unwrap();
            self.secrets
                .insert((org, local), opened.secret.expose_secret().to_owned());
        }
        self.furnish(org, &caller).await;
    }

    async fn furnish(&self, org: &str, admin: &Caller) {
        let base = "apiVersion: remit.dev/v1\nkind: Team\nmetadata: { name: support }\nspec: {}\n---\napiVersion: remit.dev/v1\nkind: System\nmetadata: { name: shop }\nspec: { owner: admin@ORG.example, environment: production, criticality: high }\n---\napiVersion: remit.dev/v1\nkind: Upstream\nmetadata: { name: orders }\nspec: { system: shop, transport: { type: stdio, command: orders } }\n";
        self.applied(admin, &base.replace("ORG", org)).await;
        self.control
            .sync_upstream(admin, &"orders".parse().unwrap())
            .await
            .unwrap();
        for (name, effect) in [("status", "read"), ("refund", "write")] {
            let name = format!("orders/{name}").parse().unwrap();
            let found = self.control.tool(admin, &name).unwrap();
            let spec: ToolSpec = serde_json::from_value(
                json!({ "definition_hash": found.definition_hash, "effect": effect }),
            )
            .unwrap();
            self.control
                .put_tool(admin, &name, spec, None)
                .await
                .unwrap();
        }
        let evil = serde_json::to_string(&EVIL.replace('\u{1b}', "")).unwrap();
        let agent = format!(
            "apiVersion: remit.dev/v1\nkind: Agent\nmetadata: {{ name: returns-bot }}\nspec:\n  owner: developer@{org}.example\n  sponsor: nobody@{org}.example\n  responsible_team: support\n  platform_team: support\n  purpose: {evil}\n  business_process: returns\n  model: m-1\n  provider: p\n  runtime: container\n  environment: production\n  systems: [shop]\n  tier: 4\n---\napiVersion: remit.dev/v1\nkind: Workflow\nmetadata: {{ name: refund, agent: returns-bot }}\nspec:\n  purpose: {evil}\n  grants:\n    - tool: orders/status\n    - tool: orders/refund\n      bounds: {{ amount: [{{ decimal: {{ min: 0.01, max: 100 }} }}] }}\n      expires: 2027-02-01T00:00:00Z\n"
        );
        self.applied(admin, &agent).await;
    }

    async fn applied(&self, admin: &Caller, documents: &str) {
        self.control.apply(admin, documents, None).await.unwrap();
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = if parts
            .headers
            .get("content-type")
            .is_some_and(|t| t == "text/event-stream")
        {
            Default::default()
        } else {
            body.collect().await.unwrap().to_bytes()
        };
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// The cookie of a person of `org`, under the name that the organization at `place` looks for.
    pub(super) fn cookie(&self, place: &str, org: &'static str, who: &'static str) -> String {
        self.secrets
            .get(&(org, who))
            .map_or_else(String::new, |secret| {
                format!("__Host-remit-{place}={secret}")
            })
    }

    pub(super) async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(
            Request::get(path)
                .header("cookie", cookie)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    /// As a person of the default organization.
    pub(super) async fn open(&self, path: &str, who: &'static str) -> Answer {
        self.get(path, &self.cookie("acme", "acme", who)).await
    }

    /// A form as a browser sends it from a page of this server.
    pub(super) fn form(path: &str, cookie: &str, pairs: &[(&str, &str)]) -> Request<Body> {
        let body: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("cookie", cookie)
            .header("origin", URL)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap()
    }

    /// A form with the token of that person's session.
    pub(super) async fn post(
        &self,
        path: &str,
        who: &'static str,
        pairs: &[(&str, &str)],
    ) -> Answer {
        let cookie = self.cookie("acme", "acme", who);
        let csrf = self.get("/settings/look", &cookie).await.csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(pairs);
        self.send(Self::form(path, &cookie, &all)).await
    }
}
