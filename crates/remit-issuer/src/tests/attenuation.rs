//! Whatever is exchanged, in whatever order: nobody may do what one above may not, and nothing ends after what it came of.
//!
//! Sequences are drawn over the real issuer and decided by the real engine, from the facts of the registry. What is compared is
//! whether a call is denied, for every run and every run that it came of, at each of several times.

use proptest::collection::{btree_set, vec};
use proptest::option;
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

/// Tools, with their effects and the data class that they touch.
const TOOLS: [(&str, &str, &str); 4] = [
    ("orders/read", "read", "orders"),
    ("orders/refund", "purchase", "orders"),
    ("orders/profile", "read", "pii"),
    ("orders/erase", "destructive", "pii"),
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

fn bounds() -> impl Strategy<Value = Value> {
    let max = prop::sample::select(vec![20, 500]);
    let amount = max.prop_map(|max| json!([{ "decimal": { "max": max } }]));
    let listed = prop::sample::subsequence(ORDERS.to_vec(), 1..=ORDERS.len());
    let order = prop_oneof![
        listed.prop_map(|orders| json!([{ "one_of": orders }])),
        Just(json!([{ "prefix": { "prefix": "A", "separator": "-" } }])),
    ];
    let both = (option::weighted(0.3, amount), option::weighted(0.2, order));
    both.prop_map(|(amount, order)| {
        let mut bounds = json!({});
        for (path, bound) in [("amount", amount), ("order", order)] {
            if let Some(bound) = bound {
                bounds[path] = bound;
            }
        }
        bounds
    })
}

fn tools() -> impl Strategy<Value = Value> {
    let each = vec(option::weighted(0.7, bounds()), TOOLS.len());
    each.prop_map(|each| {
        let named = TOOLS.iter().zip(each);
        let named = named.filter_map(|((tool, ..), bounds)| Some(((*tool).to_owned(), bounds?)));
        Value::Object(named.collect())
    })
}

fn details() -> impl Strategy<Value = Value> {
    tools().prop_filter_map("no tool", |tools| {
        let each = tools.as_object()?.iter();
        let each = each.map(|(t, b)| json!({ "type": "remit_tool", "tool": t, "bounds": b }));
        let each: Vec<Value> = each.collect();
        (!each.is_empty()).then(|| json!(each))
    })
}

/// An authority; `until` is in seconds from when it is asked for.
fn authority() -> impl Strategy<Value = Value> {
    let effects = prop::sample::subsequence(vec!["read", "purchase", "destructive"], 1..=3);
    let orders = prop::sample::subsequence(ORDERS.to_vec(), 0..=ORDERS.len());
    let parts = (
        option::weighted(0.3, tools()),
        option::weighted(0.1, effects),
        option::weighted(0.1, classes()),
        option::weighted(0.1, orders),
        option::weighted(0.2, 60..7_200_u16),
    );
    parts.prop_map(|(tools, effects, classes, orders, until)| {
        let mut all = json!({ "tools": tools, "effects": effects, "data_classes": classes,
            "targets": orders.map(|orders| json!({ "order": orders })), "until": until });
        all.as_object_mut()
            .unwrap()
            .retain(|_, part| !part.is_null());
        all
    })
}

fn classes() -> impl Strategy<Value = BTreeSet<&'static str>> {
    btree_set(prop::sample::select(vec!["orders", "pii"]), 1..=2)
}

fn start() -> impl Strategy<Value = Start> {
    let ends = option::weighted(0.4, 300..4_000_u16);
    let granted = vec((0..TOOLS.len(), bounds(), ends), 3..7);
    let workflows = vec((granted, classes()), 3);
    let delegated = (authority(), 3_000..7_200_u16, 1..5_u8);
    (workflows, delegated).prop_map(|(workflows, delegated)| Start {
        workflows,
        delegated,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let index = || 0..16_usize;
    let to = 0..3_usize;
    prop_oneof![
        1 => (1..900_u16).prop_map(Step::Wait),
        2 => (index(), details()).prop_map(|(of, details)| Step::Narrow { of, details }),
        4 => (index(), to.clone(), authority(), option::weighted(0.3, 60..7_200_u16), option::weighted(0.2, details()))
            .prop_map(|(of, to, authority, secs, details)| Step::Spawn { of, to, authority, secs, details }),
        2 => (index(), to, option::weighted(0.3, details()))
            .prop_map(|(of, to, details)| Step::SpawnByExchange { of, to, details }),
        2 => index().prop_map(Step::Renew),
    ]
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
        for (tool, effect, class) in TOOLS {
            let tool: Tool = serde_json::from_value(json!({
                "tool": tool, "definition": { "hash": "11", "body": { "inputSchema": { "type": "object",
                    "properties": { "order": { "type": "string" }, "amount": { "type": "number" } } } } },
                "pending": null, "state": "enabled",
                "classification": { "effect": effect, "data_classes": [class], "targets": { "order": "order" } }
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
        }
        out
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
