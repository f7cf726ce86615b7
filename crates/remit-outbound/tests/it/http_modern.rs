//! 2026-07-28 over HTTP: every request stands alone.

use remit_outbound::{Outbound, OutboundConfig};
use remit_ports::Upstreams as _;
use remit_ports::upstreams::UpstreamError;
use serde_json::{Value, json};

use crate::fake_http::{Fake, Reply, Seen, echo, event, modern};
use crate::support::{org, run, until};

pub(crate) fn outbound() -> Outbound {
    Outbound::new(OutboundConfig::default())
}

#[tokio::test]
async fn a_request_carries_what_the_revision_requires() {
    let fake = modern(echo).await;
    let mut ask = fake
        .ask("résumé")
        .arguments(json!({"region": "eu", "n": 1}));
    ask.request.params["_meta"] = json!({"com.example/x": 1, "traceparent": "00-a",
        "io.modelcontextprotocol/protocolVersion": "1999-01-01"});
    ask.request.input_schema = json!({"type": "object", "properties":
        {"region": {"type": "string", "x-mcp-header": "Region"}, "n": {"type": "integer"}}});
    let result = ask.of(&outbound()).await.unwrap();
    assert_eq!(
        result["params"]["_meta"],
        json!({
            "traceparent": "00-a",
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "remit", "version": env!("CARGO_PKG_VERSION")},
            "io.modelcontextprotocol/clientCapabilities": {},
        })
    );
    let seen = fake.seen();
    for (seen, method) in [(&seen[0], "server/discover"), (&seen[1], "tools/call")] {
        assert_eq!(seen.header("mcp-protocol-version"), "2026-07-28");
        assert_eq!(seen.header("mcp-method"), method);
        assert_eq!(seen.header("accept"), "application/json, text/event-stream");
        assert_eq!(seen.header("content-type"), "application/json");
        assert_eq!(seen.header("mcp-session-id"), "");
    }
    let call = &seen[1];
    assert_eq!(call.header("mcp-name"), "=?base64?csOpc3Vtw6k=?=");
    assert_eq!(call.header("mcp-param-region"), "eu");
    assert!(!call.headers.contains_key("mcp-param-n"));
}

#[tokio::test]
async fn a_server_is_asked_once_per_organization_and_has_no_sessions() {
    let fake = modern(echo).await;
    let outbound = outbound();
    for n in 1..=3 {
        fake.ask("a").run(n).of(&outbound).await.unwrap();
    }
    fake.ask("a").org(2).of(&outbound).await.unwrap();
    assert_eq!(fake.count("server/discover"), 2);
    assert_eq!(fake.count("tools/call"), 4);
    assert_eq!(
        outbound.end_run(&org(1), &run(1)).await,
        Vec::<String>::new()
    );
    assert_eq!(fake.heard().len(), 6);
}

#[tokio::test]
async fn a_stream_brings_notifications_and_then_the_answer() {
    let fake = modern(|seen| {
        let token = &seen.body["params"]["_meta"]["progressToken"];
        let progress = |token: &Value, n: u8| {
            event(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": token, "progress": n}}))
        };
        Reply::Events(
            vec![
                ": keep alive\n\n".to_owned(),
                progress(token, 1),
                progress(&json!(12345), 2),
                event(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "log"}})),
                event(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})),
                event(&json!({"jsonrpc": "2.0", "id": "x", "method": "sampling/createMessage"})),
                "event: other\ndata: not json\n\n".to_owned(),
                event(&json!({"jsonrpc": "2.0", "id": 4711, "result": {"stolen": true}})),
                event(&seen.result(json!({"done": true}))),
            ],
            false,
        )
    })
    .await;
    let (to, mut from) = tokio::sync::mpsc::channel(8);
    let outbound = outbound();
    let result = fake.ask("a").listening(to).of(&outbound).await.unwrap();
    assert_eq!(result, json!({"done": true}));
    let mut got = Vec::new();
    while let Some(notification) = from.recv().await {
        got.push(notification["params"].clone());
    }
    assert_eq!(
        got,
        [
            json!({"progressToken": "mine", "progress": 1}),
            json!({"data": "log"})
        ]
    );
    // Servers of this revision may not ask, so nothing was answered.
    assert_eq!(fake.heard(), ["server/discover", "tools/call"]);
}

