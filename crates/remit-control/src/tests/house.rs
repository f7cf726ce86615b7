//! A small organization to test in: people, a team, a system, one upstream with two tools, one complete draft agent.

use std::sync::Arc;

use remit_books::{Books, Change, Parts};
use remit_domain::event::EventKind;
use remit_domain::name::{Email, Name};
use remit_domain::person::{Person, PersonState};
use remit_domain::{AgentId, OrgId, PersonId, Principal, RefusalCode, Role, Separation};
use remit_ports::store::EntryFilter;
use remit_testkit::{
    FakeStore, FakeUpstreams, FakeVault, NoSecrets, Script, SeededEntropy, SimClock,
};
use serde_json::{Value, json};

use crate::spec::{ToolSpec, WorkflowRef};
use crate::{Caller, Control, ControlError, NewKey};

pub(super) const NOW: &str = "2026-11-22T08:00:00Z";

pub(super) struct House {
    pub(super) control: Control,
    pub(super) upstreams: Arc<FakeUpstreams>,
    pub(super) clock: Arc<SimClock>,
    pub(super) org: OrgId,
}

pub(super) fn email(local: &str) -> Email {
    format!("{local}@acme.example").parse().unwrap()
}

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn wf(text: &str) -> WorkflowRef {
    text.parse().unwrap()
}

pub(super) fn code(result: Result<impl Sized, ControlError>) -> RefusalCode {
    match result {
        Ok(_) => panic!("it was permitted"),
        Err(error) => error.code().unwrap_or_else(|| panic!("{error}")),
    }
}

pub(crate) fn jwk(seed: u8) -> Value {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::Engine;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
}

pub(super) fn key(seed: u8) -> NewKey {
    NewKey {
        jwk: Some(jwk(seed)),
        ..NewKey::default()
    }
}

/// A tool as its upstream lists it.
pub(super) fn listed(tool: &str, description: &str) -> Value {
    json!({
        "name": tool, "description": description,
        "inputSchema": { "type": "object", "properties": { "order": { "type": "string" }, "amount": { "type": "number" } } }
    })
}

pub(super) const PEOPLE: &str = "
apiVersion: remit.dev/v1
kind: Team
metadata: { name: support }
spec: {}
---
apiVersion: remit.dev/v1
kind: Person
metadata: { name: owner@acme.example }
spec: { display_name: Owner, roles: [developer], teams: [support], manager: sponsor@acme.example }
---
apiVersion: remit.dev/v1
kind: Person
metadata: { name: sponsor@acme.example }
spec: { display_name: Sponsor, entitlements: [refunds] }
---
apiVersion: remit.dev/v1
kind: Person
metadata: { name: deputy@acme.example }
spec: { display_name: Deputy }
---
apiVersion: remit.dev/v1
kind: System
metadata: { name: shop }
spec: { owner: sponsor@acme.example, environment: production, criticality: high }
---
apiVersion: remit.dev/v1
kind: Upstream
metadata: { name: orders }
spec: { system: shop, transport: { type: stdio, command: orders } }
";

pub(super) const AGENT: &str = "
apiVersion: remit.dev/v1
kind: Agent
metadata: { name: returns-bot }
spec:
  owner: owner@acme.example
  sponsor: sponsor@acme.example
  responsible_team: support
  platform_team: support
  purpose: answers returns
  business_process: returns
  model: m-1
  provider: p
  runtime: container
  environment: production
  systems: [shop]
  tier: 3
---
apiVersion: remit.dev/v1
kind: Workflow
metadata: { name: refund, agent: returns-bot }
spec:
  purpose: refunds
  grants:
    - tool: orders/refund
      bounds: { amount: [{ decimal: { min: 0.01, max: 100 } }] }
      limits: [{ sum: { arg: amount, max: 300, per: day } }]
      expires: 2027-02-01T00:00:00Z
";

impl House {
    /// An organization with nobody in it but an administrator.
    pub(super) async fn empty(separation: Separation) -> Self {
        let upstreams = Arc::new(FakeUpstreams::default());
        let clock = Arc::new(SimClock::at(NOW));
        let parts = Parts {
            store: Arc::new(FakeStore::new()),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
            vault: Arc::new(FakeVault),
            origin: "test.example/log".to_owned(),
            node: "test".to_owned(),
        };
        let books = Books::open(parts).await.unwrap();
        let control = Control::new(books.clone(), upstreams.clone(), Arc::new(NoSecrets));
        let made = control
            .create_organization(&control.operator().unwrap(), name("acme"), separation)
            .await
            .unwrap();
        let admin = Person {
            id: books.id(PersonId::from_uuid),
            email: email("admin"),
            display_name: "Admin".to_owned(),
            teams: Default::default(),
            roles: [Role::Admin].into(),
            entitlements: Default::default(),
            manager: None,
            created_by: None,
            vouched_by: Default::default(),
            groups_roles: None,
            directory: None,
            break_glass: false,
            state: PersonState::Active,
        };
        books
            .commit(&made.id, Change::new().create(&admin))
            .await
            .unwrap();
        Self {
            control,
            upstreams,
            clock,
            org: made.id,
        }
    }

