//! Tokens, what they are worth, and where it says so.

use serde_json::json;

use super::house::{House, URL};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[tokio::test]
async fn metadata_says_the_same_at_every_place_it_is_looked_for() {
    let house = House::new().await;
    for (org, issuer) in [
        ("", URL.to_owned()),
        ("/t/globex", format!("{URL}/t/globex")),
    ] {
        for at in [
            format!("/.well-known/oauth-authorization-server{org}"),
            format!("/.well-known/openid-configuration{org}"),
            format!("{org}/.well-known/openid-configuration"),
        ] {
            let found = house.get(&at, "").await.good().json();
            assert_eq!(found["issuer"], issuer, "{at}");
            assert_eq!(
                found["token_endpoint"],
                format!("{issuer}/oauth2/token"),
                "{at}"
            );
            assert_eq!(
                found["code_challenge_methods_supported"],
                json!(["S256"]),
                "{at}"
            );
        }
        for path in ["/mcp", "/mcp/orders", "/api/v1"] {
            let found = house
                .get(
                    &format!("/.well-known/oauth-protected-resource{org}{path}"),
                    "",
                )
                .await
                .good()
                .json();
            assert_eq!(found["resource"], format!("{issuer}{path}"));
            assert_eq!(found["authorization_servers"], json!([issuer]));
        }
        let keys = house
            .get(&format!("{org}/oauth2/jwks"), "")
            .await
            .good()
            .json();
        assert!(
            keys["keys"]
                .as_array()
                .is_some_and(|k| !k.is_empty() && k.iter().all(|k| k.get("d").is_none())),
            "{keys}"
        );
    }
    assert_eq!(
        house
            .get("/.well-known/oauth-authorization-server/t/none", "")
            .await
            .status,
        404
    );
    assert_eq!(
        house
            .get("/oauth2/authorize?response_type=code", "")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_token_is_introspected_and_revoked_by_its_client() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let ask = |assertion: String| {
        let (house, token) = (&house, token.clone());
        async move {
            let pairs = [
                ("token", token.as_str()),
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", &assertion),
            ];
            house.form("/oauth2/introspect", &pairs).await.good().json()
        }
    };
    let own = ask(house.assertion("acme")).await;
    assert_eq!(
        (&own["active"], &own["client_id"]),
        (&json!(true), &json!(house.actors["acme"].id))
    );
    let assertion = house.assertion("acme");
    let pairs = [
        ("token", token.as_str()),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
    ];
    house.form("/oauth2/revoke", &pairs).await.good();
    assert_eq!(
        ask(house.assertion("acme")).await,
        json!({ "active": false })
    );
    let replayed = house.form("/oauth2/revoke", &pairs).await;
    assert_eq!(
        replayed.status, 401,
        "an assertion is good once: {}",
        replayed.text
    );
}

#[tokio::test]
async fn a_client_of_one_organization_is_unknown_in_another() {
    let house = House::new().await;
    let assertion = house.assertion("acme");
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
    ];
    let answer = house.form("/t/globex/oauth2/token", &pairs).await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (401, Some("invalid_client"))
    );
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn requests_of_another_shape_are_refused_as_oauth_says() {
    let house = House::new().await;
    let answer = house
        .form("/oauth2/token", &[("grant_type", "password")])
        .await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (400, Some("unsupported_grant_type"))
    );
    let answer = house
        .form(
            "/oauth2/token",
            &[("grant_type", "client_credentials"), ("client_secret", "x")],
        )
        .await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (401, Some("invalid_client"))
    );
    let answer = house
        .post(
            "/oauth2/token",
            "",
            json!({ "grant_type": "client_credentials" }),
        )
        .await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (400, Some("invalid_request"))
    );
    let answer = house.form("/oauth2/introspect", &[("token", "x")]).await;
    assert_eq!(answer.status, 401);
}
