//! Decisions as a service: what enforcement points get, and what those get who are none.

mod attack;
mod certification;
mod effect;
mod interop;
mod request;
mod route;

use remit_domain::event::EventKind;
use remit_ports::store::EntryFilter;
use remit_token::SigningKey;
use remit_token::client_assertion::{NewAssertion, sign};
use serde_json::{Value, json};

use super::house::{Answer, House, URL, new_key};

/// Refunds above 50 wait for an approver.
pub(super) const LARGE_ASKS: &str = "
apiVersion: remit.dev/v1
kind: PolicySet
metadata: { name: refunds }
spec:
  text: |
    @id(\"large\") @approvers(\"role:approver\")
    forbid (principal, action == Action::\"orders/refund\", resource)
    when { context.args has amount && context.args.amount.greaterThan(decimal(\"50.0\")) }
    unless { context.approved };
";

/// A tool of a guarded server: name, effect, arguments with their types.
type Offered<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// An enforcement point with its key.
pub(super) struct Point {
    pub(super) id: String,
    pub(super) key: SigningKey,
    at: &'static str,
}

impl House {
    /// Registers a point of an organization; `spec` holds everything but its key and its reason.
    pub(super) async fn point(&self, org: &'static str, name: &str, spec: Value) -> Point {
        let at = if org == "acme" { "" } else { "/t/globex" };
        let key = new_key();
        let mut body = spec;
        body["keys"] = json!([serde_json::to_value(key.public()).unwrap()]);
        body["reason"] = json!("a test");
        let admin = self.people[&(org, "admin")].clone();
        let uri = format!("{at}/api/v1/enforcement-points/{name}");
        let made = self.put(&uri, &admin, body).await.good().json();
        Point {
            id: made["id"].as_str().unwrap().to_owned(),
            key,
            at,
        }
    }

    /// The point that most tests ask as: `returns-bot` is assigned to it.
    pub(super) async fn edge(&self) -> (Point, String) {
        let spec = json!({ "agents": [{ "agent": "returns-bot" }], "enforce": true });
        let point = self.point("acme", "edge", spec).await;
        let token = self.point_token(&point).await;
        (point, token)
    }

    pub(super) fn point_assertion(&self, point: &Point, jti: &str) -> String {
        let iat = remit_ports::Clock::now(&*self.clock).as_secs();
        let assertion = NewAssertion {
            client_id: &point.id,
            issuer: &format!("{URL}{}", point.at),
            jti,
            iat,
            ttl_s: 60,
        };
        sign(&assertion, &point.key).unwrap()
    }

    pub(super) async fn point_token_with(&self, point: &Point, assertion: &str) -> Answer {
        let pairs = [
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
        ];
        self.form(&format!("{}/oauth2/token", point.at), &pairs)
            .await
    }

    pub(super) async fn point_token(&self, point: &Point) -> String {
        let random: [u8; 8] = self.books.random();
        let assertion = self.point_assertion(point, &format!("{random:?}"));
        let answer = self.point_token_with(point, &assertion).await.good().json();
        assert_eq!(answer["expires_in"], 300);
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// One evaluation, which must be answered.
    pub(super) async fn decide(&self, token: &str, body: Value) -> Value {
        let answer = self.post("/access/v1/evaluation", token, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Entries of a kind, of acme.
    pub(super) async fn told(&self, kind: EventKind) -> Vec<remit_books::OpenedEntry> {
        self.books.store().flush().await.unwrap();
        let org = self.books.org_named("acme").unwrap().id.clone();
        let filter = EntryFilter {
            kinds: vec![kind],
            limit: 10_000,
            ..EntryFilter::default()
        };
        self.books.opened_entries(&org, &filter).await.unwrap()
    }

    pub(super) async fn entries(&self) -> u64 {
        self.books.store().flush().await.unwrap();
        let org = self.books.org_named("acme").unwrap().id.clone();
        self.books.store().entry_count(&org).await.unwrap()
    }

    /// A registered, active agent with one workflow.
    pub(super) async fn agent(&self, name: &str, grants: Value) {
        let admin = self.person("admin").to_owned();
        let spec = json!({
            "owner": "developer@acme.example", "sponsor": "nobody@acme.example", "responsible_team": "support",
            "platform_team": "support", "purpose": "a test", "business_process": "tests", "model": "m", "provider": "p",
            "runtime": "container", "environment": "production", "systems": ["shop"], "tier": 4,
            "data_classes": ["customer-pii"],
        });
        let document = |kind: &str, metadata: Value, spec: Value| {
            json!({ "apiVersion": "remit.dev/v1", "kind": kind, "metadata": metadata, "spec": spec }).to_string()
        };
        let workflow =
            json!({ "purpose": "a test", "grants": grants, "data_classes": ["customer-pii"] });
        let documents = format!(
            "{}\n---\n{}\n",
            document("Agent", json!({ "name": name }), spec),
            document(
                "Workflow",
                json!({ "name": "main", "agent": name }),
                workflow
            ),
        );
        let body = json!({ "documents": documents });
        self.applied("/api/v1", &admin, body).await;
        let jwk = json!({ "jwk": serde_json::to_value(new_key().public()).unwrap() });
        self.post(&format!("/api/v1/agents/{name}/keys"), &admin, jwk)
            .await
            .good();
        let sponsor = self.person("nobody").to_owned();
        let uri = format!("/api/v1/agents/{name}/activate");
        self.post(&uri, &sponsor, json!({})).await.good();
    }

    /// A server behind an enforcement point, with its tools: name, effect, arguments.
    pub(super) async fn guarded(&self, upstream: &str, tools: &[Offered<'_>]) {
        let admin = self.person("admin").to_owned();
        let spec = json!({ "system": "shop", "transport": { "type": "guarded" } });
        self.put(&format!("/api/v1/upstreams/{upstream}"), &admin, spec)
            .await
            .good();
        let offered: Vec<Value> = tools
            .iter()
            .map(|(name, _, arguments)| {
                let properties: serde_json::Map<String, Value> = arguments
                    .iter()
                    .map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind })))
                    .collect();
                json!({ "name": name, "description": name, "inputSchema": { "type": "object", "properties": properties } })
            })
            .collect();
        let offer = json!({ "tools": offered, "capabilities": {} });
        self.post(
            &format!("/api/v1/upstreams/{upstream}/offer"),
            &admin,
            offer,
        )
        .await
        .good();
        for (name, effect, _) in tools {
            let uri = format!("/api/v1/tools/{upstream}/{name}");
            let found = self.get(&uri, &admin).await.good().json();
            let spec = json!({ "definition_hash": found["definition_hash"], "effect": effect });
            self.put(&uri, &admin, spec).await.good();
        }
    }
}

/// A refund of that amount by the agent of most tests.
pub(super) fn refund(amount: f64) -> Value {
    json!({
        "subject": { "type": "agent", "id": "returns-bot" },
        "action": { "name": "tools/call" },
        "resource": { "type": "tool", "id": "orders/refund" },
        "context": { "arguments": { "amount": amount } },
    })
}

/// The same, to take effect.
pub(super) fn enforced(amount: f64) -> Value {
    let mut body = refund(amount);
    body["context"]["remit"] = json!({ "enforce": true });
    body
}

/// A grant that asks nobody.
fn grant(tool: &str, bounds: Value) -> Value {
    json!({ "tool": tool, "autonomy": "tested", "expires": "2027-02-01T00:00:00Z", "bounds": bounds })
}

fn one_of(values: Value) -> Value {
    json!([{ "one_of": values }])
}

/// A token of a point whose agents are users of these ids.
async fn known_as(house: &House, agents: &[(&str, &str)]) -> String {
    let agents: Vec<Value> = agents
        .iter()
        .map(|(agent, id)| json!({ "agent": agent, "subject": { "type": "user", "id": id } }))
        .collect();
    let point = house
        .point("acme", "interop", json!({ "agents": agents }))
        .await;
    house.point_token(&point).await
}
