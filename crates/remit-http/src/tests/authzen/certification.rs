//! The certification scenario of the AuthZEN working group, case by case.
//!
//! Source: openid/authzen, commit e287920e (2026-08-20): `certification/authorization-api-1_0-scenario.md`. A subject of theirs is an
//! agent here, known by the name that its assignment gives it; a resource type is an upstream, an action a tool.

use axum::http::Method;
use serde_json::{Value, json};

use super::{grant, known_as, one_of};
use crate::tests::house::{Answer, House, URL};

/// The required fixture of the certification scenario (c-1).
async fn certified() -> (House, String) {
    let house = House::new().await;
    let record: &[(&str, &str)] = &[("id", "string"), ("status", "string")];
    let delete: &[(&str, &str)] = &[("id", "string"), ("soft", "boolean")];
    house
        .guarded(
            "record",
            &[
                ("read", "read", record),
                ("write", "write", record),
                ("delete", "write", delete),
            ],
        )
        .await;
    let both = || one_of(json!(["record-1", "record-2"]));
    let alice = json!([
        grant("record/read", json!({ "id": both() })),
        grant("record/write", json!({ "id": one_of(json!(["record-1"])) })),
        grant(
            "record/write",
            json!({ "id": both(), "status": one_of(json!(["active"])) })
        ),
        grant(
            "record/delete",
            json!({ "id": both(), "soft": one_of(json!([true])) })
        ),
    ]);
    let bob = json!([
        grant("record/read", json!({ "id": both() })),
        grant("record/write", json!({ "id": one_of(json!(["record-2"])) })),
    ]);
    house.agent("alice", alice).await;
    house.agent("bob", bob).await;
    let token = known_as(&house, &[("alice", "alice"), ("bob", "bob")]).await;
    (house, token)
}

fn ask(subject: &str, action: Value, resource: &str) -> Value {
    json!({ "subject": { "type": "user", "id": subject }, "action": action, "resource": { "type": "record", "id": resource } })
}

#[tokio::test]
async fn certification_basic() {
    let (house, token) = certified().await;
    let name = |name: &str| json!({ "name": name });
    let with = |mut body: Value, at: &str, properties: Value| {
        body[at]["properties"] = properties;
        body
    };
    let archived = json!({ "status": "archived" });
    let mut context = ask("alice", name("read"), "record-1");
    context["context"] = json!({ "time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1" });
    let mut unknown = ask("alice", name("read"), "record-1");
    unknown["foo"] = json!("bar");
    unknown["futureField"] = json!({ "nested": true });
    let additional = json!({
        "subject": { "type": "user", "id": "alice", "properties": { "department": "Sales", "role": "manager" } },
        "action": { "name": "read", "properties": { "method": "GET" } },
        "resource": { "type": "record", "id": "record-1", "properties": { "status": "active", "owner": "bob" } },
    });
    let admin = with(
        with(
            ask("bob", name("write"), "record-2"),
            "resource",
            archived.clone(),
        ),
        "subject",
        json!({ "role": "admin" }),
    );
    let soft = |soft: bool| {
        ask(
            "alice",
            json!({ "name": "delete", "properties": { "soft": soft } }),
            "record-1",
        )
    };
    for (case, body, expected) in [
        ("c-2-2-1", ask("alice", name("read"), "record-1"), true),
        ("rule 2", ask("alice", name("write"), "record-1"), true),
        ("rule 3", ask("bob", name("read"), "record-1"), true),
        ("c-2-2-2", ask("bob", name("write"), "record-1"), false),
        ("c-2-2-3", context, true),
        (
            "c-2-2-4",
            with(
                ask("alice", name("write"), "record-2"),
                "resource",
                archived,
            ),
            false,
        ),
        ("c-2-2-5", admin, true),
        ("c-2-2-6", soft(true), true),
        ("c-2-2-7", soft(false), false),
        ("c-2-2-8", additional, true),
        ("c-2-2-9", unknown, true),
    ] {
        // c-2-6: the same each time.
        for _ in 0..3 {
            let answer = house.decide(&token, body.clone()).await;
            assert_eq!(answer["decision"], expected, "{case}: {answer}");
            assert!(answer.get("context").is_none_or(Value::is_object), "{case}");
        }
    }
}

async fn raw(house: &House, token: &str, uri: &str, kind: &str, body: &str) -> Answer {
    let mut request = House::request(Method::POST, uri, token, Some(json!({})));
    request
        .headers_mut()
        .insert("content-type", kind.parse().unwrap());
    request
        .headers_mut()
        .insert("x-request-id", ID.parse().unwrap());
    *request.body_mut() = body.to_owned().into();
    house.send(request).await
}

