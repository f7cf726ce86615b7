//! Whatever is exchanged, in whatever order: nobody may do what one above may not, and nothing ends after what it came of.
//!
//! Sequences are drawn over the real issuer and decided by the real engine, from the facts of the registry. What is compared is
//! whether a call is denied, for every run and every run that it came of, at each of several times.

mod draw;

use proptest::collection::vec;
use proptest::prelude::*;
use remit_books::facts::{Who, fixed_facts};
use remit_domain::authority::Authority;
use remit_domain::limits::CHAIN_DEPTH_MAX;
use remit_domain::system::System;
use remit_domain::tool::ToolRef;
use remit_domain::{Run, RunId, Tool};
use remit_policy::{Dynamic, Outcome};
use remit_token::AuthorizationDetails;
use tokio::runtime::Runtime;

use super::*;
use crate::SpawnRequest;
use draw::{start, step};

/// Tools, with their effects, the data class that they touch, and the entitlement that they ask for.
const TOOLS: [(&str, &str, &str, Option<&str>); 4] = [
    ("orders/read", "read", "orders", None),
    ("orders/refund", "purchase", "orders", Some("refunds")),
    ("orders/profile", "read", "pii", Some("support")),
    ("orders/erase", "destructive", "pii", Some("support")),
];
const AMOUNTS: [i64; 2] = [10, 400];
const ORDERS: [&str; 2] = ["A-1", "B-1"];

/// A grant of one tool: which, within which bounds, and how long in seconds.
type Granted = (usize, Value, Option<u16>);

/// What a sequence starts from.
#[derive(Debug, Clone)]
struct Start {
    /// Grants and data classes of `answer`, `search` and `index`.
    workflows: Vec<(Vec<Granted>, BTreeSet<&'static str>)>,
    /// What the person lets the first one do, for how long, and how many hops may follow.
    delegated: (Value, u16, u8),
    /// What the person is entitled to.
    entitled: BTreeSet<&'static str>,
}

/// One step of a sequence; `of` picks one of the tokens that there are.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Wait(u16),
    /// A token is exchanged for fewer tools.
    Narrow { of: usize, details: Value },
    /// A sub-agent is spawned, and redeems its subject token, for fewer tools where it asks for that.
    Spawn {
        of: usize,
        to: usize,
        authority: Value,
        secs: Option<u16>,
        details: Option<Value>,
    },
    /// The same by token exchange.
    SpawnByExchange {
        of: usize,
        to: usize,
        details: Option<Value>,
    },
    /// The client asks for another token of the run.
    Renew(usize),
}

/// A token that was given, and the one that it came of.
struct Held {
    actor: usize,
    token: String,
    verified: Arc<Verified>,
    above: Option<usize>,
}

/// A world in which a sequence runs.
struct House {
    world: World,
    held: Vec<Held>,
}

impl House {
    async fn new(start: &Start) -> Self {
        let world = World::new().await;
        let system = world.books.org(&world.acme).unwrap();
        let system = system
            .registry()
            .upstreams
            .values()
            .next()
            .unwrap()
            .system
            .clone();
        let noun: System =
            serde_json::from_value(json!({ "id": system, "name": "shop", "owner": world.owner,
            "environment": "production", "criticality": "high" }))
            .unwrap();
        // All at once: the policies are compiled anew for each commit of tools.
        let mut change = Change::new().create(&noun);
        for (tool, effect, class, entitlement) in TOOLS {
            let entitlements: Vec<&str> = entitlement.into_iter().collect();
            let tool: Tool = serde_json::from_value(json!({
                "tool": tool, "definition": { "hash": "11", "body": { "inputSchema": { "type": "object",
                    "properties": { "order": { "type": "string" }, "amount": { "type": "number" } } } } },
                "pending": null, "state": "enabled",
                "classification": { "effect": effect, "data_classes": [class], "entitlements": entitlements, "targets": { "order": "order" } }
            }))
            .unwrap();
            change = change.create(&tool);
        }
        world.books.commit(&world.acme, change).await.unwrap();
        let house = Self {
            world,
            held: Vec::new(),
        };
        house.furnish(start, &system).await;
        house
    }

    fn actor(&self, at: usize) -> (&Actor, &'static str) {
        let world = &self.world;
        match at {
            0 => (&world.triage, "answer"),
            1 => (&world.searcher, "search"),
            _ => (&world.indexer, "index"),
        }
    }

