//! Clients that prove themselves with a certificate, over real TLS: a Rust client and one of Python's standard library.

use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::conformance::Everything;
use crate::furnish::upstream_and_agent;
use crate::server::{Server, installed};

const NAME: &str = "worker.acme.example";

/// An agent's client in Python: a token over mutual TLS, and what it is worth with the certificate and without.
const CLIENT: &str = r#"
import json, ssl, sys, urllib.error, urllib.parse, urllib.request
base, trusted, pair, client = sys.argv[1:]
def context(pair):
    made = ssl.create_default_context(cafile=trusted)
    if pair: made.load_cert_chain(pair)
    return made
def ask(url, pair, form=None, token=None):
    data = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(url, data)
    if token: request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, context=context(pair)) as answer: return answer.status, json.load(answer)
    except urllib.error.HTTPError as error: return error.code, json.load(error)
form = {"grant_type": "client_credentials", "client_id": client, "resource": base + "/api/v1"}
status, answer = ask(base + "/oauth2/token", pair, form)
assert status == 200, answer
token = answer["access_token"]
run = next(s[4:] for s in answer["scope"].split() if s.startswith("run:"))
url = base + "/api/v1/runs/" + run
print(json.dumps([ask(url, pair, token=token)[0], ask(url, None, token=token)[0], ask(base + "/oauth2/token", None, form)[0]]))
"#;

pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    Authority { pem, issuer }
}

/// A certificate and its key, as one PEM text.
fn pair(by: &Authority, usage: ExtendedKeyUsagePurpose, name: SanType) -> String {
    pair_in(by, usage, name, (2020, 2100))
}

/// The same for these years.
fn pair_in(
    by: &Authority,
    usage: ExtendedKeyUsagePurpose,
    name: SanType,
    (from, to): (i32, i32),
) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params.extended_key_usages = vec![usage];
    params.subject_alt_names = vec![name];
    let made = params.signed_by(&key, &by.issuer).unwrap();
    format!("{}{}", made.pem(), key.serialize_pem())
}

pub(crate) fn client(by: &Authority, name: &str) -> String {
    client_in(by, name, (2020, 2100))
}

fn client_in(by: &Authority, name: &str, years: (i32, i32)) -> String {
    let name = SanType::DnsName(name.try_into().unwrap());
    pair_in(by, ExtendedKeyUsagePurpose::ClientAuth, name, years)
}

/// One that names a URI.
pub(crate) fn named(by: &Authority, uri: &str) -> String {
    let name = SanType::URI(uri.try_into().unwrap());
    pair(by, ExtendedKeyUsagePurpose::ClientAuth, name)
}

/// Somebody who connects, with a certificate or without.
pub(crate) fn browser(trusted: &str, pair: Option<&str>) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(trusted.as_bytes()).unwrap();
    let builder = reqwest::Client::builder().tls_certs_only([root]);
    let builder = match pair {
        Some(pem) => builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()),
        None => builder,
    };
    builder.build().unwrap()
}

/// A server with TLS of its own that lets clients show certificates.
async fn served(trusted: &Authority) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let own = pair(trusted, usage, SanType::IpAddress([127, 0, 0, 1].into()));
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let split = own.find("-----BEGIN PRIVATE KEY-----").unwrap();
    let (certificate, private) = own.split_at(split);
    std::fs::write(&cert, certificate).unwrap();
    std::fs::write(&key, private).unwrap();
    let root = dir.path().join("root.pem");
    std::fs::write(&root, &trusted.pem).unwrap();
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let (cert, key) = (path(&cert), path(&key));
    let args = [
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-certificates",
    ];
    Server::serve_tls(dir, browser(&trusted.pem, None), &args).await
}

pub(crate) async fn token(http: &reqwest::Client, base: &str, client: &str) -> (u16, Value) {
    token_for(http, base, client, "/api/v1").await
}

async fn token_for(http: &reqwest::Client, base: &str, client: &str, end: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("resource", &format!("{base}{end}")),
    ];
    let answer = http.post(format!("{base}/oauth2/token")).form(&form).send();
    let answer = answer.await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A server with an agent `worker` that acts, and its client id.
