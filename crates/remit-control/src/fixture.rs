//! One organization for tests: people in every part, two agents, tools, runs and delegations, over a store in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use remit_books::{Books, Change, NewRun, Parts};
use remit_domain::approval::Approval;
use remit_domain::credential::{AgentKey, Token};
use remit_domain::delegation::{Delegation, DelegationUse};
use remit_domain::event::{Event, EventKind};
use remit_domain::policy_set::PolicySet;
use remit_domain::run::{Intent, Mode, Provenance};
use remit_domain::system::System;
use remit_domain::{
    Agent, ApprovalId, CredentialId, DecisionId, DelegationId, OrgId, Person, PersonId, Principal,
    Run, RunId, Tool, Upstream, Workflow,
};
use remit_policy::{Decision, Dynamic, Facts};
use remit_ports::store::{Admit, AdmitError, Blob, Outcome};
use remit_ports::upstreams::{UpstreamError, UpstreamRequest, Upstreams};
use remit_testkit::{FakeStore, FakeVault, NoSecrets, SeededEntropy, SimClock};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Caller, Control};

/// People of the fixture, by number.
pub(crate) const ADMIN: u8 = 1;
pub(crate) const SPONSOR: u8 = 2;
pub(crate) const OWNER: u8 = 3;
pub(crate) const CLERK: u8 = 4;
pub(crate) const APPROVER: u8 = 5;
pub(crate) const APPROVER_TOO: u8 = 6;
pub(crate) const RESPONDER: u8 = 7;
pub(crate) const AUDITOR: u8 = 8;
pub(crate) const NOBODY: u8 = 9;
pub(crate) const ADMIN_TOO: u8 = 10;

pub(crate) fn id(prefix: &str, n: u8) -> String {
    let digit = char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[usize::from(n % 32)]);
    format!("{prefix}_{}{digit}", "0".repeat(25))
}

pub(crate) fn noun<N: DeserializeOwned>(value: Value) -> N {
    serde_json::from_value(value).unwrap()
}

/// Upstreams that answer nothing and end one process a run.
#[derive(Default)]
pub(crate) struct Processes(pub(crate) Mutex<Vec<RunId>>);

#[async_trait]
impl Upstreams for Processes {
    async fn request(&self, _: UpstreamRequest) -> Result<Value, UpstreamError> {
        Ok(json!({ "tools": [{}, {}] }))
    }

    async fn end_run(&self, _: &OrgId, run: &RunId) -> Vec<String> {
        self.0.lock().unwrap().push(run.clone());
        vec!["stdio orders pid 4711".to_owned()]
    }
}

pub(crate) struct World {
    pub(crate) org: OrgId,
    pub(crate) books: Books,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) processes: Arc<Processes>,
    pub(crate) control: Control,
}

fn person(n: u8, roles: Value) -> Person {
    noun(json!({
        "id": id("per", n), "email": format!("p{n}@acme.example"), "display_name": format!("P{n}"), "teams": [],
        "roles": roles, "entitlements": ["refunds"], "manager": null, "created_by": null, "state": "active"
    }))
}

fn tool(name: &str, classification: Value) -> Tool {
    noun(json!({
        "tool": format!("orders/{name}"),
        "definition": { "hash": "ab".repeat(32), "body": { "name": name, "inputSchema": {
            "type": "object", "required": ["order"], "additionalProperties": false,
            "properties": { "order": { "type": "string" }, "amount": { "type": "number" } }
        }}},
        "pending": null, "classification": classification, "state": "enabled"
    }))
}

fn agent(n: u8, name: &str) -> Agent {
    noun(json!({
        "id": id("agt", n), "name": name, "owner": id("per", OWNER), "sponsor": id("per", SPONSOR),
        "deputy": id("per", ADMIN), "responsible_team": null, "platform_team": null, "purpose": "help",
        "business_process": "support", "model": "m", "provider": "p", "runtime": "r", "environment": "production",
        "data_classes": ["orders"], "systems": [id("sys", 1)], "expected_actions": ["read"], "tier": 4,
        "review_cadence_days": 90, "next_review": null, "enforcement": "gateway", "registered_by": id("per", OWNER),
        "state": "active", "state_reason": null
    }))
}

