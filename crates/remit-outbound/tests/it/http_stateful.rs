//! 2025-11-25 over HTTP: a handshake, and a session per run.

use remit_ports::Upstreams as _;
use remit_ports::upstreams::UpstreamError;
use serde_json::{Value, json};

use crate::fake_http::{Fake, Reply, Seen, echo, event, stateful};
use crate::http_modern::outbound;
use crate::support::{org, run, unreachable, until};

const OPENING: [&str; 3] = ["server/discover", "initialize", "notifications/initialized"];

#[tokio::test]
async fn a_session_is_opened_once_per_run_and_ended_with_it() {
    let fake = stateful(echo).await;
    let outbound = outbound();
    for _ in 0..2 {
        assert_eq!(
            fake.ask("a").of(&outbound).await.unwrap()["session"],
            "first"
        );
    }
    assert_eq!(
        fake.ask("a").run(2).of(&outbound).await.unwrap()["session"],
        "second"
    );
    assert_eq!(
        fake.ask("a").org(2).of(&outbound).await.unwrap()["session"],
        "third"
    );
    let seen = fake.seen();
    let heard = fake.heard();
    assert_eq!(
        heard[..5],
        [&OPENING[..], &["tools/call", "tools/call"]].concat()
    );
    assert_eq!(seen[1].header("mcp-session-id"), "");
    for seen in &seen[2..5] {
        assert_eq!(seen.header("mcp-session-id"), "first");
        assert_eq!(seen.header("mcp-protocol-version"), "2025-11-25");
        assert_eq!(
            seen.header("mcp-method"),
            "",
            "a header of the other revision"
        );
    }
    assert_eq!(seen[3].body["params"].get("_meta"), None);
    assert_eq!(
        outbound.end_run(&org(1), &run(1)).await,
        ["http itsm session"]
    );
    let last = fake.seen().pop().unwrap();
    assert_eq!(
        (last.verb.as_str(), last.header("mcp-session-id")),
        ("DELETE", "first")
    );
    assert!(unreachable(fake.ask("a").of(&outbound).await).contains("run has ended"));
}

#[tokio::test]
async fn a_stateless_upstream_shares_a_session_until_there_is_a_secret() {
    let fake = stateful(echo).await;
    let outbound = outbound();
    let ask = |n| fake.ask("a").stateless().run(n);
    assert_eq!(ask(1).of(&outbound).await.unwrap()["session"], "first");
    assert_eq!(ask(2).of(&outbound).await.unwrap()["session"], "first");
    let lent = |n| ask(n).headers(&[("authorization", "Bearer 12345678")]);
    assert_eq!(lent(1).of(&outbound).await.unwrap()["session"], "second");
    assert_eq!(lent(2).of(&outbound).await.unwrap()["session"], "third");
}

#[tokio::test]
async fn a_lost_session_costs_one_call_which_is_not_repeated() {
    let fake = stateful(|seen| match seen.header("mcp-session-id") {
        "first" => Reply::Body(
            404,
            "application/json",
            json!({"jsonrpc": "2.0", "id": null,
            "error": {"code": -32001, "message": "Session not found"}})
            .to_string(),
        ),
        _ => echo(seen),
    })
    .await;
    let outbound = outbound();
    let lost = fake.ask("a").of(&outbound).await;
    assert!(
        matches!(lost, Err(UpstreamError::Rpc { code: -32001, .. })),
        "{lost:?}"
    );
    assert_eq!(fake.count("tools/call"), 1);
    assert_eq!(
        fake.ask("a").of(&outbound).await.unwrap()["session"],
        "second"
    );
    assert_eq!(fake.count("initialize"), 2);
    assert_eq!(fake.count("tools/call"), 2);
}

#[tokio::test]
async fn a_session_that_is_lost_before_the_call_is_opened_again() {
    let fake = Fake::start(|seen| match seen.method() {
        "initialize" => {
            let id = if seen.header("x-again").is_empty() {
                "first"
            } else {
                "second"
            };
            Reply::Session(seen.result(json!({"protocolVersion": "2025-06-18"})), id)
        }
        "notifications/initialized" => Reply::status(404),
        _ => Reply::status(405),
    })
    .await;
    assert!(unreachable(fake.ask("a").of(&outbound()).await).contains("forgets"));
    assert_eq!(fake.count("initialize"), 2);
    assert_eq!(fake.count("tools/call"), 0);
}

