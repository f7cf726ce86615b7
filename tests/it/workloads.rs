//! A workload end to end: the workflow declares what may run it, somebody else's client gets its SVIDs from the Workload API,
//! and with one an access token of the trust that a critical system asks for.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, binary, installed};

const WORKFLOW: &str = "/agents/support-triage/workflows/answer";
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// `remit workload-api`, which ends with this.
pub(crate) struct WorkloadApi {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Drop for WorkloadApi {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl WorkloadApi {
    /// Starts it with this key for the demo's workflow; what it says where it does not come to serve.
    fn start(server: &Server, key: &Path) -> Result<Self, String> {
        Self::start_for(server, "support-triage", "answer", key)
    }

    /// The same for another agent.
    pub(crate) fn start_for(
        server: &Server,
        agent: &str,
        workflow: &str,
        key: &Path,
    ) -> Result<Self, String> {
        let socket = server.dir.path().join("api.sock");
        let child = Command::new(binary())
            .args(["workload-api", "--agent", agent])
            .args(["--workflow", workflow, "--socket"])
            .arg(&socket)
            .arg("--key")
            .arg(key)
            .env("REMIT_ADDR", server.base())
            .env("XDG_CONFIG_HOME", server.dir.path())
            .envs(server.trusted())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut api = Self { child, socket };
        let mut said = BufReader::new(api.child.stderr.take().unwrap());
        let mut lines = String::new();
        loop {
            let read = said.read_line(&mut lines).unwrap();
            if lines.contains("serving the SPIFFE Workload API") {
                // It goes on saying whom it denied.
                std::thread::spawn(move || said.lines().for_each(drop));
                return Ok(api);
            }
            if read == 0 {
                return Err(lines);
            }
        }
    }

    /// Somebody else's client, as the workload.
    fn workload(&self, audience: &str) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/spiffe_check.py");
        Command::new(installed("REMIT_TEST_PY_SPIFFE"))
            .args([script, &format!("unix://{}", self.socket.display())])
            .arg(audience)
            .output()
            .unwrap()
    }
}

/// What may run the workflow: the interpreter of the client, with this digest.
async fn declare(server: &Server, digest: Option<&str>) {
    declare_for(server, WORKFLOW, digest).await;
}

/// The same of another workflow.
pub(crate) async fn declare_for(server: &Server, workflow: &str, digest: Option<&str>) {
    use std::os::unix::fs::MetadataExt;
    let python = std::fs::canonicalize(installed("REMIT_TEST_PY_SPIFFE")).unwrap();
    let own = {
        let bytes = std::fs::read(&python).unwrap();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
    };
    let digest: String = digest.map_or(own, str::to_owned);
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    let mut spec = server.admin_rest(Method::GET, workflow, None).await;
    let fields = spec.as_object_mut().unwrap();
    for shown in ["id", "agent", "name", "state", "grant_ids", "revision"] {
        fields.remove(shown);
    }
    fields.insert(
        "attestation".to_owned(),
        json!({ "uid": uid, "binary": python, "sha256": [digest] }),
    );
    server.admin_rest(Method::PUT, workflow, Some(spec)).await;
}

fn key(server: &Server, name: &str, more: &[&str]) -> PathBuf {
    let path = server.dir.path().join(name);
    let add = ["agent", "key", "add", "support-triage", "--generate"];
    let (code, said) = server.remit(&[&add[..], &[path.to_str().unwrap()], more].concat());
    assert_eq!(code, 0, "{said}");
    path
}

async fn token(server: &Server, svid: &str) -> (u16, Value) {
    let mcp = format!("{}/mcp", server.base());
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "workflow:answer"),
        ("resource", mcp.as_str()),
        ("client_assertion_type", JWT_SPIFFE),
        ("client_assertion", svid),
    ];
    let url = format!("{}/oauth2/token", server.base());
    let answer = reqwest::Client::new().post(url).form(&form).send().await;
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn order(server: &Server, token: &str) -> String {
    let args = json!({ "order": "A-118" });
    let answer = server.call("/mcp", token, "orders__order_status", args);
    answer.await["result"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_declared_workload_reaches_a_critical_system() {
    let server = Server::dev().await;
    let critical = json!({ "owner": "maria@acme.example", "environment": "production", "criticality": "critical" });
    server
        .admin_rest(Method::PUT, "/systems/shop", Some(critical))
        .await;
    declare(&server, None).await;
    let by_key = server.agent_token("support-triage", "answer").await;
    let denied = order(&server, &by_key).await;
    assert!(denied.contains("attested caller"), "{denied}");

    // A key that nobody calls an attester's serves no identity.
    let plain = key(&server, "plain.pem", &[]);
    let said = WorkloadApi::start(&server, &plain).err().unwrap();
    assert!(said.contains("no attester's"), "{said}");

    let api = WorkloadApi::start(&server, &key(&server, "attester.pem", &["--attests"])).unwrap();
    let output = api.workload(&server.base());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let svid = shown["token"].as_str().unwrap();
    let (status, answer) = token(&server, svid).await;
    assert_eq!(status, 200, "{answer}");
    let allowed = order(&server, answer["access_token"].as_str().unwrap()).await;
    assert!(!allowed.contains("attested caller"), "{allowed}");
    assert!(allowed.contains("A-118"), "{allowed}");
    assert_eq!(token(&server, svid).await.0, 401, "it is good once");

    // Another version is registered: what runs gets nothing more, and is a finding.
    declare(&server, Some(&"ab".repeat(32))).await;
    let output = api.workload(&server.base());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    let findings = server.admin_rest(Method::GET, "/findings", None).await;
    let found = findings["items"].as_array().unwrap().iter();
    let found: Vec<_> = found
        .filter(|f| f["kind"] == "attestation_mismatch")
        .collect();
    assert_eq!(found.len(), 1, "{findings}");
    let calls = order(&server, answer["access_token"].as_str().unwrap()).await;
    assert!(!calls.contains("A-118"), "its token fell: {calls}");
}