/// c-2-4: what is missing, of another type, or no JSON at all.
fn wrong_bodies(good: &Value) -> Vec<String> {
    let without = |path: &[&str]| {
        let mut body = good.clone();
        let (last, above) = path.split_last().unwrap();
        let mut at = &mut body;
        for name in above {
            at = &mut at[*name];
        }
        at.as_object_mut().unwrap().remove(*last);
        body.to_string()
    };
    let mut text = good.clone();
    text["subject"] = json!("alice");
    let mut number = good.clone();
    number["action"]["name"] = json!(123);
    vec![
        without(&["subject"]),
        without(&["action"]),
        without(&["resource"]),
        without(&["subject", "type"]),
        without(&["subject", "id"]),
        without(&["action", "name"]),
        without(&["resource", "type"]),
        without(&["resource", "id"]),
        text.to_string(),
        number.to_string(),
        "{".to_owned(),
        String::new(),
    ]
}

const ID: &str = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716";

#[tokio::test]
async fn certification_errors_and_headers() {
    let (house, token) = certified().await;
    let uri = "/access/v1/evaluation";
    let good = ask("alice", json!({ "name": "read" }), "record-1");
    for body in wrong_bodies(&good) {
        let answer = raw(&house, &token, uri, "application/json", &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(
            answer.json().is_string(),
            "the body is a message: {}",
            answer.text
        );
        assert_eq!(answer.header("x-request-id"), ID);
    }
    let plain = raw(&house, &token, uri, "text/plain", &good.to_string()).await;
    assert_eq!(plain.status, 400, "c-2-4-3");
    let answer = raw(&house, &token, uri, "application/json", &good.to_string()).await;
    let answer = answer.good();
    assert_eq!(answer.header("x-request-id"), ID, "c-2-5-1");
    assert_eq!(answer.header("content-type"), "application/json");
    let own = house.post(uri, &token, good).await.good();
    assert_ne!(own.header("x-request-id"), "", "c-2-5-2");
}

#[tokio::test]
async fn certification_batch() {
    let (house, token) = certified().await;
    let many = async |body: Value| {
        let answer = house
            .post("/access/v1/evaluations", &token, body)
            .await
            .good()
            .json();
        let all = answer["evaluations"].as_array().unwrap();
        all.iter()
            .map(|d| d["decision"].as_bool().unwrap())
            .collect::<Vec<_>>()
    };
    let record = |id: &str, properties: Value| json!({ "resource": { "type": "record", "id": id, "properties": properties } });
    let of = |user: &str| json!({ "type": "user", "id": user });
    let body = json!({ "subject": of("alice"), "action": { "name": "read" }, "evaluations": [record("record-1", json!({})), record("record-2", json!({}))] });
    assert_eq!(many(body).await.len(), 2, "c-3-2-1");
    let body = json!({
        "subject": of("bob"), "resource": { "type": "record", "id": "record-1" },
        "evaluations": [{ "action": { "name": "read" } }, { "action": { "name": "write" } }],
    });
    assert_eq!(many(body).await, [true, false], "c-3-2-2");
    let items = json!([
        record("record-1", json!({ "status": "active" })),
        record("record-2", json!({ "status": "archived" }))
    ]);
    let body =
        json!({ "subject": of("alice"), "action": { "name": "write" }, "evaluations": items });
    assert_eq!(many(body).await, [true, false], "c-3-2-3");
    // An item of its own wins over what is said of all, and one that is wrong is denied by itself.
    let body = json!({
        "subject": of("alice"), "action": { "name": "read" }, "resource": { "type": "record", "id": "record-1" },
        "evaluations": [{}, { "subject": of("bob"), "action": { "name": "write" } }, { "subject": "alice" }, { "resource": { "type": "record" } }],
    });
    assert_eq!(many(body).await, [true, false, false, false]);
    for empty in [json!([]), Value::Null] {
        let mut single = ask("alice", json!({ "name": "read" }), "record-1");
        single["evaluations"] = empty;
        let answer = house
            .post("/access/v1/evaluations", &token, single)
            .await
            .good()
            .json();
        assert_eq!(
            answer["decision"], true,
            "without evaluations it is a single one"
        );
    }
    let wrong = house
        .post(
            "/access/v1/evaluations",
            &token,
            json!({ "evaluations": {} }),
        )
        .await;
    assert_eq!(wrong.status, 400);
}

fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

fn record(id: &str) -> Value {
    json!({ "type": "record", "id": id })
}

fn asked(subject: Value, action: &str, resource: Value) -> Value {
    json!({ "subject": subject, "action": { "name": action }, "resource": resource })
}

/// S1: who may read `record-1`.
fn s1() -> Value {
    asked(json!({ "type": "user" }), "read", record("record-1"))
}

async fn search(house: &House, token: &str, what: &str, body: Value) -> Answer {
    house
        .post(&format!("/access/v1/search/{what}"), token, body)
        .await
}

#[tokio::test]
async fn certification_search() {
    let (house, token) = certified().await;
    let mut ignored = s1();
    ignored["subject"]["id"] = json!("alice");
    ignored["context"] = json!({ "ip": "192.168.1.1" });
    let mut archived = record("record-2");
    archived["properties"] = json!({ "status": "archived" });
    let mut bob = user("bob");
    bob["properties"] = json!({ "role": "admin" });
    let users = json!([user("alice"), user("bob")]);
    let actions = json!([{ "name": "read" }, { "name": "write" }]);
    let records = json!({ "type": "record" });
    let both = json!([record("record-1"), record("record-2")]);
    let s3 = json!({ "subject": user("alice"), "resource": record("record-1") });
    let s4 = asked(json!({ "type": "user" }), "write", archived.clone());
    let s6 = json!({ "subject": bob, "resource": archived });
    for (case, what, body, expected) in [
        ("S1", "subject", s1(), users.clone()),
        ("c-4-2-2, c-4-2-3", "subject", ignored, users),
        (
            "S2",
            "resource",
            asked(user("alice"), "read", records.clone()),
            both,
        ),
        ("S3", "action", s3, actions.clone()),
        ("S4", "subject", s4, json!([user("bob")])),
        (
            "S5",
            "resource",
            asked(bob, "write", records),
            json!([record("record-2")]),
        ),
        ("S6", "action", s6, actions),
    ] {
        let found = search(&house, &token, what, body).await.good().json();
        assert_eq!(found["results"], expected, "{case}");
    }
}

#[tokio::test]
async fn certification_search_for_nothing_and_for_what_is_no_question() {
    let (house, token) = certified().await;
    let (any_user, any_record) = (json!({ "type": "user" }), json!({ "type": "record" }));
    let nobody = json!({ "subject": user("nonexistent-user"), "resource": record("record-1") });
    let spaceship = || json!({ "type": "spaceship" });
    for (what, body) in [
        ("action", nobody),
        ("subject", asked(spaceship(), "read", record("record-1"))),
        ("resource", asked(user("alice"), "read", spaceship())),
    ] {
        let found = search(&house, &token, what, body).await.good().json();
        assert_eq!(found["results"], json!([]), "c-4-6 {what}");
    }
    for (what, body) in [
        (
            "subject",
            json!({ "subject": any_user, "resource": record("record-1") }),
        ),
        (
            "resource",
            json!({ "action": { "name": "read" }, "resource": any_record }),
        ),
        ("action", json!({ "subject": user("alice") })),
        (
            "subject",
            asked(any_user.clone(), "read", any_record.clone()),
        ),
        ("resource", asked(any_user.clone(), "read", any_record)),
        (
            "action",
            json!({ "subject": any_user, "resource": record("record-1") }),
        ),
    ] {
        let status = search(&house, &token, what, body).await.status;
        assert_eq!(status, 400, "c-4-7 {what}");
    }
}

#[tokio::test]
async fn certification_pages() {
    let (house, token) = certified().await;
    let mut paged = s1();
    paged["page"] = json!({ "limit": 1 });
    let first = search(&house, &token, "subject", paged.clone())
        .await
        .good()
        .json();
    assert_eq!(first["results"], json!([user("alice")]));
    paged["page"]["token"] = first["page"]["next_token"].clone();
    let second = search(&house, &token, "subject", paged.clone())
        .await
        .good()
        .json();
    assert_eq!(second["results"], json!([user("bob")]));
    assert_eq!(second["page"]["next_token"], "");
    paged["action"] = json!({ "name": "write" });
    let other = search(&house, &token, "subject", paged).await;
    assert_eq!(other.status, 400, "a token is good for its own question");
}

#[tokio::test]
async fn certification_discovery() {
    let house = House::new().await;
    for (path, base) in [
        ("", URL.to_owned()),
        ("/t/globex", format!("{URL}/t/globex")),
    ] {
        let answer = house
            .get(&format!("/.well-known/authzen-configuration{path}"), "")
            .await
            .good();
        assert_eq!(answer.header("content-type"), "application/json");
        let found = answer.json();
        assert_eq!(found["policy_decision_point"], json!(base));
        for (name, end) in [
            ("access_evaluation_endpoint", "evaluation"),
            ("access_evaluations_endpoint", "evaluations"),
            ("search_subject_endpoint", "search/subject"),
            ("search_resource_endpoint", "search/resource"),
            ("search_action_endpoint", "search/action"),
            ("access_request_endpoint", "requests"),
        ] {
            assert_eq!(found[name], json!(format!("{base}/access/v1/{end}")));
        }
        assert!(
            found["capabilities"]
                .as_array()
                .unwrap()
                .iter()
                .all(Value::is_string)
        );
    }
}