#[tokio::test]
async fn a_server_without_sessions_works_too() {
    let fake = Fake::start(|seen| match seen.method() {
        "initialize" => {
            Reply::json(seen.result(json!({"protocolVersion": "2025-06-18", "capabilities": {}})))
        }
        "notifications/initialized" => Reply::status(202),
        "tools/call" => echo(seen),
        _ => Reply::status(400),
    })
    .await;
    let outbound = outbound();
    fake.ask("a").of(&outbound).await.unwrap();
    assert_eq!(
        fake.seen().last().unwrap().header("mcp-protocol-version"),
        "2025-06-18"
    );
    let discovered = fake
        .ask("")
        .method("server/discover", Value::Null)
        .of(&outbound)
        .await
        .unwrap();
    assert_eq!(discovered["supportedVersions"], json!(["2025-06-18"]));
    assert_eq!(
        outbound.end_run(&org(1), &run(1)).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_server_may_ask_whether_the_client_is_there_and_nothing_else() {
    let fake = stateful(|seen| {
        if seen.method().is_empty() {
            return Reply::status(202);
        }
        Reply::Events(
            vec![
                event(&json!({"jsonrpc": "2.0", "id": "p", "method": "ping"})),
                event(&json!({"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage", "params": {}})),
                event(&seen.result(json!({}))),
            ],
            true,
        )
    })
    .await;
    fake.ask("a").of(&outbound()).await.unwrap();
    let answers: Vec<Seen> = fake
        .seen()
        .into_iter()
        .filter(|seen| seen.method().is_empty())
        .collect();
    assert_eq!(
        answers[0].body,
        json!({"jsonrpc": "2.0", "id": "p", "result": {}})
    );
    assert_eq!(answers[1].body["error"]["code"], -32601);
    assert_eq!(answers[1].header("mcp-session-id"), "first");
}

#[tokio::test]
async fn cancelling_and_timeouts_are_told_to_the_server() {
    let fake = stateful(|_| Reply::Hang).await;
    let outbound = outbound();
    let call = fake.ask("a");
    let cancel = call.cancel();
    let (answer, ()) = tokio::join!(call.of(&outbound), async {
        until("the call arrives", || fake.count("tools/call") == 1).await;
        cancel.cancel();
    });
    assert_eq!(answer, Err(UpstreamError::Cancelled));
    until("the server is told", || {
        fake.count("notifications/cancelled") == 1
    })
    .await;
    let slow = fake.ask("a").within(50).of(&outbound).await;
    assert!(matches!(slow, Err(UpstreamError::Ambiguous(_))), "{slow:?}");
    until("the server is told", || {
        fake.count("notifications/cancelled") == 2
    })
    .await;
    let seen = fake.seen();
    let ids = |method: &str, path: &str| -> Vec<Value> {
        seen.iter()
            .filter(|s| s.method() == method)
            .map(|s| s.body.pointer(path).unwrap().clone())
            .collect()
    };
    assert_eq!(
        ids("notifications/cancelled", "/params/requestId"),
        ids("tools/call", "/id")
    );
}

#[tokio::test]
async fn a_stream_that_ends_early_is_resumed_without_a_second_call() {
    let fake = stateful(
        |seen| match (seen.verb.as_str(), seen.header("last-event-id")) {
            ("GET", "e-1") => Reply::Events(vec!["id: e-2\ndata:\n\n".to_owned()], true),
            ("GET", "e-2") => {
                // The id of the call, which this fake can only know from convention: it is the third request of Remit.
                Reply::Events(
                    vec![event(
                        &json!({"jsonrpc": "2.0", "id": 3, "result": {"resumed": true}}),
                    )],
                    true,
                )
            }
            ("POST", _) => Reply::Events(vec!["id: e-1\nretry: 1\ndata:\n\n".to_owned()], true),
            _ => Reply::status(405),
        },
    )
    .await;
    let result = fake.ask("a").of(&outbound()).await.unwrap();
    assert_eq!(result, json!({"resumed": true}));
    assert_eq!(
        fake.heard(),
        [&OPENING[..], &["tools/call", "GET", "GET"]].concat()
    );
    assert_eq!(
        fake.seen().last().unwrap().header("mcp-session-id"),
        "first"
    );
}

#[tokio::test]
async fn a_stream_that_cannot_be_resumed_is_ambiguous() {
    for events in [vec![], vec!["id: e-1\nretry: 1\ndata:\n\n".to_owned()]] {
        let fake = stateful(move |seen| match seen.verb.as_str() {
            "GET" => Reply::status(405),
            _ => Reply::Events(events.clone(), true),
        })
        .await;
        let answer = fake.ask("a").of(&outbound()).await;
        assert!(
            matches!(answer, Err(UpstreamError::Ambiguous(_))),
            "{answer:?}"
        );
        assert_eq!(fake.count("tools/call"), 1);
    }
}