    async fn furnish(&self, start: &Start, system: &remit_domain::SystemId) {
        let (world, now) = (&self.world, self.world.books.now());
        world
            .change::<Person>(world.maria.as_str(), |maria| {
                maria.entitlements = serde_json::from_value(json!(start.entitled)).unwrap();
            })
            .await;
        let all: BTreeSet<WorkflowId> = (0..3)
            .map(|at| self.actor(at))
            .map(|(actor, name)| actor.workflows[name].clone())
            .collect();
        for (at, (granted, classes)) in start.workflows.iter().enumerate() {
            let (actor, name) = self.actor(at);
            let grants = granted.iter().map(|(tool, bounds, ends)| {
                json!({ "id": world.books.id(remit_domain::GrantId::from_uuid), "tool": TOOLS[*tool].0, "bounds": bounds,
                    "expires": ends.map(|secs| now.plus_secs(secs.into())), "granted_by": world.owner, "granted_at": now })
            });
            let grants: Vec<Value> = grants.collect();
            let spawnable = all.clone();
            world
                .change::<Workflow>(actor.workflows[name].as_str(), |workflow| {
                    workflow.grants = serde_json::from_value(json!(grants)).unwrap();
                    workflow.data_classes = serde_json::from_value(json!(classes)).unwrap();
                    workflow.spawnable = spawnable;
                })
                .await;
            world
                .change::<Agent>(actor.id.as_str(), |agent| {
                    agent.profile.systems = [system.clone()].into();
                    agent.profile.data_classes =
                        serde_json::from_value(json!(["orders", "pii"])).unwrap();
                })
                .await;
        }
    }

    fn authority(&self, asked: &Value) -> Authority {
        let mut asked = asked.clone();
        if let Some(secs) = asked.get("until").and_then(Value::as_i64) {
            asked["until"] = json!(self.world.books.now().plus_secs(secs));
        }
        serde_json::from_value(asked).unwrap()
    }

    /// Takes up a token that was given, after a look at when it ends.
    async fn take(&mut self, actor: usize, above: Option<usize>, given: TokenResponse) {
        let token = secret(&given);
        let verified = self.world.verify(&token).await.unwrap();
        self.held.push(Held {
            actor,
            token,
            verified,
            above,
        });
    }

    /// The person lets the first agent act for them.
    async fn delegate(&mut self, (asked, secs, depth): &(Value, u16, u8)) {
        let world = &self.world;
        let (actor, name) = self.actor(0);
        let kind = DelegationUse::Interactive;
        let link = world.delegate(actor, name, kind, *depth).await;
        let (authority, ends) = (
            self.authority(asked),
            world.books.now().plus_secs((*secs).into()),
        );
        world
            .change::<Delegation>(link.id.as_str(), |link| {
                (link.authority, link.expires) = (authority, ends);
            })
            .await;
        let subject = world.subject(&link).await;
        let given = world.exchange(actor, &subject, "").await.unwrap();
        self.take(0, None, given).await;
    }

