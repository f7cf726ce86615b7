//! A server under the test's own hand: it says exactly what each test needs, and lies.

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;

use super::*;

struct Server {
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    output: WriteHalf<DuplexStream>,
}

impl Server {
    async fn hears(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("a line");
        serde_json::from_str(&line).unwrap()
    }

    async fn says(&mut self, text: &str) {
        self.output.write_all(text.as_bytes()).await.unwrap();
        self.output.write_all(b"\n").await.unwrap();
    }

    async fn sends(&mut self, value: Value) {
        self.says(&value.to_string()).await;
    }
}

type Answer = Result<JsonObject, UpstreamError>;

struct Client {
    connection: Arc<Connection>,
    counters: Arc<Counters>,
}

fn pair(several_runs: bool, pipe: usize) -> (Client, Server) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let (reader, writer) = tokio::io::split(ours);
    let (input, output) = tokio::io::split(theirs);
    let counters = Arc::new(Counters::default());
    let connection = Connection::start(reader, writer, several_runs, Arc::clone(&counters));
    connection.greeted();
    let server = Server {
        lines: BufReader::new(input).lines(),
        output,
    };
    (
        Client {
            connection: Arc::new(connection),
            counters,
        },
        server,
    )
}

impl Client {
    fn call(&self, flight: &Arc<Flight>, route: Route) -> JoinHandle<Answer> {
        let (connection, flight) = (Arc::clone(&self.connection), Arc::clone(flight));
        tokio::spawn(async move {
            let id = connection.next_id();
            let mut params = JsonObject::new();
            if route.token.is_some() {
                params.insert("_meta".into(), json!({ "progressToken": id }));
            }
            let bytes = outgoing::encode(id, "tools/call", &params).unwrap();
            connection
                .call(id, bytes, &flight, route)
                .await
                .unwrap_or_else(|not_open| Err(not_open.0))
        })
    }

    fn plain(&self) -> JoinHandle<Answer> {
        self.call(&Arc::default(), Route::none())
    }

    fn strays(&self) -> u64 {
        self.counters.stray_answers.load(Ordering::Relaxed)
    }
}

fn listening(to: mpsc::Sender<Value>) -> Route {
    Route {
        to: Some(to),
        token: Some(Id::Text("mine".into())),
        questions: None,
        redactor: Arc::default(),
    }
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let (client, mut server) = pair(false, 4096);
    let first = client.plain();
    let a = server.hears().await;
    let second = client.plain();
    let b = server.hears().await;
    assert_ne!(a["id"], b["id"]);
    server
        .sends(json!({"jsonrpc": "2.0", "id": b["id"], "result": {"is": "b"}}))
        .await;
    server
        .sends(json!({"jsonrpc": "2.0", "id": a["id"], "result": {"is": "a"}}))
        .await;
    assert_eq!(first.await.unwrap().unwrap()["is"], "a");
    assert_eq!(second.await.unwrap().unwrap()["is"], "b");
}

#[tokio::test]
async fn wrong_ids_answer_nobody() {
    let (client, mut server) = pair(false, 4096);
    let call = client.plain();
    let id = server.hears().await["id"].clone();
    for wrong in [
        json!(999),
        json!(-1),
        json!(0),
        json!("1"),
        json!(id.to_string()),
    ] {
        server
            .sends(json!({"jsonrpc": "2.0", "id": wrong, "result": {"is": "wrong"}}))
            .await;
    }
    server
        .says(r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"whose?"}}"#)
        .await;
    server
        .sends(json!({"jsonrpc": "2.0", "id": id, "result": {"is": "right"}}))
        .await;
    assert_eq!(call.await.unwrap().unwrap()["is"], "right");
    // A second answer to the same call is as wrong.
    server
        .sends(json!({"jsonrpc": "2.0", "id": id, "result": {"is": "late"}}))
        .await;
    let call = client.plain();
    let id = server.hears().await["id"].clone();
    server
        .sends(json!({"jsonrpc": "2.0", "id": id, "result": {}}))
        .await;
    call.await.unwrap().unwrap();
    assert_eq!(client.strays(), 7);
}

