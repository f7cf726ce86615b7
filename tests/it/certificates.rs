//! Certificates as credentials over real TLS: one of an authority stopped by itself, and an X.509-SVID from the Workload API that
//! its workload shows to get a token.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::conformance::Everything;
use crate::mutual_tls::{Authority, authority, browser, client, token, with_agent};
use crate::server::{Server, installed};
use crate::signals_between::claims;
use crate::workloads::{WorkloadApi, declare_for};

const NAME: &str = "worker.acme.example";

/// A workload of Python's standard TLS: gets its X.509-SVID from the Workload API, keeps it at a path, and says whose it is.
const WORKLOAD: &str = r#"
import sys, grpc
unsure = grpc.insecure_channel
grpc.insecure_channel = lambda target: unsure(target, options=[("grpc.default_authority", "localhost")])
from cryptography.hazmat.primitives import serialization as s
from spiffe import WorkloadApiClient
socket, path = sys.argv[1:]
with WorkloadApiClient(socket) as client:
    svid = client.fetch_x509_svid()
    with open(path, "wb") as file:
        for one in svid.cert_chain: file.write(one.public_bytes(s.Encoding.PEM))
        file.write(svid.private_key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
print(svid.spiffe_id, end="")
"#;

/// What records call a certificate.
fn thumbprint(pem: &str) -> String {
    let lines = pem
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.collect::<String>()).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    URL_SAFE_NO_PAD.encode(digest)
}

