//! Signing in with a browser: with npm `oidc-provider` as the company's OpenID provider, and with a link; and what an
//! attacker tries in between.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, Response, redirect};
use serde_json::{Value, json};
use url::Url;

use crate::server::{Server, installed};

/// The provider, ended however the test ends.
pub(crate) struct Provider {
    child: Child,
    /// Kept open: what it still has to say must have somewhere to go.
    _output: std::io::Lines<BufReader<std::process::ChildStdout>>,
    pub(crate) issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    pub(crate) fn start(redirect: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/provider.mjs");
        let mut child = Command::new(installed("REMIT_TEST_NODE"))
            .arg(script)
            .arg(installed("REMIT_TEST_NODE_MODULES"))
            .arg(redirect)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let issuer = lines.next().expect("the provider starts").unwrap();
        Self {
            child,
            _output: lines,
            issuer,
        }
    }
}

/// A browser that follows what it is told one step at a time.
pub(crate) struct Browser {
    http: Client,
    /// Cookies by host and port.
    jar: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            // The provider closes connections while they rest here.
            .pool_max_idle_per_host(0);
        Self {
            http: http.build().unwrap(),
            jar: BTreeMap::new(),
        }
    }

    fn cookies(&self, url: &Url) -> String {
        let of_site = self.jar.get(url.authority()).into_iter().flatten();
        let pairs: Vec<_> = of_site
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn keep(&mut self, url: &Url, response: &Response) {
        let jar = self.jar.entry(url.authority().to_owned()).or_default();
        for set in response.headers().get_all(SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            jar.insert(name.to_owned(), value.to_owned());
        }
    }

    async fn get(&mut self, url: &Url) -> Response {
        let request = self.http.get(url.clone()).header(COOKIE, self.cookies(url));
        let response = request.send().await.unwrap();
        self.keep(url, &response);
        response
    }

    /// Opens a page, signed in; returns its text.
    pub(crate) async fn open(&mut self, url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        for _ in 0..5 {
            let response = self.get(&url).await;
            match response.headers().get(LOCATION) {
                Some(to) => url = url.join(to.to_str().unwrap()).unwrap(),
                None => return response.text().await.unwrap(),
            }
        }
        panic!("no end at {url}")
    }

    /// Sends a form of a page.
    pub(crate) async fn submit(&mut self, url: &str, form: &[(&str, &str)]) -> Response {
        let url = Url::parse(url).unwrap();
        let request = self
            .http
            .post(url.clone())
            .header(COOKIE, self.cookies(&url))
            .header(ORIGIN, url.origin().ascii_serialization());
        let response = request.form(form).send().await.unwrap();
        self.keep(&url, &response);
        response
    }

    pub(crate) async fn post(&mut self, url: &str, body: Value) -> Response {
        let url = Url::parse(url).unwrap();
        let request = self
            .http
            .post(url.clone())
            .header(COOKIE, self.cookies(&url))
            .header(ORIGIN, url.origin().ascii_serialization());
        let response = request.json(&body).send().await.unwrap();
        self.keep(&url, &response);
        response
    }

    /// Follows redirects from `url` until one leads to the callback; that one is not followed.
    async fn until_callback(&mut self, mut url: Url) -> Url {
        for _ in 0..12 {
            let response = self.get(&url).await;
            let to = response.headers().get(LOCATION);
            let status = response.status();
            let to = to
                .unwrap_or_else(|| panic!("{status} at {url}"))
                .to_str()
                .unwrap();
            url = url.join(to).unwrap();
            if url.path().ends_with("/sign-in/oidc/callback") {
                return url;
            }
        }
        panic!("no way back from {url}")
    }

    /// Goes to the provider as `who`, and comes back with its answer, not yet given.
    async fn visit(&mut self, base: &str, who: &str) -> Url {
        let start = Url::parse(&format!("{base}/sign-in/oidc?next=/runs")).unwrap();
        let response = self.get(&start).await;
        let to = response.headers()[LOCATION].to_str().unwrap();
        let mut to = Url::parse(to).unwrap_or_else(|_| panic!("sent to {to}"));
        to.query_pairs_mut().append_pair("login_hint", who);
        self.until_callback(to).await
    }

    /// Where an answer leads to.
    async fn land(&mut self, answer: &Url) -> String {
        let response = self.get(answer).await;
        response.headers()[LOCATION].to_str().unwrap().to_owned()
    }
}

