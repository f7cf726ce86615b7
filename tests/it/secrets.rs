//! Secrets of the vault, lent to servers that give them away: the agent, the people and the disk see none of it.

use std::io::Write;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::furnish::{Agent, document, enrol, upstream_and_agent};
use crate::server::{Server, binary, free_port, installed};

const SECRET: &str = "s3cr3t/of=the \"crm\" 42";
const OLD: &str = "the-value-before-it";

/// A server over stdio that tells everything it was given, in every way.
const STDIO: &str = r#"
import base64, binascii, json, os, sys, urllib.parse
def say(m): print(json.dumps({"jsonrpc": "2.0", **m}), flush=True)
def tool(name): return {"name": name, "description": name, "inputSchema": {"type": "object", "properties": {"what": {"type": "string"}}}}
def texts(*parts): return {"content": [{"type": "text", "text": p} for p in parts]}
key = os.environ.get("API_KEY", "none of the kind")
b = key.encode()
for line in sys.stdin:
    m = json.loads(line)
    if m.get("method") == "initialize":
        say({"id": m["id"], "result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "small", "version": "1"}}})
    elif m.get("method") == "tools/list":
        say({"id": m["id"], "result": {"tools": [tool(n) for n in ["environment", "parts", "encoded", "fails", "names", "says"]]}})
    elif m.get("method") == "tools/call":
        print("the key is " + key, file=sys.stderr, flush=True)
        name = m["params"]["name"]
        if name == "environment":
            say({"id": m["id"], "result": texts(json.dumps(dict(os.environ)))})
        elif name == "parts":
            say({"id": m["id"], "result": texts("it is " + key[:7], key[7:12], key[12:])})
        elif name == "encoded":
            ways = [base64.b64encode(b"u" * n + b).decode() for n in range(3)] + [base64.urlsafe_b64encode(b).decode(), base64.encodebytes(b * 9).decode(),
                binascii.hexlify(b).decode(), binascii.hexlify(b).decode().upper(), urllib.parse.quote(key), urllib.parse.quote_plus(key), json.dumps(key), json.dumps({"k": key})]
            say({"id": m["id"], "result": {"content": [{"type": "text", "text": w} for w in ways], "structuredContent": {key: ways}}})
        elif name == "fails":
            say({"id": m["id"], "error": {"code": -32000, "message": "login with " + key + " failed", "data": {"sent": key}}})
        elif name == "names":
            say({"id": m["id"], "result": texts(m["params"]["arguments"].get("what", ""))})
        elif name == "says":
            say({"id": m["id"], "result": texts("canary: " + open(os.environ["BAIT"]).read())})
"#;

/// A server over HTTP that answers with the headers and the address it was called with.
const HTTP: &str = r#"
import base64, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_POST(self):
        m = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "id" not in m:
            self.send_response(202); self.send_header("content-length", "0"); self.end_headers(); return
        if m["method"] == "initialize":
            r = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "echo", "version": "1"}}
        elif m["method"] == "tools/list":
            r = {"tools": [{"name": "headers", "description": "headers", "inputSchema": {"type": "object", "properties": {}}}]}
        elif m["method"] == "tools/call":
            basic = self.headers.get("authorization", "")
            plain = base64.b64decode(basic[6:]).decode() if basic.startswith("Basic ") else ""
            with open(sys.argv[2], "w") as f: f.write(json.dumps({"headers": dict(self.headers), "path": self.path, "plain": plain}))
            r = {"content": [{"type": "text", "text": json.dumps(dict(self.headers)) + self.path + plain}]}
        else:
            body = json.dumps({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32601, "message": "no such method"}}).encode()
            self.send_response(200); self.send_header("content-type", "application/json"); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body); return
        body = json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}).encode()
        self.send_response(200); self.send_header("content-type", "application/json"); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"#;