    /// With people, a system, an upstream whose `refund` is classified, and a complete draft agent with a key.
    pub(super) async fn new(separation: Separation) -> Self {
        let house = Self::empty(separation).await;
        house.apply(PEOPLE).await;
        house
            .sync(&[listed("refund", "refunds"), listed("lookup", "looks up")])
            .await;
        house.classify("orders/refund", "write").await;
        house.apply(AGENT).await;
        house
            .control
            .add_key(&house.admin(), &name("returns-bot"), &key(7))
            .await
            .unwrap();
        house
    }

    /// The same with the agent active.
    pub(super) async fn active() -> Self {
        let house = Self::new(Separation::Dual).await;
        house
            .control
            .activate_agent(&house.as_("sponsor"), &name("returns-bot"))
            .await
            .unwrap();
        house
    }

    pub(super) fn as_(&self, local: &str) -> Caller {
        let book = self.control.books().org(&self.org).unwrap();
        let id = book
            .registry()
            .person_named(email(local).as_str())
            .unwrap()
            .id
            .clone();
        self.control.caller(&self.org, Principal::Person(id))
    }

    pub(super) fn admin(&self) -> Caller {
        self.as_("admin")
    }

    pub(super) fn agent_id(&self) -> AgentId {
        let book = self.control.books().org(&self.org).unwrap();
        book.registry()
            .agent_named("returns-bot")
            .unwrap()
            .id
            .clone()
    }

    pub(super) async fn apply(&self, documents: &str) -> crate::Applied {
        self.control
            .apply(&self.admin(), documents, None)
            .await
            .unwrap()
    }

    pub(super) async fn sync(&self, tools: &[Value]) -> crate::SyncReport {
        self.upstreams
            .script(Script::Answer(json!({ "tools": tools })));
        self.control
            .sync_upstream(&self.admin(), &"orders".parse().unwrap())
            .await
            .unwrap()
    }

    pub(super) fn classification(&self, tool: &str, effect: &str) -> ToolSpec {
        let view = self
            .control
            .tool(&self.admin(), &tool.parse().unwrap())
            .unwrap();
        let hash = view.pending_hash.unwrap_or(view.definition_hash);
        serde_json::from_value(json!({ "definition_hash": hash, "effect": effect })).unwrap()
    }

    pub(super) async fn classify(&self, tool: &str, effect: &str) {
        let spec = self.classification(tool, effect);
        self.control
            .put_tool(&self.admin(), &tool.parse().unwrap(), spec, None)
            .await
            .unwrap();
    }

    /// How many entries of a kind the ledger has.
    pub(super) async fn entries(&self, kind: EventKind) -> usize {
        let filter = EntryFilter {
            limit: 10_000,
            ..EntryFilter::default()
        };
        let all = self
            .control
            .books()
            .store()
            .entries(&self.org, &filter)
            .await
            .unwrap();
        all.iter()
            .filter(|e| remit_ledger::Leaf::parse(&e.leaf).unwrap().kind == kind)
            .count()
    }

    /// Gives a person the role of an administrator.
    pub(super) async fn make_admin(&self, local: &str) {
        let person = self.as_(local).person().unwrap().id.clone();
        let books = self.control.books();
        let found = books.get::<Person>(&self.org, person.as_str()).await;
        let found = found.unwrap().unwrap();
        let person = Person {
            roles: [Role::Admin].into(),
            ..found.noun
        };
        let change = Change::new().update(&person, found.revision);
        books.commit(&self.org, change).await.unwrap();
    }

    /// Lists clients of metadata documents in the agent's workflow, none where nothing is said.
    pub(super) async fn list_clients(&self, urls: &[&str]) {
        let books = self.control.books();
        let id = {
            let book = books.org(&self.org).unwrap();
            let registry = book.registry();
            let found = registry.workflow_named(&self.agent_id(), "refund").unwrap();
            found.id.clone()
        };
        let found = books.get::<remit_domain::Workflow>(&self.org, id.as_str());
        let found = found.await.unwrap().unwrap();
        let workflow = remit_domain::Workflow {
            client_ids: urls.iter().map(|url| (*url).to_owned()).collect(),
            ..found.noun
        };
        let change = Change::new().update(&workflow, found.revision);
        books.commit(&self.org, change).await.unwrap();
    }

    pub(super) fn epoch(&self) -> u64 {
        self.control.books().org(&self.org).unwrap().epoch()
    }

    pub(super) async fn open_findings(&self) -> Vec<(remit_domain::finding::FindingKind, String)> {
        let query = crate::ListQuery {
            state: Some("open".to_owned()),
            ..Default::default()
        };
        let found = self.control.findings(&self.admin(), &query).await.unwrap();
        found
            .items
            .into_iter()
            .map(|f| (f.kind, f.subject))
            .collect()
    }
}
