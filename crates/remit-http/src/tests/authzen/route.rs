//! HTTP requests of a gateway: what its routes declare, read in one way, and nothing else.

use remit_domain::event::EventKind;
use serde_json::{Value, json};

use crate::tests::house::House;

async fn gateway() -> (House, String) {
    let house = House::new().await;
    let spec = json!({
        "agents": [{ "agent": "returns-bot" }], "enforce": true,
        "routes": [
            { "method": "POST", "host": "shop.example", "path": "/refunds", "body": "json", "tool": "orders/refund" },
            { "method": "POST", "path": "/refunds/{amount}", "query": ["note"], "tool": "orders/refund" },
            { "method": "GET", "path": "/status/{region}", "tool": "orders/status" },
        ],
    });
    let point = house.point("acme", "gateway", spec).await;
    let token = house.point_token(&point).await;
    (house, token)
}

fn request(method: &str, path: &str, body: Value) -> Value {
    let mut asked = json!({
        "subject": { "type": "agent", "id": "returns-bot" }, "action": { "name": method },
        "resource": { "type": "http", "id": path, "properties": { "host": "shop.example" } },
        "context": { "remit": { "enforce": true } },
    });
    if !body.is_null() {
        asked["context"]["body"] = body;
    }
    asked
}

#[tokio::test]
async fn a_declared_request_is_the_call_of_its_tool() {
    let (house, token) = gateway().await;
    for (asked, arguments) in [
        (
            request("POST", "/refunds", json!({ "amount": 5 })),
            json!({ "amount": 5 }),
        ),
        (
            request("POST", "/refunds/7.5", Value::Null),
            json!({ "amount": 7.5 }),
        ),
        (
            request("GET", "/status/eu%20west", Value::Null),
            json!({ "region": "eu west" }),
        ),
    ] {
        let done = house.decide(&token, asked).await;
        assert_eq!(done["context"]["remit"]["arguments"], arguments, "{done}");
    }
    let denied = house
        .decide(&token, request("POST", "/refunds/500", Value::Null))
        .await;
    assert_eq!(denied["decision"], false);
    assert_eq!(house.told(EventKind::CallDecided).await.len(), 4);
}

#[tokio::test]
async fn what_is_not_declared_or_read_in_one_way_is_denied() {
    let (house, token) = gateway().await;
    let mut elsewhere = request("POST", "/refunds", json!({ "amount": 5 }));
    elsewhere["resource"]["properties"]["host"] = json!("other.example");
    let none = Value::Null;
    for (what, asked) in [
        ("no route", request("POST", "/other", none.clone())),
        (
            "another method",
            request("DELETE", "/refunds/5", none.clone()),
        ),
        ("another host", elsewhere),
        (
            "no body where there is one",
            request("POST", "/refunds", none.clone()),
        ),
        ("no object", request("POST", "/refunds", json!([5]))),
        (
            "a body where there is none",
            request("POST", "/refunds/5", json!({})),
        ),
        (
            "an undeclared parameter",
            request("POST", "/refunds/5?amount=500", none.clone()),
        ),
        (
            "a parameter twice",
            request("POST", "/refunds/5?note=a&note=b", none.clone()),
        ),
        (
            "an encoded slash",
            request("GET", "/status/a%2fb", none.clone()),
        ),
        (
            "an encoded percent",
            request("GET", "/status/a%252fb", none.clone()),
        ),
        (
            "a step back",
            request("GET", "/status/%2e%2e", none.clone()),
        ),
        (
            "a parameter of the path",
            request("GET", "/status/a;b", none.clone()),
        ),
        ("a fragment", request("GET", "/status/a#b", none.clone())),
        (
            "half an escape",
            request("GET", "/status/a%2", none.clone()),
        ),
        (
            "a number in another form",
            request("POST", "/refunds/5e0", none.clone()),
        ),
        ("one more part", request("GET", "/status/a/b", none)),
    ] {
        let answer = house.decide(&token, asked).await;
        assert_eq!(answer["decision"], false, "{what}: {answer}");
    }
    assert_eq!(house.told(EventKind::CallDecided).await.len(), 0);
}
