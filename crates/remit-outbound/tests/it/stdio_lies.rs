//! Servers that are slow, broken or hostile.

use std::sync::atomic::Ordering;
use std::time::Duration;

use remit_outbound::StdioLimits;
use remit_ports::upstreams::UpstreamError;
use serde_json::Value;

use crate::stdio_processes::{ask, outbound, outbound_of, server};
use crate::support::{unreachable, until};

#[tokio::test]
async fn a_server_that_never_answers_leaves_the_call_ambiguous_and_is_told() {
    let outbound = outbound(&[]);
    ask("pid").of(&outbound).await.unwrap();
    let silent = ask("silent").within(50).of(&outbound).await;
    assert!(
        matches!(silent, Err(UpstreamError::Ambiguous(_))),
        "{silent:?}"
    );
    let told = ask("cancelled").of(&outbound).await.unwrap();
    assert_eq!(told["ids"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cancelled_call_says_so_and_the_server_is_told() {
    let outbound = outbound(&[]);
    ask("pid").of(&outbound).await.unwrap();
    let call = ask("silent");
    let cancel = call.cancel();
    let (answer, ()) = tokio::join!(call.of(&outbound), async {
        // The next call is written after the silent one, so that one was sent.
        ask("pid").of(&outbound).await.unwrap();
        cancel.cancel();
    });
    assert_eq!(answer, Err(UpstreamError::Cancelled));
    let told = ask("cancelled").of(&outbound).await.unwrap();
    assert_eq!(told["ids"].as_array().unwrap().len(), 1);
    let late = ask("pid");
    late.cancel().cancel();
    assert!(unreachable(late.of(&outbound).await).contains("before it was sent"));
}

#[tokio::test]
async fn a_wrong_id_answers_nobody() {
    let outbound = outbound(&[]);
    ask("pid").of(&outbound).await.unwrap();
    let answer = ask("wrong-id").within(100).of(&outbound).await;
    assert!(
        matches!(answer, Err(UpstreamError::Ambiguous(_))),
        "{answer:?}"
    );
    assert_eq!(outbound.counters().stray_answers.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_not_json_is_invalid() {
    let outbound = outbound(&[]);
    let answer = ask("bad-json").of(&outbound).await;
    assert!(
        matches!(answer, Err(UpstreamError::Invalid(_))),
        "{answer:?}"
    );
    assert!(ask("pid").of(&outbound).await.is_ok());
}

#[tokio::test]
async fn an_oversize_line_ends_the_process() {
    let outbound = outbound(&[]);
    let first = ask("pid").of(&outbound).await.unwrap();
    let answer = ask("oversize").of(&outbound).await;
    assert_eq!(answer, Err(UpstreamError::TooLarge(1024 * 1024)));
    until("it is ended", || {
        outbound.counters().processes_ended.load(Ordering::Relaxed) == 1
    })
    .await;
    assert_ne!(ask("pid").of(&outbound).await.unwrap(), first);
}

#[tokio::test]
async fn errors_and_chatter_pass() {
    let outbound = outbound(&[]);
    let answer = ask("no-such-tool").of(&outbound).await;
    assert!(
        matches!(answer, Err(UpstreamError::Rpc { code: -32602, .. })),
        "{answer:?}"
    );
    // More on standard error than a pipe holds.
    for _ in 0..20 {
        ask("print").of(&outbound).await.unwrap();
    }
    let unknown = ask("")
        .method("server/unknown", Value::Null)
        .of(&outbound)
        .await;
    assert!(
        matches!(unknown, Err(UpstreamError::Rpc { code: -32601, .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_introduce_itself_was_never_called() {
    let stdio = StdioLimits {
        handshake: Duration::from_millis(100),
        ..StdioLimits::default()
    };
    let outbound = outbound_of(server(&["silent-start"]), stdio);
    assert!(unreachable(ask("pid").of(&outbound).await).contains("did not introduce itself"));
    until("it is ended", || {
        outbound.counters().processes_ended.load(Ordering::Relaxed) == 1
    })
    .await;
    // The call's own limit may be the shorter one.
    let outbound = outbound_of(server(&["silent-start"]), StdioLimits::default());
    unreachable(ask("pid").within(100).of(&outbound).await);
    until("it is ended", || {
        outbound.counters().processes_ended.load(Ordering::Relaxed) == 1
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_no_server_is_unreachable() {
    for args in [["-c", "exit 1"], ["-c", "yes"], ["-c", "cat"]] {
        let command = remit_outbound::AllowedCommand::new("/bin/sh", args);
        let outbound = outbound_of(command, StdioLimits::default());
        unreachable(ask("pid").within(5000).of(&outbound).await);
    }
}

#[tokio::test]
async fn versions_are_agreed_or_refused() {
    for flags in [&["version=2024-11-05"][..], &["banner"], &["modern"]] {
        let outbound = outbound(flags);
        assert!(ask("pid").of(&outbound).await.is_ok(), "{flags:?}");
    }
    let outbound = outbound(&["version=1999-01-01"]);
    assert!(unreachable(ask("pid").of(&outbound).await).contains("1999-01-01"));
}

#[tokio::test]
async fn a_modern_server_gets_its_metadata_with_each_request() {
    let outbound = outbound(&["modern"]);
    let seen = ask("echo").of(&outbound).await.unwrap();
    assert_eq!(
        seen["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"],
        "2026-07-28"
    );
    assert_eq!(
        seen["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"],
        "remit"
    );
}
