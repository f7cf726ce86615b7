//! A real Envoy before a server, as `examples/envoy` sets it up, and Envoy's protocol spoken by its generated client.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Asked};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::furnish::{Agent, document, enrol, register};
use crate::server::{Server, binary, free_port, installed};

/// Ends a process however the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A request as the server behind Envoy got it.
#[derive(Debug, Clone)]
struct Got {
    target: String,
    headers: hyper::HeaderMap,
    body: String,
}

/// The server behind Envoy: it does what it is asked, and says so.
#[derive(Clone, Default)]
struct Shop(Arc<Mutex<Vec<Got>>>);

impl Shop {
    fn got(&self) -> Vec<Got> {
        self.0.lock().unwrap().clone()
    }

    /// Serves at a port of its own until the task is ended.
    async fn open(&self) -> (u16, tokio::task::JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shop = self.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shop = shop.clone();
                let answer = service_fn(move |request| shop.clone().answer(request));
                let mut http = hyper::server::conn::http1::Builder::new();
                // No connection outlives its answer.
                http.keep_alive(false);
                tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        (port, serving)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        let (parts, mut body) = request.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) =
            std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
        {
            bytes.extend(frame.unwrap().into_data().unwrap_or_default());
        }
        let (target, missing) = (parts.uri.to_string(), parts.uri.path().ends_with("/none"));
        self.0.lock().unwrap().push(Got {
            target,
            headers: parts.headers,
            body: String::from_utf8(bytes).unwrap(),
        });
        let answer = Response::builder().status(if missing { 404 } else { 200 });
        Ok(answer.body("done".to_owned()).unwrap())
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/envoy")
        .join(name)
}

/// Remit with the shop, an agent that may use it, and an enforcement point that Envoy asks as.
struct House {
    server: Server,
    agent: Agent,
    point: String,
    key: PathBuf,
}

impl House {
    async fn new() -> Self {
        let server = Server::serve(tempfile::tempdir().unwrap(), &[]).await;
        let person = json!({ "display_name": "Sponsor", "teams": ["team"], "roles": ["admin", "approver", "responder", "auditor"] });
        server
            .apply(&[
                document("Team", "team", &json!({})),
                document("Person", "sponsor@acme.example", &person),
                document("System", "shop", &json!({ "owner": "admin@acme.example", "environment": "production", "criticality": "low" })),
                document("Upstream", "shop", &json!({ "system": "shop", "transport": { "type": "guarded" } })),
            ])
            .await;
        let house = Self {
            agent: Agent {
                client: String::new(),
                key: crate::server::new_key().0,
            },
            point: String::new(),
            key: server.dir.path().join("edge.pem"),
            server,
        };
        house.declare().await;
        let bounds = json!({ "amount": [{ "decimal": { "min": 0.01, "max": 100 } }] });
        let grants = [
            json!({ "tool": "shop/refund", "autonomy": "it is a test", "bounds": bounds }),
            json!({ "tool": "shop/status" }),
        ];
        let agent = register(&house.server, "worker", &grants).await;
        let (key, routes) = (
            house.key.to_str().unwrap().to_owned(),
            example("routes.yaml"),
        );
        let set = [
            "enforcement-point",
            "set",
            "edge",
            "--generate",
            &key,
            "--agent",
            "worker",
            "--enforce",
            "--routes",
            routes.to_str().unwrap(),
            "--reason",
            "Envoy before the shop",
            "-o",
            "json",
        ];
        let set: Value = serde_json::from_str(&house.remit(&set, 0)).unwrap();
        Self {
            agent,
            point: set["id"].as_str().unwrap().to_owned(),
            ..house
        }
    }

