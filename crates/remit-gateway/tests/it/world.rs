//! One organization with an agent, a workflow, an upstream with four tools and a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use remit_books::{Books, Change, NewRun, Parts};
use remit_domain::approval::{Approval, ApprovalState, RunTerms, Verdict};
use remit_domain::event::EventKind;
use remit_domain::run::{Intent, Mode, Provenance};
use remit_domain::{ApprovalId, OrgId, PersonId, Refusal, RefusalCode, Run, Tool, Workflow};
use remit_gateway::{
    Action, Answer, Authenticator, Caller, Endpoint, Gateway, NotLetIn, Presented, Received,
    Refused,
};
use remit_mcp::{Sha256Digest, ToolCall};
use remit_ports::store::{EntryFilter, Filter};
use remit_testkit::{FakeSecrets, FakeStore, FakeUpstreams, FakeVault, SeededEntropy, SimClock};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) const GOOD: &str = "good-token";

/// One token, until it is revoked.
struct OneToken(Caller, Arc<AtomicBool>);

#[async_trait]
impl Authenticator for OneToken {
    async fn authenticate(
        &self,
        _: &OrgId,
        presented: &Presented,
        _: &str,
    ) -> Result<Caller, NotLetIn> {
        if presented.token.expose_secret() == GOOD && !self.1.load(Ordering::SeqCst) {
            Ok(self.0.clone())
        } else {
            Err(Refusal::new(RefusalCode::Unauthenticated, "no such token").into())
        }
    }
}

pub(crate) struct World {
    pub(crate) org: OrgId,
    pub(crate) books: Books,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) upstreams: Arc<FakeUpstreams>,
    pub(crate) gateway: Gateway,
    pub(crate) run: Run,
    pub(crate) approver: PersonId,
    revoked: Arc<AtomicBool>,
}

pub(crate) fn id(prefix: &str, n: u8) -> String {
    format!(
        "{prefix}_{}",
        "0".repeat(25) + &char::from(b'A' + n).to_string()
    )
}