/// A process that ends with its test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command of the CLI as the holder of this token, with `input` on its standard input.
fn cli(server: &Server, token: &str, args: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new(binary())
        .args(args)
        .env("REMIT_ADDR", server.base())
        .env("REMIT_TOKEN", token)
        .env("XDG_CONFIG_HOME", server.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

/// A server whose allowlist has the one that tells everything, with the secret lent to it.
async fn telling() -> (Server, Agent) {
    let dir = tempfile::tempdir().unwrap();
    let bait = dir.path().join("bait.txt");
    std::fs::write(&bait, "nothing yet").unwrap();
    let text = format!(
        "[commands.it]\npath = {:?}\nargs = [\"-c\", {STDIO:?}]\nsecret_env = [\"API_KEY\"]\nenv = {{ BAIT = {:?} }}\n",
        installed("REMIT_TEST_PY").to_str().unwrap(),
        bait.to_str().unwrap(),
    );
    let config = dir.path().join("remit.toml");
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap().to_owned();
    let server = Server::serve(dir, &["--config", &config]).await;
    let stdio = json!({ "type": "stdio", "command": "it" });
    let agent = upstream_and_agent(&server, "it", stdio.clone(), "read").await;
    for value in [OLD, SECRET] {
        let args = ["secret", "set", "crm-key", "--reason", "a test"];
        let (code, said) = cli(&server, &server.admin(), &args, &format!("{value}\n"));
        assert_eq!(code, 0, "{said}");
        assert!(!said.contains(value), "{said}");
    }
    let secret = json!({ "environment": { "API_KEY": { "vault": "crm-key" } } });
    let spec = json!({ "system": "shop", "transport": stdio, "stateless": false, "enabled": true, "secret": secret });
    server.apply(&[document("Upstream", "it", &spec)]).await;
    (server, agent)
}

/// No eight characters in a row of what was written are there.
fn nothing_of(written: &str, text: &str) {
    let squeeze = |t: &str| {
        t.chars()
            .filter(|c| !c.is_whitespace())
            .collect::<Vec<char>>()
    };
    let (written, text) = (squeeze(written), squeeze(text).iter().collect::<String>());
    for part in written.windows(8) {
        let part: String = part.iter().collect();
        assert!(!text.contains(&part), "`{part}` is in {text}");
    }
}

/// Neither as it is nor in an encoding whose words are fixed.
fn clean(text: &str) {
    for secret in [SECRET, OLD] {
        nothing_of(secret, text);
        let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        nothing_of(&hex, &text.to_lowercase());
        nothing_of(
            serde_json::to_string(secret).unwrap().trim_matches('"'),
            text,
        );
        for place in 0..3 {
            let padded = ["u".repeat(place).as_bytes(), secret.as_bytes()].concat();
            let encoded =
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, padded);
            nothing_of(encoded.get(4..encoded.len() - 3).unwrap(), text);
        }
    }
}

#[tokio::test]
async fn a_server_that_tells_its_secret_tells_nobody() {
    let (server, agent) = telling().await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let call = async |tool: &str| server.call("/mcp/it", &token, tool, json!({})).await;
    let told = call("environment").await;
    let text = told["result"]["content"][0]["text"].as_str().unwrap();
    // The secret was lent, and nothing of this machine's environment came along with it.
    let environment: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let names: Vec<&String> = environment.as_object().unwrap().keys().collect();
    let own = ["API_KEY", "BAIT", "LANG", "PATH"];
    let python = ["LC_CTYPE", "PYTHONHASHSEED"];
    let all = names
        .iter()
        .all(|n| own.contains(&n.as_str()) || python.contains(&n.as_str()));
    assert!(all, "{names:?}");
    assert_eq!(environment["API_KEY"], "[redacted by remit]");
    for tool in ["environment", "parts", "encoded", "fails"] {
        let answer = call(tool).await.to_string();
        assert!(answer.contains("[redacted by remit]"), "{tool}: {answer}");
        clean(&answer);
    }
    // What people see, what was recorded, what is on the disk, and what was logged.
    let auditor = enrol(&server, "sponsor@acme.example").await;
    for path in [
        "/secrets",
        "/secrets/crm-key",
        "/upstreams/it",
        "/audit/entries?limit=500",
    ] {
        let (status, answer) = server.rest(Method::GET, path, &auditor, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        clean(&answer.to_string());
    }
    for args in [
        &["secret", "show", "crm-key", "-o", "json"][..],
        &["secret", "versions", "crm-key"],
        &["secret", "ls", "-o", "yaml"],
        &["audit", "search", "-o", "json"],
    ] {
        let (code, said) = cli(&server, &auditor, args, "");
        assert_eq!(code, 0, "{args:?}: {said}");
        clean(&said);
    }
    let exported = server.dir.path().join("exported");
    let to = exported.to_str().unwrap().to_owned();
    let export = ["audit", "export", "--out", &to];
    let (code, said) = cli(&server, &auditor, &export, "");
    assert_eq!(code, 0, "{said}");
    let mut files = vec![exported];
    let data = std::fs::read_dir(server.dir.path()).unwrap();
    files.extend(
        data.map(|entry| entry.unwrap().path())
            .filter(|p| p.is_file() || p.ends_with("data")),
    );
    while let Some(path) = files.pop() {
        if path.is_dir() {
            let inside = std::fs::read_dir(&path).unwrap();
            files.extend(inside.map(|entry| entry.unwrap().path()));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for secret in [SECRET, OLD] {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "{} holds it", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_secret_goes_into_a_request_in_each_way_and_comes_back_in_none() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let seen = dir.path().join("seen.json");
    let echo = Command::new(installed("REMIT_TEST_PY"))
        .args(["-c", HTTP, &port.to_string(), seen.to_str().unwrap()])
        .spawn();
    let _echo = Ended(echo.unwrap());
    let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    while !answers() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let server = Server::serve(dir, &[]).await;
    let transport = json!({ "type": "http", "url": format!("http://127.0.0.1:{port}/mcp?v=1") });
    let agent = upstream_and_agent(&server, "it", transport.clone(), "read").await;
    let reference = json!({ "vault": "crm-key" });
    let value = "s3cr3t-of/the+crm";
    let body = json!({ "value": value, "reason": "a test" });
    server
        .admin_rest(Method::POST, "/secrets/crm-key/versions", Some(body))
        .await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let ways = [
        (
            json!({ "bearer": reference }),
            "/headers/authorization",
            format!("Bearer {value}"),
        ),
        (
            json!({ "header": { "name": "x-api-key", "secret": reference } }),
            "/headers/x-api-key",
            value.to_owned(),
        ),
        (
            json!({ "basic": { "user": "remit", "secret": reference } }),
            "/plain",
            format!("remit:{value}"),
        ),
        (
            json!({ "query": { "name": "key", "secret": reference } }),
            "/path",
            "/mcp?v=1&key=s3cr3t-of%2Fthe%2Bcrm".to_owned(),
        ),
    ];
    for (secret, at, expected) in ways {
        let spec = json!({ "system": "shop", "transport": transport, "stateless": false, "enabled": true, "secret": secret });
        server.apply(&[document("Upstream", "it", &spec)]).await;
        let answer = server.call("/mcp/it", &token, "headers", json!({})).await;
        let got: Value = serde_json::from_slice(&std::fs::read(&seen).unwrap()).unwrap();
        assert_eq!(got.pointer(at).unwrap(), &expected, "{secret}: {got}");
        let text = answer.to_string();
        assert!(text.contains("[redacted by remit]"), "{text}");
        nothing_of(value, &text);
        nothing_of("s3cr3t-of%2Fthe%2Bcrm", &text);
        let encoded = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("remit:{value}"),
        );
        nothing_of(encoded.get(8..encoded.len() - 4).unwrap(), &text);
    }
    // Disabled, it is lent to nobody: the call is refused, and nothing is sent.
    std::fs::remove_file(&seen).unwrap();
    let body = json!({ "reason": "INC-1" });
    server
        .admin_rest(Method::POST, "/secrets/crm-key/disable", Some(body))
        .await;
    let answer = server.call("/mcp/it", &token, "headers", json!({})).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(answer.to_string().contains("credential"), "{answer}");
    assert!(!seen.exists(), "it was called without its credential");
}

#[tokio::test]
async fn a_canary_is_found_where_an_agent_sends_it_and_where_a_server_gives_it() {
    let (server, agent) = telling().await;
    let args = [
        "secret", "canary", "wiki-key", "--prefix", "AKIA", "--reason", "bait", "-o", "json",
    ];
    let (code, said) = cli(&server, &server.admin(), &args, "");
    assert_eq!(code, 0, "{said}");
    let made: Value = serde_json::from_str(&said).unwrap();
    let value = made["value"].as_str().unwrap();
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let findings = async || {
        let open = server
            .admin_rest(Method::GET, "/findings?state=open&limit=200", None)
            .await;
        let all = open["items"].as_array().unwrap().clone();
        let canaries = all.into_iter().filter(|f| f["kind"] == "canary_seen");
        canaries
            .map(|f| f["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let harmless = json!({ "what": "AKIA and nothing else" });
    server.call("/mcp/it", &token, "names", harmless).await;
    assert!(findings().await.is_empty());
    let encoded = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("x{value}"),
    );
    let sent = server
        .call("/mcp/it", &token, "names", json!({ "what": encoded }))
        .await;
    assert!(sent["result"].is_object(), "{sent}");
    let found = findings().await;
    let told = |words: &str| {
        found
            .iter()
            .any(|t| t.contains("wiki-key") && t.contains(words))
    };
    assert!(
        told("was in the arguments of a call of it/names"),
        "{found:?}"
    );
    // The tool says again what it was told.
    assert!(told("came from upstream it"), "{found:?}");
    std::fs::write(server.dir.path().join("bait.txt"), value).unwrap();
    let given = server.call("/mcp/it", &token, "says", json!({})).await;
    assert!(!given.to_string().contains(value), "{given}");
    let found = findings().await;
    assert!(
        found
            .iter()
            .any(|text| text.contains("came from upstream it")),
        "{found:?}"
    );
    assert!(!found.concat().contains(value));
    // Only an administrator makes one, and an agent sees no secret at all.
    let sponsor = enrol(&server, "owner@acme.example").await;
    let body = json!({ "reason": "mine" });
    let (status, _) = server
        .rest(Method::POST, "/secrets/x/canary", &sponsor, Some(body))
        .await;
    assert_eq!(status, 403);
    let (status, _) = server.rest(Method::GET, "/secrets", &token, None).await;
    assert!(status == 401 || status == 403, "{status}");
}