/// How a run of the token is answered to whoever shows this certificate.
async fn with_token(trusted: &str, pem: &str, base: &str, answer: &Value) -> (u16, String) {
    let scope = answer["scope"].as_str().unwrap();
    let run = scope.split(' ').find_map(|s| s.strip_prefix("run:"));
    let url = format!("{base}/api/v1/runs/{}", run.unwrap());
    let asked = browser(trusted, Some(pem)).get(url);
    let asked = asked.bearer_auth(answer["access_token"].as_str().unwrap());
    let answer = asked.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A server whose agent `worker` an authority vouches for.
async fn vouched(trusted: &Authority, ours: &Authority) -> (Server, String, Everything) {
    let (server, agent, upstream) = with_agent(trusted).await;
    let body = json!({ "authority": ours.pem, "tls_client_auth_san_dns": NAME });
    let keys = "/agents/worker/keys";
    server.admin_rest(Method::POST, keys, Some(body)).await;
    (server, agent, upstream)
}

/// Stops a certificate by itself.
fn contain(server: &Server, leaf: &str, level: &str) -> (i32, String) {
    let id = thumbprint(leaf);
    let args = [
        "contain",
        "credential",
        &id,
        "--level",
        level,
        "--reason",
        "stolen",
        "--yes",
    ];
    server.remit(&args)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_certificate_of_an_authority_is_stopped_by_itself() {
    let (trusted, ours) = (authority("server"), authority("acme"));
    let (server, agent, _upstream) = vouched(&trusted, &ours).await;
    let base = server.base();
    let ask = async |pem: &str| token(&browser(&trusted.pem, Some(pem)), &base, &agent).await;
    let use_of =
        async |pem: &str, answer: &Value| with_token(&trusted.pem, pem, &base, answer).await;
    let leaves = [(); 3].map(|()| client(&ours, NAME));
    let [held, killed, other] = leaves.each_ref().map(String::as_str);
    let mut answers = Vec::new();
    for leaf in [held, killed, other] {
        let (status, answer) = ask(leaf).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(use_of(leaf, &answer).await.0, 200);
        answers.push(answer);
    }
    // Contained: neither its token nor itself is good for anything while that stands, and the others do not notice.
    let (code, said) = contain(&server, held, "suspend");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("token"), "{said}");
    let (status, refused) = use_of(held, &answers[0]).await;
    assert_eq!(status, 401, "{refused}");
    let (status, refused) = ask(held).await;
    assert_eq!((status, &refused["error"]), (401, &json!("invalid_client")));
    let (code, said) = contain(&server, killed, "kill");
    assert_eq!(code, 0, "{said}");
    assert_eq!(use_of(killed, &answers[1]).await.0, 401);
    assert_eq!(ask(killed).await.0, 401);
    assert_eq!(
        use_of(other, &answers[2]).await.0,
        200,
        "another one goes on"
    );
    assert_eq!(ask(other).await.0, 200);
    // Lifted, the first one is a certificate of its authority again.
    let shown = server
        .admin_rest(Method::GET, "/containments?limit=10", None)
        .await;
    let found = shown["items"].as_array().unwrap().iter();
    let found = found.clone().find(|c| c["level"] == "suspend").unwrap();
    let (code, said) = server.remit(&[
        "containment",
        "lift",
        found["id"].as_str().unwrap(),
        "--reason",
        "found again",
    ]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(ask(held).await.0, 200);
    assert_eq!(ask(killed).await.0, 401, "what was killed stays so");
    let refusals = server
        .admin_rest(
            Method::GET,
            "/audit/entries?kind=client_certificate.withheld",
            None,
        )
        .await;
    assert_eq!(
        refusals["items"].as_array().map(Vec::len),
        Some(2),
        "{refusals}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_never_seen_is_revoked_with_its_agents_name() {
    let (trusted, ours) = (authority("server"), authority("acme"));
    let (server, agent, _upstream) = vouched(&trusted, &ours).await;
    let base = server.base();
    let ask = async |pem: &str| token(&browser(&trusted.pem, Some(pem)), &base, &agent).await;
    let (unseen, other) = (client(&ours, NAME), client(&ours, NAME));
    let id = thumbprint(&unseen);
    let revoke =
        |id: &str| server.remit(&["credential", "revoke", id, "--reason", "stolen", "--yes"]);
    assert_ne!(revoke(&id).0, 0, "nobody knows whose it is");
    let (code, said) = revoke(&format!("worker/{id}"));
    assert_eq!(code, 0, "{said}");
    assert_eq!(ask(&unseen).await.0, 401);
    let (code, said) = server.remit(&["credential", "inspect", &id]);
    assert!(code == 0 && said.contains("REMOVED"), "{said}");
    assert_eq!(ask(&other).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attested_workload_gets_a_token_with_its_x509_svid_over_tls() {
    let trusted = authority("server");
    let (server, _agent, _upstream) = with_agent(&trusted).await;
    let workflows = server
        .admin_rest(Method::GET, "/agents/worker/workflows", None)
        .await;
    let workflow = workflows["items"][0]["name"].as_str().unwrap().to_owned();
    declare_for(
        &server,
        &format!("/agents/worker/workflows/{workflow}"),
        None,
    )
    .await;
    let key = server.dir.path().join("attester.pem");
    let key_path = key.to_str().unwrap();
    let add = [
        "agent",
        "key",
        "add",
        "worker",
        "--generate",
        key_path,
        "--attests",
    ];
    let (code, said) = server.remit(&add);
    assert_eq!(code, 0, "{said}");
    let api = WorkloadApi::start_for(&server, "worker", &workflow, &key).unwrap();
    let path = server.dir.path().join("svid.pem");
    let output = Command::new(installed("REMIT_TEST_PY_SPIFFE"))
        .args(["-c", WORKLOAD, &format!("unix://{}", api.socket.display())])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let id = String::from_utf8(output.stdout).unwrap();
    assert!(id.starts_with("spiffe://"), "{id}");
    let svid = std::fs::read_to_string(&path).unwrap();
    let base = server.base();

    let (status, answer) = token(&browser(&trusted.pem, Some(&svid)), &base, &id).await;
    assert_eq!(status, 200, "{answer}");
    let (status, said) = with_token(&trusted.pem, &svid, &base, &answer).await;
    assert_eq!(status, 200, "{said}");
    let bare = browser(&trusted.pem, None);
    let shown = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(shown["cnf"]["x5t#S256"], json!(thumbprint(&svid)));

    // Without it, with another workload's name, and with a certificate that only names the same.
    let (status, refused) = token(&bare, &base, &id).await;
    assert_eq!((status, &refused["error"]), (401, &json!("invalid_client")));
    let http = browser(&trusted.pem, Some(&svid));
    let (status, _) = token(&http, &base, &format!("{id}x")).await;
    assert_eq!(status, 401);
    let forged = crate::mutual_tls::named(&authority("acme"), &id);
    let (status, _) = token(&browser(&trusted.pem, Some(&forged)), &base, &id).await;
    assert_eq!(status, 401, "another authority");

    // Stopped by its own thumbprint, with the token that it got.
    let print = thumbprint(&svid);
    let (code, said) = server.remit(&[
        "contain",
        "credential",
        &print,
        "--level",
        "kill",
        "--reason",
        "leaked",
        "--yes",
    ]);
    assert_eq!(code, 0, "{said}");
    // It was revoked with what it was got with.
    assert_eq!(with_token(&trusted.pem, &svid, &base, &answer).await.0, 401);
    assert_eq!(token(&http, &base, &id).await.0, 401);
    drop(api);
}