pub(crate) fn noun<N: DeserializeOwned>(value: Value) -> N {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn tool(name: &str, classification: Value) -> Tool {
    let hash = Sha256Digest::of(name.as_bytes()).to_string();
    noun(json!({
        "tool": format!("orders/{name}"),
        "definition": { "hash": hash, "body": {
            "name": name, "description": name,
            "inputSchema": {
                "type": "object",
                "properties": { "order": { "type": "string" }, "amount": { "type": "number" } },
                "required": ["order"], "additionalProperties": false
            }
        }},
        "pending": null, "classification": classification, "state": "enabled"
    }))
}

/// A tool that stands for one of MCP's own methods.
fn method(name: &str, parameter: &str) -> Tool {
    let mut method = tool(name, json!({ "effect": "read" }));
    method.definition.body["inputSchema"] = json!({
        "type": "object", "properties": { parameter: { "type": "string" } }, "additionalProperties": false
    });
    method
}

fn person(n: u8, roles: Value) -> remit_domain::Person {
    noun(json!({
        "id": id("per", n), "email": format!("p{n}@acme.example"), "display_name": "P", "teams": [], "roles": roles,
        "entitlements": [], "manager": null, "created_by": null, "state": "active"
    }))
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(SimClock::at("2026-11-22T08:00:00Z"));
        let store = Arc::new(FakeStore::new());
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            vault: Arc::new(FakeVault),
            origin: "test/log".to_owned(),
            node: "node-1".to_owned(),
        };
        let books = Books::open(parts).await.unwrap();
        let org: OrgId = id("org", 1).parse().unwrap();
        let organization = noun(json!({ "id": org, "name": "acme", "separation": "dual" }));
        books
            .create_organization(&organization, remit_domain::Principal::Operator)
            .await
            .unwrap();
        let workflow = Self::furnish(&books, &org).await;
        let new = NewRun {
            agent: id("agt", 1).parse().unwrap(),
            mode: Mode::Api,
            trigger: None,
            intent: Intent::default(),
            person: None,
            chain: Vec::new(),
            parent: None,
            implicit_key: None,
            provenance: Provenance::default(),
            idle_secs_max: None,
            ends_by: None,
        };
        let run = books.start_run(&org, &workflow, new).await.unwrap();
        let caller = Caller {
            agent: run.agent.clone(),
            workflow: run.workflow.clone(),
            run: run.id.clone(),
            person: None,
            credential: id("crd", 1),
            trust: remit_domain::attestation::Trust::Key,
        };
        let upstreams = Arc::new(FakeUpstreams::default());
        let revoked = Arc::new(AtomicBool::new(false));
        let gateway = Gateway::new(
            books.clone(),
            Arc::new(OneToken(caller, Arc::clone(&revoked))),
            upstreams.clone(),
            Arc::new(FakeSecrets),
        );
        Self {
            org,
            books,
            store,
            clock,
            upstreams,
            gateway,
            run,
            approver: id("per", 2).parse().unwrap(),
            revoked,
        }
    }

    /// The token is good no more.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
    }

    async fn furnish(books: &Books, org: &OrgId) -> Workflow {
        let (per, sys, agt, wf) = (id("per", 1), id("sys", 1), id("agt", 1), id("wf", 1));
        let grant = |n: u8, tool: &str, bounds: Value, limits: Value| {
            json!({ "id": id("grt", n), "tool": format!("orders/{tool}"), "bounds": bounds, "limits": limits,
                    "expires": null, "autonomy": "tested", "granted_by": per, "granted_at": "2026-11-01T00:00:00Z" })
        };
        let workflow: Workflow = noun(json!({
            "id": wf, "agent": agt, "name": "refund", "purpose": "refunds", "data_classes": ["orders"],
            "run_secs_max": 7200, "run_idle_secs_max": 600, "spawnable": [], "enabled": true,
            "grants": [
                grant(1, "order_status", json!({}), json!([])),
                grant(2, "refund", json!({ "amount": [{ "decimal": { "min": 0, "max": 500 } }] }),
                      json!([{ "sum": { "arg": "amount", "max": 600, "per": "day" } }])),
                grant(3, "note", json!({}), json!([{ "count": { "max": 2, "per": "run" } }])),
                grant(4, "mcp.resources.list", json!({}), json!([])),
                grant(5, "mcp.resources.read",
                      json!({ "uri": [{ "prefix": { "prefix": "shop://public", "separator": "/" } }] }), json!([])),
            ]
        }));
        let change = Change::new()
            .create(&person(1, json!(["admin"])))
            .create(&person(2, json!(["approver"])))
            .create::<remit_domain::system::System>(&noun(json!({
                "id": sys, "name": "shop", "owner": per, "environment": "production", "criticality": "high" })))
            .create::<remit_domain::Upstream>(&noun(json!({
                "name": "orders", "system": sys, "transport": { "type": "http", "url": "http://127.0.0.1:1/mcp" },
                "secret": null, "stateless": false, "enabled": true })))
            .create(&tool("order_status", json!({ "effect": "read", "data_classes": ["orders"], "untrusted_content": true })))
            .create(&tool("refund", json!({ "effect": "purchase" })))
            .create(&tool("note", json!({ "effect": "draft" })))
            .create(&method("mcp.resources.list", "cursor"))
            .create(&method("mcp.resources.read", "uri"))
            .create(&method("mcp.prompts.get", "name"))
            .create(&tool("cancel", json!({ "effect": "destructive" })))
            .create::<remit_domain::Agent>(&noun(json!({
                "id": agt, "name": "support", "owner": per, "sponsor": per, "deputy": null, "responsible_team": null,
                "platform_team": null, "purpose": "help", "business_process": "support", "model": "m", "provider": "p",
                "runtime": "r", "environment": "production", "data_classes": ["orders"], "systems": [sys],
                "expected_actions": ["read"], "tier": 4, "review_cadence_days": 90, "next_review": null,
                "enforcement": "gateway", "registered_by": per, "state": "active", "state_reason": null })))
            .create(&workflow)
            .create::<remit_domain::policy_set::PolicySet>(&noun(json!({
                "name": "refunds", "enabled": true, "by": { "type": "person", "id": per }, "at": "2026-11-01T00:00:00Z",
                "text": "@id(\"ask-above-50\") @approvers(\"role:approver\") @text(\"refunds above 50 need an approver\")\n\
                         forbid (principal, action == Action::\"orders/refund\", resource)\n\
                         when { context.args has amount && context.args.amount.greaterThan(decimal(\"50.0\")) }\n\
                         unless { context.approved };" })));
        books.commit(org, change).await.unwrap();
        workflow
    }

    pub(crate) fn received(&self, tool: &str, args: Value) -> Received {
        let name = if tool.is_empty() { "none" } else { tool };
        let params = json!({ "name": name, "arguments": args });
        Received {
            org: self.org.clone(),
            endpoint: Endpoint::One("orders".parse().unwrap()),
            presented: Presented::bearer(GOOD),
            resource: "http://test/mcp/orders".to_owned(),
            action: Action::Tool,
            call: ToolCall::read(params.as_object()).unwrap(),
            cancel: CancellationToken::new(),
            notifications: None,
            line: None,
            vouched: None,
            continues: None,
        }
    }

    /// Another method than a tool call, with its parameters.
    pub(crate) async fn ask(&self, action: Action, params: Value) -> Result<Answer, Refused> {
        let mut received = self.received("", params);
        received.action = action;
        self.gateway.tool_call(received).await
    }

    pub(crate) async fn call(&self, tool: &str, args: Value) -> Result<Answer, Refused> {
        self.gateway.tool_call(self.received(tool, args)).await
    }

    pub(crate) async fn code(&self, tool: &str, args: Value) -> RefusalCode {
        self.call(tool, args).await.unwrap_err().refusal.code
    }

    /// A person says yes to the one approval that waits.
    pub(crate) async fn approve(&self) {
        self.approve_with(None).await;
    }

    /// A person says yes to the newest approval that waits, by these terms for the run where there are some.
    pub(crate) async fn approve_with(&self, for_run: Option<RunTerms>) -> ApprovalId {
        let filter = Filter {
            state: Some("pending".to_owned()),
            descending: true,
            ..Filter::default()
        };
        let (waiting, _) = self
            .books
            .list::<Approval>(&self.org, &filter)
            .await
            .unwrap();
        let approval = &waiting[0];
        let verdict = Verdict {
            person: self.approver.clone(),
            approve: true,
            reason: None,
            at: self.books.now(),
            proof: None,
            for_run: for_run.clone(),
        };
        let mut next = approval.noun.decide(verdict, |_| true).unwrap();
        if let Some(terms) = for_run {
            next.expires = self.books.now().plus_secs(terms.secs.into());
        }
        self.books
            .commit(&self.org, Change::new().update(&next, approval.revision))
            .await
            .unwrap();
        next.id
    }

    pub(crate) async fn approvals(&self, state: ApprovalState) -> usize {
        let filter = Filter {
            state: Some(state.as_str().to_owned()),
            ..Filter::default()
        };
        self.books
            .list::<Approval>(&self.org, &filter)
            .await
            .unwrap()
            .0
            .len()
    }

    /// Outcomes of the recorded decisions, in order.
    pub(crate) async fn recorded(&self, kind: EventKind, fact: &str) -> Vec<String> {
        self.store_flush().await;
        let filter = EntryFilter {
            kinds: vec![kind],
            ..EntryFilter::default()
        };
        let entries = self.books.opened_entries(&self.org, &filter).await.unwrap();
        entries
            .iter()
            .map(|e| e.leaf.facts[fact].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Facts of the entries of that kind, in order.
    pub(crate) async fn facts(
        &self,
        kind: EventKind,
    ) -> Vec<std::collections::BTreeMap<String, Value>> {
        self.store_flush().await;
        let filter = EntryFilter {
            kinds: vec![kind],
            ..EntryFilter::default()
        };
        let entries = self.books.opened_entries(&self.org, &filter).await.unwrap();
        entries.into_iter().map(|e| e.leaf.facts).collect()
    }

    /// One part of the sealed content of the entries of that kind, in order.
    pub(crate) async fn contents(&self, kind: EventKind, part: &str) -> Vec<Value> {
        self.store_flush().await;
        let filter = EntryFilter {
            kinds: vec![kind],
            ..EntryFilter::default()
        };
        let entries = self.books.opened_entries(&self.org, &filter).await.unwrap();
        let body = |entry: remit_books::OpenedEntry| entry.body.unwrap();
        entries
            .into_iter()
            .map(|entry| body(entry).content[part].clone())
            .collect()
    }

    /// Says that the run works on a ticket.
    pub(crate) async fn restart_with_ticket(&mut self, ticket: &str) {
        let run = self
            .books
            .get::<Run>(&self.org, self.run.id.as_str())
            .await
            .unwrap()
            .unwrap();
        let mut with = run.noun;
        with.intent.ticket = Some(ticket.to_owned());
        let change = Change::new().update(&with, run.revision);
        self.books.commit(&self.org, change).await.unwrap();
        self.run = with;
    }

    async fn store_flush(&self) {
        self.books.store().flush().await.unwrap();
    }
}
