//! Who tries what, and does not get it.

use axum::http::Method;
use remit_domain::event::EventKind;
use serde_json::{Value, json};

use super::{enforced, refund};
use crate::tests::house::House;

const ENDPOINTS: [&str; 7] = [
    "/access/v1/evaluation",
    "/access/v1/evaluations",
    "/access/v1/search/subject",
    "/access/v1/search/resource",
    "/access/v1/search/action",
    "/access/v1/outcome",
    "/access/v1/requests",
];

#[tokio::test]
async fn only_an_enforcement_point_of_the_organization_asks() {
    let house = House::new().await;
    let (_, edge) = house.edge().await;
    let spec = json!({ "agents": [{ "agent": "returns-bot" }], "enforce": true });
    let other = house.point("globex", "edge", spec).await;
    let other = house.point_token(&other).await;
    let agent = house.token("acme", "/mcp").await;
    let api = house.token("acme", "/api/v1").await;
    let person = house.person("admin").to_owned();
    for uri in ENDPOINTS {
        for (who, token) in [
            ("nobody", ""),
            ("an agent", agent.as_str()),
            ("an agent for the API", api.as_str()),
            ("a person", person.as_str()),
            ("the operator", house.operator.as_str()),
            ("a point of another organization", other.as_str()),
        ] {
            let answer = house.post(uri, token, refund(5.0)).await;
            assert_eq!(answer.status, 401, "{who} at {uri}: {}", answer.text);
        }
        let elsewhere = format!("/t/globex{uri}");
        assert_eq!(
            house.post(&elsewhere, &edge, refund(5.0)).await.status,
            401,
            "{uri}"
        );
    }
    // A point's token is good here only.
    assert_eq!(house.get("/api/v1/agents", &edge).await.status, 401);
    let run = json!({ "workflow": "refund", "mode": "api", "intent": {} });
    assert_eq!(house.post("/api/v1/runs", &edge, run).await.status, 401);
    let refused = house.told(EventKind::AuthenticationRefused).await;
    let at = |door: &str| {
        let door = json!(door);
        refused
            .iter()
            .filter(|e| e.leaf.facts.get("door") == Some(&door))
            .count()
    };
    assert!(
        at("authzen") > 20,
        "refusals are recorded: {}",
        at("authzen")
    );
}

#[tokio::test]
async fn an_agent_that_is_not_assigned_is_nobody() {
    let house = House::new().await;
    house
        .agent("other-bot", json!([{ "tool": "orders/status" }]))
        .await;
    let (_, token) = house.edge().await;
    let before = house.told(EventKind::CallRefused).await.len();
    let mut answers = Vec::new();
    for id in ["other-bot", "no-such-bot"] {
        let mut body = enforced(5.0);
        body["subject"]["id"] = json!(id);
        let answer = house.decide(&token, body).await;
        assert_eq!(answer["decision"], false);
        answers.push(answer);
    }
    // Whether there is such an agent is not told.
    assert_eq!(answers[0], answers[1]);
    assert_eq!(house.told(EventKind::CallRefused).await.len(), before + 2);
    assert_eq!(house.told(EventKind::CallDecided).await.len(), 0);
}

