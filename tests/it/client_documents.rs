//! Clients by the address of their metadata document, fetched by the real binary over TLS that it was told to trust; and documents
//! that lead elsewhere.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use remit_token::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::furnish::{document, enrol, register};
use crate::server::{Server, binary, installed, new_key};

/// A site with documents of one client.
struct Site {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    origin: String,
    key: SigningKey,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    /// Writes `ca.pem`, which vouches for it, into `dir`.
    fn start(dir: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
        let authority = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let own = own.signed_by(&key, &authority).unwrap();
        std::fs::write(dir.join("site.pem"), own.pem()).unwrap();
        std::fs::write(dir.join("site.key"), key.serialize_pem()).unwrap();
        let (key, jwk) = new_key();
        let mut child = Command::new(installed("REMIT_TEST_NODE"))
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/clients/client_documents.mjs"
            ))
            .args([dir.join("site.pem"), dir.join("site.key")])
            .arg(jwk.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let origin = said.next().expect("the site starts").unwrap();
        Self {
            child,
            said,
            origin,
            key,
        }
    }

    fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.origin)
    }

    /// The paths that were asked, after which it is over.
    fn asked(mut self) -> Vec<String> {
        let _ = self.child.kill();
        self.said.by_ref().map_while(Result::ok).collect()
    }
}

const PATHS: [&str; 5] = [
    "client.json",
    "other.json",
    "moved.json",
    "huge.json",
    "page.json",
];

/// A server, whose agent's workflow lists the site's documents.
struct World {
    server: Server,
    site: Site,
    grant: Value,
}

/// A server with this configuration, in which `CA` is the file of the site's authority; the workflow of its agent lists the documents.
async fn world(config: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::start(dir.path());
    let path = dir.path().join("remit.toml");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&path, config.replace("CA", ca.to_str().unwrap())).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let server = Server::serve(dir, &["--config", &path]).await;
    let person = json!({ "display_name": "Sponsor", "teams": ["team"], "roles": ["admin", "approver", "responder", "auditor"], "entitlements": [] });
    let system =
        json!({ "owner": "admin@acme.example", "environment": "production", "criticality": "low" });
    server
        .apply(&[
            document("Team", "team", &json!({})),
            document("Person", "sponsor@acme.example", &person),
            document("System", "shop", &system),
            document(
                "Upstream",
                "all",
                &json!({ "system": "shop", "transport": { "type": "guarded" } }),
            ),
        ])
        .await;
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/envoy/tools.yaml");
    // Exit code 2: the tools changed.
    let (code, said) = server.remit(&["upstream", "declare", "all", "-f", tools]);
    assert_eq!(code, 2, "{said}");
    let tools = "/tools?upstream=all&limit=1";
    let tools = server.admin_rest(Method::GET, tools, None).await;
    let (tool, hash) = (
        &tools["items"][0]["tool"],
        &tools["items"][0]["definition_hash"],
    );
    let classified = json!({ "effect": "read", "definition_hash": hash });
    server
        .apply(&[document("Tool", tool.as_str().unwrap(), &classified)])
        .await;
    let grant = json!({ "tool": tool, "autonomy": "it is a test" });
    register(&server, "worker", std::slice::from_ref(&grant)).await;
    let listed: Vec<String> = PATHS.iter().map(|path| site.address(path)).collect();
    server.apply(&[workflow(&json!(listed), &grant)]).await;
    World {
        server,
        site,
        grant,
    }
}

fn workflow(client_ids: &Value, grant: &Value) -> Value {
    let spec = json!({ "purpose": "a test", "data_classes": [], "grants": [grant], "run_secs_max": 3600, "run_idle_secs_max": 600, "client_ids": client_ids });
    let mut workflow = document("Workflow", "answer", &spec);
    workflow["metadata"]["agent"] = json!("worker");
    workflow
}

