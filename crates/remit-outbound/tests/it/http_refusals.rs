//! What HTTP servers may not do, and where Remit does not go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use remit_domain::upstream::Transport;
use remit_outbound::{Outbound, OutboundConfig};
use remit_ports::upstreams::UpstreamError;
use serde_json::json;

use crate::fake_http::{Fake, Reply, echo, event, modern};
use crate::http_modern::outbound;
use crate::support::{Ask, unreachable};

const MIB: usize = 1024 * 1024;

fn at(url: &str) -> Ask {
    Ask::new(
        Transport::Http {
            url: url.to_owned(),
        },
        "a",
    )
}

#[tokio::test]
async fn nothing_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    unreachable(at(&url).of(&outbound()).await);
}

#[tokio::test]
async fn a_connection_that_closes_after_the_call_leaves_it_ambiguous() {
    let fake = modern(|_| Reply::Close).await;
    let answer = fake.ask("a").of(&outbound()).await;
    assert!(
        matches!(answer, Err(UpstreamError::Ambiguous(_))),
        "{answer:?}"
    );
    assert_eq!(fake.count("tools/call"), 1, "never resent");
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_the_call_ambiguous() {
    let fake = modern(|_| Reply::Hang).await;
    let answer = fake.ask("a").within(100).of(&outbound()).await;
    assert!(
        matches!(answer, Err(UpstreamError::Ambiguous(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn oversize_answers_are_not_held() {
    let big = || "x".repeat(MIB);
    let json = modern(move |seen| Reply::json(seen.result(json!({ "big": big() })))).await;
    let one_event =
        modern(move |seen| Reply::Events(vec![event(&seen.result(json!({ "big": big() })))], true))
            .await;
    let endless = modern(move |_| {
        Reply::Events(
            (0..64)
                .map(|_| format!("data: {}", "x".repeat(64 * 1024)))
                .collect(),
            false,
        )
    })
    .await;
    for fake in [json, one_event, endless] {
        let outbound = outbound();
        let answer = fake.ask("a").of(&outbound).await;
        assert_eq!(answer, Err(UpstreamError::TooLarge(MIB)));
    }
}

#[tokio::test]
async fn many_small_messages_are_not_oversize() {
    let fake = modern(|seen| {
        let note = event(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x".repeat(64 * 1024)}}));
        let mut events = vec![note; 40];
        events.push(event(&seen.result(json!({}))));
        Reply::Events(events, true)
    })
    .await;
    assert_eq!(fake.ask("a").of(&outbound()).await, Ok(json!({})));
}

#[tokio::test]
async fn wrong_ids_and_wrong_bodies_are_invalid() {
    let outbound = outbound();
    let wrong = modern(|_| Reply::json(json!({"jsonrpc": "2.0", "id": 4711, "result": {}}))).await;
    let text = modern(|_| Reply::Body(200, "application/json", "{".to_owned())).await;
    let twice = modern(|seen| {
        Reply::Body(
            200,
            "application/json",
            format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"a":1,"a":2}}}}"#,
                seen.body["id"]
            ),
        )
    })
    .await;
    let html = modern(|_| Reply::Body(200, "text/html", "<p>hello</p>".to_owned())).await;
    let event = modern(|_| Reply::Events(vec!["data: {\n\n".to_owned()], true)).await;
    let accepted = modern(|_| Reply::status(202)).await;
    for (n, fake) in [wrong, text, twice, html, event, accepted]
        .into_iter()
        .enumerate()
    {
        let answer = fake.ask("a").of(&outbound).await;
        assert!(
            matches!(answer, Err(UpstreamError::Invalid(_))),
            "{n}: {answer:?}"
        );
        assert_eq!(fake.count("tools/call"), 1);
    }
    assert_eq!(outbound.counters().stray_answers.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = modern(echo).await;
    let location = format!("http://{}/mcp", target.at);
    for status in [301, 302, 307, 308] {
        let location = location.clone();
        let fake = modern(move |_| Reply::Header(status, "location", location.clone())).await;
        let answer = fake
            .ask("a")
            .headers(&[("authorization", "Bearer 12345678")])
            .of(&outbound())
            .await;
        match answer {
            Err(UpstreamError::Invalid(why)) => assert!(why.contains("redirects"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn a_refused_credential_says_so() {
    for status in [401, 403] {
        let fake = Fake::start(move |_| Reply::status(status)).await;
        // 401 says that nothing was done (RFC 9110 §15.5.2), so that another token may be tried; 403 does not.
        let why = match fake.ask("a").of(&outbound()).await {
            Err(UpstreamError::Unauthorized(why)) if status == 401 => why,
            answer => unreachable(answer),
        };
        assert!(why.contains("credential"), "{why}");
        assert_eq!(fake.heard(), ["server/discover"]);
        let fake = modern(move |_| Reply::status(status)).await;
        match fake.ask("a").of(&outbound()).await {
            Err(UpstreamError::Unauthorized(why)) if status == 401 => {
                assert!(why.contains("credential"), "{why}");
            }
            Err(UpstreamError::Invalid(why)) if status == 403 => {
                assert!(why.contains("credential"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_server_is_unreachable() {
    let fake = Fake::start(|_| Reply::Body(200, "text/html", "<p>hello</p>".to_owned())).await;
    unreachable(fake.ask("a").of(&outbound()).await);
    assert_eq!(fake.heard(), ["server/discover", "initialize"]);
}

#[tokio::test]
async fn addresses_of_the_machine_itself_are_refused() {
    for url in [
        "https://169.254.169.254/latest/meta-data",
        "http://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/",
        "http://localhost:1/mcp",
        "https://user:pass@127.0.0.1:1/",
        "gopher://127.0.0.1:1/",
    ] {
        let why = unreachable(at(url).of(&outbound()).await);
        assert!(
            why.contains("its URL") || why.contains("refused") || why.contains("plain http"),
            "{url}: {why}"
        );
    }
    let fake = modern(echo).await;
    let strict = Outbound::new(OutboundConfig {
        loopback: false,
        ..OutboundConfig::default()
    });
    assert!(unreachable(fake.ask("a").of(&strict).await).contains("loopback"));
    // The same by name, which only the resolver can tell.
    let port = fake.at.port();
    assert!(
        unreachable(at(&format!("https://localhost:{port}/")).of(&strict).await)
            .contains("operator does not allow")
    );
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_no_authority_vouches_for_is_told_nothing() {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
            .unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://127.0.0.1:{}/mcp",
        listener.local_addr().unwrap().port()
    );
    let server = async {
        let (socket, _) = listener.accept().await.unwrap();
        acceptor.accept(socket).await.map(drop)
    };
    let outbound = outbound();
    let ask = at(&url).headers(&[("authorization", "Bearer 12345678")]);
    let (answer, handshake) = tokio::join!(ask.of(&outbound), server);
    assert!(unreachable(answer).contains("certificate"));
    assert!(handshake.is_err(), "the client ended the handshake");
}
