//! The official MCP conformance suite, through the transparent endpoint, in front of a server with one of everything.
//!
//! The suite brings no token and there is no anonymous mode, so a loopback proxy of this test adds one. What fails is
//! named in `tests/conformance/baseline-*.yml`, each with the clause that permits it; whatever else fails, and whatever
//! of those begins to pass, fails this test.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::furnish::{enrol, upstream_that_asks};
use crate::server::{Server, installed};

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conformance")
        .join(file)
}

fn everything() -> [String; 2] {
    let modules = installed("REMIT_TEST_NODE_MODULES");
    [here("everything.mjs"), modules].map(|path| path.to_str().unwrap().to_owned())
}

/// The everything-server over HTTP. It ends when its standard input does, with this.
pub(crate) struct Everything(Child);

impl Drop for Everything {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Everything {
    pub(crate) fn start() -> (Self, String) {
        let mut child = Command::new(installed("REMIT_TEST_NODE"))
            .args(everything())
            .arg("http")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut port).unwrap();
        (Self(child), format!("http://127.0.0.1:{}/mcp", port.trim()))
    }
}

/// Passes everything on to `gateway` with `token`. To who asks for the proxy by its own name, the gateway is that name;
/// a wrong Host or Origin stays wrong.
async fn proxy(gateway: &str, token: &str) -> SocketAddr {
    let gateway: Uri = gateway.parse().unwrap();
    let to = gateway.authority().unwrap().to_string();
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client: Client<HttpConnector, Incoming> =
        Client::builder(TokioExecutor::new()).build_http();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (client, to, bearer) = (client.clone(), to.clone(), bearer.clone());
            let service = service_fn(move |mut request: Request<Incoming>| {
                pass_on(&mut request, &address.to_string(), &to, &bearer);
                let answer = client.request(request);
                async move {
                    Ok::<Response<Incoming>, Infallible>(answer.await.expect("the gateway answers"))
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    address
}

fn pass_on(request: &mut Request<Incoming>, own: &str, to: &str, bearer: &HeaderValue) {
    let path = request.uri().path_and_query().unwrap().as_str();
    let uri = format!("http://{to}{path}").parse().unwrap();
    let names = [
        (HOST, own.to_owned(), to.to_owned()),
        (ORIGIN, format!("http://{own}"), format!("http://{to}")),
    ];
    for (name, own, to) in names {
        if request
            .headers()
            .get(&name)
            .is_some_and(|sent| *sent == own)
        {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_str(&to).unwrap());
        }
    }
    request.headers_mut().insert(AUTHORIZATION, bearer.clone());
    *request.uri_mut() = uri;
}

/// Runs what `revision` requires of a server against the transparent endpoint of `transport`.
async fn suite(dir: tempfile::TempDir, revision: &str, transport: Value, args: &[&str]) {
    let server = Server::serve(dir, args).await;
    let may_ask = ["sampling", "elicitation", "roots"];
    let agent = upstream_that_asks(&server, "it", transport, "read", &may_ask).await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let address = proxy(&server.base(), &token).await;
    let script = installed("REMIT_TEST_NODE_MODULES")
        .join("@modelcontextprotocol/conformance/dist/index.js");
    let results = server.dir.path().join("results");
    let mut command = tokio::process::Command::new(installed("REMIT_TEST_NODE"));
    command
        .arg(script)
        .args(["server", "--url", &format!("http://{address}/mcp/it")])
        .args(["--requirements", revision, "--expected-failures"])
        .arg(here(&format!("baseline-{revision}.yml")))
        .arg("--output-dir")
        .arg(&results)
        .current_dir(server.dir.path())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    assert!(
        output.status.success(),
        "{}{}{}",
        String::from_utf8_lossy(&output.stdout),
        failures(&results),
        String::from_utf8_lossy(&output.stderr)
    );
    let auditor = enrol(&server, "sponsor@acme.example").await;
    let (verified, ledger) = server.remit_as(&auditor, &["audit", "verify"]);
    assert_eq!(verified, 0, "{ledger}");
}

/// Every check that failed, with its reason.
fn failures(results: &Path) -> String {
    let mut lines = String::new();
    for scenario in std::fs::read_dir(results).into_iter().flatten().flatten() {
        let Ok(text) = std::fs::read_to_string(scenario.path().join("checks.json")) else {
            continue;
        };
        let checks: Value = serde_json::from_str(&text).unwrap();
        let failed = |c: &&Value| matches!(c["status"].as_str(), Some("FAILURE" | "WARNING"));
        for check in checks.as_array().unwrap().iter().filter(failed) {
            let name = scenario.file_name();
            lines.push_str(&format!(
                "{} {} {}: {}\n",
                name.display(),
                check["status"],
                check["id"],
                check["errorMessage"]
            ));
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_of_2025_11_25_passes_in_front_of_a_stdio_server() {
    let dir = tempfile::tempdir().unwrap();
    let node = installed("REMIT_TEST_NODE");
    let config = dir.path().join("remit.toml");
    let text = format!(
        "[commands.it]\npath = {node:?}\nargs = {:?}\n",
        everything()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap().to_owned();
    let transport = json!({ "type": "stdio", "command": "it" });
    suite(dir, "2025-11-25", transport, &["--config", &config]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_of_2026_07_28_passes_in_front_of_an_http_server() {
    let (_running, url) = Everything::start();
    let transport = json!({ "type": "http", "url": url });
    suite(tempfile::tempdir().unwrap(), "2026-07-28", transport, &[]).await;
}

/// A client of the older revision in front of a server that speaks the newer one: the gateway translates.
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_of_2025_11_25_passes_in_front_of_a_server_of_2026_07_28() {
    let (_running, url) = Everything::start();
    let transport = json!({ "type": "http", "url": url });
    suite(tempfile::tempdir().unwrap(), "2025-11-25", transport, &[]).await;
}
