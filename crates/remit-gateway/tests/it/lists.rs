//! A list shows what is granted and not surely denied, and nothing else.

use remit_gateway::{Endpoint, ListRequest, Presented};

use crate::world::{GOOD, World};

pub(crate) async fn names(world: &World, endpoint: Endpoint) -> Vec<String> {
    let request = ListRequest {
        org: world.org.clone(),
        endpoint,
        presented: Presented::bearer(GOOD),
        resource: "http://test/mcp".to_owned(),
    };
    world
        .gateway
        .list_tools(request)
        .await
        .unwrap()
        .into_iter()
        .map(|t| t.name)
        .collect()
}

#[tokio::test]
async fn ungranted_tools_are_not_listed() {
    let world = World::new().await;
    let one = names(&world, Endpoint::One("orders".parse().unwrap())).await;
    assert_eq!(
        one,
        ["note", "order_status", "refund", "remit_approval_status"]
    );
    let all = names(&world, Endpoint::All).await;
    assert_eq!(
        all,
        [
            "orders__note",
            "orders__order_status",
            "orders__refund",
            "remit_approval_status"
        ]
    );
    assert_eq!(
        names(&world, Endpoint::One("other".parse().unwrap())).await,
        ["remit_approval_status"]
    );
}
