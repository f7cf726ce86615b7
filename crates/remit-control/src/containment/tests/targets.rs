//! Whatever is contained: what was previewed is what stops, and nothing else does.

use std::collections::BTreeSet;

use remit_domain::credential::Svid;

use super::*;

/// A few numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    /// One of `0..below`.
    fn roll(&mut self, below: usize) -> usize {
        // Numerical Recipes' constants; only the high bits are used.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let n = self.roll(of.len());
        &of[n]
    }
}

struct Scene {
    w: World,
    runs: Vec<Run>,
    tokens: Vec<Token>,
    _flights: Vec<FlightGuard>,
}

async fn scene(dice: &mut Dice) -> Scene {
    let w = World::new().await;
    let key: AgentKey = noun(json!({
        "thumbprint": "thumb-2", "agent": id("agt", 2), "jwk": {}, "created": w.books.now(), "removed": null
    }));
    w.books
        .commit(&w.org, Change::new().create(&key))
        .await
        .unwrap();
    let (_, _, run, child) = w.chain().await;
    let mut runs = vec![run, child];
    for _ in 0..dice.roll(4) {
        let agent = 1 + u8::try_from(dice.roll(2)).unwrap();
        let parent = (dice.roll(2) == 0).then(|| dice.one(&runs).clone());
        let parent = parent.filter(|run| run.person.is_none());
        runs.push(w.start(agent, None, Vec::new(), parent.as_ref()).await);
    }
    let (mut tokens, mut flights) = (Vec::new(), Vec::new());
    for n in 0..6 + dice.roll(6) {
        let run = dice.one(&runs).clone();
        match dice.roll(5) {
            0 => {
                w.ask_approver(&run, 1).await;
            }
            1 => {
                let decision = w.books.id(DecisionId::from_uuid);
                let mut departure = departure(&w, &run, &decision);
                departure.tool = dice
                    .one(&["orders/status", "orders/refund", "mail/send"])
                    .parse()
                    .unwrap();
                if departure.tool.tool() == "send" {
                    departure.definition = "cd".repeat(32);
                }
                let guard = w.books.in_flight().register(departure);
                guard.say(Progress::Sent);
                flights.push(guard);
            }
            2 => {
                w.admit(&run, "status", json!({ "order": "A" }))
                    .await
                    .unwrap();
            }
            3 => {
                let first = run.agent.as_str() == id("agt", 1);
                let key = if first { "thumb-1" } else { "thumb-2" };
                let svid: Svid = noun(json!({
                    "id": w.books.id(remit_domain::CredentialId::from_uuid), "form": "jwt", "agent": run.agent,
                    "workflow": run.workflow, "instance": format!("i{n}"), "spiffe_id": "spiffe://acme.example/x",
                    "run": run.id, "attested": null, "audience": ["a"], "certificate": null, "thumbprint": key,
                    "issued": w.books.now(), "expires": w.books.now().plus_secs(300), "withdrawn": null
                }));
                w.books
                    .commit(&w.org, Change::new().create(&svid))
                    .await
                    .unwrap();
            }
            _ => tokens.push(w.token(&run).await),
        }
    }
    Scene {
        w,
        runs,
        tokens,
        _flights: flights,
    }
}

fn targets(scene: &Scene, dice: &mut Dice) -> Vec<serde_json::Value> {
    let run = dice.one(&scene.runs);
    let by_id = |kind: &str, id: &str| json!({ "type": kind, "id": id });
    let by_name = |kind: &str, name: &str| json!({ "type": kind, "name": name });
    let mut all = vec![
        by_name("agent", "support"),
        by_name("agent", "helper"),
        by_name("workflow", "support/refund"),
        by_id("run", run.id.as_str()),
        by_id("chain", run.id.as_str()),
        by_name("person", "p4@acme.example"),
        by_id("credential", "thumb-1"),
        by_name("upstream", "orders"),
        by_name("tool", "orders/refund"),
        by_id("definition", &"ab".repeat(32)),
        by_name("model", "m"),
        by_name("organization", "acme"),
    ];
    all.extend(
        scene
            .tokens
            .first()
            .map(|t| by_id("credential", t.id.as_str())),
    );
    all
}

type Items = BTreeSet<(String, String)>;

