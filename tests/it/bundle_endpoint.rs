//! Two servers that federate by SPIFFE alone (`https_spiffe`): one shows an X.509-SVID at its bundle endpoint, the other believes it by
//! that, and takes its agents' JWT-SVIDs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::conformance::Everything;
use crate::furnish::{Agent, upstream_and_agent};
use crate::server::{Server, free_port};

const DOMAIN: &str = "spiffe://default.localhost";
const ENDPOINT: &str = "spiffe://default.localhost/remit/bundle";

/// A server that serves its bundle by its own SVID, and one of its agents.
struct Home {
    server: Server,
    agent: Agent,
    _upstream: Everything,
    bundle: String,
    listen: String,
    args: Vec<String>,
}

impl Home {
    async fn start() -> Self {
        let (port, at) = (free_port(), format!("127.0.0.1:{}", free_port()));
        let public = format!("http://localhost:{port}");
        let args = ["--spiffe-bundle-listen", &at, "--public-url", &public];
        let listen = format!("127.0.0.1:{port}");
        let dir = tempfile::tempdir().unwrap();
        let server = Server::serve_at(dir, &listen, &args).await;
        let (upstream, url) = Everything::start();
        let http = json!({ "type": "http", "url": url });
        let agent = upstream_and_agent(&server, "it", http, "read").await;
        Self {
            server,
            agent,
            _upstream: upstream,
            bundle: format!("https://{at}/spiffe/bundle"),
            listen,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
        }
    }

    /// A JWT-SVID of its agent.
    async fn svid(&self, audience: &str) -> String {
        let resource = format!("{}/api/v1", self.server.base());
        let grant = [
            ("grant_type", "client_credentials"),
            ("resource", resource.as_str()),
        ];
        let (key, client) = (&self.agent.key, &self.agent.client);
        let (status, answer) = self.server.token_request(client, key, &grant).await;
        assert_eq!(status, 200, "{answer}");
        let token = answer["access_token"].as_str().unwrap();
        let body = json!({ "audience": [audience] });
        let path = "/svids/jwt";
        let (status, svid) = self
            .server
            .rest(Method::POST, path, token, Some(body))
            .await;
        assert_eq!(status, 201, "{svid}");
        svid["svid"].as_str().unwrap().to_owned()
    }
}

/// The bundle, as an administrator brings it the first time: by the ordinary address.
async fn bundle_of(server: &Server) -> Value {
    let url = format!("{}/spiffe/bundle", server.base());
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

/// Trusts an endpoint, and asks it for its keys.
fn trust(server: &Server, (url, id, bundle): (&str, &str, &Value), agent: &str) -> (i32, String) {
    let file = |name: &str, what: &Value| {
        let path = server.dir.path().join(name);
        std::fs::write(&path, what.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let subject = format!("{DOMAIN}/agent/{agent}/*/*");
    let rules = json!([{ "subject": subject, "agent": "support-triage", "workflow": "answer" }]);
    let (bundle, rules) = (file("bundle.json", bundle), file("rules.json", &rules));
    let (code, text) = server.remit(&[
        "trusted-issuer",
        "set",
        "home",
        "--issuer",
        DOMAIN,
        "--bundle",
        url,
        "--endpoint-id",
        id,
        "--endpoint-bundle",
        &bundle,
        "--algorithm",
        "ES256",
        "--rules",
        &rules,
        "--reason",
        "a test",
    ]);
    if code != 0 {
        return (code, text);
    }
    server.remit(&["trusted-issuer", "test", "home"])
}

/// Brings a JWT-SVID for an access token.
async fn bring(server: &Server, svid: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", svid),
        ("resource", &format!("{}/mcp", server.base())),
    ];
    let url = format!("{}/oauth2/token", server.base());
    let answer = reqwest::Client::new().post(url).form(&form).send().await;
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_one_server_acts_at_another_that_knows_it_by_spiffe() {
    let mut home = Home::start().await;
    let away = Server::dev().await;
    let bundle = bundle_of(&home.server).await;
    let url = home.bundle.clone();
    let client = home.agent.client.clone();
    // Nobody else is believed there: not by the authorities of the web, by another SPIFFE ID, or by another trust domain.
    assert!(reqwest::get(&url).await.is_err());
    let sibling = format!("{DOMAIN}/remit/other");
    let (code, said) = trust(&away, (&url, &sibling, &bundle), &client);
    assert!(
        code != 0 && said.contains("names another SPIFFE ID"),
        "{said}"
    );
    let foreign = bundle_of(&away).await;
    let (code, said) = trust(&away, (&url, ENDPOINT, &foreign), &client);
    assert!(code != 0 && said.contains("no known authority"), "{said}");
    let none = json!({ "keys": [] });
    let (code, said) = trust(&away, (&url, ENDPOINT, &none), &client);
    assert!(code != 0 && said.contains("no authority"), "{said}");

    let svid = home.svid(&away.base()).await;
    let (status, _) = bring(&away, &svid).await;
    assert_eq!(status, 503, "its endpoint is not believed");
    let path = "/audit/entries?kind=authentication.refused";
    let recorded = away.admin_rest(Method::GET, path, None).await.to_string();
    assert!(recorded.contains("issuer-endpoint-untrusted"), "{recorded}");

    let (code, said) = trust(&away, (&url, ENDPOINT, &bundle), &client);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&url), "{said}");
    let (status, answer) = bring(&away, &svid).await;
    assert_eq!(status, 200, "{answer}");
    let access = answer["access_token"].as_str().unwrap();
    let args = json!({ "order": "A-118" });
    let call = away
        .call("/mcp", access, "orders__order_status", args)
        .await;
    assert!(call["result"].is_object(), "{call}");

    // What it knows outlives the other one's outage, and a new start of it.
    let late = home.svid(&away.base()).await;
    home.server.stop();
    assert_eq!(bring(&away, &late).await.0, 200);
    assert_ne!(away.remit(&["trusted-issuer", "test", "home"]).0, 0);
    let args: Vec<&str> = home.args.iter().map(String::as_str).collect();
    home.server.start_again_at(&home.listen, &args).await;
    let (code, said) = away.remit(&["trusted-issuer", "test", "home"]);
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_gives_the_bundle_and_nothing_else() {
    let home = Home::start().await;
    // Whoever does not know SPIFFE looks at no certificate here.
    let http = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let answer = http.get(&home.bundle).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let bundle: Value = answer.json().await.unwrap();
    assert_eq!(bundle, bundle_of(&home.server).await);
    let root = home.bundle.trim_end_matches("/spiffe/bundle");
    for path in ["/", "/mcp", "/api/v1/agents", "/t/default/spiffe/bundle"] {
        let answer = http.get(format!("{root}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    // Plain HTTP is not spoken there.
    let plain = home.bundle.replace("https://", "http://");
    assert!(http.get(plain).send().await.is_err());
}