impl Site {
    /// What comes of asking for a token as the client of that document.
    async fn token(&self, server: &Server, path: &str) -> (u16, Value) {
        let client = self.address(path);
        server
            .try_token(&client, &self.key, "workflow:answer")
            .await
    }
}

/// Looks that it was refused, which tells the client nothing, and that the ledger has the reason.
fn refused(server: &Server, (status, answer): &(u16, Value), code: &str) {
    assert_eq!(
        (*status, &answer["error"]),
        (401, &json!("invalid_client")),
        "{answer}"
    );
    let (_, entries) = server.remit(&["audit", "search", "-o", "json"]);
    assert!(entries.contains(code), "{code} is not in the ledger");
}

#[tokio::test]
async fn a_document_is_fetched_over_tls_that_the_operator_trusts_and_nothing_is_followed_from_it() {
    let World { server, site, .. } =
        world("outgoing_ca = \"CA\"\nloopback_upstreams = true\n").await;
    let (status, answer) = site.token(&server, "client.json").await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap();
    let (status, run) = server.rest(Method::GET, "/runs", token, None).await;
    assert!(status == 200 || status == 403, "{run}");
    // Its key is no other client's.
    let (other, _) = new_key();
    let client = site.address("client.json");
    let (status, answer) = server.try_token(&client, &other, "workflow:answer").await;
    assert_eq!(
        (status, &answer["error"]),
        (401, &json!("invalid_client")),
        "{answer}"
    );
    for (path, code) in [
        ("other.json", "client-metadata-other-client"),
        ("moved.json", "client-metadata-address-refused"),
        ("huge.json", "client-metadata-unreachable"),
        ("page.json", "client-metadata-not-json"),
    ] {
        let answer = site.token(&server, path).await;
        refused(&server, &answer, code);
    }
    // What no workflow lists is not asked for, whoever names it.
    let answer = site.token(&server, "unlisted.json").await;
    assert_eq!(answer.0, 401, "{}", answer.1);
    let asked = site.asked();
    let once: Vec<_> = PATHS.iter().map(|path| format!("/{path}")).collect();
    assert_eq!(asked, once, "each once, and nothing besides");
}

#[tokio::test]
async fn an_authority_that_nobody_trusts_vouches_for_nothing() {
    let World { server, site, .. } = world("loopback_upstreams = true\n").await;
    let answer = site.token(&server, "client.json").await;
    refused(&server, &answer, "client-metadata-unreachable");
    assert!(site.asked().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_where_the_operator_does_not_allow_it() {
    let World {
        server,
        site,
        grant,
    } = world("outgoing_ca = \"CA\"\nloopback_upstreams = false\n").await;
    let answer = site.token(&server, "client.json").await;
    refused(&server, &answer, "client-metadata-unreachable");
    assert!(site.asked().is_empty());
    // Addresses are not listed at all.
    for address in [
        "https://127.0.0.1/client.json",
        "https://10.0.0.1/client.json",
        "https://169.254.169.254/client.json",
        "https://[::1]/client.json",
        "https://2852039166/client.json",
        "http://client.example/client.json",
        "https://user@client.example/client.json",
    ] {
        let sponsor = enrol(&server, "sponsor@acme.example").await;
        let body =
            json!({ "documents": format!("---\n{}\n", workflow(&json!([address]), &grant)) });
        let (status, answer) = server
            .rest(Method::POST, "/apply", &sponsor, Some(body))
            .await;
        assert!((400..500).contains(&status), "{address}: {answer}");
        assert!(
            answer.to_string().contains("client_ids"),
            "{address}: {answer}"
        );
    }
}

#[test]
fn a_file_without_authorities_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let (config, ca) = (dir.path().join("remit.toml"), dir.path().join("ca.pem"));
    std::fs::write(&ca, "no certificate").unwrap();
    std::fs::write(&config, format!("outgoing_ca = {ca:?}\n")).unwrap();
    let output = Command::new(binary())
        .args(["serve", "--data"])
        .arg(dir.path().join("data"))
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("outgoing_ca"),
        "{said}"
    );
}