#[tokio::test]
async fn errors_are_passed_on_cut() {
    let (client, mut server) = pair(false, 64 * 1024);
    let call = client.plain();
    let id = server.hears().await["id"].clone();
    let error = json!({"code": -32602, "message": "x".repeat(5000), "data": {"a": 1}});
    server
        .sends(json!({"jsonrpc": "2.0", "id": id, "error": error}))
        .await;
    match call.await.unwrap() {
        Err(UpstreamError::Rpc {
            code: -32602,
            message,
            data: Some(_),
        }) => assert_eq!(message.chars().count(), 2000),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn lines_that_are_not_mcp_fail_the_calls_that_were_sent() {
    for lie in [
        "not json",
        "[]",
        "{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1}",
    ] {
        let (client, mut server) = pair(false, 4096);
        let call = client.plain();
        server.hears().await;
        server.says(lie).await;
        assert!(
            matches!(call.await.unwrap(), Err(UpstreamError::Invalid(_))),
            "{lie}"
        );
        // The connection goes on.
        let call = client.plain();
        let id = server.hears().await["id"].clone();
        server
            .sends(json!({"jsonrpc": "2.0", "id": id, "result": {}}))
            .await;
        assert!(call.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn an_oversize_line_ends_the_connection() {
    let (client, mut server) = pair(false, 64 * 1024);
    let call = client.plain();
    server.hears().await;
    let flood = tokio::spawn(async move {
        let chunk = vec![b'x'; 64 * 1024];
        while server.output.write_all(&chunk).await.is_ok() {}
    });
    assert_eq!(
        call.await.unwrap(),
        Err(UpstreamError::TooLarge(MESSAGE_BYTES_MAX))
    );
    assert!(client.connection.shared.closed.is_cancelled());
    assert!(matches!(
        client.plain().await.unwrap(),
        Err(UpstreamError::Unreachable(_))
    ));
    drop(client);
    flood.await.unwrap();
}

#[tokio::test]
async fn death_is_ambiguous_only_for_what_was_sent() {
    // The pipe takes the first call and a part of the second; the third is never begun.
    let (client, mut server) = pair(false, 100);
    let sent = client.plain();
    server.hears().await;
    let big = Arc::new(Flight::default());
    let begun = {
        let (connection, flight) = (Arc::clone(&client.connection), Arc::clone(&big));
        tokio::spawn(async move {
            connection
                .call(900, vec![b' '; 1000], &flight, Route::none())
                .await
                .unwrap_or_else(|e| Err(e.0))
        })
    };
    while !big.is_sent() {
        tokio::task::yield_now().await;
    }
    let queued = client.plain();
    tokio::task::yield_now().await;
    drop(server);
    assert!(matches!(
        sent.await.unwrap(),
        Err(UpstreamError::Ambiguous(_))
    ));
    assert!(matches!(
        begun.await.unwrap(),
        Err(UpstreamError::Ambiguous(_))
    ));
    assert!(matches!(
        queued.await.unwrap(),
        Err(UpstreamError::Unreachable(_))
    ));
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_upstream_and_its_answer_ignored() {
    let (client, mut server) = pair(false, 4096);
    let call = client.plain();
    let id = server.hears().await["id"].clone();
    call.abort();
    let heard = server.hears().await;
    assert_eq!(heard["method"], "notifications/cancelled");
    assert_eq!(heard["params"]["requestId"], id);
    server
        .sends(json!({"jsonrpc": "2.0", "id": id, "result": {}}))
        .await;
    let next = client.plain();
    let id = server.hears().await["id"].clone();
    server
        .sends(json!({"jsonrpc": "2.0", "id": id, "result": {}}))
        .await;
    next.await.unwrap().unwrap();
    assert_eq!(client.strays(), 1);
}

#[tokio::test]
async fn a_withdrawn_call_is_never_written() {
    let (client, mut server) = pair(false, 4096);
    let flight = Arc::new(Flight::default());
    assert!(flight.withdraw());
    let withdrawn = client.call(&flight, Route::none());
    let next = client.plain();
    let heard = server.hears().await;
    server
        .sends(json!({"jsonrpc": "2.0", "id": heard["id"], "result": {}}))
        .await;
    next.await.unwrap().unwrap();
    withdrawn.abort();
    let last = client.plain();
    assert_eq!(
        server.hears().await["method"],
        "tools/call",
        "nothing of the withdrawn call, not even its end"
    );
    last.abort();
}

#[tokio::test]
async fn a_server_gets_no_answer_but_to_pings() {
    let (client, mut server) = pair(false, 4096);
    server
        .sends(json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}))
        .await;
    assert_eq!(
        server.hears().await,
        json!({"jsonrpc": "2.0", "id": "p", "result": {}})
    );
    for method in [
        "sampling/createMessage",
        "roots/list",
        "elicitation/create",
        "tools/call",
    ] {
        server
            .sends(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}))
            .await;
        assert_eq!(server.hears().await["error"]["code"], -32601, "{method}");
    }
    drop(client);
}

#[tokio::test]
async fn progress_goes_to_its_call_only_with_the_callers_token() {
    let (client, mut server) = pair(false, 4096);
    let (to, mut mine) = mpsc::channel(4);
    let (other, mut others) = mpsc::channel(4);
    let call = client.call(&Arc::default(), listening(to));
    let heard = server.hears().await;
    let token = heard["params"]["_meta"]["progressToken"].clone();
    assert_eq!(token, heard["id"]);
    let second = client.call(&Arc::default(), listening(other));
    server.hears().await;
    for token in [&json!("mine"), &json!(77), &token] {
        server
            .sends(json!({"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": token, "progress": 1}}))
            .await;
    }
    // With two calls open, a log message belongs to neither.
    server
        .sends(
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "?"}}),
        )
        .await;
    server
        .sends(json!({"jsonrpc": "2.0", "id": heard["id"], "result": {}}))
        .await;
    call.await.unwrap().unwrap();
    assert_eq!(
        mine.recv().await.unwrap()["params"],
        json!({"progressToken": "mine", "progress": 1})
    );
    assert!(mine.recv().await.is_none());
    server
        .sends(
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "!"}}),
        )
        .await;
    assert_eq!(others.recv().await.unwrap()["params"], json!({"data": "!"}));
    second.abort();
}