#[tokio::test]
async fn a_full_channel_slows_the_server_down_but_loses_nothing() {
    let fake = modern(|seen| {
        let note = |n: usize| event(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": n}}));
        let mut events: Vec<String> = (0..200).map(note).collect();
        events.push(event(&seen.result(json!({}))));
        Reply::Events(events, true)
    })
    .await;
    let (to, mut from) = tokio::sync::mpsc::channel(1);
    let outbound = outbound();
    let (result, got) = tokio::join!(fake.ask("a").listening(to).of(&outbound), async {
        let mut got = 0;
        while from.recv().await.is_some() {
            got += 1;
        }
        got
    });
    assert_eq!((result.unwrap(), got), (json!({}), 200));
}

#[tokio::test]
async fn cancelling_closes_the_response_and_sends_nothing_more() {
    let fake = modern(|_| Reply::Events(vec![": open\n\n".to_owned()], false)).await;
    let outbound = outbound();
    let call = fake.ask("a");
    let cancel = call.cancel();
    let (answer, ()) = tokio::join!(call.of(&outbound), async {
        until("the call arrives", || fake.count("tools/call") == 1).await;
        cancel.cancel();
    });
    assert_eq!(answer, Err(UpstreamError::Cancelled));
    let late = fake.ask("a").within(50).of(&outbound).await;
    assert!(matches!(late, Err(UpstreamError::Ambiguous(_))), "{late:?}");
    assert_eq!(fake.count("notifications/cancelled"), 0);
}

#[tokio::test]
async fn errors_come_with_their_http_status() {
    for status in [200, 400, 404, 500] {
        let fake = modern(move |seen| {
            Reply::Body(status, "application/json", seen.error(-32602).to_string())
        })
        .await;
        let answer = fake.ask("a").of(&outbound()).await;
        assert!(
            matches!(answer, Err(UpstreamError::Rpc { code: -32602, .. })),
            "{status}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_went_back_is_asked_again() {
    let fake =
        modern(|seen| Reply::Body(400, "application/json", seen.error(-32022).to_string())).await;
    let outbound = outbound();
    for _ in 0..2 {
        let answer = fake.ask("a").of(&outbound).await;
        assert!(
            matches!(answer, Err(UpstreamError::Rpc { code: -32022, .. })),
            "{answer:?}"
        );
    }
    assert_eq!(fake.count("server/discover"), 2);
    assert_eq!(fake.count("tools/call"), 2, "a call is never repeated");
}

#[tokio::test]
async fn methods_of_the_other_revision_are_not_sent() {
    let fake = modern(echo).await;
    let answer = fake
        .ask("a")
        .method("logging/setLevel", json!({"level": "debug"}))
        .of(&outbound())
        .await;
    assert!(
        matches!(answer, Err(UpstreamError::Rpc { code: -32601, .. })),
        "{answer:?}"
    );
    assert_eq!(fake.heard(), ["server/discover"]);
}

#[tokio::test]
async fn an_invalid_schema_keeps_the_call_from_being_sent() {
    let fake = modern(echo).await;
    let mut ask = fake.ask("a");
    ask.request.input_schema =
        json!({"properties": {"a": {"type": "object", "x-mcp-header": "A"}}});
    crate::support::unreachable(ask.of(&outbound()).await);
    assert_eq!(fake.count("tools/call"), 0);
}

#[tokio::test]
async fn a_credential_goes_out_and_does_not_come_back() {
    let reflect = |seen: &Seen| {
        Reply::json(
            seen.result(json!({"you": seen.header("authorization"), "key": seen.header("x-key")})),
        )
    };
    let fake: Fake = modern(reflect).await;
    let lent = [
        ("Authorization", "Bearer tok-en-123456"),
        ("X-Key", "k3y-value-1"),
    ];
    let result = fake.ask("a").headers(&lent).of(&outbound()).await.unwrap();
    assert_eq!(
        result,
        json!({"you": "[redacted by remit]", "key": "[redacted by remit]"})
    );
    for seen in fake.seen() {
        assert_eq!(seen.header("authorization"), "Bearer tok-en-123456");
    }
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Mcp-Method",
        "mcp-session-id",
        "Proxy-Authorization",
        "a b",
    ] {
        let before = fake.heard().len();
        crate::support::unreachable(
            fake.ask("a")
                .headers(&[(name, "value-1234")])
                .of(&outbound())
                .await,
        );
        assert_eq!(fake.heard().len(), before, "{name}");
    }
    let split = fake
        .ask("a")
        .headers(&[("x-key", "a\r\nx-evil: 1")])
        .of(&outbound())
        .await;
    crate::support::unreachable(split);
}