    /// Tells what the server can do, and what it is.
    async fn declare(&self) {
        // Exit code 2: the tools changed.
        self.remit(
            &[
                "upstream",
                "declare",
                "shop",
                "-f",
                example("tools.yaml").to_str().unwrap(),
            ],
            2,
        );
        for (tool, effect) in [("refund", "write"), ("status", "read")] {
            let path = format!("/tools/shop/{tool}");
            let hash =
                self.server.admin_rest(Method::GET, &path, None).await["definition_hash"].clone();
            let spec = json!({ "effect": effect, "definition_hash": hash });
            self.server
                .apply(&[document("Tool", &format!("shop/{tool}"), &spec)])
                .await;
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(args)
            .env("REMIT_ADDR", self.server.base())
            .env("REMIT_TOKEN", self.server.admin())
            .env("XDG_CONFIG_HOME", self.server.dir.path().join("config"));
        command
    }

    fn remit(&self, args: &[&str], code: i32) -> String {
        let output = self.command(args).output().unwrap();
        let (said, wrong) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}{wrong}");
        said.into_owned()
    }

    async fn token(&self) -> String {
        self.server
            .token(&self.agent.client, &self.agent.key, "workflow:answer")
            .await
    }

    /// Facts of the entries of a kind, in order, as soon as there are as many.
    async fn entries(&self, auditor: &str, kind: &str, n: usize) -> Vec<Value> {
        for _ in 0..600 {
            let path = format!("/audit/entries?kind={kind}&limit=500");
            let (_, page) = self.server.rest(Method::GET, &path, auditor, None).await;
            let items = page["items"].as_array().unwrap();
            if items.len() >= n {
                return items.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("there are no {n} entries of {kind}");
    }
}

/// The example's configuration, at these ports.
fn configured(house: &House, dir: &Path, listen: u16, shop: u16) -> PathBuf {
    let remit = house.server.base();
    let remit = remit.rsplit(':').next().unwrap();
    let mut config = std::fs::read_to_string(example("envoy.yaml")).unwrap();
    for (from, to) in [
        ("port_value: 10000", format!("port_value: {listen}")),
        ("port_value: 8080", format!("port_value: {shop}")),
        ("port_value: 7600", format!("port_value: {remit}")),
        ("127.0.0.1:7600", format!("127.0.0.1:{remit}")),
        ("/run/remit", dir.display().to_string()),
    ] {
        assert!(config.contains(from), "{from}");
        config = config.replace(from, &to);
    }
    let file = dir.join("envoy.yaml");
    std::fs::write(&file, config).unwrap();
    file
}

/// A running Envoy.
struct Envoy {
    url: String,
    _envoy: Process,
    _token: Process,
}

impl Envoy {
    /// With the example's configuration, at free ports; its token comes from `remit enforcement-point token`.
    async fn start(house: &House, shop: u16) -> Self {
        let dir = house.server.dir.path().join("run");
        std::fs::create_dir(&dir).unwrap();
        let (key, sds) = (house.key.to_str().unwrap(), dir.join("token.json"));
        let args = [
            "enforcement-point",
            "token",
            &house.point,
            "--key",
            key,
            "--sds",
            sds.to_str().unwrap(),
            "--watch",
        ];
        // It needs nobody's token: it has its key.
        let token = house
            .command(&args)
            .env_remove("REMIT_TOKEN")
            .spawn()
            .unwrap();
        let token = Process(token);
        while !sds.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let listen = free_port();
        let file = configured(house, &dir, listen, shop);
        let log = std::fs::File::create(dir.join("envoy.log")).unwrap();
        let envoy = Command::new(installed("REMIT_TEST_ENVOY"))
            .arg("-c")
            .arg(&file)
            .args([
                "--use-dynamic-base-id",
                "--concurrency",
                "1",
                "--log-level",
                "warning",
            ])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Self {
            url: format!("http://127.0.0.1:{listen}"),
            _envoy: Process(envoy),
            _token: token,
        };
        for _ in 0..600 {
            // What no route fits is denied by Remit: then everything is connected.
            let answer = reqwest::get(&started.url).await;
            if answer.is_ok_and(|a| a.headers().contains_key("content-type")) {
                return started;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "{}",
            std::fs::read_to_string(dir.join("envoy.log")).unwrap()
        );
    }

    fn refund(&self, token: &str, order: &str, body: &str) -> reqwest::RequestBuilder {
        reqwest::Client::new()
            .post(format!("{}/orders/{order}/refund", self.url))
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(body.to_owned())
    }
}

/// Sends one request; returns its status and its body, read as JSON where it is.
async fn sent(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(json!(text)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_envoy_lets_through_what_is_decided_and_tells_what_came_of_it() {
    let house = House::new().await;
    let shop = Shop::default();
    let (port, serving) = shop.open().await;
    let envoy = Envoy::start(&house, port).await;
    let (token, auditor) = (
        house.token().await,
        enrol(&house.server, "sponsor@acme.example").await,
    );
    let forged = envoy
        .refund(&token, "A-7", r#"{"amount":40}"#)
        .header("x-remit-decision", "dec_forged");
    let (status, body) = sent(forged).await;
    assert_eq!((status, body), (StatusCode::OK, json!("done")));
    let got = shop.got();
    assert_eq!(got.len(), 1);
    assert_eq!(
        (got[0].target.as_str(), got[0].body.as_str()),
        ("/orders/A-7/refund", r#"{"amount":40}"#)
    );
    assert!(
        !got[0].headers.contains_key("authorization"),
        "the agent's token goes no further"
    );
    let decided = house.entries(&auditor, "call.decided", 1).await;
    assert_eq!(
        json!(got[0].headers["x-remit-decision"].to_str().unwrap()),
        decided[0]["decision"]
    );
    let ended = house.entries(&auditor, "call.completed", 1).await;
    assert_eq!(
        (&ended[0]["decision"], &ended[0]["facts"]["status"]),
        (&decided[0]["decision"], &json!("ok"))
    );
    // A server's own no is an error of the tool.
    let missing = sent(envoy.get(&token, "/orders/none")).await;
    assert_eq!(missing.0, StatusCode::NOT_FOUND);
    assert_eq!(house.entries(&auditor, "call.completed", 2).await.len(), 2);
    // No server, nothing sent.
    serving.abort();
    let _ = serving.await;
    let gone = sent(envoy.refund(&token, "A-7", r#"{"amount":40}"#))
        .await
        .0;
    assert_eq!(gone, StatusCode::SERVICE_UNAVAILABLE);
    let ended = house.entries(&auditor, "call.completed", 3).await;
    let statuses: Vec<&str> = ended
        .iter()
        .filter_map(|e| e["facts"]["status"].as_str())
        .collect();
    assert!(
        statuses.contains(&"tool_error") && statuses.contains(&"not_sent"),
        "{statuses:?}"
    );
}

type Sent = (&'static str, reqwest::RequestBuilder, u16);

impl Envoy {
    fn get(&self, token: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.url);
        reqwest::Client::new().get(url).bearer_auth(token)
    }

    /// Requests that do not pass, and the status that each gets.
    #[rustfmt::skip]
    fn refused(&self, token: &str) -> Vec<Sent> {
        let json = |body: &str| self.refund(token, "A-7", body);
        let get = |path: &str| self.get(token, path);
        let h2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let h2 = h2.get(format!("{}/orders/A-7", self.url)).bearer_auth(token);
        let nobody = reqwest::Client::new().get(format!("{}/orders/A-7", self.url));
        let large = format!(r#"{{"amount":40,"note":"{}"}}"#, "x".repeat(1 << 20));
        vec![
            ("no token", nobody, 401),
            ("another's token", self.refund("eyJhbGciOiJub25lIn0.e30.", "A-7", r#"{"amount":40}"#), 401),
            ("too much", json(r#"{"amount":500}"#), 403),
            ("no route", get("/orders"), 403),
            ("a key twice", json(r#"{"amount":40,"amount":900}"#), 403),
            ("a key twice, in parts", chunked(self.refund(token, "A-7", "")), 403),
            ("a key in capitals", json(r#"{"amount":40,"AMOUNT":900}"#), 403),
            ("an argument from two places", json(r#"{"amount":40,"order":"B-1"}"#), 403),
            ("a body where there is none", get("/orders/A-7").body("{}"), 403),
            ("a body in parts where there is none", chunked(get("/orders/A-7")), 403),
            ("the same over HTTP/2", h2.body(parts()), 403),
            ("another method in a header", json(r#"{"amount":40}"#).header("x-http-method-override", "GET"), 403),
            ("a packed body", json(r#"{"amount":40}"#).header("content-encoding", "gzip"), 403),
            ("an undeclared parameter", get("/orders/A-7?amount=900"), 403),
            ("an encoded slash", get("/orders/A%2F7"), 400),
            ("a large body", json(&large), 413),
        ]
    }
}

/// With a body in chunks, also where a client would leave it out.
fn chunked(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request.header("transfer-encoding", "chunked").body(parts())
}

/// A body without a length, that holds a key twice.
fn parts() -> reqwest::Body {
    let part = |text: &'static str| Ok::<_, std::io::Error>(text);
    let both = [part(r#"{"amount":40,"#), part(r#""amount":900}"#)];
    reqwest::Body::wrap_stream(futures_util::stream::iter(both))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_envoy_is_told_to_deny_does_not_reach_the_server() {
    let mut house = House::new().await;
    let shop = Shop::default();
    let (port, _serving) = shop.open().await;
    let envoy = Envoy::start(&house, port).await;
    let token = house.token().await;
    for (what, request, expected) in envoy.refused(&token) {
        let (status, body) = sent(request).await;
        assert_eq!(status.as_u16(), expected, "{what}: {body}");
        // 400 and 413 are Envoy's own.
        let own = matches!(expected, 400 | 413);
        assert!(own || body["detail"].is_string(), "{what}: {body}");
    }
    assert_eq!(shop.got().len(), 0, "{:?}", shop.got());
    // Contained, and then without Remit.
    let refund = || envoy.refund(&token, "A-7", r#"{"amount":40}"#);
    let responder = enrol(&house.server, "sponsor@acme.example").await;
    let target = json!({ "type": "agent", "name": "worker" });
    let contain = json!({ "target": target, "level": "suspend", "reason": "a test" });
    let (status, said) = house
        .server
        .rest(Method::POST, "/containments", &responder, Some(contain))
        .await;
    assert!((200..300).contains(&status), "{said}");
    let (status, body) = sent(refund()).await;
    assert!(matches!(status.as_u16(), 401 | 403), "{status} {body}");
    house.server.stop();
    let (status, _) = sent(refund()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "no answer is no");
    assert_eq!(shop.got().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generated_client_asks_the_binary() {
    let house = House::new().await;
    let token = house.token().await;
    let args = [
        "enforcement-point",
        "token",
        &house.point,
        "--key",
        house.key.to_str().unwrap(),
    ];
    let point = house.remit(&args, 0);
    let body = r#"{"amount":40}"#;
    let check = |point: &str, partial: &str| {
        let http = HttpRequest {
            method: "POST".to_owned(),
            path: "/orders/A-7/refund".to_owned(),
            host: "shop".to_owned(),
            size: i64::try_from(body.len()).unwrap(),
            raw_body: body.as_bytes().to_vec(),
            headers: HashMap::from(
                [
                    (":method", "POST"),
                    (":path", "/orders/A-7/refund"),
                    (":authority", "shop"),
                    ("authorization", &format!("Bearer {token}")),
                    ("content-type", "application/json"),
                    ("x-envoy-auth-partial-body", partial),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            ..HttpRequest::default()
        };
        let request = Asked {
            http: Some(http),
            ..Asked::default()
        };
        let attributes = AttributeContext {
            request: Some(request),
            ..AttributeContext::default()
        };
        let mut call = tonic::Request::new(CheckRequest {
            attributes: Some(attributes),
        });
        let shown = format!("Bearer {}", point.trim()).parse().unwrap();
        call.metadata_mut().insert("authorization", shown);
        call
    };
    let mut client = AuthorizationClient::connect(house.server.base())
        .await
        .unwrap();
    let refused = client.check(check("x", "false")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let code = |answer: tonic::Response<_>| -> i32 {
        let answer: envoy_types::pb::envoy::service::auth::v3::CheckResponse = answer.into_inner();
        answer.status.unwrap().code
    };
    let partial = client.check(check(&point, "true")).await.unwrap();
    assert_eq!(code(partial), i32::from(tonic::Code::PermissionDenied));
    let whole = client.check(check(&point, "false")).await.unwrap();
    assert_eq!(code(whole), i32::from(tonic::Code::Ok));
}