#[tokio::test]
async fn an_assertion_is_good_once_and_a_token_for_its_time() {
    let house = House::new().await;
    let (point, token) = house.edge().await;
    let assertion = house.point_assertion(&point, "once");
    house.point_token_with(&point, &assertion).await.good();
    let again = house.point_token_with(&point, &assertion).await;
    assert_eq!(
        (again.status, again.json()["error"].as_str()),
        (401, Some("invalid_client"))
    );
    assert_eq!(house.decide(&token, refund(5.0)).await["decision"], true);
    house.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(
        house
            .post("/access/v1/evaluation", &token, refund(5.0))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn what_is_taken_from_a_point_ends_at_once() {
    let house = House::new().await;
    let (point, token) = house.edge().await;
    let admin = house.person("admin").to_owned();
    let uri = "/api/v1/enforcement-points/edge";
    let spec = |key: &remit_token::SigningKey, agents: Value| json!({ "keys": [serde_json::to_value(key.public()).unwrap()], "agents": agents, "reason": "a test" });
    // Its agent, its key, and then itself.
    house
        .put(uri, &admin, spec(&point.key, json!([])))
        .await
        .good();
    assert_eq!(house.decide(&token, refund(5.0)).await["decision"], false);
    let next = super::new_key();
    house
        .put(
            uri,
            &admin,
            spec(&next, json!([{ "agent": "returns-bot" }])),
        )
        .await
        .good();
    assert_eq!(
        house
            .post("/access/v1/evaluation", &token, refund(5.0))
            .await
            .status,
        401
    );
    let back = house.put(uri, &admin, spec(&point.key, json!([]))).await;
    assert_eq!(
        back.status, 409,
        "a removed key never returns: {}",
        back.text
    );
    let point = super::Point { key: next, ..point };
    let token = house.point_token(&point).await;
    assert_eq!(house.decide(&token, refund(5.0)).await["decision"], true);
    let responder = house.person("responder").to_owned();
    let why = json!({ "reason": "its host was taken over" });
    house
        .post(&format!("{uri}/disable"), &responder, why)
        .await
        .good();
    assert_eq!(
        house
            .post("/access/v1/evaluation", &token, refund(5.0))
            .await
            .status,
        401
    );
    let assertion = house.point_assertion(&point, "late");
    assert_eq!(house.point_token_with(&point, &assertion).await.status, 401);
}

#[tokio::test]
async fn a_key_is_of_one_agent_or_one_point() {
    let house = House::new().await;
    let (point, _) = house.edge().await;
    let admin = house.person("admin").to_owned();
    let jwk = serde_json::to_value(point.key.public()).unwrap();
    let body = json!({ "keys": [jwk], "reason": "a test" });
    let second = house
        .put("/api/v1/enforcement-points/second", &admin, body)
        .await;
    assert_eq!(second.status, 409, "{}", second.text);
    let agent = house
        .post(
            "/api/v1/agents/returns-bot/keys",
            &admin,
            json!({ "jwk": jwk }),
        )
        .await;
    assert_eq!(agent.status, 409, "{}", agent.text);
}

#[tokio::test]
async fn a_contained_agent_gets_nothing_through_a_point() {
    let house = House::new().await;
    let (_, token) = house.edge().await;
    let done = house.decide(&token, enforced(5.0)).await;
    assert_eq!(done["decision"], true, "{done}");
    let responder = house.person("responder").to_owned();
    let body = json!({ "target": { "type": "agent", "name": "returns-bot" }, "level": "quarantine", "reason": "a test" });
    let contained = house
        .post("/api/v1/containments", &responder, body)
        .await
        .good()
        .json();
    // The call that a point let through and has not reported is not certified as stopped.
    let items = contained["certificate"]["items"].as_array().unwrap();
    let decision = &done["context"]["remit"]["decision"];
    let call = items.iter().find(|i| i["id"] == *decision);
    let call = call.unwrap_or_else(|| panic!("{contained}"));
    assert_eq!(call["status"], "not_proved", "{call}");
    for body in [refund(5.0), enforced(5.0)] {
        let answer = house.decide(&token, body).await;
        assert_eq!(
            (&answer["decision"], &answer["context"]["reason"]),
            (&json!(false), &json!("contained"))
        );
    }
}

#[tokio::test]
async fn large_deep_and_twisted_requests_are_refused() {
    let house = House::new().await;
    let (_, token) = house.edge().await;
    let send = async |uri: &str, body: String| {
        let mut request = House::request(Method::POST, uri, &token, Some(json!({})));
        *request.body_mut() = body.into();
        house.send(request).await.status
    };
    let one = "/access/v1/evaluation";
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(send(one, deep).await, 400);
    assert_eq!(send(one, format!("\"{}\"", "x".repeat(2 << 20))).await, 413);
    let twice = r#"{"subject":{"type":"agent","id":"returns-bot","id":"other"},"action":{"name":"tools/call"},"resource":{"type":"tool","id":"orders/refund"}}"#;
    assert_eq!(send(one, twice.to_owned()).await, 400);
    let item = json!({ "context": { "arguments": { "amount": 5.0 } } });
    let mut batch = refund(5.0);
    batch["evaluations"] = json!(vec![item.clone(); 10_000]);
    assert_eq!(send("/access/v1/evaluations", batch.to_string()).await, 413);
    batch["evaluations"] = json!(vec![item; 1_000]);
    let answer = house
        .post("/access/v1/evaluations", &token, batch)
        .await
        .good()
        .json();
    assert_eq!(answer["evaluations"].as_array().unwrap().len(), 1_000);
    // Numbers as texts, look-alikes and what is outside Cedar's range are no arguments.
    for amount in [json!("5"), json!(1e300), json!(true), json!([5])] {
        let mut body = refund(5.0);
        body["context"]["arguments"]["amount"] = amount.clone();
        let answer = house.decide(&token, body).await;
        assert_eq!(answer["decision"], false, "{amount}: {answer}");
    }
}

#[tokio::test]
async fn advice_consumes_nothing_and_a_batch_takes_no_effect() {
    let house = House::new().await;
    let (_, token) = house.edge().await;
    let before = house.entries().await;
    assert_eq!(
        house.decide(&token, refund(5.0)).await,
        json!({ "decision": true })
    );
    let denied = house.decide(&token, refund(500.0)).await;
    assert_eq!(denied["decision"], false);
    assert_eq!(denied["context"]["reason"], "denied");
    let mut batch = refund(5.0);
    batch["evaluations"] = json!([
        {}, { "context": { "arguments": { "amount": 500.0 } } }, enforced(5.0), 7,
        { "subject": { "type": "agent" } },
    ]);
    let answer = house
        .post("/access/v1/evaluations", &token, batch.clone())
        .await
        .good()
        .json();
    let decisions: Vec<_> = answer["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["decision"].clone())
        .collect();
    assert_eq!(
        decisions,
        [true, false, false, false, false].map(Value::from)
    );
    assert_eq!(answer["evaluations"][2]["context"]["error"]["status"], 400);
    for (semantic, count) in [
        ("deny_on_first_deny", 2),
        ("permit_on_first_permit", 1),
        ("execute_all", 5),
    ] {
        batch["options"] = json!({ "evaluations_semantic": semantic });
        let answer = house
            .post("/access/v1/evaluations", &token, batch.clone())
            .await
            .good()
            .json();
        assert_eq!(
            answer["evaluations"].as_array().unwrap().len(),
            count,
            "{semantic}"
        );
    }
    assert_eq!(house.entries().await, before, "advice leaves no trace");
}