    /// Does one step, where it is permitted.
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(secs) => self.world.advance((*secs).into()),
            Step::Narrow { of, details } => {
                let at = of % self.held.len();
                let (actor, token) = (self.held[at].actor, self.held[at].token.clone());
                let subject = (TokenType::AccessToken, token.as_str());
                if let Ok(given) = self.exchange(actor, subject, None, Some(details)).await {
                    self.take(actor, Some(at), given).await;
                    let (own, above) = (self.held.last().unwrap(), &self.held[at]);
                    assert!(
                        own.verified.expires <= above.verified.expires,
                        "it outlives its token"
                    );
                }
            }
            Step::Spawn {
                of,
                to,
                authority,
                secs,
                details,
            } => {
                let at = of % self.held.len();
                let (child, name) = self.actor(*to);
                let request = SpawnRequest {
                    authority: self.authority(authority),
                    for_secs: secs.map(i64::from),
                    ..SpawnRequest::new(child.id.clone(), child.workflows[name].clone())
                };
                let parent = Arc::clone(&self.held[at].verified);
                let (issuer, org) = (&self.world.issuer, &self.world.acme);
                if let Ok(spawned) = issuer.spawn(org, &parent, request).await {
                    let subject = spawned.subject_token.expose_secret().to_owned();
                    self.redeem(at, *to, &subject, details.as_ref()).await;
                }
            }
            Step::SpawnByExchange { of, to, details } => {
                let at = of % self.held.len();
                let (actor, token) = (self.held[at].actor, self.held[at].token.clone());
                let subject = (TokenType::AccessToken, token.as_str());
                let asked = self.exchange(actor, subject, Some(*to), details.as_ref());
                if let Ok(given) = asked.await {
                    self.redeem(at, *to, &secret(&given), None).await;
                }
            }
            Step::Renew(of) => {
                let at = of % self.held.len();
                let scope = format!("run:{}", self.held[at].verified.run);
                let (actor, name) = self.actor(self.held[at].actor);
                let scope = format!("workflow:{name} {scope}");
                if let Ok(given) = self.world.credentials(actor, &scope).await {
                    self.take(self.held[at].actor, Some(at), given).await;
                }
            }
        }
    }

    async fn redeem(&mut self, above: usize, to: usize, subject: &str, details: Option<&Value>) {
        let subject = (TokenType::Jwt, subject);
        if let Ok(given) = self.exchange(to, subject, None, details).await {
            self.take(to, Some(above), given).await;
        }
    }

    async fn exchange(
        &self,
        by: usize,
        (kind, subject): (TokenType, &str),
        audience: Option<usize>,
        details: Option<&Value>,
    ) -> Result<TokenResponse, OAuthError> {
        let audience = audience.map(|at| self.actor(at));
        let scope = audience.map_or(String::new(), |(_, name)| format!("workflow:{name}"));
        let assertion = self.world.assertion(self.actor(by).0);
        let TokenRequest::TokenExchange(mut request) = exchange(assertion, subject, kind, &scope)
        else {
            panic!("an exchange");
        };
        request.audience = audience.iter().map(|(a, _)| a.id.to_string()).collect();
        if let Some(details) = details {
            let read = AuthorizationDetails::parse(&details.to_string());
            request.authorization_details = read.unwrap();
        }
        let request = TokenRequest::TokenExchange(request);
        self.world.issuer.token(&self.world.acme, &request).await
    }

    /// The calls that are not denied in a run now; none where it does not stand.
    fn permitted(&self, run: &RunId) -> BTreeSet<String> {
        let (world, now) = (&self.world, self.world.books.now());
        let book = world.books.org(&world.acme).unwrap();
        let (registry, engine) = (book.registry(), book.engine().unwrap());
        let Ok(standing) = registry.standing(run, now) else {
            return BTreeSet::new();
        };
        let who = Who::from(&standing);
        let mut out = BTreeSet::new();
        for (name, ..) in TOOLS {
            let tool: ToolRef = name.parse().unwrap();
            let fixed = fixed_facts(&registry, &who, &tool).unwrap();
            let prepared = engine.prepare(Arc::new(fixed));
            for (amount, order) in AMOUNTS.iter().flat_map(|a| ORDERS.map(|o| (a, o))) {
                let args = json!({ "amount": amount, "order": order });
                let call = format!("{name} {args}");
                let dynamic = Dynamic {
                    args,
                    ..Dynamic::at(now)
                };
                if engine.decide_prepared(&prepared, &dynamic).outcome != Outcome::Deny {
                    out.insert(call);
                }
            }
        }
        out
    }

    /// Everything that somebody may do now whom one above may not, and everything that ends after what it came of.
    fn violations(&self) -> Vec<String> {
        let runs: BTreeSet<&RunId> = self.held.iter().map(|held| &held.verified.run).collect();
        let permitted: BTreeMap<&RunId, BTreeSet<String>> = runs
            .into_iter()
            .map(|run| (run, self.permitted(run)))
            .collect();
        let mut out = Vec::new();
        for held in &self.held {
            let own = &permitted[&held.verified.run];
            let mut above = held.above;
            while let Some(at) = above {
                let ancestor = &self.held[at];
                let theirs = &permitted[&ancestor.verified.run];
                out.extend(own.difference(theirs).cloned());
                above = ancestor.above;
            }
            out.extend(self.late(&held.verified));
            out.extend(self.unentitled(&held.verified));
        }
        out
    }

    /// Every tool that a token, or a link that an agent has made, names though the person is not entitled to it.
    fn unentitled(&self, verified: &Verified) -> Vec<String> {
        let book = self.world.books.org(&self.world.acme).unwrap();
        let registry = book.registry();
        let holds = &registry.people[&self.world.maria].entitlements;
        let asks = |tool: &str| {
            let found = TOOLS.iter().find(|(name, ..)| *name == tool);
            found.and_then(|(.., entitlement)| *entitlement)
        };
        let lacks = |tool: &str| asks(tool).is_some_and(|e| !holds.iter().any(|h| h.as_str() == e));
        let details = verified.claims.authorization_details.0.iter();
        let said = details.filter_map(|detail| Some(detail.get("tool")?.as_str()?.to_owned()));
        let links = verified.claims.delegations.iter();
        let links = links.filter_map(|id| registry.delegations.get(&id.parse().ok()?));
        let made = links.filter(|link| link.kind == DelegationUse::SubAgent);
        let named = made.flat_map(|link| link.authority.tools.iter().flatten());
        let named = named.map(|(tool, _)| tool.to_string());
        let all = said.chain(named).filter(|tool| lacks(tool));
        all.map(|tool| format!("{tool}, without the entitlement"))
            .collect()
    }

    /// What of a token ends after what it came of: its run and links, and those after the ones before them.
    fn late(&self, verified: &Verified) -> Vec<String> {
        let book = self.world.books.org(&self.world.acme).unwrap();
        let registry = book.registry();
        let Some(run) = registry.runs.get(&verified.run) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let mut ends = vec![("a token", verified.expires, run.deadline)];
        let runs = std::iter::successors(Some(run), |run| registry.runs.get(run.parent.as_ref()?));
        let runs: Vec<&Arc<Run>> = runs.collect();
        for (run, above) in runs.iter().zip(runs.iter().skip(1)) {
            ends.push(("a run", run.deadline, above.deadline));
        }
        let links = run
            .chain
            .iter()
            .filter_map(|id| registry.delegations.get(id));
        let links: Vec<&Arc<Delegation>> = links.collect();
        for (link, next) in links.iter().zip(links.iter().skip(1)) {
            ends.push(("a link", next.expires, link.expires));
            if next.depth_left >= link.depth_left {
                out.push("a link permits as many hops as the one before it".to_owned());
            }
        }
        let late = ends.into_iter().filter(|(_, own, above)| own > above);
        out.extend(late.map(|(what, own, above)| format!("{what} ends at {own}, after {above}")));
        if links.len() > CHAIN_DEPTH_MAX || links.len() != run.chain.len() {
            out.push(format!("a chain of {} links", links.len()));
        }
        out
    }
}

