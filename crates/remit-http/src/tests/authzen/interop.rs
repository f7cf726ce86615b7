//! Other people's questions: the interop scenarios of the AuthZEN working group.
//!
//! Source: openid/authzen, commit e287920e (2026-08-20): the decision files of
//! the Todo interop (Authorization API 1.0, draft 02) and of the search interop. `interop.json` holds their facts. A subject of
//! theirs is an agent here, known by the name that its assignment gives it; a resource type is an upstream, an action a tool.

use serde_json::{Map, Value, json};

use super::{grant, known_as, one_of};
use crate::tests::house::House;

fn facts() -> Value {
    serde_json::from_str(include_str!("interop.json")).unwrap()
}

async fn todo_house() -> House {
    let house = House::new().await;
    let user: &[_] = &[("can_read_user", "read", &[("id", "string")][..])];
    house.guarded("user", user).await;
    let owned: &[(&str, &str)] = &[("id", "string"), ("ownerID", "string")];
    let todo = [
        ("can_read_todos", "read", owned),
        ("can_create_todo", "write", owned),
        ("can_update_todo", "write", owned),
        ("can_delete_todo", "write", owned),
    ];
    house.guarded("todo", &todo).await;
    let reads = || {
        let user = grant("user/can_read_user", json!({}));
        vec![user, grant("todo/can_read_todos", json!({}))]
    };
    let edits = |own: Option<&str>| {
        let bounds = own.map_or(json!({}), |own| json!({ "ownerID": one_of(json!([own])) }));
        let mut all = reads();
        all.push(grant("todo/can_create_todo", json!({})));
        all.push(grant("todo/can_update_todo", bounds.clone()));
        all.push(grant("todo/can_delete_todo", bounds));
        json!(all)
    };
    house.agent("rick", edits(None)).await;
    house
        .agent("morty", edits(Some("morty@the-citadel.com")))
        .await;
    house
        .agent("summer", edits(Some("summer@the-smiths.com")))
        .await;
    house.agent("beth", json!(reads())).await;
    house.agent("jerry", json!(reads())).await;
    house
}

fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

fn resource(of: &[Value]) -> Value {
    match &of[2] {
        Value::Null => json!({ "type": of[0], "id": of[1] }),
        owner => json!({ "type": of[0], "id": of[1], "properties": { "ownerID": owner } }),
    }
}

#[tokio::test]
async fn todo() {
    let house = todo_house().await;
    let facts = facts();
    let todo = &facts["todo"];
    let subjects = todo["subjects"].as_array().unwrap();
    let subjects: Vec<&str> = subjects.iter().map(|s| s.as_str().unwrap()).collect();
    let names = ["rick", "morty", "summer", "beth", "jerry"];
    let agents: Vec<_> = names.into_iter().zip(subjects.iter().copied()).collect();
    let token = known_as(&house, &agents).await;
    let subject = |n: &Value| user(subjects[usize::try_from(n.as_u64().unwrap()).unwrap()]);
    let rows = todo["evaluation"].as_array().unwrap();
    assert_eq!(rows.len(), 40);
    for row in rows {
        let of = row.as_array().unwrap();
        let body = json!({
            "subject": subject(&row[0]), "action": { "name": row[1] }, "resource": resource(&of[2..5]),
        });
        let answer = house.decide(&token, body).await;
        assert_eq!(answer["decision"], row[5], "{row}");
    }
    for row in todo["evaluations"].as_array().unwrap() {
        let items = row[2].as_array().unwrap();
        let item = |r: &Value| json!({ "resource": resource(r.as_array().unwrap()) });
        let items: Vec<_> = items.iter().map(item).collect();
        let body = json!({
            "subject": subject(&row[0]), "action": { "name": row[1] }, "evaluations": items,
        });
        let answer = house.post("/access/v1/evaluations", &token, body).await;
        let answer = answer.good().json();
        let decisions = answer["evaluations"].as_array().unwrap();
        let decisions: Vec<_> = decisions.iter().map(|d| d["decision"].clone()).collect();
        assert_eq!(json!(decisions), row[3], "{row}");
    }
}

const ACTIONS: [&str; 3] = ["delete", "edit", "view"];

/// Who may do what with which record, and a house in which grants say so.
struct Records {
    house: House,
    token: String,
    permitted: Map<String, Value>,
}

impl Records {
    async fn new() -> Self {
        let house = House::new().await;
        let object: &[(&str, &str)] = &[("id", "string")];
        let tools = [
            ("view", "read", object),
            ("edit", "write", object),
            ("delete", "write", object),
        ];
        house.guarded("record", &tools).await;
        let permitted = facts()["search"]["permitted"].as_object().unwrap().clone();
        for (user, actions) in &permitted {
            let grant = |action: &str| {
                let bounds = json!({ "id": one_of(actions[action].clone()) });
                grant(&format!("record/{action}"), bounds)
            };
            house.agent(user, json!(ACTIONS.map(grant))).await;
        }
        let agents: Vec<_> = permitted.keys().map(|u| (u.as_str(), u.as_str())).collect();
        let token = known_as(&house, &agents).await;
        Self {
            house,
            token,
            permitted,
        }
    }

    async fn found(&self, what: &str, body: Value) -> Value {
        let uri = format!("/access/v1/search/{what}");
        let answer = self.house.post(&uri, &self.token, body).await.good().json();
        assert_eq!(answer["page"]["next_token"], "");
        answer["results"].clone()
    }

    fn may(&self, user: &str, action: &str, id: &str) -> bool {
        let ids = self.permitted[user][action].as_array().unwrap();
        ids.iter().any(|i| i == id)
    }
}

#[tokio::test]
async fn search_finds_what_the_interop_scenario_expects() {
    let records = Records::new().await;
    let record = |id: &str| json!({ "type": "record", "id": id });
    let ids: Vec<String> = (101..=120).map(|id: u32| id.to_string()).collect();
    for user_id in records.permitted.keys() {
        for action in ACTIONS {
            let body = json!({
                "subject": user(user_id), "action": { "name": action }, "resource": { "type": "record" },
            });
            let may = |id: &&String| records.may(user_id, action, id);
            let expected: Vec<_> = ids.iter().filter(may).map(|id| record(id)).collect();
            assert_eq!(
                records.found("resource", body).await,
                json!(expected),
                "{user_id} {action}"
            );
        }
        for id in &ids {
            let body = json!({ "subject": user(user_id), "resource": record(id) });
            let may = |action: &&str| records.may(user_id, action, id);
            let expected = ACTIONS
                .into_iter()
                .filter(may)
                .map(|a| json!({ "name": a }));
            let expected: Vec<_> = expected.collect();
            assert_eq!(
                records.found("action", body).await,
                json!(expected),
                "{user_id} {id}"
            );
        }
    }
    for (id, action) in ids.iter().flat_map(|id| ACTIONS.map(|action| (id, action))) {
        let body = json!({
            "subject": { "type": "user" }, "action": { "name": action }, "resource": record(id),
        });
        let may = |user: &&String| records.may(user, action, id);
        let expected: Vec<_> = records
            .permitted
            .keys()
            .filter(may)
            .map(|u| user(u))
            .collect();
        assert_eq!(
            records.found("subject", body).await,
            json!(expected),
            "{action} {id}"
        );
    }
}
