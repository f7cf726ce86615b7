//! REST beyond who may: revisions, strictness, lists, and a run from delegation to its end.

use axum::http::Method;
use serde_json::json;

use super::house::House;

#[tokio::test]
async fn a_write_on_an_old_revision_is_refused() {
    let house = House::new().await;
    let admin = house.person("admin");
    let seen = house.get("/api/v1/systems/shop", admin).await.good();
    let etag = seen.header("etag").to_owned();
    let spec = |criticality: &str| json!({ "owner": "admin@acme.example", "environment": "production", "criticality": criticality });
    let write = |criticality: &str, etag: &str| {
        let mut request = House::request(
            Method::PUT,
            "/api/v1/systems/shop",
            admin,
            Some(spec(criticality)),
        );
        request
            .headers_mut()
            .insert("if-match", etag.parse().unwrap());
        house.send(request)
    };
    let written = write("low", &etag).await.good();
    assert_ne!(written.header("etag"), etag);
    let stale = write("medium", &etag).await;
    assert_eq!(
        (stale.status, stale.json()["code"].as_str()),
        (409, Some("conflict"))
    );
    assert_eq!(stale.header("content-type"), "application/problem+json");
    assert_eq!(
        house.get("/api/v1/systems/shop", admin).await.json()["criticality"],
        "low"
    );
}

#[tokio::test]
async fn what_is_not_known_is_refused() {
    let house = House::new().await;
    let admin = house.person("admin");
    for (uri, body) in [
        ("/api/v1/teams/new", json!({ "unknown": 1 })),
        ("/api/v1/teams/NOT-A-NAME", json!({})),
        (
            "/api/v1/people/not-an-address",
            json!({ "display_name": "x" }),
        ),
    ] {
        let answer = house.put(uri, admin, body).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (400, Some("invalid-request")),
            "{uri}: {}",
            answer.text
        );
    }
    assert_eq!(
        house.get("/api/v1/agents?unknown=1", admin).await.status,
        400
    );
    assert_eq!(
        house
            .get("/api/v1/agents?limit=1&limit=2", admin)
            .await
            .status,
        400
    );
    assert_eq!(house.get("/api/v1/nothing", admin).await.status, 404);
    assert_eq!(
        house
            .send(House::request(Method::PATCH, "/api/v1/agents", admin, None))
            .await
            .status,
        405
    );
    let mut twice = House::request(Method::PUT, "/api/v1/teams/new", admin, Some(json!({})));
    *twice.body_mut() = axum::body::Body::from(r#"{"a":1,"a":2}"#);
    assert_eq!(house.send(twice).await.status, 400);
    let mut text = House::request(Method::PUT, "/api/v1/teams/new", admin, Some(json!({})));
    text.headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(house.send(text).await.status, 415);
    let mut large = House::request(Method::PUT, "/api/v1/teams/new", admin, Some(json!({})));
    *large.body_mut() = axum::body::Body::from(vec![b' '; crate::limits::BODY_BYTES_MAX + 1]);
    assert_eq!(house.send(large).await.status, 413);
}