fn workflow(n: u8, agent: u8, name: &str) -> Workflow {
    let grant = |n: u8, tool: &str| {
        json!({ "id": id("grt", n), "tool": format!("orders/{tool}"), "bounds": {}, "limits": [],
                "expires": "2027-11-22T08:00:00Z", "autonomy": "tested", "granted_by": id("per", ADMIN), "granted_at": "2026-11-01T00:00:00Z" })
    };
    noun(json!({
        "id": id("wf", n), "agent": id("agt", agent), "name": name, "purpose": "p", "data_classes": ["orders"],
        "run_secs_max": 7200, "run_idle_secs_max": 600, "spawnable": [], "enabled": true,
        "grants": [grant(n * 3, "status"), grant(n * 3 + 1, "refund")]
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
            .create_organization(&organization, Principal::Operator)
            .await
            .unwrap();
        let processes = Arc::new(Processes::default());
        let control = Control::new(books.clone(), processes.clone(), Arc::new(NoSecrets));
        let world = Self {
            org,
            books,
            store,
            clock,
            processes,
            control,
        };
        world.furnish().await;
        world
    }

    async fn furnish(&self) {
        let mut change = Change::new();
        for (n, roles) in [
            (ADMIN, json!(["admin"])),
            (SPONSOR, json!([])),
            (OWNER, json!(["developer"])),
            (CLERK, json!([])),
            (APPROVER, json!(["approver"])),
            (APPROVER_TOO, json!(["approver"])),
            (RESPONDER, json!(["responder"])),
            (AUDITOR, json!(["auditor"])),
            (NOBODY, json!([])),
            (ADMIN_TOO, json!(["admin"])),
        ] {
            change = change.create(&person(n, roles));
        }
        let change = change
            .create::<System>(&noun(json!({ "id": id("sys", 1), "name": "shop", "owner": id("per", ADMIN),
                "environment": "production", "criticality": "high" })))
            .create::<Upstream>(&noun(json!({ "name": "orders", "system": id("sys", 1), "secret": null,
                "transport": { "type": "http", "url": "http://127.0.0.1:1/mcp" }, "stateless": false, "enabled": true })))
            .create(&tool("status", json!({ "effect": "read", "data_classes": ["orders"] })))
            .create(&tool("refund", json!({ "effect": "purchase", "entitlements": ["refunds"] })))
            .create(&agent(1, "support"))
            .create(&agent(2, "helper"))
            .create(&workflow(1, 1, "refund"))
            .create(&workflow(2, 2, "assist"))
            .create::<PolicySet>(&noun(json!({ "name": "refunds", "enabled": true, "at": "2026-11-01T00:00:00Z",
                "by": { "type": "person", "id": id("per", ADMIN) },
                "text": "@id(\"asks\") @approvers(\"role:approver\") @text(\"refunds need an approver\")\n\
                    forbid (principal, action == Action::\"orders/refund\", resource) unless { context.approved };" })));
        self.books.commit(&self.org, change).await.unwrap();
        let key = AgentKey {
            thumbprint: "thumb-1".to_owned(),
            agent: id("agt", 1).parse().unwrap(),
            jwk: json!({ "kty": "EC", "crv": "P-256", "x": "x1", "y": "y1" }),
            certificate: None,
            attests: false,
            created: self.books.now(),
            retires: None,
            removed: None,
        };
        self.books
            .commit(&self.org, Change::new().create(&key))
            .await
            .unwrap();
    }

    pub(crate) fn caller(&self, n: u8) -> Caller {
        self.control
            .caller(&self.org, Principal::Person(id("per", n).parse().unwrap()))
    }

    /// Writes down that `by` could have acted as person `n`.
    pub(crate) async fn vouch(&self, n: u8, by: u8) {
        let key = id("per", n);
        let found = self.books.get::<Person>(&self.org, &key).await.unwrap();
        let found = found.unwrap();
        let by = id("per", by).parse().unwrap();
        let next = found.noun.vouched(&by, self.books.now()).unwrap();
        let change = Change::new().update(&next, found.revision);
        self.books.commit(&self.org, change).await.unwrap();
    }

    pub(crate) fn agent_caller(&self) -> Caller {
        self.control
            .caller(&self.org, Principal::Agent(id("agt", 1).parse().unwrap()))
    }

    pub(crate) fn pass(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Changes a person as it is.
    pub(crate) async fn change_person(&self, n: u8, change: impl Fn(&mut Person)) {
        let mut found = self
            .books
            .get::<Person>(&self.org, &id("per", n))
            .await
            .unwrap()
            .unwrap();
        change(&mut found.noun);
        self.books
            .commit(&self.org, Change::new().update(&found.noun, found.revision))
            .await
            .unwrap();
    }

    pub(crate) async fn start(
        &self,
        agent: u8,
        person: Option<u8>,
        chain: Vec<DelegationId>,
        parent: Option<&Run>,
    ) -> Run {
        let workflow = self.books.org(&self.org).unwrap().registry().workflows
            [&id("wf", agent).parse().unwrap()]
            .clone();
        let new = NewRun {
            agent: id("agt", agent).parse().unwrap(),
            mode: Mode::Interactive,
            trigger: None,
            intent: Intent {
                purpose: "a refund".to_owned(),
                ..Intent::default()
            },
            person: person.map(|n| id("per", n).parse().unwrap()),
            chain,
            parent: parent.map(|r| r.id.clone()),
            implicit_key: None,
            provenance: Provenance::default(),
            idle_secs_max: None,
            ends_by: None,
        };
        self.books
            .start_run(&self.org, &workflow, new)
            .await
            .unwrap()
    }

    /// The clerk's delegation to `support`, its sub-delegation to `helper`, and a run under each.
    pub(crate) async fn chain(&self) -> (Delegation, Delegation, Run, Run) {
        let first = self
            .delegation(1, DelegationUse::Interactive, None, None)
            .await;
        let run = self
            .start(1, Some(CLERK), vec![first.id.clone()], None)
            .await;
        let second = self
            .delegation(2, DelegationUse::SubAgent, Some(&first), Some(&run))
            .await;
        let child = self
            .start(
                2,
                Some(CLERK),
                vec![first.id.clone(), second.id.clone()],
                Some(&run),
            )
            .await;
        (first, second, run, child)
    }

    async fn delegation(
        &self,
        to: u8,
        kind: DelegationUse,
        parent: Option<&Delegation>,
        run: Option<&Run>,
    ) -> Delegation {
        let clerk: PersonId = id("per", CLERK).parse().unwrap();
        let from = parent.map_or(Principal::Person(clerk.clone()), |p| {
            Principal::Agent(p.to.clone())
        });
        let delegation = Delegation {
            id: self.books.id(DelegationId::from_uuid),
            person: clerk,
            from,
            to: id("agt", to).parse().unwrap(),
            workflow: id("wf", to).parse().unwrap(),
            kind,
            authority: Default::default(),
            ticket: None,
            depth_left: 3,
            parent: parent.map(|p| p.id.clone()),
            run: run.map(|r| r.id.clone()),
            token: None,
            federated: None,
            created: self.books.now(),
            expires: self.books.now().plus_secs(3_600),
            state: remit_domain::delegation::DelegationState::Active,
        };
        self.books
            .commit(&self.org, Change::new().create(&delegation))
            .await
            .unwrap();
        delegation
    }

    pub(crate) async fn token(&self, run: &Run) -> Token {
        let token = Token {
            id: self.books.id(CredentialId::from_uuid),
            agent: run.agent.clone(),
            workflow: run.workflow.clone(),
            run: run.id.clone(),
            person: run.person.clone(),
            delegation: run.chain.last().cloned(),
            thumbprint: "thumb-1".to_owned(),
            bound_to: None,
            certificate: None,
            outside: None,
            from: None,
            federated: None,
            trust: remit_domain::attestation::Trust::Key,
            svid: None,
            client_id: None,
            issued: self.books.now(),
            expires: self.books.now().plus_secs(300),
            revoked: None,
        };
        self.books
            .commit(&self.org, Change::new().create(&token))
            .await
            .unwrap();
        token
    }

    pub(crate) async fn ask(&self, run: &Run, asks: Value) -> ApprovalId {
        let approval: Approval = noun(json!({
            "id": self.books.id(ApprovalId::from_uuid), "digest": "d", "decision": self.books.id(DecisionId::from_uuid),
            "agent": run.agent, "workflow": run.workflow, "run": run.id, "person": run.person, "tool": "orders/refund",
            "definition_hash": "ab", "args": { "order": "A-118", "amount": 20 }, "asks": asks, "reasons": ["because"],
            "requested": self.books.now(), "expires": self.books.now().plus_secs(3_600), "verdicts": [], "state": "pending"
        }));
        self.books
            .commit(&self.org, Change::new().create(&approval))
            .await
            .unwrap();
        approval.id
    }

    /// Asks anyone with the role approver.
    pub(crate) async fn ask_approver(&self, run: &Run, quorum: u8) -> ApprovalId {
        let ask = json!({ "policy": "refunds/asks", "approvers": [{ "role": "approver" }], "quorum": quorum,
                          "standing": false, "waives_four_eyes": false });
        self.ask(run, json!([ask])).await
    }

    /// Decides a call in `run` as the gateway does, and admits it. Returns the decision's id.
    #[expect(
        clippy::too_many_lines,
        reason = "one entry, told whole as the gateway tells it"
    )]
    pub(crate) async fn admit(
        &self,
        run: &Run,
        tool: &str,
        args: Value,
    ) -> Result<(DecisionId, Decision), AdmitError> {
        let id = self.books.id(DecisionId::from_uuid);
        let book = self.books.org(&self.org).unwrap();
        let epoch = book.epoch();
        let engine = book.engine().unwrap();
        let (fixed, sources) = {
            let registry = book.registry();
            let standing = registry
                .standing(&run.id, self.books.now())
                .map_err(|_| AdmitError::EpochMoved(epoch))?;
            let tool = format!("orders/{tool}").parse().unwrap();
            let fixed =
                remit_books::facts::fixed_facts(&registry, &(&standing).into(), &tool).unwrap();
            (fixed, engine.sources().to_owned())
        };
        let known = self.books.store().labels(&self.org, run.root.as_str());
        let dynamic = Dynamic {
            args,
            labels: known.await.unwrap().labels.into_keys().collect(),
            ..Dynamic::at(self.books.now())
        };
        let decision = engine.decide(Facts {
            fixed: &fixed,
            dynamic: &dynamic,
        });
        let goes_on = decision.outcome.as_str() == "allow";
        let plain = serde_json::to_vec(&fixed).unwrap();
        let facts = self.books.seal_blob(&self.org, run.id.as_str(), &plain);
        let facts = facts.await.unwrap();
        let event = Event::new(
            EventKind::CallDecided,
            self.books.now(),
            Principal::Agent(run.agent.clone()),
        )
        .about(&id)
        .agent(&run.agent)
        .run(&run.id)
        .decision(&id)
        .fact("outcome", decision.outcome.as_str())
        .fact("consent", if goes_on { "not_needed" } else { "asked" })
        .fact("tool", &fixed.tool.tool)
        .fact("effect", "read")
        .fact("person", &run.person)
        .fact("workflow", &run.workflow)
        .fact("system", self::id("sys", 1))
        .fact("engine", engine.version())
        .fact("bundle", engine.bundle())
        .fact("fixed", &facts.hash)
        .content("decision", &decision)
        .content("dynamic", &dynamic)
        .content("summary", json!({ "order": "string" }));
        let labels = self
            .books
            .store()
            .labels(&self.org, run.root.as_str())
            .await
            .unwrap();
        let raise = fixed.tool.classification.iter();
        let raise = raise.flat_map(remit_policy::labels::kinds);
        let raise = raise.map(|l| (run.root.to_string(), l)).collect();
        let admit = Admit {
            org: self.org.clone(),
            decision: id.clone(),
            agent: run.agent.clone(),
            run: run.id.clone(),
            tool: fixed.tool.tool.clone(),
            at: self.books.now(),
            epoch,
            labels: (run.root.to_string(), labels.version()),
            carried: None,
            raise: if goes_on { raise } else { Vec::new() },
            reserve: Vec::new(),
            puts: Vec::new(),
            blobs: vec![
                facts,
                Blob {
                    hash: engine.version().to_owned(),
                    body: sources.into_bytes(),
                },
            ],
            entries: vec![self.books.seal(&self.org, &event).await.unwrap()],
            sends: goes_on.then(|| self.books.node().to_owned()),
        };
        self.books.store().admit(admit).await?;
        Ok((id, decision))
    }

    /// Ends a run.
    pub(crate) async fn end(&self, run: &Run) {
        let ending = remit_books::Ending::because(
            Principal::Agent(run.agent.clone()),
            remit_domain::run::RunEnd::Agent,
        );
        self.books
            .end_run(&self.org, &run.id, &ending)
            .await
            .unwrap();
    }

    /// Records what came of a call.
    pub(crate) async fn outcome(&self, run: &Run, decision: &DecisionId, status: &str) {
        let event = Event::new(
            EventKind::CallCompleted,
            self.books.now(),
            Principal::Agent(run.agent.clone()),
        )
        .about(decision)
        .agent(&run.agent)
        .run(&run.id)
        .decision(decision)
        .fact("status", status);
        let outcome = Outcome {
            org: self.org.clone(),
            decision: decision.clone(),
            at: self.books.now(),
            entries: vec![self.books.seal(&self.org, &event).await.unwrap()],
            raise: Vec::new(),
            release: Vec::new(),
            puts: Vec::new(),
        };
        self.books.store().outcome(outcome).unwrap();
        self.books.store().flush().await.unwrap();
    }
}

/// What the surfaces need: every future can move between threads.
#[test]
fn futures_are_send() {
    fn send<T: Send>(_: T) {}
    fn futures(
        control: &Control,
        caller: &Caller,
        org: &OrgId,
        approval: &ApprovalId,
        run: &RunId,
        decision: &DecisionId,
    ) {
        let target = || noun::<crate::TargetName>(json!({ "type": "agent", "name": "x" }));
        let grant =
            || noun(json!({ "agent": "a", "workflow": "b", "kind": "interactive", "for_secs": 1 }));
        let level = remit_domain::containment::Level::Kill;
        send(control.grant_delegation(caller, grant()));
        send(control.revoke_delegation(caller, &DelegationId::from_uuid(uuid::Uuid::nil()), "x"));
        send(control.approve(caller, approval, None));
        send(control.wait_approval(caller, approval, Duration::ZERO));
        send(control.watch_approvals(caller, None, Duration::ZERO));
        send(control.contain(caller, &target(), level, "x"));
        send(control.preview_containment(caller, &target(), level));
        send(control.lift_containment(
            caller,
            &remit_domain::ContainmentId::from_uuid(uuid::Uuid::nil()),
            "x",
        ));
        send(control.run_story(caller, run));
        send(control.end_run(caller, run, &crate::RunReport::default()));
        send(control.verify(caller, None));
        send(control.why(caller, decision));
        send(control.replay(caller, decision));
        send(control.credentials(caller, None));
        send(control.doctor(caller));
        send(control.tick(org));
    }
    let _ = futures;
}
