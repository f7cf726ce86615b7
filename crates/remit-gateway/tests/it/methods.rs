//! MCP's own methods beside the tool call: granted, bounded and refused like a tool, and their handles sealed.

use remit_domain::RefusalCode;
use remit_gateway::{Action, Endpoint};
use remit_ports::upstreams::UpstreamError;
use remit_testkit::Script;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_resource_outside_of_the_grant_is_not_read() {
    let world = World::new().await;
    let read = |uri: &str| world.ask(Action::ReadResource, json!({ "uri": uri }));
    read("shop://public/prices").await.unwrap();
    for uri in [
        "shop://private/customers",
        "shop://publicity",
        "shop://public/../private/customers",
        "",
    ] {
        let refused = read(uri).await.unwrap_err();
        assert_eq!(refused.refusal.code, RefusalCode::Denied, "{uri}");
    }
    // In use, but not granted to this workflow.
    let prompt = world.ask(Action::GetPrompt, json!({ "name": "greet" }));
    assert_eq!(prompt.await.unwrap_err().refusal.code, RefusalCode::Denied);
    // A parameter that the method does not have is no way around its bounds.
    let more = json!({ "uri": "shop://public/a", "url": "shop://private" });
    let more = world.ask(Action::ReadResource, more).await.unwrap_err();
    assert_eq!(more.refusal.code, RefusalCode::ArgumentsInvalid);
    assert_eq!(
        world.upstreams.reached(),
        [json!({ "uri": "shop://public/prices" })]
    );
}

#[tokio::test]
async fn a_method_is_not_called_as_a_tool() {
    let world = World::new().await;
    let by_name = world.code("mcp.resources.read", json!({ "uri": "shop://public/a" }));
    assert_eq!(by_name.await, RefusalCode::ToolUnknown);
    let mut all = world.received(
        "orders__mcp.resources.read",
        json!({ "uri": "shop://public/a" }),
    );
    all.endpoint = Endpoint::All;
    let refused = world.gateway.tool_call(all).await.unwrap_err();
    assert_eq!(refused.refusal.code, RefusalCode::ToolUnknown);
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn a_cursor_comes_back_only_to_the_list_that_gave_it() {
    let world = World::new().await;
    let page = json!({ "resources": [], "nextCursor": "row 50" });
    world.upstreams.script(Script::Answer(page));
    let first = world.ask(Action::ListResources, json!({})).await.unwrap();
    let cursor = first.result["nextCursor"].as_str().unwrap().to_owned();
    assert_ne!(cursor, "row 50");
    let next = json!({ "cursor": cursor });
    world
        .ask(Action::ListResources, next.clone())
        .await
        .unwrap();
    assert_eq!(
        world.upstreams.reached(),
        [json!({}), json!({ "cursor": "row 50" })]
    );
    let forged = [
        (Action::ListResourceTemplates, next),
        (Action::ListResources, json!({ "cursor": "row 50" })),
        (
            Action::ListResources,
            json!({ "cursor": format!("{cursor}A") }),
        ),
    ];
    for (action, params) in forged {
        let refused = world.ask(action, params).await.unwrap_err();
        assert_eq!(refused.refusal.code, RefusalCode::InvalidRequest);
    }
    assert_eq!(world.upstreams.reached().len(), 2);
}

#[tokio::test]
async fn of_an_upstreams_error_only_what_its_caller_can_use_is_told() {
    let world = World::new().await;
    let fails = |code: i64, data| {
        let message = "no such resource".to_owned();
        let data = Some(data);
        world.upstreams.script(Script::Fail(UpstreamError::Rpc {
            code,
            message,
            data,
        }));
    };
    let uri = "shop://public/gone";
    let read = || world.ask(Action::ReadResource, json!({ "uri": uri }));
    fails(-32602, json!({ "uri": uri, "path": "/srv/secret" }));
    let error = read().await.unwrap().error.unwrap();
    assert_eq!(
        (error.code, error.data.unwrap()),
        (-32602, json!({ "uri": uri }))
    );
    fails(-32002, json!({ "uri": "shop://private" }));
    let error = read().await.unwrap().error.unwrap();
    assert_eq!((error.code, error.data.unwrap()), (-32002, json!({})));
    let lacking = json!({ "requiredCapabilities": { "sampling": { "x": 1 }, "experimental": {} } });
    fails(-32021, lacking);
    let error = read().await.unwrap().error.unwrap();
    assert_eq!(
        error.data.unwrap(),
        json!({ "requiredCapabilities": { "sampling": {} } })
    );
    for code in [-32603, -32000, 7] {
        fails(code, json!({}));
        let refused = read().await.unwrap_err();
        assert_eq!(refused.refusal.code, RefusalCode::UpstreamInvalid, "{code}");
    }
    // Whoever asked for a tool gets a line that a model can read.
    fails(-32602, json!({}));
    let refused = world.call("order_status", json!({ "order": "A" })).await;
    assert_eq!(
        refused.unwrap_err().refusal.code,
        RefusalCode::UpstreamInvalid
    );
}