pub(crate) async fn with_agent(trusted: &Authority) -> (Server, String, Everything) {
    let server = served(trusted).await;
    let (upstream, url) = Everything::start();
    let http = json!({ "type": "http", "url": url });
    let agent = upstream_and_agent(&server, "it", http, "read").await;
    (server, agent.client, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_proves_a_client_and_its_token_is_worth_nothing_without_it() {
    let (trusted, ours, other) = (authority("server"), authority("acme"), authority("acme"));
    let (server, agent, _upstream) = with_agent(&trusted).await;
    let body = json!({ "authority": ours.pem, "tls_client_auth_san_dns": NAME });
    let keys = "/agents/worker/keys";
    server.admin_rest(Method::POST, keys, Some(body)).await;
    let base = server.base();
    let metadata = format!("{base}/.well-known/oauth-authorization-server");
    let metadata = browser(&trusted.pem, None).get(metadata).send().await;
    let metadata: Value = metadata.unwrap().json().await.unwrap();
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    let methods = metadata["token_endpoint_auth_methods_supported"].to_string();
    assert!(methods.contains("\"tls_client_auth\""), "{methods}");

    let own = client(&ours, NAME);
    let http = browser(&trusted.pem, Some(&own));
    let (status, answer) = token(&http, &base, &agent).await;
    assert_eq!(status, 200, "{answer}");
    let access = answer["access_token"].as_str().unwrap();
    let scope = answer["scope"].as_str().unwrap();
    let run = scope
        .split(' ')
        .find_map(|s| s.strip_prefix("run:"))
        .unwrap();
    let url = format!("{base}/api/v1/runs/{run}");
    let with = async |pem: Option<&str>, header: Option<&str>| {
        let http = browser(&trusted.pem, pem);
        let mut request = http.get(&url).bearer_auth(access);
        if let Some(certificate) = header {
            request = request
                .header("x-forwarded-client-cert", certificate)
                .header("client-cert", certificate);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(with(Some(&own), None).await, 200);
    assert_eq!(with(None, None).await, 401, "stolen");
    assert_eq!(
        with(None, Some(&own.replace('\n', ""))).await,
        401,
        "a header says nothing"
    );
    let renewed = client(&ours, NAME);
    assert_eq!(
        with(Some(&renewed), None).await,
        401,
        "bound to the other one"
    );

    let look_alike = client(&ours, "worker.acme.example.attacker.example");
    let (over, early) = ((2020, 2021), (2090, 2100));
    for pem in [
        Some(client(&other, NAME)),
        Some(look_alike),
        Some(client_in(&ours, NAME, over)),
        Some(client_in(&ours, NAME, early)),
        None,
    ] {
        let http = browser(&trusted.pem, pem.as_deref());
        let (status, answer) = token(&http, &base, &agent).await;
        assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_mcp_is_good_on_connections_that_show_its_certificate_and_is_told_so() {
    let (trusted, ours) = (authority("server"), authority("acme"));
    let (server, agent, _upstream) = with_agent(&trusted).await;
    let body = json!({ "authority": ours.pem, "tls_client_auth_san_dns": NAME });
    let keys = "/agents/worker/keys";
    server.admin_rest(Method::POST, keys, Some(body)).await;
    let base = server.base();
    let own = client(&ours, NAME);
    let http = browser(&trusted.pem, Some(&own));
    let (status, answer) = token_for(&http, &base, &agent, "/mcp").await;
    assert_eq!(status, 200, "{answer}");
    let access = answer["access_token"].as_str().unwrap();
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } } });
    let listed = async |pem: Option<&str>| {
        let asked = browser(&trusted.pem, pem)
            .post(format!("{base}/mcp"))
            .bearer_auth(access)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/list")
            .json(&list);
        asked.send().await.unwrap().status().as_u16()
    };
    assert_eq!(listed(Some(&own)).await, 200);
    assert_eq!(listed(None).await, 401, "stolen");
    let renewed = client(&ours, NAME);
    assert_eq!(listed(Some(&renewed)).await, 401, "another certificate");

    // Who validates tokens elsewhere is told which certificate it is bound to; the client asks with that one as well.
    let introspect = async |pem: &str| -> Value {
        let form = [("client_id", agent.as_str()), ("token", access)];
        let asked = browser(&trusted.pem, Some(pem)).post(format!("{base}/oauth2/introspect"));
        asked
            .form(&form)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let told = introspect(&own).await;
    assert_eq!(told["active"], true, "{told}");
    assert_eq!(told["cnf"]["x5t#S256"].as_str().map(str::len), Some(43));
    let stranger = introspect(&client(&authority("acme"), NAME)).await;
    assert_eq!(stranger["error"], "invalid_client");
    // A key that is removed takes its tokens with it.
    let keys = server
        .admin_rest(Method::GET, "/agents/worker/keys", None)
        .await;
    let keys = keys["items"].as_array().unwrap();
    let certificate = keys
        .iter()
        .find(|key| key["certificate"].is_string())
        .unwrap();
    let path = format!(
        "/agents/worker/keys/{}",
        certificate["thumbprint"].as_str().unwrap()
    );
    server.admin_rest(Method::DELETE, &path, None).await;
    assert_eq!(introspect(&own).await["error"], "invalid_client");
    let asked = browser(&trusted.pem, None).post(format!("{base}/oauth2/introspect"));
    let asked = asked.bearer_auth(server.admin()).form(&[("token", access)]);
    let told: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(told, json!({ "active": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_certificate_proves_a_client_of_python() {
    let (trusted, nobody) = (authority("server"), authority("nobody we know"));
    let (server, agent, _upstream) = with_agent(&trusted).await;
    let own = client(&nobody, NAME);
    let path = server.dir.path().join("client.pem");
    std::fs::write(&path, &own).unwrap();
    let root = server.dir.path().join("root.pem");
    let body = json!({ "certificate": own.split_inclusive("-----END CERTIFICATE-----").next() });
    let keys = "/agents/worker/keys";
    server.admin_rest(Method::POST, keys, Some(body)).await;
    let output = Command::new(installed("REMIT_TEST_PY"))
        .args(["-c", CLIENT, &server.base()])
        .args([&root, &path])
        .arg(&agent)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let statuses: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(statuses, json!([200, 401, 401]), "with it, and without");
}