async fn company() -> (Server, Provider) {
    let server = Server::serve(tempfile::tempdir().unwrap(), &[]).await;
    let provider = Provider::start(&format!("{}/sign-in/oidc/callback", server.base()));
    let set = json!({
        "issuer": provider.issuer, "client_id": "remit", "groups_claim": "groups",
        "scopes": ["email", "groups"], "groups": { "admins": ["admin"] }
    });
    server
        .admin_rest(Method::PUT, "/identity-provider", Some(set))
        .await;
    for email in ["maria@acme.example", "gone@acme.example"] {
        let person = json!({ "display_name": email, "roles": ["admin"] });
        let path = format!("/people/{email}");
        server.admin_rest(Method::PUT, &path, Some(person)).await;
    }
    let leave = "/people/gone@acme.example/leave";
    server
        .admin_rest(Method::POST, leave, Some(json!({})))
        .await;
    (server, provider)
}

#[tokio::test]
async fn people_sign_in_with_the_companys_openid_provider_and_nobody_else_does() {
    let (server, provider) = company().await;
    let base = server.base();
    let report = server
        .admin_rest(Method::POST, "/identity-provider/test", Some(json!({})))
        .await;
    assert_eq!(report["issuer"], provider.issuer.as_str());
    assert_eq!(report["iss_in_answers"], true);

    let mut browser = Browser::new();
    let answer = browser.visit(&base, "maria@acme.example").await;
    assert_eq!(browser.land(&answer).await, format!("{base}/runs"));
    let sessions = server
        .admin_rest(Method::GET, "/sessions?all=true", None)
        .await;
    assert_eq!(sessions["items"][0]["person"], "maria@acme.example");
    assert_eq!(sessions["items"][0]["how"], "oidc");

    // The same answer again, in the same browser and in another.
    assert!(
        browser
            .land(&answer)
            .await
            .ends_with("/sign-in?failed=proof-invalid")
    );
    assert!(
        Browser::new()
            .land(&answer)
            .await
            .ends_with("failed=proof-invalid")
    );
    let used: BTreeMap<_, _> = answer.query_pairs().into_owned().collect();
    for (name, value, failed) in [
        ("state", "x", "proof-invalid"),
        ("iss", "https://evil.example", "proof-invalid"),
        ("code", "x", "unauthenticated"),
        // A code of the provider that was used already, brought to a new visit.
        ("code", used["code"].as_str(), "unauthenticated"),
    ] {
        let mut thief = Browser::new();
        let mut answer = thief.visit(&base, "maria@acme.example").await;
        let pairs: Vec<_> = answer.query_pairs().into_owned().collect();
        let changed = pairs
            .iter()
            .map(|(n, v)| (n.as_str(), if n == name { value } else { v }));
        answer.query_pairs_mut().clear().extend_pairs(changed);
        let landed = thief.land(&answer).await;
        assert!(
            landed.ends_with(&format!("failed={failed}")),
            "{name}: {landed}"
        );
    }

    for who in [
        "unverified-maria@acme.example",
        "nobody@acme.example",
        "gone@acme.example",
    ] {
        let mut browser = Browser::new();
        let answer = browser.visit(&base, who).await;
        assert!(
            browser
                .land(&answer)
                .await
                .ends_with("failed=unauthenticated"),
            "{who}"
        );
    }
    let after = server
        .admin_rest(Method::GET, "/sessions?all=true", None)
        .await;
    assert_eq!(after["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_link_opens_one_session_which_ends_at_once() {
    let server = Server::serve(tempfile::tempdir().unwrap(), &[]).await;
    let base = server.base();
    let path = "/people/admin@acme.example/enrolments";
    let link = server.admin_rest(Method::POST, path, Some(json!({}))).await;
    let code = json!({ "code": link["code"] });
    let mut browser = Browser::new();
    let url = format!("{base}/sign-in/code");
    // A form of another site, and a program that names no page.
    let plain = Client::new().post(&url).json(&code).send().await.unwrap();
    assert_eq!(plain.status(), 403);
    let evil = Client::new()
        .post(&url)
        .header(ORIGIN, "https://evil.example");
    assert_eq!(evil.json(&code).send().await.unwrap().status(), 403);
    let form = Client::new()
        .post(&url)
        .header(ORIGIN, &base)
        .body(code.to_string());
    assert_eq!(form.send().await.unwrap().status(), 415);

    let signed = browser.post(&url, code.clone()).await;
    assert_eq!(signed.status(), 200);
    let cookie = signed.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    let session: Value = signed.json().await.unwrap();
    assert_eq!(Browser::new().post(&url, code).await.status(), 401);

    let step = format!("{base}/sign-in/step-up/begin");
    let digest = json!({ "digest": "a".repeat(64) });
    assert_eq!(
        browser.post(&step, digest.clone()).await.status(),
        404,
        "no passkey yet"
    );
    let id = session["session"].as_str().unwrap();
    server
        .admin_rest(Method::DELETE, &format!("/sessions/{id}"), None)
        .await;
    assert_eq!(browser.post(&step, digest).await.status(), 401);
}
