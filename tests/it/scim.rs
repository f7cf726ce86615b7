//! SCIM end to end: somebody else's tester, a departure that stops what is at work, and attacks on the wire.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, installed};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const MARIA: &str = "maria@acme.example";

/// What the tester finds that is so on purpose: `active` has no third state that removing it could lead to.
const KNOWN: [&str; 1] = ["PATCH modify() did not remove attribute 'active'"];

/// A directory with this mapping; its token.
async fn directory(server: &Server, groups: Value) -> String {
    let mapping = json!({ "groups": groups });
    let path = "/scim-clients/okta";
    server.admin_rest(Method::PUT, path, Some(mapping)).await;
    let (code, token) = server.remit(&["scim", "token", "okta", "--days", "1", "-o", "name"]);
    assert_eq!(code, 0, "{token}");
    token.trim().to_owned()
}

/// Asks as a directory, or as whoever has the token.
async fn scim(
    server: &Server,
    method: Method,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let http = reqwest::Client::new();
    let url = format!("{}/scim/v2{path}", server.base());
    let mut request = http.request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request
            .header("content-type", "application/scim+json")
            .body(body.to_string());
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

fn patch(operation: Value) -> Option<Value> {
    Some(json!({ "schemas": [PATCH], "Operations": [operation] }))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tester_of_the_python_scim_project_finds_nothing_unknown() {
    let server = Server::dev().await;
    let token = directory(&server, json!({})).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/scim_check.py");
    let url = format!("{}/scim/v2", server.base());
    let output = Command::new(installed("REMIT_TEST_PY_SCIM"))
        .args([script, &url, &token])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |status: &str| results.iter().filter(|r| r["status"] == status).count();
    assert!(of("SUCCESS") >= 40, "{results:#?}");
    let known = |result: &Value| {
        let reason = result["reason"].as_str().unwrap();
        KNOWN.contains(&reason)
    };
    let wrong = results.iter().filter(|r| {
        let status = r["status"].as_str().unwrap();
        !matches!(status, "SUCCESS" | "SKIPPED") && !known(r)
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_the_directory_says_has_left_has_no_agent_at_work_after_that() {
    let server = Server::dev().await;
    let directory = directory(&server, json!({})).await;
    let maria = server.person(MARIA);
    let new = json!({ "agent": "support-triage", "workflow": "refund", "kind": "interactive", "for_secs": 600 });
    let (status, made) = server
        .rest(Method::POST, "/delegations", &maria, Some(new))
        .await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap();
    let path = format!("/delegations/{id}/assertion");
    let (_, made) = server
        .rest(Method::POST, &path, &maria, Some(json!({})))
        .await;
    let subject = made["subject_token"].as_str().unwrap();
    let token = server.exchange("support-triage", "refund", subject).await;
    let order = || {
        let args = json!({ "order": "A-118" });
        server.call("/mcp", &token, "orders__order_status", args)
    };
    let before = order().await;
    assert!(
        before["result"].is_object() && before["result"]["isError"] != true,
        "{before}"
    );

    let find = format!(
        "/Users?filter=userName%20eq%20%22{}%22",
        MARIA.to_uppercase()
    );
    let (status, found) = scim(&server, Method::GET, &find, &directory, None).await;
    assert_eq!(
        (status, &found["totalResults"]),
        (200, &json!(1)),
        "{found}"
    );
    let user = format!("/Users/{}", found["Resources"][0]["id"].as_str().unwrap());
    let gone = patch(json!({ "op": "Replace", "path": "active", "value": "False" }));
    let (status, answer) = scim(&server, Method::PATCH, &user, &directory, gone).await;
    assert_eq!(
        (status, &answer["active"]),
        (200, &json!(false)),
        "{answer}"
    );
    let after = order().await;
    assert!(
        after["result"]["isError"] == true || after.get("result").is_none(),
        "{after}"
    );
    let (status, _) = server.rest(Method::GET, "/agents", &maria, None).await;
    assert_eq!(status, 401, "nor do they themselves come in");
    let back = patch(json!({ "op": "replace", "value": { "active": true } }));
    let (status, answer) = scim(&server, Method::PATCH, &user, &directory, back).await;
    assert_eq!(status, 409, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_let_in_by_its_own_token_only_and_reaches_nothing_else() {
    let server = Server::dev().await;
    let token = directory(&server, json!({ "Responders": { "roles": ["responder"] } })).await;
    let all = |token: &str| {
        let token = token.to_owned();
        let server = &server;
        async move { scim(server, Method::GET, "/Users", &token, None).await.0 }
    };
    assert_eq!(all(&token).await, 200);
    let agent = server.agent_token("support-triage", "answer").await;
    let mut cut = token.clone();
    cut.pop();
    for wrong in [
        server.admin(),
        server.person(MARIA),
        agent,
        cut,
        "x".to_owned(),
    ] {
        assert_eq!(all(&wrong).await, 401, "{wrong}");
    }
    let (status, _) = server.rest(Method::GET, "/people", &token, None).await;
    assert_eq!(status, 401, "the token opens nothing but the interface");
    let elsewhere = format!("{}/t/other/scim/v2/Users", server.base());
    let answer = reqwest::Client::new().get(elsewhere).bearer_auth(&token);
    assert_ne!(answer.send().await.unwrap().status(), 200);
    let revoke = ["scim", "revoke", "okta", "--reason", "it was stolen"];
    assert_eq!(server.remit(&revoke).0, 0);
    assert_eq!(all(&token).await, 401, "at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_directorys_to_write_is_refused_and_so_are_filter_bombs() {
    let server = Server::dev().await;
    let token = directory(&server, json!({ "Responders": { "roles": ["responder"] } })).await;
    let new = json!({ "schemas": [USER], "userName": "new@acme.example", "roles": [{ "value": "admin" }],
        "name": { "givenName": "Nia", "familyName": "Newman" } });
    let (status, made) = scim(&server, Method::POST, "/Users", &token, Some(new)).await;
    assert_eq!(
        (status, &made["displayName"]),
        (201, &json!("Nia Newman")),
        "{made}"
    );
    assert!(made.get("roles").is_none(), "{made}");
    let user = format!("/Users/{}", made["id"].as_str().unwrap());
    for (operation, kind) in [
        (
            json!({ "op": "add", "path": "roles", "value": [{ "value": "admin" }] }),
            "mutability",
        ),
        (
            json!({ "op": "add", "path": "groups", "value": [{ "value": "grp" }] }),
            "mutability",
        ),
        (
            json!({ "op": "replace", "path": "userName", "value": "me@evil.example" }),
            "invalidValue",
        ),
        (
            json!({ "op": "replace", "path": "superuser", "value": true }),
            "invalidPath",
        ),
    ] {
        let (status, answer) = scim(&server, Method::PATCH, &user, &token, patch(operation)).await;
        assert_eq!(
            (status, &answer["scimType"]),
            (400, &json!(kind)),
            "{answer}"
        );
    }
    let deep = format!("/Users?filter={}", "(".repeat(900));
    let wide = format!("/Users?filter={}", vec!["a%20pr"; 60].join("%20or%20"));
    for bomb in [deep, wide] {
        let (status, answer) = scim(&server, Method::GET, &bomb, &token, None).await;
        assert_eq!(
            (status, &answer["scimType"]),
            (400, &json!("invalidFilter")),
            "{answer}"
        );
    }
    let path = "/audit/entries?kind=authentication.refused";
    let recorded = server.admin_rest(Method::GET, path, None).await.to_string();
    assert_eq!(recorded.matches("scim-filter-refused").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_at_a_time_and_nothing_overwritten_unseen() {
    let server = Server::dev().await;
    let token = directory(&server, json!({})).await;
    let ask = |method, path: String, body| {
        let (server, token) = (&server, &token);
        async move { scim(server, method, &path, token, body).await }
    };
    let (_, first) = ask(
        Method::GET,
        "/Users?count=2&attributes=userName".to_owned(),
        None,
    )
    .await;
    let (_, second) = ask(Method::GET, "/Users?startIndex=3&count=2".to_owned(), None).await;
    assert_eq!(
        (&first["itemsPerPage"], &second["startIndex"]),
        (&json!(2), &json!(3))
    );
    assert_ne!(first["Resources"][1]["id"], second["Resources"][0]["id"]);
    assert!(first["Resources"][0].get("emails").is_none(), "{first}");
    let id = first["Resources"][0]["id"].as_str().unwrap();
    let url = format!("{}/scim/v2/Users/{id}", server.base());
    let http = reqwest::Client::new();
    let found = http.get(&url).bearer_auth(&token).send().await.unwrap();
    let tag = found.headers()["etag"].to_str().unwrap().to_owned();
    let same = http
        .get(&url)
        .bearer_auth(&token)
        .header("if-none-match", &tag);
    assert_eq!(same.send().await.unwrap().status(), 304);
    let renamed = json!({ "schemas": [PATCH], "Operations": [{ "op": "replace", "path": "displayName", "value": "Renamed" }] });
    for expected in [200, 412] {
        let change = http
            .patch(&url)
            .bearer_auth(&token)
            .header("if-match", &tag);
        let change = change.header("content-type", "application/scim+json");
        let answer = change.body(renamed.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), expected);
    }
    let (status, agents) = ask(
        Method::GET,
        "/Agents?filter=active%20eq%20true".to_owned(),
        None,
    )
    .await;
    assert_eq!(status, 200);
    let agent = format!("/Agents/{}", agents["Resources"][0]["id"].as_str().unwrap());
    let stop = patch(json!({ "op": "replace", "path": "active", "value": false }));
    let (status, stopped) = ask(Method::PATCH, agent.clone(), stop).await;
    assert_eq!(
        (status, &stopped["active"]),
        (200, &json!(false)),
        "{stopped}"
    );
    let start = patch(json!({ "op": "replace", "path": "active", "value": true }));
    assert_eq!(ask(Method::PATCH, agent, start).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_a_directory_registers_waits_for_people() {
    let server = Server::dev().await;
    let token = directory(&server, json!({})).await;
    let ask = async |method: Method, path: String, body: Option<Value>| {
        scim(&server, method, &path, &token, body).await
    };
    let (_, agents) = ask(Method::GET, "/Agents".to_owned(), None).await;
    let owners = agents["Resources"][0]["owners"].clone();
    let schema = "urn:ietf:params:scim:schemas:core:2.0:Agent";
    let new = json!({ "schemas": [schema], "agentUserName": "from-okta", "description": "answers", "active": true,
        "owners": owners });
    let (status, registered) = ask(Method::POST, "/Agents".to_owned(), Some(new.clone())).await;
    assert_eq!(
        (status, &registered["active"]),
        (201, &json!(false)),
        "{registered}"
    );
    assert_eq!(registered["owners"], owners);
    assert_eq!(
        ask(Method::POST, "/Agents".to_owned(), Some(new.clone()))
            .await
            .0,
        409
    );
    let mut other = new;
    other["agentUserName"] = json!("another-name");
    let path = format!("/Agents/{}", registered["id"].as_str().unwrap());
    let (status, refused) = ask(Method::PUT, path, Some(other)).await;
    assert_eq!(
        (status, &refused["scimType"]),
        (400, &json!("mutability")),
        "{refused}"
    );
}