/// Contains `target`, by two people where it takes two.
async fn stop(w: &World, target: &TargetName, level: Level) -> ContainmentView {
    let by = w.caller(RESPONDER);
    let view = w.control.contain(&by, target, level, "odd").await.unwrap();
    if view.state != "waiting" {
        return view;
    }
    w.control
        .confirm_containment(&w.caller(ADMIN), &view.id)
        .await
        .unwrap()
}

async fn as_previewed(seed: u64, nth: usize, level: Level) -> bool {
    let mut dice = Dice(seed);
    let scene = scene(&mut dice).await;
    let w = &scene.w;
    let all = targets(&scene, &mut dice);
    let Some(target) = all.get(nth) else {
        return false;
    };
    let (shown, target) = (target.to_string(), noun::<TargetName>(target.clone()));
    let by = w.caller(RESPONDER);
    let preview = match w.control.preview_containment(&by, &target, level).await {
        Ok(preview) => preview,
        Err(refused) => {
            assert_eq!(refused.code(), Some(RefusalCode::InvalidRequest), "{shown}");
            return true;
        }
    };
    let told: Items = preview
        .items
        .iter()
        .map(|i| (i.kind.to_owned(), i.id.clone()))
        .collect();
    let view = stop(w, &target, level).await;
    let items = &view.certificate.as_ref().unwrap().certificate.items;
    let items = items.iter().filter(|i| i.kind != "upstream_process");
    let stopped: Items = items.map(|i| (i.kind.clone(), i.id.clone())).collect();
    assert_eq!(told, stopped, "seed {seed}: {shown} {level:?}");
    let book = w.books.org(&w.org).unwrap();
    for run in &scene.runs {
        let holds = told.contains(&("run".to_owned(), run.id.to_string()));
        let stands = book.registry().standing(&run.id, w.books.now()).is_ok();
        assert_eq!(stands, !holds, "seed {seed}: {shown} {level:?}: {run:?}");
    }
    for token in &scene.tokens {
        let holds = told.contains(&("token".to_owned(), token.id.to_string()));
        let now = get::<Token>(w, token.id.as_str()).await;
        assert_eq!(
            now.revoked.is_some(),
            holds,
            "seed {seed}: {shown} {level:?}"
        );
    }
    true
}

/// How often, with other levels each time.
const ROUNDS: u64 = 2;

/// Each target, at one level each time.
#[tokio::test(start_paused = true)]
async fn what_is_previewed_is_what_stops_whatever_is_contained() {
    for seed in 1..=ROUNDS {
        let mut nth = 0;
        while as_previewed(seed, nth, level(seed, nth)).await {
            nth += 1;
        }
        assert!(nth >= 12);
    }
}

fn level(seed: u64, nth: usize) -> Level {
    let levels = [Level::Kill, Level::Suspend, Level::Quarantine];
    levels[(usize::try_from(seed).unwrap() + nth) % levels.len()]
}

#[tokio::test]
async fn a_preview_names_whom_it_concerns() {
    let w = World::new().await;
    w.chain().await;
    let target = noun(json!({ "type": "person", "name": "p4@acme.example" }));
    let by = w.caller(RESPONDER);
    let preview = w
        .control
        .preview_containment(&by, &target, Level::Suspend)
        .await
        .unwrap();
    let people = preview.people;
    let expected = [CLERK, OWNER, SPONSOR].map(|n| format!("p{n}@acme.example"));
    assert_eq!(people, BTreeSet::from(expected));
}

