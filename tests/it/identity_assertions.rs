//! Identity assertions (ID-JAG) between two real servers: one is the identity provider of the people, the other one's
//! authorization server stands before the tools.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Runs a `set` command with a document in a file.
fn set(server: &Server, command: &[&str], option: &str, document: &Value) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("document.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let all = [command, &[option, file, "--reason", "a test"]].concat();
    let (code, text) = server.remit(&all);
    assert_eq!(code, 0, "{text}");
}

/// A provider where maria lets support-triage act for her, and a server that takes its word.
struct Both {
    provider: Server,
    resource: Server,
    /// The agent's access token at the provider, in a run for maria.
    token: String,
}

impl Both {
    async fn start() -> Self {
        let (provider, resource) = (Server::dev().await, Server::dev().await);
        let (client, _) = resource.demo_agent("support-triage");
        let mcp = format!("{}/mcp", resource.base());
        let issuer = resource.base();
        set(
            &provider,
            &["authorization-server", "set", "other", "--issuer", &issuer],
            "--clients",
            &json!([{ "agent": "support-triage", "workflow": "answer", "client_id": client,
                "scopes": ["workflow:answer"], "resources": [mcp] }]),
        );
        let people = provider.admin_rest(Method::GET, "/people/maria@acme.example", None);
        let maria = people.await["id"].as_str().unwrap().to_owned();
        let issuer = provider.base();
        set(
            &resource,
            &[
                "trusted-issuer",
                "set",
                "provider",
                "--issuer",
                &issuer,
                "--algorithm",
                "ES256",
            ],
            "--identities",
            &json!({ "people": { maria: "maria@acme.example" }, "workflows": ["support-triage/answer"] }),
        );
        let maria = provider.person("maria@acme.example");
        let new = json!({ "agent": "support-triage", "workflow": "answer", "kind": "interactive", "for_secs": 600 });
        let (status, made) = provider
            .rest(Method::POST, "/delegations", &maria, Some(new))
            .await;
        assert_eq!(status, 201, "{made}");
        let path = format!("/delegations/{}/assertion", made["id"].as_str().unwrap());
        let (_, made) = provider
            .rest(Method::POST, &path, &maria, Some(json!({})))
            .await;
        let subject = made["subject_token"].as_str().unwrap();
        let token = provider.exchange("support-triage", "answer", subject).await;
        Self {
            provider,
            resource,
            token,
        }
    }

    /// Asks the provider for the word that the agent acts for maria.
    async fn asserted(&self, audience: &str, scope: &str) -> (u16, Value) {
        let (client, key) = self.provider.demo_agent("support-triage");
        let grant = [
            ("grant_type", EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("audience", audience),
            ("subject_token", self.token.as_str()),
            ("subject_token_type", ACCESS_TOKEN),
            ("scope", scope),
        ];
        self.provider.token_request(&client, &key, &grant).await
    }

    /// Brings an assertion to the other server, as one of its agents.
    async fn brought(&self, agent: &str, assertion: &str) -> (u16, Value) {
        let (client, key) = self.resource.demo_agent(agent);
        let grant = [("grant_type", JWT_BEARER), ("assertion", assertion)];
        self.resource.token_request(&client, &key, &grant).await
    }
}

#[tokio::test]
async fn one_server_takes_the_word_of_another_for_a_person() {
    let both = Both::start().await;
    let there = both.resource.base();
    let (status, answer) = both.asserted(&there, "").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["token_type"], &answer["issued_token_type"]),
        (&json!("N_A"), &json!(ID_JAG))
    );
    let assertion = answer["access_token"].as_str().unwrap();
    let (status, stolen) = both.brought("it-helpdesk", assertion).await;
    assert_eq!((status, &stolen["error"]), (400, &json!("invalid_grant")));
    let (status, answer) = both.brought("support-triage", assertion).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.get("refresh_token").is_none());
    let access = answer["access_token"].as_str().unwrap();
    let call = both
        .resource
        .call(
            "/mcp",
            access,
            "orders__order_status",
            json!({ "order": "A-118" }),
        )
        .await;
    assert!(
        call["result"].is_object() && call["result"]["isError"] != true,
        "{call}"
    );
    // Maria sees there who acts for her, and takes it back.
    let maria = both.resource.person("maria@acme.example");
    let (code, text) = both
        .resource
        .remit_as(&maria, &["delegation", "ls", "--mine", "-o", "json"]);
    assert_eq!(code, 0, "{text}");
    let mine: Value = serde_json::from_str(&text).unwrap();
    let active = |d: &&Value| d["state"] == "active";
    let id = mine.as_array().unwrap().iter().find(active).unwrap()["id"].clone();
    let id = id.as_str().unwrap();
    let (code, text) = both.resource.remit_as(
        &maria,
        &["delegation", "revoke", id, "--reason", "not this"],
    );
    assert_eq!(code, 0, "{text}");
    let after = both
        .resource
        .call(
            "/mcp",
            access,
            "orders__order_status",
            json!({ "order": "A-118" }),
        )
        .await;
    let said = after["result"]["content"][0]["text"].as_str().unwrap();
    assert!(said.starts_with("DENIED: the run has ended"), "{after}");
    // The assertion was good once.
    let (status, answer) = both.brought("support-triage", assertion).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn nothing_is_asserted_beyond_what_is_listed() {
    let both = Both::start().await;
    let there = both.resource.base();
    for (audience, scope, error) in [
        ("https://evil.example", "", "invalid_target"),
        (there.as_str(), "workflow:refund", "invalid_scope"),
    ] {
        let (status, answer) = both.asserted(audience, scope).await;
        assert_eq!((status, &answer["error"]), (400, &json!(error)), "{answer}");
    }
    // The access token itself is none, at neither end.
    let (status, answer) = both.brought("support-triage", &both.token).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    let metadata = reqwest::get(format!("{there}/.well-known/oauth-authorization-server"));
    let metadata: Value = metadata.await.unwrap().json().await.unwrap();
    assert_eq!(
        metadata["authorization_grant_profiles_supported"],
        json!(["urn:ietf:params:oauth:grant-profile:id-jag"])
    );
    assert_eq!(
        metadata["identity_chaining_requested_token_types_supported"],
        json!([ID_JAG])
    );
}