#[tokio::test]
async fn runs_that_share_a_process_see_no_log_and_do_not_wait_for_each_other() {
    let (client, mut server) = pair(true, 4096);
    let (to, mut seen) = mpsc::channel(1);
    let call = client.call(&Arc::default(), listening(to));
    let heard = server.hears().await;
    server.sends(json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "leak"}})).await;
    for progress in 0..5 {
        server
            .sends(json!({"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": heard["id"], "progress": progress}}))
            .await;
    }
    // Nobody reads the channel, and the answer still comes.
    server
        .sends(json!({"jsonrpc": "2.0", "id": heard["id"], "result": {}}))
        .await;
    call.await.unwrap().unwrap();
    assert_eq!(seen.recv().await.unwrap()["params"]["progress"], 0);
    assert!(seen.recv().await.is_none());
}

#[tokio::test]
async fn a_banner_is_skipped_until_the_first_answer() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let (reader, writer) = tokio::io::split(ours);
    let (input, output) = tokio::io::split(theirs);
    let connection = Connection::start(reader, writer, false, Arc::default());
    let mut server = Server {
        lines: BufReader::new(input).lines(),
        output,
    };
    let client = Client {
        connection: Arc::new(connection),
        counters: Arc::default(),
    };
    let call = client.plain();
    let id = server.hears().await["id"].clone();
    server.says("starting up …").await;
    server
        .sends(json!({"jsonrpc": "2.0", "id": id, "result": {}}))
        .await;
    assert!(call.await.unwrap().is_ok());
    let call = client.plain();
    server.hears().await;
    for _ in 0..=crate::limits::BANNER_LINES_MAX {
        server.says("still starting up").await;
    }
    assert!(matches!(
        call.await.unwrap(),
        Err(UpstreamError::Ambiguous(_))
    ));
}