#[tokio::test]
async fn a_tool_that_is_contained_takes_its_approvals_and_no_run() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    let target = noun(json!({ "type": "tool", "name": "orders/refund" }));
    let by = w.caller(RESPONDER);
    let view = w
        .control
        .contain(&by, &target, Level::Quarantine, "lies")
        .await
        .unwrap();
    assert_eq!(status(&view, "approval").len(), 1);
    let gone = get::<Approval>(&w, asked.as_str()).await;
    assert_eq!(gone.state, ApprovalState::Cancelled);
    let book = w.books.org(&w.org).unwrap();
    assert!(book.registry().standing(&run.id, w.books.now()).is_ok());
    // An approval that slipped in beside it is not given either.
    let late = w.ask_approver(&run, 1).await;
    let yes = w.control.approve(&w.caller(APPROVER), &late, None).await;
    assert_eq!(code(yes), RefusalCode::Contained);
    w.control
        .lift_containment(&by, &view.id, "mended")
        .await
        .unwrap();
    w.control
        .approve(&w.caller(APPROVER), &late, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_many_share_is_never_killed() {
    let w = World::new().await;
    for target in [
        json!({ "type": "upstream", "name": "orders" }),
        json!({ "type": "tool", "name": "orders/refund" }),
        json!({ "type": "definition", "id": "ab".repeat(32) }),
        json!({ "type": "model", "name": "m" }),
        json!({ "type": "organization", "name": "acme" }),
    ] {
        let killed = w
            .control
            .contain(&w.caller(ADMIN), &noun(target), Level::Kill, "x")
            .await;
        assert_eq!(code(killed), RefusalCode::InvalidRequest);
    }
}

#[tokio::test]
async fn what_nobody_knows_is_not_contained() {
    let w = World::new().await;
    for target in [
        json!({ "type": "person", "name": "nobody@acme.example" }),
        json!({ "type": "upstream", "name": "elsewhere" }),
        json!({ "type": "tool", "name": "orders/none" }),
        json!({ "type": "definition", "id": "00" }),
        json!({ "type": "model", "name": "another" }),
        json!({ "type": "organization", "name": "globex" }),
        json!({ "type": "chain", "id": id("run", 9) }),
        json!({ "type": "chain", "id": "x" }),
    ] {
        let shown = target.to_string();
        let made = w
            .control
            .contain(&w.caller(ADMIN), &noun(target), Level::Suspend, "x")
            .await;
        assert_eq!(code(made), RefusalCode::NotFound, "{shown}");
    }
}

#[tokio::test]
async fn a_person_suspends_what_they_delegated_and_delegates_no_more() {
    let w = World::new().await;
    let (first, _, run, child) = w.chain().await;
    let own = noun(json!({ "type": "person", "name": "p4@acme.example" }));
    let others = noun(json!({ "type": "person", "name": "p2@acme.example" }));
    let clerk = w.caller(CLERK);
    let killed = w.control.contain(&clerk, &own, Level::Kill, "x").await;
    assert_eq!(code(killed), RefusalCode::Forbidden);
    let not_mine = w
        .control
        .contain(&clerk, &others, Level::Suspend, "x")
        .await;
    assert_eq!(code(not_mine), RefusalCode::Forbidden);
    let view = w
        .control
        .contain(&clerk, &own, Level::Suspend, "my laptop was stolen")
        .await
        .unwrap();
    let new = || {
        noun(
            json!({ "agent": "support", "workflow": "refund", "kind": "interactive", "for_secs": 600 }),
        )
    };
    let again = w.control.grant_delegation(&clerk, new()).await;
    assert_eq!(code(again), RefusalCode::Contained);
    let book = w.books.org(&w.org).unwrap();
    for run in [&run, &child] {
        let refused = book
            .registry()
            .standing(&run.id, w.books.now())
            .unwrap_err();
        assert_eq!(refused.code, RefusalCode::Contained);
    }
    let lifted = w
        .control
        .lift_containment(&clerk, &view.id, "found it")
        .await;
    assert_eq!(code(lifted), RefusalCode::Forbidden);
    let responder = w.caller(RESPONDER);
    let back = w
        .control
        .lift_containment(&responder, &view.id, "found it")
        .await
        .unwrap();
    assert_eq!(back.runs.len(), 2);
    // A kill ends what was delegated, and is lifted so that they may delegate anew.
    let view = w
        .control
        .contain(&responder, &own, Level::Kill, "gone")
        .await
        .unwrap();
    assert!(matches!(
        get::<Delegation>(&w, first.id.as_str()).await.state,
        DelegationState::Revoked { .. }
    ));
    let back = w
        .control
        .lift_containment(&responder, &view.id, "new laptop")
        .await
        .unwrap();
    assert!(back.runs.is_empty());
    w.control.grant_delegation(&clerk, new()).await.unwrap();
}

/// Who delegates does not lift what contains their delegations, whatever their roles.
#[tokio::test]
async fn nobody_lifts_what_contains_their_own_delegations() {
    let w = World::new().await;
    let email = format!("p{RESPONDER}@acme.example");
    let target = noun(json!({ "type": "person", "name": email }));
    let by = w.caller(ADMIN);
    let made = w.control.contain(&by, &target, Level::Suspend, "odd").await;
    let id = made.unwrap().id;
    let themselves = w.caller(RESPONDER);
    let own = w.control.lift_containment(&themselves, &id, "x").await;
    assert_eq!(code(own), RefusalCode::Forbidden);
    let other = w.control.lift_containment(&by, &id, "looked at").await;
    other.unwrap();
}