#[tokio::test]
async fn lists_come_a_page_at_a_time() {
    let house = House::new().await;
    let admin = house.person("admin");
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = house
            .get(&format!("/api/v1/people?limit=3&after={after}"), admin)
            .await
            .good()
            .json();
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| p["email"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((seen.len(), unique.len()), (8, 8), "{seen:?}");
}

#[tokio::test]
async fn who_asks_is_told_who_they_are() {
    let house = House::new().await;
    let person = house
        .get("/api/v1/whoami", house.person("auditor"))
        .await
        .good()
        .json();
    assert_eq!(
        (&person["type"], &person["name"], &person["roles"]),
        (
            &json!("person"),
            &json!("auditor@acme.example"),
            &json!(["auditor"])
        )
    );
    let token = house.token("acme", "/mcp").await;
    let agent = house.get("/api/v1/whoami", &token).await.good().json();
    assert_eq!(
        (&agent["type"], &agent["name"], &agent["organization"]),
        (&json!("agent"), &json!("returns-bot"), &json!("acme"))
    );
    let operator = house
        .get("/api/v1/whoami", &house.operator)
        .await
        .good()
        .json();
    assert_eq!(
        (&operator["type"], &operator["organization"]),
        (&json!("operator"), &json!(null))
    );
}

#[tokio::test]
async fn a_person_delegates_opens_a_run_and_ends_it() {
    let house = House::new().await;
    let person = house.person("nobody");
    let wanted = json!({ "agent": "returns-bot", "workflow": "refund", "kind": "interactive", "for_secs": 3600 });
    let delegation = house
        .post("/api/v1/delegations", person, wanted)
        .await
        .good()
        .json();
    let id = delegation["id"].as_str().unwrap();
    let assertion = house
        .post(
            &format!("/api/v1/delegations/{id}/assertion"),
            person,
            json!({}),
        )
        .await
        .good()
        .json();
    assert_eq!(assertion["expires_in"], 300);
    let other = house
        .post(
            &format!("/api/v1/delegations/{id}/assertion"),
            house.person("admin"),
            json!({}),
        )
        .await;
    assert_eq!(
        other.status, 404,
        "only whose delegation it is may use it: {}",
        other.text
    );
    let run = json!({ "workflow": "returns-bot/refund", "mode": "interactive", "delegation": id, "intent": { "purpose": "one return" } });
    let run = house.post("/api/v1/runs", person, run).await.good().json();
    let run_id = run["id"].as_str().unwrap();
    assert_eq!(
        house
            .get(&format!("/api/v1/runs/{run_id}"), person)
            .await
            .good()
            .json()["state"],
        "active"
    );
    let ended = house
        .post(
            &format!("/api/v1/runs/{run_id}/end"),
            person,
            json!({ "outcome": "done" }),
        )
        .await
        .good()
        .json();
    assert_eq!(ended["run"]["state"], "ended");
    let story = house
        .get(&format!("/api/v1/runs/{run_id}/events"), person)
        .await
        .good()
        .json();
    assert!(
        story["events"].as_array().is_some_and(|e| e.len() >= 2),
        "{story}"
    );
}

#[tokio::test]
async fn an_agent_opens_and_sees_its_own_run_only() {
    let house = House::new().await;
    let token = house.token("acme", "/api/v1").await;
    let run = json!({ "workflow": "refund", "mode": "api", "intent": { "purpose": "one return" } });
    let run = house.post("/api/v1/runs", &token, run).await.good().json();
    let uri = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    assert_eq!(
        house.get(&uri, &token).await.good().json()["agent"],
        "returns-bot"
    );
    let stranger = house.token("globex", "/api/v1").await;
    assert_eq!(
        house
            .get(&format!("/t/globex{uri}"), &stranger)
            .await
            .status,
        404
    );
    assert_eq!(house.get("/api/v1/runs", &token).await.status, 403);
}

#[tokio::test]
async fn a_code_is_good_once() {
    let house = House::new().await;
    let admin = house.person("admin");
    let link = house
        .post(
            "/api/v1/people/nobody@acme.example/enrolments",
            admin,
            json!({}),
        )
        .await
        .good()
        .json();
    let body = json!({ "code": link["code"], "label": "laptop", "days": 1 });
    assert_eq!(
        house
            .post("/api/v1/enrolments/redeem", "", body.clone())
            .await
            .status,
        201
    );
    assert_eq!(
        house
            .post("/api/v1/enrolments/redeem", "", body.clone())
            .await
            .status,
        401
    );
    assert_eq!(
        house
            .post("/t/globex/api/v1/enrolments/redeem", "", body)
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn documents_with_faults_name_their_lines() {
    let house = House::new().await;
    let body = json!({ "documents": "apiVersion: remit.dev/v1\nkind: Team\nmetadata: { name: a }\nspec: { wrong: 1 }\n" });
    let plan = house
        .post("/api/v1/plan", house.person("admin"), body.clone())
        .await
        .good()
        .json();
    assert_eq!(plan["errors"][0]["line"], 4, "{plan}");
    let applied = house
        .post("/api/v1/apply", house.person("admin"), body)
        .await;
    assert_eq!(
        (applied.status, &applied.json()["errors"][0]["line"]),
        (400, &json!(4))
    );
    let pruned = json!({ "documents": "", "prune": true });
    assert_eq!(
        house
            .post("/api/v1/plan", house.person("admin"), pruned)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn text_comes_as_text() {
    let house = House::new().await;
    let proof = house
        .get("/api/v1/audit/entries/0/proof", house.person("auditor"))
        .await
        .good();
    assert_eq!(proof.header("content-type"), "text/plain; charset=utf-8");
    assert!(
        proof.text.starts_with("c2sp.org/tlog-proof@v1\n"),
        "{}",
        proof.text
    );
    let schema = house
        .get("/api/v1/policies/schema", house.person("nobody"))
        .await
        .good();
    assert!(schema.header("content-type").starts_with("text/plain"));
    let agent = house
        .get("/api/v1/schemas/agent.json", house.person("nobody"))
        .await
        .good()
        .json();
    assert_eq!(agent["title"], "Agent");
}
