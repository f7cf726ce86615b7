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

#[tokio::test]
async fn the_bundle_of_each_organization_is_public_and_its_own() {
    let house = House::new().await;
    let mut seen = Vec::new();
    for org in ["", "/t/globex"] {
        let bundle = house
            .get(&format!("{org}/spiffe/bundle"), "")
            .await
            .good()
            .json();
        assert!(
            bundle["spiffe_sequence"].as_u64() > Some(0) && bundle["spiffe_refresh_hint"] == 60
        );
        let keys = bundle["keys"].as_array().unwrap();
        let of = |usage: &str| {
            keys.iter()
                .filter(|k| k["use"] == usage)
                .cloned()
                .collect::<Vec<_>>()
        };
        let (x509, jwt) = (of("x509-svid"), of("jwt-svid"));
        assert_eq!((x509.len(), jwt.len(), keys.len()), (1, 1, 2));
        assert!(x509[0].get("kid").is_none() && x509[0]["x5c"].as_array().map(Vec::len) == Some(1));
        assert!(jwt[0]["kid"].is_string());
        assert!(keys.iter().all(|k| k.get("d").is_none()));
        seen.push(x509[0]["x5c"].clone());
    }
    assert_ne!(seen[0], seen[1]);
    assert_eq!(house.get("/t/none/spiffe/bundle", "").await.status, 404);
}

#[tokio::test]
async fn an_agent_gets_svids_with_its_token_and_nobody_else_does() {
    let house = House::new().await;
    let token = house.token("acme", "/api/v1").await;
    let secret = {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = aws_lc_rs::rand::SystemRandom::new();
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap()
    };
    let der = remit_token::x509_svid::request(secret.as_ref()).unwrap();
    let csr = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der));
    let made = house
        .post("/api/v1/svids/x509", &token, json!({ "csr": csr }))
        .await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert!(made["spiffe_id"].as_str().unwrap().contains("/agent/agt_"));
    assert!(
        made["certificate"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    let bad = house
        .post("/api/v1/svids/x509", &token, json!({ "csr": "no request" }))
        .await;
    assert_eq!(bad.status, 400);
    let asked = json!({ "audience": ["https://orders.example"] });
    let made = house.post("/api/v1/svids/jwt", &token, asked.clone()).await;
    assert_eq!(made.status, 201);
    let svid = made.json()["svid"].as_str().unwrap().to_owned();
    // It is another kind of token: good at none of Remit's own doors.
    assert_eq!(
        house
            .post("/api/v1/svids/jwt", &svid, asked.clone())
            .await
            .status,
        401
    );
    let admin = house.person("admin").to_owned();
    assert_eq!(
        house.post("/api/v1/svids/jwt", &admin, asked).await.status,
        403
    );
}