/// Runs a sequence.
async fn run(start: &Start, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut house = House::new(start).await;
    house.delegate(&start.delegated).await;
    for step in steps {
        house.step(step).await;
    }
    // Now, and when more and more of what was granted for a time has ended.
    for secs in [0, 600, 1_200] {
        house.world.advance(secs);
        prop_assert_eq!(house.violations(), Vec::<String>::new());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_exchanges_permits_more_or_lasts_longer(start in start(), steps in vec(step(), 4..16)) {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(run(&start, &steps))?;
    }
}

/// Everything, for everybody.
fn plenty() -> Start {
    let granted: Vec<Granted> = (0..TOOLS.len())
        .map(|tool| (tool, json!({}), None))
        .collect();
    Start {
        workflows: vec![(granted, ["orders", "pii"].into()); 3],
        delegated: (json!({}), 7_000, 4),
        entitled: ["refunds", "support"].into(),
    }
}

fn spawned(of: usize, to: usize, authority: Value) -> Step {
    Step::Spawn {
        of,
        to,
        authority,
        secs: None,
        details: None,
    }
}

#[tokio::test]
async fn the_comparison_notices_each_way_of_not_narrowing() {
    let only_reads =
        json!({ "tools": { "orders/read": { "amount": [{ "decimal": { "max": 20 } }] } } });
    let steps = [spawned(0, 1, only_reads), spawned(1, 2, json!({}))];
    let house = async || {
        let start = plenty();
        let mut house = House::new(&start).await;
        house.delegate(&start.delegated).await;
        for step in &steps {
            house.step(step).await;
        }
        assert_eq!(house.held.len(), 3, "every step was permitted");
        assert!(house.violations().is_empty());
        let last = Arc::clone(&house.held[2].verified);
        let few = house.permitted(&last.run);
        assert_eq!(few.len(), 2, "{few:?}: amounts of at most 20");
        (house, last)
    };
    let link = |last: &Verified| last.claims.delegations.last().unwrap().clone();
    let above = |last: &Verified| last.claims.delegations[1].clone();

    // A link that carries nothing of what the one above it had, all the way up.
    let (wide, last) = house().await;
    for link in [link(&last), above(&last)] {
        let world = &wide.world;
        world
            .change::<Delegation>(&link, |link| link.authority = Authority::default())
            .await;
    }
    // The run above has an intent that its links do not say.
    let narrow: Authority = serde_json::from_value(json!({ "effects": ["purchase"] })).unwrap();
    let run = wide.held[1].verified.run.to_string();
    wide.world
        .change::<Run>(&run, |run| run.intent.authority = narrow)
        .await;
    assert!(!wide.violations().is_empty(), "more calls");

    let (late, last) = house().await;
    let world = &late.world;
    world
        .change::<Delegation>(&link(&last), |link| {
            link.expires = link.expires.plus_secs(1)
        })
        .await;
    assert!(!late.violations().is_empty(), "a link that lasts longer");

    let (late, last) = house().await;
    let world = &late.world;
    world
        .change::<Run>(last.run.as_str(), |run| {
            run.deadline = run.deadline.plus_secs(1)
        })
        .await;
    assert!(!late.violations().is_empty(), "a run that lasts longer");

    let (deep, last) = house().await;
    let world = &deep.world;
    world
        .change::<Delegation>(&link(&last), |link| link.depth_left += 1)
        .await;
    assert!(!deep.violations().is_empty(), "as many hops as above");
}

/// A person's entitlements bound what is asked for, what is handed on and what a token says, before any call.
#[tokio::test]
async fn nobody_asks_for_what_the_person_is_not_entitled_to() {
    let start = Start {
        entitled: ["support"].into(),
        ..plenty()
    };
    let mut house = House::new(&start).await;
    house.delegate(&start.delegated).await;
    let asked = |tool: &str| json!([{ "type": "remit_tool", "tool": tool }]);
    let token = house.held[0].token.clone();
    let subject = (TokenType::AccessToken, token.as_str());
    let wider = asked("orders/refund");
    let refused = house.exchange(0, subject, None, Some(&wider)).await;
    assert_refused(
        refused,
        OAuthErrorCode::InvalidAuthorizationDetails,
        "wider: the 'authorization_details' ask for more than there is: tool orders/refund (it asks for an entitlement",
    );
    let allowed = asked("orders/profile");
    let given = house.exchange(0, subject, None, Some(&allowed)).await;
    assert_eq!(given.unwrap().authorization_details.0.len(), 1);
    for (authority, says) in [
        (
            json!({ "tools": { "orders/refund": {} } }),
            Some("tool orders/refund ("),
        ),
        (json!({ "tools": { "orders/erase": {} } }), None),
        (json!({ "data_classes": ["orders"] }), None),
    ] {
        let (child, name) = house.actor(1);
        let request = SpawnRequest {
            authority: house.authority(&authority),
            ..SpawnRequest::new(child.id.clone(), child.workflows[name].clone())
        };
        let parent = Arc::clone(&house.held[0].verified);
        let (issuer, org) = (&house.world.issuer, &house.world.acme);
        match (issuer.spawn(org, &parent, request).await, says) {
            (Err(refusal), Some(says)) => {
                assert_eq!(refusal.code, remit_domain::RefusalCode::Wider);
                assert!(refusal.text.contains(says), "{refusal}");
            }
            (Ok(spawned), None) => {
                let tools = spawned.delegation.authority.tools.unwrap();
                assert!(tools.keys().all(|t| t.to_string() != "orders/refund"));
            }
            (answer, says) => panic!("{answer:?} {says:?}"),
        }
    }
    assert!(house.violations().is_empty());
    // A link that names it all the same is noticed here.
    house.step(&spawned(0, 1, json!({}))).await;
    let link = house.held.last().unwrap().verified.claims.delegations[1].clone();
    let tools = json!({ "tools": { "orders/refund": {} } });
    let authority = house.authority(&tools);
    house
        .world
        .change::<Delegation>(&link, |link| link.authority = authority)
        .await;
    assert!(!house.violations().is_empty());
}
