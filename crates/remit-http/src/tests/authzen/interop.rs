//! Other people's questions: the interop scenarios of the AuthZEN working group.
//!
//! Source: openid/authzen, commit e287920e (2026-08-20): the decision files of
//! the Todo interop (Authorization API 1.0, draft 02) and of the search interop. `interop.json` holds their facts. A subject of
//! theirs is an agent here, known by the name that its assignment gives it; a resource type is an upstream, an action a tool.

use serde_json::{Value, json};

use super::{grant, known_as, one_of};
use crate::tests::house::House;

fn facts() -> Value {
    serde_json::from_str(include_str!("interop.json")).unwrap()
}

#[tokio::test]
async fn todo() {
    let house = House::new().await;
    house
        .guarded("user", &[("can_read_user", "read", &[("id", "string")])])
        .await;
    let owned: &[(&str, &str)] = &[("id", "string"), ("ownerID", "string")];
    house
        .guarded(
            "todo",
            &[
                ("can_read_todos", "read", owned),
                ("can_create_todo", "write", owned),
                ("can_update_todo", "write", owned),
                ("can_delete_todo", "write", owned),
            ],
        )
        .await;
    let reads = || {
        vec![
            grant("user/can_read_user", json!({})),
            grant("todo/can_read_todos", json!({})),
        ]
    };
    let edits = |own: Option<&str>| {
        let bounds = own.map_or(json!({}), |own| json!({ "ownerID": one_of(json!([own])) }));
        let mut all = reads();
        all.push(grant("todo/can_create_todo", json!({})));
        all.push(grant("todo/can_update_todo", bounds.clone()));
        all.push(grant("todo/can_delete_todo", bounds));
        all
    };
    let names = ["rick", "morty", "summer", "beth", "jerry"];
    house.agent("rick", json!(edits(None))).await;
    house
        .agent("morty", json!(edits(Some("morty@the-citadel.com"))))
        .await;
    house
        .agent("summer", json!(edits(Some("summer@the-smiths.com"))))
        .await;
    house.agent("beth", json!(reads())).await;
    house.agent("jerry", json!(reads())).await;
    let facts = facts();
    let todo = &facts["todo"];
    let subjects: Vec<&str> = todo["subjects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect();
    let agents: Vec<_> = names
        .iter()
        .copied()
        .zip(subjects.iter().copied())
        .collect();
    let token = known_as(&house, &agents).await;
    let subject = |n: &Value| {
        let at = usize::try_from(n.as_u64().unwrap()).unwrap();
        json!({ "type": "user", "id": subjects[at] })
    };
    let resource = |kind: &Value, id: &Value, owner: &Value| match owner {
        Value::Null => json!({ "type": kind, "id": id }),
        owner => json!({ "type": kind, "id": id, "properties": { "ownerID": owner } }),
    };
    let rows = todo["evaluation"].as_array().unwrap();
    assert_eq!(rows.len(), 40);
    for row in rows {
        let body = json!({
            "subject": subject(&row[0]), "action": { "name": row[1] },
            "resource": resource(&row[2], &row[3], &row[4]),
        });
        assert_eq!(
            house.decide(&token, body).await["decision"],
            row[5],
            "{row}"
        );
    }
    for row in todo["evaluations"].as_array().unwrap() {
        let items = row[2].as_array().unwrap();
        let items: Vec<_> = items
            .iter()
            .map(|r| json!({ "resource": resource(&r[0], &r[1], &r[2]) }))
            .collect();
        let body = json!({ "subject": subject(&row[0]), "action": { "name": row[1] }, "evaluations": items });
        let answer = house
            .post("/access/v1/evaluations", &token, body)
            .await
            .good()
            .json();
        let decisions: Vec<_> = answer["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| d["decision"].clone())
            .collect();
        assert_eq!(json!(decisions), row[3], "{row}");
    }
}

#[tokio::test]
async fn search() {
    let house = House::new().await;
    let object: &[(&str, &str)] = &[("id", "string")];
    house
        .guarded(
            "record",
            &[
                ("view", "read", object),
                ("edit", "write", object),
                ("delete", "write", object),
            ],
        )
        .await;
    let facts = facts();
    let permitted = facts["search"]["permitted"].as_object().unwrap();
    let mut agents = Vec::new();
    for (user, actions) in permitted {
        let grants: Vec<_> = actions
            .as_object()
            .unwrap()
            .iter()
            .map(|(action, ids)| {
                grant(
                    &format!("record/{action}"),
                    json!({ "id": one_of(ids.clone()) }),
                )
            })
            .collect();
        house.agent(user, json!(grants)).await;
        agents.push((user.as_str(), user.as_str()));
    }
    let token = known_as(&house, &agents).await;
    let results = async |what: &str, body: Value| {
        let answer = house
            .post(&format!("/access/v1/search/{what}"), &token, body)
            .await
            .good()
            .json();
        assert_eq!(answer["page"]["next_token"], "");
        answer["results"].clone()
    };
    let may = |user: &str, action: &str, id: &str| {
        permitted[user][action]
            .as_array()
            .unwrap()
            .iter()
            .any(|i| i == id)
    };
    for user in permitted.keys() {
        for action in ["view", "edit", "delete"] {
            let body = json!({ "subject": { "type": "user", "id": user }, "action": { "name": action }, "resource": { "type": "record" } });
            let expected = permitted[user][action].as_array().unwrap();
            let expected: Vec<_> = expected
                .iter()
                .map(|id| json!({ "type": "record", "id": id }))
                .collect();
            assert_eq!(
                results("resource", body).await,
                json!(expected),
                "{user} {action}"
            );
        }
    }
    for id in 101..=120 {
        let id = id.to_string();
        for action in ["view", "edit", "delete"] {
            let body = json!({ "subject": { "type": "user" }, "action": { "name": action }, "resource": { "type": "record", "id": id } });
            let expected: Vec<_> = permitted
                .keys()
                .filter(|u| may(u, action, &id))
                .map(|u| json!({ "type": "user", "id": u }))
                .collect();
            assert_eq!(
                results("subject", body).await,
                json!(expected),
                "{action} {id}"
            );
        }
        for user in permitted.keys() {
            let body = json!({ "subject": { "type": "user", "id": user }, "resource": { "type": "record", "id": id } });
            let expected: Vec<_> = ["delete", "edit", "view"]
                .into_iter()
                .filter(|a| may(user, a, &id))
                .map(|a| json!({ "name": a }))
                .collect();
            assert_eq!(
                results("action", body).await,
                json!(expected),
                "{user} {id}"
            );
        }
    }
}
